/* SPDX-License-Identifier: MIT */
/* The user's terminal: raw while a guest has it, always restored. */
#include "cli/terminal.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved_mode;
static bool is_raw;

void terminal_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
	is_raw = false;
}

bool terminal_make_raw(void)
{
	static bool is_registered;
	struct termios mode;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_mode))
		return false;
	mode = saved_mode;
	cfmakeraw(&mode);
	/* Our own messages end lines with a line feed only. */
	mode.c_oflag |= OPOST | ONLCR;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &mode))
		return false;
	is_raw = true;
	if (!is_registered)
		atexit(terminal_restore);
	is_registered = true;
	return true;
}
