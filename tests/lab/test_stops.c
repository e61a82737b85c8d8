/* SPDX-License-Identifier: MIT */
/* What the lab says of broken scenarios, and the program's exit statuses for bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "lab/engine.h"

static struct result result;

static void broken_scenarios_have_their_own_status(void **state)
{
	static const struct {
		const char *name;
		enum lab_status status;
	} cases[] = {
	    {"broken-endless", STATUS_ENDLESS},
	    {"broken-crash", STATUS_CRASH},
	    {"broken-assertion", STATUS_ASSERTION},
	    {"broken-overflow", STATUS_OVERFLOW},
	    {"broken-empty", STATUS_EMPTY},
	};
	struct options options = {.model = LAB_TSO,
	    .jobs = 1,
	    .seconds = 30,
	    .memory = (size_t)256 << 20,
	    .reduce = true,
    .memorize = true,
	    .lasso = true};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lab_scenario *scenario = scenario_find(cases[i].name);

		assert_non_null(scenario);
		weakenings_reset(scenario);
		explore(scenario, &options, &result);
		if (result.status != cases[i].status)
			fail_msg("%s: %s", cases[i].name, status_name(result.status));
	}
}

static void the_program_says_what_is_wrong_with_its_input(void **state)
{
	static const struct {
		const char *arguments;
		int status;
	} cases[] = {
	    {"list", STATUS_HOLDS},
	    {"--help", STATUS_HOLDS},
	    {"", STATUS_USAGE},
	    {"dance", STATUS_USAGE},
	    {"run --model pso", STATUS_USAGE},
	    {"run --senders 0", STATUS_USAGE},
	    {"run --senders 99", STATUS_USAGE},
	    {"run --jobs none", STATUS_USAGE},
	    {"run --budget soon", STATUS_USAGE},
	    {"run --memory 1K", STATUS_USAGE},
	    {"run --weaken NO_SUCH_SITE", STATUS_USAGE},
	    {"run no-such-scenario", STATUS_UNKNOWN_SCENARIO},
	    {"audit no-such-scenario", STATUS_UNKNOWN_SCENARIO},
	    {"replay nonsense", STATUS_BAD_ID},
	    {"replay self-dekker@tso.0:00000000:00000000:00:00", STATUS_BAD_ID},
	    {"replay self-dekker@tso.0:00000000:00000000:00:ce", STATUS_OTHER_BUILD},
	    {"run self-dekker", STATUS_VIOLATED},
	    {"run self-dekker --model sc", STATUS_HOLDS},
	    {"run self-dekker-fenced self-message", STATUS_HOLDS},
	    {"run post-exit --senders 1 --weaken ENTER_RECHECK_ON", STATUS_VIOLATED},
	    {"run post-spin --senders 1 --pct 10", STATUS_TIME},
	    {"report /proc/nowhere self-dekker", STATUS_SYSTEM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char command[512];
		int status;

		snprintf(command, sizeof(command), "%s %s >/dev/null 2>&1", LAB_PROGRAM,
		    cases[i].arguments);
		status = system(command);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != cases[i].status)
			fail_msg("posthorn-lab %s: status %d, not %d", cases[i].arguments,
			    WEXITSTATUS(status), cases[i].status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(broken_scenarios_have_their_own_status),
	    cmocka_unit_test(the_program_says_what_is_wrong_with_its_input),
	};

	arena_map();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
