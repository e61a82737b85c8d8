/* SPDX-License-Identifier: MIT */
/* Data of each pCPU, reached through GS. */
#ifndef HYPERVISOR_CPU_PERCPU_H
#define HYPERVISOR_CPU_PERCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCPU_MAX 64u

struct vcpu;
struct thread;

/* Owner: code on this pCPU, unless the field says otherwise. */
struct percpu {
	struct vcpu *running_vcpu; /* VIRT's switch_in/switch_out set it; read by handlers here */
	struct percpu *self;
	uint32_t index;
	uint32_t apic_id;
	uint32_t need_resched; /* atomic; set by handlers here, cleared by the scheduler */
	uint32_t unused;
	struct thread *current;
	struct thread *idle;
	void *virt; /* VIRT's own per-pCPU data */
};

/* Assembly uses these offsets. */
#define PERCPU_RUNNING_VCPU 0
#define PERCPU_SELF         8
#define PERCPU_INDEX        16
#define PERCPU_NEED_RESCHED 24
#define PERCPU_CURRENT      32
_Static_assert(offsetof(struct percpu, running_vcpu) == PERCPU_RUNNING_VCPU, "percpu");
_Static_assert(offsetof(struct percpu, self) == PERCPU_SELF, "percpu");
_Static_assert(offsetof(struct percpu, index) == PERCPU_INDEX, "percpu");
_Static_assert(offsetof(struct percpu, need_resched) == PERCPU_NEED_RESCHED, "percpu");
_Static_assert(offsetof(struct percpu, current) == PERCPU_CURRENT, "percpu");

/*
 * The calling pCPU's data.  A thread may be on another pCPU after any yield or sleep: do not keep
 * the pointer across one.
 */
static inline struct percpu *this_cpu(void)
{
	struct percpu *self;

	__asm__ volatile("movq %%gs:8, %0" : "=r"(self));
	return self;
}

static inline uint32_t cpu_index(void)
{
	uint32_t index;

	__asm__ volatile("movl %%gs:16, %0" : "=r"(index));
	return index;
}

/* The vCPU whose thread has this pCPU now, or NULL. */
static inline struct vcpu *running_vcpu(void)
{
	struct vcpu *vcpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(vcpu));
	return vcpu;
}

/* Another pCPU's data; index below cpu_count(). */
struct percpu *percpu_of(uint32_t index);

/* pCPUs that are up; fixed before the first thread other than idle runs. */
uint32_t cpu_count(void);

#endif
