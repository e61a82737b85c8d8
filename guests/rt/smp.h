/* SPDX-License-Identifier: MIT */
/* The other CPUs: start them and give them work. */
#ifndef GUESTS_RT_SMP_H
#define GUESTS_RT_SMP_H

#include <stdint.h>

#include "guests/rt/cpu.h"

#define VECTOR_WAKE 0xf0u

/* CPUs of this guest: "cpus=" on the command line, or fw_cfg, or 1. Known before smp_start(). */
extern unsigned cpu_count;

/* APIC ID of CPU i is i. */
struct cpu *cpu_at(unsigned index);
/* The BSP starts all others by INIT and STARTUP; a CPU that does not come ends the guest. */
void smp_start(void);
/*
 * Let an idle CPU run a function, with its interrupts disabled at the start. The BSP calls. An
 * idle CPU waits in HLT and is woken by VECTOR_WAKE.
 */
void smp_run(unsigned index, void (*function)(void *argument), void *argument);
/* Wait until it has returned; fails the guest after the time. */
void smp_wait(unsigned index, uint64_t milliseconds);
/* Every other CPU, then this one; then wait for all. */
void smp_run_all(void (*function)(void *argument), void *argument, uint64_t milliseconds);
void smp_ap_start(void) __attribute__((noreturn));

#endif
