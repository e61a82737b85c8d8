/* SPDX-License-Identifier: MIT */
/* The only door for other CPUs: whatever reaches a vCPU from outside its owner comes through here. */
#ifndef CORE_POST_H
#define CORE_POST_H

#include "core/vcpu.h"

/*
 * Post a fixed or lowest-priority interrupt.  `sender` is the vCPU whose owner thread calls, or
 * NULL (a device, a host interrupt handler, another VM's thread): only with sender == target does
 * it go straight into IRR.  Any thread or handler.
 */
void post_interrupt(struct ph_vcpu *sender, struct ph_vcpu *target, uint8_t vector, bool level,
    enum ph_source source);

/* The same from the owner to itself.  Owner. */
void post_self(struct ph_vcpu *vcpu, uint8_t vector, bool level, enum ph_source source);

/*
 * Post some of REQUEST_*, then kick or wake so that the owner sees it before its next entry.  False:
 * all were posted before and not yet serviced; whoever posted them sees to the kick.
 */
bool post_request(struct ph_vcpu *target, uint32_t bits);

/* NMI, INIT, SMI and start-up IPI as requests; the SIPI's vector travels beside. */
void post_nmi(struct ph_vcpu *target);
void post_sipi(struct ph_vcpu *target, uint8_t vector);

/* Wake the target if it announced its sleep and nobody has claimed that yet.  Any thread. */
void post_wake(struct ph_vcpu *target);

/* Is anything posted that the owner has not drained?  Owner. */
static inline bool post_is_on(const struct ph_vcpu *vcpu)
{
	return shared64_load(&vcpu->pid->control, ENTER_ON) & PID_ON;
}

/* Clear ON, then move PIR into IRR.  Owner. */
void post_drain_pir(struct ph_vcpu *vcpu);

/* Move PIR into IRR if ON is set; true if it was.  Owner. */
static inline bool post_drain(struct ph_vcpu *vcpu)
{
	if (__builtin_expect(!post_is_on(vcpu), 1))
		return false;
	post_drain_pir(vcpu);
	return true;
}

/* REQUEST_LEVEL: take the interrupts that change TMR.  Owner, after the request was cleared. */
void post_take_levels(struct ph_vcpu *vcpu);

#endif
