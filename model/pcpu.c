/* SPDX-License-Identifier: MIT */
/* Physical CPUs as interrupt sources and targets: IPIs in flight, arrival, acknowledgement. */
#include "model/model.h"

void model_ipi_send(struct model_pcpu *target, enum model_vector vector)
{
	target->in_flight[vector]++;
}

uint32_t model_ipi_count(const struct model_pcpu *pcpu)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < MODEL_VECTOR_COUNT; i++)
		count += pcpu->in_flight[i] != 0;
	return count;
}

enum model_vector model_ipi_arrive(struct model_pcpu *pcpu, uint32_t nth)
{
	uint32_t vector = 0;

	for (;; vector++) {
		if (pcpu->in_flight[vector] && nth-- == 0)
			break;
	}
	pcpu->in_flight[vector]--;
	pcpu->irr |= (uint8_t)(1u << vector);
	return (enum model_vector)vector;
}

enum model_vector model_interrupt_take(struct model_pcpu *pcpu)
{
	uint32_t vector = 31u - (uint32_t)__builtin_clz(pcpu->irr);

	pcpu->irr &= (uint8_t) ~(1u << vector);
	return (enum model_vector)vector;
}
