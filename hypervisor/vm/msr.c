/* SPDX-License-Identifier: MIT */
/* The MSR policy: every MSR that a guest may read or write, in one table; all others are #GP. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/policy.h"
#include "x86/apic.h"

#define MTRR_CAP      0x508u /* 8 variable ranges, fixed ranges, write-combining */
#define MTRR_DEF_MASK 0xcffull
#define DE_CFG_LFENCE_SERIALIZES 0x2u
/*
 * Fast strings, thermal monitor, SpeedStep, MONITOR, CPUID limit, xTPR messages, XD disable: kept, and
 * without effect, for firmware and kernels that set them; the other bits stay as they were.
 */
#define MISC_ENABLE_MASK 0x400c50009ull
/* K8 HWCR: bits that guests set for errata, kept; the rest would change the machine. */
#define HWCR_MASK     0x01040148ull

/* How an access is answered. */
enum msr_kind {
	MSR_CONSTANT, /* reads `value`; writes are ignored */
	MSR_FIXED,    /* reads `value`; writes are #GP */
	MSR_HANDLED,  /* read_handled(), write_handled() */
};

struct msr_rule {
	uint32_t first, last;
	enum msr_kind kind;
	uint64_t value;
};

/*
 * Not here because VMLOAD and VMSAVE switch them and the permission map lets them through: STAR,
 * LSTAR, CSTAR, SFMASK, SYSENTER_*, FS/GS base, KERNEL_GS_BASE.  Not here because the core answers
 * them first: IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC.
 */
static const struct msr_rule rules[] = {
    {MSR_TSC, MSR_TSC, MSR_HANDLED, 0},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, MSR_HANDLED, 0},
    {MSR_EFER, MSR_EFER, MSR_HANDLED, 0},
    {MSR_TSC_AUX, MSR_TSC_AUX, MSR_HANDLED, 0},
    {MSR_PAT, MSR_PAT, MSR_HANDLED, 0},
    /* MTRRs: nested paging makes guest RAM write-back; kept for guests that check them. */
    {MSR_MTRR_CAP, MSR_MTRR_CAP, MSR_FIXED, MTRR_CAP},
    {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, MSR_HANDLED, 0},
    {MSR_MTRR_PHYS_BASE_0, MSR_MTRR_PHYS_BASE_0 + 2 * KEPT_MTRR_VARIABLE_COUNT - 1, MSR_HANDLED, 0},
    {MSR_MTRR_FIX_64K, MSR_MTRR_FIX_64K, MSR_HANDLED, 0},
    {MSR_MTRR_FIX_16K, MSR_MTRR_FIX_16K + 1, MSR_HANDLED, 0},
    {MSR_MTRR_FIX_4K, MSR_MTRR_FIX_4K + 7, MSR_HANDLED, 0},
    /* Machine check: there are no banks, so nothing is ever reported. */
    {MSR_P5_MC_ADDR, MSR_P5_MC_TYPE, MSR_CONSTANT, 0},
    {MSR_MCG_CAP, MSR_MCG_CAP, MSR_FIXED, 0},
    {MSR_MCG_STATUS, MSR_MCG_STATUS, MSR_HANDLED, 0},
    /* Last-branch records are off: reads 0; turning them on is ignored, single-step on branches
     * (BTF) is #GP. */
    {MSR_DEBUGCTL, MSR_DEBUGCTL, MSR_HANDLED, 0},
    {MSR_LBR_FROM, MSR_LBR_LAST, MSR_FIXED, 0},
    /* Intel's: what kernels read without asking. */
    {MSR_PLATFORM_ID, MSR_PLATFORM_ID, MSR_FIXED, 0},
    {MSR_MISC_ENABLE, MSR_MISC_ENABLE, MSR_HANDLED, 0},
    /* Microcode: revision 0, updates ignored. */
    {MSR_PATCH_LEVEL, MSR_PATCH_LEVEL, MSR_CONSTANT, 0},
    /* AMD's chip configuration, which kernels read and set for errata: nothing behind it. */
    {MSR_PERF_EVTSEL_0, MSR_PERF_CTR_3, MSR_CONSTANT, 0},
    {MSR_SYSCFG, MSR_SYSCFG, MSR_CONSTANT, 0},
    {MSR_HWCR, MSR_HWCR, MSR_HANDLED, 0},
    {MSR_TOP_MEM, MSR_TOP_MEM, MSR_CONSTANT, 0},
    {MSR_TOP_MEM2, MSR_TOP_MEM2, MSR_CONSTANT, 0},
    {MSR_NB_CFG, MSR_NB_CFG, MSR_CONSTANT, 0},
    {MSR_INT_PENDING, MSR_INT_PENDING, MSR_CONSTANT, 0},
    {MSR_TSEG_ADDR, MSR_TSEG_MASK, MSR_CONSTANT, 0},
    {MSR_LS_CFG, MSR_DE_CFG - 1, MSR_CONSTANT, 0},
    {MSR_DE_CFG, MSR_DE_CFG, MSR_CONSTANT, DE_CFG_LFENCE_SERIALIZES},
    {MSR_DE_CFG + 1, MSR_CU_CFG_LAST, MSR_CONSTANT, 0},
};

static const struct msr_rule *find_rule(uint32_t msr)
{
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (msr >= rules[i].first && msr <= rules[i].last)
			return &rules[i];
	return NULL;
}

/* ---- MTRR ------------------------------------------------------------------------------------ */

static uint64_t *kept_mtrr(struct kept_msrs *kept, uint32_t msr)
{
	if (msr == MSR_MTRR_DEF_TYPE)
		return &kept->mtrr_def_type;
	if (msr == MSR_MTRR_FIX_64K)
		return &kept->mtrr_fixed[0];
	if (msr - MSR_MTRR_FIX_16K < 2)
		return &kept->mtrr_fixed[1 + msr - MSR_MTRR_FIX_16K];
	if (msr - MSR_MTRR_FIX_4K < 8)
		return &kept->mtrr_fixed[3 + msr - MSR_MTRR_FIX_4K];
	if (msr - MSR_MTRR_PHYS_BASE_0 < 2 * KEPT_MTRR_VARIABLE_COUNT)
		return &kept->mtrr_variable[msr - MSR_MTRR_PHYS_BASE_0];
	return NULL;
}

/* UC, WC, WT, WP, WB; PAT has UC- (7) too (SDM vol. 3, "Memory Type Range Registers", "PAT"). */
static bool is_memory_type(uint64_t type, bool is_pat)
{
	return type < 8 && (1u << type & (is_pat ? 0xf3u : 0x73u));
}

static bool are_memory_types(uint64_t value, bool is_pat)
{
	uint32_t i;

	for (i = 0; i < 8; i++)
		if (!is_memory_type(value >> 8 * i & 0xff, is_pat))
			return false;
	return true;
}

static bool mtrr_is_valid(uint32_t msr, uint64_t value)
{
	if (msr == MSR_MTRR_DEF_TYPE)
		return !(value & ~MTRR_DEF_MASK) && is_memory_type(value & 0xff, false);
	if (msr >= MSR_MTRR_FIX_64K)
		return are_memory_types(value, false);
	if (msr & 1) /* mask: bit 11 is valid, 10:0 reserved */
		return !(value & 0x7ff);
	return !(value & 0xf00) && is_memory_type(value & 0xff, false);
}

/* ---- The handled ones ------------------------------------------------------------------------ */

static int read_handled(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct arch_vcpu *arch = vcpu->arch;
	uint64_t *mtrr = kept_mtrr(&arch->kept, msr);

	switch (msr) {
	case MSR_TSC:
		*value = tsc_read() + arch->tsc_offset;
		return PH_OK;
	case MSR_TSC_ADJUST:
		*value = arch->tsc_adjust;
		return PH_OK;
	case MSR_EFER:
		*value = arch->vmcb->efer & ~EFER_SVME;
		return PH_OK;
	case MSR_TSC_AUX:
		*value = arch->tsc_aux;
		return PH_OK;
	case MSR_PAT:
		*value = arch->vmcb->g_pat;
		return PH_OK;
	case MSR_MCG_STATUS:
		*value = arch->kept.mcg_status;
		return PH_OK;
	case MSR_HWCR:
		*value = arch->kept.hwcr;
		return PH_OK;
	case MSR_MISC_ENABLE:
		*value = arch->kept.misc_enable;
		return PH_OK;
	case MSR_DEBUGCTL:
		*value = 0;
		return PH_OK;
	default:
		if (!mtrr)
			return PH_GUEST_GP;
		*value = *mtrr;
		return PH_OK;
	}
}

/* SDM vol. 3, "Time-Stamp Counter Adjustment": each write of the one moves the other as far. */
static int move_tsc(struct vcpu *vcpu, uint64_t delta)
{
	struct arch_vcpu *arch = vcpu->arch;

	arch->tsc_adjust += delta;
	arch->tsc_offset += delta;
	arch->vmcb->tsc_offset = arch->tsc_offset;
	ph_vcpu_tsc_moved(vcpu->ph, delta);
	return PH_OK;
}

static int write_efer(struct vcpu *vcpu, uint64_t value)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);
	uint64_t old = vmcb->efer;

	if (value & ~policy_efer_mask())
		return PH_GUEST_GP;
	if (((value ^ old) & EFER_LME) && (vmcb->cr0 & CR0_PG))
		return PH_GUEST_GP;
	/* LMA follows LME and PG; what is written there is ignored. */
	vmcb->efer = (value & ~EFER_LMA) | (old & EFER_LMA) | EFER_SVME;
	arch_flush_tlb(vcpu);
	return PH_OK;
}

static int write_tsc_aux(struct vcpu *vcpu, uint64_t value)
{
	if (value >> 32)
		return PH_GUEST_GP;
	vcpu->arch->tsc_aux = value;
	wrmsr(MSR_TSC_AUX, value);
	return PH_OK;
}

static int write_mtrr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t *mtrr = kept_mtrr(&vcpu->arch->kept, msr);

	if (!mtrr || !mtrr_is_valid(msr, value))
		return PH_GUEST_GP;
	*mtrr = value;
	return PH_OK;
}

static int write_handled(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct arch_vcpu *arch = vcpu->arch;

	switch (msr) {
	case MSR_TSC:
		return move_tsc(vcpu, value - (tsc_read() + arch->tsc_offset));
	case MSR_TSC_ADJUST:
		return move_tsc(vcpu, value - arch->tsc_adjust);
	case MSR_EFER:
		return write_efer(vcpu, value);
	case MSR_TSC_AUX:
		return write_tsc_aux(vcpu, value);
	case MSR_PAT:
		if (!are_memory_types(value, true))
			return PH_GUEST_GP;
		arch->vmcb->g_pat = value;
		arch_flush_tlb(vcpu);
		return PH_OK;
	case MSR_MCG_STATUS:
		/* SDM vol. 3, "IA32_MCG_STATUS MSR": software may write 0 only. */
		if (value)
			return PH_GUEST_GP;
		arch->kept.mcg_status = 0;
		return PH_OK;
	case MSR_HWCR:
		if (value & ~HWCR_MASK)
			return PH_GUEST_GP;
		arch->kept.hwcr = value;
		return PH_OK;
	case MSR_MISC_ENABLE:
		arch->kept.misc_enable =
		    (arch->kept.misc_enable & ~MISC_ENABLE_MASK) | (value & MISC_ENABLE_MASK);
		return PH_OK;
	case MSR_DEBUGCTL:
		return value & ~1ull ? PH_GUEST_GP : PH_OK;
	default:
		return write_mtrr(vcpu, msr, value);
	}
}

/*
 * The core does not know the guest's address width, nor where its RAM is.  RAM is mapped for all
 * vCPUs alike, so an APIC page of one of them cannot be cut out of it.
 */
static int write_apic_base(struct vcpu *vcpu, uint64_t value)
{
	uint64_t page = value & ~0xfffull;

	if (page >> policy_physical_bits())
		return PH_GUEST_GP;
	if ((value & APIC_BASE_X2APIC) && vcpu->vm->config->hides_x2apic)
		return PH_GUEST_GP;
	if (guest_pointer(vcpu->vm, page, 1)) {
		exit_stop(vcpu, "not supported: APIC base %#llx lies in RAM",
		    (unsigned long long)page);
		return PH_OK;
	}
	return ph_apic_msr_write(vcpu->ph, MSR_APIC_BASE, value);
}

/* ---- The two doors --------------------------------------------------------------------------- */

int policy_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	int result = ph_apic_msr_read(vcpu->ph, msr, value);
	const struct msr_rule *rule;

	if (result != PH_ENOENT)
		return result;
	rule = find_rule(msr);
	if (!rule)
		return PH_GUEST_GP;
	if (rule->kind == MSR_HANDLED)
		return read_handled(vcpu, msr, value);
	*value = rule->value;
	return PH_OK;
}

int policy_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	const struct msr_rule *rule;
	int result;

	if (msr == MSR_APIC_BASE)
		return write_apic_base(vcpu, value);
	result = ph_apic_msr_write(vcpu->ph, msr, value);
	if (result != PH_ENOENT)
		return result;
	rule = find_rule(msr);
	if (!rule || rule->kind == MSR_FIXED)
		return PH_GUEST_GP;
	return rule->kind == MSR_HANDLED ? write_handled(vcpu, msr, value) : PH_OK;
}
