/* SPDX-License-Identifier: MIT */
/* Guest loaders: put a Linux or multiboot image into guest RAM and say how to enter it. */
#ifndef HYPERVISOR_LOADER_LOADER_H
#define HYPERVISOR_LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/vm/vm.h"

#define LOADER_ERROR_SIZE 160u

/*
 * Guest RAM as the host sees it: gpa 0..low_bytes at low, and 4G..4G + high_bytes at high.  The
 * bytes between 640K and 1M are backed too, but guests are told that no RAM is there.
 */
struct guest_memory {
	uint8_t *low;
	uint64_t low_bytes;
	uint8_t *high;
	uint64_t high_bytes;
};

/*
 * Load a Linux bzImage (boot protocol 2.12 or later with a 64-bit entry), or a multiboot 1 image,
 * as the configuration's kernel, initrd, modules and cmdline say.  The memory is zeroed but for
 * what the board put between 640K and 1M.  0, or -1 with one line in error[LOADER_ERROR_SIZE].
 *
 * Linux learns the guest's TSC frequency by "tsc_early_khz=N" at the end of its command line,
 * unless the line says it already or has no room: it cannot measure it well against a PIT whose
 * every access is an exit, and without it each look at the clock becomes an exit, too.
 */
int linux_load(const struct guest_memory *memory, const struct vm_config *config,
    uint64_t tsc_khz, struct boot_state *state, char *error);
int multiboot_load(const struct guest_memory *memory, const struct vm_config *config,
    struct boot_state *state, char *error);

/*
 * Load what the VM's configuration names into the VM's RAM.  After board_create(), before any vCPU
 * runs.  Results as above.
 */
int loader_load_vm(struct vm *vm, struct boot_state *state, char *error);

#endif
