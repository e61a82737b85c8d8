/* SPDX-License-Identifier: MIT */
/* The delivery tables: Posthorn's counters by VM and virtual CPU, made readable. */
#ifndef CLI_TABLES_H
#define CLI_TABLES_H

#include "cli/options.h"

#include <stdio.h>

#define TABLE_KEY_MAX  128
#define TABLE_KEY_SIZE 40

struct vm_table {
	char name[VM_NAME_SIZE];
	char delivery[VM_CPU_MAX][12]; /* of each CPU: injected, virtual, posted */
	char inhibits[VM_CPU_MAX][64]; /* why it is not a faster one; empty: no reason */
	uint32_t cpu_count;
	uint64_t *counts[VM_CPU_MAX]; /* TABLE_KEY_MAX counters of each CPU, or NULL */
};

struct tables {
	char keys[TABLE_KEY_MAX][TABLE_KEY_SIZE]; /* in the order first seen */
	uint32_t key_count;
	struct vm_table vms[VM_MAX];
	uint32_t vm_count;
};

void tables_free(struct tables *tables);

/*
 * Take "NAME vcpu=I KEY=VALUE ...".  A row with the key "delivery" begins a CPU's report and
 * replaces what was known of it; rows without go on with it.
 */
bool tables_take(struct tables *tables, const char *row);

/* Print one table for each VM; nothing when there was none. */
void tables_print(const struct tables *tables, FILE *out);

#endif
