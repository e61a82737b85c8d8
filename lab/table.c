/* SPDX-License-Identifier: MIT */
/* The set of visited states: open addressing, one compare-and-swap an insertion, no locks. */
#include <stdlib.h>
#include <sys/mman.h>

#include "lab/engine.h"
#include "lab/grow.h"

void table_create(struct table *table, uint64_t slot_count, uint64_t slot_max)
{
	table->size = (slot_max + GROW_PAD) * sizeof(struct table_slot);
	table->slots = mmap(NULL, table->size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table->slots == MAP_FAILED) {
		fprintf(stderr, "posthorn-lab: no address space for %llu states\n",
		    (unsigned long long)slot_max);
		exit(STATUS_MEMORY);
	}
	madvise(table->slots, table->size, MADV_HUGEPAGE);
	table->mask = slot_count - 1;
	table->slot_max = slot_max;
}

void table_destroy(struct table *table)
{
	munmap(table->slots, table->size);
	table->slots = NULL;
}

#define WIDTH (sizeof(struct table_slot) / sizeof(uint64_t))

static uint64_t *words(const struct table *table)
{
	return (uint64_t *)(void *)table->slots;
}

void table_grow_begin(struct table *table, uint32_t parts)
{
	static uint64_t tail[GROW_PAD * WIDTH];
	uint64_t count = table->mask + 1;

	table->growth.tail = tail;
	grow_begin(&table->growth, words(table), WIDTH, count, parts);
	table->mask = count * 2 - 1;
}

void table_grow_part(struct table *table, uint32_t part)
{
	grow_part(&table->growth, words(table), WIDTH, table->mask, part);
}

void table_grow_end(struct table *table)
{
	grow_end(&table->growth, words(table), WIDTH, table->mask);
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

	for (uint64_t i = low & table->mask;; i++) {
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
	for (uint64_t i = low & table->mask;; i++) {
		if (table->slots[i].low == low)
			return &table->slots[i];
		if (!table->slots[i].low)
			return NULL;
	}
}
