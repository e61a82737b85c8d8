/* SPDX-License-Identifier: MIT */
/* L1 or L2, decided once: enter.c asks here while L2 is the current guest. */
#include "core/nested.h"
#include "core/backend.h"
#include "core/delivery.h"
#include "core/enter.h"
#include "core/lapic.h"

bool nested_has_event(struct ph_vcpu *vcpu)
{
	/* SDM vol. 3, "Event Blocking": with external-interrupt exiting IF does not block them. */
	lapic_refresh(vcpu);
	return vcpu->events.nmi_pending_count || enter_has_extint(vcpu) ||
	    lapic_deliverable(vcpu) != PH_NO_VECTOR;
}

int ph_vcpu_set_nested(struct ph_vcpu *vcpu, bool is_nested)
{
	if (vcpu->backend != &backend_vmx && vcpu->backend != &backend_vmx_apicv)
		return PH_ENOTSUP;
	/* They belong to the guest that was current, and nothing here hands them over. */
	PH_BUG_ON(vcpu, vcpu->events.lost.kind != EVENT_NONE);
	PH_BUG_ON(vcpu, vcpu->events.exception.kind != EVENT_NONE);
	vcpu->is_nested = is_nested;
	/* Meanwhile a switch would have gone into L2's VMCS (facts/bugs.md 12). */
	if (!is_nested)
		delivery_update(vcpu);
	return PH_OK;
}
