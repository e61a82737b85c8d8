/* SPDX-License-Identifier: MIT */
/* Above the exhaustive limit: random priorities with a few change points (PCT).  Never
 * "exhaustive". */
#include "lab/engine.h"

#define STEP_MAX    3000u
#define CHANGE_MAX  4u
#define CLASS_COUNT 64u

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % limit);
}

static void shuffle_priorities(uint32_t *priority)
{
	for (uint32_t i = 0; i < CLASS_COUNT; i++)
		priority[i] = CHANGE_MAX + 1 + i;
	for (uint32_t i = CLASS_COUNT - 1; i > 0; i--) {
		uint32_t other = random_below(i + 1), was = priority[i];

		priority[i] = priority[other];
		priority[other] = was;
	}
}

static uint32_t highest(const struct action *actions, uint32_t count, const uint32_t *priority)
{
	uint32_t best = random_below(count); /* ties within a class by chance */

	for (uint32_t i = 0; i < count; i++) {
		if (priority[action_class(actions[i])] > priority[action_class(actions[best])])
			best = i;
	}
	return best;
}

static void check(uint32_t action_count)
{
	if (engine.scenario->invariant)
		engine.scenario->invariant();
	if (!action_count && engine.scenario->quiescent)
		engine.scenario->quiescent();
}

/* One schedule of at most STEP_MAX actions; the length so far guides the change points. */
static void schedule(uint32_t *length, struct result *result)
{
	uint32_t priority[CLASS_COUNT], change[CHANGE_MAX], step = 0;
	struct action actions[CHOICE_MAX];

	shuffle_priorities(priority);
	for (uint32_t i = 0; i < CHANGE_MAX; i++)
		change[i] = random_below(*length);
	for (; step < STEP_MAX; step++) {
		uint32_t count = action_list(actions), chosen;

		check(count);
		if (!count || engine.failure.kind != FAILURE_NONE)
			break;
		chosen = highest(actions, count, priority);
		for (uint32_t i = 0; i < CHANGE_MAX; i++) {
			if (change[i] == step)
				priority[action_class(actions[chosen])] = i;
		}
		chosen = highest(actions, count, priority);
		result->path[step] = (uint8_t)chosen;
		result->path_count = step + 1;
		action_do(actions[chosen]);
		arena_clear_ignored();
		result->transition_count++;
	}
	if (step > *length)
		*length = step;
}

/* From the first state; a program may crash, or never come back. */
static void try_schedule(uint32_t *length, struct result *result)
{
	struct lab_params params = engine.params;

	arena_setup(engine.scenario, &params);
	result->path_count = 0;
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) == 0)
		schedule(length, result);
	engine.in_actor = false;
	engine.crash_armed = false;
}

void pct_run(const struct options *options, double deadline, struct result *result)
{
	double start = now_seconds(), cpu_start = cpu_seconds();
	uint32_t length = 16;

	result->status = STATUS_TIME;
	seed = 0x853c49e6748fea9bull;
	while (result->state_count < options->pct_runs) {
		if (deadline > 0 && now_seconds() > deadline)
			break;
		try_schedule(&length, result);
		result->state_count++;
		result->depth = length;
		if (engine.failure.kind != FAILURE_NONE)
			break;
	}
	result->search_seconds = now_seconds() - start;
	result->search_cpu_seconds = result->search_path_seconds = cpu_seconds() - cpu_start;
	result->cycle_start = UINT32_MAX;
	if (engine.failure.kind == FAILURE_NONE) {
		result->path_count = 0;
		return;
	}
	result->failure = engine.failure;
	result->status = failure_status(engine.failure.kind);
	engine.failure.kind = FAILURE_NONE;
}
