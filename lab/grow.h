/* SPDX-License-Identifier: MIT */
/* Doubling an open-addressed hash table in place, by several threads together. */
#ifndef LAB_GROW_H
#define LAB_GROW_H

#include <string.h>

#include "lab/engine.h"

/* A chain of occupied slots may run on behind the last home. */
#define GROW_PAD (1u << 16)

/*
 * Slots are `width` words; the first is 0 in a free slot, and its low bits are the slot's home. One
 * thread begins, then each of `parts` threads does its part, then one ends; nobody may use the
 * table meanwhile.
 */
static inline void grow_move(uint64_t *slots, uint32_t width, uint64_t mask, uint64_t *from)
{
	uint64_t i = from[0] & mask;
	uint64_t slot[4];

	memcpy(slot, from, width * sizeof(*slot));
	memset(from, 0, width * sizeof(*slot));
	while (slots[i * width])
		i++;
	memcpy(&slots[i * width], slot, width * sizeof(*slot));
}

/* starts[part]: where a part begins; behind a free slot, which no chain crosses. */
static inline void grow_begin(
    struct growth *growth, uint64_t *slots, uint32_t width, uint64_t count, uint32_t parts)
{
	for (uint32_t part = 0; part <= parts; part++) {
		uint64_t start = part == parts ? count : count / parts * part;

		while (start && start < count && slots[(start - 1) * width])
			start++;
		growth->starts[part] = start;
	}
	growth->tail_count = 0;
	for (uint64_t i = count; slots[i * width]; i++, growth->tail_count++)
		memcpy(&growth->tail[growth->tail_count * width], &slots[i * width],
		    width * sizeof(*slots));
	memset(&slots[count * width], 0, growth->tail_count * width * sizeof(*slots));
}

/*
 * In order: one that stays in the lower half finds its place at or before the one it leaves, for
 * all between its home and there have moved already.  In the upper half the part has as many slots,
 * and no more come there, so that none runs on behind it.
 */
static inline void grow_part(
    const struct growth *growth, uint64_t *slots, uint32_t width, uint64_t mask, uint32_t part)
{
	for (uint64_t i = growth->starts[part]; i < growth->starts[part + 1]; i++) {
		if (slots[i * width])
			grow_move(slots, width, mask, &slots[i * width]);
	}
}

static inline void grow_end(struct growth *growth, uint64_t *slots, uint32_t width, uint64_t mask)
{
	for (uint64_t i = 0; i < growth->tail_count; i++)
		grow_move(slots, width, mask, &growth->tail[i * width]);
}

#endif
