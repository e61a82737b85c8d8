/* SPDX-License-Identifier: MIT */
/* Guest: KVM_HC_SEND_IPI, one exit for an IPI to many, and what is refused. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/string.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "hypercall";

#define VECTOR_MANY     0x71u
#define ROUNDS          200u
#define SEND_IPI        10u
#define NO_SUCH_CALL    (-1000)
#define INVALID         (-22)
#define LEAF_FIRST      0x40000000u
#define LEAF_STEP       0x100u
#define LEAF_END        0x40010000u
#define FEATURE_SEND_IPI (1u << 11)

struct call {
	uint64_t low, high;
	uint64_t first;
	uint64_t icr;
};

static int64_t hypercall(uint64_t number, const struct call *call)
{
	int64_t result;

	if (cpu_is_amd())
		__asm__ volatile("vmmcall"
				 : "=a"(result)
				 : "a"(number), "b"(call->low), "c"(call->high), "d"(call->first),
				 "S"(call->icr)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "=a"(result)
				 : "a"(number), "b"(call->low), "c"(call->high), "d"(call->first),
				 "S"(call->icr)
				 : "memory");
	return result;
}

/* As Linux looks for it: "KVMKVMKVM" at one of the places for hypervisors. */
static bool has_send_ipi(void)
{
	for (uint32_t leaf = LEAF_FIRST; leaf < LEAF_END; leaf += LEAF_STEP) {
		struct cpuid_result r = cpuid(leaf, 0);

		if (r.ebx == 0x4b4d564bu && r.ecx == 0x564b4d56u && r.edx == 0x4du && r.eax > leaf)
			return cpuid(leaf + 1, 0).eax & FEATURE_SEND_IPI;
	}
	return false;
}

static uint64_t taken(unsigned cpu)
{
	return cpu_at(cpu)->interrupt_count[VECTOR_MANY];
}

static bool all_have(uint64_t count)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		if (taken(cpu) != count)
			return false;
	return true;
}

static void listen(void *argument)
{
	(void)argument;
	interrupts_enable();
}

static void check_refusals(void)
{
	static const struct {
		const char *rule;
		uint64_t number;
		struct call call;
		int64_t result;
	} cases[] = {
	    {"an unknown call", 0x1000, {1, 0, 0, VECTOR_MANY}, NO_SUCH_CALL},
	    {"a number of 64 bits", 1ull << 32 | SEND_IPI, {1, 0, 0, VECTOR_MANY}, NO_SUCH_CALL},
	    {"logical destinations", SEND_IPI, {1, 0, 0, VECTOR_MANY | APIC_ICR_LOGICAL}, INVALID},
	    {"a shorthand", SEND_IPI, {1, 0, 0, VECTOR_MANY | APIC_ICR_ALL}, INVALID},
	    {"nobody", SEND_IPI, {0, 0, 0, VECTOR_MANY}, 0},
	    {"IDs that nobody has", SEND_IPI, {~0ull, ~0ull, 200, VECTOR_MANY}, 0},
	    {"IDs beyond 32 bits", SEND_IPI, {0x3, 0, 0xffffffff, VECTOR_MANY}, 0},
	    {"an illegal vector", SEND_IPI, {1, 0, 0, 3}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t result = hypercall(cases[i].number, &cases[i].call);

		check(result == cases[i].result, "%s: %ld", cases[i].rule, result);
	}
	check(all_have(0), "a refused call has sent something");
}

/* To all: by one call, and by one for itself and one for the IDs from 1 on. */
static void send_rounds(void)
{
	const uint64_t all = (1ull << cpu_count) - 1;
	const struct call one = {all, 0, 0, VECTOR_MANY};
	const struct call itself = {1, 0, 0, VECTOR_MANY}, others = {all >> 1, 0, 1, VECTOR_MANY};

	for (uint64_t i = 1; i <= ROUNDS; i++) {
		int64_t accepted = i & 1 ? hypercall(SEND_IPI, &one)
					 : hypercall(SEND_IPI, &itself) + hypercall(SEND_IPI, &others);

		check(accepted == (int64_t)cpu_count, "round %lu: %ld accepted", i, accepted);
		if (!WAIT_UNTIL(all_have(i), TIMEOUT_MS))
			test_abort("round %lu did not come everywhere", i);
	}
}

void guest_main(void)
{
	if (!has_send_ipi())
		test_skip("CPUID has no KVM_FEATURE_PV_SEND_IPI");
	interrupts_set(VECTOR_MANY, interrupt_eoi_only);
	smp_start();
	for (unsigned cpu = 1; cpu < cpu_count; cpu++)
		smp_run(cpu, listen, 0);
	interrupts_enable();
	check_refusals();
	send_rounds();
}
