/* SPDX-License-Identifier: MIT */
/* Device clocks derived from the host's TSC, and the one deadline that a device waits for. */
#include "hypervisor/board/clock.h"

uint64_t clock_ticks(const struct clock *clock, uint64_t tsc, uint32_t hz)
{
	uint64_t passed = tsc > clock->base ? tsc - clock->base : 0;

	/* Whole seconds apart, so that nothing overflows and nothing is lost. */
	return passed / clock->tsc_hz * hz + passed % clock->tsc_hz * hz / clock->tsc_hz;
}

uint64_t clock_tsc(const struct clock *clock, uint64_t ticks, uint32_t hz)
{
	return clock->base + ticks / hz * clock->tsc_hz +
	    (ticks % hz * clock->tsc_hz + hz - 1) / hz;
}

void deadline_init(struct deadline *deadline, void (*fn)(void *), void *arg)
{
	deadline->timer.fn = fn;
	deadline->timer.arg = arg;
}

void deadline_set(struct deadline *deadline, uint64_t tsc)
{
	if (!deadline->is_over)
		timer_set(&deadline->timer, tsc);
}

void deadline_clear(struct deadline *deadline)
{
	timer_cancel(&deadline->timer);
}

void deadline_end(struct deadline *deadline)
{
	timer_cancel_sync(&deadline->timer);
}
