/* SPDX-License-Identifier: MIT */
/* Kernel threads: switch, sleep, wake, yield, migrate. */
#include <stddef.h>

#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/queue.h"
#include "hypervisor/sched/sched.h"
#include "hypervisor/sched/thread.h"

_Static_assert(sizeof(struct thread) <= PAGE_SIZE, "a thread is kept in one page");

/*
 * A thread's state belongs to the lock of its `pcpu`'s queue.  The lock is held across
 * context_switch(), so that whoever gets it sees the thread that left off its stack.
 */
void context_switch(uint64_t *saved_rsp, uint64_t next_rsp);
void thread_entry(void);
void thread_begin(void) __attribute__((noreturn)); /* called by switch.S */

struct thread *thread_current(void)
{
	struct thread *thread;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(thread) : "i"(PERCPU_CURRENT));
	return thread;
}

static struct run_queue *own_queue(void)
{
	return &run_queues[cpu_index()];
}

static void set_need_resched(bool wanted)
{
	__atomic_store_n(&this_cpu()->need_resched, wanted, __ATOMIC_RELAXED);
}

/* Lock the queue that the thread belongs to.  IRQs off. */
static struct run_queue *lock_queue_of(struct thread *thread)
{
	for (;;) {
		uint32_t pcpu = __atomic_load_n(&thread->pcpu, __ATOMIC_RELAXED);
		struct run_queue *queue = &run_queues[pcpu];

		spin_lock(&queue->lock);
		if (thread->pcpu == pcpu)
			return queue;
		spin_unlock(&queue->lock);
	}
}

static void slice_end(void *arg)
{
	(void)arg;
	set_need_resched(true);
}

/* Something may have changed on the calling pCPU's queue: preempt, or begin a slice. */
static void evaluate_locked(struct run_queue *queue)
{
	uint64_t now = tsc_read();

	queue_account(queue, now);
	if (queue->current->migrate_to != MIGRATE_NONE ||
	    queue_wants_switch(queue, sched_ticks.preempt))
		set_need_resched(true);
	else if (queue->first != NULL && !queue->slice.is_queued)
		timer_set(&queue->slice, now + sched_ticks.slice);
}

static void reschedule_interrupt(void)
{
	struct run_queue *queue = own_queue();

	/* The idle thread looks at other pCPUs' queues, too. */
	if (__atomic_load_n(&queue->is_idle, __ATOMIC_RELAXED))
		set_need_resched(true);
	spin_lock(&queue->lock);
	evaluate_locked(queue);
	spin_unlock(&queue->lock);
}

/* Wake one idle pCPU so that it pulls from a queue that has more than it can run. */
static void call_idle_pcpu(const struct run_queue *busy)
{
	for (uint32_t i = 0; i < cpu_count(); i++) {
		struct run_queue *queue = &run_queues[i];

		if (queue != busy && __atomic_load_n(&queue->is_idle, __ATOMIC_SEQ_CST)) {
			if (queue == own_queue())
				set_need_resched(true);
			else
				ipi_send(i, VECTOR_RESCHEDULE);
			return;
		}
	}
}

/* Make a runnable, unqueued thread of this queue run.  Takes the queue's lock over; drops it. */
static void enqueue_and_unlock(struct run_queue *queue, struct thread *thread)
{
	uint32_t pcpu = thread->pcpu;
	bool is_busy = queue->current != &queue->idle;
	bool may_move = !thread->is_pinned && thread->migrate_to == MIGRATE_NONE;

	queue_insert(queue, thread);
	if (pcpu == cpu_index())
		evaluate_locked(queue);
	spin_unlock(&queue->lock);
	if (pcpu != cpu_index())
		ipi_send(pcpu, VECTOR_RESCHEDULE);
	/* As in finish_switch(), pairs with the fence in sched_idle(): it sees the thread or we see it idle. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (is_busy && may_move)
		call_idle_pcpu(queue);
}

static void move_to(struct thread *thread, uint32_t pcpu)
{
	__atomic_store_n(&thread->migration_count, thread->migration_count + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&thread->pcpu, pcpu, __ATOMIC_RELAXED);
}

static void bury(struct thread *thread)
{
	stack_free(thread->stack_top);
	thread->stack_top = NULL;
	__atomic_store_n(&thread->state, THREAD_DEAD, __ATOMIC_RELEASE);
}

/* On the new thread's stack: release what the one that left still held.  IRQs off. */
static void finish_switch(void)
{
	struct run_queue *queue = own_queue();
	struct thread *left = queue->previous;
	bool is_moving = false, is_dying = left->state == THREAD_DYING;
	bool may_move = left->is_queued && !left->is_pinned;

	if (left->migrate_to != MIGRATE_NONE) {
		uint32_t target = left->migrate_to;

		left->migrate_to = MIGRATE_NONE;
		is_moving = left->state == THREAD_RUNNABLE && !left->is_queued;
		if (target != left->pcpu)
			move_to(left, target);
	}
	queue->current->run_since = tsc_read();
	spin_unlock(&queue->lock);
	if (may_move) { /* it waits here, perhaps while another pCPU has nothing to do */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		call_idle_pcpu(queue);
	}
	if (is_moving)
		enqueue_and_unlock(lock_queue_of(left), left);
	if (is_dying)
		bury(left);
}

/*
 * Switch to the first queued thread or to idle; lock held, IRQs off.  The caller has set its state
 * and is queued if it wants to go on here.  Returns, unlocked, when the caller runs again.
 */
static void switch_and_unlock(struct run_queue *queue)
{
	struct thread *self = queue->current, *next = queue->first;

	if (next != NULL)
		queue_remove(queue, next);
	else
		next = &queue->idle;
	if (next != &queue->idle && next->runtime > queue->clock)
		queue->clock = next->runtime;
	next->state = THREAD_RUNNING;
	set_need_resched(next->migrate_to != MIGRATE_NONE);
	if (queue->first != NULL && next != &queue->idle)
		timer_set(&queue->slice, tsc_read() + sched_ticks.slice);
	if (next == self) {
		spin_unlock(&queue->lock);
		return;
	}
	queue->current = next;
	queue->previous = self;
	__atomic_store_n(&queue->is_idle, next == &queue->idle, __ATOMIC_RELAXED);
	this_cpu()->current = next;
	context_switch(&self->rsp, next->rsp);
	finish_switch();
}

static void call_switch_out(struct thread *thread)
{
	if (thread->switch_out != NULL)
		thread->switch_out(thread);
}

static void call_switch_in(struct thread *thread)
{
	if (thread->switch_in != NULL)
		thread->switch_in(thread);
}

void thread_sleep(void)
{
	uint64_t flags = irq_save();
	struct thread *self = thread_current();
	struct run_queue *queue;

	call_switch_out(self);
	queue = own_queue();
	spin_lock(&queue->lock);
	if (self->is_wake_pending) {
		self->is_wake_pending = false;
		spin_unlock(&queue->lock);
	} else {
		queue_account(queue, tsc_read());
		self->state = THREAD_SLEEPING;
		switch_and_unlock(queue);
	}
	call_switch_in(self);
	irq_restore(flags);
}

void thread_wake(struct thread *thread)
{
	uint64_t flags = irq_save();
	struct run_queue *queue = lock_queue_of(thread);

	if (thread->state == THREAD_SLEEPING) {
		thread->state = THREAD_RUNNABLE;
		enqueue_and_unlock(queue, thread);
	} else {
		thread->is_wake_pending = true;
		spin_unlock(&queue->lock);
	}
	irq_restore(flags);
}

/* True when the running thread has to leave this pCPU for now; else begins a new slice. */
static bool must_leave(struct run_queue *queue, bool gives_way)
{
	struct thread *self = queue->current;
	bool leaves;

	spin_lock(&queue->lock);
	queue_account(queue, tsc_read());
	if (gives_way && queue->first != NULL && self->runtime < queue->first->runtime)
		self->runtime = queue->first->runtime;
	leaves = self->migrate_to != MIGRATE_NONE || queue_wants_switch(queue, 0);
	if (!leaves) {
		set_need_resched(false);
		evaluate_locked(queue);
	}
	spin_unlock(&queue->lock);
	return leaves;
}

static void yield(bool gives_way)
{
	uint64_t flags = irq_save();
	struct thread *self = thread_current();
	struct run_queue *queue = own_queue();

	if (must_leave(queue, gives_way)) {
		call_switch_out(self);
		spin_lock(&queue->lock);
		self->state = THREAD_RUNNABLE;
		if (self->migrate_to == MIGRATE_NONE)
			queue_insert(queue, self);
		switch_and_unlock(queue);
		call_switch_in(self);
	}
	irq_restore(flags);
}

void thread_yield(void)
{
	yield(false);
}

void thread_give_way(void)
{
	yield(true);
}

bool thread_others_wait(void)
{
	return __atomic_load_n(&own_queue()->first, __ATOMIC_RELAXED) != NULL;
}

void thread_migrate(struct thread *thread, uint32_t pcpu)
{
	uint64_t flags = irq_save();
	struct run_queue *queue;

	BUG_ON(pcpu >= cpu_count());
	queue = lock_queue_of(thread);
	if (thread->pcpu == pcpu) {
		thread->migrate_to = MIGRATE_NONE;
		spin_unlock(&queue->lock);
	} else if (thread->state == THREAD_RUNNABLE && thread->is_queued) {
		queue_remove(queue, thread);
		move_to(thread, pcpu);
		spin_unlock(&queue->lock);
		enqueue_and_unlock(lock_queue_of(thread), thread);
	} else if (thread->state == THREAD_SLEEPING || thread->state == THREAD_NEW) {
		move_to(thread, pcpu);
		spin_unlock(&queue->lock);
	} else {
		uint32_t runs_on = thread->pcpu;

		thread->migrate_to = pcpu;
		spin_unlock(&queue->lock);
		if (thread != thread_current())
			ipi_send(runs_on, VECTOR_RESCHEDULE);
	}
	irq_restore(flags);
	if (thread == thread_current())
		thread_yield();
}

void thread_begin(void)
{
	struct thread *self;
	struct run_queue *queue;

	finish_switch();
	self = thread_current();
	call_switch_in(self);
	irq_enable();
	self->fn(self->arg);
	irq_disable();
	call_switch_out(self);
	queue = own_queue();
	spin_lock(&queue->lock);
	self->state = THREAD_DYING;
	switch_and_unlock(queue);
	panic("thread %s runs after its end", self->name);
}

struct thread *thread_create(const char *name, void (*fn)(void *), void *arg, uint32_t pcpu)
{
	struct thread *thread = page_alloc(0);
	uint64_t *stack;

	BUG_ON(pcpu >= cpu_count());
	if (thread == NULL)
		return NULL;
	thread->stack_top = stack_alloc();
	if (thread->stack_top == NULL) {
		page_free(thread, 0);
		return NULL;
	}
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	thread->fn = fn;
	thread->arg = arg;
	thread->pcpu = pcpu;
	thread->migrate_to = MIGRATE_NONE;
	/* What context_switch() pops: six registers, then the address to return to. */
	stack = (uint64_t *)thread->stack_top - 8;
	memset(stack, 0, 8 * sizeof(*stack));
	stack[6] = (uint64_t)thread_entry;
	thread->rsp = (uint64_t)stack;
	return thread;
}

void thread_start(struct thread *thread)
{
	uint64_t flags = irq_save();
	struct run_queue *queue = lock_queue_of(thread);

	BUG_ON(thread->state != THREAD_NEW);
	thread->state = THREAD_RUNNABLE;
	enqueue_and_unlock(queue, thread);
	irq_restore(flags);
}

bool thread_is_dead(const struct thread *thread)
{
	return __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) == THREAD_DEAD;
}

void thread_free(struct thread *thread)
{
	if (thread == NULL)
		return;
	BUG_ON(thread->state != THREAD_NEW && !thread_is_dead(thread));
	stack_free(thread->stack_top);
	page_free(thread, 0);
}

/* ---- Idle ----------------------------------------------------------------------------------- */

static bool pull_from(struct run_queue *queue)
{
	struct thread *thread;

	/* A pCPU that is itself about to leave its idle loop will run its thread soonest. */
	if (__atomic_load_n(&queue->first, __ATOMIC_RELAXED) == NULL ||
	    __atomic_load_n(&queue->is_idle, __ATOMIC_RELAXED))
		return false;
	spin_lock(&queue->lock);
	thread = queue_steal(queue);
	if (thread != NULL)
		move_to(thread, cpu_index());
	spin_unlock(&queue->lock);
	if (thread == NULL)
		return false;
	enqueue_and_unlock(lock_queue_of(thread), thread);
	return true;
}

static bool pull(void)
{
	uint32_t own = cpu_index();

	for (uint32_t i = 1; i < cpu_count(); i++)
		if (pull_from(&run_queues[(own + i) % cpu_count()]))
			return true;
	return false;
}

void sched_idle(void)
{
	struct run_queue *queue = own_queue();

	for (;;) {
		irq_disable();
		set_need_resched(false);
		/* is_idle is set: pairs with the fences before call_idle_pcpu(). */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&queue->first, __ATOMIC_RELAXED) != NULL || pull()) {
			spin_lock(&queue->lock);
			switch_and_unlock(queue);
		} else if (!thread_should_yield()) {
			/* The shadow of STI keeps interrupts away until HLT sleeps. */
			__asm__ volatile("sti; hlt" : : : "memory");
		}
		irq_enable();
	}
}

void sched_cpu_init(void)
{
	struct run_queue *queue = own_queue();
	struct thread *idle = &queue->idle;

	snprintf(idle->name, sizeof(idle->name), "idle%u", cpu_index());
	idle->state = THREAD_RUNNING;
	idle->pcpu = cpu_index();
	idle->is_pinned = true;
	idle->migrate_to = MIGRATE_NONE;
	queue->current = idle;
	queue->slice.fn = slice_end;
	this_cpu()->current = idle;
	this_cpu()->idle = idle;
	__atomic_store_n(&queue->is_idle, 1, __ATOMIC_SEQ_CST);
}

void sched_init(void)
{
	sched_ticks.slice = tsc_from_ns(SLICE_NS);
	sched_ticks.wake_lead = tsc_from_ns(WAKE_LEAD_NS);
	sched_ticks.preempt = tsc_from_ns(PREEMPT_NS);
	irq_register(VECTOR_RESCHEDULE, reschedule_interrupt);
}
