/* SPDX-License-Identifier: MIT */
/* The host's IOAPIC, for the two serial ports and the nudge (tcg.h). */
#ifndef HYPERVISOR_CPU_IOAPIC_H
#define HYPERVISOR_CPU_IOAPIC_H

#include <stdint.h>

/*
 * Mask every pin of the 8259 pair.  First pCPU, before its LINT0 is masked: an interrupt that the
 * firmware left asserted there must be withdrawn while the local APIC still looks (QEMU 7.2 keeps
 * it requested otherwise and ends in #GP once IRQs are on).
 */
void pic_mask(void);

/* Mask every pin of the IOAPIC.  First pCPU, at boot. */
void ioapic_init(void);

/* Send an ISA interrupt to the first pCPU as `vector`.  Without an IOAPIC nothing happens. */
void ioapic_route_isa(uint32_t isa_irq, uint8_t vector);

/* To every pCPU, by physical broadcast. */
void ioapic_route_isa_to_all(uint32_t isa_irq, uint8_t vector);

#endif
