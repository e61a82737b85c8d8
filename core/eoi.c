/* SPDX-License-Identifier: MIT */
/* End of interrupt, the last stop on an interrupt's path: lapic.c -> here -> the IOAPIC. */
#include "core/lapic.h"
#include "core/route.h"

static void eoi_broadcast(struct ph_vcpu *vcpu, uint8_t vector)
{
	source_lvt_eoi(vcpu, vector);
	/* Suppressed: the guest writes the IOAPIC's own EOI register (directed EOI). */
	if (lapic_reg(vcpu, APIC_SVR) & APIC_SVR_SUPPRESS_BROADCAST)
		return;
	source_ioapic_eoi(vcpu->vm, vcpu, vector);
}

static __attribute__((noinline)) void eoi_level(struct ph_vcpu *vcpu, uint8_t vector)
{
	lapic_retire(vcpu, vector);
	eoi_broadcast(vcpu, vector);
}

void eoi(struct ph_vcpu *vcpu)
{
	int highest = lapic_highest_isr(vcpu);
	uint8_t vector = (uint8_t)highest;

	if (highest == PH_NO_VECTOR)
		return;
	if (__builtin_expect(*lapic_word(vcpu, APIC_TMR, vector) & lapic_bit(vector), 0))
		eoi_level(vcpu, vector);
	else
		lapic_retire(vcpu, vector);
}

/* Out of line, so that the common EOI needs no frame. */
static __attribute__((noinline)) void eoi_stale(struct ph_vcpu *vcpu)
{
	lapic_refresh(vcpu);
	eoi(vcpu);
}

void ph_apic_eoi(struct ph_vcpu *vcpu)
{
	if (__builtin_expect(vcpu->lapic.is_stale, 0))
		eoi_stale(vcpu);
	else
		eoi(vcpu);
}

void ph_apic_eoi_exit(struct ph_vcpu *vcpu, uint8_t vector)
{
	/* The processor has retired it; only level-triggered vectors are in the EOI-exit bitmap. */
	eoi_broadcast(vcpu, vector);
}
