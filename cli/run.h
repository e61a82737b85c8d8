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

#endif
