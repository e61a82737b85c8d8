/* SPDX-License-Identifier: MIT */
/* What can happen next in a world, and doing it. */
#include "lab/engine.h"

static void add(
    struct action *actions, uint32_t *count, enum action_kind kind, uint32_t actor, uint32_t choice)
{
	if (*count == CHOICE_MAX) {
		failure_set(FAILURE_OVERFLOW, "more enabled actions than CHOICE_MAX");
		return;
	}
	actions[(*count)++] = (struct action){
	    .kind = (uint8_t)kind, .actor = (uint8_t)actor, .choice = (uint16_t)choice};
}

/*
 * An interrupt that has arrived is taken at the next instruction boundary with interrupts on; what
 * is free is when it arrives.
 */
static bool must_interrupt(uint32_t index)
{
	const struct actor_info *info = &engine.actors[index];

	return info->interrupts_open && info->interrupts_open(info->interrupt_arg) &&
	       info->interrupt_waiting(info->interrupt_arg);
}

static bool can_interrupt(uint32_t index)
{
	return !engine.assumed[LAB_INTERRUPT_DRAINS] || ARENA->actors[index].store_count == 0;
}

void action_list_actor(uint32_t index, struct action *actions, uint32_t *count)
{
	const struct actor *actor = &ARENA->actors[index];
	bool is_interrupted = must_interrupt(index);

	if (!is_interrupted && actor_can_step(index)) {
		uint32_t choices = actor->op.kind == OP_CHOICE ? actor->op.choices : 1;

		for (uint32_t c = 0; c < choices; c++)
			add(actions, count, ACTION_STEP, index, c);
	}
	if (actor->store_count)
		add(actions, count, ACTION_DRAIN, index, 0);
	if (is_interrupted && can_interrupt(index))
		add(actions, count, ACTION_INTERRUPT, index, 0);
}

void action_list_machines(struct action *actions, uint32_t *count)
{
	for (uint32_t i = 0; i < engine.hardware_count; i++) {
		uint32_t choices = engine.hardware[i].choices(engine.hardware[i].arg);

		for (uint32_t c = 0; c < choices; c++)
			add(actions, count, ACTION_HARDWARE, i, c);
	}
}

uint32_t action_list(struct action *actions)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < engine.actor_count; i++)
		action_list_actor(i, actions, &count);
	action_list_machines(actions, &count);
	return count;
}

void action_do(struct action action)
{
	switch ((enum action_kind)action.kind) {
	case ACTION_STEP:
	case ACTION_INTERRUPT:
		actor_resume(action.actor, action.kind == ACTION_INTERRUPT, action.choice);
		return;
	case ACTION_DRAIN:
		actor_drain(action.actor);
		return;
	case ACTION_HARDWARE:
		engine.self = ACTOR_MAX + action.actor;
		engine.hardware[action.actor].step(
		    engine.hardware[action.actor].arg, action.choice);
		return;
	}
}

uint32_t action_class(struct action action)
{
	return (uint32_t)action.kind * ACTOR_MAX + action.actor;
}

bool action_is_switch(struct action before, struct action after)
{
	bool was_hardware = before.kind == ACTION_HARDWARE;
	bool is_hardware = after.kind == ACTION_HARDWARE;

	return before.actor != after.actor || was_hardware != is_hardware;
}
