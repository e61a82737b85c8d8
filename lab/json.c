/* SPDX-License-Identifier: MIT */
/* Results as JSON, and their names. */
#include <math.h>

#include "lab/engine.h"

const char *status_name(enum lab_status status)
{
	static const char *const names[] = {"holds", "violated", "usage", "unknown-scenario",
	    "bad-id", "other-build", "time-spent", "memory-spent", "nothing-explored", "assertion",
	    "endless-loop", "bound-exceeded", "crash", "system-error", "unsound"};

	return names[status];
}

double collision_bound(uint64_t state_count)
{
	double n = (double)state_count;

	return n < 2 ? -128 : log2(n) + log2(n - 1) - 1 - 128;
}

void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void member(FILE *out, const char *name, const char *value)
{
	fprintf(out, ",\n   \"%s\": ", name);
	json_string(out, value);
}

static void timeline(FILE *out)
{
	char text[256], place[256];

	fprintf(out, ",\n   \"timeline\": [");
	for (uint32_t i = 0; i < engine.event_count; i++) {
		const struct event *event = &engine.events[i];

		timeline_text(event, text, sizeof(text));
		timeline_place(event, place, sizeof(place));
		fprintf(out, "%s\n    {\"step\": %u, \"column\": ", i ? "," : "", event->step);
		json_string(out, timeline_heading(timeline_column(event)));
		fprintf(out, ", \"what\": ");
		json_string(out, text);
		fprintf(out, ", \"where\": ");
		json_string(out, place);
		fprintf(out, "}");
	}
	fprintf(out, "]");
}

void json_result(FILE *out, const struct lab_scenario *scenario, const struct options *options,
    const struct result *result, const char *id)
{
	fprintf(out, "  {\"scenario\": ");
	json_string(out, scenario->name);
	member(out, "question", scenario->question);
	member(out, "bounds", scenario->bounds);
	member(out, "model", options->model == LAB_TSO ? "tso" : "sc");
	member(out, "verdict", status_name(result->status));
	fprintf(out, ",\n   \"exhaustive\": %s", result->is_exhaustive ? "true" : "false");
	fprintf(out, ",\n   \"senders\": %u, \"jobs\": %u, \"reduced\": %s", options->sender_count,
	    options->jobs, options->reduce ? "true" : "false");
	fprintf(out,
	    ",\n   \"states\": %llu, \"transitions\": %llu, \"quiescent\": %llu, \"depth\": %u",
	    (unsigned long long)result->state_count, (unsigned long long)result->transition_count,
	    (unsigned long long)result->quiescent_count, result->depth);
	fprintf(out, ",\n   \"search_seconds\": %.3f, \"search_cpu_seconds\": %.3f",
	    result->search_seconds, result->search_cpu_seconds);
	fprintf(out, ", \"search_path_seconds\": %.3f", result->search_path_seconds);
	fprintf(out, ",\n   \"seconds\": %.3f, \"memory\": %zu, \"log2_collision\": %.1f",
	    result->seconds, result->memory, collision_bound(result->state_count));
	for (uint32_t i = 0; i < LAB_MEASURE_MAX && scenario->measures[i].what; i++) {
		fprintf(out, "%s\"%s\": [%llu, %llu]", i ? ", " : ",\n   \"measured\": {",
		    scenario->measures[i].what, (unsigned long long)result->measured[i].least,
		    (unsigned long long)result->measured[i].most);
		if (i + 1 == LAB_MEASURE_MAX || !scenario->measures[i + 1].what)
			fprintf(out, "}");
	}
	if (result->path_count) {
		member(out, "failure", result->failure.what);
		member(out, "replay", id);
		fprintf(out, ",\n   \"steps\": %u, \"switches\": %u", result->path_count,
		    result->switch_count);
		timeline(out);
	}
	fprintf(out, "}");
}
