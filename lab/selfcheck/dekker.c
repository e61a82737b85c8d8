/* SPDX-License-Identifier: MIT */
/* Self-check: store buffering (the heart of Dekker's algorithm), with and without fences. */
#include "lab/lab.h"

struct world {
	uint32_t flag[2], seen[2], is_fenced;
};
static struct world *w;
static uint32_t ids[2] = {0, 1};

static void side(void *arg)
{
	uint32_t me = *(uint32_t *)arg;

	LAB_STORE(&w->flag[me], 1);
	if (w->is_fenced)
		LAB_FENCE();
	w->seen[me] = 1 + (uint32_t)LAB_LOAD(&w->flag[!me]);
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	w->is_fenced = lab_scenario_now()->data != NULL;
	lab_name(&w->flag[0], 4, "flag[0]");
	lab_name(&w->flag[1], 4, "flag[1]");
	lab_cpu("cpu0", side, &ids[0]);
	lab_cpu("cpu1", side, &ids[1]);
}

static void quiescent(void)
{
	lab_check(w->seen[0] == 2 || w->seen[1] == 2, "both sides missed the other's flag");
}

LAB_SCENARIO(plain) = {
    .name = "self-dekker",
    .question = "does a side see the other's flag when both store, then load?",
    .bounds = "2 CPUs, one round",
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .quiescent = quiescent,
};

LAB_SCENARIO(fenced) = {
    .name = "self-dekker-fenced",
    .question = "does a side see the other's flag with a fence between store and load?",
    .bounds = "2 CPUs, one round",
    .setup = setup,
    .quiescent = quiescent,
    .data = "fenced",
};
