/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: those of Linux KVM's guest interface that save a guest exits (Linux,
 * Documentation/virt/kvm/x86/hypercalls.rst).  CPUID leaf 40000101h says which (cpuid.c).
 */
#ifndef HYPERVISOR_VM_HYPERCALL_H
#define HYPERVISOR_VM_HYPERCALL_H

#include "hypervisor/vm/vm.h"

/* KVM_HC_SEND_IPI: RBX and RCX a set of APIC IDs from RDX on, RSI the ICR's low half. */
#define HYPERCALL_SEND_IPI 10u

/* KVM_ENOSYS and its like, as negative results. */
#define HYPERCALL_EPERM   1
#define HYPERCALL_EINVAL  22
#define HYPERCALL_ENOSYS  1000

/* VMCALL or VMMCALL: number in RAX, result in RAX.  Owner, its state read from the processor. */
void hypercall(struct vcpu *vcpu);

/* The same where only RAX is known yet.  False: it is a call that exists, for hypercall(). */
static inline bool hypercall_is_unknown(struct vcpu *vcpu)
{
	if ((uint32_t)*vcpu->rax == HYPERCALL_SEND_IPI)
		return false;
	*vcpu->rax = (uint64_t)-HYPERCALL_ENOSYS;
	return true;
}

#endif
