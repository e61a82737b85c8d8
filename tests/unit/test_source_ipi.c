/* SPDX-License-Identifier: MIT */
/* core/source_ipi.c: ICR and SELF_IPI, on to what each vCPU receives. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VCPUS        4u
#define SENDER       1u
#define VECTOR       0x85u
#define MODE(name)   ((uint32_t)APIC_DELIVERY_##name << 8)
#define TO_SELF      (1u << 18)
#define TO_ALL       (2u << 18)
#define TO_OTHERS    (3u << 18)

/* What a vCPU received: one letter. */
static char received(struct ph_vcpu *vcpu)
{
	uint32_t requests = harness_requests(vcpu);

	if (requests & REQUEST_NMI)
		return 'N';
	if (requests & REQUEST_INIT)
		return 'I';
	if (requests & REQUEST_SIPI)
		return 'S';
	if (requests & REQUEST_SMI)
		return 'M';
	return harness_is_pending(vcpu, VECTOR) ? 'F' : '-';
}

static int setup(void **state)
{
	struct harness_config config = {.vcpu_count = VCPUS};

	(void)state;
	harness_create(&config);
	for (uint32_t i = 0; i < VCPUS; i++) {
		ph_apic_mmio_write(harness_vcpu(i), APIC_SVR, 4, 0x1ff);
		ph_apic_mmio_write(harness_vcpu(i), APIC_LDR, 4, 1u << (24 + i));
	}
	return 0;
}

static void forget(void)
{
	for (uint32_t i = 0; i < harness.vcpu_count; i++)
		harness_clear_pending(harness_vcpu(i));
}

static struct ph_vcpu *sender(void)
{
	return harness_vcpu(SENDER);
}

static void send_xapic(uint32_t icr, uint32_t destination)
{
	ph_apic_mmio_write(sender(), APIC_ICR2, 4, destination << 24);
	ph_apic_mmio_write(sender(), APIC_ICR, 4, icr);
}

static uint32_t esr(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_ESR, 4, 0);
	return ph_apic_mmio_read(vcpu, APIC_ESR, 4);
}

static void expect(const char *rule, const char *expected)
{
	char seen[VCPUS + 1] = {0};

	for (uint32_t i = 0; i < VCPUS; i++)
		seen[i] = received(harness_vcpu(i));
	for (uint32_t i = 0; i < VCPUS; i++) {
		if (seen[i] != expected[i])
			fail_msg("%s: received %s, not %s", rule, seen, expected);
	}
	forget();
}

/* SDM vol. 3, table "Valid Combinations ... Interrupt Command Register"; vCPU 1 sends. */
static const struct {
	const char *rule;
	uint32_t icr;
	uint32_t destination;
	const char *received;
} combinations[] = {
    {"fixed, physical", MODE(FIXED), 2, "--F-"},
    {"fixed, physical, to itself", MODE(FIXED), SENDER, "-F--"},
    {"fixed, physical broadcast", MODE(FIXED), 0xff, "FFFF"},
    {"fixed, no such CPU", MODE(FIXED), 77, "----"},
    {"fixed, logical flat", MODE(FIXED) | APIC_ICR_LOGICAL, 0x5, "F-F-"},
    {"fixed, logical to nobody", MODE(FIXED) | APIC_ICR_LOGICAL, 0x80, "----"},
    {"SMI, physical", MODE(SMI), 2, "--M-"},
    {"reserved mode", MODE(RESERVED), 2, "----"},
    {"NMI, physical", MODE(NMI), 3, "---N"},
    {"NMI, physical, to itself", MODE(NMI), SENDER, "-N--"},
    {"NMI, logical", MODE(NMI) | APIC_ICR_LOGICAL, 0xc, "--NN"},
    {"INIT, edge", MODE(INIT), 2, "--I-"},
    {"INIT, level assert", MODE(INIT) | APIC_ICR_LEVEL | APIC_ICR_ASSERT, 2, "--I-"},
    {"INIT level de-assert is ignored", MODE(INIT) | APIC_ICR_LEVEL, 2, "----"},
    {"INIT level de-assert to all others", MODE(INIT) | APIC_ICR_LEVEL | TO_OTHERS, 0, "----"},
    {"start-up", MODE(STARTUP), 3, "---S"},
    {"ExtINT is no IPI", MODE(EXTINT), 2, "----"},
    {"fixed, self", MODE(FIXED) | TO_SELF, 0, "-F--"},
    {"fixed, self, destination ignored", MODE(FIXED) | TO_SELF, 3, "-F--"},
    {"fixed, self, destination mode ignored", APIC_ICR_LOGICAL | TO_SELF, 4, "-F--"},
    {"lowest priority, self: invalid", MODE(LOWEST) | TO_SELF, 0, "----"},
    {"SMI, self: invalid", MODE(SMI) | TO_SELF, 0, "----"},
    {"NMI, self: invalid", MODE(NMI) | TO_SELF, 0, "----"},
    {"INIT, self: invalid", MODE(INIT) | TO_SELF, 0, "----"},
    {"start-up, self: invalid", MODE(STARTUP) | TO_SELF, 0, "----"},
    {"fixed, all", MODE(FIXED) | TO_ALL, 0, "FFFF"},
    {"lowest priority, all: invalid", MODE(LOWEST) | TO_ALL, 0, "----"},
    {"SMI, all: invalid", MODE(SMI) | TO_ALL, 0, "----"},
    {"NMI, all: invalid", MODE(NMI) | TO_ALL, 0, "----"},
    {"INIT, all: invalid", MODE(INIT) | TO_ALL, 0, "----"},
    {"start-up, all: invalid", MODE(STARTUP) | TO_ALL, 0, "----"},
    {"fixed, others", MODE(FIXED) | TO_OTHERS, 0, "F-FF"},
    {"SMI, others", MODE(SMI) | TO_OTHERS, 0, "M-MM"},
    {"NMI, others", MODE(NMI) | TO_OTHERS, 0, "N-NN"},
    {"INIT, others", MODE(INIT) | TO_OTHERS | APIC_ICR_ASSERT, 0, "I-II"},
    {"start-up, others", MODE(STARTUP) | TO_OTHERS, 0, "S-SS"},
    {"reserved mode, others", MODE(RESERVED) | TO_OTHERS, 0, "----"},
    {"level trigger is sent all the same", APIC_ICR_LEVEL | APIC_ICR_ASSERT, 2, "--F-"},
    {"level without assert is sent all the same", APIC_ICR_LEVEL, 2, "--F-"},
    {"delivery status bit is ignored", APIC_ICR_PENDING, 2, "--F-"},
};

static void icr_combinations(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(combinations); i++) {
		send_xapic(combinations[i].icr | VECTOR, combinations[i].destination);
		expect(combinations[i].rule, combinations[i].received);
		assert_int_equal(esr(sender()), 0);
	}
}

static void same_combinations_in_x2apic_mode(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VCPUS; i++) {
		struct ph_vcpu *vcpu = harness_vcpu(i);

		assert_int_equal(
		    ph_apic_msr_write(vcpu, 0x1b, vcpu->lapic.base | APIC_BASE_X2APIC), PH_OK);
	}
	for (size_t i = 0; i < COUNT(combinations); i++) {
		uint64_t destination = combinations[i].destination;

		if (destination == 0xff)
			destination = 0xffffffff;
		assert_int_equal(ph_apic_msr_write(sender(), 0x830,
		                     destination << 32 | combinations[i].icr | VECTOR),
		    PH_OK);
		expect(combinations[i].rule, combinations[i].received);
	}
}

/* ph_ipi_multicast(): as ICR with each ID in turn; what it returns, and who received. */
static void multicast(void **state)
{
	static const struct {
		const char *rule;
		uint32_t icr, first;
		uint64_t set[2];
		int result;
		const char *received;
	} cases[] = {
	    {"bits of the first word", MODE(FIXED), 0, {0xd, 0}, 3, "F-FF"},
	    {"itself too", MODE(FIXED), 0, {0xf, 0}, 4, "FFFF"},
	    {"IDs from `first` on", MODE(FIXED), 2, {0x3, 0}, 2, "--FF"},
	    {"NMI", MODE(NMI), 1, {0x5, 0}, 2, "-N-N"},
	    {"INIT", MODE(INIT) | APIC_ICR_LEVEL | APIC_ICR_ASSERT, 2, {0x1, 0}, 1, "--I-"},
	    {"nobody", MODE(FIXED), 0, {0, 0}, 0, "----"},
	    {"IDs that nobody has", MODE(FIXED), 4, {UINT64_MAX, UINT64_MAX}, 0, "----"},
	    {"the second word is 64 IDs on", MODE(FIXED), 0, {0, UINT64_MAX}, 0, "----"},
	    {"255 is no broadcast", MODE(FIXED), 255, {0x1, 0}, 0, "----"},
	    {"nor is FFFFFFFFh", MODE(FIXED), UINT32_MAX, {0x1, 0}, 0, "----"},
	    {"IDs do not wrap", MODE(FIXED), UINT32_MAX, {0x6, 0}, 0, "----"},
	    {"ExtINT is no IPI", MODE(EXTINT), 0, {0xf, 0}, 0, "----"},
	    {"INIT level de-assert is ignored", MODE(INIT) | APIC_ICR_LEVEL, 2, {0x1, 0}, 0, "----"},
	    {"no shorthand", MODE(FIXED) | TO_ALL, 0, {0xf, 0}, PH_EINVAL, "----"},
	    {"no logical destination", MODE(FIXED) | APIC_ICR_LOGICAL, 0, {0xf, 0}, PH_EINVAL, "----"},
	    {"no reserved bit", MODE(FIXED) | 1u << 20, 0, {0xf, 0}, PH_EINVAL, "----"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int result =
		    ph_ipi_multicast(sender(), cases[i].icr | VECTOR, cases[i].first, cases[i].set);

		if (result != cases[i].result)
			fail_msg("%s: %d", cases[i].rule, result);
		expect(cases[i].rule, cases[i].received);
	}
	assert_int_equal(esr(sender()), 0);
	assert_int_equal(ph_ipi_multicast(sender(), 15, 0, (uint64_t[]){0xf, 0}), 0);
	assert_int_equal(esr(sender()), APIC_ESR_SEND_VECTOR);
	expect("an illegal vector", "----");
}

/* The second word, where it is somebody. */
static void multicast_beyond_the_first_word(void **state)
{
	static const uint32_t apic_ids[] = {70};
	struct harness_config config = {.vcpu_count = 1, .apic_ids = apic_ids};
	uint64_t set[2] = {0, 1u << 6};

	(void)state;
	harness_destroy();
	harness_create(&config);
	ph_apic_mmio_write(harness_vcpu(0), APIC_SVR, 4, 0x1ff);
	assert_int_equal(ph_ipi_multicast(harness_vcpu(0), VECTOR, 0, set), 1);
	assert_true(harness_is_pending(harness_vcpu(0), VECTOR));
	harness_clear_pending(harness_vcpu(0));
	set[1] = 1u << 5;
	assert_int_equal(ph_ipi_multicast(harness_vcpu(0), VECTOR, 0, set), 0);
}

static void lowest_priority_takes_exactly_one(void **state)
{
	uint32_t receivers = 0;

	(void)state;
	send_xapic(MODE(LOWEST) | APIC_ICR_LOGICAL | VECTOR, 0xf);
	for (uint32_t i = 0; i < VCPUS; i++)
		receivers += received(harness_vcpu(i)) == 'F';
	assert_int_equal(receivers, 1);
	forget();
	/* All but vCPU 3 busy at a higher priority. */
	for (uint32_t i = 0; i < 3; i++)
		lapic_set_tpr(harness_vcpu(i), 0x70);
	send_xapic(MODE(LOWEST) | APIC_ICR_LOGICAL | VECTOR, 0xf);
	expect("lowest priority", "---F");
}

static void sipi_carries_its_vector(void **state)
{
	(void)state;
	/* Any: it is a page number, not an interrupt vector. */
	for (uint32_t vector = 0; vector < 256; vector += 15) {
		send_xapic(MODE(STARTUP) | vector, 2);
		assert_int_equal(received(harness_vcpu(2)), 'S');
		assert_int_equal(shared32_load(&harness_vcpu(2)->shared.sipi_vector, NONE), vector);
		forget();
	}
	assert_int_equal(esr(sender()), 0);
}

/* SDM vol. 3, "Error Handling": Send Illegal Vector, for fixed and lowest priority alone. */
static void illegal_vectors(void **state)
{
	static const uint32_t checked[] = {MODE(FIXED), MODE(LOWEST), MODE(FIXED) | TO_SELF,
	    MODE(FIXED) | TO_ALL, MODE(FIXED) | TO_OTHERS, MODE(LOWEST) | TO_OTHERS};
	static const uint32_t unchecked[] = {MODE(NMI), MODE(SMI), MODE(INIT), MODE(STARTUP)};

	(void)state;
	for (uint32_t vector = 0; vector < 17; vector++) {
		for (size_t i = 0; i < COUNT(checked); i++) {
			send_xapic(checked[i] | vector, 2);
			assert_int_equal(esr(sender()), vector < 16 ? APIC_ESR_SEND_VECTOR : 0);
			for (uint32_t v = 0; vector < 16 && v < VCPUS; v++) {
				assert_int_equal(
				    harness_apic_bit_count(harness_vcpu(v), APIC_IRR), 0);
				assert_false(harness_is_pending(harness_vcpu(v), (uint8_t)vector));
				assert_int_equal(esr(harness_vcpu(v)), 0);
			}
			forget();
		}
		for (size_t i = 0; i < COUNT(unchecked); i++) {
			send_xapic(unchecked[i] | vector, 2);
			assert_int_equal(esr(sender()), 0);
			assert_int_not_equal(harness_requests(harness_vcpu(2)), 0);
			forget();
		}
	}
}

static void self_ipi_goes_straight_to_irr(void **state)
{
	struct harness_vcpu *host = harness_host(sender());

	(void)state;
	send_xapic(TO_SELF | VECTOR, 0);
	assert_true(harness_apic_bit(sender(), APIC_IRR, VECTOR));
	assert_false(post_is_on(sender()));
	assert_int_equal(host->notify_count + host->wake_count, 0);
	assert_int_equal(harness_requests(sender()), 0);
}

static void another_vcpu_is_posted_to(void **state)
{
	(void)state;
	send_xapic(VECTOR, 2);
	assert_false(harness_apic_bit(harness_vcpu(2), APIC_IRR, VECTOR));
	assert_true(post_is_on(harness_vcpu(2)));
}

static void ipis_are_edge_triggered(void **state)
{
	static const uint32_t targets[] = {TO_SELF, TO_ALL};

	(void)state;
	for (size_t i = 0; i < COUNT(targets); i++) {
		send_xapic(targets[i] | APIC_ICR_LEVEL | APIC_ICR_ASSERT | VECTOR, 0);
		for (uint32_t v = 0; v < VCPUS; v++) {
			post_drain(harness_vcpu(v));
			assert_int_equal(harness_apic_bit_count(harness_vcpu(v), APIC_TMR), 0);
			assert_int_equal(harness_requests(harness_vcpu(v)) & REQUEST_LEVEL, 0);
		}
	}
}

static void software_disabled_target_takes_no_fixed_ipi(void **state)
{
	(void)state;
	ph_apic_mmio_write(sender(), APIC_SVR, 4, 0xff);
	ph_apic_mmio_write(harness_vcpu(2), APIC_SVR, 4, 0xff);
	send_xapic(TO_SELF | VECTOR, 0);
	expect("self", "----");
	/* It may still send, and the others answer to NMI, INIT, SIPI and SMI. */
	send_xapic(TO_OTHERS | VECTOR, 0);
	expect("fixed to others", "F--F");
	send_xapic(TO_OTHERS | MODE(NMI), 0);
	expect("NMI to others", "N-NN");
	send_xapic(TO_OTHERS | MODE(STARTUP), 0);
	expect("start-up to others", "S-SS");
}

static void icr_high_half_alone_sends_nothing(void **state)
{
	(void)state;
	send_xapic(VECTOR, 2);
	forget();
	ph_apic_mmio_write(sender(), APIC_ICR2, 4, 3u << 24);
	expect("ICR high", "----");
}

static void counted_as_ipis(void **state)
{
	struct ph_counters counters;

	(void)state;
	send_xapic(TO_ALL | VECTOR, 0);
	send_xapic(TO_SELF | VECTOR, 0);
	for (uint32_t i = 0; i < VCPUS; i++) {
		ph_vcpu_counters(harness_vcpu(i), &counters);
		assert_int_equal(counters.posted_count[PH_SOURCE_IPI], i == SENDER ? 2 : 1);
	}
}

/* ---- x2APIC alone -------------------------------------------------------------------------- */

/* IDs that need more than 8 bits; all in x2APIC mode; vCPU 1 sends. */
static void setup_large_ids(void)
{
	static const uint32_t ids[VCPUS] = {0, 255, 256, 1023};
	struct harness_config config = {.vcpu_count = VCPUS, .apic_ids = ids};

	harness_create(&config);
	for (uint32_t i = 0; i < VCPUS; i++) {
		struct ph_vcpu *vcpu = harness_vcpu(i);

		(void)ph_apic_msr_write(vcpu, 0x1b, vcpu->lapic.base | APIC_BASE_X2APIC);
		(void)ph_apic_msr_write(vcpu, 0x80f, 0x1ff);
	}
}

static const struct {
	const char *rule;
	uint32_t icr;
	uint32_t destination;
	const char *received;
} large_ids[] = {
    {"ID 255 is no broadcast", 0, 255, "-F--"},
    {"ID 256", 0, 256, "--F-"},
    {"ID 1023", 0, 1023, "---F"},
    {"ID 0 does not alias 256", 0, 0, "F---"},
    {"no such ID", 0, 512, "----"},
    {"broadcast", 0, 0xffffffff, "FFFF"},
    {"logical: cluster 16, bit 0", APIC_ICR_LOGICAL, 16u << 16 | 1, "--F-"},
    {"logical: cluster 63, bit 15", APIC_ICR_LOGICAL, 63u << 16 | 1u << 15, "---F"},
    {"logical: cluster 15 and another bit", APIC_ICR_LOGICAL, 15u << 16 | 1, "----"},
    {"logical: cluster 15, all bits", APIC_ICR_LOGICAL, 15u << 16 | 0xffff, "-F--"},
    {"logical broadcast", APIC_ICR_LOGICAL, 0xffffffff, "FFFF"},
    {"others", TO_OTHERS, 0, "F-FF"},
};

static void ids_above_255(void **state)
{
	(void)state;
	setup_large_ids();
	for (size_t i = 0; i < COUNT(large_ids); i++) {
		assert_int_equal(
		    ph_apic_msr_write(sender(), 0x830,
		        (uint64_t)large_ids[i].destination << 32 | large_ids[i].icr | VECTOR),
		    PH_OK);
		expect(large_ids[i].rule, large_ids[i].received);
	}
}

static void self_ipi_register(void **state)
{
	uint64_t value;

	(void)state;
	setup_large_ids();
	assert_int_equal(ph_apic_msr_write(sender(), 0x83f, VECTOR), PH_OK);
	assert_true(harness_apic_bit(sender(), APIC_IRR, VECTOR));
	expect("SELF_IPI", "-F--");
	assert_int_equal(ph_apic_msr_write(sender(), 0x83f, 0x100), PH_GUEST_GP);
	assert_int_equal(ph_apic_msr_read(sender(), 0x83f, &value), PH_GUEST_GP);
	for (uint32_t vector = 0; vector < 16; vector++) {
		assert_int_equal(ph_apic_msr_write(sender(), 0x83f, vector), PH_OK);
		assert_int_equal(harness_apic_bit_count(sender(), APIC_IRR), 0);
		assert_int_equal(ph_apic_msr_write(sender(), 0x828, 0), PH_OK);
		assert_int_equal(ph_apic_msr_read(sender(), 0x828, &value), PH_OK);
		assert_int_equal(value, APIC_ESR_RECV_VECTOR);
	}
}

static void self_ipi_register_of_a_software_disabled_apic(void **state)
{
	(void)state;
	setup_large_ids();
	assert_int_equal(ph_apic_msr_write(sender(), 0x80f, 0xff), PH_OK);
	assert_int_equal(ph_apic_msr_write(sender(), 0x83f, VECTOR), PH_OK);
	expect("SELF_IPI", "----");
}

/* Random ICR writes by every vCPU in both modes: nothing may crash, and no illegal vector arrives.
 */
static void any_icr_is_harmless(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (uint32_t round = 0; round < 20000; round++) {
		struct ph_vcpu *vcpu = harness_vcpu(round % VCPUS);

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (round == 10000) {
			for (uint32_t i = 0; i < VCPUS; i++)
				(void)ph_apic_msr_write(harness_vcpu(i), 0x1b,
				    harness_vcpu(i)->lapic.base | APIC_BASE_X2APIC);
		}
		ph_apic_mmio_write(vcpu, APIC_ICR2, 4, (uint32_t)(seed >> 32));
		ph_apic_mmio_write(vcpu, APIC_ICR, 4, (uint32_t)seed);
		(void)ph_apic_msr_write(vcpu, 0x830, seed & ~0xfff32000ull);
		for (uint32_t i = 0; i < VCPUS; i++) {
			for (uint32_t vector = 0; vector < 16; vector++)
				assert_false(harness_is_pending(harness_vcpu(i), (uint8_t)vector));
		}
		forget();
	}
	assert_int_equal(harness.irq_save_depth, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(icr_combinations),
	    TEST(same_combinations_in_x2apic_mode),
	    TEST(multicast),
	    TEST(multicast_beyond_the_first_word),
	    TEST(lowest_priority_takes_exactly_one),
	    TEST(sipi_carries_its_vector),
	    TEST(illegal_vectors),
	    TEST(self_ipi_goes_straight_to_irr),
	    TEST(another_vcpu_is_posted_to),
	    TEST(ipis_are_edge_triggered),
	    TEST(software_disabled_target_takes_no_fixed_ipi),
	    TEST(icr_high_half_alone_sends_nothing),
	    TEST(counted_as_ipis),
	    TEST(ids_above_255),
	    TEST(self_ipi_register),
	    TEST(self_ipi_register_of_a_software_disabled_apic),
	    TEST(any_icr_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
