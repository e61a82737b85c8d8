/* SPDX-License-Identifier: MIT */
/* The host's IOAPIC and 8259 pair: all masked but the serial ports and the nudge. */
#include <stddef.h>

#include "hypervisor/cpu/acpi.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/ioapic.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/mm/memory.h"
#include "x86/apic.h"

#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA  0xa1
#define FLAG_ACTIVE_LOW 3u /* MPS INTI flags, polarity */
#define FLAG_LEVEL      0xcu
#define DESTINATION_ALL 0xffu /* SDM vol. 3, "Physical Destination Mode" */

static volatile uint8_t *ioapic_page;

static uint32_t ioapic_read(uint32_t reg)
{
	*(volatile uint32_t *)(ioapic_page + IOAPIC_REGSEL) = reg;
	return *(volatile uint32_t *)(ioapic_page + IOAPIC_WINDOW);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(ioapic_page + IOAPIC_REGSEL) = reg;
	*(volatile uint32_t *)(ioapic_page + IOAPIC_WINDOW) = value;
}

static uint32_t pin_count(void)
{
	return (ioapic_read(IOAPIC_VER) >> 16 & 0xff) + 1;
}

void pic_mask(void)
{
	out8(PIC_MASTER_DATA, 0xff);
	out8(PIC_SLAVE_DATA, 0xff);
}

void ioapic_init(void)
{
	if (acpi_facts.ioapic_base == 0)
		return;
	ioapic_page = virt_of(acpi_facts.ioapic_base);
	for (uint32_t pin = 0; pin < pin_count(); pin++)
		ioapic_write(IOAPIC_TABLE + 2 * pin, IOAPIC_RTE_MASKED);
}

static void route(uint32_t isa_irq, uint8_t vector, uint32_t destination)
{
	uint32_t pin = acpi_facts.isa_gsi[isa_irq], flags = acpi_facts.isa_flags[isa_irq];
	uint64_t entry = vector;

	if (ioapic_page == NULL || pin >= pin_count())
		return;
	if ((flags & FLAG_ACTIVE_LOW) == FLAG_ACTIVE_LOW)
		entry |= IOAPIC_RTE_ACTIVE_LOW;
	if ((flags & FLAG_LEVEL) == FLAG_LEVEL)
		entry |= IOAPIC_RTE_LEVEL;
	entry |= (uint64_t)destination << IOAPIC_RTE_DEST_SHIFT;
	ioapic_write(IOAPIC_TABLE + 2 * pin + 1, (uint32_t)(entry >> 32));
	ioapic_write(IOAPIC_TABLE + 2 * pin, (uint32_t)entry);
}

void ioapic_route_isa(uint32_t isa_irq, uint8_t vector)
{
	route(isa_irq, vector, percpu_of(0)->apic_id);
}

void ioapic_route_isa_to_all(uint32_t isa_irq, uint8_t vector)
{
	route(isa_irq, vector, DESTINATION_ALL);
}
