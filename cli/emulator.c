/* SPDX-License-Identifier: MIT */
/* The emulator's command line and its process. */
#include "cli/emulator.h"

#include "cli/accelerator.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void add(
    struct emulator_arguments *arguments, const char *format, ...)
{
	va_list values;
	char *text = NULL;

	va_start(values, format);
	if (vasprintf(&text, format, values) < 0 || arguments->count == EMULATOR_ARGUMENT_MAX)
		abort();
	va_end(values);
	arguments->values[arguments->count++] = text;
}

static void add_pair(struct emulator_arguments *arguments, const char *option, const char *value)
{
	add(arguments, "%s", option);
	add(arguments, "%s", value);
}

static void add_serial(
    struct emulator_arguments *arguments, const char *name, int descriptor, const char *by_hand)
{
	if (descriptor < 0) {
		add_pair(arguments, "-serial", by_hand);
		return;
	}
	add(arguments, "-chardev");
	add(arguments, "socket,id=%s,fd=%d", name, descriptor);
	add(arguments, "-serial");
	add(arguments, "chardev:%s", name);
}

/* A serial port of Bochs is a terminal's device, or by hand what the script does without. */
static void add_bochs_serial(
    struct emulator_arguments *arguments, const char *option, int descriptor)
{
	char name[64];

	if (descriptor >= 0 && ptsname_r(descriptor, name, sizeof(name)) == 0)
		add_pair(arguments, option, name);
}

static void bochs_arguments(struct emulator_arguments *arguments, const struct run_options *options,
    const char *iso, int console, int control)
{
	add(arguments, "%s", options->emulator);
	add(arguments, "-p");
	add(arguments, "%u", options->pcpu_count);
	add(arguments, "-m");
	add(arguments, "%llu", (unsigned long long)(options->host_memory >> 20));
	/* The session's own limit is the one that counts. */
	add_pair(arguments, "-t", "1000000");
	add_bochs_serial(arguments, "-c", console);
	add_bochs_serial(arguments, "-k", control);
	add(arguments, "%s", iso);
}

int emulator_arguments_make(struct emulator_arguments *arguments, const struct run_options *options,
    const char *bundle, int console, int control)
{
	const char *accelerator;
	int status;

	memset(arguments, 0, sizeof(*arguments));
	if (options->host == HOST_BOCHS_VMX) {
		bochs_arguments(arguments, options, bundle, console, control);
		return CLI_OK;
	}
	accelerator = accelerator_choose(options, &status);
	if (status != CLI_OK)
		return status;
	add(arguments, "%s", options->emulator);
	add_pair(arguments, "-machine", "pc");
	add_pair(arguments, "-accel", accelerator);
	add_pair(arguments, "-cpu", strcmp(accelerator, "kvm") ? "max" : "host");
	if (options->wants_icount)
		add_pair(arguments, "-icount", "shift=0,sleep=off");
	add(arguments, "-smp");
	add(arguments, "%u", options->pcpu_count);
	add(arguments, "-m");
	add(arguments, "%lluM", (unsigned long long)(options->host_memory >> 20));
	add_pair(arguments, "-kernel", options->hypervisor);
	add_pair(arguments, "-initrd", bundle);
	add_pair(arguments, "-device", "isa-debug-exit,iobase=0xf4,iosize=4");
	add_pair(arguments, "-display", "none");
	add(arguments, "-no-reboot");
	add(arguments, "-nodefaults");
	add_serial(arguments, "console", console, "stdio");
	add_serial(arguments, "control", control, "file:/dev/stderr");
	return CLI_OK;
}

void emulator_arguments_free(struct emulator_arguments *arguments)
{
	for (uint32_t i = 0; i < arguments->count; i++)
		free(arguments->values[i]);
}

static void print_quoted(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789-_=+:,./@%";

	if (*text && !text[strspn(text, plain)]) {
		fputs(text, stdout);
		return;
	}
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*text);
	}
	putchar('\'');
}

void emulator_arguments_print(const struct emulator_arguments *arguments)
{
	for (uint32_t i = 0; i < arguments->count; i++) {
		if (i)
			putchar(' ');
		print_quoted(arguments->values[i]);
	}
	putchar('\n');
}

/* In the child: nothing of ours but standard error and the two serial ports reaches it. */
static void become_emulator(const char *program, char **arguments, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have died before the line above. */
	if (getppid() != parent)
		_exit(CLI_INTERRUPTED);
	setpgid(0, 0);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execv(program, arguments);
	_exit(CLI_NO_EMULATOR);
}

/*
 * A terminal for Bochs, which opens it by name.  The other end stays open here, so that reading
 * does not fail before Bochs comes and what it wrote is still there when it has gone.
 */
static int make_terminal_pair(int pair[2])
{
	struct termios raw;
	char name[64];

	pair[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (pair[0] < 0 || grantpt(pair[0]) || unlockpt(pair[0]) ||
	    ptsname_r(pair[0], name, sizeof(name)))
		return cli_fail(CLI_IO_ERROR, "cannot make a terminal: %s", strerror(errno));
	pair[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pair[1] < 0 || tcgetattr(pair[1], &raw))
		return cli_fail(CLI_IO_ERROR, "cannot open '%s': %s", name, strerror(errno));
	cfmakeraw(&raw);
	tcsetattr(pair[1], TCSANOW, &raw);
	return CLI_OK;
}

static int make_socket_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return cli_fail(CLI_IO_ERROR, "cannot make a socket: %s", strerror(errno));
	/* Ours must never block the loop; the emulator's end is inherited. */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	fcntl(pair[1], F_SETFD, 0);
	return CLI_OK;
}

static int make_pair(const struct run_options *options, int pair[2])
{
	return options->host == HOST_BOCHS_VMX ? make_terminal_pair(pair) : make_socket_pair(pair);
}

static int spawn(struct emulator *emulator, const struct run_options *options, const char *bundle,
    const char *program, const int theirs[2])
{
	struct emulator_arguments arguments;
	pid_t parent = getpid();
	int status = emulator_arguments_make(&arguments, options, bundle, theirs[0], theirs[1]);

	if (status == CLI_OK) {
		emulator->process = fork();
		if (emulator->process == 0)
			become_emulator(program, arguments.values, parent);
		if (emulator->process < 0)
			status =
			    cli_fail(CLI_IO_ERROR, "cannot start a process: %s", strerror(errno));
	}
	emulator_arguments_free(&arguments);
	return status;
}

int emulator_start(struct emulator *emulator, const struct run_options *options, const char *bundle)
{
	char *program = cli_find_program(options->emulator);
	int console[2], control[2], theirs[2];
	int status;

	if (!program)
		return cli_fail(CLI_NO_EMULATOR,
		    "no emulator '%s'; install it by 'apt-get install qemu-system-x86'",
		    options->emulator);
	status = make_pair(options, console);
	if (status == CLI_OK)
		status = make_pair(options, control);
	if (status == CLI_OK) {
		theirs[0] = options->host == HOST_BOCHS_VMX ? console[0] : console[1];
		theirs[1] = options->host == HOST_BOCHS_VMX ? control[0] : control[1];
		status = spawn(emulator, options, bundle, program, theirs);
		if (options->host == HOST_QEMU_SVM) {
			close(console[1]);
			close(control[1]);
		}
		emulator->console = console[0];
		emulator->control = control[0];
	}
	free(program);
	return status;
}
