/* SPDX-License-Identifier: MIT */
/* Frequencies of the TSC and of the LAPIC timer, measured against the PM timer or the PIT. */
#include <stddef.h>

#include "hypervisor/cpu/acpi.h"
#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"

#define PM_TIMER_HZ  3579545u
#define PIT_HZ       1193182u
#define PIT_COMMAND  0x43
#define PIT_CHANNEL2 0x42
#define PIT_GATE     0x61
#define PIT_MODE2_CHANNEL2 0xb4 /* rate generator, low byte then high byte */
#define PIT_LATCH_CHANNEL2 0x80
#define MEASURE_MS   20u
#define MEASURE_COUNT 3u
#define BRACKET_TRIES 32u
#define TSC_KHZ_MAX  6000000u
#define TSC_KHZ_MIN  1000u /* Bochs counts as few as 4 million a second */

/* A counter of known frequency that counts up and wraps at mask. */
struct reference {
	uint32_t (*read)(void);
	uint32_t mask;
	uint32_t hz;
	const char *name;
};

static uint64_t measured_tsc_khz;
static uint64_t measured_lapic_khz;

static uint32_t pm_timer_read(void)
{
	return in32(acpi_facts.pm_timer_port);
}

static uint32_t pit_read(void)
{
	uint32_t low, high;

	out8(PIT_COMMAND, PIT_LATCH_CHANNEL2);
	low = in8(PIT_CHANNEL2);
	high = in8(PIT_CHANNEL2);
	return ~(high << 8 | low); /* it counts down */
}

static struct reference find_reference(void)
{
	if (acpi_facts.pm_timer_port != 0)
		return (struct reference){ pm_timer_read,
			acpi_facts.is_pm_timer_32bit ? 0xffffffffu : 0xffffffu, PM_TIMER_HZ,
			"ACPI PM timer" };
	out8(PIT_GATE, (uint8_t)((in8(PIT_GATE) & ~2u) | 1u)); /* gate on, speaker off */
	out8(PIT_COMMAND, PIT_MODE2_CHANNEL2);
	out8(PIT_CHANNEL2, 0);
	out8(PIT_CHANNEL2, 0);
	return (struct reference){ pit_read, 0xffffu, PIT_HZ, "PIT" };
}

struct sample {
	uint64_t tsc;
	uint32_t value;
};

/*
 * Read TSC and counter as closely together as can be: a host that is descheduled in between (an
 * emulator on a busy machine) must not spoil the measurement.
 */
static struct sample take_sample(uint32_t (*read)(void))
{
	struct sample best = { 0, 0 };
	uint64_t narrowest = UINT64_MAX;

	for (unsigned i = 0; i < BRACKET_TRIES; i++) {
		uint64_t before = tsc_read();
		uint32_t value = read();
		uint64_t after = tsc_read();

		if (after - before < narrowest) {
			narrowest = after - before;
			best = (struct sample){ before + (after - before) / 2, value };
		}
	}
	return best;
}

static uint64_t measure_tsc_once(const struct reference *reference)
{
	uint32_t wanted = reference->hz / 1000 * MEASURE_MS, elapsed;
	struct sample start = take_sample(reference->read), end;

	do {
		end = take_sample(reference->read);
		elapsed = (end.value - start.value) & reference->mask;
	} while (elapsed < wanted);
	return (end.tsc - start.tsc) * reference->hz / elapsed / 1000;
}

static uint64_t measure_lapic_once(void)
{
	struct sample start, end;
	uint64_t khz;

	lapic_timer_start(UINT32_MAX);
	start = take_sample(lapic_timer_remaining);
	while (tsc_read() - start.tsc < measured_tsc_khz * MEASURE_MS)
		cpu_pause();
	end = take_sample(lapic_timer_remaining);
	lapic_timer_start(0);
	khz = (uint64_t)(start.value - end.value) * measured_tsc_khz / (end.tsc - start.tsc);
	return khz;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low = a < b ? a : b, high = a < b ? b : a;

	return c < low ? low : c > high ? high : c;
}

void clock_calibrate(void)
{
	struct reference reference = find_reference();
	uint64_t tsc[MEASURE_COUNT], lapic[MEASURE_COUNT];

	for (unsigned i = 0; i < MEASURE_COUNT; i++)
		tsc[i] = measure_tsc_once(&reference);
	measured_tsc_khz = median(tsc[0], tsc[1], tsc[2]);
	if (measured_tsc_khz < TSC_KHZ_MIN)
		panic("TSC at %lu kHz by the %s: not usable", measured_tsc_khz, reference.name);
	for (unsigned i = 0; i < MEASURE_COUNT; i++)
		lapic[i] = measure_lapic_once();
	measured_lapic_khz = median(lapic[0], lapic[1], lapic[2]);
	if (measured_lapic_khz == 0)
		panic("the local APIC's timer does not count");
	log_printf("TSC %lu kHz, LAPIC timer %lu kHz by the %s", measured_tsc_khz,
	    measured_lapic_khz, reference.name);
}

uint64_t tsc_khz(void)
{
	return measured_tsc_khz;
}

uint64_t lapic_timer_khz(void)
{
	return measured_lapic_khz;
}

static uint64_t multiply_divide(uint64_t value, uint64_t factor, uint64_t divisor)
{
	uint64_t quotient = value / divisor, rest = value % divisor, product;

	if (__builtin_mul_overflow(quotient, factor, &product) ||
	    __builtin_add_overflow(product, rest * factor / divisor, &product))
		return UINT64_MAX;
	return product;
}

uint64_t tsc_from_ns(uint64_t nanoseconds)
{
	return multiply_divide(nanoseconds, measured_tsc_khz, 1000000);
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return multiply_divide(ticks, 1000000, measured_tsc_khz);
}

void clock_delay_us(uint32_t microseconds)
{
	uint64_t khz = measured_tsc_khz != 0 ? measured_tsc_khz : TSC_KHZ_MAX;
	uint64_t start = tsc_read(), ticks = khz * microseconds / 1000;

	while (tsc_read() - start < ticks)
		cpu_pause();
}
