/* SPDX-License-Identifier: MIT */
/* Control registers that the hypervisor watches: CR4, CR8 and XCR0. */
#include "hypervisor/svm/decode.h"
#include "hypervisor/svm/svm.h"
#include "hypervisor/vm/policy.h"

/* CR4 bits that change translations. */
#define CR4_TLB_BITS \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

/* A MOV to or from a control register. */
struct cr_move {
	uint8_t gpr;
	uint64_t length;
};

/* False: the bytes are not to be had or not a MOV; nothing was done and the guest tries again. */
static bool cr_decode(struct vcpu *vcpu, struct cr_move *move)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint8_t buffer[DECODE_MAX_LENGTH];
	uint32_t available;
	const uint8_t *bytes;
	struct instruction in;

	if (svm_features.has_decode_assists && svm_features.has_next_rip &&
	    (vmcb->exit_info_1 & CR_ACCESS_MOV)) {
		move->gpr = vmcb->exit_info_1 & CR_ACCESS_GPR_MASK;
		move->length = vmcb->next_rip - vmcb->rip;
		return true;
	}
	bytes = fetch_instruction(vcpu, true, buffer, &available);
	if (!bytes)
		return false;
	if (!decode(bytes, available, decode_mode(vcpu), &in) ||
	    (in.opcode & ~2u) != (DECODE_TWO_BYTE | 0x20)) {
		svm_stop_error(vcpu, "unknown control-register access at %#llx",
		    (unsigned long long)vmcb->rip);
		return false;
	}
	move->gpr = in.rm;
	move->length = in.length;
	return true;
}

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

static void write_cr4(struct vcpu *vcpu, const struct cr_move *move)
{
	struct svm_vcpu *svm = vcpu->svm;
	uint64_t value = vcpu_gpr(vcpu, move->gpr);
	uint64_t old = svm->guest_cr4;

	if (!vcpu_is_long64(vcpu))
		value = (uint32_t)value;
	if (!cr4_is_valid(svm->vmcb, old, value)) {
		svm_inject_error(vcpu, VECTOR_GP, 0);
		return;
	}
	svm->guest_cr4 = value;
	svm->vmcb->cr4 = value | CR4_MCE;
	if ((old ^ value) & CR4_TLB_BITS)
		svm_flush_tlb(vcpu);
	svm_skip(vcpu, move->length);
}

void svm_exit_cr(struct vcpu *vcpu)
{
	struct cr_move move;

	if (!cr_decode(vcpu, &move))
		return;
	if (vcpu_vmcb(vcpu)->exit_code == VMEXIT_CR_WRITE(4)) {
		write_cr4(vcpu, &move);
		return;
	}
	vcpu_set_gpr(vcpu, move.gpr, vcpu->svm->guest_cr4);
	svm_skip(vcpu, move.length);
}

void svm_exit_cr8_write(struct vcpu *vcpu)
{
	struct cr_move move;

	if (!cr_decode(vcpu, &move))
		return;
	if (ph_cr8_write(vcpu->ph, vcpu_gpr(vcpu, move.gpr)) != PH_OK)
		svm_inject_error(vcpu, VECTOR_GP, 0);
	else
		svm_skip(vcpu, move.length);
}

/* SDM vol. 2, "XSETBV". */
static bool xcr0_is_valid(uint64_t value)
{
	return (value & XCR0_X87) && !(value & ~svm_features.xcr0) &&
	    (!(value & XCR0_AVX) || (value & XCR0_SSE));
}

void svm_exit_xsetbv(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t value = vcpu->gprs[GPR_RDX] << 32 | (uint32_t)vmcb->rax;
	uint64_t length;

	if (!(vcpu->svm->guest_cr4 & CR4_OSXSAVE)) {
		svm_inject(vcpu, VECTOR_UD);
		return;
	}
	if (vmcb->cpl || (uint32_t)vcpu->gprs[GPR_RCX] || !xcr0_is_valid(value)) {
		svm_inject_error(vcpu, VECTOR_GP, 0);
		return;
	}
	length = instruction_length(vcpu, VMEXIT_XSETBV);
	if (!length)
		return;
	vcpu->svm->xcr0 = value;
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	svm_skip(vcpu, length);
}
