/* SPDX-License-Identifier: MIT */
/* A vCPU's VMCB: intercepts, permission maps, and the register states it starts from. */
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/svm/svm.h"
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
#define MTRR_DEF_TYPE_WB_ENABLED 0xc06u /* what firmware leaves: all memory write-back */
#define FPU_FCW    0x037fu
#define FPU_MXCSR  0x1f80u

/* ---- Intercepts ----------------------------------------------------------------------------- */

/*
 * CR3 belongs to the guest: under nested paging it reaches its own memory only.  CR0 writes are
 * checked because QEMU does not check them and enters states without end; CR4 writes are checked
 * against the CPUID policy and keep MCE set.  #DB and #AC are intercepted because their delivery can
 * raise them again without end, which would hold the pCPU.
 */
static void setup_intercepts(struct vmcb *vmcb)
{
	vmcb->intercept_cr = VMCB_CR_WRITE(0) | VMCB_CR_READ(4) | VMCB_CR_WRITE(4);
	vmcb->intercept_exceptions = 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC;
	vmcb->intercept_3 = VMCB_INTR | VMCB_NMI | VMCB_INIT | VMCB_RDPMC | VMCB_CPUID | VMCB_INVD |
	    VMCB_HLT | VMCB_INVLPGA | VMCB_IOIO | VMCB_MSR | VMCB_SHUTDOWN;
	vmcb->intercept_4 = VMCB_VMRUN | VMCB_VMMCALL | VMCB_VMLOAD | VMCB_VMSAVE | VMCB_STGI |
	    VMCB_CLGI | VMCB_SKINIT | VMCB_WBINVD | VMCB_MONITOR | VMCB_MWAIT | VMCB_XSETBV |
	    VMCB_RDPRU;
	vmcb->intercept_5 = VMCB_INVLPGB | VMCB_INVLPGB_ILLEGAL | VMCB_MCOMMIT | VMCB_TLBSYNC;
	if (svm_features.has_pause_filter) {
		vmcb->intercept_3 |= VMCB_PAUSE;
		vmcb->pause_filter_count = 3000;
	}
}

uint64_t permission_iopm_phys, permission_msrpm_phys;

/* Let the guest read and write an MSR that VMLOAD and VMSAVE switch. */
static void permission_allow(uint8_t *msrpm, uint32_t msr)
{
	uint32_t bit = msr >= MSRPM_RANGE_1 ? 0x800u * 8 + (msr - MSRPM_RANGE_1) * 2 : msr * 2;

	msrpm[bit / 8] &= (uint8_t)~(3u << bit % 8);
}

int permission_maps_create(void)
{
	static const uint32_t switched[] = {
	    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_CSTAR,
	    MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	};
	uint8_t *iopm = page_alloc(2);
	uint8_t *msrpm = page_alloc(1);
	uint32_t i;

	if (!iopm || !msrpm)
		return -1;
	memset(iopm, 0xff, IOPM_SIZE);
	memset(msrpm, 0xff, MSRPM_SIZE);
	for (i = 0; i < sizeof(switched) / sizeof(switched[0]); i++)
		permission_allow(msrpm, switched[i]);
	permission_iopm_phys = phys_of(iopm);
	permission_msrpm_phys = phys_of(msrpm);
	return 0;
}

/* ---- Register states ------------------------------------------------------------------------ */

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
static void reset_fpu(struct svm_vcpu *svm)
{
	uint8_t *area = svm->fpu_area;

	memset(area, 0, PAGE_SIZE);
	area[0] = (uint8_t)FPU_FCW;
	area[1] = (uint8_t)(FPU_FCW >> 8);
	area[24] = (uint8_t)FPU_MXCSR;
	area[25] = (uint8_t)(FPU_MXCSR >> 8);
	svm->xcr0 = XCR0_X87;
	svm->fpu_pcpu = PCPU_MAX;
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

static void reset_msrs(struct svm_vcpu *svm)
{
	struct vmcb *vmcb = svm->vmcb;

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
	svm->tsc_aux = 0;
	svm->kept = (struct svm_kept_msrs){.mtrr_def_type = MTRR_DEF_TYPE_WB_ENABLED};
}

/* A vCPU that is loaded has its FPU and debug registers in the pCPU: go round through memory. */
void svm_vcpu_reset(struct vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = vcpu->svm;
	bool is_loaded = running_vcpu() == vcpu;

	if (is_loaded)
		vendor->save_state(vcpu);
	memset(vcpu->gprs, 0, sizeof(vcpu->gprs));
	reset_system_registers(svm->vmcb, init);
	reset_segments(svm->vmcb);
	memset(svm->dr, 0, sizeof(svm->dr));
	if (!init) {
		reset_msrs(svm);
		reset_fpu(svm);
	}
	svm->guest_cr4 = 0;
	svm->vmcb->rax = 0;
	vcpu->gprs[GPR_RDX] = policy_signature();
	svm_flush_tlb(vcpu);
	if (is_loaded)
		vendor->load_state(vcpu);
}

void svm_vcpu_start(struct vcpu *vcpu, uint8_t vector)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	set_segment(&vmcb->cs, (uint16_t)(vector << 8), (uint64_t)vector << 12, REAL_LIMIT, SEG_CODE);
	vmcb->rip = 0;
}

static void boot_long64(struct svm_vcpu *svm, const struct boot_state *state)
{
	struct vmcb *vmcb = svm->vmcb;

	vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vmcb->cr3 = state->cr3;
	svm->guest_cr4 = CR4_PAE;
	vmcb->cr4 = CR4_PAE | CR4_MCE;
	vmcb->efer = EFER_SVME | EFER_LME | EFER_LMA;
	set_segment(&vmcb->cs, state->code_selector, 0, FLAT_LIMIT, SEG_CODE | VMCB_SEG_L | VMCB_SEG_G);
}

static void boot_protected32(struct svm_vcpu *svm, const struct boot_state *state)
{
	struct vmcb *vmcb = svm->vmcb;

	vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE;
	set_segment(&vmcb->cs, state->code_selector, 0, FLAT_LIMIT, SEG_CODE | VMCB_SEG_DB | VMCB_SEG_G);
}

void svm_vcpu_boot(struct vcpu *vcpu, const struct boot_state *state)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (state->mode == BOOT_LONG64)
		boot_long64(vcpu->svm, state);
	else
		boot_protected32(vcpu->svm, state);
	set_data_segments(vmcb, state->data_selector, FLAT_LIMIT, SEG_DATA | VMCB_SEG_DB | VMCB_SEG_G);
	set_segment(&vmcb->gdtr, 0, state->gdt_base, state->gdt_limit, 0);
	vmcb->rip = state->rip;
	vmcb->rsp = state->rsp;
	vmcb->rax = state->rax;
	vcpu->gprs[GPR_RBX] = state->rbx;
	vcpu->gprs[GPR_RDX] = 0;
	vcpu->gprs[GPR_RSI] = state->rsi;
	vcpu->gprs[GPR_RDI] = state->rdi;
}

int svm_vcpu_create(struct vcpu *vcpu, uint64_t npt_root, uint64_t tsc_offset)
{
	/* One page for the struct too: it lies in the direct map, and is zeroed. */
	struct svm_vcpu *svm = page_alloc(0);
	struct vmcb *vmcb = page_alloc(0);

	_Static_assert(sizeof(struct svm_vcpu) <= PAGE_SIZE, "struct svm_vcpu in one page");
	if (!svm || !vmcb)
		return -1;
	svm->fpu_area = page_alloc(0);
	svm->code = page_alloc(CODE_ORDER);
	if (!svm->fpu_area || !svm->code)
		return -1;
	vcpu->svm = svm;
	svm->vmcb = vmcb;
	svm->vmcb_phys = phys_of(vmcb);
	svm->tsc_offset = tsc_offset;
	setup_intercepts(vmcb);
	vmcb->iopm_base_pa = permission_iopm_phys;
	vmcb->msrpm_base_pa = permission_msrpm_phys;
	vmcb->tsc_offset = tsc_offset;
	vmcb->interrupt_control = V_INTR_MASKING;
	vmcb->nested_control = VMCB_NP_ENABLE;
	vmcb->n_cr3 = npt_root;
	svm_vcpu_reset(vcpu, false);
	return 0;
}
