/* SPDX-License-Identifier: MIT */
/* The `posthorn` command: hands its arguments to one of the commands. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: posthorn COMMAND [OPTION]...\n"
    "Run virtual machines under the Posthorn hypervisor.\n"
    "\n"
    "Commands:\n"
    "  run      boot guests under Posthorn in an emulator\n"
    "  bench    measure the cost of interrupt delivery against the anchors\n"
    "  lab      explore races of the delivery core (not supported yet)\n"
    "  trace    run guests, or read a log, and show the delivery events as a timeline\n"
    "\n"
    "  -h, --help     display this help and exit\n"
    "  -V, --version  output version information and exit\n"
    "\n"
    "'posthorn COMMAND --help' describes a command and its exit statuses.\n";

static bool wants_help(int argc, char **argv)
{
	return argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
}

/* The race lab is a program of its own; it explains its own options. */
static int run_lab(int argc, char **argv)
{
	char *program = cli_beside_executable("posthorn-lab");

	if (access(program, X_OK) == 0) {
		execv(program, argv);
		argc = cli_fail(CLI_IO_ERROR, "cannot run %s: %s", program, strerror(errno));
		free(program);
		return argc;
	}
	free(program);
	if (wants_help(argc, argv)) {
		puts("Usage: posthorn lab [OPTION]...\nExplore races. Not supported yet.");
		return CLI_OK;
	}
	return cli_fail(CLI_NOT_SUPPORTED, "not supported yet: lab (no posthorn-lab is built)");
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cli_run},
    {"bench", cli_bench},
    {"lab", run_lab},
    {"trace", cli_trace},
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(help_text, stderr);
		return CLI_USAGE;
	}
	if (wants_help(argc, argv)) {
		fputs(help_text, stdout);
		return CLI_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("posthorn " POSTHORN_VERSION);
		return CLI_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	return cli_fail(CLI_USAGE, "no command '%s'; try 'posthorn --help'", argv[1]);
}
