/* SPDX-License-Identifier: MIT */
/* Time by the TSC, measured against the ACPI PM timer, and the watchdog. */
#include "guests/rt/apic.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

#define CALIBRATION_MS       10u
#define CALIBRATION_READ_MAX 10000000u

/* Where the BIOS of QEMU and Posthorn's board have it; Bochs's BIOS has it at BOCHS_PM_TIMER_PORT. */
static uint16_t pm_timer_port = PM_TIMER_PORT;
#define BOCHS_PM_TIMER_PORT 0xb008u

static uint64_t ticks_per_ms;
static uint64_t watchdog_ticks;
static volatile uint64_t watchdog_end;

uint32_t pm_timer_read(void)
{
	return inl(pm_timer_port) & PM_TIMER_MASK;
}

uint32_t pm_timer_since(uint32_t start)
{
	return (pm_timer_read() - start) & PM_TIMER_MASK;
}

uint32_t pm_timer_to_us(uint32_t ticks)
{
	return (uint32_t)((uint64_t)ticks * 1000000u / PM_TIMER_HZ);
}

static void calibrate(uint64_t tsc)
{
	uint32_t start = pm_timer_read();
	uint32_t elapsed = 0;

	for (unsigned i = 0; i < CALIBRATION_READ_MAX; i++) {
		elapsed = pm_timer_since(start);
		if (elapsed >= CALIBRATION_MS * (PM_TIMER_HZ / 1000))
			break;
	}
	if (elapsed < CALIBRATION_MS * (PM_TIMER_HZ / 1000))
		test_abort("the PM timer at port %x does not count", pm_timer_port);
	ticks_per_ms = (rdtsc() - tsc) * (PM_TIMER_HZ / 1000) / elapsed;
}

void time_init(void)
{
	uint64_t tsc = rdtsc();

	/* No device answers: all ones. */
	if (inl(PM_TIMER_PORT) == UINT32_MAX)
		pm_timer_port = BOCHS_PM_TIMER_PORT;
	calibrate(tsc);
}

uint64_t tsc_ticks_per_ms(void)
{
	return ticks_per_ms;
}

uint64_t tsc_after_ms(uint64_t milliseconds)
{
	return rdtsc() + milliseconds * ticks_per_ms;
}

void delay_ms(uint64_t milliseconds)
{
	uint64_t end = tsc_after_ms(milliseconds);

	while (rdtsc() < end)
		cpu_pause();
}

static void watchdog_tick(struct frame *frame)
{
	if (rdtsc() > watchdog_end)
		test_abort("watchdog: no progress, rip %lx rflags %lx tpr %x", frame->rip,
		    frame->rflags, apic_read(APIC_TPR));
	apic_eoi();
}

void watchdog_start(uint64_t milliseconds)
{
	watchdog_ticks = milliseconds * ticks_per_ms;
	watchdog_pet();
	interrupts_set(VECTOR_WATCHDOG, watchdog_tick);
	pit_start(PIT_MODE_RATE, 0);
	ioapic_write_entry(IOAPIC_PIN_PIT, VECTOR_WATCHDOG | ioapic_destination(apic_id()));
}

void watchdog_pet(void)
{
	watchdog_end = rdtsc() + watchdog_ticks;
}

void watchdog_stop(void)
{
	ioapic_write_entry(IOAPIC_PIN_PIT, IOAPIC_MASKED);
}
