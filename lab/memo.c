/* SPDX-License-Identifier: MIT */
/*
 * What the actions of one actor lead to, by its own part of the state and the shared part: no step
 * depends on anything else, so none is executed twice.
 */
#include <string.h>
#include <sys/mman.h>

#include "lab/engine.h"
#include "lab/grow.h"

#define SLOT_START  (1u << 14)
#define SLOT_MAX    (1u << 26)
#define OUTCOME_MAX (1u << 27)
#define BUDGET      64u /* slots that a thread takes at a time */
_Static_assert(JOBS_MAX * BUDGET < SLOT_START / 8, "what is taken beyond seven eighths fits");

struct memo memo;

void memo_reset(void)
{
	memo.slots = memory_fresh(memo.slots, (SLOT_MAX + GROW_PAD) * sizeof(struct memo_slot));
	memo.outcomes = memory_fresh(memo.outcomes, OUTCOME_MAX * sizeof(struct outcome));
	memo.shared = memory_fresh(memo.shared, sizeof(*memo.shared));
	memo.shared->mask = SLOT_START - 1;
	memo.shared->outcome_count = 1;
}

size_t memo_bytes(void)
{
	return (memo.shared->mask + 1) * sizeof(struct memo_slot) +
	       memo.shared->outcome_count * sizeof(struct outcome);
}

/* True: the claims of all threads together leave room for one more. */
static bool take_slot(void)
{
	static __thread uint32_t budget;

	if (!budget) {
		if (__atomic_load_n(&memo.shared->slot_count, __ATOMIC_RELAXED) >
		    memo.shared->mask / 8 * 7)
			return false;
		__atomic_fetch_add(&memo.shared->slot_count, BUDGET, __ATOMIC_RELAXED);
		budget = BUDGET;
	}
	budget--;
	return true;
}

uint64_t memo_claim(uint64_t key, struct memo_slot **slot)
{
	uint64_t mask = memo.shared->mask;

	*slot = NULL;
	for (uint64_t i = key & mask;; i++) {
		uint64_t found = __atomic_load_n(&memo.slots[i].key, __ATOMIC_ACQUIRE);

		if (!found && !take_slot())
			return MEMO_NONE;
		if (!found && __atomic_compare_exchange_n(&memo.slots[i].key, &found, key, false,
		                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			*slot = &memo.slots[i];
			return MEMO_COMING;
		}
		if (found == key)
			return memo_find(key);
	}
}

struct outcome *memo_room(void)
{
	uint32_t count = memo.shared->outcome_count;

	return count > OUTCOME_MAX - CHOICE_MAX ? NULL : &memo.outcomes[count];
}

static uint64_t settle(struct memo_slot *slot, uint64_t value)
{
	__atomic_store_n(&slot->value, value, __ATOMIC_RELEASE);
	return value;
}

uint64_t memo_settle(struct memo_slot *slot, uint32_t count, bool is_bad)
{
	uint32_t first = memo.shared->outcome_count;

	memo.shared->outcome_count += count;
	return settle(slot, memo_value(first, count, is_bad));
}

uint64_t memo_set_aside(struct memo_slot *slot)
{
	return settle(slot, MEMO_ASIDE);
}

static void forget_all(void)
{
	madvise(memo.slots, (memo.shared->mask + 1 + GROW_PAD) * sizeof(struct memo_slot),
	    MADV_DONTNEED);
	madvise(memo.outcomes, OUTCOME_MAX * sizeof(struct outcome), MADV_DONTNEED);
	memo.shared->mask = SLOT_START - 1;
	memo.shared->slot_count = 0;
	memo.shared->outcome_count = 1;
}

uint32_t memo_plan(size_t limit)
{
	uint64_t slots = memo.shared->mask + 1ull;
	uint32_t doublings = 0;

	if (memo_bytes() > limit)
		forget_all();
	while (memo.shared->slot_count > (slots << doublings) / 4 && slots << doublings < SLOT_MAX)
		doublings++;
	return doublings;
}

#define WIDTH (sizeof(struct memo_slot) / sizeof(uint64_t))

static uint64_t *words(void)
{
	return (uint64_t *)(void *)memo.slots;
}

void memo_grow_begin(uint32_t parts)
{
	static uint64_t tail[GROW_PAD * WIDTH];
	uint32_t count = memo.shared->mask + 1;

	memo.growth.tail = tail;
	grow_begin(&memo.growth, words(), WIDTH, count, parts);
	memo.shared->mask = count * 2 - 1;
}

void memo_grow_part(uint32_t part)
{
	grow_part(&memo.growth, words(), WIDTH, memo.shared->mask, part);
}

void memo_grow_end(void)
{
	grow_end(&memo.growth, words(), WIDTH, memo.shared->mask);
}

void memo_grow(size_t limit)
{
	for (uint32_t doublings = memo_plan(limit); doublings; doublings--) {
		memo_grow_begin(1);
		memo_grow_part(0);
		memo_grow_end();
	}
}
