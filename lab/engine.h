/* SPDX-License-Identifier: MIT */
/* Inside the race lab: the world's layout, actions, records of states, results. */
#ifndef LAB_ENGINE_H
#define LAB_ENGINE_H

#include <setjmp.h>
#include <stdio.h>

#include "core/shared.h"
#include "lab/lab.h"

#define ACTOR_MAX      12u
#define HARDWARE_MAX   8u
#define STORE_MAX      8u /* entries of a store buffer */
#define LINE_SIZE      64u
#define PAGE_SIZE      4096u
#define SHARED_SIZE    (256u * 1024u)
#define STACK_SIZE     16384u
#define CHOICE_MAX     64u /* enabled actions in one state */
#define JOBS_MAX       16u
#define NAME_MAX_COUNT 128u
/* Far from where the kernel puts anything by itself; the same in every run. */
#define ARENA_BASE 0x10000000000ull

/* What a CPU is about to do; decides whether it can. */
enum op_kind {
	OP_END,
	OP_LOAD,
	OP_STORE,
	OP_RMW,
	OP_RELAXED,
	OP_FENCE,
	OP_LOCK,
	OP_WAIT,
	OP_STEP,
	OP_CHOICE
};

struct op {
	uint8_t kind;    /* enum op_kind */
	uint8_t size;    /* of the access in bytes */
	uint8_t drains;  /* OP_STEP: waits for an empty store buffer */
	uint8_t choices; /* OP_CHOICE */
	uint32_t site;
	uint64_t address; /* OP_WAIT: the condition */
	uint64_t value;   /* OP_WAIT: its argument */
};

struct store {
	uint64_t where; /* address; size in bits 63:56 */
	uint64_t value;
};

/* One actor with a program: its first line, then its store buffer. */
struct actor {
	uint64_t stack_pointer;
	struct op op;
	uint32_t store_count;
	uint32_t lock_count; /* locks of the core that it holds */
	uint32_t pad[6];
	struct store stores[STORE_MAX];
};
_Static_assert(offsetof(struct actor, stores) == LINE_SIZE, "control is one line");
_Static_assert(sizeof(struct actor) % LINE_SIZE == 0, "whole lines");

/* The world.  All that can differ between two states is in here. */
struct arena {
	struct actor actors[ACTOR_MAX];
	uint8_t shared[SHARED_SIZE] __attribute__((aligned(4096)));
	uint8_t stacks[ACTOR_MAX][STACK_SIZE] __attribute__((aligned(4096)));
};
#define ARENA ((struct arena *)ARENA_BASE)
/*
 * As far behind the world lies a copy of the state that was loaded last.  Not a multiple of a page:
 * a line and its copy would compete for the same set of the cache.
 */
#define SHADOW_OFFSET 0x100840u
_Static_assert(sizeof(struct arena) <= SHADOW_OFFSET, "the copy does not overlap the world");
#define SHARED_LINES (SHARED_SIZE / LINE_SIZE)
#define STORE_LINES  (uint32_t)(STORE_MAX * sizeof(struct store) / LINE_SIZE)
#define STACK_LINES  (STACK_SIZE / LINE_SIZE)

/* Constants of a run: what setup() declared.  Not part of a state. */
struct actor_info {
	const char *name;
	void (*run)(void *);
	void *arg;
	bool is_device;
	bool (*interrupts_open)(void *);
	bool (*interrupt_waiting)(void *);
	void (*interrupt_take)(void *);
	void *interrupt_arg;
};

struct hardware_info {
	const char *name;
	uint32_t (*choices)(void *);
	void (*step)(void *, uint32_t);
	void *arg;
};

struct area_name {
	uint64_t address;
	size_t size;
	const char *name;
};

/* Statistics: zero in every state. */
#define IGNORED_MAX 8u
struct ignored {
	uint8_t *address;
	size_t size;
};

enum action_kind { ACTION_STEP, ACTION_DRAIN, ACTION_INTERRUPT, ACTION_HARDWARE };
struct action {
	uint8_t kind;  /* enum action_kind */
	uint8_t actor; /* or number of the hardware */
	uint16_t choice;
};

/* Exit statuses of posthorn-lab; docs/lab.md lists them. */
enum lab_status {
	STATUS_HOLDS = 0,
	STATUS_VIOLATED = 1,
	STATUS_USAGE = 2,
	STATUS_UNKNOWN_SCENARIO = 3,
	STATUS_BAD_ID = 4,
	STATUS_OTHER_BUILD = 5,
	STATUS_TIME = 6,
	STATUS_MEMORY = 7,
	STATUS_EMPTY = 8,
	STATUS_ASSERTION = 9,
	STATUS_ENDLESS = 10,
	STATUS_OVERFLOW = 11,
	STATUS_CRASH = 12,
	STATUS_SYSTEM = 13,
	STATUS_LATER = 15, /* a question that waits for code: neither searched nor answered */
	STATUS_UNSOUND =
	    14, /* an un-annotated shared access, or memory changed behind the lab's back */
};

enum failure_kind {
	FAILURE_NONE,
	FAILURE_PROPERTY,
	FAILURE_ASSERTION,
	FAILURE_ENDLESS,
	FAILURE_OVERFLOW,
	FAILURE_CRASH,
	FAILURE_LASSO,
	FAILURE_UNANNOTATED
};

struct failure {
	enum failure_kind kind;
	char what[160];
};

enum event_kind {
	EVENT_LOAD,
	EVENT_STORE,
	EVENT_BUFFER,
	EVENT_DRAIN,
	EVENT_RMW,
	EVENT_FENCE,
	EVENT_INTERRUPT,
	EVENT_HARDWARE,
	EVENT_STEP,
	EVENT_NOTE,
	EVENT_LOCK,
	EVENT_WAIT,
	EVENT_CHOICE
};

struct event {
	uint32_t step; /* number of the action it belongs to, from 1 */
	uint8_t kind;
	uint8_t actor; /* EVENT_HARDWARE and notes of hardware: ACTOR_MAX + number */
	uint8_t size;
	uint32_t site;
	uint64_t address, value, old;
	const char *text;
	const char *file;
	int line;
};

/* State of the runtime outside the world, one a process. */
struct engine {
	const struct lab_scenario *scenario;
	struct lab_params params;
	struct actor_info actors[ACTOR_MAX];
	struct hardware_info hardware[HARDWARE_MAX];
	struct area_name names[NAME_MAX_COUNT];
	struct ignored ignored[IGNORED_MAX];
	uint32_t actor_count, hardware_count, name_count, ignored_count;
	uint32_t shared_used;
	enum lab_weakness weak[SITE_COUNT];
	bool assumed[LAB_ASSUMPTION_COUNT + 1];
	bool reduce, memorize;

	/* The actor being run, and how it was resumed. */
	uint32_t self;
	bool in_actor;
	bool resume_interrupt;
	uint16_t resume_choice;
	uint64_t host_stack_pointer;
	uint32_t local_step_count;
	uint64_t switch_count;
	struct failure failure;
	sigjmp_buf crash;
	bool crash_armed;
	bool is_watching; /* the second build: watch.c */

	/* Of the states at rest in this search; most 0 and least UINT64_MAX while there was none.
	 */
	struct measured {
		uint64_t least, most;
	} measured[LAB_MEASURE_MAX];

	/* Sites, and LAB_ASSUMED(...) behind them, that some CPU came to in this search. */
	bool reached[SITE_COUNT + LAB_ASSUMPTION_COUNT + 1];

	/* A byte a line of shared memory, a bit for 8 bytes: something in this scenario writes it.
	 */
	uint8_t *written;

	/* Replay only. */
	bool tracing;
	uint32_t step;
	struct event *events;
	uint32_t event_count, event_capacity;
};
extern struct engine engine;

/* ---- arena.c: the world's memory and setup ---- */
void arena_map(void);
/* Set the scenario up and run every CPU to its first scheduling point. */
void arena_setup(const struct lab_scenario *scenario, const struct lab_params *params);
void arena_clear_ignored(void);
/* "name+offset" of an address, into text. */
const char *arena_describe(uint64_t address, char *text, size_t size);

/* ---- actor.c: programs, store buffers ---- */
/* Save this stack in *save and go on with the other.  switch.S. */
void lab_switch(uint64_t *save, uint64_t to);
void actor_start(uint32_t index);
void actor_resume(uint32_t index, bool is_interrupt, uint16_t choice);
bool actor_can_step(uint32_t index);
void actor_drain(uint32_t index);
void failure_set(enum failure_kind kind, const char *what);
void event_log(const struct event *event);

/* At a failure: leave the program for good.  Returns only outside a program. */
void actor_abandon(void);

/* ---- watch.c: the second build ---- */
void watch_access(uint64_t address, uint64_t size, bool is_plain, bool is_write);
void watch_reset(void);

/* ---- action.c ---- */
/* The enabled actions of the world, in a fixed order; at most CHOICE_MAX. */
uint32_t action_list(struct action *actions);
/* Those of one actor, of all machines; they append to actions[0..*count). */
void action_list_actor(uint32_t index, struct action *actions, uint32_t *count);
void action_list_machines(struct action *actions, uint32_t *count);
void action_do(struct action action);
/* Number of the fairness class of an action: equal classes are one actor's kind of step. */
uint32_t action_class(struct action action);
void action_describe(struct action action, char *text, size_t size);
/* Same CPU or machine as before? */
bool action_is_switch(struct action before, struct action after);

/* ---- intern.c: numbers for things told apart by their hashes; 0 is none.  In the world only. ---- */
struct hash {
	uint64_t low, high;
};

struct intern {
	struct hash *hashes; /* by number */
	uint32_t *index;     /* hash table of numbers */
	uint32_t max, mask; /* of numbers; of the index */
	uint32_t count;     /* of numbers */
	bool is_full;
};
/* Set in the world; any thread may ask. */
static inline void intern_set_full(struct intern *intern)
{
	__atomic_store_n(&intern->is_full, true, __ATOMIC_RELAXED);
}
static inline bool intern_is_full(const struct intern *intern)
{
	return __atomic_load_n(&intern->is_full, __ATOMIC_RELAXED);
}
/* Zeroed memory in place of old (or of nothing), in large pages where there is much. */
void *memory_fresh(void *old, size_t size);
void intern_reset(struct intern *intern, uint32_t max);
uint32_t intern_find(const struct intern *intern, struct hash hash);
/* A number that nobody finds before intern_publish(), which returns the first of that hash. */
uint32_t intern_new(struct intern *intern, struct hash hash);
uint32_t intern_publish(struct intern *intern, uint32_t fresh);
/* Between levels, one thread: keep the index sparse. */
void intern_grow(struct intern *intern);
size_t intern_bytes(const struct intern *intern);

/*
 * ---- lines.c ----
 * A line is 64 bytes of content; number 0 is all zeros.  A part is a list of lines: the shared
 * memory that changes, or what is an actor's own (control, stack, store buffer).  A state is a list
 * of parts.
 */
struct line {
	uint8_t content[LINE_SIZE];
};
struct part {
	uint32_t offset; /* of its lines' numbers in parts_pool */
	uint16_t line_count;
	uint8_t stack_lines;
	bool is_buffered; /* its last lines are the store buffer; else that is empty */
};
extern struct intern lines_names, parts_names;
extern struct line *lines_table;
extern struct part *parts_table;
extern uint32_t *parts_pool;
void lines_reset(void);
void lines_grow(void);
bool lines_are_full(void);
size_t lines_bytes(void);
/* 0 when full. */
uint32_t lines_intern(const uint8_t *line, struct hash hash);
/* Room for the numbers of a part's lines; NULL when full. */
uint32_t *parts_room(uint32_t count, uint32_t *offset);
uint32_t parts_add(struct hash hash, struct part part);

/* ---- guard.c: write-protected pages of the world ---- */
/* False: there are no guards. */
bool guard_page(const void *page);
/* From now on, for a debugger would stop at each. */
void guard_never(void);
bool guard_is_set(const void *address);
void guard_open(const void *address);
void guard_open_all(void);

/* ---- stack.c ---- */
/* After a setup: nothing is known of how deep programs go. */
void stacks_reset(void);
/* Lowest byte of an actor's stack that is known to have been used. */
uint32_t stack_low(uint32_t actor);
/* See how deep the last step went. */
void stack_find_low(uint32_t actor);
/* The same, and zero what the stack no longer uses. */
void stack_clean(uint32_t actor);

/* ---- cold.c: shared memory that is thought constant ---- */
/* Remember shared memory as that of the first state; write it back. */
void cold_keep(void);
void cold_put_back(void);
/* From now on, until the next setup, look after all that engine.written does not know. */
void cold_choose(void);
/* After a step: is all as it was?  Quick. */
bool cold_is_same(void);
/* The world was written where it is guarded: it may go on, and what is there is looked at from now
 * on.  False: that is not what the fault was. */
bool cold_fault(const void *address);
/* Words of a line that changed are written from now on; true when that is news. */
bool cold_note(uint32_t line, const uint8_t *now, const uint8_t *before);
/* The same for all lines thought constant (learns: for all lines) against the first state. */
bool cold_note_all(bool learns);

/* ---- world.c: states and their successors ---- */
struct learned;
/* A state at rest; world_size() bytes. */
struct record {
	struct hash hash;
	uint32_t hot;     /* the part of shared memory */
	uint32_t local[]; /* each actor's part */
};

/* What one action does to a state. */
struct outcome {
	struct hash delta; /* of the state's hash */
	uint32_t hot;      /* the part of shared memory afterwards; 0: the action fails */
	uint32_t local;    /* the actor's part afterwards */
	struct action action;
	uint32_t pad;
};
_Static_assert(sizeof(struct outcome) == 32, "two a cache line");

/* ---- grow.h: a hash table while it is doubled ---- */
struct growth {
	uint64_t starts[JOBS_MAX + 1]; /* where each thread's part begins */
	uint64_t *tail;                /* what stood behind the last home */
	uint64_t tail_count;
};

/* ---- memo.c: outcomes of the actions of an actor, or of all machines ---- */
#define MEMO_MACHINES UINT32_MAX
struct memo_slot {
	uint64_t key;   /* memo_key(); 0: free */
	uint64_t value; /* 0: claimed, not settled */
};
struct memo {
	struct memo_slot *slots;
	struct outcome *outcomes;
	struct {
		uint32_t mask;
		uint32_t slot_count __attribute__((aligned(LINE_SIZE)));
		uint32_t outcome_count;
	} * shared;
	struct growth growth;
};
extern struct memo memo;
/* One to one, and never 0, for a part's number is not. */
static inline uint64_t memo_key(uint32_t local, uint32_t hot)
{
	uint64_t key = ((uint64_t)local << 32 | hot) * 0x9e3779b97f4a7c15ull;

	return key ^ key >> 32;
}
/* Instead of a value: nobody asked yet; a thread is about to find out; no room to remember. */
enum { MEMO_NONE, MEMO_COMING, MEMO_ASIDE };
static inline uint64_t memo_value(uint32_t first, uint32_t count, bool is_bad)
{
	return 1ull << 63 | (uint64_t)is_bad << 62 | (uint64_t)count << 32 | first;
}
static inline bool memo_is_known(uint64_t value)
{
	return value >> 63;
}
static inline const struct outcome *memo_outcomes(uint64_t value)
{
	return &memo.outcomes[(uint32_t)value];
}
static inline uint32_t memo_count(uint64_t value)
{
	return (uint32_t)(value >> 32) & 0xffff;
}
/* Machines only: the state's shared memory breaks the invariant. */
static inline bool memo_is_bad(uint64_t value)
{
	return value >> 62 & 1;
}
static inline void memo_prefetch(uint64_t key)
{
	__builtin_prefetch(&memo.slots[key & memo.shared->mask]);
}
/* A value, or why there is none. */
static inline uint64_t memo_find(uint64_t key)
{
	uint64_t mask = memo.shared->mask;

	for (uint64_t i = key & mask;; i++) {
		uint64_t found = __atomic_load_n(&memo.slots[i].key, __ATOMIC_ACQUIRE), value;

		if (!found)
			return MEMO_NONE;
		if (found != key)
			continue;
		value = __atomic_load_n(&memo.slots[i].value, __ATOMIC_ACQUIRE);
		return value ? value : MEMO_COMING;
	}
}
void memo_reset(void);
/*
 * The same, but what nobody asked for becomes the caller's to find out and to settle; others may
 * wait for it meanwhile.  NULL in *slot: not the caller's.
 */
uint64_t memo_claim(uint64_t key, struct memo_slot **slot);
/* In the world: room for CHOICE_MAX outcomes, of which memo_settle() takes the first; NULL: full. */
struct outcome *memo_room(void);
uint64_t memo_settle(struct memo_slot *slot, uint32_t count, bool is_bad);
uint64_t memo_set_aside(struct memo_slot *slot);
/*
 * Between levels, one thread: forget all when it takes more than limit bytes; then how often it is
 * to be doubled, as the table of states below.
 */
uint32_t memo_plan(size_t limit);
void memo_grow_begin(uint32_t parts);
void memo_grow_part(uint32_t part);
void memo_grow_end(void);
/* All of it, by one thread. */
void memo_grow(size_t limit);
size_t memo_bytes(void);

/* ---- world.c again ---- */
/* What a successor is handed to the caller with. */
struct successor {
	struct hash hash;
	uint32_t index; /* of the action in the list */
	const struct outcome *outcome;
};
typedef void (*successor_fn)(void *context, const struct record *from, const struct successor *to);

/* Bytes of a record; the same for all states of a run. */
uint32_t world_size(void);
/* The first state, as of the last world_reset(). */
void world_first(struct record *record, struct hash hash);
void world_successor(struct record *record, const struct record *from, const struct successor *to);
void world_load(const struct record *record);
/* Records that one thread expands, and what is remembered of each one's groups of actions. */
#define SHARE_RECORDS_MAX 512u
#define SHARE_VALUES_MAX  4096u
struct share {
	const uint8_t *records;
	uint32_t size, count; /* bytes of a record; records */
	uint32_t claim_count;
	struct claim {
		struct memo_slot *slot;
		uint32_t record, group;
	} claims[SHARE_VALUES_MAX];
	uint64_t values[SHARE_VALUES_MAX]; /* of record n's group g: [n * world_group_count() + g] */
	bool is_done[SHARE_RECORDS_MAX];   /* the caller's */
};
/* Every actor's, and all machines'. */
uint32_t world_group_count(void);
/* Any thread: look everything up, and claim what nobody knows yet. */
void world_look_up(struct share *share, const void *records, uint32_t size, uint32_t used);
/*
 * Execute what the shares have claimed, all at once, for the world is in the caches of the thread
 * that was there last.  Before that nothing of them may be expanded that is not known.  False:
 * somebody else is in the world, and the caller would not wait.
 */
bool world_find_out(struct share *shares, uint32_t count, bool waits);
bool world_knows(const struct share *share, uint32_t record);
/* Ask for the memory that says what a record's actions do. */
void world_look_ahead(const struct share *share, uint32_t record);
/*
 * Do every enabled action of the record's state from number `first` on, and hand each successor
 * over.  Returns the number of enabled actions; stops early at a failure, which is in
 * engine.failure with *failed set to the index of the action (or to -1 for the state itself, which
 * is checked when first is 0).
 */
uint32_t world_expand(
    const struct record *record, uint32_t first, successor_fn found, void *context, int *failed);
/* The same for a record of a share, by any thread of a search; the failure is in *failure. */
uint32_t world_expand_shared(const struct share *share, uint32_t record, successor_fn found,
    void *context, int *failed, struct failure *failure);
/* Forget what is hot; set the scenario up and learn by random walks what changes, unless told. */
void world_prepare(const struct lab_scenario *scenario, const struct lab_params *params,
    const struct learned *learned);
/* Memory was changed by action_do(): the next world_load() takes nothing for granted. */
void world_forget(void);
/* Put the world into its first state. */
void world_reset(void);
/* True when memory changed that was thought constant: explore again. */
bool world_must_restart(void);
/* The same as far as it is known without looking. */
bool world_restart_is_due(void);
void world_measure_reset(void);
/* Bytes of a state that can differ, for people. */
uint32_t world_hot_bytes(void);
/* Handlers for crashes and endless loops inside programs; the latter for each more thread. */
void world_guard(void);
void world_guard_thread(void);

/* ---- table.c: the set of visited states, shared by the workers of a run ---- */
struct table_slot {
	uint64_t low, high; /* hash; 0: free */
	uint64_t parent;    /* low half of the parent's hash */
	uint32_t depth;
	uint32_t action; /* index in the parent's action list */
};
struct table {
	struct table_slot *slots;
	uint64_t mask;
	uint64_t slot_max;
	size_t size; /* of the address space */
	struct growth growth;
};
/* slot_count and slot_max are powers of two. */
void table_create(struct table *table, uint64_t slot_count, uint64_t slot_max);
void table_destroy(struct table *table);
/*
 * Twice as many slots: one thread begins, then each of `parts` threads does its part, then one ends.
 * Nobody may use the table meanwhile.
 */
void table_grow_begin(struct table *table, uint32_t parts);
void table_grow_part(struct table *table, uint32_t part);
void table_grow_end(struct table *table);
/* Any thread.  True when the state is new; *depth is then the depth given, else its own. */
bool table_insert(
    struct table *table, struct hash hash, uint64_t parent, uint32_t action, uint32_t *depth);
static inline void table_prefetch(const struct table *table, uint64_t low)
{
	__builtin_prefetch(&table->slots[low & table->mask], 1);
}
const struct table_slot *table_find(const struct table *table, uint64_t low);
size_t table_bytes(const struct table *table);

/* ---- explore.c ---- */
/* What random walks and a search found out about a scenario's memory: a start for the next one. */
struct learned {
	uint8_t written[SHARED_LINES];
};
void world_learned(struct learned *learned);
struct options {
	enum lab_model model;
	bool has_model;
	uint32_t sender_count; /* 0: the scenario's default */
	uint32_t jobs;
	double seconds; /* time budget; 0: none */
	size_t memory;  /* bytes */
	bool reduce;    /* no scheduling point where none is needed */
	bool memorize;  /* execute no step twice */
	bool lasso, progress;
	uint64_t pct_runs;             /* 0: exhaustive search */
	const struct learned *learned; /* NULL: learn by random walks */
};
/* Random schedules know nothing of what is constant. */
static inline bool options_reduce(const struct options *options)
{
	return options->reduce && !options->pct_runs;
}

#define PATH_MAX_ACTIONS 4096u
struct result {
	enum lab_status status;
	bool is_exhaustive;
	uint64_t state_count, transition_count, quiescent_count, back_edge_count;
	uint32_t depth; /* longest shortest path */
	double seconds; /* wall clock, with the searches for cycles and for the clearest path */
	/* Of the breadth-first search; CPU time of all workers, and what it would take at least if
	 * each had a CPU for itself. */
	double search_seconds, search_cpu_seconds, search_path_seconds;
	size_t memory;          /* peak, bytes */
	uint32_t hot_bytes;
	struct failure failure;
	uint32_t path_count;  /* actions of the counterexample, as indices in the action lists */
	uint32_t cycle_start; /* lasso: first action of the cycle; else path_count */
	uint32_t switch_count;
	struct measured measured[LAB_MEASURE_MAX];
	uint8_t path[PATH_MAX_ACTIONS];
};
void explore(
    const struct lab_scenario *scenario, const struct options *options, struct result *result);

/* ---- shortest.c: among the shortest counterexamples the one with fewest CPU switches ---- */
bool shortest_find(uint32_t length, size_t memory, struct result *result);

/* ---- lasso.c: a fair cycle on which the obligation stays unmet ---- */
void lasso_find(const struct options *options, double deadline, struct result *result);

/* ---- pct.c: random priorities, above the exhaustive limit ---- */
void pct_run(const struct options *options, double deadline, struct result *result);

/* Seconds of the monotonic clock. */
double now_seconds(void);
double cpu_seconds(void);

/* ---- scenario.c: the registry ---- */
/* All scenarios by name; NULL after the last. */
const struct lab_scenario *const *scenario_all(void);
const struct lab_scenario *scenario_find(const char *name);
uint32_t scenario_senders(const struct lab_scenario *scenario, uint32_t wanted);
const char *site_name(uint32_t site);
const char *site_kind(uint32_t site);
const char *site_what(uint32_t site);
const char *assumption_name(uint32_t assumption);
/* SITE, SITE=unfenced|unlocked|left-out, or an assumption's name; false: no such thing. */
bool weakening_parse(const char *text, struct lab_weakening *weakening);
const char *weakness_name(enum lab_weakness how);
/* Everything strong and assumed again, then the scenario's weakenings. */
void weakenings_reset(const struct lab_scenario *scenario);
void weakening_apply(struct lab_weakening weakening);

/* ---- replay.c: the id of a counterexample ---- */
struct replay {
	const struct lab_scenario *scenario;
	struct options options;
	struct lab_weakening extra[8]; /* besides the scenario's; ends with LAB_STRONG */
	struct result result;          /* the path */
	uint32_t written_sum;          /* checksum of what was known to be written */
};
/* text: at least PATH_MAX_ACTIONS + 256 bytes. */
void replay_format(const struct lab_scenario *scenario, const struct options *options,
    const struct lab_weakening *extra, const struct result *result, char *text, size_t size);
/* STATUS_HOLDS, STATUS_BAD_ID, STATUS_OTHER_BUILD or STATUS_UNKNOWN_SCENARIO with a line printed.
 */
enum lab_status replay_parse(const char *text, struct replay *replay);
/*
 * Do the path with tracing on, and leave the events in engine.events.  False: the path does not fit
 * the world.  engine.failure holds what it ended in.
 */
bool replay_path(const struct lab_scenario *scenario, const struct options *options,
    const struct result *result);
uint32_t replay_written_sum(void);
/* A debugger stops here before each action. */
void replay_stop(uint32_t step, const char *what);

/* ---- timeline.c: events for people ---- */
void timeline_print(FILE *out, const struct result *result);
/* The column of an event: CPUs, then the wire, then the store buffers. */
uint32_t timeline_column(const struct event *event);
uint32_t timeline_column_count(void);
const char *timeline_heading(uint32_t column);
void timeline_text(const struct event *event, char *text, size_t size);
/* "file:line" or "". */
void timeline_place(const struct event *event, char *text, size_t size);

/* ---- report.c: a page a counterexample; json.c ---- */
bool report_write(const char *directory, const struct lab_scenario *scenario,
    const struct options *options, const struct result *result, const char *id);
void json_string(FILE *out, const char *text);
void json_result(FILE *out, const struct lab_scenario *scenario, const struct options *options,
    const struct result *result, const char *id);
/* log2 of the chance that two of the states share a hash, were the hash a random function. */
double collision_bound(uint64_t state_count);

/* ---- audit.c ---- */
enum lab_status audit_run(const struct options *options, const char *only, FILE *out);

const char *status_name(enum lab_status status);
enum lab_status failure_status(enum failure_kind kind);
#endif
