/* SPDX-License-Identifier: MIT */
/* The emulator's command line and its process. */
#ifndef CLI_EMULATOR_H
#define CLI_EMULATOR_H

#include "cli/options.h"

#include <sys/types.h>

#define EMULATOR_ARGUMENT_MAX 48

struct emulator_arguments {
	char *values[EMULATOR_ARGUMENT_MAX + 1]; /* NULL-terminated; each owned */
	uint32_t count;
};

/* Serial ports of a started emulator: COM1 and COM2, both ways. */
struct emulator {
	pid_t process;
	int console; /* non-blocking */
	int control;
};

/*
 * Make the command line for @bundle (Bochs: an ISO image that holds it). @console and @control are
 * file descriptors that the emulator inherits, or -1 for a line that a user can run by hand. 0 or
 * an exit status, after one line on standard error.
 */
int emulator_arguments_make(struct emulator_arguments *arguments, const struct run_options *options,
    const char *bundle, int console, int control);
void emulator_arguments_free(struct emulator_arguments *arguments);

/* Print the line quoted for a shell. */
void emulator_arguments_print(const struct emulator_arguments *arguments);

/* Start it in a process group of its own, to die with this process. 0 or an exit status. */
int emulator_start(
    struct emulator *emulator, const struct run_options *options, const char *bundle);

#endif
