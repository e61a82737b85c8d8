/* SPDX-License-Identifier: MIT */
/* The local APIC's timer, a source of interrupts: the platform's timer -> here -> source_lvt.c. */
#include "core/lapic.h"

#define TDCR_MASK 0xbu

/* ---- Counts and ticks ---------------------------------------------------------------------- */

/* value * multiplier / divisor, rounded down or up, at most UINT64_MAX. */
static uint64_t timer_scale(uint64_t value, uint64_t multiplier, uint64_t divisor, bool up)
{
	uint64_t whole, rest, sum;

	if (__builtin_mul_overflow(value / divisor, multiplier, &whole) ||
	    __builtin_mul_overflow(value % divisor, multiplier, &rest) ||
	    __builtin_add_overflow(rest, up ? divisor - 1 : 0, &rest) ||
	    __builtin_add_overflow(whole, rest / divisor, &sum))
		return UINT64_MAX;
	return sum;
}

/* SDM vol. 3, figure "Divide Configuration Register": 111b divides by 1, n by 2^(n + 1). */
static uint32_t timer_divide_shift(const struct ph_vcpu *vcpu)
{
	uint32_t tdcr = lapic_reg(vcpu, APIC_TDCR);

	return ((tdcr & 3) + (tdcr >> 1 & 4) + 1) & 7;
}

/* Guest TSC ticks of a count; at least 1. */
static uint64_t timer_ticks(const struct ph_vcpu *vcpu, uint32_t count)
{
	const struct ph_vm_config *config = &vcpu->vm->config;
	uint64_t ticks = timer_scale((uint64_t)count << timer_divide_shift(vcpu), config->tsc_khz,
	    config->apic_timer_khz, false);

	return ticks ? ticks : 1;
}

/* The count left when `ticks` guest TSC ticks are. */
static uint32_t timer_count(const struct ph_vcpu *vcpu, uint64_t ticks)
{
	const struct ph_vm_config *config = &vcpu->vm->config;
	uint32_t initial = lapic_reg(vcpu, APIC_TMICT);
	uint32_t shift = timer_divide_shift(vcpu);
	uint64_t count = timer_scale(ticks, config->apic_timer_khz, config->tsc_khz, true);

	count = (count >> shift) + ((count & ((1u << shift) - 1)) != 0);
	return count < initial ? (uint32_t)count : initial;
}

static uint32_t timer_mode(const struct ph_vcpu *vcpu)
{
	return lapic_reg(vcpu, APIC_LVT_TIMER) & APIC_LVT_TIMER_MASK;
}

/* One-shot or periodic: TMICT counts.  The reserved mode 11b never runs. */
static bool timer_mode_counts(uint32_t mode)
{
	return mode == APIC_LVT_ONESHOT || mode == APIC_LVT_PERIODIC;
}

/* The period as it is run: see LAPIC_TIMER_MIN_PERIOD_US. */
static uint64_t timer_run_period(const struct ph_vcpu *vcpu)
{
	uint64_t period = vcpu->lapic.timer_period;
	uint64_t shortest =
	    timer_scale(vcpu->vm->config.tsc_khz, LAPIC_TIMER_MIN_PERIOD_US, 1000, true);

	return period < shortest ? shortest : period;
}

/* ---- Arming and firing --------------------------------------------------------------------- */

static uint64_t timer_now(struct ph_vcpu *vcpu)
{
	return vcpu->platform->guest_tsc(vcpu, vcpu->host);
}

static void timer_arm(struct ph_vcpu *vcpu, uint64_t expiry)
{
	vcpu->lapic.timer_expiry = expiry;
	vcpu->lapic.timer_is_armed = true;
	vcpu->platform->timer_arm(vcpu, vcpu->host, expiry);
}

static void timer_arm_after(struct ph_vcpu *vcpu, uint64_t start, uint64_t ticks)
{
	uint64_t expiry;

	timer_arm(vcpu, __builtin_add_overflow(start, ticks, &expiry) ? UINT64_MAX : expiry);
}

void lapic_timer_reset(struct ph_vcpu *vcpu)
{
	vcpu->lapic.timer_expiry = 0;
	vcpu->lapic.tsc_deadline = 0;
	if (!vcpu->lapic.timer_is_armed)
		return;
	vcpu->lapic.timer_is_armed = false;
	vcpu->platform->timer_cancel(vcpu, vcpu->host);
}

/* The next expiry after `now`, in phase with the last one. */
static void timer_rearm(struct ph_vcpu *vcpu, uint64_t now)
{
	uint64_t period = timer_run_period(vcpu);
	uint64_t late = now - vcpu->lapic.timer_expiry;

	timer_arm_after(vcpu, now - late % period, period);
}

/* The expiry has passed at `now`. */
static void timer_fire(struct ph_vcpu *vcpu, uint64_t now)
{
	if (timer_mode(vcpu) == APIC_LVT_PERIODIC)
		timer_rearm(vcpu, now);
	else
		lapic_timer_reset(vcpu);
	source_lvt_deliver(vcpu, APIC_LVT_TIMER);
}

/* What is due fires under the registers as they were: call before any of them changes. */
static void timer_catch_up(struct ph_vcpu *vcpu)
{
	uint64_t now;

	if (!vcpu->lapic.timer_expiry)
		return;
	now = timer_now(vcpu);
	if (now >= vcpu->lapic.timer_expiry)
		timer_fire(vcpu, now);
}

void lapic_timer_service(struct ph_vcpu *vcpu)
{
	uint64_t now;

	/* The platform's timer has expired, so it need not be cancelled. */
	vcpu->lapic.timer_is_armed = false;
	if (!vcpu->lapic.timer_expiry)
		return;
	now = timer_now(vcpu);
	if (now >= vcpu->lapic.timer_expiry)
		timer_fire(vcpu, now);
	else /* a request of an earlier arming */
		timer_arm(vcpu, vcpu->lapic.timer_expiry);
}

void ph_vcpu_tsc_moved(struct ph_vcpu *vcpu, uint64_t delta)
{
	uint64_t now = timer_now(vcpu);
	uint64_t before = now - delta;
	uint64_t expiry = vcpu->lapic.timer_expiry;

	if (!expiry)
		return;
	if (timer_mode_counts(timer_mode(vcpu)))
		timer_arm_after(vcpu, now, expiry > before ? expiry - before : 0);
	else if (expiry > before)
		timer_arm(vcpu, expiry);
	else /* due before the jump */
		timer_fire(vcpu, now);
	timer_catch_up(vcpu);
}

/* ---- Saved state --------------------------------------------------------------------------- */

bool lapic_timer_is_valid(const uint32_t regs[LAPIC_REGISTER_COUNT], uint64_t expiry)
{
	uint32_t mode = regs[APIC_LVT_TIMER / 16] & APIC_LVT_TIMER_MASK;

	if (!expiry || mode == APIC_LVT_TSC_DEADLINE)
		return true;
	return timer_mode_counts(mode) && regs[APIC_TMICT / 16];
}

void lapic_timer_resume(struct ph_vcpu *vcpu, uint64_t expiry)
{
	if (!expiry)
		return;
	if (timer_mode(vcpu) == APIC_LVT_TSC_DEADLINE)
		vcpu->lapic.tsc_deadline = expiry;
	else
		vcpu->lapic.timer_period = timer_ticks(vcpu, lapic_reg(vcpu, APIC_TMICT));
	timer_arm(vcpu, expiry);
}

void lapic_timer_resume_count(struct ph_vcpu *vcpu, uint32_t count)
{
	uint32_t initial = lapic_reg(vcpu, APIC_TMICT);

	if (!timer_mode_counts(timer_mode(vcpu)) || !initial)
		return;
	/* At 0 a periodic timer begins anew, and a one-shot timer has ended. */
	if (!count && timer_mode(vcpu) == APIC_LVT_ONESHOT)
		return;
	vcpu->lapic.timer_period = timer_ticks(vcpu, initial);
	timer_arm_after(
	    vcpu, timer_now(vcpu), timer_ticks(vcpu, count && count < initial ? count : initial));
}

void ph_vcpu_timer_exit(struct ph_vcpu *vcpu)
{
	lapic_timer_service(vcpu);
}

/* ---- Registers ----------------------------------------------------------------------------- */

uint32_t lapic_timer_current_count(struct ph_vcpu *vcpu)
{
	uint64_t expiry = vcpu->lapic.timer_expiry;
	uint64_t now;

	if (!expiry || !timer_mode_counts(timer_mode(vcpu)))
		return 0;
	now = timer_now(vcpu);
	if (now < expiry)
		return timer_count(vcpu, expiry - now);
	if (timer_mode(vcpu) == APIC_LVT_ONESHOT)
		return 0;
	return timer_count(
	    vcpu, vcpu->lapic.timer_period - (now - expiry) % vcpu->lapic.timer_period);
}

void lapic_timer_write_initial_count(struct ph_vcpu *vcpu, uint32_t count)
{
	uint32_t mode = timer_mode(vcpu);

	if (mode == APIC_LVT_TSC_DEADLINE)
		return;
	timer_catch_up(vcpu);
	lapic_set_reg(vcpu, APIC_TMICT, count);
	if (!count || !timer_mode_counts(mode)) {
		lapic_timer_reset(vcpu);
		return;
	}
	vcpu->lapic.timer_period = timer_ticks(vcpu, count);
	timer_arm_after(vcpu, timer_now(vcpu),
	    mode == APIC_LVT_PERIODIC ? timer_run_period(vcpu) : vcpu->lapic.timer_period);
}

void lapic_timer_write_divide(struct ph_vcpu *vcpu, uint32_t value)
{
	uint32_t count;

	timer_catch_up(vcpu);
	count = lapic_timer_current_count(vcpu);
	lapic_set_reg(vcpu, APIC_TDCR, value & TDCR_MASK);
	if (!count)
		return;
	vcpu->lapic.timer_period = timer_ticks(vcpu, lapic_reg(vcpu, APIC_TMICT));
	timer_arm_after(vcpu, timer_now(vcpu), timer_ticks(vcpu, count));
}

void lapic_timer_write_lvt(struct ph_vcpu *vcpu, uint32_t value)
{
	uint32_t before = timer_mode(vcpu);
	uint32_t after = value & APIC_LVT_TIMER_MASK;

	timer_catch_up(vcpu);
	lapic_set_reg(vcpu, APIC_LVT_TIMER, value);
	if (before == after || (timer_mode_counts(before) && timer_mode_counts(after)))
		return;
	lapic_set_reg(vcpu, APIC_TMICT, 0);
	lapic_timer_reset(vcpu);
}

static bool timer_has_deadline(const struct ph_vcpu *vcpu)
{
	return lapic_is_hw_enabled(vcpu) && timer_mode(vcpu) == APIC_LVT_TSC_DEADLINE;
}

uint64_t lapic_timer_deadline(const struct ph_vcpu *vcpu)
{
	return timer_has_deadline(vcpu) ? vcpu->lapic.tsc_deadline : 0;
}

uint64_t lapic_timer_read_deadline(struct ph_vcpu *vcpu)
{
	timer_catch_up(vcpu);
	return lapic_timer_deadline(vcpu);
}

void lapic_timer_write_deadline(struct ph_vcpu *vcpu, uint64_t value)
{
	uint64_t now;

	if (!timer_has_deadline(vcpu))
		return;
	timer_catch_up(vcpu);
	if (!value) {
		lapic_timer_reset(vcpu);
		return;
	}
	now = timer_now(vcpu);
	vcpu->lapic.tsc_deadline = value;
	if (value <= now)
		timer_fire(vcpu, now);
	else
		timer_arm(vcpu, value);
}
