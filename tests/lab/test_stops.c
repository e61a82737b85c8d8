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

/* Status and a line that the program prints for these arguments. */
struct call {
	const char *program, *arguments;
	int status;
	const char *line;
};

static void check_call(const struct call *call)
{
	char command[512], output[1 << 16];
	size_t size;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "%s %s 2>&1", call->program, call->arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	size = fread(output, 1, sizeof(output) - 1, pipe);
	output[size] = 0;
	while (fgetc(pipe) != EOF)
		;
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != call->status || !strstr(output, call->line))
		fail_msg("%s: status %d, not %d, or no line with '%s':\n%s", command,
		    WEXITSTATUS(status), call->status, call->line, output);
}

/* Each row of "Bad input" in the lab's issue: a clear line and its own status. */
static void bad_input_has_its_line_and_status(void **state)
{
	static const struct call calls[] = {
	    {LAB_PROGRAM, "run no-such-scenario", STATUS_UNKNOWN_SCENARIO,
	        "no scenario 'no-such-scenario'"},
	    {LAB_PROGRAM, "run nested-post", STATUS_LATER, "is for later"},
	    {LAB_PROGRAM, "audit no-such-scenario", STATUS_UNKNOWN_SCENARIO, "no scenario"},
	    {LAB_PROGRAM, "replay nonsense", STATUS_BAD_ID, "not a replay id"},
	    {LAB_PROGRAM, "replay self-dekker@tso.0:00000000:00000000:00:00", STATUS_BAD_ID,
	        "check digits are wrong"},
	    {LAB_PROGRAM, "replay self-dekker@tso.0:00000000:00000000:00:ce", STATUS_OTHER_BUILD,
	        "from another build"},
	    {LAB_PROGRAM, "run post-spin --budget 0.05s", STATUS_TIME, "time budget spent"},
	    {LAB_PROGRAM, "run post-spin --senders 4 --memory 64M", STATUS_MEMORY,
	        "memory budget spent"},
	    {LAB_PROGRAM, "run post-spin --senders 4 --memory 64M --jobs 2", STATUS_MEMORY,
	        "memory budget spent"},
	    {LAB_BROKEN, "run broken-empty", STATUS_EMPTY, "explored nothing"},
	    {LAB_BROKEN, "run broken-assertion", STATUS_ASSERTION, "file.c:7: an assertion"},
	    {LAB_BROKEN, "run broken-endless", STATUS_ENDLESS,
	        "an endless loop between two scheduling points"},
	    {LAB_BROKEN, "run broken-overflow", STATUS_OVERFLOW, "store buffer full"},
	    {LAB_BROKEN, "run broken-crash", STATUS_CRASH, "memory it does not have"},
	    {LAB_BROKEN, "run broken-crash --pct 10", STATUS_CRASH, "memory it does not have"},
	    {LAB_BROKEN, "run broken-endless --pct 10", STATUS_ENDLESS,
	        "an endless loop between two scheduling points"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		check_call(&calls[i]);
}

static void the_program_says_what_is_wrong_with_its_input(void **state)
{
	static const struct call calls[] = {
	    {LAB_PROGRAM, "list", STATUS_HOLDS, "later, not searched"},
	    {LAB_PROGRAM, "--help", STATUS_HOLDS, "Exit status"},
	    {LAB_PROGRAM, "", STATUS_USAGE, "no command"},
	    {LAB_PROGRAM, "dance", STATUS_USAGE, "dance"},
	    {LAB_PROGRAM, "run --model pso", STATUS_USAGE, "pso"},
	    {LAB_PROGRAM, "run --senders 0", STATUS_USAGE, "--senders"},
	    {LAB_PROGRAM, "run --senders 99", STATUS_USAGE, "--senders"},
	    {LAB_PROGRAM, "run --jobs none", STATUS_USAGE, "--jobs"},
	    {LAB_PROGRAM, "run --budget soon", STATUS_USAGE, "soon"},
	    {LAB_PROGRAM, "run --memory 1K", STATUS_USAGE, "--memory"},
	    {LAB_PROGRAM, "run --weaken NO_SUCH_SITE", STATUS_USAGE, "NO_SUCH_SITE"},
	    {LAB_PROGRAM, "run self-dekker", STATUS_VIOLATED, "replay"},
	    {LAB_PROGRAM, "run self-dekker --model sc", STATUS_HOLDS, "holds, exhaustively"},
	    {LAB_PROGRAM, "run self-dekker-fenced self-message", STATUS_HOLDS, "2 as expected"},
	    {LAB_PROGRAM, "run post-exit --senders 1 --weaken ENTER_RECHECK_ON", STATUS_VIOLATED,
	        "spins in the guest"},
	    {LAB_PROGRAM, "run mode-plain --senders 1", STATUS_HOLDS, "earlier entry: 0 to 1"},
	    {LAB_PROGRAM, "run mode-generation --senders 1 --jobs 2", STATUS_HOLDS,
	        "earlier entry: 0 to 0"},
	    {LAB_PROGRAM, "run post-spin --senders 1 --pct 10", STATUS_TIME, "not exhaustive"},
	    {LAB_PROGRAM, "report /proc/nowhere self-dekker", STATUS_SYSTEM, "/proc/nowhere"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		check_call(&calls[i]);
}

/* Under the name that `posthorn lab` gives it; the debugger is a script that prints its arguments. */
static void gdb_gets_the_program_whatever_its_name(void **state)
{
	static const struct call call = {
	    "folder=$(mktemp -d); echo 'echo gdb: \"$@\"' >$folder/gdb; chmod +x $folder/gdb; "
	    "id=$(" LAB_PROGRAM " run self-dekker | sed -n \"s/^replay.*'\\(.*\\)'/\\1/p\"); "
	    "PATH=$folder:$PATH bash -c 'exec -a lab " LAB_PROGRAM " replay $0 --gdb' $id; "
	    "rm -r $folder",
	    "", STATUS_HOLDS, "posthorn-lab replay self-dekker@tso"};

	(void)state;
	check_call(&call);
}

/* Random walks do not find the word that its failure hangs on: the search has to be done again. */
static void a_replay_learns_what_the_search_learned(void **state)
{
	static const struct call call = {
	    "id=$(" LAB_PROGRAM " run self-constant-page | sed -n \"s/^replay.*'\\(.*\\)'/\\1/p\"); "
	    LAB_PROGRAM " replay $id", "", STATUS_VIOLATED, "fails: the word is 1"};

	(void)state;
	check_call(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_replay_learns_what_the_search_learned),
	    cmocka_unit_test(broken_scenarios_have_their_own_status),
	    cmocka_unit_test(gdb_gets_the_program_whatever_its_name),
	    cmocka_unit_test(bad_input_has_its_line_and_status),
	    cmocka_unit_test(the_program_says_what_is_wrong_with_its_input),
	};

	arena_map();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
