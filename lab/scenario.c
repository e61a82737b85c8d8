/* SPDX-License-Identifier: MIT */
/* The registry of scenarios, ordering sites and assumptions. */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

extern const struct lab_scenario *const __start_lab_scenarios[];
extern const struct lab_scenario *const __stop_lab_scenarios[];

static const struct {
	const char *name, *kind, *what;
} sites[] = {
#define SITE_ROW(name, kind, what) {#name, #kind, what},
    CORE_SITE_LIST(SITE_ROW)
#undef SITE_ROW
};

static const struct {
	const char *name;
	bool is_on;
} assumptions[] = {
#define ASSUMPTION_ROW(name, on, what, source) {#name, on},
    LAB_ASSUMPTION_LIST(ASSUMPTION_ROW)
#undef ASSUMPTION_ROW
};

static int by_name(const void *a, const void *b)
{
	const struct lab_scenario *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

const struct lab_scenario *const *scenario_all(void)
{
	static const struct lab_scenario **all;
	size_t count = (size_t)(__stop_lab_scenarios - __start_lab_scenarios);

	if (all)
		return all;
	all = calloc(count + 1, sizeof(*all));
	if (!all)
		exit(STATUS_MEMORY);
	for (size_t i = 0; i < count; i++)
		all[i] = __start_lab_scenarios[i];
	qsort(all, count, sizeof(*all), by_name);
	return all;
}

const struct lab_scenario *scenario_find(const char *name)
{
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		if (!strcmp((*s)->name, name))
			return *s;
	}
	return NULL;
}

uint32_t scenario_senders(const struct lab_scenario *scenario, uint32_t wanted)
{
	if (!scenario->sender_max || !wanted)
		return scenario->sender_default;
	return wanted < scenario->sender_max ? wanted : scenario->sender_max;
}

const char *site_name(uint32_t site)
{
	return sites[site].name;
}

const char *site_kind(uint32_t site)
{
	return sites[site].kind;
}

const char *site_what(uint32_t site)
{
	return sites[site].what;
}

const char *assumption_name(uint32_t assumption)
{
	return assumptions[assumption].name;
}

static const char *const weakness_names[] = {"strong", "unfenced", "unlocked", "left-out"};

const char *weakness_name(enum lab_weakness how)
{
	return weakness_names[how];
}

static enum lab_weakness default_weakness(uint32_t site)
{
	return strcmp(sites[site].kind, "STEP") ? LAB_UNFENCED : LAB_LEFT_OUT;
}

bool weakening_parse(const char *text, struct lab_weakening *weakening)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : strlen(text);

	for (uint32_t i = 0; i < LAB_ASSUMPTION_COUNT; i++) {
		if (!strncmp(assumptions[i].name, text, length) && !assumptions[i].name[length]) {
			*weakening = (struct lab_weakening){LAB_ASSUMED(i), LAB_LEFT_OUT};
			return true;
		}
	}
	for (uint32_t i = 0; i < SITE_COUNT; i++) {
		if (strncmp(sites[i].name, text, length) || sites[i].name[length])
			continue;
		*weakening = (struct lab_weakening){i, default_weakness(i)};
		if (!equals)
			return true;
		for (uint32_t how = LAB_UNFENCED; how <= LAB_LEFT_OUT; how++) {
			weakening->how = how;
			if (!strcmp(weakness_names[how], equals + 1))
				return true;
		}
	}
	return false;
}

void weakening_apply(struct lab_weakening weakening)
{
	if (weakening.site >= LAB_ASSUMED(0))
		engine.assumed[weakening.site - LAB_ASSUMED(0)] = false;
	else
		engine.weak[weakening.site] = weakening.how;
}

void weakenings_reset(const struct lab_scenario *scenario)
{
	memset(engine.weak, 0, sizeof(engine.weak));
	for (uint32_t i = 0; i < LAB_ASSUMPTION_COUNT; i++)
		engine.assumed[i] = assumptions[i].is_on;
	engine.assumed[LAB_NOTHING_DRAINS] = false;
	for (uint32_t i = 0; i < 4 && scenario->weakenings[i].how != LAB_STRONG; i++)
		weakening_apply(scenario->weakenings[i]);
}
