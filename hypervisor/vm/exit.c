/* SPDX-License-Identifier: MIT */
/* The exit dispatch: one handler for each intercept, and what all handlers share. */
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/svm/svm.h"
#include "hypervisor/vm/hypercall.h"
#include "hypervisor/vm/policy.h"

#define OPCODE_HLT 0xf4u
/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP push an error code (SDM vol. 3, "Error Code"). */
#define ERROR_CODE_VECTORS 0x00227d00u
/* All but #DB, NMI, #BP, #OF, #DF and #MC (SDM vol. 3, table "Protected-Mode Exceptions and Interrupts"). */
#define FAULT_VECTORS 0xfffbfee1u

/* ---- What handlers share --------------------------------------------------------------------- */

static void queue_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	/* SDM vol. 3, "Instruction-Breakpoint Exception Condition": faults push RF set; injecting does not. */
	if (FAULT_VECTORS >> vector & 1)
		vcpu_vmcb(vcpu)->rflags |= RFLAGS_RF;
	if (!ph_vcpu_queue_exception(vcpu->ph, vector, has_error, error))
		vm_stop(vcpu->vm, VM_STOP_TRIPLE_FAULT, 1, NULL);
}

void exit_inject(struct vcpu *vcpu, uint8_t vector)
{
	queue_exception(vcpu, vector, false, 0);
}

void exit_inject_error(struct vcpu *vcpu, uint8_t vector, uint32_t error)
{
	queue_exception(vcpu, vector, true, error);
}

void exit_inject_page_fault(struct vcpu *vcpu, uint64_t linear, uint32_t error)
{
	vcpu_vmcb(vcpu)->cr2 = linear;
	queue_exception(vcpu, VECTOR_PF, true, error);
}

void exit_stop(struct vcpu *vcpu, const char *format, ...)
{
	char text[VM_STOP_TEXT];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	vm_stop(vcpu->vm, VM_STOP_ERROR, 1, text);
}

/* VMX leaves both to whoever injects (SDM vol. 3, "Architectural State Before a VM Exit"). */
void exit_note_debug(struct vcpu *vcpu, uint64_t causes)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	vmcb->dr6 = (vmcb->dr6 & ~DR6_TRAPS) | causes;
	vmcb->dr7 &= ~DR7_GD;
	vcpu->entry_work |= VCPU_WORK_DEBUG;
}

/* The single-step trap behind an emulated instruction. */
static void end_step(struct vcpu *vcpu)
{
	exit_note_debug(vcpu, DR6_BS);
	if (!ph_vcpu_exception_exit(vcpu->ph, VECTOR_DB))
		exit_inject(vcpu, VECTOR_DB);
}

void exit_skip(struct vcpu *vcpu, uint64_t length)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	bool is_step = vmcb->rflags & RFLAGS_TF;

	vmcb->rip += length;
	if (!vcpu_is_long64(vcpu))
		vmcb->rip = (uint32_t)vmcb->rip;
	vmcb->rflags &= ~RFLAGS_RF;
	if (vmcb->interrupt_state & VMCB_INTERRUPT_SHADOW)
		ph_vcpu_end_shadow(vcpu->ph);
	if (is_step)
		end_step(vcpu);
}

static void skip_decoded(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (length)
		exit_skip(vcpu, length);
}

/* ---- Handlers -------------------------------------------------------------------------------- */

/*
 * The host's interrupt, NMI, or a window: enter.c looks for itself.  Between STI and HLT the HLT is
 * carried out here: an entry might lose the interrupt shadow (QEMU before 9 does), and an interrupt
 * taken in front of HLT instead of behind it would be slept over.
 */
static void exit_interrupted(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct code *code;

	if (!(vmcb->interrupt_state & VMCB_INTERRUPT_SHADOW) || vmcb->cpl ||
	    (vmcb->exit_int_info & VMCB_EVENT_VALID))
		return;
	code = code_at_rip(vcpu);
	if (code && code->in.length && code->in.opcode == OPCODE_HLT) {
		exit_skip(vcpu, code->in.length);
		ph_vcpu_halt(vcpu->ph);
	}
}

static void exit_exception(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint8_t vector = (uint8_t)(vmcb->exit_code - VMEXIT_EXCEPTION(0));
	bool has_error = ERROR_CODE_VECTORS >> vector & 1;

	if (ph_vcpu_exception_exit(vcpu->ph, vector))
		return;
	if (vector == VECTOR_MC)
		panic("machine check while a guest ran");
	if (vector == VECTOR_PF)
		vmcb->cr2 = vmcb->exit_info_2;
	/* INT3 and INTO are traps, intercepted before them. */
	if (vector == 3 || vector == 4)
		vmcb->rip += host_features.has_next_rip ? vmcb->next_rip - vmcb->rip : 1;
	queue_exception(vcpu, vector, has_error, has_error ? (uint32_t)vmcb->exit_info_1 : 0);
}

static void exit_iret(struct vcpu *vcpu)
{
	ph_vcpu_nmi_unblocked(vcpu->ph);
}

static void exit_cpuid(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (!length)
		return;
	policy_cpuid(vcpu);
	exit_skip(vcpu, length);
}

static void exit_hlt(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (!length)
		return;
	exit_skip(vcpu, length);
	ph_vcpu_halt(vcpu->ph);
}

static int access_msr(struct vcpu *vcpu, bool is_write)
{
	uint32_t msr = (uint32_t)vcpu->gprs[GPR_RCX];
	uint64_t value = vcpu->gprs[GPR_RDX] << 32 | (uint32_t)*vcpu->rax;
	int result;

	if (is_write)
		return policy_msr_write(vcpu, msr, value);
	result = policy_msr_read(vcpu, msr, &value);
	if (result != PH_OK)
		return result;
	*vcpu->rax = (uint32_t)value;
	vcpu->gprs[GPR_RDX] = value >> 32;
	return PH_OK;
}

static void exit_msr(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (!length)
		return;
	if (access_msr(vcpu, vcpu_vmcb(vcpu)->exit_info_1 & 1) == PH_OK)
		exit_skip(vcpu, length);
	else
		exit_inject_error(vcpu, VECTOR_GP, 0);
}

static void exit_vmmcall(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (!length)
		return;
	hypercall(vcpu);
	exit_skip(vcpu, length);
}

static void exit_pause(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	skip_decoded(vcpu);
	if (thread_others_wait()) {
		thread_give_way();
		return;
	}
	/* Alone again: no more exits until svm_load_state() decides anew. */
	if (!host_features.has_pause_filter) {
		vmcb->intercept_3 &= ~VMCB_PAUSE;
		vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
	}
	/* The guest's PAUSE, made up for: an emulator in one thread turns to another CPU here. */
	cpu_pause();
}

static void exit_undefined(struct vcpu *vcpu)
{
	exit_inject(vcpu, VECTOR_UD);
}

static void exit_protection(struct vcpu *vcpu)
{
	exit_inject_error(vcpu, VECTOR_GP, 0);
}

/* The caches are shared with the host and coherent: nothing to write back for one guest. */
static void exit_cache(struct vcpu *vcpu)
{
	skip_decoded(vcpu);
}

static void exit_shutdown(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_STOP_TRIPLE_FAULT, 1, NULL);
}

static void exit_invalid(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_STOP_INVALID_STATE, 1, svm_invalid_reason(vcpu_vmcb(vcpu)));
}

/* ---- Dispatch -------------------------------------------------------------------------------- */

struct exit_rule {
	void (*handle)(struct vcpu *vcpu);
	const char *name;
};

/* Codes below SVM_EXIT_DIRECT_COUNT. */
static const struct exit_rule exit_rules[SVM_EXIT_DIRECT_COUNT] = {
    [VMEXIT_CR_READ(4)] = {exit_cr, "cr4_read"},
    [VMEXIT_CR_WRITE(0)] = {exit_cr, "cr0_write"},
    [VMEXIT_CR_WRITE(4)] = {exit_cr, "cr4_write"},
    [VMEXIT_CR_WRITE(8)] = {exit_cr, "cr8_write"},
    [VMEXIT_INTR] = {exit_interrupted, "intr"},
    [VMEXIT_NMI] = {exit_interrupted, "nmi"},
    [VMEXIT_INIT] = {exit_interrupted, "init"},
    [VMEXIT_VINTR] = {exit_interrupted, "vintr"},
    [VMEXIT_RDPMC] = {exit_protection, "rdpmc"},
    [VMEXIT_CPUID] = {exit_cpuid, "cpuid"},
    [VMEXIT_IRET] = {exit_iret, "iret"},
    [VMEXIT_INVD] = {exit_cache, "invd"},
    [VMEXIT_PAUSE] = {exit_pause, "pause"},
    [VMEXIT_HLT] = {exit_hlt, "hlt"},
    [VMEXIT_INVLPGA] = {exit_undefined, "invlpga"},
    [VMEXIT_IOIO] = {exit_io, "ioio"},
    [VMEXIT_MSR] = {exit_msr, "msr"},
    [VMEXIT_SHUTDOWN] = {exit_shutdown, "shutdown"},
    [VMEXIT_VMRUN] = {exit_undefined, "vmrun"},
    [VMEXIT_VMMCALL] = {exit_vmmcall, "vmmcall"},
    [VMEXIT_VMLOAD] = {exit_undefined, "vmload"},
    [VMEXIT_VMSAVE] = {exit_undefined, "vmsave"},
    [VMEXIT_STGI] = {exit_undefined, "stgi"},
    [VMEXIT_CLGI] = {exit_undefined, "clgi"},
    [VMEXIT_SKINIT] = {exit_undefined, "skinit"},
    [VMEXIT_WBINVD] = {exit_cache, "wbinvd"},
    [VMEXIT_MONITOR] = {exit_undefined, "monitor"},
    [VMEXIT_MWAIT] = {exit_undefined, "mwait"},
    [VMEXIT_XSETBV] = {exit_xsetbv, "xsetbv"},
    [VMEXIT_RDPRU] = {exit_undefined, "rdpru"},
    [VMEXIT_INVLPGB] = {exit_undefined, "invlpgb"},
    [VMEXIT_INVLPGB_ILLEGAL] = {exit_undefined, "invlpgb_illegal"},
    [VMEXIT_MCOMMIT] = {exit_undefined, "mcommit"},
    [VMEXIT_TLBSYNC] = {exit_undefined, "tlbsync"},
};

static bool is_exception(uint64_t code)
{
	return code >= VMEXIT_EXCEPTION(0) && code <= VMEXIT_EXCEPTION(31);
}

const char *svm_exit_name(uint32_t slot)
{
	static const char *const exceptions[32] = {"de", "db", "nmi_vector", "bp", "of", "br", "ud",
	    "nm", "df", "cso", "ts", "np", "ss", "gp", "pf", "reserved15", "mf", "ac", "mc", "xf"};

	if (slot == SVM_EXIT_NPF_SLOT)
		return "npf";
	if (slot == SVM_EXIT_INVALID_SLOT)
		return "invalid";
	if (slot >= SVM_EXIT_DIRECT_COUNT)
		return "other";
	if (is_exception(slot))
		return exceptions[slot - VMEXIT_EXCEPTION(0)];
	return exit_rules[slot].name;
}

const char *svm_code_name(uint64_t code)
{
	return svm_exit_name(svm_exit_slot(code));
}

void exit_handle(struct vcpu *vcpu)
{
	uint64_t code = vcpu_vmcb(vcpu)->exit_code;

	if (code == VMEXIT_NPF)
		exit_nested_fault(vcpu);
	else if (code < SVM_EXIT_DIRECT_COUNT && exit_rules[code].handle)
		exit_rules[code].handle(vcpu);
	else if (is_exception(code))
		exit_exception(vcpu);
	else if (svm_exit_slot(code) == SVM_EXIT_INVALID_SLOT)
		exit_invalid(vcpu);
	else
		exit_stop(vcpu, "not supported: exit %#llx", (unsigned long long)code);
}
