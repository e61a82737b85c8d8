/* SPDX-License-Identifier: MIT */
/* What both guest loaders share: the memory map, the low structures, command lines, the GDT. */
#include "hypervisor/loader/place.h"

#include "hypervisor/loader/bytes.h"

/* Segment descriptors (SDM vol. 3, "Segment Descriptors"): flat, present, accessed. */
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_CODE32 0x00cf9b000000ffffull
#define DESCRIPTOR_DATA   0x00cf93000000ffffull
#define DESCRIPTOR_COUNT  4u

/* Paging-structure entries (SDM vol. 3, "4-Level Paging"). */
#define ENTRY_PRESENT 0x1ull
#define ENTRY_WRITE   0x2ull
#define ENTRY_LARGE   0x80ull
#define ENTRY_COUNT   512u
#define LARGE_PAGE    0x200000ull
#define TABLE_SIZE    0x1000u
#define LEVEL_2_COUNT 4u

#define BIOS_AREA_START 0xe0000u
#define IOAPIC_START    0xfec00000u
#define LAPIC_START     0xfee00000u
#define DEVICE_SIZE     0x1000u

_Static_assert(PLACE_PAGE_TABLES + (2 + LEVEL_2_COUNT) * TABLE_SIZE == PLACE_LOW_END,
    "the page tables end where the low structures end");

unsigned place_memory_map(const struct guest_memory *memory,
    struct memory_range ranges[MEMORY_RANGE_MAX])
{
	unsigned count = 0;

	ranges[count++] = (struct memory_range){ 0, PLACE_BASE_END, MEMORY_RAM };
	ranges[count++] = (struct memory_range){ BIOS_AREA_START,
		PLACE_RAM_START - BIOS_AREA_START, MEMORY_RESERVED };
	if (memory->low_bytes > PLACE_RAM_START)
		ranges[count++] = (struct memory_range){ PLACE_RAM_START,
			memory->low_bytes - PLACE_RAM_START, MEMORY_RAM };
	ranges[count++] = (struct memory_range){ IOAPIC_START, DEVICE_SIZE, MEMORY_RESERVED };
	ranges[count++] = (struct memory_range){ LAPIC_START, DEVICE_SIZE, MEMORY_RESERVED };
	if (memory->high_bytes > 0)
		ranges[count++] =
		    (struct memory_range){ VM_HIGH_RAM, memory->high_bytes, MEMORY_RAM };
	return count;
}

void place_gdt(const struct guest_memory *memory, struct boot_state *state)
{
	uint8_t *gdt = memory->low + PLACE_GDT;

	bytes_put64(gdt + PLACE_CODE_SELECTOR,
	    state->mode == BOOT_LONG64 ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32);
	bytes_put64(gdt + PLACE_DATA_SELECTOR, DESCRIPTOR_DATA);
	state->gdt_base = PLACE_GDT;
	state->gdt_limit = DESCRIPTOR_COUNT * 8 - 1;
	state->code_selector = PLACE_CODE_SELECTOR;
	state->data_selector = PLACE_DATA_SELECTOR;
}

void place_page_tables(const struct guest_memory *memory, struct boot_state *state)
{
	uint8_t *level_4 = memory->low + PLACE_PAGE_TABLES;
	uint8_t *level_3 = level_4 + TABLE_SIZE;
	uint8_t *level_2 = level_3 + TABLE_SIZE;
	unsigned i;

	bytes_put64(level_4, (PLACE_PAGE_TABLES + TABLE_SIZE) | ENTRY_PRESENT | ENTRY_WRITE);
	for (i = 0; i < LEVEL_2_COUNT; i++)
		bytes_put64(level_3 + 8 * i, (PLACE_PAGE_TABLES + (2 + i) * TABLE_SIZE) |
		    ENTRY_PRESENT | ENTRY_WRITE);
	for (i = 0; i < LEVEL_2_COUNT * ENTRY_COUNT; i++)
		bytes_put64(level_2 + 8 * i,
		    i * LARGE_PAGE | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE);
	state->cr3 = PLACE_PAGE_TABLES;
}

uint64_t place_cmdline_size(const struct vm_file *cmdline)
{
	const char *text = cmdline->data;
	uint64_t size = text == NULL ? 0 : cmdline->size;

	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\0'))
		size--;
	return size;
}

bool place_cmdline_is_text(const struct vm_file *cmdline)
{
	uint64_t size = place_cmdline_size(cmdline);

	return size == 0 || memchr(cmdline->data, '\0', size) == NULL;
}

bool place_is_usable(const struct guest_memory *memory, uint64_t base, uint64_t size)
{
	uint64_t end = base + size;

	if (end < base)
		return false;
	if (end <= PLACE_LOW_START)
		return true;
	if (base >= PLACE_LOW_END && end <= PLACE_BASE_END)
		return true;
	return base >= PLACE_RAM_START && end <= memory->low_bytes;
}
