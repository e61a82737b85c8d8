/* SPDX-License-Identifier: MIT */
/* Set-up of pCPUs; what the parts of cpu/ and main/ need of each other. */
#ifndef HYPERVISOR_CPU_CPU_H
#define HYPERVISOR_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct percpu;

/* GDT, TSS, IDT and GS of the calling pCPU; allocates its interrupt stacks. */
void descriptor_init(struct percpu *percpu);

/* Find the ACPI tables and read what the host needs.  Panics on a machine without MADT. */
void acpi_init(void);

/* Local APIC of the calling pCPU: software-enabled, timer masked. */
void lapic_init(void);
uint32_t lapic_id(void);
void lapic_eoi(void);
/* INIT, then two start-up IPIs to the APIC with that ID (SDM vol. 3, "MP Initialization"). */
void lapic_start_cpu(uint32_t apic_id, uint8_t page);
/* INIT without start-up: the CPU does nothing more. */
void lapic_stop_cpu(uint32_t apic_id);
/* One-shot: interrupt VECTOR_TIMER after that many timer ticks, 1 at least; replaces the last. */
void lapic_timer_start(uint32_t ticks);
uint32_t lapic_timer_remaining(void);

/* Measure TSC and LAPIC timer frequencies; the first pCPU, IRQs off. */
void clock_calibrate(void);
uint64_t lapic_timer_khz(void);
/* Busy-wait; before calibration it assumes the fastest TSC there is. */
void clock_delay_us(uint32_t microseconds);

/* The timer queue and its interrupt. */
void timer_init(void);

/* pCPUs' data: the first one, then start all others. */
void cpu_init_first(void);
void cpu_start_others(void);

/* Hook of main: what a further pCPU does once it is set up (runs its idle loop). */
void main_other_cpu(void) __attribute__((noreturn));

#endif
