/* SPDX-License-Identifier: MIT */
/* Delivery events for the trace ring: one name list for the core, the hypervisor and the lab. */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include "core/vcpu.h"

#define TRACE_EVENT_ENUM(upper, lower) TRACE_##upper = PH_TRACE_##upper,
enum trace_event { PH_TRACE_LIST(TRACE_EVENT_ENUM) };
#undef TRACE_EVENT_ENUM

static inline void trace_event(const struct ph_vcpu *vcpu, enum trace_event event, uint64_t detail)
{
	if (vcpu->platform->trace)
		vcpu->platform->trace((uint32_t)event, vcpu, detail);
}

#endif
