/* SPDX-License-Identifier: MIT */
/* What differs between SVM and VMX: one table of verbs each, chosen when the first pCPU starts. */
#ifndef HYPERVISOR_VM_VENDOR_H
#define HYPERVISOR_VM_VENDOR_H

#include "hypervisor/vm/vm.h"

/*
 * X(type, name, (arguments)).  The guest's registers are kept in the form of the VMCB's state-save
 * area for both (arch_vcpu.vmcb): SVM's processor works on it, VMX copies from and to the VMCS
 * around its exit handlers.  So decoder, page walk, CPUID, MSR, CR and I/O handlers exist once.
 */
#define VENDOR_VERBS(X)                                                                            \
	/* Does this processor have it? */                                                         \
	X(bool, is_present, (void))                                                                \
	/* Enable it on the calling pCPU, IRQs off; panics where it lacks what Posthorn needs. */  \
	X(void, cpu_init, (void))                                                                  \
	/* What all VMs share (permission maps).  Once, boot thread.  0, or -1: no memory. */      \
	X(int, shared_create, (void))                                                              \
	/* Nested page tables of the VM's RAM.  Physical address of the root; 0: no memory. */     \
	X(uint64_t, tables_create, (struct vm * vm))                                               \
	/* The vendor's part of a vCPU, in its power-up state.  0, or -1: no memory. */            \
	X(int, vcpu_create, (struct vcpu * vcpu, uint64_t nested_root, uint64_t tsc_offset))       \
	/* Fill in what libposthorn must know of it. */                                            \
	X(void, vcpu_configure, (const struct vcpu *vcpu, struct ph_vcpu_config *config))          \
	/* Power-up or INIT state; the BSP's state as loaded; start-up IPI.  Owner or boot thread. \
	 */                                                                                        \
	X(void, vcpu_reset, (struct vcpu * vcpu, bool init))                                       \
	X(void, vcpu_boot, (struct vcpu * vcpu, const struct boot_state *state))                   \
	X(void, vcpu_start, (struct vcpu * vcpu, uint8_t vector))                                  \
	/* Around the thread's time on a pCPU, IRQs off. */                                        \
	X(void, load_state, (struct vcpu * vcpu))                                                  \
	X(void, save_state, (struct vcpu * vcpu))                                                  \
	/* Handle the exit that the platform's enter() returned with.  Owner, IRQs on. */          \
	X(void, handle_exit, (struct vcpu * vcpu))                                                 \
	/* "cpuid", "npf" ... of a slot of exit_count, of an exit code; NULL: none. */             \
	X(const char *, slot_name, (uint32_t slot))                                                \
	X(const char *, code_name, (uint64_t code))                                                \
	/* Print the vCPU's state.  Takes no lock. */                                              \
	X(void, dump, (const struct vcpu *vcpu))

struct vendor {
	enum ph_backend backend;
#define VENDOR_VERB(type, name, arguments) type(*name) arguments;
	VENDOR_VERBS(VENDOR_VERB)
#undef VENDOR_VERB
};

extern const struct vendor svm_vendor, vmx_vendor;
/* The host's; constant once the first pCPU has run virt_cpu_init(). */
extern const struct vendor *vendor;

/* The fastest delivery that the bundle's config allows; before the first VM.  Boot thread. */
void vendor_limit_delivery(enum ph_delivery delivery);
extern enum ph_delivery vendor_delivery_limit;

#endif
