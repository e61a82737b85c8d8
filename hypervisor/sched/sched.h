/* SPDX-License-Identifier: MIT */
/* What boot and main need of the scheduler. */
#ifndef HYPERVISOR_SCHED_SCHED_H
#define HYPERVISOR_SCHED_SCHED_H

/* Once, on the first pCPU, before the others start. */
void sched_init(void);
/* On each pCPU, before its idle loop: the running context becomes its idle thread. */
void sched_cpu_init(void);
/* The idle loop; IRQs on inside. */
void sched_idle(void) __attribute__((noreturn));

#endif
