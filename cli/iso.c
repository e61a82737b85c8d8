/* SPDX-License-Identifier: MIT */
/* Makes a bootable ISO image of Posthorn and its bundle. */
#include "cli/iso.h"

#include "cli/bundle.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char grub_config[] = "set timeout=0\n"
                                  "menuentry \"Posthorn\" {\n"
                                  "\tmultiboot /boot/posthorn.elf\n"
                                  "\tmodule /boot/bundle\n"
                                  "}\n";

static const char *const folders[] = {"boot", "boot/grub"};

static int make_folders(const char *folder)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *path = cli_format("%s/%s", folder, folders[i]);
		int result = mkdir(path, 0755);

		free(path);
		if (result)
			return cli_fail(CLI_IO_ERROR,
			    "cannot make a folder in '%s': %s; set TMPDIR", folder,
			    strerror(errno));
	}
	return CLI_OK;
}

static int write_grub_config(const char *folder)
{
	char *path = cli_format("%s/boot/grub/grub.cfg", folder);
	FILE *file = fopen(path, "w");
	bool written = file && fputs(grub_config, file) >= 0;

	if (file)
		written = fclose(file) == 0 && written;
	free(path);
	return written ? CLI_OK
	               : cli_fail(CLI_IO_ERROR, "cannot write in '%s'; set TMPDIR", folder);
}

static int copy_file(const char *from, const char *to)
{
	int source = open(from, O_RDONLY | O_CLOEXEC);
	int target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t size = source >= 0 && target >= 0 ? 1 : -1;

	while (size > 0)
		size = sendfile(target, source, NULL, 1 << 20);
	if (size < 0)
		cli_fail(CLI_IO_ERROR, "cannot copy '%s' to '%s': %s", from, to, strerror(errno));
	if (source >= 0)
		close(source);
	if (target >= 0)
		close(target);
	return size < 0 ? CLI_IO_ERROR : CLI_OK;
}

static int copy_hypervisor(const struct run_options *options, const char *folder)
{
	char *path = cli_format("%s/boot/posthorn.elf", folder);
	int status = copy_file(options->hypervisor, path);

	free(path);
	return status;
}

static int write_bundle(const struct run_options *options, const char *folder)
{
	char *path = cli_format("%s/boot/bundle", folder);
	int status = bundle_write(options, path);

	free(path);
	return status;
}

static void become_maker(const char *program, const char *output, const char *folder)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	/* Its progress report is of no interest; its failure shows by its status. */
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl(program, program, "-o", output, folder, (char *)NULL);
	_exit(CLI_NO_EMULATOR);
}

static int run_maker(const char *program, const char *output, const char *folder)
{
	int status = -1;
	pid_t process = fork();

	if (process == 0)
		become_maker(program, output, folder);
	if (process < 0 || waitpid(process, &status, 0) < 0)
		return cli_fail(CLI_IO_ERROR, "cannot run %s: %s", program, strerror(errno));
	if (session_interrupted())
		return cli_fail(CLI_INTERRUPTED, "interrupted");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return cli_fail(CLI_IO_ERROR,
		    "grub-mkrescue could not write '%s'; check the folder, and 'apt-get install "
		    "grub-pc-bin xorriso mtools'",
		    output);
	return CLI_OK;
}

int iso_write(const struct run_options *options, const char *folder)
{
	char *program = cli_find_program("grub-mkrescue");
	int status;

	if (!program)
		return cli_fail(CLI_NO_EMULATOR, "no grub-mkrescue; install it by 'apt-get install "
		                                 "grub-common grub-pc-bin xorriso mtools'");
	status = make_folders(folder);
	if (status == CLI_OK)
		status = write_grub_config(folder);
	if (status == CLI_OK)
		status = copy_hypervisor(options, folder);
	if (status == CLI_OK)
		status = write_bundle(options, folder);
	if (status == CLI_OK)
		status = run_maker(program, options->iso_path, folder);
	free(program);
	return status;
}
