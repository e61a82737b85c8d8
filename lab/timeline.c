/* SPDX-License-Identifier: MIT */
/* A replayed path for people: a column a CPU, one for the wire, one for the store buffers. */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

#define TEXT_SIZE  192u
#define CELL_LINES 12u

void event_log(const struct event *event)
{
	if (engine.event_count == engine.event_capacity) {
		uint32_t capacity = engine.event_capacity * 2 + 64;
		struct event *larger = realloc(engine.events, capacity * sizeof(*larger));

		if (!larger)
			return;
		engine.events = larger;
		engine.event_capacity = capacity;
	}
	engine.events[engine.event_count] = *event;
	engine.events[engine.event_count++].step = engine.step;
}

uint32_t timeline_column_count(void)
{
	return engine.actor_count + (engine.hardware_count > 0) + (engine.params.model == LAB_TSO);
}

uint32_t timeline_column(const struct event *event)
{
	if (event->kind == EVENT_DRAIN)
		return engine.actor_count + (engine.hardware_count > 0);
	return event->actor < ACTOR_MAX ? event->actor : engine.actor_count;
}

const char *timeline_heading(uint32_t column)
{
	if (column < engine.actor_count)
		return engine.actors[column].name;
	return engine.hardware_count && column == engine.actor_count ? "wire" : "store buffers";
}

/* What the core calls the word that a site touches; the lab does not know the core's structures. */
static const struct {
	uint32_t site;
	const char *name;
} labels[] = {
    {SITE_POST_MODE, "mode word"},
    {SITE_ENTER_PUBLISH, "mode word"},
    {SITE_ENTER_OUTSIDE, "mode word"},
    {SITE_REQUEST_SET, "requests"},
    {SITE_ENTER_REQUESTS, "requests"},
    {SITE_SERVICE_REQUESTS, "requests"},
    {SITE_WAKE_BLOCKED, "blocked"},
    {SITE_BLOCK_PUBLISH, "blocked"},
    {SITE_POST_PCPU, "pcpu"},
    {SITE_LOAD_PCPU, "pcpu"},
    {SITE_INHIBIT_SET, "inhibits"},
    {SITE_INHIBIT_READ, "inhibits"},
    {SITE_IDENTITY_MAP, "physical map entry"},
    {SITE_IDENTITY_PUBLISH, "identity"},
};

static const char *label_of_site(uint32_t site)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (labels[i].site == site)
			return labels[i].name;
	}
	return NULL;
}

/* By the site of any access to the same address on this path, else by what the scenario named. */
static const char *name_of(uint64_t address, char *text, size_t size)
{
	for (uint32_t i = 0; i < engine.event_count; i++) {
		const char *label = label_of_site(engine.events[i].site);

		if (engine.events[i].address == address && label)
			return label;
	}
	return arena_describe(address, text, size);
}

static void access_text(const struct event *event, const char *how, char *text, size_t size)
{
	char name[64];

	snprintf(text, size, "%s %s %#llx", name_of(event->address, name, sizeof(name)), how,
	    (unsigned long long)event->value);
}

void timeline_text(const struct event *event, char *text, size_t size)
{
	char name[64];

	switch ((enum event_kind)event->kind) {
	case EVENT_LOAD:
		access_text(event, "is", text, size);
		return;
	case EVENT_STORE:
		access_text(event, "=", text, size);
		return;
	case EVENT_BUFFER:
		access_text(event, "= (in buffer)", text, size);
		return;
	case EVENT_DRAIN:
		snprintf(text, size, "of %s: %s = %#llx now visible",
		    engine.actors[event->actor].name, name_of(event->address, name, sizeof(name)),
		    (unsigned long long)event->value);
		return;
	case EVENT_RMW:
		snprintf(text, size, "%s: %#llx to %#llx (locked)",
		    name_of(event->address, name, sizeof(name)), (unsigned long long)event->old,
		    (unsigned long long)event->value);
		return;
	case EVENT_FENCE:
		snprintf(text, size, "full fence");
		return;
	case EVENT_LOCK:
		snprintf(
		    text, size, "takes %s", arena_describe(event->address, name, sizeof(name)));
		return;
	case EVENT_CHOICE:
		snprintf(
		    text, size, "%s: choice %llu", event->text, (unsigned long long)event->value);
		return;
	case EVENT_NOTE:
		if (event->value)
			snprintf(
			    text, size, "%s %#llx", event->text, (unsigned long long)event->value);
		else
			snprintf(text, size, "%s", event->text);
		return;
	default:
		snprintf(text, size, "%s", event->text ? event->text : "");
	}
}

void timeline_place(const struct event *event, char *text, size_t size)
{
	if (event->file && event->site != SITE_NONE)
		snprintf(text, size, "%s:%d %s", event->file, event->line, site_name(event->site));
	else if (event->file)
		snprintf(text, size, "%s:%d", event->file, event->line);
	else
		text[0] = 0;
}

/* Wrap text into lines of a cell; returns how many. */
static uint32_t wrap(const char *text, uint32_t width, char lines[CELL_LINES][TEXT_SIZE])
{
	uint32_t count = 0;

	while (*text && count < CELL_LINES) {
		size_t length = strlen(text), cut = length;

		if (length > width) {
			cut = width;
			while (cut > width / 2 && text[cut] != ' ')
				cut--;
			if (text[cut] != ' ')
				cut = width;
		}
		memcpy(lines[count], text, cut);
		lines[count++][cut] = 0;
		text += cut + (text[cut] == ' ');
	}
	return count;
}

static void print_row(FILE *out, uint32_t step, uint32_t column, uint32_t width, const char *text)
{
	char lines[CELL_LINES][TEXT_SIZE];
	uint32_t count = wrap(text, width - 3, lines);

	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 && step)
			fprintf(out, "%4u ", step);
		else
			fprintf(out, "     ");
		for (uint32_t c = 0; c < timeline_column_count(); c++) {
			if (c < column)
				fprintf(out, "| %-*s", (int)width - 2, "");
			else if (c == column)
				fprintf(out, "| %s", lines[i]);
		}
		fprintf(out, "\n");
	}
}

static uint32_t column_width(void)
{
	const char *columns = getenv("COLUMNS");
	uint32_t total = columns && atoi(columns) >= 60 ? (uint32_t)atoi(columns) : 120;
	uint32_t width = (total - 5) / timeline_column_count();

	if (width > 44)
		return 44;
	return width < 18 ? 18 : width;
}

void timeline_print(FILE *out, const struct result *result)
{
	uint32_t width = column_width(), last = 0;
	bool is_in_cycle = false;

	fprintf(out, "     ");
	for (uint32_t c = 0; c < timeline_column_count(); c++)
		fprintf(out, "| %-*.*s", (int)width - 2, (int)width - 2, timeline_heading(c));
	fprintf(out, "\n");
	for (uint32_t i = 0; i < engine.event_count; i++) {
		const struct event *event = &engine.events[i];
		char text[TEXT_SIZE * 2], place[TEXT_SIZE];

		if (!is_in_cycle && event->step > result->cycle_start) {
			fprintf(out, "     ---- from here on for ever ----\n");
			is_in_cycle = true;
		}
		timeline_text(event, text, TEXT_SIZE);
		timeline_place(event, place, sizeof(place));
		if (place[0] && strlen(text) + strlen(place) + 5 <= width) {
			strcat(text, "  ");
			strcat(text, place);
			place[0] = 0;
		}
		print_row(out, event->step != last ? event->step : 0, timeline_column(event), width,
		    text);
		print_row(out, 0, timeline_column(event), width, place);
		last = event->step;
	}
}
