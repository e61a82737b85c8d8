/* SPDX-License-Identifier: MIT */
/* States: saving, loading, and stepping the world with incremental hashes. */
#include <emmintrin.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "lab/engine.h"
#include "lab/hash.h"

#define CHECK_INTERVAL 256u /* expansions between looks at memory thought constant */
#define PROBE_WALKS    32u
#define PROBE_STEPS    400u
#define DIRTY_MAX      512u

/*
 * A state is a list of slots, each one line of the world, and a record holds the number of each
 * slot's content in the table of contents (lines.c).  Slots: every actor's first line, its store
 * buffer, the shared lines that change, and every actor's stack from the top down.
 */
#define SLOT_CONTROL(actor)   (actor)
#define SLOT_BUFFER(actor, i) (ACTOR_MAX + (actor)*STORE_LINES + (i))
#define SLOT_HOT(i)           (ACTOR_MAX * (1 + STORE_LINES) + (i))
#define SLOT_STACK(actor, i)  (SLOT_HOT(SHARED_LINES) + (actor)*STACK_LINES + (i))
#define SLOT_COUNT            SLOT_STACK(ACTOR_MAX, 0)

struct dirty {
	uint32_t slot, before;
	uint64_t low, high; /* hash of the line now */
};

static struct {
	uint16_t hot[SHARED_LINES]; /* numbers of the lines that change */
	uint32_t hot_count;
	uint8_t *restart; /* shared by all processes */
	uint8_t *initial; /* shared memory of the first state */
	uint32_t expansions;
	uint32_t stack_low[ACTOR_MAX]; /* as in struct actor_info, over all setups of a scenario */
	bool is_stale;                 /* memory is not what `now` says */
	uint32_t now[SLOT_COUNT];      /* content of each slot */
	uint32_t stack_lines[ACTOR_MAX];     /* stack slots in use */
	uint32_t new_stack_lines[ACTOR_MAX]; /* after the action being looked at */
	struct dirty dirty[DIRTY_MAX];
	uint32_t dirty_count;
} world;

static bool lines_equal(const uint8_t *a, const uint8_t *b)
{
	const __m128i *x = (const __m128i *)(const void *)a, *y = (const __m128i *)(const void *)b;
	__m128i e0 = _mm_cmpeq_epi32(x[0], y[0]), e1 = _mm_cmpeq_epi32(x[1], y[1]);
	__m128i e2 = _mm_cmpeq_epi32(x[2], y[2]), e3 = _mm_cmpeq_epi32(x[3], y[3]);

	e0 = _mm_and_si128(_mm_and_si128(e0, e1), _mm_and_si128(e2, e3));
	return _mm_movemask_epi8(e0) == 0xffff;
}

static void copy_line(uint8_t *to, const uint8_t *from)
{
	__m128i *x = (__m128i *)(void *)to;
	const __m128i *y = (const __m128i *)(const void *)from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
	x[3] = y[3];
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

/* ---- Records ----------------------------------------------------------------------------------
 */

static uint32_t id_count(const uint32_t *stack_lines, uint32_t buffered)
{
	uint32_t count = engine.actor_count + world.hot_count;

	for (uint32_t i = 0; i < engine.actor_count; i++)
		count += stack_lines[i] + ((buffered >> i) & 1) * (uint32_t)STORE_LINES;
	return count;
}

static uint32_t buffered_actors(void)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < engine.actor_count; i++)
		set |= (uint32_t)(ARENA->actors[i].store_count != 0) << i;
	return set;
}

static uint32_t record_size(uint32_t ids)
{
	return (uint32_t)(sizeof(struct record) + ids * sizeof(uint32_t) + LINE_SIZE - 1) /
	       LINE_SIZE * LINE_SIZE;
}

uint32_t world_size(void)
{
	return record_size(id_count(world.new_stack_lines, buffered_actors()));
}

/* Number of a line's content; 0 is the line of zeros. */
static uint32_t content_of(const uint8_t *line, uint64_t low, uint64_t high)
{
	return lines_equal(line, lines_content(0)) ? 0 : lines_intern(line, low, high);
}

static uint32_t *save_ids(uint32_t *id, uint32_t slot, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		id[i] = world.now[slot + i];
	return id + count;
}

static uint32_t save_now(struct record *record, uint32_t buffered)
{
	uint32_t *id = (uint32_t *)(void *)(record + 1);

	record->buffered = buffered;
	record->size = record_size(id_count(world.new_stack_lines, buffered));
	id = save_ids(id, SLOT_CONTROL(0), engine.actor_count);
	id = save_ids(id, SLOT_HOT(0), world.hot_count);
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		record->stack_lines[i] = (uint8_t)world.new_stack_lines[i];
		id = save_ids(id, SLOT_STACK(i, 0), world.new_stack_lines[i]);
		if (buffered >> i & 1)
			id = save_ids(id, SLOT_BUFFER(i, 0), STORE_LINES);
	}
	return record->size;
}

uint32_t world_save(struct record *record, struct hash hash, struct action last)
{
	uint32_t buffered = buffered_actors();

	for (uint32_t i = 0; i < world.dirty_count; i++) {
		const struct dirty *dirty = &world.dirty[i];

		world.now[dirty->slot] =
		    content_of(slot_line(dirty->slot), dirty->low, dirty->high);
	}
	record->hash = hash;
	record->last = last;
	return save_now(record, buffered);
}

uint32_t world_capture(struct delta *delta, const struct successor *to)
{
	delta->hash = to->hash;
	delta->action = to->action;
	delta->index = to->index;
	delta->buffered = buffered_actors();
	delta->stack_lines =
	    to->action.kind == ACTION_HARDWARE ? 0 : world.new_stack_lines[to->action.actor];
	delta->line_count = world.dirty_count;
	for (uint32_t i = 0; i < world.dirty_count; i++) {
		const struct dirty *dirty = &world.dirty[i];
		struct delta_line *line = &delta->lines[i];

		copy_line(line->content, slot_line(dirty->slot));
		line->low = dirty->low;
		line->high = dirty->high;
		line->slot = dirty->slot;
	}
	return (uint32_t)(sizeof(*delta) + delta->line_count * sizeof(struct delta_line));
}

static void set_stack_lines(const struct delta *delta)
{
	if (delta->action.kind != ACTION_HARDWARE)
		world.new_stack_lines[delta->action.actor] = delta->stack_lines;
}

static void reset_stack_lines(const struct delta *delta)
{
	if (delta->action.kind != ACTION_HARDWARE)
		world.new_stack_lines[delta->action.actor] = world.stack_lines[delta->action.actor];
}

uint32_t world_delta_size(const struct delta *delta)
{
	uint32_t size;

	set_stack_lines(delta);
	size = record_size(id_count(world.new_stack_lines, delta->buffered));
	reset_stack_lines(delta);
	return size;
}

void world_save_delta(struct record *record, const struct delta *delta)
{
	uint32_t before[DIRTY_MAX];

	for (uint32_t i = 0; i < delta->line_count; i++) {
		const struct delta_line *line = &delta->lines[i];

		before[i] = world.now[line->slot];
		world.now[line->slot] = content_of(line->content, line->low, line->high);
	}
	set_stack_lines(delta);
	record->hash = delta->hash;
	record->last = delta->action;
	save_now(record, delta->buffered);
	reset_stack_lines(delta);
	for (uint32_t i = 0; i < delta->line_count; i++)
		world.now[delta->lines[i].slot] = before[i];
}

static void set_slot(uint32_t slot, uint8_t *line, uint32_t id)
{
	if (world.now[slot] == id)
		return;
	world.now[slot] = id;
	copy_line(line, lines_content(id));
	copy_line(line + SHADOW_OFFSET, line);
}

static void zero_stack(uint32_t index, uint32_t live_from)
{
	uint32_t low = engine.actors[index].stack_low;

	if (live_from > low)
		memset(ARENA->stacks[index] + low, 0, live_from - low);
}

/* Memory was changed without the lab's keeping count: believe nothing. */
static void forget_now(void)
{
	memset(world.now, 0xff, sizeof(world.now));
	memset((uint8_t *)ARENA->stacks + SHADOW_OFFSET, 0, sizeof(ARENA->stacks));
	for (uint32_t i = 0; i < engine.actor_count; i++)
		world.stack_lines[i] = (STACK_SIZE - engine.actors[i].stack_low) / LINE_SIZE;
	world.dirty_count = 0;
	world.is_stale = false;
}

void world_load(const struct record *record)
{
	const uint32_t *id = (const uint32_t *)(const void *)(record + 1);

	if (world.is_stale)
		forget_now();
	world.dirty_count = 0;
	for (uint32_t i = 0; i < engine.actor_count; i++)
		set_slot(SLOT_CONTROL(i), control_line(i), *id++);
	for (uint32_t i = 0; i < world.hot_count; i++)
		set_slot(SLOT_HOT(i), hot_line(i), *id++);
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		bool is_buffered = record->buffered >> i & 1;
		uint32_t count = record->stack_lines[i];

		for (uint32_t k = 0; k < count; k++)
			set_slot(SLOT_STACK(i, k), stack_line(i, k), *id++);
		for (uint32_t k = count; k < world.stack_lines[i]; k++)
			set_slot(SLOT_STACK(i, k), stack_line(i, k), 0);
		world.stack_lines[i] = world.new_stack_lines[i] = count;
		for (uint32_t k = 0; k < STORE_LINES; k++)
			set_slot(SLOT_BUFFER(i, k), buffer_line(i, k), is_buffered ? *id++ : 0);
	}
}

void world_forget(void)
{
	world.is_stale = true;
}

/* ---- Differences ------------------------------------------------------------------------------
 */

static uint64_t line_number(const uint8_t *line)
{
	return ((uint64_t)line - ARENA_BASE) / LINE_SIZE;
}

static void subtract_hash(uint32_t id, uint64_t line, struct hash *hash)
{
	uint64_t low, high;

	if (id)
		lines_hash(id, &low, &high);
	else
		hash_line(line, (const uint64_t *)(const void *)lines_content(0), &low, &high);
	hash->low -= low;
	hash->high -= high;
}

static __attribute__((noinline)) void add_dirty(
    uint32_t slot, const uint8_t *line, struct hash *hash)
{
	struct dirty *dirty = &world.dirty[world.dirty_count++];

	dirty->slot = slot;
	dirty->before = world.now[slot];
	subtract_hash(dirty->before, line_number(line), hash);
	hash_line(
	    line_number(line), (const uint64_t *)(const void *)line, &dirty->low, &dirty->high);
	hash->low += dirty->low;
	hash->high += dirty->high;
}

static inline void compare(uint32_t slot, const uint8_t *line, struct hash *hash)
{
	if (__builtin_expect(!lines_equal(line, shadow(line)), 0))
		add_dirty(slot, line, hash);
}

/* Remember which words of a line changed; true when that is news. */
static bool note_written(uint32_t line, const uint8_t *now, const uint8_t *before)
{
	const uint64_t *a = (const uint64_t *)(const void *)now;
	const uint64_t *b = (const uint64_t *)(const void *)before;
	uint8_t changed = 0;

	for (uint32_t i = 0; i < 8; i++)
		changed |= (uint8_t)((a[i] != b[i]) << i);
	if (!(changed & ~engine.written[line]))
		return false;
	__atomic_fetch_or(&engine.written[line], changed, __ATOMIC_RELAXED);
	return true;
}

/* Words of shared lines that changed are no constants. */
static void note_dirty(void)
{
	for (uint32_t i = 0; i < world.dirty_count; i++) {
		uint32_t slot = world.dirty[i].slot;

		if (note_written(
		        world.hot[slot - SLOT_HOT(0)], slot_line(slot), shadow(slot_line(slot))))
			*world.restart = 1;
	}
}

static void compare_buffer(uint32_t actor, struct hash *hash)
{
	for (uint32_t i = 0; i < STORE_LINES; i++)
		compare(SLOT_BUFFER(actor, i), buffer_line(actor, i), hash);
}

void world_clean_stack(uint32_t index)
{
	zero_stack(
	    index, (uint32_t)(ARENA->actors[index].stack_pointer - (uint64_t)ARENA->stacks[index]));
}

static void compare_stack(uint32_t actor, struct hash *hash)
{
	uint32_t now = stack_line_count(actor), before = world.stack_lines[actor];
	uint32_t count = now > before ? now : before;

	/* Lines that were not in use are zero, and so are their copies. */
	for (uint32_t i = before; i < now; i++)
		world.now[SLOT_STACK(actor, i)] = 0;
	world.new_stack_lines[actor] = now;
	for (uint32_t i = 0; i < count; i++)
		compare(SLOT_STACK(actor, i), stack_line(actor, i), hash);
}

/* Hash of the world after an action on the state loaded. */
static struct hash hash_after(struct action action, struct hash hash)
{
	world.dirty_count = 0;
	arena_clear_ignored();
	for (uint32_t i = 0; i < world.hot_count; i++)
		compare(SLOT_HOT(i), hot_line(i), &hash);
	note_dirty();
	if (action.kind == ACTION_HARDWARE)
		return hash;
	compare(SLOT_CONTROL(action.actor), control_line(action.actor), &hash);
	compare_buffer(action.actor, &hash);
	if (action.kind != ACTION_DRAIN) {
		world_clean_stack(action.actor);
		compare_stack(action.actor, &hash);
	}
	return hash;
}

static void undo(uint32_t actor)
{
	for (uint32_t i = 0; i < world.dirty_count; i++) {
		const struct dirty *dirty = &world.dirty[i];

		uint8_t *line = slot_line(dirty->slot);

		world.now[dirty->slot] = dirty->before;
		copy_line(line, shadow(line));
	}
	world.new_stack_lines[actor] = world.stack_lines[actor];
	world.dirty_count = 0;
}

/* Stack below the low mark is garbage of a deeper call than seen so far: lower the mark. */
static bool check_stacks(void)
{
	bool has_changed = false;

	for (uint32_t i = 0; i < engine.actor_count; i++) {
		uint32_t low = world.stack_low[i];
		uint32_t lowest = 0;

		while (lowest < low && lines_equal(ARENA->stacks[i] + lowest, lines_content(0)))
			lowest += LINE_SIZE;
		if (lowest == low)
			continue;
		engine.actors[i].stack_low = world.stack_low[i] = lowest;
		has_changed = true;
	}
	return has_changed;
}

/* Look at all shared memory for changes where none were expected. */
static void check_cold(void)
{
	for (uint32_t line = 0; line < engine.shared_used / LINE_SIZE; line++) {
		const uint8_t *now = ARENA->shared + line * LINE_SIZE;

		if (engine.written[line])
			continue;
		if (!lines_equal(now, world.initial + line * LINE_SIZE) &&
		    note_written(line, now, world.initial + line * LINE_SIZE))
			*world.restart = 1;
	}
}

static void check_now_and_then(void)
{
	if (++world.expansions % CHECK_INTERVAL)
		return;
	check_cold();
	if (check_stacks())
		*world.restart = 1;
}

bool world_must_restart(void)
{
	check_cold();
	if (check_stacks())
		*world.restart = 1;
	return *world.restart;
}

/* ---- Expanding --------------------------------------------------------------------------------
 */

static void check_state(uint32_t action_count)
{
	if (engine.scenario->invariant)
		engine.scenario->invariant();
	if (action_count == 0 && engine.scenario->quiescent)
		engine.scenario->quiescent();
}

uint32_t world_expand(
    const struct record *record, uint32_t first, successor_fn found, void *context, int *failed)
{
	struct action actions[CHOICE_MAX];
	volatile uint32_t i = first;
	uint32_t count;

	world_load(record);
	count = action_list(actions);
	if (first == 0)
		check_state(count);
	*failed = -1;
	if (engine.failure.kind != FAILURE_NONE)
		return count;
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) != 0)
		engine.in_actor = false;
	for (; i < count && engine.failure.kind == FAILURE_NONE; i++) {
		struct successor to = {.action = actions[i], .index = i};

		action_do(actions[i]);
		if (engine.failure.kind != FAILURE_NONE)
			break;
		to.hash = hash_after(actions[i], record->hash);
		found(context, record, &to);
		undo(actions[i].kind == ACTION_HARDWARE ? 0 : actions[i].actor);
	}
	engine.crash_armed = false;
	if (engine.failure.kind != FAILURE_NONE) {
		*failed = (int)i;
		world_forget();
	}
	check_now_and_then();
	return count;
}

static void on_crash(int number)
{
	sigset_t set;

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

/* Every second of CPU time: a program that has not come back since the last tick never will. */
static void on_tick(int number)
{
	static uint64_t seen;
	sigset_t set;

	if (!engine.crash_armed || !engine.in_actor || engine.switch_count != seen) {
		seen = engine.switch_count;
		return;
	}
	failure_set(FAILURE_ENDLESS, "an endless loop between two scheduling points");
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	siglongjmp(engine.crash, 1);
}

void world_guard(void)
{
	static uint8_t stack[64 * 1024];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
	struct itimerval second = {{1, 0}, {1, 0}};

	sigaltstack(&alternative, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	action.sa_handler = on_tick;
	action.sa_flags = SA_ONSTACK | SA_RESTART;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &second, NULL);
}

/* ---- The first state --------------------------------------------------------------------------
 */

static void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "posthorn-lab: out of memory\n");
		exit(STATUS_MEMORY);
	}
	return memory;
}

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

	memcpy(ARENA->shared, world.initial, engine.shared_used);
	for (uint32_t step = 0; step < PROBE_STEPS && engine.failure.kind == FAILURE_NONE; step++) {
		uint32_t count = action_list(actions);

		if (!count)
			return;
		*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
		action_do(actions[(*seed >> 33) % count]);
		arena_clear_ignored();
		for (uint32_t i = 0; i < engine.shared_used / LINE_SIZE; i++) {
			const uint8_t *line = ARENA->shared + i * LINE_SIZE;

			if (!lines_equal(line, world.initial + i * LINE_SIZE))
				note_written(i, line, world.initial + i * LINE_SIZE);
		}
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
			memcpy(world.initial, ARENA->shared, engine.shared_used);
			probe(&seed);
			check_stacks();
		}
	}
	engine.in_actor = false;
	engine.reduce = reduce;
	engine.crash_armed = false;
	engine.failure.kind = FAILURE_NONE;
}

void world_prepare(const struct lab_scenario *scenario, const struct lab_params *params)
{
	if (!world.initial) {
		world.initial = malloc(SHARED_SIZE);
		engine.written = shared_memory(SHARED_LINES);
		world.restart = shared_memory(LINE_SIZE);
	}
	memset(engine.written, 0, SHARED_LINES);
	watch_reset();
	for (uint32_t i = 0; i < ACTOR_MAX; i++)
		world.stack_low[i] = STACK_SIZE - LINE_SIZE;
	lines_reset();
	learn(scenario, params);
}

static void intern(uint32_t slot)
{
	uint64_t low, high;

	hash_line(line_number(slot_line(slot)), (const uint64_t *)(const void *)slot_line(slot),
	    &low, &high);
	world.now[slot] = content_of(slot_line(slot), low, high);
	copy_line(slot_line(slot) + SHADOW_OFFSET, slot_line(slot));
}

/* Number the contents of the first state. */
static void intern_all(void)
{
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		world_clean_stack(i);
		world.stack_lines[i] = world.new_stack_lines[i] = stack_line_count(i);
		intern(SLOT_CONTROL(i));
		for (uint32_t k = 0; k < STORE_LINES; k++)
			intern(SLOT_BUFFER(i, k));
		for (uint32_t k = 0; k < world.stack_lines[i]; k++)
			intern(SLOT_STACK(i, k));
	}
	for (uint32_t i = 0; i < world.hot_count; i++)
		intern(SLOT_HOT(i));
}

void world_reset(void)
{
	struct lab_params params = engine.params;

	*world.restart = 0;
	arena_setup(engine.scenario, &params);
	for (uint32_t i = 0; i < engine.actor_count; i++)
		engine.actors[i].stack_low = world.stack_low[i];
	memcpy(world.initial, ARENA->shared, engine.shared_used);
	choose_hot_lines();
	lines_reset();
	forget_now();
	intern_all();
}
