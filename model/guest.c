/* SPDX-License-Identifier: MIT */
/* The guest's programs, as far as the two vendors share them. */
#include "model/model.h"

bool model_guest_is_idle(const struct model_guest *guest, const uint8_t *program)
{
	return !guest->handler && !guest->nmi_handler &&
	    (program[guest->pc] == GUEST_SPIN || program[guest->pc] == GUEST_HALT_INSIDE);
}
