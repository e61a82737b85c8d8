/* SPDX-License-Identifier: MIT */
/*
 * The differential tester of core/ against Linux KVM's in-kernel interrupt controllers: random
 * steps into both, everything compared after each; what differs and is not listed is made small.
 */
#include "tests/oracle/kvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define SEQUENCE_MAX 4096u
#define SHRINK_TRIES 600u
#define SKIP_STATUS  77

static struct {
	uint64_t steps, seed;
	double seconds;
	uint32_t vcpu_count; /* 0: 1 to 8 */
	uint32_t length;     /* steps of a sequence */
	uint32_t failures;   /* go on until so many sequences have failed */
	bool all;            /* each listed difference must be seen; random steps after a replay */
	const char *record;
	const char *replay;
} options = {.steps = 100000, .seed = 1, .length = 4000, .failures = 1};

static struct step sequence[SEQUENCE_MAX];
static uint32_t sequence_length;
static struct comparison comparison;
static FILE *record;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- Records ------------------------------------------------------------------------------- */

static void record_changes(const struct state *before, const struct state *after)
{
	for (uint32_t cell = 0; cell < CELL_RESULT; cell++) {
		if (before->cell[cell] != after->cell[cell])
			fprintf(record, " %x=%llx", cell, (unsigned long long)after->cell[cell]);
	}
	fputc('\n', record);
}

static void record_begin(void)
{
	static const struct state nothing;

	fprintf(record, "vm %u %u %u", comparison.shape.vcpu_count, comparison.shape.apic_id_step,
	    comparison.shape.wide_ids);
	record_changes(&nothing, &comparison.theirs);
}

static void record_step(const struct step *step, uint32_t index)
{
	char text[64];

	step_print(text, sizeof(text), step);
	fprintf(record, "%u %s %llx", index, text,
	    (unsigned long long)comparison.theirs.cell[CELL_RESULT]);
	record_changes(&comparison.before, &comparison.theirs);
}

/* ---- Sequences ----------------------------------------------------------------------------- */

static void begin(const struct shape *shape)
{
	struct reading all = reading_all(shape);

	memset(&comparison.theirs, 0, sizeof(comparison.theirs));
	kvm_make(shape);
	kvm_read(&all, &comparison.theirs);
	compare_begin(&comparison, shape);
	if (record)
		record_begin();
}

static void take(const struct step *step, uint32_t index, const struct reading *reading)
{
	kvm_step(step, &comparison.before, &comparison.theirs);
	kvm_read(reading, &comparison.theirs);
	if (record)
		record_step(step, index);
	core_step(step, reading, &comparison.ours);
	compare_step(&comparison, step, reading);
}

static bool is_over(double start)
{
	if (options.steps && comparison.step_count >= options.steps)
		return true;
	return options.seconds > 0 && comparison.step_count % 64 == 0 &&
	       now() - start >= options.seconds;
}

static void run_sequence(uint64_t seed, double start)
{
	struct random random = {seed * 0x2545f4914f6cdd1dull};
	struct shape shape = shape_choose(&random, options.vcpu_count);

	begin(&shape);
	sequence_length = 0;
	while (sequence_length < options.length && !comparison.is_failed && !is_over(start)) {
		struct step step =
		    step_choose(&random, &shape, &comparison.before, sequence_length);
		struct reading reading =
		    step_reading(&shape, &step, &comparison.before, sequence_length);

		if (!step_applies(&shape, &step, &comparison.before))
			continue;
		sequence[sequence_length++] = step;
		take(&step, sequence_length - 1, &reading);
	}
}

/* ---- Making it small ----------------------------------------------------------------------- */

/* In a fresh VM, everything compared after each step.  True: it fails; *used is how many it took.
 */
static bool fails(
    const struct shape *shape, const struct step *steps, uint32_t length, uint32_t *used)
{
	struct reading all = reading_all(shape);

	begin(shape);
	for (uint32_t i = 0; i < length && !comparison.is_failed; i++) {
		*used = i + 1;
		if (step_applies(shape, &steps[i], &comparison.before))
			take(&steps[i], i, &all);
	}
	return comparison.is_failed;
}

/* Drop pieces, large ones first, as long as what is left fails in the same cell. */
static void shrink(const struct shape *shape, uint32_t cell)
{
	static struct step candidate[SEQUENCE_MAX];
	uint32_t tries = 0;

	for (uint32_t size = sequence_length / 2; size; size = size > 1 ? (size + 1) / 2 : 0) {
		for (uint32_t at = 0; at < sequence_length && tries < SHRINK_TRIES;) {
			uint32_t cut = at + size < sequence_length ? size : sequence_length - at;
			uint32_t length = sequence_length - cut, used = 0;

			tries++;
			memcpy(candidate, sequence, at * sizeof(*candidate));
			memcpy(candidate + at, sequence + at + cut,
			    (length - at) * sizeof(*candidate));
			if (fails(shape, candidate, length, &used) &&
			    comparison.found.cell == cell) {
				memcpy(sequence, candidate, used * sizeof(*candidate));
				sequence_length = used;
			} else {
				at += size;
			}
		}
	}
}

static void print_sequence(const struct shape *shape)
{
	printf("# vm %u %u %u\n", shape->vcpu_count, shape->apic_id_step, shape->wide_ids);
	for (uint32_t i = 0; i < sequence_length; i++) {
		char text[64];

		step_print(text, sizeof(text), &sequence[i]);
		printf("# %s\n", text);
	}
}

static void make_small(void)
{
	struct shape shape = comparison.shape;
	uint32_t used = 0, cell = comparison.found.cell;

	if (!fails(&shape, sequence, sequence_length, &used)) {
		printf("# not so when everything is compared after each step\n");
		print_sequence(&shape);
		return;
	}
	sequence_length = used;
	shrink(&shape, cell);
	print_sequence(&shape);
	(void)fails(&shape, sequence, sequence_length, &used);
	compare_report(&comparison);
}

/* What that takes does not count, and is not recorded. */
static void explain(uint64_t seed)
{
	uint64_t step_count = comparison.step_count;
	FILE *kept = record;

	printf("# seed %llu, step %u\n", (unsigned long long)seed, sequence_length);
	compare_report(&comparison);
	record = NULL;
	make_small();
	record = kept;
	comparison.step_count = step_count;
}

/* ---- The program --------------------------------------------------------------------------- */

/* The sequence that was read. */
static bool run_read(const struct shape *shape)
{
	uint32_t used = 0, length = sequence_length;

	sequence_length = 0;
	if (!length || !fails(shape, sequence, length, &used))
		return true;
	compare_report(&comparison);
	return false;
}

/* Sequences as they are printed, without the "# "; each begins with "vm".  True: none fails. */
static bool run_file(const char *path)
{
	struct shape shape = {.vcpu_count = 1, .apic_id_step = 1};
	bool is_good = true;
	char line[256];
	unsigned wide = 0;
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "vm ", 3) == 0) {
			is_good &= run_read(&shape);
			sscanf(line, "vm %u %u %u", &shape.vcpu_count, &shape.apic_id_step, &wide);
			shape.wide_ids = wide != 0;
		} else if (sequence_length < SEQUENCE_MAX) {
			sequence_length += step_parse(line, &sequence[sequence_length]);
		}
	}
	fclose(file);
	return run_read(&shape) && is_good;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (strcmp(argv[i], "--steps") == 0)
			options.steps = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			options.seconds = strtod(value, NULL);
		else if (strcmp(argv[i], "--vcpus") == 0)
			options.vcpu_count =
			    (uint32_t)strtoul(value, NULL, 10) % (ORACLE_VCPU_MAX + 1);
		else if (strcmp(argv[i], "--length") == 0)
			options.length = (uint32_t)strtoul(value, NULL, 10) % (SEQUENCE_MAX + 1);
		else if (strcmp(argv[i], "--all") == 0)
			options.all = strtoul(value, NULL, 10) != 0;
		else if (strcmp(argv[i], "--failures") == 0)
			options.failures = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--record") == 0)
			options.record = value;
		else if (strcmp(argv[i], "--replay") == 0)
			options.replay = value;
		else if (strcmp(argv[i], "--show") == 0)
			comparison.show = value;
	}
}

/* Sequences, each from a seed of its own; a failed one is explained.  Returns how many failed. */
static uint32_t run_all(const char *system)
{
	double start = now();
	uint64_t seed = options.seed;
	uint32_t failure_count = 0;

	for (; failure_count < options.failures && !is_over(start); seed++) {
		run_sequence(seed, start);
		if (!comparison.is_failed)
			continue;
		failure_count++;
		explain(seed);
	}
	printf("# %.1f s on Linux %s, seeds %llu to %llu\n", now() - start, system,
	    (unsigned long long)options.seed, (unsigned long long)(seed - 1));
	return failure_count;
}

int main(int argc, char **argv)
{
	const char *missing = kvm_open();
	struct utsname system;
	bool is_good;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	comparison.put = kvm_put;
	if (missing) {
		printf("skipped: %s\n", missing);
		return SKIP_STATUS;
	}
	uname(&system);
	record = options.record ? fopen(options.record, "w") : NULL;
	if (record)
		fprintf(record, "# KVM of Linux %s, seed %llu\n", system.release,
		    (unsigned long long)options.seed);
	is_good = !options.replay || run_file(options.replay);
	if (!options.replay || options.all)
		is_good &= run_all(system.release) == 0;
	comparison.is_failed = !is_good;
	status = compare_verdict(&comparison, options.all);
	printf("%s 1 - as KVM says, or listed\n1..1\n", status ? "not ok" : "ok");
	return status;
}
