/* SPDX-License-Identifier: MIT */
/* A spin lock held with interrupts disabled. */
#ifndef GUESTS_RT_LOCK_H
#define GUESTS_RT_LOCK_H

#include <stdint.h>

#include "guests/rt/cpu.h"

struct lock {
	volatile int is_held;
};

/* Returns the flags to give back to lock_release(). Not for NMI handlers. */
static inline uint64_t lock_acquire(struct lock *lock)
{
	uint64_t flags = read_rflags();

	interrupts_disable();
	while (__atomic_exchange_n(&lock->is_held, 1, __ATOMIC_ACQUIRE))
		cpu_pause();
	return flags;
}

static inline void lock_release(struct lock *lock, uint64_t flags)
{
	__atomic_store_n(&lock->is_held, 0, __ATOMIC_RELEASE);
	if (flags & RFLAGS_IF)
		interrupts_enable();
}

#endif
