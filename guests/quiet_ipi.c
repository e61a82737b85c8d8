/* SPDX-License-Identifier: MIT */
/* Guest: IPIs in x2APIC mode whose receiver need not exit; the delivery table shows whether it did. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "quiet_ipi";

#define VECTOR_CROSS  0x61u
#define VECTOR_SELF   0x62u
#define COUNT_DEFAULT 100u

static uint64_t count;
static volatile bool is_ready, is_done;

static uint64_t taken(unsigned cpu, unsigned vector)
{
	return cpu_at(cpu)->interrupt_count[vector];
}

/* No PAUSE, no port, no CPUID: nothing here exits by itself. */
static void receive(void *argument)
{
	(void)argument;
	apic_enter_x2apic();
	interrupts_enable();
	is_ready = true;
	while (!is_done)
		__asm__ volatile("");
	for (uint64_t i = 1; i <= count; i++) {
		apic_write(APIC_SELF_IPI, VECTOR_SELF);
		while (taken(1, VECTOR_SELF) < i)
			__asm__ volatile("");
	}
	interrupts_disable();
}

static void send(void)
{
	for (uint64_t i = 1; i <= count; i++) {
		apic_send(1, VECTOR_CROSS);
		if (!WAIT_UNTIL(taken(1, VECTOR_CROSS) >= i, TIMEOUT_MS))
			test_abort("IPI %lu did not come", i);
	}
	is_done = true;
}

void guest_main(void)
{
	count = option("count", COUNT_DEFAULT);
	if (!cpu_has_x2apic())
		test_skip("no x2APIC");
	if (cpu_count < 2)
		test_abort("one CPU");
	interrupts_set(VECTOR_CROSS, interrupt_eoi_only);
	interrupts_set(VECTOR_SELF, interrupt_eoi_only);
	smp_start();
	smp_run(1, receive, 0);
	if (!WAIT_UNTIL(is_ready, TIMEOUT_MS))
		test_abort("CPU 1 is not ready");
	interrupts_enable();
	apic_enter_x2apic();
	send();
	smp_wait(1, TIMEOUT_MS);
	check(taken(1, VECTOR_CROSS) == count, "%lu IPIs of %lu", taken(1, VECTOR_CROSS), count);
	check(taken(1, VECTOR_SELF) == count, "%lu self-IPIs of %lu", taken(1, VECTOR_SELF), count);
}
