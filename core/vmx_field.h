/* SPDX-License-Identifier: MIT */
/* Access to the fields of the current VMCS: an instruction on bare metal, the platform's verb elsewhere. */
#ifndef CORE_VMX_FIELD_H
#define CORE_VMX_FIELD_H

#include "core/vcpu.h"
#include "x86/vmcs.h"

/*
 * PH_VMCS_DIRECT is defined where the library runs in VMX root operation itself (the freestanding
 * profile): the vCPU's VMCS is current whenever the core accesses it, so that both ways do the same.
 */
#ifdef PH_VMCS_DIRECT

static inline uint64_t vmx_read(const struct ph_vcpu *vcpu, enum vmcs_field field)
{
	uint64_t value;

	(void)vcpu;
	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmx_write(const struct ph_vcpu *vcpu, enum vmcs_field field, uint64_t value)
{
	(void)vcpu;
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "r"(value) : "cc");
}

#else

static inline uint64_t vmx_read(const struct ph_vcpu *vcpu, enum vmcs_field field)
{
	return vcpu->platform->vmcs_read(vcpu, vcpu->host, field);
}

static inline void vmx_write(const struct ph_vcpu *vcpu, enum vmcs_field field, uint64_t value)
{
	vcpu->platform->vmcs_write(vcpu, vcpu->host, field, value);
}

#endif

#endif
