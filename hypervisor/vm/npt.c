/* SPDX-License-Identifier: MIT */
/* Nested page tables: the guest's RAM, in 2 MB pages where it can be, mapped once and for good. */
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/arch.h"

#define NPT_ENTRIES  512u
#define NPT_PHYS(e)  ((e) & 0x000ffffffffff000ull)

/* The entry of a table, with the table below it made if need be.  NULL: no memory. */
static uint64_t *npt_next(uint64_t *entry, uint64_t flags)
{
	if (!*entry) {
		void *table = page_alloc(0);

		if (!table)
			return NULL;
		*entry = phys_of(table) | flags;
	}
	return virt_of(NPT_PHYS(*entry));
}

static uint32_t npt_index(uint64_t gpa, uint32_t level)
{
	return (uint32_t)(gpa >> (12 + 9 * level)) % NPT_ENTRIES;
}

int npt_map_page(const struct npt_format *format, uint64_t *root, uint64_t gpa, uint64_t phys,
    uint32_t leaf)
{
	uint64_t *table = root;
	uint32_t level;

	for (level = 3; level > leaf; level--) {
		table = npt_next(&table[npt_index(gpa, level)], format->table);
		if (!table)
			return -1;
	}
	table[npt_index(gpa, leaf)] = phys | format->leaf | (leaf ? PTE_PS : 0);
	return 0;
}

static int npt_map(const struct npt_format *format, uint64_t *root, uint64_t gpa, uint64_t phys,
    uint64_t bytes)
{
	while (bytes) {
		bool is_large = !((gpa | phys) % LARGE_PAGE_SIZE) && bytes >= LARGE_PAGE_SIZE;
		uint64_t step = is_large ? LARGE_PAGE_SIZE : PAGE_SIZE;

		if (npt_map_page(format, root, gpa, phys, is_large ? 1 : 0))
			return -1;
		gpa += step;
		phys += step;
		bytes -= step;
	}
	return 0;
}

uint64_t npt_create(const struct npt_format *format, const struct vm *vm)
{
	uint64_t *root = page_alloc(0);

	if (!root || npt_map(format, root, 0, phys_of(vm->ram_low), vm->ram_low_bytes))
		return 0;
	if (vm->ram_high_bytes &&
	    npt_map(format, root, VM_HIGH_RAM, phys_of(vm->ram_high), vm->ram_high_bytes))
		return 0;
	return phys_of(root);
}
