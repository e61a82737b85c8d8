/* SPDX-License-Identifier: MIT */
/* core/state_kvm.c: Linux KVM's layouts of the local APIC, the IOAPIC and the 8259 pair. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"
#include "x86/msr.h"

#include <linux/kvm.h>
#include <posthorn/state.h>
#include <string.h>

/* Our definitions against the kernel's own header. */
#define SAME_FIELD(ours, theirs, field)                                                            \
	_Static_assert(offsetof(struct ours, field) == offsetof(struct theirs, field), #field)
_Static_assert(sizeof(struct ph_kvm_lapic_state) == sizeof(struct kvm_lapic_state), "LAPIC");
_Static_assert(sizeof(struct ph_kvm_ioapic_state) == sizeof(struct kvm_ioapic_state), "IOAPIC");
_Static_assert(sizeof(struct ph_kvm_pic_state) == sizeof(struct kvm_pic_state), "8259");
SAME_FIELD(ph_kvm_ioapic_state, kvm_ioapic_state, base_address);
SAME_FIELD(ph_kvm_ioapic_state, kvm_ioapic_state, ioregsel);
SAME_FIELD(ph_kvm_ioapic_state, kvm_ioapic_state, id);
SAME_FIELD(ph_kvm_ioapic_state, kvm_ioapic_state, irr);
SAME_FIELD(ph_kvm_ioapic_state, kvm_ioapic_state, redirtbl);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, last_irr);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, irr);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, imr);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, isr);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, priority_add);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, irq_base);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, read_reg_select);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, poll);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, special_mask);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, init_state);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, auto_eoi);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, rotate_on_auto_eoi);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, special_fully_nested_mode);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, init4);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, elcr);
SAME_FIELD(ph_kvm_pic_state, kvm_pic_state, elcr_mask);

static struct ph_kvm_lapic_state lapic, again;
static struct ph_kvm_lapic_beside beside;

static uint32_t reg_at(uint32_t offset)
{
	return lapic.regs[offset] | (uint32_t)lapic.regs[offset + 1] << 8 |
	       (uint32_t)lapic.regs[offset + 2] << 16 | (uint32_t)lapic.regs[offset + 3] << 24;
}

static void set_reg(uint32_t offset, uint32_t value)
{
	for (uint32_t i = 0; i < 4; i++)
		lapic.regs[offset + i] = (uint8_t)(value >> 8 * i);
}

static struct ph_vcpu *fresh(uint32_t apic_id)
{
	const uint32_t ids[] = {0, apic_id};
	const struct harness_config config = {.vcpu_count = 2, .apic_ids = ids};

	harness_create(&config);
	return harness_vcpu(1);
}

static void to_x2apic(struct ph_vcpu *vcpu)
{
	assert_int_equal(ph_apic_msr_write(vcpu, MSR_APIC_BASE,
	                     APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC),
	    PH_OK);
}

static void registers_are_at_their_xapic_offsets(void **state)
{
	struct ph_vcpu *vcpu = fresh(3);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xef);
	ph_apic_mmio_write(vcpu, APIC_LDR, 4, 0x42000000);
	ph_apic_mmio_write(vcpu, APIC_TPR, 4, 0x20);
	ph_apic_mmio_write(vcpu, APIC_LVT_TIMER, 4, APIC_LVT_PERIODIC | 0x31);
	ph_apic_mmio_write(vcpu, APIC_TDCR, 4, 0xb);
	ph_apic_mmio_write(vcpu, APIC_TMICT, 4, 10000);
	harness_advance(25000);
	lapic_accept(vcpu, 0x71, false);
	post_interrupt(NULL, vcpu, 0x72, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0x93, true, PH_SOURCE_IOAPIC);
	post_interrupt(NULL, vcpu, 7, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
	assert_int_equal(reg_at(APIC_ID), 3u << 24);
	assert_int_equal(reg_at(APIC_SVR), 0x1ef);
	assert_int_equal(reg_at(APIC_LDR), 0x42000000);
	assert_int_equal(reg_at(APIC_TPR), 0x20);
	assert_int_equal(reg_at(APIC_TMCCT), 7500);
	/* Posted ones are in IRR, an illegal one nowhere; a level is in TMR. */
	assert_int_equal(reg_at(APIC_IRR), 0);
	assert_int_equal(reg_at(APIC_IRR + 0x30), 3u << 0x11);
	assert_int_equal(reg_at(APIC_IRR + 0x40), 1u << 0x13);
	assert_int_equal(reg_at(APIC_TMR + 0x40), 1u << 0x13);
	assert_int_equal(beside.apic_base, APIC_DEFAULT_BASE | APIC_BASE_ENABLE);
	assert_int_equal(beside.tsc_deadline, 0);
	/* And the vCPU still has them where they were. */
	assert_true(vcpu->pid->control & PID_ON);
	assert_false(harness_apic_bit(vcpu, APIC_IRR, 0x72));
	harness_destroy();
}

/* Each half of each word of the inboxes. */
static void what_is_posted_is_exported_as_pending(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		struct ph_vcpu *vcpu = fresh(3);
		uint32_t top = 31, low = i ? 0 : 16;

		post_interrupt(NULL, vcpu, (uint8_t)(32 * i + top), true, PH_SOURCE_IOAPIC);
		post_interrupt(NULL, vcpu, (uint8_t)(32 * i + low), false, PH_SOURCE_MSI);
		assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
		assert_int_equal(reg_at(APIC_IRR + 16 * i), 1u << top | 1u << low);
		assert_int_equal(reg_at(APIC_TMR + 16 * i), 1u << top);
		harness_destroy();
	}
}

static void registers_come_back(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	registers_are_at_their_xapic_offsets(state);
	vcpu = fresh(3);
	assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
	assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &again, &beside), PH_OK);
	/* PPR was of before the posts. */
	assert_memory_equal(&again, &lapic, sizeof(lapic));
	assert_int_equal(harness_host(vcpu)->timer_deadline, 1000 + 75000);
	assert_int_equal(lapic_highest_irr(vcpu), 0x93);
	harness_destroy();
}

/* KVM_CAP_X2APIC_API: in x2APIC mode the ID is 32 bits wide, or the upper 8. */
static void x2apic_ids_have_two_formats(void **state)
{
	static const struct {
		uint32_t id;
		bool is_wide;
		uint32_t expected;
		int result;
	} rows[] = {
	    {5, false, 5u << 24, PH_OK},
	    {5, true, 5, PH_OK},
	    {0xff, false, 0xffu << 24, PH_OK},
	    {0x105, true, 0x105, PH_OK},
	    {0x105, false, 0, PH_EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fresh(rows[i].id);

		to_x2apic(vcpu);
		beside.ids_are_32bit = rows[i].is_wide;
		assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), rows[i].result);
		if (rows[i].result != PH_OK)
			continue;
		assert_int_equal(reg_at(APIC_ID), rows[i].expected);
		vcpu = fresh(rows[i].id);
		assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
		assert_int_equal(lapic_reg(vcpu, APIC_ID), rows[i].id);
		assert_int_equal(vcpu->shared.identity & IDENTITY_ID_MASK, rows[i].id);
		vcpu = fresh(rows[i].id + 1);
		assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_EINVAL);
		harness_destroy();
	}
	beside.ids_are_32bit = false;
}

static void what_this_apic_lacks_is_dropped_or_refused(void **state)
{
	static const struct {
		const char *what;
		uint32_t offset, value;
		int result;
		uint32_t expected;
	} rows[] = {
	    {"version of another kind", APIC_VERSION, 0x01060015, PH_OK, 0x50014},
	    {"CMCI masked", APIC_LVT_CMCI, APIC_LVT_MASKED, PH_OK, 0},
	    {"CMCI never used", APIC_LVT_CMCI, 0, PH_OK, 0},
	    {"CMCI open", APIC_LVT_CMCI, 0x51, PH_EINVAL, 0},
	    {"illegal vector requested", APIC_IRR, 0x10003, PH_OK, 0x10000},
	    {"LVT open while SVR is off", APIC_LVT_LINT1, 0x400, PH_OK, 0x10400},
	    {"ICR delivery status", APIC_ICR, 0x1045, PH_OK, 0x45},
	    {"reserved register", 0x40, 1, PH_OK, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fresh(1);

		print_message("  %s\n", rows[i].what);
		assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
		set_reg(rows[i].offset, rows[i].value);
		assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), rows[i].result);
		if (rows[i].result == PH_OK)
			assert_int_equal(lapic_reg(vcpu, rows[i].offset), rows[i].expected);
		harness_destroy();
	}
}

static void a_base_that_is_none_is_refused(void **state)
{
	static const uint64_t bases[] = {APIC_DEFAULT_BASE | APIC_BASE_X2APIC, 1ull << 52, 1};
	struct ph_vcpu *vcpu = fresh(1);

	(void)state;
	assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
	for (size_t i = 0; i < 3; i++) {
		beside.apic_base = bases[i];
		assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_EINVAL);
	}
	harness_destroy();
}

/* TMCCT says what is left; at 0 a periodic timer begins anew and a one-shot timer has ended. */
static void the_timer_goes_on(void **state)
{
	static const struct {
		const char *what;
		uint32_t lvt, initial, current;
		uint64_t deadline_msr;
		uint64_t expected; /* guest TSC, which is 1000; 0: not running */
	} rows[] = {
	    {"one-shot, 50 left", APIC_LVT_ONESHOT | 0x31, 100, 50, 0, 1000 + 50 * 20},
	    {"one-shot, ended", APIC_LVT_ONESHOT | 0x31, 100, 0, 0, 0},
	    {"one-shot, more left than there was", APIC_LVT_ONESHOT | 0x31, 100, 5000, 0,
	        1000 + 100 * 20},
	    {"periodic, 9000 left", APIC_LVT_PERIODIC | 0x31, 10000, 9000, 0, 1000 + 9000 * 20},
	    {"periodic, at its end", APIC_LVT_PERIODIC | 0x31, 10000, 0, 0, 1000 + 10000 * 20},
	    {"never started", APIC_LVT_PERIODIC | 0x31, 0, 0, 0, 0},
	    {"TSC deadline", APIC_LVT_TSC_DEADLINE | 0x31, 0, 0, 777777, 777777},
	    {"TSC deadline, not armed", APIC_LVT_TSC_DEADLINE | 0x31, 0, 0, 0, 0},
	    {"a deadline in another mode", APIC_LVT_ONESHOT | 0x31, 0, 0, 777777, 0},
	    {"reserved mode", 3u << 17 | 0x31, 100, 50, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = fresh(1);

		print_message("  %s\n", rows[i].what);
		assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
		set_reg(APIC_SVR, 0x1ff);
		set_reg(APIC_LVT_TIMER, rows[i].lvt);
		set_reg(APIC_TMICT, rows[i].initial);
		set_reg(APIC_TMCCT, rows[i].current);
		beside.tsc_deadline = rows[i].deadline_msr;
		assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
		assert_int_equal(vcpu->lapic.timer_expiry, rows[i].expected);
		assert_int_equal(harness_host(vcpu)->timer_is_armed, rows[i].expected != 0);
		harness_destroy();
	}
	beside.tsc_deadline = 0;
}

static void what_is_not_in_the_layout_stays(void **state)
{
	struct ph_vcpu *vcpu = fresh(1);

	(void)state;
	assert_int_equal(ph_vcpu_export_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
	ph_vcpu_nmi(vcpu);
	vcpu->lapic.extint_pending = true;
	vcpu->activity = ACTIVITY_HALTED;
	assert_int_equal(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside), PH_OK);
	assert_int_equal(harness_requests(vcpu), REQUEST_NMI);
	assert_true(vcpu->lapic.extint_pending);
	assert_int_equal(vcpu->activity, ACTIVITY_HALTED);
	harness_destroy();
}

/* ---- IOAPIC -------------------------------------------------------------------------------- */

static void write_rte(uint32_t pin, uint64_t rte)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_TABLE + 2 * pin + 1);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, (uint32_t)(rte >> 32));
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_TABLE + 2 * pin);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, (uint32_t)rte);
}

static void ioapic_comes_back(void **state)
{
	struct ph_kvm_ioapic_state ioapic, second;

	(void)state;
	fresh(1);
	ph_apic_mmio_write(harness_vcpu(0), APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	write_rte(3, 0x43);
	write_rte(9, IOAPIC_RTE_LEVEL | 0x49);
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_ID);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, 9u << 24);
	ph_gsi_set(harness.vm, 9, 5, true);
	ph_vm_export_kvm_ioapic(harness.vm, &ioapic);
	assert_int_equal(ioapic.base_address, 0xfec00000);
	assert_int_equal(ioapic.id, 9);
	assert_int_equal(ioapic.ioregsel, IOAPIC_ID);
	assert_int_equal(ioapic.irr, 1u << 9);
	assert_int_equal(ioapic.redirtbl[0], IOAPIC_RTE_MASKED);
	assert_int_equal(ioapic.redirtbl[3], 0x43);
	assert_int_equal(ioapic.redirtbl[9], IOAPIC_RTE_LEVEL | IOAPIC_RTE_REMOTE_IRR | 0x49);
	ioapic.redirtbl[3] |= IOAPIC_RTE_STATUS;
	fresh(1);
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &ioapic), PH_OK);
	ph_vm_export_kvm_ioapic(harness.vm, &second);
	ioapic.redirtbl[3] &= ~IOAPIC_RTE_STATUS;
	assert_memory_equal(&second, &ioapic, sizeof(ioapic));
	/* User 0 drives the line now. */
	ph_gsi_set(harness.vm, 9, 0, false);
	ph_vm_export_kvm_ioapic(harness.vm, &second);
	assert_int_equal(second.irr, 0);
	harness_destroy();
}

static void an_ioapic_that_cannot_be_is_refused(void **state)
{
	struct ph_kvm_ioapic_state good, bad;

	(void)state;
	fresh(1);
	ph_vm_export_kvm_ioapic(harness.vm, &good);
	bad = good;
	bad.id = 15;
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &bad), PH_OK);
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &good), PH_OK);
	bad.id = 16;
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &bad), PH_EINVAL);
	bad = good;
	bad.ioregsel = 0x100;
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &bad), PH_EINVAL);
	bad = good;
	bad.redirtbl[23] = IOAPIC_RTE_REMOTE_IRR;
	assert_int_equal(ph_vm_import_kvm_ioapic(harness.vm, &bad), PH_EINVAL);
	ph_vm_export_kvm_ioapic(harness.vm, &bad);
	assert_memory_equal(&bad, &good, sizeof(good));
	harness_destroy();
}

/* ---- 8259 pair ----------------------------------------------------------------------------- */

static void program_pic(uint16_t port, uint8_t icw1, uint8_t icw2, uint8_t icw4)
{
	ph_pic_write(harness.vm, port, icw1);
	ph_pic_write(harness.vm, port + 1, icw2);
	ph_pic_write(harness.vm, port + 1, 0);
	if (icw1 & 1)
		ph_pic_write(harness.vm, port + 1, icw4);
}

static void pic_comes_back(void **state)
{
	static const struct ph_kvm_pic_state expected[2] = {
	    {.last_irr = 0x02,
	        .irr = 0x02,
	        .imr = 0xf8,
	        .priority_add = 4,
	        .irq_base = 0x20,
	        .read_reg_select = 1,
	        .init4 = 1,
	        .elcr = 0x20,
	        .elcr_mask = 0xf8},
	    {.imr = 0x11,
	        .irq_base = 0x28,
	        .special_mask = 1,
	        .auto_eoi = 1,
	        .rotate_on_auto_eoi = 1,
	        .special_fully_nested_mode = 1,
	        .init4 = 1,
	        .poll = 1,
	        .elcr_mask = 0xde},
	};
	struct ph_kvm_pic_state pic[2], second[2];

	(void)state;
	fresh(1);
	program_pic(0x20, 0x11, 0x20, 0x01);
	program_pic(0xa0, 0x11, 0x28, 0x13);
	ph_pic_write(harness.vm, 0x21, 0xf8);
	ph_pic_write(harness.vm, 0xa1, 0x11);
	ph_pic_write(harness.vm, 0x4d0, 0x20);
	ph_pic_write(harness.vm, 0x20, 0xc3); /* lowest: 3 */
	ph_pic_write(harness.vm, 0x20, 0x0b); /* reads give ISR */
	ph_pic_write(harness.vm, 0xa0, 0x80); /* rotate on automatic EOI */
	ph_pic_write(harness.vm, 0xa0, 0x6c); /* special mask, poll */
	ph_gsi_set(harness.vm, 1, 4, true);
	assert_int_equal(ph_vm_export_kvm_pic(harness.vm, pic), PH_OK);
	assert_memory_equal(pic, expected, sizeof(pic));
	fresh(1);
	assert_int_equal(ph_vm_import_kvm_pic(harness.vm, pic), PH_OK);
	assert_int_equal(ph_vm_export_kvm_pic(harness.vm, second), PH_OK);
	assert_memory_equal(second, pic, sizeof(pic));
	assert_true(source_pic_output(harness.vm));
	assert_int_equal(source_pic_acknowledge(harness.vm), 0x21);
	harness_destroy();
}

static void each_step_of_initialization_is_kept(void **state)
{
	static const uint8_t words[] = {0x11, 0x20, 0x04, 0x01};

	(void)state;
	for (uint32_t done = 0; done <= 4; done++) {
		struct ph_kvm_pic_state pic[2];

		fresh(1);
		for (uint32_t i = 0; i < done; i++)
			ph_pic_write(harness.vm, i ? 0x21 : 0x20, words[i]);
		assert_int_equal(ph_vm_export_kvm_pic(harness.vm, pic), PH_OK);
		assert_int_equal(pic[0].init_state, done % 4);
		fresh(1);
		assert_int_equal(ph_vm_import_kvm_pic(harness.vm, pic), PH_OK);
		for (uint32_t i = done; done && i < 4; i++)
			ph_pic_write(harness.vm, 0x21, words[i]);
		ph_gsi_set(harness.vm, 3, 0, true);
		assert_int_equal(source_pic_acknowledge(harness.vm), done ? 0x23 : 3);
		harness_destroy();
	}
}

static void a_pic_that_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *what;
		size_t offset;
		uint8_t value;
		int result;
	} rows[] = {
	    {"init_state 4", offsetof(struct ph_kvm_pic_state, init_state), 4, PH_EINVAL},
	    {"priority 8", offsetof(struct ph_kvm_pic_state, priority_add), 8, PH_EINVAL},
	    {"base 0x21", offsetof(struct ph_kvm_pic_state, irq_base), 0x21, PH_EINVAL},
	    {"ELCR of the timer: not there", offsetof(struct ph_kvm_pic_state, elcr), 1, PH_OK},
	    {"the cascade's line: not a user's", offsetof(struct ph_kvm_pic_state, last_irr), 4,
	        PH_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_kvm_pic_state pic[2], second[2];

		print_message("  %s\n", rows[i].what);
		fresh(1);
		assert_int_equal(ph_vm_export_kvm_pic(harness.vm, pic), PH_OK);
		((uint8_t *)&pic[0])[rows[i].offset] = rows[i].value;
		assert_int_equal(ph_vm_import_kvm_pic(harness.vm, pic), rows[i].result);
		assert_int_equal(ph_vm_export_kvm_pic(harness.vm, second), PH_OK);
		((uint8_t *)&pic[0])[rows[i].offset] = 0;
		assert_memory_equal(second, pic, sizeof(pic));
		harness_destroy();
	}
}

static void single_mode_is_not_supported(void **state)
{
	struct ph_kvm_pic_state pic[2];

	(void)state;
	fresh(1);
	ph_pic_write(harness.vm, 0xa0, 0x12);
	assert_int_equal(ph_vm_export_kvm_pic(harness.vm, pic), PH_ENOTSUP);
	fresh(1);
	ph_pic_write(harness.vm, 0x20, 0x12);
	assert_int_equal(ph_vm_export_kvm_pic(harness.vm, pic), PH_ENOTSUP);
	harness_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registers_are_at_their_xapic_offsets),
	    cmocka_unit_test(what_is_posted_is_exported_as_pending),
	    cmocka_unit_test(registers_come_back),
	    cmocka_unit_test(x2apic_ids_have_two_formats),
	    cmocka_unit_test(what_this_apic_lacks_is_dropped_or_refused),
	    cmocka_unit_test(a_base_that_is_none_is_refused),
	    cmocka_unit_test(the_timer_goes_on),
	    cmocka_unit_test(what_is_not_in_the_layout_stays),
	    cmocka_unit_test(ioapic_comes_back),
	    cmocka_unit_test(an_ioapic_that_cannot_be_is_refused),
	    cmocka_unit_test(pic_comes_back),
	    cmocka_unit_test(each_step_of_initialization_is_kept),
	    cmocka_unit_test(a_pic_that_cannot_be_is_refused),
	    cmocka_unit_test(single_mode_is_not_supported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
