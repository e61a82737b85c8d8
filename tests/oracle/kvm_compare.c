/* SPDX-License-Identifier: MIT */
/* The KVM oracle's comparison: every cell that was read, and the table of listed differences. */
#include "tests/oracle/kvm.h"

#include <stdio.h>
#include <string.h>

/* True: it is listed. */
static bool is_listed(struct comparison *comparison, const struct difference_case *c)
{
	for (size_t i = 0; i < difference_count; i++) {
		if (differences[i].is_this(c)) {
			comparison->used[i]++;
			return !comparison->show || !strstr(differences[i].name, comparison->show);
		}
	}
	return false;
}

static struct difference_case make_case(
    const struct comparison *comparison, const struct step *step, uint32_t cell)
{
	struct difference_case c = {.shape = &comparison->shape,
	    .step = step,
	    .before = &comparison->before,
	    .after = &comparison->theirs,
	    .core = &comparison->ours,
	    .routes = comparison->routes,
	    .cell = cell,
	    .vcpu = UINT32_MAX,
	    .reg = UINT32_MAX,
	    .ours = comparison->ours.cell[cell],
	    .theirs = comparison->theirs.cell[cell]};

	if (cell < CELL_IOAPIC) {
		c.vcpu = cell / VCPU_CELLS;
		if (cell % VCPU_CELLS < VCPU_BASE)
			c.reg = cell % VCPU_CELLS * 16;
	}
	return c;
}

static void add_part(struct reading *parts, uint32_t cell)
{
	if (cell < CELL_IOAPIC)
		parts->registers = parts->events |= (uint8_t)(1u << cell / VCPU_CELLS);
	else if (cell < CELL_PIC)
		parts->ioapic = true;
	else if (cell < CELL_RESULT)
		parts->pics = true;
}

static void compare_cell(struct comparison *comparison, const struct step *step, uint32_t cell)
{
	struct difference_case c = make_case(comparison, step, cell);

	if (is_listed(comparison, &c))
		return;
	if (!comparison->is_failed) {
		comparison->found = c;
		comparison->found_step = *step;
	}
	comparison->is_failed = true;
}

static void compare_cells(struct comparison *comparison, const struct step *step,
    struct cells cells, struct reading *parts)
{
	const uint64_t *ours = comparison->ours.cell, *theirs = comparison->theirs.cell;

	comparison->cell_count += cells.count;
	if (memcmp(&ours[cells.first], &theirs[cells.first], cells.count * sizeof(*ours)) == 0)
		return;
	for (uint32_t cell = cells.first; cell < cells.first + cells.count; cell++) {
		if (!((ours[cell] ^ theirs[cell]) & cell_mask(&comparison->theirs, cell)))
			continue;
		add_part(parts, cell);
		compare_cell(comparison, step, cell);
	}
}

/* Behind a listed difference the oracle goes on from core's state: each is seen by itself. */
static void put_parts(struct comparison *comparison, const struct reading *parts)
{
	if (parts->ioapic)
		core_lower_lines();
	core_read(parts, &comparison->ours);
	for (uint32_t i = 0; i < READING_PARTS - 1; i++) {
		struct cells cells = reading_part(parts, i);

		memcpy(&comparison->theirs.cell[cells.first], &comparison->ours.cell[cells.first],
		    cells.count * sizeof(uint64_t));
	}
	if (comparison->put)
		comparison->put(parts, &comparison->ours);
}

void compare_begin(struct comparison *comparison, const struct shape *shape)
{
	comparison->shape = *shape;
	for (uint32_t gsi = 0; gsi < ORACLE_GSIS; gsi++)
		comparison->routes[gsi] = route_default(gsi);
	memset(&comparison->ours, 0, sizeof(comparison->ours));
	comparison->before = comparison->theirs;
	comparison->is_failed = false;
	core_make(shape, &comparison->theirs);
}

void compare_step(
    struct comparison *comparison, const struct step *step, const struct reading *reading)
{
	struct reading parts = {0}, touched = *reading;

	comparison->step_count++;
	core_read(reading, &comparison->ours);
	for (uint32_t i = 0; i < READING_PARTS; i++)
		compare_cells(comparison, step, reading_part(reading, i), &parts);
	if (comparison->is_failed)
		return;
	if (step->op == 'g')
		comparison->routes[step->where % ORACLE_GSIS] = step->value;
	if (parts.registers || parts.ioapic || parts.pics)
		put_parts(comparison, &parts);
	touched.registers |= parts.registers;
	touched.events |= parts.events;
	for (uint32_t i = 0; i < READING_PARTS; i++) {
		struct cells cells = reading_part(&touched, i);

		memcpy(&comparison->before.cell[cells.first], &comparison->theirs.cell[cells.first],
		    cells.count * sizeof(uint64_t));
	}
}

void compare_report(const struct comparison *comparison)
{
	char step[64], cell[64];

	step_print(step, sizeof(step), &comparison->found_step);
	cell_print(cell, sizeof(cell), comparison->found.cell);
	printf("# unlisted difference after %s: %s: core %llx, KVM %llx\n", step, cell,
	    (unsigned long long)comparison->found.ours,
	    (unsigned long long)comparison->found.theirs);
}

int compare_verdict(const struct comparison *comparison, bool all)
{
	unsigned listed = 0, stale = 0;

	for (size_t i = 0; i < difference_count; i++) {
		printf("# %8llu times: %s\n", (unsigned long long)comparison->used[i],
		    differences[i].name);
		listed += comparison->used[i] != 0;
		stale += comparison->used[i] == 0;
	}
	printf("# %llu steps, %llu cells compared, %u listed differences seen, %u not seen\n",
	    (unsigned long long)comparison->step_count, (unsigned long long)comparison->cell_count,
	    listed, stale);
	if (all && stale)
		printf("# %u listed differences did not show\n", stale);
	return comparison->is_failed || !comparison->step_count || (all && stale);
}
