/* SPDX-License-Identifier: MIT */
/* The delivery table: one "@table" row per vCPU, split into more when it is too long. */
#include <stdarg.h>

#include "hypervisor/lib/log.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/vendor.h"

#define ROW_MAX 480u /* below LOG_LINE_MAX */

struct row {
	const struct vcpu *vcpu;
	uint32_t length;
	uint32_t start; /* where the keys begin */
	char text[ROW_MAX];
};

static void row_begin(struct row *row)
{
	row->length = (uint32_t)snprintf(row->text, ROW_MAX, "@table %s vcpu=%u", row->vcpu->vm->name,
	    row->vcpu->index);
	row->start = row->length;
}

static void row_end(const struct row *row)
{
	if (row->length > row->start)
		control_printf("%s", row->text);
}

static void row_add(struct row *row, const char *prefix, const char *key, uint64_t value)
{
	char pair[64];
	uint32_t length = (uint32_t)snprintf(pair, sizeof(pair), " %s%s=%llu", prefix, key,
	    (unsigned long long)value);

	if (row->length + length >= ROW_MAX) {
		row_end(row);
		row_begin(row);
	}
	memcpy(row->text + row->length, pair, length + 1);
	row->length += length;
}

static void add_text(struct row *row, const char *text)
{
	row->length += (uint32_t)snprintf(row->text + row->length, ROW_MAX - row->length, "%s", text);
}

/* Which delivery is active, and the reasons against a faster one, joined by commas. */
static void add_mode(struct row *row)
{
	static const char *const deliveries[] = {
#define DELIVERY_NAME(upper, lower) #lower,
	    PH_DELIVERY_LIST(DELIVERY_NAME)
#undef DELIVERY_NAME
	};
	static const char *const inhibits[PH_INHIBIT_COUNT] = {
#define INHIBIT_NAME(upper, name, what) name,
	    PH_INHIBIT_LIST(INHIBIT_NAME)
#undef INHIBIT_NAME
	};
	uint32_t bits = ph_vcpu_inhibits(row->vcpu->ph);
	const char *separator = " inhibits=";
	uint32_t i;

	add_text(row, " delivery=");
	add_text(row, deliveries[ph_vcpu_delivery(row->vcpu->ph)]);
	if (!bits)
		add_text(row, " inhibits=none");
	for (i = 0; i < PH_INHIBIT_COUNT; i++) {
		if (!(bits >> i & 1))
			continue;
		add_text(row, separator);
		add_text(row, inhibits[i]);
		separator = ",";
	}
}

static void add_delivery(struct row *row)
{
	static const char *const sources[PH_SOURCE_COUNT] = {
#define SOURCE_NAME(upper, lower) #lower,
	    PH_SOURCE_LIST(SOURCE_NAME)
#undef SOURCE_NAME
	};
	struct ph_counters counters;
	uint32_t i;

	ph_vcpu_counters(row->vcpu->ph, &counters);
	for (i = 0; i < PH_SOURCE_COUNT; i++)
		row_add(row, "posted_", sources[i], counters.posted_count[i]);
	row_add(row, "", "posted_nmi", counters.nmi_count);
	row_add(row, "", "injected", counters.injected_count);
	row_add(row, "", "notified", counters.notified_count);
	row_add(row, "", "elided", counters.elided_count);
	row_add(row, "", "woken", counters.woken_count);
	row_add(row, "", "kicked", counters.kicked_count);
	row_add(row, "", "windows", counters.window_count);
	row_add(row, "", "laps", counters.lap_count);
	row_add(row, "", "entries", counters.entry_count);
	row_add(row, "", "reinjected", counters.reinjected_count);
}

static void add_exits(struct row *row)
{
	const struct arch_vcpu *arch = row->vcpu->arch;
	uint32_t slot;

	for (slot = 0; slot < EXIT_SLOT_COUNT; slot++) {
		const char *name = vendor->slot_name(slot);

		if (!arch->exit_count[slot])
			continue;
		row_add(row, "exit_", name ? name : "other", arch->exit_count[slot]);
	}
}

void vm_print_tables(const struct vm *vm)
{
	struct row row;
	uint32_t i;

	for (i = 0; i < vm->cpu_count; i++) {
		row.vcpu = vm->vcpus[i];
		row_begin(&row);
		add_mode(&row);
		add_delivery(&row);
		row_add(&row, "", "migrations",
		    __atomic_load_n(&row.vcpu->thread->migration_count, __ATOMIC_RELAXED));
		add_exits(&row);
		row_end(&row);
	}
}
