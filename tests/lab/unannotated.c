/* SPDX-License-Identifier: MIT */
/* Compiled as core/ is in the watching build: one scenario that shares a word plainly, two that do
 * not. */
#include "core/shared.h"
#include "lab/lab.h"

static struct world {
	uint32_t word, pad;
	uint64_t own[2]; /* the watch looks at 8 bytes at a time */
	uint32_t lock;
} * w;
static uint32_t ids[2] = {0, 1};

static void plain(void *arg)
{
	(void)lab_choose(1, "begin");
	w->word += *(uint32_t *)arg + 1;
}

static void annotated(void *arg)
{
	uint32_t me = *(uint32_t *)arg;

	(void)shared32_add(&w->word, 1, NONE);
	w->own[me]++;
}

static void locked(void *arg)
{
	lab_lock(&w->lock, __FILE__, __LINE__);
	w->word += *(uint32_t *)arg + 1;
	lab_unlock(&w->lock, __FILE__, __LINE__);
}

static void two(void (*run)(void *))
{
	w = lab_alloc(sizeof(*w), "w");
	lab_cpu("cpu0", run, &ids[0]);
	lab_cpu("cpu1", run, &ids[1]);
}

static void setup_plain(const struct lab_params *params)
{
	(void)params;
	two(plain);
}

static void setup_annotated(const struct lab_params *params)
{
	(void)params;
	two(annotated);
}

static void setup_locked(const struct lab_params *params)
{
	(void)params;
	two(locked);
}

LAB_SCENARIO(plain_scenario) = {.name = "watch-plain",
    .question = "?",
    .bounds = "-",
    .setup = setup_plain,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(annotated_scenario) = {.name = "watch-annotated",
    .question = "?",
    .bounds = "-",
    .setup = setup_annotated,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(locked_scenario) = {.name = "watch-locked",
    .question = "?",
    .bounds = "-",
    .setup = setup_locked,
    .mutant_of_bug = UINT32_MAX};
