/* SPDX-License-Identifier: MIT */
/* A vCPU's VMCB: intercepts and permission maps. */
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/svm/svm.h"

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
	if (host_features.has_pause_filter) {
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

/* ---- The vCPU ------------------------------------------------------------------------------- */

int svm_vcpu_create(struct vcpu *vcpu, uint64_t npt_root, uint64_t tsc_offset)
{
	struct vmcb *vmcb;

	if (arch_vcpu_create(vcpu, tsc_offset))
		return -1;
	vmcb = vcpu_vmcb(vcpu);
	vcpu->arch->vmcb_phys = phys_of(vmcb);
	setup_intercepts(vmcb);
	vmcb->iopm_base_pa = permission_iopm_phys;
	vmcb->msrpm_base_pa = permission_msrpm_phys;
	vmcb->tsc_offset = tsc_offset;
	vmcb->interrupt_control = V_INTR_MASKING;
	vmcb->nested_control = VMCB_NP_ENABLE;
	vmcb->n_cr3 = npt_root;
	arch_vcpu_reset(vcpu, false);
	return 0;
}
