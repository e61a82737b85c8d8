/* SPDX-License-Identifier: MIT */
/* Collects trace lines of the control channel and prints them as a timeline. */
#include "cli/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_WIDTH 30
#define COLUMN_COUNT 4 /* with more pCPUs, the pCPU is named in the line */

void trace_free(struct trace *trace)
{
	free(trace->events);
	memset(trace, 0, sizeof(*trace));
}

/* ---- In -------------------------------------------------------------------------------------- */

static struct trace_event *add_event(struct trace *trace)
{
	if (trace->count == trace->room) {
		trace->room = trace->room ? 2 * trace->room : 1024;
		trace->events = realloc(trace->events, trace->room * sizeof(*trace->events));
		if (!trace->events)
			exit(cli_fail(CLI_IO_ERROR, "out of memory"));
	}
	memset(&trace->events[trace->count], 0, sizeof(*trace->events));
	trace->events[trace->count].order = (uint32_t)trace->count;
	return &trace->events[trace->count++];
}

/* "pcpu=I tsc=T D,EVENT,VM,VCPU,X ..." */
static bool take_events(struct trace *trace, const char *line)
{
	struct trace_event event = {0};
	unsigned int pcpu, vm, vcpu;
	uint64_t tsc, delta;
	int length = 0;

	if (sscanf(line, "pcpu=%u tsc=%" SCNx64 "%n", &pcpu, &tsc, &length) != 2 ||
	    pcpu >= HOST_CPU_MAX)
		return false;
	for (line += length; *line; line += length) {
		if (sscanf(line, " %" SCNx64 ",%9[a-z?],%x,%x,%" SCNx64 "%n", &delta, event.event,
			&vm, &vcpu, &event.detail, &length) != 5 ||
		    vm >= VM_MAX || vcpu >= VM_CPU_MAX)
			return false;
		tsc += delta;
		event.tsc = tsc;
		event.pcpu = (uint16_t)pcpu;
		event.vm = (uint16_t)vm;
		event.vcpu = vcpu;
		event.order = (uint32_t)trace->count;
		*add_event(trace) = event;
	}
	return true;
}

static bool take_vm(struct trace *trace, const char *line)
{
	char name[VM_NAME_SIZE];
	unsigned int vm;

	if (sscanf(line, "%x %15s", &vm, name) != 2 || vm >= VM_MAX)
		return false;
	strcpy(trace->vms[vm], name);
	return true;
}

static const char *code_name(const struct trace *trace, uint64_t code)
{
	for (size_t i = 0; i < trace->code_count; i++) {
		if (trace->codes[i].code == code)
			return trace->codes[i].name;
	}
	return NULL;
}

static bool take_exit(struct trace *trace, const char *line)
{
	struct trace_code code;

	if (sscanf(line, "%" SCNx64 " %27s", &code.code, code.name) != 2)
		return false;
	if (trace->code_count < TRACE_CODE_MAX && !code_name(trace, code.code))
		trace->codes[trace->code_count++] = code;
	return true;
}

bool trace_take(struct trace *trace, const char *line)
{
	uint64_t lost;
	unsigned int pcpu;

	if (!strncmp(line, "@trace ", 7))
		return take_events(trace, line + 7);
	if (!strncmp(line, "@trace-vm ", 10))
		return take_vm(trace, line + 10);
	if (!strncmp(line, "@trace-exit ", 12))
		return take_exit(trace, line + 12);
	if (sscanf(line, "@trace-lost pcpu=%u %" SCNu64, &pcpu, &lost) == 2) {
		trace->lost_count += lost;
		return true;
	}
	return sscanf(line, "@trace-begin khz=%" SCNu64 " pcpus=%u", &trace->khz,
		   &trace->pcpu_count) == 2 &&
	       trace->khz;
}

/* ---- Out ------------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
	const struct trace_event *a = left, *b = right;

	if (a->tsc != b->tsc)
		return a->tsc < b->tsc ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void trace_sort(struct trace *trace)
{
	if (trace->count)
		qsort(trace->events, trace->count, sizeof(*trace->events), compare);
}

double trace_microseconds(const struct trace *trace, uint64_t tsc)
{
	return (double)(tsc - trace->events[0].tsc) * 1000 / (double)(trace->khz ? trace->khz : 1);
}

const char *trace_vm_name(const struct trace *trace, uint16_t vm)
{
	return trace->vms[vm][0] ? trace->vms[vm] : "?";
}

/* The event and what its detail says, by its comment in PH_TRACE_LIST. */
void trace_describe(const struct trace *trace, const struct trace_event *event, char *text, size_t size)
{
	static const char *const kinds[] = {"", "interrupt", "ExtINT", "NMI", "exception"};
	const char *name = code_name(trace, event->detail);
	uint64_t kind = event->detail >> 8;

	if (!strcmp(event->event, "exit") && name)
		snprintf(text, size, "exit %s", name);
	else if (!strcmp(event->event, "inject") && kind < sizeof(kinds) / sizeof(kinds[0]))
		snprintf(text, size, "inject %s %#" PRIx64, kinds[kind], event->detail & 0xff);
	else if (!strcmp(event->event, "window"))
		snprintf(text, size, "window%s%s", event->detail & 1 ? " interrupt" : "",
		    event->detail & 2 ? " NMI" : "");
	else if (event->detail)
		snprintf(text, size, "%s %#" PRIx64, event->event, event->detail);
	else
		snprintf(text, size, "%s", event->event);
}

static void print_event(const struct trace *trace, const struct trace_event *event, FILE *out)
{
	char what[64];

	trace_describe(trace, event, what, sizeof(what));
	fprintf(out, "%14.3f  ", trace_microseconds(trace, event->tsc));
	if (trace->pcpu_count > COLUMN_COUNT)
		fprintf(out, "pCPU %-3u ", event->pcpu);
	else
		fprintf(out, "%*s", COLUMN_WIDTH * event->pcpu, "");
	fprintf(out, "%s/%u %s\n", trace_vm_name(trace, event->vm), event->vcpu, what);
}

void trace_print(struct trace *trace, size_t limit, FILE *out)
{
	size_t first = trace->count > limit ? trace->count - limit : 0;

	trace_sort(trace);
	fprintf(out, "\nTrace: %zu events", trace->count);
	if (trace->lost_count)
		fprintf(out, ", %" PRIu64 " before them overwritten", trace->lost_count);
	if (first)
		fprintf(out, "; the last %zu", limit);
	fprintf(out, "\n%14s  ", "microseconds");
	for (uint32_t i = 0; i < trace->pcpu_count && trace->pcpu_count <= COLUMN_COUNT; i++)
		fprintf(out, "pCPU %-*u", i + 1 < trace->pcpu_count ? COLUMN_WIDTH - 5 : 1, i);
	fputc('\n', out);
	for (size_t i = first; i < trace->count; i++)
		print_event(trace, &trace->events[i], out);
	fflush(out);
}
