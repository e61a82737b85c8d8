/* SPDX-License-Identifier: MIT */
/* Between the VMCS and the registers in the VMCB's form that the shared exit handlers work on. */
#include "hypervisor/vmx/vmx.h"

#define ACCESS_UNUSABLE (1u << 16)
#define SEGMENT_COUNT   8u
#define CR0_FIXED       CR0_NE /* in VMX operation; PE and PG are free: unrestricted guest */
#define CR4_FIXED       (CR4_VMXE | CR4_MCE)

static inline uint64_t dr6_read(void)
{
	uint64_t value;

	__asm__ volatile("movq %%dr6, %0" : "=r"(value));
	return value;
}

static inline void dr6_write(uint64_t value)
{
	__asm__ volatile("movq %0, %%dr6" : : "r"(value));
}

/* ---- Segments (SDM vol. 3, table "Format of Access Rights") --------------------------------- */

static uint16_t attributes_of(uint64_t access)
{
	return access & ACCESS_UNUSABLE ? 0 : (uint16_t)((access & 0xff) | (access >> 4 & 0xf00));
}

static uint64_t access_of(uint16_t attributes)
{
	if (!(attributes & VMCB_SEG_P))
		return ACCESS_UNUSABLE;
	return (attributes & 0xffu) | (uint64_t)(attributes & 0xf00u) << 4;
}

/* In the order of the VMCS's encodings. */
static struct vmcb_segment *segment_of(struct vmcb *vmcb, uint32_t number)
{
	struct vmcb_segment *const segments[SEGMENT_COUNT] = {&vmcb->es, &vmcb->cs, &vmcb->ss,
	    &vmcb->ds, &vmcb->fs, &vmcb->gs, &vmcb->ldtr, &vmcb->tr};

	return segments[number];
}

static void segment_load(struct vmcb_segment *segment, uint32_t number)
{
	segment->selector = (uint16_t)vmcs_read(VMCS_GUEST_ES + 2 * number);
	segment->base = vmcs_read(VMCS_GUEST_ES_BASE + 2 * number);
	segment->limit = (uint32_t)vmcs_read(VMCS_GUEST_ES_LIMIT + 2 * number);
	segment->attributes = attributes_of(vmcs_read(VMCS_GUEST_ES_ACCESS + 2 * number));
}

static void segment_store(const struct vmcb_segment *segment, uint32_t number)
{
	vmcs_write(VMCS_GUEST_ES + 2 * number, segment->selector);
	vmcs_write(VMCS_GUEST_ES_BASE + 2 * number, segment->base);
	vmcs_write(VMCS_GUEST_ES_LIMIT + 2 * number, segment->limit);
	vmcs_write(VMCS_GUEST_ES_ACCESS + 2 * number, access_of(segment->attributes));
}

void vmx_segments_load(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint32_t i;

	for (i = 0; i < SEGMENT_COUNT; i++)
		segment_load(segment_of(vmcb, i), i);
	vmcb->gdtr.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	vmcb->gdtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	vmcb->idtr.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	vmcb->idtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	vmcb->dr7 = vmcs_read(VMCS_GUEST_DR7);
	vmcb->sysenter_cs = vmcs_read(VMCS_GUEST_SYSENTER_CS);
	vmcb->sysenter_esp = vmcs_read(VMCS_GUEST_SYSENTER_ESP);
	vmcb->sysenter_eip = vmcs_read(VMCS_GUEST_SYSENTER_EIP);
}

/* ---- After an exit --------------------------------------------------------------------------- */

static void load_control_registers(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t cr4 = vmcs_read(VMCS_GUEST_CR4);

	/* The rest is as the shadow says, which is what the handlers left. */
	vmcb->cr0 = (vmcb->cr0 & ~VMX_CR0_GUEST) | (vmcs_read(VMCS_GUEST_CR0) & VMX_CR0_GUEST);
	vcpu->arch->guest_cr4 = (vcpu->arch->guest_cr4 & ~VMX_CR4_GUEST) | (cr4 & VMX_CR4_GUEST);
	vmcb->cr4 = vcpu->arch->guest_cr4;
	vmcb->cr3 = vmcs_read(VMCS_GUEST_CR3);
	vmcb->efer = vmcs_read(VMCS_GUEST_EFER);
	vmcb->cr2 = cr2_read();
}

static void remember(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	vcpu->vmx->seen = (struct vmx_seen){
	    .rip = vmcb->rip,
	    .rsp = vmcb->rsp,
	    .rflags = vmcb->rflags,
	    .cr0 = vmcb->cr0,
	    .cr3 = vmcb->cr3,
	    .cr4 = vcpu->arch->guest_cr4,
	    .efer = vmcb->efer,
	    .cr2 = vmcb->cr2,
	    .dr6 = vmcb->dr6,
	    .tsc_offset = vcpu->arch->tsc_offset,
	    .pat = vmcb->g_pat,
	};
}

void vmx_registers_load(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	vmcb->rip = vmcs_read(VMCS_GUEST_RIP);
	vmcb->rsp = vmcs_read(VMCS_GUEST_RSP);
	vmcb->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	vmcb->dr6 = dr6_read();
	load_control_registers(vcpu);
	vmcb->interrupt_state = interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
	                            ? VMCB_INTERRUPT_SHADOW
	                            : 0;
	vmcb->cpl = vmcs_read(VMCS_GUEST_SS_ACCESS) >> VMCB_SEG_DPL_SHIFT & 3;
	vmcb->cs.attributes = attributes_of(vmcs_read(VMCS_GUEST_CS_ACCESS));
	vmcb->cs.base = vmcs_read(VMCS_GUEST_CS_BASE);
	remember(vcpu);
}

/* ---- Before an entry ------------------------------------------------------------------------- */

/*
 * PAE paging without long mode: the processor has the four PDPTEs in the VMCS, for whoever sets CR0
 * or CR4 in the guest's place loads them (SDM vol. 3, "PDPTE Registers").  Not at other changes: what
 * is in memory then need not be valid any more.
 */
static void store_pdptes(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct vmx_seen *seen = &vcpu->vmx->seen;
	uint64_t pdptes[4] = {0, 0, 0, 0};
	uint32_t i;

	if (!(vmcb->cr0 & CR0_PG) || !(vcpu->arch->guest_cr4 & CR4_PAE) || (vmcb->efer & EFER_LMA))
		return;
	if (!vcpu->vmx->is_dirty && !((vmcb->cr0 ^ seen->cr0) & CR0_PDPTE_BITS) &&
	    !((vcpu->arch->guest_cr4 ^ seen->cr4) & CR4_PDPTE_BITS))
		return;
	guest_read(vcpu->vm, vmcb->cr3 & 0xffffffe0u, pdptes, sizeof(pdptes));
	for (i = 0; i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, pdptes[i]);
}

static void store_control_registers(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t cr4 = vcpu->arch->guest_cr4;
	uint32_t entry = vmx_features.entry & ~ENTRY_IA32E;

	vmcs_write(VMCS_GUEST_CR0, (vmcb->cr0 & ~(CR0_CD | CR0_NW)) | CR0_FIXED);
	vmcs_write(VMCS_CR0_SHADOW, vmcb->cr0);
	vmcs_write(VMCS_GUEST_CR4, cr4 | CR4_FIXED);
	vmcs_write(VMCS_CR4_SHADOW, cr4);
	vmcs_write(VMCS_GUEST_EFER, vmcb->efer & ~EFER_SVME);
	vmcs_write(VMCS_ENTRY_CONTROLS, vmcb->efer & EFER_LMA ? entry | ENTRY_IA32E : entry);
	store_pdptes(vcpu);
}

static void store_rare(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct vmx_seen *seen = &vcpu->vmx->seen;

	if (vmcb->cr2 != seen->cr2)
		cr2_write(vmcb->cr2);
	if (vmcb->dr6 != seen->dr6)
		dr6_write(vmcb->dr6);
	if (vcpu->arch->tsc_offset != seen->tsc_offset)
		vmcs_write(VMCS_TSC_OFFSET, vcpu->arch->tsc_offset);
	if (vmcb->g_pat != seen->pat)
		vmcs_write(VMCS_GUEST_PAT, vmcb->g_pat);
}

void vmx_registers_store(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct vmx_seen *seen = &vcpu->vmx->seen;

	if (vcpu->vmx->is_dirty) {
		vmx_registers_store_all(vcpu);
		return;
	}
	if (vmcb->rip != seen->rip)
		vmcs_write(VMCS_GUEST_RIP, vmcb->rip);
	if (vmcb->rflags != seen->rflags)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcb->rflags);
	if (vmcb->rsp != seen->rsp)
		vmcs_write(VMCS_GUEST_RSP, vmcb->rsp);
	if (vmcb->cr0 != seen->cr0 || vcpu->arch->guest_cr4 != seen->cr4 || vmcb->efer != seen->efer)
		store_control_registers(vcpu);
	store_rare(vcpu);
	/* `seen` is filled in again by the next load. */
}

void vmx_registers_store_all(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint32_t i;

	for (i = 0; i < SEGMENT_COUNT; i++)
		segment_store(segment_of(vmcb, i), i);
	vmcs_write(VMCS_GUEST_GDTR_BASE, vmcb->gdtr.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, vmcb->gdtr.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, vmcb->idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, vmcb->idtr.limit);
	vmcs_write(VMCS_GUEST_DR7, vmcb->dr7);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, vmcb->sysenter_cs);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, vmcb->sysenter_esp);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, vmcb->sysenter_eip);
	vmcs_write(VMCS_GUEST_RIP, vmcb->rip);
	vmcs_write(VMCS_GUEST_RSP, vmcb->rsp);
	vmcs_write(VMCS_GUEST_RFLAGS, vmcb->rflags);
	vmcs_write(VMCS_GUEST_CR3, vmcb->cr3);
	vmcs_write(VMCS_GUEST_PAT, vmcb->g_pat);
	vmcs_write(VMCS_TSC_OFFSET, vcpu->arch->tsc_offset);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	cr2_write(vmcb->cr2);
	dr6_write(vmcb->dr6);
	store_control_registers(vcpu);
	remember(vcpu);
	vcpu->vmx->is_dirty = false;
}
