/* SPDX-License-Identifier: MIT */
/* Loader of Linux bzImages by the 64-bit boot protocol (Linux: Documentation/arch/x86/boot.rst). */
#include "hypervisor/loader/loader.h"

#include "hypervisor/loader/bytes.h"
#include "hypervisor/loader/place.h"

/* Offsets of the setup header in the file and in the zero page ("The Real-Mode Kernel Header"). */
#define HDR_SETUP_SECTS     0x1f1u
#define HDR_BOOT_FLAG       0x1feu
#define HDR_JUMP            0x200u /* its second byte says how long the header is, from 0x202 */
#define HDR_MAGIC           0x202u
#define HDR_VERSION         0x206u
#define HDR_TYPE_OF_LOADER  0x210u
#define HDR_LOADFLAGS       0x211u
#define HDR_RAMDISK_IMAGE   0x218u
#define HDR_RAMDISK_SIZE    0x21cu
#define HDR_CMD_LINE_PTR    0x228u
#define HDR_INITRD_ADDR_MAX 0x22cu
#define HDR_ALIGNMENT       0x230u
#define HDR_RELOCATABLE     0x234u
#define HDR_XLOADFLAGS      0x236u
#define HDR_CMDLINE_SIZE    0x238u
#define HDR_PREF_ADDRESS    0x258u
#define HDR_INIT_SIZE       0x260u
#define HDR_END_MIN         0x264u /* the fields above are there from version 2.12 on */

#define BOOT_FLAG              0xaa55u
#define MAGIC                  0x53726448u /* "HdrS" */
#define VERSION_MIN            0x20cu
#define LOADFLAG_LOADED_HIGH   0x01u
#define XLF_KERNEL_64          0x01u
#define TYPE_OF_LOADER_UNKNOWN 0xffu
#define ENTRY_64               0x200u /* from the load address */
#define SECTOR                 512u

/* The zero page, struct boot_params (Linux: Documentation/arch/x86/zero-page.rst). */
#define ZERO_PAGE_E820_COUNT 0x1e8u
#define ZERO_PAGE_E820       0x2d0u
#define E820_ENTRY_SIZE      20u

#define PAGE_BYTES 4096u

/* The parts of a checked image and where they go. */
struct image {
	const uint8_t *file;
	uint32_t header_end; /* offset behind the last byte of the setup header */
	uint64_t setup_size; /* bytes of the file before the kernel proper */
	uint64_t kernel_size;
	uint64_t init_size;  /* memory that the kernel needs from its load address on */
	uint64_t load_address;
	uint64_t initrd_address;
};

static int fail(char *error, const struct vm_file *file, const char *what)
{
	snprintf(error, LOADER_ERROR_SIZE, "%.64s: %s", file->name, what);
	return -1;
}

static int check_header(const struct vm_file *kernel, struct image *image, char *error)
{
	const uint8_t *file = kernel->data;
	uint32_t setup_sects;

	if (kernel->size < HDR_END_MIN || bytes_get16(file + HDR_BOOT_FLAG) != BOOT_FLAG ||
	    bytes_get32(file + HDR_MAGIC) != MAGIC)
		return fail(error, kernel, "not a Linux bzImage");
	if (bytes_get16(file + HDR_VERSION) < VERSION_MIN)
		return fail(error, kernel, "boot protocol older than 2.12, not supported");
	if (!(bytes_get16(file + HDR_XLOADFLAGS) & XLF_KERNEL_64))
		return fail(error, kernel, "no 64-bit entry (a 32-bit kernel?), not supported");
	if (!(file[HDR_LOADFLAGS] & LOADFLAG_LOADED_HIGH))
		return fail(error, kernel, "a zImage, not supported");
	image->file = file;
	image->header_end = HDR_MAGIC + file[HDR_JUMP + 1];
	if (image->header_end < HDR_END_MIN || image->header_end > ZERO_PAGE_E820)
		return fail(error, kernel, "setup header of impossible length");
	setup_sects = file[HDR_SETUP_SECTS] != 0 ? file[HDR_SETUP_SECTS] : 4;
	image->setup_size = (setup_sects + 1) * SECTOR;
	if (image->setup_size + ENTRY_64 >= kernel->size)
		return fail(error, kernel, "truncated kernel image");
	image->kernel_size = kernel->size - image->setup_size;
	image->init_size = bytes_get32(file + HDR_INIT_SIZE);
	if (image->init_size < image->kernel_size)
		image->init_size = image->kernel_size;
	return 0;
}

/* The preferred address, else the lowest aligned one when the kernel can be moved. */
static int choose_address(const struct guest_memory *memory, const struct vm_file *kernel,
    struct image *image, char *error)
{
	uint64_t preferred = bytes_get64(image->file + HDR_PREF_ADDRESS);
	uint64_t alignment = bytes_get32(image->file + HDR_ALIGNMENT);

	image->load_address = preferred;
	if (preferred >= PLACE_RAM_START && place_is_usable(memory, preferred, image->init_size))
		return 0;
	if (!image->file[HDR_RELOCATABLE])
		return fail(error, kernel, "too little memory for this kernel");
	if (alignment < PAGE_BYTES || (alignment & (alignment - 1)) != 0)
		return fail(error, kernel, "impossible kernel alignment");
	image->load_address = alignment < PLACE_RAM_START ? PLACE_RAM_START : alignment;
	if (!place_is_usable(memory, image->load_address, image->init_size))
		return fail(error, kernel, "too little memory for this kernel");
	return 0;
}

/* As high as the kernel allows, away from where it unpacks itself. */
static int load_initrd(const struct guest_memory *memory, const struct vm_file *initrd,
    struct image *image, char *error)
{
	uint64_t top = (uint64_t)bytes_get32(image->file + HDR_INITRD_ADDR_MAX) + 1;
	uint64_t kernel_end = image->load_address + image->init_size;

	if (top > memory->low_bytes)
		top = memory->low_bytes;
	if (initrd->size > top)
		return fail(error, initrd, "too little memory for this initrd");
	image->initrd_address = (top - initrd->size) & ~(uint64_t)(PAGE_BYTES - 1);
	if (image->initrd_address < kernel_end)
		return fail(error, initrd, "too little memory for kernel and initrd");
	memcpy(memory->low + image->initrd_address, initrd->data, initrd->size);
	return 0;
}

/* True when the zero-terminated line has that text somewhere. */
static bool contains(const char *line, const char *text)
{
	for (; *line != '\0'; line++) {
		if (strncmp(line, text, strlen(text)) == 0)
			return true;
	}
	return false;
}

/* Append "tsc_early_khz=N" to the line of `size` bytes in line[limit + 1], if it fits. */
static void append_tsc(char *line, uint64_t size, uint64_t limit, uint64_t tsc_khz)
{
	static const char option[] = "tsc_early_khz=";
	char text[48];
	size_t length;

	if (contains(line, option))
		return;
	snprintf(text, sizeof(text), "%s%s%llu", size > 0 ? " " : "", option,
	    (unsigned long long)tsc_khz);
	length = strlen(text);
	if (length <= limit - size)
		memcpy(line + size, text, length + 1);
}

static int load_cmdline(const struct guest_memory *memory, const struct vm_file *cmdline,
    const struct image *image, uint64_t tsc_khz, char *error)
{
	char *line = (char *)memory->low + PLACE_STRINGS;
	uint64_t limit = bytes_get32(image->file + HDR_CMDLINE_SIZE);
	uint64_t size = place_cmdline_size(cmdline);

	if (limit > PLACE_STRINGS_SIZE - 1)
		limit = PLACE_STRINGS_SIZE - 1;
	if (!place_cmdline_is_text(cmdline))
		return fail(error, cmdline, "a zero byte in the command line");
	if (size > limit)
		return fail(error, cmdline, "command line longer than this kernel takes");
	if (size > 0)
		memcpy(line, cmdline->data, size);
	append_tsc(line, size, limit, tsc_khz);
	return 0;
}

static void build_zero_page(const struct guest_memory *memory, const struct image *image,
    uint64_t initrd_size)
{
	struct memory_range ranges[MEMORY_RANGE_MAX];
	unsigned count = place_memory_map(memory, ranges);
	uint8_t *page = memory->low + PLACE_INFO;
	unsigned i;

	memcpy(page + HDR_SETUP_SECTS, image->file + HDR_SETUP_SECTS,
	    image->header_end - HDR_SETUP_SECTS);
	page[HDR_TYPE_OF_LOADER] = TYPE_OF_LOADER_UNKNOWN;
	bytes_put32(page + HDR_CMD_LINE_PTR, PLACE_STRINGS);
	bytes_put32(page + HDR_RAMDISK_IMAGE, (uint32_t)image->initrd_address);
	bytes_put32(page + HDR_RAMDISK_SIZE, (uint32_t)initrd_size);
	page[ZERO_PAGE_E820_COUNT] = (uint8_t)count;
	for (i = 0; i < count; i++) {
		uint8_t *entry = page + ZERO_PAGE_E820 + i * E820_ENTRY_SIZE;

		bytes_put64(entry, ranges[i].base);
		bytes_put64(entry + 8, ranges[i].size);
		bytes_put32(entry + 16, ranges[i].type);
	}
}

int linux_load(const struct guest_memory *memory, const struct vm_config *config,
    uint64_t tsc_khz, struct boot_state *state, char *error)
{
	struct image image = { 0 };
	uint64_t initrd_size = config->initrd.data != NULL ? config->initrd.size : 0;

	if (check_header(&config->kernel, &image, error) != 0 ||
	    choose_address(memory, &config->kernel, &image, error) != 0)
		return -1;
	if (initrd_size > 0 && load_initrd(memory, &config->initrd, &image, error) != 0)
		return -1;
	if (load_cmdline(memory, &config->cmdline, &image, tsc_khz, error) != 0)
		return -1;
	memcpy(memory->low + image.load_address, image.file + image.setup_size, image.kernel_size);
	build_zero_page(memory, &image, initrd_size);
	memset(state, 0, sizeof(*state));
	state->mode = BOOT_LONG64;
	place_gdt(memory, state);
	place_page_tables(memory, state);
	state->rip = image.load_address + ENTRY_64;
	state->rsi = PLACE_INFO;
	state->rsp = PLACE_PAGE_TABLES;
	return 0;
}
