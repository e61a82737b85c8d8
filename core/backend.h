/* SPDX-License-Identifier: MIT */
/* The vendor verbs: how an event chosen by enter.c reaches the guest.  Owner only. */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include "core/vcpu.h"

/* X(type, name, (arguments)): one list for every backend's table. */
#define BACKEND_VERBS(X) \
	X(void, reset, (struct ph_vcpu * vcpu)) \
	/* After an exit, IRQs off: take back an event whose delivery the exit interrupted, and TPR. */ \
	X(void, collect, (struct ph_vcpu * vcpu)) \
	/* May a maskable interrupt (an NMI) be delivered at this instruction boundary? */ \
	X(bool, intr_allowed, (const struct ph_vcpu *vcpu)) \
	X(bool, nmi_allowed, (const struct ph_vcpu *vcpu)) \
	/* Is an NMI being handled, so that another is held back until IRET? */ \
	X(bool, nmi_masked, (const struct ph_vcpu *vcpu)) \
	/* Write the event for this entry; IRQs off, the entry can no longer be abandoned. */ \
	X(void, inject, (struct ph_vcpu * vcpu, const struct event *event)) \
	/* Ask for an exit when an interrupt or an NMI can be delivered, or no longer. */ \
	X(void, set_windows, (struct ph_vcpu * vcpu, bool intr, bool nmi)) \
	/* Give the guest its TPR; exit when it lowers TPR below `threshold` (a class; 0: never). */ \
	X(void, set_tpr, (struct ph_vcpu * vcpu, uint8_t tpr, uint8_t threshold)) \
	X(void, nmi_unblocked, (struct ph_vcpu * vcpu)) \
	/* An exception exit: true if it was the #DB of the backend's own single step. */ \
	X(bool, exception_exit, (struct ph_vcpu * vcpu, uint8_t vector)) \
	X(void, nmi_blocked_again, (struct ph_vcpu * vcpu)) \
	/* Outside the guest: NMI blocking out of and into the backend; export undoes a step's TF. */ \
	X(void, nmi_export, (struct ph_vcpu * vcpu, struct nmi_state *state)) \
	X(void, nmi_import, (struct ph_vcpu * vcpu, const struct nmi_state *state)) \
	X(void, end_shadow, (struct ph_vcpu * vcpu)) \
	/* Virtual-interrupt delivery, IRQs off before the entry: RVI, SVI, EOI-exit bitmap. */ \
	X(void, sync, (struct ph_vcpu * vcpu))

struct backend {
#define BACKEND_VERB(type, name, arguments) type(*name) arguments;
	BACKEND_VERBS(BACKEND_VERB)
#undef BACKEND_VERB
};

extern const struct backend backend_svm;
extern const struct backend backend_soft;
extern const struct backend backend_vmx;       /* injected */
extern const struct backend backend_vmx_apicv; /* virtual-interrupt delivery, posted or not */

/* vmx_event.c, for both VMX backends. */
#define BACKEND_VERB(type, name, arguments) type vmx_##name arguments;
BACKEND_VERBS(BACKEND_VERB)
#undef BACKEND_VERB
/* After an exit: the lost event alone, without TPR. */
void vmx_collect_event(struct ph_vcpu *vcpu);
void vmx_write_pin_based(struct ph_vcpu *vcpu, uint32_t value);

#endif
