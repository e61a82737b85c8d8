/* SPDX-License-Identifier: MIT */
/* The local APIC's inside: IRR, ISR, priorities, registers, timer, LVT.  Owner only throughout. */
#ifndef CORE_LAPIC_H
#define CORE_LAPIC_H

#include "core/vcpu.h"

/* Lower vectors are illegal in messages and LVT entries (SDM vol. 3, "Valid Interrupt Vectors"). */
#define LAPIC_FIRST_VECTOR 16u

/* Registers, one each 16 bytes of the page. */
#define LAPIC_REGISTER_COUNT 64u

/* ---- Registers as they are in the page ----------------------------------------------------- */

static inline uint32_t lapic_reg(const struct ph_vcpu *vcpu, uint32_t offset)
{
	return *(const uint32_t *)(const void *)(vcpu->lapic.page + offset);
}

static inline void lapic_set_reg(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	*(uint32_t *)(void *)(vcpu->lapic.page + offset) = value;
}

/* The 32 vectors around `vector` in APIC_IRR, APIC_ISR or APIC_TMR, and its bit among them. */
static inline uint32_t *lapic_page_word(uint8_t *page, uint32_t reg, uint8_t vector)
{
	return (uint32_t *)(void *)(page + (vector / 32u) * 16u + reg);
}

static inline uint32_t *lapic_word(const struct ph_vcpu *vcpu, uint32_t reg, uint8_t vector)
{
	return lapic_page_word(vcpu->lapic.page, reg, vector);
}

static inline uint32_t lapic_bit(uint8_t vector)
{
	return 1u << (vector % 32u);
}

/* IA32_APIC_BASE: on at all; in x2APIC mode; in xAPIC mode if on and not in x2APIC mode. */
static inline bool lapic_is_hw_enabled(const struct ph_vcpu *vcpu)
{
	return vcpu->lapic.base & APIC_BASE_ENABLE;
}

static inline bool lapic_is_x2apic(const struct ph_vcpu *vcpu)
{
	return vcpu->lapic.base & APIC_BASE_X2APIC;
}

static inline bool lapic_is_xapic(const struct ph_vcpu *vcpu)
{
	return (vcpu->lapic.base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE;
}

static inline bool lapic_is_sw_enabled(const struct ph_vcpu *vcpu)
{
	return lapic_reg(vcpu, APIC_SVR) & APIC_SVR_ENABLE;
}

/* ---- lapic.c ------------------------------------------------------------------------------- */

/*
 * Power-up (init == false) or INIT (init == true) state; SDM vol. 3, "Local APIC State After
 * Power-Up or Reset" and "Local APIC State After It Receives an INIT-Deassert IPI": INIT keeps
 * IA32_APIC_BASE and the APIC ID.  What was posted before is lost with IRR.  Publishes the
 * identity.
 */
void lapic_reset(struct ph_vcpu *vcpu, bool init);

/* The registers alone to their reset values, except the APIC ID; LDR derived in x2APIC mode. */
void lapic_reset_registers(struct ph_vcpu *vcpu);

/* ID (and in x2APIC mode LDR) by the initial APIC ID and the mode in IA32_APIC_BASE. */
void lapic_reset_id(struct ph_vcpu *vcpu);

/* A vector arrives: set IRR, and TMR to its trigger mode; an illegal one goes to ESR instead. */
void lapic_accept(struct ph_vcpu *vcpu, uint8_t vector, bool level);

/* lapic_regs.c: remember the registers as they are, for ph_apic_write_exit(). */
void lapic_regs_see(struct ph_vcpu *vcpu);

/*
 * lapic_regs.c, for state import: could IA32_APIC_BASE be this?  Make of any registers such as this APIC
 * can have in the mode of `base`: what no write can set is dropped, what is derived is derived.
 */
bool lapic_base_is_valid(uint64_t base);
void lapic_regs_clean(const struct ph_vcpu *vcpu, uint64_t base, uint32_t regs[LAPIC_REGISTER_COUNT]);
/* lapic.c: the version register. */
uint32_t lapic_version(const struct ph_vcpu *vcpu);
/* The logical x2APIC ID: SDM vol. 3, "Deriving Logical x2APIC ID from the Local x2APIC ID". */
static inline uint32_t lapic_logical_x2apic_id(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

/* After IRR/ISR/TMR were written as a whole (state import): rebuild every cache. */
void lapic_rebuild(struct ph_vcpu *vcpu);

/* TMR was written: let senders know (post.c).  Owner. */
void lapic_publish_tmr(struct ph_vcpu *vcpu);

/* Make the caches right before they are used, if the processor may have changed the page. */
static inline void lapic_refresh(struct ph_vcpu *vcpu)
{
	if (__builtin_expect(vcpu->lapic.is_stale, 0))
		lapic_rebuild(vcpu);
}

/* Did software change what the processor's virtual-interrupt delivery works on? */
static inline bool lapic_is_unsynced(const struct ph_vcpu *vcpu)
{
	const struct lapic *lapic = &vcpu->lapic;

	return lapic->irr_changed | lapic->isr_changed | lapic->tmr_changed;
}

static inline uint32_t lapic_top_bit(uint32_t value)
{
	/* Not 31 - clz: this one is a lone BSR. */
	return (uint32_t)__builtin_clz(value) ^ 31u;
}

/* Highest vector of a register of which `pending`, not 0, has a bit for each word that is not 0. */
static inline uint32_t lapic_highest_pending(
    const struct ph_vcpu *vcpu, uint32_t reg, uint32_t pending)
{
	uint32_t word = lapic_top_bit(pending);

	return word * 32 + lapic_top_bit(lapic_reg(vcpu, reg + word * 16));
}

static inline int lapic_highest(const struct ph_vcpu *vcpu, uint32_t reg, uint32_t pending)
{
	return __builtin_expect(pending != 0, 0) ? (int)lapic_highest_pending(vcpu, reg, pending)
						 : PH_NO_VECTOR;
}

/* Highest vector in IRR, or PH_NO_VECTOR. */
int lapic_highest_irr(struct ph_vcpu *vcpu);

/* Highest vector in IRR whose class is above PPR's, or PH_NO_VECTOR (also if APIC is off). */
static inline int lapic_deliverable(const struct ph_vcpu *vcpu)
{
	uint32_t vector;

	/* Off, IRR waits: the APIC may be enabled again. */
	if (!vcpu->lapic.irr_pending || !lapic_is_hw_enabled(vcpu))
		return PH_NO_VECTOR;
	vector = lapic_highest_pending(vcpu, APIC_IRR, vcpu->lapic.irr_pending);
	return vector >> 4 > lapic_reg(vcpu, APIC_PPR) >> 4 ? (int)vector : PH_NO_VECTOR;
}

/*
 * INTA by this LAPIC: vector from IRR to ISR, PPR recomputed.  The vector is lapic_deliverable()'s,
 * chosen by the owner with nothing between, so the spurious vector in SVR is never needed.
 */
void lapic_acknowledge(struct ph_vcpu *vcpu, uint8_t vector);

/* Set TPR (from CR8, V_TPR or the register) and recompute PPR. */
void lapic_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr);

static inline void lapic_write_ppr(struct ph_vcpu *vcpu, uint32_t ppr)
{
	lapic_set_reg(vcpu, APIC_PPR, ppr);
	shared32_store(&vcpu->shared.arbitration_priority, ppr, NONE);
}

/* SDM vol. 3, "Processor-Priority Register"; with equal classes PPR takes TPR's subclass. */
static inline void lapic_set_ppr(struct ph_vcpu *vcpu)
{
	uint32_t ppr = lapic_reg(vcpu, APIC_TPR);
	int highest = vcpu->lapic.highest_isr;

	if (highest != PH_NO_VECTOR && (uint32_t)highest >> 4 > ppr >> 4)
		ppr = (uint32_t)highest & 0xf0;
	lapic_write_ppr(vcpu, ppr);
}

/* Recompute PPR from TPR and ISR; publish arbitration_priority. */
void lapic_update_ppr(struct ph_vcpu *vcpu);

/* Highest vector in ISR, or PH_NO_VECTOR. */
static inline int lapic_highest_isr(const struct ph_vcpu *vcpu)
{
	return vcpu->lapic.highest_isr;
}

/* ---- eoi.c --------------------------------------------------------------------------------- */

/*
 * EOI: retire the highest ISR vector, if any; tell the IOAPIC if it was level-triggered and
 * broadcasts are not suppressed (SDM vol. 3, "Signaling Interrupt Servicing Completion").
 */
void eoi(struct ph_vcpu *vcpu);

/* Take the highest vector, which is in service, out of ISR; PPR recomputed. */
static inline void lapic_retire(struct ph_vcpu *vcpu, uint8_t vector)
{
	struct lapic *lapic = &vcpu->lapic;
	uint32_t *isr = lapic_word(vcpu, APIC_ISR, vector);

	*isr &= ~lapic_bit(vector);
	/* As a rule it was the only one. */
	if (__builtin_expect(!*isr, 1))
		lapic->isr_pending &= (uint8_t) ~(1u << (vector / 32u));
	lapic->highest_isr = lapic_highest(vcpu, APIC_ISR, lapic->isr_pending);
	lapic->isr_changed = true;
	lapic_set_ppr(vcpu);
}

/* ---- lapic_timer.c ------------------------------------------------------------------------- */

/*
 * Shortest period of a periodic timer in microseconds: a shorter one is stretched to it, so that
 * the guest cannot keep the host busy with its timer.  Missed periods are skipped: however late the
 * owner comes, one interrupt is delivered, and the phase is kept.
 */
#define LAPIC_TIMER_MIN_PERIOD_US 20u

/* Stop; nothing of the LVT or the counts is written. */
void lapic_timer_reset(struct ph_vcpu *vcpu);
/* Could a timer with these registers expire at `expiry` (0: not running)? */
bool lapic_timer_is_valid(const uint32_t regs[LAPIC_REGISTER_COUNT], uint64_t expiry);
/* State import: run until `expiry`, by the registers as they are; the timer is stopped now. */
void lapic_timer_resume(struct ph_vcpu *vcpu, uint64_t expiry);
/* The same with `count` left of a counting timer, as TMCCT says it. */
void lapic_timer_resume_count(struct ph_vcpu *vcpu, uint32_t count);
/* REQUEST_TIMER: fire what is due, re-arm a periodic timer. */
void lapic_timer_service(struct ph_vcpu *vcpu);
/* TMCCT: ticks left, rounded up, so that it is 0 only when the interrupt is due. */
uint32_t lapic_timer_current_count(struct ph_vcpu *vcpu);
/* TMICT; ignored in TSC-deadline mode. */
void lapic_timer_write_initial_count(struct ph_vcpu *vcpu, uint32_t count);
/* TDCR; a running count goes on from where it is. */
void lapic_timer_write_divide(struct ph_vcpu *vcpu, uint32_t value);
/*
 * LVT timer entry, already masked to what it holds.  Into or out of TSC-deadline mode the timer is
 * disarmed and TMICT and IA32_TSC_DEADLINE are cleared; between one-shot and periodic the count
 * goes on and the new mode decides at its end, as processors and Linux KVM do.
 */
void lapic_timer_write_lvt(struct ph_vcpu *vcpu, uint32_t value);
/* IA32_TSC_DEADLINE: 0 if disarmed, reads 0 and writes nothing outside TSC-deadline mode. */
uint64_t lapic_timer_deadline(const struct ph_vcpu *vcpu);
/* As the guest reads it: once passed it is 0, however late the platform's timer is.  Owner. */
uint64_t lapic_timer_read_deadline(struct ph_vcpu *vcpu);
void lapic_timer_write_deadline(struct ph_vcpu *vcpu, uint64_t value);

/* ---- source_ipi.c -------------------------------------------------------------------------- */

/*
 * A write to ICR's low half (xAPIC, 8-bit destination) or to the whole (x2APIC, 32 bits).
 * Combinations that SDM vol. 3, table "Valid Combinations for the Pentium 4 and Intel Xeon
 * Processors' Local xAPIC Interrupt Command Register", calls invalid send nothing; a level trigger
 * is sent as edge; INIT level de-assert does nothing.
 */
void source_ipi_send(struct ph_vcpu *vcpu, uint32_t icr, uint32_t destination);
/* A write to SELF_IPI. */
void source_ipi_self(struct ph_vcpu *vcpu, uint8_t vector);

/* ---- source_lvt.c -------------------------------------------------------------------------- */

/* Deliver through an LVT register (APIC_LVT_*): fixed, SMI, NMI, INIT or ExtINT, unless masked. */
void source_lvt_deliver(struct ph_vcpu *vcpu, uint32_t lvt_register);
/*
 * Record an error for the next write to ESR; the first since the last such write also delivers the
 * error LVT (SDM vol. 3, "Error Handling").
 */
void source_lvt_error(struct ph_vcpu *vcpu, uint32_t esr_bits);
/* REQUEST_LINT: handle changes of the LINT pins. */
void source_lvt_lint_service(struct ph_vcpu *vcpu);
/* LVT LINT0 changed: it may take the 8259's INTR now, or a level that is high. */
void source_lvt_lint0_changed(struct ph_vcpu *vcpu);
/* EOI of a level-triggered vector: clear LINT0's Remote IRR, deliver again if the pin is high. */
void source_lvt_eoi(struct ph_vcpu *vcpu, uint8_t vector);
/* Publish whether the 8259's INTR reaches this CPU (LINT0 unmasked ExtINT, or virtual wire with the
 * APIC off on the BSP). */
void source_lvt_update_pic(struct ph_vcpu *vcpu);

#endif
