/* SPDX-License-Identifier: MIT */
/* Device clocks derived from the host's TSC, and the one deadline that a device waits for. */
#ifndef HYPERVISOR_BOARD_CLOCK_H
#define HYPERVISOR_BOARD_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/cpu/timer.h"

/* Constant after board_create(); every device of a board counts from the same instant. */
struct clock {
	uint64_t base;   /* host TSC at tick 0 */
	uint64_t tsc_hz; /* below 2^34 */
};

/* Host TSC now.  Any context. */
uint64_t clock_now(void);

/* Whole ticks of a clock of `hz` (below 2^24) since the base, at TSC `tsc`. */
uint64_t clock_ticks(const struct clock *clock, uint64_t tsc, uint32_t hz);
/* The first TSC value at which clock_ticks() reaches `ticks`. */
uint64_t clock_tsc(const struct clock *clock, uint64_t ticks, uint32_t hz);

/* A device's timer.  Under the device's lock, but for deadline_end(). */
struct deadline {
	struct timer timer;
	bool is_over; /* the board has stopped: never arm again */
};

void deadline_init(struct deadline *deadline, void (*fn)(void *), void *arg);
void deadline_set(struct deadline *deadline, uint64_t tsc);
void deadline_clear(struct deadline *deadline);
/* Wait until the callback does not run; without the device's lock, after is_over was set. */
void deadline_end(struct deadline *deadline);

#endif
