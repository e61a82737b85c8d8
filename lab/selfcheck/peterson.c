/* SPDX-License-Identifier: MIT */
/* Self-check: Peterson's lock with and without fences, and without its turn variable (livelock). */
#include "lab/lab.h"

enum { NO_FENCE, FENCED, NO_TURN };
static const int variants[] = {NO_FENCE, FENCED, NO_TURN};

struct world {
	uint32_t flag[2], turn, inside, done[2];
};
static struct world *w;
static uint32_t ids[2] = {0, 1};

static int variant(void)
{
	return *(const int *)lab_scenario_now()->data;
}

static bool must_wait(uint32_t other)
{
	if (!LAB_LOAD(&w->flag[other]))
		return false;
	return variant() == NO_TURN || LAB_LOAD(&w->turn) == other;
}

static void side(void *arg)
{
	uint32_t me = *(uint32_t *)arg;

	LAB_STORE(&w->flag[me], 1);
	if (variant() != NO_TURN)
		LAB_STORE(&w->turn, !me);
	if (variant() != NO_FENCE)
		LAB_FENCE();
	while (must_wait(!me))
		;
	w->inside++;
	lab_check(w->inside == 1, "both CPUs are in the critical section");
	(void)lab_choose(1, "critical section");
	w->inside--;
	LAB_STORE(&w->flag[me], 0);
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_name(&w->flag[0], 4, "flag[0]");
	lab_name(&w->flag[1], 4, "flag[1]");
	lab_name(&w->turn, 4, "turn");
	lab_cpu("cpu0", side, &ids[0]);
	lab_cpu("cpu1", side, &ids[1]);
}

LAB_SCENARIO(no_fence) = {
    .name = "self-peterson",
    .question = "does Peterson's lock exclude without fences?",
    .bounds = "2 CPUs, one acquisition each",
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .data = &variants[0],
};

LAB_SCENARIO(fenced) = {
    .name = "self-peterson-fenced",
    .question = "does Peterson's lock exclude, and let everyone in, with a fence?",
    .bounds = "2 CPUs, one acquisition each",
    .setup = setup,
    .data = &variants[1],
};

LAB_SCENARIO(no_turn) = {
    .name = "self-peterson-no-turn",
    .question = "does everyone get in when neither gives way?",
    .bounds = "2 CPUs, one acquisition each",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .data = &variants[2],
};
