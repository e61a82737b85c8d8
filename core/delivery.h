/* SPDX-License-Identifier: MIT */
/* Which delivery is active on a vCPU, and sleeping where a device may post. */
#ifndef CORE_DELIVERY_H
#define CORE_DELIVERY_H

#include "core/vcpu.h"

/* delivery.c: choose again by hardware, inhibit reasons and the APIC's mode.  Owner, outside. */
void delivery_update(struct ph_vcpu *vcpu);

/*
 * Does the processor itself deliver from IRR in the entry at hand?  Not with L2 current: RVI is in
 * L1's VMCS, and that entry loads L2's (facts/bugs.md 3); lab: nested-post-l1.
 */
static inline bool delivery_is_virtual(const struct ph_vcpu *vcpu)
{
	return vcpu->delivery != PH_DELIVERY_INJECTED &&
	    !(vcpu->is_nested && SHARED_STEP(ENTER_NESTED));
}

/* device_post.c: before and after a sleep that a device's post must end.  Owner. */
void device_post_sleep_begin(struct ph_vcpu *vcpu);
void device_post_sleep_end(struct ph_vcpu *vcpu);
/* The vCPU runs on (leaves) a pCPU: SN, NV and NDST.  Owner. */
void device_post_load(struct ph_vcpu *vcpu, uint32_t pcpu);
void device_post_put(struct ph_vcpu *vcpu);

#endif
