/* SPDX-License-Identifier: MIT */
/* Guest-physical RAM as the host sees it. */
#include "hypervisor/lib/string.h"
#include "hypervisor/vm/vm.h"

void *guest_pointer(const struct vm *vm, uint64_t gpa, uint64_t length)
{
	if (gpa < vm->ram_low_bytes && length <= vm->ram_low_bytes - gpa)
		return vm->ram_low + gpa;
	if (gpa < VM_HIGH_RAM)
		return NULL;
	gpa -= VM_HIGH_RAM;
	if (gpa < vm->ram_high_bytes && length <= vm->ram_high_bytes - gpa)
		return vm->ram_high + gpa;
	return NULL;
}

bool guest_read(const struct vm *vm, uint64_t gpa, void *to, uint64_t length)
{
	const void *from = guest_pointer(vm, gpa, length);

	if (!from)
		return false;
	memcpy(to, from, length);
	return true;
}

bool guest_write(const struct vm *vm, uint64_t gpa, const void *from, uint64_t length)
{
	void *to = guest_pointer(vm, gpa, length);

	if (!to)
		return false;
	memcpy(to, from, length);
	return true;
}
