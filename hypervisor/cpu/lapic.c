/* SPDX-License-Identifier: MIT */
/* The host's local APICs, in xAPIC mode (x2APIC where the firmware left them in it). */
#include "hypervisor/cpu/acpi.h"
#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/mm/memory.h"
#include "x86/apic.h"

#define MSR_APIC_BASE   0x1bu
#define MSR_X2APIC      0x800u
#define MSR_X2APIC_ICR  0x830u
#define ICR_INIT        (5u << APIC_ICR_DELIVERY_SHIFT)
#define ICR_STARTUP     (6u << APIC_ICR_DELIVERY_SHIFT)
#define ICR_NMI         (4u << APIC_ICR_DELIVERY_SHIFT)
#define ICR_ALL_OTHERS  (3u << APIC_ICR_SHORTHAND_SHIFT)
#define TIMER_DIVIDE_BY_1 0xbu
#define LVT_COUNT_TO_SKIP_PMC 4u

static volatile uint8_t *lapic_page;
static bool is_x2apic;

static uint32_t lapic_read(uint32_t reg)
{
	if (is_x2apic)
		return (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
	return *(volatile uint32_t *)(lapic_page + reg);
}

static void lapic_write(uint32_t reg, uint32_t value)
{
	if (is_x2apic)
		wrmsr(MSR_X2APIC + reg / 16, value);
	else
		*(volatile uint32_t *)(lapic_page + reg) = value;
}

static void icr_write(uint32_t apic_id, uint32_t command)
{
	uint64_t flags;

	if (is_x2apic) {
		/* Earlier stores must be visible to the interrupt's handler: WRMSR here is not
		 * serializing (SDM vol. 3, "MSR Access in x2APIC Mode"). */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
		return;
	}
	flags = irq_save();
	while (lapic_read(APIC_ICR) & APIC_ICR_PENDING)
		cpu_pause();
	lapic_write(APIC_ICR2, apic_id << 24);
	lapic_write(APIC_ICR, command);
	irq_restore(flags);
}

static void enter_mode(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (!(base & APIC_BASE_ENABLE))
		panic("the local APIC is disabled");
	if (lapic_page == NULL) {
		is_x2apic = (base & APIC_BASE_X2APIC) != 0;
		lapic_page = virt_of(base & 0xffffff000ull);
	} else if (is_x2apic) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	}
}

void lapic_init(void)
{
	enter_mode();
	lapic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(APIC_TPR, 0);
	lapic_write(APIC_LVT_TIMER, APIC_LVT_ONESHOT | VECTOR_TIMER);
	lapic_write(APIC_TDCR, TIMER_DIVIDE_BY_1);
	lapic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	lapic_write(APIC_LVT_LINT1, ICR_NMI);
	lapic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
	if ((lapic_read(APIC_VERSION) >> APIC_VERSION_MAX_LVT_SHIFT & 0xff) >= LVT_COUNT_TO_SKIP_PMC)
		lapic_write(APIC_LVT_PMC, APIC_LVT_MASKED);
	lapic_eoi();
}

uint32_t lapic_id(void)
{
	return is_x2apic ? lapic_read(APIC_ID) : lapic_read(APIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(APIC_EOI, 0);
}

void ipi_send(uint32_t pcpu, uint8_t vector)
{
	icr_write(percpu_of(pcpu)->apic_id, APIC_ICR_ASSERT | vector);
}

void ipi_nmi_others(void)
{
	icr_write(0, ICR_ALL_OTHERS | APIC_ICR_ASSERT | ICR_NMI);
}

void lapic_stop_cpu(uint32_t apic_id)
{
	icr_write(apic_id, APIC_ICR_ASSERT | APIC_ICR_LEVEL | ICR_INIT);
	clock_delay_us(200);
	icr_write(apic_id, APIC_ICR_LEVEL | ICR_INIT);
}

void lapic_start_cpu(uint32_t apic_id, uint8_t page)
{
	lapic_stop_cpu(apic_id);
	clock_delay_us(10000);
	icr_write(apic_id, APIC_ICR_ASSERT | ICR_STARTUP | page);
	clock_delay_us(200);
	icr_write(apic_id, APIC_ICR_ASSERT | ICR_STARTUP | page);
}

void lapic_timer_start(uint32_t ticks)
{
	lapic_write(APIC_TMICT, ticks);
}

uint32_t lapic_timer_remaining(void)
{
	return lapic_read(APIC_TMCCT);
}
