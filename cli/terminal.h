/* SPDX-License-Identifier: MIT */
/* The user's terminal: raw while a guest has it, always restored. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* Put standard input's terminal into raw mode; false when it is no terminal. Undone at exit. */
bool terminal_make_raw(void);

/* Give the terminal back as it was found; harmless when it was not changed. */
void terminal_restore(void);

#endif
