/* SPDX-License-Identifier: MIT */
/* The local APIC timer's deadline: VMX-preemption timer while the vCPU runs, else a host timer. */
#include "hypervisor/vmx/vmx.h"

static uint64_t host_deadline(const struct arch_vcpu *arch, uint64_t deadline)
{
	uint64_t now = tsc_read(), guest_now = now + arch->tsc_offset;
	uint64_t host;

	if (deadline <= guest_now)
		return now;
	/* One that the host's TSC never reaches: as good as none. */
	return __builtin_add_overflow(now, deadline - guest_now, &host) ? VMX_NO_DEADLINE : host;
}

void vmx_timer_arm(struct ph_vcpu *ph, void *host, uint64_t deadline)
{
	struct vcpu *vcpu = host;
	uint64_t at = host_deadline(vcpu->arch, deadline);

	(void)ph;
	if (vmx_features.has_timer) {
		vcpu->vmx->deadline = at;
		vcpu->entry_work |= VCPU_WORK_TIMER;
	}
	/* Not on a pCPU (saved state is being loaded): vmx_timer_load() will take it over. */
	if (!vmx_features.has_timer || running_vcpu() != vcpu)
		timer_set(&vcpu->arch->timer, at);
}

void vmx_timer_cancel(struct ph_vcpu *ph, void *host)
{
	struct vcpu *vcpu = host;

	(void)ph;
	vcpu->vmx->deadline = VMX_NO_DEADLINE;
	timer_cancel(&vcpu->arch->timer);
}

/*
 * Rounded up: an early exit would be one for nothing.  The value counts from each entry anew, so it is
 * written before each; without a deadline once, and its exit after all that time does nothing.
 */
void vmx_timer_set(struct vcpu *vcpu)
{
	uint64_t deadline = vcpu->vmx->deadline, now = tsc_read(), ticks = UINT32_MAX;

	if (deadline != VMX_NO_DEADLINE) {
		ticks = deadline > now ? ((deadline - now - 1) >> vmx_features.timer_shift) + 1 : 0;
		if (ticks > UINT32_MAX)
			ticks = UINT32_MAX;
		vcpu->entry_work |= VCPU_WORK_TIMER;
	}
	vmcs_write(VMCS_PREEMPTION_TIMER, ticks);
}

void vmx_timer_exit(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->vmx;

	if (vmx->deadline > tsc_read())
		return;
	vmx->deadline = VMX_NO_DEADLINE;
	ph_vcpu_timer_exit(vcpu->ph);
}

void vmx_timer_put(struct vcpu *vcpu)
{
	if (vcpu->vmx->deadline != VMX_NO_DEADLINE && !vm_is_stopping(vcpu->vm))
		timer_set(&vcpu->arch->timer, vcpu->vmx->deadline);
}

void vmx_timer_load(struct vcpu *vcpu)
{
	/* Not queued any more: it has expired and says so by a request. */
	if (vcpu->vmx->deadline != VMX_NO_DEADLINE && !timer_cancel(&vcpu->arch->timer))
		vcpu->vmx->deadline = VMX_NO_DEADLINE;
}
