/* SPDX-License-Identifier: MIT */
/* Guest: NMIs to oneself and to others, and their blocking until IRET. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "nmi";

#define VECTOR_TEST 0x51u
#define CROSS_COUNT 1000u
#define NMI_LINE    14u

enum action {
	ACTION_NONE,
	ACTION_SEND_TWO,
	ACTION_SEND_AND_IRET,
};

static volatile enum action action;
static volatile unsigned depth, depth_max;
static volatile unsigned nested_count;
static volatile bool is_released;

static uint64_t taken(unsigned cpu)
{
	return cpu_at(cpu)->interrupt_count[VECTOR_NMI];
}

static void send_nmi(uint32_t destination)
{
	apic_write_icr(APIC_DELIVERY_NMI | APIC_ICR_ASSERT, destination);
}

/* IRET to the next instruction: all it does here is to end the blocking of NMIs. */
static void iret_in_place(void)
{
	__asm__ volatile("movq %%rsp, %%rax\n\t"
	                 "movq %%ss, %%rcx\n\t"
	                 "pushq %%rcx\n\t"
	                 "pushq %%rax\n\t"
	                 "pushfq\n\t"
	                 "movq %%cs, %%rcx\n\t"
	                 "pushq %%rcx\n\t"
	                 "pushq $1f\n\t"
	                 "iretq\n"
	                 "1:\tnop"
	                 :
	                 :
	                 : "rax", "rcx", "memory", "cc");
}

static void act(void)
{
	enum action what = action;

	action = ACTION_NONE;
	if (what == ACTION_NONE)
		return;
	send_nmi(apic_id());
	if (what == ACTION_SEND_TWO)
		send_nmi(apic_id());
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	nested_count = depth_max - 1;
	if (what == ACTION_SEND_AND_IRET)
		iret_in_place();
}

/* No print and no check here: the NMI may have interrupted either. */
static void take_nmi(struct frame *frame)
{
	(void)frame;
	if (this_cpu()->index)
		return;
	depth++;
	if (depth > depth_max)
		depth_max = depth;
	act();
	depth--;
}

static void prepare(enum action next)
{
	depth_max = 0;
	nested_count = 0;
	action = next;
}

static void check_self(void)
{
	uint64_t before = taken(0);

	for (unsigned i = 1; i <= 100; i++) {
		prepare(ACTION_NONE);
		send_nmi(apic_id());
		__asm__ volatile("nop");
		check(taken(0) == before + i, "self NMI %u: %lu taken", i, taken(0) - before);
	}
	apic_write(APIC_TPR, 0xff);
	send_nmi(apic_id());
	__asm__ volatile("nop");
	check(taken(0) == before + 101, "TPR holds an NMI back");
	apic_write(APIC_TPR, 0);
	for (unsigned offset = 0; offset < 0x80; offset += 0x10) {
		check(apic_read(APIC_ISR + offset) == 0, "an NMI shows in ISR");
		check(apic_read(APIC_IRR + offset) == 0, "an NMI shows in IRR");
	}
}

/* One NMI is latched while NMIs are blocked, and taken after IRET. */
static void check_blocking(void)
{
	uint64_t before = taken(0);

	prepare(ACTION_SEND_TWO);
	send_nmi(apic_id());
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	check(nested_count == 0 && depth_max == 1, "an NMI interrupted the NMI handler");
	check(taken(0) == before + 2, "2 NMIs in the handler: %lu taken in all", taken(0) - before);

	before = taken(0);
	prepare(ACTION_SEND_AND_IRET);
	send_nmi(apic_id());
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	check(nested_count == 0, "an NMI came before IRET");
	check(depth_max == 2, "IRET in the handler did not let the next NMI in");
	check(taken(0) == before + 2, "%lu NMIs taken, expected 2", taken(0) - before);
}

/* Both at once: the NMI is taken though IF = 0, the interrupt waits. */
static void check_with_interrupt(void)
{
	uint64_t before = taken(0);
	uint64_t interrupts = this_cpu()->interrupt_count[VECTOR_TEST];

	prepare(ACTION_NONE);
	apic_send_self(VECTOR_TEST);
	send_nmi(apic_id());
	__asm__ volatile("nop");
	check(taken(0) == before + 1, "the NMI waits for the interrupt");
	check(this_cpu()->interrupt_count[VECTOR_TEST] == interrupts, "taken with IF = 0");
	interrupts_window();
	check(this_cpu()->interrupt_count[VECTOR_TEST] == interrupts + 1, "interrupt lost");
}

static void check_ioapic(void)
{
	uint64_t before = taken(0);

	prepare(ACTION_NONE);
	ioapic_write_entry(NMI_LINE, APIC_DELIVERY_NMI | ioapic_destination(apic_id()));
	for (unsigned i = 1; i <= 10; i++) {
		line_set(NMI_LINE, true);
		line_set(NMI_LINE, false);
		check(taken(0) == before + i, "IOAPIC edge %u: %lu NMIs", i, taken(0) - before);
	}
	ioapic_write_entry(NMI_LINE, IOAPIC_MASKED);
}

static void spin_without_interrupts(void *argument)
{
	(void)argument;
	while (!is_released)
		cpu_pause();
}

static void check_cross(unsigned cpu, const char *state)
{
	uint64_t before = taken(cpu);

	for (unsigned i = 1; i <= CROSS_COUNT; i++) {
		send_nmi(cpu);
		if (!WAIT_UNTIL(taken(cpu) == before + i, TIMEOUT_MS))
			test_abort(
			    "CPU %u (%s): NMI %u: %lu taken", cpu, state, i, taken(cpu) - before);
	}
	print("cross: %u NMIs to CPU %u (%s), %lu taken\n", CROSS_COUNT, cpu, state,
	    taken(cpu) - before);
}

static void check_all_but_self(void)
{
	uint64_t before[CPU_COUNT_MAX];

	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		before[cpu] = taken(cpu);
	apic_write_icr(APIC_DELIVERY_NMI | APIC_ICR_ASSERT | APIC_ICR_ALL_BUT_SELF, 0);
	for (unsigned cpu = 1; cpu < cpu_count; cpu++) {
		bool has_come = WAIT_UNTIL(taken(cpu) == before[cpu] + 1, TIMEOUT_MS);

		check(has_come, "all but self: CPU %u took %lu", cpu, taken(cpu) - before[cpu]);
	}
	check(taken(0) == before[0], "all but self reached the sender");
}

void guest_main(void)
{
	interrupts_disable();
	interrupts_set(VECTOR_NMI, take_nmi);
	interrupts_set(VECTOR_TEST, interrupt_eoi_only);
	check_self();
	check_blocking();
	check_with_interrupt();
	check_ioapic();
	smp_start();
	for (unsigned cpu = 1; cpu < cpu_count; cpu++)
		check_cross(cpu, "halted");
	for (unsigned cpu = 1; cpu < cpu_count; cpu++) {
		is_released = false;
		smp_run(cpu, spin_without_interrupts, 0);
		check_cross(cpu, "spinning, IF = 0");
		is_released = true;
		smp_wait(cpu, TIMEOUT_MS);
	}
	if (cpu_count > 1)
		check_all_but_self();
	else
		not_checked("NMIs between CPUs: one CPU");
}
