/* SPDX-License-Identifier: MIT */
/* What libposthorn asks of bare metal: interrupt flag, IPIs, sleep, time, and the guest entry. */
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/svm/svm.h"
#include "hypervisor/vm/trace.h"
#include "hypervisor/vm/vcpu.h"
#include "hypervisor/vm/vendor.h"
#include "hypervisor/vmx/vmx.h"

static void platform_enter(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	svm_enter(host);
}

static void platform_enter_traced(struct ph_vcpu *ph, void *host)
{
	svm_enter(host);
	trace_record(PH_TRACE_EXIT, ph, vcpu_vmcb(host)->exit_code);
}

static bool platform_fast_exit(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	return svm_fast_exit(host) && vcpu_after_fast_exit();
}

static void platform_notify(struct ph_vcpu *ph, void *host, uint32_t pcpu)
{
	(void)ph;
	(void)host;
	ipi_send(pcpu, VECTOR_NOTIFY);
}

/* VMX: a vector of its own, which hardware takes as a posted interrupt where that is on. */
static void platform_notify_posted(struct ph_vcpu *ph, void *host, uint32_t pcpu)
{
	(void)ph;
	(void)host;
	ipi_send(pcpu, VECTOR_POSTED);
}

static uint64_t platform_vmcs_read(const struct ph_vcpu *ph, void *host, uint32_t field)
{
	(void)ph;
	(void)host;
	return vmcs_read(field);
}

static void platform_vmcs_write(const struct ph_vcpu *ph, void *host, uint32_t field, uint64_t value)
{
	(void)ph;
	(void)host;
	vmcs_write(field, value);
}

static void platform_sleep(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	(void)host;
	thread_sleep();
}

static void platform_wake(struct ph_vcpu *ph, void *host)
{
	struct vcpu *vcpu = host;

	(void)ph;
	thread_wake(vcpu->thread);
}

static struct ph_vcpu *platform_running(void)
{
	const struct vcpu *vcpu = running_vcpu();

	return vcpu ? vcpu->ph : NULL;
}

static uint64_t platform_guest_tsc(struct ph_vcpu *ph, void *host)
{
	const struct vcpu *vcpu = host;

	(void)ph;
	return tsc_read() + vcpu->arch->tsc_offset;
}

/* The timer stays on the pCPU where it was armed; expiry reaches the vCPU from anywhere. */
static void platform_timer_arm(struct ph_vcpu *ph, void *host, uint64_t deadline)
{
	struct arch_vcpu *arch = ((struct vcpu *)host)->arch;
	uint64_t now = tsc_read(), guest_now = now + arch->tsc_offset;
	uint64_t at = now;

	(void)ph;
	/* One that the host's TSC never reaches stands at its end. */
	if (deadline > guest_now && __builtin_add_overflow(now, deadline - guest_now, &at))
		at = UINT64_MAX;
	timer_set(&arch->timer, at);
}

static void platform_timer_cancel(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	timer_cancel(&((struct vcpu *)host)->arch->timer);
}

static void platform_init(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	vendor->vcpu_reset(host, true);
}

static void platform_start(struct ph_vcpu *ph, void *host, uint8_t vector)
{
	(void)ph;
	vendor->vcpu_start(host, vector);
}

/* There is no system-management mode: an SMI is taken and nothing happens. */
static void platform_smi(struct ph_vcpu *ph, void *host)
{
	(void)ph;
	(void)host;
}

static void platform_bug(const char *file, int line, const char *what) __attribute__((noreturn));

static void platform_bug(const char *file, int line, const char *what)
{
	panic("%s:%d: PH_BUG_ON(%s)", file, line, what);
}

#define PLATFORM_VERBS \
	.irq_disable = irq_disable, .irq_enable = irq_enable, .irq_save = irq_save, \
	.irq_restore = irq_restore, .kick = platform_notify, .sleep = platform_sleep, \
	.wake = platform_wake, .running = platform_running, .guest_tsc = platform_guest_tsc, \
	.init = platform_init, .start = platform_start, .smi = platform_smi, .bug = platform_bug

#define SVM_VERBS \
	.notify = platform_notify, .timer_arm = platform_timer_arm, \
	.timer_cancel = platform_timer_cancel

static const struct ph_platform platform = {
    PLATFORM_VERBS,
    SVM_VERBS,
    .enter = platform_enter,
    .fast_exit = platform_fast_exit,
};

static const struct ph_platform traced_platform = {
    PLATFORM_VERBS,
    SVM_VERBS,
    .enter = platform_enter_traced,
    .fast_exit = platform_fast_exit,
    .trace = trace_record,
};

#define VMX_VERBS \
	.notify = platform_notify_posted, .vmcs_read = platform_vmcs_read, \
	.vmcs_write = platform_vmcs_write, .set_delivery = vmx_set_delivery, \
	.timer_arm = vmx_timer_arm, .timer_cancel = vmx_timer_cancel

static const struct ph_platform vmx_platform = {
    PLATFORM_VERBS,
    VMX_VERBS,
    .enter = vmx_enter,
    .fast_exit = vmx_fast_exit,
};

static const struct ph_platform vmx_traced_platform = {
    PLATFORM_VERBS,
    VMX_VERBS,
    .enter = vmx_enter_traced,
    .fast_exit = vmx_fast_exit,
    .trace = trace_record,
};

const struct ph_platform *platform_table(void)
{
	if (vendor->backend == PH_BACKEND_VMX)
		return trace_is_enabled() ? &vmx_traced_platform : &vmx_platform;
	return trace_is_enabled() ? &traced_platform : &platform;
}
