/* SPDX-License-Identifier: MIT */
/*
 * Self-check: a word that nearly no walk writes is taken for constant and left out of states.  The
 * writer's last choice makes it 1 or 0, both in the same level of the search: the second must not
 * hide what the first did.
 */
#include "lab/lab.h"

#define CHOICES 30u /* each ends the walk or goes on: a random one never gets through */

static const bool is_apart[] = {false, true};

static struct world {
	uint64_t changing[8]; /* a line */
	uint64_t constant;
} * w;
static uint64_t *constant;

static void writer(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < CHOICES; i++) {
		w->changing[0] = i;
		if (lab_choose(2, "goes on, or not"))
			return;
	}
	*constant = lab_choose(2, "writes 1 or 0") == 0;
	lab_hardware_step(LAB_NOTHING_DRAINS, "looks");
	lab_check(*constant == 0, "the word is 1");
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	constant = *(const bool *)lab_scenario_now()->data ? lab_alloc(4096, "page") : &w->constant;
	lab_cpu("writer", writer, NULL);
}

LAB_SCENARIO(beside) = {
    .name = "self-constant",
    .question = "does a word stay 0 that one of two steps makes 1?",
    .bounds = "one CPU; the word lies beside others that change",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .data = &is_apart[0],
};

LAB_SCENARIO(apart) = {
    .name = "self-constant-page",
    .question = "does a word stay 0 that one of two steps makes 1?",
    .bounds = "one CPU; the word lies on a page of which nothing changes",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .data = &is_apart[1],
};
