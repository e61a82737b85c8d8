/* SPDX-License-Identifier: MIT */
/* The guest's board: every device of a VM but its local APICs, behind ports and an MMIO page. */
#ifndef HYPERVISOR_BOARD_BOARD_H
#define HYPERVISOR_BOARD_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;
struct vcpu;

/* Guest-physical page of the IOAPIC; the only MMIO that board_mmio() answers. */
#define BOARD_IOAPIC_BASE 0xfec00000u
#define BOARD_IOAPIC_SIZE 0x1000u

/*
 * Make the VM's board (memory from page_alloc()) and write its ACPI tables into guest memory below
 * 1M.  The VM's name, CPU count, RAM and ph_vm must be there, and no vCPU may run yet.  Sets
 * vm->board.  0, or -1 when no memory is left.
 */
int board_create(struct vm *vm);

/* Stop every timer of the board; afterwards no device raises anything.  Any thread, IRQs on. */
void board_stop(struct vm *vm);

/* Free the board.  After board_stop(), when no thread uses the VM. */
void board_destroy(struct vm *vm);

/*
 * One port access of 1, 2 or 4 bytes.  A read always sets *value (all ones in `size` bytes where
 * no device answers).  False when no device claimed the port; the access is then complete too,
 * and counted.  Any vCPU's thread, IRQs on.
 */
bool board_io_read(struct vm *vm, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t *value);
bool board_io_write(struct vm *vm, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t value);

/*
 * One access of 1, 2, 4 or 8 bytes to the IOAPIC's page.  False, with nothing done, when
 * [gpa, gpa + size) is not inside that page.  Any vCPU's thread, IRQs on.
 */
bool board_mmio(struct vm *vm, uint64_t gpa, unsigned size, bool write, uint64_t *value);

/* A byte typed at the guest's console.  Any thread or handler.  Lost when the buffer is full. */
void board_console_input(struct vm *vm, uint8_t byte);

/* Accesses to ports that no device claims, so far.  Any thread. */
uint64_t board_unclaimed_count(const struct vm *vm);

#endif
