/* SPDX-License-Identifier: MIT */
/* SVM as far as interrupts go: injection, windows, physical interrupts, NMI and its IRET. */
#include "model/model.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define DR6_BS    (1ull << 14)

/* A guest's handler ends in one instruction that writes EOI and opens interrupts again. */
static void take_interrupt(struct vmcb *vmcb, struct model_guest *guest, uint8_t vector)
{
	/* EVENTINJ does not ask; a hypervisor must not inject what the guest's GIF holds back. */
	if ((vmcb->interrupt_control & (V_GIF_ENABLE | V_GIF)) == V_GIF_ENABLE)
		guest->is_broken = 1;
	model_guest_take(guest, vector);
	vmcb->rflags &= ~RFLAGS_IF;
}

/* APM vol. 2, "Event Injection": as if the event had happened in the guest, whatever IF says. */
void model_svm_vmrun(struct vmcb *vmcb, struct model_guest *guest)
{
	uint8_t vector = (uint8_t)(vmcb->event_inj & VMCB_EVENT_VECTOR_MASK);

	vmcb->exit_int_info = 0;
	if (!(vmcb->event_inj & VMCB_EVENT_VALID))
		return;
	switch (vmcb->event_inj & VMCB_EVENT_TYPE_MASK) {
	case VMCB_EVENT_TYPE_INTR:
		take_interrupt(vmcb, guest, vector);
		break;
	case VMCB_EVENT_TYPE_NMI:
		guest->nmi_taken++;
		guest->nmi_handler = 1;
		guest->nmi_blocked = 1;
		break;
	default:
		break;
	}
	vmcb->event_inj = 0;
}

enum model_exit model_svm_vmrun_faults(struct vmcb *vmcb)
{
	vmcb->exit_int_info = vmcb->event_inj;
	return EXIT_FAULT;
}

static bool window_is_open(const struct vmcb *vmcb)
{
	/* APM vol. 2, "Virtual Interrupts"; priority against V_TPR unless V_IGN_TPR. */
	uint64_t priority = (vmcb->interrupt_control & V_INTR_PRIO_MASK) >> V_INTR_PRIO_SHIFT;

	bool gif = (vmcb->interrupt_control & (V_GIF_ENABLE | V_GIF)) != V_GIF_ENABLE;

	return gif && (vmcb->interrupt_control & V_IRQ) && (vmcb->rflags & RFLAGS_IF) &&
	       !(vmcb->interrupt_state & VMCB_INTERRUPT_SHADOW) &&
	       ((vmcb->interrupt_control & V_IGN_TPR) ||
	           priority > (vmcb->interrupt_control & 0xf)) &&
	       (vmcb->intercept_3 & VMCB_VINTR);
}

bool model_svm_has_event(const struct vmcb *vmcb, const struct model_pcpu *pcpu)
{
	return pcpu->irr || window_is_open(vmcb);
}

/* IRET of the NMI handler (APM vol. 2, "IRET Intercept": before the instruction). */
static enum model_exit nmi_iret(struct vmcb *vmcb, struct model_guest *guest)
{
	if (vmcb->intercept_3 & VMCB_IRET)
		return EXIT_IRET;
	guest->nmi_handler = 0;
	guest->nmi_blocked = 0;
	vmcb->rip += 16;
	return EXIT_NONE;
}

static enum model_exit instruction(struct vmcb *vmcb, struct model_guest *guest, uint8_t what)
{
	switch ((enum model_instruction)what) {
	case GUEST_SPIN:
		return EXIT_NONE;
	case GUEST_HALT:
		return EXIT_HALT;
	case GUEST_EXIT:
		guest->pc++;
		return EXIT_HANDLED;
	case GUEST_FAST:
		guest->pc++;
		return EXIT_FAST;
	case GUEST_WORK:
		guest->pc++;
		return EXIT_NONE;
	case GUEST_CLI:
		guest->pc++;
		vmcb->rflags &= ~RFLAGS_IF;
		return EXIT_NONE;
	case GUEST_STI:
		guest->pc++;
		vmcb->rflags |= RFLAGS_IF;
		return EXIT_NONE;
	case GUEST_HALT_INSIDE: /* SVM guests of this model have HLT intercepted, and never touch
	                           TPR */
	case GUEST_TPR_HIGH:
	case GUEST_TPR_LOW:
		return EXIT_HALT;
	case GUEST_CLGI:
		guest->pc++;
		vmcb->interrupt_control &= ~V_GIF;
		return EXIT_NONE;
	case GUEST_STGI:
		guest->pc++;
		vmcb->interrupt_control |= V_GIF;
		return EXIT_NONE;
	case GUEST_SHADOW:
		guest->pc++;
		vmcb->interrupt_state |= VMCB_INTERRUPT_SHADOW;
		return EXIT_NONE;
	}
	return EXIT_NONE;
}

/* RFLAGS.TF was set when the instruction began: #DB behind it (APM vol. 2, "Single Stepping"). */
static enum model_exit single_step(struct vmcb *vmcb, struct model_guest *guest)
{
	vmcb->dr6 |= DR6_BS;
	if (vmcb->intercept_exceptions & (1u << 1))
		return EXIT_TRAP;
	guest->stray_traps++;
	return EXIT_NONE;
}

enum model_exit model_svm_step(struct vmcb *vmcb, struct model_guest *guest, const uint8_t *program,
    const struct model_pcpu *pcpu)
{
	bool is_stepped = vmcb->rflags & RFLAGS_TF;
	bool was_shadowed = vmcb->interrupt_state & VMCB_INTERRUPT_SHADOW;
	enum model_exit exit;

	if (pcpu->irr)
		return EXIT_HOST_INTERRUPT;
	if (window_is_open(vmcb))
		return EXIT_WINDOW;
	if (guest->nmi_handler) {
		exit = nmi_iret(vmcb, guest);
	} else if (guest->handler) {
		vmcb->rflags |= RFLAGS_IF;
		return model_guest_handler_step(guest) ? EXIT_EOI_WRITE : EXIT_NONE;
	} else {
		uint8_t pc = guest->pc;

		exit = instruction(vmcb, guest, program[pc]);
		vmcb->rip += guest->pc - pc;
	}
	if (was_shadowed)
		vmcb->interrupt_state &= ~VMCB_INTERRUPT_SHADOW;
	if (exit == EXIT_NONE && is_stepped)
		exit = single_step(vmcb, guest);
	return exit;
}
