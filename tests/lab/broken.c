/* SPDX-License-Identifier: MIT */
/* Scenarios that are broken on purpose, linked only into the tests: what the lab must say of each.
 */
#include "lab/lab.h"

static uint32_t *word;
static volatile uint32_t *volatile nowhere;

static void one_word(const struct lab_params *params, void (*run)(void *))
{
	(void)params;
	word = lab_alloc(64, "word");
	lab_cpu("cpu", run, NULL);
}

static void runs_for_ever(void *arg)
{
	(void)arg;
	(void)lab_choose(1, "begin");
	for (;;)
		__asm__ volatile("" : : : "memory");
}

static void crashes(void *arg)
{
	(void)arg;
	(void)lab_choose(1, "begin");
	*nowhere = 1;
}

static void asserts(void *arg)
{
	(void)arg;
	(void)lab_choose(1, "begin");
	lab_bug("file.c", 7, "an assertion");
}

static void overflows(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < 20; i++)
		LAB_STORE(&word[i % 16], i + 1);
}

static void setup_endless(const struct lab_params *params)
{
	one_word(params, runs_for_ever);
}

static void setup_crash(const struct lab_params *params)
{
	one_word(params, crashes);
}

static void setup_assertion(const struct lab_params *params)
{
	one_word(params, asserts);
}

static void setup_overflow(const struct lab_params *params)
{
	one_word(params, overflows);
}

static void setup_empty(const struct lab_params *params)
{
	(void)params;
}

LAB_SCENARIO(endless) = {.name = "broken-endless",
    .question = "?",
    .bounds = "-",
    .setup = setup_endless,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(crash) = {.name = "broken-crash",
    .question = "?",
    .bounds = "-",
    .setup = setup_crash,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(assertion) = {.name = "broken-assertion",
    .question = "?",
    .bounds = "-",
    .setup = setup_assertion,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(overflow) = {.name = "broken-overflow",
    .question = "?",
    .bounds = "-",
    .setup = setup_overflow,
    .mutant_of_bug = UINT32_MAX};
LAB_SCENARIO(empty) = {.name = "broken-empty",
    .question = "?",
    .bounds = "-",
    .setup = setup_empty,
    .mutant_of_bug = UINT32_MAX};
