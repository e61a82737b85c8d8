/* SPDX-License-Identifier: MIT */
/* Interrupt vectors of the host; a higher number is a higher priority. */
#ifndef HYPERVISOR_CPU_VECTORS_H
#define HYPERVISOR_CPU_VECTORS_H

#define VECTOR_SERIAL1    0x30 /* host COM1: console input */
#define VECTOR_SERIAL2    0x31 /* host COM2: control channel input */
#define VECTOR_NUDGE      0x32 /* the PIT, on QEMU's software emulation: see tcg.c */
#define VECTOR_TIMER      0xe0 /* local APIC timer */
#define VECTOR_RESCHEDULE 0xe1 /* look at the run queue */
#define VECTOR_NOTIFY     0xe2 /* libposthorn's notification: end guest execution, no more */
#define VECTOR_TEST       0xe3 /* the self-test's own */
#define VECTOR_STOP       0xe4 /* stop this pCPU for good (shutdown) */
#define VECTOR_SPURIOUS   0xff

/* Selectors of every pCPU's GDT. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

/* Interrupt stacks (IST numbers; 0 is the stack in use). */
#define IST_NMI           1
#define IST_DOUBLE_FAULT  2
#define IST_MACHINE_CHECK 3

#endif
