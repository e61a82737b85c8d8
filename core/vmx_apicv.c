/* SPDX-License-Identifier: MIT */
/* Virtual-interrupt delivery and posted interrupts on VMX: IRR of lapic.c -> RVI of the VMCS. */
#include "core/backend.h"
#include "core/lapic.h"
#include "core/vmx_field.h"

static void apicv_write_status(struct ph_vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	uint64_t before = vmx_read(vcpu, VMCS_GUEST_INTR_STATUS);
	uint64_t status = before;

	lapic_refresh(vcpu);
	if (lapic->irr_changed) {
		int vector = lapic_highest_irr(vcpu);

		status = (status & ~(uint64_t)INTR_STATUS_RVI_MASK) |
		    (vector == PH_NO_VECTOR ? 0 : (uint64_t)vector);
	}
	if (lapic->isr_changed) {
		int vector = lapic_highest_isr(vcpu);

		/* Not 0 while a lower one is in service (facts/bugs.md 18). */
		status = (status & INTR_STATUS_RVI_MASK) |
		    (vector == PH_NO_VECTOR ? 0 : (uint64_t)vector) << INTR_STATUS_SVI_SHIFT;
	}
	lapic->irr_changed = false;
	lapic->isr_changed = false;
	if (status != before)
		vmx_write(vcpu, VMCS_GUEST_INTR_STATUS, status);
}

/* The EOI-exit bitmap is TMR: whatever is level-triggered, and nothing else (docs/adr/0003). */
static void apicv_write_eoi_exits(struct ph_vcpu *vcpu)
{
	static const enum vmcs_field fields[4] = {
	    VMCS_EOI_EXIT_0, VMCS_EOI_EXIT_1, VMCS_EOI_EXIT_2, VMCS_EOI_EXIT_3};

	for (uint32_t i = 0; i < 4; i++) {
		uint64_t low = lapic_reg(vcpu, APIC_TMR + i * 32);
		uint64_t high = lapic_reg(vcpu, APIC_TMR + i * 32 + 16);

		vmx_write(vcpu, fields[i], high << 32 | low);
	}
	vcpu->lapic.tmr_changed = false;
}

static void apicv_sync(struct ph_vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	if (lapic->irr_changed || lapic->isr_changed)
		apicv_write_status(vcpu);
	if (lapic->tmr_changed)
		apicv_write_eoi_exits(vcpu);
}

static void apicv_collect(struct ph_vcpu *vcpu)
{
	/* The processor has moved vectors from PIR to IRR to ISR and away as it liked. */
	vcpu->lapic.is_stale = true;
	vmx_collect_event(vcpu);
}

const struct backend backend_vmx_apicv = {
    .reset = vmx_reset,
    .collect = apicv_collect,
    .intr_allowed = vmx_intr_allowed,
    .nmi_allowed = vmx_nmi_allowed,
    .nmi_masked = vmx_nmi_masked,
    .inject = vmx_inject,
    .set_windows = vmx_set_windows,
    .set_tpr = vmx_set_tpr,
    .nmi_unblocked = vmx_nmi_unblocked,
    .exception_exit = vmx_exception_exit,
    .nmi_blocked_again = vmx_nmi_blocked_again,
    .nmi_export = vmx_nmi_export,
    .nmi_import = vmx_nmi_import,
    .end_shadow = vmx_end_shadow,
    .sync = apicv_sync,
};
