/* SPDX-License-Identifier: MIT */
/* The fence audit: every ordering site and assumption weakened, one at a time and all at once. */
#include <string.h>

#include "lab/engine.h"

#define CANDIDATE_MAX (SITE_COUNT * 2 + LAB_ASSUMPTION_COUNT)

/* What one weakening did to the scenarios that hold without it. */
struct finding {
	struct lab_weakening weakening;
	const struct lab_scenario *broken; /* the first scenario that fails with it */
	uint32_t broken_count, step_count;
	uint32_t unknown_count; /* scenarios cut short by a budget */
	char what[sizeof(((struct failure *)NULL)->what)];
};

static struct finding findings[CANDIDATE_MAX];
static uint32_t finding_count;

static void candidates(void)
{
	finding_count = 0;
	for (uint32_t site = SITE_NONE + 1; site < SITE_COUNT; site++) {
		const char *kind = site_kind(site);

		if (!strcmp(kind, "STEP"))
			findings[finding_count++].weakening = (struct lab_weakening){ site, LAB_LEFT_OUT };
		if (!strcmp(kind, "RMW") || !strcmp(kind, "PUBLISH") || !strcmp(kind, "FENCE"))
			findings[finding_count++].weakening = (struct lab_weakening){ site, LAB_UNFENCED };
		if (!strcmp(kind, "RMW"))
			findings[finding_count++].weakening = (struct lab_weakening){ site, LAB_UNLOCKED };
	}
	for (uint32_t i = 0; i < LAB_ASSUMPTION_COUNT; i++)
		findings[finding_count++].weakening =
		    (struct lab_weakening){ LAB_ASSUMED(i), LAB_LEFT_OUT };
}

/* Scenarios that fail as the code is: nothing can be shown with them. */
static const struct lab_scenario *failing[64];
static uint32_t failing_count;

static bool is_subject(const struct lab_scenario *scenario, const char *only)
{
	for (uint32_t i = 0; i < failing_count; i++) {
		if (failing[i] == scenario)
			return false;
	}
	if (only)
		return !strcmp(scenario->name, only);
	return !scenario->mutant_of_bug && scenario->weakenings[0].how == LAB_STRONG &&
	    scenario->expect_tso == LAB_HOLDS && strncmp(scenario->name, "self-", 5);
}

static void judge(struct finding *finding, const struct lab_scenario *scenario,
    const struct options *options)
{
	static struct result result;
	struct options own = *options;

	own.sender_count = scenario_senders(scenario, options->sender_count);
	weakenings_reset(scenario);
	weakening_apply(finding->weakening);
	explore(scenario, &own, &result);
	if (result.status == STATUS_TIME || result.status == STATUS_MEMORY) {
		finding->unknown_count++;
		return;
	}
	if (result.status == STATUS_HOLDS)
		return;
	if (!finding->broken || result.path_count < finding->step_count) {
		finding->broken = scenario;
		finding->step_count = result.path_count;
		snprintf(finding->what, sizeof(finding->what), "%s", result.failure.what);
	}
	finding->broken_count++;
}

static void name_of(struct lab_weakening weakening, char *text, size_t size)
{
	if (weakening.site >= LAB_ASSUMED(0))
		snprintf(text, size, "assume %s", assumption_name(weakening.site - LAB_ASSUMED(0)));
	else
		snprintf(text, size, "%s %s", site_name(weakening.site), weakness_name(weakening.how));
}

static void print_finding(FILE *out, const struct finding *finding, uint32_t subject_count)
{
	char name[96];

	name_of(finding->weakening, name, sizeof(name));
	if (finding->broken)
		fprintf(out, "| %s | necessary | %s, %u steps: %s |\n", name, finding->broken->name,
		    finding->step_count, finding->what);
	else if (finding->unknown_count)
		fprintf(out, "| %s | unknown | %u of %u scenarios cut short by a budget |\n", name,
		    finding->unknown_count, subject_count);
	else
		fprintf(out, "| %s | not shown necessary | %u scenarios hold without it |\n", name,
		    subject_count);
}

/* All that was not shown necessary by itself, weakened together. */
static void judge_all(FILE *out, const struct options *options, const char *only)
{
	static struct result result;
	uint32_t held = 0, total = 0;

	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		struct options own = *options;

		if (!is_subject(*s, only))
			continue;
		own.sender_count = scenario_senders(*s, options->sender_count);
		weakenings_reset(*s);
		for (uint32_t i = 0; i < finding_count; i++) {
			if (!findings[i].broken)
				weakening_apply(findings[i].weakening);
		}
		explore(*s, &own, &result);
		total++;
		held += result.status == STATUS_HOLDS;
		if (result.status != STATUS_HOLDS)
			fprintf(out, "\nAll at once, `%s` fails: %s (%u steps).\n", (*s)->name,
			    result.path_count ? result.failure.what : status_name(result.status),
			    result.path_count);
	}
	fprintf(out, "\nAll that was not shown necessary, left out at once: %u of %u scenarios hold.\n",
	    held, total);
}

/* What does not hold with everything in place is set aside, and named. */
static void find_failing(FILE *out, const struct options *options, const char *only)
{
	static struct result result;

	failing_count = 0;
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		struct options own = *options;

		if (!is_subject(*s, only))
			continue;
		own.sender_count = scenario_senders(*s, options->sender_count);
		weakenings_reset(*s);
		explore(*s, &own, &result);
		if (result.status == STATUS_HOLDS || failing_count == 64)
			continue;
		failing[failing_count++] = *s;
		fprintf(out, "Set aside: `%s` does not hold as the code is (%s).\n\n", (*s)->name,
		    status_name(result.status));
	}
}

enum lab_status audit_run(const struct options *options, const char *only, FILE *out)
{
	uint32_t subject_count = 0;

	memset(findings, 0, sizeof(findings));
	candidates();
	fprintf(out, "Model %s, %u sender%s where a scenario has any.\n\n",
	    options->model == LAB_TSO ? "x86-TSO" : "SC", options->sender_count ? options->sender_count : 0,
	    options->sender_count == 1 ? "" : "s (0: each scenario's default)");
	find_failing(out, options, only);
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++)
		subject_count += is_subject(*s, only);
	if (!subject_count) {
		fprintf(stderr, "posthorn-lab: no scenario to audit\n");
		return STATUS_EMPTY;
	}
	fprintf(out, "| weakened | verdict | by |\n| --- | --- | --- |\n");
	for (uint32_t i = 0; i < finding_count; i++) {
		for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
			if (is_subject(*s, only))
				judge(&findings[i], *s, options);
		}
		print_finding(out, &findings[i], subject_count);
		fflush(out);
	}
	judge_all(out, options, only);
	return STATUS_HOLDS;
}
