/* SPDX-License-Identifier: MIT */
/* core/svm_event.c: EVENTINJ, EXITINTINFO, V_IRQ, V_TPR and NMI blocking by the IRET intercept. */
#include <string.h>

#include "tests/unit/harness.h"
#include "core/backend.h"
#include "core/lapic.h"
#include "core/post.h"
#include "x86/vmcb.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define DR6_BS    (1ull << 14)

static struct vmcb vmcb __attribute__((aligned(4096)));

/* The harness's vCPU, with the SVM backend put under it. */
static struct ph_vcpu *prepare(void)
{
	struct ph_vcpu *vcpu;

	memset(&vmcb, 0, sizeof(vmcb));
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	vcpu->backend = &backend_svm;
	vcpu->vmcb = &vmcb;
	vcpu->backend->reset(vcpu);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	vmcb.rflags = RFLAGS_IF | 2;
	vmcb.clean = UINT32_MAX;
	return vcpu;
}

static void event_inj_has_type_vector_and_error_code(void **state)
{
	static const struct {
		const char *rule;
		struct event event;
		uint64_t expected;
	} rows[] = {
	    {"INTR: type 0", {.kind = EVENT_INTR, .vector = 0x51}, 0x80000051},
	    {"ExtINT: type 0", {.kind = EVENT_EXTINT, .vector = 0x20}, 0x80000020},
	    {"NMI: type 2", {.kind = EVENT_NMI, .vector = 2}, 0x80000202},
	    {"exception: type 3", {.kind = EVENT_EXCEPTION, .vector = 6}, 0x80000306},
	    {"exception with error code: EV",
		{.kind = EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x1234},
		0x123480000b0d},
	};
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].rule);
		vcpu->backend->inject(vcpu, &rows[i].event);
		assert_int_equal(vmcb.event_inj, rows[i].expected);
	}
	harness_destroy();
}

/* What clean bits vouch for: QEMU ignores them, processors do not (APM vol. 2, "VMCB Clean Field"). */
static void what_changes_is_not_clean(void **state)
{
	static const struct event nmi = {.kind = EVENT_NMI, .vector = 2};
	enum verb { TPR_UP, THRESHOLD, NO_THRESHOLD, INTR_WINDOW, NO_WINDOW, NMI, IRET, NMI_WINDOW, STEP, RESET };
	static const struct {
		const char *verb;
		enum verb number;
		uint32_t not_clean; /* at least */
	} rows[] = {
	    {"TPR", TPR_UP, VMCB_CLEAN_TPR},
	    {"a threshold: CR8 is intercepted", THRESHOLD, VMCB_CLEAN_INTERCEPTS},
	    {"no threshold", NO_THRESHOLD, VMCB_CLEAN_INTERCEPTS},
	    {"interrupt window", INTR_WINDOW, VMCB_CLEAN_TPR},
	    {"no window", NO_WINDOW, VMCB_CLEAN_TPR},
	    {"NMI: IRET is intercepted", NMI, VMCB_CLEAN_INTERCEPTS},
	    {"IRET: no longer", IRET, VMCB_CLEAN_INTERCEPTS},
	    {"NMI window: a step over it", NMI_WINDOW, VMCB_CLEAN_INTERCEPTS},
	    {"the step's end", STEP, VMCB_CLEAN_INTERCEPTS},
	    {"reset", RESET, VMCB_CLEAN_INTERCEPTS | VMCB_CLEAN_TPR},
	};
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].verb);
		vmcb.clean = UINT32_MAX;
		switch (rows[i].number) {
		case TPR_UP:
		case NO_THRESHOLD:
			vcpu->backend->set_tpr(vcpu, 0x60, 0);
			assert_int_equal(vmcb.intercept_cr, 0);
			break;
		case THRESHOLD:
			vcpu->backend->set_tpr(vcpu, 0x60, 5);
			assert_int_equal(vmcb.intercept_cr, VMCB_CR_WRITE(8));
			break;
		case INTR_WINDOW:
			vcpu->backend->set_windows(vcpu, true, false);
			break;
		case NO_WINDOW:
			vcpu->backend->set_windows(vcpu, false, false);
			break;
		case NMI:
			vcpu->backend->inject(vcpu, &nmi);
			break;
		case IRET:
			vcpu->backend->nmi_unblocked(vcpu);
			break;
		case NMI_WINDOW:
			vcpu->backend->set_windows(vcpu, false, true);
			break;
		case STEP:
			(void)vcpu->backend->exception_exit(vcpu, 1);
			break;
		case RESET:
			vcpu->backend->reset(vcpu);
			break;
		}
		assert_int_equal(vmcb.clean & rows[i].not_clean, 0);
		assert_int_equal(vmcb.clean | VMCB_CLEAN_INTERCEPTS | VMCB_CLEAN_TPR, UINT32_MAX);
	}
	harness_destroy();
}

static void exit_int_info_becomes_the_lost_event(void **state)
{
	static const struct {
		const char *rule;
		uint64_t info;
		enum event_kind kind;
		uint8_t vector;
		bool has_error;
		uint32_t error;
	} rows[] = {
	    {"not valid", 0x51, EVENT_NONE, 0, false, 0},
	    {"INTR", 0x80000051, EVENT_INTR, 0x51, false, 0},
	    {"NMI", 0x80000202, EVENT_NMI, 2, false, 0},
	    {"#PF with error code", 0x780000b0e, EVENT_EXCEPTION, 14, true, 7},
	    {"#GP with error code", 0x1880000b0d, EVENT_EXCEPTION, 13, true, 0x18},
	    {"#UD", 0x80000306, EVENT_EXCEPTION, 6, false, 0},
	    {"#BP: the instruction runs again", 0x80000303, EVENT_NONE, 0, false, 0},
	    {"#OF: the instruction runs again", 0x80000304, EVENT_NONE, 0, false, 0},
	    {"INT n: the instruction runs again", 0x80000480, EVENT_NONE, 0, false, 0},
	};
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct event *lost = &vcpu->events.lost;

		print_message("  %s\n", rows[i].rule);
		vcpu->events.lost.kind = EVENT_NONE;
		vmcb.exit_int_info = rows[i].info;
		vmcb.event_inj = 0x80000051;
		vcpu->backend->collect(vcpu);
		assert_int_equal(vmcb.event_inj, 0);
		assert_int_equal(lost->kind, rows[i].kind);
		if (rows[i].kind == EVENT_NONE)
			continue;
		assert_int_equal(lost->vector, rows[i].vector);
		assert_int_equal(lost->has_error, rows[i].has_error);
		if (lost->has_error)
			assert_int_equal(lost->error, rows[i].error);
	}
	harness_destroy();
}

static void interrupt_window_is_a_virtual_interrupt_that_exits(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vcpu->backend->set_windows(vcpu, true, false);
	assert_true(vmcb.interrupt_control & V_IRQ);
	assert_true(vmcb.interrupt_control & V_IGN_TPR);
	assert_true(vmcb.intercept_3 & VMCB_VINTR);
	assert_false(vmcb.clean & VMCB_CLEAN_TPR);
	vcpu->backend->set_windows(vcpu, false, false);
	assert_false(vmcb.interrupt_control & V_IRQ);
	/* A V_IRQ that an emulator raises late is never taken by the guest. */
	assert_true(vmcb.intercept_3 & VMCB_VINTR);
	harness_destroy();
}

static void allowed_by_if_shadow_and_nmi_mask(void **state)
{
	static const struct {
		uint64_t rflags;
		uint64_t shadow;
		bool nmi_masked;
		bool intr;
		bool nmi;
	} rows[] = {
	    {RFLAGS_IF, 0, false, true, true},
	    {0, 0, false, false, true},
	    {RFLAGS_IF, VMCB_INTERRUPT_SHADOW, false, false, false},
	    {RFLAGS_IF, 0, true, true, false},
	    {0, VMCB_INTERRUPT_SHADOW, true, false, false},
	};
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vmcb.rflags = rows[i].rflags;
		vmcb.interrupt_state = rows[i].shadow;
		vcpu->events.nmi_masked = rows[i].nmi_masked;
		assert_int_equal(vcpu->backend->intr_allowed(vcpu), rows[i].intr);
		assert_int_equal(vcpu->backend->nmi_allowed(vcpu), rows[i].nmi);
		vcpu->backend->end_shadow(vcpu);
		assert_false(vmcb.interrupt_state & VMCB_INTERRUPT_SHADOW);
	}
	harness_destroy();
}

static void v_tpr_and_tpr_follow_each_other(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vcpu->backend->set_tpr(vcpu, 0x5f, 0);
	assert_int_equal(vmcb.interrupt_control & V_TPR_MASK, 5);
	assert_false(vmcb.intercept_cr & VMCB_CR_WRITE(8));
	vcpu->backend->set_tpr(vcpu, 0x5f, 4);
	assert_true(vmcb.intercept_cr & VMCB_CR_WRITE(8));
	vcpu->backend->set_tpr(vcpu, 0x5f, 0);
	assert_false(vmcb.intercept_cr & VMCB_CR_WRITE(8));
	/* The guest's MOV to CR8 went to V_TPR without an exit. */
	vmcb.interrupt_control = (vmcb.interrupt_control & ~V_TPR_MASK) | 9;
	vcpu->backend->collect(vcpu);
	assert_int_equal(lapic_reg(vcpu, APIC_TPR), 0x90);
	/* Unchanged class: TPR's low bits stay. */
	lapic_set_tpr(vcpu, 0x93);
	vcpu->backend->collect(vcpu);
	assert_int_equal(lapic_reg(vcpu, APIC_TPR), 0x93);
	harness_destroy();
}

/* An NMI was injected, and another one waits for its IRET. */
static struct ph_vcpu *prepare_second_nmi(void)
{
	struct ph_vcpu *vcpu = prepare();

	vcpu->events.nmi_masked = true;
	vcpu->backend->inject(vcpu, &(struct event){.kind = EVENT_NMI, .vector = 2});
	assert_true(vmcb.intercept_3 & VMCB_IRET);
	vmcb.rip = 0x1000;
	ph_vcpu_nmi_unblocked(vcpu);
	assert_false(vmcb.intercept_3 & VMCB_IRET);
	assert_true(vcpu->events.nmi_masked);
	return vcpu;
}

static void nmi_unblocks_when_rip_has_left_iret(void **state)
{
	struct ph_vcpu *vcpu = prepare_second_nmi();

	(void)state;
	vcpu->backend->collect(vcpu); /* still at IRET */
	assert_true(vcpu->events.nmi_masked);
	vmcb.rip = 0x2000;
	vcpu->backend->collect(vcpu);
	assert_false(vcpu->events.nmi_masked);
	assert_false(vmcb.rflags & RFLAGS_TF);
	harness_destroy();
}

static void waiting_nmi_steps_over_iret_and_hides_it(void **state)
{
	struct ph_vcpu *vcpu = prepare_second_nmi();

	(void)state;
	vmcb.intercept_exceptions = 1u << 18;
	vcpu->backend->set_windows(vcpu, false, true);
	assert_true(vmcb.rflags & RFLAGS_TF);
	assert_int_equal(vmcb.intercept_exceptions, UINT32_MAX);
	vmcb.rip = 0x2000;
	vmcb.dr6 = 0xffff0ff0 | DR6_BS;
	vcpu->backend->collect(vcpu);
	assert_true(ph_vcpu_exception_exit(vcpu, 1));
	assert_false(vmcb.rflags & RFLAGS_TF);
	assert_false(vmcb.dr6 & DR6_BS);
	assert_int_equal(vmcb.intercept_exceptions, 1u << 18);
	assert_false(vcpu->events.nmi_masked);
	harness_destroy();
}

static void fault_in_iret_keeps_nmis_blocked_and_tf_out_of_the_guest(void **state)
{
	struct ph_vcpu *vcpu = prepare_second_nmi();

	(void)state;
	vcpu->backend->set_windows(vcpu, false, true);
	vcpu->backend->collect(vcpu);
	assert_false(ph_vcpu_exception_exit(vcpu, 13));
	assert_false(vmcb.rflags & RFLAGS_TF);
	assert_true(vcpu->events.nmi_masked);
	assert_true(vmcb.intercept_3 & VMCB_IRET);
	harness_destroy();
}

static void guest_s_own_single_step_is_not_swallowed(void **state)
{
	struct ph_vcpu *vcpu = prepare_second_nmi();

	(void)state;
	vmcb.rflags |= RFLAGS_TF;
	vcpu->backend->set_windows(vcpu, false, true);
	vmcb.rip = 0x2000;
	vmcb.dr6 = DR6_BS;
	vcpu->backend->collect(vcpu);
	assert_false(ph_vcpu_exception_exit(vcpu, 1));
	assert_true(vmcb.rflags & RFLAGS_TF);
	assert_true(vmcb.dr6 & DR6_BS);
	assert_false(vcpu->events.nmi_masked);
	harness_destroy();
}

/* A trap of the guest's own debug registers, at the instruction that we step: it is the guest's. */
static void a_breakpoint_at_the_stepped_iret_is_the_guest_s(void **state)
{
	struct ph_vcpu *vcpu = prepare_second_nmi();

	(void)state;
	vcpu->backend->set_windows(vcpu, false, true);
	vmcb.rip = 0x2000;
	vmcb.dr6 = 1;
	assert_false(ph_vcpu_exception_exit(vcpu, 1));
	assert_int_equal(vmcb.dr6, 1);
	assert_false(vmcb.rflags & RFLAGS_TF);
	assert_false(vcpu->events.nmi_masked);
	harness_destroy();
}

/* APM vol. 2, "Interrupt Shadows": an NMI that waits for the end of one is seen by a step, no IRET. */
static void nmi_in_a_shadow_waits_one_step(void **state)
{
	static const struct {
		uint8_t exception;
		bool is_swallowed;
	} rows[] = {{1, true}, {13, false}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_vcpu *vcpu = prepare();

		vmcb.interrupt_state = VMCB_INTERRUPT_SHADOW;
		vcpu->backend->set_windows(vcpu, false, true);
		assert_true(vmcb.rflags & RFLAGS_TF);
		/* Asked for again: TF as it was before is remembered from the first time. */
		vcpu->backend->set_windows(vcpu, false, true);
		vmcb.dr6 = DR6_BS;
		assert_int_equal(
		    ph_vcpu_exception_exit(vcpu, rows[i].exception), rows[i].is_swallowed);
		assert_false(vmcb.rflags & RFLAGS_TF);
		assert_false(vcpu->events.nmi_masked);
		assert_false(vmcb.intercept_3 & VMCB_IRET);
		harness_destroy();
	}
}

static void nmi_behind_another_waits_for_its_iret(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vcpu->events.nmi_masked = true;
	vcpu->backend->set_windows(vcpu, false, true);
	assert_false(vmcb.rflags & RFLAGS_TF);
	assert_true(vmcb.intercept_3 & VMCB_IRET);
	harness_destroy();
}

static void no_step_no_claim_on_exceptions(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vmcb.dr6 = DR6_BS;
	assert_false(ph_vcpu_exception_exit(vcpu, 1));
	assert_false(ph_vcpu_exception_exit(vcpu, 14));
	harness_destroy();
}

static enum harness_exit one_exit(struct ph_vcpu *vcpu)
{
	(void)vcpu;
	vmcb.exit_int_info = 0;
	return HARNESS_EXIT;
}

static void interrupt_held_by_tpr_intercepts_cr8_and_opens_no_window(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	harness.on_enter = one_exit;
	assert_int_equal(ph_cr8_write(vcpu, 6), PH_OK);
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_true(vmcb.intercept_cr & VMCB_CR_WRITE(8));
	assert_false(vmcb.interrupt_control & V_IRQ);
	assert_int_equal(ph_cr8_write(vcpu, 0), PH_OK);
	vmcb.rflags &= ~RFLAGS_IF;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_false(vmcb.intercept_cr & VMCB_CR_WRITE(8));
	assert_true(vmcb.interrupt_control & V_IRQ);
	vmcb.rflags |= RFLAGS_IF;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_true(harness_apic_bit(vcpu, APIC_ISR, 0x51));
	assert_false(vmcb.interrupt_control & V_IRQ);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(event_inj_has_type_vector_and_error_code),
	    cmocka_unit_test(what_changes_is_not_clean),
	    cmocka_unit_test(exit_int_info_becomes_the_lost_event),
	    cmocka_unit_test(interrupt_window_is_a_virtual_interrupt_that_exits),
	    cmocka_unit_test(allowed_by_if_shadow_and_nmi_mask),
	    cmocka_unit_test(v_tpr_and_tpr_follow_each_other),
	    cmocka_unit_test(nmi_unblocks_when_rip_has_left_iret),
	    cmocka_unit_test(waiting_nmi_steps_over_iret_and_hides_it),
	    cmocka_unit_test(fault_in_iret_keeps_nmis_blocked_and_tf_out_of_the_guest),
	    cmocka_unit_test(guest_s_own_single_step_is_not_swallowed),
	    cmocka_unit_test(a_breakpoint_at_the_stepped_iret_is_the_guest_s),
	    cmocka_unit_test(nmi_in_a_shadow_waits_one_step),
	    cmocka_unit_test(nmi_behind_another_waits_for_its_iret),
	    cmocka_unit_test(no_step_no_claim_on_exceptions),
	    cmocka_unit_test(interrupt_held_by_tpr_intercepts_cr8_and_opens_no_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
