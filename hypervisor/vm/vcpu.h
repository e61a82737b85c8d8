/* SPDX-License-Identifier: MIT */
/* The life of a vCPU thread, and the platform that libposthorn runs on. */
#ifndef HYPERVISOR_VM_VCPU_H
#define HYPERVISOR_VM_VCPU_H

#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/vm.h"

/* The table for ph_vm_config.platform; with the trace verb when tracing is on. */
const struct ph_platform *platform_table(void);

/*
 * Make vCPU `index` of the VM: its SVM state, libposthorn's part, and its thread on pCPU `pcpu`
 * (started by vm_start()).  0, or -1: no memory.  Boot thread.
 */
int vcpu_create(struct vm *vm, uint32_t index, uint64_t npt_root, uint32_t pcpu);

/*
 * A wake-up of another thread on this pCPU asks for a yield: that needs the long way.  For the end of
 * platform.fast_exit(); true.
 */
static inline bool vcpu_after_fast_exit(void)
{
	if (__builtin_expect(thread_should_yield(), 0))
		ph_vcpu_request(running_vcpu()->ph, VM_REQUEST_YIELD);
	return true;
}

/* The last vCPU has left: finish the VM.  From vcpu.c. */
void vm_finish(struct vm *vm);

#endif
