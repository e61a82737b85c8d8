/* SPDX-License-Identifier: MIT */
/* What Posthorn says on its control channel (COM2): log lines, VM stops, delivery tables. */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "cli/options.h"
#include "cli/tables.h"
#include "cli/trace.h"

#include <stdio.h>

#define CONTROL_LINE_SIZE  4096
#define CONTROL_TAIL_COUNT 64

struct vm_verdict {
	char name[VM_NAME_SIZE];
	char reason[80];
	bool is_abnormal;
	unsigned int code;
};

/* All owned by the one thread of the command. */
struct control {
	char line[CONTROL_LINE_SIZE];
	size_t length;
	FILE *log;                      /* where log lines go, or NULL */
	bool is_verbose;                /* log lines on standard error, too */
	char *tail[CONTROL_TAIL_COUNT]; /* the last log lines, a ring */
	size_t tail_next;
	struct vm_verdict verdicts[VM_MAX];
	uint32_t verdict_count;
	bool has_ended; /* "@end" was seen */
	unsigned int end_status; /* its number */
	struct tables tables;
	struct trace trace;
};

/* @log may be NULL and stays the caller's. */
void control_init(struct control *control, FILE *log, bool is_verbose);
void control_free(struct control *control);

/* Take bytes as they come; incomplete lines are kept, lines too long are cut. */
void control_feed(struct control *control, const char *bytes, size_t size);

/* Print the last @count log lines on standard error, for a panic or a refusal. */
void control_print_tail(const struct control *control, size_t count);

/* The exit status that the VMs' verdicts amount to; says on standard error what went wrong. */
int control_status(const struct control *control, uint32_t vm_count);

#endif
