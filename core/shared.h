/* SPDX-License-Identifier: MIT */
/* The only door to memory that another CPU can touch; in the lab every call is a scheduling point. */
#ifndef CORE_SHARED_H
#define CORE_SHARED_H

#include <posthorn/platform.h>
#include "core/sites.h"

/*
 * Every operation names its site (core/sites.h).  RMW operations and shared*_publish() are full
 * fences on x86 (SDM vol. 3, "Locked Instructions and Memory Ordering").
 */
#ifdef PH_LAB

/* The lab's runtime; sizes in bytes, values zero-extended. */
enum lab_rmw { LAB_XCHG, LAB_OR, LAB_AND, LAB_ADD, LAB_CMPXCHG };
uint64_t lab_load(const volatile void *address, uint32_t size, enum core_site site, const char *file,
    int line);
void lab_store(volatile void *address, uint32_t size, uint64_t value, enum core_site site,
    const char *file, int line);
/* Store, then full fence. */
void lab_publish(volatile void *address, uint32_t size, uint64_t value, enum core_site site,
    const char *file, int line);
/* Returns the old value; expected is for LAB_CMPXCHG. */
uint64_t lab_rmw(enum lab_rmw op, volatile void *address, uint32_t size, uint64_t value,
    uint64_t expected, enum core_site site, const char *file, int line);
void lab_fence(enum core_site site, const char *file, int line);
/* False when the lab leaves this step out. */
bool lab_step(enum core_site site, const char *file, int line);
/* A lock whose acquisition is one action, enabled while it is free. */
void lab_lock(volatile uint32_t *lock, const char *file, int line);
void lab_unlock(volatile uint32_t *lock, const char *file, int line);

#define SHARED_LOAD(bits, p, site) \
	((uint##bits##_t)lab_load((p), sizeof(*(p)), SITE_##site, __FILE__, __LINE__))
#define SHARED_STORE(bits, p, v, site) \
	lab_store((p), sizeof(*(p)), (v), SITE_##site, __FILE__, __LINE__)
#define SHARED_PUBLISH(bits, p, v, site) \
	lab_publish((p), sizeof(*(p)), (v), SITE_##site, __FILE__, __LINE__)
#define SHARED_RMW(bits, op, p, v, e, site) \
	((uint##bits##_t)lab_rmw((op), (p), sizeof(*(p)), (v), (e), SITE_##site, __FILE__, __LINE__))

#define shared32_load(p, site)             SHARED_LOAD(32, p, site)
#define shared64_load(p, site)             SHARED_LOAD(64, p, site)
#define shared32_load_acquire(p, site)     SHARED_LOAD(32, p, site)
#define shared64_load_acquire(p, site)     SHARED_LOAD(64, p, site)
#define shared32_store(p, v, site)         SHARED_STORE(32, p, v, site)
#define shared64_store(p, v, site)         SHARED_STORE(64, p, v, site)
#define shared32_store_release(p, v, site) SHARED_STORE(32, p, v, site)
#define shared64_store_release(p, v, site) SHARED_STORE(64, p, v, site)
#define shared32_publish(p, v, site)       SHARED_PUBLISH(32, p, v, site)
#define shared32_xchg(p, v, site)          SHARED_RMW(32, LAB_XCHG, p, v, 0, site)
#define shared64_xchg(p, v, site)          SHARED_RMW(64, LAB_XCHG, p, v, 0, site)
#define shared32_or(p, v, site)            SHARED_RMW(32, LAB_OR, p, v, 0, site)
#define shared64_or(p, v, site)            SHARED_RMW(64, LAB_OR, p, v, 0, site)
#define shared32_and(p, v, site)           SHARED_RMW(32, LAB_AND, p, v, 0, site)
#define shared64_and(p, v, site)           SHARED_RMW(64, LAB_AND, p, v, 0, site)
#define shared32_add(p, v, site)           SHARED_RMW(32, LAB_ADD, p, v, 0, site)
#define shared32_cmpxchg(p, e, v, site)    SHARED_RMW(32, LAB_CMPXCHG, p, v, e, site)
#define shared64_cmpxchg(p, e, v, site)    SHARED_RMW(64, LAB_CMPXCHG, p, v, e, site)
#define shared_fence(site)                 lab_fence(SITE_##site, __FILE__, __LINE__)
#define SHARED_STEP(site)                  lab_step(SITE_##site, __FILE__, __LINE__)

/* Counters are not part of a world's state. */
#define shared_count(p) ((void)(p))

#else

#define shared32_load(p, site)             __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared64_load(p, site)             __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared32_load_acquire(p, site)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define shared64_load_acquire(p, site)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define shared32_store(p, v, site)         __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define shared64_store(p, v, site)         __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define shared32_store_release(p, v, site) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define shared64_store_release(p, v, site) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* XCHG: a store and a full fence in one instruction. */
#define shared32_publish(p, v, site)       ((void)__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define shared32_xchg(p, v, site)          __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define shared64_xchg(p, v, site)          __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define shared32_or(p, v, site)            __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define shared64_or(p, v, site)            __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define shared32_and(p, v, site)           __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define shared64_and(p, v, site)           __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define shared32_add(p, v, site)           __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define shared32_cmpxchg(p, e, v, site)    shared32_cmpxchg_now((p), (e), (v))
#define shared64_cmpxchg(p, e, v, site)    shared64_cmpxchg_now((p), (e), (v))
#define shared_fence(site)                 __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define SHARED_STEP(site)                  true

static inline uint32_t shared32_cmpxchg_now(uint32_t *p, uint32_t expected, uint32_t value)
{
	__atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}

static inline uint64_t shared64_cmpxchg_now(uint64_t *p, uint64_t expected, uint64_t value)
{
	__atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}

/* A statistic: no ordering leans on it. */
#define shared_count(p) ((void)__atomic_fetch_add((p), 1, __ATOMIC_RELAXED))

#endif

/*
 * A short lock, taken with interrupts off so that a host interrupt handler may take it too.  Not
 * nested in itself; the order is in core/vcpu.h.
 */
struct shared_lock {
	uint32_t held;
};

static inline uint64_t shared_lock_take(struct shared_lock *lock, const struct ph_platform *platform)
{
	uint64_t flags = platform->irq_save();

#ifdef PH_LAB
	lab_lock(&lock->held, __FILE__, __LINE__);
#else
	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
	}
#endif
	return flags;
}

static inline void shared_lock_drop(struct shared_lock *lock, const struct ph_platform *platform,
    uint64_t flags)
{
#ifdef PH_LAB
	lab_unlock(&lock->held, __FILE__, __LINE__);
#else
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
#endif
	platform->irq_restore(flags);
}

#endif
