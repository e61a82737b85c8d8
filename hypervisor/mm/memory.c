/* SPDX-License-Identifier: MIT */
/* Addresses, guest ranges and the order in which memory management starts. */
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/mm/range.h"

#define STACK_SLOT (STACK_SIZE + PAGE_SIZE)

static uint64_t direct_map_end; /* physical */

/* A free stack holds the pointer to the next in its topmost word. */
static void *free_stacks;
static uint64_t stack_slot_count;
static spinlock_t stack_lock;

uint64_t phys_of(const void *pointer)
{
	uint64_t address = (uint64_t)pointer;

	if (address >= IMAGE_BASE)
		return address - IMAGE_BASE;
	BUG_ON(address < DIRECT_MAP_BASE || address - DIRECT_MAP_BASE >= direct_map_end);
	return address - DIRECT_MAP_BASE;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

void *memory_alloc_range(uint64_t bytes, uint64_t align)
{
	uint64_t phys;
	void *range;

	if (bytes == 0 || bytes > direct_map_end || (align & (align - 1)) != 0)
		return NULL;
	if (align < PAGE_SIZE)
		align = PAGE_SIZE;
	phys = range_take_high(whole_pages(bytes), align);
	if (phys == RANGE_NONE)
		return NULL;
	range = virt_of(phys);
	memset(range, 0, whole_pages(bytes));
	return range;
}

void memory_free_range(void *range, uint64_t bytes)
{
	uint64_t phys;

	if (range == NULL)
		return;
	phys = phys_of(range);
	range_add(phys, phys + whole_pages(bytes));
}

uint64_t memory_free_bytes(void)
{
	return range_free_bytes() + page_free_bytes();
}

static void *stack_map_new(void)
{
	/* The first page of a slot stays unmapped: the guard. */
	uint64_t base = STACK_AREA_BASE + stack_slot_count * STACK_SLOT + PAGE_SIZE;

	for (uint64_t offset = 0; offset < STACK_SIZE; offset += PAGE_SIZE) {
		void *page = page_alloc(0);

		if (page == NULL || !map_stack_page(base + offset, phys_of(page)))
			return NULL;
	}
	stack_slot_count++;
	return (void *)(base + STACK_SIZE);
}

void *stack_alloc(void)
{
	uint64_t flags = spin_lock_irqsave(&stack_lock);
	void *top = free_stacks;

	if (top != NULL)
		free_stacks = ((void **)top)[-1];
	else
		top = stack_map_new();
	spin_unlock_irqrestore(&stack_lock, flags);
	return top;
}

void stack_free(void *top)
{
	uint64_t flags;

	if (top == NULL)
		return;
	flags = spin_lock_irqsave(&stack_lock);
	((void **)top)[-1] = free_stacks;
	free_stacks = top;
	spin_unlock_irqrestore(&stack_lock, flags);
}

void stack_words(uint64_t rsp, const uint64_t **start, const uint64_t **end)
{
	extern char boot_stack_guard[];
	uint64_t area_end = STACK_AREA_BASE + stack_slot_count * STACK_SLOT;
	uint64_t slot = (uint64_t)boot_stack_guard; /* a stack of the same form */

	if (rsp >= STACK_AREA_BASE && rsp < area_end)
		slot = rsp - (rsp - STACK_AREA_BASE) % STACK_SLOT;
	*start = *end = NULL;
	if (rsp < slot || rsp >= slot + STACK_SLOT)
		return;
	if (rsp < slot + PAGE_SIZE)
		rsp = slot + PAGE_SIZE;
	*start = (const uint64_t *)(rsp & ~7ull);
	*end = (const uint64_t *)(slot + STACK_SLOT);
}

void memory_init(const struct boot_info *info)
{
	uint64_t phys_end = 1ull << 32; /* device registers lie below it */

	for (unsigned i = 0; i < info->ram_count; i++)
		if (info->ram[i].end > phys_end)
			phys_end = info->ram[i].end;
	phys_end = (phys_end + LARGE_PAGE_SIZE - 1) & ~(uint64_t)(LARGE_PAGE_SIZE - 1);
	direct_map_end = phys_end;
	range_init(info);
	page_init(phys_end);
	map_init(info, phys_end);
}
