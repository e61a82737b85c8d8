/* SPDX-License-Identifier: MIT */
/* core/source_msi.c: the fields of an MSI's address and data (SDM vol. 3, "Message Signalled
 * Interrupts"). */
#include "tests/unit/harness.h"
#include "core/route.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct decode_row {
	const char *rule;
	bool extended;
	struct ph_msi msi;
	struct message expected;
};

static const struct decode_row decode_rows[] = {
    {"destination and vector", false, {0xfee05000, 0x0041}, {.destination = 5, .vector = 0x41}},
    {"the highest of both", false, {0xfeeff000, 0x00ff}, {.destination = 0xff, .vector = 0xff}},
    {"logical", false, {0xfee03004, 0x41}, {.destination = 3, .vector = 0x41, .is_logical = true}},
    {"redirection hint", false, {0xfee03008, 0x41},
        {.destination = 3, .vector = 0x41, .is_redirectable = true}},
    {"level", false, {0xfee00000, 0xc041}, {.vector = 0x41, .is_level = true}},
    {"assert without level is an edge", false, {0xfee00000, 0x4041}, {.vector = 0x41}},
    {"lowest priority", false, {0xfee00000, 0x0141},
        {.vector = 0x41, .delivery = APIC_DELIVERY_LOWEST}},
    {"SMI", false, {0xfee00000, 0x0200}, {.delivery = APIC_DELIVERY_SMI}},
    {"011 is reserved", false, {0xfee00000, 0x0341},
        {.vector = 0x41, .delivery = APIC_DELIVERY_RESERVED}},
    {"NMI", false, {0xfee00000, 0x0400}, {.delivery = APIC_DELIVERY_NMI}},
    {"INIT", false, {0xfee00000, 0x0500}, {.delivery = APIC_DELIVERY_INIT}},
    {"110 is reserved: no start-up by MSI", false, {0xfee00000, 0x0641},
        {.vector = 0x41, .delivery = APIC_DELIVERY_RESERVED}},
    {"ExtINT", false, {0xfee00000, 0x0700}, {.delivery = APIC_DELIVERY_EXTINT}},
    {"address bits 11:5 are reserved", false, {0xfee01fe0, 0x41},
        {.destination = 1, .vector = 0x41}},
    {"address bits 11:5 are destination bits 14:8", true, {0xfee01020, 0x41},
        {.destination = 0x101, .vector = 0x41}},
    {"all 15 bits", true, {0xfeefffe0, 0x41}, {.destination = 0x7fff, .vector = 0x41}},
    {"bits 4, 1 and 0 are none of them", true, {0xfee00013, 0x41}, {.vector = 0x41}},
    {"data bits 31:16 and 13:11 are reserved", false, {0xfee00000, 0xffff3841}, {.vector = 0x41}},
};

static void the_fields_are_where_the_manual_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(decode_rows); i++) {
		const struct decode_row *row = &decode_rows[i];
		struct message message;

		harness_create(&(struct harness_config){.extended_dest_id = row->extended});
		print_message("  %s\n", row->rule);
		assert_true(source_msi_decode(harness.vm, &row->msi, &message));
		assert_int_equal(message.destination, row->expected.destination);
		assert_int_equal(message.vector, row->expected.vector);
		assert_int_equal(message.delivery, row->expected.delivery);
		assert_int_equal(message.is_logical, row->expected.is_logical);
		assert_int_equal(message.is_level, row->expected.is_level);
		assert_int_equal(message.is_redirectable, row->expected.is_redirectable);
		assert_int_equal(message.shorthand, APIC_SHORTHAND_NONE);
		assert_int_equal(message.from_x2apic, false);
		assert_int_equal(message.source, PH_SOURCE_MSI);
	}
}

static void enable(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
}

struct post_row {
	const char *rule;
	struct ph_msi msi;
	int result;
	uint32_t recipients; /* of vector 0x41 */
};

static const struct post_row post_rows[] = {
    {"one target", {0xfee01000, 0x0041}, 1, 0x2},
    {"all", {0xfeeff000, 0x0041}, 3, 0x7},
    {"nobody of that ID", {0xfee09000, 0x0041}, 0, 0},
    {"level asserted", {0xfee02000, 0xc041}, 1, 0x4},
    {"level de-asserted is no interrupt", {0xfee02000, 0x8041}, 0, 0},
    {"a reserved delivery mode", {0xfee01000, 0x0341}, 0, 0},
    {"start-up cannot come by MSI", {0xfee01000, 0x0641}, 0, 0},
    {"below the window", {0xfedff000, 0x0041}, PH_EINVAL, 0},
    {"above the window", {0xfef01000, 0x0041}, PH_EINVAL, 0},
    {"above 4 GiB", {0x1fee01000, 0x0041}, PH_EINVAL, 0},
    {"the top bit", {0x80000000fee01000, 0x0041}, PH_EINVAL, 0},
    {"address 0", {0, 0x0041}, PH_EINVAL, 0},
};

static void posting_tells_how_many_accepted(void **state)
{
	(void)state;
	harness_create(&(struct harness_config){.vcpu_count = 3});
	for (uint32_t v = 0; v < 3; v++)
		enable(harness_vcpu(v));
	for (size_t i = 0; i < COUNT(post_rows); i++) {
		print_message("  %s\n", post_rows[i].rule);
		assert_int_equal(ph_msi_post(harness.vm, &post_rows[i].msi), post_rows[i].result);
		for (uint32_t v = 0; v < 3; v++) {
			assert_int_equal(harness_is_pending(harness_vcpu(v), 0x41),
			    post_rows[i].recipients >> v & 1);
			assert_int_equal(harness_requests(harness_vcpu(v)) & REQUEST_SIPI, 0);
			harness_clear_pending(harness_vcpu(v));
		}
	}
}

static void an_msi_is_counted_as_one(void **state)
{
	struct ph_counters counters;

	(void)state;
	enable(harness_vcpu(0));
	assert_int_equal(ph_msi_post(harness.vm, &(struct ph_msi){0xfee00000, 0x41}), 1);
	assert_int_equal(ph_msi_post(harness.vm, &(struct ph_msi){0xfee00000, 0x42}), 1);
	ph_vcpu_counters(harness_vcpu(0), &counters);
	assert_int_equal(counters.posted_count[PH_SOURCE_MSI], 2);
	assert_int_equal(counters.posted_count[PH_SOURCE_IOAPIC], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_fields_are_where_the_manual_says),
	    TEST(posting_tells_how_many_accepted),
	    TEST(an_msi_is_counted_as_one),
	};

	return cmocka_run_group_tests_name("source_msi", tests, NULL, NULL);
}
