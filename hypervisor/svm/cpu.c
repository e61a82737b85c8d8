/* SPDX-License-Identifier: MIT */
/* SVM on each pCPU: capability check, enabling, and the per-pCPU data. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/tcg.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/svm/svm.h"
#include "x86/cpuid.h"

#define LEAF_SVM          0x8000000au
#define SVM_REVISION_MASK 0xffu

bool svm_is_present(void)
{
	return cpuid(0x80000000u, 0).eax >= LEAF_SVM &&
	    (cpuid(0x80000001u, 0).ecx & CPUID_E1_C_SVM);
}

/* What this pCPU offers; the first decides, the others must agree. */
static struct host_features cpu_features(void)
{
	struct cpuid_result svm = cpuid(LEAF_SVM, 0);
	struct host_features f = {
	    .asid_count = svm.ebx,
	    .has_next_rip = svm.edx & CPUID_SVM_D_NRIPS,
	    .has_decode_assists = svm.edx & CPUID_SVM_D_DECODE_ASSISTS,
	    .has_flush_by_asid = svm.edx & CPUID_SVM_D_FLUSH_BY_ASID,
	    .has_pause_filter = svm.edx & CPUID_SVM_D_PAUSE_FILTER,
	    .is_tcg = tcg_is_host(),
	    .has_vgif = svm.edx & CPUID_SVM_D_VGIF,
	    .has_xsave = host_features.has_xsave,
	    .xcr0 = host_features.xcr0,
	};

	if (!(svm.edx & CPUID_SVM_D_NPT))
		panic("not supported: this processor's SVM has no nested paging");
	if (svm.ebx < 2)
		panic("not supported: this processor's SVM has %u ASIDs", svm.ebx);
	return f;
}

static void cpu_check_features(void)
{
	struct host_features f;

	if (!host_features.asid_count)
		features_init_xsave();
	f = cpu_features();

	if (!host_features.asid_count)
		host_features = f;
	if (host_features.asid_count != f.asid_count ||
	    host_features.has_next_rip != f.has_next_rip ||
	    host_features.has_decode_assists != f.has_decode_assists ||
	    host_features.has_flush_by_asid != f.has_flush_by_asid ||
	    host_features.has_pause_filter != f.has_pause_filter)
		panic("not supported: pCPU %u has other SVM features than pCPU 0", cpu_index());
}

void svm_cpu_init(void)
{
	struct svm_cpu *cpu = page_alloc(0);
	void *save_area = page_alloc(0);
	void *host_vmcb = page_alloc(0);

	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		panic("not supported: SVM is disabled by the firmware");
	if (!cpu || !save_area || !host_vmcb)
		panic("no memory for SVM on pCPU %u", cpu_index());
	cpu_check_features();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, phys_of(save_area));
	cpu_enable_fpu();
	cpu->host_vmcb = host_vmcb;
	cpu->host_vmcb_phys = phys_of(host_vmcb);
	cpu->asid_generation = 1;
	cpu->asid_next = 1;
	this_cpu()->virt = cpu;
}
