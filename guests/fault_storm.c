/* SPDX-License-Identifier: MIT */
/* Guest: interrupts, and exits for them, among exceptions: none leaves a RIP and an RSP of two moments. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "fault_storm";

#define VECTOR_POKE    0x41u
#define UD2_SIZE       2u
#define ROUNDS_DEFAULT 100u
/* Readings of the TSC between two IPIs, up to this: they are to come at each place of the way. */
#define PAUSE_SPREAD 61u

static volatile bool is_over;

static void skip_ud2(struct frame *frame)
{
	frame->rip += UD2_SIZE;
}

/* An exit at the handler's first instruction that saves UD2's RIP makes it happen twice, one frame down. */
static void fault(void)
{
	uint64_t moved;

	__asm__ volatile("movq %%rsp, %0\n\tud2\n\tsubq %%rsp, %0" : "=&r"(moved) : : "memory", "cc");
	if (moved)
		test_abort("CPU %u: RSP moved by %lu over #UD", this_cpu()->index, moved);
}

static void take_faults(void *argument)
{
	struct cpu *me = this_cpu();
	uint64_t count = 0;

	(void)argument;
	interrupts_enable();
	for (; !is_over; count++)
		fault();
	interrupts_disable();
	check(me->interrupt_count[FAULT_UD] == count, "CPU %u: %lu times #UD, expected %lu",
	    me->index, me->interrupt_count[FAULT_UD], count);
}

static void poke(unsigned cpu, unsigned round)
{
	volatile uint64_t *received = &cpu_at(cpu)->interrupt_count[VECTOR_POKE];

	for (unsigned i = 0; i < round % PAUSE_SPREAD; i++)
		(void)rdtsc();
	apic_send(cpu, VECTOR_POKE);
	if (!WAIT_UNTIL(*received >= round, TIMEOUT_MS))
		test_abort("CPU %u: IPI %u has not come", cpu, round);
}

void guest_main(void)
{
	unsigned rounds = (unsigned)option("rounds", ROUNDS_DEFAULT);

	interrupts_set(FAULT_UD, skip_ud2);
	interrupts_set(VECTOR_POKE, interrupt_eoi_only);
	smp_start();
	for (unsigned cpu = 1; cpu < cpu_count; cpu++)
		smp_run(cpu, take_faults, 0);
	for (unsigned round = 1; round <= rounds; round++)
		for (unsigned cpu = 1; cpu < cpu_count; cpu++)
			poke(cpu, round);
	is_over = true;
	for (unsigned cpu = 1; cpu < cpu_count; cpu++) {
		smp_wait(cpu, TIMEOUT_MS);
		print("CPU %u: %lu exceptions\n", cpu, cpu_at(cpu)->interrupt_count[FAULT_UD]);
	}
}
