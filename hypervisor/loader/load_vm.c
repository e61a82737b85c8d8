/* SPDX-License-Identifier: MIT */
/* Load what a VM's configuration names: the loaders' door to struct vm. */
#include "hypervisor/loader/loader.h"

#include "hypervisor/loader/bytes.h"
#include "hypervisor/loader/place.h"

int loader_load_vm(struct vm *vm, struct boot_state *state, char *error)
{
	struct guest_memory memory = {
		.low = vm->ram_low,
		.low_bytes = vm->ram_low_bytes,
		.high = vm->ram_high,
		.high_bytes = vm->ram_high_bytes,
	};

	if (memory.low_bytes <= PLACE_RAM_START) {
		snprintf(error, LOADER_ERROR_SIZE, "%s: too little memory", vm->name);
		return -1;
	}
	switch (vm->config->kind) {
	case VM_KIND_LINUX:
		return linux_load(&memory, vm->config, vm->tsc_khz, state, error);
	case VM_KIND_MULTIBOOT:
		return multiboot_load(&memory, vm->config, state, error);
	}
	snprintf(error, LOADER_ERROR_SIZE, "%s: no such kind of guest", vm->name);
	return -1;
}
