/* SPDX-License-Identifier: MIT */
/* Dispatch of host interrupts to their handlers. */
#include <stddef.h>

#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"

static irq_handler *handlers[256];

void irq_register(uint8_t vector, irq_handler *handler)
{
	BUG_ON(vector < 32 || vector == VECTOR_SPURIOUS || handlers[vector] != NULL);
	handlers[vector] = handler;
}

void irq_dispatch(uint32_t vector)
{
	/* A spurious interrupt has no ISR bit: no EOI (SDM vol. 3, "Spurious Interrupt"). */
	if (vector == VECTOR_SPURIOUS)
		return;
	lapic_eoi();
	/* Vectors without a handler: left over by the firmware, or a pin nobody routed. */
	if (handlers[vector] != NULL)
		handlers[vector]();
}
