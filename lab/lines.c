/* SPDX-License-Identifier: MIT */
/* Contents of lines by number: a state's record is short because few contents differ. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/engine.h"

#define LINE_MAX  (1u << 22)
#define INDEX_MAX (LINE_MAX * 2)

struct line *lines_table;
struct line_hash *lines_hashes;
static uint32_t *lines_index; /* hash table of numbers; 0: free */
static uint32_t *lines_count;

static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

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
		lines_count = map(sizeof(uint32_t));
	} else {
		madvise(lines_index, INDEX_MAX * sizeof(uint32_t), MADV_REMOVE);
	}
	*lines_count = 1;
}

bool lines_are_full(void)
{
	return *lines_count > LINE_MAX - 4096;
}

size_t lines_bytes(void)
{
	return *lines_count * (sizeof(struct line) + sizeof(struct line_hash) + 2 * sizeof(uint32_t));
}

static uint32_t append(const uint8_t *line, uint64_t low, uint64_t high)
{
	uint32_t id = __atomic_fetch_add(lines_count, 1, __ATOMIC_RELAXED);

	if (id >= LINE_MAX) {
		fprintf(stderr, "posthorn-lab: more different lines than LINE_MAX\n");
		_exit(STATUS_MEMORY);
	}
	memcpy(lines_table[id].content, line, LINE_SIZE);
	lines_hashes[id] = (struct line_hash){ low, high };
	return id;
}

uint32_t lines_intern(const uint8_t *line, uint64_t low, uint64_t high)
{
	uint32_t fresh = 0;

	for (uint64_t i = low % INDEX_MAX;; i = (i + 1) % INDEX_MAX) {
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
