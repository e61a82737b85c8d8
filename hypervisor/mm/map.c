/* SPDX-License-Identifier: MIT */
/* The kernel's page tables: image (W^X), direct map (no execute) and stacks with guard pages. */
#include <stdbool.h>

#include "hypervisor/cpu/instructions.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/mm/range.h"

/* Page-table entry bits (SDM vol. 3, "4-Level Paging"). */
#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITABLE (1ull << 1)
#define PTE_UNCACHED (3ull << 3) /* PWT and PCD */
#define PTE_LARGE    (1ull << 7)
#define PTE_GLOBAL   (1ull << 8)
#define PTE_NX       (1ull << 63)
#define PTE_ADDRESS  0x000ffffffffff000ull

#define PTE_DATA     (PTE_PRESENT | PTE_WRITABLE | PTE_GLOBAL | PTE_NX)
#define PTE_READONLY (PTE_PRESENT | PTE_GLOBAL | PTE_NX)
#define PTE_CODE     (PTE_PRESENT | PTE_GLOBAL)

extern char image_start[], text_start[], rodata_start[], data_start[], image_end[];
extern char boot_stack_guard[];

uint64_t kernel_cr3; /* read by boot.S when another pCPU starts */
static uint64_t *kernel_pml4;
static spinlock_t map_lock;

static uint64_t *next_table(uint64_t *entry)
{
	void *table;

	if (*entry & PTE_PRESENT)
		return virt_of(*entry & PTE_ADDRESS);
	table = page_alloc(0);
	if (table == NULL)
		return NULL;
	*entry = phys_of(table) | PTE_PRESENT | PTE_WRITABLE;
	return table;
}

/* The entry that maps virt at level 1 (4 KiB) or 2 (2 MiB); NULL: no memory for the tables. */
static uint64_t *entry_of(uint64_t virt, unsigned level)
{
	uint64_t *table = kernel_pml4;

	for (unsigned l = 4; l > level; l--) {
		table = next_table(&table[virt >> (12 + 9 * (l - 1)) & 511]);
		if (table == NULL)
			return NULL;
	}
	return &table[virt >> (12 + 9 * (level - 1)) & 511];
}

static void map_at_boot(uint64_t virt, unsigned level, uint64_t pte)
{
	uint64_t *entry = entry_of(virt, level);

	if (entry == NULL)
		panic("too little memory for the kernel's page tables");
	*entry = pte;
}

/* How the image's physical page may be used, through either of its two mappings. */
static uint64_t image_flags(uint64_t phys, bool is_direct_map)
{
	if (phys >= phys_of(text_start) && phys < phys_of(rodata_start))
		return is_direct_map ? PTE_READONLY : PTE_CODE;
	if (phys < phys_of(data_start))
		return PTE_READONLY;
	return PTE_DATA;
}

static void map_image(void)
{
	uint64_t end = phys_of(image_end);

	for (uint64_t phys = (uint64_t)image_start; phys < end; phys += PAGE_SIZE)
		if (phys != phys_of(boot_stack_guard))
			map_at_boot(IMAGE_BASE + phys, 1, phys | image_flags(phys, false));
}

static void map_around_image(uint64_t start)
{
	uint64_t image_first = (uint64_t)image_start, end = phys_of(image_end);

	for (uint64_t phys = start; phys < start + LARGE_PAGE_SIZE; phys += PAGE_SIZE) {
		bool is_image = phys >= image_first && phys < end;

		map_at_boot(DIRECT_MAP_BASE + phys, 1,
		    phys | (is_image ? image_flags(phys, true) : PTE_DATA));
	}
}

static bool has_ram(const struct boot_info *info, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < info->ram_count; i++)
		if (info->ram[i].start < end && start < info->ram[i].end)
			return true;
	return false;
}

static void map_directly(const struct boot_info *info, uint64_t phys_end)
{
	uint64_t image_first = (uint64_t)image_start, image_last = phys_of(image_end) - 1;

	for (uint64_t phys = 0; phys < phys_end; phys += LARGE_PAGE_SIZE) {
		uint64_t end = phys + LARGE_PAGE_SIZE;
		uint64_t cache = has_ram(info, phys, end) ? 0 : PTE_UNCACHED;

		if (image_first < end && phys <= image_last)
			map_around_image(phys);
		else
			map_at_boot(DIRECT_MAP_BASE + phys, 2, phys | PTE_LARGE | PTE_DATA | cache);
	}
}

bool map_stack_page(uint64_t virt, uint64_t phys)
{
	uint64_t flags = spin_lock_irqsave(&map_lock);
	uint64_t *entry = entry_of(virt, 1);

	if (entry != NULL)
		*entry = phys | PTE_DATA;
	spin_unlock_irqrestore(&map_lock, flags);
	return entry != NULL;
}

void map_init(const struct boot_info *info, uint64_t phys_end)
{
	kernel_pml4 = page_alloc(0);
	if (kernel_pml4 == NULL)
		panic("too little memory for the kernel's page tables");
	map_image();
	map_directly(info, phys_end);
	kernel_cr3 = phys_of(kernel_pml4);
	cr3_write(kernel_cr3);
}
