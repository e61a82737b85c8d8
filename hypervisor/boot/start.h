/* SPDX-License-Identifier: MIT */
/* From the boot loader's information to running threads on all pCPUs. */
#ifndef HYPERVISOR_BOOT_START_H
#define HYPERVISOR_BOOT_START_H

#include "hypervisor/boot/multiboot.h"

/* Constant from the first thread on. */
extern struct boot_info boot_info;

/* Supplied by main (or by the self-test): the first thread, on pCPU 0. */
void main_thread(void *arg);

#endif
