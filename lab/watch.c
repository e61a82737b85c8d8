/* SPDX-License-Identifier: MIT */
/*
 * The second build: core/ compiled with -fsanitize=thread calls here at every plain access.  A word
 * that one CPU writes plainly and another one touches is shared without going through
 * core/shared.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

#define WORD_COUNT (SHARED_SIZE / 8)

/* Who touched a word, by bits of actors, since the search began. */
struct word {
	uint16_t any;      /* in whatever way */
	uint16_t unlocked; /* plainly, while holding no lock of the core */
	uint16_t written;  /* plainly */
};
_Static_assert(ACTOR_MAX <= 16, "a bit an actor");

static struct word *words;

static void complain(uint64_t address, const char *what)
{
	char name[64], text[160];

	snprintf(text, sizeof(text), "%s: %s", arena_describe(address, name, sizeof(name)), what);
	failure_set(FAILURE_UNANNOTATED, text);
	actor_abandon();
}

static bool is_several(uint16_t actors)
{
	return actors & (actors - 1);
}

void watch_access(uint64_t address, uint64_t size, bool is_plain, bool is_write)
{
	uint64_t first = (address - (uint64_t)ARENA->shared) / 8;
	uint64_t last = (address + size - 1 - (uint64_t)ARENA->shared) / 8;
	uint16_t bit = (uint16_t)(1u << engine.self);

	if (!engine.in_actor || address - (uint64_t)ARENA->shared >= SHARED_SIZE)
		return;
	for (uint64_t i = first; i <= last && i < WORD_COUNT; i++) {
		struct word *word = &words[i];

		word->any |= bit;
		if (is_plain && !ARENA->actors[engine.self].lock_count)
			word->unlocked |= bit;
		if (is_plain && is_write)
			word->written |= bit;
		if (word->written && is_several(word->any) && word->unlocked)
			complain(address,
			    "written plainly and touched by another CPU: not through shared.h");
	}
}

void watch_reset(void)
{
	if (words)
		memset(words, 0, WORD_COUNT * sizeof(*words));
}

/* ---- What the compiler calls ----------------------------------------------------------------- */

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size);

void __tsan_init(void)
{
	if (!words)
		words = calloc(WORD_COUNT, sizeof(*words));
	engine.is_watching = words != NULL;
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *address, unsigned long size)
{
	if (engine.is_watching)
		watch_access((uint64_t)address, size, true, false);
}

void __tsan_write_range(void *address, unsigned long size)
{
	if (engine.is_watching)
		watch_access((uint64_t)address, size, true, true);
}

#define HOOK(name, size, is_write)                                                                 \
	void name(void *address);                                                                  \
	void name(void *address)                                                                   \
	{                                                                                          \
		if (engine.is_watching)                                                            \
			watch_access((uint64_t)address, size, true, is_write);                     \
	}
HOOK(__tsan_read1, 1, false)
HOOK(__tsan_read2, 2, false)
HOOK(__tsan_read4, 4, false)
HOOK(__tsan_read8, 8, false)
HOOK(__tsan_read16, 16, false)
HOOK(__tsan_write1, 1, true)
HOOK(__tsan_write2, 2, true)
HOOK(__tsan_write4, 4, true)
HOOK(__tsan_write8, 8, true)
HOOK(__tsan_write16, 16, true)
HOOK(__tsan_unaligned_read2, 2, false)
HOOK(__tsan_unaligned_read4, 4, false)
HOOK(__tsan_unaligned_read8, 8, false)
HOOK(__tsan_unaligned_read16, 16, false)
HOOK(__tsan_unaligned_write2, 2, true)
HOOK(__tsan_unaligned_write4, 4, true)
HOOK(__tsan_unaligned_write8, 8, true)
HOOK(__tsan_unaligned_write16, 16, true)
