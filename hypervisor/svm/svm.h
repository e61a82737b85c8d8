/* SPDX-License-Identifier: MIT */
/* SVM's side of a vCPU: VMRUN, its exit codes and what a pCPU needs for it. */
#ifndef HYPERVISOR_SVM_SVM_H
#define HYPERVISOR_SVM_SVM_H

#include "hypervisor/vm/arch.h"

/* ---- Exit reasons as the delivery table counts them ---------------------------------------- */

#define SVM_EXIT_DIRECT_COUNT 0xa8u /* codes below this count under their own number */
#define SVM_EXIT_NPF_SLOT     0xa8u
#define SVM_EXIT_INVALID_SLOT 0xa9u
#define SVM_EXIT_OTHER_SLOT   0xaau

static inline uint32_t svm_exit_slot(uint64_t code)
{
	if (code < SVM_EXIT_DIRECT_COUNT)
		return (uint32_t)code;
	if (code == VMEXIT_NPF)
		return SVM_EXIT_NPF_SLOT;
	/* QEMU writes the lower half only. */
	return (uint32_t)code == (uint32_t)VMEXIT_INVALID ? SVM_EXIT_INVALID_SLOT : SVM_EXIT_OTHER_SLOT;
}

/* Name of an exit code. */
const char *svm_code_name(uint64_t code);
/* Name of a slot for "exit_<name>": "cpuid", "npf" ...; NULL: none of its own. */
const char *svm_exit_name(uint32_t slot);

/* ---- Each pCPU ------------------------------------------------------------------------------ */

/* One per pCPU: percpu.virt. */
struct svm_cpu {
	void *host_vmcb; /* VMSAVE area of the host's own FS, GS, TR, LDTR and syscall MSRs */
	uint64_t host_vmcb_phys;
	uint64_t asid_generation; /* 1.. */
	uint32_t asid_next;
};

/* ---- cpu.c, setup.c ------------------------------------------------------------------ */

/* Make SVM's part of a vCPU (vcpu->arch), in its power-up state.  0, or -1: no memory. */
int svm_vcpu_create(struct vcpu *vcpu, uint64_t npt_root, uint64_t tsc_offset);
bool svm_is_present(void);
void svm_cpu_init(void);

/* Permission maps shared by all vCPUs; made once at boot.  0, or -1: no memory. */
int permission_maps_create(void);
extern uint64_t permission_iopm_phys, permission_msrpm_phys;

/* ---- run.c ---------------------------------------------------------------------------------- */

/* The platform's enter(): VMRUN once.  Owner, IRQs off. */
void svm_enter(struct vcpu *vcpu);
/* The platform's fast_exit(): CPUID, the local APIC's page and MSRs, windows. */
bool svm_fast_exit(struct vcpu *vcpu);
/* Around the thread's time on a pCPU, IRQs off. */
void svm_load_state(struct vcpu *vcpu);
void svm_save_state(struct vcpu *vcpu);
/* world.S: VMLOAD, VMRUN, VMSAVE; IRQs off (RFLAGS.IF = 0, GIF = 1) at call and return. */
void svm_run(uint64_t *gprs, uint64_t guest_vmcb, uint64_t host_vmcb);

/* Name the first check of VMRUN that the VMCB fails (APM vol. 2, "Canonicalization and Consistency
 * Checks"). */
const char *svm_invalid_reason(const struct vmcb *vmcb);
#endif
