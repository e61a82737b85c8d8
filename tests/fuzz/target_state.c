/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: images from an enemy.  The first byte says which; the input is laid over a good
 * image, or taken as it is.  What is accepted must come back as it was, and the vCPU must run with
 * it.
 */
#include "tests/fuzz/world.h"

#include <string.h>

#define ON_OFFSET        372u
#define PPR_OFFSET       (72u + 0xa0u / 4u)
#define IRET_SEEN_OFFSET 331u

static void guest(struct world_vcpu *own)
{
	(void)ph_vcpu_take_event(own->vcpu);
	ph_vcpu_set_interruptible(own->vcpu, true, true);
}

/* Changes of single bytes: offset (2 bytes), value. */
static void overlay(struct input *input, uint8_t *image, size_t size)
{
	while (input->size) {
		size_t at = (size_t)input_take(input, 2) % size;

		image[at] = input_u8(input);
	}
}

static void try_vcpu(struct input *input, bool is_raw)
{
	struct ph_vcpu *vcpu = world.vcpus[0].vcpu;
	uint8_t image[PH_VCPU_STATE_SIZE], again[PH_VCPU_STATE_SIZE];

	FUZZ_CHECK(ph_vcpu_export(vcpu, image, sizeof(image)) == PH_OK);
	if (is_raw) {
		if (ph_vcpu_import(vcpu, input->bytes, input->size) != PH_OK)
			return;
		memcpy(image, input->bytes, sizeof(image));
	} else {
		overlay(input, image, sizeof(image));
		if (ph_vcpu_import(vcpu, image, sizeof(image)) != PH_OK)
			return;
	}
	FUZZ_CHECK(ph_vcpu_export(vcpu, again, sizeof(again)) == PH_OK);
	/* Derived, or of no use to this backend. */
	image[ON_OFFSET] = again[ON_OFFSET];
	memcpy(image + PPR_OFFSET, again + PPR_OFFSET, 4);
	image[IRET_SEEN_OFFSET] = again[IRET_SEEN_OFFSET];
	memcpy(image + 352, again + 352, 8);
	FUZZ_CHECK(memcmp(image, again, sizeof(image)) == 0);
}

static void try_vm(struct input *input, bool is_raw)
{
	uint8_t image[PH_VM_STATE_SIZE];

	FUZZ_CHECK(ph_vm_export(world.vm, image, sizeof(image)) == PH_OK);
	overlay(input, image, sizeof(image));
	if (is_raw)
		(void)ph_vm_import(world.vm, input->bytes, input->size);
	else
		(void)ph_vm_import(world.vm, image, sizeof(image));
}

static void try_kvm(struct input *input)
{
	struct ph_kvm_lapic_state lapic = {{0}};
	struct ph_kvm_lapic_beside beside;
	struct ph_kvm_ioapic_state ioapic;
	struct ph_kvm_pic_state pic[2];

	beside.ids_are_32bit = input_u8(input) & 1;
	beside.apic_base = 0xfee00000 | input_take(input, 2);
	beside.tsc_deadline = input_u32(input);
	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	overlay(&(struct input){input->bytes, input->size / 3}, (uint8_t *)&ioapic, sizeof(ioapic));
	(void)ph_vm_import_kvm_ioapic(world.vm, &ioapic);
	(void)ph_vm_export_kvm_pic(world.vm, pic);
	overlay(&(struct input){input->bytes, input->size / 3}, (uint8_t *)pic, sizeof(pic));
	(void)ph_vm_import_kvm_pic(world.vm, pic);
	overlay(input, lapic.regs, sizeof(lapic.regs));
	(void)ph_vcpu_import_kvm_lapic(world.vcpus[0].vcpu, &lapic, &beside);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world_config config = {.backend = PH_BACKEND_SOFT, .vcpu_count = 1};
	struct input input = {bytes, size};
	uint8_t choice = input_u8(&input);

	world_make(&config);
	world.guest = guest;
	if ((choice & 3) == 0)
		try_vcpu(&input, choice & 4);
	else if ((choice & 3) == 1)
		try_vm(&input, choice & 4);
	else
		try_kvm(&input);
	for (uint32_t i = 0; i < 8; i++) {
		(void)ph_apic_mmio_read(world.vcpus[0].vcpu, 0x390, 4);
		world_run(0);
		world_advance(100000);
		ph_apic_mmio_write(world.vcpus[0].vcpu, 0xb0, 4, 0);
	}
	world_check();
	return 0;
}
