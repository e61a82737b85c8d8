/* SPDX-License-Identifier: MIT */
/* core/route.c: who a destination means, who accepts, the ID map and the GSI routes. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/route.h"

#include <pthread.h>
#include <signal.h>

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define VECTOR        0x51
#define MSR_APIC_BASE 0x1bu

/* ---- Setting vCPUs up through the guest's own doors ----------------------------------------- */

enum mode { XAPIC, X2APIC, OFF };

static void write_xapic(struct ph_vcpu *vcpu, uint32_t reg, uint32_t value)
{
	ph_apic_mmio_write(vcpu, reg, 4, value);
}

static void enable(struct ph_vcpu *vcpu)
{
	write_xapic(vcpu, APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

static void set_base(struct ph_vcpu *vcpu, uint64_t mode_bits)
{
	uint64_t base;

	assert_int_equal(ph_apic_msr_read(vcpu, MSR_APIC_BASE, &base), PH_OK);
	base &= ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	assert_int_equal(ph_apic_msr_write(vcpu, MSR_APIC_BASE, base | mode_bits), PH_OK);
}

static void enter_x2apic(struct ph_vcpu *vcpu)
{
	set_base(vcpu, APIC_BASE_ENABLE | APIC_BASE_X2APIC);
}

struct vcpu_row {
	uint32_t apic_id;
	enum mode mode;
	uint8_t ldr; /* xAPIC only */
};

/* Software-enabled vCPUs in the modes asked for; `dfr` for those in xAPIC mode. */
static void create_set(const struct vcpu_row *rows, uint32_t count, uint32_t dfr, bool extended)
{
	uint32_t ids[16];
	struct harness_config config = {
	    .vcpu_count = count, .apic_ids = ids, .extended_dest_id = extended};

	for (uint32_t i = 0; i < count; i++)
		ids[i] = rows[i].apic_id;
	harness_create(&config);
	for (uint32_t i = 0; i < count; i++) {
		struct ph_vcpu *vcpu = harness_vcpu(i);

		enable(vcpu);
		write_xapic(vcpu, APIC_DFR, dfr);
		write_xapic(vcpu, APIC_LDR, (uint32_t)rows[i].ldr << 24);
		if (rows[i].mode == X2APIC)
			enter_x2apic(vcpu);
		else if (rows[i].mode == OFF)
			set_base(vcpu, 0);
	}
}

static void create_xapic(uint32_t count)
{
	harness_create(&(struct harness_config){.vcpu_count = count});
	for (uint32_t i = 0; i < count; i++) {
		enable(harness_vcpu(i));
		write_xapic(harness_vcpu(i), APIC_LDR, 1u << (24 + i % 8));
	}
}

/* Which vCPUs have the vector, one bit a vCPU; they forget it. */
static uint32_t take_recipients(uint8_t vector)
{
	uint32_t recipients = 0;

	for (uint32_t i = 0; i < harness.vcpu_count; i++) {
		if (harness_is_pending(harness_vcpu(i), vector))
			recipients |= 1u << i;
		harness_clear_pending(harness_vcpu(i));
	}
	return recipients;
}

static void expect(
    const char *rule, struct ph_vcpu *sender, struct message message, uint32_t recipients)
{
	uint32_t count = route_deliver(harness.vm, sender, &message);
	uint32_t found = take_recipients(message.vector);

	if (found != recipients || count != (uint32_t)__builtin_popcount(recipients))
		fail_msg("%s: recipients %#x (returned %u), expected %#x", rule, found, count,
		    recipients);
}

/* ---- Destinations --------------------------------------------------------------------------- */

struct destination_row {
	const char *rule;
	uint32_t destination;
	bool is_logical;
	bool from_x2apic;
	bool is_ipi;
	uint32_t recipients;
};

static void check_rows(const struct destination_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct message message = {
		    .destination = rows[i].destination,
		    .vector = VECTOR,
		    .is_logical = rows[i].is_logical,
		    .from_x2apic = rows[i].from_x2apic,
		    .source = rows[i].is_ipi ? PH_SOURCE_IPI : PH_SOURCE_MSI,
		};

		expect(rows[i].rule, NULL, message, rows[i].recipients);
	}
}

static const struct vcpu_row flat_set[] = {
    {0, XAPIC, 0x01}, {1, XAPIC, 0x02}, {5, XAPIC, 0x04}, {0xfe, XAPIC, 0x80}, {7, XAPIC, 0x00}};

static void xapic_flat_destinations(void **state)
{
	static const struct destination_row rows[] = {
	    {"physical: the ID", 0, false, false, true, 0x01},
	    {"physical: an ID that is not the index", 5, false, false, true, 0x04},
	    {"physical: 0xfe is an ID", 0xfe, false, false, true, 0x08},
	    {"physical: nobody has it", 2, false, false, true, 0},
	    {"physical: 0xff is everybody", 0xff, false, false, true, 0x1f},
	    {"physical: an MSI's 0xff too", 0xff, false, false, false, 0x1f},
	    {"physical: 0x100 is no 8-bit ID", 0x100, false, false, false, 0},
	    {"physical: 0x101 is not ID 1", 0x101, false, true, true, 0},
	    {"physical: beyond every table", 0x7fffffff, false, true, true, 0},
	    {"flat: one bit", 0x02, true, false, true, 0x02},
	    {"flat: any common bit", 0x07, true, false, true, 0x07},
	    {"flat: a bit nobody has", 0x10, true, false, true, 0},
	    {"flat: no bit", 0x00, true, false, true, 0},
	    {"flat: the high bit", 0x80, true, false, true, 0x08},
	    {"logical 0xff is everybody, LDR 0 as well", 0xff, true, false, true, 0x1f},
	};

	(void)state;
	create_set(flat_set, COUNT(flat_set), APIC_DFR_FLAT, false);
	check_rows(rows, COUNT(rows));
}

static void xapic_cluster_destinations(void **state)
{
	static const struct vcpu_row set[] = {{0, XAPIC, 0x01}, {1, XAPIC, 0x02}, {2, XAPIC, 0x11},
	    {3, XAPIC, 0x18}, {4, XAPIC, 0xe1}};
	static const struct destination_row rows[] = {
	    {"cluster 0, member 0", 0x01, true, false, true, 0x01},
	    {"cluster 0, members 0 and 1", 0x03, true, false, true, 0x03},
	    {"cluster 1, all members", 0x1f, true, false, true, 0x0c},
	    {"cluster 1, member 3", 0x18, true, false, true, 0x08},
	    {"cluster 14", 0xe1, true, false, true, 0x10},
	    {"a cluster without members", 0x2f, true, false, true, 0},
	    {"cluster 1, no member named", 0x10, true, false, true, 0},
	    {"0xff is everybody", 0xff, true, false, true, 0x1f},
	};

	(void)state;
	create_set(set, COUNT(set), APIC_DFR_CLUSTER, false);
	check_rows(rows, COUNT(rows));
}

static void an_undefined_dfr_model_matches_only_the_broadcast(void **state)
{
	static const struct destination_row rows[] = {
	    {"as flat", 0x01, true, false, true, 0},
	    {"all bits but one", 0xfe, true, false, true, 0},
	    {"broadcast", 0xff, true, false, true, 0x1f},
	    {"physical is not concerned", 5, false, false, true, 0x04},
	};

	(void)state;
	create_set(flat_set, COUNT(flat_set), 0x5fffffff, false);
	check_rows(rows, COUNT(rows));
}

static const struct vcpu_row x2apic_set[] = {{0, X2APIC, 0}, {1, X2APIC, 0}, {15, X2APIC, 0},
    {16, X2APIC, 0}, {255, X2APIC, 0}, {256, X2APIC, 0}, {1023, X2APIC, 0}};

static const struct destination_row x2apic_rows[] = {
    {"physical: ID 0", 0, false, true, true, 0x01},
    {"physical: ID 255 is one CPU", 255, false, true, true, 0x10},
    {"physical: above 255", 256, false, true, true, 0x20},
    {"physical: the highest", 1023, false, true, true, 0x40},
    {"physical: 1024 is nobody", 1024, false, true, true, 0},
    {"physical: 0xffffffff is everybody", 0xffffffff, false, true, true, 0x7f},
    {"logical: cluster 0, bits 0 and 15", 0x00008001, true, true, true, 0x05},
    {"logical: cluster 1, bit 0", 0x00010001, true, true, true, 0x08},
    {"logical: cluster 15, bit 15", 0x000f8000, true, true, true, 0x10},
    {"logical: cluster 16, bit 0", 0x00100001, true, true, true, 0x20},
    {"logical: cluster 63, all", 0x003fffff, true, true, true, 0x40},
    {"logical: no bits", 0x00000000, true, true, true, 0},
    {"logical: a cluster without members", 0x0002ffff, true, true, true, 0},
    {"logical: a cluster beyond every table", 0xfffe0001, true, true, true, 0},
    {"logical: 0xffffffff is everybody", 0xffffffff, true, true, true, 0x7f},
    {"a device's 8-bit ID", 16, false, false, false, 0x08},
    {"a device's logical 8 bits are cluster 0", 0x03, true, false, false, 0x03},
    {"a device's 0xff is everybody", 0xff, false, false, false, 0x7f},
    {"an xAPIC's 0xff is ID 255", 0xff, false, false, true, 0x10},
};

static void x2apic_destinations(void **state)
{
	(void)state;
	create_set(x2apic_set, COUNT(x2apic_set), APIC_DFR_FLAT, false);
	check_rows(x2apic_rows, COUNT(x2apic_rows));
}

/* With somebody left in xAPIC mode the logical set is found another way: the answers are the same.
 */
static void x2apic_destinations_beside_an_xapic(void **state)
{
	struct vcpu_row set[COUNT(x2apic_set) + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(x2apic_set); i++)
		set[i] = x2apic_set[i];
	set[COUNT(x2apic_set)] = (struct vcpu_row){9, XAPIC, 0};
	create_set(set, COUNT(set), APIC_DFR_FLAT, false);
	for (size_t i = 0; i < COUNT(x2apic_rows); i++) {
		struct destination_row row = x2apic_rows[i];

		if (row.destination == 0xff && !row.from_x2apic)
			row.recipients |= 0x80;
		check_rows(&row, 1);
	}
}

static void extended_destinations_name_id_255(void **state)
{
	static const struct destination_row rows[] = {
	    {"15 bits: ID 256", 256, false, false, false, 0x20},
	    {"15 bits: ID 1023", 1023, false, false, false, 0x40},
	    {"0xff is ID 255, not everybody", 0xff, false, false, false, 0x10},
	    {"0x7fff is nobody", 0x7fff, false, false, false, 0},
	};

	(void)state;
	create_set(x2apic_set, COUNT(x2apic_set), APIC_DFR_FLAT, true);
	check_rows(rows, COUNT(rows));
}

static void mixed_modes_as_kvm_handles_them(void **state)
{
	static const struct vcpu_row set[] = {
	    {0, X2APIC, 0}, {1, XAPIC, 0x02}, {2, X2APIC, 0}, {300, XAPIC, 0x08}, {4, OFF, 0}};
	static const struct destination_row rows[] = {
	    {"an xAPIC is reached by its 8-bit ID from x2APIC", 1, false, true, true, 0x02},
	    {"an x2APIC by its ID from xAPIC", 2, false, false, true, 0x04},
	    {"an xAPIC whose ID needs more bits by all of them", 300, false, true, true, 0x08},
	    {"and by the low byte", 44, false, false, true, 0x08},
	    {"xAPIC's broadcast is for xAPICs", 0xff, false, false, true, 0x0a},
	    {"x2APIC's 0xff is no broadcast", 0xff, false, true, true, 0},
	    {"x2APIC's broadcast is for x2APICs", 0xffffffff, false, true, true, 0x05},
	    {"a device's broadcast is for all", 0xff, false, false, false, 0x0f},
	    {"8-bit logical: flat LDR, and cluster 0", 0x06, true, false, false, 0x06},
	    {"x2APIC's logical destination: flat LDR, too", 0x08, true, true, true, 0x08},
	    {"hardware-disabled is reached by nothing", 4, false, true, true, 0},
	};

	(void)state;
	create_set(set, COUNT(set), APIC_DFR_FLAT, false);
	check_rows(rows, COUNT(rows));
}

static void shorthands(void **state)
{
	struct message message = {.vector = VECTOR, .source = PH_SOURCE_IPI, .destination = 2};

	(void)state;
	create_xapic(4);
	message.shorthand = APIC_SHORTHAND_SELF;
	expect("self, whatever the destination", harness_vcpu(1), message, 0x2);
	message.shorthand = APIC_SHORTHAND_ALL;
	expect("all including self", harness_vcpu(1), message, 0xf);
	message.shorthand = APIC_SHORTHAND_OTHERS;
	expect("all excluding self", harness_vcpu(1), message, 0xd);
	set_base(harness_vcpu(3), 0);
	expect("but not the hardware-disabled", harness_vcpu(1), message, 0x5);
	expect_assert_failure(route_deliver(harness.vm, NULL,
	    &(struct message){.vector = VECTOR, .shorthand = APIC_SHORTHAND_SELF}));
}

static void an_interrupt_to_oneself_goes_straight_to_irr(void **state)
{
	struct message message = {.vector = VECTOR, .destination = 1, .source = PH_SOURCE_IPI};

	(void)state;
	create_xapic(2);
	assert_int_equal(route_deliver(harness.vm, harness_vcpu(1), &message), 1);
	assert_true(harness_apic_bit(harness_vcpu(1), APIC_IRR, VECTOR));
	message.destination = 0;
	assert_int_equal(route_deliver(harness.vm, harness_vcpu(1), &message), 1);
	assert_false(harness_apic_bit(harness_vcpu(0), APIC_IRR, VECTOR));
	assert_true(harness_is_pending(harness_vcpu(0), VECTOR));
}

/* ---- Who accepts ---------------------------------------------------------------------------- */

struct acceptance_row {
	const char *rule;
	uint8_t delivery;
	uint32_t request; /* 0: the vector itself */
	bool when_software_disabled;
	bool ever;
};

static const struct acceptance_row acceptance_rows[] = {
    {"fixed", APIC_DELIVERY_FIXED, 0, false, true},
    {"lowest priority", APIC_DELIVERY_LOWEST, 0, false, true},
    {"SMI", APIC_DELIVERY_SMI, REQUEST_SMI, true, true},
    {"reserved", APIC_DELIVERY_RESERVED, 0, false, false},
    {"NMI", APIC_DELIVERY_NMI, REQUEST_NMI, true, true},
    {"INIT", APIC_DELIVERY_INIT, REQUEST_INIT, true, true},
    {"start-up", APIC_DELIVERY_STARTUP, REQUEST_SIPI, true, true},
    {"ExtINT", APIC_DELIVERY_EXTINT, REQUEST_EXTINT, false, true},
};

enum target_state { ENABLED, SOFTWARE_DISABLED, HARDWARE_DISABLED };

static void check_acceptance(
    const struct acceptance_row *row, enum target_state target, bool is_broadcast)
{
	bool accepted = row->ever && target != HARDWARE_DISABLED &&
	                (target == ENABLED || row->when_software_disabled);
	struct message message = {.destination = is_broadcast ? 0xff : 1,
	    .vector = VECTOR,
	    .delivery = row->delivery,
	    .source = PH_SOURCE_MSI};
	struct ph_vcpu *vcpu;

	harness_create(&(struct harness_config){.vcpu_count = 2});
	vcpu = harness_vcpu(1);
	set_base(harness_vcpu(0), 0);
	if (target != SOFTWARE_DISABLED)
		enable(vcpu);
	if (target == HARDWARE_DISABLED)
		set_base(vcpu, 0);
	harness_clear_pending(vcpu);
	print_message("  %s, target state %d\n", row->rule, target);
	assert_int_equal(route_deliver(harness.vm, NULL, &message), accepted);
	assert_int_equal(harness_is_pending(vcpu, VECTOR), accepted && !row->request);
	assert_int_equal(harness_requests(vcpu), accepted ? row->request : 0);
	if (accepted && row->delivery == APIC_DELIVERY_STARTUP)
		assert_int_equal(vcpu->shared.sipi_vector, VECTOR);
}

static void disabled_apics_accept_what_the_sdm_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(acceptance_rows); i++) {
		for (int target = ENABLED; target <= HARDWARE_DISABLED; target++) {
			check_acceptance(&acceptance_rows[i], (enum target_state)target, false);
			check_acceptance(&acceptance_rows[i], (enum target_state)target, true);
		}
	}
}

/* ---- Lowest priority ------------------------------------------------------------------------ */

struct lowest_row {
	const char *rule;
	uint8_t cr8[4];
	uint32_t destination;
	uint8_t vector;
	uint8_t delivery;
	bool is_redirectable;
	uint32_t recipients;
};

static const struct lowest_row lowest_rows[] = {
    {"the lowest of all", {3, 2, 1, 2}, 0x0f, 0x50, APIC_DELIVERY_LOWEST, false, 0x4},
    {"the lowest of the named", {3, 2, 1, 2}, 0x03, 0x50, APIC_DELIVERY_LOWEST, false, 0x2},
    {"a tie: vector % 4 is 0", {1, 1, 1, 1}, 0x0f, 0x50, APIC_DELIVERY_LOWEST, false, 0x1},
    {"a tie: vector % 4 is 1", {1, 1, 1, 1}, 0x0f, 0x51, APIC_DELIVERY_LOWEST, false, 0x2},
    {"a tie: vector % 4 is 3", {1, 1, 1, 1}, 0x0f, 0x53, APIC_DELIVERY_LOWEST, false, 0x8},
    {"a tie of two: the second", {2, 1, 4, 1}, 0x0f, 0x51, APIC_DELIVERY_LOWEST, false, 0x8},
    {"a tie of two: the first", {2, 1, 4, 1}, 0x0f, 0x52, APIC_DELIVERY_LOWEST, false, 0x2},
    {"a tie of three, one unnamed", {0, 0, 0, 0}, 0x0d, 0x51, APIC_DELIVERY_LOWEST, false, 0x1},
    {"one named, busy as it is", {0, 15, 0, 0}, 0x02, 0x50, APIC_DELIVERY_LOWEST, false, 0x2},
    {"nobody named", {0, 0, 0, 0}, 0x10, 0x50, APIC_DELIVERY_LOWEST, false, 0},
    {"redirection hint makes fixed so", {3, 2, 1, 2}, 0x0f, 0x50, APIC_DELIVERY_FIXED, true, 0x4},
    {"without it: all", {3, 2, 1, 2}, 0x0f, 0x50, APIC_DELIVERY_FIXED, false, 0xf},
};

static void lowest_priority_takes_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lowest_rows); i++) {
		const struct lowest_row *row = &lowest_rows[i];
		struct message message = {.destination = row->destination,
		    .vector = row->vector,
		    .delivery = row->delivery,
		    .is_redirectable = row->is_redirectable,
		    .is_logical = true,
		    .source = PH_SOURCE_MSI};

		create_xapic(4);
		for (uint32_t v = 0; v < 4; v++)
			assert_int_equal(ph_cr8_write(harness_vcpu(v), row->cr8[v]), PH_OK);
		expect(row->rule, NULL, message, row->recipients);
	}
}

static void lowest_priority_passes_over_the_disabled(void **state)
{
	struct message message = {.destination = 0xff,
	    .vector = 0x50,
	    .delivery = APIC_DELIVERY_LOWEST,
	    .is_logical = true,
	    .source = PH_SOURCE_MSI};

	(void)state;
	create_xapic(3);
	write_xapic(harness_vcpu(0), APIC_SVR, 0xff);
	ph_cr8_write(harness_vcpu(1), 7);
	set_base(harness_vcpu(2), 0);
	expect("only vCPU 1 is left", NULL, message, 0x2);
	write_xapic(harness_vcpu(1), APIC_SVR, 0xff);
	expect("nobody is left", NULL, message, 0);
}

static void a_redirected_nmi_reaches_all(void **state)
{
	struct message message = {.destination = 0xff,
	    .delivery = APIC_DELIVERY_NMI,
	    .is_logical = true,
	    .is_redirectable = true,
	    .source = PH_SOURCE_MSI};

	(void)state;
	create_xapic(3);
	assert_int_equal(route_deliver(harness.vm, NULL, &message), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(harness_requests(harness_vcpu(i)), REQUEST_NMI);
}

/* ---- The ID map ----------------------------------------------------------------------------- */

static void expect_owner(const char *rule, uint32_t id, uint32_t recipients)
{
	expect(rule, NULL,
	    (struct message){.destination = id, .vector = VECTOR, .source = PH_SOURCE_MSI},
	    recipients);
}

static void the_map_follows_xapic_ids(void **state)
{
	(void)state;
	create_xapic(3);
	write_xapic(harness_vcpu(1), APIC_ID, 0x40u << 24);
	expect_owner("the new ID", 0x40, 0x2);
	expect_owner("the old one is free", 1, 0);
	write_xapic(harness_vcpu(2), APIC_ID, 0x40u << 24);
	expect_owner("two claim it: both get it", 0x40, 0x6);
	expect_owner("whose own is free now", 2, 0);
	write_xapic(harness_vcpu(0), APIC_ID, 0x40u << 24);
	expect_owner("three claim it", 0x40, 0x7);
	expect("an IPI, too", harness_vcpu(0),
	    (struct message){.destination = 0x40, .vector = VECTOR, .source = PH_SOURCE_IPI}, 0x7);
	ph_cr8_write(harness_vcpu(0), 3);
	ph_cr8_write(harness_vcpu(2), 3);
	expect("of lowest priority, one of them", NULL,
	    (struct message){.destination = 0x40,
	        .vector = VECTOR,
	        .delivery = APIC_DELIVERY_LOWEST,
	        .source = PH_SOURCE_MSI},
	    0x2);
	set_base(harness_vcpu(0), 0);
	expect_owner("a disabled APIC claims nothing", 0x40, 0x6);
	write_xapic(harness_vcpu(1), APIC_ID, 1u << 24);
	expect_owner("the last one left", 0x40, 0x4);
	expect_owner("back where it was", 1, 0x2);
}

static void the_map_follows_mode_changes(void **state)
{
	(void)state;
	create_xapic(2);
	write_xapic(harness_vcpu(1), APIC_ID, 0x33u << 24);
	enter_x2apic(harness_vcpu(1));
	expect_owner("x2APIC has its own ID again", 1, 0x2);
	expect_owner("and not the one written", 0x33, 0);
	set_base(harness_vcpu(1), 0);
	expect_owner("off", 1, 0);
	set_base(harness_vcpu(1), APIC_BASE_ENABLE);
	enable(harness_vcpu(1));
	expect_owner("on again", 1, 0x2);
}

/* The index is no help: the one whose whole ID it is comes last. */
static void a_low_byte_stands_back_behind_whole_ids(void **state)
{
	static const struct vcpu_row set[] = {{0x105, XAPIC, 0}, {0x205, XAPIC, 0}, {5, X2APIC, 0}};

	(void)state;
	create_set(set, COUNT(set), APIC_DFR_FLAT, false);
	expect_owner("the whole ID", 5, 0x4);
	expect_owner("a wide ID", 0x105, 0x1);
	expect_owner("another", 0x205, 0x2);
	set_base(harness_vcpu(2), 0);
	expect_owner("of low bytes only, the lowest index", 5, 0x1);
}

static void software_enabling_leaves_the_map_alone(void **state)
{
	(void)state;
	create_xapic(2);
	write_xapic(harness_vcpu(1), APIC_SVR, 0xff);
	expect_owner("not accepted", 1, 0);
	enable(harness_vcpu(1));
	expect_owner("accepted", 1, 0x2);
}

static void publishing_before_the_vm_knows_the_vcpu_is_a_bug(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	create_xapic(2);
	vcpu = harness_vcpu(1);
	harness.vm->vcpus[1] = NULL;
	expect_assert_failure(route_publish_identity(vcpu));
	expect_owner("nobody is delivered to by ID", 1, 0);
	expect_owner("nor by broadcast", 0xff, 0x1);
	expect("nor by lowest priority", NULL,
	    (struct message){.destination = 0xff,
	        .vector = VECTOR,
	        .is_logical = true,
	        .delivery = APIC_DELIVERY_LOWEST,
	        .source = PH_SOURCE_MSI},
	    0x1);
	harness.vm->vcpus[1] = vcpu;
}

/* ---- GSI routes ----------------------------------------------------------------------------- */

static void the_default_is_a_pc(void **state)
{
	struct ph_route route;

	(void)state;
	for (uint32_t gsi = 0; gsi < PH_IOAPIC_PINS; gsi++) {
		assert_true(route_gsi(harness.vm, gsi, &route));
		assert_int_equal(route.kind, PH_ROUTE_PINS);
		assert_int_equal(route.ioapic_pin, gsi ? gsi : 2);
		assert_int_equal(route.pic_pin, gsi < PH_PIC_PINS && gsi != 2 ? (int)gsi : -1);
	}
	assert_false(route_gsi(harness.vm, PH_IOAPIC_PINS, &route));
	assert_false(route_gsi(harness.vm, PH_GSI_MAX, &route));
	assert_false(route_gsi(harness.vm, UINT32_MAX, &route));
}

struct invalid_row {
	const char *rule;
	struct ph_route route;
	int expected;
};

static void a_table_is_taken_whole_or_not_at_all(void **state)
{
	static const struct invalid_row rows[] = {
	    {"IOAPIC pin 24", {PH_ROUTE_PINS, 24, -1, {0, 0}}, PH_EINVAL},
	    {"IOAPIC pin -2", {PH_ROUTE_PINS, -2, -1, {0, 0}}, PH_EINVAL},
	    {"PIC pin 16", {PH_ROUTE_PINS, -1, 16, {0, 0}}, PH_EINVAL},
	    {"PIC pin -128", {PH_ROUTE_PINS, -1, -128, {0, 0}}, PH_EINVAL},
	    {"unknown kind", {(enum ph_route_kind)3, -1, -1, {0, 0}}, PH_EINVAL},
	    {"no pin at all", {PH_ROUTE_PINS, -1, -1, {0, 0}}, PH_OK},
	    {"the last pins", {PH_ROUTE_PINS, 23, 15, {0, 0}}, PH_OK},
	    {"an MSI", {PH_ROUTE_MSI, -1, -1, {MSI_ADDRESS_BASE, 0x31}}, PH_OK},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ph_route table[2] = {{.kind = PH_ROUTE_NONE}, rows[i].route};
		struct ph_route found;

		harness_create(NULL);
		print_message("  %s\n", rows[i].rule);
		assert_int_equal(ph_route_set(harness.vm, table, 2), rows[i].expected);
		assert_int_equal(route_gsi(harness.vm, 0, &found), rows[i].expected != PH_OK);
		assert_true(route_gsi(harness.vm, 1, &found));
		if (rows[i].expected != PH_OK)
			continue;
		assert_int_equal(found.kind, rows[i].route.kind);
		assert_int_equal(found.ioapic_pin, rows[i].route.ioapic_pin);
		assert_int_equal(found.pic_pin, rows[i].route.pic_pin);
		assert_true(found.msi.address == rows[i].route.msi.address);
		assert_int_equal(found.msi.data, rows[i].route.msi.data);
		assert_false(route_gsi(harness.vm, 2, &found));
	}
}

static void a_table_of_more_than_the_maximum_is_refused(void **state)
{
	static const struct ph_route table[PH_GSI_MAX + 1];
	struct ph_route found;

	(void)state;
	assert_int_equal(ph_route_set(harness.vm, table, PH_GSI_MAX + 1), PH_EINVAL);
	assert_true(route_gsi(harness.vm, 0, &found));
	assert_int_equal(ph_route_set(harness.vm, table, PH_GSI_MAX), PH_OK);
	assert_false(route_gsi(harness.vm, 0, &found));
	assert_int_equal(ph_route_set(harness.vm, NULL, 0), PH_OK);
}

/* A writer stopped at each of its steps: readers see one whole table and never wait. */
static void readers_do_not_wait_for_a_stopped_writer(void **state)
{
	struct ph_route route;

	(void)state;
	harness.vm->route_sequence++; /* the writer is at work on copy 0 */
	harness.vm->tables[0].gsi[5].what = UINT64_MAX;
	harness.vm->tables[0].gsi[5].address = UINT64_MAX;
	assert_true(route_gsi(harness.vm, 5, &route));
	assert_int_equal(route.ioapic_pin, 5);
	assert_int_equal(route.pic_pin, 5);
	harness.vm->tables[0].gsi[5] = harness.vm->tables[1].gsi[6];
	harness.vm->route_sequence++; /* and now on copy 1 */
	harness.vm->tables[1].gsi[5].what = UINT64_MAX;
	assert_true(route_gsi(harness.vm, 5, &route));
	assert_int_equal(route.ioapic_pin, 6);
}

/* Trap after every instruction of the reader; replace the table after one of them. */
static volatile sig_atomic_t instruction_count, replace_after;

static void single_step(int signal)
{
	static const struct ph_route other = {
	    .kind = PH_ROUTE_MSI, .ioapic_pin = 2, .pic_pin = 2, .msi = {2, 2}};

	(void)signal;
	if (++instruction_count == replace_after)
		ph_route_set(harness.vm, &other, 1);
}

#define RFLAGS_TF (1ull << 8)

static bool read_stepped(struct ph_route *route)
{
	bool found;

	instruction_count = 0;
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | RFLAGS_TF);
	found = route_gsi(harness.vm, 0, route);
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~RFLAGS_TF);
	return found;
}

static void a_reader_interrupted_anywhere_sees_no_mixture(void **state)
{
	static const struct ph_route first = {
	    .kind = PH_ROUTE_MSI, .ioapic_pin = 1, .pic_pin = 1, .msi = {1, 1}};
	struct sigaction step = {.sa_handler = single_step};
	struct sigaction before;
	uint32_t seen_count[3] = {0, 0, 0};
	struct ph_route route;

	(void)state;
	assert_int_equal(sigaction(SIGTRAP, &step, &before), 0);
	instruction_count = replace_after = 0;
	while (instruction_count >= replace_after) {
		replace_after++;
		assert_int_equal(ph_route_set(harness.vm, &first, 1), PH_OK);
		assert_true(read_stepped(&route));
		assert_in_range(route.msi.data, 1, 2);
		assert_true(route.msi.address == route.msi.data);
		assert_int_equal(route.ioapic_pin, route.msi.data);
		assert_int_equal(route.pic_pin, route.msi.data);
		seen_count[route.msi.data]++;
	}
	assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
	print_message("  %d instructions\n", (int)replace_after);
	assert_true(seen_count[1] > 4 && seen_count[2] > 4);
}

#define REPLACEMENT_COUNT 20000u

static void *replace_often(void *unused)
{
	for (uint32_t i = 1; i <= REPLACEMENT_COUNT; i++) {
		struct ph_route route = {.kind = PH_ROUTE_MSI,
		    .ioapic_pin = (int8_t)(i % 24),
		    .pic_pin = (int8_t)(i % 24),
		    .msi = {i, i}};

		ph_route_set(harness.vm, &route, 1);
	}
	return unused;
}

static void readers_never_see_a_mixture(void **state)
{
	struct ph_route first = {.kind = PH_ROUTE_MSI};
	struct ph_route route = first;
	pthread_t writer;

	(void)state;
	assert_int_equal(ph_route_set(harness.vm, &first, 1), PH_OK);
	assert_int_equal(pthread_create(&writer, NULL, replace_often, NULL), 0);
	while (route.msi.data != REPLACEMENT_COUNT) {
		uint32_t before = route.msi.data;

		assert_true(route_gsi(harness.vm, 0, &route));
		assert_true(route.msi.address == route.msi.data);
		assert_int_equal(route.ioapic_pin, route.msi.data % 24);
		assert_int_equal(route.pic_pin, route.msi.data % 24);
		assert_true(route.msi.data >= before);
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void a_line_has_to_exist(void **state)
{
	static const struct ph_route none[1];

	(void)state;
	assert_int_equal(ph_gsi_set(harness.vm, 0, 31, true), PH_OK);
	assert_int_equal(ph_gsi_set(harness.vm, 0, 32, true), PH_EINVAL);
	assert_int_equal(ph_gsi_set(harness.vm, 24, 0, true), PH_EINVAL);
	assert_int_equal(ph_gsi_set(harness.vm, PH_GSI_MAX, 0, true), PH_EINVAL);
	assert_int_equal(ph_gsi_set(harness.vm, UINT32_MAX, 0, true), PH_EINVAL);
	assert_int_equal(ph_route_set(harness.vm, none, 1), PH_OK);
	assert_int_equal(ph_gsi_set(harness.vm, 0, 0, true), PH_EINVAL);
}

static void an_msi_goes_out_when_the_first_user_raises_the_line(void **state)
{
	static const struct ph_route route = {
	    .kind = PH_ROUTE_MSI, .msi = {MSI_ADDRESS_BASE | 1u << MSI_ADDRESS_DEST_SHIFT, VECTOR}};
	static const struct {
		const char *rule;
		uint32_t user;
		bool level;
		bool sent;
	} steps[] = {
	    {"raised", 0, true, true},
	    {"raised again by the same", 0, true, false},
	    {"raised by another", 31, true, false},
	    {"one lets go", 0, false, false},
	    {"and raises again", 0, true, false},
	    {"both let go", 0, false, false},
	    {"now it is low", 31, false, false},
	    {"a new edge", 31, true, true},
	};

	(void)state;
	create_xapic(2);
	assert_int_equal(ph_route_set(harness.vm, &route, 1), PH_OK);
	for (size_t i = 0; i < COUNT(steps); i++) {
		print_message("  %s\n", steps[i].rule);
		assert_int_equal(ph_gsi_set(harness.vm, 0, steps[i].user, steps[i].level), PH_OK);
		assert_int_equal(take_recipients(VECTOR), steps[i].sent ? 0x2 : 0);
	}
}

static void a_pin_route_drives_both_controllers(void **state)
{
	(void)state;
	assert_int_equal(ph_gsi_set(harness.vm, 0, 3, true), PH_OK);
	assert_int_equal(harness.vm->ioapic.line_users[2], 1u << 3);
	assert_int_equal(harness.vm->pic.line_users[0], 1u << 3);
	assert_int_equal(ph_gsi_set(harness.vm, 17, 1, true), PH_OK);
	assert_int_equal(harness.vm->ioapic.line_users[17], 1u << 1);
	assert_int_equal(ph_gsi_set(harness.vm, 0, 3, false), PH_OK);
	assert_int_equal(harness.vm->ioapic.line_users[2], 0);
	assert_int_equal(harness.vm->pic.line_users[0], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(xapic_flat_destinations),
	    TEST(xapic_cluster_destinations),
	    TEST(an_undefined_dfr_model_matches_only_the_broadcast),
	    TEST(x2apic_destinations),
	    TEST(x2apic_destinations_beside_an_xapic),
	    TEST(extended_destinations_name_id_255),
	    TEST(mixed_modes_as_kvm_handles_them),
	    TEST(shorthands),
	    TEST(an_interrupt_to_oneself_goes_straight_to_irr),
	    TEST(disabled_apics_accept_what_the_sdm_lists),
	    TEST(lowest_priority_takes_one),
	    TEST(lowest_priority_passes_over_the_disabled),
	    TEST(a_redirected_nmi_reaches_all),
	    TEST(the_map_follows_xapic_ids),
	    TEST(the_map_follows_mode_changes),
	    TEST(a_low_byte_stands_back_behind_whole_ids),
	    TEST(software_enabling_leaves_the_map_alone),
	    TEST(publishing_before_the_vm_knows_the_vcpu_is_a_bug),
	    TEST(the_default_is_a_pc),
	    TEST(a_table_is_taken_whole_or_not_at_all),
	    TEST(a_table_of_more_than_the_maximum_is_refused),
	    TEST(readers_do_not_wait_for_a_stopped_writer),
	    TEST(a_reader_interrupted_anywhere_sees_no_mixture),
	    TEST(readers_never_see_a_mixture),
	    TEST(a_line_has_to_exist),
	    TEST(an_msi_goes_out_when_the_first_user_raises_the_line),
	    TEST(a_pin_route_drives_both_controllers),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
