/* SPDX-License-Identifier: MIT */
/* Time and timers: the TSC as the only clock, one LAPIC one-shot per pCPU behind a queue. */
#ifndef HYPERVISOR_CPU_TIMER_H
#define HYPERVISOR_CPU_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/cpu/instructions.h"

/* Host TSC frequency, the same on all pCPUs; not 0 once main runs. */
uint64_t tsc_khz(void);
/* Convert durations; saturate instead of wrapping. */
uint64_t tsc_from_ns(uint64_t nanoseconds);
uint64_t tsc_to_ns(uint64_t ticks);

/* All zero but fn and arg: not armed.  The embedder owns the memory. */
struct timer {
	void (*fn)(void *arg); /* IRQ context, IRQs off, on the pCPU that called timer_set() */
	void *arg;
	uint64_t deadline; /* host TSC; private to timer.c, as the rest */
	struct timer *next, *previous;
	uint32_t pcpu;
	bool is_queued;
};

/*
 * Call fn(arg) on the calling pCPU once the host TSC has reached the deadline (at once, by a timer
 * interrupt, when it has passed already); replaces an earlier arming, on whatever pCPU.  Any thread
 * or handler, the timer's own fn included.  Two callers for one timer need a lock of their own.
 */
void timer_set(struct timer *timer, uint64_t deadline);

/*
 * Disarm.  True: it was armed and fn will not be called.  False: it was not armed, and fn may be
 * running on another pCPU right now (so a lock that fn takes may be held here).  Any context.
 */
bool timer_cancel(struct timer *timer);

/*
 * Disarm, and wait until fn is not running on another pCPU: the memory may be freed then.  Not with
 * a lock held that fn takes, not from fn.
 */
void timer_cancel_sync(struct timer *timer);

#endif
