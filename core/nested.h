/* SPDX-License-Identifier: MIT */
/* L1 or L2: who gets what arrives while L2 is the current guest. */
#ifndef CORE_NESTED_H
#define CORE_NESTED_H

#include "core/vcpu.h"

/* Is an interrupt or an NMI due that L1 takes by an exit of L2?  L2 is current.  Owner. */
bool nested_has_event(struct ph_vcpu *vcpu);

/* Must this vCPU exit to L1 instead of entering?  Owner. */
static inline bool nested_wants_exit(struct ph_vcpu *vcpu)
{
	return __builtin_expect(vcpu->is_nested, 0) && nested_has_event(vcpu);
}

#endif
