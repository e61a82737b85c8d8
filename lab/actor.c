/* SPDX-License-Identifier: MIT */
/* The runtime that programs see: scheduling points, store buffers, weakened sites. */
#include <stdlib.h>
#include <string.h>

#include "lab/engine.h"

#define LOCAL_STEP_MAX 4096u /* shared accesses without a scheduling point: an endless loop */
#define SIZE_SHIFT     56
#define ADDRESS_MASK   ((1ull << SIZE_SHIFT) - 1)

struct engine engine;

static struct actor *self(void)
{
	return &ARENA->actors[engine.self];
}

void failure_set(enum failure_kind kind, const char *what)
{
	if (engine.failure.kind != FAILURE_NONE)
		return;
	engine.failure.kind = kind;
	snprintf(engine.failure.what, sizeof(engine.failure.what), "%s", what);
}

/* Give the world up at a failure; the lab does not resume a failed world. */
void actor_abandon(void)
{
	if (!engine.in_actor)
		return;
	for (;;)
		lab_switch(&self()->stack_pointer, engine.host_stack_pointer);
}

void lab_check(bool holds, const char *what)
{
	if (holds)
		return;
	failure_set(FAILURE_PROPERTY, what);
	actor_abandon();
}

void lab_bug(const char *file, int line, const char *what)
{
	char text[160];

	snprintf(text, sizeof(text), "%s:%d: %s", file, line, what);
	failure_set(FAILURE_ASSERTION, text);
	actor_abandon();
	/* Outside a program, in a scenario's own setup: nothing to go back to. */
	fprintf(stderr, "posthorn-lab: assertion outside a CPU: %s\n", text);
	exit(STATUS_ASSERTION);
}

static void log_access(enum event_kind kind, const struct op *op, uint64_t value, uint64_t old,
    const char *file, int line)
{
	if (!engine.tracing)
		return;
	event_log(&(struct event){.kind = (uint8_t)kind,
	    .actor = (uint8_t)engine.self,
	    .size = op->size,
	    .site = op->site,
	    .address = op->address,
	    .value = value,
	    .old = old,
	    .file = file,
	    .line = line});
}

static void log_text(enum event_kind kind, const char *text, uint64_t value)
{
	if (!engine.tracing)
		return;
	event_log(&(struct event){
	    .kind = (uint8_t)kind, .actor = (uint8_t)engine.self, .text = text, .value = value});
}

/* Announce what comes next and let the lab choose; interrupts are taken here. */
static void point(const struct op *op)
{
	uint32_t index = engine.self;
	struct actor *actor = self();

	engine.local_step_count = 0;
	for (;;) {
		actor->op = *op;
		lab_switch(&actor->stack_pointer, engine.host_stack_pointer);
		if (!engine.resume_interrupt)
			return;
		engine.resume_interrupt = false;
		engine.reached[SITE_COUNT + LAB_INTERRUPT_DRAINS] = true;
		log_text(EVENT_INTERRUPT, "takes an interrupt", 0);
		engine.actors[index].interrupt_take(engine.actors[index].interrupt_arg);
	}
}

/* An access that no other actor can tell from its neighbours needs no scheduling point. */
static bool skip_point(void)
{
	const struct actor_info *info = &engine.actors[engine.self];

	if (!engine.reduce)
		return false;
	if (info->interrupts_open && info->interrupts_open(info->interrupt_arg))
		return false;
	if (++engine.local_step_count < LOCAL_STEP_MAX)
		return true;
	failure_set(FAILURE_ENDLESS, "an endless loop of stores or constant loads");
	actor_abandon();
	return false;
}

static bool is_shared(uint64_t address)
{
	return address - (uint64_t)ARENA->shared < SHARED_SIZE;
}

static bool word_is_written(uint64_t address)
{
	uint64_t word = (address - (uint64_t)ARENA->shared) / 8;

	return engine.written[word / 8] & (1u << (word % 8));
}

static uint64_t memory_read(uint64_t address, uint32_t size)
{
	if (__builtin_expect(engine.is_watching, 0))
		watch_access(address, size, false, false);
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)address;
	case 2:
		return *(const volatile uint16_t *)address;
	case 4:
		return *(const volatile uint32_t *)address;
	default:
		return *(const volatile uint64_t *)address;
	}
}

static void memory_write(uint64_t address, uint32_t size, uint64_t value)
{
	if (__builtin_expect(engine.is_watching, 0))
		watch_access(address, size, false, true);
	if (!is_shared(address)) {
		failure_set(FAILURE_UNANNOTATED, "a shared store outside the world's memory");
		actor_abandon();
		return;
	}
	switch (size) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)address = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)address = value;
	}
}

static bool overlaps(const struct store *store, uint64_t address, uint32_t size)
{
	uint64_t start = store->where & ADDRESS_MASK;

	return start < address + size && address < start + (store->where >> SIZE_SHIFT);
}

/* The newest buffered store that overlaps, or NULL. */
static const struct store *newest(const struct actor *actor, uint64_t address, uint32_t size)
{
	for (uint32_t i = actor->store_count; i > 0; i--) {
		if (overlaps(&actor->stores[i - 1], address, size))
			return &actor->stores[i - 1];
	}
	return NULL;
}

static bool covers(const struct store *store, uint64_t address, uint32_t size)
{
	uint64_t start = store->where & ADDRESS_MASK;

	return start <= address && address + size <= start + (store->where >> SIZE_SHIFT);
}

static bool can_load(const struct actor *actor)
{
	const struct store *store = newest(actor, actor->op.address, actor->op.size);

	return !store || covers(store, actor->op.address, actor->op.size);
}

bool actor_can_step(uint32_t index)
{
	const struct actor *actor = &ARENA->actors[index];
	const struct op *op = &actor->op;

	switch ((enum op_kind)op->kind) {
	case OP_LOAD:
		return actor->store_count == 0 || can_load(actor);
	case OP_STORE:
	case OP_CHOICE:
		return true;
	case OP_RMW:
	case OP_FENCE:
		return actor->store_count == 0;
	case OP_RELAXED:
		return !newest(actor, op->address, op->size);
	case OP_LOCK:
		return actor->store_count == 0 && *(const uint32_t *)op->address == 0;
	case OP_WAIT:
		return ((bool (*)(void *))op->address)((void *)op->value);
	case OP_STEP:
		return !op->drains || actor->store_count == 0;
	case OP_END:
		return false;
	}
	return false;
}

void actor_drain(uint32_t index)
{
	struct actor *actor = &ARENA->actors[index];
	struct store first = actor->stores[0];

	actor->store_count--;
	memmove(&actor->stores[0], &actor->stores[1], sizeof(first) * (STORE_MAX - 1));
	memset(&actor->stores[STORE_MAX - 1], 0, sizeof(first));
	engine.self = index;
	if (engine.tracing)
		event_log(&(struct event){.kind = EVENT_DRAIN,
		    .actor = (uint8_t)index,
		    .size = (uint8_t)(first.where >> SIZE_SHIFT),
		    .address = first.where & ADDRESS_MASK,
		    .value = first.value});
	memory_write(
	    first.where & ADDRESS_MASK, (uint32_t)(first.where >> SIZE_SHIFT), first.value);
}

static uint64_t size_mask(uint32_t size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* ---- The operations of core/shared.h --------------------------------------------------------- */

static uint64_t do_load(const struct op *op, const char *file, int line)
{
	const struct store *store = newest(self(), op->address, op->size);
	uint64_t value;

	if (store)
		value = store->value >> (8 * (op->address - (store->where & ADDRESS_MASK)));
	else
		value = memory_read(op->address, op->size);
	value &= size_mask(op->size);
	log_access(EVENT_LOAD, op, value, 0, file, line);
	return value;
}

uint64_t lab_load(
    const volatile void *address, uint32_t size, enum core_site site, const char *file, int line)
{
	struct op op = {
	    .kind = OP_LOAD, .size = (uint8_t)size, .site = site, .address = (uint64_t)address};

	if (!engine.in_actor)
		return memory_read(op.address, size);
	/* What nobody writes reads the same at any moment. */
	if (!(engine.reduce && is_shared(op.address) && !word_is_written(op.address)) ||
	    ++engine.local_step_count >= LOCAL_STEP_MAX)
		point(&op);
	return do_load(&op, file, line);
}

static void do_store(const struct op *op, const char *file, int line)
{
	struct actor *actor = self();

	if (engine.params.model == LAB_SC || engine.actors[engine.self].is_device) {
		log_access(
		    EVENT_STORE, op, op->value, memory_read(op->address, op->size), file, line);
		memory_write(op->address, op->size, op->value);
		return;
	}
	if (actor->store_count == STORE_MAX) {
		failure_set(
		    FAILURE_OVERFLOW, "store buffer full: the bound STORE_MAX is too small");
		actor_abandon();
		return;
	}
	log_access(EVENT_BUFFER, op, op->value, 0, file, line);
	actor->stores[actor->store_count++] = (struct store){
	    .where = op->address | (uint64_t)op->size << SIZE_SHIFT,
	    .value = op->value & size_mask(op->size),
	};
}

void lab_store(volatile void *address, uint32_t size, uint64_t value, enum core_site site,
    const char *file, int line)
{
	struct op op = {.kind = OP_STORE,
	    .size = (uint8_t)size,
	    .site = site,
	    .address = (uint64_t)address,
	    .value = value};
	bool is_buffered = engine.params.model == LAB_TSO && engine.in_actor &&
	                   !engine.actors[engine.self].is_device;

	if (!engine.in_actor) {
		memory_write(op.address, size, value);
		return;
	}
	if (!is_buffered || !skip_point())
		point(&op);
	do_store(&op, file, line);
}

static uint64_t rmw_result(enum lab_rmw op, uint64_t old, uint64_t value, uint64_t expected)
{
	switch (op) {
	case LAB_XCHG:
		return value;
	case LAB_OR:
		return old | value;
	case LAB_AND:
		return old & value;
	case LAB_ADD:
		return old + value;
	case LAB_CMPXCHG:
		return old == expected ? value : old;
	}
	return old;
}

static uint64_t rmw_unlocked(
    enum lab_rmw kind, struct op *op, uint64_t value, uint64_t expected, const char *file, int line)
{
	uint64_t old;

	op->kind = OP_LOAD;
	point(op);
	old = do_load(op, file, line);
	op->kind = OP_STORE;
	op->value = rmw_result(kind, old, value, expected);
	point(op);
	do_store(op, file, line);
	return old;
}

uint64_t lab_rmw(enum lab_rmw kind, volatile void *address, uint32_t size, uint64_t value,
    uint64_t expected, enum core_site site, const char *file, int line)
{
	struct op op = {
	    .kind = OP_RMW, .size = (uint8_t)size, .site = site, .address = (uint64_t)address};
	uint64_t old;

	if (engine.in_actor) {
		engine.reached[site] = true;
		if (engine.weak[site] == LAB_UNLOCKED)
			return rmw_unlocked(kind, &op, value, expected, file, line);
		if (engine.weak[site] == LAB_UNFENCED)
			op.kind = OP_RELAXED;
		point(&op);
	}
	old = memory_read(op.address, size);
	value = rmw_result(kind, old, value, expected) & size_mask(size);
	log_access(EVENT_RMW, &op, value, old, file, line);
	memory_write(op.address, size, value);
	return old;
}

void lab_fence(enum core_site site, const char *file, int line)
{
	struct op op = {.kind = OP_FENCE, .site = site};

	engine.reached[site] |= engine.in_actor;
	if (!engine.in_actor || engine.weak[site] != LAB_STRONG)
		return;
	if (self()->store_count != 0 || !skip_point())
		point(&op);
	log_access(EVENT_FENCE, &op, 0, 0, file, line);
}

void lab_publish(volatile void *address, uint32_t size, uint64_t value, enum core_site site,
    const char *file, int line)
{
	engine.reached[site] |= engine.in_actor;
	if (engine.in_actor && engine.weak[site] != LAB_STRONG) {
		lab_store(address, size, value, site, file, line);
		return;
	}
	lab_rmw(LAB_XCHG, address, size, value, 0, site, file, line);
}

bool lab_step(enum core_site site, const char *file, int line)
{
	(void)file;
	(void)line;
	engine.reached[site] |= engine.in_actor;
	return engine.weak[site] != LAB_LEFT_OUT;
}

void lab_lock(volatile uint32_t *lock, const char *file, int line)
{
	struct op op = {.kind = OP_LOCK, .size = 4, .address = (uint64_t)lock};

	if (engine.in_actor)
		point(&op);
	log_access(EVENT_LOCK, &op, 1, 0, file, line);
	self()->lock_count += engine.in_actor;
	memory_write(op.address, 4, 1);
}

void lab_unlock(volatile uint32_t *lock, const char *file, int line)
{
	self()->lock_count -= engine.in_actor;
	lab_store(lock, 4, 0, SITE_NONE, file, line);
}

/* ---- The operations of lab.h ----------------------------------------------------------------- */

uint64_t lab_plain_load(const volatile void *address, uint32_t size, const char *file, int line)
{
	return lab_load(address, size, SITE_NONE, file, line);
}

void lab_plain_store(
    volatile void *address, uint32_t size, uint64_t value, const char *file, int line)
{
	lab_store(address, size, value, SITE_NONE, file, line);
}

uint64_t lab_plain_xchg(
    volatile void *address, uint32_t size, uint64_t value, const char *file, int line)
{
	return lab_rmw(LAB_XCHG, address, size, value, 0, SITE_NONE, file, line);
}

void lab_plain_fence(const char *file, int line)
{
	lab_fence(SITE_NONE, file, line);
}

bool lab_is_running(void)
{
	return engine.in_actor;
}

uint32_t lab_self(void)
{
	return engine.self;
}

uint32_t lab_choose(uint32_t count, const char *what)
{
	struct op op = {.kind = OP_CHOICE, .choices = (uint8_t)count};

	point(&op);
	log_text(EVENT_CHOICE, what, engine.resume_choice);
	return engine.resume_choice;
}

void lab_wait(bool (*ready)(void *), void *arg, const char *what)
{
	struct op op = {.kind = OP_WAIT, .address = (uint64_t)ready, .value = (uint64_t)arg};

	point(&op);
	log_text(EVENT_WAIT, what, 0);
}

void lab_hardware_step(uint32_t assumption, const char *what)
{
	struct op op = {.kind = OP_STEP, .drains = engine.assumed[assumption]};

	if (!engine.in_actor)
		return;
	engine.reached[SITE_COUNT + assumption] = true;
	point(&op);
	log_text(EVENT_STEP, what, 0);
}

void lab_note(const char *what, uint64_t value)
{
	log_text(EVENT_NOTE, what, value);
}

/* ---- Running a program ----------------------------------------------------------------------- */

static void actor_main(void)
{
	struct op end = {.kind = OP_END};

	engine.actors[engine.self].run(engine.actors[engine.self].arg);
	for (;;)
		point(&end);
}

static void actor_enter(uint32_t index)
{
	engine.self = index;
	engine.in_actor = true;
	engine.local_step_count = 0;
	engine.switch_count++;
	lab_switch(&engine.host_stack_pointer, ARENA->actors[index].stack_pointer);
	engine.in_actor = false;
}

void actor_start(uint32_t index)
{
	uint64_t *top = (uint64_t *)(ARENA->stacks[index] + STACK_SIZE);

	/* A null return address, actor_main() to return to, and six registers to pop. */
	top[-1] = 0;
	top[-2] = (uint64_t)actor_main;
	ARENA->actors[index].stack_pointer = (uint64_t)(top - 8);
	engine.resume_interrupt = false;
	actor_enter(index);
}

void actor_resume(uint32_t index, bool is_interrupt, uint16_t choice)
{
	engine.resume_interrupt = is_interrupt;
	engine.resume_choice = choice;
	actor_enter(index);
}
