/* SPDX-License-Identifier: MIT */
/* core/lapic.c: reset state, IRR and ISR, TPR and PPR, what may be delivered. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

#define NONE PH_NO_VECTOR

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void to_x2apic(struct ph_vcpu *vcpu)
{
	assert_int_equal(ph_apic_msr_write(vcpu, 0x1b, vcpu->lapic.base | APIC_BASE_X2APIC), PH_OK);
}

/* SDM vol. 3, "Local APIC State After Power-Up or Reset". */
static const struct {
	uint32_t reg;
	uint32_t value;
} reset_values[] = {
    {APIC_VERSION, 0x50014},
    {APIC_TPR, 0},
    {APIC_PPR, 0},
    {APIC_LDR, 0},
    {APIC_DFR, 0xffffffff},
    {APIC_SVR, 0xff},
    {APIC_ESR, 0},
    {APIC_ICR, 0},
    {APIC_ICR2, 0},
    {APIC_LVT_TIMER, 0x10000},
    {APIC_LVT_THERM, 0x10000},
    {APIC_LVT_PMC, 0x10000},
    {APIC_LVT_LINT0, 0x10000},
    {APIC_LVT_LINT1, 0x10000},
    {APIC_LVT_ERROR, 0x10000},
    {APIC_TMICT, 0},
    {APIC_TMCCT, 0},
    {APIC_TDCR, 0},
};

static void assert_reset_values(const struct ph_vcpu *vcpu)
{
	for (size_t i = 0; i < COUNT(reset_values); i++) {
		if (lapic_reg(vcpu, reset_values[i].reg) != reset_values[i].value)
			fail_msg("register %#x: %#x, not %#x", reset_values[i].reg,
			    lapic_reg(vcpu, reset_values[i].reg), reset_values[i].value);
	}
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 0);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_ISR), 0);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_TMR), 0);
}

static void power_up_state(void **state)
{
	const uint32_t ids[] = {3, 9};
	struct harness_config config = {.vcpu_count = 2, .apic_ids = ids};

	(void)state;
	harness_create(&config);
	for (uint32_t i = 0; i < 2; i++) {
		assert_reset_values(harness_vcpu(i));
		assert_int_equal(lapic_reg(harness_vcpu(i), APIC_ID), ids[i] << 24);
	}
	assert_int_equal(harness_vcpu(0)->lapic.base, 0xfee00900);
	assert_int_equal(harness_vcpu(1)->lapic.base, 0xfee00800);
}

static void scribble(struct ph_vcpu *vcpu)
{
	for (uint32_t reg = 0x80; reg < 0x400; reg += 16)
		lapic_set_reg(vcpu, reg, 0xa5a5a5a5);
	lapic_rebuild(vcpu);
}

static void init_resets_all_but_base_and_id(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	lapic_set_reg(vcpu, APIC_ID, 0x77u << 24);
	vcpu->lapic.base = 0x12345900;
	scribble(vcpu);
	vcpu->lapic.esr_pending = APIC_ESR_RECV_VECTOR;
	vcpu->lapic.extint_pending = true;
	lapic_reset(vcpu, true);
	assert_reset_values(vcpu);
	assert_int_equal(vcpu->lapic.esr_pending, 0);
	assert_false(vcpu->lapic.extint_pending);
	assert_int_equal(lapic_reg(vcpu, APIC_ID), 0x77u << 24);
	assert_int_equal(vcpu->lapic.base, 0x12345900);
	assert_int_equal(lapic_highest_irr(vcpu), NONE);
	assert_int_equal(lapic_highest_isr(vcpu), NONE);
}

static void init_keeps_x2apic_mode_and_derives_ldr(void **state)
{
	const uint32_t ids[] = {0x25};
	struct harness_config config = {.apic_ids = ids};
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(&config);
	vcpu = harness_vcpu(0);
	to_x2apic(vcpu);
	lapic_set_reg(vcpu, APIC_LDR, 0);
	lapic_reset(vcpu, true);
	assert_true(lapic_is_x2apic(vcpu));
	assert_int_equal(lapic_reg(vcpu, APIC_ID), 0x25);
	assert_int_equal(lapic_reg(vcpu, APIC_LDR), 0x20020);
}

static void power_up_after_x2apic_is_xapic(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	to_x2apic(vcpu);
	scribble(vcpu);
	lapic_reset(vcpu, false);
	assert_false(lapic_is_x2apic(vcpu));
	assert_reset_values(vcpu);
}

static void init_drops_what_was_posted_before(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0x53, true, PH_SOURCE_IOAPIC);
	assert_true(harness_is_pending(vcpu, 0x51));
	lapic_reset(vcpu, true);
	assert_false(harness_is_pending(vcpu, 0x51));
	post_take_levels(vcpu);
	assert_false(harness_is_pending(vcpu, 0x53));
	post_interrupt(NULL, vcpu, 0x52, false, PH_SOURCE_MSI);
	assert_true(post_drain(vcpu));
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x52));
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 1);
}

static void init_stops_the_timer(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_TMICT, 4, 100);
	assert_true(harness_host(vcpu)->timer_is_armed);
	lapic_reset(vcpu, true);
	assert_false(harness_host(vcpu)->timer_is_armed);
}

static void accept_sets_exactly_its_irr_bit(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (uint32_t vector = 16; vector < 256; vector++) {
		harness_clear_pending(vcpu);
		lapic_accept(vcpu, (uint8_t)vector, false);
		assert_true(harness_apic_bit(vcpu, APIC_IRR, (uint8_t)vector));
		assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 1);
		assert_int_equal(lapic_highest_irr(vcpu), vector);
	}
	assert_int_equal(vcpu->lapic.esr_pending, 0);
}

static void accept_records_trigger_mode_in_tmr(void **state)
{
	static const bool levels[] = {false, true, true, false, true};
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (size_t i = 0; i < COUNT(levels); i++) {
		lapic_accept(vcpu, 0x75, levels[i]);
		assert_int_equal(harness_apic_bit(vcpu, APIC_TMR, 0x75), levels[i]);
		assert_int_equal(harness_apic_bit_count(vcpu, APIC_TMR), levels[i]);
	}
	/* A neighbour's is left alone. */
	lapic_accept(vcpu, 0x76, false);
	assert_true(harness_apic_bit(vcpu, APIC_TMR, 0x75));
}

static bool tmr_copy_bit(const struct ph_vcpu *vcpu, uint32_t vector)
{
	return vcpu->shared.tmr[vector / 64] >> vector % 64 & 1;
}

/* Senders look at a copy of TMR (core/post.c): it follows at once, and INIT clears it. */
static void the_copy_of_tmr_for_senders_follows(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (uint32_t vector = 16; vector < 256; vector++) {
		lapic_accept(vcpu, (uint8_t)vector, true);
		assert_true(tmr_copy_bit(vcpu, vector));
		if (vector % 2)
			lapic_accept(vcpu, (uint8_t)vector, false);
		assert_int_equal(tmr_copy_bit(vcpu, vector), !(vector % 2));
	}
	lapic_reset(vcpu, true);
	for (uint32_t vector = 0; vector < 256; vector++)
		assert_false(tmr_copy_bit(vcpu, vector));
}

/* SDM vol. 3, "Error Handling": an IRR bit in the range 0 to 15 is never set. */
static void illegal_vector_goes_to_esr(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (uint32_t vector = 0; vector < 16; vector++) {
		vcpu->lapic.esr_pending = 0;
		lapic_accept(vcpu, (uint8_t)vector, vector & 1);
		assert_int_equal(vcpu->lapic.esr_pending, APIC_ESR_RECV_VECTOR);
	}
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 0);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_TMR), 0);
	assert_int_equal(lapic_deliverable(vcpu), NONE);
}

static void illegal_vector_posted_by_a_device_goes_to_esr(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	post_interrupt(NULL, vcpu, 7, false, PH_SOURCE_MSI);
	post_drain(vcpu);
	assert_int_equal(vcpu->lapic.esr_pending, APIC_ESR_RECV_VECTOR);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 0);
}

/* Up to four vectors each; 0 ends the list. */
static const struct {
	const char *rule;
	uint8_t tpr;
	uint8_t in_service[4];
	uint8_t pending[4];
	uint8_t ppr;
	int deliverable;
} priorities[] = {
    {"nothing pending", 0x00, {0}, {0}, 0x00, NONE},
    {"idle takes any class above 0", 0x00, {0}, {0x10}, 0x00, 0x10},
    {"highest first within a word", 0x00, {0}, {0x41, 0x43, 0x42}, 0x00, 0x43},
    {"highest first across words", 0x00, {0}, {0x31, 0xf1, 0x91}, 0x00, 0xf1},
    {"bit 31 of a word beats bit 0 of it", 0x00, {0}, {0x20, 0x3f}, 0x00, 0x3f},
    {"first of the next word beats the last of this", 0x00, {0}, {0x3f, 0x40}, 0x00, 0x40},
    {"TPR holds back its own class", 0x40, {0}, {0x4f}, 0x40, NONE},
    {"TPR lets the next class through", 0x4f, {0}, {0x50}, 0x4f, 0x50},
    {"TPR subclass does not matter", 0x4f, {0}, {0x4f, 0x4e}, 0x4f, NONE},
    {"TPR class 15 holds back all", 0xf0, {0}, {0xff}, 0xf0, NONE},
    {"TPR class 0 with a subclass", 0x0f, {0}, {0x10}, 0x0f, 0x10},
    {"ISR holds back its own class", 0x00, {0x61}, {0x6f}, 0x60, NONE},
    {"ISR holds back lower ones", 0x00, {0x61}, {0x5f}, 0x60, NONE},
    {"ISR lets a higher class nest", 0x00, {0x61}, {0x70}, 0x60, 0x70},
    {"PPR drops ISR's subclass", 0x05, {0x68}, {0}, 0x60, NONE},
    {"PPR is TPR when TPR's class is higher", 0x75, {0x68}, {0x80}, 0x75, 0x80},
    {"PPR is TPR when the classes are equal", 0x65, {0x68}, {0x70}, 0x65, 0x70},
    {"highest of nested ISR counts", 0x10, {0x31, 0x51, 0x81}, {0x7f, 0x8f}, 0x80, NONE},
    {"a pending copy of the vector in service waits", 0x00, {0x55}, {0x55}, 0x50, NONE},
    {"vector 255 is deliverable", 0xef, {0xe0}, {0xff}, 0xef, 0xff},
};

static void take(struct ph_vcpu *vcpu, uint8_t vector)
{
	lapic_accept(vcpu, vector, false);
	lapic_acknowledge(vcpu, vector);
}

static void priority_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(priorities); i++) {
		struct ph_vcpu *vcpu;

		harness_create(NULL);
		vcpu = harness_vcpu(0);
		for (size_t j = 0; j < 4 && priorities[i].in_service[j]; j++)
			take(vcpu, priorities[i].in_service[j]);
		for (size_t j = 0; j < 4 && priorities[i].pending[j]; j++)
			lapic_accept(vcpu, priorities[i].pending[j], false);
		lapic_set_tpr(vcpu, priorities[i].tpr);
		if (lapic_reg(vcpu, APIC_PPR) != priorities[i].ppr ||
		    shared32_load(&vcpu->shared.arbitration_priority, NONE) != priorities[i].ppr)
			fail_msg("%s: PPR %#x", priorities[i].rule, lapic_reg(vcpu, APIC_PPR));
		if (lapic_deliverable(vcpu) != priorities[i].deliverable)
			fail_msg("%s: delivers %d", priorities[i].rule, lapic_deliverable(vcpu));
	}
}

static void every_tpr_against_every_vector(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (uint32_t vector = 16; vector < 256; vector++) {
		harness_clear_pending(vcpu);
		lapic_accept(vcpu, (uint8_t)vector, false);
		for (uint32_t tpr = 0; tpr < 256; tpr++) {
			lapic_set_tpr(vcpu, (uint8_t)tpr);
			assert_int_equal(
			    lapic_deliverable(vcpu), vector / 16 > tpr / 16 ? (int)vector : NONE);
		}
	}
}

static void hardware_disabled_delivers_nothing_and_forgets_nothing(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	lapic_accept(vcpu, 0x41, false);
	vcpu->lapic.base &= ~APIC_BASE_ENABLE;
	assert_int_equal(lapic_deliverable(vcpu), NONE);
	vcpu->lapic.base |= APIC_BASE_ENABLE;
	assert_int_equal(lapic_deliverable(vcpu), 0x41);
}

/* SDM vol. 3, "Local APIC State After It Has Been Software Disabled": held, still to be handled. */
static void software_disabled_still_delivers_what_is_pending(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, 0x1ff);
	lapic_accept(vcpu, 0x41, false);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, 0xff);
	assert_int_equal(lapic_deliverable(vcpu), 0x41);
}

static void acknowledge_moves_irr_to_isr(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	lapic_accept(vcpu, 0x41, false);
	lapic_accept(vcpu, 0x42, false);
	lapic_acknowledge(vcpu, 0x42);
	assert_false(harness_apic_bit(vcpu, APIC_IRR, 0x42));
	assert_true(harness_apic_bit(vcpu, APIC_ISR, 0x42));
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x41));
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_ISR), 1);
	assert_int_equal(lapic_highest_isr(vcpu), 0x42);
	assert_int_equal(lapic_highest_irr(vcpu), 0x41);
}

static void same_vector_again_while_in_service_is_kept(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	take(vcpu, 0x41);
	lapic_accept(vcpu, 0x41, false);
	lapic_accept(vcpu, 0x41, false);
	lapic_retire(vcpu, 0x41);
	assert_int_equal(lapic_deliverable(vcpu), 0x41);
	lapic_acknowledge(vcpu, 0x41);
	lapic_retire(vcpu, 0x41);
	/* IRR holds one of a vector, so two in a row are one. */
	assert_int_equal(lapic_deliverable(vcpu), NONE);
}

static void retire_uncovers_the_next_in_service(void **state)
{
	static const uint8_t nested[] = {0x31, 0x41, 0x5f, 0x60, 0x9a, 0xff};
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (size_t i = 0; i < COUNT(nested); i++)
		take(vcpu, nested[i]);
	for (size_t i = COUNT(nested); i-- > 0;) {
		assert_int_equal(lapic_highest_isr(vcpu), nested[i]);
		assert_int_equal(lapic_reg(vcpu, APIC_PPR), nested[i] & 0xf0);
		lapic_retire(vcpu, nested[i]);
	}
	assert_int_equal(lapic_highest_isr(vcpu), NONE);
	assert_int_equal(lapic_reg(vcpu, APIC_PPR), 0);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_ISR), 0);
}

static void all_vectors_drain_in_falling_order(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	for (uint32_t vector = 16; vector < 256; vector++)
		lapic_accept(vcpu, (uint8_t)vector, false);
	for (uint32_t vector = 255; vector >= 16; vector--) {
		assert_int_equal(lapic_deliverable(vcpu), vector);
		lapic_acknowledge(vcpu, (uint8_t)vector);
		assert_int_equal(lapic_highest_isr(vcpu), vector);
		lapic_retire(vcpu, (uint8_t)vector);
	}
	assert_int_equal(lapic_deliverable(vcpu), NONE);
	assert_int_equal(vcpu->lapic.irr_pending, 0);
	assert_int_equal(vcpu->lapic.isr_pending, 0);
}

static void rebuild_after_import_finds_everything(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	*lapic_word(vcpu, APIC_IRR, 0x91) |= lapic_bit(0x91);
	*lapic_word(vcpu, APIC_IRR, 0x21) |= lapic_bit(0x21);
	*lapic_word(vcpu, APIC_ISR, 0x35) |= lapic_bit(0x35);
	lapic_set_reg(vcpu, APIC_TPR, 0x20);
	assert_int_equal(lapic_deliverable(vcpu), NONE);
	lapic_rebuild(vcpu);
	assert_int_equal(lapic_deliverable(vcpu), 0x91);
	assert_int_equal(lapic_highest_isr(vcpu), 0x35);
	assert_int_equal(lapic_reg(vcpu, APIC_PPR), 0x30);
	lapic_acknowledge(vcpu, 0x91);
	lapic_retire(vcpu, 0x91);
	assert_int_equal(lapic_highest_irr(vcpu), 0x21);
	assert_int_equal(lapic_highest_isr(vcpu), 0x35);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(power_up_state),
	    TEST(init_resets_all_but_base_and_id),
	    TEST(init_keeps_x2apic_mode_and_derives_ldr),
	    TEST(power_up_after_x2apic_is_xapic),
	    TEST(init_drops_what_was_posted_before),
	    TEST(init_stops_the_timer),
	    TEST(accept_sets_exactly_its_irr_bit),
	    TEST(accept_records_trigger_mode_in_tmr),
	    TEST(the_copy_of_tmr_for_senders_follows),
	    TEST(illegal_vector_goes_to_esr),
	    TEST(illegal_vector_posted_by_a_device_goes_to_esr),
	    TEST(priority_rules),
	    TEST(every_tpr_against_every_vector),
	    TEST(hardware_disabled_delivers_nothing_and_forgets_nothing),
	    TEST(software_disabled_still_delivers_what_is_pending),
	    TEST(acknowledge_moves_irr_to_isr),
	    TEST(same_vector_again_while_in_service_is_kept),
	    TEST(retire_uncovers_the_next_in_service),
	    TEST(all_vectors_drain_in_falling_order),
	    TEST(rebuild_after_import_finds_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
