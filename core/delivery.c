/* SPDX-License-Identifier: MIT */
/* Which delivery a vCPU uses: hardware and inhibit reasons -> the backend that enter.c calls. */
#include "core/delivery.h"
#include "core/backend.h"
#include "core/lapic.h"
#include "core/post.h"
#include "core/vmx_field.h"

#define INHIBIT_BIT(name) (1u << PH_INHIBIT_##name)

static uint32_t delivery_own_reasons(const struct ph_vcpu *vcpu)
{
	uint64_t address = ph_apic_base_address(vcpu);

	/* Disabled by SVR too: hardware would go on to virtualize self-IPIs, which such an APIC drops. */
	if (!lapic_is_hw_enabled(vcpu) || !lapic_is_sw_enabled(vcpu))
		return INHIBIT_BIT(APIC_DISABLED);
	if (address != UINT64_MAX && address != APIC_DEFAULT_BASE)
		return INHIBIT_BIT(APIC_BASE);
	return 0;
}

/* With one delivery only, the embedder may still want to know the APIC's mode and address. */
static bool delivery_has_choice(const struct ph_vcpu *vcpu)
{
	return vcpu->platform->set_delivery &&
	    (vcpu->backend == &backend_vmx || vcpu->backend == &backend_vmx_apicv);
}

/*
 * Nothing moves at a switch: IRR, ISR and TMR live in the same page and others post into the same
 * descriptor in either mode, so no sender needs to know and nobody waits (docs/adr/0002).
 */
void delivery_update(struct ph_vcpu *vcpu)
{
	enum ph_delivery delivery = vcpu->delivery_best;

	/* With L2 current the controls are not L1's: ph_vcpu_set_nested() comes back to it. */
	if (!delivery_has_choice(vcpu) || vcpu->is_nested)
		return;
	if (delivery != PH_DELIVERY_INJECTED)
		vcpu->inhibits = delivery_own_reasons(vcpu);
	if (vcpu->inhibits | shared32_load(&vcpu->vm->inhibits, INHIBIT_READ))
		delivery = PH_DELIVERY_INJECTED;
	if (delivery == vcpu->delivery && vcpu->lapic.base == vcpu->delivery_base)
		return;
	lapic_refresh(vcpu);
	lapic_regs_see(vcpu);
	vcpu->lapic.irr_changed = true;
	vcpu->lapic.isr_changed = true;
	vcpu->lapic.tmr_changed = true;
	vcpu->delivery = delivery;
	vcpu->delivery_base = vcpu->lapic.base;
	vcpu->backend = delivery == PH_DELIVERY_INJECTED ? &backend_vmx : &backend_vmx_apicv;
	vmx_write_pin_based(vcpu,
	    delivery == PH_DELIVERY_POSTED ? vcpu->vmx.pin_based | PIN_POSTED_INTERRUPTS
					   : vcpu->vmx.pin_based & ~PIN_POSTED_INTERRUPTS);
	vcpu->platform->set_delivery(vcpu, vcpu->host, delivery);
}

void ph_vm_inhibit(struct ph_vm *vm, enum ph_inhibit reason, bool on)
{
	uint32_t bit = 1u << reason;
	uint32_t before = on ? shared32_or(&vm->inhibits, bit, INHIBIT_SET)
			     : shared32_and(&vm->inhibits, ~bit, INHIBIT_SET);

	if (((before & bit) != 0) == on)
		return;
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		post_request(vm->vcpus[i], REQUEST_DELIVERY);
}

bool ph_vcpu_has_deliverable(struct ph_vcpu *vcpu)
{
	uint64_t status;

	if (!delivery_is_virtual(vcpu))
		return lapic_deliverable(vcpu) != PH_NO_VECTOR;
	status = vmx_read(vcpu, VMCS_GUEST_INTR_STATUS);
	return (status & INTR_STATUS_RVI_MASK) >> 4 > lapic_reg(vcpu, APIC_PPR) >> 4;
}

enum ph_delivery ph_vcpu_delivery(const struct ph_vcpu *vcpu)
{
	return vcpu->delivery;
}

uint32_t ph_vcpu_inhibits(const struct ph_vcpu *vcpu)
{
	return vcpu->inhibits_fixed | vcpu->inhibits | shared32_load(&vcpu->vm->inhibits, NONE);
}
