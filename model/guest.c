/* SPDX-License-Identifier: MIT */
/* The guest's programs, as far as the two vendors share them. */
#include "model/model.h"

bool model_guest_is_idle(const struct model_guest *guest, const uint8_t *program)
{
	return !guest->handler && !guest->nmi_handler &&
	       (program[guest->pc] == GUEST_SPIN || program[guest->pc] == GUEST_HALT_INSIDE);
}

static uint8_t highest_class(uint16_t classes)
{
	return classes ? (uint8_t)(31 - __builtin_clz(classes)) : 0;
}

void model_guest_take(struct model_guest *guest, uint8_t vector)
{
	uint8_t vector_class = vector >> 4;

	guest->taken[vector_class]++;
	if (guest->in_service >> vector_class)
		guest->is_broken = 1;
	guest->in_service |= (uint16_t)(1u << vector_class);
	guest->handler = vector_class;
}

bool model_guest_handler_step(struct model_guest *guest)
{
	uint16_t bit = (uint16_t)(1u << guest->handler);

	if (guest->nests && !(guest->opened & bit)) {
		guest->opened |= bit;
		return false;
	}
	guest->opened &= (uint16_t)~bit;
	guest->in_service &= (uint16_t)~bit;
	guest->ended = guest->handler;
	guest->handler = highest_class(guest->in_service);
	return true;
}
