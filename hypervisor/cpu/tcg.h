/* SPDX-License-Identifier: MIT */
/* What QEMU's own emulation of a processor needs of its guest, here the hypervisor. */
#ifndef HYPERVISOR_CPU_TCG_H
#define HYPERVISOR_CPU_TCG_H

#include <stdbool.h>

/* Does QEMU emulate this processor in software?  Any pCPU, at any time. */
bool tcg_is_host(void);

/* Start the nudge if so; otherwise nothing happens.  First pCPU, once all have started. */
void tcg_start_nudge(void);

#endif
