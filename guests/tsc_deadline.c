/* SPDX-License-Identifier: MIT */
/* Guest: the TSC-deadline mode of the APIC timer (SDM 3, 11.5.4.1), as xAPIC and x2APIC; a TSC that
 * jumps. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "tsc_deadline";

#define VECTOR_TIMER 0x71u
#define ROUND_COUNT  100u
#define QUIET_MS     10u
#define JUMP_MS      100000u

static volatile unsigned taken_count;
static volatile uint64_t taken_tsc;

static void take(struct frame *frame)
{
	(void)frame;
	taken_tsc = rdtsc();
	taken_count++;
	apic_eoi();
}

static void set_mode(uint32_t lvt)
{
	apic_write(APIC_LVT_TIMER, lvt | VECTOR_TIMER);
	/* Orders the memory-mapped write before a WRMSR to IA32_TSC_DEADLINE. */
	memory_fence();
	taken_count = 0;
}

static void arm(uint64_t deadline)
{
	wrmsr(MSR_TSC_DEADLINE, deadline);
}

static void expect_quiet(const char *rule)
{
	delay_ms(QUIET_MS);
	check(taken_count == 0, "%s: %u interrupts", rule, taken_count);
}

static void expect_one(const char *rule, uint64_t deadline)
{
	bool has_come = WAIT_UNTIL(taken_count, TIMEOUT_MS);

	check(has_come, "%s: no interrupt", rule);
	check(taken_tsc >= deadline, "%s: %lu ticks early", rule, deadline - taken_tsc);
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "%s: the MSR is not 0 after it fired", rule);
	delay_ms(1);
	check(taken_count == 1, "%s: %u interrupts", rule, taken_count);
	taken_count = 0;
}

static void check_firing(void)
{
	uint64_t deadline = tsc_after_ms(5);

	set_mode(APIC_LVT_TIMER_DEADLINE);
	arm(deadline);
	check(rdmsr(MSR_TSC_DEADLINE) == deadline || taken_count, "the MSR reads %lx",
	    rdmsr(MSR_TSC_DEADLINE));
	expect_one("5 ms ahead", deadline);

	arm(rdtsc());
	expect_one("now", 0);
	arm(1);
	expect_one("long ago", 0);

	deadline = tsc_after_ms(20);
	arm(tsc_after_ms(2000));
	arm(deadline);
	expect_one("replaced by an earlier one", deadline);

	arm(tsc_after_ms(200));
	deadline = tsc_after_ms(400);
	arm(deadline);
	expect_one("replaced by a later one", deadline);
}

static void check_disarming(void)
{
	set_mode(APIC_LVT_TIMER_DEADLINE);
	/* With interrupts disabled and far enough ahead for a slow host to disarm in time. */
	interrupts_disable();
	arm(tsc_after_ms(200));
	arm(0);
	interrupts_enable();
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "disarmed, but the MSR is not 0");
	delay_ms(200);
	expect_quiet("disarmed");

	arm(tsc_after_ms(200));
	set_mode(APIC_LVT_TIMER_ONE_SHOT);
	delay_ms(200);
	expect_quiet("mode changed while armed");
	set_mode(APIC_LVT_TIMER_DEADLINE);
	expect_quiet("deadline mode again");

	set_mode(APIC_LVT_TIMER_DEADLINE | APIC_LVT_MASKED);
	arm(tsc_after_ms(2));
	expect_quiet("masked");
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "masked: still armed after the deadline");
	set_mode(APIC_LVT_TIMER_DEADLINE);
	expect_quiet("unmasked after the deadline");
}

static void check_other_modes(void)
{
	set_mode(APIC_LVT_TIMER_DEADLINE);
	apic_write(APIC_TDCR, APIC_TDCR_1);
	apic_write(APIC_TMICT, 1000);
	check(apic_read(APIC_TMCCT) == 0, "TMCCT counts in deadline mode");
	expect_quiet("TMICT written in deadline mode");

	set_mode(APIC_LVT_TIMER_ONE_SHOT);
	apic_write(APIC_TMICT, 0);
	arm(rdtsc());
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "the MSR was written in one-shot mode");
	expect_quiet("deadline in one-shot mode");
	set_mode(APIC_LVT_TIMER_PERIODIC);
	arm(rdtsc());
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "the MSR was written in periodic mode");
	expect_quiet("deadline in periodic mode");
}

static void check_halted(void)
{
	uint64_t late_ticks = 0;

	set_mode(APIC_LVT_TIMER_DEADLINE);
	for (unsigned round = 1; round <= ROUND_COUNT; round++) {
		uint64_t deadline;

		interrupts_disable();
		deadline = rdtsc() + tsc_ticks_per_ms() / 2;
		arm(deadline);
		while (taken_count < round) {
			interrupts_enable_and_halt();
			interrupts_disable();
		}
		check(taken_tsc >= deadline, "round %u: %lu ticks early", round,
		    deadline - taken_tsc);
		late_ticks += taken_tsc - deadline;
		watchdog_pet();
	}
	interrupts_enable();
	check(taken_count == ROUND_COUNT, "%u interrupts of %u", taken_count, ROUND_COUNT);
	print("halted: late by %lu ticks on average, %lu ticks a ms\n", late_ticks / ROUND_COUNT,
	    tsc_ticks_per_ms());
}

/* With interrupts disabled: the watchdog goes by the TSC. */
static void set_adjust(uint64_t value)
{
	wrmsr(MSR_TSC_ADJUST, value);
	watchdog_pet();
	check(rdmsr(MSR_TSC_ADJUST) == value, "IA32_TSC_ADJUST reads %lx", rdmsr(MSR_TSC_ADJUST));
}

static void check_jumps(uint64_t jump)
{
	uint64_t before = rdtsc(), deadline;

	set_adjust(jump);
	check(rdtsc() - before >= jump, "the TSC went on by %lu ticks", rdtsc() - before);
	wrmsr(MSR_TSC, rdtsc() + jump);
	watchdog_pet();
	check(rdmsr(MSR_TSC_ADJUST) > jump, "a written TSC is not in IA32_TSC_ADJUST");
	set_adjust(0);

	set_mode(APIC_LVT_TIMER_DEADLINE);
	deadline = rdtsc() + jump;
	arm(deadline);
	set_adjust(jump);
	interrupts_enable();
	expect_one("the TSC jumped past it", deadline);
	interrupts_disable();
	set_adjust(0);

	/* A count of some seconds, in a clock of its own. */
	set_mode(APIC_LVT_TIMER_ONE_SHOT);
	apic_write(APIC_TDCR, APIC_TDCR_1);
	apic_write(APIC_TMICT, 0xffffffff);
	set_adjust(jump);
	check(apic_read(APIC_TMCCT) != 0, "the count ended as the TSC jumped");
	apic_write(APIC_TMICT, 0);
	set_adjust(0);
}

static void check_adjust(void)
{
	if (!(cpuid(7, 0).ebx & CPUID_7_EBX_TSC_ADJUST)) {
		not_checked("a TSC that jumps: no IA32_TSC_ADJUST in CPUID");
		return;
	}
	interrupts_disable();
	check_jumps(JUMP_MS * tsc_ticks_per_ms());
	interrupts_enable();
}

static void check_all(const char *mode)
{
	print("mode %s\n", mode);
	check_firing();
	watchdog_pet();
	check_disarming();
	watchdog_pet();
	check_other_modes();
	check_halted();
	check_adjust();
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

void guest_main(void)
{
	if (!cpu_has_tsc_deadline())
		test_skip("no TSC-deadline timer in CPUID");
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
