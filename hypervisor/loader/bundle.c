/* SPDX-License-Identifier: MIT */
/* Strict reader of the "newc" cpio format; every size is checked before it is used. */
#include "hypervisor/loader/bundle.h"

#include <stdbool.h>

#include "hypervisor/lib/string.h"

/* The header of "newc": a magic of 6 characters, then 13 fields of 8 hexadecimal digits. */
#define NEWC_MAGIC       "070701"
#define NEWC_MAGIC_SIZE  6u
#define NEWC_FIELD_SIZE  8u
#define NEWC_HEADER_SIZE 110u
#define NEWC_FIELD(n)    (NEWC_MAGIC_SIZE + (n)*NEWC_FIELD_SIZE)
#define NEWC_MODE        NEWC_FIELD(1)
#define NEWC_FILESIZE    NEWC_FIELD(6)
#define NEWC_NAMESIZE    NEWC_FIELD(11)
#define NEWC_TRAILER     "TRAILER!!!"

#define MODE_TYPE      0170000u
#define MODE_REGULAR   0100000u
#define MODE_DIRECTORY 0040000u

#define NAME_SIZE_MAX 256u

struct reader {
	const uint8_t *at;
	size_t left;
	size_t offset; /* of `at` in the archive, for the alignment to 4 */
	const char *error;
};

struct member {
	struct bundle_file file;
	uint32_t mode;
};

static bool hex_field(const uint8_t *digits, uint32_t *value)
{
	uint32_t result = 0;
	unsigned i;

	for (i = 0; i < NEWC_FIELD_SIZE; i++) {
		uint8_t digit = digits[i];

		if (digit >= '0' && digit <= '9')
			result = result << 4 | (uint32_t)(digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			result = result << 4 | (uint32_t)(digit - 'a' + 10);
		else if (digit >= 'A' && digit <= 'F')
			result = result << 4 | (uint32_t)(digit - 'A' + 10);
		else
			return false;
	}
	*value = result;
	return true;
}

/* Step over `size` bytes; NULL when the archive ends before. */
static const uint8_t *take(struct reader *reader, size_t size)
{
	const uint8_t *taken = reader->at;

	if (size > reader->left) {
		reader->error = "bundle: truncated archive";
		return NULL;
	}
	reader->at += size;
	reader->offset += size;
	reader->left -= size;
	return taken;
}

static bool take_padding(struct reader *reader)
{
	return take(reader, (4 - reader->offset % 4) % 4) != NULL;
}

static bool refuse(struct reader *reader, const char *error)
{
	reader->error = error;
	return false;
}

static bool read_member(struct reader *reader, struct member *member)
{
	const uint8_t *header = take(reader, NEWC_HEADER_SIZE);
	uint32_t name_size, file_size;
	const uint8_t *name;

	if (header == NULL)
		return false;
	if (memcmp(header, NEWC_MAGIC, NEWC_MAGIC_SIZE) != 0)
		return refuse(reader, "bundle: not a cpio archive in newc format");
	if (!hex_field(header + NEWC_MODE, &member->mode) ||
	    !hex_field(header + NEWC_FILESIZE, &file_size) ||
	    !hex_field(header + NEWC_NAMESIZE, &name_size))
		return refuse(reader, "bundle: malformed member header");
	if (name_size < 2 || name_size > NAME_SIZE_MAX)
		return refuse(reader, "bundle: member name too short or too long");
	name = take(reader, name_size);
	if (name == NULL)
		return false;
	if (memchr(name, '\0', name_size) != name + name_size - 1)
		return refuse(reader, "bundle: member name does not end where its size says");
	if (!take_padding(reader))
		return false;
	member->file.name = (const char *)name;
	member->file.size = file_size;
	member->file.data = take(reader, file_size);
	if (member->file.data == NULL)
		return false;
	return take_padding(reader);
}

static bool add_member(struct bundle *bundle, const struct member *member, struct reader *reader)
{
	uint32_t type = member->mode & MODE_TYPE;

	if (type == MODE_DIRECTORY)
		return true;
	if (type != MODE_REGULAR)
		return refuse(reader, "bundle: a member is neither a file nor a directory");
	if (bundle_find(bundle, member->file.name) != NULL)
		return refuse(reader, "bundle: two members have the same name");
	if (bundle->file_count == BUNDLE_FILE_MAX)
		return refuse(reader, "bundle: too many members");
	bundle->files[bundle->file_count++] = member->file;
	return true;
}

/* Writers fill the last block with zeros; anything else is not part of one archive. */
static bool is_zero(const uint8_t *at, size_t size)
{
	while (size > 0 && *at == 0) {
		at++;
		size--;
	}
	return size == 0;
}

int bundle_parse(const void *archive, size_t size, struct bundle *bundle, const char **error)
{
	struct reader reader = {.at = archive, .left = size};
	struct member member;

	bundle->file_count = 0;
	for (;;) {
		if (!read_member(&reader, &member))
			break;
		if (strcmp(member.file.name, NEWC_TRAILER) == 0) {
			if (is_zero(reader.at, reader.left))
				return 0;
			reader.error = "bundle: bytes after the end of the archive";
			break;
		}
		if (!add_member(bundle, &member, &reader))
			break;
	}
	bundle->file_count = 0;
	*error = reader.error;
	return -1;
}

const struct bundle_file *bundle_find(const struct bundle *bundle, const char *name)
{
	uint32_t i;

	for (i = 0; i < bundle->file_count; i++) {
		if (strcmp(bundle->files[i].name, name) == 0)
			return &bundle->files[i];
	}
	return NULL;
}
