/* SPDX-License-Identifier: MIT */
/* Injected delivery without hardware: what enter.c chose -> ph_vcpu_take_event() of the embedder. */
#include "core/backend.h"
#include "core/lapic.h"

static void soft_reset(struct ph_vcpu *vcpu)
{
	vcpu->soft_event.kind = PH_EVENT_NONE;
}

/* An event that the embedder did not take during enter() is lost, and goes first next time. */
static void soft_collect(struct ph_vcpu *vcpu)
{
	static const enum event_kind kinds[] = {
	    [PH_EVENT_NONE] = EVENT_NONE,
	    [PH_EVENT_INTR] = EVENT_INTR,
	    [PH_EVENT_NMI] = EVENT_NMI,
	    [PH_EVENT_EXCEPTION] = EVENT_EXCEPTION,
	};
	struct ph_event *event = &vcpu->soft_event;

	if (event->kind == PH_EVENT_NONE)
		return;
	vcpu->events.lost = (struct event){
	    .kind = kinds[event->kind],
	    .vector = event->vector,
	    .has_error = event->has_error,
	    .error = event->error,
	};
	event->kind = PH_EVENT_NONE;
}

static bool soft_intr_allowed(const struct ph_vcpu *vcpu)
{
	return vcpu->soft_intr_allowed;
}

static bool soft_nmi_masked(const struct ph_vcpu *vcpu)
{
	return vcpu->events.nmi_masked;
}

static bool soft_nmi_allowed(const struct ph_vcpu *vcpu)
{
	return vcpu->soft_nmi_allowed && !vcpu->events.nmi_masked;
}

static void soft_inject(struct ph_vcpu *vcpu, const struct event *event)
{
	static const enum ph_event_kind kinds[] = {
	    [EVENT_NONE] = PH_EVENT_NONE,
	    [EVENT_INTR] = PH_EVENT_INTR,
	    [EVENT_EXTINT] = PH_EVENT_INTR,
	    [EVENT_NMI] = PH_EVENT_NMI,
	    [EVENT_EXCEPTION] = PH_EVENT_EXCEPTION,
	};

	vcpu->soft_event = (struct ph_event){
	    .kind = kinds[event->kind],
	    .vector = event->vector,
	};
	/* The others' are not set. */
	if (event->kind == EVENT_EXCEPTION) {
		vcpu->soft_event.has_error = event->has_error;
		vcpu->soft_event.error = event->error;
	}
}

/* The embedder polls ph_vcpu_wants_window() before it enters. */
static void soft_set_windows(struct ph_vcpu *vcpu, bool intr, bool nmi)
{
	(void)vcpu;
	(void)intr;
	(void)nmi;
}

/* The embedder reads and writes TPR through ph_cr8_*() and the registers. */
static void soft_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr, uint8_t threshold)
{
	(void)vcpu;
	(void)tpr;
	(void)threshold;
}

static void soft_nmi_unblocked(struct ph_vcpu *vcpu)
{
	vcpu->events.nmi_masked = false;
}

static bool soft_exception_exit(struct ph_vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	(void)vector;
	return false;
}

/* The embedder keeps the shadow itself, in what it tells ph_vcpu_set_interruptible(). */
static void soft_end_shadow(struct ph_vcpu *vcpu)
{
	(void)vcpu;
}

static void soft_nmi_blocked_again(struct ph_vcpu *vcpu)
{
	vcpu->events.nmi_masked = true;
}

static void soft_nmi_export(struct ph_vcpu *vcpu, struct nmi_state *state)
{
	*state = (struct nmi_state){.is_masked = vcpu->events.nmi_masked};
}

static void soft_nmi_import(struct ph_vcpu *vcpu, const struct nmi_state *state)
{
	vcpu->events.nmi_masked = state->is_masked;
}

/* No virtual-interrupt delivery: nothing to tell the processor. */
static void soft_sync(struct ph_vcpu *vcpu)
{
	(void)vcpu;
}

const struct backend backend_soft = {
#define SOFT_VERB(type, name, arguments) .name = soft_##name,
    BACKEND_VERBS(SOFT_VERB)
#undef SOFT_VERB
};

struct ph_event ph_vcpu_take_event(struct ph_vcpu *vcpu)
{
	struct ph_event event = vcpu->soft_event;

	vcpu->soft_event.kind = PH_EVENT_NONE;
	return event;
}

void ph_vcpu_set_interruptible(struct ph_vcpu *vcpu, bool intr, bool nmi)
{
	vcpu->soft_intr_allowed = intr;
	vcpu->soft_nmi_allowed = nmi;
}

bool ph_vcpu_wants_window(const struct ph_vcpu *vcpu)
{
	return vcpu->intr_window || vcpu->nmi_window;
}
