/* SPDX-License-Identifier: MIT */
/* hypervisor/loader/multiboot.c: ELF and explicit addresses, boot information, wild images. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/loader/bytes.h"
#include "hypervisor/loader/loader.h"

#include <stdlib.h>

#define MB        (1u << 20)
#define FILE_SIZE 0x3000u
#define HEADER_AT 0x1000u
#define INFO      0x91000u

static uint8_t file[FILE_SIZE];
static struct guest_memory memory;
static struct vm_config config;
static struct boot_state boot;
static char error[LOADER_ERROR_SIZE];

static void put_header(unsigned at, uint32_t flags)
{
	bytes_put32(file + at, 0x1badb002);
	bytes_put32(file + at + 4, flags);
	bytes_put32(file + at + 8, 0u - 0x1badb002u - flags);
}

/* Program header of an ELF32 file, at 0x34. */
static void put_segment32(uint32_t offset, uint32_t virtual, uint32_t physical, uint32_t file_size,
    uint32_t memory_size)
{
	uint8_t *header = file + 0x34;

	bytes_put32(header, 1);
	bytes_put32(header + 4, offset);
	bytes_put32(header + 8, virtual);
	bytes_put32(header + 12, physical);
	bytes_put32(header + 16, file_size);
	bytes_put32(header + 20, memory_size);
}

/* An ELF32 file: one segment of 0x1800 bytes at 4M, 0x3000 in memory; entry 0x20 into it. */
static int setup(void **state)
{
	size_t i;

	(void)state;
	memset(file, 0, sizeof(file));
	for (i = HEADER_AT + 32; i < FILE_SIZE; i++)
		file[i] = (uint8_t)(i * 11 + 1);
	memcpy(file, "\x7f" "ELF\x01\x01\x01", 7);
	bytes_put16(file + 16, 2);
	bytes_put16(file + 18, 3);
	bytes_put32(file + 24, 0xc0400020);
	bytes_put32(file + 28, 0x34);
	bytes_put16(file + 42, 32);
	bytes_put16(file + 44, 1);
	put_segment32(HEADER_AT, 0xc0400000, 4 * MB, 0x1800, 0x3000);
	put_header(HEADER_AT, 3);
	memory.low_bytes = 8 * MB;
	memory.low = calloc(1, memory.low_bytes);
	memory.high = NULL;
	memory.high_bytes = 0;
	memset(&config, 0, sizeof(config));
	config.kernel = (struct vm_file){ "g/kernel", file, FILE_SIZE };
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
	return multiboot_load(&memory, &config, &boot, error);
}

static void refuse(const char *why)
{
	assert_int_equal(load(), -1);
	assert_memory_equal(error, "g/kernel: ", 10);
	assert_string_equal(error + 10, why);
}

static const char *string_at(uint32_t address)
{
	return (const char *)memory.low + address;
}

static void elf32_is_loaded_at_physical_addresses(void **state)
{
	(void)state;
	assert_int_equal(load(), 0);
	assert_int_equal(boot.mode, BOOT_PROTECTED32);
	assert_int_equal(boot.rip, 4 * MB + 0x20);
	assert_int_equal(boot.rax, 0x2badb002);
	assert_int_equal(boot.rbx, INFO);
	assert_memory_equal(memory.low + 4 * MB, file + HEADER_AT, 0x1800);
	assert_int_equal(memory.low[4 * MB + 0x1800], 0);
	assert_int_equal(bytes_get64(memory.low + boot.gdt_base + boot.code_selector),
	    0x00cf9b000000ffff);
	assert_int_equal(bytes_get64(memory.low + boot.gdt_base + boot.data_selector),
	    0x00cf93000000ffff);
}

static void elf64_is_loaded_with_a_32_bit_entry(void **state)
{
	uint8_t *header = file + 0x40;

	(void)state;
	file[4] = 2;
	bytes_put16(file + 18, 62);
	bytes_put64(file + 24, 0xffffffff80400010);
	bytes_put64(file + 32, 0x40);
	bytes_put16(file + 54, 56);
	bytes_put16(file + 56, 1);
	memset(header, 0, 56);
	bytes_put32(header, 1);
	bytes_put64(header + 8, HEADER_AT);
	bytes_put64(header + 16, 0xffffffff80400000);
	bytes_put64(header + 24, 4 * MB);
	bytes_put64(header + 32, 0x1000);
	bytes_put64(header + 40, 0x1000);
	assert_int_equal(load(), 0);
	assert_int_equal(boot.rip, 4 * MB + 0x10);
	bytes_put64(file + 24, 0x140000000);
	refuse("the entry lies above 4G");
	bytes_put64(header + 24, 0xfffffffffffff800);
	refuse("a segment lies outside the guest's usable memory");
	bytes_put64(header + 8, 0xfffffffffffff800);
	refuse("a segment lies outside the file");
}

static void load_addresses_replace_elf(void **state)
{
	uint8_t *header = file + HEADER_AT;

	(void)state;
	put_header(HEADER_AT, 0x10003);
	bytes_put32(header + 12, 0x100400); /* the header itself */
	bytes_put32(header + 16, 0x100000); /* load: 0x400 bytes before */
	bytes_put32(header + 20, 0x101000);
	bytes_put32(header + 24, 0x105000);
	bytes_put32(header + 28, 0x100444);
	assert_int_equal(load(), 0);
	assert_int_equal(boot.rip, 0x100444);
	assert_memory_equal(memory.low + 0x100000, file + HEADER_AT - 0x400, 0x1000);
	assert_int_equal(memory.low[0x101000], 0);
	bytes_put32(header + 20, 0); /* the whole rest of the file */
	bytes_put32(header + 24, 0);
	assert_int_equal(load(), 0);
	assert_memory_equal(memory.low + 0x100000, file + HEADER_AT - 0x400,
	    FILE_SIZE - HEADER_AT + 0x400);
}

static void wild_load_addresses_are_refused(void **state)
{
	static const struct {
		uint32_t header, load, load_end, bss_end;
		const char *error;
	} rows[] = {
		{ 0x100000, 0x100400, 0, 0, "the multiboot header's load address is impossible" },
		{ 0x102000, 0x100000, 0, 0, "the multiboot header's load address is impossible" },
		{ 0xffffffff, 0, 0, 0, "the multiboot header's load address is impossible" },
		{ 0x100400, 0x100000, 0xff000, 0, "the multiboot header's load end is impossible" },
		{ 0x100400, 0x100000, 0x200000, 0, "a segment lies outside the file" },
		{ 0x100400, 0x100000, 0x101000, 0x100800,
		    "the multiboot header's bss end is impossible" },
		{ 0x100400, 0x100000, 0x101000, 0xffffffff,
		    "a segment lies outside the guest's usable memory" },
		{ 0x91400, 0x91000, 0, 0, "a segment lies outside the guest's usable memory" },
		{ 0xfffff400, 0xfffff000, 0, 0,
		    "a segment lies outside the guest's usable memory" },
	};
	size_t i;

	(void)state;
	put_header(HEADER_AT, 0x10003);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bytes_put32(file + HEADER_AT + 12, rows[i].header);
		bytes_put32(file + HEADER_AT + 16, rows[i].load);
		bytes_put32(file + HEADER_AT + 20, rows[i].load_end);
		bytes_put32(file + HEADER_AT + 24, rows[i].bss_end);
		if (load() != -1 || strcmp(error + 10, rows[i].error) != 0)
			fail_msg("row %zu: %.100s", i, error);
	}
}

static void wild_segments_are_refused(void **state)
{
	static const struct {
		uint32_t offset, physical, file_size, memory_size;
		const char *error;
	} rows[] = {
		{ FILE_SIZE, 4 * MB, 1, 1, "a segment lies outside the file" },
		{ FILE_SIZE + 1, 4 * MB, 0, 1, "a segment lies outside the file" },
		{ 0xffffffff, 4 * MB, 2, 2, "a segment lies outside the file" },
		{ 0x1000, 4 * MB, 0xffffffff, 0xffffffff, "a segment lies outside the file" },
		{ 0x1000, 4 * MB, 0x20, 0x10, "a segment is larger in the file than in memory" },
		{ 0x1000, 8 * MB - 0x10, 0x20, 0x20,
		    "a segment lies outside the guest's usable memory" },
		{ 0x1000, 8 * MB, 0, 1, "a segment lies outside the guest's usable memory" },
		{ 0x1000, 4 * MB, 0x20, 0xfffffff0,
		    "a segment lies outside the guest's usable memory" },
		{ 0x1000, 0xfffffff0, 0x20, 0x20,
		    "a segment lies outside the guest's usable memory" },
		{ 0x1000, 0x91000, 0x20, 0x20, "a segment lies outside the guest's usable memory" },
		{ 0x1000, 0x8fff0, 0x20, 0x20, "a segment lies outside the guest's usable memory" },
		{ 0x1000, 0x9fff0, 0x20, 0x20, "a segment lies outside the guest's usable memory" },
		{ 0x1000, 0xe0000, 0x20, 0x20, "a segment lies outside the guest's usable memory" },
		{ 0x1000, 4 * MB, 0, 0, "an ELF file with nothing to load" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_segment32(rows[i].offset, 0xc0400000, rows[i].physical, rows[i].file_size,
		    rows[i].memory_size);
		if (load() != -1 || strcmp(error + 10, rows[i].error) != 0)
			fail_msg("row %zu: %.100s", i, error);
	}
}

static void low_memory_outside_the_structures_may_be_used(void **state)
{
	static const uint32_t addresses[] = { 0x0, 0xf000, 0x8f000, 0x9e000, 0x100000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		put_segment32(HEADER_AT, 0xc0400000, addresses[i], 0x1000, 0x1000);
		assert_int_equal(load(), 0);
		assert_int_equal(boot.rip, addresses[i] + 0x20);
	}
}

static void broken_elf_headers_are_refused(void **state)
{
	static const struct {
		unsigned offset, bytes;
		uint32_t value;
		const char *error;
	} rows[] = {
		{ 0, 4, 0x464c4500, "neither an ELF file nor one with load addresses" },
		{ 4, 1, 3, "not an x86 executable ELF file" },
		{ 5, 1, 2, "not an x86 executable ELF file" },
		{ 16, 2, 3, "not an x86 executable ELF file" },
		{ 18, 2, 8, "not an x86 executable ELF file" },
		{ 28, 4, 0xffffffff, "the ELF program headers lie outside the file" },
		{ 28, 4, FILE_SIZE - 31, "the ELF program headers lie outside the file" },
		{ 42, 2, 31, "impossible ELF program headers" },
		{ 42, 2, 0, "impossible ELF program headers" },
		{ 44, 2, 0, "impossible ELF program headers" },
		{ 44, 2, 65, "impossible ELF program headers" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t before[4];

		memcpy(before, file + rows[i].offset, 4);
		memcpy(file + rows[i].offset, &rows[i].value, rows[i].bytes);
		if (load() != -1 || strcmp(error + 10, rows[i].error) != 0)
			fail_msg("row %zu: %.100s", i, error);
		memcpy(file + rows[i].offset, before, 4);
	}
}

static void header_is_searched_as_specified(void **state)
{
	(void)state;
	memset(file + HEADER_AT, 0, 12);
	refuse("not a multiboot image");
	put_header(8192 - 12, 3); /* the last place */
	assert_int_equal(load(), 0);
	memset(file + 8192 - 12, 0, 12);
	put_header(8192 - 8, 3); /* must lie within 8192 bytes */
	refuse("not a multiboot image");
	memset(file + 8192 - 8, 0, 12);
	put_header(0x1002, 3); /* must be aligned */
	refuse("not a multiboot image");
	put_header(HEADER_AT, 3);
	file[HEADER_AT + 8] ^= 1;
	refuse("not a multiboot image");
}

static void required_features_are_known(void **state)
{
	static const struct {
		uint32_t flags;
		const char *error;
	} rows[] = {
		{ 0x7, "asks for a video mode, not supported" },
		{ 0xb, "asks for a multiboot feature that is not known" },
		{ 0x8003, "asks for a multiboot feature that is not known" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_header(HEADER_AT, rows[i].flags);
		refuse(rows[i].error);
	}
	put_header(HEADER_AT, 0x20000); /* upper flags are optional */
	assert_int_equal(load(), 0);
}

static void information_tells_memory_and_command_line(void **state)
{
	const uint8_t *info, *entry;
	uint32_t at, length, ram = 0;

	(void)state;
	config.cmdline = (struct vm_file){ "g/cmdline", "one two\n", 8 };
	assert_int_equal(load(), 0);
	info = memory.low + INFO;
	assert_int_equal(bytes_get32(info), 0x245);
	assert_int_equal(bytes_get32(info + 4), 640);
	assert_int_equal(bytes_get32(info + 8), 7 * 1024);
	assert_string_equal(string_at(bytes_get32(info + 16)), "g/kernel one two");
	assert_string_equal(string_at(bytes_get32(info + 64)), "posthorn");
	length = bytes_get32(info + 44);
	for (at = 0; at < length; at += bytes_get32(entry) + 4) {
		entry = memory.low + bytes_get32(info + 48) + at;
		assert_int_equal(bytes_get32(entry), 20);
		if (bytes_get32(entry + 20) == 1)
			ram += (uint32_t)bytes_get64(entry + 12);
	}
	assert_int_equal(at, length);
	assert_int_equal(ram, 7 * MB + 0xa0000);
	config.cmdline.data = NULL;
	memset(memory.low, 0, memory.low_bytes);
	assert_int_equal(load(), 0);
	assert_string_equal(string_at(bytes_get32(memory.low + INFO + 16)), "g/kernel");
}

static void modules_lie_page_aligned_behind_the_image(void **state)
{
	const uint8_t *list;

	(void)state;
	config.modules[0] = (struct vm_file){ "g/env", "NR_CPUS=2", 9 };
	config.modules[1] = (struct vm_file){ "g/two", "22", 2 };
	config.module_count = 2;
	assert_int_equal(load(), 0);
	assert_int_equal(bytes_get32(memory.low + INFO) & 8, 8);
	assert_int_equal(bytes_get32(memory.low + INFO + 20), 2);
	list = memory.low + bytes_get32(memory.low + INFO + 24);
	assert_int_equal(bytes_get32(list), 4 * MB + 0x3000);
	assert_int_equal(bytes_get32(list + 4), 4 * MB + 0x3009);
	assert_string_equal(string_at(bytes_get32(list + 8)), "g/env");
	assert_memory_equal(memory.low + 4 * MB + 0x3000, "NR_CPUS=2", 10);
	assert_int_equal(bytes_get32(list + 16), 4 * MB + 0x4000);
	config.modules[1].size = 8 * MB;
	assert_int_equal(load(), -1);
	assert_string_equal(error, "g/two: too little memory for this module");
	config.modules[1].size = UINT64_MAX - 100;
	assert_int_equal(load(), -1);
}

static void long_command_lines_are_refused(void **state)
{
	static char text[32768];

	(void)state;
	memset(text, 'x', sizeof(text));
	config.cmdline = (struct vm_file){ "g/cmdline", text, sizeof(text) };
	refuse("command line too long");
	text[0] = '\0';
	config.cmdline.size = 3;
	assert_int_equal(load(), -1);
	assert_string_equal(error, "g/cmdline: a zero byte in the command line");
}

static void every_truncation_is_survived(void **state)
{
	size_t size;

	(void)state;
	for (size = 0; size < HEADER_AT + 0x1800; size += 29) {
		uint8_t *copy = malloc(size + 1);

		memcpy(copy, file, size);
		config.kernel.data = copy;
		config.kernel.size = size;
		assert_int_equal(load(), -1);
		free(copy);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(elf32_is_loaded_at_physical_addresses),
		T(elf64_is_loaded_with_a_32_bit_entry),
		T(load_addresses_replace_elf),
		T(wild_load_addresses_are_refused),
		T(wild_segments_are_refused),
		T(low_memory_outside_the_structures_may_be_used),
		T(broken_elf_headers_are_refused),
		T(header_is_searched_as_specified),
		T(required_features_are_known),
		T(information_tells_memory_and_command_line),
		T(modules_lie_page_aligned_behind_the_image),
		T(long_command_lines_are_refused),
		T(every_truncation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
