/* SPDX-License-Identifier: MIT */
/* Physical memory: pages for the host's own use and big ranges for guests. */
#ifndef HYPERVISOR_MM_MEMORY_H
#define HYPERVISOR_MM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE       4096u
#define PAGE_SHIFT      12u
#define LARGE_PAGE_SIZE (2u << 20)
#define PAGE_ORDER_MAX  9u /* page_alloc() hands out at most 2 MiB in one piece */

/*
 * 4096 << order zeroed bytes, aligned to their size; NULL when there is none or the order is above
 * PAGE_ORDER_MAX.  Any thread or handler.
 */
void *page_alloc(unsigned order);
/* Give back what page_alloc() returned, with the same order.  NULL is ignored. */
void page_free(void *page, unsigned order);

/*
 * One contiguous zeroed range for guest RAM; both sizes are rounded up to whole pages.  NULL when
 * no free range is that long.  Any thread; slow (it writes every byte).
 */
void *memory_alloc_range(uint64_t bytes, uint64_t align);
/* Give a range back, with the size it was asked for. */
void memory_free_range(void *range, uint64_t bytes);

/* What page_alloc() and memory_alloc_range() could still hand out together. */
uint64_t memory_free_bytes(void);

/* The host keeps all physical memory below this mapped at virt_of(0).. */
#define DIRECT_MAP_BASE 0xffff800000000000ull
/* The image runs here: virtual = physical + IMAGE_BASE. */
#define IMAGE_BASE      0xffffffff80000000ull

/*
 * Physical address of a host pointer: of the image or of the direct map.  Not of a thread's stack
 * (that is a bug: never give hardware a pointer into a stack).
 */
uint64_t phys_of(const void *pointer);

/* Host pointer to RAM, or to a device's registers below 4 GiB (mapped uncached). */
static inline void *virt_of(uint64_t phys)
{
	return (void *)(DIRECT_MAP_BASE + phys);
}

/*
 * A stack for a thread or handler: its top (16-aligned), an unmapped guard page below it, or NULL.
 * Stacks are reused, never unmapped.
 */
#define STACK_SIZE (4u * PAGE_SIZE)
void *stack_alloc(void);
void stack_free(void *top);

/*
 * The part of a stack that can be read from `rsp` upwards, in [*start, *end); rsp may lie in the
 * guard page.  Empty when rsp is in no stack.  For panic().
 */
void stack_words(uint64_t rsp, const uint64_t **start, const uint64_t **end);

#endif
