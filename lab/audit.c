/* SPDX-License-Identifier: MIT */
/* The fence audit: every ordering site and assumption weakened, one at a time and all at once. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/engine.h"

#define CANDIDATE_MAX (SITE_COUNT * 2 + LAB_ASSUMPTION_COUNT)
#define SUBJECT_MAX   96u
#define SENDERS_MAX   2u /* audited with one sender, and with two where that is small */
/* What a scenario's search may have, with one sender and with two, to be audited. */
static const uint32_t state_max[SENDERS_MAX + 1] = {0, 400000, 200000};

/* What one weakening did to the scenarios that hold without it. */
struct finding {
	struct lab_weakening weakening;
	const struct lab_scenario *broken; /* the first scenario that fails with it */
	uint32_t step_count, sender_count;
	uint32_t unknown_count; /* scenarios cut short by a budget */
	uint32_t reached_count; /* scenarios that come to it, and hold with one sender */
	char what[sizeof(((struct failure *)NULL)->what)];
};

/* A scenario that holds, by how many senders; one that fails as the code is has none. */
struct subject {
	const struct lab_scenario *scenario;
	enum lab_status status; /* with one sender */
	bool holds[SENDERS_MAX + 1];
	bool reached[SENDERS_MAX + 1][SITE_COUNT + LAB_ASSUMPTION_COUNT + 1];
	struct learned learned[SENDERS_MAX + 1];
	/* With all weakened that was not shown necessary. */
	bool holds_without;
	uint32_t step_count;
	char what[sizeof(((struct failure *)NULL)->what)];
};

/* Shared by the processes. */
static struct audit {
	struct finding findings[CANDIDATE_MAX];
	struct subject subjects[SUBJECT_MAX];
	uint32_t next;
} * audit;
static uint32_t finding_count, subject_count;
static const struct options *options;

/* ---- Work for several processes ---- */

static void work(uint32_t count, void (*do_one)(uint32_t))
{
	for (;;) {
		uint32_t i = __atomic_fetch_add(&audit->next, 1, __ATOMIC_RELAXED);

		if (i >= count)
			return;
		do_one(i);
	}
}

static void do_all(uint32_t count, void (*do_one)(uint32_t))
{
	pid_t children[JOBS_MAX] = {0};
	int status;

	audit->next = 0;
	fflush(NULL);
	for (uint32_t i = 1; i < options->jobs && i < JOBS_MAX; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			work(count, do_one);
			_exit(0);
		}
	}
	work(count, do_one);
	for (uint32_t i = 1; i < JOBS_MAX; i++) {
		if (children[i] <= 0)
			continue;
		if (waitpid(children[i], &status, 0) < 0 || status != 0) {
			fprintf(stderr, "posthorn-lab: a process of the audit died\n");
			exit(STATUS_SYSTEM);
		}
	}
}

/* ---- What to weaken, where ---- */

static void add_candidate(uint32_t site, enum lab_weakness how)
{
	audit->findings[finding_count++].weakening = (struct lab_weakening){site, how};
}

static void candidates(void)
{
	for (uint32_t site = SITE_NONE + 1; site < SITE_COUNT; site++) {
		const char *kind = site_kind(site);

		if (!strcmp(kind, "STEP"))
			add_candidate(site, LAB_LEFT_OUT);
		if (!strcmp(kind, "RMW") || !strcmp(kind, "PUBLISH") || !strcmp(kind, "FENCE"))
			add_candidate(site, LAB_UNFENCED);
		if (!strcmp(kind, "RMW"))
			add_candidate(site, LAB_UNLOCKED);
	}
	weakenings_reset(*scenario_all());
	for (uint32_t i = 0; i < LAB_ASSUMPTION_COUNT; i++) {
		if (engine.assumed[i])
			add_candidate(LAB_ASSUMED(i), LAB_LEFT_OUT);
	}
}

static bool is_subject(const struct lab_scenario *scenario, const char *only)
{
	if (only)
		return !strcmp(scenario->name, only);
	return !scenario->mutant_of_bug && scenario->weakenings[0].how == LAB_STRONG &&
	       scenario->expect_tso == LAB_HOLDS && strncmp(scenario->name, "self-", 5);
}

/* Does it hold as the code is, and what does it come to? */
static void look_at(uint32_t index)
{
	static struct result result;
	struct subject *subject = &audit->subjects[index];
	struct options own = *options;

	own.jobs = 1;
	weakenings_reset(subject->scenario);
	for (uint32_t n = 1; n <= SENDERS_MAX; n++) {
		own.sender_count = scenario_senders(subject->scenario, n);
		explore(subject->scenario, &own, &result);
		if (n == 1)
			subject->status = result.status;
		subject->holds[n] =
		    result.status == STATUS_HOLDS && result.state_count <= state_max[n];
		memcpy(subject->reached[n], engine.reached, sizeof(engine.reached));
		world_learned(&subject->learned[n]);
		if (!subject->holds[n] || subject->scenario->sender_max <= n ||
		    result.state_count > state_max[SENDERS_MAX] / 4)
			return;
	}
}

static uint32_t reached_index(struct lab_weakening weakening)
{
	return weakening.site >= LAB_ASSUMED(0) ? weakening.site - LAB_ASSUMED(0) + SITE_COUNT
	                                        : weakening.site;
}

static void judge(
    struct finding *finding, const struct subject *subject, uint32_t n, struct options *own)
{
	static struct result result;

	own->learned = &subject->learned[n];
	own->sender_count = scenario_senders(subject->scenario, n);
	weakenings_reset(subject->scenario);
	weakening_apply(finding->weakening);
	explore(subject->scenario, own, &result);
	if (result.status == STATUS_HOLDS)
		return;
	if (result.status != STATUS_VIOLATED && result.status != STATUS_ASSERTION) {
		finding->unknown_count++;
		return;
	}
	if (!finding->broken || result.path_count < finding->step_count) {
		finding->broken = subject->scenario;
		finding->step_count = result.path_count;
		finding->sender_count = own->sender_count;
		snprintf(finding->what, sizeof(finding->what), "%s", result.failure.what);
	}
}

/* One sender everywhere; two where that is small, for what one does not show. */
static void judge_everywhere(uint32_t index)
{
	struct finding *finding = &audit->findings[index];
	uint32_t site = reached_index(finding->weakening);
	struct options own = *options;

	own.jobs = 1;
	for (uint32_t n = 1; n <= SENDERS_MAX && !finding->broken; n++) {
		for (uint32_t i = 0; i < subject_count; i++) {
			const struct subject *subject = &audit->subjects[i];

			if (!subject->holds[n] || !subject->reached[n][site])
				continue;
			finding->reached_count += n == 1;
			judge(finding, subject, n, &own);
		}
	}
}

/* All that was not shown necessary by itself, weakened together. */
static void judge_all(uint32_t index)
{
	static struct result result;
	struct subject *subject = &audit->subjects[index];
	struct options own = *options;

	if (!subject->holds[1])
		return;
	own.jobs = 1;
	own.sender_count = scenario_senders(subject->scenario, 1);
	own.learned = &subject->learned[1];
	weakenings_reset(subject->scenario);
	for (uint32_t i = 0; i < finding_count; i++) {
		if (!audit->findings[i].broken)
			weakening_apply(audit->findings[i].weakening);
	}
	explore(subject->scenario, &own, &result);
	subject->holds_without = result.status == STATUS_HOLDS;
	subject->step_count = result.path_count;
	snprintf(subject->what, sizeof(subject->what), "%s", result.failure.what);
}

/* ---- The table ---- */

static uint32_t held_count(uint32_t senders)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < subject_count; i++)
		count += audit->subjects[i].holds[senders];
	return count;
}

static bool is_locked_already(struct lab_weakening weakening)
{
	return weakening.how == LAB_UNFENCED && !strcmp(site_kind(weakening.site), "RMW");
}

static void print_finding(FILE *out, const struct finding *finding)
{
	struct lab_weakening weakening = finding->weakening;
	char senders[32] = "";

	if (finding->sender_count)
		snprintf(senders, sizeof(senders), "%u sender%s, ", finding->sender_count,
		    finding->sender_count == 1 ? "" : "s");
	if (weakening.site >= LAB_ASSUMED(0))
		fprintf(out, "| assume %s | ", assumption_name(weakening.site - LAB_ASSUMED(0)));
	else
		fprintf(out, "| %s %s | ", site_name(weakening.site), weakness_name(weakening.how));
	if (finding->broken)
		fprintf(out, "necessary | %s, %s%u steps: %s |\n", finding->broken->name, senders,
		    finding->step_count, finding->what);
	else if (finding->unknown_count)
		fprintf(out, "unknown | %u searches cut short by a budget or bound |\n",
		    finding->unknown_count);
	else if (!finding->reached_count)
		fprintf(out, "not shown necessary | no scenario comes to it |\n");
	else if (is_locked_already(weakening))
		fprintf(out,
		    "not shown necessary | locked already: no x86 RMW is without its fence; %u "
		    "scenarios hold |\n",
		    finding->reached_count);
	else
		fprintf(out, "not shown necessary | %u scenarios hold |\n", finding->reached_count);
}

static void print_all_at_once(FILE *out)
{
	const struct subject *first = NULL;
	uint32_t held = 0;

	for (uint32_t i = 0; i < subject_count; i++) {
		const struct subject *subject = &audit->subjects[i];

		if (!subject->holds[1])
			continue;
		held += subject->holds_without;
		if (!subject->holds_without && (!first || subject->step_count < first->step_count))
			first = subject;
	}
	fprintf(out,
	    "\nAll that was not shown necessary, weakened at once: %u of %u scenarios hold with "
	    "one sender.\n",
	    held, held_count(1));
	if (first)
		fprintf(out,
		    "Shortest failure: `%s`, %u steps: %s. Some of them stand in for each other: "
		    "one alone may go, not all.\n",
		    first->scenario->name, first->step_count, first->what);
}

static void print_table(FILE *out)
{
	for (uint32_t i = 0; i < subject_count; i++) {
		const struct subject *subject = &audit->subjects[i];

		if (!subject->holds[1])
			fprintf(out, "Set aside: `%s` %s.\n\n", subject->scenario->name,
			    subject->status == STATUS_HOLDS ? "holds, and is too large for this"
			                                    : "does not hold as the code is");
	}
	fprintf(out, "Searched: %u scenarios with one sender, %u of them with two, %s.\n\n",
	    held_count(1), held_count(2), options->model == LAB_TSO ? "x86-TSO" : "SC");
	fprintf(out, "| weakened | verdict | by |\n| --- | --- | --- |\n");
	for (uint32_t i = 0; i < finding_count; i++)
		print_finding(out, &audit->findings[i]);
	print_all_at_once(out);
}

enum lab_status audit_run(const struct options *wanted, const char *only, FILE *out)
{
	options = wanted;
	audit =
	    mmap(NULL, sizeof(*audit), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (audit == MAP_FAILED)
		return STATUS_MEMORY;
	candidates();
	for (const struct lab_scenario *const *s = scenario_all(); *s; s++) {
		if (is_subject(*s, only) && subject_count < SUBJECT_MAX)
			audit->subjects[subject_count++].scenario = *s;
	}
	do_all(subject_count, look_at);
	if (!held_count(1)) {
		fprintf(stderr, "posthorn-lab: no scenario to audit\n");
		return STATUS_EMPTY;
	}
	do_all(finding_count, judge_everywhere);
	do_all(subject_count, judge_all);
	print_table(out);
	return STATUS_HOLDS;
}
