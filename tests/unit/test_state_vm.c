/* SPDX-License-Identifier: MIT */
/* core/state_vm.c: the image of a VM's IOAPIC, 8259 pair and routes, and what is refused. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/route.h"

#include <posthorn/state.h>
#include <stdlib.h>
#include <string.h>

/* docs/state.md. */
#define AT_VCPUS      40u
#define AT_IOAPIC     48u
#define AT_RTE(pin)   (56u + 8u * (pin))
#define AT_USERS(pin) (248u + 4u * (pin))
#define AT_CHIP(n)    (344u + 16u * (n))
#define AT_PIC_USERS  376u
#define AT_ROUTE(gsi) (440u + 16u * (gsi))
#define AT_GSI(gsi)   (1464u + 4u * (gsi))

static uint8_t image[PH_VM_STATE_SIZE];
static uint8_t other[PH_VM_STATE_SIZE];

static void write_rte(uint32_t pin, uint64_t rte)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_TABLE + 2 * pin + 1);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, (uint32_t)(rte >> 32));
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_TABLE + 2 * pin);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, (uint32_t)rte);
}

static void program_pic(uint16_t port, const uint8_t *words)
{
	ph_pic_write(harness.vm, port, words[0]);
	for (uint32_t i = 1; i < 4; i++)
		ph_pic_write(harness.vm, port + 1, words[i]);
}

static void enable_apic(void)
{
	ph_apic_mmio_write(harness_vcpu(0), APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
}

/* Every part set to something that it can be. */
static void busy_vm(void)
{
	static const uint8_t master[4] = {0x11, 0x20, 0x04, 0x01},
	                     slave[4] = {0x11, 0x28, 0x02, 0x03};
	struct ph_route routes[40];

	harness_create(NULL);
	enable_apic();
	for (uint32_t gsi = 0; gsi < 40; gsi++)
		routes[gsi] = (struct ph_route){.kind = gsi < 24 ? PH_ROUTE_PINS : PH_ROUTE_NONE,
		    .ioapic_pin = gsi < 24 ? (int8_t)gsi : -1,
		    .pic_pin = gsi < 16 ? (int8_t)gsi : -1};
	routes[30] = (struct ph_route){
	    .kind = PH_ROUTE_MSI, .ioapic_pin = -1, .pic_pin = -1, .msi = {0xfee00000, 0x61}};
	assert_int_equal(ph_route_set(harness.vm, routes, 40), PH_OK);
	write_rte(5, 0x45);
	write_rte(11, IOAPIC_RTE_LEVEL | 0x4b);
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, IOAPIC_ID);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, 3u << 24);
	program_pic(0x20, master);
	program_pic(0xa0, slave);
	ph_pic_write(harness.vm, 0x21, 0xe8);
	ph_pic_write(harness.vm, 0x4d1, 0x08);
	ph_pic_write(harness.vm, 0x20, 0x0b);
	ph_gsi_set(harness.vm, 1, 3, true);
	ph_gsi_set(harness.vm, 11, 7, true);
	ph_gsi_set(harness.vm, 30, 31, true);
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, 0x11);
}

static void export_to(uint8_t *to)
{
	memset(to, 0xa5, PH_VM_STATE_SIZE);
	assert_int_equal(ph_vm_export(harness.vm, to, PH_VM_STATE_SIZE), PH_OK);
}

static void moved_vm(void)
{
	busy_vm();
	export_to(image);
	harness_create(NULL);
}

static uint64_t number_at(uint32_t offset, uint32_t width)
{
	uint64_t number = 0;

	for (uint32_t i = width; i-- > 0;)
		number = number << 8 | image[offset + i];
	return number;
}

static void set_number(uint32_t offset, uint32_t width, uint64_t value)
{
	for (uint32_t i = 0; i < width; i++)
		image[offset + i] = (uint8_t)(value >> 8 * i);
}

static void each_field_has_its_bytes(void **state)
{
	static const struct {
		const char *field;
		uint32_t offset, width;
		uint64_t expected;
	} rows[] = {
	    {"magic", 0, 4, 0x54534850},
	    {"version", 4, 2, PH_STATE_VERSION},
	    {"kind: VM", 6, 2, 2},
	    {"size", 8, 4, PH_VM_STATE_SIZE},
	    {"TSC kHz", 16, 8, HARNESS_TSC_KHZ},
	    {"vCPUs", AT_VCPUS, 8, 1},
	    {"IOAPIC select", AT_IOAPIC, 4, 0x11},
	    {"IOAPIC ID", AT_IOAPIC + 4, 4, 3u << 24},
	    {"entry 0", AT_RTE(0), 8, IOAPIC_RTE_MASKED},
	    {"entry 5", AT_RTE(5), 8, 0x45},
	    {"entry 11", AT_RTE(11), 8, IOAPIC_RTE_LEVEL | IOAPIC_RTE_REMOTE_IRR | 0x4b},
	    {"users of pin 1", AT_USERS(1), 4, 1u << 3},
	    {"users of pin 11", AT_USERS(11), 4, 1u << 7},
	    {"master: IRR ISR IMR ELCR base ICW lowest programmed", AT_CHIP(0), 8,
	        0x0107002000e80006},
	    {"master: single ICW4 AEOI rotate mask nested poll ISR", AT_CHIP(0) + 8, 8,
	        0x0100000000000100},
	    {"slave", AT_CHIP(1), 8, 0x0107002808000008},
	    {"slave: automatic EOI", AT_CHIP(1) + 8, 8, 0x0000000000010100},
	    {"users of 8259 input 1", AT_PIC_USERS + 4, 4, 1u << 3},
	    {"users of 8259 input 11", AT_PIC_USERS + 44, 4, 1u << 7},
	    {"route 0: pins 0 and 0", AT_ROUTE(0), 8, 0x00000001},
	    {"route 20: pin 20, no 8259", AT_ROUTE(20), 8, 0x00ff1401},
	    {"route 30: MSI, its data", AT_ROUTE(30), 8, 0x61ull << 32 | 0xffff02},
	    {"route 30: its address", AT_ROUTE(30) + 8, 8, 0xfee00000},
	    {"route 50: none", AT_ROUTE(50), 8, 0},
	    {"users of GSI 30", AT_GSI(30), 4, 1u << 31},
	};

	(void)state;
	busy_vm();
	export_to(image);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].field);
		assert_int_equal(number_at(rows[i].offset, rows[i].width), rows[i].expected);
	}
	harness_destroy();
}

static void an_image_comes_back_as_it_was(void **state)
{
	(void)state;
	moved_vm();
	assert_int_equal(ph_vm_import(harness.vm, image, sizeof(image)), PH_OK);
	export_to(other);
	assert_memory_equal(other, image, sizeof(image));
	/* What is derived: lines, so that an edge is one; INTR. */
	assert_int_equal(harness.vm->pic.chip[0].line, 0x06);
	assert_int_equal(harness.vm->pic.chip[1].line, 0x08);
	assert_true(source_pic_output(harness.vm));
	assert_int_equal(source_pic_acknowledge(harness.vm), 0x21);
	harness_destroy();
}

/* A line that was high is no edge when its user says so again; the last user to let go ends it. */
static void lines_have_their_users(void **state)
{
	(void)state;
	moved_vm();
	enable_apic();
	assert_int_equal(ph_vm_import(harness.vm, image, sizeof(image)), PH_OK);
	assert_false(harness_is_pending(harness_vcpu(0), 0x4b));
	ph_gsi_set(harness.vm, 30, 31, true);
	assert_false(harness_is_pending(harness_vcpu(0), 0x61));
	ph_gsi_set(harness.vm, 30, 31, false);
	ph_gsi_set(harness.vm, 30, 31, true);
	assert_true(harness_is_pending(harness_vcpu(0), 0x61));
	/* Remote IRR: sent again only after the EOI, and only while it is high. */
	ph_gsi_set(harness.vm, 11, 7, false);
	source_ioapic_eoi(harness.vm, NULL, 0x4b);
	assert_false(harness_is_pending(harness_vcpu(0), 0x4b));
	ph_gsi_set(harness.vm, 11, 7, true);
	assert_true(harness_is_pending(harness_vcpu(0), 0x4b));
	harness_destroy();
}

static void a_level_that_nobody_accepted_is_sent_again(void **state)
{
	(void)state;
	harness_create(NULL);
	write_rte(11, IOAPIC_RTE_LEVEL | 0x4b);
	ph_gsi_set(harness.vm, 11, 0, true);
	export_to(image);
	harness_create(NULL);
	enable_apic();
	assert_int_equal(ph_vm_import(harness.vm, image, sizeof(image)), PH_OK);
	assert_true(harness_is_pending(harness_vcpu(0), 0x4b));
	harness_destroy();
}

/* INTR that was high at the other end is published to whoever takes it. */
static void intr_is_raised_again(void **state)
{
	(void)state;
	moved_vm();
	enable_apic();
	ph_apic_mmio_write(harness_vcpu(0), APIC_LVT_LINT0, 4, APIC_DELIVERY_EXTINT << 8);
	assert_int_equal(harness_requests(harness_vcpu(0)) & REQUEST_EVENT, 0);
	assert_int_equal(ph_vm_import(harness.vm, image, sizeof(image)), PH_OK);
	assert_true(harness_requests(harness_vcpu(0)) & REQUEST_EVENT);
	harness_destroy();
}

static void a_wrong_size_is_refused(void **state)
{
	uint8_t longer[PH_VM_STATE_SIZE + 1] = {0};

	(void)state;
	moved_vm();
	memcpy(longer, image, sizeof(image));
	for (size_t size = 0; size <= sizeof(longer); size++) {
		uint8_t *bytes = malloc(size ? size : 1);

		memcpy(bytes, longer, size);
		assert_int_equal(ph_vm_import(harness.vm, bytes, size),
		    size == PH_VM_STATE_SIZE ? PH_OK : PH_EINVAL);
		assert_int_equal(ph_vm_export(harness.vm, bytes, size),
		    size < PH_VM_STATE_SIZE ? PH_ENOSPC : PH_OK);
		free(bytes);
	}
	harness_destroy();
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *what;
		uint32_t offset, width;
		uint64_t value;
		int expected;
	} rows[] = {
	    {"magic", 0, 4, 0, PH_EINVAL},
	    {"the next version", 4, 2, PH_STATE_VERSION + 1, PH_ENOTSUP},
	    {"kind: vCPU", 6, 2, 1, PH_EINVAL},
	    {"size", 8, 4, 0, PH_EINVAL},
	    {"reserved", 15, 1, 1, PH_EINVAL},
	    {"another timer frequency", 24, 8, 1, PH_EINVAL},
	    {"another configuration", 32, 8, 2, PH_EINVAL},
	    {"two vCPUs", AT_VCPUS, 8, 2, PH_EINVAL},
	    {"select above 8 bits", AT_IOAPIC, 4, 0x100, PH_EINVAL},
	    {"ID outside its bits", AT_IOAPIC + 4, 4, 0x10000000, PH_EINVAL},
	    {"entry: delivery status", AT_RTE(0), 8, IOAPIC_RTE_STATUS, PH_EINVAL},
	    {"entry: Remote IRR of an edge", AT_RTE(0), 8, IOAPIC_RTE_REMOTE_IRR, PH_EINVAL},
	    {"entry: Remote IRR of an NMI", AT_RTE(0), 8, 0xc400, PH_EINVAL},
	    {"entry: Remote IRR of a level", AT_RTE(0), 8, 0xc045, PH_OK},
	    {"entry: extended destination that is not there", AT_RTE(23), 8, 1ull << 49, PH_EINVAL},
	    {"entry: reserved bit", AT_RTE(23), 8, 1ull << 17, PH_EINVAL},
	    {"8259: ELCR of the timer", AT_CHIP(0) + 3, 1, 1, PH_EINVAL},
	    {"8259: ELCR of the RTC", AT_CHIP(1) + 3, 1, 1, PH_EINVAL},
	    {"8259: vector base", AT_CHIP(0) + 4, 1, 0x21, PH_EINVAL},
	    {"8259: awaits ICW1", AT_CHIP(0) + 5, 1, 1, PH_EINVAL},
	    {"8259: awaits ICW5", AT_CHIP(0) + 5, 1, 5, PH_EINVAL},
	    {"8259: awaits ICW2 and is programmed", AT_CHIP(0) + 5, 1, 2, PH_EINVAL},
	    {"8259: priority 8", AT_CHIP(1) + 6, 1, 8, PH_EINVAL},
	    {"8259: priority 3", AT_CHIP(1) + 6, 1, 3, PH_OK},
	    {"8259: a truth of 2", AT_CHIP(1) + 7, 1, 2, PH_EINVAL},
	    {"8259: the cascade driven by a user", AT_PIC_USERS + 8, 4, 1, PH_EINVAL},
	    {"route: no such kind", AT_ROUTE(63), 1, 3, PH_EINVAL},
	    {"route: IOAPIC pin 24", AT_ROUTE(0) + 1, 1, 24, PH_EINVAL},
	    {"route: IOAPIC pin -2", AT_ROUTE(0) + 1, 1, 0xfe, PH_EINVAL},
	    {"route: 8259 pin 16", AT_ROUTE(0) + 2, 1, 16, PH_EINVAL},
	    {"route: 8259 pin -2", AT_ROUTE(0) + 2, 1, 0xfe, PH_EINVAL},
	    {"route: reserved", AT_ROUTE(0) + 3, 1, 1, PH_EINVAL},
	    {"route: pin 23", AT_ROUTE(0) + 1, 1, 23, PH_OK},
	};
	uint8_t before[PH_VM_STATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].what);
		moved_vm();
		export_to(before);
		set_number(rows[i].offset, rows[i].width, rows[i].value);
		assert_int_equal(ph_vm_import(harness.vm, image, sizeof(image)), rows[i].expected);
		export_to(other);
		assert_memory_equal(
		    other, rows[i].expected == PH_OK ? image : before, sizeof(image));
		harness_destroy();
	}
}

/* As in test_state_vcpu.c; IRR of a level-triggered or cascaded 8259 input follows its line. */
static void each_bit_is_refused_or_kept(void **state)
{
	uint8_t before[PH_VM_STATE_SIZE];

	(void)state;
	for (uint32_t bit = 0; bit < PH_VM_STATE_SIZE * 8; bit++) {
		int result;

		moved_vm();
		export_to(before);
		image[bit / 8] ^= (uint8_t)(1u << bit % 8);
		result = ph_vm_import(harness.vm, image, sizeof(image));
		export_to(other);
		image[AT_CHIP(0)] = other[AT_CHIP(0)];
		image[AT_CHIP(1)] = other[AT_CHIP(1)];
		assert_memory_equal(other, result == PH_OK ? image : before, sizeof(image));
		harness_destroy();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_field_has_its_bytes),
	    cmocka_unit_test(an_image_comes_back_as_it_was),
	    cmocka_unit_test(lines_have_their_users),
	    cmocka_unit_test(a_level_that_nobody_accepted_is_sent_again),
	    cmocka_unit_test(intr_is_raised_again),
	    cmocka_unit_test(a_wrong_size_is_refused),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(each_bit_is_refused_or_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
