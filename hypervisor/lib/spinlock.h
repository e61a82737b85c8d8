/* SPDX-License-Identifier: MIT */
/* Ticket spinlocks; the only mutual exclusion between pCPUs. */
#ifndef HYPERVISOR_LIB_SPINLOCK_H
#define HYPERVISOR_LIB_SPINLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All zero is an unlocked lock.  Fair: taken in the order of asking. */
typedef struct spinlock {
	uint32_t next;  /* the next ticket to hand out; written by every taker */
	uint32_t owner; /* the ticket that may proceed; written by the holder */
} spinlock_t;

#define SPINLOCK_INIT { 0, 0 }

/* Save the interrupt flag and turn IRQs off; nothing in a hosted build. */
static inline uint64_t irq_save(void)
{
#if __STDC_HOSTED__
	return 0;
#else
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return flags;
#endif
}

/* Restore the interrupt flag that irq_save() returned. */
static inline void irq_restore(uint64_t flags)
{
#if __STDC_HOSTED__
	(void)flags;
#else
	if (flags & 0x200)
		__asm__ volatile("sti" : : : "memory");
#endif
}

/* For locks that no interrupt handler takes.  The holder must not sleep or yield. */
static inline void spin_lock(spinlock_t *lock)
{
	uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
		__builtin_ia32_pause();
}

static inline bool spin_trylock(spinlock_t *lock)
{
	uint32_t ticket = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);

	return __atomic_compare_exchange_n(&lock->next, &ticket, ticket + 1, false,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(spinlock_t *lock)
{
	uint32_t owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);

	__atomic_store_n(&lock->owner, owner + 1, __ATOMIC_RELEASE);
}

/* For locks that interrupt handlers take, too: IRQs stay off until spin_unlock_irqrestore(). */
static inline uint64_t spin_lock_irqsave(spinlock_t *lock)
{
	uint64_t flags = irq_save();

	spin_lock(lock);
	return flags;
}

static inline void spin_unlock_irqrestore(spinlock_t *lock, uint64_t flags)
{
	spin_unlock(lock);
	irq_restore(flags);
}

#endif
