/* SPDX-License-Identifier: MIT */
/* core/source_lvt.c: LVT delivery modes, errors, LINT pins, who takes the 8259's INTR. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MODE(name)   ((uint32_t)APIC_DELIVERY_##name << 8)
#define VECTOR       0x45u

static int setup(void **state)
{
	struct harness_config config = {.vcpu_count = 2};

	(void)state;
	harness_create(&config);
	for (uint32_t i = 0; i < 2; i++)
		ph_apic_mmio_write(harness_vcpu(i), APIC_SVR, 4, 0x1ff);
	return 0;
}

static struct ph_vcpu *vcpu0(void)
{
	return harness_vcpu(0);
}

static void wr(uint32_t reg, uint32_t value)
{
	ph_apic_mmio_write(vcpu0(), reg, 4, value);
}

static uint32_t rd(uint32_t reg)
{
	return ph_apic_mmio_read(vcpu0(), reg, 4);
}

static uint32_t esr(void)
{
	wr(APIC_ESR, 0);
	return rd(APIC_ESR);
}

/* As enter.c does with REQUEST_LINT. */
static void service(void)
{
	if (shared32_and(&vcpu0()->shared.requests, ~REQUEST_LINT, NONE) & REQUEST_LINT)
		source_lvt_lint_service(vcpu0());
}

static void pin(uint32_t number, bool level)
{
	ph_vcpu_lint(vcpu0(), number, level);
	service();
}

/* What a delivery did: bits. */
#define GOT_FIXED  1u
#define GOT_SMI    2u
#define GOT_NMI    4u
#define GOT_INIT   8u
#define GOT_EXTINT 16u

static uint32_t got(void)
{
	struct ph_vcpu *vcpu = vcpu0();
	uint32_t requests = harness_requests(vcpu);
	uint32_t result =
	    (harness_apic_bit(vcpu, APIC_IRR, VECTOR) ? GOT_FIXED : 0) |
	    (requests & REQUEST_SMI ? GOT_SMI : 0) | (requests & REQUEST_NMI ? GOT_NMI : 0) |
	    (requests & REQUEST_INIT ? GOT_INIT : 0) |
	    (vcpu->lapic.extint_pending || requests & REQUEST_EXTINT ? GOT_EXTINT : 0);

	harness_clear_pending(vcpu);
	vcpu->lapic.extint_pending = false;
	return result;
}

static const struct {
	uint32_t mode;
	uint32_t got;
} deliveries[] = {
    {MODE(FIXED), GOT_FIXED},
    {MODE(LOWEST), 0},
    {MODE(SMI), GOT_SMI},
    {MODE(RESERVED), 0},
    {MODE(NMI), GOT_NMI},
    {MODE(INIT), GOT_INIT},
    {MODE(STARTUP), 0},
    {MODE(EXTINT), GOT_EXTINT},
};

static void delivery_modes(void **state)
{
	static const uint32_t registers[] = {
	    APIC_LVT_THERM, APIC_LVT_PMC, APIC_LVT_LINT0, APIC_LVT_LINT1};

	(void)state;
	for (size_t r = 0; r < COUNT(registers); r++) {
		for (size_t i = 0; i < COUNT(deliveries); i++) {
			wr(registers[r], deliveries[i].mode | VECTOR);
			source_lvt_deliver(vcpu0(), registers[r]);
			assert_int_equal(got(), deliveries[i].got);
		}
	}
	assert_int_equal(esr(), 0);
}

static void masked_entry_delivers_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(deliveries); i++) {
		wr(APIC_LVT_LINT1, APIC_LVT_MASKED | deliveries[i].mode | VECTOR);
		source_lvt_deliver(vcpu0(), APIC_LVT_LINT1);
		assert_int_equal(got(), 0);
	}
}

static void timer_and_error_entries_are_always_fixed(void **state)
{
	(void)state;
	wr(APIC_LVT_ERROR, MODE(NMI) | VECTOR);
	source_lvt_deliver(vcpu0(), APIC_LVT_ERROR);
	assert_int_equal(got(), GOT_FIXED);
	wr(APIC_LVT_TIMER, MODE(NMI) | VECTOR);
	source_lvt_deliver(vcpu0(), APIC_LVT_TIMER);
	assert_int_equal(got(), GOT_FIXED);
}

static void apic_off_delivers_nothing(void **state)
{
	(void)state;
	wr(APIC_LVT_ERROR, VECTOR);
	assert_int_equal(ph_apic_msr_write(vcpu0(), 0x1b, APIC_DEFAULT_BASE), PH_OK);
	source_lvt_deliver(vcpu0(), APIC_LVT_ERROR);
	assert_int_equal(got(), 0);
}

static void counter_overflow_masks_its_entry(void **state)
{
	(void)state;
	wr(APIC_LVT_PMC, MODE(NMI));
	source_lvt_deliver(vcpu0(), APIC_LVT_PMC);
	assert_int_equal(got(), GOT_NMI);
	assert_int_equal(rd(APIC_LVT_PMC), APIC_LVT_MASKED | MODE(NMI));
	source_lvt_deliver(vcpu0(), APIC_LVT_PMC);
	assert_int_equal(got(), 0);
}

static void thermal_does_not_mask_its_entry(void **state)
{
	(void)state;
	wr(APIC_LVT_THERM, VECTOR);
	source_lvt_deliver(vcpu0(), APIC_LVT_THERM);
	assert_int_equal(rd(APIC_LVT_THERM), VECTOR);
}

static void illegal_vector_is_a_receive_error(void **state)
{
	(void)state;
	for (uint32_t vector = 0; vector < 16; vector++) {
		wr(APIC_LVT_THERM, vector);
		assert_int_equal(esr(), 0);
		source_lvt_deliver(vcpu0(), APIC_LVT_THERM);
		assert_int_equal(esr(), APIC_ESR_RECV_VECTOR);
	}
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
}

static void vector_does_not_matter_outside_fixed_mode(void **state)
{
	(void)state;
	wr(APIC_LVT_THERM, MODE(NMI) | 3);
	source_lvt_deliver(vcpu0(), APIC_LVT_THERM);
	assert_int_equal(got(), GOT_NMI);
	assert_int_equal(esr(), 0);
}

/* ---- Errors -------------------------------------------------------------------------------- */

static void errors_gather_until_esr_is_written(void **state)
{
	(void)state;
	source_lvt_error(vcpu0(), APIC_ESR_SEND_VECTOR);
	assert_int_equal(rd(APIC_ESR), 0);
	source_lvt_error(vcpu0(), APIC_ESR_REGISTER);
	assert_int_equal(esr(), APIC_ESR_SEND_VECTOR | APIC_ESR_REGISTER);
	assert_int_equal(rd(APIC_ESR), APIC_ESR_SEND_VECTOR | APIC_ESR_REGISTER);
	assert_int_equal(esr(), 0);
}

static void error_interrupt_once_until_esr_is_written(void **state)
{
	(void)state;
	wr(APIC_LVT_ERROR, VECTOR);
	source_lvt_error(vcpu0(), APIC_ESR_SEND_VECTOR);
	assert_int_equal(got(), GOT_FIXED);
	source_lvt_error(vcpu0(), APIC_ESR_RECV_VECTOR);
	assert_int_equal(got(), 0);
	wr(APIC_ESR, 0);
	source_lvt_error(vcpu0(), APIC_ESR_RECV_VECTOR);
	assert_int_equal(got(), GOT_FIXED);
}

static void masked_error_entry_still_records(void **state)
{
	(void)state;
	wr(APIC_LVT_ERROR, APIC_LVT_MASKED | VECTOR);
	source_lvt_error(vcpu0(), APIC_ESR_REGISTER);
	assert_int_equal(got(), 0);
	assert_int_equal(esr(), APIC_ESR_REGISTER);
}

static void illegal_vector_in_the_error_entry_ends(void **state)
{
	(void)state;
	wr(APIC_LVT_ERROR, 5);
	source_lvt_error(vcpu0(), APIC_ESR_SEND_VECTOR);
	assert_int_equal(esr(), APIC_ESR_SEND_VECTOR | APIC_ESR_RECV_VECTOR);
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
}

/* ---- LINT pins ----------------------------------------------------------------------------- */

static void edge_delivers_on_a_rise_only(void **state)
{
	(void)state;
	for (uint32_t number = 0; number < 2; number++) {
		wr(number ? APIC_LVT_LINT1 : APIC_LVT_LINT0, VECTOR);
		pin(number, true);
		assert_int_equal(got(), GOT_FIXED);
		pin(number, true);
		assert_int_equal(got(), 0);
		pin(number, false);
		assert_int_equal(got(), 0);
		pin(number, true);
		assert_int_equal(got(), GOT_FIXED);
	}
}

static void pulse_between_two_services_is_not_lost(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT1, MODE(NMI));
	ph_vcpu_lint(vcpu0(), 1, true);
	ph_vcpu_lint(vcpu0(), 1, false);
	service();
	assert_int_equal(got(), GOT_NMI);
	service();
	assert_int_equal(got(), 0);
}

static void pins_do_not_mix(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, VECTOR);
	wr(APIC_LVT_LINT1, MODE(NMI));
	pin(1, true);
	assert_int_equal(got(), GOT_NMI);
	pin(0, true);
	assert_int_equal(got(), GOT_FIXED);
	ph_vcpu_lint(vcpu0(), 0, false);
	ph_vcpu_lint(vcpu0(), 1, false);
	ph_vcpu_lint(vcpu0(), 0, true);
	ph_vcpu_lint(vcpu0(), 1, true);
	service();
	assert_int_equal(got(), GOT_FIXED | GOT_NMI);
}

static void lint_reaches_only_its_own_vcpu(void **state)
{
	(void)state;
	ph_vcpu_lint(harness_vcpu(1), 1, true);
	assert_int_equal(harness_requests(vcpu0()), 0);
	assert_int_equal(harness_requests(harness_vcpu(1)), REQUEST_LINT);
}

static void no_such_pin_is_a_bug_of_the_embedder(void **state)
{
	(void)state;
	expect_assert_failure(ph_vcpu_lint(vcpu0(), 2, true));
	assert_int_equal(harness_requests(vcpu0()), 0);
}

static void level_waits_for_eoi(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | VECTOR);
	pin(0, true);
	assert_true(harness_apic_bit(vcpu0(), APIC_TMR, VECTOR));
	assert_int_equal(got(), GOT_FIXED);
	assert_int_equal(rd(APIC_LVT_LINT0), APIC_LVT_REMOTE_IRR | APIC_LVT_LEVEL | VECTOR);
	pin(0, false);
	pin(0, true);
	assert_int_equal(got(), 0);
	source_lvt_eoi(vcpu0(), VECTOR);
	assert_int_equal(got(), GOT_FIXED);
	pin(0, false);
	source_lvt_eoi(vcpu0(), VECTOR);
	assert_int_equal(got(), 0);
	assert_int_equal(rd(APIC_LVT_LINT0), APIC_LVT_LEVEL | VECTOR);
}

static void level_eoi_of_another_vector_changes_nothing(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | VECTOR);
	pin(0, true);
	assert_int_equal(got(), GOT_FIXED);
	source_lvt_eoi(vcpu0(), VECTOR + 1);
	assert_int_equal(got(), 0);
	assert_true(rd(APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
}

static void level_high_at_unmask_delivers(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, APIC_LVT_MASKED | APIC_LVT_LEVEL | VECTOR);
	pin(0, true);
	assert_int_equal(got(), 0);
	wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | VECTOR);
	assert_int_equal(got(), GOT_FIXED);
}

static void level_with_an_illegal_vector_is_not_in_service(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | 9);
	pin(0, true);
	assert_int_equal(esr(), APIC_ESR_RECV_VECTOR);
	assert_false(rd(APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
}

static void remote_irr_goes_when_the_entry_is_no_longer_level(void **state)
{
	static const uint32_t others[] = {VECTOR, APIC_LVT_LEVEL | MODE(EXTINT)};

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		pin(0, false);
		wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | VECTOR);
		pin(0, true);
		assert_true(rd(APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
		wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | APIC_LVT_MASKED | VECTOR);
		assert_true(rd(APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
		wr(APIC_LVT_LINT0, others[i]);
		assert_false(rd(APIC_LVT_LINT0) & APIC_LVT_REMOTE_IRR);
		(void)got();
	}
}

static void lint1_and_other_modes_are_edge_whatever_the_trigger_bit(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT1, APIC_LVT_LEVEL | VECTOR);
	pin(1, true);
	assert_false(harness_apic_bit(vcpu0(), APIC_TMR, VECTOR));
	assert_false(rd(APIC_LVT_LINT1) & APIC_LVT_REMOTE_IRR);
	assert_int_equal(got(), GOT_FIXED);
	wr(APIC_LVT_LINT0, APIC_LVT_LEVEL | MODE(NMI));
	pin(0, true);
	assert_int_equal(got(), GOT_NMI);
	service();
	assert_int_equal(got(), 0);
}

/* SDM vol. 3, "Enabling or Disabling the Local APIC": LINT0 and LINT1 become INTR and NMI. */
static void pins_are_intr_and_nmi_without_apic(void **state)
{
	(void)state;
	assert_int_equal(ph_apic_msr_write(vcpu0(), 0x1b, APIC_DEFAULT_BASE), PH_OK);
	pin(1, true);
	assert_int_equal(got(), GOT_NMI);
	pin(0, true);
	assert_int_equal(got(), GOT_EXTINT);
	pin(0, false);
	pin(1, false);
	assert_int_equal(got(), 0);
}

/* ---- Who takes the 8259's INTR ------------------------------------------------------------- */

static const struct {
	const char *rule;
	uint32_t lint0;
	uint32_t svr;
	bool is_hw_enabled;
	bool bsp;   /* vCPU 0 takes it */
	bool other; /* vCPU 1 takes it */
} pic_rules[] = {
    {"after reset", APIC_LVT_MASKED, 0xff, true, false, false},
    {"LINT0 ExtINT", MODE(EXTINT), 0x1ff, true, true, true},
    {"LINT0 ExtINT with a level bit", APIC_LVT_LEVEL | MODE(EXTINT), 0x1ff, true, true, true},
    {"LINT0 ExtINT masked", APIC_LVT_MASKED | MODE(EXTINT), 0x1ff, true, false, false},
    {"LINT0 fixed", VECTOR, 0x1ff, true, false, false},
    {"LINT0 NMI", MODE(NMI), 0x1ff, true, false, false},
    {"software-disabled masks LINT0", MODE(EXTINT), 0xff, true, false, false},
    {"hardware-disabled: virtual wire to the BSP", APIC_LVT_MASKED, 0x1ff, false, true, false},
};

static void who_takes_the_8259(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(pic_rules); i++) {
		(void)setup(NULL);
		for (uint32_t v = 0; v < 2; v++) {
			struct ph_vcpu *vcpu = harness_vcpu(v);
			bool expected = v ? pic_rules[i].other : pic_rules[i].bsp;

			ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, pic_rules[i].lint0);
			ph_apic_mmio_write(vcpu, APIC_SVR, 4, pic_rules[i].svr);
			if (!pic_rules[i].is_hw_enabled)
				(void)ph_apic_msr_write(vcpu, 0x1b, APIC_DEFAULT_BASE);
			if (shared32_load(&vcpu->shared.accepts_pic, NONE) != expected ||
			    vcpu->lapic.accepts_pic != expected)
				fail_msg("%s: vCPU %u", pic_rules[i].rule, v);
		}
	}
}

static void enabling_the_apic_again_takes_the_8259_away(void **state)
{
	(void)state;
	(void)ph_apic_msr_write(vcpu0(), 0x1b, APIC_DEFAULT_BASE);
	assert_true(vcpu0()->lapic.accepts_pic);
	(void)ph_apic_msr_write(vcpu0(), 0x1b, APIC_DEFAULT_BASE | APIC_BASE_ENABLE);
	assert_false(vcpu0()->lapic.accepts_pic);
	assert_int_equal(shared32_load(&vcpu0()->shared.accepts_pic, NONE), 0);
}

static void init_takes_the_8259_away(void **state)
{
	(void)state;
	wr(APIC_LVT_LINT0, MODE(EXTINT));
	assert_true(vcpu0()->lapic.accepts_pic);
	lapic_reset(vcpu0(), true);
	assert_int_equal(shared32_load(&vcpu0()->shared.accepts_pic, NONE), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(delivery_modes),
	    TEST(masked_entry_delivers_nothing),
	    TEST(timer_and_error_entries_are_always_fixed),
	    TEST(apic_off_delivers_nothing),
	    TEST(counter_overflow_masks_its_entry),
	    TEST(thermal_does_not_mask_its_entry),
	    TEST(illegal_vector_is_a_receive_error),
	    TEST(vector_does_not_matter_outside_fixed_mode),
	    TEST(errors_gather_until_esr_is_written),
	    TEST(error_interrupt_once_until_esr_is_written),
	    TEST(masked_error_entry_still_records),
	    TEST(illegal_vector_in_the_error_entry_ends),
	    TEST(edge_delivers_on_a_rise_only),
	    TEST(pulse_between_two_services_is_not_lost),
	    TEST(pins_do_not_mix),
	    TEST(lint_reaches_only_its_own_vcpu),
	    TEST(no_such_pin_is_a_bug_of_the_embedder),
	    TEST(level_waits_for_eoi),
	    TEST(level_eoi_of_another_vector_changes_nothing),
	    TEST(level_high_at_unmask_delivers),
	    TEST(level_with_an_illegal_vector_is_not_in_service),
	    TEST(remote_irr_goes_when_the_entry_is_no_longer_level),
	    TEST(lint1_and_other_modes_are_edge_whatever_the_trigger_bit),
	    TEST(pins_are_intr_and_nmi_without_apic),
	    TEST(who_takes_the_8259),
	    TEST(enabling_the_apic_again_takes_the_8259_away),
	    TEST(init_takes_the_8259_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
