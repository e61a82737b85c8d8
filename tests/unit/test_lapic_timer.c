/* SPDX-License-Identifier: MIT */
/* core/lapic_timer.c: one-shot, periodic and TSC-deadline; 10 TSC ticks are one timer tick. */
#include "tests/unit/harness.h"
#include "core/lapic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VECTOR       0x31u
#define RATIO        (HARNESS_TSC_KHZ / HARNESS_APIC_TIMER_KHZ)
#define BY_1         0xbu /* divide by 1 */
#define MIN_PERIOD   ((uint64_t)HARNESS_TSC_KHZ * LAPIC_TIMER_MIN_PERIOD_US / 1000)

static struct ph_vcpu *vcpu0(void)
{
	return harness_vcpu(0);
}

static struct harness_vcpu *host0(void)
{
	return harness_host(vcpu0());
}

static void wr(uint32_t reg, uint32_t value)
{
	ph_apic_mmio_write(vcpu0(), reg, 4, value);
}

static uint32_t rd(uint32_t reg)
{
	return ph_apic_mmio_read(vcpu0(), reg, 4);
}

static void write_deadline(uint64_t value)
{
	assert_int_equal(ph_apic_msr_write(vcpu0(), 0x6e0, value), PH_OK);
}

static uint64_t read_deadline(void)
{
	uint64_t value = 0xbad;

	assert_int_equal(ph_apic_msr_read(vcpu0(), 0x6e0, &value), PH_OK);
	return value;
}

/* As enter.c does with REQUEST_TIMER. */
static void service(void)
{
	uint32_t *requests = &vcpu0()->shared.requests;

	if (shared32_and(requests, ~REQUEST_TIMER, NONE) & REQUEST_TIMER)
		lapic_timer_service(vcpu0());
}

static void pass(uint64_t ticks)
{
	harness_advance(ticks);
	service();
}

/* Did the timer fire since the last call? */
static bool fired(void)
{
	bool is_pending = harness_apic_bit(vcpu0(), APIC_IRR, VECTOR);

	harness_clear_pending(vcpu0());
	return is_pending;
}

static int setup(void **state)
{
	(void)harness_setup(state);
	wr(APIC_SVR, 0x1ff);
	wr(APIC_TDCR, BY_1);
	return 0;
}

static void use_mode(uint32_t mode)
{
	wr(APIC_LVT_TIMER, mode | VECTOR);
}

static const struct {
	uint32_t tdcr;
	uint32_t divide;
} divides[] = {
    {0x0, 2},
    {0x1, 4},
    {0x2, 8},
    {0x3, 16},
    {0x8, 32},
    {0x9, 64},
    {0xa, 128},
    {0xb, 1},
};

static void divide_register(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	for (size_t i = 0; i < COUNT(divides); i++) {
		wr(APIC_TDCR, divides[i].tdcr);
		assert_int_equal(rd(APIC_TDCR), divides[i].tdcr);
		wr(APIC_TMICT, 1000);
		assert_int_equal(
		    host0()->timer_deadline - harness.tsc, 1000ull * divides[i].divide * RATIO);
		pass(1000ull * divides[i].divide * RATIO - 1);
		assert_false(fired());
		assert_int_equal(rd(APIC_TMCCT), 1);
		pass(1);
		assert_true(fired());
		assert_int_equal(rd(APIC_TMCCT), 0);
	}
}

static void divide_register_drops_reserved_bits(void **state)
{
	(void)state;
	wr(APIC_TDCR, 0xffffffff);
	assert_int_equal(rd(APIC_TDCR), 0xb);
	wr(APIC_TDCR, 0x4);
	assert_int_equal(rd(APIC_TDCR), 0);
}

static const struct {
	uint64_t elapsed; /* TSC ticks since TMICT = 100 was written, divided by 1 */
	uint32_t count;
} current_counts[] = {
    {0, 100},
    {1, 100},
    {9, 100},
    {10, 99},
    {11, 99},
    {500, 50},
    {989, 2},
    {990, 1},
    {999, 1},
    {1000, 0},
    {1001, 0},
    {5000, 0},
};

static void one_shot_counts_down_to_zero_and_stays(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	for (size_t i = 0; i < COUNT(current_counts); i++) {
		wr(APIC_TMICT, 100);
		harness.tsc += current_counts[i].elapsed;
		if (rd(APIC_TMCCT) != current_counts[i].count)
			fail_msg("after %u: TMCCT %u", (uint32_t)current_counts[i].elapsed,
			    rd(APIC_TMCCT));
		assert_int_equal(rd(APIC_TMICT), 100);
	}
}

static void one_shot_fires_once(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	pass(1000);
	assert_true(fired());
	assert_false(host0()->timer_is_armed);
	for (uint32_t i = 0; i < 10; i++)
		pass(1000);
	assert_false(fired());
	assert_int_equal(host0()->timer_arm_count, 1);
	assert_int_equal(host0()->timer_cancel_count, 0);
}

static void initial_count_of_zero_stops(void **state)
{
	static const uint32_t modes[] = {APIC_LVT_ONESHOT, APIC_LVT_PERIODIC};

	(void)state;
	for (size_t i = 0; i < COUNT(modes); i++) {
		use_mode(modes[i]);
		wr(APIC_TMICT, 100000);
		wr(APIC_TMICT, 0);
		assert_false(host0()->timer_is_armed);
		assert_int_equal(rd(APIC_TMCCT), 0);
		pass(10000000);
		assert_false(fired());
	}
}

static void initial_count_written_again_restarts(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	pass(900);
	wr(APIC_TMICT, 100);
	pass(999);
	assert_false(fired());
	pass(1);
	assert_true(fired());
}

static void current_count_is_read_only(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	wr(APIC_TMCCT, 7);
	assert_int_equal(rd(APIC_TMCCT), 100);
}

static void periodic_fires_every_period(void **state)
{
	uint64_t period = 10000ull * RATIO;

	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	for (uint32_t i = 0; i < 20; i++) {
		pass(period - 1);
		assert_false(fired());
		assert_int_equal(rd(APIC_TMCCT), 1);
		pass(1);
		assert_true(fired());
		assert_int_equal(rd(APIC_TMCCT), 10000);
	}
}

static void periodic_skips_missed_periods_and_keeps_phase(void **state)
{
	uint64_t period = 10000ull * RATIO;
	uint64_t start = harness.tsc;

	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	pass(57 * period + 123);
	assert_true(fired());
	assert_int_equal(host0()->timer_arm_count, 2);
	assert_int_equal(host0()->timer_deadline, start + 58 * period);
	service();
	assert_false(fired());
	pass(period - 123);
	assert_true(fired());
}

static void periodic_served_exactly_on_a_later_period(void **state)
{
	uint64_t period = 10000ull * RATIO;
	uint64_t start = harness.tsc;

	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	pass(3 * period);
	assert_true(fired());
	assert_int_equal(host0()->timer_deadline, start + 4 * period);
}

static void periodic_count_wraps_before_the_owner_serves_it(void **state)
{
	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	harness.tsc += 10000ull * RATIO;
	assert_int_equal(rd(APIC_TMCCT), 10000);
	harness.tsc += 2500ull * RATIO;
	assert_int_equal(rd(APIC_TMCCT), 7500);
}

static void tiny_period_is_stretched(void **state)
{
	static const uint32_t counts[] = {1, 2, 10, 1999};

	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	for (size_t i = 0; i < COUNT(counts); i++) {
		uint32_t arms = host0()->timer_arm_count;
		uint32_t fires = 0;

		wr(APIC_TMICT, counts[i]);
		assert_int_equal(host0()->timer_deadline, harness.tsc + MIN_PERIOD);
		for (uint64_t t = 0; t < 10 * MIN_PERIOD; t += MIN_PERIOD / 4) {
			pass(MIN_PERIOD / 4);
			fires += fired();
			assert_true(rd(APIC_TMCCT) <= counts[i]);
		}
		assert_int_equal(fires, 10);
		assert_int_equal(host0()->timer_arm_count - arms, 11);
	}
}

static void tiny_one_shot_is_not_stretched(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 1);
	pass(RATIO - 1);
	assert_false(fired());
	pass(1);
	assert_true(fired());
}

static void one_shot_turned_periodic_is_stretched_from_then_on(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 10);
	use_mode(APIC_LVT_PERIODIC);
	pass(10ull * RATIO);
	assert_true(fired());
	assert_int_equal(host0()->timer_deadline, harness.tsc + MIN_PERIOD);
}

static void masked_timer_counts_in_silence(void **state)
{
	(void)state;
	wr(APIC_LVT_TIMER, APIC_LVT_PERIODIC | APIC_LVT_MASKED | VECTOR);
	wr(APIC_TMICT, 10000);
	pass(10000ull * RATIO);
	assert_false(fired());
	assert_int_equal(rd(APIC_TMCCT), 10000);
	use_mode(APIC_LVT_PERIODIC);
	assert_false(fired());
	pass(10000ull * RATIO);
	assert_true(fired());
}

static void software_disable_silences_but_does_not_stop(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	wr(APIC_SVR, 0xff);
	pass(500);
	assert_int_equal(rd(APIC_TMCCT), 50);
	pass(500);
	assert_false(fired());
}

static void one_shot_and_periodic_switch_keeps_counting(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 10000);
	pass(7500ull * RATIO);
	use_mode(APIC_LVT_PERIODIC);
	assert_int_equal(rd(APIC_TMCCT), 2500);
	assert_int_equal(rd(APIC_TMICT), 10000);
	pass(2500ull * RATIO);
	assert_true(fired());
	assert_int_equal(rd(APIC_TMCCT), 10000);
	pass(5000ull * RATIO);
	use_mode(APIC_LVT_ONESHOT);
	assert_int_equal(rd(APIC_TMCCT), 5000);
	pass(5000ull * RATIO);
	assert_true(fired());
	assert_int_equal(rd(APIC_TMCCT), 0);
	/* At zero, periodic does not start it again. */
	use_mode(APIC_LVT_PERIODIC);
	assert_int_equal(rd(APIC_TMCCT), 0);
	pass(20000ull * RATIO);
	assert_false(fired());
}

static const struct {
	const char *rule;
	uint32_t before;
	uint32_t after;
	bool is_disarmed;
} mode_switches[] = {
    {"one-shot to periodic", APIC_LVT_ONESHOT, APIC_LVT_PERIODIC, false},
    {"periodic to one-shot", APIC_LVT_PERIODIC, APIC_LVT_ONESHOT, false},
    {"one-shot to itself", APIC_LVT_ONESHOT, APIC_LVT_ONESHOT, false},
    {"one-shot to deadline", APIC_LVT_ONESHOT, APIC_LVT_TSC_DEADLINE, true},
    {"periodic to deadline", APIC_LVT_PERIODIC, APIC_LVT_TSC_DEADLINE, true},
    {"one-shot to reserved", APIC_LVT_ONESHOT, APIC_LVT_TIMER_MASK, true},
    {"deadline to one-shot", APIC_LVT_TSC_DEADLINE, APIC_LVT_ONESHOT, true},
    {"deadline to periodic", APIC_LVT_TSC_DEADLINE, APIC_LVT_PERIODIC, true},
    {"deadline to reserved", APIC_LVT_TSC_DEADLINE, APIC_LVT_TIMER_MASK, true},
    {"deadline to itself", APIC_LVT_TSC_DEADLINE, APIC_LVT_TSC_DEADLINE, false},
};

static void mode_switch_disarms(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mode_switches); i++) {
		(void)setup(NULL);
		use_mode(mode_switches[i].before);
		if (mode_switches[i].before == APIC_LVT_TSC_DEADLINE)
			write_deadline(harness.tsc + 100000);
		else
			wr(APIC_TMICT, 10000);
		assert_true(host0()->timer_is_armed);
		use_mode(mode_switches[i].after);
		if (host0()->timer_is_armed == mode_switches[i].is_disarmed)
			fail_msg("%s", mode_switches[i].rule);
		if (mode_switches[i].is_disarmed) {
			assert_int_equal(rd(APIC_TMICT), 0);
			assert_int_equal(rd(APIC_TMCCT), 0);
			use_mode(mode_switches[i].before);
			assert_int_equal(read_deadline(), 0);
		}
		pass(100000);
		assert_int_equal(fired(), !mode_switches[i].is_disarmed);
	}
}

static void due_before_the_mode_switch_still_fires(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	harness.tsc += 1000;
	use_mode(APIC_LVT_TSC_DEADLINE);
	assert_true(fired());
}

static void due_before_another_initial_count_still_fires(void **state)
{
	static const uint32_t counts[] = {0, 100};

	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	for (size_t i = 0; i < COUNT(counts); i++) {
		wr(APIC_TMICT, 100);
		harness.tsc += 1000;
		wr(APIC_TMICT, counts[i]);
		assert_true(fired());
	}
}

static void due_before_another_divide_still_fires(void **state)
{
	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	harness.tsc += 10000ull * RATIO + 5;
	wr(APIC_TDCR, 0);
	assert_true(fired());
}

static void due_before_another_deadline_still_fires(void **state)
{
	static const uint64_t later[] = {0, 100000};

	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	for (size_t i = 0; i < COUNT(later); i++) {
		write_deadline(harness.tsc + 100);
		harness.tsc += 100;
		write_deadline(later[i] ? harness.tsc + later[i] : 0);
		assert_true(fired());
	}
}

static void due_before_the_mask_still_fires(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	harness.tsc += 1000;
	wr(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR);
	assert_true(fired());
}

static void reserved_mode_never_runs(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TIMER_MASK);
	wr(APIC_TMICT, 100);
	write_deadline(harness.tsc + 10);
	assert_int_equal(host0()->timer_arm_count, 0);
	assert_int_equal(rd(APIC_TMCCT), 0);
	assert_int_equal(read_deadline(), 0);
	pass(100000);
	assert_false(fired());
}

static void divide_change_keeps_the_count(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 1000);
	pass(400 * RATIO);
	wr(APIC_TDCR, 0x3); /* by 16 */
	assert_int_equal(rd(APIC_TMCCT), 600);
	pass(600 * 16 * RATIO - 1);
	assert_false(fired());
	pass(1);
	assert_true(fired());
}

static void divide_change_of_a_periodic_timer_changes_the_period(void **state)
{
	(void)state;
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	pass(4000ull * RATIO);
	wr(APIC_TDCR, 0x0); /* by 2 */
	pass(6000ull * 2 * RATIO);
	assert_true(fired());
	assert_int_equal(host0()->timer_deadline - harness.tsc, 10000ull * 2 * RATIO);
}

static void divide_change_of_a_stopped_timer_starts_nothing(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	pass(1000);
	assert_true(fired());
	wr(APIC_TDCR, 0x3);
	pass(1000000);
	assert_false(fired());
}

static void deadline_fires_when_reached_and_disarms(void **state)
{
	uint64_t deadline = harness.tsc + 5000;

	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(deadline);
	assert_int_equal(read_deadline(), deadline);
	assert_int_equal(host0()->timer_deadline, deadline);
	pass(4999);
	assert_false(fired());
	pass(1);
	assert_true(fired());
	assert_int_equal(read_deadline(), 0);
	assert_false(host0()->timer_is_armed);
}

/* SDM vol. 3, "TSC-Deadline Mode": IA32_TSC_DEADLINE is 0 once the deadline has passed. */
static void passed_deadline_reads_zero_before_the_platform_tells(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 5000);
	harness.tsc += 5000;
	assert_int_equal(read_deadline(), 0);
	assert_true(fired());
	assert_false(host0()->timer_is_armed);
}

static void deadline_in_the_past_fires_at_once(void **state)
{
	static const uint64_t before[] = {0, 1, 999};

	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	for (size_t i = 0; i < COUNT(before); i++) {
		write_deadline(harness.tsc - before[i]);
		assert_true(fired());
		assert_int_equal(read_deadline(), 0);
	}
	assert_int_equal(host0()->timer_arm_count, 0);
	assert_int_equal(host0()->timer_cancel_count, 0);
}

static void deadline_of_zero_disarms(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 100);
	write_deadline(0);
	assert_false(host0()->timer_is_armed);
	pass(1000);
	assert_false(fired());
	assert_int_equal(read_deadline(), 0);
}

static void deadline_of_the_far_future_is_armed_as_it_is(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(UINT64_MAX);
	assert_int_equal(host0()->timer_deadline, UINT64_MAX);
	assert_int_equal(read_deadline(), UINT64_MAX);
}

static void deadline_replaced_by_another(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 1000);
	write_deadline(harness.tsc + 5000);
	pass(1000);
	assert_false(fired());
	pass(4000);
	assert_true(fired());
}

static void deadline_is_ignored_in_other_modes(void **state)
{
	static const uint32_t modes[] = {APIC_LVT_ONESHOT, APIC_LVT_PERIODIC};

	(void)state;
	for (size_t i = 0; i < COUNT(modes); i++) {
		use_mode(modes[i]);
		write_deadline(harness.tsc + 10);
		assert_int_equal(read_deadline(), 0);
		pass(1000);
		assert_false(fired());
	}
	assert_int_equal(host0()->timer_arm_count, 0);
}

static void initial_count_is_ignored_in_deadline_mode(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 5000);
	wr(APIC_TMICT, 10);
	assert_int_equal(rd(APIC_TMICT), 0);
	assert_int_equal(rd(APIC_TMCCT), 0);
	pass(100);
	assert_false(fired());
	pass(4900);
	assert_true(fired());
}

static void deadline_reads_zero_with_the_apic_off(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 5000);
	assert_int_equal(ph_apic_msr_write(vcpu0(), 0x1b, APIC_DEFAULT_BASE), PH_OK);
	assert_int_equal(read_deadline(), 0);
	write_deadline(harness.tsc + 10);
	assert_int_equal(host0()->timer_arm_count, 1);
	pass(5000);
	assert_false(fired());
}

static void masked_deadline_passes_in_silence(void **state)
{
	(void)state;
	wr(APIC_LVT_TIMER, APIC_LVT_TSC_DEADLINE | APIC_LVT_MASKED | VECTOR);
	write_deadline(harness.tsc + 10);
	pass(10);
	assert_false(fired());
	assert_int_equal(read_deadline(), 0);
}

static void stale_expiry_does_not_fire(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 1000);
	/* The platform's timer of an earlier arming comes late. */
	ph_vcpu_timer_expired(vcpu0());
	service();
	assert_false(fired());
	assert_true(host0()->timer_is_armed);
	pass(1000);
	assert_true(fired());
	ph_vcpu_timer_expired(vcpu0());
	service();
	assert_false(fired());
}

static void early_expiry_is_armed_again(void **state)
{
	(void)state;
	use_mode(APIC_LVT_ONESHOT);
	wr(APIC_TMICT, 100);
	harness.tsc += 999;
	host0()->timer_is_armed = false;
	ph_vcpu_timer_expired(vcpu0());
	service();
	assert_false(fired());
	pass(1);
	assert_true(fired());
}

/* The VMX-preemption timer: the owner finds it itself, without a request. */
static void owner_s_exit_fires_without_a_request(void **state)
{
	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc + 5000);
	harness.tsc += 4999;
	ph_vcpu_timer_exit(vcpu0());
	assert_false(fired());
	assert_int_equal(host0()->timer_deadline, harness.tsc + 1);
	harness.tsc += 1;
	ph_vcpu_timer_exit(vcpu0());
	assert_int_equal(vcpu0()->shared.requests & REQUEST_TIMER, 0);
	assert_true(fired());
	assert_int_equal(read_deadline(), 0);
	ph_vcpu_timer_exit(vcpu0());
	assert_false(fired());
}

static const struct {
	const char *rule;
	uint32_t mode;
	uint64_t elapsed; /* of 1000 ticks, when the TSC jumps */
	int64_t jump;
	bool fires_at_once;
	uint64_t left;
} tsc_moves[] = {
    {"a count does not see a jump ahead", APIC_LVT_ONESHOT, 400, 1000000, false, 600},
    {"a count does not see a jump back", APIC_LVT_ONESHOT, 400, -1000000, false, 600},
    {"a count that was due", APIC_LVT_ONESHOT, 1000, -5, true, 0},
    {"a deadline comes nearer", APIC_LVT_TSC_DEADLINE, 400, 599, false, 1},
    {"a deadline is reached", APIC_LVT_TSC_DEADLINE, 400, 600, true, 0},
    {"a deadline is passed", APIC_LVT_TSC_DEADLINE, 400, 1000000, true, 0},
    {"a deadline is farther", APIC_LVT_TSC_DEADLINE, 400, -300, false, 900},
    {"a deadline that was due", APIC_LVT_TSC_DEADLINE, 1000, -5, true, 0},
};

/* SDM vol. 3, "TSC-Deadline Mode": the TSC's value counts; the other modes have a clock of their
 * own. */
static void tsc_that_jumps(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(tsc_moves); i++) {
		(void)setup(NULL);
		harness.tsc = 10000000;
		use_mode(tsc_moves[i].mode);
		if (tsc_moves[i].mode == APIC_LVT_ONESHOT)
			wr(APIC_TMICT, 1000 / RATIO);
		else
			write_deadline(harness.tsc + 1000);
		harness.tsc += tsc_moves[i].elapsed + (uint64_t)tsc_moves[i].jump;
		ph_vcpu_tsc_moved(vcpu0(), (uint64_t)tsc_moves[i].jump);
		if (fired() != tsc_moves[i].fires_at_once ||
		    host0()->timer_is_armed == tsc_moves[i].fires_at_once)
			fail_msg("%s", tsc_moves[i].rule);
		if (tsc_moves[i].fires_at_once)
			continue;
		assert_int_equal(host0()->timer_deadline - harness.tsc, tsc_moves[i].left);
		pass(tsc_moves[i].left - 1);
		assert_false(fired());
		pass(1);
		assert_true(fired());
	}
}

static void tsc_that_jumps_moves_no_period(void **state)
{
	(void)state;
	ph_vcpu_tsc_moved(vcpu0(), 1000);
	assert_false(host0()->timer_is_armed);
	use_mode(APIC_LVT_PERIODIC);
	wr(APIC_TMICT, 10000);
	pass(2500ull * RATIO);
	harness.tsc += 77777;
	ph_vcpu_tsc_moved(vcpu0(), 77777);
	assert_int_equal(rd(APIC_TMCCT), 7500);
	pass(7500ull * RATIO);
	assert_true(fired());
	assert_int_equal(host0()->timer_deadline, harness.tsc + 10000ull * RATIO);
}

static void illegal_timer_vector_is_an_error(void **state)
{
	(void)state;
	wr(APIC_LVT_TIMER, APIC_LVT_ONESHOT | 0x0f);
	wr(APIC_TMICT, 100);
	pass(1000);
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
	wr(APIC_ESR, 0);
	assert_int_equal(rd(APIC_ESR), APIC_ESR_RECV_VECTOR);
}

static void fires_as_an_edge_of_source_lvt(void **state)
{
	struct ph_counters counters;

	(void)state;
	use_mode(APIC_LVT_TSC_DEADLINE);
	write_deadline(harness.tsc);
	assert_false(harness_apic_bit(vcpu0(), APIC_TMR, VECTOR));
	ph_vcpu_counters(vcpu0(), &counters);
	assert_int_equal(counters.posted_count[PH_SOURCE_LVT], 1);
}

/* Clock rates at which a product passes 64 bits, or a tick is less than a TSC tick. */
static const struct {
	uint64_t tsc_khz;
	uint64_t timer_khz;
	uint32_t tdcr;
	uint32_t count;
	uint64_t ticks;
} rates[] = {
    {3000000, 1000000, BY_1, 0xffffffff, 0xffffffffull * 3},
    {2999999, 1000000, BY_1, 1000000, 2999999},
    {1000000, 3000000, BY_1, 2, 1},
    {1000000, 3000000, BY_1, 30, 10},
    {3000000, 1, 0xa, 0xffffffff, 0xffffffffull * 128 * 3000000},
    {1ull << 40, 1, 0xa, 0xffffffff, UINT64_MAX},
    {UINT64_MAX, 1, BY_1, 0xffffffff, UINT64_MAX},
    {1, UINT64_MAX, BY_1, 1, 1},
};

static void clock_rates(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rates); i++) {
		struct harness_config config = {
		    .tsc_khz = rates[i].tsc_khz, .apic_timer_khz = rates[i].timer_khz};
		uint64_t expiry;

		harness_create(&config);
		wr(APIC_TDCR, rates[i].tdcr);
		wr(APIC_TMICT, rates[i].count);
		if (__builtin_add_overflow(harness.tsc, rates[i].ticks, &expiry))
			expiry = UINT64_MAX;
		if (host0()->timer_deadline != expiry)
			fail_msg("row %u: armed for %llx", (uint32_t)i,
			    (unsigned long long)host0()->timer_deadline);
		assert_true(rd(APIC_TMCCT) > 0 && rd(APIC_TMCCT) <= rates[i].count);
	}
}

static void count_is_exact_at_the_start(void **state)
{
	static const uint64_t tsc_rates[] = {1000000, 2399998, 2999999, 3333333};
	static const uint32_t counts[] = {1, 3, 1000, 999999, 0x7fffffff, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < COUNT(tsc_rates); i++) {
		struct harness_config config = {.tsc_khz = tsc_rates[i], .apic_timer_khz = 1000000};

		harness_create(&config);
		for (size_t j = 0; j < COUNT(counts); j++) {
			wr(APIC_TMICT, counts[j]);
			assert_int_equal(rd(APIC_TMCCT), counts[j]);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(divide_register),
	    TEST(divide_register_drops_reserved_bits),
	    TEST(one_shot_counts_down_to_zero_and_stays),
	    TEST(one_shot_fires_once),
	    TEST(initial_count_of_zero_stops),
	    TEST(initial_count_written_again_restarts),
	    TEST(current_count_is_read_only),
	    TEST(periodic_fires_every_period),
	    TEST(periodic_skips_missed_periods_and_keeps_phase),
	    TEST(periodic_served_exactly_on_a_later_period),
	    TEST(periodic_count_wraps_before_the_owner_serves_it),
	    TEST(tiny_period_is_stretched),
	    TEST(tiny_one_shot_is_not_stretched),
	    TEST(one_shot_turned_periodic_is_stretched_from_then_on),
	    TEST(masked_timer_counts_in_silence),
	    TEST(software_disable_silences_but_does_not_stop),
	    TEST(one_shot_and_periodic_switch_keeps_counting),
	    TEST(mode_switch_disarms),
	    TEST(due_before_the_mode_switch_still_fires),
	    TEST(due_before_another_initial_count_still_fires),
	    TEST(due_before_another_divide_still_fires),
	    TEST(due_before_another_deadline_still_fires),
	    TEST(due_before_the_mask_still_fires),
	    TEST(reserved_mode_never_runs),
	    TEST(divide_change_keeps_the_count),
	    TEST(divide_change_of_a_periodic_timer_changes_the_period),
	    TEST(divide_change_of_a_stopped_timer_starts_nothing),
	    TEST(deadline_fires_when_reached_and_disarms),
	    TEST(passed_deadline_reads_zero_before_the_platform_tells),
	    TEST(deadline_in_the_past_fires_at_once),
	    TEST(deadline_of_zero_disarms),
	    TEST(deadline_of_the_far_future_is_armed_as_it_is),
	    TEST(deadline_replaced_by_another),
	    TEST(deadline_is_ignored_in_other_modes),
	    TEST(initial_count_is_ignored_in_deadline_mode),
	    TEST(deadline_reads_zero_with_the_apic_off),
	    TEST(masked_deadline_passes_in_silence),
	    TEST(stale_expiry_does_not_fire),
	    TEST(early_expiry_is_armed_again),
	    TEST(owner_s_exit_fires_without_a_request),
	    TEST(tsc_that_jumps),
	    TEST(tsc_that_jumps_moves_no_period),
	    TEST(illegal_timer_vector_is_an_error),
	    TEST(fires_as_an_edge_of_source_lvt),
	    TEST(clock_rates),
	    TEST(count_is_exact_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
