/* SPDX-License-Identifier: MIT */
/* Breadth-first search of all interleavings, level by level, in one or more threads. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lab/engine.h"

/* What a worker takes at a time: small, for at the end of a level the others wait for it. */
#define BLOCK_SIZE    (16u * 1024u)
#define TABLE_START   (1ull << 16)
#define LARGE_TABLE   (1ull << 20)
#define DEPTH_MAX     2000u
#define RELEASE_ABOVE (64u << 20)
#define BATCH_MAX     (2 * CHOICE_MAX)
#define AHEAD         4u /* records between asking for memory and using it */
#define BARRIER_SPINS 4096u
#define SHARES        2u /* blocks that a worker has at the most while it waits for the world */

_Static_assert(BLOCK_SIZE / (sizeof(struct record) + 8) <= SHARE_RECORDS_MAX, "a block is a share");
_Static_assert(
    BLOCK_SIZE / (sizeof(struct record) + ACTOR_MAX * sizeof(uint32_t)) * (ACTOR_MAX + 1) <=
        SHARE_VALUES_MAX,
    "with most values a byte where there are most actors");

/* One worker's output of one level: whole blocks of records. */
struct queue {
	uint64_t claim; /* next block that nobody has taken */
	uint8_t *memory;
	uint64_t block_count;
	uint32_t used; /* bytes of the last block */
};

struct worker {
	struct queue queues[2];
	uint64_t state_count, transition_count, quiescent_count, back_edge_count;
	double level_cpu, gap_cpu; /* CPU seconds of this level, and before it since the last */
	pthread_t thread;
} __attribute__((aligned(128))); /* two lines: the prefetcher fetches pairs */

enum stop { STOP_NOT, STOP_FAILURE, STOP_TIME, STOP_MEMORY, STOP_RESTART, STOP_FULL };

/* Shared by all workers of a run. */
struct run {
	struct worker workers[JOBS_MAX];
	struct table table;
	uint64_t level_count __attribute__((aligned(128))); /* states added in this level */
	uint8_t pad[120];
	uint32_t level;
	uint32_t stop; /* enum stop */
	bool is_over;  /* set between levels */
	uint32_t jobs;
	uint32_t record_size, block_full; /* bytes of a record; of the records of a full block */
	uint32_t doublings;               /* of the table, before the next level */
	uint32_t memo_doublings;
	uint64_t level_room; /* states that may be added before the table is too full */
	size_t queue_reserved;
	size_t memory_limit, memory_peak;
	double path_seconds; /* CPU: of the slowest worker of each level, and between levels */
	double deadline;
	uint32_t spins; /* of a worker that waits for the others */
	uint32_t arrived __attribute__((aligned(128))), round;
	pthread_cond_t all_here;
	pthread_mutex_t lock;
	/* The best failure so far. */
	struct failure failure;
	uint32_t failure_length;
	uint64_t failure_parent;
	int failure_action;
};

static struct run *run;
static __thread struct worker *me;

double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double thread_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void stop_with(enum stop why)
{
	uint32_t none = STOP_NOT;

	__atomic_compare_exchange_n(
	    &run->stop, &none, why, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool is_stopped(void)
{
	return __atomic_load_n(&run->stop, __ATOMIC_RELAXED) > STOP_FAILURE;
}

/* Room for one record at the end of my output queue. */
static struct record *queue_room(void)
{
	struct queue *queue = &me->queues[(run->level + 1) & 1];
	uint8_t *room;

	if (queue->block_count == 0 || queue->used == run->block_full) {
		if ((queue->block_count + 1) * BLOCK_SIZE > run->queue_reserved)
			return NULL;
		queue->block_count++;
		queue->used = 0;
	}
	room = queue->memory + (queue->block_count - 1) * BLOCK_SIZE + queue->used;
	queue->used += run->record_size;
	return (struct record *)(void *)room;
}

/* Successors wait here while the table's memory is on its way to the caches. */
static __thread struct {
	struct {
		struct successor to;
		struct outcome outcome;
		const struct record *from;
	} all[BATCH_MAX];
	uint32_t count;
} batch;

static void found(void *context, const struct record *from, const struct successor *to)
{
	(void)context;
	table_prefetch(&run->table, to->hash.low);
	batch.all[batch.count].to = *to;
	batch.all[batch.count].outcome = *to->outcome;
	batch.all[batch.count++].from = from;
}

static void insert_batch(void)
{
	uint64_t before = me->state_count;

	for (uint32_t i = 0; i < batch.count; i++) {
		struct successor *to = &batch.all[i].to;
		const struct record *from = batch.all[i].from;
		uint32_t depth = run->level + 1;
		struct record *room;

		if (!table_insert(&run->table, to->hash, from->hash.low, to->index, &depth)) {
			me->back_edge_count += depth <= run->level;
			continue;
		}
		to->outcome = &batch.all[i].outcome;
		room = queue_room();
		if (!room || lines_are_full()) {
			stop_with(STOP_MEMORY);
			break;
		}
		world_successor(room, from, to);
		me->state_count++;
	}
	if (__atomic_add_fetch(&run->level_count, me->state_count - before, __ATOMIC_RELAXED) >
	    run->level_room)
		stop_with(STOP_MEMORY);
	batch.count = 0;
}

static void note_failure(const struct record *record, int failed, const struct failure *failure)
{
	uint32_t length = run->level + (failed >= 0);

	pthread_mutex_lock(&run->lock);
	if (run->failure.kind == FAILURE_NONE || length < run->failure_length) {
		run->failure = *failure;
		run->failure_length = length;
		run->failure_parent = record->hash.low;
		run->failure_action = failed;
	}
	pthread_mutex_unlock(&run->lock);
	stop_with(STOP_FAILURE);
}

static void expand_record(const struct share *share, uint32_t number)
{
	struct failure failure;
	int failed;
	uint32_t count = world_expand_shared(share, number, found, NULL, &failed, &failure);

	me->transition_count += count;
	me->quiescent_count += count == 0;
	if (failure.kind != FAILURE_NONE)
		note_failure(
		    (const void *)(share->records + number * share->size), failed, &failure);
	if (batch.count > BATCH_MAX - CHOICE_MAX)
		insert_batch();
}

/* Those of which all is known, or all that are left. */
static void expand_records(struct share *share, bool are_known)
{
	for (uint32_t n = 0; n < share->count && !is_stopped(); n++) {
		if (n + AHEAD < share->count)
			world_look_ahead(share, n + AHEAD);
		if (share->is_done[n] || (are_known && !world_knows(share, n)))
			continue;
		share->is_done[n] = true;
		expand_record(share, n);
	}
	insert_batch();
}

/* The next block of the level, *used bytes; NULL when there is none or the search is to stop. */
static const uint8_t *next_block(uint32_t *used)
{
	static const struct failure too_deep = {
	    FAILURE_OVERFLOW, "deeper than DEPTH_MAX: it never comes to rest"};
	uint64_t number;
	const uint8_t *block;

	/* First what I have written myself, which is in my caches. */
	for (uint32_t i = 0; i < run->jobs && !is_stopped(); i++) {
		struct worker *owner =
		    &run->workers[((uint32_t)(me - run->workers) + i) % run->jobs];
		struct queue *queue = &owner->queues[run->level & 1];

		if (__atomic_load_n(&queue->claim, __ATOMIC_RELAXED) >= queue->block_count)
			continue;
		number = __atomic_fetch_add(&queue->claim, 1, __ATOMIC_RELAXED);
		if (number >= queue->block_count)
			continue;
		block = queue->memory + number * BLOCK_SIZE;
		*used = number + 1 == queue->block_count ? queue->used : run->block_full;
		if (run->level >= DEPTH_MAX)
			note_failure((const void *)block, -1, &too_deep);
		return block;
	}
	return NULL;
}

static void finish_shares(struct share *shares, uint32_t count)
{
	world_find_out(shares, count, true);
	for (uint32_t i = 0; i < count; i++)
		expand_records(&shares[i], false);
}

static void expand_level(void)
{
	static __thread struct share shares[SHARES];
	uint32_t count = 0, used;

	for (const uint8_t *block; (block = next_block(&used));) {
		struct share *share = &shares[count++];

		world_look_up(share, block, run->record_size, used);
		/* While another is in the world there is other work to do. */
		if (!world_find_out(shares, count, false)) {
			expand_records(share, true);
			if (count < SHARES)
				continue;
		}
		finish_shares(shares, count);
		count = 0;
		if (world_restart_is_due())
			stop_with(STOP_RESTART);
		if (run->deadline > 0 && now_seconds() > run->deadline)
			stop_with(STOP_TIME);
	}
	finish_shares(shares, count);
}

/* ---- Between levels: one worker ---- */

static uint64_t total(size_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < run->jobs; i++)
		sum +=
		    *(const uint64_t *)(const void *)((const uint8_t *)&run->workers[i] + offset);
	return sum;
}

static size_t memory_in_use(void)
{
	size_t bytes = table_bytes(&run->table) + lines_bytes() + memo_bytes();

	for (uint32_t i = 0; i < run->jobs; i++)
		bytes += (run->workers[i].queues[0].block_count +
		             run->workers[i].queues[1].block_count) *
		         BLOCK_SIZE;
	return bytes;
}

/* Keep the table at most two thirds full, for a level that trebles what the last one added. */
static void plan_table(uint64_t state_count, uint64_t frontier)
{
	uint64_t wanted = (state_count + 3 * frontier) / 2 * 3, slots = run->table.mask + 1;
	uint32_t doublings = 0;
	size_t more;

	/* In large steps while it is small: every step moves all that is there. */
	while (slots << doublings < wanted && slots << doublings < run->table.slot_max)
		doublings += slots << doublings < LARGE_TABLE &&
		                     slots << (doublings + 2) <= run->table.slot_max
		                 ? 2
		                 : 1;
	more = ((slots << doublings) - slots) * sizeof(struct table_slot);
	run->doublings = memory_in_use() + more <= run->memory_limit ? doublings : 0;
	slots = (slots << run->doublings) / 10 * 9;
	run->level_room = slots > state_count ? slots - state_count : 0;
}

static void next_level(void)
{
	uint64_t frontier = 0;
	uint32_t old = run->level & 1;

	if (memory_in_use() > run->memory_peak)
		run->memory_peak = memory_in_use();
	if (run->memory_peak > run->memory_limit || lines_are_full())
		stop_with(STOP_MEMORY);
	lines_grow();
	if (world_must_restart())
		run->stop = STOP_RESTART;
	for (uint32_t i = 0; i < run->jobs; i++) {
		struct queue *queue = &run->workers[i].queues[old];

		if (queue->block_count * BLOCK_SIZE > RELEASE_ABOVE)
			madvise(queue->memory, queue->block_count * BLOCK_SIZE, MADV_DONTNEED);
		queue->block_count = 0;
		queue->claim = 0;
		queue->used = 0;
		frontier += run->workers[i].queues[!old].block_count;
	}
	if (frontier == 0 && run->stop == STOP_NOT)
		run->stop = STOP_FULL;
	run->memo_doublings = memo_plan(run->memory_limit / 4);
	run->doublings = 0;
	if (run->stop == STOP_NOT)
		plan_table(total(offsetof(struct worker, state_count)),
		    frontier * BLOCK_SIZE / run->record_size);
	run->level_count = 0;
	run->is_over = run->stop != STOP_NOT;
	run->level++;
}

static void print_progress(double start)
{
	static double last;
	double now = now_seconds();

	if (now - last < 0.5)
		return;
	last = now;
	fprintf(stderr, "\r%s: level %u, %llu states, %.2f M transitions/s \x1b[K",
	    engine.scenario->name, run->level,
	    (unsigned long long)total(offsetof(struct worker, state_count)),
	    (double)total(offsetof(struct worker, transition_count)) / (now - start) / 1e6);
}

/* Most come within microseconds of each other, and to be woken takes more. */
static void wait_for_all(void)
{
	uint32_t round = __atomic_load_n(&run->round, __ATOMIC_ACQUIRE);

	if (run->jobs == 1)
		return;
	if (__atomic_add_fetch(&run->arrived, 1, __ATOMIC_ACQ_REL) == run->jobs) {
		run->arrived = 0;
		pthread_mutex_lock(&run->lock);
		__atomic_store_n(&run->round, round + 1, __ATOMIC_RELEASE);
		pthread_cond_broadcast(&run->all_here);
		pthread_mutex_unlock(&run->lock);
		return;
	}
	for (uint32_t i = 0; i < run->spins; i++) {
		if (__atomic_load_n(&run->round, __ATOMIC_ACQUIRE) != round)
			return;
		__builtin_ia32_pause();
	}
	pthread_mutex_lock(&run->lock);
	while (run->round == round)
		pthread_cond_wait(&run->all_here, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

/* By all workers, between two barriers. */
static void grow_tables(uint32_t index)
{
	for (uint32_t i = 0; i < run->doublings || i < run->memo_doublings; i++) {
		bool grows_table = i < run->doublings, grows_memo = i < run->memo_doublings;

		if (index == 0 && grows_table)
			table_grow_begin(&run->table, run->jobs);
		if (index == 0 && grows_memo)
			memo_grow_begin(run->jobs);
		wait_for_all();
		if (grows_table)
			table_grow_part(&run->table, index);
		if (grows_memo)
			memo_grow_part(index);
		wait_for_all();
		if (index == 0 && grows_table)
			table_grow_end(&run->table);
		if (index == 0 && grows_memo)
			memo_grow_end();
		wait_for_all();
	}
}

/* How long the search would take if every worker had a CPU for itself. */
static void add_path(void)
{
	double level = 0, gap = 0;

	for (uint32_t i = 0; i < run->jobs; i++) {
		const struct worker *worker = &run->workers[i];

		level = worker->level_cpu > level ? worker->level_cpu : level;
		gap = worker->gap_cpu > gap ? worker->gap_cpu : gap;
	}
	run->path_seconds += level + gap;
}

/* CPU seconds of this thread since the last call. */
static double lap_seconds(double *last)
{
	double now = thread_seconds(), lap = now - *last;

	*last = now;
	return lap;
}

static void work(uint32_t index, bool progress)
{
	double start = now_seconds(), last = thread_seconds();

	me = &run->workers[index];
	/* Not run->stop: another worker may set it before this one has begun the level. */
	while (!run->is_over) {
		expand_level();
		me->level_cpu = lap_seconds(&last);
		wait_for_all();
		if (index == 0)
			add_path();
		if (index == 0) {
			next_level();
			if (progress)
				print_progress(start);
		}
		wait_for_all();
		grow_tables(index);
		me->gap_cpu = lap_seconds(&last);
	}
}

static void *work_too(void *worker)
{
	world_guard_thread();
	work((uint32_t)((struct worker *)worker - run->workers), false);
	return NULL;
}

/* ---- A run ---- */

static void run_init(const struct options *options, double deadline)
{
	uint64_t slots = TABLE_START;

	run = memory_fresh(NULL, sizeof(*run));
	run->jobs = options->jobs;
	run->record_size = world_size();
	run->block_full = BLOCK_SIZE / run->record_size * run->record_size;
	run->memory_limit = options->memory;
	run->deadline = deadline;
	run->queue_reserved = (options->memory / BLOCK_SIZE + 1) * BLOCK_SIZE;
	pthread_cond_init(&run->all_here, NULL);
	pthread_mutex_init(&run->lock, NULL);
	run->spins = run->jobs <= (uint32_t)sysconf(_SC_NPROCESSORS_ONLN) ? BARRIER_SPINS : 0;
	for (uint32_t i = 0; i < run->jobs; i++) {
		for (uint32_t q = 0; q < 2; q++)
			run->workers[i].queues[q].memory = memory_fresh(NULL, run->queue_reserved);
	}
	while (slots * 4 * sizeof(struct table_slot) <= options->memory)
		slots *= 2;
	table_create(&run->table, TABLE_START, slots);
	run->level_room = TABLE_START / 2;
}

static void run_destroy(void)
{
	for (uint32_t i = 0; i < run->jobs; i++) {
		for (uint32_t q = 0; q < 2; q++)
			munmap(run->workers[i].queues[q].memory, run->queue_reserved);
	}
	table_destroy(&run->table);
	munmap(run, sizeof(*run));
	run = NULL;
}

static void first_state(void)
{
	struct hash hash = {0x243f6a8885a308d3ull, 0x13198a2e03707345ull};
	struct worker *worker = &run->workers[0];
	uint32_t depth = 0;

	me = worker;
	run->level = UINT32_MAX; /* so that queue_room() writes the queue of level 0 */
	table_insert(&run->table, hash, 0, 0, &depth);
	world_first(queue_room(), hash);
	worker->state_count = 1;
	run->level = 0;
}

static void work_together(const struct options *options)
{
	for (uint32_t i = 1; i < run->jobs; i++) {
		if (pthread_create(&run->workers[i].thread, NULL, work_too, &run->workers[i])) {
			fprintf(stderr, "posthorn-lab: cannot start a thread\n");
			exit(STATUS_SYSTEM);
		}
	}
	work(0, options->progress);
	for (uint32_t i = 1; i < run->jobs; i++)
		pthread_join(run->workers[i].thread, NULL);
	/* For ticks that come from now on. */
	world_guard();
}

/* Actions from the first state to the failure, from the table's parents. */
static void collect_path(struct result *result)
{
	uint32_t count = run->failure_length, at = count;
	uint64_t low = run->failure_parent;

	result->path_count = 0;
	if (count >= PATH_MAX_ACTIONS)
		return;
	if (run->failure_action >= 0)
		result->path[--at] = (uint8_t)run->failure_action;
	while (at > 0) {
		const struct table_slot *slot = table_find(&run->table, low);

		if (!slot || slot->depth != at)
			return;
		result->path[--at] = (uint8_t)slot->action;
		low = slot->parent;
	}
	result->path_count = count;
}

enum lab_status failure_status(enum failure_kind kind)
{
	switch (kind) {
	case FAILURE_ASSERTION:
		return STATUS_ASSERTION;
	case FAILURE_ENDLESS:
		return STATUS_ENDLESS;
	case FAILURE_OVERFLOW:
		return STATUS_OVERFLOW;
	case FAILURE_CRASH:
		return STATUS_CRASH;
	case FAILURE_UNANNOTATED:
		return STATUS_UNSOUND;
	default:
		return STATUS_VIOLATED;
	}
}

static void fill_result(struct result *result)
{
	result->state_count = total(offsetof(struct worker, state_count));
	result->transition_count = total(offsetof(struct worker, transition_count));
	result->quiescent_count = total(offsetof(struct worker, quiescent_count));
	result->back_edge_count = total(offsetof(struct worker, back_edge_count));
	result->depth = run->level ? run->level - 1 : 0;
	result->memory = run->memory_peak;
	result->hot_bytes = world_hot_bytes();
	result->is_exhaustive = run->stop == STOP_FULL;
	result->cycle_start = UINT32_MAX;
	memcpy(result->measured, engine.measured, sizeof(result->measured));
	switch ((enum stop)run->stop) {
	case STOP_FAILURE:
		result->failure = run->failure;
		result->status = failure_status(run->failure.kind);
		collect_path(result);
		break;
	case STOP_TIME:
		result->status = STATUS_TIME;
		break;
	case STOP_MEMORY:
		result->status = STATUS_MEMORY;
		break;
	default:
		result->status = result->transition_count ? STATUS_HOLDS : STATUS_EMPTY;
	}
}

static bool explore_once(const struct options *options, double deadline, struct result *result)
{
	double start = now_seconds(), cpu_start = cpu_seconds();
	bool must_restart;

	do {
		world_reset();
	} while (world_must_restart());
	if (engine.failure.kind != FAILURE_NONE) {
		result->failure = engine.failure;
		result->status = failure_status(engine.failure.kind);
		return true;
	}
	run_init(options, deadline);
	first_state();
	work_together(options);
	/* A failure in a world that was not what it seemed is none. */
	must_restart = run->stop == STOP_RESTART ||
	    (run->stop == STOP_FAILURE && world_must_restart());
	if (!must_restart)
		fill_result(result);
	result->search_seconds = now_seconds() - start;
	result->search_cpu_seconds = cpu_seconds() - cpu_start;
	result->search_path_seconds = run->path_seconds;
	run_destroy();
	return !must_restart;
}

void explore(
    const struct lab_scenario *scenario, const struct options *options, struct result *result)
{
	double start = now_seconds(),
	       deadline = options->seconds > 0 ? start + options->seconds : 0;
	struct lab_params params = {.model = options->model, .sender_count = options->sender_count};

	memset(result, 0, sizeof(*result));
	engine.reduce = options_reduce(options);
	engine.memorize = options->memorize;
	world_guard();
	memset(engine.reached, 0, sizeof(engine.reached));
	if (options->pct_runs) {
		arena_setup(scenario, &params);
		pct_run(options, deadline, result);
	} else {
		world_prepare(scenario, &params, options->learned);
		while (!explore_once(options, deadline, result))
			;
		if (result->status == STATUS_HOLDS && options->lasso && result->back_edge_count)
			lasso_find(options, deadline, result);
	}
	if (options->progress)
		fprintf(stderr, "\r\x1b[K");
	result->seconds = now_seconds() - start;
	if (result->status == STATUS_VIOLATED && result->failure.kind != FAILURE_LASSO &&
	    !options->pct_runs && result->path_count)
		shortest_find(result->path_count, options->memory, result);
}
