/* SPDX-License-Identifier: MIT */
/* Guest: CPUs send each other a million IPIs in all; each one sent is received, pair by pair. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "soak";

#define SOAK_CPU_MAX      16u
#define VECTOR_SENDER     0x40u /* + sender: a receiver's count of it is the pair's count */
#define VECTOR_TIMER      0x39u
#define TOTAL_DEFAULT     1000000u
#define IDLE_PASS_COUNT   64u
#define NO_PROGRESS_MS    60000u
#define SLEEP_TIMER_COUNT 0x4000u

struct pair {
	uint64_t quota;
	volatile uint64_t sent_count;
};

static struct pair pairs[SOAK_CPU_MAX][SOAK_CPU_MAX];
static volatile unsigned working_count;
static bool may_halt;
static bool uses_x2apic;
static uint64_t halt_count[SOAK_CPU_MAX];
static uint64_t wakeup_count[SOAK_CPU_MAX];

static uint64_t received(unsigned from, unsigned to)
{
	return cpu_at(to)->interrupt_count[VECTOR_SENDER + from];
}

/*
 * At most one IPI of a pair is under way: IRR would hold two as one. The receiver's count in
 * memory is the acknowledgement. Returns how many IPIs were sent.
 */
static unsigned send_where_acknowledged(unsigned me, bool *is_done)
{
	unsigned count = 0;

	*is_done = true;
	for (unsigned to = 0; to < cpu_count; to++) {
		struct pair *pair = &pairs[me][to];

		if (received(me, to) != pair->sent_count) {
			*is_done = false;
			continue;
		}
		if (pair->sent_count == pair->quota)
			continue;
		*is_done = false;
		pair->sent_count++;
		apic_send(to, VECTOR_SENDER + me);
		count++;
	}
	return count;
}

/* Any IPI ends the halt; the timer does where all CPUs halt and wait for no IPI. */
static void halt_with_timer(unsigned me)
{
	interrupts_disable();
	apic_write(APIC_TMICT, SLEEP_TIMER_COUNT);
	halt_count[me]++;
	interrupts_enable_and_halt();
	wakeup_count[me]++;
	apic_write(APIC_TMICT, 0);
}

static void soak(void *argument)
{
	unsigned me = this_cpu()->index, idle_passes = 0;
	uint64_t end = tsc_after_ms(NO_PROGRESS_MS);
	bool is_done = false;

	(void)argument;
	if (uses_x2apic)
		apic_enter_x2apic();
	apic_write(APIC_TDCR, APIC_TDCR_16);
	apic_write(APIC_LVT_TIMER, APIC_LVT_TIMER_ONE_SHOT | VECTOR_TIMER);
	interrupts_enable();
	while (!is_done) {
		if (send_where_acknowledged(me, &is_done)) {
			idle_passes = 0;
			end = tsc_after_ms(NO_PROGRESS_MS);
			continue;
		}
		if (rdtsc() > end)
			test_abort("CPU %u: no acknowledgement for %u ms", me, NO_PROGRESS_MS);
		if (may_halt && ++idle_passes % IDLE_PASS_COUNT == 0)
			halt_with_timer(me);
		else
			cpu_pause();
	}
	/* The others' IPIs still come. */
	__atomic_sub_fetch(&working_count, 1, __ATOMIC_SEQ_CST);
	while (working_count && rdtsc() < end + tsc_ticks_per_ms() * NO_PROGRESS_MS)
		cpu_pause();
	if (working_count)
		test_abort("CPU %u: %u CPUs are not done", me, working_count);
	interrupts_disable();
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

/* A pair is two CPUs; a lone CPU is its own peer. */
static void share_out(uint64_t total)
{
	unsigned pair_count = cpu_count > 1 ? cpu_count * (cpu_count - 1) : 1;
	unsigned index = 0;

	for (unsigned from = 0; from < cpu_count; from++) {
		for (unsigned to = 0; to < cpu_count; to++) {
			if (from == to && cpu_count > 1)
				continue;
			pairs[from][to].quota = total / pair_count + (index < total % pair_count);
			index++;
		}
	}
}

static void report(uint64_t total)
{
	uint64_t sent = 0, arrived = 0;

	print("soak from to       sent   received\n");
	for (unsigned from = 0; from < cpu_count; from++) {
		for (unsigned to = 0; to < cpu_count; to++) {
			const struct pair *pair = &pairs[from][to];

			sent += pair->sent_count;
			arrived += received(from, to);
			check(pair->sent_count == pair->quota, "%u to %u: sent %lu of %lu", from,
			    to, pair->sent_count, pair->quota);
			check(received(from, to) == pair->sent_count, "%u to %u: received %lu",
			    from, to, received(from, to));
			if (pair->quota)
				print("soak %4u %2u %10lu %10lu\n", from, to, pair->sent_count,
				    received(from, to));
		}
	}
	print("soak all     %10lu %10lu\n", sent, arrived);
	check(sent == total && arrived == total, "sent %lu, received %lu, asked for %lu", sent,
	    arrived, total);
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		check(wakeup_count[cpu] == halt_count[cpu], "CPU %u: halts without wakeup", cpu);
		print("soak cpu %u halted %lu times\n", cpu, halt_count[cpu]);
	}
}

void guest_main(void)
{
	uint64_t total = option("total", TOTAL_DEFAULT);

	if (cpu_count > SOAK_CPU_MAX)
		test_abort("%u CPUs, at most %u are supported", cpu_count, SOAK_CPU_MAX);
	may_halt = option("halt", 1);
	/* One exit for each IPI and EOI instead of several, where all CPUs have it. */
	uses_x2apic = option("x2apic", 1) && cpu_has_x2apic();
	for (unsigned i = 0; i < SOAK_CPU_MAX; i++)
		interrupts_set(VECTOR_SENDER + i, interrupt_eoi_only);
	interrupts_set(VECTOR_TIMER, interrupt_eoi_only);
	share_out(total);
	smp_start();
	working_count = cpu_count;
	smp_run_all(soak, 0, NO_PROGRESS_MS);
	report(total);
}
