/* SPDX-License-Identifier: MIT */
/* The few facts of the host's ACPI tables that the hypervisor uses. */
#ifndef HYPERVISOR_CPU_ACPI_H
#define HYPERVISOR_CPU_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/cpu/percpu.h"

#define ISA_IRQ_COUNT 16u

struct acpi_facts {
	uint64_t lapic_base;
	uint32_t apic_ids[PCPU_MAX]; /* of enabled processors */
	uint32_t cpu_count;
	uint32_t cpu_ignored_count;  /* enabled, but more than PCPU_MAX */
	uint32_t ioapic_base;        /* of the IOAPIC with GSI 0; 0: none */
	uint32_t isa_gsi[ISA_IRQ_COUNT];
	uint16_t isa_flags[ISA_IRQ_COUNT]; /* MPS INTI flags; 0: as the bus has it */
	uint16_t pm_timer_port;      /* 0: none */
	bool is_pm_timer_32bit;
};

/* Constant after acpi_init(). */
extern struct acpi_facts acpi_facts;

#endif
