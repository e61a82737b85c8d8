/* SPDX-License-Identifier: MIT */
/* What a guest may see and touch: CPUID leaves, MSRs and CR4 bits, each in one table. */
#ifndef HYPERVISOR_VM_POLICY_H
#define HYPERVISOR_VM_POLICY_H

#include "hypervisor/vm/vm.h"

/* Read the host's CPUID and make the guests' leaves of it.  Once, before the first VM. */
void policy_init(void);

/* Execute CPUID for the guest: EAX, ECX in, EAX..EDX out (upper halves zero).  Owner, loaded. */
void policy_cpuid(struct vcpu *vcpu);
/* EDX after power-up: the processor's signature (leaf 1 EAX). */
uint32_t policy_signature(void);
/* Bits of a guest-physical address. */
uint32_t policy_physical_bits(void);
/* CR4 bits that a guest may set. */
uint64_t policy_cr4_mask(void);
/* EFER bits that a guest may set, LMA included. */
uint64_t policy_efer_mask(void);

/* RDMSR and WRMSR of every MSR that the permission map intercepts.  PH_OK or PH_GUEST_GP.  Owner. */
int policy_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int policy_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

#endif
