/* SPDX-License-Identifier: MIT */
/*
 * <stdatomic.h> for foreign code in the lab: compile it with -Ilab/shim, and each atomic operation
 * becomes one of the lab's, as compilers make x86 instructions of them: a store with
 * memory_order_seq_cst is an XCHG, weaker ones and loads are MOVs, read-modify-writes are locked.
 * Left out: _Atomic in declarations, atomic_flag, XOR.
 */
#ifndef LAB_SHIM_STDATOMIC_H
#define LAB_SHIM_STDATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/shared.h"

typedef enum {
	memory_order_relaxed,
	memory_order_consume,
	memory_order_acquire,
	memory_order_release,
	memory_order_acq_rel,
	memory_order_seq_cst
} memory_order;

typedef bool atomic_bool;
typedef int atomic_int;
typedef unsigned int atomic_uint;
typedef long atomic_long;
typedef unsigned long atomic_ulong;
typedef size_t atomic_size_t;
typedef uintptr_t atomic_uintptr_t;

#define LAB_SHIM_RMW(op, p, v, e)                                                                  \
	((__typeof__(*(p)))lab_rmw(                                                                \
	    op, p, sizeof(*(p)), (uint64_t)(v), (uint64_t)(e), SITE_NONE, __FILE__, __LINE__))

#define atomic_init(p, v) ((void)(*(p) = (v)))
#define atomic_load_explicit(p, order)                                                             \
	((void)(order), (__typeof__(*(p)))lab_load(p, sizeof(*(p)), SITE_NONE, __FILE__, __LINE__))
#define atomic_store_explicit(p, v, order)                                                         \
	((order) == memory_order_seq_cst                                                           \
	        ? (void)LAB_SHIM_RMW(LAB_XCHG, p, v, 0)                                            \
	        : lab_store(p, sizeof(*(p)), (uint64_t)(v), SITE_NONE, __FILE__, __LINE__))
#define atomic_exchange_explicit(p, v, order)  ((void)(order), LAB_SHIM_RMW(LAB_XCHG, p, v, 0))
#define atomic_fetch_add_explicit(p, v, order) ((void)(order), LAB_SHIM_RMW(LAB_ADD, p, v, 0))
#define atomic_fetch_sub_explicit(p, v, order) ((void)(order), LAB_SHIM_RMW(LAB_ADD, p, -(v), 0))
#define atomic_fetch_or_explicit(p, v, order)  ((void)(order), LAB_SHIM_RMW(LAB_OR, p, v, 0))
#define atomic_fetch_and_explicit(p, v, order) ((void)(order), LAB_SHIM_RMW(LAB_AND, p, v, 0))
/* *e becomes what was found. */
#define atomic_compare_exchange_strong_explicit(p, e, v, success, failure)                         \
	__extension__({                                                                            \
		__typeof__(*(p)) lab_shim_wanted = *(e);                                           \
		(void)(success), (void)(failure);                                                  \
		*(e) = LAB_SHIM_RMW(LAB_CMPXCHG, p, v, lab_shim_wanted);                           \
		*(e) == lab_shim_wanted;                                                           \
	})
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_thread_fence(order)                                                                 \
	((order) == memory_order_seq_cst ? lab_fence(SITE_NONE, __FILE__, __LINE__) : (void)0)

#define atomic_load(p)         atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, v)     atomic_store_explicit(p, v, memory_order_seq_cst)
#define atomic_exchange(p, v)  atomic_exchange_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_add(p, v) atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_sub(p, v) atomic_fetch_sub_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_or(p, v)  atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_and(p, v) atomic_fetch_and_explicit(p, v, memory_order_seq_cst)
#define atomic_compare_exchange_strong(p, e, v)                                                    \
	atomic_compare_exchange_strong_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_compare_exchange_weak atomic_compare_exchange_strong

#endif
