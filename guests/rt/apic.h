/* SPDX-License-Identifier: MIT */
/* Local APIC of the running CPU, as xAPIC (SDM 3, 11.4) or x2APIC (SDM 3, 11.12). */
#ifndef GUESTS_RT_APIC_H
#define GUESTS_RT_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BASE_ADDRESS 0xfee00000u

#define APIC_BASE_BSP  (1u << 8)
#define APIC_BASE_EXTD (1u << 10)
#define APIC_BASE_EN   (1u << 11)

/* Register offsets: SDM table "Local APIC Register Address Map". */
#define APIC_ID              0x020u
#define APIC_VERSION         0x030u
#define APIC_TPR             0x080u
#define APIC_APR             0x090u
#define APIC_PPR             0x0a0u
#define APIC_EOI             0x0b0u
#define APIC_RRD             0x0c0u
#define APIC_LDR             0x0d0u
#define APIC_DFR             0x0e0u
#define APIC_SVR             0x0f0u
#define APIC_ISR             0x100u
#define APIC_TMR             0x180u
#define APIC_IRR             0x200u
#define APIC_ESR             0x280u
#define APIC_LVT_CMCI        0x2f0u
#define APIC_ICR             0x300u
#define APIC_ICR_HIGH        0x310u
#define APIC_LVT_TIMER       0x320u
#define APIC_LVT_THERMAL     0x330u
#define APIC_LVT_PERFORMANCE 0x340u
#define APIC_LVT_LINT0       0x350u
#define APIC_LVT_LINT1       0x360u
#define APIC_LVT_ERROR       0x370u
#define APIC_TMICT           0x380u
#define APIC_TMCCT           0x390u
#define APIC_TDCR            0x3e0u
#define APIC_SELF_IPI        0x3f0u

#define APIC_SVR_ENABLE 0x100u

#define APIC_LVT_MASKED         (1u << 16)
#define APIC_LVT_TIMER_ONE_SHOT 0u
#define APIC_LVT_TIMER_PERIODIC (1u << 17)
#define APIC_LVT_TIMER_DEADLINE (2u << 17)

/* Delivery modes of ICR, LVT and IOAPIC entries: bits 10:8. */
#define APIC_DELIVERY_MASK    0x700u
#define APIC_DELIVERY_FIXED   0x000u
#define APIC_DELIVERY_LOWEST  0x100u
#define APIC_DELIVERY_SMI     0x200u
#define APIC_DELIVERY_NMI     0x400u
#define APIC_DELIVERY_INIT    0x500u
#define APIC_DELIVERY_STARTUP 0x600u
#define APIC_DELIVERY_EXTINT  0x700u

#define APIC_ICR_LOGICAL      (1u << 11)
#define APIC_ICR_PENDING      (1u << 12)
#define APIC_ICR_ASSERT       (1u << 14)
#define APIC_ICR_LEVEL        (1u << 15)
#define APIC_ICR_SELF         (1u << 18)
#define APIC_ICR_ALL          (2u << 18)
#define APIC_ICR_ALL_BUT_SELF (3u << 18)

/* TDCR encodings, SDM figure "Divide Configuration Register". */
#define APIC_TDCR_1   0xbu
#define APIC_TDCR_2   0x0u
#define APIC_TDCR_4   0x1u
#define APIC_TDCR_8   0x2u
#define APIC_TDCR_16  0x3u
#define APIC_TDCR_32  0x8u
#define APIC_TDCR_64  0x9u
#define APIC_TDCR_128 0xau

#define VECTOR_SPURIOUS 0xff

/* Enable by software, accept all priorities, mask every LVT entry. */
void apic_init(void);
/* Reset to xAPIC mode through the disabled state, then apic_init(). */
void apic_reset_to_xapic(void);
void apic_enter_x2apic(void);
/* Registers by their xAPIC offset, in the mode of this CPU. */
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
/* Destination as an APIC ID or a logical ID, not shifted. Waits for the last IPI in xAPIC mode. */
void apic_write_icr(uint32_t low, uint32_t destination);
void apic_eoi(void);
uint32_t apic_id(void);
/* Bit vector of one of the 256-bit registers APIC_ISR, APIC_TMR, APIC_IRR. */
bool apic_vector_bit(uint32_t offset, unsigned vector);
/* Fixed, physical, edge. */
void apic_send(uint32_t apic_id, unsigned vector);
void apic_send_self(unsigned vector);

static inline volatile uint32_t *xapic_register(uint32_t offset)
{
	return (volatile uint32_t *)(uintptr_t)(APIC_BASE_ADDRESS + offset);
}

#endif
