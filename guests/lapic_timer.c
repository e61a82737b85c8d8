/* SPDX-License-Identifier: MIT */
/* Guest: the APIC timer's one-shot and periodic modes, divider and current count. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "lapic_timer";

#define VECTOR_TIMER      0x72u
#define PERIOD_COUNT      20u
#define TOLERANCE_PERCENT 3u
#define WINDOW_MS         5u
#define TSC_COUNT         1000000u

struct divider {
	uint32_t tdcr;
	unsigned divisor;
};

static const struct divider dividers[] = {
    {APIC_TDCR_1, 1},
    {APIC_TDCR_2, 2},
    {APIC_TDCR_4, 4},
    {APIC_TDCR_8, 8},
    {APIC_TDCR_16, 16},
    {APIC_TDCR_32, 32},
    {APIC_TDCR_64, 64},
    {APIC_TDCR_128, 128},
};

/* Undivided counts per millisecond: between these two, whatever preempted the reading. */
struct rate {
	uint64_t low, high;
};

static struct rate base_rate;
static volatile unsigned taken_count;
static volatile uint32_t taken_pm;

static void take(struct frame *frame)
{
	(void)frame;
	taken_pm = pm_timer_read();
	taken_count++;
	apic_eoi();
}

static void start(uint32_t lvt, uint32_t tdcr, uint32_t count)
{
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVT_TIMER, lvt | VECTOR_TIMER);
	apic_write(APIC_TDCR, tdcr);
	taken_count = 0;
	apic_write(APIC_TMICT, count);
}

static uint64_t per_ms(uint64_t count, uint32_t pm_ticks)
{
	return count * (PM_TIMER_HZ / 1000) / pm_ticks;
}

/* The PM timer is read on both sides of each count, so the true time lies between two figures. */
static struct rate measure(const struct divider *divider)
{
	uint32_t before[2], after[2], first, second, counted;

	start(APIC_LVT_MASKED, divider->tdcr, 0xffffffff);
	before[0] = pm_timer_read();
	first = apic_read(APIC_TMCCT);
	after[0] = pm_timer_read();
	delay_ms(WINDOW_MS);
	before[1] = pm_timer_read();
	second = apic_read(APIC_TMCCT);
	after[1] = pm_timer_read();
	counted = first - second;
	check(second < first, "divide by %u: the count does not fall", divider->divisor);
	return (struct rate){
	    per_ms((uint64_t)counted * divider->divisor, (after[1] - before[0]) & PM_TIMER_MASK),
	    per_ms(
	        (uint64_t)(counted + 1) * divider->divisor, (before[1] - after[0]) & PM_TIMER_MASK),
	};
}

static void check_dividers(void)
{
	base_rate = measure(&dividers[0]);
	print("timer: %lu..%lu counts a ms\n", base_rate.low, base_rate.high);
	for (unsigned i = 1; i < sizeof(dividers) / sizeof(dividers[0]); i++) {
		struct rate rate = measure(&dividers[i]);

		check(rate.low * 100 <= base_rate.high * (100 + TOLERANCE_PERCENT) &&
		          rate.high * (100 + TOLERANCE_PERCENT) >= base_rate.low * 100,
		    "divide by %u: %lu..%lu undivided counts a ms", dividers[i].divisor, rate.low,
		    rate.high);
		check(apic_read(APIC_TDCR) == dividers[i].tdcr, "TDCR reads %x",
		    apic_read(APIC_TDCR));
	}
}

/* Counts of a divided timer that last at least that long. */
static uint32_t counts(unsigned milliseconds, unsigned divisor)
{
	return (uint32_t)(base_rate.high * milliseconds / divisor);
}

static void check_one_shot(void)
{
	for (unsigned i = 0; i < sizeof(dividers) / sizeof(dividers[0]); i++) {
		uint32_t begin = pm_timer_read();
		bool has_come;
		uint32_t us;

		start(APIC_LVT_TIMER_ONE_SHOT, dividers[i].tdcr, counts(5, dividers[i].divisor));
		has_come = WAIT_UNTIL(taken_count, TIMEOUT_MS);
		check(has_come, "one-shot, divide by %u: none", dividers[i].divisor);
		us = pm_timer_to_us((taken_pm - begin) & PM_TIMER_MASK);
		check(us >= 5000 - 50 * TOLERANCE_PERCENT, "one-shot of 5000 us after %u us", us);
		check(apic_read(APIC_TMCCT) == 0, "TMCCT is %x after it fired",
		    apic_read(APIC_TMCCT));
		delay_ms(10);
		check(taken_count == 1, "one-shot fired %u times", taken_count);
	}
}

/* Programs take it that a count lasts no less than a tick of the TSC: no processor's timer is faster. */
static void check_against_tsc(void)
{
	uint64_t begin = rdtsc();
	bool has_come;

	start(APIC_LVT_TIMER_ONE_SHOT, APIC_TDCR_1, TSC_COUNT);
	has_come = WAIT_UNTIL(taken_count, TIMEOUT_MS);
	check(has_come && rdtsc() - begin >= TSC_COUNT, "%u counts in %lu ticks of the TSC", TSC_COUNT,
	    rdtsc() - begin);
}

static void check_periodic(void)
{
	uint32_t begin = pm_timer_read();
	unsigned count;
	uint32_t us, previous;

	start(APIC_LVT_TIMER_PERIODIC, APIC_TDCR_16, counts(5, 16));
	if (!WAIT_UNTIL(taken_count >= PERIOD_COUNT, TIMEOUT_MS))
		test_abort("periodic: %u of %u", taken_count, PERIOD_COUNT);
	count = taken_count;
	us = pm_timer_to_us((taken_pm - begin) & PM_TIMER_MASK);
	check(us >= count * (5000 - 50 * TOLERANCE_PERCENT), "%u periods of 5000 us in %u us",
	    count, us);
	previous = apic_read(APIC_TMCCT);
	check(previous <= counts(5, 16), "TMCCT %x is above TMICT", previous);
	apic_write(APIC_TMICT, 0);
	count = taken_count;
	delay_ms(20);
	/* One may have been accepted as the timer was stopped. */
	check(taken_count <= count + 1, "%u more after the stop", taken_count - count);
	check(apic_read(APIC_TMCCT) == 0, "TMCCT is not 0 after the stop");
}

static void check_restart_and_mask(void)
{
	uint32_t begin;
	bool has_come;

	start(APIC_LVT_TIMER_ONE_SHOT, APIC_TDCR_16, counts(1000, 16));
	begin = pm_timer_read();
	apic_write(APIC_TMICT, counts(20, 16));
	check(apic_read(APIC_TMICT) == counts(20, 16), "TMICT reads %x", apic_read(APIC_TMICT));
	has_come = WAIT_UNTIL(taken_count, 900);
	check(has_come, "a new TMICT did not restart the timer");
	check(pm_timer_to_us(pm_timer_since(begin)) >= 20000 - 200 * TOLERANCE_PERCENT,
	    "the restarted timer is early");

	start(APIC_LVT_MASKED, APIC_TDCR_16, counts(2, 16));
	delay_ms(10);
	check(apic_read(APIC_TMCCT) == 0, "a masked timer does not count");
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	delay_ms(10);
	check(taken_count == 0, "a masked timer's interrupt came after unmasking");

	start(APIC_LVT_TIMER_ONE_SHOT, APIC_TDCR_16, counts(1000, 16));
	apic_write(APIC_TMICT, 0);
	check(apic_read(APIC_TMCCT) == 0, "TMICT 0 does not stop the timer");
}

static void check_monotonic(void)
{
	uint32_t previous = 0xffffffff;

	start(APIC_LVT_MASKED, APIC_TDCR_1, 0xffffffff);
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t now = apic_read(APIC_TMCCT);

		check(now <= previous, "TMCCT rises from %x to %x", previous, now);
		previous = now;
	}
	apic_write(APIC_TMICT, 0);
}

static void check_all(const char *mode)
{
	print("mode %s\n", mode);
	check_dividers();
	check_one_shot();
	check_against_tsc();
	check_periodic();
	check_restart_and_mask();
	check_monotonic();
	watchdog_pet();
}

void guest_main(void)
{
	interrupts_set(VECTOR_TIMER, take);
	watchdog_start(TIMEOUT_MS);
	interrupts_enable();
	check_all("xAPIC");
	if (!cpu_has_x2apic()) {
		not_checked("x2APIC mode: not in CPUID");
		return;
	}
	interrupts_disable();
	apic_enter_x2apic();
	interrupts_enable();
	check_all("x2APIC");
}
