/* SPDX-License-Identifier: MIT */
/* The set of visited states: open addressing, one compare-and-swap an insertion, no locks. */
#include <stdlib.h>
#include <sys/mman.h>

#include "lab/engine.h"

static struct table_slot *reserve(uint64_t slot_count, bool is_shared)
{
	size_t size = slot_count * sizeof(struct table_slot);
	struct table_slot *slots = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    (is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED) {
		fprintf(stderr, "posthorn-lab: no address space for %llu states\n",
		    (unsigned long long)slot_count);
		exit(STATUS_MEMORY);
	}
	madvise(slots, size, MADV_HUGEPAGE);
	return slots;
}

void table_create(struct table *table, uint64_t slot_count, uint64_t slot_max, bool is_shared)
{
	table->mask = slot_count - 1;
	table->slot_max = slot_max;
	table->is_shared = is_shared;
	table->regions[0] = reserve(slot_max, is_shared);
	table->regions[1] = reserve(slot_max, is_shared);
	table->slots = table->regions[0];
}

void table_destroy(struct table *table)
{
	munmap(table->regions[0], table->slot_max * sizeof(struct table_slot));
	munmap(table->regions[1], table->slot_max * sizeof(struct table_slot));
	table->slots = NULL;
}

void table_grow(struct table *table, uint64_t slot_count)
{
	struct table_slot *old = table->slots;
	uint64_t old_count = table->mask + 1;
	uint32_t depth;

	table->slots = table->regions[old == table->regions[0]];
	table->mask = slot_count - 1;
	for (uint64_t i = 0; i < old_count; i++) {
		depth = old[i].depth;
		if (old[i].low)
			table_insert(table, (struct hash){old[i].low, old[i].high}, old[i].parent,
			    old[i].action, &depth);
	}
	madvise(old, old_count * sizeof(struct table_slot),
	    table->is_shared ? MADV_REMOVE : MADV_DONTNEED);
}

size_t table_bytes(const struct table *table)
{
	return (table->mask + 1) * sizeof(struct table_slot);
}

/* The second half of a slot's key is written last; nobody may read past it before. */
static uint64_t slot_high(const struct table_slot *slot)
{
	uint64_t high;

	do {
		high = __atomic_load_n(&slot->high, __ATOMIC_ACQUIRE);
	} while (!high);
	return high;
}

bool table_insert(
    struct table *table, struct hash hash, uint64_t parent, uint32_t action, uint32_t *depth)
{
	uint64_t low = hash.low | !hash.low, high = hash.high | !hash.high;

	for (uint64_t i = low & table->mask;; i = (i + 1) & table->mask) {
		struct table_slot *slot = &table->slots[i];
		uint64_t found = __atomic_load_n(&slot->low, __ATOMIC_ACQUIRE);

		if (!found && __atomic_compare_exchange_n(&slot->low, &found, low, false,
		                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			slot->parent = parent;
			slot->depth = *depth;
			slot->action = action;
			__atomic_store_n(&slot->high, high, __ATOMIC_RELEASE);
			return true;
		}
		if (found == low && slot_high(slot) == high) {
			*depth = slot->depth;
			return false;
		}
	}
}

const struct table_slot *table_find(const struct table *table, uint64_t low)
{
	low |= !low;
	for (uint64_t i = low & table->mask;; i = (i + 1) & table->mask) {
		if (table->slots[i].low == low)
			return &table->slots[i];
		if (!table->slots[i].low)
			return NULL;
	}
}
