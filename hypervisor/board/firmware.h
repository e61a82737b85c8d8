/* SPDX-License-Identifier: MIT */
/* What a PC's firmware leaves behind, for multiboot kernels, which were written for PCs that had one. */
#ifndef HYPERVISOR_BOARD_FIRMWARE_H
#define HYPERVISOR_BOARD_FIRMWARE_H

struct vcpu;
struct vm;

/*
 * Real-mode vectors with handlers that end their interrupt, the 8259 pair at vectors 08h and 70h with
 * the timer's line open, PIT channel 0 at 18.2 Hz. Before the guest is loaded; VM not started.
 */
void firmware_leave_board(struct vm *vm);

/* The boot processor's local APIC: enabled, LINT0 as ExtINT ("virtual wire"), LINT1 as NMI. Owner. */
void firmware_leave_apic(struct vcpu *vcpu);

#endif
