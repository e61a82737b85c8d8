/* SPDX-License-Identifier: MIT */
/*
 * What the actions of one actor lead to, by its own part of the state and the shared part: no step
 * depends on anything else, so none is executed twice.
 */
#include <string.h>
#include <sys/mman.h>

#include "lab/engine.h"

#define SLOT_START  (1u << 14)
#define SLOT_MAX    (1u << 26)
#define OUTCOME_MAX (1u << 27)
#define PAD         (1u << 16) /* a chain of occupied slots may run on behind the last home */

struct memo memo;

void memo_reset(void)
{
	memo.slots = memory_fresh(memo.slots, (SLOT_MAX + PAD) * sizeof(struct memo_slot));
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

static void insert(uint64_t key, uint64_t value)
{
	uint64_t mask = memo.shared->mask;

	for (uint64_t i = memo_hash(key) & mask;; i++) {
		uint64_t found = __atomic_load_n(&memo.slots[i].key, __ATOMIC_ACQUIRE);

		if (!found && __atomic_compare_exchange_n(&memo.slots[i].key, &found, key, false,
		                  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&memo.slots[i].value, value, __ATOMIC_RELEASE);
			return;
		}
		if (found == key)
			return;
	}
}

void memo_add(uint64_t key, const struct outcome *outcomes, uint32_t count, bool is_bad)
{
	uint32_t first;

	/* Full for this level: what is not remembered is done again. */
	if (memo.shared->slot_count > memo.shared->mask / 8 * 7 ||
	    memo.shared->outcome_count > OUTCOME_MAX - 1024 * CHOICE_MAX)
		return;
	__atomic_fetch_add(&memo.shared->slot_count, 1, __ATOMIC_RELAXED);
	first = __atomic_fetch_add(&memo.shared->outcome_count, count, __ATOMIC_RELAXED);
	memcpy(&memo.outcomes[first], outcomes, count * sizeof(*outcomes));
	insert(key, memo_value(first, count, is_bad));
}

/* As table_grow_part(), by one thread: see there. */
static void double_slots(void)
{
	static struct memo_slot tail[PAD];
	uint32_t count = memo.shared->mask + 1, tail_count = 0;

	for (uint32_t i = count; memo.slots[i].key; i++) {
		tail[tail_count++] = memo.slots[i];
		memo.slots[i] = (struct memo_slot){0};
	}
	memo.shared->mask = count * 2 - 1;
	for (uint32_t i = 0; i < count; i++) {
		struct memo_slot slot = memo.slots[i];

		memo.slots[i] = (struct memo_slot){0};
		if (slot.key)
			insert(slot.key, slot.value);
	}
	for (uint32_t i = 0; i < tail_count; i++)
		insert(tail[i].key, tail[i].value);
}

static void forget_all(void)
{
	madvise(memo.slots, (memo.shared->mask + 1 + PAD) * sizeof(struct memo_slot), MADV_DONTNEED);
	madvise(memo.outcomes, OUTCOME_MAX * sizeof(struct outcome), MADV_DONTNEED);
	memo.shared->mask = SLOT_START - 1;
	memo.shared->slot_count = 0;
	memo.shared->outcome_count = 1;
}

void memo_grow(size_t limit)
{
	if (memo_bytes() > limit)
		forget_all();
	while (memo.shared->slot_count > memo.shared->mask / 4 && memo.shared->mask < SLOT_MAX - 1)
		double_slots();
}
