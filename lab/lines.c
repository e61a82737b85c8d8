/* SPDX-License-Identifier: MIT */
/* Contents of lines by number: a state's record is short because few contents differ. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/engine.h"

#define LINE_MAX    (1u << 22)
#define INDEX_MAX   (LINE_MAX * 2)
#define INDEX_START (1u << 16)
#define ROOM        8u /* index entries a line after growing: a level may add many lines */

struct line *lines_table;
struct line_hash *lines_hashes;
static uint32_t *lines_index; /* hash table of numbers; 0: free */
/* Shared by the processes: how many lines there are, and the index's size less one. */
static struct {
	uint32_t count, mask;
} * lines;

static void *map(size_t size)
{
	void *memory = mmap(
	    NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "posthorn-lab: no address space for the contents of states\n");
		exit(STATUS_MEMORY);
	}
	return memory;
}

void lines_reset(void)
{
	if (!lines_table) {
		lines_table = map(LINE_MAX * sizeof(struct line));
		lines_hashes = map(LINE_MAX * sizeof(struct line_hash));
		lines_index = map(INDEX_MAX * sizeof(uint32_t));
		lines = map(sizeof(*lines));
		lines->mask = INDEX_START - 1;
	} else {
		madvise(lines_index, INDEX_MAX * sizeof(uint32_t), MADV_REMOVE);
	}
	lines->count = 1;
}

bool lines_are_full(void)
{
	return lines->count > LINE_MAX / 8 * 7;
}

size_t lines_bytes(void)
{
	return lines->count *
	       (sizeof(struct line) + sizeof(struct line_hash) + 2 * sizeof(uint32_t));
}

static uint32_t append(const uint8_t *line, uint64_t low, uint64_t high)
{
	uint32_t id = __atomic_fetch_add(&lines->count, 1, __ATOMIC_RELAXED);

	if (id >= LINE_MAX || id > lines->mask / 8 * 7) {
		fprintf(stderr, "posthorn-lab: more different lines than LINE_MAX\n");
		_exit(STATUS_MEMORY);
	}
	memcpy(lines_table[id].content, line, LINE_SIZE);
	lines_hashes[id] = (struct line_hash){low, high};
	return id;
}

uint32_t lines_intern(const uint8_t *line, uint64_t low, uint64_t high)
{
	uint32_t fresh = 0;

	for (uint64_t i = low & lines->mask;; i = (i + 1) & lines->mask) {
		uint32_t id = __atomic_load_n(&lines_index[i], __ATOMIC_ACQUIRE);

		if (!id) {
			if (!fresh)
				fresh = append(line, low, high);
			if (__atomic_compare_exchange_n(&lines_index[i], &id, fresh, false,
			        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
				return fresh;
		}
		if (lines_hashes[id].low == low && lines_hashes[id].high == high)
			return id;
	}
}

void lines_grow(void)
{
	uint32_t size = lines->mask + 1;

	while (size < lines->count * (ROOM / 2) && size < INDEX_MAX)
		size *= 2;
	if (size == lines->mask + 1)
		return;
	size = size * 2 < INDEX_MAX ? size * 2 : INDEX_MAX;
	madvise(lines_index, INDEX_MAX * sizeof(uint32_t), MADV_REMOVE);
	lines->mask = size - 1;
	for (uint32_t id = 1; id < lines->count; id++) {
		uint64_t i = lines_hashes[id].low & lines->mask;

		while (lines_index[i])
			i = (i + 1) & lines->mask;
		lines_index[i] = id;
	}
}
