/* SPDX-License-Identifier: MIT */
/* What kind of kernel a file holds, told by its content. */
#include "cli/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux boot protocol, setup header. */
#define SETUP_MAGIC_AT      0x202
#define SETUP_VERSION_AT    0x206
#define SETUP_XLOADFLAGS_AT 0x236
#define SETUP_INIT_SIZE_AT  0x260
#define SETUP_END           0x264
#define SETUP_MAGIC         0x53726448u /* "HdrS" */
#define SETUP_VERSION_MIN   0x020cu     /* 2.12: xloadflags */
#define XLF_KERNEL_64       1u

/* Multiboot specification: the header lies in the first 8192 bytes, 4-byte aligned. */
#define MULTIBOOT_SEARCH 8192
#define MULTIBOOT_MAGIC  0x1badb002u

#define LOW_MEMORY     (1ULL << 20)
#define MULTIBOOT_ROOM (1ULL << 20)

static uint32_t read32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static bool is_multiboot(const uint8_t *head, size_t size)
{
	for (size_t at = 0; at + 12 <= size; at += 4) {
		uint32_t sum = read32(head + at) + read32(head + at + 4) + read32(head + at + 8);

		if (read32(head + at) == MULTIBOOT_MAGIC && sum == 0)
			return true;
	}
	return false;
}

static void examine_linux(const uint8_t *head, struct image_facts *facts)
{
	uint32_t version = read32(head + SETUP_VERSION_AT) & 0xffff;

	if (version < SETUP_VERSION_MIN || !(head[SETUP_XLOADFLAGS_AT] & XLF_KERNEL_64)) {
		facts->problem = "a Linux kernel without the 64-bit entry point";
		return;
	}
	facts->kind = IMAGE_LINUX;
	facts->memory_need = LOW_MEMORY + read32(head + SETUP_INIT_SIZE_AT);
}

static void examine(const uint8_t *head, size_t size, struct image_facts *facts)
{
	if (size >= SETUP_END && read32(head + SETUP_MAGIC_AT) == SETUP_MAGIC) {
		examine_linux(head, facts);
	} else if (is_multiboot(head, size)) {
		facts->kind = IMAGE_MULTIBOOT;
		facts->memory_need = LOW_MEMORY + MULTIBOOT_ROOM;
	}
}

int image_read(const char *path, struct image_facts *facts)
{
	uint8_t head[MULTIBOOT_SEARCH];
	struct stat status;
	ssize_t size = -1;
	int saved;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	memset(facts, 0, sizeof(*facts));
	if (file < 0)
		return -1;
	if (fstat(file, &status) == 0)
		size = read(file, head, sizeof(head));
	saved = errno;
	close(file);
	errno = saved;
	if (size < 0)
		return -1;
	facts->file_size = (uint64_t)status.st_size;
	examine(head, (size_t)size, facts);
	return 0;
}
