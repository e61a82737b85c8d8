/* SPDX-License-Identifier: MIT */
/* Guest entry on SVM: ASIDs, VMRUN, the exits that are handled with IRQs off, FPU switching. */
#include "hypervisor/lib/string.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/svm/svm.h"
#include "hypervisor/vm/policy.h"

/* ---- ASIDs: numbered anew when they run out, with one flush of all (APM vol. 2, "TLB Control") */

static void run_new_asid(struct arch_vcpu *arch, struct svm_cpu *cpu, uint32_t pcpu)
{
	struct vmcb *vmcb = arch->vmcb;

	vmcb->tlb_control = VMCB_TLB_KEEP;
	if (cpu->asid_next >= host_features.asid_count) {
		cpu->asid_next = 1;
		cpu->asid_generation++;
		vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
	}
	vmcb->guest_asid = cpu->asid_next++;
	arch->asid_generation = cpu->asid_generation;
	arch->asid_pcpu = pcpu;
}

void arch_flush_tlb(struct vcpu *vcpu)
{
	vcpu->arch->asid_generation = 0;
	vcpu->entry_work |= VCPU_WORK_FLUSH;
	code_forget(vcpu->arch);
}

/* ---- Entry ---------------------------------------------------------------------------------- */

static void run_record_exit(struct arch_vcpu *arch)
{
	struct last_exit *last = &arch->last_exits[arch->exit_total++ % LAST_EXIT_COUNT];

	last->code = arch->vmcb->exit_code;
	last->rip = arch->vmcb->rip;
	arch->exit_count[svm_exit_slot(last->code)]++;
}

static void run_guest(struct vcpu *vcpu, const struct svm_cpu *cpu)
{
	svm_run(vcpu->gprs, vcpu->arch->vmcb_phys, cpu->host_vmcb_phys);
	vcpu_vmcb(vcpu)->tlb_control = VMCB_TLB_KEEP;
}

/*
 * QEMU may deliver an interrupt from EVENTINJ twice: it leaves the vector behind as a pending exception,
 * which comes up when something else makes its loop look before the next exit.  There the interrupt goes
 * in as a virtual one, which the processor takes before the first instruction: IF is set.
 */
static bool goes_virtual(const struct vmcb *vmcb)
{
	return host_features.is_tcg &&
	    (vmcb->event_inj & (VMCB_EVENT_VALID | VMCB_EVENT_TYPE_MASK)) ==
		(VMCB_EVENT_VALID | VMCB_EVENT_TYPE_INTR) &&
	    (vmcb->rflags & RFLAGS_IF) && !(vmcb->interrupt_state & VMCB_INTERRUPT_SHADOW);
}

/*
 * With V_IRQ set CR8 writes exit: QEMU 7.2 aborts as a whole when the guest writes CR8 then (it raises the
 * virtual interrupt without its lock).
 */
static __attribute__((noinline)) void run_guest_pending(struct vcpu *vcpu, const struct svm_cpu *cpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint32_t intercept_cr = vmcb->intercept_cr;

	vmcb->intercept_cr = intercept_cr | VMCB_CR_WRITE(8);
	run_guest(vcpu, cpu);
	vmcb->intercept_cr = intercept_cr;
}

/*
 * A window that is asked for waits for the next exit, which the nudge (tcg.h) brings in time.  A virtual
 * interrupt that is still there at the exit was not taken, or the exit cut its delivery short: say so as
 * EXITINTINFO would.  Which of the two it was is not to be had; with several emulator threads QEMU does
 * lose the virtual interrupt for a while.  QEMU has no VMCB clean bits to tell of the changes.
 */
static __attribute__((noinline)) void run_guest_event(struct vcpu *vcpu, const struct svm_cpu *cpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t vector = vmcb->event_inj & VMCB_EVENT_VECTOR_MASK;
	uint64_t window = vmcb->interrupt_control & V_IRQ;

	if (!goes_virtual(vmcb)) {
		run_guest_pending(vcpu, cpu);
		return;
	}
	vmcb->event_inj = 0;
	vmcb->interrupt_control = (vmcb->interrupt_control & ~(V_INTR_VECTOR_MASK | V_INTR_PRIO_MASK)) |
	    V_IRQ | V_IGN_TPR | vector << V_INTR_VECTOR_SHIFT | (vector >> 4) << V_INTR_PRIO_SHIFT;
	vmcb->intercept_3 &= ~VMCB_VINTR;
	run_guest_pending(vcpu, cpu);
	vmcb->intercept_3 |= VMCB_VINTR;
	if (vmcb->interrupt_control & V_IRQ)
		vmcb->exit_int_info = VMCB_EVENT_VALID | VMCB_EVENT_TYPE_INTR | SVM_EVENT_UNTAKEN | vector;
	vmcb->interrupt_control = (vmcb->interrupt_control & ~V_IRQ) | window;
}

void svm_enter(struct vcpu *vcpu)
{
	struct arch_vcpu *arch = vcpu->arch;
	struct percpu *percpu = this_cpu();
	struct svm_cpu *cpu = percpu->virt;

	if (arch->asid_generation != cpu->asid_generation || arch->asid_pcpu != percpu->index)
		run_new_asid(arch, cpu, percpu->index);
	if (arch->vmcb->event_inj)
		run_guest_event(vcpu, cpu);
	else if (arch->vmcb->interrupt_control & V_IRQ)
		run_guest_pending(vcpu, cpu);
	else
		run_guest(vcpu, cpu);
	run_record_exit(arch);
}

/* ---- Exits handled with IRQs off ------------------------------------------------------------- */

static __attribute__((noinline)) bool fast_cpuid(struct vcpu *vcpu)
{
	uint64_t length = instruction_length(vcpu);

	if (!length)
		return false;
	policy_cpuid(vcpu);
	exit_skip(vcpu, length);
	return true;
}

/* WRMSR of an x2APIC register or the TSC deadline. */
static __attribute__((noinline)) bool fast_msr(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint32_t msr = (uint32_t)vcpu->gprs[GPR_RCX];
	uint64_t length;

	if ((msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST) && msr != MSR_TSC_DEADLINE)
		return false;
	if (!(vmcb->exit_info_1 & 1))
		return false;
	length = instruction_length(vcpu);
	if (!length)
		return false;
	if (ph_apic_msr_write(vcpu->ph, msr, vcpu->gprs[GPR_RDX] << 32 | (uint32_t)*vcpu->rax) == PH_OK)
		exit_skip(vcpu, length);
	else
		exit_inject_error(vcpu, VECTOR_GP, 0);
	return true;
}

static __attribute__((noinline)) bool fast_cr(struct vcpu *vcpu)
{
	exit_cr(vcpu);
	return true;
}

/*
 * Each handler is a tail call: the way to it saves no registers.  What they touch is the vCPU's
 * registers, its local APIC and other vCPUs' inboxes; the core looks afterwards whether an interrupt
 * became deliverable.
 */
bool svm_fast_exit(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	/* The most frequent first. */
	if (vmcb->exit_code == VMEXIT_NPF)
		return exit_fast_apic(vcpu);
	switch (vmcb->exit_code) {
	case VMEXIT_MSR:
		return fast_msr(vcpu);
	case VMEXIT_VINTR:
		/* The window has opened: the core chooses again. */
		return true;
	case VMEXIT_CPUID:
		return fast_cpuid(vcpu);
	case VMEXIT_CR_WRITE(8):
		return fast_cr(vcpu);
	default:
		return false;
	}
}

/* ---- Around the time on a pCPU ---------------------------------------------------------------- */

/*
 * Without a pause filter, exit on each PAUSE while other threads wait for this pCPU: the guest may
 * be spinning for one of them.  Decided at each switch, which a slice's end brings about at the latest.
 */
static void watch_pause(struct arch_vcpu *arch)
{
	struct vmcb *vmcb = arch->vmcb;

	if (host_features.has_pause_filter)
		return;
	if (thread_others_wait())
		vmcb->intercept_3 |= VMCB_PAUSE;
	else
		vmcb->intercept_3 &= ~VMCB_PAUSE;
	vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

void svm_load_state(struct vcpu *vcpu)
{
	struct svm_cpu *cpu = this_cpu()->virt;

	watch_pause(vcpu->arch);
	/* The host's part of what VMLOAD replaces; constant but for what boot has changed since. */
	__asm__ volatile("vmsave %0" : : "a"(cpu->host_vmcb_phys) : "memory");
	state_load(vcpu->arch);
}

void svm_save_state(struct vcpu *vcpu)
{
	state_save(vcpu->arch);
}
