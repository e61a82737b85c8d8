/* SPDX-License-Identifier: MIT */
/* Guest: HLT and what ends it: a pending interrupt at once, a masked one never. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "hlt_pending";

#define VECTOR_LOW  0x51u
#define VECTOR_HIGH 0x81u
#define TPR_BETWEEN 0x60u
#define ROUND_COUNT 200u
#define RACE_COUNT  1000u
#define MASKED_MS   10u
#define PIT_10MS    ((uint16_t)(PIT_HZ / 100))

static uint64_t taken(unsigned vector)
{
	return this_cpu()->interrupt_count[vector];
}

/*
 * The watchdog's tick each 55 ms would end a HLT that lost its wakeup. A round that saw a tick
 * proves nothing; when most rounds see one, the wakeups are lost.
 */
static void check_pending_wakes_at_once(void)
{
	unsigned tick_count = 0;

	for (unsigned round = 0; round < ROUND_COUNT; round++) {
		uint64_t before = taken(VECTOR_LOW), ticks = taken(VECTOR_WATCHDOG);

		interrupts_disable();
		apic_send_self(VECTOR_LOW);
		interrupts_enable_and_halt();
		tick_count += taken(VECTOR_WATCHDOG) != ticks;
		check(taken(VECTOR_LOW) == before + 1, "round %u: %lu deliveries", round,
		    taken(VECTOR_LOW) - before);
	}
	check(tick_count < ROUND_COUNT / 2, "%u of %u rounds slept until a tick", tick_count,
	    ROUND_COUNT);
	print("pending: %u rounds, %u with a watchdog tick\n", ROUND_COUNT, tick_count);
}

static void start_timer(uint32_t lvt, uint32_t counts)
{
	apic_write(APIC_TDCR, APIC_TDCR_16);
	apic_write(APIC_LVT_TIMER, APIC_LVT_TIMER_ONE_SHOT | lvt);
	apic_write(APIC_TMICT, counts);
}

/* Timer counts that last about that long: platforms differ a thousandfold. */
static uint32_t timer_counts(unsigned milliseconds)
{
	uint32_t start;

	start_timer(APIC_LVT_MASKED | VECTOR_HIGH, 0xffffffff);
	start = apic_read(APIC_TMCCT);
	delay_ms(1);
	return (start - apic_read(APIC_TMCCT)) * milliseconds;
}

static void check_masked_by_tpr(void)
{
	uint32_t counts = timer_counts(MASKED_MS);

	for (unsigned round = 0; round < 10; round++) {
		uint64_t low = taken(VECTOR_LOW), high = taken(VECTOR_HIGH);

		interrupts_disable();
		apic_write(APIC_TPR, TPR_BETWEEN);
		apic_send_self(VECTOR_LOW);
		start_timer(VECTOR_HIGH, counts);
		while (taken(VECTOR_HIGH) == high) {
			interrupts_enable_and_halt();
			interrupts_disable();
			check(taken(VECTOR_LOW) == low, "TPR %x let vector %x through", TPR_BETWEEN,
			    VECTOR_LOW);
		}
		interrupts_enable();
		check(taken(VECTOR_LOW) == low, "vector %x came with the higher one", VECTOR_LOW);
		apic_write(APIC_TPR, 0);
		__asm__ volatile("nop");
		check(taken(VECTOR_LOW) == low + 1, "TPR 0: vector %x %lu times", VECTOR_LOW,
		    taken(VECTOR_LOW) - low);
		watchdog_pet();
	}
}

static void check_timer_wakes(void)
{
	uint32_t counts = timer_counts(1);

	for (unsigned round = 0; round < ROUND_COUNT; round++) {
		uint64_t before = taken(VECTOR_HIGH);

		interrupts_disable();
		/* From "long over when HLT starts" to "long after". */
		start_timer(VECTOR_HIGH, 1 + counts * round / ROUND_COUNT);
		while (taken(VECTOR_HIGH) == before) {
			interrupts_enable_and_halt();
			interrupts_disable();
		}
		check(taken(VECTOR_HIGH) == before + 1, "timer round %u", round);
		watchdog_pet();
	}
	interrupts_enable();
}

static volatile uint64_t nmi_count;

static void take_nmi(struct frame *frame)
{
	(void)frame;
	nmi_count++;
}

/* Nothing but an NMI (from the PIT) ends HLT with IF = 0; no watchdog can help here. */
static void check_nmi_ends_hlt_without_if(void)
{
	uint64_t low = taken(VECTOR_LOW);

	interrupts_disable();
	watchdog_stop();
	interrupts_set(VECTOR_NMI, take_nmi);
	apic_send_self(VECTOR_LOW);
	ioapic_write_entry(IOAPIC_PIN_PIT, APIC_DELIVERY_NMI | ioapic_destination(apic_id()));
	pit_start(PIT_MODE_TERMINAL, PIT_10MS);
	__asm__ volatile("hlt" : : : "memory");
	check(nmi_count == 1, "HLT with IF = 0 ended after %lu NMIs", nmi_count);
	check(taken(VECTOR_LOW) == low, "an interrupt was taken with IF = 0");
	ioapic_write_entry(IOAPIC_PIN_PIT, IOAPIC_MASKED);
	interrupts_window();
	check(taken(VECTOR_LOW) == low + 1, "the pending interrupt was lost");
	interrupts_enable();
}

static volatile uint64_t race_request;

static void race_sender(void *argument)
{
	(void)argument;
	for (uint64_t i = 1; i <= RACE_COUNT; i++) {
		if (!WAIT_UNTIL(race_request == i, TIMEOUT_MS))
			test_abort("race: request %lu did not come", i);
		/* A different distance to the receiver's HLT each time. */
		for (uint64_t spin = (i * 37) % 301; spin; spin--)
			cpu_pause();
		apic_send(0, VECTOR_HIGH);
	}
}

/* An IPI that comes between the test and the HLT must end the HLT. */
static void check_race(void)
{
	uint64_t first = taken(VECTOR_HIGH), ticks = taken(VECTOR_WATCHDOG);

	smp_run(1, race_sender, 0);
	for (uint64_t i = 1; i <= RACE_COUNT; i++) {
		interrupts_disable();
		race_request = i;
		while (taken(VECTOR_HIGH) < first + i) {
			interrupts_enable_and_halt();
			interrupts_disable();
		}
		interrupts_enable();
		watchdog_pet();
	}
	smp_wait(1, TIMEOUT_MS);
	check(taken(VECTOR_HIGH) == first + RACE_COUNT, "race: %lu of %u",
	    taken(VECTOR_HIGH) - first, RACE_COUNT);
	print("race: %u IPIs, %lu watchdog ticks\n", RACE_COUNT, taken(VECTOR_WATCHDOG) - ticks);
}

void guest_main(void)
{
	interrupts_set(VECTOR_LOW, interrupt_eoi_only);
	interrupts_set(VECTOR_HIGH, interrupt_eoi_only);
	smp_start();
	watchdog_start(TIMEOUT_MS);
	interrupts_enable();
	check_pending_wakes_at_once();
	check_masked_by_tpr();
	check_timer_wakes();
	if (cpu_count > 1)
		check_race();
	else
		not_checked("IPI against HLT: one CPU");
	check_nmi_ends_hlt_without_if();
}
