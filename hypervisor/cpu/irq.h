/* SPDX-License-Identifier: MIT */
/* Host interrupts: handlers and inter-processor interrupts. */
#ifndef HYPERVISOR_CPU_IRQ_H
#define HYPERVISOR_CPU_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* Runs with IRQs off on the interrupted stack, after the EOI; must not sleep or yield. */
typedef void irq_handler(void);

/* Set the handler of a vector (32..254) on all pCPUs.  Once per vector, at boot. */
void irq_register(uint8_t vector, irq_handler *handler);

/*
 * Call the handler of a vector that was acknowledged otherwise than through the IDT (a VM exit does),
 * after its EOI.  IRQs off.
 */
void irq_dispatch(uint32_t vector);

/* Send a fixed interrupt to a pCPU, the calling one included.  Any thread or handler. */
void ipi_send(uint32_t pcpu, uint8_t vector);

/* Send NMI to all other pCPUs (panic). */
void ipi_nmi_others(void);

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

#endif
