/* SPDX-License-Identifier: MIT */
/* core/vm.c: what init refuses, the counters, and how exceptions combine. */
#include <stdlib.h>

#include "tests/unit/harness.h"
#include "x86/vmcb.h"

static void vm_init_refuses_fields_out_of_range(void **state)
{
	static const struct ph_vm_config good = {.platform = &harness_platform,
	    .vcpu_count = 2,
	    .tsc_khz = 1000000,
	    .apic_timer_khz = 100000};
	struct ph_vm_config rows[7];
	struct ph_vm *vm;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		rows[i] = good;
	rows[1].platform = NULL;
	rows[2].vcpu_count = 0;
	rows[3].vcpu_count = PH_VCPU_MAX + 1;
	rows[4].tsc_khz = 0;
	rows[5].apic_timer_khz = 0;
	rows[6].vcpu_count = PH_VCPU_MAX;
	for (size_t i = 0; i < 7; i++) {
		void *memory = aligned_alloc(PH_VM_ALIGN, ph_vm_size(&rows[i]));

		assert_non_null(memory);
		for (size_t byte = 0; byte < ph_vm_size(&rows[i]); byte++)
			((uint8_t *)memory)[byte] = 0;
		assert_int_equal(ph_vm_init(memory, &rows[i], &vm), i == 0 || i == 6 ? PH_OK : PH_EINVAL);
		free(memory);
	}
}

static void vcpu_init_refuses_what_cannot_run(void **state)
{
	static uint8_t page[2][4096] __attribute__((aligned(4096)));
	static uint8_t memory[8192] __attribute__((aligned(64)));
	const struct ph_vcpu_config good = {
	    .backend = PH_BACKEND_SOFT, .apic_id = 9, .apic_page = page[0], .pid = page[1]};
	struct ph_vcpu_config bad;
	struct ph_vcpu *vcpu;

	(void)state;
	assert_in_range(ph_vcpu_size(), 1, sizeof(memory));
	harness_create(&(struct harness_config){.vcpu_count = 2});
	/* Every index is taken. */
	assert_int_equal(ph_vcpu_init(harness.vm, 0, memory, &good, &vcpu), PH_EINVAL);
	assert_int_equal(ph_vcpu_init(harness.vm, 2, memory, &good, &vcpu), PH_EINVAL);
	harness.vm->vcpus[1] = NULL;
	bad = good;
	bad.apic_id = 0; /* vCPU 0's */
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	bad = good;
	bad.apic_id = PH_VCPU_MAX;
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	bad = good;
	bad.apic_page = NULL;
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	bad = good;
	bad.pid = NULL;
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	/* Not aligned, down to the lowest bit. */
	for (uint32_t offset = 1; offset < 64; offset *= 2) {
		bad = good;
		bad.apic_page = page[0] + offset;
		assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
		bad = good;
		bad.pid = page[1] + offset;
		assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	}
	bad = good;
	bad.backend = PH_BACKEND_SVM; /* without a VMCB */
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_EINVAL);
	bad = good;
	bad.backend = (enum ph_backend)99;
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &bad, &vcpu), PH_ENOTSUP);
	assert_int_equal(ph_vcpu_init(harness.vm, 1, memory, &good, &vcpu), PH_OK);
	assert_ptr_equal(ph_vm_vcpu(harness.vm, 1), vcpu);
	assert_null(ph_vm_vcpu(harness.vm, 2));
	harness_destroy();
}

static uint64_t some_vmcs_read(const struct ph_vcpu *vcpu, void *host, uint32_t field)
{
	(void)vcpu;
	(void)host;
	return field & 0;
}

static void some_vmcs_write(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value)
{
	(void)vcpu;
	(void)host;
	(void)field;
	(void)value;
}

static void some_delivery(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery)
{
	(void)vcpu;
	(void)host;
	(void)delivery;
}

/* posthorn.h, struct ph_vcpu_config; platform.h, the verbs that say PH_BACKEND_VMX. */
static void each_backend_needs_its_own_parts(void **state)
{
	enum { VMCB = 1, READ = 2, WRITE = 4, SET = 8 };
	static const struct {
		enum ph_backend backend;
		enum ph_delivery delivery;
		uint32_t parts;
		int expected;
	} rows[] = {
	    {PH_BACKEND_SOFT, PH_DELIVERY_INJECTED, 0, PH_OK},
	    {PH_BACKEND_SOFT, PH_DELIVERY_VIRTUAL, SET, PH_EINVAL},
	    {PH_BACKEND_SVM, PH_DELIVERY_INJECTED, VMCB, PH_OK},
	    {PH_BACKEND_SVM, PH_DELIVERY_INJECTED, 0, PH_EINVAL},
	    {PH_BACKEND_SVM, PH_DELIVERY_POSTED, VMCB | SET, PH_EINVAL},
	    {PH_BACKEND_VMX, PH_DELIVERY_INJECTED, READ | WRITE, PH_OK},
	    {PH_BACKEND_VMX, PH_DELIVERY_INJECTED, READ, PH_EINVAL},
	    {PH_BACKEND_VMX, PH_DELIVERY_INJECTED, WRITE, PH_EINVAL},
	    {PH_BACKEND_VMX, PH_DELIVERY_VIRTUAL, READ | WRITE, PH_EINVAL},
	    {PH_BACKEND_VMX, PH_DELIVERY_VIRTUAL, READ | WRITE | SET, PH_OK},
	    {PH_BACKEND_VMX, PH_DELIVERY_POSTED, READ | WRITE | SET, PH_OK},
	};
	static uint8_t page[3][4096] __attribute__((aligned(4096)));
	static struct ph_platform platform;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static uint8_t memory[8192] __attribute__((aligned(64)));
		const struct ph_vcpu_config config = {.backend = rows[i].backend,
		    .delivery = rows[i].delivery,
		    .apic_id = 1,
		    .apic_page = page[0],
		    .pid = page[1],
		    .vmcb = rows[i].parts & VMCB ? page[2] : NULL};
		struct ph_vcpu *vcpu;

		platform = harness_platform;
		platform.vmcs_read = rows[i].parts & READ ? some_vmcs_read : NULL;
		platform.vmcs_write = rows[i].parts & WRITE ? some_vmcs_write : NULL;
		platform.set_delivery = rows[i].parts & SET ? some_delivery : NULL;
		harness_create(&(struct harness_config){.vcpu_count = 2});
		harness.vm->vcpus[1] = NULL;
		harness.vm->platform = &platform;
		for (size_t byte = 0; byte < sizeof(memory); byte++)
			memory[byte] = 0;
		assert_int_equal(
		    ph_vcpu_init(harness.vm, 1, memory, &config, &vcpu), rows[i].expected);
		/* A faster delivery is switched to by the owner, with its VMCS current. */
		if (rows[i].expected == PH_OK)
			assert_int_equal(harness_requests(vcpu),
			    rows[i].delivery == PH_DELIVERY_INJECTED ? 0 : REQUEST_DELIVERY);
		/* The backend sets up what it is given: V_IRQ opens windows. */
		if (rows[i].expected == PH_OK && config.vmcb)
			assert_true(((struct vmcb *)config.vmcb)->intercept_3 & VMCB_VINTR);
		harness_destroy();
	}
}

static void putting_a_vcpu_that_is_in_the_guest_is_a_bug(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	ph_vcpu_load(vcpu, 3);
	assert_int_equal(vcpu->shared.pcpu, 3);
	vcpu->shared.mode = MODE_EXITING;
	expect_assert_failure(ph_vcpu_put(vcpu));
	vcpu->shared.mode = MODE_OUTSIDE;
	ph_vcpu_put(vcpu);
	harness_destroy();
}

/* SDM vol. 3, table "Conditions for Generating a Double Fault". */
static void exceptions_combine_by_the_double_fault_table(void **state)
{
	static const struct {
		const char *rule;
		uint8_t first;
		uint8_t second;
		bool is_shutdown;
		uint8_t expected;
	} rows[] = {
	    {"benign then benign: the second", 1, 6, false, 6},
	    {"benign then contributory: the second", 6, 13, false, 13},
	    {"benign then #PF: the second", 6, 14, false, 14},
	    {"contributory then benign: the second", 13, 6, false, 6},
	    {"contributory then contributory: #DF", 13, 11, false, 8},
	    {"contributory then #PF: the second", 13, 14, false, 14},
	    {"#VE is as #PF", 20, 13, false, 8},
	    {"#XM is benign", 19, 13, false, 13},
	    {"#CP is contributory", 21, 13, false, 8},
	    {"#DE and #TS are contributory", 0, 10, false, 8},
	    {"#NP and #SS are contributory", 11, 12, false, 8},
	    {"#AC is benign", 13, 17, false, 17},
	    {"#PF then benign: the second", 14, 1, false, 1},
	    {"#PF then contributory: #DF", 14, 0, false, 8},
	    {"#PF then #PF: #DF", 14, 14, false, 8},
	    {"#DF then contributory: shutdown", 8, 12, true, 0},
	    {"#DF then #PF: shutdown", 8, 14, true, 0},
	    {"#DF then #DF: shutdown", 8, 8, true, 0},
	    {"#DF then benign: the second", 8, 6, false, 6},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int was_lost = 0; was_lost < 2; was_lost++) {
			struct ph_vcpu *vcpu;

			print_message("  %s\n", rows[i].rule);
			harness_create(NULL);
			vcpu = harness_vcpu(0);
			if (was_lost)
				vcpu->events.lost = (struct event){
				    .kind = EVENT_EXCEPTION, .vector = rows[i].first};
			else
				assert_true(ph_vcpu_queue_exception(vcpu, rows[i].first, false, 0));
			assert_int_equal(ph_vcpu_queue_exception(vcpu, rows[i].second, false, 0),
			    !rows[i].is_shutdown);
			if (!rows[i].is_shutdown) {
				assert_int_equal(vcpu->events.exception.kind, EVENT_EXCEPTION);
				assert_int_equal(vcpu->events.exception.vector, rows[i].expected);
				assert_int_equal(vcpu->events.exception.has_error,
				    rows[i].expected == 8);
				assert_int_equal(vcpu->events.lost.kind, EVENT_NONE);
			}
			harness_destroy();
		}
	}
}

static void lost_interrupt_survives_an_exception(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	vcpu->events.lost = (struct event){.kind = EVENT_INTR, .vector = 0x51};
	assert_true(ph_vcpu_queue_exception(vcpu, 14, true, 2));
	assert_int_equal(vcpu->events.lost.kind, EVENT_INTR);
	assert_int_equal(vcpu->events.exception.vector, 14);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vm_init_refuses_fields_out_of_range),
	    cmocka_unit_test(vcpu_init_refuses_what_cannot_run),
	    cmocka_unit_test(each_backend_needs_its_own_parts),
	    cmocka_unit_test(putting_a_vcpu_that_is_in_the_guest_is_a_bug),
	    cmocka_unit_test(exceptions_combine_by_the_double_fault_table),
	    cmocka_unit_test(lost_interrupt_survives_an_exception),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
