/* SPDX-License-Identifier: MIT */
/* The guests' consoles on host COM1: prefixes, focus, input. */
#ifndef HYPERVISOR_MAIN_CONSOLE_H
#define HYPERVISOR_MAIN_CONSOLE_H

#include <stdint.h>

struct vm;

/*
 * One byte that the guest wrote to its COM1 or debug console.  Any thread, not a handler: it may
 * wait as serial_write() does.  With several VMs it is kept until the line is complete.
 */
void console_output(struct vm *vm, uint8_t byte);

/* Print what is left of the VM's last line.  Any thread; VIRT calls it when the VM stops. */
void console_flush(struct vm *vm);

#endif
