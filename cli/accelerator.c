/* SPDX-License-Identifier: MIT */
/* The choice of QEMU's accelerator: what the machine offers, what the emulator's version can do. */
#include "cli/accelerator.h"

#include "cli/cli.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* With a thread for each CPU, QEMU 7.2 faults on mapped pages; 10.0 does not (docs/CAVEATS.md). */
#define RELIABLE_VERSION    10
#define VERSION_TIMEOUT_MS  5000
#define VERSION_LINE_PREFIX "QEMU emulator version "

#define CPUID_ENTRY_MAX    256
#define CPUID_AMD_FEATURES 0x80000001u
#define CPUID_AMD_ECX_SVM  (1u << 2)

static bool lists_svm(int kvm)
{
	struct kvm_cpuid2 *cpuid =
	    cli_allocate(sizeof(*cpuid) + CPUID_ENTRY_MAX * sizeof(cpuid->entries[0]));
	bool found = false;

	cpuid->nent = CPUID_ENTRY_MAX;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0) {
		for (uint32_t i = 0; i < cpuid->nent; i++)
			found = found || (cpuid->entries[i].function == CPUID_AMD_FEATURES &&
			                     (cpuid->entries[i].ecx & CPUID_AMD_ECX_SVM));
	}
	free(cpuid);
	return found;
}

/* A /dev/kvm may open and yet offer no virtualization to its guests. */
static bool kvm_offers_svm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool found;

	if (kvm < 0)
		return false;
	found = lists_svm(kvm);
	close(kvm);
	return found;
}

/* The first line that `PROGRAM --version` prints into @pipe, in @line. */
static void read_first_line(int pipe, char *line, size_t size)
{
	struct pollfd input = {.fd = pipe, .events = POLLIN};
	size_t used = 0;

	while (used + 1 < size && poll(&input, 1, VERSION_TIMEOUT_MS) > 0) {
		ssize_t got = read(pipe, line + used, size - 1 - used);

		if (got <= 0)
			break;
		used += (size_t)got;
		if (memchr(line, '\n', used))
			break;
	}
	line[used] = 0;
}

/* 0 when @program does not say: it is missing, or no QEMU; its start will tell. */
static unsigned long major_version(const char *program)
{
	char *const arguments[] = {(char *)program, "--version", NULL};
	posix_spawn_file_actions_t actions;
	char line[128] = "";
	int pipe[2];
	pid_t process;

	if (pipe2(pipe, O_CLOEXEC))
		return 0;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&process, program, &actions, NULL, arguments, environ) == 0) {
		close(pipe[1]);
		read_first_line(pipe[0], line, sizeof(line));
		kill(process, SIGKILL);
		waitpid(process, NULL, 0);
	} else {
		close(pipe[1]);
	}
	posix_spawn_file_actions_destroy(&actions);
	close(pipe[0]);
	if (strncmp(line, VERSION_LINE_PREFIX, strlen(VERSION_LINE_PREFIX)))
		return 0;
	return strtoul(line + strlen(VERSION_LINE_PREFIX), NULL, 10);
}

static const char *choose_tcg(const struct run_options *options)
{
	unsigned long version;
	char *program;

	/* -icount has one thread anyway. */
	if (options->wants_icount)
		return "tcg";
	if (options->accelerator == ACCELERATOR_TCG_SINGLE || options->pcpu_count == 1)
		return "tcg,thread=single";
	if (options->accelerator == ACCELERATOR_TCG_MULTI)
		return "tcg,thread=multi";
	program = cli_find_program(options->emulator);
	version = program ? major_version(program) : 0;
	free(program);
	return version >= RELIABLE_VERSION ? "tcg,thread=multi" : "tcg,thread=single";
}

const char *accelerator_choose(const struct run_options *options, int *status)
{
	bool may_use_kvm = !options->wants_icount && (options->accelerator == ACCELERATOR_AUTO ||
	                                                 options->accelerator == ACCELERATOR_KVM);

	*status = CLI_OK;
	if (may_use_kvm && kvm_offers_svm())
		return "kvm";
	if (options->accelerator == ACCELERATOR_KVM && may_use_kvm)
		*status = cli_fail(CLI_NOT_SUPPORTED, "not supported here: /dev/kvm does not open or "
		                                      "does not offer SVM; use --accel=tcg");
	return choose_tcg(options);
}
