/* SPDX-License-Identifier: MIT */
/* Loader of multiboot 1 images: ELF32, ELF64 with a 32-bit entry, and explicit load addresses. */
#include "hypervisor/loader/loader.h"

#include "hypervisor/loader/bytes.h"
#include "hypervisor/loader/place.h"

/* Multiboot Specification 0.6.96, "The layout of Multiboot header". */
#define HEADER_SEARCH     8192u
#define HEADER_SIZE       12u
#define HEADER_FULL_SIZE  32u /* with the address fields */
#define HEADER_MAGIC      0x1badb002u
#define HEADER_ALIGN      4u
#define FLAG_PAGE_ALIGN   0x1u
#define FLAG_MEMORY_INFO  0x2u
#define FLAG_VIDEO        0x4u
#define FLAGS_REQUIRED    0xffffu
#define FLAG_ADDRESSES    0x10000u
#define HEADER_ADDR       12u
#define HEADER_LOAD       16u
#define HEADER_LOAD_END   20u
#define HEADER_BSS_END    24u
#define HEADER_ENTRY      28u

/* "Boot information format". */
#define BOOTLOADER_MAGIC  0x2badb002u
#define INFO_SIZE         120u
#define INFO_FLAGS        0u
#define INFO_MEM_LOWER    4u
#define INFO_MEM_UPPER    8u
#define INFO_CMDLINE      16u
#define INFO_MODS_COUNT   20u
#define INFO_MODS_ADDR    24u
#define INFO_MMAP_LENGTH  44u
#define INFO_MMAP_ADDR    48u
#define INFO_LOADER_NAME  64u
#define INFO_HAS_MEMORY   0x001u
#define INFO_HAS_CMDLINE  0x004u
#define INFO_HAS_MODULES  0x008u
#define INFO_HAS_MMAP     0x040u
#define INFO_HAS_LOADER   0x200u
#define MMAP_ENTRY_SIZE   24u
#define MODULE_ENTRY_SIZE 16u

#define PLACE_MMAP    (PLACE_INFO + 0x100u)
#define PLACE_MODULES (PLACE_INFO + 0x200u)
_Static_assert(MEMORY_RANGE_MAX * MMAP_ENTRY_SIZE <= 0x100u, "the map ends before the modules");
_Static_assert(0x200u + VM_MODULE_MAX * MODULE_ENTRY_SIZE <= PLACE_STRINGS - PLACE_INFO,
    "the module list ends before the strings");

/* ELF (Tool Interface Standard, "ELF Header" and "Program Header"), and its 64-bit variant. */
#define ELF_MAGIC     0x464c457fu
#define ELF_CLASS     4u
#define ELF_DATA      5u
#define ELF_CLASS_32  1u
#define ELF_CLASS_64  2u
#define ELF_DATA_LSB  1u
#define ELF_TYPE      16u
#define ELF_TYPE_EXEC 2u
#define ELF_MACHINE   18u
#define ELF_EM_386    3u
#define ELF_EM_X86_64 62u
#define ELF_ENTRY     24u
#define ELF_PT_LOAD   1u
#define ELF_PHNUM_MAX 64u

#define PAGE_BYTES 4096u

struct loader {
	const struct guest_memory *memory;
	const struct vm_config *config;
	const uint8_t *file;
	uint64_t file_size;
	uint32_t entry;
	uint64_t image_end;   /* first address above every segment */
	uint32_t string_next; /* guest address of the next string */
	char *error;
};

struct segment {
	uint64_t offset, virtual, physical, file_size, memory_size;
};

static int fail(const struct loader *loader, const struct vm_file *file, const char *what)
{
	snprintf(loader->error, LOADER_ERROR_SIZE, "%.64s: %s", file->name, what);
	return -1;
}

static int fail_kernel(const struct loader *loader, const char *what)
{
	return fail(loader, &loader->config->kernel, what);
}

/* Offset of the multiboot header in the file, or UINT64_MAX. */
static uint64_t find_header(const struct loader *loader)
{
	uint64_t end = loader->file_size < HEADER_SEARCH ? loader->file_size : HEADER_SEARCH;
	uint64_t at;

	for (at = 0; at + HEADER_SIZE <= end; at += HEADER_ALIGN) {
		const uint8_t *header = loader->file + at;

		if (bytes_get32(header) == HEADER_MAGIC &&
		    bytes_get32(header) + bytes_get32(header + 4) + bytes_get32(header + 8) == 0)
			return at;
	}
	return UINT64_MAX;
}

/* Copy one piece of the file; the guest's memory behind it is zero already. */
static int load_segment(struct loader *loader, const struct segment *segment)
{
	if (segment->offset > loader->file_size ||
	    segment->file_size > loader->file_size - segment->offset)
		return fail_kernel(loader, "a segment lies outside the file");
	if (segment->file_size > segment->memory_size)
		return fail_kernel(loader, "a segment is larger in the file than in memory");
	if (!place_is_usable(loader->memory, segment->physical, segment->memory_size))
		return fail_kernel(loader, "a segment lies outside the guest's usable memory");
	memcpy(loader->memory->low + segment->physical, loader->file + segment->offset,
	    segment->file_size);
	if (segment->physical + segment->memory_size > loader->image_end)
		loader->image_end = segment->physical + segment->memory_size;
	return 0;
}

/* The image says itself where it goes ("The address fields of Multiboot header"). */
static int load_by_addresses(struct loader *loader, uint64_t header_offset)
{
	const uint8_t *header = loader->file + header_offset;
	uint32_t header_address, load, load_end, bss_end;
	struct segment segment;

	if (header_offset + HEADER_FULL_SIZE > loader->file_size)
		return fail_kernel(loader, "truncated multiboot header");
	header_address = bytes_get32(header + HEADER_ADDR);
	load = bytes_get32(header + HEADER_LOAD);
	load_end = bytes_get32(header + HEADER_LOAD_END);
	bss_end = bytes_get32(header + HEADER_BSS_END);
	if (load > header_address || header_address - load > header_offset)
		return fail_kernel(loader, "the multiboot header's load address is impossible");
	segment.offset = header_offset - (header_address - load);
	segment.physical = segment.virtual = load;
	segment.file_size = load_end != 0 ? (uint64_t)load_end - load :
	    loader->file_size - segment.offset;
	segment.memory_size = segment.file_size;
	if (load_end != 0 && load_end < load)
		return fail_kernel(loader, "the multiboot header's load end is impossible");
	if (bss_end != 0) {
		if (bss_end < load + segment.file_size)
			return fail_kernel(loader, "the multiboot header's bss end is impossible");
		segment.memory_size = bss_end - load;
	}
	loader->entry = bytes_get32(header + HEADER_ENTRY);
	return load_segment(loader, &segment);
}

static struct segment read_segment(const uint8_t *header, bool is_64)
{
	struct segment segment;

	if (is_64) {
		segment.offset = bytes_get64(header + 8);
		segment.virtual = bytes_get64(header + 16);
		segment.physical = bytes_get64(header + 24);
		segment.file_size = bytes_get64(header + 32);
		segment.memory_size = bytes_get64(header + 40);
	} else {
		segment.offset = bytes_get32(header + 4);
		segment.virtual = bytes_get32(header + 8);
		segment.physical = bytes_get32(header + 12);
		segment.file_size = bytes_get32(header + 16);
		segment.memory_size = bytes_get32(header + 20);
	}
	return segment;
}

static int load_elf_segments(struct loader *loader, bool is_64, uint64_t entry)
{
	uint64_t table = is_64 ? bytes_get64(loader->file + 32) : bytes_get32(loader->file + 28);
	uint16_t entry_size = bytes_get16(loader->file + (is_64 ? 54 : 42));
	uint16_t count = bytes_get16(loader->file + (is_64 ? 56 : 44));
	uint64_t physical_entry = entry;
	uint16_t i;

	if (count == 0 || count > ELF_PHNUM_MAX || entry_size < (is_64 ? 56 : 32))
		return fail_kernel(loader, "impossible ELF program headers");
	if (table > loader->file_size || (uint64_t)count * entry_size > loader->file_size - table)
		return fail_kernel(loader, "the ELF program headers lie outside the file");
	for (i = 0; i < count; i++) {
		const uint8_t *header = loader->file + table + (uint64_t)i * entry_size;
		struct segment segment = read_segment(header, is_64);

		if (bytes_get32(header) != ELF_PT_LOAD || segment.memory_size == 0)
			continue;
		if (load_segment(loader, &segment) != 0)
			return -1;
		/* The entry is virtual; the guest starts without paging. */
		if (entry >= segment.virtual && entry - segment.virtual < segment.memory_size)
			physical_entry = entry - segment.virtual + segment.physical;
	}
	if (loader->image_end == 0)
		return fail_kernel(loader, "an ELF file with nothing to load");
	if (physical_entry > UINT32_MAX)
		return fail_kernel(loader, "the entry lies above 4G");
	loader->entry = (uint32_t)physical_entry;
	return 0;
}

static int load_elf(struct loader *loader)
{
	const uint8_t *file = loader->file;
	uint16_t machine;
	bool is_64;

	if (loader->file_size < 64 || bytes_get32(file) != ELF_MAGIC)
		return fail_kernel(loader, "neither an ELF file nor one with load addresses");
	is_64 = file[ELF_CLASS] == ELF_CLASS_64;
	machine = bytes_get16(file + ELF_MACHINE);
	if ((!is_64 && file[ELF_CLASS] != ELF_CLASS_32) || file[ELF_DATA] != ELF_DATA_LSB ||
	    (machine != ELF_EM_386 && machine != ELF_EM_X86_64) ||
	    bytes_get16(file + ELF_TYPE) != ELF_TYPE_EXEC)
		return fail_kernel(loader, "not an x86 executable ELF file");
	return load_elf_segments(loader, is_64,
	    is_64 ? bytes_get64(file + ELF_ENTRY) : bytes_get32(file + ELF_ENTRY));
}

static int load_image(struct loader *loader)
{
	uint64_t header = find_header(loader);
	uint32_t flags, known = FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO;

	if (header == UINT64_MAX)
		return fail_kernel(loader, "not a multiboot image");
	flags = bytes_get32(loader->file + header + 4);
	if (flags & FLAG_VIDEO)
		return fail_kernel(loader, "asks for a video mode, not supported");
	if (flags & FLAGS_REQUIRED & ~known)
		return fail_kernel(loader, "asks for a multiboot feature that is not known");
	if (flags & FLAG_ADDRESSES)
		return load_by_addresses(loader, header);
	return load_elf(loader);
}

/* Put "name" or "name arguments" into the guest; 0 when there is no room. */
static uint32_t put_string(struct loader *loader, const char *name, const struct vm_file *arguments)
{
	uint8_t *to = loader->memory->low + loader->string_next;
	uint64_t argument_size = arguments == NULL ? 0 : place_cmdline_size(arguments);
	uint32_t address = loader->string_next;
	size_t name_size = strlen(name);
	uint64_t size = name_size + (argument_size > 0) + argument_size + 1;

	if (size > PLACE_STRINGS + PLACE_STRINGS_SIZE - loader->string_next)
		return 0;
	memcpy(to, name, name_size);
	if (argument_size > 0) {
		to[name_size] = ' ';
		memcpy(to + name_size + 1, arguments->data, argument_size);
	}
	loader->string_next += (uint32_t)size;
	return address;
}

static int load_modules(struct loader *loader)
{
	uint64_t next = loader->image_end;
	uint32_t i;

	if (next < PLACE_RAM_START)
		next = PLACE_RAM_START;
	for (i = 0; i < loader->config->module_count; i++) {
		const struct vm_file *module = &loader->config->modules[i];
		uint8_t *entry = loader->memory->low + PLACE_MODULES + i * MODULE_ENTRY_SIZE;
		uint32_t string = put_string(loader, module->name, NULL);

		next = (next + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		if (string == 0)
			return fail(loader, module, "no room for the module's name");
		if (!place_is_usable(loader->memory, next, module->size))
			return fail(loader, module, "too little memory for this module");
		memcpy(loader->memory->low + next, module->data, module->size);
		bytes_put32(entry, (uint32_t)next);
		next += module->size;
		bytes_put32(entry + 4, (uint32_t)next);
		bytes_put32(entry + 8, string);
	}
	return 0;
}

static uint32_t put_memory_map(const struct guest_memory *memory)
{
	struct memory_range ranges[MEMORY_RANGE_MAX];
	unsigned count = place_memory_map(memory, ranges);
	unsigned i;

	for (i = 0; i < count; i++) {
		uint8_t *entry = memory->low + PLACE_MMAP + i * MMAP_ENTRY_SIZE;

		bytes_put32(entry, MMAP_ENTRY_SIZE - 4); /* the size does not count itself */
		bytes_put64(entry + 4, ranges[i].base);
		bytes_put64(entry + 12, ranges[i].size);
		bytes_put32(entry + 20, ranges[i].type);
	}
	return count * MMAP_ENTRY_SIZE;
}

static int build_info(struct loader *loader)
{
	static const char loader_name[] = "posthorn";
	uint8_t *info = loader->memory->low + PLACE_INFO;
	uint32_t flags = INFO_HAS_MEMORY | INFO_HAS_CMDLINE | INFO_HAS_MMAP | INFO_HAS_LOADER;
	uint64_t upper = (loader->memory->low_bytes - PLACE_RAM_START) / 1024;
	uint32_t cmdline, name;

	if (!place_cmdline_is_text(&loader->config->cmdline))
		return fail(loader, &loader->config->cmdline, "a zero byte in the command line");
	cmdline = put_string(loader, loader->config->kernel.name, &loader->config->cmdline);
	name = put_string(loader, loader_name, NULL);
	if (cmdline == 0 || name == 0)
		return fail_kernel(loader, "command line too long");
	if (loader->config->module_count > 0) {
		flags |= INFO_HAS_MODULES;
		bytes_put32(info + INFO_MODS_COUNT, loader->config->module_count);
		bytes_put32(info + INFO_MODS_ADDR, PLACE_MODULES);
	}
	bytes_put32(info + INFO_FLAGS, flags);
	bytes_put32(info + INFO_MEM_LOWER, PLACE_BASE_END / 1024);
	bytes_put32(info + INFO_MEM_UPPER, (uint32_t)upper);
	bytes_put32(info + INFO_CMDLINE, cmdline);
	bytes_put32(info + INFO_MMAP_LENGTH, put_memory_map(loader->memory));
	bytes_put32(info + INFO_MMAP_ADDR, PLACE_MMAP);
	bytes_put32(info + INFO_LOADER_NAME, name);
	return 0;
}

int multiboot_load(const struct guest_memory *memory, const struct vm_config *config,
    struct boot_state *state, char *error)
{
	struct loader loader = {
		.memory = memory,
		.config = config,
		.file = config->kernel.data,
		.file_size = config->kernel.size,
		.string_next = PLACE_STRINGS,
		.error = error,
	};

	if (load_image(&loader) != 0 || load_modules(&loader) != 0 || build_info(&loader) != 0)
		return -1;
	memset(state, 0, sizeof(*state));
	state->mode = BOOT_PROTECTED32;
	place_gdt(memory, state);
	state->rip = loader.entry;
	state->rax = BOOTLOADER_MAGIC;
	state->rbx = PLACE_INFO;
	state->rsp = PLACE_PAGE_TABLES;
	return 0;
}
