/* SPDX-License-Identifier: MIT */
/* `posthorn trace`: runs guests with the trace on, or reads the log of such a run, and shows it. */
#include "cli/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "Usage: posthorn trace [--json=FILE] [--last=N] [RUN-OPTION]...\n"
    "  or:  posthorn trace [--json=FILE] [--last=N] LOG\n"
    "Run guests as 'posthorn run' does, with each pCPU's last delivery events recorded, and show\n"
    "them as a timeline at the end; or show those in LOG, which 'posthorn run --trace --log=LOG'\n"
    "has written.\n"
    "\n"
    "      --json=FILE       save them for chrome://tracing or Perfetto, too\n"
    "      --last=N          show only the last N in the timeline (0: none)\n"
    "  -h, --help            display this help and exit\n"
    "\n"
    "The events: post (an interrupt was accepted, by vector), notify, kick and wake (how the\n"
    "vCPU was told), enter, inject, lap (the entry was abandoned), exit, window, block. On a\n"
    "terminal, Ctrl-A R brings out what has been recorded so far, to follow a long run.\n"
    "\n"
    "Exit status: as 'posthorn run'; 66 when LOG holds no trace.\n";

struct command {
	char *json;
	uint64_t last;
	bool shows_help;
	const char *log;
	int argc; /* what is left for `run` */
	char **argv;
};

/* "--NAME=VALUE" or "--NAME VALUE" at *index; NULL when it is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *index)
{
	size_t length = strlen(name);
	const char *argument = argv[*index];

	if (strncmp(argument, name, length))
		return NULL;
	if (argument[length] == '=')
		return argument + length + 1;
	if (argument[length] || *index + 1 == argc)
		return NULL;
	return argv[++*index];
}

static int parse(struct command *command, int argc, char **argv)
{
	const char *value;

	command->last = UINT64_MAX;
	command->argv = cli_allocate(((size_t)argc + 1) * sizeof(char *));
	command->argv[command->argc++] = argv[0];
	for (int i = 1; i < argc; i++) {
		if ((value = value_of("--json", argc, argv, &i))) {
			free(command->json);
			command->json = cli_duplicate(value);
		} else if ((value = value_of("--last", argc, argv, &i))) {
			if (!cli_parse_number(value, 0, UINT64_MAX, &command->last))
				return cli_fail(
				    CLI_USAGE, "--last must be a number, not '%s'", value);
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			command->shows_help = true;
		} else {
			command->argv[command->argc++] = argv[i];
		}
	}
	command->argv[command->argc] = NULL;
	if (command->argc == 2 && command->argv[1][0] != '-')
		command->log = command->argv[1];
	return CLI_OK;
}

static int show(const struct command *command, struct trace *trace)
{
	if (command->last)
		trace_print(trace, command->last, stdout);
	return command->json ? trace_write_json(trace, command->json) : CLI_OK;
}

static int show_log(const struct command *command)
{
	struct trace trace = {0};
	FILE *log = fopen(command->log, "re");
	char *line = NULL;
	size_t size = 0;
	int status = CLI_OK;

	if (!log)
		return cli_fail(
		    CLI_BAD_INPUT, "cannot read '%s': %s", command->log, strerror(errno));
	while (status == CLI_OK && getline(&line, &size, log) > 0) {
		line[strcspn(line, "\r\n")] = 0;
		if (!strncmp(line, "@trace", 6) && !trace_take(&trace, line))
			status = cli_fail(CLI_BAD_INPUT, "'%s' has a damaged line: %.60s",
			    command->log, line);
	}
	fclose(log);
	free(line);
	if (status == CLI_OK && !trace.khz)
		status = cli_fail(CLI_BAD_INPUT,
		    "'%s' holds no trace; 'posthorn run --trace --log=FILE' writes one",
		    command->log);
	if (status == CLI_OK)
		status = show(command, &trace);
	trace_free(&trace);
	return status;
}

static int run_and_show(const struct command *command)
{
	struct run_options options;
	struct control control;
	int status, shown = CLI_OK;

	options_init(&options);
	status = options_parse(&options, command->argc, command->argv);
	options.wants_trace = true;
	if (status == CLI_OK) {
		status = run_with_control(&options, &control);
		if (control.trace.khz)
			shown = show(command, &control.trace);
		control_free(&control);
	}
	options_free(&options);
	return status == CLI_OK ? shown : status;
}

int cli_trace(int argc, char **argv)
{
	struct command command = {0};
	int status = parse(&command, argc, argv);

	if (status == CLI_OK && command.shows_help)
		fputs(help_text, stdout);
	else if (status == CLI_OK)
		status = command.log ? show_log(&command) : run_and_show(&command);
	free(command.json);
	free(command.argv);
	return status;
}
