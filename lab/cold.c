/* SPDX-License-Identifier: MIT */
/*
 * Shared memory that no step is known to write, and that states leave out.  Pages of nothing else
 * are guarded, so that they cost nothing; the rest is compared after every step.
 */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"
#include "lab/line.h"

#define PAGE_COUNT (SHARED_SIZE / PAGE_SIZE)
#define PAGE_LINES (PAGE_SIZE / LINE_SIZE)

static struct {
	uint8_t *initial; /* shared memory of the first state */
	/* What is compared: ranges of bytes; most of it is zero. */
	struct range {
		uint32_t from, bytes;
		bool is_zero;
	} ranges[SHARED_LINES];
	uint32_t range_count;
	bool is_owned[SHARED_LINES]; /* lies in a block of lab_alloc() */
} cold;

static const uint8_t *initial_line(uint32_t line)
{
	return cold.initial + line * LINE_SIZE;
}

static void compare_line(uint32_t line)
{
	struct range *last = cold.range_count ? &cold.ranges[cold.range_count - 1] : NULL;
	bool is_zero = line_is_zero(initial_line(line));

	if (last && last->from + last->bytes == line * LINE_SIZE && last->is_zero == is_zero)
		last->bytes += LINE_SIZE;
	else
		cold.ranges[cold.range_count++] =
		    (struct range){line * LINE_SIZE, LINE_SIZE, is_zero};
}

static void compare_page(uint32_t page)
{
	for (uint32_t line = page * PAGE_LINES; line < (page + 1) * PAGE_LINES; line++) {
		if (cold.is_owned[line] && !engine.written[line])
			compare_line(line);
	}
}

static bool is_wholly_cold(uint32_t page)
{
	for (uint32_t line = page * PAGE_LINES; line < (page + 1) * PAGE_LINES; line++) {
		if (engine.written[line])
			return false;
	}
	return true;
}

/* The gaps between blocks are looked at by cold_note_all() alone. */
static void find_owned(void)
{
	memset(cold.is_owned, 0, sizeof(cold.is_owned));
	for (uint32_t i = 0; i < engine.name_count; i++) {
		const struct area_name *area = &engine.names[i];
		uint64_t from = area->address - (uint64_t)ARENA->shared;

		if (from >= SHARED_SIZE || !area->size)
			continue;
		for (uint64_t line = from / LINE_SIZE; line <= (from + area->size - 1) / LINE_SIZE;
		     line++)
			cold.is_owned[line] = true;
	}
}

void cold_keep(void)
{
	if (!cold.initial)
		cold.initial = malloc(SHARED_SIZE);
	memcpy(cold.initial, ARENA->shared, SHARED_SIZE);
}

void cold_put_back(void)
{
	memcpy(ARENA->shared, cold.initial, engine.shared_used);
}

void cold_choose(void)
{
	cold.range_count = 0;
	find_owned();
	for (uint32_t page = 0; page < PAGE_COUNT; page++) {
		if (!is_wholly_cold(page) || !guard_page(ARENA->shared + page * PAGE_SIZE))
			compare_page(page);
	}
}

bool cold_fault(const void *address)
{
	uint64_t page = ((uint64_t)address - (uint64_t)ARENA->shared) / PAGE_SIZE;

	if (!guard_is_set(address))
		return false;
	guard_open(address);
	if (page < PAGE_COUNT)
		compare_page((uint32_t)page);
	return true;
}

bool cold_note(uint32_t line, const uint8_t *now, const uint8_t *before)
{
	const uint64_t *a = (const uint64_t *)(const void *)now;
	const uint64_t *b = (const uint64_t *)(const void *)before;
	uint8_t changed = 0;

	for (uint32_t i = 0; i < 8; i++)
		changed |= (uint8_t)((a[i] != b[i]) << i);
	if (!(changed & ~engine.written[line]))
		return false;
	__atomic_fetch_or(&engine.written[line], changed, __ATOMIC_RELAXED);
	return true;
}

bool cold_note_all(bool learns)
{
	bool is_news = false;

	for (uint32_t line = 0; line < engine.shared_used / LINE_SIZE; line++) {
		const uint8_t *now = ARENA->shared + line * LINE_SIZE;

		if ((learns || !engine.written[line]) && !line_is_equal(now, initial_line(line)))
			is_news |= cold_note(line, now, initial_line(line));
	}
	return is_news;
}

bool cold_is_same(void)
{
	struct line_sum sum = line_sum_zero();

	for (uint32_t i = 0; i < cold.range_count; i++) {
		const struct range range = cold.ranges[i];
		const uint8_t *now = ARENA->shared + range.from, *end = now + range.bytes;
		const uint8_t *before = cold.initial + range.from;

		/* The other side would double what the caches have to hold. */
		if (range.is_zero) {
			for (; now < end; now += LINE_SIZE)
				line_add_bits(&sum, now);
			continue;
		}
		for (; now < end; now += LINE_SIZE, before += LINE_SIZE)
			line_add_difference(&sum, now, before);
	}
	return line_sum_is_zero(sum);
}
