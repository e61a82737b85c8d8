/* SPDX-License-Identifier: MIT */
/* Checks, the result line and the exit code of a guest. */
#ifndef GUESTS_RT_TEST_H
#define GUESTS_RT_TEST_H

#include <stdbool.h>
#include <stdint.h>

/* A guest defines these two; guest_main() returns when its checks are done. */
extern const char guest_name[];
void guest_main(void);

/* Count the check and print a FAIL line when it does not hold. Any CPU, not an NMI handler. */
void check_at(const char *file, int line, bool holds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define check(...) check_at(__FILE__, __LINE__, __VA_ARGS__)

/* End the guest: RESULT line, then port 0xf4 (exit code 1 pass, 3 fail, 5 skip). */
void test_finish(void) __attribute__((noreturn));
/* Say that a part of the checks is left out here, and why. */
void not_checked(const char *what);
void test_skip(const char *reason) __attribute__((noreturn));
void test_abort(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Value of "name=" on the command line, or fallback. */
uint64_t option(const char *name, uint64_t fallback);
const char *command_line(void);
/* What the firmware left, before the runtime set it up anew. */
struct firmware_state {
	uint32_t svr, lint0, lint1;
	uint16_t pic_mask;
};
const struct firmware_state *firmware_left(void);
/* KiB of memory below 4G above 1M, from the multiboot information; 0 when not told. */
uint32_t memory_upper_kib(void);

#endif
