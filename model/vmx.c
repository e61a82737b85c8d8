/* SPDX-License-Identifier: MIT */
/* VMX as far as interrupts go: injection, windows, virtual-interrupt delivery, posted interrupts.
 */
#include "model/model.h"

#define RFLAGS_IF (1ull << 9)
#define SHADOWS   (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)

uint64_t model_vmcs_read(const struct model_vmcs *vmcs, uint32_t field)
{
	switch (field) {
	case VMCS_GUEST_INTR_STATUS:
		return vmcs->intr_status;
	case VMCS_GUEST_RFLAGS:
		return vmcs->rflags;
	case VMCS_GUEST_INTERRUPTIBILITY:
		return vmcs->interruptibility;
	case VMCS_IDT_VECTORING_INFO:
		return vmcs->idt_vectoring_info;
	case VMCS_GUEST_CR0:
		return 1;
	default:
		return 0;
	}
}

void model_vmcs_write(struct model_vmcs *vmcs, uint32_t field, uint64_t value)
{
	switch (field) {
	case VMCS_GUEST_INTR_STATUS:
		vmcs->intr_status = (uint16_t)value;
		break;
	case VMCS_GUEST_INTERRUPTIBILITY:
		vmcs->interruptibility = (uint32_t)value;
		break;
	case VMCS_ENTRY_INTR_INFO:
		vmcs->entry_intr_info = (uint32_t)value;
		break;
	case VMCS_PIN_BASED:
		vmcs->pin_based = (uint32_t)value;
		break;
	case VMCS_PRIMARY:
		vmcs->primary = (uint32_t)value;
		break;
	case VMCS_TPR_THRESHOLD:
		vmcs->tpr_threshold = (uint32_t)value;
		break;
	case VMCS_EOI_EXIT_0:
	case VMCS_EOI_EXIT_1:
	case VMCS_EOI_EXIT_2:
	case VMCS_EOI_EXIT_3:
		vmcs->eoi_exit[(field - VMCS_EOI_EXIT_0) / 2] = value;
		break;
	default:
		break;
	}
}

/* ---- The virtual-APIC page ("Virtual APIC State") -------------------------------------------- */

static uint32_t *page_word(const struct model_vmx *vmx, uint32_t reg, uint8_t vector)
{
	return (uint32_t *)(void *)(vmx->page + reg + (vector / 32u) * 16u);
}

static uint8_t highest(const struct model_vmx *vmx, uint32_t reg)
{
	for (int word = 7; word >= 0; word--) {
		uint32_t bits = *page_word(vmx, reg, (uint8_t)(word * 32));

		if (bits)
			return (uint8_t)(word * 32 + 31 - __builtin_clz(bits));
	}
	return 0;
}

static uint8_t rvi(const struct model_vmx *vmx)
{
	return (uint8_t)(vmx->vmcs->intr_status & INTR_STATUS_RVI_MASK);
}

static uint8_t svi(const struct model_vmx *vmx)
{
	return (uint8_t)(vmx->vmcs->intr_status >> INTR_STATUS_SVI_SHIFT);
}

static void set_status(const struct model_vmx *vmx, uint8_t new_rvi, uint8_t new_svi)
{
	vmx->vmcs->intr_status = (uint16_t)(new_rvi | new_svi << INTR_STATUS_SVI_SHIFT);
}

/* "PPR Virtualization". */
static void virtualize_ppr(const struct model_vmx *vmx)
{
	uint32_t tpr = *page_word(vmx, APIC_TPR, 0) & 0xff;

	*page_word(vmx, APIC_PPR, 0) = (tpr & 0xf0) >= (svi(vmx) & 0xf0u) ? tpr : svi(vmx) & 0xf0u;
}

static bool delivers_virtually(const struct model_vmx *vmx)
{
	return vmx->vmcs->secondary & SECONDARY_VIRTUAL_INTERRUPTS;
}

/* "Evaluation of Pending Virtual Interrupts" and the conditions of "Virtual-Interrupt Delivery". */
static bool is_deliverable(const struct model_vmx *vmx)
{
	return delivers_virtually(vmx) &&
	       (rvi(vmx) & 0xf0u) > (*page_word(vmx, APIC_PPR, 0) & 0xf0u) &&
	       (vmx->vmcs->rflags & RFLAGS_IF) && !(vmx->vmcs->interruptibility & SHADOWS);
}

static void take_interrupt(const struct model_vmx *vmx, uint8_t vector)
{
	model_guest_take(vmx->guest, vector);
	vmx->vmcs->rflags &= ~RFLAGS_IF;
}

/* "Virtual-Interrupt Delivery". */
static void deliver(const struct model_vmx *vmx)
{
	uint8_t vector = rvi(vmx);

	*page_word(vmx, APIC_ISR, vector) |= 1u << (vector % 32);
	*page_word(vmx, APIC_PPR, 0) = vector & 0xf0u;
	*page_word(vmx, APIC_IRR, vector) &= ~(1u << (vector % 32));
	set_status(vmx, highest(vmx, APIC_IRR), vector);
	take_interrupt(vmx, vector);
}

/* "EOI Virtualization". */
static enum model_exit virtualize_eoi(const struct model_vmx *vmx)
{
	uint8_t vector = svi(vmx);
	bool exits = vmx->vmcs->eoi_exit[vector / 64] >> (vector % 64) & 1;

	*page_word(vmx, APIC_ISR, vector) &= ~(1u << (vector % 32));
	set_status(vmx, rvi(vmx), vmx->fault == VMX_EOI_CLEARS_SVI ? 0 : highest(vmx, APIC_ISR));
	virtualize_ppr(vmx);
	return exits ? EXIT_EOI_INDUCED : EXIT_NONE;
}

/* ---- "Posted-Interrupt Processing" ----------------------------------------------------------- */

/* Steps 1 to 4: acknowledge, clear ON, EOI. */
static void begin_posting(const struct model_vmx *vmx, struct model_pcpu *pcpu)
{
	pcpu->irr &= (uint8_t) ~(1u << MODEL_NOTIFY);
	if (vmx->fault != VMX_KEEPS_ON)
		vmx->pid->control &= ~PID_ON;
	vmx->vmcs->posting = 1;
}

/* Steps 5 to 7: PIR into VIRR and zeroed in one piece, RVI. */
static void finish_posting(const struct model_vmx *vmx)
{
	uint8_t top = rvi(vmx);

	for (uint32_t word = 0; word < 8; word++) {
		uint32_t bits = (uint32_t)(vmx->pid->pir[word / 2] >> (word % 2 * 32));
		uint8_t last;

		if (!bits)
			continue;
		last = (uint8_t)(word * 32 + 31 - (uint32_t)__builtin_clz(bits));
		*page_word(vmx, APIC_IRR, (uint8_t)(word * 32)) |= bits;
		if (last > top)
			top = last;
	}
	for (uint32_t i = 0; i < 4; i++)
		vmx->pid->pir[i] = 0;
	set_status(vmx, top, svi(vmx));
	vmx->vmcs->posting = 0;
}

static bool takes_posted(const struct model_vmx *vmx)
{
	return vmx->vmcs->pin_based & PIN_POSTED_INTERRUPTS;
}

/* ---- Entry ----------------------------------------------------------------------------------- */

void model_vmx_enter(const struct model_vmx *vmx)
{
	uint32_t info = vmx->vmcs->entry_intr_info;

	vmx->vmcs->idt_vectoring_info = 0;
	vmx->vmcs->entry_intr_info = 0;
	vmx->vmcs->exit_intr_info = 0;
	vmx->vmcs->in_guest = 1;
	if (delivers_virtually(vmx))
		virtualize_ppr(vmx);
	if (!(info & INTR_INFO_VALID))
		return;
	if ((info & INTR_INFO_TYPE_MASK) == INTR_INFO_NMI) {
		vmx->guest->nmi_taken++;
		vmx->guest->nmi_handler = 1;
		vmx->vmcs->interruptibility |= INTERRUPTIBILITY_NMI;
	} else if ((info & INTR_INFO_TYPE_MASK) == INTR_INFO_EXTERNAL) {
		take_interrupt(vmx, (uint8_t)(info & INTR_INFO_VECTOR_MASK));
	}
}

enum model_exit model_vmx_enter_faults(const struct model_vmx *vmx)
{
	vmx->vmcs->idt_vectoring_info = vmx->vmcs->entry_intr_info;
	vmx->vmcs->entry_intr_info = 0;
	return EXIT_FAULT;
}

/* ---- An instruction boundary and an instruction
 * -------------------------------------------------- */

static bool interrupt_window(const struct model_vmx *vmx)
{
	return (vmx->vmcs->primary & PRIMARY_INTERRUPT_WINDOW) && (vmx->vmcs->rflags & RFLAGS_IF) &&
	       !(vmx->vmcs->interruptibility & SHADOWS);
}

static bool nmi_window(const struct model_vmx *vmx)
{
	return (vmx->vmcs->primary & PRIMARY_NMI_WINDOW) &&
	       !(vmx->vmcs->interruptibility & (SHADOWS | INTERRUPTIBILITY_NMI));
}

bool model_vmx_timer_runs(const struct model_vmx *vmx)
{
	return vmx->vmcs->in_guest && !vmx->vmcs->timer_expired &&
	       (vmx->vmcs->pin_based & PIN_PREEMPTION_TIMER);
}

bool model_vmx_has_event(const struct model_vmx *vmx, const struct model_pcpu *pcpu)
{
	return vmx->vmcs->posting || vmx->vmcs->timer_expired || pcpu->irr || nmi_window(vmx) ||
	       interrupt_window(vmx) || is_deliverable(vmx);
}

/* "TPR Virtualization". */
static enum model_exit write_tpr(const struct model_vmx *vmx, uint32_t tpr)
{
	*page_word(vmx, APIC_TPR, 0) = tpr;
	vmx->guest->pc++;
	if (delivers_virtually(vmx))
		virtualize_ppr(vmx);
	else if (tpr >> 4 < (vmx->vmcs->tpr_threshold & 0xf))
		return EXIT_TPR;
	return EXIT_NONE;
}

static enum model_exit instruction(const struct model_vmx *vmx)
{
	struct model_guest *guest = vmx->guest;

	switch ((enum model_instruction)vmx->program[guest->pc]) {
	case GUEST_SPIN:
	case GUEST_HALT_INSIDE:
		return EXIT_NONE;
	case GUEST_HALT:
		return EXIT_HALT;
	case GUEST_EXIT:
		guest->pc++;
		return EXIT_HANDLED;
	case GUEST_FAST:
		guest->pc++;
		return EXIT_FAST;
	case GUEST_TPR_HIGH:
		return write_tpr(vmx, 0xf0);
	case GUEST_TPR_LOW:
		return write_tpr(vmx, 0);
	case GUEST_CLI:
		guest->pc++;
		vmx->vmcs->rflags &= ~RFLAGS_IF;
		return EXIT_NONE;
	case GUEST_STI:
		guest->pc++;
		vmx->vmcs->rflags |= RFLAGS_IF;
		return EXIT_NONE;
	case GUEST_SHADOW:
		guest->pc++;
		vmx->vmcs->interruptibility |= INTERRUPTIBILITY_MOV_SS;
		return EXIT_NONE;
	case GUEST_CLGI: /* SVM's */
	case GUEST_STGI:
	case GUEST_WORK:
		guest->pc++;
		return EXIT_NONE;
	}
	return EXIT_NONE;
}

/* "Acknowledge interrupt on exit": the exit takes the vector from the local APIC. */
static enum model_exit host_interrupt(const struct model_vmx *vmx, struct model_pcpu *pcpu)
{
	if (vmx->vmcs->exit_controls & EXIT_ACK_INTERRUPT)
		vmx->vmcs->exit_intr_info =
		    INTR_INFO_VALID | INTR_INFO_EXTERNAL | (uint32_t)model_interrupt_take(pcpu);
	return EXIT_HOST_INTERRUPT;
}

/* The last instruction of a handler writes EOI and opens interrupts; IRET ends that of an NMI. */
static enum model_exit end_handler(const struct model_vmx *vmx)
{
	if (vmx->guest->nmi_handler) {
		vmx->guest->nmi_handler = 0;
		vmx->vmcs->interruptibility &= ~INTERRUPTIBILITY_NMI;
		return EXIT_NONE;
	}
	vmx->vmcs->rflags |= RFLAGS_IF;
	if (!model_guest_handler_step(vmx->guest))
		return EXIT_NONE;
	return delivers_virtually(vmx) ? virtualize_eoi(vmx) : EXIT_EOI_WRITE;
}

static enum model_exit boundary(const struct model_vmx *vmx, struct model_pcpu *pcpu)
{
	bool was_shadowed = vmx->vmcs->interruptibility & SHADOWS;
	enum model_exit exit;

	if (vmx->vmcs->posting) {
		finish_posting(vmx);
		return EXIT_NONE;
	}
	/* "VMX-Preemption Timer": before external interrupts, windows and virtual interrupts. */
	if (vmx->vmcs->timer_expired) {
		vmx->vmcs->timer_expired = 0;
		return EXIT_TIMER;
	}
	if (pcpu->irr) {
		bool is_notification = pcpu->irr >> MODEL_NOTIFY == 1;

		if (!takes_posted(vmx) || !is_notification)
			return host_interrupt(vmx, pcpu);
		begin_posting(vmx, pcpu);
		return EXIT_NONE;
	}
	if (nmi_window(vmx))
		return EXIT_NMI_WINDOW;
	if (interrupt_window(vmx))
		return EXIT_WINDOW;
	if (is_deliverable(vmx)) {
		deliver(vmx);
		return EXIT_NONE;
	}
	exit = vmx->guest->nmi_handler || vmx->guest->handler ? end_handler(vmx) : instruction(vmx);
	if (was_shadowed)
		vmx->vmcs->interruptibility &= ~SHADOWS;
	return exit;
}

enum model_exit model_vmx_step(const struct model_vmx *vmx, struct model_pcpu *pcpu)
{
	enum model_exit exit = boundary(vmx, pcpu);

	vmx->vmcs->in_guest = exit == EXIT_NONE;
	return exit;
}
