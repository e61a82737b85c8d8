/* SPDX-License-Identifier: MIT */
/* The trace as Chrome's "Trace Event Format", which Perfetto's viewer reads, too. */
#include "cli/trace.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PID_PCPUS 0 /* a "process" whose threads are the pCPUs; VM i is process i + 1 */

/* Since when a vCPU has been in the guest, or asleep; negative: it is not, as far as is known. */
struct vcpu_state {
	double entered, slept;
	uint16_t pcpu;
};

struct writer {
	const struct trace *trace;
	cJSON *list;
	struct vcpu_state vcpus[VM_MAX][VM_CPU_MAX];
};

static cJSON *add(struct writer *writer, const char *phase, const char *name, uint32_t pid, uint32_t tid)
{
	cJSON *entry = cJSON_CreateObject();

	cJSON_AddItemToArray(writer->list, entry);
	cJSON_AddStringToObject(entry, "ph", phase);
	cJSON_AddStringToObject(entry, "name", name);
	cJSON_AddNumberToObject(entry, "pid", pid);
	cJSON_AddNumberToObject(entry, "tid", tid);
	return entry;
}

static void add_name(struct writer *writer, const char *what, const char *name, uint32_t pid, uint32_t tid)
{
	cJSON *entry = add(writer, "M", what, pid, tid);

	cJSON_AddStringToObject(cJSON_AddObjectToObject(entry, "args"), "name", name);
}

static void add_slice(
    struct writer *writer, const char *name, uint32_t pid, uint32_t tid, double from, double to)
{
	cJSON *entry = add(writer, "X", name, pid, tid);

	cJSON_AddNumberToObject(entry, "ts", from);
	cJSON_AddNumberToObject(entry, "dur", to - from);
}

static void add_instant(struct writer *writer, const struct trace_event *event, double now)
{
	char what[64];
	cJSON *entry;

	trace_describe(writer->trace, event, what, sizeof(what));
	entry = add(writer, "i", what, event->vm + 1u, event->vcpu);
	cJSON_AddStringToObject(entry, "s", "t");
	cJSON_AddNumberToObject(entry, "ts", now);
	cJSON_AddNumberToObject(cJSON_AddObjectToObject(entry, "args"), "pCPU", event->pcpu);
}

/* An exit ends the slice that the entry began: on the vCPU's line by the exit, on the pCPU's by the vCPU. */
static void end_guest(struct writer *writer, const struct trace_event *event, double now)
{
	struct vcpu_state *vcpu = &writer->vcpus[event->vm][event->vcpu];
	char text[64];

	if (vcpu->entered < 0)
		return;
	trace_describe(writer->trace, event, text, sizeof(text));
	add_slice(writer, text, event->vm + 1u, event->vcpu, vcpu->entered, now);
	snprintf(text, sizeof(text), "%s/%u", trace_vm_name(writer->trace, event->vm), event->vcpu);
	add_slice(writer, text, PID_PCPUS, vcpu->pcpu, vcpu->entered, now);
	vcpu->entered = -1;
}

static void end_sleep(struct writer *writer, const struct trace_event *event, double now)
{
	struct vcpu_state *vcpu = &writer->vcpus[event->vm][event->vcpu];

	if (vcpu->slept >= 0)
		add_slice(writer, "asleep", event->vm + 1u, event->vcpu, vcpu->slept, now);
	vcpu->slept = -1;
}

static void add_event(struct writer *writer, const struct trace_event *event)
{
	struct vcpu_state *vcpu = &writer->vcpus[event->vm][event->vcpu];
	double now = trace_microseconds(writer->trace, event->tsc);

	if (!strcmp(event->event, "enter")) {
		end_sleep(writer, event, now);
		vcpu->entered = now;
		vcpu->pcpu = event->pcpu;
	} else if (!strcmp(event->event, "exit")) {
		end_guest(writer, event, now);
	} else if (!strcmp(event->event, "block")) {
		vcpu->slept = now;
	} else {
		add_instant(writer, event, now);
	}
}

static void add_names(struct writer *writer)
{
	const struct trace *trace = writer->trace;
	bool is_seen[VM_MAX][VM_CPU_MAX] = {{false}};
	char text[32];

	add_name(writer, "process_name", "pCPUs", PID_PCPUS, 0);
	for (uint32_t i = 0; i < trace->pcpu_count; i++) {
		snprintf(text, sizeof(text), "pCPU %u", i);
		add_name(writer, "thread_name", text, PID_PCPUS, i);
	}
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_event *event = &trace->events[i];

		if (is_seen[event->vm][event->vcpu])
			continue;
		is_seen[event->vm][event->vcpu] = true;
		add_name(writer, "process_name", trace_vm_name(trace, event->vm), event->vm + 1u, 0);
		snprintf(text, sizeof(text), "vCPU %u", event->vcpu);
		add_name(writer, "thread_name", text, event->vm + 1u, event->vcpu);
	}
}

static char *make_json(struct trace *trace)
{
	cJSON *document = cJSON_CreateObject();
	struct writer writer = {
	    .trace = trace,
	    .list = cJSON_AddArrayToObject(document, "traceEvents"),
	};
	char *text;

	for (size_t vm = 0; vm < VM_MAX; vm++) {
		for (size_t vcpu = 0; vcpu < VM_CPU_MAX; vcpu++)
			writer.vcpus[vm][vcpu] = (struct vcpu_state){.entered = -1, .slept = -1};
	}
	cJSON_AddStringToObject(document, "displayTimeUnit", "ns");
	trace_sort(trace);
	add_names(&writer);
	for (size_t i = 0; i < trace->count; i++)
		add_event(&writer, &trace->events[i]);
	text = cJSON_PrintUnformatted(document);
	cJSON_Delete(document);
	return text;
}

int trace_write_json(struct trace *trace, const char *path)
{
	FILE *file = fopen(path, "we");
	char *text = make_json(trace);
	bool is_saved = file && text && fprintf(file, "%s\n", text) > 0;

	if (file)
		is_saved = fclose(file) == 0 && is_saved;
	cJSON_free(text);
	return is_saved ? CLI_OK
	                : cli_fail(CLI_IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
}
