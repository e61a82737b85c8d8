/* SPDX-License-Identifier: MIT */
/* Addresses and sizes that the guests' assembly and C share. */
#ifndef GUESTS_RT_LAYOUT_H
#define GUESTS_RT_LAYOUT_H

#define CPU_COUNT_MAX  64
#define CPU_STACK_SIZE 16384
#define CPU_STACK_MASK (CPU_STACK_SIZE - 1)
/* Page of the AP trampoline: below 1M, as a STARTUP IPI's vector names it. */
#define TRAMPOLINE_BASE     0x8000
#define SELECTOR_CODE64     0x08
#define SELECTOR_DATA       0x10
#define SELECTOR_CODE32     0x18
#define INTERRUPT_STUB_SIZE 32

#endif
