/* SPDX-License-Identifier: MIT */
/* Timer queues: one sorted list per pCPU in front of the LAPIC's one-shot timer. */
#include <stddef.h>

#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"

#define SCALE_SHIFT 32

/* Written under lock; `armed` only by its own pCPU. */
struct timer_queue {
	spinlock_t lock;
	struct timer *first;   /* earliest deadline */
	struct timer *running; /* whose fn runs now */
	uint64_t armed;        /* deadline the LAPIC timer stands at; UINT64_MAX: none */
} __attribute__((aligned(64)));

static struct timer_queue queues[PCPU_MAX];
static uint64_t lapic_scale; /* LAPIC ticks per TSC tick, times 2^SCALE_SHIFT */

static void program(struct timer_queue *queue, uint64_t deadline)
{
	uint64_t now = tsc_read(), ticks = 1;

	queue->armed = deadline;
	if (deadline > now) {
		uint64_t wait = deadline - now;

		/* Longer than the counter reaches: it expires early and is set again. */
		if (wait >> SCALE_SHIFT != 0)
			wait = UINT32_MAX;
		/* Round up: too early costs a second interrupt. */
		ticks = (wait * lapic_scale >> SCALE_SHIFT) + 1;
		if (ticks > UINT32_MAX)
			ticks = UINT32_MAX;
	}
	lapic_timer_start((uint32_t)ticks);
}

static void unlink_timer(struct timer_queue *queue, struct timer *timer)
{
	if (timer->previous != NULL)
		timer->previous->next = timer->next;
	else
		queue->first = timer->next;
	if (timer->next != NULL)
		timer->next->previous = timer->previous;
	__atomic_store_n(&timer->is_queued, false, __ATOMIC_RELAXED);
}

static void link_timer(struct timer_queue *queue, struct timer *timer)
{
	struct timer *previous = NULL, *next = queue->first;

	while (next != NULL && next->deadline <= timer->deadline) {
		previous = next;
		next = next->next;
	}
	timer->previous = previous;
	timer->next = next;
	if (previous != NULL)
		previous->next = timer;
	else
		queue->first = timer;
	if (next != NULL)
		next->previous = timer;
	__atomic_store_n(&timer->is_queued, true, __ATOMIC_RELAXED);
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	uint64_t flags = irq_save();
	uint32_t pcpu = cpu_index();
	struct timer_queue *queue = &queues[pcpu];

	if (timer->pcpu != pcpu)
		timer_cancel(timer);
	spin_lock(&queue->lock);
	if (timer->is_queued)
		unlink_timer(queue, timer);
	timer->pcpu = pcpu;
	timer->deadline = deadline;
	link_timer(queue, timer);
	if (deadline < queue->armed)
		program(queue, deadline);
	spin_unlock(&queue->lock);
	irq_restore(flags);
}

bool timer_cancel(struct timer *timer)
{
	struct timer_queue *queue = &queues[timer->pcpu];
	bool was_queued;
	uint64_t flags;

	/* The LAPIC timer stays as it is: an interrupt for nothing costs less than setting it. */
	if (!__atomic_load_n(&timer->is_queued, __ATOMIC_RELAXED))
		return false;
	flags = spin_lock_irqsave(&queue->lock);
	was_queued = timer->is_queued;
	if (was_queued)
		unlink_timer(queue, timer);
	spin_unlock_irqrestore(&queue->lock, flags);
	return was_queued;
}

void timer_cancel_sync(struct timer *timer)
{
	struct timer_queue *queue;

	do {
		timer_cancel(timer);
		queue = &queues[timer->pcpu];
		while (__atomic_load_n(&queue->running, __ATOMIC_ACQUIRE) == timer)
			cpu_pause();
	} while (__atomic_load_n(&timer->is_queued, __ATOMIC_RELAXED)); /* fn may have set it */
}

static void timer_interrupt(void)
{
	struct timer_queue *queue = &queues[cpu_index()];
	/* Read once: a timer that its fn sets again cannot keep us here. */
	uint64_t now = tsc_read();
	struct timer *timer;

	spin_lock(&queue->lock);
	queue->armed = 0; /* timer_set() in a callback need not program: that follows below */
	while ((timer = queue->first) != NULL && timer->deadline <= now) {
		unlink_timer(queue, timer);
		__atomic_store_n(&queue->running, timer, __ATOMIC_RELAXED);
		spin_unlock(&queue->lock);
		timer->fn(timer->arg);
		spin_lock(&queue->lock);
		__atomic_store_n(&queue->running, NULL, __ATOMIC_RELEASE);
	}
	queue->armed = UINT64_MAX;
	if (queue->first != NULL)
		program(queue, queue->first->deadline);
	spin_unlock(&queue->lock);
}

void timer_init(void)
{
	for (uint32_t i = 0; i < PCPU_MAX; i++)
		queues[i].armed = UINT64_MAX;
	lapic_scale = (lapic_timer_khz() << SCALE_SHIFT) / tsc_khz();
	irq_register(VECTOR_TIMER, timer_interrupt);
}
