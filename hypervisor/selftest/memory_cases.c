/* SPDX-License-Identifier: MIT */
/* Self-test of mm/ and lib/. */
#include <stddef.h>

#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/selftest/selftest.h"

#define BLOCK_COUNT 64u

static bool is_filled(const void *bytes, uint8_t wanted, size_t length)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < length; i++)
		if (byte[i] != wanted)
			return false;
	return true;
}

static bool pages_are_aligned_zeroed_and_merge(void)
{
	void *blocks[PAGE_ORDER_MAX + 1];
	uint64_t before;

	page_free(page_alloc(0), 0);
	before = memory_free_bytes();
	for (unsigned order = 0; order <= PAGE_ORDER_MAX; order++) {
		size_t bytes = (size_t)PAGE_SIZE << order;

		blocks[order] = page_alloc(order);
		CHECK(blocks[order] != NULL);
		CHECK((phys_of(blocks[order]) & (bytes - 1)) == 0);
		CHECK(is_filled(blocks[order], 0, bytes));
		memset(blocks[order], 0xa5, bytes);
	}
	for (unsigned order = 0; order <= PAGE_ORDER_MAX; order++) {
		CHECK(is_filled(blocks[order], 0xa5, (size_t)PAGE_SIZE << order));
		page_free(blocks[order], order);
	}
	CHECK(memory_free_bytes() == before);
	CHECK(page_alloc(PAGE_ORDER_MAX + 1) == NULL);
	/* Merged: a whole chunk can be had again, and is zeroed again. */
	blocks[0] = page_alloc(PAGE_ORDER_MAX);
	CHECK(is_filled(blocks[0], 0, LARGE_PAGE_SIZE));
	page_free(blocks[0], PAGE_ORDER_MAX);
	return true;
}

static bool pages_do_not_overlap(void)
{
	void *blocks[BLOCK_COUNT];

	for (unsigned i = 0; i < BLOCK_COUNT; i++) {
		blocks[i] = page_alloc(i % 4);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], (int)i, (size_t)PAGE_SIZE << i % 4);
	}
	for (unsigned i = 0; i < BLOCK_COUNT; i++)
		CHECK(is_filled(blocks[i], (uint8_t)i, (size_t)PAGE_SIZE << i % 4));
	for (unsigned i = 0; i < BLOCK_COUNT; i++)
		page_free(blocks[i * 5 % BLOCK_COUNT], i * 5 % BLOCK_COUNT % 4);
	return true;
}

static bool ranges_come_and_go(void)
{
	uint64_t before = memory_free_bytes();
	uint8_t *range = memory_alloc_range(5 << 20, LARGE_PAGE_SIZE);

	CHECK(range != NULL);
	CHECK((phys_of(range) & (LARGE_PAGE_SIZE - 1)) == 0);
	CHECK(is_filled(range, 0, 5 << 20));
	CHECK(memory_free_bytes() == before - (5 << 20));
	memset(range, 0xff, 5 << 20);
	memory_free_range(range, 5 << 20);
	CHECK(memory_free_bytes() == before);
	CHECK(memory_alloc_range(1ull << 50, PAGE_SIZE) == NULL);
	CHECK(memory_alloc_range(0, PAGE_SIZE) == NULL);
	CHECK(memory_alloc_range(PAGE_SIZE, 3) == NULL);
	return true;
}

static bool format_is(const char *got, int length, const char *wanted)
{
	CHECK(strcmp(got, wanted) == 0);
	CHECK(length == (int)strlen(wanted));
	return true;
}

static bool snprintf_follows_c11(void)
{
	char text[64];
	int n;

	n = snprintf(text, sizeof(text), "%d %u %x %#x %c%%", -5, 7u, 0xabcu, 0x1fu, 'z');
	CHECK(format_is(text, n, "-5 7 abc 0x1f z%"));
	n = snprintf(text, sizeof(text), "[%5s|%-5s|%.2s|%*d]", "ab", "cd", "efgh", 4, 12);
	CHECK(format_is(text, n, "[   ab|cd   |ef|  12]"));
	n = snprintf(text, sizeof(text), "%016lx %lld %zu %hhx", 0x123ul, -1ll, (size_t)9, (uint8_t)0xff);
	CHECK(format_is(text, n, "0000000000000123 -1 9 ff"));
	n = snprintf(text, sizeof(text), "%ld %lu", INT64_MIN, UINT64_MAX);
	CHECK(format_is(text, n, "-9223372036854775808 18446744073709551615"));
	n = snprintf(text, 4, "abcdef");
	CHECK(n == 6 && strcmp(text, "abc") == 0);
	return true;
}

static bool memmove_handles_overlap(void)
{
	char text[] = "0123456789";

	memmove(text + 2, text, 6);
	CHECK(strcmp(text, "0101234589") == 0);
	memmove(text, text + 2, 6);
	CHECK(strcmp(text, "0123454589") == 0);
	CHECK(memcmp("ab", "ac", 2) < 0 && memcmp("b", "a", 1) > 0 && memcmp("x", "y", 0) == 0);
	return true;
}

const struct selftest_case selftest_memory_cases[] = {
	{ "pages are aligned, zeroed and merge", pages_are_aligned_zeroed_and_merge },
	{ "pages do not overlap", pages_do_not_overlap },
	{ "ranges come and go", ranges_come_and_go },
	{ "snprintf follows C11", snprintf_follows_c11 },
	{ "memmove handles overlap", memmove_handles_overlap },
	{ NULL, NULL },
};
