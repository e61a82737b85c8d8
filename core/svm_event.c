/* SPDX-License-Identifier: MIT */
/* Injected delivery on SVM: what enter.c chose -> EVENTINJ, V_IRQ, V_TPR of the VMCB. */
#include "core/backend.h"
#include "core/lapic.h"
#include "x86/vmcb.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define DR6_BS    (1ull << 14)

static struct vmcb *svm_vmcb(const struct ph_vcpu *vcpu)
{
	return vcpu->vmcb;
}

/* ---- NMI blocking: SVM without V_NMI shows the end of an NMI handler only by intercepting IRET */

static void svm_step_begin(struct ph_vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	if (vcpu->nmi_steps)
		return;
	vcpu->nmi_steps = true;
	vcpu->nmi_step_kept_tf = vmcb->rflags & RFLAGS_TF;
	vcpu->nmi_step_kept_exceptions = vmcb->intercept_exceptions;
	vmcb->rflags |= RFLAGS_TF;
	/* Every exception: else its handler would find our TF in the flags it is given. */
	vmcb->intercept_exceptions = UINT32_MAX;
	vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

static void svm_step_end(struct ph_vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	if (!vcpu->nmi_steps)
		return;
	vcpu->nmi_steps = false;
	if (!vcpu->nmi_step_kept_tf)
		vmcb->rflags &= ~RFLAGS_TF;
	vmcb->intercept_exceptions = vcpu->nmi_step_kept_exceptions;
	vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

static void svm_intercept_3(struct ph_vcpu *vcpu, uint32_t bit, bool on)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	vmcb->intercept_3 = on ? vmcb->intercept_3 | bit : vmcb->intercept_3 & ~bit;
	vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

/* The IRET that was seen has completed: NMIs are open again. */
static void svm_iret_done(struct ph_vcpu *vcpu)
{
	vcpu->nmi_awaits_iret = false;
	vcpu->events.nmi_masked = false;
	svm_step_end(vcpu);
}

static void svm_nmi_unblocked(struct ph_vcpu *vcpu)
{
	/* The intercept comes before IRET: it is done once RIP has moved on. */
	vcpu->nmi_awaits_iret = true;
	vcpu->nmi_iret_rip = svm_vmcb(vcpu)->rip;
	svm_intercept_3(vcpu, VMCB_IRET, false);
}

static bool svm_exception_exit(struct ph_vcpu *vcpu, uint8_t vector)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	bool is_ours = vcpu->nmi_steps && !vcpu->nmi_step_kept_tf && vector == 1 &&
	    (vmcb->dr6 & DR6_BS);

	if (!vcpu->nmi_steps)
		return false;
	svm_step_end(vcpu);
	if (vector == 1) {
		if (vcpu->nmi_awaits_iret)
			svm_iret_done(vcpu);
	} else if (vcpu->nmi_awaits_iret) {
		/* IRET faulted: NMIs stay blocked until the next one. */
		vcpu->nmi_awaits_iret = false;
		svm_intercept_3(vcpu, VMCB_IRET, true);
	}
	if (is_ours)
		vmcb->dr6 &= ~DR6_BS;
	return is_ours;
}

/* ---- The verbs ----------------------------------------------------------------------------- */

static void svm_reset(struct ph_vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	svm_step_end(vcpu);
	vcpu->nmi_awaits_iret = false;
	vmcb->event_inj = 0;
	vmcb->exit_int_info = 0;
	vmcb->interrupt_control &= ~(V_IRQ | V_TPR_MASK);
	vmcb->intercept_cr &= ~VMCB_CR_WRITE(8);
	svm_intercept_3(vcpu, VMCB_IRET, false);
	/* Always: V_IRQ alone opens a window, and none is ever taken by the guest. */
	svm_intercept_3(vcpu, VMCB_VINTR, true);
	vmcb->clean &= ~VMCB_CLEAN_TPR;
}

/* EXITINTINFO: an event whose delivery the exit cut short (APM vol. 2, "EXITINTINFO Pseudo-Code"). */
static void svm_collect_lost(struct ph_vcpu *vcpu, uint64_t info)
{
	struct event *lost = &vcpu->events.lost;
	uint8_t vector = (uint8_t)(info & VMCB_EVENT_VECTOR_MASK);

	switch (info & VMCB_EVENT_TYPE_MASK) {
	case VMCB_EVENT_TYPE_INTR:
		*lost = (struct event){.kind = EVENT_INTR, .vector = vector};
		break;
	case VMCB_EVENT_TYPE_NMI:
		*lost = (struct event){.kind = EVENT_NMI, .vector = vector};
		break;
	case VMCB_EVENT_TYPE_EXCEPTION:
		/* #BP and #OF are instructions: RIP still points at them, they run again. */
		if (vector == 3 || vector == 4)
			break;
		*lost = (struct event){
		    .kind = EVENT_EXCEPTION,
		    .vector = vector,
		    .has_error = info & VMCB_EVENT_ERROR_VALID,
		    .error = (uint32_t)(info >> VMCB_EVENT_ERROR_SHIFT),
		};
		break;
	default:
		/* INT n runs again. */
		break;
	}
}

/* What few exits have: a lost event, a CR8 that the guest wrote, the end of an NMI handler. */
static __attribute__((noinline)) void svm_collect_rest(struct ph_vcpu *vcpu, uint32_t tpr_class)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	if (vmcb->exit_int_info & VMCB_EVENT_VALID)
		svm_collect_lost(vcpu, vmcb->exit_int_info);
	if (tpr_class != lapic_reg(vcpu, APIC_TPR) >> 4) {
		lapic_set_tpr(vcpu, (uint8_t)(tpr_class << 4));
		vcpu->tpr_given = (uint8_t)(tpr_class << 4);
	}
	if (vcpu->nmi_awaits_iret && vmcb->rip != vcpu->nmi_iret_rip && !vcpu->nmi_steps)
		svm_iret_done(vcpu);
}

static void svm_collect(struct ph_vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	uint32_t tpr_class = (uint32_t)vmcb->interrupt_control & 0xfu;

	vmcb->event_inj = 0;
	if (__builtin_expect((vmcb->exit_int_info & VMCB_EVENT_VALID) ||
		tpr_class != lapic_reg(vcpu, APIC_TPR) >> 4 || vcpu->nmi_awaits_iret, 0))
		svm_collect_rest(vcpu, tpr_class);
}

static bool svm_in_shadow(const struct ph_vcpu *vcpu)
{
	return svm_vmcb(vcpu)->interrupt_state & VMCB_INTERRUPT_SHADOW;
}

/* APM vol. 2, "Virtualizing the Global Interrupt Flag": with it enabled, V_GIF holds interrupts back. */
static bool svm_gif_is_set(const struct ph_vcpu *vcpu)
{
	return (svm_vmcb(vcpu)->interrupt_control & (V_GIF_ENABLE | V_GIF)) != V_GIF_ENABLE;
}

static bool svm_intr_allowed(const struct ph_vcpu *vcpu)
{
	return (svm_vmcb(vcpu)->rflags & RFLAGS_IF) && svm_gif_is_set(vcpu) && !svm_in_shadow(vcpu);
}

static bool svm_nmi_masked(const struct ph_vcpu *vcpu)
{
	return vcpu->events.nmi_masked;
}

static bool svm_nmi_allowed(const struct ph_vcpu *vcpu)
{
	return !vcpu->events.nmi_masked && !svm_in_shadow(vcpu);
}

static void svm_inject(struct ph_vcpu *vcpu, const struct event *event)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	uint64_t value = VMCB_EVENT_VALID | event->vector;

	switch (event->kind) {
	case EVENT_NMI:
		value |= VMCB_EVENT_TYPE_NMI;
		svm_intercept_3(vcpu, VMCB_IRET, true);
		break;
	case EVENT_EXCEPTION:
		value |= VMCB_EVENT_TYPE_EXCEPTION;
		if (event->has_error)
			value |= VMCB_EVENT_ERROR_VALID |
			    (uint64_t)event->error << VMCB_EVENT_ERROR_SHIFT;
		break;
	case EVENT_INTR:
	case EVENT_EXTINT:
	case EVENT_NONE:
		break;
	}
	vmcb->event_inj = value;
}

/*
 * An NMI waits.  In its predecessor's handler: for IRET, then for IRET's end by a single step.  In an
 * interrupt shadow: a single step as well; only PUSHF right behind MOV SS could see that TF.
 */
static void svm_open_nmi_window(struct ph_vcpu *vcpu)
{
	if (vcpu->nmi_awaits_iret || !vcpu->events.nmi_masked)
		svm_step_begin(vcpu);
	else
		svm_intercept_3(vcpu, VMCB_IRET, true);
}

static void svm_set_windows(struct ph_vcpu *vcpu, bool intr, bool nmi)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	/* A virtual interrupt that is never taken: VINTR exits first (APM vol. 2, "VINTR Intercept"). */
	if (intr)
		vmcb->interrupt_control |= V_IRQ | V_IGN_TPR;
	else
		vmcb->interrupt_control &= ~V_IRQ;
	vmcb->clean &= ~VMCB_CLEAN_TPR;
	if (nmi)
		svm_open_nmi_window(vcpu);
}

static void svm_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr, uint8_t threshold)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	uint32_t intercept = threshold ? VMCB_CR_WRITE(8) : 0;

	if (((uint32_t)vmcb->interrupt_control & 0xffu) != (uint32_t)tpr >> 4) {
		vmcb->interrupt_control =
		    (vmcb->interrupt_control & ~V_TPR_MASK) | (uint32_t)tpr >> 4;
		vmcb->clean &= ~VMCB_CLEAN_TPR;
	}
	if ((vmcb->intercept_cr & VMCB_CR_WRITE(8)) != intercept) {
		vmcb->intercept_cr ^= VMCB_CR_WRITE(8);
		vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
	}
}

static void svm_end_shadow(struct ph_vcpu *vcpu)
{
	svm_vmcb(vcpu)->interrupt_state &= ~VMCB_INTERRUPT_SHADOW;
}

static void svm_nmi_blocked_again(struct ph_vcpu *vcpu)
{
	vcpu->events.nmi_masked = true;
}

/* The next entry steps again if an NMI still waits. */
static void svm_nmi_export(struct ph_vcpu *vcpu, struct nmi_state *state)
{
	/* An IRET with NMIs open concerns nobody. */
	bool awaits_iret = vcpu->nmi_awaits_iret && vcpu->events.nmi_masked;

	svm_step_end(vcpu);
	*state = (struct nmi_state){
	    .is_masked = vcpu->events.nmi_masked,
	    .awaits_iret = awaits_iret,
	    .iret_rip = awaits_iret ? vcpu->nmi_iret_rip : 0,
	};
}

static void svm_nmi_import(struct ph_vcpu *vcpu, const struct nmi_state *state)
{
	vcpu->events.nmi_masked = state->is_masked;
	vcpu->nmi_awaits_iret = state->awaits_iret;
	vcpu->nmi_iret_rip = state->iret_rip;
	svm_intercept_3(vcpu, VMCB_IRET, state->is_masked && !state->awaits_iret);
}

/* No virtual-interrupt delivery: nothing to tell the processor. */
static void svm_sync(struct ph_vcpu *vcpu)
{
	(void)vcpu;
}

const struct backend backend_svm = {
#define SVM_VERB(type, name, arguments) .name = svm_##name,
    BACKEND_VERBS(SVM_VERB)
#undef SVM_VERB
};
