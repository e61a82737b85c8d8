/* SPDX-License-Identifier: MIT */
/* Run queues: threads sorted by the CPU time they have had. */
#include <stddef.h>

#include "hypervisor/lib/panic.h"
#include "hypervisor/sched/queue.h"

struct run_queue run_queues[PCPU_MAX];
struct sched_ticks sched_ticks;

static void link_before(struct run_queue *queue, struct thread *thread, struct thread *previous,
    struct thread *next)
{
	thread->previous = previous;
	thread->next = next;
	if (previous != NULL)
		previous->next = thread;
	else
		__atomic_store_n(&queue->first, thread, __ATOMIC_RELAXED);
	if (next != NULL)
		next->previous = thread;
	thread->is_queued = true;
}

void queue_insert(struct run_queue *queue, struct thread *thread)
{
	struct thread *previous = NULL, *next = queue->first;
	uint64_t clock = queue->clock;
	uint64_t least = clock > sched_ticks.wake_lead ? clock - sched_ticks.wake_lead : 0;

	BUG_ON(thread->is_queued);
	if (thread->runtime < least)
		thread->runtime = least;
	if (thread->runtime > clock + sched_ticks.slice)
		thread->runtime = clock + sched_ticks.slice;
	while (next != NULL && next->runtime <= thread->runtime) {
		previous = next;
		next = next->next;
	}
	link_before(queue, thread, previous, next);
}

void queue_remove(struct run_queue *queue, struct thread *thread)
{
	if (thread->previous != NULL)
		thread->previous->next = thread->next;
	else
		__atomic_store_n(&queue->first, thread->next, __ATOMIC_RELAXED);
	if (thread->next != NULL)
		thread->next->previous = thread->previous;
	thread->is_queued = false;
}

struct thread *queue_steal(struct run_queue *queue)
{
	for (struct thread *thread = queue->first; thread != NULL; thread = thread->next) {
		if (!thread->is_pinned && thread->migrate_to == MIGRATE_NONE) {
			queue_remove(queue, thread);
			return thread;
		}
	}
	return NULL;
}

void queue_account(struct run_queue *queue, uint64_t now)
{
	struct thread *current = queue->current;

	if (now > current->run_since)
		current->runtime += now - current->run_since;
	current->run_since = now;
}

bool queue_wants_switch(struct run_queue *queue, uint64_t lead)
{
	if (queue->first == NULL)
		return false;
	if (queue->current == &queue->idle)
		return true;
	return queue->first->runtime + lead <= queue->current->runtime;
}
