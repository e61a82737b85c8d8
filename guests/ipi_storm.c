/* SPDX-License-Identifier: MIT */
/* Guest: every CPU sends bursts to every CPU; sent and received are counted at both ends. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "ipi_storm";

#define STORM_CPU_MAX  8u
#define BURST_COUNT    8u
#define VECTOR_BURST   0x40u /* + sender * BURST_COUNT + place in the burst */
#define VECTOR_ALL     0x80u /* + sender */
#define VECTOR_PING    0x90u
#define VECTOR_PONG    0x91u
#define ROUNDS_DEFAULT 200u

static unsigned rounds;
static uint64_t sent[STORM_CPU_MAX][STORM_CPU_MAX];
static uint64_t sent_all[STORM_CPU_MAX];
static volatile unsigned arrived_count;

static uint64_t received(unsigned cpu, unsigned vector)
{
	return cpu_at(cpu)->interrupt_count[vector];
}

/* No vector is sent again before its last delivery: IRR would hold the two as one. */
static void wait_received(unsigned cpu, unsigned vector, uint64_t expected)
{
	if (!WAIT_UNTIL(received(cpu, vector) >= expected, TIMEOUT_MS))
		test_abort("CPU %u waits for CPU %u: vector %x came %lu times, sent %lu",
		    this_cpu()->index, cpu, vector, received(cpu, vector), expected);
}

static void burst(unsigned sender, unsigned target, uint64_t round)
{
	unsigned first = VECTOR_BURST + sender * BURST_COUNT;

	for (unsigned i = 0; i < BURST_COUNT; i++) {
		apic_send(target, first + i);
		sent[sender][target]++;
	}
	for (unsigned i = 0; i < BURST_COUNT; i++)
		wait_received(target, first + i, round);
}

static void storm(void *argument)
{
	unsigned me = this_cpu()->index;

	(void)argument;
	__atomic_add_fetch(&arrived_count, 1, __ATOMIC_SEQ_CST);
	interrupts_enable();
	if (!WAIT_UNTIL(arrived_count == cpu_count, TIMEOUT_MS))
		test_abort("CPU %u: only %u CPUs arrived", me, arrived_count);
	for (uint64_t round = 1; round <= rounds; round++) {
		for (unsigned i = 0; i < cpu_count; i++)
			burst(me, (me + i) % cpu_count, round);
		apic_write_icr(APIC_ICR_ALL | APIC_ICR_ASSERT | (VECTOR_ALL + me), 0);
		sent_all[me]++;
		for (unsigned i = 0; i < cpu_count; i++)
			wait_received(i, VECTOR_ALL + me, round);
	}
	/* Stay until all are done: the others' IPIs still come to this CPU. */
	__atomic_sub_fetch(&arrived_count, 1, __ATOMIC_SEQ_CST);
	if (!WAIT_UNTIL(arrived_count == 0, TIMEOUT_MS))
		test_abort("CPU %u: %u CPUs did not finish", me, arrived_count);
	interrupts_disable();
}

static void check_storm_counts(void)
{
	for (unsigned from = 0; from < cpu_count; from++) {
		for (unsigned to = 0; to < cpu_count; to++) {
			uint64_t sum = 0;

			for (unsigned i = 0; i < BURST_COUNT; i++) {
				unsigned vector = VECTOR_BURST + from * BURST_COUNT + i;

				check(received(to, vector) == rounds, "CPU %u to %u: vector %x %lu",
				    from, to, vector, received(to, vector));
				sum += received(to, vector);
			}
			print("storm %u -> %u sent %lu received %lu\n", from, to, sent[from][to],
			    sum);
			check(sum == sent[from][to], "burst counts differ");
			check(received(to, VECTOR_ALL + from) == sent_all[from],
			    "CPU %u to all: CPU %u received %lu of %lu", from, to,
			    received(to, VECTOR_ALL + from), sent_all[from]);
		}
	}
}

static void pong(struct frame *frame)
{
	(void)frame;
	apic_eoi();
	apic_send(0, VECTOR_PONG);
}

/* Both ends halt between IPIs, so each IPI must wake a halted CPU. */
static void check_ping_pong(void)
{
	uint64_t expected = 0;

	interrupts_set(VECTOR_PING, pong);
	interrupts_set(VECTOR_PONG, interrupt_eoi_only);
	for (unsigned round = 1; round <= rounds; round++) {
		for (unsigned cpu = 1; cpu < cpu_count; cpu++) {
			expected++;
			interrupts_disable();
			apic_send(cpu, VECTOR_PING);
			while (received(0, VECTOR_PONG) < expected) {
				interrupts_enable_and_halt();
				interrupts_disable();
			}
			watchdog_pet();
			check(received(cpu, VECTOR_PING) == round, "CPU %u got %lu pings of %u",
			    cpu, received(cpu, VECTOR_PING), round);
		}
	}
	check(received(0, VECTOR_PONG) == expected, "%lu pongs, expected %lu",
	    received(0, VECTOR_PONG), expected);
	print("ping-pong %lu sent %lu received\n", expected, received(0, VECTOR_PONG));
}

void guest_main(void)
{
	if (cpu_count > STORM_CPU_MAX)
		test_abort("%u CPUs, at most %u are supported", cpu_count, STORM_CPU_MAX);
	rounds = (unsigned)option("rounds", ROUNDS_DEFAULT);
	for (unsigned i = 0; i < STORM_CPU_MAX * BURST_COUNT; i++)
		interrupts_set(VECTOR_BURST + i, interrupt_eoi_only);
	for (unsigned i = 0; i < STORM_CPU_MAX; i++)
		interrupts_set(VECTOR_ALL + i, interrupt_eoi_only);
	smp_start();
	smp_run_all(storm, 0, TIMEOUT_MS);
	check_storm_counts();
	watchdog_start(TIMEOUT_MS);
	check_ping_pong();
}
