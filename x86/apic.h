/* SPDX-License-Identifier: MIT */
/* Facts of the local APIC, the IOAPIC and MSI: offsets, fields, MSRs (SDM vol. 3, "APIC"). */
#ifndef X86_APIC_H
#define X86_APIC_H

#include <stdint.h>

/* Register offsets in the xAPIC page; x2APIC MSR = 0x800 + offset / 16 (table "Local APIC Register
 * Address Map"). */
#define APIC_ID         0x020u
#define APIC_VERSION    0x030u
#define APIC_TPR        0x080u
#define APIC_APR        0x090u
#define APIC_PPR        0x0a0u
#define APIC_EOI        0x0b0u
#define APIC_RRD        0x0c0u
#define APIC_LDR        0x0d0u
#define APIC_DFR        0x0e0u
#define APIC_SVR        0x0f0u
#define APIC_ISR        0x100u
#define APIC_TMR        0x180u
#define APIC_IRR        0x200u
#define APIC_ESR        0x280u
#define APIC_LVT_CMCI   0x2f0u
#define APIC_ICR        0x300u
#define APIC_ICR2       0x310u
#define APIC_LVT_TIMER  0x320u
#define APIC_LVT_THERM  0x330u
#define APIC_LVT_PMC    0x340u
#define APIC_LVT_LINT0  0x350u
#define APIC_LVT_LINT1  0x360u
#define APIC_LVT_ERROR  0x370u
#define APIC_TMICT      0x380u
#define APIC_TMCCT      0x390u
#define APIC_TDCR       0x3e0u
#define APIC_SELF_IPI   0x3f0u /* x2APIC only */

#define APIC_DEFAULT_BASE 0xfee00000ull

/* Spurious-interrupt vector register. */
#define APIC_SVR_VECTOR_MASK        0xffu
#define APIC_SVR_ENABLE             (1u << 8)
#define APIC_SVR_FOCUS_OFF          (1u << 9)
#define APIC_SVR_SUPPRESS_BROADCAST (1u << 12)

/* Version register. */
#define APIC_VERSION_INTEGRATED         0x14u
#define APIC_VERSION_MAX_LVT_SHIFT      16
#define APIC_VERSION_SUPPRESS_BROADCAST (1u << 24)

/* Destination format register. */
#define APIC_DFR_FLAT    0xffffffffu
#define APIC_DFR_CLUSTER 0x0fffffffu

/* Local vector table entries. */
#define APIC_LVT_VECTOR_MASK   0x000000ffu
#define APIC_LVT_DELIVERY_MASK 0x00000700u
#define APIC_LVT_STATUS        (1u << 12)
#define APIC_LVT_POLARITY      (1u << 13)
#define APIC_LVT_REMOTE_IRR    (1u << 14)
#define APIC_LVT_LEVEL         (1u << 15)
#define APIC_LVT_MASKED        (1u << 16)
#define APIC_LVT_TIMER_MASK    (3u << 17)
#define APIC_LVT_ONESHOT       (0u << 17)
#define APIC_LVT_PERIODIC      (1u << 17)
#define APIC_LVT_TSC_DEADLINE  (2u << 17)

/* Delivery modes, bits 10:8 of the ICR, the LVT, IOAPIC entries and MSI data. */
enum apic_delivery {
	APIC_DELIVERY_FIXED = 0,
	APIC_DELIVERY_LOWEST = 1,
	APIC_DELIVERY_SMI = 2,
	APIC_DELIVERY_RESERVED = 3,
	APIC_DELIVERY_NMI = 4,
	APIC_DELIVERY_INIT = 5,
	APIC_DELIVERY_STARTUP = 6, /* ICR only */
	APIC_DELIVERY_EXTINT = 7,  /* LVT, IOAPIC and MSI only */
};

/* Interrupt command register. */
#define APIC_ICR_VECTOR_MASK     0xffu
#define APIC_ICR_DELIVERY_SHIFT  8
#define APIC_ICR_LOGICAL         (1u << 11)
#define APIC_ICR_PENDING         (1u << 12)
#define APIC_ICR_ASSERT          (1u << 14)
#define APIC_ICR_LEVEL           (1u << 15)
#define APIC_ICR_SHORTHAND_SHIFT 18
#define APIC_ICR_SHORTHAND_MASK  (3u << 18)

enum apic_shorthand {
	APIC_SHORTHAND_NONE = 0,
	APIC_SHORTHAND_SELF = 1,
	APIC_SHORTHAND_ALL = 2,
	APIC_SHORTHAND_OTHERS = 3,
};

/* Error status register. */
#define APIC_ESR_SEND_CHECKSUM    (1u << 0)
#define APIC_ESR_RECV_CHECKSUM    (1u << 1)
#define APIC_ESR_SEND_ACCEPT      (1u << 2)
#define APIC_ESR_RECV_ACCEPT      (1u << 3)
#define APIC_ESR_REDIRECTABLE_IPI (1u << 4)
#define APIC_ESR_SEND_VECTOR      (1u << 5)
#define APIC_ESR_RECV_VECTOR      (1u << 6)
#define APIC_ESR_REGISTER         (1u << 7)
#define APIC_ESR_ALL              0xffu

/* IA32_APIC_BASE. */
#define APIC_BASE_BSP    (1ull << 8)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)

/* IOAPIC: indirect registers and redirection table entries (82093AA datasheet). */
#define IOAPIC_REGSEL 0x00u
#define IOAPIC_WINDOW 0x10u
#define IOAPIC_EOI    0x40u /* version 0x20 and above */
#define IOAPIC_ID     0x00u
#define IOAPIC_VER    0x01u
#define IOAPIC_ARB    0x02u
#define IOAPIC_TABLE  0x10u

#define IOAPIC_RTE_VECTOR_MASK    0xffull
#define IOAPIC_RTE_DELIVERY_SHIFT 8
#define IOAPIC_RTE_LOGICAL        (1ull << 11)
#define IOAPIC_RTE_STATUS         (1ull << 12)
#define IOAPIC_RTE_ACTIVE_LOW     (1ull << 13)
#define IOAPIC_RTE_REMOTE_IRR     (1ull << 14)
#define IOAPIC_RTE_LEVEL          (1ull << 15)
#define IOAPIC_RTE_MASKED         (1ull << 16)
#define IOAPIC_RTE_EXT_DEST_SHIFT 49 /* destination bits 14:8 */
#define IOAPIC_RTE_DEST_SHIFT     56

/* MSI address and data (SDM vol. 3, "Message Signalled Interrupts"). */
#define MSI_ADDRESS_BASE       0xfee00000ull
#define MSI_ADDRESS_BASE_MASK  0xfff00000ull
#define MSI_ADDRESS_DEST_SHIFT 12
#define MSI_ADDRESS_EXT_SHIFT  5 /* destination bits 14:8 in address bits 11:5 */
#define MSI_ADDRESS_REDIRECT   (1ull << 3)
#define MSI_ADDRESS_LOGICAL    (1ull << 2)
#define MSI_DATA_ASSERT        (1u << 14)
#define MSI_DATA_LEVEL         (1u << 15)

#endif
