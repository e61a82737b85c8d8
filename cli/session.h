/* SPDX-License-Identifier: MIT */
/* One run of the emulator, from its start to its end: terminal, signals, time. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/control.h"
#include "cli/options.h"

#include <stdio.h>

/*
 * Boot the checked @options with @bundle and wait for the end. Guest consoles go to @console;
 * the terminal is used only when @console is stdout. @control must be initialised and holds
 * what Posthorn said. Returns the exit status.
 */
int session_run(
    const struct run_options *options, const char *bundle, FILE *console, struct control *control);

/*
 * Block the signals that end a run, so that they are taken in order and temporary files go
 * away. session_interrupted() tells whether one is waiting.
 */
void session_block_signals(void);
bool session_interrupted(void);

#endif
