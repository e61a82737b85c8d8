/* SPDX-License-Identifier: MIT */
/* The fence audit: every ordering site and assumption weakened, one at a time and all at once. */
#include <string.h>

#include "lab/engine.h"

#define CANDIDATE_MAX (SITE_COUNT * 2 + LAB_ASSUMPTION_COUNT)

/* What one weakening did to the scenarios that hold without it. */
struct finding {
	struct lab_weakening weakening;
	const struct lab_scenario *broken; /* the first scenario that fails with it */
	uint32_t step_count, sender_count;
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
			findings[finding_count++].weakening =
			    (struct lab_weakening){site, LAB_LEFT_OUT};
		if (!strcmp(kind, "RMW") || !strcmp(kind, "PUBLISH") || !strcmp(kind, "FENCE"))
			findings[finding_count++].weakening =
			    (struct lab_weakening){site, LAB_UNFENCED};
		if (!strcmp(kind, "RMW"))
			findings[finding_count++].weakening =
			    (struct lab_weakening){site, LAB_UNLOCKED};
	}
	weakenings_reset(*scenario_all());
	for (uint32_t i = 0; i < LAB_ASSUMPTION_COUNT; i++) {
		if (!engine.assumed[i])
			continue;
		findings[finding_count++].weakening =
		    (struct lab_weakening){LAB_ASSUMED(i), LAB_LEFT_OUT};
	}
}

/* Scenarios by how many senders they are audited with; those that fail as the code is are left out.
 */
#define SUBJECT_MAX       64u
#define SMALL_STATE_COUNT 60000u /* audited with two senders as well */
struct subject {
	const struct lab_scenario *scenario;
	bool holds[3]; /* by number of senders; false: too large, or does not hold */
};
static struct subject subjects[SUBJECT_MAX];
static uint32_t subject_count;

static bool is_subject(const struct lab_scenario *scenario, const char *only)
{
	if (only)
		return !strcmp(scenario->name, only);
	return !scenario->mutant_of_bug && scenario->weakenings[0].how == LAB_STRONG &&
	       scenario->expect_tso == LAB_HOLDS && strncmp(scenario->name, "self-", 5);
}

static void judge(
    struct finding *finding, const struct lab_scenario *scenario, const struct options *options)
{
	static struct result result;

	weakenings_reset(scenario);
	weakening_apply(finding->weakening);
	explore(scenario, options, &result);
	if (result.status == STATUS_TIME || result.status == STATUS_MEMORY) {
		finding->unknown_count++;
		return;
	}
	if (result.status == STATUS_HOLDS)
		return;
	if (!finding->broken || result.path_count < finding->step_count) {
		finding->broken = scenario;
		finding->step_count = result.path_count;
		finding->sender_count = options->sender_count;
		snprintf(finding->what, sizeof(finding->what), "%s", result.failure.what);
	}
}

/* One sender everywhere; two where that is small, for what one does not show. */
static void judge_everywhere(struct finding *finding, const struct options *options)
{
	struct options own = *options;

	for (own.sender_count = 1; own.sender_count <= 2 && !finding->broken; own.sender_count++) {
		for (uint32_t i = 0; i < subject_count; i++) {
			if (subjects[i].holds[own.sender_count])
				judge(finding, subjects[i].scenario, &own);
		}
	}
}

static void name_of(struct lab_weakening weakening, char *text, size_t size)
{
	if (weakening.site >= LAB_ASSUMED(0))
		snprintf(text, size, "assume %s", assumption_name(weakening.site - LAB_ASSUMED(0)));
	else
		snprintf(
		    text, size, "%s %s", site_name(weakening.site), weakness_name(weakening.how));
}

static uint32_t held_count(uint32_t senders)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < subject_count; i++)
		count += subjects[i].holds[senders];
	return count;
}

static void print_finding(FILE *out, const struct finding *finding)
{
	char name[96];

	name_of(finding->weakening, name, sizeof(name));
	if (finding->broken)
		fprintf(out, "| %s | necessary | %s, %u sender%s, %u steps: %s |\n", name,
		    finding->broken->name, finding->sender_count,
		    finding->sender_count == 1 ? "" : "s", finding->step_count, finding->what);
	else if (finding->unknown_count)
		fprintf(out, "| %s | unknown | %u searches cut short by a budget |\n", name,
		    finding->unknown_count);
	else
		fprintf(out, "| %s | not shown necessary | |\n", name);
}

/* All that was not shown necessary by itself, weakened together. */
static void judge_all(FILE *out, const struct options *options)
{
	static struct result result;
	struct options own = *options;
	const struct lab_scenario *first = NULL;
	char what[sizeof(result.failure.what)];
	uint32_t held = 0, step_count = 0;

	own.sender_count = 1;
	for (uint32_t s = 0; s < subject_count; s++) {
		if (!subjects[s].holds[1])
			continue;
		weakenings_reset(subjects[s].scenario);
		for (uint32_t i = 0; i < finding_count; i++) {
			if (!findings[i].broken)
				weakening_apply(findings[i].weakening);
		}
		explore(subjects[s].scenario, &own, &result);
		held += result.status == STATUS_HOLDS;
		if (result.status != STATUS_HOLDS && (!first || result.path_count < step_count)) {
			first = subjects[s].scenario;
			step_count = result.path_count;
			snprintf(what, sizeof(what), "%s", result.failure.what);
		}
	}
	fprintf(out,
	    "\nAll that was not shown necessary, weakened at once: %u of %u scenarios hold with "
	    "one "
	    "sender.\n",
	    held, held_count(1));
	if (first)
		fprintf(out,
		    "Shortest failure: `%s`, %u steps: %s. Some of them stand in for each other: "
		    "one "
		    "alone may go, not all.\n",
		    first->name, step_count, what);
}

/* What does not hold with everything in place is set aside, and named. */
static void find_subjects(FILE *out, const struct options *options, const char *only)
{
	static struct result result;
	struct options own = *options;

	subject_count = 0;
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		struct subject *subject = &subjects[subject_count];

		if (!is_subject(*s, only) || subject_count == SUBJECT_MAX)
			continue;
		*subject = (struct subject){.scenario = *s};
		weakenings_reset(*s);
		for (own.sender_count = 1; own.sender_count <= 2; own.sender_count++) {
			explore(*s, &own, &result);
			subject->holds[own.sender_count] =
			    result.status == STATUS_HOLDS &&
			    (own.sender_count == 1 || result.state_count <= SMALL_STATE_COUNT);
			if (result.status != STATUS_HOLDS ||
			    result.state_count > SMALL_STATE_COUNT / 4)
				break;
		}
		if (result.status != STATUS_HOLDS && own.sender_count == 1)
			fprintf(out, "Set aside: `%s` does not hold as the code is (%s).\n\n",
			    (*s)->name, status_name(result.status));
		subject_count++;
	}
	fprintf(out, "Searched: %u scenarios with one sender, %u of them with two, %s.\n\n",
	    held_count(1), held_count(2), options->model == LAB_TSO ? "x86-TSO" : "SC");
}

enum lab_status audit_run(const struct options *options, const char *only, FILE *out)
{
	memset(findings, 0, sizeof(findings));
	candidates();
	find_subjects(out, options, only);
	if (!held_count(1)) {
		fprintf(stderr, "posthorn-lab: no scenario to audit\n");
		return STATUS_EMPTY;
	}
	fprintf(out, "| weakened | verdict | by |\n| --- | --- | --- |\n");
	for (uint32_t i = 0; i < finding_count; i++) {
		judge_everywhere(&findings[i], options);
		print_finding(out, &findings[i]);
		fflush(out);
	}
	judge_all(out, options);
	return STATUS_HOLDS;
}
