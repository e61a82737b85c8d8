/* SPDX-License-Identifier: MIT */
/* Injected delivery on VMX: what enter.c chose -> VM-entry interruption information and windows. */
#include "core/backend.h"
#include "core/lapic.h"
#include "core/vmx_field.h"

#define RFLAGS_IF (1ull << 9)
#define CR0_PE    (1ull << 0)

void vmx_write_pin_based(struct ph_vcpu *vcpu, uint32_t value)
{
	if (vcpu->vmx.pin_based == value)
		return;
	vcpu->vmx.pin_based = value;
	vmx_write(vcpu, VMCS_PIN_BASED, value);
}

static void vmx_write_primary(struct ph_vcpu *vcpu, uint32_t value)
{
	if (vcpu->vmx.primary == value)
		return;
	vcpu->vmx.primary = value;
	vmx_write(vcpu, VMCS_PRIMARY, value);
}

/* At ph_vcpu_init() the embedder has written the fields; at INIT it writes them again. */
void vmx_reset(struct ph_vcpu *vcpu)
{
	(void)vcpu;
}

static void vmx_set_nmi_blocking(struct ph_vcpu *vcpu, bool blocked)
{
	uint64_t state = vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY);

	state = blocked ? state | INTERRUPTIBILITY_NMI : state & ~(uint64_t)INTERRUPTIBILITY_NMI;
	vmx_write(vcpu, VMCS_GUEST_INTERRUPTIBILITY, state);
}

/* SDM vol. 3, "Information for VM Exits That Occur During Event Delivery". */
static void vmx_collect_lost(struct ph_vcpu *vcpu, uint32_t info)
{
	struct event *lost = &vcpu->events.lost;
	uint8_t vector = (uint8_t)(info & INTR_INFO_VECTOR_MASK);

	switch (info & INTR_INFO_TYPE_MASK) {
	case INTR_INFO_EXTERNAL:
		*lost = (struct event){.kind = EVENT_INTR, .vector = vector};
		break;
	case INTR_INFO_NMI:
		*lost = (struct event){.kind = EVENT_NMI, .vector = vector};
		/* Its delivery blocked NMIs; entering with it again needs them open. */
		vmx_set_nmi_blocking(vcpu, false);
		break;
	case INTR_INFO_EXCEPTION:
		*lost = (struct event){
		    .kind = EVENT_EXCEPTION,
		    .vector = vector,
		    .has_error = info & INTR_INFO_ERROR_VALID,
		};
		if (lost->has_error)
			lost->error = (uint32_t)vmx_read(vcpu, VMCS_IDT_VECTORING_ERROR);
		break;
	default:
		/* INT n, INT3, INTO, INT1: RIP still points at them, they run again. */
		break;
	}
}

void vmx_collect_event(struct ph_vcpu *vcpu)
{
	uint32_t info = (uint32_t)vmx_read(vcpu, VMCS_IDT_VECTORING_INFO);

	if (__builtin_expect(info & INTR_INFO_VALID, 0))
		vmx_collect_lost(vcpu, info);
}

void vmx_collect(struct ph_vcpu *vcpu)
{
	vmx_collect_event(vcpu);
	/* The TPR shadow is the page itself: the guest may have moved TPR under PPR. */
	if ((uint8_t)lapic_reg(vcpu, APIC_TPR) != vcpu->tpr_given)
		lapic_update_ppr(vcpu);
}

bool vmx_intr_allowed(const struct ph_vcpu *vcpu)
{
	return (vmx_read(vcpu, VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
	    !(vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY) &
		(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

bool vmx_nmi_masked(const struct ph_vcpu *vcpu)
{
	return vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;
}

bool vmx_nmi_allowed(const struct ph_vcpu *vcpu)
{
	/* STI's shadow too: whether it blocks NMIs is up to the processor. */
	return !(vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY) &
	    (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI));
}

void vmx_inject(struct ph_vcpu *vcpu, const struct event *event)
{
	uint32_t info = INTR_INFO_VALID | event->vector;

	switch (event->kind) {
	case EVENT_NMI:
		info |= INTR_INFO_NMI;
		/* The virtual NMI mask is the processor's (interruptibility bit 3). */
		vcpu->events.nmi_masked = false;
		break;
	case EVENT_EXCEPTION:
		info |= INTR_INFO_EXCEPTION;
		/* Real mode pushes no error code, and VM entry insists on it. */
		if (event->has_error && (vmx_read(vcpu, VMCS_GUEST_CR0) & CR0_PE)) {
			info |= INTR_INFO_ERROR_VALID;
			vmx_write(vcpu, VMCS_ENTRY_EXCEPTION_ERROR, event->error);
		}
		break;
	case EVENT_INTR:
	case EVENT_EXTINT:
	case EVENT_NONE:
		break;
	}
	vmx_write(vcpu, VMCS_ENTRY_INTR_INFO, info);
}

void vmx_set_windows(struct ph_vcpu *vcpu, bool intr, bool nmi)
{
	uint32_t others = vcpu->vmx.primary & ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);

	/* Products: no branches. */
	vmx_write_primary(vcpu, others | intr * PRIMARY_INTERRUPT_WINDOW | nmi * PRIMARY_NMI_WINDOW);
}

void vmx_set_tpr(struct ph_vcpu *vcpu, uint8_t tpr, uint8_t threshold)
{
	/* The guest reads and writes TPR in the page. */
	(void)tpr;
	if (vcpu->vmx.tpr_threshold == threshold)
		return;
	vcpu->vmx.tpr_threshold = threshold;
	vmx_write(vcpu, VMCS_TPR_THRESHOLD, threshold);
}

void vmx_nmi_unblocked(struct ph_vcpu *vcpu)
{
	vmx_set_nmi_blocking(vcpu, false);
}

void vmx_nmi_blocked_again(struct ph_vcpu *vcpu)
{
	vmx_set_nmi_blocking(vcpu, true);
}

void vmx_nmi_export(struct ph_vcpu *vcpu, struct nmi_state *state)
{
	uint64_t blocking = vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY);

	*state = (struct nmi_state){.is_masked = (blocking & INTERRUPTIBILITY_NMI) != 0};
}

/* An IRET that SVM has seen begins anew here, and unblocks by itself. */
void vmx_nmi_import(struct ph_vcpu *vcpu, const struct nmi_state *state)
{
	vmx_set_nmi_blocking(vcpu, state->is_masked);
}

/* NMI-window exiting needs no single step. */
bool vmx_exception_exit(struct ph_vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	(void)vector;
	return false;
}

void vmx_end_shadow(struct ph_vcpu *vcpu)
{
	uint64_t state = vmx_read(vcpu, VMCS_GUEST_INTERRUPTIBILITY);

	if (state & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
		vmx_write(vcpu, VMCS_GUEST_INTERRUPTIBILITY,
		    state & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

/* Injected: back from APICv, the processor must neither deliver nor post by itself. */
void vmx_sync(struct ph_vcpu *vcpu)
{
	(void)vcpu;
}

const struct backend backend_vmx = {
#define VMX_VERB(type, name, arguments) .name = vmx_##name,
    BACKEND_VERBS(VMX_VERB)
#undef VMX_VERB
};
