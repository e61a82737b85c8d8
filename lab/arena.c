/* SPDX-License-Identifier: MIT */
/* The world's memory: mapped once at a fixed address, laid out by a scenario's setup. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lab/engine.h"

static _Noreturn void stop(const char *what)
{
	fprintf(stderr, "posthorn-lab: %s\n", what);
	exit(STATUS_SYSTEM);
}

void arena_map(void)
{
	void *where = mmap((void *)ARENA_BASE, 2 * sizeof(struct arena) + SHADOW_OFFSET,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (where != (void *)ARENA_BASE)
		stop("cannot map the world at its fixed address");
}

static uint32_t round_up(uint32_t value, uint32_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static void *take_memory(uint32_t start, size_t size, const char *name)
{
	void *memory = ARENA->shared + start;

	if (size > SHARED_SIZE || start + size > SHARED_SIZE)
		stop("the scenario allocates more memory than the world has");
	engine.shared_used = start + round_up((uint32_t)size, LINE_SIZE);
	lab_name(memory, size, name);
	return memory;
}

void *lab_alloc(size_t size, const char *name)
{
	uint32_t align = size && size % PAGE_SIZE == 0 ? PAGE_SIZE : LINE_SIZE;

	return take_memory(round_up(engine.shared_used, align), size, name);
}

void *lab_alloc_split(size_t size, size_t busy, const char *name)
{
	uint32_t head = round_up((uint32_t)busy, LINE_SIZE);
	void *memory = take_memory(round_up(engine.shared_used + head, PAGE_SIZE) - head, size, name);

	engine.shared_used = round_up(engine.shared_used, PAGE_SIZE);
	return memory;
}

void lab_name(const volatile void *address, size_t size, const char *name)
{
	if (engine.name_count == NAME_MAX_COUNT)
		stop("the scenario names more areas than NAME_MAX_COUNT");
	engine.names[engine.name_count++] = (struct area_name){(uint64_t)address, size, name};
}

static uint32_t add_actor(const char *name, void (*run)(void *), void *arg, bool is_device)
{
	if (engine.actor_count == ACTOR_MAX)
		stop("the scenario has more CPUs and devices than ACTOR_MAX");
	engine.actors[engine.actor_count] = (struct actor_info){.name = name,
	    .run = run,
	    .arg = arg,
	    .is_device = is_device};
	return engine.actor_count++;
}

uint32_t lab_cpu(const char *name, void (*run)(void *), void *arg)
{
	return add_actor(name, run, arg, false);
}

uint32_t lab_device(const char *name, void (*run)(void *), void *arg)
{
	return add_actor(name, run, arg, true);
}

void lab_hardware(
    const char *name, uint32_t (*choices)(void *), void (*step)(void *, uint32_t), void *arg)
{
	if (engine.hardware_count == HARDWARE_MAX)
		stop("the scenario has more machines than HARDWARE_MAX");
	engine.hardware[engine.hardware_count++] = (struct hardware_info){name, choices, step, arg};
}

void lab_interrupts(
    uint32_t cpu, bool (*open)(void *), bool (*waiting)(void *), void (*take)(void *), void *arg)
{
	struct actor_info *info = &engine.actors[cpu];

	info->interrupts_open = open;
	info->interrupt_waiting = waiting;
	info->interrupt_take = take;
	info->interrupt_arg = arg;
}

void lab_ignore(void *address, size_t size)
{
	struct ignored *last = &engine.ignored[engine.ignored_count - 1];

	if (engine.ignored_count && last->address + last->size == (uint8_t *)address) {
		last->size += size;
		return;
	}
	if (engine.ignored_count == IGNORED_MAX)
		stop("the scenario ignores more areas than IGNORED_MAX");
	engine.ignored[engine.ignored_count++] = (struct ignored){address, size};
}

void arena_clear_ignored(void)
{
	for (uint32_t i = 0; i < engine.ignored_count; i++) {
		volatile uint64_t *words = (volatile uint64_t *)(void *)engine.ignored[i].address;

		/* Most are zero already; memset() would be a call for a few words. */
		for (size_t k = 0; k < engine.ignored[i].size / 8; k++) {
			if (words[k])
				words[k] = 0;
		}
	}
}

const struct lab_scenario *lab_scenario_now(void)
{
	return engine.scenario;
}

const char *arena_describe(uint64_t address, char *text, size_t size)
{
	const struct area_name *best = NULL;

	for (uint32_t i = 0; i < engine.name_count; i++) {
		const struct area_name *area = &engine.names[i];

		if (address - area->address < area->size && (!best || area->size < best->size))
			best = area;
	}
	if (!best)
		snprintf(text, size, "%#llx", (unsigned long long)address);
	else if (best->size <= 8)
		snprintf(text, size, "%s", best->name);
	else
		snprintf(text, size, "%s+%#llx", best->name,
		    (unsigned long long)(address - best->address));
	return text;
}

static void reset(void)
{
	guard_open_all();
	memset(ARENA->actors, 0, sizeof(ARENA->actors));
	memset(ARENA->shared, 0, SHARED_SIZE);
	for (uint32_t i = 0; i < ACTOR_MAX; i++)
		memset(ARENA->stacks[i], 0, STACK_SIZE);
	engine.actor_count = 0;
	engine.hardware_count = 0;
	engine.name_count = 0;
	engine.ignored_count = 0;
	engine.shared_used = 0;
	engine.failure.kind = FAILURE_NONE;
}

void arena_setup(const struct lab_scenario *scenario, const struct lab_params *params)
{
	reset();
	engine.scenario = scenario;
	engine.params = *params;
	scenario->setup(params);
	for (uint32_t i = 0; i < engine.actor_count; i++)
		actor_start(i);
	arena_clear_ignored();
	for (uint32_t i = 0; i < engine.actor_count; i++) {
		uint64_t used = ARENA->actors[i].stack_pointer - (uint64_t)ARENA->stacks[i];

		memset(ARENA->stacks[i], 0, used);
	}
}
