/* SPDX-License-Identifier: MIT */
/* Among the shortest counterexamples, the one with fewest CPU switches: search by (state, last
 * CPU). */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

#define NODE_MAX   (1u << 21)
#define SLOT_COUNT (NODE_MAX * 2)

struct node {
	struct hash hash;
	uint32_t layer, switch_count;
	uint32_t parent;
	uint32_t last; /* its place in the order of actors; UINT32_MAX: none yet */
	uint32_t action;
	size_t record; /* offset in the layer's records */
};

static struct {
	struct node *nodes;
	uint32_t node_count;
	uint32_t *slots;
	uint8_t *records[2];
	size_t used[2], capacity[2], limit;
	uint32_t current; /* the node being expanded */
	bool is_full;
	/* The best end. */
	uint32_t best_switches, best_node, best_length;
	int best_action;
} search;

static uint32_t last_of(struct action action)
{
	return action.kind == ACTION_HARDWARE ? ACTOR_MAX + action.actor : action.actor;
}

static uint32_t *slot_of(struct hash hash, uint32_t last)
{
	uint32_t i = (uint32_t)(hash.high + last * 0x9e3779b9u) % SLOT_COUNT;

	for (;; i = (i + 1) % SLOT_COUNT) {
		const struct node *node = &search.nodes[search.slots[i]];

		if (!search.slots[i] || (node->hash.low == hash.low &&
		                            node->hash.high == hash.high && node->last == last))
			return &search.slots[i];
	}
}

/* Room for a record of a layer; NULL when there is no memory. */
static struct record *record_room(uint32_t which, size_t *where)
{
	size_t room = world_size();

	if (search.used[which] + room > search.capacity[which]) {
		size_t capacity =
		    search.capacity[which] * 2 + (room + (1u << 20)) / LINE_SIZE * LINE_SIZE;
		uint8_t *larger;

		if (capacity > search.limit)
			return NULL;
		larger = aligned_alloc(LINE_SIZE, capacity);
		if (!larger)
			return NULL;
		memcpy(larger, search.records[which], search.used[which]);
		free(search.records[which]);
		search.records[which] = larger;
		search.capacity[which] = capacity;
	}
	*where = search.used[which];
	search.used[which] += room;
	return (void *)(search.records[which] + *where);
}

/* The first node of all has no `from`. */
static void add_node(uint32_t switches, uint32_t last, struct hash hash, const struct record *from,
    const struct successor *to, uint32_t *slot)
{
	struct node *node = &search.nodes[search.node_count];
	uint32_t layer = from ? search.nodes[search.current].layer + 1 : 0;
	struct record *record = NULL;

	if (search.node_count < NODE_MAX)
		record = record_room(layer & 1, &node->record);
	if (!record) {
		search.is_full = true;
		return;
	}
	if (from)
		world_successor(record, from, to);
	else
		world_first(record, hash);
	node->hash = hash;
	node->layer = layer;
	node->switch_count = switches;
	node->parent = search.current;
	node->last = last;
	node->action = from ? to->index : 0;
	*slot = search.node_count++;
}

static uint32_t switches_with(const struct node *from, uint32_t last)
{
	return from->switch_count + (from->last != UINT32_MAX && from->last != last);
}

static void found(void *context, const struct record *record, const struct successor *to)
{
	const struct node *from = &search.nodes[search.current];
	uint32_t last = last_of(to->outcome->action), layer = from->layer + 1;
	uint32_t switches = switches_with(from, last);
	uint32_t *slot = slot_of(to->hash, last);
	struct node *node = &search.nodes[*slot];

	(void)context;
	if (search.is_full)
		return;
	if (!*slot) {
		add_node(switches, last, to->hash, record, to, slot);
	} else if (node->layer == layer && switches < node->switch_count) {
		node->switch_count = switches;
		node->parent = search.current;
		node->action = to->index;
	}
}

static void consider(uint32_t length, uint32_t wanted, uint32_t switches, int action)
{
	engine.failure.kind = FAILURE_NONE;
	if (length != wanted || switches >= search.best_switches)
		return;
	search.best_switches = switches;
	search.best_node = search.current;
	search.best_length = length;
	search.best_action = action;
}

static void expand_node(uint32_t length)
{
	const struct node *node = &search.nodes[search.current];
	uint32_t layer = node->layer;
	size_t where = node->record;
	uint32_t first = 0;
	int failed;

	for (;;) {
		struct record *record = (void *)(search.records[layer & 1] + where);
		uint32_t count = world_expand(record, first, found, NULL, &failed);

		if (engine.failure.kind == FAILURE_NONE)
			return;
		if (failed < 0) {
			consider(layer, length, node->switch_count, -1);
			return;
		}
		world_load(record);
		{
			struct action actions[CHOICE_MAX];

			action_list(actions);
			consider(layer + 1, length, switches_with(node, last_of(actions[failed])),
			    failed);
		}
		first = (uint32_t)failed + 1;
		if (first >= count)
			return;
	}
}

static void take_path(struct result *result)
{
	uint32_t at = search.best_length, node = search.best_node;

	if (search.best_action >= 0)
		result->path[--at] = (uint8_t)search.best_action;
	for (; at > 0; node = search.nodes[node].parent)
		result->path[--at] = (uint8_t)search.nodes[node].action;
	result->switch_count = search.best_switches;
}

static void search_layers(uint32_t length)
{
	uint32_t first = search.node_count - 1;

	for (uint32_t layer = 0; layer <= length && !search.is_full; layer++) {
		uint32_t end = search.node_count;

		search.used[(layer + 1) & 1] = 0;
		lines_grow();
		memo_grow(search.limit);
		search.is_full |= lines_are_full();
		for (search.current = first; search.current < end && !search.is_full;
		     search.current++)
			expand_node(length);
		first = end;
	}
}

bool shortest_find(uint32_t length, size_t memory, struct result *result)
{
	struct hash hash = {1, 1};

	memset(&search, 0, sizeof(search));
	search.limit = memory / 2;
	search.nodes = malloc(NODE_MAX * sizeof(struct node));
	search.slots = calloc(SLOT_COUNT, sizeof(uint32_t));
	if (!search.nodes || !search.slots)
		return false;
	search.node_count = 1; /* number 0 says "free slot" */
	search.best_switches = UINT32_MAX;
	world_forget();
	add_node(0, UINT32_MAX, hash, NULL, NULL, slot_of(hash, UINT32_MAX));
	search_layers(length);
	if (!search.is_full && search.best_switches != UINT32_MAX)
		take_path(result);
	free(search.nodes);
	free(search.slots);
	free(search.records[0]);
	free(search.records[1]);
	engine.failure.kind = FAILURE_NONE;
	return !search.is_full;
}
