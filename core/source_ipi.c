/* SPDX-License-Identifier: MIT */
/* IPIs as a source, from ICR and SELF_IPI: lapic_regs.c -> here -> route.c (to itself: post.c). */
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"

#define ICR_DELIVERY_MASK (7u << APIC_ICR_DELIVERY_SHIFT)

/* Delivery modes that each shorthand may carry, one bit a mode. */
#define SENDS_FIXED (1u << APIC_DELIVERY_FIXED)
#define SENDS_ALL                                                                                  \
	(SENDS_FIXED | 1u << APIC_DELIVERY_LOWEST | 1u << APIC_DELIVERY_SMI |                      \
	    1u << APIC_DELIVERY_NMI | 1u << APIC_DELIVERY_INIT | 1u << APIC_DELIVERY_STARTUP)

static const uint8_t source_ipi_valid[4] = {
    [APIC_SHORTHAND_NONE] = SENDS_ALL,
    [APIC_SHORTHAND_SELF] = SENDS_FIXED,
    [APIC_SHORTHAND_ALL] = SENDS_FIXED,
    [APIC_SHORTHAND_OTHERS] = SENDS_ALL,
};

static inline void source_ipi_to_self(struct ph_vcpu *vcpu, uint8_t vector, uint32_t illegal)
{
	if (__builtin_expect(vector < LAPIC_FIRST_VECTOR, 0))
		source_lvt_error(vcpu, illegal);
	else if (lapic_is_sw_enabled(vcpu))
		post_self(vcpu, vector, false, PH_SOURCE_IPI);
}

void source_ipi_self(struct ph_vcpu *vcpu, uint8_t vector)
{
	source_ipi_to_self(vcpu, vector, APIC_ESR_RECV_VECTOR);
}

static uint32_t source_ipi_route(
    struct ph_vcpu *vcpu, uint32_t icr, uint32_t destination, bool from_x2apic)
{
	struct message message = {
	    .destination = destination,
	    .vector = (uint8_t)icr,
	    .delivery = (uint8_t)((icr & ICR_DELIVERY_MASK) >> APIC_ICR_DELIVERY_SHIFT),
	    .shorthand = (uint8_t)((icr & APIC_ICR_SHORTHAND_MASK) >> APIC_ICR_SHORTHAND_SHIFT),
	    .is_logical = icr & APIC_ICR_LOGICAL,
	    .from_x2apic = from_x2apic,
	    .source = PH_SOURCE_IPI,
	};

	if (!(source_ipi_valid[message.shorthand] >> message.delivery & 1u))
		return 0;
	if (message.delivery <= APIC_DELIVERY_LOWEST && message.vector < LAPIC_FIRST_VECTOR) {
		source_lvt_error(vcpu, APIC_ESR_SEND_VECTOR);
		return 0;
	}
	/* INIT level de-assert: processors with an xAPIC have no use for it. */
	if (message.delivery == APIC_DELIVERY_INIT &&
	    (icr & (APIC_ICR_LEVEL | APIC_ICR_ASSERT)) == APIC_ICR_LEVEL)
		return 0;
	return route_deliver(vcpu->vm, vcpu, &message);
}

void source_ipi_send(struct ph_vcpu *vcpu, uint32_t icr, uint32_t destination)
{
	uint32_t to_self = APIC_SHORTHAND_SELF << APIC_ICR_SHORTHAND_SHIFT;

	/* Fixed to itself: nothing to route. */
	if ((icr & (APIC_ICR_SHORTHAND_MASK | ICR_DELIVERY_MASK)) == to_self)
		source_ipi_to_self(vcpu, (uint8_t)icr, APIC_ESR_SEND_VECTOR);
	else
		source_ipi_route(vcpu, icr, destination, lapic_is_x2apic(vcpu));
}

int ph_ipi_multicast(struct ph_vcpu *vcpu, uint32_t icr, uint32_t first, const uint64_t set[2])
{
	uint32_t accepted = 0;

	if (icr & ~(APIC_ICR_VECTOR_MASK | ICR_DELIVERY_MASK | APIC_ICR_LEVEL | APIC_ICR_ASSERT))
		return PH_EINVAL;
	for (uint32_t word = 0; word < 2; word++) {
		for (uint64_t left = set[word]; left; left &= left - 1) {
			uint64_t id = (uint64_t)first + 64 * word + (uint32_t)__builtin_ctzll(left);

			/* IDs end below the broadcast. */
			if (id < PH_VCPU_MAX)
				accepted += source_ipi_route(vcpu, icr, (uint32_t)id, true);
		}
	}
	return (int)accepted;
}
