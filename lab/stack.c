/* SPDX-License-Identifier: MIT */
/*
 * What a step leaves on its stack below the stack pointer is zeroed before anything looks, or states
 * would differ in garbage that the next call's frames lie on.
 */
#include <string.h>

#include "lab/engine.h"
#include "lab/line.h"

/* Nothing below was used since stacks_reset(); whole pages below are guarded. */
static uint32_t low[ACTOR_MAX];

void stacks_reset(void)
{
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		low[i] = STACK_SIZE - LINE_SIZE;
		for (uint32_t at = 0; at + PAGE_SIZE <= low[i]; at += PAGE_SIZE)
			guard_page(ARENA->stacks[i] + at);
	}
}

uint32_t stack_low(uint32_t actor)
{
	return low[actor];
}

void stack_find_low(uint32_t actor)
{
	const uint8_t *stack = ARENA->stacks[actor];
	uint32_t open = low[actor] / PAGE_SIZE * PAGE_SIZE;
	struct line_sum sum = line_sum_zero();

	while (open && !guard_is_set(stack + open - PAGE_SIZE))
		open -= PAGE_SIZE;
	for (uint32_t at = open; at < low[actor]; at += LINE_SIZE)
		line_add_bits(&sum, stack + at);
	if (line_sum_is_zero(sum))
		return;
	for (low[actor] = open; line_is_zero(stack + low[actor]);)
		low[actor] += LINE_SIZE;
}

void stack_clean(uint32_t actor)
{
	uint8_t *stack = ARENA->stacks[actor];
	uint32_t live_from = (uint32_t)(ARENA->actors[actor].stack_pointer - (uint64_t)stack);

	stack_find_low(actor);
	if (live_from > low[actor])
		memset(stack + low[actor], 0, live_from - low[actor]);
}
