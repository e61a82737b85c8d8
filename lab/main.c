/* SPDX-License-Identifier: MIT */
/* The program posthorn-lab: list, run, replay, report, audit. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/engine.h"

#define ID_SIZE (PATH_MAX_ACTIONS + 1024u)

static const char usage[] =
    "Usage: posthorn lab COMMAND [OPTION...]\n"
    "Search every interleaving of Posthorn's delivery code.\n"
    "\n"
    "  list                       the scenarios and their questions\n"
    "  run [NAME...]              explore; all scenarios when none is named\n"
    "  replay ID [--gdb]          print a counterexample again, or step it in gdb\n"
    "  report DIR [NAME...]       write one HTML page for each counterexample\n"
    "  audit [NAME]               weaken every ordering site, one at a time and all at once\n"
    "\n"
    "  --model sc|tso             memory model (default tso)\n"
    "  --senders N                number of senders, where a scenario has them\n"
    "  --jobs J                   threads (audit: processes; default 1)\n"
    "  --budget TIME              stop after TIME, such as 30s, 5m (default 10m)\n"
    "  --memory SIZE              stop at SIZE, such as 500M, 3G (default 3500M)\n"
    "  --weaken SITE[=HOW]        weaken an ordering site (unfenced, unlocked, left-out)\n"
    "  --pct N                    N random-priority schedules instead of the exhaustive search\n"
    "  --no-reduction             a scheduling point at every access\n"
    "  --no-lasso                 no search for endless fair cycles\n"
    "  --json                     results as JSON on standard output\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 holds (or, for several scenarios, each as expected), 1 violated, 2 usage,\n"
    "3 unknown scenario, 4 not a replay id, 5 id of another build, 6 time spent (or PCT found "
    "nothing),\n"
    "7 memory spent, 8 nothing explored, 9 assertion in the code, 10 endless loop between two "
    "scheduling\n"
    "points, 11 a bound of the lab exceeded, 12 crash in the code, 13 system error, 14 unsound,\n"
    "15 a question for later.\n";

struct command {
	struct options options;
	struct lab_weakening extra[8];
	uint32_t extra_count;
	bool json, gdb;
};

static double parse_scaled(const char *text, const char *units, const double *scale)
{
	char *end;
	double value = strtod(text, &end);
	const char *unit;

	if (end == text || !(value > 0))
		return -1;
	if (!*end)
		return value;
	unit = strchr(units, *end);
	return unit && !end[1] ? value * scale[unit - units] : -1;
}

static int bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "posthorn-lab: %s: %s\nTry 'posthorn lab --help'.\n", what, value);
	return STATUS_USAGE;
}

enum {
	OPT_MODEL = 256,
	OPT_SENDERS,
	OPT_JOBS,
	OPT_BUDGET,
	OPT_MEMORY,
	OPT_WEAKEN,
	OPT_PCT,
	OPT_NO_REDUCTION,
	OPT_NO_LASSO,
	OPT_JSON,
	OPT_GDB,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
    {"model", required_argument, NULL, OPT_MODEL},
    {"senders", required_argument, NULL, OPT_SENDERS},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"weaken", required_argument, NULL, OPT_WEAKEN},
    {"pct", required_argument, NULL, OPT_PCT},
    {"no-reduction", no_argument, NULL, OPT_NO_REDUCTION},
    {"no-lasso", no_argument, NULL, OPT_NO_LASSO},
    {"json", no_argument, NULL, OPT_JSON},
    {"gdb", no_argument, NULL, OPT_GDB},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static bool parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && *text != '-' && *value >= 1 && *value <= max;
}

static int set_limit(struct command *command, int option)
{
	static const double seconds[] = {1, 60, 3600}, bytes[] = {1024, 1048576, 1073741824};
	double value;

	if (option == OPT_BUDGET) {
		value = parse_scaled(optarg, "smh", seconds);
		command->options.seconds = value;
	} else {
		value = parse_scaled(optarg, "KMG", bytes);
		command->options.memory = value < 64e6 ? 0 : (size_t)value;
		if (value >= 0 && value < 64e6)
			return bad_usage("--memory is at least 64M", optarg);
	}
	return value < 0 ? bad_usage("not an amount", optarg) : 0;
}

static int set_option(struct command *command, int option)
{
	unsigned long number = 0;

	switch (option) {
	case OPT_MODEL:
		if (strcmp(optarg, "sc") && strcmp(optarg, "tso"))
			return bad_usage("--model is sc or tso, not", optarg);
		command->options.model = strcmp(optarg, "sc") ? LAB_TSO : LAB_SC;
		command->options.has_model = true;
		return 0;
	case OPT_SENDERS:
		if (!parse_number(optarg, 8, &number))
			return bad_usage("--senders is 1 to 8, not", optarg);
		command->options.sender_count = (uint32_t)number;
		return 0;
	case OPT_JOBS:
		if (!parse_number(optarg, 16, &number))
			return bad_usage("--jobs is 1 to 16, not", optarg);
		command->options.jobs = (uint32_t)number;
		return 0;
	case OPT_PCT:
		if (!parse_number(optarg, 1000000000ul, &number))
			return bad_usage("--pct is a number of schedules, not", optarg);
		command->options.pct_runs = number;
		return 0;
	case OPT_WEAKEN:
		if (command->extra_count == 7 ||
		    !weakening_parse(optarg, &command->extra[command->extra_count++]))
			return bad_usage("no such ordering site or weakening", optarg);
		return 0;
	case OPT_NO_REDUCTION:
		command->options.reduce = false;
		command->options.memorize = false;
		return 0;
	case OPT_NO_LASSO:
		command->options.lasso = false;
		return 0;
	case OPT_JSON:
		command->json = true;
		return 0;
	case OPT_GDB:
		command->gdb = true;
		return 0;
	default:
		return set_limit(command, option);
	}
}

/* ---- Commands -------------------------------------------------------------------------------- */

/* Questions that wait for code; named so that nobody takes their absence for an answer. */
static const struct {
	const char *name, *question;
} later[] = {
    {"nested-choice",
        "who takes an interrupt when L1 does not exit for it, acknowledges on exit, has just "
        "resumed L2, or an exit of L2 cut a delivery short? (thread 001; waits for nested VMX)"},
    {"nested-post", "is no post lost whose L2 has left, been descheduled or been replaced? (thread "
                    "002; waits for nested VMX)"},
    {"avic", "AVIC and x2AVIC: do they lose nothing? (thread 003; waits for the backend)"},
};
#define LATER_COUNT (sizeof(later) / sizeof(later[0]))

static int list_scenarios(void)
{
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		struct lab_params params = {LAB_TSO, scenario_senders(*s, 0)};
		uint32_t devices = 0;

		weakenings_reset(*s);
		world_prepare(*s, &params, NULL);
		for (uint32_t i = 0; i < engine.actor_count; i++)
			devices += engine.actors[i].is_device;
		printf("%-28s %s %u CPUs, %u devices, %u machines; %s; sc %s, tso %s\n",
		    (*s)->name, (*s)->question, engine.actor_count - devices, devices,
		    engine.hardware_count, (*s)->bounds,
		    (*s)->expect_sc == LAB_HOLDS ? "holds" : "fails",
		    (*s)->expect_tso == LAB_HOLDS ? "holds" : "fails");
	}
	printf("later, not searched:\n");
	for (size_t i = 0; i < LATER_COUNT; i++)
		printf("%-28s %s\n", later[i].name, later[i].question);
	return 0;
}

static void print_bounds(const struct lab_scenario *scenario, const struct options *options)
{
	printf("{%s", scenario->bounds);
	if (scenario->sender_max)
		printf(", %u sender%s", options->sender_count, options->sender_count == 1 ? "" : "s");
	printf(", %s}", options->model == LAB_TSO ? "x86-TSO" : "SC");
}

static void print_measures(const struct lab_scenario *scenario, const struct result *result)
{
	for (uint32_t i = 0; i < LAB_MEASURE_MAX && scenario->measures[i].what; i++) {
		if (result->status == STATUS_HOLDS && result->quiescent_count)
			printf("  %s: %llu to %llu\n", scenario->measures[i].what,
			    (unsigned long long)result->measured[i].least,
			    (unsigned long long)result->measured[i].most);
	}
}

/* Of transitions; a clock's tick of CPU time is the least there is to divide by. */
static double million_per_second(const struct result *result, double seconds)
{
	return (double)result->transition_count / fmax(seconds, 1e-3) / 1e6;
}

static void print_verdict(const struct lab_scenario *scenario, const struct options *options,
    const struct result *result, const char *id)
{
	if (result->status == STATUS_HOLDS) {
		printf("%s: holds, exhaustively, within ", scenario->name);
		print_bounds(scenario, options);
	} else if (options->pct_runs && result->status == STATUS_TIME) {
		printf("%s: nothing found by %llu random schedules (PCT, not exhaustive) within ",
		    scenario->name, (unsigned long long)result->state_count);
		print_bounds(scenario, options);
	} else if (result->status == STATUS_TIME || result->status == STATUS_MEMORY) {
		printf(
		    "%s: bounded: %s budget spent; no violation in the states covered, depth %u; "
		    "not a verdict",
		    scenario->name, result->status == STATUS_TIME ? "time" : "memory",
		    result->depth);
	} else if (result->status == STATUS_EMPTY) {
		printf("%s: explored nothing: the scenario has no action", scenario->name);
	} else {
		printf("%s: %s in %u steps: %s", scenario->name,
		    result->status == STATUS_VIOLATED ? "violated" : status_name(result->status),
		    result->path_count, result->failure.what);
		if (result->path_count)
			printf("\n");
		timeline_print(stdout, result);
		printf("replay: posthorn lab replay '%s'", id);
	}
	printf("\n");
	print_measures(scenario, result);
	printf("  %llu states, %llu transitions, depth %u, %.2f s; search %.2f s, %.2f M "
	       "transitions/s (%.2f a CPU second); %zu MiB, chance of a hash collision < 2^%.0f\n",
	    (unsigned long long)result->state_count, (unsigned long long)result->transition_count,
	    result->depth, result->seconds, result->search_seconds,
	    million_per_second(result, result->search_seconds),
	    million_per_second(result, result->search_cpu_seconds),
	    result->memory >> 20, ceil(collision_bound(result->state_count)));
	fflush(stdout);
}

static void run_one(struct command *command, const struct lab_scenario *scenario,
    struct options *options, struct result *result, char *id)
{
	*options = command->options;
	options->sender_count = scenario_senders(scenario, options->sender_count);
	weakenings_reset(scenario);
	for (uint32_t i = 0; i < command->extra_count; i++)
		weakening_apply(command->extra[i]);
	explore(scenario, options, result);
	id[0] = 0;
	if (!result->path_count)
		return;
	replay_path(scenario, options, result);
	replay_format(scenario, options, command->extra, result, id, ID_SIZE);
}

static bool is_expected(
    const struct lab_scenario *scenario, const struct options *options, const struct result *result)
{
	enum lab_expect expect =
	    options->model == LAB_TSO ? scenario->expect_tso : scenario->expect_sc;

	if (expect == LAB_HOLDS)
		return result->status == STATUS_HOLDS;
	return result->status == STATUS_VIOLATED || result->status == STATUS_ASSERTION;
}

static int run_many(struct command *command, char **names, int count)
{
	static struct result result;
	static char id[ID_SIZE];
	uint32_t wrong = 0, total = 0;
	struct options options;

	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		bool is_wanted = count == 0;

		for (int i = 0; i < count; i++)
			is_wanted |= !strcmp(names[i], (*s)->name);
		if (!is_wanted)
			continue;
		run_one(command, *s, &options, &result, id);
		if (command->json) {
			printf("%s", total ? ",\n" : "[\n");
			json_result(stdout, *s, &options, &result, id);
		} else if (count || !is_expected(*s, &options, &result)) {
			print_verdict(*s, &options, &result, id);
		} else {
			printf("%-28s %-9s as expected: %8llu states, %9llu transitions, %.2f s\n",
			    (*s)->name, status_name(result.status),
			    (unsigned long long)result.state_count,
			    (unsigned long long)result.transition_count, result.seconds);
			print_measures(*s, &result);
			fflush(stdout);
		}
		total++;
		wrong += !is_expected(*s, &options, &result);
	}
	if (command->json)
		printf("\n]\n");
	else if (total > 1)
		printf("%u scenarios, %u as expected, %u not\n", total, total - wrong, wrong);
	if (total == 1 && count == 1)
		return (int)result.status;
	return wrong ? STATUS_VIOLATED : 0;
}

static int check_names(char **names, int count)
{
	for (int i = 0; i < count; i++) {
		if (scenario_find(names[i]))
			continue;
		for (size_t k = 0; k < LATER_COUNT; k++) {
			if (strcmp(names[i], later[k].name))
				continue;
			fprintf(stderr, "posthorn-lab: '%s' is for later, and not searched: %s\n",
			    names[i], later[k].question);
			return STATUS_LATER;
		}
		fprintf(stderr, "posthorn-lab: no scenario '%s'; 'posthorn lab list' shows them\n",
		    names[i]);
		return STATUS_UNKNOWN_SCENARIO;
	}
	return 0;
}

static int run_gdb(const char *id)
{
	/* Not argv[0]: `posthorn lab` says "lab" there. */
	char self[PATH_MAX] = "posthorn-lab";

	(void)!readlink("/proc/self/exe", self, sizeof(self) - 1);
	execlp("gdb", "gdb", "-q", "-ex", "set breakpoint pending on", "-ex", "break replay_stop",
	    "-ex", "run", "--args", self, "replay", id, (char *)NULL);
	fprintf(
	    stderr, "posthorn-lab: cannot start gdb: %s; apt-get install gdb\n", strerror(errno));
	return STATUS_SYSTEM;
}

/* The path's indices count on what was known to be written: learn it again if need be. */
static void learn_again(struct command *command, struct replay *replay)
{
	static struct result ignored;
	struct lab_params params = {replay->options.model, replay->options.sender_count};

	engine.reduce = replay->options.reduce;
	replay->options.memorize = replay->options.reduce;
	world_prepare(replay->scenario, &params, NULL);
	if (replay_written_sum() == replay->written_sum)
		return;
	replay->options.jobs = 1;
	replay->options.memory = command->options.memory;
	explore(replay->scenario, &replay->options, &ignored);
}

static int replay_id(struct command *command, const char *id)
{
	static struct replay replay;
	enum lab_status status = replay_parse(id, &replay);

	if (status != STATUS_HOLDS)
		return (int)status;
	if (command->gdb)
		return run_gdb(id);
	guard_never();
	weakenings_reset(replay.scenario);
	for (uint32_t i = 0; replay.extra[i].how != LAB_STRONG; i++)
		weakening_apply(replay.extra[i]);
	learn_again(command, &replay);
	if (!replay_path(replay.scenario, &replay.options, &replay.result)) {
		fprintf(stderr, "posthorn-lab: the id's actions do not fit the scenario\n");
		return STATUS_BAD_ID;
	}
	printf("%s: %s\n", replay.scenario->name, replay.scenario->question);
	timeline_print(stdout, &replay.result);
	if (replay.result.cycle_start != UINT32_MAX)
		printf("ends in a cycle that is fair to every CPU\n");
	else if (engine.failure.kind == FAILURE_NONE)
		printf("no failure at the end of this path\n");
	else
		printf("fails: %s\n", engine.failure.what);
	return STATUS_VIOLATED;
}

static int report_all(struct command *command, const char *directory, char **names, int count)
{
	static struct result result;
	static char id[ID_SIZE];
	uint32_t pages = 0;
	struct options options;

	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		bool is_wanted = count == 0;

		for (int i = 0; i < count; i++)
			is_wanted |= !strcmp(names[i], (*s)->name);
		if (!is_wanted)
			continue;
		run_one(command, *s, &options, &result, id);
		if (!result.path_count)
			continue;
		if (!report_write(directory, *s, &options, &result, id))
			return STATUS_SYSTEM;
		pages++;
	}
	printf("%u pages in %s\n", pages, directory);
	return 0;
}

static int dispatch(struct command *command, char **words, int count)
{
	int status;

	if (!strcmp(words[0], "list") && count == 1)
		return list_scenarios();
	if (!strcmp(words[0], "run")) {
		status = check_names(words + 1, count - 1);
		return status ? status : run_many(command, words + 1, count - 1);
	}
	if (!strcmp(words[0], "replay") && count == 2)
		return replay_id(command, words[1]);
	if (!strcmp(words[0], "report") && count >= 2) {
		status = check_names(words + 2, count - 2);
		return status ? status : report_all(command, words[1], words + 2, count - 2);
	}
	if (!strcmp(words[0], "audit") && count <= 2) {
		status = check_names(words + 1, count - 1);
		return status ? status
		              : (int)audit_run(
		                    &command->options, count == 2 ? words[1] : NULL, stdout);
	}
	return bad_usage("unknown command, or too few or too many words", words[0]);
}

int main(int argc, char **argv)
{
	struct command command = {.options = {.model = LAB_TSO,
	                              .jobs = 1,
	                              .seconds = 600,
	                              .memory = (size_t)3500 << 20,
	                              .reduce = true,
	                              .memorize = true,
	                              .lasso = true}};
	int option, status;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == OPT_HELP || option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (option == OPT_VERSION) {
			puts("posthorn-lab (Posthorn's race lab)");
			return 0;
		}
		if (option == '?')
			return STATUS_USAGE;
		status = set_option(&command, option);
		if (status)
			return status;
	}
	if (optind == argc)
		return bad_usage("no command", "list, run, replay, report or audit");
	command.options.progress = isatty(STDERR_FILENO) && !command.json;
	arena_map();
	return dispatch(&command, argv + optind, argc - optind);
}
