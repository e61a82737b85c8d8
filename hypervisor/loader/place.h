/* SPDX-License-Identifier: MIT */
/* What both guest loaders share: the memory map, the low structures, command lines, the GDT. */
#ifndef HYPERVISOR_LOADER_PLACE_H
#define HYPERVISOR_LOADER_PLACE_H

#include "hypervisor/loader/loader.h"

/*
 * Structures that the loaders build for the guest lie in [PLACE_LOW_START, PLACE_LOW_END); images
 * must stay out.  The rest below PLACE_BASE_END is free: real-mode code and the trampolines of APs
 * want the lowest pages.
 */
#define PLACE_LOW_START    0x90000u
#define PLACE_GDT          0x90000u
#define PLACE_INFO         0x91000u /* Linux: zero page; multiboot: information, maps, modules */
#define PLACE_STRINGS      0x92000u /* command lines */
#define PLACE_PAGE_TABLES  0x98000u /* 6 pages: level 4, level 3, four level 2 */
#define PLACE_LOW_END      0x9e000u
#define PLACE_STRINGS_SIZE (PLACE_PAGE_TABLES - PLACE_STRINGS)
#define PLACE_BASE_END     0xa0000u  /* end of the RAM below the video hole */
#define PLACE_RAM_START    0x100000u /* RAM goes on here */

#define PLACE_CODE_SELECTOR 0x10u
#define PLACE_DATA_SELECTOR 0x18u

enum memory_type { MEMORY_RAM = 1, MEMORY_RESERVED = 2 };

struct memory_range {
	uint64_t base;
	uint64_t size;
	uint32_t type; /* enum memory_type; the numbers are those of e820 and of multiboot */
};
#define MEMORY_RANGE_MAX 8u

/* Ranges of the guest's address space in rising order; returns how many. */
unsigned place_memory_map(const struct guest_memory *memory,
    struct memory_range ranges[MEMORY_RANGE_MAX]);

/* Write the GDT of the boot state's mode and set its fields, selectors included. */
void place_gdt(const struct guest_memory *memory, struct boot_state *state);

/* Map the first 4G one to one by 2M pages and set state->cr3. */
void place_page_tables(const struct guest_memory *memory, struct boot_state *state);

/* Bytes of the configuration's command line without trailing newlines and zeros. */
uint64_t place_cmdline_size(const struct vm_file *cmdline);
/* True when no zero byte is inside the command line. */
bool place_cmdline_is_text(const struct vm_file *cmdline);

/* True when [base, base + size) lies wholly in guest RAM that an image may use. */
bool place_is_usable(const struct guest_memory *memory, uint64_t base, uint64_t size);

#endif
