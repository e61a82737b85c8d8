/* SPDX-License-Identifier: MIT */
/*
 * Replay records of Linux KVM's interrupt controllers (tests/oracle/kvm.c --record) against core/:
 * the same steps, the same comparison, without KVM.  Each listed difference has to show in them.
 */
#include "tests/oracle/kvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY  8u
#define TEXT_MAX 4096

static struct comparison comparison;
static char history[HISTORY][TEXT_MAX];

/* "1f=20 24c=8081": cells of the oracle that have changed. */
static void read_changes(const char *text)
{
	for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
		const char *cell = equals;

		while (cell > text && cell[-1] != ' ')
			cell--;
		comparison.theirs.cell[strtoul(cell, NULL, 16) % CELL_COUNT] =
		    strtoull(equals + 1, NULL, 16);
	}
}

static void run_begin(const char *line)
{
	unsigned count = 1, step = 1, wide = 0;
	struct shape shape;

	sscanf(line, "vm %u %u %u", &count, &step, &wide);
	shape = (struct shape){.vcpu_count = count % (ORACLE_VCPU_MAX + 1),
	    .apic_id_step = step,
	    .wide_ids = wide != 0};
	memset(&comparison.theirs, 0, sizeof(comparison.theirs));
	read_changes(line);
	compare_begin(&comparison, &shape);
}

/* "17 W0 80f 1ff 0 f=1ff": index, step, result, changes. */
static bool run_step(const char *line)
{
	char *end;
	uint32_t index = (uint32_t)strtoul(line, &end, 10);
	struct reading reading;
	struct step step;

	if (end == line || !step_parse(end + 1, &step))
		return false;
	reading = step_reading(&comparison.shape, &step, &comparison.before, index);
	strtok(end + 1, " ");
	strtok(NULL, " ");
	strtok(NULL, " ");
	end = strtok(NULL, " ");
	comparison.theirs.cell[CELL_RESULT] = end ? strtoull(end, NULL, 16) : 0;
	end = strtok(NULL, "");
	read_changes(end ? end : "");
	core_step(&step, &reading, &comparison.ours);
	compare_step(&comparison, &step, &reading);
	return true;
}

static bool run_record(const char *path)
{
	static char line[TEXT_MAX];
	unsigned number = 0;
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		return false;
	}
	while (!comparison.is_failed && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = 0;
		memcpy(history[number++ % HISTORY], line, sizeof(line));
		if (strncmp(line, "vm ", 3) == 0)
			run_begin(line);
		else if (line[0] != '#' && !run_step(line))
			printf("# %s:%u: no step\n", path, number);
	}
	fclose(file);
	if (!comparison.is_failed)
		return true;
	printf("# %s:%u\n", path, number);
	compare_report(&comparison);
	for (unsigned i = 0; i < HISTORY; i++)
		printf("#   %.120s\n", history[(number + i) % HISTORY]);
	return false;
}

int main(int argc, char **argv)
{
	bool is_whole = true;
	int status;

	for (int i = 1; i < argc && is_whole; i++)
		is_whole = run_record(argv[i]);
	status = compare_verdict(&comparison, true) || !is_whole;
	printf("%s 1 - as KVM said, or listed\n1..1\n", status ? "not ok" : "ok");
	return status;
}
