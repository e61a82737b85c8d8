/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what exits say in the VMCB and the VMCS (interrupted events, RFLAGS,
 * interruptibility, TPR, the virtual-APIC page).  Whatever it is, what the next entry is given must
 * be well-formed.
 */
#include "tests/fuzz/world.h"
#include "x86/apic.h"

#include <string.h>

static struct input input;

/* Exceptions that push an error code; of others no processor reports one. */
#define HAS_ERROR(vector) (0x60227d00u >> ((vector)&31) & 1)

#define FIELD(own, name) ((own)->vmcs[VMCS_##name / 2])

/* APM vol. 2, "Event Injection": the types that VMRUN accepts. */
static void check_vmcb(const struct vmcb *vmcb)
{
	uint64_t event = vmcb->event_inj;
	uint64_t type = event & VMCB_EVENT_TYPE_MASK;

	if (!(event & VMCB_EVENT_VALID))
		return;
	FUZZ_CHECK(type == VMCB_EVENT_TYPE_INTR || type == VMCB_EVENT_TYPE_NMI ||
	           type == VMCB_EVENT_TYPE_EXCEPTION);
	if (type == VMCB_EVENT_TYPE_EXCEPTION)
		FUZZ_CHECK(
		    (event & VMCB_EVENT_VECTOR_MASK) < 32 && (event & VMCB_EVENT_VECTOR_MASK) != 2);
	if (type == VMCB_EVENT_TYPE_NMI)
		FUZZ_CHECK((event & VMCB_EVENT_VECTOR_MASK) == 2);
	if (type != VMCB_EVENT_TYPE_EXCEPTION)
		FUZZ_CHECK(!(event & VMCB_EVENT_ERROR_VALID));
}

static void svm_guest(struct world_vcpu *own)
{
	struct vmcb *vmcb = own->vmcb;
	uint8_t choice = input_u8(&input);
	uint64_t info = input_take(&input, 2);

	check_vmcb(vmcb);
	vmcb->exit_int_info = 0;
	/* The processor reports an exception below 32, never NMI as one (APM vol. 2,
	 * "EXITINTINFO"). */
	if (choice & 1)
		vmcb->exit_int_info = VMCB_EVENT_VALID | (info & 0x7ff);
	if ((vmcb->exit_int_info & VMCB_EVENT_TYPE_MASK) == VMCB_EVENT_TYPE_EXCEPTION) {
		vmcb->exit_int_info &= ~0xe0ull;
		if ((vmcb->exit_int_info & VMCB_EVENT_VECTOR_MASK) == 2)
			vmcb->exit_int_info |= 4;
		if (info & 0x800 && HAS_ERROR(vmcb->exit_int_info))
			vmcb->exit_int_info |= VMCB_EVENT_ERROR_VALID | info << 32;
	}
	if ((vmcb->exit_int_info & VMCB_EVENT_TYPE_MASK) == VMCB_EVENT_TYPE_NMI)
		vmcb->exit_int_info = VMCB_EVENT_VALID | VMCB_EVENT_TYPE_NMI | 2;
	vmcb->rflags = (vmcb->rflags & (1u << 8)) | (choice & 2 ? 1u << 9 : 0) | 2;
	vmcb->interrupt_state = choice & 4 ? VMCB_INTERRUPT_SHADOW : 0;
	vmcb->interrupt_control = (vmcb->interrupt_control & ~0xffull) | (choice >> 4);
	vmcb->rip += choice & 8;
}

static void vmx_guest(struct world_vcpu *own)
{
	uint8_t choice = input_u8(&input);
	uint32_t info = (uint32_t)input_take(&input, 2);
	uint32_t type;

	FIELD(own, IDT_VECTORING_INFO) = choice & 1 ? 0x80000000u | info : info;
	type = info >> 8 & 7;
	if (type == 3)
		FIELD(own, IDT_VECTORING_INFO) &= HAS_ERROR(info) ? ~0xe0ull : ~0x8e0ull;
	if (type == 3 && (info & 31) == 2)
		FIELD(own, IDT_VECTORING_INFO) |= 1;
	if (type == 2)
		FIELD(own, IDT_VECTORING_INFO) = (choice & 1 ? 0x80000000u : 0) | 0x202;
	FIELD(own, IDT_VECTORING_ERROR) = info >> 3;
	FIELD(own, GUEST_RFLAGS) = choice & 2 ? 1u << 9 : 0;
	FIELD(own, GUEST_INTERRUPTIBILITY) = choice >> 2 & 0xf;
	FIELD(own, GUEST_CR0) = choice >> 6 & 1;
	FIELD(own, ENTRY_INTR_INFO) &= ~0x80000000ull;
	/* With virtual delivery the processor writes the page behind our back. */
	if (ph_vcpu_delivery(own->vcpu) != PH_DELIVERY_INJECTED && choice & 0x80) {
		uint32_t offset = 0x100 + input_u8(&input) % 24u * 16;
		uint32_t value = (uint32_t)input_take(&input, 4);

		if (offset % 0x80 == 0)
			value &= 0xffff0000u;
		memcpy((uint8_t *)own->page + offset, &value, 4);
		((uint8_t *)own->page)[APIC_TPR] = input_u8(&input);
	}
}

static void step(struct world_vcpu *own)
{
	struct ph_vcpu *vcpu = own->vcpu;
	uint8_t choice;

	switch (input_u8(&input) % 16) {
	case 0:
		ph_vcpu_nmi(vcpu);
		break;
	case 1:
		ph_vcpu_nmi_unblocked(vcpu);
		break;
	case 2:
		ph_vcpu_nmi_blocked_again(vcpu);
		break;
	case 3:
		choice = input_u8(&input);
		if (own->vmcb)
			own->vmcb->dr6 = (uint64_t)(choice & 0x20) << 9;
		(void)ph_vcpu_exception_exit(vcpu, choice & 31);
		break;
	case 4:
		choice = input_u8(&input) % 32;
		if (choice != 2)
			(void)ph_vcpu_queue_exception(
			    vcpu, choice, choice >= 10 && choice <= 14, 0x18);
		break;
	case 5:
		ph_vcpu_end_shadow(vcpu);
		break;
	case 6:
		ph_vcpu_halt(vcpu);
		break;
	case 7:
		ph_apic_write_exit(vcpu, (uint32_t)input_take(&input, 2));
		break;
	case 8:
		ph_apic_eoi_exit(vcpu, input_u8(&input));
		break;
	case 9:
		(void)ph_msi_post(
		    world.vm, &(struct ph_msi){MSI_ADDRESS_BASE, (uint32_t)input_take(&input, 2)});
		break;
	case 10:
		ph_apic_mmio_write(vcpu, input_u8(&input) * 16u, 4, input_u32(&input));
		break;
	case 11:
		ph_vm_inhibit(world.vm, PH_INHIBIT_HOST, input_u8(&input) & 1);
		break;
	default:
		world_run(0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct world_config configs[4] = {
	    {.backend = PH_BACKEND_SVM, .vcpu_count = 1},
	    {.backend = PH_BACKEND_VMX, .vcpu_count = 1},
	    {.backend = PH_BACKEND_VMX, .vcpu_count = 1, .delivery = PH_DELIVERY_VIRTUAL},
	    {.backend = PH_BACKEND_VMX, .vcpu_count = 1, .delivery = PH_DELIVERY_POSTED},
	};
	uint8_t choice;

	input = (struct input){bytes, size};
	choice = input_u8(&input) & 3;
	world_make(&configs[choice]);
	world.guest = choice ? vmx_guest : svm_guest;
	ph_apic_mmio_write(world.vcpus[0].vcpu, APIC_SVR, 4, 0x1ff);
	while (input.size)
		step(&world.vcpus[0]);
	world.guest = NULL;
	world_check();
	return 0;
}
