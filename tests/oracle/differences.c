/* SPDX-License-Identifier: MIT */
/* The table of differences between core/ and the APICs that were recorded. */
#include "tests/oracle/differences.h"

#include "x86/apic.h"

#define GP UINT64_MAX

static bool is_vector_register(uint32_t reg)
{
	return (reg >= APIC_ISR && reg < APIC_ESR) || reg == APIC_PPR;
}

static bool is_lvt(uint32_t reg)
{
	return reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR;
}

/* ours has what theirs has, and more. */
static bool is_more(const struct difference_case *c)
{
	return (c->ours & c->theirs) == c->theirs;
}

static bool qemu_leaves_lvt_open(const struct difference_case *c)
{
	return c->oracle == 'q' && is_lvt(c->is_result ? c->offset : c->reg) &&
	       c->ours == (c->theirs | APIC_LVT_MASKED);
}

static bool qemu_holds_pending(const struct difference_case *c)
{
	return c->oracle == 'q' && c->op == 'i' && !c->is_enabled &&
	       (c->is_result || is_vector_register(c->reg));
}

static bool qemu_forgets_icr_high(const struct difference_case *c)
{
	return c->oracle == 'q' && c->is_x2apic && !c->is_result && c->reg == APIC_ICR2;
}

static bool qemu_allows_x2apic(const struct difference_case *c)
{
	return c->oracle == 'q' && (c->op == 'W' || c->op == 'R') && c->is_allowed_there;
}

static bool qemu_drops_focus(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_result && c->reg == APIC_SVR &&
	       c->ours == (c->theirs | APIC_SVR_FOCUS_OFF);
}

/* An IPI, a line, or a line that is still high at an EOI, to an APIC that is off by SVR. */
static bool qemu_accepts_when_disabled(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_enabled && !c->is_result &&
	       (c->op == 'l' || c->op == 'o' || c->offset == APIC_ICR || c->offset == APIC_EOI ||
	           c->offset == APIC_SELF_IPI) &&
	       (is_vector_register(c->reg) || c->reg >= DIFFERENCE_ENTRY);
}

static bool qemu_keeps_icr2(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_x2apic && !c->is_result && c->reg == APIC_ICR2 &&
	       c->ours == (c->theirs & 0xff000000u);
}

static bool qemu_has_no_error_interrupt(const struct difference_case *c)
{
	return c->oracle == 'q' && c->op == 'r' && !c->is_result && is_vector_register(c->reg) &&
	       is_more(c);
}

/* Delivery mode 001 with shorthand 01 or 10. */
static bool qemu_sends_lowest_by_shorthand(const struct difference_case *c)
{
	uint32_t shorthand = (uint32_t)c->value >> APIC_ICR_SHORTHAND_SHIFT & 3;

	return c->oracle == 'q' && !c->is_result && c->offset == APIC_ICR &&
	       (c->value >> APIC_ICR_DELIVERY_SHIFT & 7) == APIC_DELIVERY_LOWEST &&
	       (shorthand == APIC_SHORTHAND_SELF || shorthand == APIC_SHORTHAND_ALL) &&
	       is_vector_register(c->reg);
}

static bool qemu_has_no_device_broadcast(const struct difference_case *c)
{
	return c->oracle == 'q' && c->is_x2apic && (c->op == 'l' || c->op == 'o') &&
	       !c->is_result && is_vector_register(c->reg) && is_more(c);
}

static bool qemu_has_remote_irr_for_nobody(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_result && c->reg >= DIFFERENCE_ENTRY &&
	       c->theirs == (c->ours | IOAPIC_RTE_REMOTE_IRR);
}

static bool qemu_lint0_clears_irr(const struct difference_case *c)
{
	return c->oracle == 'q' && c->offset == APIC_LVT_LINT0 && (c->op == 'w' || c->op == 'W') &&
	       !c->is_result && is_vector_register(c->reg) && is_more(c);
}

static bool qemu_has_no_cluster_broadcast(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_x2apic && c->offset == APIC_ICR && !c->is_result &&
	       c->value & APIC_ICR_LOGICAL && is_vector_register(c->reg) && is_more(c);
}

static bool qemu_has_errors(const struct difference_case *c)
{
	return c->oracle == 'q' && !c->is_result && c->reg == APIC_ESR;
}

static bool qemu_resets_at_disable(const struct difference_case *c)
{
	return c->oracle == 'q' && c->op == 'b' && !c->is_result;
}

static uint32_t icr_shorthand(const struct difference_case *c)
{
	return (uint32_t)c->value >> APIC_ICR_SHORTHAND_SHIFT & 3;
}

static uint32_t icr_delivery(const struct difference_case *c)
{
	return (uint32_t)c->value >> APIC_ICR_DELIVERY_SHIFT & 7;
}

static bool is_less(const struct difference_case *c)
{
	return (c->ours & c->theirs) == c->ours;
}

static bool bochs_has_no_icr(const struct difference_case *c)
{
	return c->oracle == 'b' && c->is_x2apic && c->op == 'W' && c->offset == APIC_ICR &&
	       !c->is_result && (c->reg == APIC_ICR || c->reg == APIC_ICR2);
}

static bool bochs_has_errors(const struct difference_case *c)
{
	return c->oracle == 'b' && !c->is_result && c->reg == APIC_ESR && is_less(c);
}

static bool bochs_has_no_error_interrupt(const struct difference_case *c)
{
	return c->oracle == 'b' && c->op == 'r' && !c->is_result && is_vector_register(c->reg) &&
	       is_more(c);
}

static bool bochs_is_spurious(const struct difference_case *c)
{
	return c->oracle == 'b' && c->op == 'i' && c->is_result;
}

static bool bochs_ignores_delivery_mode(const struct difference_case *c)
{
	return c->oracle == 'b' && c->offset == APIC_ICR && (c->op == 'w' || c->op == 'W') &&
	       !c->is_result && icr_shorthand(c) != APIC_SHORTHAND_NONE &&
	       icr_delivery(c) != APIC_DELIVERY_FIXED && is_vector_register(c->reg) && is_less(c);
}

static bool bochs_sends_to_itself_when_disabled(const struct difference_case *c)
{
	return c->oracle == 'b' && !c->is_enabled && c->offset == APIC_ICR && !c->is_result &&
	       icr_shorthand(c) == APIC_SHORTHAND_SELF && is_vector_register(c->reg) && is_less(c);
}

static bool bochs_has_no_physical_lowest(const struct difference_case *c)
{
	return c->oracle == 'b' && c->offset == APIC_ICR && !c->is_result &&
	       icr_shorthand(c) == APIC_SHORTHAND_NONE && !(c->value & APIC_ICR_LOGICAL) &&
	       icr_delivery(c) == APIC_DELIVERY_LOWEST && is_vector_register(c->reg) && is_more(c);
}

static bool bochs_has_cmci(const struct difference_case *c)
{
	return c->oracle == 'b' && c->offset == APIC_LVT_CMCI && c->is_result;
}

static bool bochs_has_apr(const struct difference_case *c)
{
	return c->oracle == 'b' && c->offset == APIC_APR && c->op == 'r' && c->is_result;
}

static bool bochs_refuses_focus(const struct difference_case *c)
{
	return c->oracle == 'b' && c->offset == APIC_SVR && c->is_denied_there;
}

const struct difference differences[] = {
    {"Bochs: the x2APIC's ICR does not read as written",
        "SDM vol. 3, \"ICR Operation in x2APIC Mode\"", bochs_has_no_icr},
    {"Bochs: ESR has illegal-address and send-accept errors",
        "SDM vol. 3, \"Error Handling\": bit 7 is for registers that are not implemented; bit 2 is "
        "of the P6 "
        "family and the Pentium",
        bochs_has_errors},
    {"Bochs: an illegal register address raises no error interrupt",
        "SDM vol. 3, \"Error Handling\": an error delivers the error LVT",
        bochs_has_no_error_interrupt},
    {"Bochs: the spurious vector, when TPR was raised over an interrupt that waits",
        "SDM vol. 3, \"Spurious Interrupt\": by the timing of the INTR line; core/ chooses at the "
        "entry",
        bochs_is_spurious},
    {"Bochs: an IPI with a shorthand is sent to the sender whatever its delivery mode",
        "SDM vol. 3, table \"Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local "
        "xAPIC "
        "Interrupt Command Register\"",
        bochs_ignores_delivery_mode},
    {"Bochs: a self-IPI is accepted while the APIC is software-disabled",
        "SDM vol. 3, \"Local APIC State After It Has Been Software Disabled\": it responds to "
        "INIT, NMI, SMI and "
        "start-up alone",
        bochs_sends_to_itself_when_disabled},
    {"Bochs: a lowest-priority IPI to a physical ID is not sent",
        "SDM vol. 3, \"Interrupt Command Register (ICR)\": model-specific",
        bochs_has_no_physical_lowest},
    {"Bochs: an LVT entry for CMCI", "core/ has six entries, as its version register says",
        bochs_has_cmci},
    {"Bochs: an arbitration priority register",
        "SDM vol. 3, \"Local APIC Register Address Map\": not in processors since the Pentium 4",
        bochs_has_apr},
    {"Bochs: SVR's focus-checking bit is #GP in x2APIC mode",
        "SDM vol. 3, \"Spurious Interrupt\": not in processors since the Pentium 4; core/ keeps it "
        "as Linux "
        "KVM does",
        bochs_refuses_focus},
    {"QEMU: LVT entries can be unmasked while the APIC is software-disabled",
        "SDM vol. 3, \"Local APIC State After It Has Been Software Disabled\": the mask bits are "
        "set and "
        "cannot be cleared",
        qemu_leaves_lvt_open},
    {"QEMU: what is in IRR is not delivered while the APIC is software-disabled",
        "SDM, same section: pending interrupts are held and require handling by the CPU; Linux KVM "
        "delivers",
        qemu_holds_pending},
    {"QEMU: the upper half of the x2APIC's ICR is not kept",
        "SDM vol. 3, \"ICR Operation in x2APIC Mode\": it is one 64-bit register, read as written",
        qemu_forgets_icr_high},
    {"QEMU: the focus-checking bit of SVR reads 0",
        "SDM vol. 3, \"Spurious Interrupt\": processors since the Pentium 4 do not have it; core/ "
        "keeps it as "
        "Linux KVM does",
        qemu_drops_focus},
    {"QEMU: fixed interrupts are accepted while the APIC is software-disabled",
        "SDM vol. 3, \"Local APIC State After It Has Been Software Disabled\": it responds to "
        "INIT, NMI, SMI and "
        "start-up alone",
        qemu_accepts_when_disabled},
    {"QEMU: in xAPIC mode ICR2 still has what was written in x2APIC mode",
        "SDM vol. 3, figure \"Interrupt Command Register\": bits 23:0 are reserved in xAPIC mode",
        qemu_keeps_icr2},
    {"QEMU: x2APIC accesses to read-only or missing registers, or with reserved bits, do not fault",
        "SDM vol. 3, \"Reserved Bit Checking\" and table \"Local APIC Register Address Map "
        "Supported by "
        "x2APIC\": #GP",
        qemu_allows_x2apic},
    {"QEMU: an illegal register address raises no error interrupt",
        "SDM vol. 3, \"Error Handling\": an error delivers the error LVT",
        qemu_has_no_error_interrupt},
    {"QEMU: a lowest-priority IPI with a shorthand that includes the sender is sent",
        "SDM vol. 3, table \"Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local "
        "xAPIC "
        "Interrupt Command Register\": invalid",
        qemu_sends_lowest_by_shorthand},
    {"QEMU: a device's 0xff does not reach APICs in x2APIC mode",
        "core/ delivers it to all as Linux KVM does, unless destinations have 15 bits",
        qemu_has_no_device_broadcast},
    {"QEMU: Remote IRR is set for a level that no APIC has accepted",
        "core/ lets it wait for an APIC that accepts: no EOI would end it",
        qemu_has_remote_irr_for_nobody},
    {"QEMU: writing LINT0 as level clears IRR of its vector",
        "SDM vol. 3, \"Interrupt Acceptance for Fixed Interrupts\": IRR is cleared by the CPU's "
        "acceptance",
        qemu_lint0_clears_irr},
    {"QEMU: logical destination 0xff in the cluster model reaches no APIC whose LDR has no ID bit",
        "SDM vol. 3, \"Logical Destination Mode\": 0xff is a broadcast in both models",
        qemu_has_no_cluster_broadcast},
    {"QEMU: ESR has an illegal-address error for writes to read-only registers",
        "SDM vol. 3, \"Error Handling\": bit 7 is for registers that are not implemented",
        qemu_has_errors},
    {"QEMU: disabling the APIC in IA32_APIC_BASE resets it",
        "the SDM leaves it open for xAPIC mode; core/ keeps the registers as Linux KVM does",
        qemu_resets_at_disable},
};

const size_t difference_count = sizeof(differences) / sizeof(differences[0]);
