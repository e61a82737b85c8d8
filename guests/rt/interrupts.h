/* SPDX-License-Identifier: MIT */
/* Interrupt descriptor table and handlers in C. */
#ifndef GUESTS_RT_INTERRUPTS_H
#define GUESTS_RT_INTERRUPTS_H

#include <stdint.h>

#define VECTOR_NMI 2u

/* What the stubs of boot.S push, lowest address first. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

_Static_assert(sizeof(struct frame) == 22 * 8, "as interrupt_common pushes it");

/* Runs with interrupts disabled, on the interrupted stack. It sends the EOI itself. */
typedef void (*interrupt_handler)(struct frame *frame);

/* The table is one for all CPUs; interrupts_load() makes the running CPU use it. */
void interrupts_init(void);
void interrupts_load(void);
/* The interrupt is counted in cpu.interrupt_count before the handler runs. */
void interrupts_set(unsigned vector, interrupt_handler handler);
/* Let the IDT entry name other code: an __attribute__((interrupt)) function. */
void interrupts_set_raw(unsigned vector, const void *entry);
/* Only EOI. */
void interrupt_eoi_only(struct frame *frame);
void interrupt_dispatch(struct frame *frame);
/* Load an IDT of no entries: the next exception is a triple fault. */
void interrupts_load_empty(void);

#endif
