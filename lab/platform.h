/* SPDX-License-Identifier: MIT */
/* What scenarios' embedders of libposthorn have in common: verbs about time, INIT, SIPI and SMI. */
#ifndef LAB_PLATFORM_H
#define LAB_PLATFORM_H

#include <posthorn/posthorn.h>

uint64_t lab_guest_tsc(struct ph_vcpu *vcpu, void *host);
void lab_timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline);
void lab_nothing(struct ph_vcpu *vcpu, void *host);
void lab_start(struct ph_vcpu *vcpu, void *host, uint8_t vector);

/* For struct ph_platform: time stands still, nothing else happens. */
#define LAB_PLATFORM_REST                                                                          \
	.guest_tsc = lab_guest_tsc, .timer_arm = lab_timer_arm, .timer_cancel = lab_nothing,       \
	.init = lab_nothing, .start = lab_start, .smi = lab_nothing, .bug = lab_bug

/* lab_ignore() where the public counters live: statistics are no part of a state. */
void lab_ignore_counters(struct ph_vcpu *vcpu);

/* How far the model and the core write a VMCB: up to RIP. */
#define VMCB_BUSY 0x600u

#endif
