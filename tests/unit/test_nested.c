/* SPDX-License-Identifier: MIT */
/* core/nested.c: what arrives for L1 while L2 is the current guest. */
#include <posthorn/state.h>

#include "tests/unit/fake_vmcs.h"
#include "core/post.h"

static void (*inside)(struct ph_vcpu *vcpu);
static uint32_t fast_count; /* so many exits are fast ones */

static enum harness_exit one_exit(struct ph_vcpu *vcpu)
{
	if (inside)
		inside(vcpu);
	if (!fast_count)
		return HARNESS_EXIT;
	fast_count--;
	return HARNESS_FAST;
}

/* L1 has run once, and L2 is current now. */
static struct ph_vcpu *prepare(enum ph_delivery best)
{
	struct ph_vcpu *vcpu = fake_vmx_vcpu(best);

	inside = NULL;
	fast_count = 0;
	harness.on_enter = one_exit;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_set_nested(vcpu, true), PH_OK);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	fake_vmcs_write_count = 0;
	return vcpu;
}

static void post(void)
{
	post_interrupt(NULL, harness_vcpu(0), 0x61, false, PH_SOURCE_MSI);
}

static void pic_interrupt(void)
{
	harness_vcpu(0)->lapic.extint_pending = true;
}

static void nmi(void)
{
	ph_vcpu_nmi(harness_vcpu(0));
}

static void whatever_is_due_for_l1_ends_in_an_exit_to_it(void **state)
{
	static const struct {
		enum ph_delivery delivery;
		void (*arrives)(void);
	} rows[] = {{PH_DELIVERY_INJECTED, post}, {PH_DELIVERY_VIRTUAL, post},
	    {PH_DELIVERY_POSTED, post}, {PH_DELIVERY_POSTED, pic_interrupt},
	    {PH_DELIVERY_POSTED, nmi}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare(rows[i].delivery);
		uint32_t entries = harness_host(vcpu)->enter_count;

		fake_vmcs[VMCS_GUEST_RFLAGS] = 2; /* L2's IF does not ask */
		rows[i].arrives();
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_NESTED_EXIT);
		assert_int_equal(harness_host(vcpu)->enter_count, entries);
		assert_int_equal(fake_vmcs_write_count, 0);
		harness_destroy();
	}
}

static void post_late(void)
{
	if (harness.on_irq_disable)
		post();
	harness.on_irq_disable = NULL;
}

static void post_between_choice_and_recheck_is_no_entry_into_l2(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);
	uint32_t entries = harness_host(vcpu)->enter_count;
	struct ph_counters counters;

	(void)state;
	harness.on_irq_disable = post_late;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_NESTED_EXIT);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.lap_count, 1);
	assert_int_equal(harness_host(vcpu)->enter_count, entries);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0);
	harness_destroy();
}

static void self_ipi(struct ph_vcpu *vcpu)
{
	if (fast_count)
		post_interrupt(vcpu, vcpu, 0x61, false, PH_SOURCE_IPI);
}

static void fast_exit_of_l2_that_sets_irr_leads_to_l1(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);
	uint32_t entries = harness_host(vcpu)->enter_count;

	(void)state;
	fast_count = 1;
	inside = self_ipi;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_NESTED_EXIT);
	assert_int_equal(harness_host(vcpu)->enter_count, entries + 1);
	harness_destroy();
}

static void rvi_is_written_when_l1_is_current_again(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post();
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_NESTED_EXIT);
	assert_int_equal(ph_vcpu_set_nested(vcpu, false), PH_OK);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x61);
	harness_destroy();
}

static void vector_that_tpr_holds_back_lets_l2_run(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_INJECTED);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_TPR, 4, 0x70);
	post();
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	/* Neither TPR's threshold nor a window goes into L2's VMCS. */
	assert_int_equal(fake_vmcs_write_count, 0);
	harness_destroy();
}

/* L2 has halted: no IF of L2 stands in the way, and on_sleep is unset, so sleeping would fail. */
static void interrupt_for_l1_ends_hlt_of_l2(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	fake_vmcs[VMCS_GUEST_RFLAGS] = 2;
	ph_vcpu_halt(vcpu);
	post();
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_NESTED_EXIT);
	harness_destroy();
}

static void toggled_delivery_waits_for_l1(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);
	uint32_t switches = fake_delivery_count;

	(void)state;
	ph_vm_inhibit(harness.vm, PH_INHIBIT_OPTION, true);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_POSTED);
	assert_int_equal(fake_vmcs_write_count, 0);
	assert_int_equal(ph_vcpu_set_nested(vcpu, false), PH_OK);
	assert_int_equal(ph_vcpu_delivery(vcpu), PH_DELIVERY_INJECTED);
	assert_int_equal(fake_delivery_count, switches + 1);
	harness_destroy();
}

static void image_with_l2_current_is_refused(void **state)
{
	static uint8_t image[PH_VCPU_STATE_SIZE];
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	assert_int_equal(ph_vcpu_export(vcpu, image, sizeof(image)), PH_ENOTSUP);
	assert_int_equal(ph_vcpu_set_nested(vcpu, false), PH_OK);
	assert_int_equal(ph_vcpu_export(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(ph_vcpu_set_nested(vcpu, true), PH_OK);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_ENOTSUP);
	harness_destroy();
}

static void backends_that_do_not_know_l2_refuse_it(void **state)
{
	(void)state;
	harness_create(NULL);
	assert_int_equal(ph_vcpu_set_nested(harness_vcpu(0), true), PH_ENOTSUP);
	harness_destroy();
}

static void init_makes_l1_current(void **state)
{
	struct ph_vcpu *vcpu = prepare(PH_DELIVERY_POSTED);

	(void)state;
	post_request(vcpu, REQUEST_INIT);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_false(vcpu->is_nested);
	harness_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_is_due_for_l1_ends_in_an_exit_to_it),
	    cmocka_unit_test(post_between_choice_and_recheck_is_no_entry_into_l2),
	    cmocka_unit_test(fast_exit_of_l2_that_sets_irr_leads_to_l1),
	    cmocka_unit_test(rvi_is_written_when_l1_is_current_again),
	    cmocka_unit_test(vector_that_tpr_holds_back_lets_l2_run),
	    cmocka_unit_test(interrupt_for_l1_ends_hlt_of_l2),
	    cmocka_unit_test(toggled_delivery_waits_for_l1),
	    cmocka_unit_test(image_with_l2_current_is_refused),
	    cmocka_unit_test(backends_that_do_not_know_l2_refuse_it),
	    cmocka_unit_test(init_makes_l1_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
