/* SPDX-License-Identifier: MIT */
/* Self-check: a CPU sees its own store before others do (store forwarding), which SC forbids. */
#include "lab/lab.h"

struct world {
	uint32_t x, y, own[2], other[2];
};
static struct world *w;
static uint32_t ids[2] = {0, 1};

static void side(void *arg)
{
	uint32_t me = *(uint32_t *)arg;
	uint32_t *mine = me ? &w->y : &w->x, *theirs = me ? &w->x : &w->y;

	LAB_STORE(mine, 1);
	w->own[me] = (uint32_t)LAB_LOAD(mine);
	lab_check(w->own[me] == 1, "a CPU does not see its own store");
	w->other[me] = (uint32_t)LAB_LOAD(theirs) + 1;
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_name(&w->x, 4, "x");
	lab_name(&w->y, 4, "y");
	lab_cpu("cpu0", side, &ids[0]);
	lab_cpu("cpu1", side, &ids[1]);
}

static void quiescent(void)
{
	lab_check(
	    w->other[0] == 2 || w->other[1] == 2, "each saw its own store, neither the other's");
}

LAB_SCENARIO(forwarding) = {
    .name = "self-forwarding",
    .question = "does reading back one's own store order it before a load of another word?",
    .bounds = "2 CPUs",
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .quiescent = quiescent,
};
