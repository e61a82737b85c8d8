/* SPDX-License-Identifier: MIT */
/* Fuzz target: one local APIC through every door of a guest, with time, EOIs and entries between.
 */
#include "tests/fuzz/world.h"
#include "x86/apic.h"
#include "x86/msr.h"

static struct input input;

/* In the guest: take what is delivered, and say what may be delivered next. */
static void guest(struct world_vcpu *own)
{
	uint8_t choice = input_u8(&input);

	if (choice & 1)
		(void)ph_vcpu_take_event(own->vcpu);
	ph_vcpu_set_interruptible(own->vcpu, choice & 2, choice & 4);
	if (choice & 8)
		ph_vcpu_nmi_unblocked(own->vcpu);
}

static void step(struct ph_vcpu *vcpu)
{
	uint64_t value;

	switch (input_u8(&input) % 16) {
	case 0:
		(void)ph_apic_mmio_read(vcpu, input_u8(&input) * 4u, 4);
		break;
	case 1:
	case 2: {
		uint32_t offset = input_u8(&input) * 16u;

		ph_apic_mmio_write(vcpu, offset, 4, input_u32(&input));
		break;
	}
	case 3: {
		uint32_t offset = input_u32(&input);

		ph_apic_mmio_write(vcpu, offset & 0xfff, offset >> 12 & 15, input_u32(&input));
		break;
	}
	case 4:
	case 5:
		value = input_take(&input, 5);
		(void)ph_apic_msr_write(vcpu, 0x800 + (uint8_t)value, value >> 8);
		break;
	case 6:
		(void)ph_apic_msr_read(vcpu, 0x800 + input_u8(&input), &value);
		break;
	case 7:
		value = input_u8(&input);
		(void)ph_apic_msr_write(vcpu, MSR_APIC_BASE,
		    APIC_DEFAULT_BASE | (value & 0xf) << 8 | (value >> 4) << 12);
		break;
	case 8:
		(void)ph_apic_msr_write(
		    vcpu, MSR_TSC_DEADLINE, world.tsc + input_u32(&input) - 1000);
		break;
	case 9:
		(void)ph_cr8_write(vcpu, input_u8(&input) % 17);
		break;
	case 10:
		world_advance(input_take(&input, 3));
		break;
	case 11:
		value = input_u8(&input);
		ph_vcpu_lint(vcpu, value & 1, value & 2);
		break;
	case 12:
		/* 3, for 2 is no exception. */
		value = input_u8(&input) % 32;
		if (!ph_vcpu_queue_exception(vcpu, value == 2 ? 3 : (uint8_t)value, false, 0))
			ph_vcpu_request(vcpu, 2);
		break;
	case 13:
		ph_vcpu_nmi(vcpu);
		break;
	case 14:
		ph_vcpu_halt(vcpu);
		break;
	default:
		world_run(0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world_config config = {.backend = PH_BACKEND_SOFT, .vcpu_count = 1};

	input = (struct input){bytes, size};
	config.directed_eoi = input_u8(&input) & 1;
	world_make(&config);
	world.guest = guest;
	while (input.size)
		step(world.vcpus[0].vcpu);
	world_check();
	return 0;
}
