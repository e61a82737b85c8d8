/* SPDX-License-Identifier: MIT */
/* A deterministic generator: the same seed gives the same run. */
#ifndef GUESTS_RT_RANDOM_H
#define GUESTS_RT_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state;
};

/* splitmix64: a counter put through a mixing function. */
static inline uint64_t random_next(struct random *random)
{
	uint64_t value = random->state += 0x9e3779b97f4a7c15u;

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
	return value ^ (value >> 31);
}

static inline uint32_t random_below(struct random *random, uint32_t bound)
{
	return (uint32_t)(random_next(random) % bound);
}

#endif
