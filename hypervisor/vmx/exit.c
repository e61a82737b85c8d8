/* SPDX-License-Identifier: MIT */
/* Exits of VMX: those of its own are handled here, the others are put as SVM would put them. */
#include "hypervisor/lib/string.h"
#include "hypervisor/vmx/vmx.h"
#include "x86/apic.h"

/* ---- As SVM would put it: exit code, EXITINFO1, EXITINFO2 ------------------------------------ */

/* SDM vol. 3, table "Exit Qualification for I/O Instructions". */
#define IO_SIZE_MASK  7u
#define IO_IN         (1u << 3)
#define IO_STRING     (1u << 4)
#define IO_REP        (1u << 5)
#define IO_PORT_SHIFT 16
/* SDM vol. 3, table "Format of the VM-Exit Instruction-Information Field as Used for INS and OUTS".
 */
#define IO_ADDRESS_SIZE_SHIFT 7

static void prepare_io(struct vcpu *vcpu, struct vmcb *vmcb)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	uint64_t info = (qualification >> IO_PORT_SHIFT) << IOIO_PORT_SHIFT |
	                ((qualification & IO_SIZE_MASK) + 1) << IOIO_SIZE_SHIFT;

	if (qualification & IO_IN)
		info |= IOIO_TYPE_IN;
	if (qualification & IO_REP)
		info |= IOIO_REP;
	if (qualification & IO_STRING) {
		info |= IOIO_STR |
		        (uint64_t)IOIO_A16
		            << (vmcs_read(VMCS_EXIT_INSTRUCTION_INFO) >> IO_ADDRESS_SIZE_SHIFT & 7);
		vmx_segments_load(vcpu);
	}
	vmcb->exit_info_1 = info;
	vmcb->exit_info_2 = vmcb->next_rip;
}

/* SDM vol. 3, table "Exit Qualification for Control-Register Accesses". */
#define CR_NUMBER_MASK 0xfu
#define CR_TYPE_SHIFT  4
#define CR_TYPE_MOV_TO 0u
#define CR_GPR_SHIFT   8

static void prepare_cr(struct vcpu *vcpu, struct vmcb *vmcb)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	(void)vcpu;
	vmcb->exit_code = VMEXIT_CR_WRITE(qualification & CR_NUMBER_MASK);
	vmcb->exit_info_1 = 0;
	if ((qualification >> CR_TYPE_SHIFT & 3) == CR_TYPE_MOV_TO)
		vmcb->exit_info_1 = CR_ACCESS_MOV | (qualification >> CR_GPR_SHIFT & 0xf);
}

static void prepare_write(struct vcpu *vcpu, struct vmcb *vmcb)
{
	(void)vcpu;
	vmcb->exit_info_1 = 1;
}

static void note_nmi_unblocked(struct vcpu *vcpu, const struct vmcb *vmcb, bool is_unblocked)
{
	/* Undefined when the exit came while an event was delivered. */
	if (is_unblocked && !(vmcb->exit_int_info & VMCB_EVENT_VALID))
		ph_vcpu_nmi_blocked_again(vcpu->ph);
}

static void prepare_ept(struct vcpu *vcpu, struct vmcb *vmcb)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	vmcb->exit_info_1 =
	    (qualification & EPT_WRITE ? NPF_WRITE : 0) |
	    (qualification & EPT_FETCH ? NPF_FETCH : 0) |
	    ((qualification & (EPT_LINEAR_VALID | EPT_FINAL)) == EPT_LINEAR_VALID ? NPF_TABLE_WALK
	                                                                          : 0);
	vmcb->exit_info_2 = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	note_nmi_unblocked(vcpu, vmcb, qualification & EPT_NMI_UNBLOCKED);
}

static void prepare_apic(struct vcpu *vcpu, struct vmcb *vmcb)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	uint32_t type = qualification >> APIC_ACCESS_TYPE_SHIFT & 0xf;

	(void)vcpu;
	vmcb->exit_info_1 = 0;
	if (type == APIC_ACCESS_FETCH)
		vmcb->exit_info_1 = NPF_FETCH;
	else if (type >= APIC_ACCESS_PHYSICAL)
		vmcb->exit_info_1 = NPF_TABLE_WALK;
	vmcb->exit_info_2 = APIC_DEFAULT_BASE | (qualification & APIC_ACCESS_OFFSET_MASK);
}

/* Bits of a debug exception's qualification that DR6 gets: B0 to B3, BD, BS. */
#define DEBUG_BITS 0x600full

static void prepare_exception(struct vcpu *vcpu, struct vmcb *vmcb)
{
	uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTR_INFO);
	uint32_t vector = info & INTR_INFO_VECTOR_MASK;

	vmcb->exit_code = VMEXIT_EXCEPTION(vector);
	vmcb->exit_info_1 = vmcs_read(VMCS_EXIT_INTR_ERROR);
	if (vector == VECTOR_DB)
		exit_note_debug(vcpu, vmcs_read(VMCS_EXIT_QUALIFICATION) & DEBUG_BITS);
	/* INT1 is a trap, and exits before it is done. */
	if ((info & INTR_INFO_TYPE_MASK) == INTR_INFO_PRIV_EXCEPTION)
		vmcb->rip = vmcb->next_rip;
	note_nmi_unblocked(vcpu, vmcb, info & INTR_INFO_NMI_UNBLOCKED);
}

struct translation {
	uint32_t code; /* 0: has none */
	void (*prepare)(struct vcpu *vcpu, struct vmcb *vmcb);
};

static const struct translation translations[VMX_EXIT_SLOTS] = {
    [VMX_EXIT_EXCEPTION_NMI] = {VMEXIT_EXCEPTION(0), prepare_exception},
    [VMX_EXIT_TRIPLE_FAULT] = {VMEXIT_SHUTDOWN, NULL},
    [VMX_EXIT_CPUID] = {VMEXIT_CPUID, NULL},
    [VMX_EXIT_HLT] = {VMEXIT_HLT, NULL},
    [VMX_EXIT_INVD] = {VMEXIT_INVD, NULL},
    [VMX_EXIT_RDPMC] = {VMEXIT_RDPMC, NULL},
    [VMX_EXIT_VMCALL] = {VMEXIT_VMMCALL, NULL},
    [VMX_EXIT_CR_ACCESS] = {VMEXIT_CR_WRITE(0), prepare_cr},
    [VMX_EXIT_IO] = {VMEXIT_IOIO, prepare_io},
    [VMX_EXIT_RDMSR] = {VMEXIT_MSR, NULL},
    [VMX_EXIT_WRMSR] = {VMEXIT_MSR, prepare_write},
    [VMX_EXIT_MWAIT] = {VMEXIT_MWAIT, NULL},
    [VMX_EXIT_MONITOR] = {VMEXIT_MONITOR, NULL},
    [VMX_EXIT_PAUSE] = {VMEXIT_PAUSE, NULL},
    [VMX_EXIT_APIC_ACCESS] = {VMEXIT_NPF, prepare_apic},
    [VMX_EXIT_EPT_VIOLATION] = {VMEXIT_NPF, prepare_ept},
    [VMX_EXIT_WBINVD] = {VMEXIT_WBINVD, NULL},
    [VMX_EXIT_XSETBV] = {VMEXIT_XSETBV, NULL},
    /* No nesting and no SMX: #UD, as SVM's instructions are. */
    [VMX_EXIT_GETSEC] = {VMEXIT_SKINIT, NULL},
    [VMX_EXIT_VMCLEAR] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMLAUNCH] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMPTRLD] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMPTRST] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMREAD] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMRESUME] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMWRITE] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMXOFF] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMXON] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_INVEPT] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_INVVPID] = {VMEXIT_VMRUN, NULL},
    [VMX_EXIT_VMFUNC] = {VMEXIT_VMRUN, NULL},
};

/* Fill in what the shared handlers look at. */
static void prepare(struct vcpu *vcpu, uint32_t reason)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct translation *translation = &translations[reason];

	vmx_registers_load(vcpu);
	vmcb->next_rip = vmcb->rip + vmcs_read(VMCS_EXIT_INSTRUCTION_LEN);
	vmcb->exit_int_info =
	    vmcs_read(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID ? VMCB_EVENT_VALID : 0;
	vmcb->exit_code = translation->code;
	vmcb->exit_info_1 = 0;
	if (translation->prepare)
		translation->prepare(vcpu, vmcb);
}

static void handle_shared(struct vcpu *vcpu, uint32_t reason)
{
	prepare(vcpu, reason);
	exit_handle(vcpu);
	vmx_registers_store(vcpu);
}

bool vmx_fast_access(struct vcpu *vcpu, uint32_t reason)
{
	prepare(vcpu, reason);
	if (!exit_fast_apic(vcpu))
		return false;
	vmx_registers_store(vcpu);
	return true;
}

/* ---- VMX's own ------------------------------------------------------------------------------- */

/* Windows and the TPR threshold: enter.c looks for itself. */
static void exit_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
}

void vmx_exit_eoi(struct vcpu *vcpu)
{
	ph_apic_eoi_exit(vcpu->ph, (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION));
}

void vmx_exit_apic_write(struct vcpu *vcpu)
{
	ph_apic_write_exit(
	    vcpu->ph, (uint32_t)vmcs_read(VMCS_EXIT_QUALIFICATION) & APIC_ACCESS_OFFSET_MASK);
}

static void exit_task_switch(struct vcpu *vcpu)
{
	exit_stop(vcpu, "not supported: task switch at %#llx",
	    (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
}

static void exit_not_entered(struct vcpu *vcpu)
{
	uint32_t number = (uint32_t)vmcs_read(VMCS_VM_INSTRUCTION_ERROR);

	exit_stop(vcpu, "VM entry failed: VM-instruction error %u, %s", number,
	    vmx_instruction_error(number));
}

static void (*const own_exits[VMX_EXIT_SLOTS])(struct vcpu *vcpu) = {
    [VMX_EXIT_INIT] = exit_nothing,
    [VMX_EXIT_INTERRUPT_WINDOW] = exit_nothing,
    [VMX_EXIT_NMI_WINDOW] = exit_nothing,
    [VMX_EXIT_TASK_SWITCH] = exit_task_switch,
    [VMX_EXIT_TPR_BELOW_THRESHOLD] = exit_nothing,
    [VMX_EXIT_VIRTUALIZED_EOI] = vmx_exit_eoi,
    [VMX_EXIT_APIC_WRITE] = vmx_exit_apic_write,
    [VMX_REASON_NOT_ENTERED] = exit_not_entered,
};

/* The host's NMI: with the exit NMIs are blocked until the handler's IRET. */
static bool exit_is_nmi(void)
{
	uint64_t info = vmcs_read(VMCS_EXIT_INTR_INFO);

	if ((info & INTR_INFO_TYPE_MASK) != INTR_INFO_NMI)
		return false;
	__asm__ volatile("int $2" : : : "memory");
	return true;
}

static void handle_failed(struct vcpu *vcpu, uint32_t reason)
{
	if ((reason & VMX_EXIT_BASIC_MASK) == VMX_EXIT_INVALID_GUEST_STATE)
		vm_stop(vcpu->vm, VM_STOP_INVALID_STATE, 1, vmx_invalid_reason());
	else
		exit_stop(vcpu, "VM entry failed: reason %#x", reason);
}

/* Those with IRQs off are not remembered. */
static void record_exit(struct arch_vcpu *arch, uint32_t reason)
{
	struct last_exit *last = &arch->last_exits[arch->exit_total++ % LAST_EXIT_COUNT];

	last->code = reason;
	last->rip = vmcs_read(VMCS_GUEST_RIP);
}

void vmx_handle_exit(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->vmx->exit_reason;

	record_exit(vcpu->arch, reason);
	if (reason & VMX_EXIT_ENTRY_FAILED)
		handle_failed(vcpu, reason);
	else if (reason < VMX_EXIT_SLOTS && own_exits[reason])
		own_exits[reason](vcpu);
	else if (reason == VMX_EXIT_EXCEPTION_NMI && exit_is_nmi())
		return;
	else if (reason < VMX_EXIT_SLOTS && translations[reason].code)
		handle_shared(vcpu, reason);
	else
		exit_stop(vcpu, "not supported: exit %u (%s) at %#llx", reason,
		    vmx_code_name(reason) ? vmx_code_name(reason) : "?",
		    (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
}

/* ---- Names ----------------------------------------------------------------------------------- */

#define NAME_SIZE 28u

const char *vmx_slot_name(uint32_t slot)
{
	static const char *const upper[VMX_EXIT_SLOTS] = {
#define EXIT_NAME(name, number) [number] = #name,
	    VMX_EXIT_LIST(EXIT_NAME)
#undef EXIT_NAME
	        [VMX_REASON_NOT_ENTERED] = "NOT_ENTERED",
	};
	/* Written with the same bytes whoever comes first. */
	static char lower[VMX_EXIT_SLOTS][NAME_SIZE];
	uint32_t i;

	if (slot >= VMX_EXIT_SLOTS || !upper[slot])
		return NULL;
	for (i = 0; upper[slot][i] && i < NAME_SIZE - 1; i++)
		lower[slot][i] = (char)(upper[slot][i] >= 'A' && upper[slot][i] <= 'Z'
		                            ? upper[slot][i] + ('a' - 'A')
		                            : upper[slot][i]);
	return lower[slot];
}

const char *vmx_code_name(uint64_t code)
{
	return vmx_slot_name((uint32_t)code & VMX_EXIT_BASIC_MASK);
}
