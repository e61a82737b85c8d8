/* SPDX-License-Identifier: MIT */
/* Guest: exits without end, to show that other VMs go on; "iterations=0" never stops. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "wild";

#define ITERATIONS_DEFAULT 50000u /* shared out to the CPUs */
#define UNUSED_PORT        0x4000

static void exit_without_end(void *argument)
{
	uint64_t iterations = *(const uint64_t *)argument;

	interrupts_disable();
	for (uint64_t i = 0; !iterations || i < iterations; i++) {
		(void)cpuid((uint32_t)i, 0);
		outb(UNUSED_PORT, (uint8_t)i);
		(void)inl(PM_TIMER_PORT);
		apic_write(APIC_TPR, (uint32_t)i & 0xff);
		(void)rdmsr(MSR_APIC_BASE);
	}
	apic_write(APIC_TPR, 0);
}

void guest_main(void)
{
	uint64_t iterations = option("iterations", ITERATIONS_DEFAULT / cpu_count);

	smp_start();
	print("wild: %lu iterations on %u CPUs\n", iterations, cpu_count);
	smp_run_all(exit_without_end, &iterations, 6 * TIMEOUT_MS);
	check(apic_read(APIC_TPR) == 0, "TPR %x", apic_read(APIC_TPR));
}
