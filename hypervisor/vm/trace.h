/* SPDX-License-Identifier: MIT */
/* The binary trace ring of each pCPU: delivery events with their time. */
#ifndef HYPERVISOR_VM_TRACE_H
#define HYPERVISOR_VM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct ph_vcpu;

/*
 * Turn tracing on: make a ring for each pCPU.  Before the first VM is made; boot thread.  0, or -1:
 * no memory.  Without it the VMs' platform has no trace verb and nothing is recorded.
 */
int trace_enable(void);
bool trace_is_enabled(void);

/* platform.trace; any thread or handler. */
void trace_record(uint32_t event, const struct ph_vcpu *vcpu, uint64_t detail);

/*
 * Print what the rings hold, as lines "@trace pcpu=I tsc=T event=NAME vm=NAME vcpu=I detail=X" in
 * each pCPU's order.  When nothing is recorded any more.
 */
void trace_dump(void);

#endif
