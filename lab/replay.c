/* SPDX-License-Identifier: MIT */
/* Replay ids: scenario, options, build, and the list of actions. */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
_Static_assert(sizeof(digits) - 1 >= CHOICE_MAX, "a digit an action");

static uint32_t checksum(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum;
}

/* Of the running program's file: an id means nothing to another build. */
static uint32_t build_sum(void)
{
	static uint32_t sum;
	uint8_t buffer[65536];
	size_t got;
	FILE *self;

	if (sum)
		return sum;
	sum = 2166136261u;
	self = fopen("/proc/self/exe", "rb");
	while (self && (got = fread(buffer, 1, sizeof(buffer), self)) > 0)
		sum = checksum(sum, buffer, got);
	if (self)
		fclose(self);
	return sum;
}

uint32_t replay_written_sum(void)
{
	return engine.written ? checksum(2166136261u, engine.written, SHARED_LINES) : 0;
}

void replay_format(const struct lab_scenario *scenario, const struct options *options,
    const struct lab_weakening *extra, const struct result *result, char *text, size_t size)
{
	int at = snprintf(text, size, "%s@%s.%u%s", scenario->name,
	    options->model == LAB_TSO ? "tso" : "sc", options->sender_count,
	    options_reduce(options) ? "" : ".unreduced");

	for (uint32_t i = 0; extra && extra[i].how != LAB_STRONG; i++) {
		if (extra[i].site >= LAB_ASSUMED(0))
			at += snprintf(text + at, size - (size_t)at, "+%s",
			    assumption_name(extra[i].site - LAB_ASSUMED(0)));
		else
			at += snprintf(text + at, size - (size_t)at, "+%s=%s",
			    site_name(extra[i].site), weakness_name(extra[i].how));
	}
	at += snprintf(
	    text + at, size - (size_t)at, ":%08x:%08x:", build_sum(), replay_written_sum());
	for (uint32_t i = 0; i < result->path_count && (size_t)at + 16 < size; i++) {
		if (i == result->cycle_start)
			text[at++] = '~';
		text[at++] = digits[result->path[i]];
	}
	text[at] = 0;
	snprintf(
	    text + at, size - (size_t)at, ":%02x", checksum(2166136261u, text, (size_t)at) & 0xff);
}

static enum lab_status bad(const char *what)
{
	fprintf(stderr, "posthorn-lab: not a replay id: %s\n", what);
	return STATUS_BAD_ID;
}

static bool parse_path(const char *text, struct result *result)
{
	result->cycle_start = UINT32_MAX;
	for (; *text; text++) {
		const char *digit = strchr(digits, *text);

		if (*text == '~') {
			result->cycle_start = result->path_count;
			continue;
		}
		if (!digit || result->path_count == PATH_MAX_ACTIONS)
			return false;
		result->path[result->path_count++] = (uint8_t)(digit - digits);
	}
	return result->path_count > 0;
}

/* "tso.3.unreduced+SITE=how+..." */
static bool parse_options(char *text, struct replay *replay)
{
	uint32_t count = 0;
	char *plus = strchr(text, '+'), *next;

	for (; plus; plus = next) {
		*plus++ = 0;
		next = strchr(plus, '+');
		if (next)
			*next = 0;
		if (count == 7 || !weakening_parse(plus, &replay->extra[count++]))
			return false;
	}
	replay->options.reduce = !strstr(text, ".unreduced");
	if (!strncmp(text, "tso.", 4))
		replay->options.model = LAB_TSO;
	else if (!strncmp(text, "sc.", 3))
		replay->options.model = LAB_SC;
	else
		return false;
	replay->options.sender_count = (uint32_t)atoi(strchr(text, '.') + 1);
	return true;
}

enum lab_status replay_parse(const char *text, struct replay *replay)
{
	char copy[PATH_MAX_ACTIONS + 512];
	char *field[4], *at, *options;
	uint32_t sum;

	memset(replay, 0, sizeof(*replay));
	if (strlen(text) >= sizeof(copy))
		return bad("too long");
	strcpy(copy, text);
	at = strrchr(copy, ':');
	if (!at)
		return bad("it has the form NAME@MODEL:BUILD:MEMORY:ACTIONS:CHECK");
	*at = 0;
	sum = checksum(2166136261u, copy, strlen(copy)) & 0xff;
	if (sum != strtoul(at + 1, NULL, 16))
		return bad("its check digits are wrong (a typing mistake?)");
	for (uint32_t i = 0; i < 4; i++) {
		field[i] = i ? strchr(field[i - 1], ':') : copy;
		if (!field[i])
			return bad("it has the form NAME@MODEL:BUILD:MEMORY:ACTIONS:CHECK");
		if (i)
			*field[i]++ = 0;
	}
	options = strchr(field[0], '@');
	if (!options || !parse_path(field[3], &replay->result))
		return bad("its actions are not legible");
	*options++ = 0;
	if (strtoul(field[1], NULL, 16) != build_sum()) {
		fprintf(stderr,
		    "posthorn-lab: this id is from another build of posthorn-lab; "
		    "run the scenario again: posthorn lab run %s\n",
		    field[0]);
		return STATUS_OTHER_BUILD;
	}
	replay->scenario = scenario_find(field[0]);
	replay->written_sum = (uint32_t)strtoul(field[2], NULL, 16);
	if (!replay->scenario || !parse_options(options, replay))
		return bad("unknown scenario or option");
	return STATUS_HOLDS;
}

__attribute__((noinline)) void replay_stop(uint32_t step, const char *what)
{
	__asm__ volatile("" : : "r"(step), "r"(what) : "memory");
}

static void log_hardware(struct action action)
{
	char *text = malloc(96);

	if (!text)
		return;
	snprintf(text, 96, "%s", engine.hardware[action.actor].name);
	event_log(&(struct event){
	    .kind = EVENT_HARDWARE, .actor = (uint8_t)(ACTOR_MAX + action.actor), .text = text});
}

static void check_end(void)
{
	struct action actions[CHOICE_MAX];
	uint32_t count;

	if (engine.failure.kind != FAILURE_NONE)
		return;
	count = action_list(actions);
	if (engine.scenario->invariant)
		engine.scenario->invariant();
	if (!count && engine.scenario->quiescent)
		engine.scenario->quiescent();
}

static bool do_path(const struct result *result)
{
	struct action actions[CHOICE_MAX];

	for (uint32_t i = 0; i < result->path_count; i++) {
		uint32_t count = action_list(actions), events = engine.event_count;

		if (result->path[i] >= count || engine.failure.kind != FAILURE_NONE)
			return false;
		engine.step = i + 1;
		replay_stop(engine.step, engine.actors[actions[result->path[i]].actor].name);
		action_do(actions[result->path[i]]);
		if (actions[result->path[i]].kind == ACTION_HARDWARE &&
		    events == engine.event_count)
			log_hardware(actions[result->path[i]]);
	}
	return true;
}

bool replay_path(
    const struct lab_scenario *scenario, const struct options *options, const struct result *result)
{
	struct lab_params params = {options->model, options->sender_count};
	volatile bool is_done = true;

	engine.event_count = 0;
	engine.step = 0;
	engine.reduce = options_reduce(options);
	world_guard();
	engine.tracing = true;
	arena_setup(scenario, &params);
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) == 0)
		is_done = do_path(result);
	engine.crash_armed = false;
	engine.in_actor = false;
	check_end();
	engine.tracing = false;
	return is_done;
}
