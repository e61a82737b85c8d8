/* SPDX-License-Identifier: MIT */
/* Destination -> target set; between the sources and post.c on the interrupt's path. */
#ifndef CORE_ROUTE_H
#define CORE_ROUTE_H

#include "core/vcpu.h"

/* An interrupt message as it travels on the (virtual) system bus. */
struct message {
	uint32_t destination; /* 8 bits, 15 with extended_dest_id, 32 from an x2APIC ICR */
	uint8_t vector;
	uint8_t delivery;     /* enum apic_delivery */
	uint8_t shorthand;    /* enum apic_shorthand; IPIs only */
	bool is_logical;
	bool is_level;
	bool is_redirectable; /* MSI redirection hint: deliver as lowest priority */
	bool from_x2apic;     /* destination is a 32-bit x2APIC one (broadcast 0xffffffff) */
	enum ph_source source;
};

/* Entries of physical_map: every 8-bit xAPIC ID and every x2APIC ID that a vCPU can have. */
#define ROUTE_MAP_COUNT PH_VCPU_MAX
/* Nobody answers to the ID; several do, and each gets what is sent to it.  Else: vCPU index + 1. */
#define ROUTE_MAP_NONE    0u
#define ROUTE_MAP_SEVERAL UINT32_MAX
_Static_assert(ROUTE_MAP_COUNT >= 256, "the map must hold every xAPIC ID");

/* The PC's default routes.  Before any vCPU is made; physical_map holds zeroes. */
void route_init(struct ph_vm *vm);

/*
 * Deliver to every target.  `sender` as in post_interrupt().  Returns how many vCPUs accepted it.
 * Any thread or handler.
 */
uint32_t route_deliver(struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message);

/*
 * The owner's ID, LDR, DFR, mode or enable bits changed: publish them, mend the map and let the
 * IOAPIC send again what nobody accepted.  vm->vcpus[] already names this vCPU.  Owner.
 */
void route_publish_identity(struct ph_vcpu *vcpu);

/* Copy one GSI's route out of the current table.  Any thread.  False: none. */
bool route_gsi(struct ph_vm *vm, uint32_t gsi, struct ph_route *route);

/* source_msi.c: decode an MSI into a message.  False: the address is not an interrupt's. */
bool source_msi_decode(const struct ph_vm *vm, const struct ph_msi *msi, struct message *message);

/* source_ioapic.c */
void source_ioapic_init(struct ph_vm *vm);
void source_ioapic_set_pin(struct ph_vm *vm, uint32_t pin, uint32_t user, bool level);
/* An EOI message for a vector: clear Remote IRR, deliver again what is still asserted.  `sender` is
 * the vCPU whose EOI it is.  Any thread. */
void source_ioapic_eoi(struct ph_vm *vm, struct ph_vcpu *sender, uint8_t vector);
/* A destination may accept now what it refused: send again each level that waits.  Any thread. */
void source_ioapic_retry(struct ph_vm *vm);
/* IOAPIC RTE in ExtINT mode and the PIC's output reach vCPUs by post_request(REQUEST_EXTINT). */

/*
 * State export and import: the fields of the IOAPIC and the 8259s, not their locks; could they be
 * like this; replace them, sending what waits.  Any thread.
 */
void source_ioapic_export(struct ph_vm *vm, struct ioapic *copy);
bool source_ioapic_is_valid(const struct ph_vm *vm, const struct ioapic *ioapic);
void source_ioapic_import(struct ph_vm *vm, const struct ioapic *ioapic);
void source_pic_export(struct ph_vm *vm, struct pic *copy);
bool source_pic_is_valid(const struct pic *pic);
/* Each chip's `line`, and IRR where it follows the line, come from line_users. */
void source_pic_import(struct ph_vm *vm, const struct pic *pic);
/* ELCR bits that a chip (0: master) has. */
uint8_t source_pic_elcr_mask(uint32_t chip);

/* source_pic.c */
void source_pic_init(struct ph_vm *vm);
void source_pic_set_pin(struct ph_vm *vm, uint32_t pin, uint32_t user, bool level);
/* INTA cycle: the vector to deliver (a spurious IRQ 7 if nothing is there any more).  Owner. */
uint8_t source_pic_acknowledge(struct ph_vm *vm);
bool source_pic_output(const struct ph_vm *vm);

#endif
