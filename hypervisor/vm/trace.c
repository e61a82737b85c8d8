/* SPDX-License-Identifier: MIT */
/* The binary trace ring of each pCPU. */
#include "hypervisor/vm/trace.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/vendor.h"
#include "hypervisor/vm/vm.h"

struct trace_event {
	uint64_t tsc;
	uint64_t detail;
	uint16_t event;
	uint16_t vm;
	uint32_t vcpu;
};
_Static_assert(sizeof(struct trace_event) == 24, "trace events have 24 bytes");

#define RING_ORDER  4u
#define RING_EVENTS 2048u /* a power of two */
#define LAST_EVENTS 16u   /* printed by a panic */
_Static_assert(RING_EVENTS * sizeof(struct trace_event) <= PAGE_SIZE << RING_ORDER, "ring");

static struct trace_ring {
	struct trace_event *events;
	uint64_t count;  /* recorded so far; atomic because handlers interrupt a recording */
	uint64_t dumped; /* of these, brought out; the dumping thread's */
} rings[PCPU_MAX];
static bool is_enabled;

int trace_enable(void)
{
	uint32_t i;

	for (i = 0; i < cpu_count(); i++) {
		rings[i].events = page_alloc(RING_ORDER);
		if (!rings[i].events)
			return -1;
	}
	is_enabled = true;
	return 0;
}

bool trace_is_enabled(void)
{
	return is_enabled;
}

void trace_record(uint32_t event, const struct ph_vcpu *vcpu, uint64_t detail)
{
	struct trace_ring *ring = &rings[cpu_index()];
	uint64_t slot = __atomic_fetch_add(&ring->count, 1, __ATOMIC_RELAXED);
	const struct vcpu *owner = ph_vcpu_host(vcpu);

	ring->events[slot % RING_EVENTS] = (struct trace_event){
	    .tsc = tsc_read(),
	    .detail = detail,
	    .event = (uint16_t)event,
	    .vm = (uint16_t)owner->vm->index,
	    .vcpu = owner->index,
	};
}

static const char *event_name(uint32_t event)
{
#define TRACE_NAME(upper, lower) #lower,
	static const char *const names[PH_TRACE_COUNT] = {PH_TRACE_LIST(TRACE_NAME)};
#undef TRACE_NAME

	return event < PH_TRACE_COUNT ? names[event] : "?";
}

/* ---- Out, by the control channel: slow, so several events to a line -------------------------- */

#define DUMP_LINE_MAX 400u /* below LOG_LINE_MAX */
#define DUMP_EVENT_MAX 64u

/* One line of events; each has its time since the one before. */
struct dump_line {
	uint32_t pcpu;
	uint32_t length;
	uint64_t tsc;
	char text[DUMP_LINE_MAX + DUMP_EVENT_MAX];
};

static void end_line(struct dump_line *line)
{
	if (line->length)
		control_printf("%s", line->text);
	line->length = 0;
}

static void dump_event(struct dump_line *line, const struct trace_event *event)
{
	if (!line->length) {
		line->tsc = event->tsc;
		line->length = (uint32_t)snprintf(line->text, sizeof(line->text),
		    "@trace pcpu=%u tsc=%llx", line->pcpu, (unsigned long long)event->tsc);
	}
	line->length += (uint32_t)snprintf(line->text + line->length, DUMP_EVENT_MAX,
	    " %llx,%s,%x,%x,%llx", (unsigned long long)(event->tsc - line->tsc),
	    event_name(event->event), event->vm, event->vcpu, (unsigned long long)event->detail);
	line->tsc = event->tsc;
	if (line->length >= DUMP_LINE_MAX)
		end_line(line);
}

/* Exit codes that a dump has met, to give their names once. */
struct codes {
	uint32_t count;
	uint64_t code[64];
};

static void note_code(struct codes *codes, const struct trace_event *event)
{
	uint32_t i;

	if (event->event != PH_TRACE_EXIT)
		return;
	for (i = 0; i < codes->count; i++)
		if (codes->code[i] == event->detail)
			return;
	if (codes->count < sizeof(codes->code) / sizeof(codes->code[0]))
		codes->code[codes->count++] = event->detail;
}

static void print_names(const struct codes *codes)
{
	uint32_t i;

	for (i = 0; i < vm_count(); i++)
		control_printf("@trace-vm %x %s", i, vm_by_index(i)->name);
	for (i = 0; i < codes->count; i++) {
		const char *name = vendor->code_name(codes->code[i]);

		if (name)
			control_printf("@trace-exit %llx %s", (unsigned long long)codes->code[i], name);
	}
}

/* Events from `first` on that are still there: the ring may be written meanwhile. */
static void dump_ring(uint32_t pcpu, uint64_t first, struct codes *codes)
{
	struct trace_ring *ring = &rings[pcpu];
	uint64_t count = __atomic_load_n(&ring->count, __ATOMIC_ACQUIRE);
	struct dump_line line = {.pcpu = pcpu};
	uint64_t i = count >= RING_EVENTS ? count - RING_EVENTS + 1 : 0;
	uint64_t lost = i > first ? i - first : 0;

	for (i = i > first ? i : first; i < count; i++) {
		struct trace_event event = ring->events[i % RING_EVENTS];

		if (__atomic_load_n(&ring->count, __ATOMIC_ACQUIRE) >= i + RING_EVENTS) {
			lost++;
			continue;
		}
		note_code(codes, &event);
		dump_event(&line, &event);
	}
	end_line(&line);
	ring->dumped = count;
	if (lost)
		control_printf("@trace-lost pcpu=%u %llu", pcpu, (unsigned long long)lost);
}

void trace_dump(void)
{
	struct codes codes = {0};
	uint32_t i;

	if (!is_enabled) {
		log_printf("trace: off (posthorn trace turns it on)");
		return;
	}
	control_printf("@trace-begin khz=%llu pcpus=%u", (unsigned long long)tsc_khz(), cpu_count());
	for (i = 0; i < cpu_count(); i++)
		dump_ring(i, rings[i].dumped, &codes);
	print_names(&codes);
}

void trace_dump_last(void)
{
	struct codes codes = {0};
	uint32_t i;

	if (!is_enabled)
		log_printf("trace: off (posthorn trace turns it on)");
	for (i = 0; is_enabled && i < cpu_count(); i++) {
		uint64_t count = __atomic_load_n(&rings[i].count, __ATOMIC_RELAXED);

		dump_ring(i, count > LAST_EVENTS ? count - LAST_EVENTS : 0, &codes);
	}
}
