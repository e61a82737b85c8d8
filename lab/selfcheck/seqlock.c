/* SPDX-License-Identifier: MIT */
/* Self-check: a sequence lock's reader sees no mixture; without the second look it does. */
#include "lab/lab.h"

enum { RIGHT, NO_RECHECK };
static const int variants[] = {RIGHT, NO_RECHECK};

struct world {
	uint32_t sequence, a, b, seen_a, seen_b;
};
static struct world *w;

static void writer(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= 2; i++) {
		LAB_STORE(&w->sequence, 2 * i - 1);
		LAB_STORE(&w->a, i);
		LAB_STORE(&w->b, i);
		LAB_STORE(&w->sequence, 2 * i);
	}
}

static void reader(void *arg)
{
	uint32_t before, a, b;

	(void)arg;
	do {
		before = (uint32_t)LAB_LOAD(&w->sequence);
		a = (uint32_t)LAB_LOAD(&w->a);
		b = (uint32_t)LAB_LOAD(&w->b);
	} while (*(const int *)lab_scenario_now()->data == RIGHT &&
	         ((before & 1) || LAB_LOAD(&w->sequence) != before));
	lab_check(a == b, "the reader saw a mixture");
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_name(&w->sequence, 4, "sequence");
	lab_name(&w->a, 4, "a");
	lab_name(&w->b, 4, "b");
	lab_cpu("writer", writer, NULL);
	lab_cpu("reader", reader, NULL);
}

LAB_SCENARIO(right) = {
    .name = "self-seqlock",
    .question = "does a sequence lock's reader never see a mixture, and finish?",
    .bounds = "one writer of two rounds, one reader",
    .setup = setup,
    .data = &variants[0],
};

LAB_SCENARIO(no_recheck) = {
    .name = "self-seqlock-no-recheck",
    .question = "does it without looking at the sequence again?",
    .bounds = "one writer of two rounds, one reader",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .data = &variants[1],
};
