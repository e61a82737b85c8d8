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
 * Bring out what the rings hold and no earlier call has brought out, on the control channel:
 *   @trace-begin khz=K pcpus=N             host TSC frequency
 *   @trace pcpu=I tsc=T D,EVENT,VM,VCPU,X ...   hexadecimal; D: ticks since the event before, the first's
 *                                          since T
 *   @trace-lost pcpu=I N                   overwritten before they were read
 *   @trace-vm VM NAME, @trace-exit X NAME  what the numbers mean
 * The VMs may be running.  The boot thread, which executes the control channel's commands.
 */
void trace_dump(void);

#endif
