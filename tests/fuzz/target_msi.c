/* SPDX-License-Identifier: MIT */
/* Fuzz target: MSIs and GSI routes with any contents. */
#include "tests/fuzz/world.h"
#include "x86/apic.h"
#include "x86/msr.h"

static struct input input;

static void guest(struct world_vcpu *own)
{
	(void)ph_vcpu_take_event(own->vcpu);
	ph_vcpu_set_interruptible(own->vcpu, true, true);
}

static struct ph_msi take_msi(void)
{
	struct ph_msi msi = {.address = MSI_ADDRESS_BASE | input_take(&input, 3)};

	/* Mostly addresses of interrupts. */
	if (input_u8(&input) == 0xff)
		msi.address = input_take(&input, 8);
	msi.data = input_u32(&input);
	return msi;
}

static void set_routes(void)
{
	struct ph_route routes[PH_GSI_MAX] = {{.kind = PH_ROUTE_NONE}};
	uint32_t count = input_u8(&input) % (PH_GSI_MAX + 2);

	for (uint32_t i = 0; i < count && i < 6; i++) {
		uint8_t kind = input_u8(&input);

		routes[i].kind = (enum ph_route_kind)(kind & 3);
		routes[i].ioapic_pin = (int8_t)input_u8(&input);
		routes[i].pic_pin = (int8_t)input_u8(&input);
		if ((kind & 3) == PH_ROUTE_MSI)
			routes[i].msi = take_msi();
	}
	(void)ph_route_set(world.vm, routes, count);
}

static void step(uint32_t index)
{
	struct ph_vcpu *vcpu = world.vcpus[index].vcpu;
	struct ph_msi msi;
	uint8_t choice;
	int result;

	switch (input_u8(&input) % 6) {
	case 0:
		msi = take_msi();
		result = ph_msi_post(world.vm, &msi);
		FUZZ_CHECK(
		    result == PH_EINVAL || (result >= 0 && result <= (int)world.config.vcpu_count));
		break;
	case 1:
		set_routes();
		break;
	case 2:
		choice = input_u8(&input);
		(void)ph_gsi_set(world.vm, choice % 70, input_u8(&input) % 40, choice & 1);
		break;
	case 3:
		ph_apic_mmio_write(vcpu, APIC_SVR, 4, 0x1ff);
		ph_apic_mmio_write(vcpu, APIC_LDR, 4, input_u32(&input));
		break;
	case 4:
		choice = input_u8(&input);
		(void)ph_apic_msr_write(
		    vcpu, MSR_APIC_BASE, APIC_DEFAULT_BASE | (uint64_t)(choice & 3) << 10);
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
	config.vcpu_count = 1 + choice % WORLD_VCPU_MAX;
	config.extended_dest_id = choice >> 3 & 1;
	config.apic_id_step = choice & 0x10 ? 100 : 1;
	world_make(&config);
	world.guest = guest;
	while (input.size)
		step(input_u8(&input) % config.vcpu_count);
	world_check();
	return 0;
}
