/* SPDX-License-Identifier: MIT */
/* The lab's verdicts: self-checks, mutants and scenarios, with and without reductions and
 * threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lab/engine.h"

static struct result result;

static const struct options defaults = {.model = LAB_TSO,
    .jobs = 1,
    .seconds = 60,
    .memory = (size_t)1 << 30,
    .reduce = true,
    .memorize = true,
    .lasso = true};

static enum lab_status verdict(
    const struct lab_scenario *scenario, const struct options *options, uint32_t senders)
{
	struct options own = *options;

	own.sender_count = scenario_senders(scenario, senders);
	weakenings_reset(scenario);
	explore(scenario, &own, &result);
	return result.status;
}

static bool is_expected(
    const struct lab_scenario *scenario, enum lab_model model, enum lab_status status)
{
	enum lab_expect expect = model == LAB_TSO ? scenario->expect_tso : scenario->expect_sc;

	return status == (expect == LAB_HOLDS ? STATUS_HOLDS : STATUS_VIOLATED);
}

/* Every scenario of a kind, as it says of itself, with these options. */
static void check_all(bool (*is_wanted)(const struct lab_scenario *), const struct options *options)
{
	uint32_t count = 0;

	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		enum lab_status status;

		if (!is_wanted(*s))
			continue;
		status = verdict(*s, options, (*s)->mutant_of_bug ? 0 : 1);
		if (!is_expected(*s, options->model, status))
			fail_msg("%s: %s (%s); replay: posthorn lab run %s --model %s%s", (*s)->name,
			    status_name(status), result.failure.what, (*s)->name,
			    options->model == LAB_TSO ? "tso" : "sc",
			    options->reduce ? "" : " --no-reduction");
		count++;
	}
	assert_true(count > 10);
}

static bool is_self_check(const struct lab_scenario *scenario)
{
	return !strncmp(scenario->name, "self-", 5) && !scenario->sender_max;
}

static bool is_mutant(const struct lab_scenario *scenario)
{
	return !strncmp(scenario->name, "mutant-", 7);
}

static bool is_scenario(const struct lab_scenario *scenario)
{
	return !scenario->mutant_of_bug && strncmp(scenario->name, "self-", 5) != 0;
}

static void self_checks_under_tso(void **state)
{
	(void)state;
	check_all(is_self_check, &defaults);
}

static void self_checks_under_sc(void **state)
{
	struct options options = defaults;

	(void)state;
	options.model = LAB_SC;
	check_all(is_self_check, &options);
}

static void mutants_fail_under_tso(void **state)
{
	(void)state;
	check_all(is_mutant, &defaults);
}

static void mutants_under_sc(void **state)
{
	struct options options = defaults;

	(void)state;
	options.model = LAB_SC;
	check_all(is_mutant, &options);
}

static void scenarios_hold_with_one_sender(void **state)
{
	(void)state;
	check_all(is_scenario, &defaults);
}

static void reductions_change_no_verdict(void **state)
{
	struct options options = defaults;

	(void)state;
	options.reduce = false;
	options.memorize = false;
	check_all(is_self_check, &options);
	check_all(is_mutant, &options);
}

static void remembering_steps_changes_no_verdict_and_no_count(void **state)
{
	static const char *const names[] = {"self-dekker-fenced", "self-seqlock", "post-exit",
	    "posted-halt", "device-preempted", "request-kick"};
	struct options options = defaults;

	(void)state;
	options.memorize = false;
	check_all(is_mutant, &options);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct lab_scenario *scenario = scenario_find(names[i]);
		uint64_t states, transitions;

		assert_non_null(scenario);
		options.memorize = false;
		assert_int_equal(verdict(scenario, &options, 1), STATUS_HOLDS);
		states = result.state_count;
		transitions = result.transition_count;
		options.memorize = true;
		assert_int_equal(verdict(scenario, &options, 1), STATUS_HOLDS);
		assert_int_equal(result.state_count, states);
		assert_int_equal(result.transition_count, transitions);
	}
}

static void threads_change_no_verdict_and_no_count(void **state)
{
	static const char *const names[] = {
	    "self-dekker-fenced", "self-seqlock", "post-exit", "posted-halt"};
	struct options options = defaults;

	(void)state;
	options.jobs = 2;
	check_all(is_mutant, &options);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct lab_scenario *scenario = scenario_find(names[i]);
		uint64_t states, transitions;

		assert_non_null(scenario);
		options.jobs = 1;
		assert_int_equal(verdict(scenario, &options, 0), STATUS_HOLDS);
		states = result.state_count;
		transitions = result.transition_count;
		/* With many one of them does nearly all. */
		for (options.jobs = 2; options.jobs <= 16; options.jobs += 7) {
			assert_int_equal(verdict(scenario, &options, 0), STATUS_HOLDS);
			assert_int_equal(result.state_count, states);
			assert_int_equal(result.transition_count, transitions);
		}
	}
}

static void what_was_searched_before_changes_no_count(void **state)
{
	static const char *const before[] = {"handler-post-exit", "example-mailbox", "fast-post"};
	uint64_t states = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		assert_int_equal(verdict(scenario_find(before[i]), &defaults, 1), STATUS_HOLDS);
		assert_int_equal(
		    verdict(scenario_find("handler-post-exit"), &defaults, 1), STATUS_HOLDS);
		assert_true(i == 0 || result.state_count == states);
		states = result.state_count;
	}
}

static void liveness_is_seen_only_with_the_lasso_search(void **state)
{
	struct options options = defaults;
	const struct lab_scenario *scenario = scenario_find("self-peterson-no-turn");

	(void)state;
	assert_int_equal(verdict(scenario, &options, 0), STATUS_VIOLATED);
	assert_int_equal(result.failure.kind, FAILURE_LASSO);
	assert_true(result.cycle_start < result.path_count);
	options.lasso = false;
	assert_int_equal(verdict(scenario, &options, 0), STATUS_HOLDS);
}

static void counterexample_is_shortest_with_fewest_switches(void **state)
{
	const struct lab_scenario *scenario = scenario_find("self-sleep-no-fence");

	(void)state;
	assert_int_equal(verdict(scenario, &defaults, 0), STATUS_VIOLATED);
	/* Sleeper looks twice, waker sets and looks, the announcement drains: one switch to and
	 * fro. */
	assert_int_equal(result.path_count, 5);
	assert_true(result.switch_count <= 2);
}

static void replay_of_an_id_fails_in_the_same_way(void **state)
{
	static char id[PATH_MAX_ACTIONS + 1024];
	static struct replay replay;
	const struct lab_scenario *scenario = scenario_find("mutant-2-no-fence");
	struct options options = defaults;
	char what[160];

	(void)state;
	assert_int_equal(verdict(scenario, &options, 0), STATUS_VIOLATED);
	options.sender_count = scenario->sender_default;
	strcpy(what, result.failure.what);
	replay_format(scenario, &options, NULL, &result, id, sizeof(id));
	assert_int_equal(replay_parse(id, &replay), STATUS_HOLDS);
	assert_ptr_equal(replay.scenario, scenario);
	assert_int_equal(replay.result.path_count, result.path_count);
	assert_true(replay_path(scenario, &replay.options, &replay.result));
	assert_string_equal(engine.failure.what, what);
	assert_true(engine.event_count > 0);
	engine.failure.kind = FAILURE_NONE;
}

static void spent_memory_and_time_are_no_verdict(void **state)
{
	struct options options = defaults;

	(void)state;
	options.lasso = false;
	options.memory = 4 << 20;
	assert_int_equal(verdict(scenario_find("device-halt"), &options, 3), STATUS_MEMORY);
	assert_false(result.is_exhaustive);
	options.memory = defaults.memory;
	options.seconds = 0.05;
	assert_int_equal(verdict(scenario_find("device-halt"), &options, 3), STATUS_TIME);
	assert_false(result.is_exhaustive);
}

static void random_schedules_find_a_mutant_and_never_prove(void **state)
{
	struct options options = defaults;

	(void)state;
	options.pct_runs = 20000;
	assert_int_equal(verdict(scenario_find("mutant-2-svm"), &options, 0), STATUS_VIOLATED);
	/* Each finds out about memory that changes for the first time; none may end the others. */
	options.pct_runs = 3000;
	assert_int_equal(verdict(scenario_find("post-spin"), &options, 1), STATUS_TIME);
	assert_int_equal(result.state_count, 3000);
	assert_false(result.is_exhaustive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(self_checks_under_tso),
	    cmocka_unit_test(self_checks_under_sc),
	    cmocka_unit_test(mutants_fail_under_tso),
	    cmocka_unit_test(mutants_under_sc),
	    cmocka_unit_test(scenarios_hold_with_one_sender),
	    cmocka_unit_test(reductions_change_no_verdict),
	    cmocka_unit_test(remembering_steps_changes_no_verdict_and_no_count),
	    cmocka_unit_test(threads_change_no_verdict_and_no_count),
	    cmocka_unit_test(what_was_searched_before_changes_no_count),
	    cmocka_unit_test(liveness_is_seen_only_with_the_lasso_search),
	    cmocka_unit_test(counterexample_is_shortest_with_fewest_switches),
	    cmocka_unit_test(replay_of_an_id_fails_in_the_same_way),
	    cmocka_unit_test(spent_memory_and_time_are_no_verdict),
	    cmocka_unit_test(random_schedules_find_a_mutant_and_never_prove),
	};

	arena_map();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
