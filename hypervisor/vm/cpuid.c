/* SPDX-License-Identifier: MIT */
/* The CPUID policy: what guests see of the host's processor, as one table with the reasons. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/policy.h"
#include "x86/apic.h"
#include "x86/cpuid.h"

#define BASIC_COUNT    0xeu
#define EXTENDED_COUNT 0x1fu
#define EXTENDED_BASE  0x80000000u
#define HYPERVISOR_LEAF 0x40000000u
#define KVM_LEAF        0x40000100u
#define KVM_LEAF_LAST   (KVM_LEAF + 1)
#define SUBLEAF_COUNT  4u

/* How a leaf's registers come to be. */
enum leaf_kind {
	LEAF_ZERO,    /* reads as zero: hidden or reserved */
	LEAF_MASK,    /* (host & mask) | set */
	LEAF_VCPU,    /* as LEAF_MASK, then mended for the vCPU at hand */
};

struct leaf_rule {
	uint32_t leaf;
	uint32_t subleaf; /* 0..SUBLEAF_COUNT-1; leaves without subleaves have only 0 */
	enum leaf_kind kind;
	struct cpuid_result mask;
	struct cpuid_result set;
};

#define ALL 0xffffffffu

/* Hidden: MONITOR (would hold the pCPU), PERFMON and debug stores (not switched), PCID is kept. */
#define LEAF1_C (CPUID_1_C_SSE3 | CPUID_1_C_PCLMUL | CPUID_1_C_SSSE3 | CPUID_1_C_FMA | \
	CPUID_1_C_CX16 | CPUID_1_C_PCID | CPUID_1_C_SSE41 | CPUID_1_C_SSE42 | CPUID_1_C_MOVBE | \
	CPUID_1_C_POPCNT | CPUID_1_C_AES | CPUID_1_C_XSAVE | CPUID_1_C_AVX | CPUID_1_C_F16C | \
	CPUID_1_C_RDRAND)
/* Emulated whatever the host has. */
#define LEAF1_C_SET (CPUID_1_C_X2APIC | CPUID_1_C_TSC_DEADLINE | CPUID_1_C_HYPERVISOR)
/* MCE and MCA are there with no banks; MTRRs are kept values. */
#define LEAF1_D (CPUID_1_D_FPU | CPUID_1_D_VME | CPUID_1_D_DE | CPUID_1_D_PSE | CPUID_1_D_TSC | \
	CPUID_1_D_MSR | CPUID_1_D_PAE | CPUID_1_D_CX8 | CPUID_1_D_SEP | CPUID_1_D_PGE | \
	CPUID_1_D_CMOV | CPUID_1_D_PAT | CPUID_1_D_PSE36 | CPUID_1_D_CLFSH | CPUID_1_D_MMX | \
	CPUID_1_D_FXSR | CPUID_1_D_SSE | CPUID_1_D_SSE2)
#define LEAF1_D_SET (CPUID_1_D_APIC | CPUID_1_D_MCE | CPUID_1_D_MCA | CPUID_1_D_MTRR)

/* Hidden: PKU, CET (state not switched), LA57, AVX-512 (not switched), everything unknown. */
#define LEAF7_B (CPUID_7_B_FSGSBASE | CPUID_7_B_BMI1 | CPUID_7_B_AVX2 | CPUID_7_B_SMEP | \
	CPUID_7_B_BMI2 | CPUID_7_B_ERMS | CPUID_7_B_INVPCID | CPUID_7_B_RDSEED | CPUID_7_B_ADX | \
	CPUID_7_B_SMAP | CPUID_7_B_CLFLUSHOPT | CPUID_7_B_CLWB | CPUID_7_B_SHA)
#define LEAF7_C (CPUID_7_C_UMIP | CPUID_7_C_GFNI | CPUID_7_C_VAES | CPUID_7_C_VPCLMUL | \
	CPUID_7_C_RDPID)

/* Hidden: SVM (no nesting yet), extended APIC space, IBS, SKINIT, OSVW, performance counters. */
#define LEAFE1_C (CPUID_E1_C_LAHF | CPUID_E1_C_ABM | CPUID_E1_C_SSE4A | CPUID_E1_C_MISALIGN | \
	CPUID_E1_C_PREFETCH | CPUID_E1_C_XOP | CPUID_E1_C_FMA4 | CPUID_E1_C_TBM | \
	CPUID_E1_C_TOPOEXT)
#define LEAFE1_D ((LEAF1_D & CPUID_E1_D_SHARED) | CPUID_E1_D_SYSCALL | CPUID_E1_D_NX | \
	CPUID_E1_D_MMXEXT | CPUID_E1_D_FFXSR | CPUID_E1_D_PAGE1GB | CPUID_E1_D_RDTSCP | \
	CPUID_E1_D_LM | CPUID_E1_D_3DNOWEXT | CPUID_E1_D_3DNOW)

/* The policy.  A leaf that is not here reads as zero. */
static const struct leaf_rule rules[] = {
    /* Vendor as the host's: guests choose their own workarounds by it.  Last leaf: 0Dh. */
    {0x0, 0, LEAF_MASK, {0, ALL, ALL, ALL}, {BASIC_COUNT - 1, 0, 0, 0}},
    {0x1, 0, LEAF_VCPU, {ALL, 0x0000ff00u, LEAF1_C, LEAF1_D}, {0, 0, LEAF1_C_SET, LEAF1_D_SET}},
    {0x2, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    /* Caches: sizes are the host's; sharing is per vCPU. */
    {0x4, 0, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x4, 1, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x4, 2, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x4, 3, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    /* The emulated APIC timer never stops; nothing else of power management. */
    {0x6, 0, LEAF_MASK, {0, 0, 0, 0}, {CPUID_6_A_ARAT, 0, 0, 0}},
    {0x7, 0, LEAF_MASK, {0, LEAF7_B, LEAF7_C, CPUID_7_D_FSRM}, {0, CPUID_7_B_TSC_ADJUST, 0, 0}},
    /* x2APIC topology: one thread a core, all cores in one package. */
    {0xb, 0, LEAF_VCPU, {0, 0, 0, 0}, {0, 0, 0, 0}},
    {0xb, 1, LEAF_VCPU, {0, 0, 0, 0}, {0, 0, 0, 0}},
    {0xb, 2, LEAF_VCPU, {0, 0, 0, 0}, {0, 0, 0, 0}},
    /* XSAVE: the components that are switched.  EBX follows XCR0.  No supervisor states. */
    {0xd, 0, LEAF_VCPU, {0, 0, 0, 0}, {0, 0, 0, 0}},
    {0xd, 1, LEAF_VCPU, {CPUID_D1_A_XSAVEOPT | CPUID_D1_A_XSAVEC | CPUID_D1_A_XGETBV1, 0, 0, 0},
     {0, 0, 0, 0}},
    {0xd, 2, LEAF_VCPU, {ALL, ALL, 0, 0}, {0, 0, 0, 0}},
    /* Extended: last leaf, vendor, features, name, caches. */
    {0x80000000u, 0, LEAF_MASK, {0, ALL, ALL, ALL}, {EXTENDED_BASE + EXTENDED_COUNT - 1, 0, 0, 0}},
    {0x80000001u, 0, LEAF_VCPU, {ALL, ALL, LEAFE1_C, LEAFE1_D}, {0, 0, 0, CPUID_1_D_APIC}},
    {0x80000002u, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000003u, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000004u, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000005u, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x80000006u, 0, LEAF_MASK, {ALL, ALL, ALL, ALL}, {0, 0, 0, 0}},
    /* The TSC runs at one rate whatever the vCPU does. */
    {0x80000007u, 0, LEAF_MASK, {0, 0, 0, 0}, {0, 0, 0, CPUID_E7_D_INVARIANT_TSC}},
    /* Address widths as the host's, but 48-bit linear: LA57 is hidden. */
    {0x80000008u, 0, LEAF_VCPU, {0xffu, CPUID_E8_B_CLZERO | CPUID_E8_B_XSAVEERPTR, 0, 0},
     {48u << 8, 0, 0, 0}},
    {0x8000001du, 0, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x8000001du, 1, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x8000001du, 2, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x8000001du, 3, LEAF_VCPU, {0x3fffu, ALL, ALL, ALL}, {0, 0, 0, 0}},
    {0x8000001eu, 0, LEAF_VCPU, {0, 0, 0, 0}, {0, 0, 0, 0}},
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

/* The leaves as computed from rules and host, by range and number: read-only after policy_init(). */
struct leaf {
	struct cpuid_result value[SUBLEAF_COUNT];
	bool has_subleaves;
	bool is_per_vcpu;
	bool is_odd; /* either: value[0] is not the answer in all cases */
} __attribute__((aligned(128))); /* a power of two: indexing is on the way of every CPUID exit */
static struct leaf basic[BASIC_COUNT], extended[EXTENDED_COUNT];

static const struct cpuid_result hypervisor_leaf = {
    HYPERVISOR_LEAF, 0x74736f50u /* "Post" */, 0x6e726f68u /* "horn" */, 0x74736f50u /* "Post" */,
};

/*
 * What Posthorn has of Linux KVM's guest interface (Linux, Documentation/virt/kvm/x86/cpuid.rst), at the second
 * place where guests look for it.  With it Linux takes x2APIC mode, whose exits are the cheapest, without an
 * interrupt remapper; writes no port for a delay; and sends an IPI to many by one exit (hypercall.c).
 */
#define KVM_FEATURE_NOP_IO_DELAY (1u << 1)
#define KVM_FEATURE_PV_SEND_IPI  (1u << 11)
static const struct cpuid_result kvm_leaves[] = {
    {KVM_LEAF_LAST, 0x4b4d564bu /* "KVMK" */, 0x564b4d56u /* "VMKV" */, 0x4du /* "M" */},
    {KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_PV_SEND_IPI, 0, 0, 0},
};

static struct leaf *leaf_of(uint32_t number)
{
	if (number < BASIC_COUNT)
		return &basic[number];
	if (number - EXTENDED_BASE < EXTENDED_COUNT)
		return &extended[number - EXTENDED_BASE];
	return NULL;
}

static uint32_t host_has_leaf(uint32_t leaf)
{
	return leaf <= cpuid(leaf & EXTENDED_BASE, 0).eax;
}

static struct cpuid_result apply(const struct leaf_rule *rule)
{
	struct cpuid_result r = {0, 0, 0, 0};

	if (host_has_leaf(rule->leaf))
		r = cpuid(rule->leaf, rule->subleaf);
	r.eax = (r.eax & rule->mask.eax) | rule->set.eax;
	r.ebx = (r.ebx & rule->mask.ebx) | rule->set.ebx;
	r.ecx = (r.ecx & rule->mask.ecx) | rule->set.ecx;
	r.edx = (r.edx & rule->mask.edx) | rule->set.edx;
	return r;
}

/* Is the host's processor QEMU's TCG?  Leaf 40000000h of its own says "TCGTCGTCGTCG". */
static bool host_is_tcg(void)
{
	struct cpuid_result r = cpuid(HYPERVISOR_LEAF, 0);

	return r.ebx == 0x54474354u && r.ecx == 0x43544743u && r.edx == 0x47435447u;
}

/* Features that stand or fall with others. */
static void settle_dependencies(void)
{
	struct cpuid_result *one = &basic[1].value[0];

	/* QEMU 7.2's CMPXCHG8B leaves garbage in EFLAGS; guests that see CX16 use its twin in malloc. */
	if (host_is_tcg())
		one->ecx &= ~CPUID_1_C_CX16;

	if (!host_features.has_xsave)
		one->ecx &= ~CPUID_1_C_XSAVE;
	if (!(host_features.xcr0 & XCR0_AVX)) {
		one->ecx &= ~(CPUID_1_C_AVX | CPUID_1_C_FMA | CPUID_1_C_F16C);
		basic[7].value[0].ebx &= ~CPUID_7_B_AVX2;
		basic[7].value[0].ecx &= ~(CPUID_7_C_VAES | CPUID_7_C_VPCLMUL);
		extended[1].value[0].ecx &= ~(CPUID_E1_C_XOP | CPUID_E1_C_FMA4);
		basic[0xd].value[2] = (struct cpuid_result){0, 0, 0, 0};
	}
	if (!host_has_leaf(0x8000001eu))
		extended[1].value[0].ecx &= ~CPUID_E1_C_TOPOEXT;
}

void policy_init(void)
{
	size_t i;

	for (i = 0; i < RULE_COUNT; i++) {
		struct leaf *leaf = leaf_of(rules[i].leaf);

		leaf->value[rules[i].subleaf] = apply(&rules[i]);
		leaf->has_subleaves = leaf->has_subleaves || rules[i].subleaf > 0;
		leaf->is_per_vcpu = leaf->is_per_vcpu || rules[i].kind == LEAF_VCPU;
	}
	/* The subleaves that are not there are zero. */
	basic[7].has_subleaves = true;
	for (i = 0; i < BASIC_COUNT; i++)
		basic[i].is_odd = basic[i].has_subleaves || basic[i].is_per_vcpu;
	for (i = 0; i < EXTENDED_COUNT; i++)
		extended[i].is_odd = extended[i].has_subleaves || extended[i].is_per_vcpu;
	settle_dependencies();
}

uint32_t policy_physical_bits(void)
{
	return extended[8].value[0].eax & 0xff;
}

uint32_t policy_signature(void)
{
	return basic[1].value[0].eax;
}

/* ---- Leaves that differ from vCPU to vCPU ---------------------------------------------------- */

/* Bits of an APIC ID that number `count` vCPUs. */
static uint32_t id_bits(uint32_t count)
{
	return count <= 1 ? 0 : 32u - (uint32_t)__builtin_clz(count - 1);
}

/* SDM vol. 3, "Enabling or Disabling the Local APIC": a disabled one is not shown. */
static void mend_apic(const struct vcpu *vcpu, struct cpuid_result *r)
{
	uint64_t base = 0;

	ph_apic_msr_read(vcpu->ph, MSR_APIC_BASE, &base);
	if (!(base & APIC_BASE_ENABLE))
		r->edx &= ~CPUID_1_D_APIC;
}

static void mend_features(const struct vcpu *vcpu, struct cpuid_result *r)
{
	uint32_t count = vcpu->vm->cpu_count;

	r->ebx = (r->ebx & 0xff00u) | vcpu->index << 24;
	if (count > 1) {
		r->edx |= CPUID_1_D_HTT;
		r->ebx |= 1u << id_bits(count) << 16;
	}
	if (vcpu->arch->guest_cr4 & CR4_OSXSAVE)
		r->ecx |= CPUID_1_C_OSXSAVE;
	if (vcpu->vm->config->hides_x2apic)
		r->ecx &= ~CPUID_1_C_X2APIC;
}

/* Level 3 is shared by the package, the others by nobody. */
static void mend_cache(const struct vcpu *vcpu, uint32_t leaf, struct cpuid_result *r)
{
	uint32_t count = vcpu->vm->cpu_count;
	uint32_t level = r->eax >> 5 & 7;

	if (!(r->eax & 0x1f))
		return;
	if (level == 3)
		r->eax |= ((1u << id_bits(count)) - 1) << 14;
	if (leaf == 4)
		r->eax |= ((1u << id_bits(count)) - 1) << 26;
}

/* SDM vol. 2, "Extended Topology Enumeration Leaf". */
static void mend_topology(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_result *r)
{
	uint32_t count = vcpu->vm->cpu_count;

	r->ecx = subleaf;
	r->edx = vcpu->index;
	if (subleaf == 0) {
		r->ebx = 1;
		r->ecx |= 1u << 8;
	} else if (subleaf == 1) {
		r->eax = id_bits(count);
		r->ebx = count;
		r->ecx |= 2u << 8;
	}
}

/* Sizes for an XCR0 come from the host, whose XCR0 is the guest's while it is loaded. */
static void mend_xsave(uint32_t subleaf, struct cpuid_result *r)
{
	if (!host_features.has_xsave) {
		*r = (struct cpuid_result){0, 0, 0, 0};
	} else if (subleaf == 0) {
		r->eax = (uint32_t)host_features.xcr0;
		r->ebx = cpuid(0xd, 0).ebx;
		r->ecx = 512 + 64;
		if (host_features.xcr0 & XCR0_AVX)
			r->ecx = basic[0xd].value[2].ebx + basic[0xd].value[2].eax;
	} else if (subleaf == 1 && (r->eax & CPUID_D1_A_XSAVEC)) {
		r->ebx = cpuid(0xd, 1).ebx;
	}
}

static void mend(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_result *r)
{
	uint32_t count = vcpu->vm->cpu_count;

	switch (leaf) {
	case 0x1:
		mend_features(vcpu, r);
		mend_apic(vcpu, r);
		break;
	case 0x4:
	case 0x8000001du:
		mend_cache(vcpu, leaf, r);
		break;
	case 0xb:
		mend_topology(vcpu, subleaf, r);
		break;
	case 0xd:
		mend_xsave(subleaf, r);
		break;
	case 0x80000001u:
		if (count > 1)
			r->ecx |= CPUID_E1_C_CMP_LEGACY;
		mend_apic(vcpu, r);
		break;
	case 0x80000008u:
		r->ecx = (count - 1) | id_bits(count) << 12;
		break;
	case 0x8000001eu:
		r->eax = vcpu->index;
		r->ebx = vcpu->index;
		break;
	default:
		break;
	}
}

static void set_result(struct vcpu *vcpu, const struct cpuid_result *r)
{
	*vcpu->rax = r->eax;
	vcpu->gprs[GPR_RBX] = r->ebx;
	vcpu->gprs[GPR_RCX] = r->ecx;
	vcpu->gprs[GPR_RDX] = r->edx;
}

static struct cpuid_result hypervisor_result(uint32_t number)
{
	if (number == HYPERVISOR_LEAF)
		return hypervisor_leaf;
	if (number - KVM_LEAF <= KVM_LEAF_LAST - KVM_LEAF)
		return kvm_leaves[number - KVM_LEAF];
	return (struct cpuid_result){0, 0, 0, 0};
}

/* Out of line: the common leaves need no frame. */
static __attribute__((noinline)) void other_cpuid(
    struct vcpu *vcpu, const struct leaf *leaf, uint32_t number)
{
	struct cpuid_result r = {0, 0, 0, 0};
	uint32_t subleaf;

	if (!leaf) {
		r = hypervisor_result(number);
		set_result(vcpu, &r);
		return;
	}
	subleaf = leaf->has_subleaves ? (uint32_t)vcpu->gprs[GPR_RCX] : 0;
	if (subleaf < SUBLEAF_COUNT)
		r = leaf->value[subleaf];
	if (leaf->is_per_vcpu)
		mend(vcpu, number, subleaf, &r);
	set_result(vcpu, &r);
}

void policy_cpuid(struct vcpu *vcpu)
{
	uint32_t number = (uint32_t)*vcpu->rax;
	const struct leaf *leaf = leaf_of(number);

	if (leaf && !leaf->is_odd)
		set_result(vcpu, &leaf->value[0]);
	else
		other_cpuid(vcpu, leaf, number);
}

/* ---- CR4 and EFER follow the features -------------------------------------------------------- */

struct bit_rule {
	uint64_t bit;
	uint32_t feature; /* 0: always allowed */
	const uint32_t *word;
};

static uint64_t allowed(const struct bit_rule *bits, size_t count)
{
	uint64_t mask = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (!bits[i].feature || (*bits[i].word & bits[i].feature))
			mask |= bits[i].bit;
	return mask;
}

uint64_t policy_cr4_mask(void)
{
	static const struct bit_rule bits[] = {
	    {CR4_VME | CR4_PVI, CPUID_1_D_VME, &basic[1].value[0].edx},
	    {CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE, 0, NULL},
	    {CR4_OSFXSR | CR4_OSXMMEXCPT, CPUID_1_D_FXSR, &basic[1].value[0].edx},
	    {CR4_UMIP, CPUID_7_C_UMIP, &basic[7].value[0].ecx},
	    {CR4_FSGSBASE, CPUID_7_B_FSGSBASE, &basic[7].value[0].ebx},
	    {CR4_PCIDE, CPUID_1_C_PCID, &basic[1].value[0].ecx},
	    {CR4_OSXSAVE, CPUID_1_C_XSAVE, &basic[1].value[0].ecx},
	    {CR4_SMEP, CPUID_7_B_SMEP, &basic[7].value[0].ebx},
	    {CR4_SMAP, CPUID_7_B_SMAP, &basic[7].value[0].ebx},
	};

	return allowed(bits, sizeof(bits) / sizeof(bits[0]));
}

uint64_t policy_efer_mask(void)
{
	static const struct bit_rule bits[] = {
	    {EFER_LME | EFER_LMA, CPUID_E1_D_LM, &extended[1].value[0].edx},
	    {EFER_SCE, CPUID_E1_D_SYSCALL, &extended[1].value[0].edx},
	    {EFER_NXE, CPUID_E1_D_NX, &extended[1].value[0].edx},
	    {EFER_FFXSR, CPUID_E1_D_FFXSR, &extended[1].value[0].edx},
	};

	return allowed(bits, sizeof(bits) / sizeof(bits[0]));
}
