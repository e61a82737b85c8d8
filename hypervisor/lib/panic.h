/* SPDX-License-Identifier: MIT */
/* The end of the host: panic, and the assertion that leads to it. */
#ifndef HYPERVISOR_LIB_PANIC_H
#define HYPERVISOR_LIB_PANIC_H

#include <stdint.h>

/*
 * Stop the other pCPUs, print the reason, registers, the current vCPU (virt_panic_dump()) and the
 * last trace events (trace_dump_last()), then leave the emulator with 0x12.  Any context.
 */
void panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn, cold));

#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			panic("%s:%d: BUG_ON(%s)", __FILE__, __LINE__, #condition);                \
	} while (0)

/* Supplied by VIRT; called once by panic() with IRQs off, on the pCPU that panics. */
void virt_panic_dump(void);
void trace_dump_last(void);

#endif
