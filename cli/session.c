/* SPDX-License-Identifier: MIT */
/* One run of the emulator, from its start to its end: terminal, signals, time. */
#include "cli/session.h"

#include "cli/emulator.h"
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INPUT_SIZE      256
#define OUTPUT_SIZE     4096
#define ESCAPE_KEY      0x01 /* Ctrl-A */
#define TABLES_WAIT_MS  300
#define BOCHS_WAIT_MS   3000 /* its serial port is as slow as a real one */
#define STOP_WAIT_MS    3000
#define TAIL_OF_PANIC   CONTROL_TAIL_COUNT
#define TAIL_OF_REFUSAL 3

/* QEMU's isa-debug-exit turns value v into status (v << 1) | 1. */
#define EXIT_NORMAL   33
#define EXIT_ABNORMAL 35
#define EXIT_PANIC    37
#define EXIT_REFUSED  39

enum source {
	SOURCE_SIGNAL,
	SOURCE_CONTROL,
	SOURCE_CONSOLE,
	SOURCE_INPUT,
	SOURCE_COUNT,
};

/* Why the session itself ends the emulator. */
enum ending {
	ENDING_NONE,
	ENDING_USER,
	ENDING_SIGNAL,
	ENDING_TIMEOUT,
	ENDING_OUTPUT,
};

struct session {
	const struct run_options *options;
	struct control *control;
	struct emulator emulator;
	FILE *console;
	int signals;
	bool has_terminal;
	bool input_is_open;
	bool input_is_held; /* until the guest's first output: before, its UART would drop it */
	bool escape_is_pending;
	bool emulator_has_ended;
	int wait_status;
	enum ending ending;
	uint32_t focus;
	char pending[INPUT_SIZE]; /* input that the guest's UART has not taken yet */
	size_t pending_size;
	int64_t tables_at; /* when to print the tables asked for; 0 = not asked */
	int64_t deadline;  /* of the whole run; 0 = none */
	int64_t kill_at;   /* when patience with "stop" ends; 0 = not asked */
};

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGCHLD);
}

void session_block_signals(void)
{
	sigset_t set;

	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool session_interrupted(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) ||
	       sigismember(&set, SIGHUP) || sigismember(&set, SIGQUIT);
}

static void kill_emulator(struct session *session)
{
	/* Its own process group: helpers of the emulator go with it. */
	kill(-session->emulator.process, SIGKILL);
	kill(session->emulator.process, SIGKILL);
}

static void end(struct session *session, enum ending ending)
{
	if (session->ending == ENDING_NONE)
		session->ending = ending;
	kill_emulator(session);
}

static void say(struct session *session, const char *command)
{
	/* QEMU's is a socket, Bochs's a terminal; SIGPIPE is ignored. */
	ssize_t written = write(session->emulator.control, command, strlen(command));

	/* A full channel means that Posthorn does not listen; then nothing is lost by this. */
	(void)written;
}

/* Let Posthorn stop its VMs and print their tables; it has a moment for that. */
static void stop(struct session *session, enum ending ending)
{
	if (session->kill_at) {
		end(session, ending);
		return;
	}
	session->ending = ending;
	session->deadline = 0;
	session->kill_at = now_ms() + STOP_WAIT_MS;
	say(session, "stop\n");
}

static void show_keys(void)
{
	fputs("\nCtrl-A X  leave (twice: at once)   Ctrl-A N  next VM   Ctrl-A T  delivery tables\n"
	      "Ctrl-A R  trace so far   Ctrl-A H  this   Ctrl-A Ctrl-A  send Ctrl-A\n",
	    stderr);
}

static void focus_next(struct session *session)
{
	char command[VM_NAME_SIZE + 8];
	const char *name;

	session->focus = (session->focus + 1) % session->options->vm_count;
	name = session->options->vms[session->focus].name;
	snprintf(command, sizeof(command), "focus %s\n", name);
	say(session, command);
	fprintf(stderr, "\nposthorn: the keyboard is with %s\n", name);
}

static int tables_wait_ms(const struct session *session)
{
	return session->options->host == HOST_BOCHS_VMX ? BOCHS_WAIT_MS : TABLES_WAIT_MS;
}

static void take_escape(struct session *session, char key)
{
	switch (key) {
	case 'x':
	case 'X':
		stop(session, ENDING_USER);
		break;
	case 'n':
	case 'N':
		focus_next(session);
		break;
	case 't':
	case 'T':
		say(session, "tables\n");
		session->tables_at = now_ms() + tables_wait_ms(session);
		break;
	case 'r':
	case 'R':
		say(session, "trace\n");
		break;
	case 'h':
	case 'H':
	case '?':
		show_keys();
		break;
	case ESCAPE_KEY:
		session->pending[session->pending_size++] = key;
		break;
	default:
		break;
	}
}

static void take_key(struct session *session, char key)
{
	if (session->escape_is_pending) {
		session->escape_is_pending = false;
		take_escape(session, key);
	} else if (session->has_terminal && key == ESCAPE_KEY) {
		session->escape_is_pending = true;
	} else {
		session->pending[session->pending_size++] = key;
	}
}

static void read_input(struct session *session)
{
	char bytes[INPUT_SIZE];
	ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes) - session->pending_size);

	if (size <= 0) {
		session->input_is_open = size < 0 && (errno == EAGAIN || errno == EINTR);
		return;
	}
	for (ssize_t i = 0; i < size; i++)
		take_key(session, bytes[i]);
}

static void write_pending(struct session *session)
{
	ssize_t written =
	    write(session->emulator.console, session->pending, session->pending_size);

	if (written <= 0)
		return;
	session->pending_size -= (size_t)written;
	memmove(session->pending, session->pending + written, session->pending_size);
}

/* Pass on what has arrived; false at the end of the channel. */
static bool read_channel(struct session *session, int channel)
{
	char bytes[OUTPUT_SIZE];
	ssize_t size = read(channel, bytes, sizeof(bytes));

	if (size < 0)
		return errno == EAGAIN || errno == EINTR;
	if (channel == session->emulator.control) {
		control_feed(session->control, bytes, (size_t)size);
	} else if (size) {
		session->input_is_held = false;
		fwrite(bytes, 1, (size_t)size, session->console);
		if (fflush(session->console))
			end(session, ENDING_OUTPUT);
	}
	return size > 0;
}

static void read_signal(struct session *session)
{
	struct signalfd_siginfo signal_info;

	if (read(session->signals, &signal_info, sizeof(signal_info)) != sizeof(signal_info))
		return;
	if (signal_info.ssi_signo != SIGCHLD)
		end(session, ENDING_SIGNAL);
	else if (waitpid(session->emulator.process, &session->wait_status, WNOHANG) > 0)
		session->emulator_has_ended = true;
}

/* Act on what is due; returns the milliseconds until the next is, -1 for none. */
static int run_timers(struct session *session)
{
	int64_t now = now_ms(), next = 0;

	if (session->tables_at && now >= session->tables_at) {
		session->tables_at = 0;
		tables_print(&session->control->tables, stderr);
	}
	if (session->deadline && now >= session->deadline)
		stop(session, ENDING_TIMEOUT);
	if (session->kill_at && now >= session->kill_at) {
		session->kill_at = 0;
		kill_emulator(session);
	}
	if (session->tables_at)
		next = session->tables_at;
	if (session->deadline && (!next || session->deadline < next))
		next = session->deadline;
	if (session->kill_at && (!next || session->kill_at < next))
		next = session->kill_at;
	return next ? (int)(next - now) : -1;
}

static void wait_once(struct session *session)
{
	struct pollfd polls[SOURCE_COUNT] = {
	    [SOURCE_SIGNAL] = {.fd = session->signals, .events = POLLIN},
	    [SOURCE_CONTROL] = {.fd = session->emulator.control, .events = POLLIN},
	    [SOURCE_CONSOLE] = {.fd = session->emulator.console, .events = POLLIN},
	    [SOURCE_INPUT] = {.fd = -1, .events = POLLIN},
	};

	if (session->pending_size)
		polls[SOURCE_CONSOLE].events |= POLLOUT;
	/* One free place more than a key needs; else the guest has to take some first. */
	if (session->input_is_open && !session->input_is_held &&
	    session->pending_size < INPUT_SIZE - 1)
		polls[SOURCE_INPUT].fd = STDIN_FILENO;
	if (poll(polls, SOURCE_COUNT, run_timers(session)) <= 0)
		return;
	if (polls[SOURCE_CONTROL].revents && !read_channel(session, session->emulator.control)) {
		close(session->emulator.control);
		session->emulator.control = -1;
	}
	if (polls[SOURCE_CONSOLE].revents & POLLOUT)
		write_pending(session);
	if (polls[SOURCE_CONSOLE].revents & (POLLIN | POLLHUP | POLLERR) &&
	    !read_channel(session, session->emulator.console)) {
		close(session->emulator.console);
		session->emulator.console = -1;
	}
	if (polls[SOURCE_INPUT].revents)
		read_input(session);
	if (polls[SOURCE_SIGNAL].revents)
		read_signal(session);
}

/* What the emulator wrote before it ended is still in the sockets. */
static void drain(struct session *session)
{
	int channels[] = {session->emulator.console, session->emulator.control};

	for (size_t i = 0; i < 2; i++) {
		struct pollfd ready = {.fd = channels[i], .events = POLLIN};

		if (channels[i] < 0)
			continue;
		while (poll(&ready, 1, 0) > 0 && read_channel(session, channels[i]))
			;
		close(channels[i]);
	}
	control_feed(session->control, "\n", 1);
}

static int status_of_emulator(const struct session *session)
{
	int code = WIFEXITED(session->wait_status) ? WEXITSTATUS(session->wait_status) : -1;

	/* Bochs has no device that says how it ended. */
	if (session->options->host == HOST_BOCHS_VMX && session->control->has_ended)
		code = (int)(session->control->end_status << 1 | 1);
	switch (code) {
	case EXIT_NORMAL:
	case EXIT_ABNORMAL:
		return control_status(session->control, session->options->vm_count);
	case EXIT_PANIC:
		control_print_tail(session->control, TAIL_OF_PANIC);
		return cli_fail(CLI_PANIC, "Posthorn panicked; its last words are above");
	case EXIT_REFUSED:
		control_print_tail(session->control, TAIL_OF_REFUSAL);
		return cli_fail(CLI_REFUSED, "Posthorn refused its configuration");
	default:
		control_print_tail(session->control, TAIL_OF_PANIC);
		if (code >= 0)
			return cli_fail(CLI_IO_ERROR, "the emulator ended with status %d", code);
		return cli_fail(CLI_IO_ERROR, "the emulator was killed by signal %d",
		    WTERMSIG(session->wait_status));
	}
}

static int status_of(const struct session *session)
{
	switch (session->ending) {
	case ENDING_USER:
		return CLI_OK;
	case ENDING_SIGNAL:
		return cli_fail(CLI_INTERRUPTED, "interrupted");
	case ENDING_TIMEOUT:
		return cli_fail(
		    CLI_TIMEOUT, "stopped after %u seconds", session->options->timeout_seconds);
	case ENDING_OUTPUT:
		return cli_fail(CLI_IO_ERROR, "cannot write the guest's output");
	default:
		return status_of_emulator(session);
	}
}

int session_run(
    const struct run_options *options, const char *bundle, FILE *console, struct control *control)
{
	struct session session = {.options = options, .control = control, .console = console};
	sigset_t set;
	int status = emulator_start(&session.emulator, options, bundle);

	if (status != CLI_OK)
		return status;
	ending_signals(&set);
	session.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	session.input_is_open = console == stdout;
	if (options->timeout_seconds)
		session.deadline = now_ms() + (int64_t)options->timeout_seconds * 1000;
	session.has_terminal = console == stdout && terminal_make_raw();
	session.input_is_held = !session.has_terminal;
	while (!session.emulator_has_ended)
		wait_once(&session);
	drain(&session);
	terminal_restore();
	close(session.signals);
	return status_of(&session);
}
