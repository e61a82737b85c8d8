/* SPDX-License-Identifier: MIT */
/* core/vmx_event.c: entry interruption information, IDT-vectoring information, windows, threshold. */
#include "tests/unit/fake_vmcs.h"
#include "core/post.h"

static void entry_information_has_type_vector_and_error_code(void **state)
{
	static const struct {
		const char *rule;
		struct event event;
		uint64_t cr0;
		uint32_t info;
		uint32_t error;
	} rows[] = {
	    {"external interrupt: type 0", {.kind = EVENT_INTR, .vector = 0x51}, 1, 0x80000051, 0},
	    {"ExtINT: type 0", {.kind = EVENT_EXTINT, .vector = 0x20}, 1, 0x80000020, 0},
	    {"NMI: type 2", {.kind = EVENT_NMI, .vector = 2}, 1, 0x80000202, 0},
	    {"#UD: type 3", {.kind = EVENT_EXCEPTION, .vector = 6}, 1, 0x80000306, 0},
	    {"#GP: deliver error code",
		{.kind = EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x18}, 1,
		0x80000b0d, 0x18},
	    {"#GP in real mode: no error code",
		{.kind = EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = 0x18}, 0,
		0x8000030d, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

		print_message("  %s\n", rows[i].rule);
		fake_vmcs[VMCS_GUEST_CR0] = rows[i].cr0;
		vcpu->backend->inject(vcpu, &rows[i].event);
		assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], rows[i].info);
		assert_int_equal(fake_vmcs[VMCS_ENTRY_EXCEPTION_ERROR], rows[i].error);
		harness_destroy();
	}
}

static void idt_vectoring_information_becomes_the_lost_event(void **state)
{
	static const struct {
		const char *rule;
		uint32_t info;
		enum event_kind kind;
		uint8_t vector;
		bool has_error;
	} rows[] = {
	    {"not valid", 0x51, EVENT_NONE, 0, false},
	    {"external interrupt", 0x80000051, EVENT_INTR, 0x51, false},
	    {"NMI", 0x80000202, EVENT_NMI, 2, false},
	    {"hardware exception with error code", 0x80000b0e, EVENT_EXCEPTION, 14, true},
	    {"hardware exception", 0x80000306, EVENT_EXCEPTION, 6, false},
	    {"software interrupt runs again", 0x80000480, EVENT_NONE, 0, false},
	    {"INT1 runs again", 0x80000501, EVENT_NONE, 0, false},
	    {"INT3 runs again", 0x80000603, EVENT_NONE, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);
		const struct event *lost = &vcpu->events.lost;

		print_message("  %s\n", rows[i].rule);
		fake_vmcs[VMCS_IDT_VECTORING_INFO] = rows[i].info;
		fake_vmcs[VMCS_IDT_VECTORING_ERROR] = 0x1234;
		fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_NMI;
		vcpu->backend->collect(vcpu);
		assert_int_equal(lost->kind, rows[i].kind);
		if (lost->kind != EVENT_NONE)
			assert_int_equal(lost->vector, rows[i].vector);
		if (rows[i].has_error)
			assert_int_equal(lost->error, 0x1234);
		/* NMI delivery blocked NMIs: open for it to be entered again; else untouched. */
		assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY],
		    rows[i].kind == EVENT_NMI ? 0 : INTERRUPTIBILITY_NMI);
		harness_destroy();
	}
}

static void allowed_by_if_shadow_and_nmi_blocking(void **state)
{
	static const struct {
		uint64_t rflags;
		uint32_t interruptibility;
		bool intr;
		bool nmi;
	} rows[] = {
	    {RFLAGS_IF, 0, true, true},
	    {0, 0, false, true},
	    {RFLAGS_IF, INTERRUPTIBILITY_STI, false, false},
	    {RFLAGS_IF, INTERRUPTIBILITY_MOV_SS, false, false},
	    {RFLAGS_IF, INTERRUPTIBILITY_NMI, true, false},
	};
	struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_vmcs[VMCS_GUEST_RFLAGS] = rows[i].rflags;
		fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = rows[i].interruptibility;
		assert_int_equal(vcpu->backend->intr_allowed(vcpu), rows[i].intr);
		assert_int_equal(vcpu->backend->nmi_allowed(vcpu), rows[i].nmi);
		ph_vcpu_end_shadow(vcpu);
		assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY],
		    rows[i].interruptibility & INTERRUPTIBILITY_NMI);
	}
	harness_destroy();
}

static void nmi_blocking_is_the_processor_s(void **state)
{
	struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

	(void)state;
	ph_vcpu_nmi_blocked_again(vcpu);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], INTERRUPTIBILITY_NMI);
	ph_vcpu_nmi_unblocked(vcpu);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
	assert_false(ph_vcpu_exception_exit(vcpu, 1));
	harness_destroy();
}

static enum harness_exit one_exit(struct ph_vcpu *vcpu)
{
	(void)vcpu;
	return HARNESS_EXIT;
}

static void windows_and_threshold_follow_what_waits(void **state)
{
	struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

	(void)state;
	harness.on_enter = one_exit;
	fake_vmcs[VMCS_GUEST_RFLAGS] = 0;
	fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_NMI;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	ph_vcpu_nmi(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_PRIMARY],
	    FAKE_PRIMARY | PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);
	/* The guest raises TPR in the page: no window for what TPR holds back, but a threshold. */
	lapic_set_reg(vcpu, APIC_TPR, 0x60);
	vcpu->backend->collect(vcpu);
	fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	fake_vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_IF;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], 0x80000202);
	assert_int_equal(fake_vmcs[VMCS_PRIMARY], FAKE_PRIMARY);
	assert_int_equal(fake_vmcs[VMCS_TPR_THRESHOLD], 5);
	/* TPR-below-threshold exit. */
	lapic_set_reg(vcpu, APIC_TPR, 0x40);
	vcpu->backend->collect(vcpu);
	fake_vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_IF;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], 0x80000051);
	assert_int_equal(fake_vmcs[VMCS_TPR_THRESHOLD], 0);
	harness_destroy();
}

/* SDM vol. 3, "TPR-Below-Threshold VM Exit": once TPR falls below the class of what it holds back. */
static void threshold_is_the_class_that_tpr_holds_back(void **state)
{
	static const struct {
		const char *rule;
		uint8_t vector; /* 0: none is pending */
		uint8_t tpr;
		uint8_t in_service; /* 0: none */
		bool is_open;
		uint32_t threshold;
	} rows[] = {
	    {"nothing pending", 0, 0x60, 0, true, 0},
	    {"held back", 0x51, 0x60, 0, true, 5},
	    {"held back by its own class", 0x51, 0x50, 0, true, 5},
	    {"by the end of its class", 0x5f, 0x5f, 0, true, 5},
	    {"class above TPR's: it goes in", 0x51, 0x4f, 0, true, 0},
	    {"or has a window", 0x51, 0x4f, 0, false, 0},
	    {"held back by what is in service: TPR does not matter", 0x51, 0x4f, 0x91, true, 0},
	    {"nor with another TPR", 0x81, 0x10, 0x91, true, 0},
	    {"by both", 0x51, 0x5f, 0x91, true, 5},
	    {"lowest class", 0x1f, 0x10, 0, true, 1},
	    {"highest class", 0xf1, 0xf0, 0, true, 15},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

		print_message("  %s\n", rows[i].rule);
		harness.on_enter = one_exit;
		if (rows[i].in_service) {
			lapic_accept(vcpu, rows[i].in_service, false);
			lapic_acknowledge(vcpu, rows[i].in_service);
		}
		lapic_set_reg(vcpu, APIC_TPR, rows[i].tpr);
		lapic_update_ppr(vcpu);
		if (!rows[i].is_open)
			fake_vmcs[VMCS_GUEST_RFLAGS] = 0;
		if (rows[i].vector)
			post_interrupt(vcpu, vcpu, rows[i].vector, false, PH_SOURCE_IPI);
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(fake_vmcs[VMCS_TPR_THRESHOLD], rows[i].threshold);
		harness_destroy();
	}
}

/* One after the other: RFLAGS.IF and TPR of the guest as an exit finds them. */
static void if_is_awaited_before_tpr(void **state)
{
	static const struct {
		const char *name;
		uint64_t rflags, primary;
		uint8_t tpr, threshold;
	} rows[] = {
	    {"IF = 0 and TPR: the window alone", 0, PRIMARY_INTERRUPT_WINDOW, 0x60, 0},
	    {"TPR lowered: the window stays", 0, PRIMARY_INTERRUPT_WINDOW, 0, 0},
	    {"raised again", 0, PRIMARY_INTERRUPT_WINDOW, 0x60, 0},
	    {"IF = 1: the threshold", RFLAGS_IF, 0, 0x60, 5},
	    {"IF = 0 again: the threshold stays", 0, 0, 0x60, 5},
	    {"TPR below it: the window", 0, PRIMARY_INTERRUPT_WINDOW, 0x40, 0},
	};
	struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

	(void)state;
	harness.on_enter = one_exit;
	lapic_accept(vcpu, 0x51, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].name);
		fake_vmcs[VMCS_GUEST_RFLAGS] = rows[i].rflags;
		lapic_set_reg(vcpu, APIC_TPR, rows[i].tpr);
		vcpu->backend->collect(vcpu);
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(fake_vmcs[VMCS_PRIMARY], FAKE_PRIMARY | rows[i].primary);
		assert_int_equal(fake_vmcs[VMCS_TPR_THRESHOLD], rows[i].threshold);
	}
	fake_vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_IF;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs[VMCS_ENTRY_INTR_INFO], 0x80000051);
	harness_destroy();
}

static void nothing_pending_writes_nothing(void **state)
{
	struct ph_vcpu *vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);

	(void)state;
	harness.on_enter = one_exit;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	fake_vmcs_write_count = 0;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_vmcs_write_count, 0);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entry_information_has_type_vector_and_error_code),
	    cmocka_unit_test(idt_vectoring_information_becomes_the_lost_event),
	    cmocka_unit_test(allowed_by_if_shadow_and_nmi_blocking),
	    cmocka_unit_test(nmi_blocking_is_the_processor_s),
	    cmocka_unit_test(windows_and_threshold_follow_what_waits),
	    cmocka_unit_test(threshold_is_the_class_that_tpr_holds_back),
	    cmocka_unit_test(if_is_awaited_before_tpr),
	    cmocka_unit_test(nothing_pending_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
