/* SPDX-License-Identifier: MIT */
/* The register states that a vCPU starts from, in memory; the vendor loads them. */
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/policy.h"
#include "hypervisor/vm/vendor.h"

#define SEG_CODE   (VMCB_SEG_P | VMCB_SEG_S | 0xbu) /* execute, read, accessed */
#define SEG_DATA   (VMCB_SEG_P | VMCB_SEG_S | 0x3u) /* read, write, accessed */
#define SEG_LDT    (VMCB_SEG_P | 0x2u)
#define SEG_TSS    (VMCB_SEG_P | 0xbu)
#define FLAT_LIMIT 0xffffffffu
#define REAL_LIMIT 0xffffu

/* Power-up values (SDM vol. 3, "Processor State After Reset"). */
#define RESET_CR0  (CR0_CD | CR0_NW | CR0_ET)
#define RESET_RIP  0xfff0u
#define RESET_PAT  0x0007040600070406ull
/* Fast strings; no branch trace store, no precise event-based sampling. */
#define RESET_MISC_ENABLE 0x1801ull
#define MTRR_DEF_TYPE_WB_ENABLED 0xc06u /* what firmware leaves: all memory write-back */
#define FPU_FCW    0x037fu
#define FPU_MXCSR  0x1f80u

static void set_segment(struct vmcb_segment *segment, uint16_t selector, uint64_t base,
    uint32_t limit, uint32_t attributes)
{
	segment->selector = selector;
	segment->base = base;
	segment->limit = limit;
	segment->attributes = (uint16_t)attributes;
}

static void set_data_segments(struct vmcb *vmcb, uint16_t selector, uint32_t limit,
    uint32_t attributes)
{
	struct vmcb_segment *segments[] = {&vmcb->ds, &vmcb->es, &vmcb->ss, &vmcb->fs, &vmcb->gs};
	uint32_t i;

	for (i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		set_segment(segments[i], selector, 0, limit, attributes);
}

/* FPU as FNINIT and power-up leave it: nothing but control word and MXCSR is not zero. */
static void reset_fpu(struct arch_vcpu *arch)
{
	uint8_t *area = arch->fpu_area;

	memset(area, 0, PAGE_SIZE);
	area[0] = (uint8_t)FPU_FCW;
	area[1] = (uint8_t)(FPU_FCW >> 8);
	area[24] = (uint8_t)FPU_MXCSR;
	area[25] = (uint8_t)(FPU_MXCSR >> 8);
	arch->xcr0 = XCR0_X87;
	arch->fpu_pcpu = PCPU_MAX;
}

static void reset_system_registers(struct vmcb *vmcb, bool init)
{
	/* INIT leaves CD and NW as they are. */
	vmcb->cr0 = init ? (vmcb->cr0 & (CR0_CD | CR0_NW)) | CR0_ET : RESET_CR0;
	vmcb->cr2 = 0;
	vmcb->cr3 = 0;
	vmcb->cr4 = CR4_MCE;
	vmcb->efer = EFER_SVME;
	vmcb->dr6 = DR6_FIXED;
	vmcb->dr7 = DR7_FIXED;
	vmcb->rflags = RFLAGS_FIXED;
	vmcb->rip = RESET_RIP;
	vmcb->rsp = 0;
	vmcb->cpl = 0;
	vmcb->interrupt_state = 0;
}

static void reset_segments(struct vmcb *vmcb)
{
	set_segment(&vmcb->cs, 0xf000, 0xffff0000u, REAL_LIMIT, SEG_CODE);
	set_data_segments(vmcb, 0, REAL_LIMIT, SEG_DATA);
	set_segment(&vmcb->gdtr, 0, 0, REAL_LIMIT, 0);
	set_segment(&vmcb->idtr, 0, 0, REAL_LIMIT, 0);
	set_segment(&vmcb->ldtr, 0, 0, REAL_LIMIT, SEG_LDT);
	set_segment(&vmcb->tr, 0, 0, REAL_LIMIT, SEG_TSS);
}

static void reset_msrs(struct arch_vcpu *arch)
{
	struct vmcb *vmcb = arch->vmcb;

	vmcb->star = 0;
	vmcb->lstar = 0;
	vmcb->cstar = 0;
	vmcb->sfmask = 0;
	vmcb->kernel_gs_base = 0;
	vmcb->sysenter_cs = 0;
	vmcb->sysenter_esp = 0;
	vmcb->sysenter_eip = 0;
	vmcb->g_pat = RESET_PAT;
	vmcb->dbgctl = 0;
	arch->tsc_aux = 0;
	arch->tsc_adjust = 0;
	arch->kept = (struct kept_msrs){
	    .mtrr_def_type = MTRR_DEF_TYPE_WB_ENABLED,
	    .misc_enable = RESET_MISC_ENABLE,
	};
}

/* A vCPU that is loaded has its FPU and debug registers in the pCPU: go round through memory. */
void arch_vcpu_reset(struct vcpu *vcpu, bool init)
{
	struct arch_vcpu *arch = vcpu->arch;
	bool is_loaded = running_vcpu() == vcpu;

	if (is_loaded)
		vendor->save_state(vcpu);
	memset(vcpu->gprs, 0, sizeof(vcpu->gprs));
	reset_system_registers(arch->vmcb, init);
	reset_segments(arch->vmcb);
	memset(arch->dr, 0, sizeof(arch->dr));
	if (!init) {
		reset_msrs(arch);
		reset_fpu(arch);
	}
	arch->guest_cr4 = 0;
	*vcpu->rax = 0;
	vcpu->gprs[GPR_RDX] = policy_signature();
	arch_flush_tlb(vcpu);
	if (is_loaded)
		vendor->load_state(vcpu);
}

void arch_vcpu_start(struct vcpu *vcpu, uint8_t vector)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	set_segment(&vmcb->cs, (uint16_t)(vector << 8), (uint64_t)vector << 12, REAL_LIMIT, SEG_CODE);
	vmcb->rip = 0;
}

static void boot_long64(struct arch_vcpu *arch, const struct boot_state *state)
{
	struct vmcb *vmcb = arch->vmcb;

	vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vmcb->cr3 = state->cr3;
	arch->guest_cr4 = CR4_PAE;
	vmcb->cr4 = CR4_PAE | CR4_MCE;
	vmcb->efer = EFER_SVME | EFER_LME | EFER_LMA;
	set_segment(&vmcb->cs, state->code_selector, 0, FLAT_LIMIT, SEG_CODE | VMCB_SEG_L | VMCB_SEG_G);
}

static void boot_protected32(struct arch_vcpu *arch, const struct boot_state *state)
{
	struct vmcb *vmcb = arch->vmcb;

	vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE;
	set_segment(&vmcb->cs, state->code_selector, 0, FLAT_LIMIT, SEG_CODE | VMCB_SEG_DB | VMCB_SEG_G);
}

void arch_vcpu_boot(struct vcpu *vcpu, const struct boot_state *state)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (state->mode == BOOT_LONG64)
		boot_long64(vcpu->arch, state);
	else
		boot_protected32(vcpu->arch, state);
	set_data_segments(vmcb, state->data_selector, FLAT_LIMIT, SEG_DATA | VMCB_SEG_DB | VMCB_SEG_G);
	set_segment(&vmcb->gdtr, 0, state->gdt_base, state->gdt_limit, 0);
	vmcb->rip = state->rip;
	vmcb->rsp = state->rsp;
	*vcpu->rax = state->rax;
	vcpu->gprs[GPR_RBX] = state->rbx;
	vcpu->gprs[GPR_RDX] = 0;
	vcpu->gprs[GPR_RSI] = state->rsi;
	vcpu->gprs[GPR_RDI] = state->rdi;
}

int arch_vcpu_create(struct vcpu *vcpu, uint64_t tsc_offset)
{
	/* One page for the struct too: it lies in the direct map, and is zeroed. */
	struct arch_vcpu *arch = page_alloc(0);

	_Static_assert(sizeof(struct arch_vcpu) <= PAGE_SIZE, "struct arch_vcpu in one page");
	if (!arch)
		return -1;
	arch->vmcb = page_alloc(0);
	arch->fpu_area = page_alloc(0);
	arch->code = page_alloc(CODE_ORDER);
	if (!arch->vmcb || !arch->fpu_area || !arch->code)
		return -1;
	vcpu->arch = arch;
	if (!vcpu->rax)
		vcpu->rax = &arch->vmcb->rax;
	code_forget(arch);
	arch->tsc_offset = tsc_offset;
	return 0;
}
