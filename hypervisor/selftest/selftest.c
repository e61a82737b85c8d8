/* SPDX-License-Identifier: MIT */
/* Runs the kernel's self-test in place of guests.  A module holding "panic", "fault" or
 * "overflow" makes it end that way instead, to show what panic() does. */
#include <stddef.h>

#include "hypervisor/boot/start.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/main/host.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/selftest/selftest.h"

#define WAIT_NS 10000000000ull

void virt_cpu_init(void)
{
}

void virt_panic_dump(void)
{
	log_printf("virt_panic_dump was called");
}

void trace_dump_last(void)
{
	log_printf("trace_dump_last was called");
}

bool selftest_wait(const uint32_t *counter, uint32_t wanted)
{
	uint64_t start = tsc_read(), limit = tsc_from_ns(WAIT_NS);

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != wanted) {
		if (tsc_read() - start > limit)
			return false;
		thread_yield();
		cpu_pause();
	}
	return true;
}

/* TAP, as tools/run-tests reads it. */
static unsigned run_cases(const struct selftest_case *test)
{
	static unsigned number;
	unsigned failed_count = 0;

	for (; test->name != NULL; test++) {
		bool is_good = test->run();

		control_printf("%s %u - %s", is_good ? "ok" : "not ok", ++number, test->name);
		failed_count += !is_good;
	}
	return failed_count;
}

static uint64_t overflow_stack(uint64_t depth)
{
	volatile uint64_t words[64];

	words[0] = depth;
	if (depth == 0)
		return 0;
	return overflow_stack(depth - 1) + words[0];
}

static void fail_as_asked(void)
{
	const char *wish = virt_of(boot_info.module.start);
	uint64_t length = boot_info.module.end - boot_info.module.start;

	if (length >= 5 && memcmp(wish, "panic", 5) == 0)
		panic("wanted by the module: %d", 42);
	if (length >= 5 && memcmp(wish, "fault", 5) == 0)
		*(volatile uint32_t *)(uintptr_t)run_cases = 0; /* code is not writable */
	if (length >= 8 && memcmp(wish, "overflow", 8) == 0)
		log_printf("survived: %lu", overflow_stack(10000));
}

void main_thread(void *arg)
{
	unsigned failed_count = 0;

	(void)arg;
	if (boot_info.module_count != 0)
		fail_as_asked();
	failed_count += run_cases(selftest_memory_cases);
	failed_count += run_cases(selftest_timer_cases);
	failed_count += run_cases(selftest_thread_cases);
	log_printf("self-test on %u CPUs: %u failed", cpu_count(), failed_count);
	host_exit(failed_count == 0 ? HOST_EXIT_OK : HOST_EXIT_VM_FAILED);
}
