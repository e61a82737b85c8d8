/* SPDX-License-Identifier: MIT */
/* `posthorn run`: checks, bundles, boots, reports. */
#include "cli/run.h"

#include "cli/bundle.h"
#include "cli/emulator.h"
#include "cli/iso.h"
#include "cli/session.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FOLDER_MAX 8

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
	(void)facts;
	(void)kind;
	(void)place;
	return remove(path);
}

static void remove_folder(char *folder)
{
	nftw(folder, remove_entry, OPEN_FOLDER_MAX, FTW_DEPTH | FTW_PHYS);
	free(folder);
}

/* A new temporary folder, or NULL after one line on standard error. */
static char *make_folder(void)
{
	const char *parent = getenv("TMPDIR");
	char *folder;

	if (!parent || !*parent)
		parent = "/tmp";
	folder = cli_format("%s/posthorn.XXXXXX", parent);
	if (mkdtemp(folder))
		return folder;
	cli_fail(CLI_IO_ERROR, "cannot make a temporary folder in '%s': %s; set TMPDIR", parent,
	    strerror(errno));
	free(folder);
	return NULL;
}

static int print_command_line(const struct run_options *options)
{
	const char *bundle = options->bundle_path ? options->bundle_path : "posthorn.bundle";
	struct emulator_arguments arguments;
	int status = emulator_arguments_make(&arguments, options, bundle, -1, -1);

	if (status == CLI_OK)
		emulator_arguments_print(&arguments);
	emulator_arguments_free(&arguments);
	if (status == CLI_OK && options->bundle_path)
		status = bundle_write(options, options->bundle_path);
	return status;
}

/* Bochs boots from an image only; its script keeps its own files beside it. */
static int boot_iso(
    struct run_options *options, const char *folder, FILE *console, struct control *control)
{
	char *iso = cli_format("%s/posthorn.iso", folder);
	char *content = cli_format("%s/iso", folder);
	int status = CLI_OK;

	if (mkdir(content, 0755))
		status = cli_fail(CLI_IO_ERROR, "cannot make a folder in '%s': %s; set TMPDIR",
		    folder, strerror(errno));
	options->iso_path = iso;
	if (status == CLI_OK)
		status = iso_write(options, content);
	options->iso_path = NULL;
	setenv("TMPDIR", folder, 1);
	if (status == CLI_OK)
		status = session_run(options, iso, console, control);
	free(content);
	free(iso);
	return status;
}

static int boot(
    const struct run_options *options, const char *folder, FILE *console, struct control *control)
{
	char *bundle = options->bundle_path ? cli_duplicate(options->bundle_path)
	                                    : cli_format("%s/bundle", folder);
	int status = bundle_write(options, bundle);

	if (status == CLI_OK)
		status = session_run(options, bundle, console, control);
	free(bundle);
	return status;
}

int run_guests(struct run_options *options, FILE *console, struct control *control)
{
	int status = options_check(options);
	char *folder;

	if (status != CLI_OK)
		return status;
	if (options->is_dry_run)
		return print_command_line(options);
	session_block_signals();
	folder = make_folder();
	if (!folder)
		return CLI_IO_ERROR;
	if (options->iso_path)
		status = iso_write(options, folder);
	else if (options->host == HOST_BOCHS_VMX)
		status = boot_iso(options, folder, console, control);
	else
		status = boot(options, folder, console, control);
	remove_folder(folder);
	return status;
}

int run_with_control(struct run_options *options, struct control *control)
{
	FILE *log = NULL;
	int status;

	control_init(control, NULL, options->is_verbose);
	if (options->log_path) {
		log = fopen(options->log_path, "we");
		if (!log)
			return cli_fail(CLI_IO_ERROR, "cannot write the log '%s': %s",
			    options->log_path, strerror(errno));
	}
	control->log = log;
	status = run_guests(options, stdout, control);
	if (options->wants_tables)
		tables_print(&control->tables, stdout);
	control->log = NULL;
	if (log && fclose(log) && status == CLI_OK)
		status = cli_fail(CLI_IO_ERROR, "cannot write the log '%s'", options->log_path);
	return status;
}

static int run_with_log(struct run_options *options)
{
	struct control control;
	int status = run_with_control(options, &control);

	control_free(&control);
	return status;
}

int cli_run(int argc, char **argv)
{
	struct run_options options;
	int status;

	options_init(&options);
	status = options_parse(&options, argc, argv);
	if (status == CLI_OK && options.shows_help)
		fputs(run_help_text, stdout);
	else if (status == CLI_OK)
		status = run_with_log(&options);
	options_free(&options);
	return status;
}
