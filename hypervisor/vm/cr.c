/* SPDX-License-Identifier: MIT */
/* Control registers that the hypervisor watches: CR0, CR4, CR8 and XCR0. */
#include "hypervisor/vm/decode.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/policy.h"
#include "hypervisor/vm/vendor.h"

/* CR0 bits that exist; the others below bit 32 are ignored, those above raise #GP. */
#define CR0_BITS \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define LMSW_BITS (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
/* Bits that change translations. */
#define CR0_TLB_BITS (CR0_PE | CR0_WP | CR0_PG)
#define CR4_TLB_BITS \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

/* What a control-register instruction says. */
struct cr_access {
	enum { CR_MOV, CR_LMSW, CR_CLTS } kind;
	uint8_t gpr;
	uint64_t length;
};

static bool cr_classify(const struct instruction *in, struct cr_access *access)
{
	access->gpr = in->rm;
	access->length = in->length;
	switch (in->opcode) {
	case DECODE_TWO_BYTE | 0x20:
	case DECODE_TWO_BYTE | 0x22:
		access->kind = CR_MOV;
		return true;
	case DECODE_TWO_BYTE | 0x06:
		access->kind = CR_CLTS;
		return true;
	case DECODE_TWO_BYTE | 0x01:
		/* A memory operand's address is not worked out here. */
		access->kind = CR_LMSW;
		return (in->reg & 7) == 6 && in->mod == 3;
	default:
		return false;
	}
}

/* False: nothing was done; the guest tries again, or the VM stops. */
static bool cr_decode(struct vcpu *vcpu, struct cr_access *access)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	char text[2 * DECODE_MAX_LENGTH + 1];
	const struct code *code;

	if (host_features.has_decode_assists && host_features.has_next_rip &&
	    (vmcb->exit_info_1 & CR_ACCESS_MOV)) {
		access->kind = CR_MOV;
		access->gpr = vmcb->exit_info_1 & CR_ACCESS_GPR_MASK;
		access->length = vmcb->next_rip - vmcb->rip;
		return true;
	}
	code = code_at_rip(vcpu);
	if (!code)
		return false;
	if (!code->in.length || !cr_classify(&code->in, access)) {
		code_print(vcpu, text);
		exit_stop(vcpu, "not supported: control-register access %s", text);
		return false;
	}
	return true;
}

/* The value that the guest writes: a 32-bit register outside 64-bit mode. */
static uint64_t cr_operand(const struct vcpu *vcpu, const struct cr_access *access)
{
	uint64_t value = vcpu_gpr(vcpu, access->gpr);

	return vcpu_is_long64(vcpu) ? value : (uint32_t)value;
}

/* ---- PAE paging: whoever turns it on loads the PDPTEs (SDM vol. 3, "PDPTE Registers") --------- */

#define PAE_ROOT_MASK  0xffffffe0ull
#define PDPTE_RESERVED 0x1e6ull /* and those above a physical address */

/*
 * As MOV to CR0 or CR4 loads them; one that is present with a reserved bit set raises #GP.  Under SVM
 * nothing loads them: each is read, and checked, when it is used (APM vol. 2, "Legacy PAE Mode" of
 * nested paging).
 */
static bool pdptes_are_valid(const struct vcpu *vcpu)
{
	uint64_t reserved = PDPTE_RESERVED | ~0ull << policy_physical_bits();
	uint64_t pdptes[4];
	uint32_t i;

	if (vendor->backend != PH_BACKEND_VMX)
		return true;
	if (!guest_read(vcpu->vm, vcpu_vmcb(vcpu)->cr3 & PAE_ROOT_MASK, pdptes, sizeof(pdptes)))
		return false;
	for (i = 0; i < 4; i++)
		if ((pdptes[i] & PTE_P) && (pdptes[i] & reserved))
			return false;
	return true;
}

/* ---- CR0 ------------------------------------------------------------------------------------- */

static uint64_t cr0_wanted(const struct vcpu *vcpu, const struct cr_access *access)
{
	uint64_t old = vcpu_vmcb(vcpu)->cr0;
	uint64_t operand;

	if (access->kind == CR_CLTS)
		return old & ~CR0_TS;
	operand = cr_operand(vcpu, access);
	if (access->kind == CR_MOV)
		return operand;
	/* SDM vol. 2, "LMSW": PE can be set and not cleared. */
	return (old & ~(LMSW_BITS & ~CR0_PE)) | (operand & LMSW_BITS);
}

/* SDM vol. 2, "MOV-Move to/from Control Registers", protected-mode exceptions. */
static bool cr0_is_valid(const struct vcpu *vcpu, uint64_t value)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	bool sets_paging = (value & ~vmcb->cr0) & CR0_PG;

	if (value >> 32)
		return false;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return false;
	if ((value & CR0_PG) && !(value & CR0_PE))
		return false;
	if (sets_paging && (vmcb->efer & EFER_LME) &&
	    (!(vmcb->cr4 & CR4_PAE) || (vmcb->cs.attributes & VMCB_SEG_L)))
		return false;
	return (value & CR0_PG) || !vcpu_is_long64(vcpu);
}

static void write_cr0(struct vcpu *vcpu, const struct cr_access *access)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t value = cr0_wanted(vcpu, access);
	uint64_t changed = value ^ vmcb->cr0;

	if (!cr0_is_valid(vcpu, value) ||
	    ((changed & CR0_PDPTE_BITS) && (value & CR0_PG) && (vmcb->cr4 & CR4_PAE) &&
	        !(vmcb->efer & EFER_LME) && !pdptes_are_valid(vcpu))) {
		exit_inject_error(vcpu, VECTOR_GP, 0);
		return;
	}
	if (vmcb->efer & EFER_LME)
		vmcb->efer = value & CR0_PG ? vmcb->efer | EFER_LMA : vmcb->efer & ~EFER_LMA;
	if (changed & CR0_TLB_BITS)
		arch_flush_tlb(vcpu);
	/* Before the new CR0: the length belongs to the mode that the instruction ran in. */
	exit_skip(vcpu, access->length);
	vmcb->cr0 = (value & CR0_BITS) | CR0_ET;
}

/* ---- CR4, CR8, XCR0 -------------------------------------------------------------------------- */

static bool cr4_is_valid(const struct vmcb *vmcb, uint64_t old, uint64_t value)
{
	bool is_long = vmcb->efer & EFER_LMA;

	if (value & ~policy_cr4_mask())
		return false;
	if (is_long && !(value & CR4_PAE))
		return false;
	/* SDM vol. 3, "Process-Context Identifiers (PCIDs)". */
	return !(value & ~old & CR4_PCIDE) || (is_long && !(vmcb->cr3 & 0xfff));
}

static void write_cr4(struct vcpu *vcpu, const struct cr_access *access)
{
	struct arch_vcpu *arch = vcpu->arch;
	uint64_t value = cr_operand(vcpu, access);
	uint64_t old = arch->guest_cr4;

	if (!cr4_is_valid(arch->vmcb, old, value) ||
	    (((old ^ value) & CR4_PDPTE_BITS) && (value & CR4_PAE) && (arch->vmcb->cr0 & CR0_PG) &&
	        !(arch->vmcb->efer & EFER_LMA) && !pdptes_are_valid(vcpu))) {
		exit_inject_error(vcpu, VECTOR_GP, 0);
		return;
	}
	arch->guest_cr4 = value;
	arch->vmcb->cr4 = value | CR4_MCE;
	if ((old ^ value) & CR4_TLB_BITS)
		arch_flush_tlb(vcpu);
	exit_skip(vcpu, access->length);
}

void exit_cr(struct vcpu *vcpu)
{
	struct cr_access access;

	if (!cr_decode(vcpu, &access))
		return;
	switch (vcpu_vmcb(vcpu)->exit_code) {
	case VMEXIT_CR_WRITE(0):
		write_cr0(vcpu, &access);
		break;
	case VMEXIT_CR_WRITE(4):
		write_cr4(vcpu, &access);
		break;
	case VMEXIT_CR_WRITE(8):
		if (ph_cr8_write(vcpu->ph, cr_operand(vcpu, &access)) != PH_OK)
			exit_inject_error(vcpu, VECTOR_GP, 0);
		else
			exit_skip(vcpu, access.length);
		break;
	default: /* a read of CR4 */
		vcpu_set_gpr(vcpu, access.gpr, vcpu->arch->guest_cr4);
		exit_skip(vcpu, access.length);
		break;
	}
}

/* SDM vol. 2, "XSETBV". */
static bool xcr0_is_valid(uint64_t value)
{
	return (value & XCR0_X87) && !(value & ~host_features.xcr0) &&
	    (!(value & XCR0_AVX) || (value & XCR0_SSE));
}

void exit_xsetbv(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t value = vcpu->gprs[GPR_RDX] << 32 | (uint32_t)*vcpu->rax;
	uint64_t length;

	if (!(vcpu->arch->guest_cr4 & CR4_OSXSAVE)) {
		exit_inject(vcpu, VECTOR_UD);
		return;
	}
	if (vmcb->cpl || (uint32_t)vcpu->gprs[GPR_RCX] || !xcr0_is_valid(value)) {
		exit_inject_error(vcpu, VECTOR_GP, 0);
		return;
	}
	length = instruction_length(vcpu);
	if (!length)
		return;
	vcpu->arch->xcr0 = value;
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	exit_skip(vcpu, length);
}
