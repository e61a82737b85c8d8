/* SPDX-License-Identifier: MIT */
/* Fuzz target: IPIs of every form between up to eight vCPUs in any mode, with their IDs changing.
 */
#include "tests/fuzz/world.h"
#include "x86/apic.h"
#include "x86/msr.h"

static struct input input;

static void guest(struct world_vcpu *own)
{
	(void)ph_vcpu_take_event(own->vcpu);
	ph_vcpu_set_interruptible(own->vcpu, true, true);
	ph_vcpu_nmi_unblocked(own->vcpu);
}

static void step(uint32_t index)
{
	struct ph_vcpu *vcpu = world.vcpus[index].vcpu;
	uint64_t value;

	switch (input_u8(&input) % 8) {
	case 0:
		ph_apic_mmio_write(vcpu, APIC_ICR2, 4, input_u32(&input));
		ph_apic_mmio_write(vcpu, APIC_ICR, 4, input_u32(&input));
		break;
	case 1:
		value = input_take(&input, 8);
		(void)ph_apic_msr_write(vcpu, 0x830, value);
		break;
	case 2:
		(void)ph_apic_msr_write(vcpu, 0x83f, input_u8(&input));
		break;
	case 3:
		value = input_u8(&input);
		(void)ph_apic_msr_write(vcpu, MSR_APIC_BASE,
		    APIC_DEFAULT_BASE | (value & 3) << 10 | (value >> 2 & 1) << 8);
		break;
	case 4:
		value = input_u8(&input);
		ph_apic_mmio_write(vcpu,
		    value & 1   ? APIC_ID
		    : value & 2 ? APIC_LDR
		                : APIC_DFR,
		    4, input_u32(&input));
		break;
	case 5:
		ph_apic_mmio_write(vcpu, APIC_SVR, 4, (input_u8(&input) & 1u) << 8 | 0xff);
		break;
	case 6:
		(void)ph_cr8_write(vcpu, input_u8(&input) & 15);
		break;
	default:
		world_run(index);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint32_t steps[4] = {1, 16, 37, 143};
	struct world_config config = {.backend = PH_BACKEND_SOFT};
	uint8_t choice;

	input = (struct input){bytes, size};
	choice = input_u8(&input);
	config.vcpu_count = 1 + choice % WORLD_VCPU_MAX;
	config.apic_id_step = steps[choice >> 3 & 3];
	config.extended_dest_id = choice >> 5 & 1;
	world_make(&config);
	world.guest = guest;
	while (input.size)
		step(input_u8(&input) % config.vcpu_count);
	world_check();
	return 0;
}
