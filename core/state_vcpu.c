/* SPDX-License-Identifier: MIT */
/* A vCPU's delivery state to and from an image: whatever waits on the interrupt's path, saved. */
#include "core/backend.h"
#include "core/enter.h"
#include "core/post.h"
#include "core/route.h"
#include "core/state.h"

#define EXCEPTION_COUNT 32u
#define ERROR_MAX       0xffffu

/* Exceptions that push an error code (SDM vol. 3, table "Protected-Mode Exceptions and
 * Interrupts"). */
#define EXCEPTIONS_WITH_ERROR                                                                      \
	(1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 |    \
	    1u << 29 | 1u << 30)

/* What a sender may have left in the vCPU's shared part. */
struct state_pending {
	uint32_t requests;
	uint32_t sipi_vector;
	uint32_t lint;
	bool is_posted; /* ON of the descriptor */
	uint64_t pir[4];
	uint64_t level[4];
};

struct state_vcpu {
	struct state_lapic lapic;
	uint8_t activity;
	struct events events;
	struct nmi_state nmi;
	struct state_pending pending;
};

/* ---- The layout: docs/state.md ------------------------------------------------------------- */

static void vcpu_event(struct state_cursor *cursor, struct event *event)
{
	uint8_t kind = (uint8_t)event->kind;

	state_u8(cursor, &kind);
	state_u8(cursor, &event->vector);
	state_bool(cursor, &event->has_error);
	state_zero(cursor, 1);
	state_u32(cursor, &event->error);
	event->kind = (enum event_kind)kind;
}

static void vcpu_lapic(struct state_cursor *cursor, struct state_lapic *lapic)
{
	state_u64(cursor, &lapic->base);
	state_u64(cursor, &lapic->timer_expiry);
	state_u32(cursor, &lapic->esr_pending);
	state_bool(cursor, &lapic->extint_pending);
	state_zero(cursor, 3);
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		state_u32(cursor, &lapic->regs[i]);
}

static void vcpu_pending(struct state_cursor *cursor, struct state_pending *pending)
{
	state_u32(cursor, &pending->requests);
	state_u32(cursor, &pending->sipi_vector);
	state_u32(cursor, &pending->lint);
	state_bool(cursor, &pending->is_posted);
	state_zero(cursor, 3);
	for (uint32_t word = 0; word < 4; word++)
		state_u64(cursor, &pending->pir[word]);
	for (uint32_t word = 0; word < 4; word++)
		state_u64(cursor, &pending->level[word]);
}

/* All behind the head. */
static void vcpu_body(
    struct state_cursor *cursor, const struct ph_vcpu *vcpu, struct state_vcpu *state)
{
	state_config(cursor, vcpu->vm);
	state_same(cursor, vcpu->lapic.id | (uint64_t)vcpu->lapic.is_bsp << 32);
	vcpu_lapic(cursor, &state->lapic);
	state_u8(cursor, &state->activity);
	state_u8(cursor, &state->events.nmi_pending_count);
	state_bool(cursor, &state->nmi.is_masked);
	state_bool(cursor, &state->nmi.awaits_iret);
	vcpu_event(cursor, &state->events.lost);
	vcpu_event(cursor, &state->events.exception);
	state_zero(cursor, 4);
	state_u64(cursor, &state->nmi.iret_rip);
	vcpu_pending(cursor, &state->pending);
}

/* ---- Saving -------------------------------------------------------------------------------- */

static void vcpu_read_pending(struct ph_vcpu *vcpu, struct state_pending *pending)
{
	struct vcpu_shared *shared = &vcpu->shared;

	pending->requests = shared32_load(&shared->requests, STATE_READ) & ~REQUEST_DELIVERY;
	/* A start-up IPI that was taken leaves its vector behind. */
	pending->sipi_vector =
	    pending->requests & REQUEST_SIPI ? shared32_load(&shared->sipi_vector, SIPI_VECTOR) : 0;
	pending->lint = shared32_load(&shared->lint, STATE_READ);
	pending->is_posted = post_is_on(vcpu);
	for (uint32_t word = 0; word < 4; word++) {
		uint64_t edge = shared64_load(&shared->edge[word], STATE_READ);

		/* Posted is posted: who drains PIR outside the guest sets TMR as well. */
		pending->is_posted |= edge != 0;
		pending->pir[word] = shared64_load(&vcpu->pid->pir[word], STATE_READ) | edge;
		pending->level[word] = shared64_load(&shared->level[word], STATE_READ);
	}
}

/* What is behind an empty slot, or an error code that is not there, is no state. */
static struct event vcpu_read_event(const struct event *event)
{
	struct event copy = {.kind = EVENT_NONE};

	if (event->kind != EVENT_NONE)
		copy = *event;
	if (!copy.has_error)
		copy.error = 0;
	return copy;
}

static void vcpu_read(struct ph_vcpu *vcpu, struct state_vcpu *state)
{
	state_read_lapic(vcpu, &state->lapic);
	state->activity = (uint8_t)vcpu->activity;
	state->events = (struct events){
	    .lost = vcpu_read_event(&vcpu->events.lost),
	    .exception = vcpu_read_event(&vcpu->events.exception),
	    .nmi_pending_count = vcpu->events.nmi_pending_count,
	};
	vcpu->backend->nmi_export(vcpu, &state->nmi);
	vcpu_read_pending(vcpu, &state->pending);
}

static bool vcpu_is_outside(const struct ph_vcpu *vcpu)
{
	return (shared32_load(&vcpu->shared.mode, NONE) & MODE_STATE_MASK) == MODE_OUTSIDE;
}

int ph_vcpu_export(struct ph_vcpu *vcpu, void *image, size_t size)
{
	struct state_cursor cursor = {.to = image};
	struct state_vcpu state;

	PH_BUG_ON(vcpu, !vcpu_is_outside(vcpu));
	if (size < PH_VCPU_STATE_SIZE)
		return PH_ENOSPC;
	if (vcpu->is_nested)
		return PH_ENOTSUP;
	vcpu_read(vcpu, &state);
	state_write_head(&cursor, STATE_KIND_VCPU, PH_VCPU_STATE_SIZE);
	vcpu_body(&cursor, vcpu, &state);
	PH_BUG_ON(vcpu, cursor.to != (uint8_t *)image + PH_VCPU_STATE_SIZE);
	return PH_OK;
}

/* ---- Checking ------------------------------------------------------------------------------ */

/* A VM entry that injects it must not be refused by the processor. */
static bool vcpu_event_is_valid(const struct event *event)
{
	if (event->has_error && (event->kind != EVENT_EXCEPTION || event->error > ERROR_MAX))
		return false;
	if (!event->has_error && event->error)
		return false;
	switch (event->kind) {
	case EVENT_NONE:
		return !event->vector;
	case EVENT_INTR:
		return true;
	case EVENT_NMI:
		return event->vector == 2;
	case EVENT_EXCEPTION:
		return event->vector < EXCEPTION_COUNT && event->vector != 2 &&
		       (!event->has_error || EXCEPTIONS_WITH_ERROR >> event->vector & 1);
	default:
		return false;
	}
}

static bool vcpu_events_are_valid(const struct events *events)
{
	const struct event *exception = &events->exception;

	return events->nmi_pending_count <= 2 && vcpu_event_is_valid(&events->lost) &&
	       vcpu_event_is_valid(exception) &&
	       (exception->kind == EVENT_NONE || exception->kind == EVENT_EXCEPTION);
}

static bool vcpu_pending_is_valid(const struct state_pending *pending)
{
	const uint32_t lint = (LINT_HIGH | LINT_ROSE) | (LINT_HIGH | LINT_ROSE) << 1;

	return !(pending->requests & ~(REQUEST_ALL & ~REQUEST_DELIVERY)) &&
	       pending->sipi_vector <= (pending->requests & REQUEST_SIPI ? 0xffu : 0) &&
	       !(pending->lint & ~lint);
}

static bool vcpu_nmi_is_valid(const struct nmi_state *nmi)
{
	return nmi->awaits_iret ? nmi->is_masked : !nmi->iret_rip;
}

static bool vcpu_is_valid(const struct ph_vcpu *vcpu, const struct state_vcpu *state)
{
	return state_lapic_is_valid(vcpu, &state->lapic) &&
	       state->activity <= ACTIVITY_WAIT_FOR_SIPI && vcpu_events_are_valid(&state->events) &&
	       vcpu_nmi_is_valid(&state->nmi) && vcpu_pending_is_valid(&state->pending);
}

/* ---- Restoring ----------------------------------------------------------------------------- */

/*
 * Added, never stored: senders may post at any moment.  Outside the guest nobody needs to be told,
 * for the owner looks at ON and at requests before it enters (step 4, step 5, and before it
 * sleeps).
 */
static void vcpu_add_pending(struct ph_vcpu *vcpu, const struct state_pending *pending)
{
	struct vcpu_shared *shared = &vcpu->shared;
	bool is_posted = pending->is_posted;

	for (uint32_t word = 0; word < 4; word++) {
		if (pending->pir[word])
			(void)shared64_or(&vcpu->pid->pir[word], pending->pir[word], STATE_PIR);
		if (pending->level[word])
			(void)shared64_or(&shared->level[word], pending->level[word], STATE_LEVEL);
		is_posted |= pending->pir[word] != 0;
	}
	/* Also for a PIR that was saved while SN kept ON clear. */
	if (is_posted)
		(void)shared64_or(&vcpu->pid->control, PID_ON, STATE_ON);
	if (pending->requests & REQUEST_SIPI)
		shared32_store(&shared->sipi_vector, pending->sipi_vector, SIPI_VECTOR);
	(void)shared32_or(&shared->lint, pending->lint, STATE_REQUESTS);
	/* REQUEST_DELIVERY: the active delivery follows from the APIC's mode. */
	(void)shared32_or(&shared->requests, pending->requests | REQUEST_DELIVERY, STATE_REQUESTS);
}

static void vcpu_write(struct ph_vcpu *vcpu, const struct state_vcpu *state)
{
	uint8_t tpr = (uint8_t)state->lapic.regs[APIC_TPR / 16];

	enter_reset(vcpu);
	vcpu->backend->reset(vcpu);
	vcpu->backend->set_windows(vcpu, false, false);
	state_write_lapic(vcpu, &state->lapic);
	vcpu->backend->set_tpr(vcpu, tpr, 0);
	vcpu->tpr_given = tpr;
	vcpu->activity = (enum activity)state->activity;
	vcpu->events.lost = state->events.lost;
	vcpu->events.exception = state->events.exception;
	vcpu->events.nmi_pending_count = state->events.nmi_pending_count;
	vcpu->backend->nmi_import(vcpu, &state->nmi);
	vcpu_add_pending(vcpu, &state->pending);
}

int ph_vcpu_import(struct ph_vcpu *vcpu, const void *image, size_t size)
{
	struct state_cursor cursor = {.from = image};
	struct state_vcpu state = {.activity = 0};
	int result;

	PH_BUG_ON(vcpu, !vcpu_is_outside(vcpu));
	if (size != PH_VCPU_STATE_SIZE)
		return PH_EINVAL;
	if (vcpu->is_nested)
		return PH_ENOTSUP;
	result = state_read_head(&cursor, STATE_KIND_VCPU, PH_VCPU_STATE_SIZE);
	if (result != PH_OK)
		return result;
	vcpu_body(&cursor, vcpu, &state);
	if (cursor.is_refused || !vcpu_is_valid(vcpu, &state))
		return PH_EINVAL;
	vcpu_write(vcpu, &state);
	return PH_OK;
}

/* ---- The local APIC, for ph_vcpu_import() and for KVM's layout ------------------------------ */

void state_read_lapic(struct ph_vcpu *vcpu, struct state_lapic *lapic)
{
	lapic_refresh(vcpu);
	lapic->base = vcpu->lapic.base;
	lapic->timer_expiry = vcpu->lapic.timer_expiry;
	lapic->esr_pending = vcpu->lapic.esr_pending;
	lapic->extint_pending = vcpu->lapic.extint_pending;
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		lapic->regs[i] = lapic_reg(vcpu, i * 16);
	/* With APIC-register virtualization the processor leaves more in the page than is state. */
	lapic_regs_clean(vcpu, lapic->base, lapic->regs);
}

bool state_lapic_is_valid(const struct ph_vcpu *vcpu, const struct state_lapic *lapic)
{
	uint32_t clean[LAPIC_REGISTER_COUNT];

	if (!lapic_base_is_valid(lapic->base) || lapic->esr_pending & ~APIC_ESR_ALL)
		return false;
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		clean[i] = lapic->regs[i];
	lapic_regs_clean(vcpu, lapic->base, clean);
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++) {
		if (clean[i] != lapic->regs[i])
			return false;
	}
	return lapic_timer_is_valid(lapic->regs, lapic->timer_expiry);
}

void state_write_lapic(struct ph_vcpu *vcpu, const struct state_lapic *lapic)
{
	vcpu->lapic.base = lapic->base;
	vcpu->lapic.esr_pending = lapic->esr_pending;
	vcpu->lapic.extint_pending = lapic->extint_pending;
	lapic_timer_reset(vcpu);
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		lapic_set_reg(vcpu, i * 16, lapic->regs[i]);
	lapic_timer_resume(vcpu, lapic->timer_expiry);
	lapic_rebuild(vcpu);
	lapic_publish_tmr(vcpu);
	lapic_regs_see(vcpu);
	vcpu->lapic.irr_changed = vcpu->lapic.isr_changed = vcpu->lapic.tmr_changed = true;
	route_publish_identity(vcpu);
	source_lvt_update_pic(vcpu);
}
