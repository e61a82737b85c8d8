/* SPDX-License-Identifier: MIT */
/* Reads the lines of Posthorn's control channel (COM2). */
#include "cli/control.h"

#include <stdlib.h>
#include <string.h>

void control_init(struct control *control, FILE *log, bool is_verbose)
{
	memset(control, 0, sizeof(*control));
	control->log = log;
	control->is_verbose = is_verbose;
}

void control_free(struct control *control)
{
	for (size_t i = 0; i < CONTROL_TAIL_COUNT; i++)
		free(control->tail[i]);
	tables_free(&control->tables);
	trace_free(&control->trace);
}

static void keep_in_tail(struct control *control, const char *line)
{
	char **slot = &control->tail[control->tail_next++ % CONTROL_TAIL_COUNT];

	free(*slot);
	*slot = cli_duplicate(line);
}

void control_print_tail(const struct control *control, size_t count)
{
	size_t first = control->tail_next > count ? control->tail_next - count : 0;

	for (size_t i = first; i < control->tail_next; i++) {
		const char *line = control->tail[i % CONTROL_TAIL_COUNT];

		if (control->tail_next - i <= CONTROL_TAIL_COUNT && line)
			fprintf(stderr, "%s\n", line);
	}
}

static bool is_normal_reason(const char *reason)
{
	return !strcmp(reason, "poweroff") || !strcmp(reason, "debug-exit") ||
	       !strcmp(reason, "reset");
}

/* "@vm NAME stopped REASON code=N"; the reason "error:TEXT" may hold blanks. */
static bool take_verdict(struct control *control, const char *line)
{
	struct vm_verdict verdict = {0};
	const char *code = strstr(line, " code=");
	size_t length;
	int at = 0;

	if (sscanf(line, "@vm %15s stopped %n", verdict.name, &at) != 1 || !at || !code)
		return false;
	if (code < line + at || control->verdict_count == VM_MAX)
		return false;
	length = (size_t)(code - (line + at));
	if (length >= sizeof(verdict.reason))
		length = sizeof(verdict.reason) - 1;
	memcpy(verdict.reason, line + at, length);
	verdict.is_abnormal = !is_normal_reason(verdict.reason);
	verdict.code = (unsigned int)strtoul(code + 6, NULL, 10);
	control->verdicts[control->verdict_count++] = verdict;
	return true;
}

static void take_line(struct control *control, char *line)
{
	bool is_known = true;

	if (control->log) {
		fprintf(control->log, "%s\n", line);
		fflush(control->log);
	}
	if (!strncmp(line, "@table ", 7))
		is_known = tables_take(&control->tables, line + 7);
	else if (!strncmp(line, "@trace", 6))
		is_known = trace_take(&control->trace, line);
	else if (!strncmp(line, "@vm ", 4))
		is_known = take_verdict(control, line);
	else if (sscanf(line, "@end status=%u", &control->end_status) == 1)
		control->has_ended = true;
	else
		is_known = false;
	if (is_known)
		return;
	keep_in_tail(control, line);
	if (control->is_verbose)
		fprintf(stderr, "%s\n", line);
}

void control_feed(struct control *control, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			control->line[control->length] = 0;
			if (control->length)
				take_line(control, control->line);
			control->length = 0;
		} else if (bytes[i] != '\r' && bytes[i] &&
		           control->length + 1 < CONTROL_LINE_SIZE) {
			control->line[control->length++] = bytes[i];
		}
	}
}

int control_status(const struct control *control, uint32_t vm_count)
{
	unsigned int highest = 0;
	int status = CLI_OK;

	for (uint32_t i = 0; i < control->verdict_count; i++) {
		const struct vm_verdict *verdict = &control->verdicts[i];

		if (verdict->is_abnormal)
			status = cli_fail(
			    CLI_VM_ABNORMAL, "%s stopped: %s", verdict->name, verdict->reason);
		else if (verdict->code > highest)
			highest = verdict->code;
	}
	if (status != CLI_OK)
		return status;
	if (control->verdict_count < vm_count)
		return cli_fail(CLI_IO_ERROR, "Posthorn ended, but only %u of %u VMs told how",
		    control->verdict_count, vm_count);
	return (int)(highest & 0xff);
}
