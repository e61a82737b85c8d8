/* SPDX-License-Identifier: MIT */
/* Guest entry on VMX: loading and leaving a VMCS, VM entry, the exits handled with IRQs off. */
#include "hypervisor/cpu/irq.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/hypercall.h"
#include "hypervisor/vm/policy.h"
#include "hypervisor/vm/trace.h"
#include "hypervisor/vm/vcpu.h"
#include "hypervisor/vmx/vmx.h"
#include "x86/apic.h"

/* ---- Before an entry ------------------------------------------------------------------------- */

/* SDM vol. 3, "INVVPID": descriptor; type 1 is one context. */
static void invvpid(uint16_t vpid)
{
	const struct {
		uint64_t vpid, linear;
	} descriptor = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(1ull) : "cc", "memory");
}

/* What has come up since the last entry; and before each one while there is a deadline. */
static __attribute__((noinline)) void entry_work(struct vcpu *vcpu)
{
	uint32_t work = vcpu->entry_work;

	vcpu->entry_work = work & VCPU_WORK_LAUNCH ? VCPU_WORK_LAUNCHED : 0;
	vcpu->vmx->is_launched = !(work & VCPU_WORK_LAUNCH);
	/* arch_flush_tlb(), also when it comes from another pCPU, whose flushes it has missed. */
	if ((work & VCPU_WORK_FLUSH) && vmx_features.has_vpid)
		invvpid(vcpu->vmx->vpid);
	if (work & VCPU_WORK_TIMER)
		vmx_timer_set(vcpu);
	/* The handlers' copy of DR7 is not kept up. */
	if (work & VCPU_WORK_DEBUG)
		vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
}

/* ---- Entry ----------------------------------------------------------------------------------- */

void vmx_enter(struct ph_vcpu *ph, void *host)
{
	struct vcpu *vcpu = host;
	struct vmx_vcpu *vmx;
	uint32_t reason;

	(void)ph;
	if (__builtin_expect(vcpu->entry_work != 0, 0))
		entry_work(vcpu);
	reason = vmx_run(vcpu->gprs, vcpu->vmx->is_launched);
	/* Read again: it would cost more to keep it. */
	vmx = vcpu->vmx;
	vmx->exit_reason = reason;
	/* A failed entry has a high bit, too. */
	vcpu->arch->exit_count[reason % VMX_REASON_LIMIT]++;
}

void vmx_enter_traced(struct ph_vcpu *ph, void *host)
{
	vmx_enter(ph, host);
	trace_record(PH_TRACE_EXIT, ph, ((struct vcpu *)host)->vmx->exit_reason);
}

/* ---- Exits handled with IRQs off ------------------------------------------------------------- */

/* Step over the instruction.  Odd cases (single step, shadow, 4 GB wrap) take the long way: false.
 */
static bool fast_skip(void)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t next = rip + vmcs_read(VMCS_EXIT_INSTRUCTION_LEN);

	if ((vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF) || vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) ||
	    (next ^ rip) >> 32)
		return false;
	vmcs_write(VMCS_GUEST_RIP, next);
	return true;
}

static __attribute__((noinline)) bool fast_wrmsr(struct vcpu *vcpu)
{
	uint32_t msr = (uint32_t)vcpu->gprs[GPR_RCX];
	uint64_t value = vcpu->gprs[GPR_RDX] << 32 | (uint32_t)vcpu->gprs[GPR_RAX];
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);

	if (((msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST) && msr != MSR_TSC_DEADLINE) ||
	    !fast_skip())
		return false;
	if (ph_apic_msr_write(vcpu->ph, msr, value) == PH_OK)
		return true;
	/* A fault: the instruction has not been executed after all. */
	vmcs_write(VMCS_GUEST_RIP, rip);
	return false;
}

/* HLT that an interrupt ends at once; in the shadow of STI, as a rule, which ends with it. */
static __attribute__((noinline)) bool fast_halt(struct vcpu *vcpu)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t next = rip + vmcs_read(VMCS_EXIT_INSTRUCTION_LEN);

	if ((rflags & (RFLAGS_IF | RFLAGS_TF)) != RFLAGS_IF || (next ^ rip) >> 32 ||
	    !ph_vcpu_has_deliverable(vcpu->ph))
		return false;
	vmcs_write(VMCS_GUEST_RIP, next);
	ph_vcpu_end_shadow(vcpu->ph);
	return true;
}

static bool fast_interrupt(void)
{
	irq_dispatch((uint32_t)vmcs_read(VMCS_EXIT_INTR_INFO) & INTR_INFO_VECTOR_MASK);
	return true;
}

#define EPT_STORE      (EPT_WRITE | EPT_LINEAR_VALID | EPT_FINAL)
#define EPT_STORE_MASK (EPT_STORE | EPT_FETCH | EPT_NMI_UNBLOCKED)
#define CS_ACCESS_LONG (1u << 13)

/*
 * The store of a register or immediate at an instruction that is remembered: what EOI and ICR writes of
 * a running system are.  It needs few of the guest's registers.  False: nothing was done.
 */
static inline __attribute__((always_inline)) bool fast_store(struct vcpu *vcpu, uint32_t offset)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), rflags;
	const struct code *code;

	if (!(vmcs_read(VMCS_GUEST_CS_ACCESS) & CS_ACCESS_LONG))
		return false;
	code = code_remembered_store(vcpu->arch, rip, vmcs_read(VMCS_GUEST_CR3));
	if (!code)
		return false;
	rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	if ((rflags & RFLAGS_TF) || vmcs_read(VMCS_GUEST_INTERRUPTIBILITY))
		return false;
	vmcs_write(VMCS_GUEST_RIP, rip + code->in.length);
	if (__builtin_expect(rflags & RFLAGS_RF, 1)) /* as for any fault */
		vmcs_write(VMCS_GUEST_RFLAGS, rflags & ~RFLAGS_RF);
	if (offset == APIC_EOI)
		ph_apic_eoi(vcpu->ph);
	else if (offset == APIC_ICR)
		ph_apic_icr_write(vcpu->ph, exit_store_value(vcpu, code));
	else
		ph_apic_mmio_write(vcpu->ph, offset, 4, exit_store_value(vcpu, code));
	return true;
}

static bool fast_apic_access(struct vcpu *vcpu)
{
	uint64_t write = (uint64_t)APIC_ACCESS_WRITE << APIC_ACCESS_TYPE_SHIFT;
	uint64_t offset = vmcs_read(VMCS_EXIT_QUALIFICATION) - write;

	/* A linear write: by the type it is neither an event's nor a page walk's. */
	if (offset <= APIC_ACCESS_OFFSET_MASK && fast_store(vcpu, (uint32_t)offset))
		return true;
	return vmx_fast_access(vcpu, VMX_EXIT_APIC_ACCESS);
}

/* Where the APIC-access page is not: at another address, or without the control. */
static __attribute__((noinline)) bool fast_ept(struct vcpu *vcpu)
{
	uint64_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);

	if ((gpa & ~(uint64_t)APIC_ACCESS_OFFSET_MASK) != ph_apic_base_address(vcpu->ph))
		return false;
	if ((vmcs_read(VMCS_EXIT_QUALIFICATION) & EPT_STORE_MASK) == EPT_STORE &&
	    !(vmcs_read(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID) &&
	    fast_store(vcpu, (uint32_t)gpa & APIC_ACCESS_OFFSET_MASK))
		return true;
	return vmx_fast_access(vcpu, VMX_EXIT_EPT_VIOLATION);
}

static inline bool handle_fast(struct vcpu *vcpu)
{
	switch (vcpu->vmx->exit_reason) {
	case VMX_EXIT_EXTERNAL_INTERRUPT:
		return fast_interrupt();
	case VMX_EXIT_PREEMPTION_TIMER:
		vmx_timer_exit(vcpu);
		return true;
	case VMX_EXIT_HLT:
		return fast_halt(vcpu);
	case VMX_EXIT_CPUID:
		if (!fast_skip())
			return false;
		policy_cpuid(vcpu);
		return true;
	case VMX_EXIT_WRMSR:
		return fast_wrmsr(vcpu);
	case VMX_EXIT_APIC_WRITE:
		vmx_exit_apic_write(vcpu);
		return true;
	case VMX_EXIT_VIRTUALIZED_EOI:
		vmx_exit_eoi(vcpu);
		return true;
	case VMX_EXIT_EPT_VIOLATION:
		return fast_ept(vcpu);
	case VMX_EXIT_VMCALL:
		return hypercall_is_unknown(vcpu) && fast_skip();
	case VMX_EXIT_INTERRUPT_WINDOW:
	case VMX_EXIT_NMI_WINDOW:
	case VMX_EXIT_TPR_BELOW_THRESHOLD:
		return true;
	default:
		return false;
	}
}

/* As svm_fast_exit(). */
bool vmx_fast_exit(struct ph_vcpu *ph, void *host)
{
	struct vcpu *vcpu = host;
	bool is_handled;

	(void)ph;
	/* Before the switch: it is the way of EOI and ICR. */
	if (vcpu->vmx->exit_reason == VMX_EXIT_APIC_ACCESS)
		is_handled = fast_apic_access(vcpu);
	else
		is_handled = handle_fast(vcpu);
	return is_handled && vcpu_after_fast_exit();
}

/* ---- State that entry and exit leave alone --------------------------------------------------- */

static void load_msrs(const struct vmcb *vmcb)
{
	wrmsr(MSR_STAR, vmcb->star);
	wrmsr(MSR_LSTAR, vmcb->lstar);
	wrmsr(MSR_CSTAR, vmcb->cstar);
	wrmsr(MSR_SFMASK, vmcb->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, vmcb->kernel_gs_base);
}

static void save_msrs(struct vmcb *vmcb)
{
	vmcb->star = rdmsr(MSR_STAR);
	vmcb->lstar = rdmsr(MSR_LSTAR);
	vmcb->cstar = rdmsr(MSR_CSTAR);
	vmcb->sfmask = rdmsr(MSR_SFMASK);
	vmcb->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

struct pseudo_descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* SDM vol. 3, figure "Format of TSS and LDT Descriptors in 64-bit Mode". */
static uint64_t tss_base(const uint64_t *descriptor)
{
	uint64_t low = descriptor[0];

	return (low >> 16 & 0xffffff) | (low >> 56 & 0xff) << 24 | descriptor[1] << 32;
}

static void load_host(void)
{
	struct pseudo_descriptor gdtr, idtr;
	uint16_t tr;

	__asm__ volatile("sgdt %0; sidt %1; str %2" : "=m"(gdtr), "=m"(idtr), "=r"(tr));
	vmcs_write(VMCS_HOST_GDTR_BASE, gdtr.base);
	vmcs_write(VMCS_HOST_IDTR_BASE, idtr.base);
	vmcs_write(VMCS_HOST_TR_BASE, tss_base((const uint64_t *)(gdtr.base + tr)));
	vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)this_cpu());
}

static void vmptrld(uint64_t phys)
{
	__asm__ volatile("vmptrld %0" : : "m"(phys) : "cc", "memory");
}

static void vmclear(uint64_t phys)
{
	__asm__ volatile("vmclear %0" : : "m"(phys) : "cc", "memory");
}

static inline uint64_t dr6_read(void)
{
	uint64_t value;

	__asm__ volatile("movq %%dr6, %0" : "=r"(value));
	return value;
}

void vmx_load_state(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->vmx;
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (vmx->is_new)
		vmclear(vmx->vmcs_phys);
	vmptrld(vmx->vmcs_phys);
	vcpu->entry_work |= VCPU_WORK_LAUNCH;
	if (vmx->is_new)
		vmx_setup_vmcs(vcpu);
	load_host();
	if (vcpu->arch->asid_pcpu != cpu_index())
		arch_flush_tlb(vcpu);
	vcpu->arch->asid_pcpu = cpu_index();
	vmx_timer_load(vcpu);
	state_load(vcpu->arch);
	load_msrs(vmcb);
	if (vmx->is_dirty) {
		vmx_registers_store_all(vcpu);
		return;
	}
	cr2_write(vmcb->cr2);
	__asm__ volatile("movq %0, %%dr6" : : "r"(vmcb->dr6));
}

/* Cleared each time, so that whichever pCPU comes next can load it. */
void vmx_save_state(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	vmx_timer_put(vcpu);
	state_save(vcpu->arch);
	save_msrs(vmcb);
	vmcb->cr2 = cr2_read();
	vmcb->dr6 = dr6_read();
	/* The dump of a VM that went wrong reads the registers when no VMCS is loaded. */
	if (vm_is_stopping(vcpu->vm) && !vcpu->vmx->is_dirty) {
		vmx_registers_load(vcpu);
		vmx_segments_load(vcpu);
	}
	vmclear(vcpu->vmx->vmcs_phys);
}
