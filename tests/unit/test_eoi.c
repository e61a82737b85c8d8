/* SPDX-License-Identifier: MIT */
/* core/eoi.c: which vector an EOI retires, and when the IOAPIC hears of it. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PIN          5u

static int setup(void **state)
{
	struct harness_config config = {.vcpu_count = 2, .directed_eoi = true};

	(void)state;
	harness_create(&config);
	for (uint32_t i = 0; i < 2; i++)
		ph_apic_mmio_write(harness_vcpu(i), APIC_SVR, 4, 0x1ff);
	return 0;
}

static void take(struct ph_vcpu *vcpu, uint8_t vector, bool level)
{
	lapic_accept(vcpu, vector, level);
	lapic_acknowledge(vcpu, vector);
}

static void write_eoi(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_EOI, 4, 0);
}

/* As enter.c does before it chooses. */
static void collect(struct ph_vcpu *vcpu)
{
	if (shared32_and(&vcpu->shared.requests, ~REQUEST_LEVEL, NONE) & REQUEST_LEVEL)
		post_take_levels(vcpu);
	post_drain(vcpu);
}

static uint32_t ioapic_read(uint32_t index)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, index);
	return ph_ioapic_read(harness.vm, IOAPIC_WINDOW);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, index);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, value);
}

static bool remote_irr(void)
{
	return ioapic_read(IOAPIC_TABLE + 2 * PIN) & IOAPIC_RTE_REMOTE_IRR;
}

/* Pin PIN, level-triggered, physical to APIC ID 0, asserted and taken by vCPU 0. */
static void take_from_ioapic(uint8_t vector)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	ioapic_write(IOAPIC_TABLE + 2 * PIN + 1, 0);
	ioapic_write(IOAPIC_TABLE + 2 * PIN, (uint32_t)IOAPIC_RTE_LEVEL | vector);
	assert_int_equal(ph_gsi_set(harness.vm, PIN, 0, true), PH_OK);
	collect(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), vector);
	lapic_acknowledge(vcpu, vector);
	assert_true(remote_irr());
}

static void with_nothing_in_service_does_nothing(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	lapic_accept(vcpu, 0x41, true);
	write_eoi(vcpu);
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x41));
	assert_true(harness_apic_bit(vcpu, APIC_TMR, 0x41));
	assert_int_equal(lapic_highest_isr(vcpu), PH_NO_VECTOR);
}

static void with_nothing_in_service_tells_the_ioapic_nothing(void **state)
{
	(void)state;
	take_from_ioapic(0xff);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	lapic_accept(harness_vcpu(1), 0xff, true);
	write_eoi(harness_vcpu(1));
	assert_true(remote_irr());
}

static void retires_the_highest_in_service(void **state)
{
	static const uint8_t order[] = {0xf3, 0x92, 0x91, 0x40, 0x3f};
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (size_t i = COUNT(order); i-- > 0;)
		take(vcpu, order[i], false);
	for (size_t i = 0; i < COUNT(order); i++) {
		assert_int_equal(lapic_highest_isr(vcpu), order[i]);
		write_eoi(vcpu);
		assert_false(harness_apic_bit(vcpu, APIC_ISR, order[i]));
		assert_int_equal(harness_apic_bit_count(vcpu, APIC_ISR), COUNT(order) - 1 - i);
	}
	assert_int_equal(lapic_reg(vcpu, APIC_PPR), 0);
}

static void any_value_written_is_an_eoi_in_xapic_mode(void **state)
{
	static const uint32_t values[] = {0, 1, 0x31, 0xffffffff};
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		take(vcpu, 0x31, false);
		ph_apic_mmio_write(vcpu, APIC_EOI, 4, values[i]);
		assert_int_equal(lapic_highest_isr(vcpu), PH_NO_VECTOR);
	}
}

/* What they leave is what the general door leaves, register for register. */
static void short_ways_do_as_the_general_one(void **state)
{
	static const uint32_t icrs[] = {0x44051, 0x41152, 0x4000f, 0x45053, 0x440f4};
	struct ph_vcpu *general = harness_vcpu(0), *direct = harness_vcpu(1);

	(void)state;
	for (size_t i = 0; i < COUNT(icrs); i++) {
		ph_apic_mmio_write(general, APIC_ICR, 4, icrs[i]);
		ph_apic_icr_write(direct, icrs[i]);
		collect(general);
		collect(direct);
		if (lapic_deliverable(general) != PH_NO_VECTOR) {
			take(general, (uint8_t)lapic_deliverable(general), i & 1);
			take(direct, (uint8_t)lapic_deliverable(direct), i & 1);
		}
		for (uint32_t reg = APIC_LDR; reg < 0x400; reg += 16)
			assert_int_equal(lapic_reg(direct, reg), lapic_reg(general, reg));
		ph_apic_mmio_write(general, APIC_EOI, 4, 0);
		ph_apic_eoi(direct);
		for (uint32_t reg = APIC_LDR; reg < 0x400; reg += 16)
			assert_int_equal(lapic_reg(direct, reg), lapic_reg(general, reg));
	}
}

/* With virtual-interrupt delivery the processor sets ISR bits that the core has not seen yet. */
static void the_short_way_sees_what_the_processor_took(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	lapic_set_reg(vcpu, APIC_ISR + 0x20, 1u << (0x51 & 31));
	vcpu->lapic.is_stale = true;
	ph_apic_eoi(vcpu);
	assert_int_equal(lapic_reg(vcpu, APIC_ISR + 0x20), 0);
	assert_false(vcpu->lapic.is_stale);
}

static void x2apic_takes_only_zero(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	assert_int_equal(ph_apic_msr_write(vcpu, 0x1b, vcpu->lapic.base | APIC_BASE_X2APIC), PH_OK);
	take(vcpu, 0x31, false);
	assert_int_equal(ph_apic_msr_write(vcpu, 0x80b, 1), PH_GUEST_GP);
	assert_int_equal(ph_apic_msr_write(vcpu, 0x80b, 1ull << 32), PH_GUEST_GP);
	assert_int_equal(lapic_highest_isr(vcpu), 0x31);
	assert_int_equal(ph_apic_msr_write(vcpu, 0x80b, 0), PH_OK);
	assert_int_equal(lapic_highest_isr(vcpu), PH_NO_VECTOR);
}

static void lowers_ppr_so_that_what_waited_is_deliverable(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	take(vcpu, 0x61, false);
	lapic_accept(vcpu, 0x62, false);
	assert_int_equal(lapic_deliverable(vcpu), PH_NO_VECTOR);
	write_eoi(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), 0x62);
}

static void tpr_still_holds_after_the_eoi(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	take(vcpu, 0x61, false);
	lapic_accept(vcpu, 0x62, false);
	lapic_set_tpr(vcpu, 0x60);
	write_eoi(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), PH_NO_VECTOR);
	assert_int_equal(lapic_reg(vcpu, APIC_PPR), 0x60);
}

static void level_reaches_the_ioapic(void **state)
{
	(void)state;
	take_from_ioapic(0x71);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	write_eoi(harness_vcpu(0));
	assert_false(remote_irr());
	collect(harness_vcpu(0));
	assert_int_equal(lapic_deliverable(harness_vcpu(0)), PH_NO_VECTOR);
}

static void level_still_asserted_comes_again(void **state)
{
	(void)state;
	take_from_ioapic(0x71);
	write_eoi(harness_vcpu(0));
	collect(harness_vcpu(0));
	assert_true(remote_irr());
	assert_int_equal(lapic_deliverable(harness_vcpu(0)), 0x71);
}

static void edge_does_not_reach_the_ioapic(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	take_from_ioapic(0x71);
	/* Low, or the pin's interrupt would come again at once. */
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	/* The same vector by an edge on another CPU: its EOI is none of the IOAPIC's business. */
	take(harness_vcpu(1), 0x71, false);
	write_eoi(harness_vcpu(1));
	assert_true(remote_irr());
	write_eoi(vcpu);
	assert_false(remote_irr());
}

static void broadcast_reaches_the_ioapic_from_any_cpu(void **state)
{
	(void)state;
	take_from_ioapic(0x71);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	take(harness_vcpu(1), 0x71, true);
	write_eoi(harness_vcpu(1));
	assert_false(remote_irr());
}

static void another_vector_leaves_the_pin_alone(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	take_from_ioapic(0x71);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	take(vcpu, 0x81, true);
	write_eoi(vcpu);
	assert_true(remote_irr());
}

/* SDM vol. 3, "Directed EOI": with the broadcast suppressed the guest writes the IOAPIC's register.
 */
static void suppressed_broadcast_leaves_it_to_directed_eoi(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, 0x1ff | APIC_SVR_SUPPRESS_BROADCAST);
	take_from_ioapic(0x71);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	write_eoi(vcpu);
	assert_int_equal(lapic_highest_isr(vcpu), PH_NO_VECTOR);
	assert_true(remote_irr());
	ph_ioapic_write(harness.vm, IOAPIC_EOI, 0x71);
	assert_false(remote_irr());
}

static void suppression_bit_does_nothing_when_not_supported(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, 0x1ff | APIC_SVR_SUPPRESS_BROADCAST);
	take_from_ioapic(0x71);
	(void)ph_gsi_set(harness.vm, PIN, 0, false);
	write_eoi(vcpu);
	assert_false(remote_irr());
}

/* SDM vol. 3, "Local Vector Table", LINT0 as a fixed, level-triggered input. */
static void level_of_lint0_comes_again_while_the_pin_is_high(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, APIC_LVT_LEVEL | 0x51);
	ph_vcpu_lint(vcpu, 0, true);
	source_lvt_lint_service(vcpu);
	lapic_acknowledge(vcpu, 0x51);
	assert_true(lapic_reg(vcpu, APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
	write_eoi(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), 0x51);
	lapic_acknowledge(vcpu, 0x51);
	ph_vcpu_lint(vcpu, 0, false);
	write_eoi(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), PH_NO_VECTOR);
	assert_false(lapic_reg(vcpu, APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(with_nothing_in_service_does_nothing),
	    TEST(with_nothing_in_service_tells_the_ioapic_nothing),
	    TEST(retires_the_highest_in_service),
	    TEST(any_value_written_is_an_eoi_in_xapic_mode),
	    TEST(short_ways_do_as_the_general_one),
	    TEST(the_short_way_sees_what_the_processor_took),
	    TEST(x2apic_takes_only_zero),
	    TEST(lowers_ppr_so_that_what_waited_is_deliverable),
	    TEST(tpr_still_holds_after_the_eoi),
	    TEST(level_reaches_the_ioapic),
	    TEST(level_still_asserted_comes_again),
	    TEST(edge_does_not_reach_the_ioapic),
	    TEST(broadcast_reaches_the_ioapic_from_any_cpu),
	    TEST(another_vector_leaves_the_pin_alone),
	    TEST(suppressed_broadcast_leaves_it_to_directed_eoi),
	    TEST(suppression_bit_does_nothing_when_not_supported),
	    TEST(level_of_lint0_comes_again_while_the_pin_is_high),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
