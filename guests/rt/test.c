/* SPDX-License-Identifier: MIT */
/* Checks, the result line and the exit code of a guest. */
#include <stdarg.h>

#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/test.h"

#define DEBUG_EXIT_PORT 0xf4
#define EXIT_PASS       0
#define EXIT_FAIL       1
#define EXIT_SKIP       2
/* How many failed checks are printed. */
#define FAILURE_PRINT_MAX 50u

static volatile uint32_t check_count;
static volatile uint32_t failure_count;

static void debug_exit(uint8_t value) __attribute__((noreturn));
static void debug_exit(uint8_t value)
{
	outb(DEBUG_EXIT_PORT, value);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void check_at(const char *file, int line, bool holds, const char *format, ...)
{
	va_list arguments;
	uint32_t number;

	__atomic_add_fetch(&check_count, 1, __ATOMIC_SEQ_CST);
	if (holds)
		return;
	/* All are counted; a console of thousands of lines would only hide the first. */
	number = __atomic_add_fetch(&failure_count, 1, __ATOMIC_SEQ_CST);
	if (number > FAILURE_PRINT_MAX)
		return;
	print("FAIL %s:%d: ", file, line);
	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
	print("\n");
}

void test_finish(void)
{
	bool is_pass = check_count && !failure_count;

	print("RESULT %s %s checks=%u failures=%u\n", guest_name, is_pass ? "PASS" : "FAIL",
	    check_count, failure_count);
	debug_exit(is_pass ? EXIT_PASS : EXIT_FAIL);
}

void not_checked(const char *what)
{
	print("NOT CHECKED %s\n", what);
}

void test_skip(const char *reason)
{
	print("SKIP %s\n", reason);
	print("RESULT %s SKIP %s\n", guest_name, reason);
	debug_exit(EXIT_SKIP);
}

void test_abort(const char *format, ...)
{
	va_list arguments;

	interrupts_disable();
	print("FAIL ");
	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
	print("\nRESULT %s FAIL checks=%u failures=%u aborted\n", guest_name, check_count,
	    failure_count + 1);
	debug_exit(EXIT_FAIL);
}
