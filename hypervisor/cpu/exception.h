/* SPDX-License-Identifier: MIT */
/* Host exceptions: all of them end in panic. */
#ifndef HYPERVISOR_CPU_EXCEPTION_H
#define HYPERVISOR_CPU_EXCEPTION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* What entry.S pushes, lowest address first. */
struct exception_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Called by entry.S.  Returns only for an NMI that nobody waits for. */
void exception_handle(const struct exception_frame *frame);
/* Print the registers.  Any context. */
void exception_print(const struct exception_frame *frame);
/* The control registers of this pCPU. */
void exception_print_control(void);
/* True for addresses within the image's code. */
bool exception_is_code(uint64_t address);

/* panic() on behalf of an exception; frame may be NULL. */
void panic_with_frame(const struct exception_frame *frame, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0), noreturn));
bool panic_is_active(void);
/* True once GS leads to this pCPU's data. */
bool percpu_is_ready(void);

#endif
