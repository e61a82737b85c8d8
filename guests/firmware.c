/* SPDX-License-Identifier: MIT */
/* Guest: what kernels for PCs count on their firmware for: vectors, 8259, PIT, virtual wire. */
#include "guests/rt/apic.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "firmware";

#define TIMER_VECTOR    0x08u
#define SLAVE_VECTOR    0x70u
#define LINE_COUNT      8u
#define IRQ_TIMER       0u
#define IRQ_CASCADE     2u
#define MASTER_NEW      0x20u
#define SLAVE_NEW       0x28u
#define BIOS_AREA_START 0xc0000u
#define BIOS_AREA_END   0x100000u
#define TICK_MS         200u /* 18.2 Hz: three */

static volatile unsigned tick_count;

static void take_tick(struct frame *frame)
{
	(void)frame;
	tick_count++;
	pic_eoi(IRQ_TIMER);
}

/* Real-mode vectors: each IRQ has a handler in the firmware's memory. */
static void check_vector(uint32_t vector)
{
	const volatile uint32_t *vectors;
	uint32_t handler;

	/* The compiler takes a constant address below 4096 for a null pointer. */
	__asm__ volatile("xor %0, %0" : "=r"(vectors));
	handler = (vectors[vector] >> 16 << 4) + (vectors[vector] & 0xffffu);
	check(handler >= BIOS_AREA_START && handler < BIOS_AREA_END,
	    "real-mode vector %x leads to %x", vector, handler);
}

void guest_main(void)
{
	const struct firmware_state *left = firmware_left();
	uint64_t end;

	check(left->svr == (APIC_SVR_ENABLE | 0xffu), "SVR %x", left->svr);
	check(left->lint0 == 0x8700, "LINT0 %x is no ExtINT", left->lint0);
	check(left->lint1 == 0x8400, "LINT1 %x is no NMI", left->lint1);
	check(!(left->pic_mask & 1u << IRQ_TIMER), "the timer is masked: %x", left->pic_mask);
	check(!(left->pic_mask & 1u << IRQ_CASCADE), "the cascade is masked: %x", left->pic_mask);
	check(left->pic_mask & 1u << 4, "COM1 is not masked: %x", left->pic_mask);
	for (uint32_t line = 0; line < LINE_COUNT; line++) {
		check_vector(TIMER_VECTOR + line);
		check_vector(SLAVE_VECTOR + line);
	}

	/* The timer goes on as it was left. */
	interrupts_set(MASTER_NEW + IRQ_TIMER, take_tick);
	pic_init(MASTER_NEW, SLAVE_NEW);
	pic_set_mask((uint16_t) ~(1u << IRQ_TIMER | 1u << IRQ_CASCADE));
	apic_write(APIC_LVT_LINT0, left->lint0);
	interrupts_enable();
	for (end = tsc_after_ms(TICK_MS); rdtsc() < end && tick_count < 3;)
		cpu_pause();
	interrupts_disable();
	check(tick_count >= 3, "%u ticks in %u ms", tick_count, TICK_MS);
}
