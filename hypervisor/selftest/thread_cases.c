/* SPDX-License-Identifier: MIT */
/* Self-test of sched/. */
#include <stddef.h>

#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/selftest/selftest.h"

#define THREAD_COUNT   8u
#define PING_COUNT     2000u
#define STORM_COUNT    1000u /* wakes that each thread must consume */
#define MIGRATE_COUNT  200u
#define SPIN_NS        60000000u

/* Intel 8254, "Control Word Format": mode 0, waiting for a count. */
#define PIT_CONTROL           0x43
#define PIT_CHANNEL_0_STOPPED 0x30

struct worker {
	struct thread *thread;
	struct worker *partner;
	uint32_t index;
	uint32_t count;     /* atomic */
	uint32_t in_count;  /* calls of switch_in, switch_out */
	uint32_t out_count;
	uint64_t work;
};

static struct worker workers[THREAD_COUNT];
static uint32_t done_count; /* atomic */
static uint32_t is_stopping;

static bool start_workers(uint32_t count, void (*fn)(void *), bool is_pinned, bool is_spread)
{
	memset(workers, 0, sizeof(workers));
	done_count = 0;
	is_stopping = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct worker *worker = &workers[i];

		worker->index = i;
		worker->partner = &workers[(i + 1) % count];
		worker->thread = thread_create("worker", fn, worker, is_spread ? i % cpu_count() : 0);
		CHECK(worker->thread != NULL);
		worker->thread->owner = worker;
		worker->thread->is_pinned = is_pinned;
	}
	for (uint32_t i = 0; i < count; i++)
		thread_start(workers[i].thread);
	return true;
}

static bool reap_workers(uint32_t count)
{
	CHECK(selftest_wait(&done_count, count));
	for (uint32_t i = 0; i < count; i++) {
		while (!thread_is_dead(workers[i].thread))
			thread_yield();
		thread_free(workers[i].thread);
	}
	return true;
}

static void say_done(void)
{
	__atomic_fetch_add(&done_count, 1, __ATOMIC_RELEASE);
}

static void ping(void *arg)
{
	struct worker *worker = arg;

	for (uint32_t i = 0; i < PING_COUNT; i++) {
		if (worker->index == 1)
			thread_sleep();
		thread_wake(worker->partner->thread);
		if (worker->index == 0)
			thread_sleep();
		worker->count++;
	}
	say_done();
}

static bool two_threads_wake_each_other(void)
{
	for (unsigned is_spread = 0; is_spread < 2; is_spread++) {
		CHECK(start_workers(2, ping, true, is_spread));
		CHECK(reap_workers(2));
		CHECK(workers[0].count == PING_COUNT && workers[1].count == PING_COUNT);
	}
	return true;
}

static void sleep_twice(void *arg)
{
	(void)arg;
	thread_wake(thread_current()); /* to oneself: remembered */
	thread_wake(thread_current()); /* one, not a count */
	thread_sleep();
	say_done();
	thread_sleep();
	say_done();
}

static bool one_wake_is_remembered(void)
{
	CHECK(start_workers(1, sleep_twice, true, false));
	CHECK(selftest_wait(&done_count, 1));
	for (unsigned i = 0; i < 100; i++)
		thread_yield();
	CHECK(done_count == 1);
	thread_wake(workers[0].thread);
	CHECK(selftest_wait(&done_count, 2));
	while (!thread_is_dead(workers[0].thread))
		thread_yield();
	thread_free(workers[0].thread);
	return true;
}

/*
 * Tokens go round in a ring of threads on all pCPUs.  A lost wake-up stops the ring.
 */
static void pass_tokens(void *arg)
{
	struct worker *worker = arg;
	uint32_t passed = 0;

	while (passed < STORM_COUNT) {
		uint32_t taken = __atomic_exchange_n(&worker->count, 0, __ATOMIC_ACQ_REL);

		if (taken == 0) {
			thread_sleep();
			continue;
		}
		passed += taken;
		__atomic_fetch_add(&worker->partner->count, taken, __ATOMIC_ACQ_REL);
		thread_wake(worker->partner->thread);
	}
	say_done();
}

static bool no_wake_is_lost_in_a_storm(void)
{
	for (unsigned is_pinned = 0; is_pinned < 2; is_pinned++) {
		CHECK(start_workers(THREAD_COUNT, pass_tokens, is_pinned, true));
		for (uint32_t i = 0; i < THREAD_COUNT; i++) {
			__atomic_fetch_add(&workers[i].count, 1, __ATOMIC_ACQ_REL);
			thread_wake(workers[i].thread);
		}
		CHECK(reap_workers(THREAD_COUNT));
	}
	return true;
}

static void go_round(void *arg)
{
	struct worker *worker = arg;

	for (uint32_t i = 0; i < MIGRATE_COUNT; i++) {
		uint32_t target = (i + worker->index) % cpu_count();

		thread_migrate(thread_current(), target);
		if (cpu_index() == target)
			worker->count++;
	}
	say_done();
}

static bool a_thread_goes_where_it_is_sent(void)
{
	CHECK(start_workers(THREAD_COUNT, go_round, true, true));
	CHECK(reap_workers(THREAD_COUNT));
	for (uint32_t i = 0; i < THREAD_COUNT; i++)
		CHECK(workers[i].count == MIGRATE_COUNT);
	return true;
}

static void spin(void *arg)
{
	struct worker *worker = arg;

	while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED)) {
		worker->work++;
		if (thread_should_yield())
			thread_yield();
	}
	say_done();
}

static bool wait_ns(uint64_t nanoseconds)
{
	uint64_t start = tsc_read();

	while (tsc_read() - start < tsc_from_ns(nanoseconds))
		thread_yield();
	return true;
}

static bool slices_share_a_pcpu(void)
{
	uint64_t least = UINT64_MAX, most = 0;

	CHECK(start_workers(3, spin, true, false));
	CHECK(wait_ns(SPIN_NS));
	__atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
	CHECK(reap_workers(3));
	for (uint32_t i = 0; i < 3; i++) {
		least = workers[i].work < least ? workers[i].work : least;
		most = workers[i].work > most ? workers[i].work : most;
	}
	CHECK(least > 0);
	CHECK(most / 4 < least);
	return true;
}

static bool an_idle_pcpu_pulls(void)
{
	uint64_t moved = 0;

	CHECK(start_workers(4, spin, false, false));
	CHECK(wait_ns(SPIN_NS));
	__atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < 4; i++)
		moved += workers[i].thread->migration_count;
	CHECK(reap_workers(4));
	CHECK(cpu_count() == 1 ? moved == 0 : moved > 0);
	return true;
}

/* Not started nor woken: two that take turns on a pCPU, and nothing but them can wake the other. */
static bool an_idle_pcpu_pulls_what_gives_way(void)
{
	uint64_t moved = 0;

	out8(PIT_CONTROL, PIT_CHANNEL_0_STOPPED); /* the nudge (tcg.h) */
	CHECK(start_workers(2, spin, true, false));
	CHECK(wait_ns(SPIN_NS));
	for (uint32_t i = 0; i < 2; i++)
		workers[i].thread->is_pinned = false;
	CHECK(wait_ns(SPIN_NS));
	for (uint32_t i = 0; i < 2; i++)
		moved += workers[i].thread->migration_count;
	__atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
	CHECK(reap_workers(2));
	CHECK(cpu_count() == 1 ? moved == 0 : moved > 0);
	return true;
}

static bool a_running_thread_is_migrated_from_outside(void)
{
	CHECK(start_workers(1, spin, true, false));
	for (uint32_t i = 0; i < MIGRATE_COUNT; i++) {
		thread_migrate(workers[0].thread, i % cpu_count());
		thread_yield();
	}
	__atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
	CHECK(reap_workers(1));
	return true;
}

static void count_in(struct thread *thread)
{
	struct worker *worker = thread->owner;

	BUG_ON(worker->in_count != worker->out_count);
	worker->in_count++;
}

static void count_out(struct thread *thread)
{
	struct worker *worker = thread->owner;

	worker->out_count++;
	BUG_ON(worker->in_count != worker->out_count);
}

static bool hooks_alternate(void)
{
	memset(workers, 0, sizeof(workers));
	done_count = 0;
	for (uint32_t i = 0; i < THREAD_COUNT; i++) {
		workers[i].index = i;
		workers[i].thread = thread_create("hooked", go_round, &workers[i], 0);
		CHECK(workers[i].thread != NULL);
		workers[i].thread->owner = &workers[i];
		workers[i].thread->switch_in = count_in;
		workers[i].thread->switch_out = count_out;
		thread_start(workers[i].thread);
	}
	CHECK(reap_workers(THREAD_COUNT));
	for (uint32_t i = 0; i < THREAD_COUNT; i++)
		CHECK(workers[i].in_count == workers[i].out_count && workers[i].in_count > 0);
	return true;
}

static void wake_from_timer(void *arg)
{
	thread_wake(arg);
}

static bool a_timer_wakes_a_sleeper(void)
{
	struct timer timer = { .fn = wake_from_timer, .arg = thread_current() };

	for (unsigned i = 0; i < 20; i++) {
		uint64_t deadline = tsc_read() + tsc_from_ns(500000);

		timer_set(&timer, deadline);
		thread_sleep();
		CHECK(tsc_read() >= deadline);
	}
	return true;
}

const struct selftest_case selftest_thread_cases[] = {
	{ "two threads wake each other", two_threads_wake_each_other },
	{ "one wake is remembered", one_wake_is_remembered },
	{ "no wake is lost in a storm", no_wake_is_lost_in_a_storm },
	{ "a thread goes where it is sent", a_thread_goes_where_it_is_sent },
	{ "slices share a pCPU", slices_share_a_pcpu },
	{ "an idle pCPU pulls", an_idle_pcpu_pulls },
	{ "an idle pCPU pulls what gives way", an_idle_pcpu_pulls_what_gives_way },
	{ "a running thread is migrated from outside", a_running_thread_is_migrated_from_outside },
	{ "hooks alternate", hooks_alternate },
	{ "a timer wakes a sleeper", a_timer_wakes_a_sleeper },
	{ NULL, NULL },
};
