/* SPDX-License-Identifier: MIT */
/* hypervisor/loader/bundle.c: the newc reader takes good archives and refuses every broken one. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/loader/bundle.h"

#include <stdlib.h>

#define REGULAR   0100644u
#define DIRECTORY 0040755u
#define SYMLINK   0120777u

static char archive[65536];
static size_t archive_size;

static void pad(void)
{
	while (archive_size % 4 != 0)
		archive[archive_size++] = '\0';
}

static void add(const char *name, unsigned mode, const char *data, size_t size)
{
	archive_size += (size_t)sprintf(archive + archive_size,
	    "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", 1u, mode, 0u, 0u, 1u,
	    0u, size, 0u, 0u, 0u, 0u, strlen(name) + 1, 0u);
	memcpy(archive + archive_size, name, strlen(name) + 1);
	archive_size += strlen(name) + 1;
	pad();
	memcpy(archive + archive_size, data, size);
	archive_size += size;
	pad();
}

static void add_end(void)
{
	add("TRAILER!!!", 0, "", 0);
}

/* config, a directory, vm0/kernel of 5 bytes, the trailer. */
static int setup(void **state)
{
	(void)state;
	memset(archive, 0, sizeof(archive));
	archive_size = 0;
	add("config", REGULAR, "vm", 2);
	add("vm0", DIRECTORY, "", 0);
	add("vm0/kernel", REGULAR, "\x01\x02\x03\x04\x05", 5);
	add_end();
	return 0;
}

/* Parse an exact copy, so that the sanitizer sees every byte read beyond it. */
static int parse(size_t size, struct bundle *bundle, const char **error)
{
	char *copy = malloc(size + 1);
	int result;

	*error = NULL;
	memcpy(copy, archive, size);
	result = bundle_parse(copy, size, bundle, error);
	if (result != 0) {
		assert_non_null(*error);
		assert_int_equal(bundle->file_count, 0);
	}
	free(copy);
	return result;
}

static void refuse(const char *why)
{
	struct bundle bundle;
	const char *error;

	assert_int_equal(parse(archive_size, &bundle, &error), -1);
	assert_string_equal(error, why);
}

static void finds_files_and_skips_directories(void **state)
{
	struct bundle bundle;
	const struct bundle_file *file;
	const char *error;

	(void)state;
	assert_int_equal(bundle_parse(archive, archive_size, &bundle, &error), 0);
	assert_int_equal(bundle.file_count, 2);
	file = bundle_find(&bundle, "vm0/kernel");
	assert_non_null(file);
	assert_int_equal(file->size, 5);
	assert_memory_equal(file->data, "\x01\x02\x03\x04\x05", 5);
	assert_null(bundle_find(&bundle, "vm0"));
	assert_null(bundle_find(&bundle, "vm0/kerne"));
	archive_size = (archive_size + 511) / 512 * 512; /* as archivers fill the last block */
	assert_int_equal(bundle_parse(archive, archive_size, &bundle, &error), 0);
}

static void every_truncation_is_refused(void **state)
{
	struct bundle bundle;
	const char *error;
	size_t size;

	(void)state;
	for (size = 0; size < archive_size; size++) {
		if (parse(size, &bundle, &error) != -1)
			fail_msg("%zu of %zu bytes", size, archive_size);
	}
	assert_int_equal(parse(archive_size, &bundle, &error), 0);
}

/* One field of the first header is replaced by eight characters. */
static void lying_headers_are_refused(void **state)
{
	static const struct {
		unsigned offset;
		const char *field;
	} rows[] = {
		{ 0, "070702\x30\x30" }, { 0, "070707\x30\x30" }, { 0, "\x1f\x8b\x08    -" },
		{ 54, "FFFFFFFF" }, { 54, "00010000" }, { 54, "0000000G" }, { 54, "-0000001" },
		{ 54, "0x000002" }, { 94, "FFFFFFFF" }, { 94, "00000000" }, { 94, "00000001" },
		{ 94, "00000006" }, { 94, "00000008" }, { 94, "00000101" }, { 94, "        " },
		{ 14, "0000A1FF" }, { 14, "00000000" }, { 14, "........" },
	};
	struct bundle bundle;
	const char *error;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(state);
		memcpy(archive + rows[i].offset, rows[i].field, 8);
		if (parse(archive_size, &bundle, &error) != -1)
			fail_msg("row %zu", i);
	}
}

static void repeated_names_are_refused(void **state)
{
	(void)state;
	archive_size = 0;
	add("a", REGULAR, "1", 1);
	add("a", REGULAR, "2", 1);
	add_end();
	refuse("bundle: two members have the same name");
}

static void other_kinds_of_members_are_refused(void **state)
{
	(void)state;
	archive_size = 0;
	add("a", SYMLINK, "/etc", 4);
	add_end();
	refuse("bundle: a member is neither a file nor a directory");
}

static void bytes_after_the_end_are_refused(void **state)
{
	(void)state;
	archive[archive_size++] = 'x';
	refuse("bundle: bytes after the end of the archive");
}

static void too_many_members_are_refused(void **state)
{
	char name[16];
	unsigned i;

	(void)state;
	archive_size = 0;
	for (i = 0; i <= BUNDLE_FILE_MAX; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		add(name, REGULAR, "", 0);
	}
	add_end();
	refuse("bundle: too many members");
}

/* Every single byte replaced by some others: never more than an error. */
static void damaged_bytes_never_crash(void **state)
{
	static const char bytes[] = { '\0', '0', 'F', 'f', '\x7f', '\xff' };
	struct bundle bundle;
	const char *error;
	size_t at, i, refused = 0;

	setup(state);
	for (at = 0; at < archive_size; at++) {
		char before = archive[at];

		for (i = 0; i < sizeof(bytes); i++) {
			archive[at] = bytes[i];
			refused += parse(archive_size, &bundle, &error) != 0;
		}
		archive[at] = before;
	}
	assert_in_range(refused, 100, archive_size * sizeof(bytes));
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(finds_files_and_skips_directories),
		T(every_truncation_is_refused),
		T(lying_headers_are_refused),
		T(repeated_names_are_refused),
		T(other_kinds_of_members_are_refused),
		T(bytes_after_the_end_are_refused),
		T(too_many_members_are_refused),
		T(damaged_bytes_never_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
