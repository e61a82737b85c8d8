/* SPDX-License-Identifier: MIT */
/* core/vmx_apicv.c and delivery.c: RVI, SVI, EOI-exit bitmap, and switching between deliveries. */
#include "tests/unit/fake_vmcs.h"
#include "core/post.h"

static void (*inside)(struct ph_vcpu *vcpu);

static enum harness_exit one_exit(struct ph_vcpu *vcpu)
{
	if (inside)
		inside(vcpu);
	return HARNESS_EXIT;
}

static struct ph_vcpu *prepare(enum ph_delivery best)
{
	struct ph_vcpu *vcpu = fake_vmx_vcpu(best);

	inside = NULL;
	harness.on_enter = one_exit;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	return vcpu;
}

static void best_delivery_is_taken_at_the_first_entry(void **state)
{
	static const enum ph_delivery rows[] = {PH_DELIVERY_VIRTUAL, PH_DELIVERY_POSTED};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_vcpu *vcpu = prepare(rows[i]);

		assert_int_equal(ph_vcpu_delivery(vcpu), rows[i]);
		assert_int_equal(fake_delivery, rows[i]);
		assert_int_equal(fake_delivery_count, 1);
		assert_int_equal(fake_vmcs[VMCS_PIN_BASED],
		    FAKE_PIN_BASED | (rows[i] == PH_DELIVERY_POSTED ? PIN_POSTED_INTERRUPTS : 0));
		assert_int_equal(ph_vcpu_inhibits(vcpu),
		    rows[i] == PH_DELIVERY_POSTED ? 0 : 1u << PH_INHIBIT_OPTION);
		harness_destroy();
	}
}

static void posted_vector_becomes_rvi_without_injection_or_window(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	fake_vmcs[VMCS_GUEST_RFLAGS] = 0; /* the processor looks at IF, not we (facts/bugs.md 20) */
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x91);
	assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], 0);
	assert_int_equal(fake_vmcs[VMCS_PRIMARY], FAKE_PRIMARY);
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x51));
	harness_destroy();
}

static void post_late(void)
{
	static int calls;

	if (calls++ == 0)
		post_interrupt(NULL, harness_vcpu(0), 0x61, false, PH_SOURCE_MSI);
}

static void post_between_choice_and_recheck_needs_no_lap(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);
	struct ph_counters counters;

	(void)state;
	harness.on_irq_disable = post_late;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x61);
	assert_int_equal(counters.lap_count, 0);
	harness_destroy();
}

static void level_vector_is_in_the_eoi_exit_bitmap_while_tmr_is_set(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, true, PH_SOURCE_IOAPIC);
	post_interrupt(NULL, vcpu, 0x71, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_0], 0);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 1ull << 0x11);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_2], 0);
	post_interrupt(NULL, vcpu, 0xd1, true, PH_SOURCE_IOAPIC);
	post_interrupt(vcpu, vcpu, 0x51, false, PH_SOURCE_IPI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 0);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_3], 1ull << 0x11);
	harness_destroy();
}

static void each_vector_has_its_bit_in_the_eoi_exit_bitmap(void **state)
{
	static const uint32_t fields[] = {
	    VMCS_EOI_EXIT_0, VMCS_EOI_EXIT_1, VMCS_EOI_EXIT_2, VMCS_EOI_EXIT_3};

	(void)state;
	for (uint32_t vector = 16; vector < 256; vector++) {
		struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

		post_interrupt(NULL, vcpu, (uint8_t)vector, true, PH_SOURCE_IOAPIC);
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(fake_vmcs[fields[i]],
			    i == vector / 64 ? 1ull << vector % 64 : 0);
		harness_destroy();
	}
}

/* The processor takes 0x91 over 0x51 in service, as it would between two exits. */
static void processor_moves_vectors(struct ph_vcpu *vcpu)
{
	*lapic_word(vcpu, APIC_IRR, 0x91) &= ~lapic_bit(0x91);
	*lapic_word(vcpu, APIC_ISR, 0x91) |= lapic_bit(0x91);
	*lapic_word(vcpu, APIC_ISR, 0x51) |= lapic_bit(0x51);
	lapic_set_reg(vcpu, APIC_PPR, 0x90);
	fake_vmcs[VMCS_GUEST_INTR_STATUS] = 0x9100;
	inside = NULL;
}

static void software_sees_what_the_processor_did(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_VIRTUAL);

	(void)state;
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	inside = processor_moves_vectors;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	/* A software EOI (an exit) retires the highest; SVI falls to the one below, not to 0. */
	ph_apic_mmio_write(vcpu, APIC_EOI, 4, 0);
	assert_false(harness_apic_bit(vcpu, APIC_ISR, 0x91));
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x5100);
	harness_destroy();
}

static void halted_guest_wakes_by_irr_above_ppr(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	ph_vcpu_halt(vcpu);
	assert_int_equal(
	    ph_vcpu_run(vcpu), PH_RUN_EXIT); /* on_sleep is unset: sleeping would fail */
	harness_destroy();
}

/* What a fast HLT asks: RVI's class against PPR's, or with injection IRR's. */
static void deliverable_is_what_rvi_and_ppr_say(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	lapic_set_reg(vcpu, APIC_PPR, 0x40);
	fake_vmcs[VMCS_GUEST_INTR_STATUS] = 0;
	assert_false(ph_vcpu_has_deliverable(vcpu));
	fake_vmcs[VMCS_GUEST_INTR_STATUS] = 0x4f;
	assert_false(ph_vcpu_has_deliverable(vcpu));
	fake_vmcs[VMCS_GUEST_INTR_STATUS] = 0x4050;
	assert_true(ph_vcpu_has_deliverable(vcpu));
	harness_destroy();

	vcpu = prepare(PH_DELIVERY_INJECTED);
	assert_false(ph_vcpu_has_deliverable(vcpu));
	post_interrupt(vcpu, vcpu, 0x51, false, PH_SOURCE_IPI);
	assert_true(ph_vcpu_has_deliverable(vcpu));
	assert_int_equal(ph_cr8_write(vcpu, 5), PH_OK);
	assert_false(ph_vcpu_has_deliverable(vcpu));
	harness_destroy();
}

static void inhibit_reason_switches_to_injection_and_back(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	inside = processor_moves_vectors;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, true);
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, true);
	post_interrupt(NULL, vcpu, 0xa1, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_INJECTED);
	assert_int_equal(ph_vcpu_inhibits(vcpu), 1u << PH_INHIBIT_HOST);
	assert_int_equal(fake_delivery, PH_DELIVERY_INJECTED);
	assert_int_equal(fake_vmcs[VMCS_PIN_BASED], FAKE_PIN_BASED);
	/* 0xa1 beats 0x91 in service, and is injected. */
	assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], 0x800000a1);
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, false);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_POSTED);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0xa100);
	assert_int_equal(ph_vcpu_inhibits(vcpu), 0);
	harness_destroy();
}

/* While it was injected the hardware's copies were nobody's: all are written anew. */
static void coming_back_from_injection_loads_all_that_the_processor_needs(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, true);
	fake_vmcs[VMCS_GUEST_RFLAGS] = 0;
	post_interrupt(NULL, vcpu, 0x51, true, PH_SOURCE_IOAPIC);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	lapic_acknowledge(vcpu, 0x51);
	post_interrupt(vcpu, vcpu, 0x61, false, PH_SOURCE_IPI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	fake_vmcs[VMCS_GUEST_INTR_STATUS] = 0xffff;
	fake_vmcs[VMCS_EOI_EXIT_1] = 0;
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, false);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x5161);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 1ull << 0x11);
	harness_destroy();
}

/* SDM vol. 3, "Local APIC State After an INIT Reset": nothing requested, in service, or level. */
static void init_takes_back_what_the_processor_was_told(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, true, PH_SOURCE_IOAPIC);
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	inside = processor_moves_vectors;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x9100);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 1ull << 0x11);
	post_request(vcpu, REQUEST_INIT);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_INJECTED);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_POSTED);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 0);
	harness_destroy();
}

static void a_reason_of_the_vm_reaches_all_its_vcpus(void **state)
{
	(void)state;
	harness_create(&(struct harness_config){.vcpu_count = 3});
	ph_vm_inhibit(harness.vm, PH_INHIBIT_HOST, true);
	for (uint32_t i = 0; i < 3; i++)
		assert_true(harness_requests(harness_vcpu(i)) & REQUEST_DELIVERY);
	harness_destroy();
}

static void guest_s_apic_mode_inhibits_its_own_vcpu(void **state)
{
	static const struct {
		const char *rule;
		uint64_t base;
		uint32_t inhibits;
	} rows[] = {
	    {"default base", APIC_DEFAULT_BASE | APIC_BASE_ENABLE, 0},
	    {"moved page", 0xfee01000 | APIC_BASE_ENABLE, 1u << PH_INHIBIT_APIC_BASE},
	    {"disabled", APIC_DEFAULT_BASE, 1u << PH_INHIBIT_APIC_DISABLED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

		print_message("  %s\n", rows[i].rule);
		assert_int_equal(ph_apic_msr_write(vcpu, 0x1b, rows[i].base), PH_OK);
		assert_int_equal(ph_vcpu_inhibits(vcpu), rows[i].inhibits);
		assert_int_equal(ph_vcpu_delivery(vcpu),
		    rows[i].inhibits ? PH_DELIVERY_INJECTED : PH_DELIVERY_POSTED);
		harness_destroy();
	}
}

static void write_exit_knows_what_was_in_the_register_before(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT1, 4, 0x400);
	/* The processor writes SVR = disabled into the page, then exits: LVTs become masked. */
	lapic_set_reg(vcpu, APIC_SVR, 0xff);
	ph_apic_write_exit(vcpu, APIC_SVR);
	assert_true(lapic_reg(vcpu, APIC_LVT_LINT1) & APIC_LVT_MASKED);
	/* Reserved bits that the processor let through are dropped. */
	lapic_set_reg(vcpu, APIC_SVR, 0xfffff1ff);
	ph_apic_write_exit(vcpu, APIC_SVR);
	assert_int_equal(lapic_reg(vcpu, APIC_SVR), 0x1ff);
	/* An offset that is no register changes nothing. */
	ph_apic_write_exit(vcpu, 0x401);
	ph_apic_write_exit(vcpu, 0xfff);
	harness_destroy();
}

static void eoi_exit_reaches_the_ioapic(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	/* Pin 5: level, vector 0x51, to APIC ID 0. */
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_TABLE + 10);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, 0x51 | (uint32_t)IOAPIC_RTE_LEVEL);
	assert_int_equal(ph_gsi_set(harness.vm, 5, 0, true), PH_OK);
	assert_true(ph_ioapic_read(harness.vm, IOAPIC_WINDOW) & IOAPIC_RTE_REMOTE_IRR);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_gsi_set(harness.vm, 5, 0, false), PH_OK);
	ph_apic_eoi_exit(vcpu, 0x51);
	assert_false(ph_ioapic_read(harness.vm, IOAPIC_WINDOW) & IOAPIC_RTE_REMOTE_IRR);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(best_delivery_is_taken_at_the_first_entry),
	    cmocka_unit_test(posted_vector_becomes_rvi_without_injection_or_window),
	    cmocka_unit_test(post_between_choice_and_recheck_needs_no_lap),
	    cmocka_unit_test(level_vector_is_in_the_eoi_exit_bitmap_while_tmr_is_set),
	    cmocka_unit_test(each_vector_has_its_bit_in_the_eoi_exit_bitmap),
	    cmocka_unit_test(software_sees_what_the_processor_did),
	    cmocka_unit_test(halted_guest_wakes_by_irr_above_ppr),
	    cmocka_unit_test(deliverable_is_what_rvi_and_ppr_say),
	    cmocka_unit_test(inhibit_reason_switches_to_injection_and_back),
	    cmocka_unit_test(coming_back_from_injection_loads_all_that_the_processor_needs),
	    cmocka_unit_test(init_takes_back_what_the_processor_was_told),
	    cmocka_unit_test(a_reason_of_the_vm_reaches_all_its_vcpus),
	    cmocka_unit_test(guest_s_apic_mode_inhibits_its_own_vcpu),
	    cmocka_unit_test(write_exit_knows_what_was_in_the_register_before),
	    cmocka_unit_test(eoi_exit_reaches_the_ioapic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
