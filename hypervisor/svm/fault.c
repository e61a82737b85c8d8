/* SPDX-License-Identifier: MIT */
/* What went wrong: VMRUN's checks by name. */
#include "hypervisor/svm/svm.h"

#define UPPER_HALF 0xffffffff00000000ull

/* Order and wording: APM vol. 2, "Canonicalization and Consistency Checks". */
const char *svm_invalid_reason(const struct vmcb *vmcb)
{
	bool is_paging = vmcb->cr0 & CR0_PG;
	bool is_long = (vmcb->efer & EFER_LME) && is_paging;

	if (!(vmcb->efer & EFER_SVME))
		return "EFER.SVME is zero";
	if ((vmcb->cr0 & CR0_NW) && !(vmcb->cr0 & CR0_CD))
		return "CR0.CD is zero and CR0.NW is set";
	if (vmcb->cr0 & UPPER_HALF)
		return "CR0[63:32] are not zero";
	if (vmcb->dr6 & UPPER_HALF)
		return "DR6[63:32] are not zero";
	if (vmcb->dr7 & UPPER_HALF)
		return "DR7[63:32] are not zero";
	if (is_long && !(vmcb->cr4 & CR4_PAE))
		return "EFER.LME and CR0.PG are set and CR4.PAE is zero";
	if (is_long && !(vmcb->cr0 & CR0_PE))
		return "EFER.LME and CR0.PG are set and CR0.PE is zero";
	if (is_long && (vmcb->cs.attributes & VMCB_SEG_L) && (vmcb->cs.attributes & VMCB_SEG_DB))
		return "EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set";
	if (!(vmcb->intercept_4 & VMCB_VMRUN))
		return "the VMRUN intercept is zero";
	if (!vmcb->guest_asid)
		return "ASID is zero";
	if (vmcb->cr4 & UPPER_HALF)
		return "CR4 reserved bits are set";
	return "CR3, CR4, EFER or EVENTINJ has reserved bits set";
}
