/* SPDX-License-Identifier: MIT */
/* Local APIC of the running CPU, as xAPIC or x2APIC. */
#include "guests/rt/apic.h"
#include "guests/rt/cpu.h"

#define ICR_SPIN_MAX 1000000u

static const uint16_t lvt_offsets[] = {
    APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR};

static uint32_t x2apic_msr(uint32_t offset)
{
	return MSR_X2APIC + (offset >> 4);
}

uint32_t apic_read(uint32_t offset)
{
	if (this_cpu()->has_x2apic_mode)
		return (uint32_t)rdmsr(x2apic_msr(offset));
	return *xapic_register(offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
	if (this_cpu()->has_x2apic_mode)
		wrmsr(x2apic_msr(offset), value);
	else
		*xapic_register(offset) = value;
}

void apic_write_icr(uint32_t low, uint32_t destination)
{
	unsigned spin = 0;

	if (this_cpu()->has_x2apic_mode) {
		/* WRMSR to the x2APIC range does not order earlier stores (SDM 3, 11.12.3). */
		memory_fence();
		wrmsr(x2apic_msr(APIC_ICR), ((uint64_t)destination << 32) | low);
		return;
	}
	while ((*xapic_register(APIC_ICR) & APIC_ICR_PENDING) && spin++ < ICR_SPIN_MAX)
		cpu_pause();
	*xapic_register(APIC_ICR_HIGH) = destination << 24;
	*xapic_register(APIC_ICR) = low;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

uint32_t apic_id(void)
{
	return this_cpu()->has_x2apic_mode ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

bool apic_vector_bit(uint32_t offset, unsigned vector)
{
	return apic_read(offset + (vector / 32) * 0x10) & (1u << (vector % 32));
}

void apic_send(uint32_t destination, unsigned vector)
{
	apic_write_icr(APIC_DELIVERY_FIXED | APIC_ICR_ASSERT | vector, destination);
}

void apic_send_self(unsigned vector)
{
	if (this_cpu()->has_x2apic_mode) {
		memory_fence();
		wrmsr(x2apic_msr(APIC_SELF_IPI), vector);
		return;
	}
	*xapic_register(APIC_ICR) = APIC_DELIVERY_FIXED | APIC_ICR_ASSERT | APIC_ICR_SELF | vector;
}

void apic_init(void)
{
	apic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
	for (unsigned i = 0; i < sizeof(lvt_offsets) / sizeof(lvt_offsets[0]); i++)
		apic_write(lvt_offsets[i], APIC_LVT_MASKED);
	apic_write(APIC_TMICT, 0);
}

void apic_reset_to_xapic(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD);

	wrmsr(MSR_APIC_BASE, base);
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_EN);
	this_cpu()->has_x2apic_mode = false;
	apic_init();
}

void apic_enter_x2apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EN | APIC_BASE_EXTD);
	this_cpu()->has_x2apic_mode = true;
}
