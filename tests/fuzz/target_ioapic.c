/* SPDX-License-Identifier: MIT */
/* Fuzz target: IOAPIC and 8259 programming, lines, and EOIs of the vCPUs that got the interrupts.
 */
#include "tests/fuzz/world.h"
#include "x86/apic.h"

static struct input input;

static void guest(struct world_vcpu *own)
{
	(void)ph_vcpu_take_event(own->vcpu);
	ph_vcpu_set_interruptible(own->vcpu, true, true);
}

static void write_entry(void)
{
	uint32_t reg = IOAPIC_TABLE + input_u8(&input) % 48u;

	ph_ioapic_write(world.vm, IOAPIC_REGSEL, reg);
	ph_ioapic_write(world.vm, IOAPIC_WINDOW, input_u32(&input));
	(void)ph_ioapic_read(world.vm, IOAPIC_WINDOW);
}

static void step(uint32_t index)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x22, 0xffff};
	struct ph_vcpu *vcpu = world.vcpus[index].vcpu;
	uint8_t choice;

	switch (input_u8(&input) % 8) {
	case 0:
	case 1:
		write_entry();
		break;
	case 2:
		choice = input_u8(&input);
		ph_ioapic_write(world.vm, choice, input_u32(&input));
		(void)ph_ioapic_read(world.vm, choice);
		break;
	case 3:
		choice = input_u8(&input);
		(void)ph_gsi_set(world.vm, choice & 31, choice >> 5, input_u8(&input) & 1);
		break;
	case 4:
		choice = input_u8(&input);
		ph_pic_write(world.vm, ports[choice & 7], input_u8(&input));
		break;
	case 5:
		(void)ph_pic_read(world.vm, ports[input_u8(&input) & 7]);
		break;
	case 6:
		choice = input_u8(&input);
		ph_apic_mmio_write(vcpu,
		    choice & 1   ? APIC_EOI
		    : choice & 2 ? APIC_SVR
		                 : APIC_LVT_LINT0,
		    4, choice & 2 ? 0x1ff : input_u32(&input));
		break;
	default:
		world_run(index);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world_config config = {.backend = PH_BACKEND_SOFT};
	uint8_t choice;

	input = (struct input){bytes, size};
	choice = input_u8(&input);
	config.vcpu_count = 1 + choice % 4;
	config.extended_dest_id = choice & 4;
	config.directed_eoi = choice & 8;
	world_make(&config);
	world.guest = guest;
	while (input.size)
		step(input_u8(&input) % config.vcpu_count);
	world_check();
	return 0;
}
