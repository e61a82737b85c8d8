/* SPDX-License-Identifier: MIT */
/* The binary trace ring of each pCPU. */
#include "hypervisor/vm/trace.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/mm/memory.h"
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
	uint64_t count; /* recorded so far; atomic because handlers interrupt a recording */
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

static void print_event(uint32_t pcpu, const struct trace_event *event)
{
	const struct vm *vm = vm_by_index(event->vm);

	control_printf("@trace pcpu=%u tsc=%llu event=%s vm=%s vcpu=%u detail=%#llx", pcpu,
	    (unsigned long long)event->tsc, event_name(event->event), vm ? vm->name : "?",
	    event->vcpu, (unsigned long long)event->detail);
}

static void dump_ring(uint32_t pcpu, uint64_t limit)
{
	const struct trace_ring *ring = &rings[pcpu];
	uint64_t count = __atomic_load_n(&ring->count, __ATOMIC_RELAXED);
	uint64_t i = count > limit ? count - limit : 0;

	for (; i < count; i++)
		print_event(pcpu, &ring->events[i % RING_EVENTS]);
}

void trace_dump(void)
{
	uint32_t i;

	for (i = 0; is_enabled && i < cpu_count(); i++)
		dump_ring(i, RING_EVENTS);
}

void trace_dump_last(void)
{
	uint32_t i;

	if (!is_enabled)
		log_printf("trace: off (trace=on in the bundle's config turns it on)");
	for (i = 0; is_enabled && i < cpu_count(); i++)
		dump_ring(i, LAST_EVENTS);
}
