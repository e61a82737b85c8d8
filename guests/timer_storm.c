/* SPDX-License-Identifier: MIT */
/* Guest: timers that expire among exits, at entry, in the guest or at the exit; none is lost. */
#include "guests/rt/apic.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "timer_storm";

#define VECTOR_PENDING 0x31u
#define VECTOR_TIMER   0x41u
#define ROUNDS_DEFAULT 600u
#define COUNT_SPREAD   64u
#define COUNT_STEP     256u
#define EXIT_COUNT     32u
#define LATE_MS        2000u

static volatile uint64_t *own_count(void)
{
	return &this_cpu()->interrupt_count[VECTOR_TIMER];
}

/*
 * With an interrupt pending and IF clear, every entry asks for a window; CPUID always exits.  Then no more
 * exits: what was missed among them has nothing to bring it up.
 */
static bool one_comes(unsigned round)
{
	volatile uint64_t *count = own_count();
	uint64_t before = *count;

	apic_send_self(VECTOR_PENDING);
	apic_write(APIC_TMICT, 1 + round % COUNT_SPREAD * COUNT_STEP);
	for (unsigned i = 0; i < EXIT_COUNT; i++)
		(void)cpuid(0, 0);
	interrupts_enable();
	WAIT_UNTIL(*count != before, LATE_MS);
	interrupts_disable();
	return *count == before + 1;
}

static void storm(void *argument)
{
	uint64_t rounds = *(const uint64_t *)argument;
	unsigned round;

	apic_write(APIC_TDCR, APIC_TDCR_1);
	apic_write(APIC_LVT_TIMER, APIC_LVT_TIMER_ONE_SHOT | VECTOR_TIMER);
	for (round = 0; round < rounds && one_comes(round); round++)
		continue;
	check(round == rounds, "CPU %u: timer %u has not come in %u ms", this_cpu()->index, round,
	    LATE_MS);
	check(*own_count() == round, "CPU %u: %u timers, %lu interrupts", this_cpu()->index, round,
	    *own_count());
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

void guest_main(void)
{
	uint64_t rounds = option("rounds", ROUNDS_DEFAULT);

	interrupts_set(VECTOR_PENDING, interrupt_eoi_only);
	interrupts_set(VECTOR_TIMER, interrupt_eoi_only);
	smp_start();
	smp_run_all(storm, &rounds, 3 * TIMEOUT_MS);
}
