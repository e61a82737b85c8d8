/* SPDX-License-Identifier: MIT */
/* Contents of lines by number, and lists of such numbers, the parts of states, by number. */
#include <string.h>

#include "lab/engine.h"

#define LINE_MAX (1u << 22)
#define PART_MAX (1u << 22)
#define POOL_MAX (1u << 28)

struct intern lines_names, parts_names;
struct line *lines_table;
struct part *parts_table;
uint32_t *parts_pool;
static uint32_t pool_used;

void lines_reset(void)
{
	lines_table = memory_fresh(lines_table, LINE_MAX * sizeof(struct line));
	parts_table = memory_fresh(parts_table, PART_MAX * sizeof(struct part));
	parts_pool = memory_fresh(parts_pool, POOL_MAX * sizeof(uint32_t));
	pool_used = 0;
	intern_reset(&lines_names, LINE_MAX);
	intern_reset(&parts_names, PART_MAX);
}

bool lines_are_full(void)
{
	return intern_is_full(&lines_names) || intern_is_full(&parts_names);
}

size_t lines_bytes(void)
{
	return intern_bytes(&lines_names) + intern_bytes(&parts_names) +
	       lines_names.count * sizeof(struct line) +
	       parts_names.count * sizeof(struct part) + pool_used * sizeof(uint32_t);
}

void lines_grow(void)
{
	intern_grow(&lines_names);
	intern_grow(&parts_names);
}

uint32_t lines_intern(const uint8_t *line, struct hash hash)
{
	uint32_t id = intern_find(&lines_names, hash);

	if (id)
		return id;
	id = intern_new(&lines_names, hash);
	if (!id)
		return 0;
	memcpy(lines_table[id].content, line, LINE_SIZE);
	return intern_publish(&lines_names, id);
}

uint32_t *parts_room(uint32_t count, uint32_t *offset)
{
	if (pool_used + count > POOL_MAX) {
		intern_set_full(&parts_names);
		return NULL;
	}
	*offset = pool_used;
	pool_used += count;
	return parts_pool + *offset;
}

uint32_t parts_add(struct hash hash, struct part part)
{
	uint32_t id = intern_new(&parts_names, hash);

	if (!id)
		return 0;
	parts_table[id] = part;
	return intern_publish(&parts_names, id);
}
