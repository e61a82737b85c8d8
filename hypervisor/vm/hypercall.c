/* SPDX-License-Identifier: MIT */
/* As hypercall.h. */
#include "hypervisor/vm/hypercall.h"

#include "hypervisor/vm/arch.h"

static int64_t send_ipi(struct vcpu *vcpu, bool is_long)
{
	uint64_t low = vcpu->gprs[GPR_RBX], high = vcpu->gprs[GPR_RCX];
	uint64_t set[2] = {low, high};
	int result;

	/* Outside 64-bit mode the halves of the set have 32 bits. */
	if (!is_long) {
		set[0] = (uint32_t)low | high << 32;
		set[1] = 0;
	}
	result = ph_ipi_multicast(
	    vcpu->ph, (uint32_t)vcpu->gprs[GPR_RSI], (uint32_t)vcpu->gprs[GPR_RDX], set);
	return result == PH_EINVAL ? -HYPERCALL_EINVAL : result;
}

void hypercall(struct vcpu *vcpu)
{
	bool is_long = vcpu_is_long64(vcpu);
	uint64_t number = is_long ? *vcpu->rax : (uint32_t)*vcpu->rax;
	int64_t result = -HYPERCALL_ENOSYS;

	if (number == HYPERCALL_SEND_IPI)
		result = vcpu_vmcb(vcpu)->cpl ? -HYPERCALL_EPERM : send_ipi(vcpu, is_long);
	*vcpu->rax = is_long ? (uint64_t)result : (uint32_t)result;
}
