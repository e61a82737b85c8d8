/* SPDX-License-Identifier: MIT */
/* The trace: delivery events of Posthorn's rings, as a timeline and as Chrome's trace JSON. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/options.h"

#include <stdio.h>

#define TRACE_NAME_SIZE 28
#define TRACE_CODE_MAX  256

struct trace_event {
	uint64_t tsc;
	uint64_t detail;
	uint32_t order; /* of arrival: one pCPU's events of the same tick stay in order */
	uint32_t vcpu;
	uint16_t pcpu;
	uint16_t vm;
	char event[10]; /* as in PH_TRACE_LIST */
};

struct trace_code {
	uint64_t code;
	char name[TRACE_NAME_SIZE];
};

/* All zero: empty. */
struct trace {
	struct trace_event *events;
	size_t count, room;
	uint64_t khz; /* host TSC; 0: no trace has begun */
	uint32_t pcpu_count;
	uint64_t lost_count;
	char vms[VM_MAX][VM_NAME_SIZE];
	struct trace_code codes[TRACE_CODE_MAX];
	size_t code_count;
};

void trace_free(struct trace *trace);

/* Take a line that begins with "@trace" (hypervisor/vm/trace.h); false when it is malformed. */
bool trace_take(struct trace *trace, const char *line);

/* By time, a column a pCPU; only the last @limit events. Sorts the events. */
void trace_print(struct trace *trace, size_t limit, FILE *out);

/* For chrome://tracing and Perfetto: slices in the guest and asleep, an instant for each other event. */
int trace_write_json(struct trace *trace, const char *path);

/* For those two. */
void trace_sort(struct trace *trace);
/* Since the first event; after trace_sort(). */
double trace_microseconds(const struct trace *trace, uint64_t tsc);
const char *trace_vm_name(const struct trace *trace, uint16_t vm);
/* "exit hlt", "post 0x41": the event with what its detail says. */
void trace_describe(
    const struct trace *trace, const struct trace_event *event, char *text, size_t size);

#endif
