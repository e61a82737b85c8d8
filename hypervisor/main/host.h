/* SPDX-License-Identifier: MIT */
/* What VIRT and the main thread tell each other. */
#ifndef HYPERVISOR_MAIN_HOST_H
#define HYPERVISOR_MAIN_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/*
 * The VM has ended: vm_has_ended() is true and its "@vm" line and its tables are out.  VIRT calls it
 * once for each VM; any thread or handler.  After the last one the main thread leaves.  `is_normal`:
 * poweroff, reset or debug-exit.
 */
void host_vm_stopped(struct vm *vm, bool is_normal);

/* Supplied by VIRT: called on every pCPU at boot with IRQs off (EFER.SVME, host save area). */
void virt_cpu_init(void);

/* How Posthorn leaves the emulator (isa-debug-exit values; see contracts of the CLI). */
enum host_exit {
	HOST_EXIT_OK = 0x10,
	HOST_EXIT_VM_FAILED = 0x11,
	HOST_EXIT_PANIC = 0x12,
	HOST_EXIT_CONFIG = 0x13,
};

/* Leave the emulator; halts for good on a machine without an exit device. */
void host_exit(enum host_exit status) __attribute__((noreturn));

#endif
