/* SPDX-License-Identifier: MIT */
/* States: saving, loading, and stepping the world with incremental hashes. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "lab/engine.h"
#include "lab/hash.h"
#include "lab/line.h"

#define PROBE_WALKS    32u
#define PROBE_STEPS    400u
#define DIRTY_MAX      512u
#define WORLD_SPINS    4096u
#define LOOK_UP_AHEAD  8u /* records between asking for memory and using it */

/*
 * Slots are the lines of the world that can change: every actor's first line, its store buffer, the
 * shared lines that change, and every actor's stack from the top down.
 */
#define SLOT_CONTROL(actor)   (actor)
#define SLOT_BUFFER(actor, i) (ACTOR_MAX + (actor)*STORE_LINES + (i))
#define SLOT_HOT(i)           (ACTOR_MAX * (1 + STORE_LINES) + (i))
#define SLOT_STACK(actor, i)  (SLOT_HOT(SHARED_LINES) + (actor)*STACK_LINES + (i))
#define SLOT_COUNT            SLOT_STACK(ACTOR_MAX, 0)

struct dirty {
	uint32_t slot, before;
	struct hash hash; /* of the line now */
};

static struct {
	uint16_t hot[SHARED_LINES]; /* numbers of the lines that change */
	uint32_t hot_count;
	bool restart;
	bool is_stale;                 /* memory is not what `now` says */
	uint32_t now[SLOT_COUNT];      /* content of each slot */
	uint32_t hot_part, local_part[ACTOR_MAX]; /* loaded; 0: not known */
	uint32_t first_hot, first_local[ACTOR_MAX];
	uint32_t stack_lines[ACTOR_MAX]; /* stack slots in use */
	struct dirty dirty[DIRTY_MAX];
	uint32_t dirty_count;
} world;

/*
 * There is one world: whoever executes in it holds the lock.  What is remembered of steps, which is
 * most of a search, needs neither.
 */
static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t world_holder;

static bool try_world(void)
{
	if (pthread_mutex_trylock(&world_lock))
		return false;
	world_holder = pthread_self();
	return true;
}

static void enter_world(void)
{
	/* It is held for microseconds as a rule, and to be woken takes more. */
	for (uint32_t i = 0; i < WORLD_SPINS; i++) {
		if (try_world())
			return;
		__builtin_ia32_pause();
	}
	pthread_mutex_lock(&world_lock);
	world_holder = pthread_self();
}

static void leave_world(void)
{
	pthread_mutex_unlock(&world_lock);
}

static const uint8_t *shadow(const uint8_t *line)
{
	return line + SHADOW_OFFSET;
}

static uint8_t *control_line(uint32_t actor)
{
	return (uint8_t *)&ARENA->actors[actor];
}

static uint8_t *buffer_line(uint32_t actor, uint32_t i)
{
	return (uint8_t *)ARENA->actors[actor].stores + i * LINE_SIZE;
}

static uint8_t *hot_line(uint32_t i)
{
	return ARENA->shared + (size_t)world.hot[i] * LINE_SIZE;
}

/* From the top of the stack down. */
static uint8_t *stack_line(uint32_t actor, uint32_t i)
{
	return ARENA->stacks[actor] + STACK_SIZE - (i + 1) * LINE_SIZE;
}

static uint32_t stack_line_count(uint32_t actor)
{
	uint64_t top = (uint64_t)(ARENA->stacks[actor] + STACK_SIZE);

	return (uint32_t)((top - ARENA->actors[actor].stack_pointer + LINE_SIZE - 1) / LINE_SIZE);
}

static uint8_t *slot_line(uint32_t slot)
{
	if (slot < SLOT_BUFFER(0, 0))
		return control_line(slot);
	if (slot < SLOT_HOT(0))
		return buffer_line((slot - SLOT_BUFFER(0, 0)) / STORE_LINES,
		    (slot - SLOT_BUFFER(0, 0)) % STORE_LINES);
	if (slot < SLOT_STACK(0, 0))
		return hot_line(slot - SLOT_HOT(0));
	return stack_line(
	    (slot - SLOT_STACK(0, 0)) / STACK_LINES, (slot - SLOT_STACK(0, 0)) % STACK_LINES);
}

uint32_t world_hot_bytes(void)
{
	return world.hot_count * LINE_SIZE;
}

/* ---- Records --------------------------------------------------------------------------------- */

uint32_t world_size(void)
{
	size_t size = sizeof(struct record) + engine.actor_count * sizeof(uint32_t);

	return (uint32_t)(size + 7) / 8 * 8;
}

/* Number of a line's content; 0 is the line of zeros. */
static uint32_t content_of(const uint8_t *line, struct hash hash)
{
	return line_is_zero(line) ? 0 : lines_intern(line, hash);
}

/* Number the contents of lines that an action changed; undo() takes it back. */
static void number_dirty(uint32_t first)
{
	for (uint32_t i = first; i < world.dirty_count; i++) {
		const struct dirty *dirty = &world.dirty[i];

		world.now[dirty->slot] = content_of(slot_line(dirty->slot), dirty->hash);
	}
}

static uint32_t hot_part(struct hash hash)
{
	struct part part = {.line_count = (uint16_t)world.hot_count};
	uint32_t *ids = parts_room(world.hot_count, &part.offset);

	if (!ids)
		return 0;
	for (uint32_t i = 0; i < world.hot_count; i++)
		ids[i] = world.now[SLOT_HOT(i)];
	return parts_add(hash, part);
}

static uint32_t local_part(uint32_t actor, struct hash hash)
{
	uint32_t stack_lines = stack_line_count(actor);
	bool is_buffered = ARENA->actors[actor].store_count != 0;
	uint32_t count = 1 + stack_lines + (is_buffered ? STORE_LINES : 0);
	struct part part = {.line_count = (uint16_t)count,
	    .stack_lines = (uint8_t)stack_lines,
	    .is_buffered = is_buffered};
	uint32_t *ids = parts_room(count, &part.offset);

	if (!ids)
		return 0;
	*ids++ = world.now[SLOT_CONTROL(actor)];
	for (uint32_t i = 0; i < stack_lines; i++)
		*ids++ = world.now[SLOT_STACK(actor, i)];
	for (uint32_t i = 0; is_buffered && i < STORE_LINES; i++)
		*ids++ = world.now[SLOT_BUFFER(actor, i)];
	return parts_add(hash, part);
}

void world_successor(struct record *record, const struct record *from, const struct successor *to)
{
	const struct outcome *outcome = to->outcome;

	record->hash = to->hash;
	record->hot = outcome->hot;
	for (uint32_t i = 0; i < engine.actor_count; i++)
		record->local[i] = from->local[i];
	if (outcome->action.kind != ACTION_HARDWARE)
		record->local[outcome->action.actor] = outcome->local;
}

static void set_slot(uint32_t slot, uint8_t *line, uint32_t id)
{
	if (world.now[slot] == id)
		return;
	world.now[slot] = id;
	line_copy(line, lines_table[id].content);
	line_copy(line + SHADOW_OFFSET, line);
}

/* Memory was changed without the lab's keeping count: believe nothing. */
static void forget_now(void)
{
	memset(world.now, 0xff, sizeof(world.now));
	memset((uint8_t *)ARENA->stacks + SHADOW_OFFSET, 0, sizeof(ARENA->stacks));
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		stack_find_low(i);
		world.stack_lines[i] = (STACK_SIZE - stack_low(i)) / LINE_SIZE;
	}
	world.hot_part = 0;
	memset(world.local_part, 0, sizeof(world.local_part));
	world.dirty_count = 0;
	world.is_stale = false;
}

static void load_hot(uint32_t id)
{
	const uint32_t *lines = parts_pool + parts_table[id].offset;

	if (world.hot_part == id)
		return;
	for (uint32_t i = 0; i < world.hot_count; i++)
		set_slot(SLOT_HOT(i), hot_line(i), lines[i]);
	world.hot_part = id;
}

static void load_local(uint32_t actor, uint32_t id)
{
	const struct part *part = &parts_table[id];
	const uint32_t *lines = parts_pool + part->offset;

	if (world.local_part[actor] == id)
		return;
	set_slot(SLOT_CONTROL(actor), control_line(actor), *lines++);
	for (uint32_t i = 0; i < part->stack_lines; i++)
		set_slot(SLOT_STACK(actor, i), stack_line(actor, i), *lines++);
	for (uint32_t i = part->stack_lines; i < world.stack_lines[actor]; i++)
		set_slot(SLOT_STACK(actor, i), stack_line(actor, i), 0);
	world.stack_lines[actor] = part->stack_lines;
	for (uint32_t i = 0; i < STORE_LINES; i++)
		set_slot(
		    SLOT_BUFFER(actor, i), buffer_line(actor, i), part->is_buffered ? *lines++ : 0);
	world.local_part[actor] = id;
}

void world_load(const struct record *record)
{
	if (world.is_stale)
		forget_now();
	world.dirty_count = 0;
	load_hot(record->hot);
	for (uint32_t i = 0; i < engine.actor_count; i++)
		load_local(i, record->local[i]);
}

void world_forget(void)
{
	world.is_stale = true;
}

/* ---- Differences ----------------------------------------------------------------------------- */

static uint64_t line_number(const uint8_t *line)
{
	return ((uint64_t)line - ARENA_BASE) / LINE_SIZE;
}

static struct hash line_hash(const uint8_t *line, const uint8_t *content)
{
	struct hash hash;

	hash_line(
	    line_number(line), (const uint64_t *)(const void *)content, &hash.low, &hash.high);
	return hash;
}

static void add(struct hash *sum, struct hash hash)
{
	sum->low += hash.low;
	sum->high += hash.high;
}

static void subtract(struct hash *sum, struct hash hash)
{
	sum->low -= hash.low;
	sum->high -= hash.high;
}

static __attribute__((noinline)) void add_dirty(
    uint32_t slot, const uint8_t *line, struct hash *sum)
{
	struct dirty *dirty = &world.dirty[world.dirty_count++];
	uint32_t before = world.now[slot];

	dirty->slot = slot;
	dirty->before = before;
	dirty->hash = line_hash(line, line);
	subtract(
	    sum, before ? lines_names.hashes[before] : line_hash(line, lines_table[0].content));
	add(sum, dirty->hash);
}

static inline void compare(uint32_t slot, const uint8_t *line, struct hash *hash)
{
	if (__builtin_expect(!line_is_equal(line, shadow(line)), 0))
		add_dirty(slot, line, hash);
}

/* In the world; other threads look now and then. */
static void restart_later(void)
{
	__atomic_store_n(&world.restart, true, __ATOMIC_RELAXED);
}

/* Words of shared lines that changed are no constants. */
static void note_dirty(void)
{
	for (uint32_t i = 0; i < world.dirty_count; i++) {
		uint32_t slot = world.dirty[i].slot;

		if (cold_note(
		        world.hot[slot - SLOT_HOT(0)], slot_line(slot), shadow(slot_line(slot))))
			restart_later();
	}
}

static void compare_buffer(uint32_t actor, struct hash *hash)
{
	for (uint32_t i = 0; i < STORE_LINES; i++)
		compare(SLOT_BUFFER(actor, i), buffer_line(actor, i), hash);
}

static void compare_stack(uint32_t actor, struct hash *hash)
{
	uint32_t now = stack_line_count(actor), before = world.stack_lines[actor];
	uint32_t count = now > before ? now : before;

	/* Lines that were not in use are zero, and so are their copies. */
	for (uint32_t i = before; i < now; i++)
		world.now[SLOT_STACK(actor, i)] = 0;
	for (uint32_t i = 0; i < count; i++)
		compare(SLOT_STACK(actor, i), stack_line(actor, i), hash);
}

static struct hash part_hash(uint32_t id, struct hash delta)
{
	add(&delta, parts_names.hashes[id]);
	return delta;
}

/* What an action on the state loaded did to shared memory. */
static void see_hot(const struct record *record, struct outcome *outcome)
{
	struct hash delta = {0, 0}, hash;

	arena_clear_ignored();
	for (uint32_t i = 0; i < world.hot_count; i++)
		compare(SLOT_HOT(i), hot_line(i), &delta);
	note_dirty();
	hash = part_hash(record->hot, delta);
	outcome->hot = world.dirty_count ? intern_find(&parts_names, hash) : record->hot;
	if (!outcome->hot) {
		number_dirty(0);
		outcome->hot = hot_part(hash);
	}
	outcome->delta = delta;
}

/* And to the actor's own part. */
static void see_local(const struct record *record, struct outcome *outcome)
{
	uint32_t actor = outcome->action.actor, before = world.dirty_count;
	struct hash delta = {0, 0}, hash;

	compare(SLOT_CONTROL(actor), control_line(actor), &delta);
	compare_buffer(actor, &delta);
	if (outcome->action.kind != ACTION_DRAIN) {
		stack_clean(actor);
		compare_stack(actor, &delta);
	}
	hash = part_hash(record->local[actor], delta);
	outcome->local =
	    world.dirty_count > before ? intern_find(&parts_names, hash) : record->local[actor];
	if (!outcome->local) {
		number_dirty(before);
		outcome->local = local_part(actor, hash);
	}
	add(&outcome->delta, delta);
}

static void undo(void)
{
	for (uint32_t i = 0; i < world.dirty_count; i++) {
		const struct dirty *dirty = &world.dirty[i];
		uint8_t *line = slot_line(dirty->slot);

		world.now[dirty->slot] = dirty->before;
		line_copy(line, shadow(line));
	}
	world.dirty_count = 0;
}

/*
 * After every step, for a later one may put back what this one changed, and those between would have
 * run in a world that does not exist.
 */
static void check_constants(void)
{
	if (__builtin_expect(!cold_is_same(), 0) && cold_note_all(false))
		restart_later();
}

bool world_restart_is_due(void)
{
	return __atomic_load_n(&world.restart, __ATOMIC_RELAXED);
}

bool world_must_restart(void)
{
	if (cold_note_all(false))
		restart_later();
	return world.restart;
}

/* ---- Expanding ------------------------------------------------------------------------------- */

/* False: engine.failure is set, and the world is garbage. */
static bool try_action(struct action action)
{
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) == 0)
		action_do(action);
	engine.in_actor = false;
	engine.crash_armed = false;
	if (engine.failure.kind == FAILURE_NONE)
		return true;
	world_forget();
	return false;
}

/* All that an actor's (or, with number actor_count, a machine's) step may depend on. */
static void load_group(const struct record *record, uint32_t group)
{
	if (world.is_stale)
		forget_now();
	world.dirty_count = 0;
	load_hot(record->hot);
	if (group < engine.actor_count)
		load_local(group, record->local[group]);
}

/* An actor's (or, with number actor_count, all machines') actions from a state. */
static uint32_t execute(const struct record *record, uint32_t group, struct outcome *outcomes)
{
	struct action actions[CHOICE_MAX];
	uint32_t count = 0;

	load_group(record, group);
	if (group < engine.actor_count)
		action_list_actor(group, actions, &count);
	else
		action_list_machines(actions, &count);
	for (uint32_t i = 0; i < count; i++) {
		outcomes[i] = (struct outcome){.action = actions[i]};
		if (!try_action(actions[i])) {
			engine.failure.kind = FAILURE_NONE;
			check_constants();
			load_group(record, group);
			continue;
		}
		see_hot(record, &outcomes[i]);
		check_constants();
		if (group < engine.actor_count)
			see_local(record, &outcomes[i]);
		undo();
	}
	return count;
}

static bool breaks_invariant(const struct record *record)
{
	bool is_bad;

	if (!engine.scenario->invariant)
		return false;
	load_group(record, engine.actor_count);
	engine.scenario->invariant();
	is_bad = engine.failure.kind != FAILURE_NONE;
	engine.failure.kind = FAILURE_NONE;
	return is_bad;
}

struct group {
	const struct outcome *outcomes;
	uint32_t count;
	bool is_bad;
};

static uint64_t group_key(const struct record *record, uint32_t group)
{
	return memo_key(
	    group < engine.actor_count ? record->local[group] : MEMO_MACHINES, record->hot);
}

static struct group known_group(uint64_t value)
{
	return (struct group){memo_outcomes(value), memo_count(value), memo_is_bad(value)};
}

/* In the world. */
static struct group execute_group(
    const struct record *record, uint32_t group, struct outcome *outcomes)
{
	struct group result = {.outcomes = outcomes};

	if (group == engine.actor_count)
		result.is_bad = breaks_invariant(record);
	result.count = execute(record, group, outcomes);
	return result;
}

/* In the world: execute what the caller has claimed, and remember. */
static uint64_t find_out(const struct record *record, uint32_t group, struct memo_slot *slot)
{
	struct outcome *room = memo_room();
	struct group result;

	if (!room || lines_are_full())
		return memo_set_aside(slot);
	result = execute_group(record, group, room);
	if (lines_are_full())
		return memo_set_aside(slot);
	return memo_settle(slot, result.count, result.is_bad);
}

uint32_t world_group_count(void)
{
	return engine.actor_count + 1;
}

static const struct record *share_record(const struct share *share, uint32_t number)
{
	return (const void *)(share->records + number * share->size);
}

static void claim(struct share *share, uint32_t record, uint32_t group, uint64_t *value)
{
	struct claim *claim = &share->claims[share->claim_count];

	*value = memo_claim(group_key(share_record(share, record), group), &claim->slot);
	claim->record = record;
	claim->group = group;
	share->claim_count += claim->slot != NULL;
}

void world_look_up(struct share *share, const void *records, uint32_t size, uint32_t used)
{
	uint32_t group_count = world_group_count();
	uint64_t *value = share->values;

	share->records = records;
	share->size = size;
	share->count = used / size;
	share->claim_count = 0;
	memset(share->is_done, 0, share->count);
	for (uint32_t n = 0; n < share->count; n++) {
		const struct record *ahead = share_record(share, n + LOOK_UP_AHEAD);

		for (uint32_t i = 0; n + LOOK_UP_AHEAD < share->count && i < group_count; i++)
			memo_prefetch(group_key(ahead, i));
		for (uint32_t i = 0; i < group_count; i++, value++) {
			*value = engine.memorize ? memo_find(group_key(share_record(share, n), i))
			                         : MEMO_ASIDE;
			if (*value == MEMO_NONE)
				claim(share, n, i, value);
		}
	}
}

static void find_out_share(struct share *share)
{
	for (uint32_t i = 0; i < share->claim_count; i++) {
		const struct claim *claim = &share->claims[i];

		share->values[claim->record * world_group_count() + claim->group] =
		    find_out(share_record(share, claim->record), claim->group, claim->slot);
	}
	share->claim_count = 0;
}

bool world_find_out(struct share *shares, uint32_t count, bool waits)
{
	uint32_t claim_count = 0;

	for (uint32_t i = 0; i < count; i++)
		claim_count += shares[i].claim_count;
	if (!claim_count)
		return true;
	if (waits)
		enter_world();
	else if (!try_world())
		return false;
	for (uint32_t i = 0; i < count; i++)
		find_out_share(&shares[i]);
	leave_world();
	return true;
}

bool world_knows(const struct share *share, uint32_t record)
{
	const uint64_t *values = &share->values[record * world_group_count()];
	uint64_t all = values[0];

	for (uint32_t i = 1; i < world_group_count(); i++)
		all &= values[i];
	return memo_is_known(all);
}

void world_look_ahead(const struct share *share, uint32_t record)
{
	const uint64_t *values = &share->values[record * world_group_count()];

	for (uint32_t i = 0; i < world_group_count(); i++)
		__builtin_prefetch(memo_outcomes(values[i]));
}

/* Another thread has claimed it, and is on its way into the world. */
static uint64_t wait_for(uint64_t key)
{
	uint64_t value;

	for (uint32_t i = 1; (value = memo_find(key)) == MEMO_COMING; i++) {
		if (i % WORLD_SPINS)
			__builtin_ia32_pause();
		else
			sched_yield();
	}
	return value;
}

static struct group look_up(const struct record *record, uint32_t group, uint64_t value)
{
	static __thread struct outcome scratch[ACTOR_MAX + 1][CHOICE_MAX];
	uint64_t key = group_key(record, group);
	struct memo_slot *slot = NULL;
	struct group result;

	if (memo_is_known(value))
		return known_group(value);
	if (engine.memorize && value != MEMO_ASIDE)
		value = memo_claim(key, &slot);
	if (value == MEMO_COMING && !slot)
		value = wait_for(key);
	if (memo_is_known(value))
		return known_group(value);
	enter_world();
	if (slot)
		value = find_out(record, group, slot);
	result = memo_is_known(value) ? known_group(value)
	                              : execute_group(record, group, scratch[group]);
	leave_world();
	return result;
}

void world_measure_reset(void)
{
	for (uint32_t i = 0; i < LAB_MEASURE_MAX; i++)
		engine.measured[i] = (struct measured){UINT64_MAX, 0};
}

static void measure(void)
{
	const struct lab_measure *measures = engine.scenario->measures;

	for (uint32_t i = 0; i < LAB_MEASURE_MAX && measures[i].what; i++) {
		uint64_t value = measures[i].value();

		if (value < engine.measured[i].least)
			engine.measured[i].least = value;
		if (value > engine.measured[i].most)
			engine.measured[i].most = value;
	}
}

/* In the world: the failure that there is becomes the caller's. */
static void take_failure(struct failure *failure)
{
	*failure = engine.failure;
	engine.failure.kind = FAILURE_NONE;
}

/* The state itself; it has so many successors. */
static void check_state(
    const struct record *record, bool is_bad, uint32_t count, struct failure *failure)
{
	if (!is_bad && count)
		return;
	enter_world();
	world_load(record);
	if (is_bad)
		engine.scenario->invariant();
	else if (engine.scenario->quiescent)
		engine.scenario->quiescent();
	if (!is_bad)
		measure();
	take_failure(failure);
	leave_world();
}

/* Again, for the failure itself. */
static void fail_again(const struct record *record, struct action action, struct failure *failure)
{
	enter_world();
	world_load(record);
	/* Without numbers for contents there is no outcome either; the search is about to stop. */
	if (try_action(action) && !lines_are_full())
		failure_set(FAILURE_UNANNOTATED, "a step that depends on more than the world");
	take_failure(failure);
	leave_world();
}

static uint32_t expand(const struct record *record, const uint64_t *values, uint32_t first,
    successor_fn found, void *context, int *failed, struct failure *failure)
{
	struct group groups[ACTOR_MAX + 1];
	uint32_t count = 0, index = 0;

	*failed = -1;
	failure->kind = FAILURE_NONE;
	for (uint32_t i = 0; i <= engine.actor_count; i++) {
		groups[i] = look_up(record, i, values[i]);
		count += groups[i].count;
	}
	if (first == 0)
		check_state(record, groups[engine.actor_count].is_bad, count, failure);
	if (count > CHOICE_MAX)
		*failure =
		    (struct failure){FAILURE_OVERFLOW, "more enabled actions than CHOICE_MAX"};
	if (failure->kind != FAILURE_NONE)
		return count;
	for (uint32_t i = 0; i <= engine.actor_count; i++) {
		for (uint32_t k = 0; k < groups[i].count; k++, index++) {
			const struct outcome *outcome = &groups[i].outcomes[k];
			struct successor to = {record->hash, index, outcome};

			if (index < first)
				continue;
			if (!outcome->hot) {
				fail_again(record, outcome->action, failure);
				*failed = (int)index;
				return count;
			}
			add(&to.hash, outcome->delta);
			found(context, record, &to);
		}
	}
	return count;
}

uint32_t world_expand(
    const struct record *record, uint32_t first, successor_fn found, void *context, int *failed)
{
	static const uint64_t nothing[ACTOR_MAX + 1];
	struct failure failure;
	uint32_t count = expand(record, nothing, first, found, context, failed, &failure);

	if (failure.kind != FAILURE_NONE)
		engine.failure = failure;
	return count;
}

uint32_t world_expand_shared(const struct share *share, uint32_t record, successor_fn found,
    void *context, int *failed, struct failure *failure)
{
	return expand(share_record(share, record), &share->values[record * world_group_count()], 0,
	    found, context, failed, failure);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
	sigset_t set;

	(void)context;
	if (number == SIGSEGV && cold_fault(info->si_addr))
		return;
	if (!engine.crash_armed || !engine.in_actor) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	failure_set(FAILURE_CRASH, number == SIGSEGV ? "the program touched memory it does not have"
	                                             : "the program died of a signal");
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	siglongjmp(engine.crash, 1);
}

/* Every quarter of a second of CPU time: a program that has not come back since the last tick never
 * will. */
static void on_tick(int number)
{
	static uint64_t seen;
	sigset_t set;

	if (!engine.crash_armed || !engine.in_actor || engine.switch_count != seen) {
		seen = engine.switch_count;
		return;
	}
	/* The clock is the process's, and its tick comes to any thread. */
	if (!pthread_equal(world_holder, pthread_self())) {
		pthread_kill(world_holder, number);
		return;
	}
	failure_set(FAILURE_ENDLESS, "an endless loop between two scheduling points");
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	siglongjmp(engine.crash, 1);
}

void world_guard_thread(void)
{
	static __thread uint8_t stack[64 * 1024];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaltstack(&alternative, NULL);
}

void world_guard(void)
{
	struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_ONSTACK | SA_SIGINFO};
	struct itimerval tick = {{0, 250000}, {0, 250000}};

	world_holder = pthread_self();
	world_guard_thread();
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	action.sa_handler = on_tick;
	action.sa_flags = SA_ONSTACK | SA_RESTART;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &tick, NULL);
}

/* ---- The first state ------------------------------------------------------------------------- */

static void choose_hot_lines(void)
{
	world.hot_count = 0;
	for (uint32_t i = 0; i < engine.shared_used / LINE_SIZE; i++) {
		if (engine.written[i])
			world.hot[world.hot_count++] = (uint16_t)i;
	}
}

/* One random walk from the first state; learns written words. */
static void probe(uint64_t *seed)
{
	struct action actions[CHOICE_MAX];

	cold_put_back();
	for (uint32_t step = 0; step < PROBE_STEPS && engine.failure.kind == FAILURE_NONE; step++) {
		uint32_t count = action_list(actions);

		if (!count)
			return;
		*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
		action_do(actions[(*seed >> 33) % count]);
		arena_clear_ignored();
		cold_note_all(true);
	}
}

static void learn(const struct lab_scenario *scenario, const struct lab_params *params)
{
	uint64_t seed = 1;
	const bool reduce = engine.reduce;

	/* Nothing is known to be constant yet. */
	engine.reduce = false;
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) == 0) {
		for (uint32_t i = 0; i < PROBE_WALKS; i++) {
			arena_setup(scenario, params);
			cold_keep();
			probe(&seed);
		}
	}
	engine.in_actor = false;
	engine.reduce = reduce;
	engine.crash_armed = false;
	engine.failure.kind = FAILURE_NONE;
}

void world_learned(struct learned *learned)
{
	memcpy(learned->written, engine.written, SHARED_LINES);
}

void world_prepare(const struct lab_scenario *scenario, const struct lab_params *params,
    const struct learned *learned)
{
	engine.written = memory_fresh(engine.written, SHARED_LINES);
	watch_reset();
	lines_reset();
	if (!learned) {
		learn(scenario, params);
		return;
	}
	arena_setup(scenario, params);
	memcpy(engine.written, learned->written, SHARED_LINES);
}

/* Number the content of a slot of the first state; *sum counts its difference from zeros. */
static void intern(uint32_t slot, struct hash *sum)
{
	uint8_t *line = slot_line(slot);
	struct hash hash = line_hash(line, line);

	world.now[slot] = content_of(line, hash);
	line_copy(line + SHADOW_OFFSET, line);
	add(sum, hash);
	subtract(sum, line_hash(line, lines_table[0].content));
}

static uint32_t first_local(uint32_t actor)
{
	struct hash hash = {0, 0};

	stack_clean(actor);
	world.stack_lines[actor] = stack_line_count(actor);
	intern(SLOT_CONTROL(actor), &hash);
	for (uint32_t k = 0; k < STORE_LINES; k++)
		intern(SLOT_BUFFER(actor, k), &hash);
	for (uint32_t k = 0; k < world.stack_lines[actor]; k++)
		intern(SLOT_STACK(actor, k), &hash);
	return local_part(actor, hash);
}

static uint32_t first_hot(void)
{
	struct hash hash = {0, 0};

	for (uint32_t i = 0; i < world.hot_count; i++)
		intern(SLOT_HOT(i), &hash);
	return hot_part(hash);
}

void world_first(struct record *record, struct hash hash)
{
	record->hash = hash;
	record->hot = world.first_hot;
	memcpy(record->local, world.first_local, engine.actor_count * sizeof(uint32_t));
}

void world_reset(void)
{
	struct lab_params params = engine.params;

	world.restart = false;
	world_measure_reset();
	arena_setup(engine.scenario, &params);
	stacks_reset();
	cold_keep();
	choose_hot_lines();
	lines_reset();
	memo_reset();
	forget_now();
	world.hot_part = world.first_hot = first_hot();
	for (uint32_t i = 0; i < engine.actor_count; i++)
		world.local_part[i] = world.first_local[i] = first_local(i);
	cold_choose();
}
