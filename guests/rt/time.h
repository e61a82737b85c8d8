/* SPDX-License-Identifier: MIT */
/* Time by the TSC, measured against the ACPI PM timer, and the watchdog. */
#ifndef GUESTS_RT_TIME_H
#define GUESTS_RT_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "guests/rt/cpu.h"

#define PM_TIMER_PORT 0x608
#define PM_TIMER_HZ   3579545u
#define PM_TIMER_MASK 0xffffffu

/* Long enough for a vCPU that shares one emulated CPU with others; only a failure waits so long. */
#define TIMEOUT_MS 20000u

void time_init(void);
uint64_t tsc_ticks_per_ms(void);
/* TSC value that many milliseconds from now. */
uint64_t tsc_after_ms(uint64_t milliseconds);
void delay_ms(uint64_t milliseconds);
/* 24-bit reading of the PM timer; differences modulo 2^24 (4.6 s). */
uint32_t pm_timer_read(void);
uint32_t pm_timer_since(uint32_t start);
uint32_t pm_timer_to_us(uint32_t ticks);

/*
 * Fail the guest when watchdog_pet() was not called for that long. The BSP calls; it uses PIT
 * channel 0, IOAPIC pin 2 and VECTOR_WATCHDOG on the BSP. It works while the BSP takes interrupts.
 */
#define VECTOR_WATCHDOG 0xfeu
void watchdog_start(uint64_t milliseconds);
void watchdog_pet(void);
void watchdog_stop(void);

/* Spin until the condition holds or the time is over; true when it holds. */
#define WAIT_UNTIL(condition, milliseconds)                                                        \
	({                                                                                         \
		uint64_t wait_end = tsc_after_ms(milliseconds);                                    \
		while (!(condition) && rdtsc() < wait_end)                                         \
			cpu_pause();                                                               \
		(bool)(condition);                                                                 \
	})

#endif
