/* SPDX-License-Identifier: MIT */
/* The local APIC's inside: IRR, ISR, priorities, registers, timer, LVT.  Owner only throughout. */
#ifndef CORE_LAPIC_H
#define CORE_LAPIC_H

#include "core/vcpu.h"

/* lapic.c ------------------------------------------------------------------------------------ */

static inline uint32_t lapic_reg(const struct ph_vcpu *vcpu, uint32_t offset)
{
	return *(const uint32_t *)(const void *)(vcpu->lapic.page + offset);
}

static inline void lapic_set_reg(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	*(uint32_t *)(void *)(vcpu->lapic.page + offset) = value;
}

/* Power-up (init == false) or INIT (init == true) state; SDM vol. 3, "Local APIC State After It
 * Receives an INIT-Deassert IPI" and around.  Publishes the identity. */
void lapic_reset(struct ph_vcpu *vcpu, bool init);

/* A vector arrives: set IRR, and TMR to its trigger mode. */
void lapic_accept(struct ph_vcpu *vcpu, uint8_t vector, bool level);

/* Highest vector in IRR, or PH_NO_VECTOR. */
int lapic_highest_irr(struct ph_vcpu *vcpu);

/* Highest vector in IRR whose class is above PPR's, or PH_NO_VECTOR (also if APIC is off). */
int lapic_deliverable(struct ph_vcpu *vcpu);

/* INTA by this LAPIC: vector from IRR to ISR, PPR recomputed. */
void lapic_acknowledge(struct ph_vcpu *vcpu, uint8_t vector);

/* Set TPR (from CR8, V_TPR or the register) and recompute PPR. */
void lapic_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr);

/* Recompute PPR from TPR and ISR; publish arbitration_priority. */
void lapic_update_ppr(struct ph_vcpu *vcpu);

/* Highest vector in ISR, or PH_NO_VECTOR. */
int lapic_highest_isr(struct ph_vcpu *vcpu);

/* After IRR/ISR/TMR were written as a whole (state import): rebuild every cache. */
void lapic_rebuild(struct ph_vcpu *vcpu);

/* eoi.c -------------------------------------------------------------------------------------- */

/* EOI: retire the highest ISR vector; tell the IOAPIC if it was level-triggered and broadcasts are
 * not suppressed. */
void eoi(struct ph_vcpu *vcpu);

/* lapic_timer.c ------------------------------------------------------------------------------ */

void lapic_timer_reset(struct ph_vcpu *vcpu);
/* REQUEST_TIMER: fire what is due, re-arm a periodic timer. */
void lapic_timer_service(struct ph_vcpu *vcpu);
uint32_t lapic_timer_current_count(struct ph_vcpu *vcpu);
void lapic_timer_write_initial_count(struct ph_vcpu *vcpu, uint32_t count);
void lapic_timer_write_divide(struct ph_vcpu *vcpu, uint32_t value);
/* The timer's LVT entry changed from `before`. */
void lapic_timer_lvt_changed(struct ph_vcpu *vcpu, uint32_t before);
uint64_t lapic_timer_deadline(const struct ph_vcpu *vcpu);
void lapic_timer_write_deadline(struct ph_vcpu *vcpu, uint64_t value);

/* source_ipi.c ------------------------------------------------------------------------------- */

/* A write to ICR's low half (xAPIC) or to the whole (x2APIC). */
void source_ipi_send(struct ph_vcpu *vcpu, uint32_t icr, uint32_t destination);
void source_ipi_self(struct ph_vcpu *vcpu, uint8_t vector);

/* source_lvt.c ------------------------------------------------------------------------------- */

/* Deliver through an LVT register (APIC_LVT_*): fixed, SMI, NMI, INIT or ExtINT, unless masked. */
void source_lvt_deliver(struct ph_vcpu *vcpu, uint32_t lvt_register);
/* Record an error in the ESR and deliver the error LVT. */
void source_lvt_error(struct ph_vcpu *vcpu, uint32_t esr_bits);
/* REQUEST_LINT: handle changes of the LINT pins. */
void source_lvt_lint_service(struct ph_vcpu *vcpu);
/* Publish whether the 8259's INTR reaches this CPU (LINT0 unmasked ExtINT, or virtual wire with the
 * APIC off on the BSP). */
void source_lvt_update_pic(struct ph_vcpu *vcpu);

#endif
