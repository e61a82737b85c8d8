/* SPDX-License-Identifier: MIT */
/* hypervisor/loader/linux.c: the 64-bit boot protocol, and images that lie about themselves. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/loader/bytes.h"
#include "hypervisor/loader/loader.h"

#include <stdlib.h>

#define MB          (1u << 20)
#define SETUP_SECTS 3u
#define SETUP_SIZE  ((SETUP_SECTS + 1) * 512)
#define KERNEL_SIZE 5000u
#define FILE_SIZE   (SETUP_SIZE + KERNEL_SIZE)
#define ZERO_PAGE   0x91000u
#define STRINGS     0x92000u

static uint8_t file[FILE_SIZE];
static struct guest_memory memory;
static struct vm_config config;
static struct boot_state boot;
static char error[LOADER_ERROR_SIZE];

/* A bzImage of 5000 bytes that wants 1 MiB at 16M, with an initrd and a command line. */
static int setup(void **state)
{
	static const char initrd[] = "initrd!";
	size_t i;

	(void)state;
	memset(file, 0, sizeof(file));
	for (i = SETUP_SIZE; i < FILE_SIZE; i++)
		file[i] = (uint8_t)(i * 7);
	file[0x1f1] = SETUP_SECTS;
	bytes_put16(file + 0x1fe, 0xaa55);
	file[0x200] = 0xeb;
	file[0x201] = 0x66; /* the header ends at 0x268 */
	memcpy(file + 0x202, "HdrS", 4);
	bytes_put16(file + 0x206, 0x20f);
	file[0x211] = 1;
	bytes_put32(file + 0x22c, 0x7fffffff);
	bytes_put32(file + 0x230, 2 * MB);
	file[0x234] = 1;
	bytes_put16(file + 0x236, 0x3f);
	bytes_put32(file + 0x238, 2047);
	bytes_put64(file + 0x258, 16 * MB);
	bytes_put32(file + 0x260, MB);
	memory.low_bytes = 32 * MB;
	memory.low = calloc(1, memory.low_bytes);
	memory.high = NULL;
	memory.high_bytes = 0;
	memset(&config, 0, sizeof(config));
	config.kernel = (struct vm_file){ "vm0/kernel", file, FILE_SIZE };
	config.initrd = (struct vm_file){ "vm0/initrd", initrd, 7 };
	config.cmdline = (struct vm_file){ "vm0/cmdline", "console=ttyS0\n", 14 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(memory.low);
	return 0;
}

static int load(void)
{
	memset(error, '!', sizeof(error));
	memset(memory.low + STRINGS, 0, 32);
	return linux_load(&memory, &config, 2500000, &boot, error);
}

static void kernel_is_entered_in_long_mode(void **state)
{
	(void)state;
	assert_int_equal(load(), 0);
	assert_int_equal(boot.mode, BOOT_LONG64);
	assert_int_equal(boot.rip, 16 * MB + 0x200);
	assert_int_equal(boot.rsi, ZERO_PAGE);
	assert_memory_equal(memory.low + 16 * MB, file + SETUP_SIZE, KERNEL_SIZE);
	assert_int_equal(boot.code_selector, 0x10);
	assert_int_equal(boot.data_selector, 0x18);
	assert_in_range(boot.gdt_limit, 0x1f, 0xff);
	assert_int_equal(bytes_get64(memory.low + boot.gdt_base + 0x10), 0x00af9b000000ffff);
	assert_int_equal(bytes_get64(memory.low + boot.gdt_base + 0x18), 0x00cf93000000ffff);
}

/* Walk the tables at some addresses of the first 4G. */
static void first_4g_are_mapped_one_to_one(void **state)
{
	static const uint64_t addresses[] = { 0, 0x1fffff, 0x200000, 0x1000000, 0x7fffffff,
		0xc0000000, 0xffffffff };
	size_t i;

	(void)state;
	assert_int_equal(load(), 0);
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		uint64_t level_4 = bytes_get64(memory.low + boot.cr3), level_3, level_2;

		assert_int_equal(level_4 & 0xfff, 3);
		level_3 = bytes_get64(memory.low + (level_4 & ~0xfffull) +
		    (addresses[i] >> 30) * 8);
		assert_int_equal(level_3 & 0xfff, 3);
		level_2 = bytes_get64(memory.low + (level_3 & ~0xfffull) +
		    (addresses[i] >> 21 & 511) * 8);
		assert_int_equal(level_2, (addresses[i] & ~0x1fffffull) | 0x83);
	}
}

static void zero_page_says_what_was_loaded(void **state)
{
	static const struct {
		uint64_t base, size;
		uint32_t type;
	} map[] = {
		{ 0, 0xa0000, 1 }, { 0xe0000, 0x20000, 2 }, { 0x100000, 31 * MB, 1 },
		{ 0xfec00000, 0x1000, 2 }, { 0xfee00000, 0x1000, 2 }, { 0x100000000, 64 * MB, 1 },
	};
	const uint8_t *page;
	uint32_t initrd;
	size_t i;

	(void)state;
	memory.high_bytes = 64 * MB;
	assert_int_equal(load(), 0);
	page = memory.low + ZERO_PAGE;
	assert_memory_equal(page + 0x202, "HdrS", 4);
	assert_memory_equal(page + 0x22c, file + 0x22c, 0x268 - 0x22c);
	assert_int_equal(page[0x210], 0xff);
	assert_string_equal((const char *)memory.low + bytes_get32(page + 0x228),
	    "console=ttyS0 tsc_early_khz=2500000");
	initrd = bytes_get32(page + 0x218);
	assert_int_equal(initrd % 4096, 0);
	assert_int_equal(bytes_get32(page + 0x21c), 7);
	assert_memory_equal(memory.low + initrd, "initrd!", 7);
	assert_int_equal(initrd, 32 * MB - 4096);
	assert_int_equal(page[0x1e8], 6);
	for (i = 0; i < 6; i++) {
		assert_int_equal(bytes_get64(page + 0x2d0 + 20 * i), map[i].base);
		assert_int_equal(bytes_get64(page + 0x2d0 + 20 * i + 8), map[i].size);
		assert_int_equal(bytes_get32(page + 0x2d0 + 20 * i + 16), map[i].type);
	}
}

static void initrd_and_cmdline_may_be_absent(void **state)
{
	(void)state;
	config.initrd.data = NULL;
	config.cmdline.data = NULL;
	assert_int_equal(load(), 0);
	assert_int_equal(bytes_get32(memory.low + ZERO_PAGE + 0x218), 0);
	assert_int_equal(bytes_get32(memory.low + ZERO_PAGE + 0x21c), 0);
	assert_string_equal((const char *)memory.low + bytes_get32(memory.low + ZERO_PAGE + 0x228),
	    "tsc_early_khz=2500000");
}

static void initrd_stays_below_its_limit(void **state)
{
	(void)state;
	bytes_put32(file + 0x22c, 20 * MB - 1);
	assert_int_equal(load(), 0);
	assert_int_equal(bytes_get32(memory.low + ZERO_PAGE + 0x218), 20 * MB - 4096);
}

static void small_memory_moves_a_relocatable_kernel(void **state)
{
	(void)state;
	memory.low_bytes = 4 * MB;
	assert_int_equal(load(), 0);
	assert_int_equal(boot.rip, 2 * MB + 0x200);
	file[0x234] = 0;
	assert_int_equal(load(), -1);
	assert_string_equal(error, "vm0/kernel: too little memory for this kernel");
}

/* One byte-sized or wider field is changed; the image must be refused with this line. */
static void broken_images_are_refused(void **state)
{
	static const struct {
		unsigned offset, bytes;
		uint64_t value;
		const char *error;
	} rows[] = {
		{ 0x1fe, 2, 0x55aa, "not a Linux bzImage" },
		{ 0x202, 4, 0x53726447, "not a Linux bzImage" },
		{ 0x206, 2, 0x20b, "boot protocol older than 2.12, not supported" },
		{ 0x236, 2, 0x3e, "no 64-bit entry (a 32-bit kernel?), not supported" },
		{ 0x211, 1, 0, "a zImage, not supported" },
		{ 0x201, 1, 0x61, "setup header of impossible length" },
		{ 0x201, 1, 0xff, "setup header of impossible length" },
		{ 0x1f1, 1, 0xff, "truncated kernel image" },
		{ 0x1f1, 1, 12, "truncated kernel image" },
		{ 0x260, 4, 0xffffffff, "too little memory for this kernel" },
		{ 0x260, 4, 40 * MB, "too little memory for this kernel" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t before[8];

		memcpy(before, file + rows[i].offset, 8);
		memcpy(file + rows[i].offset, &rows[i].value, rows[i].bytes);
		if (load() != -1 || strncmp(error, "vm0/kernel: ", 12) != 0 ||
		    strcmp(error + 12, rows[i].error) != 0)
			fail_msg("row %zu: %.100s", i, error);
		memcpy(file + rows[i].offset, before, 8);
	}
}

/* A preferred address that is wild, or amid the loader's own structures, is not used. */
static void wild_preferred_addresses_are_not_used(void **state)
{
	static const uint64_t addresses[] = { 0, 0x2000, 0x90000, 32 * MB, 0xffffffffffffffff,
		0xfffffffffff00000, 0x100000000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		bytes_put64(file + 0x258, addresses[i]);
		file[0x234] = 1;
		assert_int_equal(load(), 0);
		assert_int_equal(boot.rip, 2 * MB + 0x200);
		file[0x234] = 0;
		assert_int_equal(load(), -1);
	}
}

static void impossible_alignments_are_refused(void **state)
{
	static const uint32_t alignments[] = { 0, 1, 0x800, 0x300000, 0xffffffff, 0x80000000 };
	size_t i;

	(void)state;
	bytes_put64(file + 0x258, 0);
	for (i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
		bytes_put32(file + 0x230, alignments[i]);
		assert_int_equal(load(), -1);
	}
}

static void short_files_are_refused(void **state)
{
	size_t size;

	(void)state;
	for (size = 0; size < SETUP_SIZE + 0x200; size += 37) {
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, file, size);
		config.kernel.data = copy;
		config.kernel.size = size;
		assert_int_equal(load(), -1);
		free(copy);
	}
}

static void large_initrds_are_refused(void **state)
{
	static const struct {
		uint64_t size;
		const char *error;
	} rows[] = {
		{ 32 * MB + 1, "vm0/initrd: too little memory for this initrd" },
		{ 1ull << 40, "vm0/initrd: too little memory for this initrd" },
		{ 31 * MB, "vm0/initrd: too little memory for kernel and initrd" },
		{ 15 * MB + 1, "vm0/initrd: too little memory for kernel and initrd" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		config.initrd.size = rows[i].size;
		assert_int_equal(load(), -1);
		assert_string_equal(error, rows[i].error);
	}
}

static void tsc_frequency_is_told_once_and_only_with_room(void **state)
{
	static const char given[] = "quiet tsc_early_khz=7 x";
	const char *line = (const char *)memory.low + STRINGS;

	(void)state;
	config.cmdline = (struct vm_file){ "vm0/cmdline", given, sizeof(given) - 1 };
	assert_int_equal(load(), 0);
	assert_string_equal(line, given);
	config.cmdline.size = 5;
	bytes_put32(file + 0x238, 5 + 22);
	assert_int_equal(load(), 0);
	assert_string_equal(line, "quiet tsc_early_khz=2500000");
	bytes_put32(file + 0x238, 5 + 21);
	assert_int_equal(load(), 0);
	assert_string_equal(line, "quiet");
}

static void long_or_binary_command_lines_are_refused(void **state)
{
	static char text[8192];

	(void)state;
	memset(text, 'a', sizeof(text));
	config.cmdline.data = text;
	config.cmdline.size = 2047;
	assert_int_equal(load(), 0);
	config.cmdline.size = 2048;
	assert_int_equal(load(), -1);
	assert_string_equal(error, "vm0/cmdline: command line longer than this kernel takes");
	text[10] = '\0';
	config.cmdline.size = 20;
	assert_int_equal(load(), -1);
	assert_string_equal(error, "vm0/cmdline: a zero byte in the command line");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kernel_is_entered_in_long_mode),
		T(first_4g_are_mapped_one_to_one),
		T(zero_page_says_what_was_loaded),
		T(initrd_and_cmdline_may_be_absent),
		T(initrd_stays_below_its_limit),
		T(small_memory_moves_a_relocatable_kernel),
		T(broken_images_are_refused),
		T(wild_preferred_addresses_are_not_used),
		T(impossible_alignments_are_refused),
		T(short_files_are_refused),
		T(large_initrds_are_refused),
		T(tsc_frequency_is_told_once_and_only_with_room),
		T(long_or_binary_command_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
