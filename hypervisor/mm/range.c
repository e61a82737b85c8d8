/* SPDX-License-Identifier: MIT */
/* Free physical memory as a short sorted list of ranges. */
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/mm/range.h"

#define RANGE_MAX 256u
#define FIRST_MIB (1u << 20)

/* Sorted by address, never touching each other. */
static struct boot_region ranges[RANGE_MAX];
static unsigned range_count;
static spinlock_t range_lock;

static uint64_t page_down(uint64_t address)
{
	return address & ~(uint64_t)(PAGE_SIZE - 1);
}

static uint64_t page_up(uint64_t address)
{
	return page_down(address + PAGE_SIZE - 1);
}

static void remove_at(unsigned i)
{
	range_count--;
	memmove(&ranges[i], &ranges[i + 1], (range_count - i) * sizeof(ranges[0]));
}

static void insert_at(unsigned i, uint64_t start, uint64_t end)
{
	BUG_ON(range_count == RANGE_MAX);
	memmove(&ranges[i + 1], &ranges[i], (range_count - i) * sizeof(ranges[0]));
	ranges[i] = (struct boot_region){ start, end };
	range_count++;
}

static void add_locked(uint64_t start, uint64_t end)
{
	unsigned i = 0;

	while (i < range_count && ranges[i].start < start)
		i++;
	BUG_ON(i < range_count && ranges[i].start < end);
	BUG_ON(i > 0 && ranges[i - 1].end > start);
	insert_at(i, start, end);
	if (i + 1 < range_count && ranges[i].end == ranges[i + 1].start) {
		ranges[i].end = ranges[i + 1].end;
		remove_at(i + 1);
	}
	if (i > 0 && ranges[i - 1].end == ranges[i].start) {
		ranges[i - 1].end = ranges[i].end;
		remove_at(i);
	}
}

/* Cut [start, end) out of ranges[i]; returns how many ranges it left there (0, 1 or 2). */
static unsigned cut(unsigned i, uint64_t start, uint64_t end)
{
	struct boot_region old = ranges[i];
	unsigned left = 0;

	remove_at(i);
	if (old.start < start) {
		insert_at(i, old.start, start);
		left++;
	}
	if (end < old.end) {
		insert_at(i + left, end, old.end);
		left++;
	}
	return left;
}

void range_add(uint64_t start, uint64_t end)
{
	uint64_t flags = spin_lock_irqsave(&range_lock);

	start = page_up(start);
	end = page_down(end);
	if (start < end)
		add_locked(start, end);
	spin_unlock_irqrestore(&range_lock, flags);
}

void range_reserve(uint64_t start, uint64_t end)
{
	uint64_t flags = spin_lock_irqsave(&range_lock);

	start = page_down(start);
	end = page_up(end);
	for (unsigned i = 0; i < range_count;) {
		if (start < ranges[i].end && ranges[i].start < end)
			i += cut(i, start, end);
		else
			i++;
	}
	spin_unlock_irqrestore(&range_lock, flags);
}

static uint64_t align_up(uint64_t address, uint64_t align)
{
	return (address + align - 1) & ~(align - 1);
}

uint64_t range_take_low(uint64_t bytes, uint64_t align)
{
	uint64_t flags = spin_lock_irqsave(&range_lock), found = RANGE_NONE;

	for (unsigned i = 0; i < range_count && found == RANGE_NONE; i++) {
		uint64_t start = align_up(ranges[i].start, align);

		if (start < ranges[i].end && ranges[i].end - start >= bytes) {
			found = start;
			cut(i, start, start + bytes);
		}
	}
	spin_unlock_irqrestore(&range_lock, flags);
	return found;
}

uint64_t range_take_high(uint64_t bytes, uint64_t align)
{
	uint64_t flags = spin_lock_irqsave(&range_lock), found = RANGE_NONE;

	for (unsigned i = range_count; i-- > 0 && found == RANGE_NONE;) {
		uint64_t start;

		if (ranges[i].end - ranges[i].start < bytes)
			continue;
		start = (ranges[i].end - bytes) & ~(align - 1);
		if (start >= ranges[i].start) {
			found = start;
			cut(i, start, start + bytes);
		}
	}
	spin_unlock_irqrestore(&range_lock, flags);
	return found;
}

uint64_t range_free_bytes(void)
{
	uint64_t flags = spin_lock_irqsave(&range_lock), bytes = 0;

	for (unsigned i = 0; i < range_count; i++)
		bytes += ranges[i].end - ranges[i].start;
	spin_unlock_irqrestore(&range_lock, flags);
	return bytes;
}

void range_init(const struct boot_info *info)
{
	extern char image_start[], image_end[];

	for (unsigned i = 0; i < info->ram_count; i++)
		range_add(info->ram[i].start, info->ram[i].end);
	/* Below 1 MiB: firmware data, and the trampoline of smp.c. */
	range_reserve(0, FIRST_MIB);
	range_reserve((uint64_t)image_start, phys_of(image_end));
	range_reserve(info->module.start, info->module.end);
}
