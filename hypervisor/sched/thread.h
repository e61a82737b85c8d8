/* SPDX-License-Identifier: MIT */
/* Kernel threads: per-pCPU run queues, non-preemptible, each vCPU is one. */
#ifndef HYPERVISOR_SCHED_THREAD_H
#define HYPERVISOR_SCHED_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/cpu/percpu.h"

enum thread_state {
	THREAD_NEW,      /* not started */
	THREAD_RUNNABLE, /* queued, or on its way to another pCPU's queue */
	THREAD_RUNNING,
	THREAD_SLEEPING,
	THREAD_DYING, /* its function has returned, its stack is still in use */
	THREAD_DEAD,
};

struct thread {
	/*
	 * Called with IRQs off on the thread's own pCPU before it stops running and after it
	 * starts again (maybe elsewhere), in strict alternation beginning with switch_in; may be
	 * NULL.  They must not sleep, yield or wake the thread itself.  Set before thread_start().
	 */
	void (*switch_out)(struct thread *thread);
	void (*switch_in)(struct thread *thread);
	void *owner;     /* the creator's, a struct vcpu for instance */
	bool is_pinned;  /* idle pCPUs do not pull it; set before thread_start() */
	char name[20];
	uint64_t migration_count; /* times it went to another pCPU; read from any thread */

	/* Private to sched/, under the run queue's lock of `pcpu`. */
	uint64_t rsp;
	void *stack_top;
	void (*fn)(void *arg);
	void *arg;
	struct thread *next, *previous;
	enum thread_state state;
	uint32_t pcpu;
	uint32_t migrate_to;
	bool is_wake_pending;
	bool is_queued;
	uint64_t runtime;   /* TSC ticks run, brought near the queue's when it joins one */
	uint64_t run_since; /* host TSC at the last switch to it */
};

/*
 * Make a thread that will run fn(arg) on pcpu; it runs after thread_start().  When fn returns, the
 * thread is dead.  NULL: no memory.  Any thread.
 */
struct thread *thread_create(const char *name, void (*fn)(void *), void *arg, uint32_t pcpu);
void thread_start(struct thread *thread);
/* True once the thread is dead and its stack no longer used. */
bool thread_is_dead(const struct thread *thread);
/* Free a dead, or never started, thread.  No one may hold its pointer any more. */
void thread_free(struct thread *thread);

struct thread *thread_current(void);

/*
 * Return after one thread_wake() of the calling thread; a wake that came first is remembered (one,
 * not a count).  IRQs on.
 */
void thread_sleep(void);
/* Any pCPU, thread or handler.  The thread must not be freed. */
void thread_wake(struct thread *thread);

/* Let others run; returns at once when there are none.  Takes part in migration.  IRQs on. */
void thread_yield(void);

/*
 * Let the next queued thread run even if it has had more CPU time than the caller: for one that
 * waits by spinning.  IRQs on.
 */
void thread_give_way(void);
/* True when other threads are queued on this pCPU.  Any context; advisory. */
bool thread_others_wait(void);

/* True when the calling thread ought to call thread_yield() soon.  Any context; cheap. */
static inline bool thread_should_yield(void)
{
	bool is_wanted;

	__asm__ volatile("cmpl $0, %%gs:24" : "=@ccne"(is_wanted));
	return is_wanted;
}

/* Ask that the thread go on on pcpu: at once when it is the caller, else at its next yield. */
void thread_migrate(struct thread *thread, uint32_t pcpu);

#endif
