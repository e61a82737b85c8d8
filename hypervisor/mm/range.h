/* SPDX-License-Identifier: MIT */
/* Free physical memory as a short sorted list of ranges; what page.c and guests draw from. */
#ifndef HYPERVISOR_MM_RANGE_H
#define HYPERVISOR_MM_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/boot/multiboot.h"

#define RANGE_NONE UINT64_MAX

/* Whole pages of [start, end) are free from now on.  Must not overlap free memory. */
void range_add(uint64_t start, uint64_t end);
/* Take every page that [start, end) touches out of what is free. */
void range_reserve(uint64_t start, uint64_t end);
/* Take `bytes` (whole pages) at an aligned address, the lowest or the highest; or RANGE_NONE. */
uint64_t range_take_low(uint64_t bytes, uint64_t align);
uint64_t range_take_high(uint64_t bytes, uint64_t align);
uint64_t range_free_bytes(void);

/* Boot thread, once, in this order. */
void range_init(const struct boot_info *info);
void page_init(uint64_t phys_end);
void map_init(const struct boot_info *info, uint64_t phys_end);
void memory_init(const struct boot_info *info);

/* Bytes in the page allocator's free lists. */
uint64_t page_free_bytes(void);

/* Map one page of the stacks' area; the page tables it needs come from page_alloc(). */
bool map_stack_page(uint64_t virt, uint64_t phys);
#define STACK_AREA_BASE 0xffff900000000000ull

#endif
