/* SPDX-License-Identifier: MIT */
/* Pages of the world that nobody is expected to write: the first write to one is noticed. */
#include <stdlib.h>
#include <sys/mman.h>

#include "lab/engine.h"

#define PAGE_COUNT (sizeof(struct arena) / PAGE_SIZE)
_Static_assert(sizeof(struct arena) % PAGE_SIZE == 0, "whole pages");

static bool is_set[PAGE_COUNT];
static bool is_off;

static void change(uint64_t page, int how)
{
	if (mprotect((uint8_t *)ARENA + page * PAGE_SIZE, PAGE_SIZE, how))
		abort();
	is_set[page] = how == PROT_READ;
}

static uint64_t page_of(const void *address)
{
	return ((uint64_t)address - ARENA_BASE) / PAGE_SIZE;
}

void guard_never(void)
{
	is_off = true;
}

bool guard_page(const void *page)
{
	if (!is_off)
		change(page_of(page), PROT_READ);
	return !is_off;
}

bool guard_is_set(const void *address)
{
	uint64_t page = page_of(address);

	return page < PAGE_COUNT && is_set[page];
}

void guard_open(const void *address)
{
	change(page_of(address), PROT_READ | PROT_WRITE);
}

void guard_open_all(void)
{
	for (uint64_t page = 0; page < PAGE_COUNT; page++) {
		if (is_set[page])
			change(page, PROT_READ | PROT_WRITE);
	}
}
