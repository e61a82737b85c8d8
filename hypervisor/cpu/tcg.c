/* SPDX-License-Identifier: MIT */
/*
 * The nudge: QEMU's software emulation of SVM loses interrupts of the host.  At VMRUN with V_IRQ it changes
 * the word of pending interrupts without the lock that those threads hold which raise them (7.2, 10.0; later
 * versions do it atomically), so a LAPIC timer or an IPI now and then stays in IRR unseen until another
 * interrupt makes QEMU look.  The PIT sees to it that one comes.  Guest timer_storm shows it.
 */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/ioapic.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/tcg.h"
#include "hypervisor/cpu/vectors.h"
#include "x86/cpuid.h"

#define LEAF_HYPERVISOR 0x40000000u
#define SIGNATURE_B     0x54474354u /* "TCGTCGTCGTCG" */
#define SIGNATURE_C     0x43544743u
#define SIGNATURE_D     0x47435447u

#define PIT_CHANNEL_0 0x40
#define PIT_CONTROL   0x43
#define PIT_RATE      0x34 /* channel 0, both bytes, mode 2 */
#define PIT_IRQ       0
#define NUDGE_DIVISOR 11932u /* of 1193182 Hz: 100 Hz */

bool tcg_is_host(void)
{
	struct cpuid_result r = cpuid(LEAF_HYPERVISOR, 0);

	return (cpuid(1, 0).ecx & CPUID_1_C_HYPERVISOR) && r.ebx == SIGNATURE_B &&
	    r.ecx == SIGNATURE_C && r.edx == SIGNATURE_D;
}

/* That it came is all it is for. */
static void nudge_interrupt(void)
{
}

void tcg_start_nudge(void)
{
	if (!tcg_is_host())
		return;
	irq_register(VECTOR_NUDGE, nudge_interrupt);
	ioapic_route_isa_to_all(PIT_IRQ, VECTOR_NUDGE);
	out8(PIT_CONTROL, PIT_RATE);
	out8(PIT_CHANNEL_0, NUDGE_DIVISOR & 0xff);
	out8(PIT_CHANNEL_0, NUDGE_DIVISOR >> 8);
}
