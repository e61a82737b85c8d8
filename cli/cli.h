/* SPDX-License-Identifier: MIT */
/* What every file of the `posthorn` command shares: exit statuses, messages, small helpers. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POSTHORN_VERSION "0.1.0"

/*
 * Exit statuses of the command's own. All but 0 are even and 64 or more: a guest's debug-exit
 * code, (v << 1) | 1, is always odd, so neither can be taken for the other.
 */
enum cli_status {
	CLI_OK = 0,
	CLI_USAGE = 64,
	CLI_BAD_INPUT = 66,
	CLI_NO_EMULATOR = 68,
	CLI_PANIC = 70,
	CLI_VM_ABNORMAL = 72,
	CLI_IO_ERROR = 74,
	CLI_REFUSED = 76,
	CLI_NOT_SUPPORTED = 78,
	CLI_TIMEOUT = 124,
	CLI_INTERRUPTED = 130,
};

/* Print "posthorn: MESSAGE" as one line on standard error; returns @status. */
__attribute__((format(printf, 2, 3))) int cli_fail(enum cli_status status, const char *format, ...);

/* As malloc, strdup, asprintf, but never NULL: out of memory ends the process. Caller frees. */
void *cli_allocate(size_t size);
char *cli_duplicate(const char *text);
__attribute__((format(printf, 1, 2))) char *cli_format(const char *format, ...);

/* Parse a whole decimal number within [min, max]; false otherwise. */
bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* Parse bytes with an optional K, M or G suffix; false when malformed, zero or too large. */
bool cli_parse_size(const char *text, uint64_t *bytes);

/* The path of @name beside the running executable. Caller frees. */
char *cli_beside_executable(const char *name);

/* The path of program @name by PATH (or @name itself when it has a slash), NULL when missing. */
char *cli_find_program(const char *name);

/* The commands; each takes its own name in argv[0] and returns the process's exit status. */
int cli_run(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_trace(int argc, char **argv);

#endif
