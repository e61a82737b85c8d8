/* SPDX-License-Identifier: MIT */
/* The local APIC's priorities, IRR to ISR: post.c and the sources -> here -> enter.c -> eoi.c. */
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"

#define LAPIC_REGISTERS_END 0x400u
#define LAPIC_MAX_LVT       5u /* timer, thermal, PMC, LINT0, LINT1, error: number of the last */

/* ---- Reset --------------------------------------------------------------------------------- */

void lapic_reset_id(struct ph_vcpu *vcpu)
{
	uint32_t id = vcpu->lapic.id;

	if (!lapic_is_x2apic(vcpu)) {
		lapic_set_reg(vcpu, APIC_ID, id << 24);
		return;
	}
	lapic_set_reg(vcpu, APIC_ID, id);
	lapic_set_reg(vcpu, APIC_LDR, lapic_logical_x2apic_id(id));
}

uint32_t lapic_version(const struct ph_vcpu *vcpu)
{
	return APIC_VERSION_INTEGRATED | LAPIC_MAX_LVT << APIC_VERSION_MAX_LVT_SHIFT |
	       (vcpu->vm->config.directed_eoi ? APIC_VERSION_SUPPRESS_BROADCAST : 0);
}

void lapic_reset_registers(struct ph_vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	lapic_timer_reset(vcpu);
	for (uint32_t reg = 0; reg < LAPIC_REGISTERS_END; reg += 16) {
		if (reg != APIC_ID)
			lapic_set_reg(vcpu, reg, 0);
	}
	lapic_set_reg(vcpu, APIC_VERSION, lapic_version(vcpu));
	lapic_set_reg(vcpu, APIC_DFR, APIC_DFR_FLAT);
	lapic_set_reg(vcpu, APIC_SVR, APIC_SVR_VECTOR_MASK);
	for (uint32_t reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 16)
		lapic_set_reg(vcpu, reg, APIC_LVT_MASKED);
	if (lapic_is_x2apic(vcpu))
		lapic_reset_id(vcpu);
	lapic->esr_pending = 0;
	lapic->extint_pending = false;
	lapic_rebuild(vcpu);
	lapic_publish_tmr(vcpu);
}

void lapic_reset(struct ph_vcpu *vcpu, bool init)
{
	struct lapic *lapic = &vcpu->lapic;

	/* What was posted before goes with IRR. */
	post_drain(vcpu);
	post_take_levels(vcpu);
	if (!init) {
		lapic->base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (lapic->is_bsp ? APIC_BASE_BSP : 0);
		lapic_reset_id(vcpu);
	}
	lapic_reset_registers(vcpu);
	route_publish_identity(vcpu);
	source_lvt_update_pic(vcpu);
}

/* ---- 256-bit registers --------------------------------------------------------------------- */

static uint8_t lapic_pending_words(const struct ph_vcpu *vcpu, uint32_t reg)
{
	uint32_t pending = 0;

	for (uint32_t word = 0; word < 8; word++) {
		if (lapic_reg(vcpu, reg + word * 16))
			pending |= 1u << word;
	}
	return (uint8_t)pending;
}

void lapic_rebuild(struct ph_vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	lapic->is_stale = false;
	lapic->irr_pending = lapic_pending_words(vcpu, APIC_IRR);
	lapic->isr_pending = lapic_pending_words(vcpu, APIC_ISR);
	lapic->highest_isr = lapic_highest(vcpu, APIC_ISR, lapic->isr_pending);
	lapic_update_ppr(vcpu);
}

void lapic_publish_tmr(struct ph_vcpu *vcpu)
{
	for (uint32_t word = 0; word < 4; word++) {
		uint32_t reg = APIC_TMR + word * 32;
		uint64_t tmr = (uint64_t)lapic_reg(vcpu, reg + 16) << 32 | lapic_reg(vcpu, reg);

		if (shared64_load(&vcpu->shared.tmr[word], NONE) != tmr)
			shared64_store(&vcpu->shared.tmr[word], tmr, NONE);
	}
}

/* ---- IRR, ISR, priorities ------------------------------------------------------------------ */

void lapic_accept(struct ph_vcpu *vcpu, uint8_t vector, bool level)
{
	uint8_t *page = vcpu->lapic.page;
	uint32_t bit = lapic_bit(vector);
	uint32_t *tmr = lapic_page_word(page, APIC_TMR, vector);

	if (__builtin_expect(vector < LAPIC_FIRST_VECTOR, 0)) {
		source_lvt_error(vcpu, APIC_ESR_RECV_VECTOR);
		return;
	}
	*lapic_page_word(page, APIC_IRR, vector) |= bit;
	vcpu->lapic.irr_pending |= (uint8_t)(1u << (vector / 32u));
	vcpu->lapic.irr_changed = true;
	if (__builtin_expect(level != ((*tmr & bit) != 0), 0)) {
		*tmr ^= bit;
		vcpu->lapic.tmr_changed = true;
		lapic_publish_tmr(vcpu);
	}
}

int lapic_highest_irr(struct ph_vcpu *vcpu)
{
	return lapic_highest(vcpu, APIC_IRR, vcpu->lapic.irr_pending);
}

void lapic_update_ppr(struct ph_vcpu *vcpu)
{
	lapic_set_ppr(vcpu);
}

void lapic_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr)
{
	if (lapic_reg(vcpu, APIC_TPR) == tpr)
		return;
	lapic_set_reg(vcpu, APIC_TPR, tpr);
	lapic_set_ppr(vcpu);
}

void lapic_acknowledge(struct ph_vcpu *vcpu, uint8_t vector)
{
	struct lapic *lapic = &vcpu->lapic;
	uint8_t *page = lapic->page;
	uint32_t *irr = lapic_page_word(page, APIC_IRR, vector);
	uint32_t bit = lapic_bit(vector);
	uint8_t word_bit = (uint8_t)(1u << (vector / 32u));

	*irr &= ~bit;
	if (!*irr)
		lapic->irr_pending &= (uint8_t)~word_bit;
	*lapic_page_word(page, APIC_ISR, vector) |= bit;
	lapic->isr_pending |= word_bit;
	/* Its class is above PPR's, so above that of all in service and TPR's. */
	lapic->highest_isr = vector;
	lapic->isr_changed = true;
	lapic_write_ppr(vcpu, vector & 0xf0u);
}
