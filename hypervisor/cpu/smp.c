/* SPDX-License-Identifier: MIT */
/* pCPUs: their data, and starting all that the MADT lists. */
#include <stddef.h>

#include "hypervisor/cpu/acpi.h"
#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/exception.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"

#define TRAMPOLINE_PAGE 0x8u /* physical 0x8000, the start-up IPI's vector */
#define START_TIMEOUT_US 2000000u
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)

/* How the first pCPU and the one that it starts meet: 0, then each in turn adds one. */
enum { RENDEZVOUS_START, RENDEZVOUS_UP, RENDEZVOUS_ASK_TSC, RENDEZVOUS_TSC, RENDEZVOUS_GO };

static struct percpu percpus[PCPU_MAX];
static uint32_t started_count = 1;
static bool is_first_ready;

void *ap_stack_top; /* read by boot.S on the starting pCPU */
static struct percpu *starting;
static uint32_t rendezvous;
static uint64_t starting_tsc;

void ap_main(void) __attribute__((noreturn)); /* called by boot.S */

struct percpu *percpu_of(uint32_t index)
{
	BUG_ON(index >= PCPU_MAX);
	return &percpus[index];
}

uint32_t cpu_count(void)
{
	return started_count;
}

bool percpu_is_ready(void)
{
	return is_first_ready;
}

static void cpu_init(struct percpu *percpu)
{
	percpu->self = percpu;
	descriptor_init(percpu);
	cr4_write(cr4_read() | CR4_MCE | CR4_PGE);
	lapic_init();
	percpu->apic_id = lapic_id();
}

void cpu_init_first(void)
{
	percpus[0].index = 0;
	cpu_init(&percpus[0]);
	is_first_ready = true;
}

static void say(uint32_t step)
{
	__atomic_store_n(&rendezvous, step, __ATOMIC_RELEASE);
}

static bool wait_for(uint32_t step, uint32_t timeout_us)
{
	uint64_t start = tsc_read(), ticks = tsc_khz() / 1000 * timeout_us;

	while (__atomic_load_n(&rendezvous, __ATOMIC_ACQUIRE) != step) {
		if (tsc_read() - start > ticks)
			return false;
		cpu_pause();
	}
	return true;
}

void ap_main(void)
{
	struct percpu *percpu = starting;

	cpu_init(percpu);
	say(RENDEZVOUS_UP);
	while (!wait_for(RENDEZVOUS_ASK_TSC, START_TIMEOUT_US))
		;
	starting_tsc = tsc_read();
	say(RENDEZVOUS_TSC);
	while (!wait_for(RENDEZVOUS_GO, START_TIMEOUT_US))
		;
	main_other_cpu();
}

/* The whole design counts on one TSC for all pCPUs. */
static void check_tsc(uint32_t index)
{
	uint64_t before = tsc_read(), after;

	say(RENDEZVOUS_ASK_TSC);
	if (!wait_for(RENDEZVOUS_TSC, START_TIMEOUT_US))
		panic("pCPU %u stopped answering while it started", index);
	after = tsc_read();
	if (starting_tsc < before || starting_tsc > after)
		panic("not supported: the TSC of pCPU %u is %ld ticks away from the first one's",
		    index, (int64_t)(starting_tsc - before));
}

static void start_cpu(uint32_t index, uint32_t apic_id)
{
	percpus[index].index = index;
	percpus[index].apic_id = apic_id;
	starting = &percpus[index];
	ap_stack_top = stack_alloc();
	if (ap_stack_top == NULL)
		panic("no memory for the stack of pCPU %u", index);
	say(RENDEZVOUS_START);
	lapic_start_cpu(apic_id, TRAMPOLINE_PAGE);
	if (!wait_for(RENDEZVOUS_UP, START_TIMEOUT_US)) {
		/* Put it back to sleep, lest it wakes up into a world that has gone on. */
		log_printf("the CPU with APIC ID %u does not start; going on without it", apic_id);
		lapic_stop_cpu(apic_id);
		return;
	}
	check_tsc(index);
	started_count++;
	say(RENDEZVOUS_GO);
}

void cpu_start_others(void)
{
	extern char trampoline_start[], trampoline_end[];
	uint64_t start = (uint64_t)trampoline_start, end = (uint64_t)trampoline_end;

	memcpy(virt_of(TRAMPOLINE_PAGE * PAGE_SIZE), virt_of(start), end - start);
	for (uint32_t i = 0; i < acpi_facts.cpu_count; i++)
		if (acpi_facts.apic_ids[i] != percpus[0].apic_id)
			start_cpu(started_count, acpi_facts.apic_ids[i]);
}
