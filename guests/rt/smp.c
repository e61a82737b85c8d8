/* SPDX-License-Identifier: MIT */
/* The other CPUs: start them by INIT and STARTUP, and give them work. */
#include "guests/rt/apic.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/string.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

#define STARTUP_ATTEMPT_COUNT 2
/* A vCPU may have to wait for its turn on a pCPU before it runs the trampoline. */
#define STARTUP_ONLINE_MS 10000u

extern char cpu_stacks[];
extern char ap_trampoline[], ap_trampoline_end[];
extern volatile uint64_t ap_boot_stack;

unsigned cpu_count = 1;

struct cpu *cpu_at(unsigned index)
{
	return (struct cpu *)(void *)(cpu_stacks + (uintptr_t)index * CPU_STACK_SIZE);
}

static void ap_idle(struct cpu *cpu)
{
	for (;;) {
		interrupts_disable();
		if (!cpu->work_function) {
			interrupts_enable_and_halt();
			continue;
		}
		cpu->work_function(cpu->work_argument);
		__atomic_store_n(&cpu->work_function, NULL, __ATOMIC_SEQ_CST);
	}
}

void smp_ap_start(void)
{
	struct cpu *cpu = this_cpu();

	interrupts_load();
	apic_init();
	check(apic_id() == cpu->index, "AP %u has APIC ID %u", cpu->index, apic_id());
	__atomic_store_n(&cpu->is_online, true, __ATOMIC_SEQ_CST);
	for (;;)
		ap_idle(cpu);
}

static void ap_boot(unsigned index)
{
	struct cpu *cpu = cpu_at(index);

	cpu->index = index;
	ap_boot_stack = (uint64_t)(uintptr_t)cpu + CPU_STACK_SIZE;
	memory_fence();
	apic_write_icr(APIC_DELIVERY_INIT | APIC_ICR_LEVEL | APIC_ICR_ASSERT, index);
	delay_ms(10);
	for (unsigned i = 0; i < STARTUP_ATTEMPT_COUNT && !cpu->is_online; i++) {
		apic_write_icr(
		    APIC_DELIVERY_STARTUP | APIC_ICR_ASSERT | TRAMPOLINE_BASE >> 12, index);
		if (WAIT_UNTIL(cpu->is_online, i ? STARTUP_ONLINE_MS : 200))
			break;
	}
	if (!cpu->is_online)
		test_abort("CPU %u did not start", index);
}

void smp_start(void)
{
	memcpy((void *)TRAMPOLINE_BASE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	interrupts_set(VECTOR_WAKE, interrupt_eoi_only);
	for (unsigned i = 1; i < cpu_count; i++)
		ap_boot(i);
}

void smp_run(unsigned index, void (*function)(void *argument), void *argument)
{
	struct cpu *cpu = cpu_at(index);

	cpu->work_argument = argument;
	__atomic_store_n(&cpu->work_function, function, __ATOMIC_SEQ_CST);
	apic_send(index, VECTOR_WAKE);
}

void smp_wait(unsigned index, uint64_t milliseconds)
{
	if (!WAIT_UNTIL(!cpu_at(index)->work_function, milliseconds))
		test_abort("CPU %u did not finish its work", index);
}

void smp_run_all(void (*function)(void *argument), void *argument, uint64_t milliseconds)
{
	for (unsigned i = 1; i < cpu_count; i++)
		smp_run(i, function, argument);
	function(argument);
	for (unsigned i = 1; i < cpu_count; i++)
		smp_wait(i, milliseconds);
}
