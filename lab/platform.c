/* SPDX-License-Identifier: MIT */
/* The part of struct ph_platform that no scenario is about. */
#include "lab/platform.h"
#include "lab/lab.h"

uint64_t lab_guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	return 1000;
}

void lab_timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	(void)vcpu;
	(void)host;
	(void)deadline;
}

void lab_nothing(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
}

void lab_start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	(void)vcpu;
	(void)host;
	(void)vector;
}

/* Poke each word and ask. */
void lab_ignore_counters(struct ph_vcpu *vcpu)
{
	uint64_t *words = (uint64_t *)(void *)vcpu;
	struct ph_counters before, after;

	for (size_t i = 0; i < ph_vcpu_size() / 8; i++) {
		uint64_t was = words[i];

		ph_vcpu_counters(vcpu, &before);
		words[i] = was + 1;
		ph_vcpu_counters(vcpu, &after);
		words[i] = was;
		if (__builtin_memcmp(&before, &after, sizeof(before)))
			lab_ignore(&words[i], 8);
	}
}
