/* SPDX-License-Identifier: MIT */
/* Liveness: a cycle that is fair to every CPU and machine, on which the obligation stays unmet. */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

#define NONE UINT32_MAX

struct edge {
	uint32_t to;
	uint8_t kind; /* fairness class */
	uint8_t action;
};

struct node {
	uint32_t parent;     /* NONE: the first state */
	uint32_t edge_start; /* edges up to the next node's */
	uint64_t enabled;    /* fairness classes */
	uint32_t order, low; /* Tarjan */
	uint32_t component;
	uint8_t action; /* from the parent */
	bool is_pending, is_on_stack;
};
_Static_assert(4 * ACTOR_MAX <= 64, "fairness classes fit a word");

static struct {
	struct table table;
	struct node *nodes;
	struct edge *edges;
	uint32_t node_count, edge_count, node_max, edge_max;
	uint8_t *queue; /* records, first in first out */
	size_t head, tail, queue_max;
	uint32_t current;
	bool is_full;
} graph;

static void found(void *context, const struct record *from, const struct successor *to)
{
	uint32_t index = graph.node_count;
	bool is_new;

	(void)context;
	graph.nodes[graph.current].enabled |= 1ull << action_class(to->outcome->action);
	if (graph.node_count == graph.node_max || graph.edge_count == graph.edge_max ||
	    graph.tail + world_size() > graph.queue_max) {
		graph.is_full = true;
		return;
	}
	is_new = table_insert(&graph.table, to->hash, 0, 0, &index);
	graph.edges[graph.edge_count++] = (struct edge){.to = index,
	    .kind = (uint8_t)action_class(to->outcome->action),
	    .action = (uint8_t)to->index};
	if (!is_new)
		return;
	graph.nodes[graph.node_count++] = (struct node){.parent = graph.current,
	    .action = (uint8_t)to->index,
	    .component = NONE,
	    .order = NONE};
	world_successor((void *)(graph.queue + graph.tail), from, to);
	graph.tail += world_size();
}

static bool is_pending(const struct record *record)
{
	if (!engine.scenario->pending)
		return true;
	world_load(record);
	return engine.scenario->pending();
}

static void expand_node(void)
{
	const struct record *record = (const void *)(graph.queue + graph.head);
	struct node *node = &graph.nodes[graph.current];
	int failed;

	node->is_pending = is_pending(record);
	node->edge_start = graph.edge_count;
	world_expand(record, 0, found, NULL, &failed);
	engine.failure.kind = FAILURE_NONE;
	graph.head += world_size();
}

static uint64_t power_of_two_below(uint64_t n)
{
	uint64_t power = 1;

	while (power * 2 <= n)
		power *= 2;
	return power;
}

static bool build(const struct options *options, uint64_t state_count, double deadline)
{
	struct hash hash = {1, 1};
	uint32_t index = 0;

	memset(&graph, 0, sizeof(graph));
	graph.node_max = (uint32_t)(state_count + 2);
	graph.edge_max = (uint32_t)(state_count * 8 + 64);
	graph.queue_max = options->memory / 2;
	table_create(&graph.table, power_of_two_below(4 * state_count + 64),
	    power_of_two_below(4 * state_count + 64));
	graph.nodes = malloc(graph.node_max * sizeof(struct node));
	graph.edges = malloc(graph.edge_max * sizeof(struct edge));
	graph.queue = aligned_alloc(LINE_SIZE, graph.queue_max / LINE_SIZE * LINE_SIZE);
	if (!graph.nodes || !graph.edges || !graph.queue)
		return false;
	table_insert(&graph.table, hash, 0, 0, &index);
	graph.nodes[graph.node_count++] =
	    (struct node){.parent = NONE, .component = NONE, .order = NONE};
	world_first((void *)graph.queue, hash);
	graph.tail += world_size();
	for (; graph.current < graph.node_count && !graph.is_full; graph.current++) {
		expand_node();
		if (graph.current % 1024)
			continue;
		lines_grow();
		memo_grow(options->memory / 4);
		graph.is_full |= lines_are_full();
		if (deadline > 0 && now_seconds() > deadline)
			return false;
	}
	return !graph.is_full;
}

static uint32_t edge_end(uint32_t node)
{
	return node + 1 < graph.node_count ? graph.nodes[node + 1].edge_start : graph.edge_count;
}

/* ---- Strongly connected components among the pending states (Tarjan, without recursion) ---- */

struct frame {
	uint32_t node, edge;
};

static struct {
	struct frame *frames;
	uint32_t *stack;
	uint32_t depth, stack_count, order, component_count;
} tarjan;

static void enter_node(uint32_t node)
{
	graph.nodes[node].order = graph.nodes[node].low = tarjan.order++;
	graph.nodes[node].is_on_stack = true;
	tarjan.stack[tarjan.stack_count++] = node;
	tarjan.frames[tarjan.depth++] = (struct frame){node, graph.nodes[node].edge_start};
}

static void leave_node(uint32_t node)
{
	uint32_t member;

	if (graph.nodes[node].low == graph.nodes[node].order) {
		do {
			member = tarjan.stack[--tarjan.stack_count];
			graph.nodes[member].is_on_stack = false;
			graph.nodes[member].component = tarjan.component_count;
		} while (member != node);
		tarjan.component_count++;
	}
	tarjan.depth--;
	if (tarjan.depth) {
		struct node *above = &graph.nodes[tarjan.frames[tarjan.depth - 1].node];

		if (graph.nodes[node].low < above->low)
			above->low = graph.nodes[node].low;
	}
}

static void walk_from(uint32_t root)
{
	enter_node(root);
	while (tarjan.depth) {
		struct frame *frame = &tarjan.frames[tarjan.depth - 1];
		struct node *node = &graph.nodes[frame->node];
		uint32_t to;

		if (frame->edge == edge_end(frame->node)) {
			leave_node(frame->node);
			continue;
		}
		to = graph.edges[frame->edge++].to;
		if (!graph.nodes[to].is_pending)
			continue;
		if (graph.nodes[to].order == NONE)
			enter_node(to);
		else if (graph.nodes[to].is_on_stack && graph.nodes[to].order < node->low)
			node->low = graph.nodes[to].order;
	}
}

static void find_components(void)
{
	memset(&tarjan, 0, sizeof(tarjan));
	tarjan.frames = malloc(graph.node_count * sizeof(struct frame));
	tarjan.stack = malloc(graph.node_count * sizeof(uint32_t));
	for (uint32_t i = 0; tarjan.frames && tarjan.stack && i < graph.node_count; i++) {
		if (graph.nodes[i].is_pending && graph.nodes[i].order == NONE)
			walk_from(i);
	}
	free(tarjan.frames);
	free(tarjan.stack);
}

/* ---- Which of them a fair scheduler can stay in for ever ---- */

struct component {
	uint64_t always_enabled, taken;
	uint32_t first; /* a member; NONE while unknown */
};

static struct component *summarize(void)
{
	struct component *all = malloc((tarjan.component_count + 1) * sizeof(*all));

	for (uint32_t i = 0; all && i < tarjan.component_count; i++)
		all[i] = (struct component){UINT64_MAX, 0, NONE};
	for (uint32_t i = 0; all && i < graph.node_count; i++) {
		struct component *component = &all[graph.nodes[i].component];

		if (graph.nodes[i].component == NONE)
			continue;
		if (component->first == NONE)
			component->first = i;
		component->always_enabled &= graph.nodes[i].enabled;
		for (uint32_t e = graph.nodes[i].edge_start; e < edge_end(i); e++) {
			if (graph.nodes[graph.edges[e].to].component == graph.nodes[i].component)
				component->taken |= 1ull << graph.edges[e].kind;
		}
	}
	return all;
}

/* Breadth-first inside a component, from a node to an edge of a class or to a node. */
static bool walk_to(uint32_t *at, int kind, uint32_t node, struct result *result)
{
	uint32_t *via = malloc(graph.node_count * sizeof(uint32_t));
	uint32_t *from = malloc(graph.node_count * sizeof(uint32_t));
	uint32_t *queue = malloc(graph.node_count * sizeof(uint32_t));
	uint32_t head = 0, tail = 0, last = NONE, end = NONE, count = 0;

	for (uint32_t i = 0; i < graph.node_count; i++)
		from[i] = NONE;
	queue[tail++] = *at;
	while (head < tail && last == NONE) {
		uint32_t now = queue[head++];

		for (uint32_t e = graph.nodes[now].edge_start; e < edge_end(now); e++) {
			uint32_t to = graph.edges[e].to;

			if (graph.nodes[to].component != graph.nodes[*at].component)
				continue;
			if (graph.edges[e].kind == kind || to == node) {
				last = e;
				end = now;
				break;
			}
			if (from[to] == NONE && to != *at) {
				from[to] = now;
				via[to] = e;
				queue[tail++] = to;
			}
		}
	}
	for (uint32_t i = end; last != NONE && i != *at; i = from[i])
		count++;
	if (last != NONE && result->path_count + count + 1 < PATH_MAX_ACTIONS) {
		uint32_t place = result->path_count + count;

		result->path[place] = graph.edges[last].action;
		for (uint32_t i = end; i != *at; i = from[i])
			result->path[--place] = graph.edges[via[i]].action;
		result->path_count += count + 1;
		*at = graph.edges[last].to;
	}
	free(via);
	free(from);
	free(queue);
	return last != NONE;
}

static void take_path(const struct component *component, struct result *result)
{
	uint32_t at = component->first, count = 0;

	for (uint32_t i = at; graph.nodes[i].parent != NONE; i = graph.nodes[i].parent)
		count++;
	if (count >= PATH_MAX_ACTIONS)
		return;
	result->path_count = count;
	result->cycle_start = count;
	for (uint32_t i = at; graph.nodes[i].parent != NONE; i = graph.nodes[i].parent)
		result->path[--count] = graph.nodes[i].action;
	for (int kind = 0; kind < 64; kind++) {
		if (component->always_enabled & (1ull << kind))
			walk_to(&at, kind, NONE, result);
	}
	if (at != component->first || result->path_count == result->cycle_start)
		walk_to(&at, -1, component->first, result);
}

static void judge(struct result *result)
{
	struct component *all = summarize();

	for (uint32_t i = 0; all && i < tarjan.component_count; i++) {
		if (!all[i].taken || (all[i].always_enabled & ~all[i].taken))
			continue;
		result->status = STATUS_VIOLATED;
		result->failure.kind = FAILURE_LASSO;
		snprintf(result->failure.what, sizeof(result->failure.what),
		    "can go on for ever, fair to every CPU, without what must come true");
		take_path(&all[i], result);
		break;
	}
	free(all);
}

static void destroy(void)
{
	free(graph.nodes);
	free(graph.edges);
	free(graph.queue);
	table_destroy(&graph.table);
}

void lasso_find(const struct options *options, double deadline, struct result *result)
{
	bool is_built;

	for (;;) {
		is_built = build(options, result->state_count, deadline);
		if (!world_must_restart())
			break;
		destroy();
		world_reset();
	}
	if (is_built) {
		find_components();
		judge(result);
	} else {
		result->is_exhaustive = false;
		result->status = graph.is_full ? STATUS_MEMORY : STATUS_TIME;
	}
	destroy();
}
