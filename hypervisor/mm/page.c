/* SPDX-License-Identifier: MIT */
/* Page allocator: a buddy system over 2 MiB chunks, drawn from range.c as they are needed. */
#include <stdbool.h>

#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/mm/range.h"

#define CHUNK_BYTES ((uint64_t)PAGE_SIZE << PAGE_ORDER_MAX)

/* A free block holds its own list node. */
struct free_block {
	struct free_block *next, *previous;
};

/* One byte for each page of physical memory, for the first page of a block. */
#define PAGE_USED  0xffu /* also: not ours, or not a first page */
#define PAGE_FREE(order) ((uint8_t)(order))

static spinlock_t page_lock;
static struct free_block *free_lists[PAGE_ORDER_MAX + 1];
static uint8_t *page_states;
static uint64_t page_count;
static uint64_t free_page_count;

static void push(uint64_t page, unsigned order)
{
	struct free_block *block = virt_of(page << PAGE_SHIFT);

	*block = (struct free_block){ .next = free_lists[order] };
	if (block->next != NULL)
		block->next->previous = block;
	free_lists[order] = block;
	page_states[page] = PAGE_FREE(order);
	free_page_count += 1ull << order;
}

static void remove(uint64_t page, unsigned order)
{
	struct free_block *block = virt_of(page << PAGE_SHIFT);

	if (block->next != NULL)
		block->next->previous = block->previous;
	if (block->previous != NULL)
		block->previous->next = block->next;
	else
		free_lists[order] = block->next;
	page_states[page] = PAGE_USED;
	free_page_count -= 1ull << order;
}

static bool add_chunk(void)
{
	uint64_t phys = range_take_low(CHUNK_BYTES, CHUNK_BYTES);

	if (phys == RANGE_NONE)
		return false;
	push(phys >> PAGE_SHIFT, PAGE_ORDER_MAX);
	return true;
}

/* The smallest free block of at least that order; its order in *found. */
static struct free_block *find(unsigned order, unsigned *found)
{
	for (*found = order; *found <= PAGE_ORDER_MAX; (*found)++)
		if (free_lists[*found] != NULL)
			return free_lists[*found];
	return NULL;
}

static void *take_locked(unsigned order)
{
	unsigned found;
	struct free_block *block = find(order, &found);
	uint64_t page;

	if (block == NULL) {
		if (!add_chunk())
			return NULL;
		block = find(order, &found);
	}
	page = phys_of(block) >> PAGE_SHIFT;
	remove(page, found);
	while (found > order) {
		found--;
		push(page + (1ull << found), found);
	}
	return block;
}

void *page_alloc(unsigned order)
{
	uint64_t flags;
	void *page;

	if (order > PAGE_ORDER_MAX)
		return NULL;
	flags = spin_lock_irqsave(&page_lock);
	page = take_locked(order);
	spin_unlock_irqrestore(&page_lock, flags);
	if (page != NULL)
		memset(page, 0, (size_t)PAGE_SIZE << order);
	return page;
}

void page_free(void *pointer, unsigned order)
{
	uint64_t flags, page;

	if (pointer == NULL)
		return;
	page = phys_of(pointer) >> PAGE_SHIFT;
	BUG_ON(order > PAGE_ORDER_MAX || (page & ((1ull << order) - 1)) != 0 || page >= page_count);
	flags = spin_lock_irqsave(&page_lock);
	BUG_ON(page_states[page] != PAGE_USED);
	for (; order < PAGE_ORDER_MAX; order++) {
		uint64_t buddy = page ^ (1ull << order);

		if (page_states[buddy] != PAGE_FREE(order))
			break;
		remove(buddy, order);
		page &= buddy;
	}
	push(page, order);
	spin_unlock_irqrestore(&page_lock, flags);
}

uint64_t page_free_bytes(void)
{
	return __atomic_load_n(&free_page_count, __ATOMIC_RELAXED) << PAGE_SHIFT;
}

void page_init(uint64_t phys_end)
{
	uint64_t bytes, phys;

	page_count = phys_end >> PAGE_SHIFT;
	bytes = (page_count + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	phys = range_take_low(bytes, PAGE_SIZE);
	if (phys == RANGE_NONE)
		panic("too little memory for the page allocator");
	page_states = virt_of(phys);
	memset(page_states, PAGE_USED, bytes);
}
