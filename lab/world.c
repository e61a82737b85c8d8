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
#define PROBE_WALKS    64u
#define PROBE_STEPS    400u
#define DIRTY_MAX      512u

static const uint8_t zero_line[LINE_SIZE] __attribute__((aligned(LINE_SIZE)));

struct dirty {
	uint8_t *now;
	const uint8_t *before;
};

static struct {
	uint16_t hot[SHARED_LINES]; /* numbers of the lines that change */
	uint32_t hot_count;
	uint8_t *restart;  /* shared by all processes */
	uint8_t *initial;  /* shared memory of the first state */
	struct record *first;
	uint32_t expansions;
	struct dirty dirty[DIRTY_MAX];
	uint32_t dirty_count;
	/* The record under expansion, taken apart. */
	const uint8_t *control[ACTOR_MAX];
	const uint8_t *buffers[ACTOR_MAX]; /* NULL: empty */
	const uint8_t *stacks[ACTOR_MAX];  /* its first saved line */
	const uint8_t *shared;
	uint8_t stack_lines[ACTOR_MAX];
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

static uint8_t *hot_line(uint32_t i)
{
	return ARENA->shared + (size_t)world.hot[i] * LINE_SIZE;
}

/* ---- Records ---------------------------------------------------------------------------------- */

static uint32_t stack_line_count(uint32_t actor)
{
	uint64_t top = (uint64_t)(ARENA->stacks[actor] + STACK_SIZE);

	return (uint32_t)((top - ARENA->actors[actor].stack_pointer + LINE_SIZE - 1) / LINE_SIZE);
}

uint32_t world_size(void)
{
	uint32_t lines = 1 + world.hot_count;

	for (uint32_t i = 0; i < engine.actor_count; i++) {
		lines += 1 + stack_line_count(i);
		if (ARENA->actors[i].store_count)
			lines += (uint32_t)STORE_LINES;
	}
	return lines * LINE_SIZE;
}

uint32_t world_hot_bytes(void)
{
	return world.hot_count * LINE_SIZE;
}

uint32_t world_save(struct record *record, struct hash hash, struct action last)
{
	uint8_t *to = (uint8_t *)(record + 1);

	memset(record, 0, sizeof(*record));
	record->hash = hash;
	record->last = last;
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		const uint8_t *from = (const uint8_t *)&ARENA->actors[i];

		copy_line(to, from);
		to += LINE_SIZE;
		if (!ARENA->actors[i].store_count)
			continue;
		record->buffered |= 1u << i;
		memcpy(to, from + LINE_SIZE, STORE_LINES * LINE_SIZE);
		to += STORE_LINES * LINE_SIZE;
	}
	for (uint32_t i = 0; i < world.hot_count; i++, to += LINE_SIZE)
		copy_line(to, hot_line(i));
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		uint32_t count = stack_line_count(i);

		record->stack_lines[i] = (uint8_t)count;
		memcpy(to, ARENA->stacks[i] + STACK_SIZE - count * LINE_SIZE, count * LINE_SIZE);
		to += count * LINE_SIZE;
	}
	record->size = (uint32_t)(to - (uint8_t *)record);
	return record->size;
}

static void take_apart(const struct record *record)
{
	const uint8_t *from = (const uint8_t *)(record + 1);

	for (uint32_t i = 0; i < engine.actor_count; i++) {
		world.control[i] = from;
		from += LINE_SIZE;
		world.buffers[i] = NULL;
		if (record->buffered & (1u << i)) {
			world.buffers[i] = from;
			from += STORE_LINES * LINE_SIZE;
		}
	}
	world.shared = from;
	from += world.hot_count * LINE_SIZE;
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		world.stack_lines[i] = record->stack_lines[i];
		world.stacks[i] = from;
		from += record->stack_lines[i] * LINE_SIZE;
	}
}

static void zero_stack(uint32_t index, uint32_t live_from)
{
	uint32_t low = engine.actors[index].stack_low;

	if (live_from > low)
		memset(ARENA->stacks[index] + low, 0, live_from - low);
}

void world_load(const struct record *record)
{
	take_apart(record);
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		uint8_t *to = (uint8_t *)&ARENA->actors[i];
		uint32_t start = STACK_SIZE - world.stack_lines[i] * LINE_SIZE;

		if (world.buffers[i])
			memcpy(to + LINE_SIZE, world.buffers[i], STORE_LINES * LINE_SIZE);
		else if (ARENA->actors[i].store_count)
			memset(to + LINE_SIZE, 0, STORE_LINES * LINE_SIZE);
		copy_line(to, world.control[i]);
		zero_stack(i, start);
		memcpy(ARENA->stacks[i] + start, world.stacks[i], STACK_SIZE - start);
	}
	for (uint32_t i = 0; i < world.hot_count; i++)
		copy_line(hot_line(i), world.shared + i * LINE_SIZE);
}

/* ---- Differences ------------------------------------------------------------------------------ */

static void compare(uint8_t *now, const uint8_t *before, struct hash *hash)
{
	uint64_t line, low, high;

	if (lines_equal(now, before))
		return;
	line = ((uint64_t)now - ARENA_BASE) / LINE_SIZE;
	hash_line(line, (const uint64_t *)(const void *)before, &low, &high);
	hash->low -= low;
	hash->high -= high;
	hash_line(line, (const uint64_t *)(const void *)now, &low, &high);
	hash->low += low;
	hash->high += high;
	if (world.dirty_count < DIRTY_MAX)
		world.dirty[world.dirty_count++] = (struct dirty){ now, before };
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

static void compare_shared(struct hash *hash)
{
	for (uint32_t i = 0; i < world.hot_count; i++) {
		uint32_t dirty_count = world.dirty_count;
		const uint8_t *before = world.shared + i * LINE_SIZE;

		compare(hot_line(i), before, hash);
		if (world.dirty_count != dirty_count &&
		    note_written(world.hot[i], hot_line(i), before))
			*world.restart = 1;
	}
}

static void compare_buffer(uint32_t actor, struct hash *hash)
{
	uint8_t *now = (uint8_t *)ARENA->actors[actor].stores;

	if (!world.buffers[actor] && !ARENA->actors[actor].store_count)
		return;
	for (uint32_t i = 0; i < STORE_LINES; i++)
		compare(now + i * LINE_SIZE,
		    world.buffers[actor] ? world.buffers[actor] + i * LINE_SIZE : zero_line, hash);
}

void world_clean_stack(uint32_t index)
{
	zero_stack(index,
	    (uint32_t)(ARENA->actors[index].stack_pointer - (uint64_t)ARENA->stacks[index]));
}

static void compare_stack(uint32_t actor, struct hash *hash)
{
	uint32_t now = stack_line_count(actor), before = world.stack_lines[actor];
	uint32_t count = now > before ? now : before;
	uint8_t *line = ARENA->stacks[actor] + STACK_SIZE - count * LINE_SIZE;

	for (uint32_t i = count; i > 0; i--, line += LINE_SIZE)
		compare(line, i > before ? zero_line : world.stacks[actor] + (before - i) * LINE_SIZE,
		    hash);
}

/* Hash of the world after an action on the state taken apart. */
static struct hash hash_after(struct action action, struct hash hash)
{
	world.dirty_count = 0;
	arena_clear_ignored();
	compare_shared(&hash);
	if (action.kind == ACTION_HARDWARE)
		return hash;
	compare((uint8_t *)&ARENA->actors[action.actor], world.control[action.actor], &hash);
	compare_buffer(action.actor, &hash);
	if (action.kind != ACTION_DRAIN) {
		world_clean_stack(action.actor);
		compare_stack(action.actor, &hash);
	}
	return hash;
}

static void undo(const struct record *record)
{
	if (world.dirty_count == DIRTY_MAX) {
		world_load(record);
		return;
	}
	for (uint32_t i = 0; i < world.dirty_count; i++)
		copy_line(world.dirty[i].now, world.dirty[i].before);
}

/* Stack below the low mark is garbage of a deeper call than seen so far: lower the mark. */
static void check_stacks(void)
{
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		uint32_t *low = &engine.actors[i].stack_low;
		uint32_t lowest = 0;

		while (lowest < *low && lines_equal(ARENA->stacks[i] + lowest, zero_line))
			lowest += LINE_SIZE;
		if (lowest == *low)
			continue;
		memset(ARENA->stacks[i] + lowest, 0, *low - lowest);
		*low = lowest;
	}
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
	check_stacks();
}

bool world_must_restart(void)
{
	check_cold();
	return *world.restart;
}

/* ---- Expanding -------------------------------------------------------------------------------- */

static void check_state(uint32_t action_count)
{
	if (engine.scenario->invariant)
		engine.scenario->invariant();
	if (action_count == 0 && engine.scenario->quiescent)
		engine.scenario->quiescent();
}

uint32_t world_expand(const struct record *record, uint32_t first, successor_fn found, void *context,
    int *failed)
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
		struct successor to = { .action = actions[i], .index = i };

		action_do(actions[i]);
		if (engine.failure.kind != FAILURE_NONE)
			break;
		to.hash = hash_after(actions[i], record->hash);
		found(context, record, &to);
		undo(record);
	}
	engine.crash_armed = false;
	if (engine.failure.kind != FAILURE_NONE)
		*failed = (int)i;
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
	failure_set(FAILURE_CRASH, number == SIGSEGV ? "the program touched memory it does not have" :
	    "the program died of a signal");
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
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK };
	struct itimerval second = { { 1, 0 }, { 1, 0 } };

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

/* ---- The first state -------------------------------------------------------------------------- */

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
		for (uint32_t i = 0; i < engine.shared_used / LINE_SIZE; i++)
			note_written(i, ARENA->shared + i * LINE_SIZE, world.initial + i * LINE_SIZE);
	}
}

static void learn(const struct lab_scenario *scenario, const struct lab_params *params)
{
	uint64_t seed = 1;
	bool reduce = engine.reduce;

	/* Nothing is known to be constant yet. */
	engine.reduce = false;
	engine.crash_armed = true;
	if (sigsetjmp(engine.crash, 0) != 0)
		engine.in_actor = false;
	for (volatile uint32_t i = 0; i < PROBE_WALKS; i++) {
		arena_setup(scenario, params);
		memcpy(world.initial, ARENA->shared, engine.shared_used);
		probe(&seed);
		if (engine.failure.kind == FAILURE_CRASH || engine.failure.kind == FAILURE_ENDLESS)
			break;
	}
	engine.reduce = reduce;
	engine.crash_armed = false;
	engine.failure.kind = FAILURE_NONE;
}

void world_prepare(const struct lab_scenario *scenario, const struct lab_params *params)
{
	if (!world.initial) {
		world.initial = malloc(SHARED_SIZE);
		world.first = aligned_alloc(LINE_SIZE, sizeof(struct arena));
		engine.written = shared_memory(SHARED_LINES);
		world.restart = shared_memory(LINE_SIZE);
	}
	memset(engine.written, 0, SHARED_LINES);
	learn(scenario, params);
}

void world_reset(void)
{
	struct lab_params params = engine.params;

	*world.restart = 0;
	arena_setup(engine.scenario, &params);
	memcpy(world.initial, ARENA->shared, engine.shared_used);
	choose_hot_lines();
}
