/* SPDX-License-Identifier: MIT */
/*
 * Self-test of a Linux guest's interrupts, run by the initrd's init: CPUs, timer, IPIs, UART,
 * clocks. Prints a SELFTEST line per check and leaves by the debug-exit port (0 = all passed).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/rtc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CPU_MAX            64
#define DEBUG_EXIT_PORT    0xf4
#define TICK_COUNT_MIN     10
#define TICK_DEADLINE_MS   20000
#define PING_COUNT         200
#define PING_IPI_MIN       20
#define CALL_COUNT         100
#define CALL_DEADLINE_MS   20000
#define UART_LINE          64
#define UART_LINE_COUNT    8
#define SLEEP_LATE_MS      250
#define SLEEP_TRIES        3
#define CLOCK_TOLERANCE_MS 25 /* /proc/uptime counts hundredths */
#define RTC_SECONDS        2
#define RTC_DEADLINE_MS    5000
#define WATCHDOG_SECONDS   150
#define PM_TIMER_HZ        3579545.0
#define FADT_PM_TMR_BLK    76

struct row {
	long count[CPU_MAX];
};

struct worker {
	pthread_t thread;
	int cpu;
	int in, out;
	long ticks;
};

static int cpu_count;
static int failed_count;
static int check_count;

__attribute__((format(printf, 3, 4))) static void report(
    bool passed, const char *name, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("SELFTEST %s: %s: ", passed ? "PASS" : "FAIL", name);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
	fflush(stdout);
	check_count++;
	failed_count += !passed;
}

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

/* Add the counts of every row of /proc/interrupts whose text holds @key; false when none does. */
static bool add_interrupt_rows(const char *key, struct row *row)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[4096];
	bool found = false;

	while (file && fgets(line, sizeof(line), file)) {
		char *at = strchr(line, ':');

		if (!at || !strstr(line, key))
			continue;
		found = true;
		at++;
		for (int cpu = 0; cpu < cpu_count; cpu++)
			row->count[cpu] += strtol(at, &at, 10);
	}
	if (file)
		fclose(file);
	return found;
}

static struct row read_rows(const char *const keys[])
{
	struct row row = {{0}};

	for (; *keys; keys++)
		add_interrupt_rows(*keys, &row);
	return row;
}

static const char *const local_timer_keys[] = {"LOC:", NULL};
/* A wake-up of another CPU may travel as a reschedule or as a function-call IPI. */
static const char *const ipi_keys[] = {"RES:", "CAL:", "TLB:", NULL};
static const char *const call_keys[] = {"CAL:", NULL};

/* Write " cpuI +N" for each CPU into @text; returns the least growth. */
static long describe_growth(
    const struct row *before, const struct row *after, char *text, size_t size)
{
	long least = 0;
	size_t used = 0;

	text[0] = 0;
	for (int cpu = 0; cpu < cpu_count; cpu++) {
		long growth = after->count[cpu] - before->count[cpu];

		if (!cpu || growth < least)
			least = growth;
		if (used < size)
			used +=
			    (size_t)snprintf(text + used, size - used, " cpu%d +%ld", cpu, growth);
	}
	return least;
}

static int command_line_number(const char *key, int otherwise)
{
	FILE *file = fopen("/proc/cmdline", "r");
	char line[4096] = "";
	char *at;

	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = 0;
		fclose(file);
	}
	at = strstr(line, key);
	return at ? atoi(at + strlen(key)) : otherwise;
}

static void check_cpus(void)
{
	int configured = (int)sysconf(_SC_NPROCESSORS_CONF);
	int wanted = command_line_number("posthorn.cpus=", configured);

	report(cpu_count == wanted, "cpus", "%d of %d up", cpu_count, wanted);
}

static void *spin_until_ticks(void *argument)
{
	struct worker *worker = argument;
	double deadline = now_ms() + TICK_DEADLINE_MS;
	long start;

	pin_to(worker->cpu);
	start = read_rows(local_timer_keys).count[worker->cpu];
	do {
		for (volatile int i = 0; i < 100000; i++)
			;
		worker->ticks = read_rows(local_timer_keys).count[worker->cpu] - start;
	} while (worker->ticks < TICK_COUNT_MIN && now_ms() < deadline);
	return NULL;
}

/* All CPUs at once, so that a timer lost on one CPU while another is busy shows. */
static void check_timer(void)
{
	struct worker workers[CPU_MAX] = {0};
	char text[1024];
	size_t used = 0;
	bool passed = true;
	double start = now_ms();

	for (int cpu = 0; cpu < cpu_count; cpu++) {
		workers[cpu].cpu = cpu;
		pthread_create(&workers[cpu].thread, NULL, spin_until_ticks, &workers[cpu]);
	}
	for (int cpu = 0; cpu < cpu_count; cpu++) {
		pthread_join(workers[cpu].thread, NULL);
		passed = passed && workers[cpu].ticks >= TICK_COUNT_MIN;
		if (used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, " cpu%d +%ld",
			    cpu, workers[cpu].ticks);
	}
	report(passed, "timer", "LOC%s in %.0f ms (at least +%d each)", text, now_ms() - start,
	    TICK_COUNT_MIN);
}

static void *echo_bytes(void *argument)
{
	struct worker *worker = argument;
	char byte;

	pin_to(worker->cpu);
	while (read(worker->in, &byte, 1) == 1) {
		if (write(worker->out, &byte, 1) != 1)
			break;
	}
	return NULL;
}

/* Bounce a byte between @from and @to; both sleep in between, so each wake-up is an IPI. */
static bool ping_pong(int from, int to)
{
	int there[2], back[2];
	struct worker echo = {.cpu = to};
	char byte = 'p';
	int done = 0;

	if (pipe(there) || pipe(back))
		return false;
	echo.in = there[0];
	echo.out = back[1];
	pthread_create(&echo.thread, NULL, echo_bytes, &echo);
	pin_to(from);
	while (done < PING_COUNT && write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1)
		done++;
	close(there[1]);
	pthread_join(echo.thread, NULL);
	close(there[0]);
	close(back[0]);
	close(back[1]);
	return done == PING_COUNT;
}

static void check_wakeup_ipis(void)
{
	struct row before = read_rows(ipi_keys), after;
	bool complete = true;
	char text[1024];
	long least;

	for (int cpu = 0; cpu < cpu_count; cpu++)
		complete = ping_pong(cpu, (cpu + 1) % cpu_count) && complete;
	after = read_rows(ipi_keys);
	least = describe_growth(&before, &after, text, sizeof(text));
	report(complete && least >= PING_IPI_MIN, "ipi-wake",
	    "RES+CAL+TLB%s by %d round trips to each neighbour (at least +%d each)", text,
	    PING_COUNT, PING_IPI_MIN);
}

static atomic_bool spinners_stop;
static atomic_int spinners_started;

static void *spin(void *argument)
{
	const struct worker *worker = argument;

	pin_to(worker->cpu);
	atomic_fetch_add(&spinners_started, 1);
	while (!atomic_load(&spinners_stop))
		;
	return NULL;
}

static int membarrier(int command)
{
	return (int)syscall(__NR_membarrier, command, 0, 0);
}

static long least_call_growth(const struct row *before)
{
	struct row now = read_rows(call_keys);
	long least = CALL_COUNT;

	for (int cpu = 1; cpu < cpu_count; cpu++) {
		long growth = now.count[cpu] - before->count[cpu];

		least = growth < least ? growth : least;
	}
	return least;
}

/*
 * An expedited membarrier interrupts each other CPU that runs this process at that moment and
 * returns only after all have answered: a function-call IPI for each call and spinning CPU. A
 * kernel thread may stand on the CPU instead, so call until each CPU had its share.
 */
static void check_call_ipis(void)
{
	struct worker workers[CPU_MAX] = {0};
	struct row before, after;
	double deadline = now_ms() + CALL_DEADLINE_MS;
	char text[1024];
	long call_count = 0;
	bool called = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;

	pin_to(0);
	for (int cpu = 1; cpu < cpu_count; cpu++) {
		workers[cpu].cpu = cpu;
		pthread_create(&workers[cpu].thread, NULL, spin, &workers[cpu]);
	}
	while (atomic_load(&spinners_started) < cpu_count - 1)
		usleep(1000);
	before = read_rows(call_keys);
	while (called && least_call_growth(&before) < CALL_COUNT && now_ms() < deadline) {
		called = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
		call_count++;
	}
	after = read_rows(call_keys);
	atomic_store(&spinners_stop, true);
	for (int cpu = 1; cpu < cpu_count; cpu++)
		pthread_join(workers[cpu].thread, NULL);
	describe_growth(&before, &after, text, sizeof(text));
	report(called && least_call_growth(&before) >= CALL_COUNT, "ipi-call",
	    "CAL%s by %ld calls from cpu0 (at least +%d each other)", text, call_count, CALL_COUNT);
}

/* Each line is drained before the next, so each needs a transmit interrupt of its own. */
static bool write_lines(int tty)
{
	char line[UART_LINE];

	memset(line, '.', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < UART_LINE_COUNT; i++) {
		if (write(tty, line, sizeof(line)) != (ssize_t)sizeof(line) || tcdrain(tty))
			return false;
	}
	return true;
}

static void check_uart(void)
{
	int tty = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
	struct row before = {{0}}, after = {{0}};
	long total = 0;
	bool written;

	if (tty < 0) {
		report(false, "uart", "cannot open /dev/ttyS0: %s", strerror(errno));
		return;
	}
	tcdrain(tty);
	written = add_interrupt_rows("ttyS0", &before) && write_lines(tty);
	add_interrupt_rows("ttyS0", &after);
	for (int cpu = 0; cpu < cpu_count; cpu++)
		total += after.count[cpu] - before.count[cpu];
	close(tty);
	report(written && total >= UART_LINE_COUNT, "uart",
	    "ttyS0 +%ld by %d lines written (at least +%d)", total, UART_LINE_COUNT,
	    UART_LINE_COUNT);
}

static double uptime_seconds(void)
{
	FILE *file = fopen("/proc/uptime", "r");
	double seconds = 0;

	if (file) {
		if (fscanf(file, "%lf", &seconds) != 1)
			seconds = 0;
		fclose(file);
	}
	return seconds;
}

/* The I/O port of the ACPI PM timer by the FADT, 0 when there is none. */
static uint16_t pm_timer_port(void)
{
	FILE *file = fopen("/sys/firmware/acpi/tables/FACP", "r");
	uint32_t port = 0;

	if (!file)
		return 0;
	if (fseek(file, FADT_PM_TMR_BLK, SEEK_SET) || fread(&port, sizeof(port), 1, file) != 1)
		port = 0;
	fclose(file);
	return (uint16_t)port;
}

struct sleep_times {
	double slept;  /* ms by CLOCK_MONOTONIC */
	double around; /* the same, with the reading of the other clocks on both sides */
	double uptime; /* ms by /proc/uptime */
	double pm;     /* ms by the PM timer at @port, 0 without one */
};

static struct sleep_times sleep_once(uint16_t port)
{
	double around_start = now_ms();
	uint32_t pm_start = port ? inl(port) : 0;
	double uptime_start = uptime_seconds(), start = now_ms();
	struct sleep_times times;

	sleep(1);
	times.slept = now_ms() - start;
	times.uptime = (uptime_seconds() - uptime_start) * 1000;
	/* 24 bits are enough: the counter wraps after 4.69 s. */
	times.pm = port ? ((inl(port) - pm_start) & 0xffffff) * 1000 / PM_TIMER_HZ : 0;
	times.around = now_ms() - around_start;
	return times;
}

/* Another clock must have counted what CLOCK_MONOTONIC did. */
static void report_clock(
    const char *name, const char *clock, double counted, const struct sleep_times *times)
{
	report(counted > times->slept - CLOCK_TOLERANCE_MS &&
	           counted < times->around + CLOCK_TOLERANCE_MS,
	    name, "%.1f ms by %s (%.1f to %.1f, within %d)", counted, clock, times->slept,
	    times->around, CLOCK_TOLERANCE_MS);
}

/* Never early; late only when the machine below was busy, so the best of a few tries counts. */
static void check_sleep(void)
{
	uint16_t port = iopl(3) == 0 ? pm_timer_port() : 0;
	struct sleep_times times;
	bool is_early = false;
	int tries = 0;

	do {
		times = sleep_once(port);
		is_early = is_early || times.slept < 1000;
	} while (++tries < SLEEP_TRIES && !is_early && times.slept > 1000 + SLEEP_LATE_MS);

	report(!is_early && times.slept <= 1000 + SLEEP_LATE_MS, "sleep",
	    "sleep 1 took %.1f ms by CLOCK_MONOTONIC (1000 to %d), try %d of %d", times.slept,
	    1000 + SLEEP_LATE_MS, tries, SLEEP_TRIES);
	report_clock("uptime", "/proc/uptime", times.uptime, &times);
	report_clock("pm-timer", "the ACPI PM timer", times.pm, &times);
}

/* A change of the RTC's seconds: it happened after @before and not later than @after (ms). */
struct rtc_edge {
	double before, after;
	int second;
};

/* Wait until the RTC's seconds differ from @second; false when they stand still or cannot be read.
 */
static bool wait_for_rtc(int rtc, int second, struct rtc_edge *edge)
{
	double deadline = now_ms() + RTC_DEADLINE_MS;
	struct rtc_time time;

	edge->before = now_ms();
	while (edge->before < deadline) {
		double start = now_ms();

		if (ioctl(rtc, RTC_RD_TIME, &time))
			return false;
		edge->after = now_ms();
		edge->second = time.tm_sec;
		if (time.tm_sec != second)
			return true;
		edge->before = start;
		usleep(2000);
	}
	return false;
}

static void check_rtc(void)
{
	int rtc = open("/dev/rtc0", O_RDONLY);
	struct rtc_edge now, first = {0}, last;
	double least, most;
	int seconds = 0;
	bool is_read;

	if (rtc < 0) {
		report(false, "rtc", "cannot open /dev/rtc0: %s", strerror(errno));
		return;
	}
	is_read = wait_for_rtc(rtc, -1, &now) && wait_for_rtc(rtc, now.second, &first);
	last = first;
	while (is_read && seconds < RTC_SECONDS) {
		is_read = wait_for_rtc(rtc, last.second, &last);
		seconds = (last.second - first.second + 60) % 60;
	}
	close(rtc);
	least = last.before - first.after - CLOCK_TOLERANCE_MS;
	most = last.after - first.before + CLOCK_TOLERANCE_MS;
	report(is_read && seconds * 1000 >= least && seconds * 1000 <= most, "rtc",
	    "%d RTC seconds took %.1f to %.1f ms (the reading took that long; within %d)", seconds,
	    last.before - first.after, last.after - first.before, CLOCK_TOLERANCE_MS);
}

static int run_checks(void)
{
	cpu_count = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (cpu_count < 1 || cpu_count > CPU_MAX) {
		report(false, "cpus", "%d CPUs, this test knows 1 to %d", cpu_count, CPU_MAX);
		return 1;
	}
	check_cpus();
	check_timer();
	if (cpu_count > 1) {
		check_wakeup_ipis();
		check_call_ipis();
	} else {
		printf("SELFTEST SKIP: ipi-wake, ipi-call: one CPU only\n");
	}
	check_uart();
	check_sleep();
	check_rtc();
	return failed_count ? 1 : 0;
}

/* Run the checks in a child, so that one that hangs in the kernel is still reported. */
static bool run_guarded(void)
{
	struct timespec limit = {.tv_sec = WATCHDOG_SECONDS};
	sigset_t chld;
	int status = 0;
	pid_t child;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	child = fork();
	if (child == 0)
		_exit(run_checks());
	if (child < 0 || sigtimedwait(&chld, NULL, &limit) < 0) {
		printf("SELFTEST FAIL: watchdog: no end after %d s\n", WATCHDOG_SECONDS);
		return false;
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
	bool passed = run_guarded();

	printf("SELFTEST %s: the whole\n", passed ? "PASS" : "FAIL");
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	if (iopl(3) == 0)
		outb(passed ? 0 : 1, DEBUG_EXIT_PORT);
	/* No debug-exit device: init powers off, the line above is the verdict. */
	return passed ? 0 : 1;
}
