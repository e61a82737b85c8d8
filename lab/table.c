/* SPDX-License-Identifier: MIT */
/* The set of visited states: open addressing, one compare-and-swap an insertion, no locks. */
#include <stdlib.h>
#include <sys/mman.h>

#include "lab/engine.h"

/* A chain of occupied slots may run on behind the last home. */
#define PAD (1u << 16)

void table_create(struct table *table, uint64_t slot_count, uint64_t slot_max)
{
	table->size = (slot_max + PAD) * sizeof(struct table_slot);
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

static void move(struct table *table, struct table_slot *from)
{
	struct table_slot slot = *from;
	uint64_t i = slot.low & table->mask;

	*from = (struct table_slot){0};
	while (table->slots[i].low)
		i++;
	table->slots[i] = slot;
}

/* Where the thread numbered `part` of `parts` begins: behind a free slot, which no chain crosses. */
static uint64_t part_start(const struct table *table, uint64_t count, uint32_t part, uint32_t parts)
{
	uint64_t start = count / parts * part;

	if (part == parts)
		return count;
	while (start && start < count && table->slots[start - 1].low)
		start++;
	return start;
}

static struct table_slot grow_tail[PAD];
static uint64_t grow_tail_count;

void table_grow_begin(struct table *table, uint32_t parts)
{
	uint64_t count = table->mask + 1;

	for (uint32_t part = 0; part <= parts; part++)
		table->starts[part] = part_start(table, count, part, parts);
	grow_tail_count = 0;
	for (uint64_t i = count; table->slots[i].low; i++) {
		grow_tail[grow_tail_count++] = table->slots[i];
		table->slots[i] = (struct table_slot){0};
	}
	table->mask = count * 2 - 1;
}

void table_grow_part(struct table *table, uint32_t part)
{
	/*
	 * In order: one that stays in the lower half finds its place at or before the one it leaves,
	 * for all between its home and there have moved already.  In the upper half the part has as
	 * many slots, and no more come there, so that none runs on behind it.
	 */
	for (uint64_t i = table->starts[part]; i < table->starts[part + 1]; i++) {
		if (table->slots[i].low)
			move(table, &table->slots[i]);
	}
}

void table_grow_end(struct table *table)
{
	for (uint64_t i = 0; i < grow_tail_count; i++)
		move(table, &grow_tail[i]);
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
