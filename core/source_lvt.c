/* SPDX-License-Identifier: MIT */
/* The local vector table as a source: timer, LINT pins, errors -> here -> post.c or lapic.c. */
#include "core/lapic.h"
#include "core/post.h"

#define LVT_DELIVERY_SHIFT 8

static uint32_t source_lvt_delivery(uint32_t lvt)
{
	return (lvt & APIC_LVT_DELIVERY_MASK) >> LVT_DELIVERY_SHIFT;
}

/* False: an illegal vector, not accepted. */
static bool source_lvt_fixed(struct ph_vcpu *vcpu, uint8_t vector, bool level)
{
	if (vector < LAPIC_FIRST_VECTOR) {
		source_lvt_error(vcpu, APIC_ESR_RECV_VECTOR);
		return false;
	}
	post_self(vcpu, vector, level, PH_SOURCE_LVT);
	return true;
}

void source_lvt_deliver(struct ph_vcpu *vcpu, uint32_t lvt_register)
{
	uint32_t lvt = lapic_reg(vcpu, lvt_register);

	if (lvt & APIC_LVT_MASKED || !lapic_is_hw_enabled(vcpu))
		return;
	switch (source_lvt_delivery(lvt)) {
	case APIC_DELIVERY_FIXED:
		(void)source_lvt_fixed(vcpu, (uint8_t)lvt, false);
		break;
	case APIC_DELIVERY_SMI:
		post_request(vcpu, REQUEST_SMI);
		break;
	case APIC_DELIVERY_NMI:
		post_nmi(vcpu);
		break;
	case APIC_DELIVERY_INIT:
		post_request(vcpu, REQUEST_INIT);
		break;
	case APIC_DELIVERY_EXTINT:
		vcpu->lapic.extint_pending = true;
		break;
	default: /* reserved */
		break;
	}
	/* SDM vol. 3, "Local Vector Table": a counter overflow's delivery masks its entry. */
	if (lvt_register == APIC_LVT_PMC)
		lapic_set_reg(vcpu, lvt_register, lvt | APIC_LVT_MASKED);
}

void source_lvt_error(struct ph_vcpu *vcpu, uint32_t esr_bits)
{
	bool is_first = !vcpu->lapic.esr_pending;

	/* Before the delivery, so that an illegal vector in the error LVT does not recur. */
	vcpu->lapic.esr_pending |= esr_bits;
	if (is_first)
		source_lvt_deliver(vcpu, APIC_LVT_ERROR);
}

/* ---- The LINT pins ------------------------------------------------------------------------- */

void ph_vcpu_lint(struct ph_vcpu *vcpu, uint32_t pin, bool level)
{
	PH_BUG_ON(vcpu, pin > 1);
	if (!level) {
		(void)shared32_and(&vcpu->shared.lint, ~(LINT_HIGH << pin), LINT_SET);
		return;
	}
	if (shared32_or(&vcpu->shared.lint, (LINT_HIGH | LINT_ROSE) << pin, LINT_SET) & LINT_HIGH
	                                                                                    << pin)
		return;
	post_request(vcpu, REQUEST_LINT);
}

/* Only LINT0 in fixed mode is ever level-sensitive (SDM vol. 3, "Local Vector Table"). */
static bool source_lvt_is_level(uint32_t lint0)
{
	return lint0 & APIC_LVT_LEVEL && source_lvt_delivery(lint0) == APIC_DELIVERY_FIXED;
}

static void source_lvt_lint0_level(struct ph_vcpu *vcpu)
{
	uint32_t lvt = lapic_reg(vcpu, APIC_LVT_LINT0);

	if (!source_lvt_is_level(lvt) || lvt & (APIC_LVT_MASKED | APIC_LVT_REMOTE_IRR) ||
	    !lapic_is_hw_enabled(vcpu) || !(shared32_load(&vcpu->shared.lint, NONE) & LINT_HIGH))
		return;
	if (source_lvt_fixed(vcpu, (uint8_t)lvt, true))
		lapic_set_reg(vcpu, APIC_LVT_LINT0, lvt | APIC_LVT_REMOTE_IRR);
}

/* Without an APIC the pins are INTR and NMI (SDM vol. 3, "Enabling or Disabling the Local APIC").
 */
static void source_lvt_pins_without_apic(struct ph_vcpu *vcpu, uint32_t rose)
{
	if (rose & LINT_ROSE)
		vcpu->lapic.extint_pending = true;
	if (rose & LINT_ROSE << 1)
		post_nmi(vcpu);
}

void source_lvt_lint_service(struct ph_vcpu *vcpu)
{
	uint32_t both = LINT_ROSE | LINT_ROSE << 1;
	uint32_t rose = shared32_and(&vcpu->shared.lint, ~both, LINT_TAKE) & both;

	if (!lapic_is_hw_enabled(vcpu)) {
		source_lvt_pins_without_apic(vcpu, rose);
		return;
	}
	if (source_lvt_is_level(lapic_reg(vcpu, APIC_LVT_LINT0)))
		source_lvt_lint0_level(vcpu);
	else if (rose & LINT_ROSE)
		source_lvt_deliver(vcpu, APIC_LVT_LINT0);
	if (rose & LINT_ROSE << 1)
		source_lvt_deliver(vcpu, APIC_LVT_LINT1);
}

void source_lvt_lint0_changed(struct ph_vcpu *vcpu)
{
	source_lvt_update_pic(vcpu);
	source_lvt_lint0_level(vcpu);
}

void source_lvt_eoi(struct ph_vcpu *vcpu, uint8_t vector)
{
	uint32_t lvt = lapic_reg(vcpu, APIC_LVT_LINT0);

	if (!(lvt & APIC_LVT_REMOTE_IRR) || (uint8_t)lvt != vector)
		return;
	lapic_set_reg(vcpu, APIC_LVT_LINT0, lvt & ~APIC_LVT_REMOTE_IRR);
	source_lvt_lint0_level(vcpu);
}

/* ---- The 8259's INTR ----------------------------------------------------------------------- */

void source_lvt_update_pic(struct ph_vcpu *vcpu)
{
	uint32_t lvt = lapic_reg(vcpu, APIC_LVT_LINT0);
	bool accepts = vcpu->lapic.is_bsp;

	if (lapic_is_hw_enabled(vcpu))
		accepts =
		    !(lvt & APIC_LVT_MASKED) && source_lvt_delivery(lvt) == APIC_DELIVERY_EXTINT;
	if (accepts == vcpu->lapic.accepts_pic)
		return;
	vcpu->lapic.accepts_pic = accepts;
	/*
	 * The PIC writes its output, then looks here; the owner writes here, then reads its output.
	 * Pairs with PIC_OUTPUT; lab: pic-late.
	 */
	shared32_publish(&vcpu->shared.accepts_pic, accepts, LVT_ACCEPTS_PIC);
}
