/* SPDX-License-Identifier: MIT */
/* The only door for other CPUs: route.c -> here -> the target's PIR or requests, and its notification. */
#include "core/post.h"
#include "core/lapic.h"
#include "core/trace.h"

/* Is the calling pCPU the one that runs the target?  Then it looks for itself before it enters. */
static bool post_is_running_here(const struct ph_vcpu *target)
{
	return target->platform->running() == target;
}

static void post_ipi(struct ph_vcpu *target)
{
	/* After the mode word: the owner wrote it before it published this IN_GUEST. */
	uint32_t pcpu = shared32_load(&target->shared.pcpu, POST_PCPU);

	target->platform->notify(target, target->host, pcpu);
}

static void post_kick(struct ph_vcpu *target)
{
	const struct ph_platform *platform = target->platform;
	uint32_t pcpu = shared32_load(&target->shared.pcpu, POST_PCPU);

	/* A posted interrupt's vector would be taken without an exit, and the request not be seen. */
	if (platform->kick)
		platform->kick(target, target->host, pcpu);
	else
		platform->notify(target, target->host, pcpu);
}

/*
 * The target is outside the guest.  Either it is on its way in, and step 4 or 5 of its entry will see
 * what was posted, or it announced its sleep before it could see it: then whoever claims the
 * announcement sends the one wake-up.
 */
void post_wake(struct ph_vcpu *target)
{
	if (shared32_load(&target->shared.blocked, WAKE_BLOCKED) != BLOCKED_YES)
		return;
	if (shared32_cmpxchg(&target->shared.blocked, BLOCKED_YES, BLOCKED_NO, WAKE_CLAIM) !=
	    BLOCKED_YES)
		return;
	shared_count(&target->statistics.woken_count);
	trace_event(target, TRACE_WAKE, 0);
	target->platform->wake(target, target->host);
}

/* ON went from 0 to 1: exactly one sender comes here for each drain. */
static void post_notify(struct ph_vcpu *target)
{
	uint32_t mode = shared32_load_acquire(&target->shared.mode, POST_MODE);

	switch (mode & MODE_STATE_MASK) {
	case MODE_IN_GUEST:
		/*
		 * IN_GUEST implies IRQs off on the target's pCPU, so "running here" means that the
		 * owner itself is in a fast-path exit and passes step 4 before it enters again.  No
		 * host interrupt handler can get here for a blocking vCPU.
		 */
		if (post_is_running_here(target) && SHARED_STEP(POST_ELIDE)) {
			shared_count(&target->statistics.elided_count);
			break;
		}
		shared_count(&target->statistics.notified_count);
		trace_event(target, TRACE_NOTIFY, 0);
		post_ipi(target);
		break;
	case MODE_OUTSIDE:
		post_wake(target);
		break;
	default:
		/* EXITING, or reading page tables with IRQs off: step 4 is still to come. */
		break;
	}
}

static void post_edge(struct ph_vcpu *target, uint8_t vector)
{
	uint64_t bit = 1ull << (vector % 64u);

	/* Set already: the sender that set it goes on to ON, or the drain has not taken it yet. */
	if (shared64_or(&target->pid->pir[vector / 64u], bit, POST_PIR) & bit)
		return;
	/*
	 * Also the full fence between PIR/ON and the mode word.  Pairs with ENTER_PUBLISH and
	 * BLOCK_PUBLISH; lab: post-spin, post-halt.
	 */
	if (shared64_or(&target->pid->control, PID_ON, POST_ON) & PID_ON)
		return;
	post_notify(target);
}

/*
 * What changes TMR does not go through PIR: a processor that takes posted interrupts by itself would
 * leave TMR and the EOI-exit bitmap as they are, and the IOAPIC's line would stick.  A request makes the
 * owner take it (docs/adr/0003).
 */
static void post_by_request(struct ph_vcpu *target, uint64_t *inbox, uint8_t vector)
{
	uint64_t bit = 1ull << (vector % 64u);

	/* Set already: the sender that set it goes on to the request. */
	if (shared64_or(&inbox[vector / 64u], bit, POST_LEVEL) & bit)
		return;
	post_request(target, REQUEST_LEVEL);
}

/*
 * Was the vector's last interrupt a level?  A level that is on its way meanwhile comes before this edge
 * or after it; either will do.  Lab: retrigger-posted.
 */
static bool post_is_retrigger(const struct ph_vcpu *target, uint8_t vector)
{
	return (shared64_load(&target->shared.tmr[vector / 64u], NONE) >> (vector % 64u) & 1) &&
	       SHARED_STEP(POST_RETRIGGER);
}

/* Out of line: it would have post_interrupt() save registers that its short way does not need. */
static __attribute__((noinline)) void post_remote(struct ph_vcpu *target, uint8_t vector, bool level,
    enum ph_source source)
{
	shared_count(&target->statistics.posted_count[source]);
	trace_event(target, TRACE_POST, vector);
	if (level)
		post_by_request(target, &target->shared.level[0], vector);
	else if (__builtin_expect(post_is_retrigger(target, vector), 0))
		post_by_request(target, &target->shared.edge[0], vector);
	else
		post_edge(target, vector);
}

/* Also out of line, for the same reason. */
static __attribute__((noinline)) void post_self_traced(struct ph_vcpu *vcpu, uint8_t vector, bool level)
{
	trace_event(vcpu, TRACE_POST, vector);
	lapic_accept(vcpu, vector, level);
}

void post_self(struct ph_vcpu *vcpu, uint8_t vector, bool level, enum ph_source source)
{
	/* The owner looks at IRR before it enters: no atomics, and no one to notify. */
	vcpu->counters.posted_count[source]++;
	vcpu->counters.elided_count++;
	if (__builtin_expect(vcpu->platform->trace != NULL, 0))
		post_self_traced(vcpu, vector, level);
	else
		lapic_accept(vcpu, vector, level);
}

void post_interrupt(struct ph_vcpu *sender, struct ph_vcpu *target, uint8_t vector, bool level,
    enum ph_source source)
{
	if (sender != target)
		post_remote(target, vector, level, source);
	else
		post_self(target, vector, level, source);
}

bool post_request(struct ph_vcpu *target, uint32_t bits)
{
	uint32_t *word = &target->shared.mode;
	uint32_t mode;

	/*
	 * All set already: their setter kicks.  Also the full fence before the mode word.  Pairs with
	 * ENTER_PUBLISH and BLOCK_PUBLISH; lab: request-kick, request-halt.
	 */
	if ((shared32_or(&target->shared.requests, bits, REQUEST_SET) & bits) == bits)
		return false;
	mode = shared32_load_acquire(word, POST_MODE);
	switch (mode & MODE_STATE_MASK) {
	case MODE_IN_GUEST:
		if (post_is_running_here(target))
			break;
		/*
		 * If the word changed meanwhile, the target left the guest; step 5 of its next entry
		 * or its block recheck comes after the request was set.
		 */
		if (shared32_cmpxchg(word, mode, mode ^ MODE_IN_GUEST ^ MODE_EXITING,
			REQUEST_EXITING) != mode)
			break;
		shared_count(&target->statistics.kicked_count);
		trace_event(target, TRACE_KICK, bits);
		post_kick(target);
		break;
	case MODE_OUTSIDE:
		post_wake(target);
		break;
	default:
		break;
	}
	return true;
}

void post_nmi(struct ph_vcpu *target)
{
	shared_count(&target->statistics.nmi_count);
	/* Two that come before the target looks are two; a third has nowhere to be latched. */
	if (!post_request(target, REQUEST_NMI))
		post_request(target, REQUEST_NMI_2);
}

void post_sipi(struct ph_vcpu *target, uint8_t vector)
{
	shared32_store(&target->shared.sipi_vector, vector, SIPI_VECTOR);
	post_request(target, REQUEST_SIPI);
}

/* Take one 64-vector word of an inbox into IRR. */
static void post_take_word(struct ph_vcpu *vcpu, uint32_t word, uint64_t bits, bool level)
{
	while (bits) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);

		bits &= bits - 1;
		lapic_accept(vcpu, (uint8_t)(word * 64u + bit), level);
	}
}

void post_drain_pir(struct ph_vcpu *vcpu)
{
	/*
	 * ON first, then PIR: a bit set behind our back sets ON again.  Pairs with POST_ON; lab:
	 * fast-post-posted.
	 */
	(void)shared64_and(&vcpu->pid->control, ~PID_ON, DRAIN_ON);
	for (uint32_t word = 0; word < 4; word++) {
		if (shared64_load(&vcpu->pid->pir[word], NONE))
			post_take_word(vcpu, word,
			    shared64_xchg(&vcpu->pid->pir[word], 0, DRAIN_PIR), false);
	}
}

static void post_take_inbox(struct ph_vcpu *vcpu, uint64_t *inbox, bool level)
{
	for (uint32_t word = 0; word < 4; word++) {
		if (shared64_load(&inbox[word], NONE))
			post_take_word(
			    vcpu, word, shared64_xchg(&inbox[word], 0, DRAIN_LEVEL), level);
	}
}

void post_take_levels(struct ph_vcpu *vcpu)
{
	/* After REQUEST_LEVEL was cleared: a bit set behind our back sets it again. */
	post_take_inbox(vcpu, &vcpu->shared.edge[0], false);
	/* Levels last: of a vector that is in both, the IOAPIC waits for the EOI. */
	post_take_inbox(vcpu, &vcpu->shared.level[0], true);
}

void ph_vcpu_request(struct ph_vcpu *vcpu, uint32_t bits)
{
	post_request(vcpu, bits & PH_REQUEST_HOST_MASK);
}

void ph_vcpu_nmi(struct ph_vcpu *vcpu)
{
	post_nmi(vcpu);
}

void ph_vcpu_timer_expired(struct ph_vcpu *vcpu)
{
	post_request(vcpu, REQUEST_TIMER);
}
