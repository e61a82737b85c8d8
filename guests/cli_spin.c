/* SPDX-License-Identifier: MIT */
/* Guest: CPUs that spin with RFLAGS.IF clear for each other's turn: only the host's timer moves them on. */
#include "guests/rt/console.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "cli_spin";

#define ROUNDS_DEFAULT 10u

static unsigned rounds;
static volatile uint64_t turn;

/*
 * CPUID exits, so what follows was entered with IF clear; it exits no more, and has no PAUSE.  With more
 * virtual CPUs than the host has, the one whose turn it is waits for a CPU that this one has.
 */
static bool wait_turn(uint64_t mine)
{
	uint64_t end = tsc_after_ms(TIMEOUT_MS);

	(void)cpuid(0, 0);
	while (turn < mine && rdtsc() < end)
		continue;
	return turn == mine;
}

static void spin(void *argument)
{
	unsigned me = this_cpu()->index;
	unsigned round;

	(void)argument;
	for (round = 0; round < rounds && wait_turn((uint64_t)round * cpu_count + me); round++)
		turn++;
	check(round == rounds, "CPU %u: its turn %u has not come in %u ms: now %lu", me, round,
	    TIMEOUT_MS, turn);
}

void guest_main(void)
{
	rounds = (unsigned)option("rounds", ROUNDS_DEFAULT);
	interrupts_disable();
	smp_start();
	smp_run_all(spin, 0, 3 * TIMEOUT_MS);
	print("%lu turns\n", turn);
}
