/* SPDX-License-Identifier: MIT */
/* The only place of entry ordering: post.c -> here -> the guest.  Steps as in docs/ordering.md. */
#include "core/enter.h"
#include "core/backend.h"
#include "core/delivery.h"
#include "core/lapic.h"
#include "core/nested.h"
#include "core/post.h"
#include "core/route.h"
#include "core/trace.h"

/* ---- Step 1: requests and the choice of an event ------------------------------------------- */

static void enter_take_init(struct ph_vcpu *vcpu)
{
	lapic_reset(vcpu, true);
	enter_reset(vcpu);
	vcpu->backend->reset(vcpu);
	vcpu->platform->init(vcpu, vcpu->host);
	delivery_update(vcpu);
	vcpu->activity = vcpu->lapic.is_bsp ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI;
}

static void enter_take_sipi(struct ph_vcpu *vcpu)
{
	/* SDM vol. 3, "Typical BSP Initialization Sequence": ignored unless waiting for it. */
	if (vcpu->activity != ACTIVITY_WAIT_FOR_SIPI)
		return;
	vcpu->activity = ACTIVITY_ACTIVE;
	vcpu->platform->start(vcpu, vcpu->host,
	    (uint8_t)shared32_load(&vcpu->shared.sipi_vector, SIPI_VECTOR));
}

static void enter_take_nmi(struct ph_vcpu *vcpu, uint32_t requests)
{
	struct events *events = &vcpu->events;
	/*
	 * One NMI is latched while another is being handled (SDM vol. 3, "Handling Multiple NMIs").  The
	 * backend knows: with virtual NMIs it is the processor that masks them.
	 */
	uint32_t limit = vcpu->backend->nmi_masked(vcpu) ? 1 : 2;
	uint32_t count = events->nmi_pending_count + (requests & REQUEST_NMI ? 1u : 0u) +
	    (requests & REQUEST_NMI_2 ? 1u : 0u);

	events->nmi_pending_count = (uint8_t)(count < limit ? count : limit);
}

static void enter_service_requests(struct ph_vcpu *vcpu)
{
	uint32_t requests =
	    shared32_and(&vcpu->shared.requests, PH_REQUEST_HOST_MASK, SERVICE_REQUESTS);

	if (requests & REQUEST_DELIVERY)
		delivery_update(vcpu);
	if (requests & REQUEST_INIT)
		enter_take_init(vcpu);
	if (requests & REQUEST_SIPI)
		enter_take_sipi(vcpu);
	if (requests & (REQUEST_NMI | REQUEST_NMI_2))
		enter_take_nmi(vcpu, requests);
	if (requests & REQUEST_SMI)
		vcpu->platform->smi(vcpu, vcpu->host);
	if (requests & REQUEST_TIMER)
		lapic_timer_service(vcpu);
	if (requests & REQUEST_LINT)
		source_lvt_lint_service(vcpu);
	if (requests & REQUEST_EXTINT)
		vcpu->lapic.extint_pending = true;
	if (requests & REQUEST_LEVEL)
		post_take_levels(vcpu);
}

bool enter_has_extint(const struct ph_vcpu *vcpu)
{
	return vcpu->lapic.extint_pending ||
	    (vcpu->lapic.accepts_pic && source_pic_output(vcpu->vm));
}

/* The event to take next, by priority. */
struct choice {
	struct event event;
	struct event *slot; /* where an exception or a lost event waits; NULL: a new event */
};

/* Windows for what has to wait. */
struct windows {
	bool has_intr; /* an interrupt waits for its window, or goes in now */
	bool intr;
	bool nmi;
};

#define INTR_EXTINT 256 /* an interrupt that has no vector yet: the PIC gives it at INTA */

/* The vector that could be injected if the guest can take one, INTR_EXTINT or PH_NO_VECTOR. */
static inline int enter_find_intr(struct ph_vcpu *vcpu)
{
	/* L1's are never injected into L2: nested.c. */
	if (vcpu->is_nested)
		return PH_NO_VECTOR;
	if (enter_has_extint(vcpu))
		return INTR_EXTINT;
	/* Virtual-interrupt delivery needs neither injection nor window: RVI says it all. */
	if (delivery_is_virtual(vcpu))
		return PH_NO_VECTOR;
	return lapic_deliverable(vcpu);
}

/* The class of the highest interrupt in IRR, which is not empty, if TPR holds it back; else 0. */
static uint8_t enter_tpr_class(struct ph_vcpu *vcpu)
{
	uint32_t class = (uint32_t)lapic_highest_irr(vcpu) >> 4;

	return class > lapic_reg(vcpu, APIC_TPR) >> 4 ? 0 : (uint8_t)class;
}

/* Not 0: an exception, a lost event or an NMI waits. */
static inline uint32_t enter_has_other(const struct events *events)
{
	_Static_assert(EVENT_NONE == 0, "no event");
	return (uint32_t)events->exception.kind | (uint32_t)events->lost.kind |
	    events->nmi_pending_count;
}

/* An exception, a lost event or an NMI; false: none of them can go in now. */
static bool enter_choose_other(struct ph_vcpu *vcpu, struct choice *choice)
{
	struct events *events = &vcpu->events;

	if (events->exception.kind != EVENT_NONE) {
		choice->slot = &events->exception;
	} else if (events->lost.kind != EVENT_NONE) {
		choice->slot = &events->lost;
	} else if (events->nmi_pending_count && vcpu->backend->nmi_allowed(vcpu)) {
		choice->event = (struct event){.kind = EVENT_NMI, .vector = 2};
		return true;
	}
	if (choice->slot)
		choice->event = *choice->slot;
	return choice->slot;
}

/*
 * TPR holds an interrupt back and so does RFLAGS.IF: wait for IF.  A guest that lowers TPR and then
 * sets IF exits once for it.  While the threshold is in force already, it stays.
 */
static bool enter_awaits_if(struct ph_vcpu *vcpu)
{
	return vcpu->lapic.irr_pending && !vcpu->threshold_given && !delivery_is_virtual(vcpu) &&
	    !vcpu->is_nested && enter_tpr_class(vcpu) && !vcpu->backend->intr_allowed(vcpu);
}

/* An interrupt, or its window: `intr` as from enter_find_intr(). */
static inline struct windows enter_choose_intr(
    struct ph_vcpu *vcpu, struct choice *choice, int intr, bool has_other)
{
	bool has_intr = intr != PH_NO_VECTOR || enter_awaits_if(vcpu);

	if (intr == PH_NO_VECTOR || has_other || !vcpu->backend->intr_allowed(vcpu))
		return (struct windows){.has_intr = has_intr, .intr = has_intr};
	choice->slot = NULL;
	choice->event.kind = intr == INTR_EXTINT ? EVENT_EXTINT : EVENT_INTR;
	choice->event.vector = (uint8_t)intr;
	return (struct windows){.has_intr = true};
}

/*
 * One event an entry, by SDM vol. 3, table "Priority Among Concurrent Events": an event whose
 * delivery was cut short goes first as it was; then faults of the current instruction, NMI, INTR.
 */
static struct windows enter_choose(struct ph_vcpu *vcpu, struct choice *choice)
{
	struct windows windows;
	uint32_t nmi_count = 0;
	bool has_other;

	choice->slot = NULL;
	choice->event.kind = EVENT_NONE;
	has_other = enter_choose_other(vcpu, choice);
	if (choice->event.kind == EVENT_NMI && !choice->slot)
		nmi_count = 1;
	windows = enter_choose_intr(vcpu, choice, enter_find_intr(vcpu), has_other);
	windows.nmi = vcpu->events.nmi_pending_count > nmi_count;
	return windows;
}

static inline void enter_set_windows(struct ph_vcpu *vcpu, struct windows windows)
{
	/* The NMI window depends on the guest's progress through IRET: look each time. */
	if (windows.intr == vcpu->intr_window && windows.nmi == vcpu->nmi_window && !windows.nmi)
		return;
	if ((windows.intr && !vcpu->intr_window) || (windows.nmi && !vcpu->nmi_window)) {
		vcpu->counters.window_count++;
		trace_event(
		    vcpu, TRACE_WINDOW, (windows.intr ? 1u : 0u) | (windows.nmi ? 2u : 0u));
	}
	vcpu->intr_window = windows.intr;
	vcpu->nmi_window = windows.nmi;
	vcpu->backend->set_windows(vcpu, windows.intr, windows.nmi);
}

/*
 * The class below which the guest must not lower TPR unseen: that of an interrupt that TPR holds back.
 * With a higher one delivered or its window open, the next exit looks again.
 */
static inline uint8_t enter_tpr_threshold(struct ph_vcpu *vcpu, bool has_intr)
{
	if (has_intr || !vcpu->lapic.irr_pending || delivery_is_virtual(vcpu))
		return 0;
	return enter_tpr_class(vcpu);
}

static inline void enter_set_tpr(struct ph_vcpu *vcpu, uint8_t threshold)
{
	uint8_t tpr = (uint8_t)lapic_reg(vcpu, APIC_TPR);

	if (!((tpr ^ vcpu->tpr_given) | (threshold ^ vcpu->threshold_given)))
		return;
	vcpu->tpr_given = tpr;
	vcpu->threshold_given = threshold;
	vcpu->backend->set_tpr(vcpu, tpr, threshold);
}

static __attribute__((noinline)) void enter_prepare(struct ph_vcpu *vcpu, struct choice *choice)
{
	struct windows windows = enter_choose(vcpu, choice);

	enter_set_windows(vcpu, windows);
	/* With L2 current the TPR shadow and its threshold are L2's. */
	if (!vcpu->is_nested)
		enter_set_tpr(vcpu, enter_tpr_threshold(vcpu, windows.has_intr));
}

/* ---- Between 5 and 6: the entry can no longer be abandoned --------------------------------- */

/* A new event leaves where it was pending; one from a slot was acknowledged when it was new. */
static void enter_acknowledge(struct ph_vcpu *vcpu, struct event *event)
{
	switch (event->kind) {
	case EVENT_INTR:
		lapic_acknowledge(vcpu, event->vector);
		break;
	case EVENT_EXTINT:
		vcpu->lapic.extint_pending = false;
		vcpu->counters.posted_count[PH_SOURCE_PIC]++;
		event->vector = source_pic_acknowledge(vcpu->vm);
		break;
	case EVENT_NMI:
		vcpu->events.nmi_pending_count--;
		vcpu->events.nmi_masked = true;
		break;
	case EVENT_NONE:
	case EVENT_EXCEPTION:
		break;
	}
}

/*
 * Only here does the choice become real: INTA, the NMI latch, EVENTINJ.  An abandoned entry has
 * nothing to undo (docs/adr/0001).
 */
static void enter_commit(struct ph_vcpu *vcpu, struct choice *choice)
{
	if (choice->event.kind == EVENT_NONE)
		return;
	if (choice->slot) {
		if (choice->slot == &vcpu->events.lost)
			vcpu->counters.reinjected_count++;
		choice->slot->kind = EVENT_NONE;
	} else {
		enter_acknowledge(vcpu, &choice->event);
	}
	vcpu->counters.injected_count++;
	trace_event(vcpu, TRACE_INJECT, (uint64_t)choice->event.kind << 8 | choice->event.vector);
	vcpu->backend->inject(vcpu, &choice->event);
	choice->event.kind = EVENT_NONE;
}

/* ---- The mode word ------------------------------------------------------------------------- */

static void enter_publish_in_guest(struct ph_vcpu *vcpu)
{
	/* OUTSIDE now, and only the owner leaves OUTSIDE: a plain read, the next generation. */
	uint32_t mode = shared32_load(&vcpu->shared.mode, NONE);

	/*
	 * The fence: ENTER_ON and ENTER_REQUESTS are read after IN_GUEST can be seen.  Pairs with POST_ON
	 * and REQUEST_SET; lab: post-spin, request-kick.
	 * The generation: so that a kicker's cmpxchg fails if its reading of the word is of an
	 * earlier entry; lab: mode-generation.
	 */
	mode = SHARED_STEP(ENTER_GENERATION) ? (mode | MODE_STATE_MASK) + 1u : 0;
	shared32_publish(&vcpu->shared.mode, mode + MODE_IN_GUEST, ENTER_PUBLISH);
}

static void enter_publish_outside(struct ph_vcpu *vcpu)
{
	/* May overwrite EXITING: its kicker has set a request, which the next lap services. */
	uint32_t mode = shared32_load(&vcpu->shared.mode, NONE);

	shared32_store_release(&vcpu->shared.mode, mode & ~MODE_STATE_MASK, ENTER_OUTSIDE);
}

static bool enter_has_requests(const struct ph_vcpu *vcpu)
{
	return shared32_load(&vcpu->shared.requests, ENTER_REQUESTS) != 0;
}

/* ---- Blocking ------------------------------------------------------------------------------ */

/* Can anything end HLT or wait-for-SIPI now?  SDM vol. 2, "HLT". */
static bool enter_is_wakeable(struct ph_vcpu *vcpu)
{
	const struct events *events = &vcpu->events;

	if (vcpu->activity == ACTIVITY_WAIT_FOR_SIPI)
		return false;
	if (events->exception.kind != EVENT_NONE || events->lost.kind != EVENT_NONE)
		return true;
	if (events->nmi_pending_count && vcpu->backend->nmi_allowed(vcpu))
		return true;
	if (nested_wants_exit(vcpu))
		return true;
	if (!vcpu->backend->intr_allowed(vcpu))
		return false;
	lapic_refresh(vcpu);
	return enter_find_intr(vcpu) != PH_NO_VECTOR || lapic_deliverable(vcpu) != PH_NO_VECTOR;
}

/*
 * Publish the sleep, fence, look again, sleep: a sender that does not see the announcement has set ON
 * or a request that the recheck sees.  Pairs with POST_ON and REQUEST_SET; lab: post-halt,
 * request-halt.
 */
static void enter_block(struct ph_vcpu *vcpu)
{
	bool is_claimed_back;

	device_post_sleep_begin(vcpu);
	shared32_publish(&vcpu->shared.blocked, BLOCKED_YES, BLOCK_PUBLISH);
	is_claimed_back = SHARED_STEP(BLOCK_RECHECK) &&
	    (post_is_on(vcpu) || enter_has_requests(vcpu)) &&
	    shared32_cmpxchg(&vcpu->shared.blocked, BLOCKED_YES, BLOCKED_NO, BLOCK_CLAIM) ==
		BLOCKED_YES;
	/* Not claimed back: a wake-up is or will be on its way, and this consumes it. */
	if (!is_claimed_back) {
		trace_event(vcpu, TRACE_BLOCK, 0);
		vcpu->platform->sleep(vcpu, vcpu->host);
	}
	device_post_sleep_end(vcpu);
}

/* Step 1 as far as the choice; false: not to enter now (blocked, look again). */
static bool enter_service(struct ph_vcpu *vcpu)
{
	if (enter_has_requests(vcpu))
		enter_service_requests(vcpu);
	post_drain(vcpu);
	if (vcpu->activity == ACTIVITY_ACTIVE)
		return true;
	if (enter_is_wakeable(vcpu)) {
		vcpu->activity = ACTIVITY_ACTIVE;
		return true;
	}
	enter_block(vcpu);
	return false;
}

/* ---- The order ----------------------------------------------------------------------------- */

/* Steps 4 and 5: true if something came that this entry did not count on. */
static bool enter_recheck(struct ph_vcpu *vcpu)
{
	/* Without virtual delivery, or into L2: what is drained now needs a new choice. */
	if (SHARED_STEP(ENTER_RECHECK_ON) && post_drain(vcpu) && !delivery_is_virtual(vcpu))
		return true;
	return SHARED_STEP(ENTER_RECHECK_REQUESTS) && enter_has_requests(vcpu);
}

/* Is there nothing to choose from but the local APIC's IRR, with L1 current? */
static inline bool enter_is_plain(const struct ph_vcpu *vcpu)
{
	const struct lapic *lapic = &vcpu->lapic;

	/* All at once: each is 0 as a rule, and this is on the way of every fast exit. */
	return !(enter_has_other(&vcpu->events) | lapic->accepts_pic | lapic->extint_pending |
	    vcpu->is_nested);
}

/* enter_prepare() for an interrupt from IRR alone. */
static inline void enter_prepare_intr(struct ph_vcpu *vcpu, struct choice *choice)
{
	struct windows windows = enter_choose_intr(vcpu, choice, lapic_deliverable(vcpu), false);

	enter_set_windows(vcpu, windows);
	enter_set_tpr(vcpu, enter_tpr_threshold(vcpu, windows.has_intr));
}

/* After a fast-path exit, to 4 with the events as they are now; IRQs stay off.  False: to 1. */
static inline bool enter_prepare_again(struct ph_vcpu *vcpu, struct choice *choice)
{
	bool is_plain = enter_is_plain(vcpu);

	if (is_plain && !(vcpu->lapic.irr_pending | vcpu->intr_window)) {
		enter_set_tpr(vcpu, 0);
		return true;
	}
	if (is_plain && !delivery_is_virtual(vcpu)) {
		enter_prepare_intr(vcpu, choice);
		return true;
	}
	if (nested_wants_exit(vcpu))
		return false;
	enter_prepare(vcpu, choice);
	return true;
}

static bool enter_abandon(struct ph_vcpu *vcpu)
{
	vcpu->counters.lap_count++;
	trace_event(vcpu, TRACE_LAP, 0);
	return false;
}

/* Steps 4 to 6 until an exit that must be handed up (true) or step 1 is needed (false). */
static bool enter_guest(struct ph_vcpu *vcpu, struct choice *choice)
{
	const struct ph_platform *platform = vcpu->platform;
	bool has_fast_exit = platform->fast_exit, has_trace = platform->trace;

	for (;;) {
		/* Steps 4 and 5. */
		if (enter_recheck(vcpu))
			return enter_abandon(vcpu);
		if (delivery_is_virtual(vcpu) && lapic_is_unsynced(vcpu))
			vcpu->backend->sync(vcpu);
		enter_commit(vcpu, choice);
		/* Step 6. */
		vcpu->counters.entry_count++;
		if (has_trace)
			trace_event(vcpu, TRACE_ENTER, 0);
		platform->enter(vcpu, vcpu->host);
		vcpu->backend->collect(vcpu);
		if (!has_fast_exit || !platform->fast_exit(vcpu, vcpu->host))
			return true;
		if (SHARED_STEP(ENTER_AGAIN) && !enter_prepare_again(vcpu, choice))
			return enter_abandon(vcpu);
	}
}

enum ph_run ph_vcpu_run(struct ph_vcpu *vcpu)
{
	const struct ph_platform *platform = vcpu->platform;
	struct choice choice;
	bool has_exited;

	do {
		has_exited = false;
		/* Step 1. */
		if (ph_vcpu_has_request(vcpu))
			return PH_RUN_REQUEST;
		if (!enter_service(vcpu))
			continue;
		if (nested_wants_exit(vcpu))
			return PH_RUN_NESTED_EXIT;
		enter_prepare(vcpu, &choice);
		/* Step 2: a notification from here on is taken by the guest's entry, not by a handler. */
		if (SHARED_STEP(ENTER_IRQS_OFF))
			platform->irq_disable();
		/* Step 3. */
		enter_publish_in_guest(vcpu);
		/* Steps 4 to 6. */
		has_exited = enter_guest(vcpu, &choice);
		/* Step 7. */
		enter_publish_outside(vcpu);
		platform->irq_enable();
	} while (!has_exited);
	return PH_RUN_EXIT;
}

void enter_reset(struct ph_vcpu *vcpu)
{
	vcpu->events = (struct events){.lost = {.kind = EVENT_NONE}};
	vcpu->intr_window = false;
	vcpu->nmi_window = false;
	vcpu->tpr_given = 0;
	vcpu->threshold_given = 0;
	vcpu->is_nested = false;
}

void ph_vcpu_halt(struct ph_vcpu *vcpu)
{
	vcpu->activity = ACTIVITY_HALTED;
}

bool ph_vcpu_has_request(const struct ph_vcpu *vcpu)
{
	return shared32_load(&vcpu->shared.requests, ENTER_REQUESTS) & PH_REQUEST_HOST_MASK;
}

uint32_t ph_vcpu_take_requests(struct ph_vcpu *vcpu)
{
	return shared32_and(&vcpu->shared.requests, ~PH_REQUEST_HOST_MASK, SERVICE_REQUESTS) &
	    PH_REQUEST_HOST_MASK;
}
