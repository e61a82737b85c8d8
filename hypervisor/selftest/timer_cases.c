/* SPDX-License-Identifier: MIT */
/* Self-test of cpu/: timers and inter-processor interrupts. */
#include <stddef.h>

#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/selftest/selftest.h"

#define TIMER_COUNT 8u
#define PERIOD_COUNT 50u
#define IPI_COUNT 200u

struct probe {
	struct timer timer;
	uint64_t expired_at;
	uint32_t order;
	uint32_t pcpu;
};

static uint32_t expired_count; /* atomic */

static void expire(void *arg)
{
	struct probe *probe = arg;

	probe->expired_at = tsc_read();
	probe->pcpu = cpu_index();
	probe->order = __atomic_fetch_add(&expired_count, 1, __ATOMIC_ACQ_REL);
}

static bool timers_expire_in_order_and_not_early(void)
{
	struct probe probes[TIMER_COUNT] = { 0 };
	uint64_t now = tsc_read(), step = tsc_from_ns(2000000);
	uint64_t flags;

	expired_count = 0;
	/* The emulator may stall for longer than a step: nothing expires before all are set. */
	flags = irq_save();
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		probes[i].timer.fn = expire;
		probes[i].timer.arg = &probes[i];
		timer_set(&probes[i].timer, now + (i * 5 % TIMER_COUNT + 1) * step);
	}
	irq_restore(flags);
	CHECK(selftest_wait(&expired_count, TIMER_COUNT));
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		CHECK(probes[i].order == i * 5 % TIMER_COUNT);
		CHECK(probes[i].expired_at >= now + (i * 5 % TIMER_COUNT + 1) * step);
		CHECK(probes[i].pcpu == cpu_index());
	}
	return true;
}

static bool a_passed_deadline_expires_at_once(void)
{
	struct probe probe = { .timer = { .fn = expire, .arg = &probe } };

	expired_count = 0;
	timer_set(&probe.timer, 0);
	CHECK(selftest_wait(&expired_count, 1));
	return true;
}

static bool a_cancelled_timer_does_not_expire(void)
{
	struct probe cancelled = { .timer = { .fn = expire, .arg = &cancelled } };
	struct probe later = { .timer = { .fn = expire, .arg = &later } };
	uint64_t now = tsc_read(), flags;
	bool was_armed;

	expired_count = 0;
	CHECK(!timer_cancel(&cancelled.timer));
	flags = irq_save();
	timer_set(&cancelled.timer, now + tsc_from_ns(3000000));
	timer_set(&later.timer, now + tsc_from_ns(6000000));
	was_armed = timer_cancel(&cancelled.timer);
	irq_restore(flags);
	CHECK(selftest_wait(&expired_count, 1));
	CHECK(was_armed);
	CHECK(later.expired_at != 0 && cancelled.expired_at == 0);
	CHECK(!timer_cancel(&later.timer));
	return true;
}

static bool setting_again_replaces(void)
{
	struct probe probe = { .timer = { .fn = expire, .arg = &probe } };
	uint64_t now = tsc_read(), wanted = now + tsc_from_ns(4000000);

	expired_count = 0;
	timer_set(&probe.timer, now + tsc_from_ns(1000000000));
	timer_set(&probe.timer, wanted);
	CHECK(selftest_wait(&expired_count, 1));
	CHECK(probe.expired_at >= wanted && probe.expired_at < now + tsc_from_ns(1000000000));
	return true;
}

static void expire_periodically(void *arg)
{
	struct timer *timer = arg;

	if (__atomic_add_fetch(&expired_count, 1, __ATOMIC_ACQ_REL) < PERIOD_COUNT)
		timer_set(timer, timer->deadline); /* in the past: again by an interrupt */
}

static bool a_timer_may_set_itself(void)
{
	struct timer timer = { .fn = expire_periodically, .arg = &timer };

	expired_count = 0;
	timer_set(&timer, tsc_read());
	CHECK(selftest_wait(&expired_count, PERIOD_COUNT));
	return true;
}

struct mover {
	struct timer timer;
	uint32_t done;
};

/* Set on one pCPU, cancelled and set again on the next, all the way round. */
static void move_timer(void *arg)
{
	struct mover *mover = arg;

	for (uint32_t i = 0; i < 100; i++) {
		timer_set(&mover->timer, tsc_read() + tsc_from_ns(20000));
		thread_migrate(thread_current(), i % cpu_count());
		if (i % 3 == 0)
			timer_cancel_sync(&mover->timer);
	}
	timer_cancel_sync(&mover->timer);
	__atomic_store_n(&mover->done, 1, __ATOMIC_RELEASE);
}

static void ignore(void *arg)
{
	(void)arg;
}

static bool a_timer_follows_its_user_over_pcpus(void)
{
	struct mover mover = { .timer = { .fn = ignore } };
	struct thread *thread = thread_create("mover", move_timer, &mover, 0);

	CHECK(thread != NULL);
	thread_start(thread);
	CHECK(selftest_wait(&mover.done, 1));
	while (!thread_is_dead(thread))
		thread_yield();
	CHECK(!mover.timer.is_queued);
	thread_free(thread);
	return true;
}

static uint32_t ipi_count; /* atomic */

static void count_ipi(void)
{
	__atomic_fetch_add(&ipi_count, 1, __ATOMIC_RELEASE);
}

static bool every_ipi_arrives(void)
{
	irq_register(VECTOR_TEST, count_ipi);
	for (uint32_t i = 0; i < IPI_COUNT; i++) {
		ipi_send(i % cpu_count(), VECTOR_TEST);
		/* One at a time: equal vectors merge in the IRR. */
		CHECK(selftest_wait(&ipi_count, i + 1));
	}
	return true;
}

const struct selftest_case selftest_timer_cases[] = {
	{ "timers expire in order and not early", timers_expire_in_order_and_not_early },
	{ "a passed deadline expires at once", a_passed_deadline_expires_at_once },
	{ "a cancelled timer does not expire", a_cancelled_timer_does_not_expire },
	{ "setting again replaces", setting_again_replaces },
	{ "a timer may set itself", a_timer_may_set_itself },
	{ "a timer follows its user over pCPUs", a_timer_follows_its_user_over_pcpus },
	{ "every IPI arrives", every_ipi_arrives },
	{ NULL, NULL },
};
