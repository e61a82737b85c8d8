/* SPDX-License-Identifier: MIT */
/* The delivery tables: Posthorn's counters by VM and virtual CPU, made readable. */
#include "cli/tables.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN_WIDTH   11
#define LABEL_WIDTH    24
#define CPUS_PER_BLOCK 8

void tables_free(struct tables *tables)
{
	for (uint32_t vm = 0; vm < tables->vm_count; vm++) {
		for (uint32_t cpu = 0; cpu < VM_CPU_MAX; cpu++)
			free(tables->vms[vm].counts[cpu]);
	}
	memset(tables, 0, sizeof(*tables));
}

static struct vm_table *table_of(struct tables *tables, const char *name)
{
	for (uint32_t i = 0; i < tables->vm_count; i++) {
		if (!strcmp(tables->vms[i].name, name))
			return &tables->vms[i];
	}
	if (tables->vm_count == VM_MAX)
		return NULL;
	strcpy(tables->vms[tables->vm_count].name, name);
	return &tables->vms[tables->vm_count++];
}

/* The index of @key, added when new; -1 when there is no room. */
static int index_of_key(struct tables *tables, const char *key)
{
	for (uint32_t i = 0; i < tables->key_count; i++) {
		if (!strcmp(tables->keys[i], key))
			return (int)i;
	}
	if (tables->key_count == TABLE_KEY_MAX)
		return -1;
	snprintf(tables->keys[tables->key_count], TABLE_KEY_SIZE, "%.*s", TABLE_KEY_SIZE - 1, key);
	return (int)tables->key_count++;
}

static void begin_counts(struct vm_table *table, unsigned int cpu, bool is_first_row)
{
	size_t size = TABLE_KEY_MAX * sizeof(uint64_t);
	bool is_new = !table->counts[cpu];

	if (is_new)
		table->counts[cpu] = cli_allocate(size);
	if (is_new || is_first_row)
		memset(table->counts[cpu], 0, size);
	if (cpu >= table->cpu_count)
		table->cpu_count = cpu + 1;
}

static void take_pair(struct tables *tables, struct vm_table *table, unsigned int cpu, char *pair)
{
	char *value = strchr(pair, '=');
	int index;

	if (!value)
		return;
	*value++ = 0;
	if (!strcmp(pair, "delivery")) {
		snprintf(table->delivery[cpu], sizeof(table->delivery[cpu]), "%s", value);
		return;
	}
	if (!strcmp(pair, "inhibits")) {
		if (!strcmp(value, "none"))
			value = "";
		snprintf(table->inhibits[cpu], sizeof(table->inhibits[cpu]), "%s", value);
		return;
	}
	index = index_of_key(tables, pair);
	if (index >= 0)
		table->counts[cpu][index] = strtoull(value, NULL, 10);
}

bool tables_take(struct tables *tables, const char *row)
{
	char *copy, *pair, *rest = NULL;
	char name[VM_NAME_SIZE];
	struct vm_table *table;
	unsigned int cpu;
	int at = 0;

	if (sscanf(row, "%15s vcpu=%u%n", name, &cpu, &at) != 2 || cpu >= VM_CPU_MAX)
		return false;
	table = table_of(tables, name);
	if (!table)
		return false;
	begin_counts(table, cpu, strstr(row, " delivery=") != NULL);
	copy = cli_duplicate(row + at);
	for (pair = strtok_r(copy, " ", &rest); pair; pair = strtok_r(NULL, " ", &rest))
		take_pair(tables, table, cpu, pair);
	free(copy);
	return true;
}

static uint64_t count_at(const struct vm_table *table, uint32_t cpu, uint32_t key)
{
	return table->counts[cpu] ? table->counts[cpu][key] : 0;
}

static void print_row(const struct vm_table *table, uint32_t key, const char *label, uint32_t first,
    uint32_t end, FILE *out)
{
	uint64_t total = 0;

	for (uint32_t cpu = 0; cpu < table->cpu_count; cpu++)
		total += count_at(table, cpu, key);
	fprintf(out, "    %-*s", LABEL_WIDTH - 4, label);
	for (uint32_t cpu = first; cpu < end; cpu++)
		fprintf(out, "%*llu", COLUMN_WIDTH, (unsigned long long)count_at(table, cpu, key));
	if (end == table->cpu_count)
		fprintf(out, "%*llu", COLUMN_WIDTH, (unsigned long long)total);
	fputc('\n', out);
}

static bool is_all_zero(const struct vm_table *table, uint32_t key)
{
	for (uint32_t cpu = 0; cpu < table->cpu_count; cpu++) {
		if (count_at(table, cpu, key))
			return false;
	}
	return true;
}

enum section {
	SECTION_POSTED,
	SECTION_DELIVERY,
	SECTION_EXITS,
	SECTION_COUNT,
};

static const char *const section_titles[] = {
    [SECTION_POSTED] = "posted, by source",
    [SECTION_DELIVERY] = "delivery",
    [SECTION_EXITS] = "exits, by reason",
};

/* The section of @key; *@label receives the key without the section's prefix. */
static enum section section_of(const char *key, const char **label)
{
	if (!strncmp(key, "posted_", 7)) {
		*label = key + 7;
		return SECTION_POSTED;
	}
	if (!strncmp(key, "exit_", 5)) {
		*label = key + 5;
		return SECTION_EXITS;
	}
	*label = key;
	return SECTION_DELIVERY;
}

static void print_section(const struct tables *tables, const struct vm_table *table,
    enum section section, uint32_t first, uint32_t end, FILE *out)
{
	bool has_title = false;

	for (uint32_t key = 0; key < tables->key_count; key++) {
		const char *label;

		if (section_of(tables->keys[key], &label) != section)
			continue;
		/* Dozens of exit reasons never occur; a zero elsewhere says something. */
		if (section == SECTION_EXITS && is_all_zero(table, key))
			continue;
		if (!has_title)
			fprintf(out, "  %s\n", section_titles[section]);
		has_title = true;
		print_row(table, key, label, first, end, out);
	}
}

/* Which delivery each CPU has, and for each that could be faster, why it is not. */
static void print_modes(const struct vm_table *table, uint32_t first, uint32_t end, FILE *out)
{
	if (!table->delivery[first][0])
		return;
	fprintf(out, "%-*s", LABEL_WIDTH, "  mode");
	for (uint32_t cpu = first; cpu < end; cpu++)
		fprintf(out, "%*s", COLUMN_WIDTH, table->delivery[cpu]);
	fputc('\n', out);
	for (uint32_t cpu = first; cpu < end; cpu++) {
		if (table->inhibits[cpu][0])
			fprintf(out, "    vCPU %u is not faster because of: %s\n", cpu,
			    table->inhibits[cpu]);
	}
}

static void print_block(const struct tables *tables, const struct vm_table *table, uint32_t first,
    uint32_t end, FILE *out)
{
	char heading[COLUMN_WIDTH + 12];

	fprintf(out, "%-*s", LABEL_WIDTH, "");
	for (uint32_t cpu = first; cpu < end; cpu++) {
		snprintf(heading, sizeof(heading), "vCPU %u", cpu);
		fprintf(out, "%*s", COLUMN_WIDTH, heading);
	}
	if (end == table->cpu_count)
		fprintf(out, "%*s", COLUMN_WIDTH, "total");
	fputc('\n', out);
	print_modes(table, first, end, out);
	for (unsigned int section = 0; section < SECTION_COUNT; section++)
		print_section(tables, table, (enum section)section, first, end, out);
}

void tables_print(const struct tables *tables, FILE *out)
{
	for (uint32_t vm = 0; vm < tables->vm_count; vm++) {
		const struct vm_table *table = &tables->vms[vm];

		fprintf(out, "\nInterrupt delivery of %s\n", table->name);
		for (uint32_t first = 0; first < table->cpu_count; first += CPUS_PER_BLOCK) {
			uint32_t end = first + CPUS_PER_BLOCK;

			print_block(tables, table, first,
			    end < table->cpu_count ? end : table->cpu_count, out);
		}
	}
	fflush(out);
}
