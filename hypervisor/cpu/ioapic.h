/* SPDX-License-Identifier: MIT */
/* The host's IOAPIC, for the two serial ports. */
#ifndef HYPERVISOR_CPU_IOAPIC_H
#define HYPERVISOR_CPU_IOAPIC_H

#include <stdint.h>

/* Mask every pin of the IOAPIC and of the 8259 pair.  First pCPU, at boot. */
void ioapic_init(void);

/* Send an ISA interrupt to the first pCPU as `vector`.  Without an IOAPIC nothing happens. */
void ioapic_route_isa(uint32_t isa_irq, uint8_t vector);

#endif
