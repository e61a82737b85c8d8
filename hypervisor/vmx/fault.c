/* SPDX-License-Identifier: MIT */
/* What went wrong: VM-instruction errors and guest-state checks by name. */
#include "hypervisor/lib/log.h"
#include "hypervisor/vmx/vmx.h"

#define ACCESS_UNUSABLE (1u << 16)
#define ACCESS_PRESENT  (1u << 7)
#define ACCESS_L        (1u << 13)
#define ACCESS_DB       (1u << 14)
#define ACCESS_G        (1u << 15)
#define RFLAGS_RESERVED 0xffffffffffc08028ull
#define TYPE_BUSY_TSS16 3u
#define TYPE_BUSY_TSS   11u

const char *vmx_instruction_error(uint32_t number)
{
	static const char *const names[] = {
	    [1] = "VMCALL executed in VMX root operation",
	    [2] = "VMCLEAR with invalid physical address",
	    [3] = "VMCLEAR with VMXON pointer",
	    [4] = "VMLAUNCH with non-clear VMCS",
	    [5] = "VMRESUME with non-launched VMCS",
	    [6] = "VMRESUME after VMXOFF",
	    [7] = "VM entry with invalid control fields",
	    [8] = "VM entry with invalid host-state fields",
	    [9] = "VMPTRLD with invalid physical address",
	    [10] = "VMPTRLD with VMXON pointer",
	    [11] = "VMPTRLD with incorrect VMCS revision identifier",
	    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
	    [13] = "VMWRITE to read-only VMCS component",
	    [15] = "VMXON executed in VMX root operation",
	    [26] = "VM entry with events blocked by MOV SS",
	    [28] = "invalid operand to INVEPT/INVVPID",
	};

	if (number >= sizeof(names) / sizeof(names[0]) || !names[number])
		return "unknown";
	return names[number];
}

/* ---- Guest state (SDM vol. 3, "Checks on the Guest State Area") ------------------------------ */

static const char *invalid_control_register(void)
{
	uint64_t cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);
	uint64_t efer = vmcs_read(VMCS_GUEST_EFER);
	bool is_ia32e = vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;

	if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
		return "CR0.PG is set and CR0.PE is zero";
	if ((cr4 & rdmsr(MSR_VMX_CR4_FIXED0)) != rdmsr(MSR_VMX_CR4_FIXED0) ||
	    (cr4 & ~rdmsr(MSR_VMX_CR4_FIXED1)))
		return "CR4 has a bit that VMX operation does not allow";
	if (is_ia32e && !((cr0 & CR0_PG) && (cr4 & CR4_PAE)))
		return "IA-32e mode without CR0.PG and CR4.PAE";
	if (!is_ia32e && (cr4 & CR4_PCIDE))
		return "CR4.PCIDE outside IA-32e mode";
	if (is_ia32e != !!(efer & EFER_LMA))
		return "EFER.LMA is not the IA-32e mode guest control";
	if ((cr0 & CR0_PG) && !!(efer & EFER_LME) != !!(efer & EFER_LMA))
		return "CR0.PG is set and EFER.LME is not EFER.LMA";
	return NULL;
}

static const char *invalid_segment(void)
{
	uint64_t cs = vmcs_read(VMCS_GUEST_CS_ACCESS), tr = vmcs_read(VMCS_GUEST_TR_ACCESS);
	bool is_ia32e = vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;
	uint64_t type = tr & 0xf;

	if ((cs & ACCESS_UNUSABLE) || !(cs & ACCESS_PRESENT))
		return "CS is not present";
	if (is_ia32e && (cs & ACCESS_L) && (cs & ACCESS_DB))
		return "CS.L and CS.D are both set";
	if ((tr & ACCESS_UNUSABLE) || !(tr & ACCESS_PRESENT))
		return "TR is not present";
	if (type != TYPE_BUSY_TSS && (is_ia32e || type != TYPE_BUSY_TSS16))
		return "TR is not a busy TSS of the mode";
	if ((vmcs_read(VMCS_GUEST_CS_LIMIT) >> 20) && !(cs & ACCESS_G))
		return "CS's limit is above 1 MB and CS.G is zero";
	return NULL;
}

static const char *invalid_flow(void)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	uint64_t cs = vmcs_read(VMCS_GUEST_CS_ACCESS);
	bool is_ia32e = vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;

	if (!(is_ia32e && (cs & ACCESS_L)) && rip >> 32)
		return "RIP[63:32] are not zero outside 64-bit mode";
	if (!(rflags & RFLAGS_FIXED) || (rflags & RFLAGS_RESERVED))
		return "RFLAGS has reserved bits wrong";
	if (is_ia32e && (rflags & RFLAGS_VM))
		return "RFLAGS.VM in IA-32e mode";
	if ((vmcs_read(VMCS_ENTRY_INTR_INFO) & (INTR_INFO_VALID | INTR_INFO_TYPE_MASK)) ==
	        (INTR_INFO_VALID | INTR_INFO_EXTERNAL) &&
	    !(rflags & RFLAGS_IF))
		return "an interrupt is injected with RFLAGS.IF zero";
	if (vmcs_read(VMCS_GUEST_DR7) >> 32)
		return "DR7[63:32] are not zero";
	return NULL;
}

const char *vmx_invalid_reason(void)
{
	static const char *(*const checks[])(void) = {
	    invalid_control_register, invalid_segment, invalid_flow};
	uint32_t i;

	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *reason = checks[i]();

		if (reason)
			return reason;
	}
	/* SDM vol. 3, "VM-Entry Failures During or After Loading Guest State". */
	switch (vmcs_read(VMCS_EXIT_QUALIFICATION)) {
	case 2:
		return "a PDPTE has reserved bits set";
	case 4:
		return "the VMCS link pointer is wrong";
	default:
		return "a segment register, a descriptor table or an MSR fails its check";
	}
}

void vmx_dump(const struct vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = vcpu->vmx;

	arch_dump(vcpu);
	log_printf(
	    "  VMX: last reason %#x, secondary controls %#x", vmx->exit_reason, vmx->secondary);
}
