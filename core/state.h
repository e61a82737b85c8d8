/* SPDX-License-Identifier: MIT */
/* Saved delivery state, inside the core: decoded images and who checks and applies their parts. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <posthorn/state.h>
#include "core/lapic.h"
#include "core/vcpu.h"

#define STATE_KIND_VCPU 1u
#define STATE_KIND_VM   2u

/* ---- Bytes --------------------------------------------------------------------------------- */

/*
 * One function walks an image in both directions, so that writing and reading cannot differ:
 * each state_*() below writes `*value` to the next bytes, or reads it from them.
 */
struct state_cursor {
	uint8_t *to;         /* NULL: reading */
	const uint8_t *from; /* NULL: writing */
	bool is_refused;     /* reading: bytes that no export writes */
};

void state_u8(struct state_cursor *cursor, uint8_t *value);
void state_u16(struct state_cursor *cursor, uint16_t *value);
void state_u32(struct state_cursor *cursor, uint32_t *value);
void state_u64(struct state_cursor *cursor, uint64_t *value);
/* Reading refuses what is not 0 or 1. */
void state_bool(struct state_cursor *cursor, bool *value);
/* Reading refuses what is not 0. */
void state_zero(struct state_cursor *cursor, uint32_t count);
/* What must be the same at both ends.  Reading refuses another value. */
void state_same(struct state_cursor *cursor, uint64_t value);

/* The head of an image: PH_OK, or the error of ph_vcpu_import(). */
void state_write_head(struct state_cursor *cursor, uint16_t kind, uint32_t size);
int state_read_head(struct state_cursor *cursor, uint16_t kind, uint32_t size);
/* The VM's configuration, which must be the same at both ends. */
void state_config(struct state_cursor *cursor, const struct ph_vm *vm);

/* ---- The local APIC ------------------------------------------------------------------------ */

struct state_lapic {
	uint64_t base;
	uint64_t timer_expiry;
	uint32_t esr_pending;
	bool extint_pending;
	uint32_t regs[LAPIC_REGISTER_COUNT];
};

/* Copy the owner's local APIC.  Owner. */
void state_read_lapic(struct ph_vcpu *vcpu, struct state_lapic *lapic);
/* Could it be like this? */
bool state_lapic_is_valid(const struct ph_vcpu *vcpu, const struct state_lapic *lapic);
/* Replace the owner's local APIC by a valid one.  Owner. */
void state_write_lapic(struct ph_vcpu *vcpu, const struct state_lapic *lapic);

#endif
