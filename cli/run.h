/* SPDX-License-Identifier: MIT */
/* The steps that every command which boots guests has in common. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/control.h"
#include "cli/options.h"

/*
 * Check @options, make the bundle in a temporary folder, run, clean up. As session_run() for
 * the other arguments.
 */
int run_guests(struct run_options *options, FILE *console, struct control *control);

/*
 * The same with the console on standard output, the log and the tables as the options say.  @control is
 * made here, and is the caller's to free whatever is returned.
 */
int run_with_control(struct run_options *options, struct control *control);

#endif
