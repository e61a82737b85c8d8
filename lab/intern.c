/* SPDX-License-Identifier: MIT */
/* Numbers for things told apart by their hashes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lab/engine.h"

#define INDEX_START (1u << 14)
#define LARGE_PAGE  (2u << 20)
#define ROOM        8u /* index entries a thing after growing: a level may add many */

/* Large pages where there is much; small ones for the many small searches. */
void *memory_fresh(void *old, size_t size)
{
	uint8_t *memory;

	if (old)
		munmap(old, size);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		fprintf(stderr, "posthorn-lab: no address space for the contents of states\n");
		exit(STATUS_MEMORY);
	}
	if (size > LARGE_PAGE)
		madvise(memory + LARGE_PAGE, size - LARGE_PAGE, MADV_HUGEPAGE);
	return memory;
}

void intern_reset(struct intern *intern, uint32_t max)
{
	intern->hashes = memory_fresh(intern->hashes, max * sizeof(struct hash));
	intern->index = memory_fresh(intern->index, 2 * max * sizeof(uint32_t));
	intern->max = max;
	intern->mask = INDEX_START - 1;
	intern->count = 1;
	intern->is_full = false;
}

static bool equal(struct hash a, struct hash b)
{
	return a.low == b.low && a.high == b.high;
}

uint32_t intern_find(const struct intern *intern, struct hash hash)
{
	uint64_t mask = intern->mask;

	for (uint64_t i = hash.low & mask;; i = (i + 1) & mask) {
		uint32_t id = intern->index[i];

		if (!id || equal(intern->hashes[id], hash))
			return id;
	}
}

uint32_t intern_new(struct intern *intern, struct hash hash)
{
	uint32_t id = intern->count;

	if (id >= intern->max / 8 * 7 || id > intern->mask / 8 * 7) {
		intern_set_full(intern);
		return 0;
	}
	intern->count++;
	intern->hashes[id] = hash;
	return id;
}

uint32_t intern_publish(struct intern *intern, uint32_t fresh)
{
	struct hash hash = intern->hashes[fresh];
	uint64_t mask = intern->mask;

	for (uint64_t i = hash.low & mask;; i = (i + 1) & mask) {
		uint32_t id = intern->index[i];

		if (!id)
			intern->index[i] = fresh;
		if (!id || equal(intern->hashes[id], hash))
			return id ? id : fresh;
	}
}

void intern_grow(struct intern *intern)
{
	uint32_t size = intern->mask + 1, count = intern->count;

	while (size < count * (ROOM / 2) && size < 2 * intern->max)
		size *= 2;
	if (size == intern->mask + 1)
		return;
	size = size < intern->max ? size * 2 : 2 * intern->max;
	memset(intern->index, 0, (intern->mask + 1) * sizeof(uint32_t));
	intern->mask = size - 1;
	for (uint32_t id = 1; id < count; id++)
		intern_publish(intern, id);
}

size_t intern_bytes(const struct intern *intern)
{
	return intern->count * sizeof(struct hash) +
	       (intern->mask + 1) * sizeof(uint32_t);
}
