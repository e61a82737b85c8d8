/* SPDX-License-Identifier: MIT */
/* Run queues; private to sched/. */
#ifndef HYPERVISOR_SCHED_QUEUE_H
#define HYPERVISOR_SCHED_QUEUE_H

#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/sched/thread.h"

#define MIGRATE_NONE UINT32_MAX
#define SLICE_NS     5000000u /* how long one thread runs while others are queued */
#define WAKE_LEAD_NS 2000000u /* how far a sleeper may lag behind the queue's clock */
#define PREEMPT_NS   1000000u /* lag at which a waking thread preempts the running one */

/* Under lock unless stated.  IRQs are off while it is held. */
struct run_queue {
	spinlock_t lock;
	struct thread *first; /* least runtime; peeked at without the lock */
	struct thread *current;
	struct thread *previous; /* from before context_switch() to after it: who left */
	uint64_t clock;          /* largest runtime that was ever chosen */
	uint32_t is_idle;        /* atomic: the idle thread runs; read by any pCPU */
	struct timer slice;      /* its own pCPU only */
	struct thread idle;
} __attribute__((aligned(64)));

extern struct run_queue run_queues[PCPU_MAX];

/* Ticks of the constants above; after calibration. */
struct sched_ticks {
	uint64_t slice, wake_lead, preempt;
};
extern struct sched_ticks sched_ticks;

/* Insert by runtime, which is first brought near the queue's clock.  Lock held. */
void queue_insert(struct run_queue *queue, struct thread *thread);
void queue_remove(struct run_queue *queue, struct thread *thread);
/* Take out the first thread another pCPU may take; NULL: none. */
struct thread *queue_steal(struct run_queue *queue);
/* Add what the running thread has used since the last call. */
void queue_account(struct run_queue *queue, uint64_t now);
/* True when the queue's first thread should run in place of the current one now. */
bool queue_wants_switch(struct run_queue *queue, uint64_t lead);

#endif
