/* SPDX-License-Identifier: MIT */
/* core/source_ioapic.c: the 82093AA's pins and registers, and the EOI that comes back. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VECTOR       0x61
#define PIN          9u

/* RTE bits in its low half. */
#define LEVEL  ((uint32_t)IOAPIC_RTE_LEVEL)
#define MASKED ((uint32_t)IOAPIC_RTE_MASKED)
#define REMOTE ((uint32_t)IOAPIC_RTE_REMOTE_IRR)

static void write_reg(uint32_t reg, uint32_t value)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, reg);
	ph_ioapic_write(harness.vm, IOAPIC_WINDOW, value);
}

static uint32_t read_reg(uint32_t reg)
{
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, reg);
	return ph_ioapic_read(harness.vm, IOAPIC_WINDOW);
}

static void write_rte(uint32_t pin, uint32_t destination, uint32_t low)
{
	write_reg(IOAPIC_TABLE + 2 * pin + 1, destination << 24);
	write_reg(IOAPIC_TABLE + 2 * pin, low);
}

static uint32_t read_rte(uint32_t pin)
{
	return read_reg(IOAPIC_TABLE + 2 * pin);
}

static void set_line(uint32_t pin, bool level)
{
	source_ioapic_set_pin(harness.vm, pin, 0, level);
}

static void enable(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
}

static int setup(void **state)
{
	(void)state;
	harness_create(&(struct harness_config){.vcpu_count = 2, .directed_eoi = true});
	enable(harness_vcpu(0));
	enable(harness_vcpu(1));
	return 0;
}

/* Has the vector arrived since the last look? */
static bool take(uint32_t index)
{
	struct ph_vcpu *vcpu = harness_vcpu(index);
	bool pending = harness_is_pending(vcpu, VECTOR);

	harness_clear_pending(vcpu);
	return pending;
}

/* The guest takes the level-triggered vector and ends it. */
static void serve(struct ph_vcpu *vcpu)
{
	post_take_levels(vcpu);
	assert_true(harness_apic_bit(vcpu, APIC_IRR, VECTOR));
	lapic_acknowledge(vcpu, VECTOR);
	shared32_store(&vcpu->shared.requests, 0, NONE);
	ph_apic_mmio_write(vcpu, APIC_EOI, 4, 0);
}

/* ---- Registers ------------------------------------------------------------------------------ */

struct register_row {
	const char *rule;
	uint32_t reg;
	uint32_t written;
	uint32_t read;
};

static const struct register_row register_rows[] = {
    {"ID: bits 27:24", IOAPIC_ID, 0xffffffff, 0x0f000000},
    {"VER is read-only", IOAPIC_VER, 0xffffffff, 0x00170020},
    {"ARB is read-only and follows the ID", IOAPIC_ARB, 0x05000000, 0x0f000000},
    {"0x03 is not there", 0x03, 0xffffffff, 0},
    {"0x0f is not there", 0x0f, 0xffffffff, 0},
    {"RTE low: status and Remote IRR are read-only, the rest reserved", 0x10, 0xffffffff,
        0x0001afff},
    {"RTE high: 8 bits of destination", 0x11, 0xffffffff, 0xff000000},
    {"the last RTE", 0x3e, 0x00010030, 0x00010030},
    {"behind the last RTE", 0x40, 0xffffffff, 0},
    {"the last index", 0xff, 0xffffffff, 0},
};

static void registers_keep_what_the_datasheet_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(register_rows); i++) {
		print_message("  %s\n", register_rows[i].rule);
		write_reg(register_rows[i].reg, register_rows[i].written);
		assert_int_equal(read_reg(register_rows[i].reg), register_rows[i].read);
	}
}

static void extended_destination_bits_are_there_when_enabled(void **state)
{
	(void)state;
	write_reg(0x11, 0xffffffff);
	assert_int_equal(read_reg(0x11), 0xff000000);
	harness_create(&(struct harness_config){.extended_dest_id = true});
	write_reg(0x11, 0xffffffff);
	assert_int_equal(read_reg(0x11), 0xfffe0000);
}

static void every_entry_comes_up_masked(void **state)
{
	(void)state;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		assert_int_equal(read_rte(pin), MASKED);
		assert_int_equal(read_reg(IOAPIC_TABLE + 2 * pin + 1), 0);
		set_line(pin, true);
	}
	assert_int_equal(harness_requests(harness_vcpu(0)), 0);
	assert_false(post_is_on(harness_vcpu(0)));
}

static void the_select_register_has_8_bits(void **state)
{
	(void)state;
	ph_ioapic_write(harness.vm, IOAPIC_REGSEL, 0xabcdef01);
	assert_int_equal(ph_ioapic_read(harness.vm, IOAPIC_REGSEL), 1);
	assert_int_equal(ph_ioapic_read(harness.vm, IOAPIC_WINDOW), 0x00170020);
}

static void wild_offsets_do_nothing(void **state)
{
	struct ioapic before;

	(void)state;
	write_rte(PIN, 0, VECTOR | MASKED);
	before = harness.vm->ioapic;
	for (uint32_t offset = 0; offset < 4096; offset++) {
		if (offset == IOAPIC_REGSEL || offset == IOAPIC_WINDOW || offset == IOAPIC_EOI)
			continue;
		ph_ioapic_write(harness.vm, offset, 0xffffffff);
		assert_int_equal(ph_ioapic_read(harness.vm, offset), 0);
	}
	assert_int_equal(ph_ioapic_read(harness.vm, UINT32_MAX), 0);
	assert_memory_equal(&before, &harness.vm->ioapic, sizeof(before));
	source_ioapic_set_pin(harness.vm, PH_IOAPIC_PINS, 0, true);
	source_ioapic_set_pin(harness.vm, UINT32_MAX, 0, true);
	assert_memory_equal(&before, &harness.vm->ioapic, sizeof(before));
}

/* Whatever is written: no crash (ASan looks), no lock held, read-only bits as they were. */
static void random_writes_are_harmless(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t value;

		random = random * 6364136223846793005u + 1442695040888963407u;
		value = (uint32_t)(random >> 32);
		write_reg(value >> 8 & 0xff, (uint32_t)(random >> 16));
		source_ioapic_set_pin(harness.vm, value % 32, value >> 27, value >> 26 & 1);
		source_ioapic_eoi(harness.vm, NULL, (uint8_t)value);
		assert_int_equal(harness.irq_save_depth, 0);
	}
	assert_int_equal(read_reg(IOAPIC_VER), 0x00170020);
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++)
		assert_int_equal(read_rte(pin) & (uint32_t)IOAPIC_RTE_STATUS, 0);
}

/* ---- Pins: steps of one pin ----------------------------------------------------------------- */

enum action { LOW, HIGH, RTE, END }; /* END: an EOI of VECTOR; RTE: write the entry */

struct step {
	const char *rule;
	enum action action;
	uint32_t rte;
	bool arrives;
	bool remote_irr;
};

static void walk(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("  %s\n", steps[i].rule);
		switch (steps[i].action) {
		case LOW:
		case HIGH:
			set_line(PIN, steps[i].action == HIGH);
			break;
		case RTE:
			write_reg(IOAPIC_TABLE + 2 * PIN, steps[i].rte);
			break;
		case END:
			source_ioapic_eoi(harness.vm, NULL, VECTOR);
			break;
		}
		assert_int_equal(take(0), steps[i].arrives);
		assert_int_equal((read_rte(PIN) & REMOTE) != 0, steps[i].remote_irr);
	}
}

static void an_edge_pin(void **state)
{
	static const struct step steps[] = {
	    {"unmask while low", RTE, VECTOR, false, false},
	    {"edge", HIGH, 0, true, false},
	    {"high again is no edge", HIGH, 0, false, false},
	    {"falling", LOW, 0, false, false},
	    {"second edge, no EOI needed", HIGH, 0, true, false},
	    {"EOI does not matter", END, 0, false, false},
	    {"falling", LOW, 0, false, false},
	    {"mask", RTE, VECTOR | MASKED, false, false},
	    {"an edge while masked", HIGH, 0, false, false},
	    {"is neither delivered nor held pending", RTE, VECTOR, false, false},
	    {"falling", LOW, 0, false, false},
	    {"the next counts", HIGH, 0, true, false},
	    {"polarity is the board's affair", RTE, VECTOR | (uint32_t)IOAPIC_RTE_ACTIVE_LOW, false,
	        false},
	    {"falling", LOW, 0, false, false},
	    {"rising", HIGH, 0, true, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void a_level_pin(void **state)
{
	static const struct step steps[] = {
	    {"unmask while low", RTE, VECTOR | LEVEL, false, false},
	    {"level", HIGH, 0, true, true},
	    {"still in service", HIGH, 0, false, true},
	    {"rewriting the entry keeps Remote IRR", RTE, VECTOR | LEVEL, false, true},
	    {"EOI while asserted: again at once", END, 0, true, true},
	    {"low", LOW, 0, false, true},
	    {"high before the EOI: not yet", HIGH, 0, false, true},
	    {"but with it", END, 0, true, true},
	    {"low", LOW, 0, false, true},
	    {"EOI while low", END, 0, false, false},
	    {"EOI of nothing", END, 0, false, false},
	    {"mask", RTE, VECTOR | LEVEL | MASKED, false, false},
	    {"asserted while masked", HIGH, 0, false, false},
	    {"goes out at the unmasking", RTE, VECTOR | LEVEL, true, true},
	    {"masked in service", RTE, VECTOR | LEVEL | MASKED, false, true},
	    {"EOI while masked", END, 0, false, false},
	    {"unmasked: again", RTE, VECTOR | LEVEL, true, true},
	    {"EOI", END, 0, true, true},
	    {"written as edge: Remote IRR cleared", RTE, VECTOR | MASKED, false, false},
	    {"back to level: again, the EOI is not needed", RTE, VECTOR | LEVEL, true, true},
	    {"low in service", LOW, 0, false, true},
	    {"masked", RTE, VECTOR | LEVEL | MASKED, false, true},
	    {"EOI", END, 0, false, false},
	    {"raised and", HIGH, 0, false, false},
	    {"lowered while masked", LOW, 0, false, false},
	    {"leaves nothing", RTE, VECTOR | LEVEL, false, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void an_edge_entry_with_its_line_high_becomes_level(void **state)
{
	static const struct step steps[] = {
	    {"edge, unmasked", RTE, VECTOR, false, false},
	    {"the edge", HIGH, 0, true, false},
	    {"now level: the line is asserted", RTE, VECTOR | LEVEL, true, true},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void an_eoi_of_another_vector_does_not_count(void **state)
{
	static const struct step steps[] = {
	    {"level", RTE, VECTOR | LEVEL, false, false},
	    {"high", HIGH, 0, true, true},
	    {"the vector is changed in service", RTE, (VECTOR + 1) | LEVEL, false, true},
	    {"the EOI of the old one finds no entry", END, 0, false, true},
	    {"changed back", RTE, VECTOR | LEVEL, false, true},
	    {"EOI", END, 0, true, true},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void the_line_is_the_or_of_its_users(void **state)
{
	(void)state;
	write_rte(PIN, 0, VECTOR | LEVEL);
	source_ioapic_set_pin(harness.vm, PIN, 0, true);
	source_ioapic_set_pin(harness.vm, PIN, 31, true);
	assert_true(take(0));
	source_ioapic_set_pin(harness.vm, PIN, 0, false);
	source_ioapic_eoi(harness.vm, NULL, VECTOR);
	assert_true(take(0));
	source_ioapic_set_pin(harness.vm, PIN, 31, false);
	source_ioapic_eoi(harness.vm, NULL, VECTOR);
	assert_false(take(0));
}

static void an_edge_needs_all_users_low_first(void **state)
{
	(void)state;
	write_rte(PIN, 0, VECTOR);
	source_ioapic_set_pin(harness.vm, PIN, 0, true);
	assert_true(take(0));
	source_ioapic_set_pin(harness.vm, PIN, 1, true);
	source_ioapic_set_pin(harness.vm, PIN, 0, false);
	source_ioapic_set_pin(harness.vm, PIN, 0, true);
	assert_false(take(0));
}

/* ---- Delivery modes and destinations -------------------------------------------------------- */

struct delivery_row {
	const char *rule;
	uint8_t delivery;
	uint32_t request;
};

static void events_are_edges_even_when_programmed_as_level(void **state)
{
	static const struct delivery_row rows[] = {
	    {"SMI", APIC_DELIVERY_SMI, REQUEST_SMI},
	    {"reserved 011", APIC_DELIVERY_RESERVED, 0},
	    {"NMI", APIC_DELIVERY_NMI, REQUEST_NMI},
	    {"INIT", APIC_DELIVERY_INIT, REQUEST_INIT},
	    {"reserved 110 is no start-up", APIC_DELIVERY_STARTUP, 0},
	    {"ExtINT", APIC_DELIVERY_EXTINT, REQUEST_EXTINT},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t rte =
		    VECTOR | LEVEL | (uint32_t)rows[i].delivery << IOAPIC_RTE_DELIVERY_SHIFT;

		setup(state);
		print_message("  %s\n", rows[i].rule);
		write_rte(PIN, 1, rte);
		set_line(PIN, true);
		assert_int_equal(harness_requests(harness_vcpu(1)), rows[i].request);
		assert_int_equal(harness_requests(harness_vcpu(0)), 0);
		assert_false(take(1));
		assert_int_equal(read_rte(PIN), rte);
		set_line(PIN, true);
		write_rte(PIN, 1, rte);
		source_ioapic_eoi(harness.vm, NULL, VECTOR);
		assert_int_equal(harness_requests(harness_vcpu(1)), 0);
		set_line(PIN, false);
		set_line(PIN, true);
		assert_int_equal(harness_requests(harness_vcpu(1)), rows[i].request);
	}
}

static void destinations_are_routed(void **state)
{
	uint32_t logical = (uint32_t)IOAPIC_RTE_LOGICAL;

	(void)state;
	ph_apic_mmio_write(harness_vcpu(1), APIC_LDR, 4, 0x02000000);
	write_rte(PIN, 1, VECTOR);
	set_line(PIN, true);
	assert_false(take(0));
	assert_true(take(1));
	write_rte(10, 2, VECTOR | logical);
	set_line(10, true);
	assert_false(take(0));
	assert_true(take(1));
	write_rte(11, 0xff, VECTOR);
	set_line(11, true);
	assert_true(take(0));
	assert_true(take(1));
}

static void an_extended_destination_is_routed(void **state)
{
	static const uint32_t ids[] = {0, 300};

	(void)state;
	harness_create(
	    &(struct harness_config){.vcpu_count = 2, .apic_ids = ids, .extended_dest_id = true});
	enable(harness_vcpu(1));
	/* In xAPIC mode it would answer to the low byte as well. */
	assert_int_equal(ph_apic_msr_write(harness_vcpu(1), 0x1b,
	                     APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC),
	    PH_OK);
	write_reg(IOAPIC_TABLE + 2 * PIN + 1, (300u & 0xff) << 24 | (300u >> 8) << 17);
	write_reg(IOAPIC_TABLE + 2 * PIN, VECTOR);
	set_line(PIN, true);
	assert_true(take(1));
}

/* ---- EOI ------------------------------------------------------------------------------------ */

static void the_lapic_s_eoi_comes_back(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(1);

	(void)state;
	write_rte(PIN, 1, VECTOR | LEVEL);
	set_line(PIN, true);
	serve(vcpu);
	/* Still asserted: straight into the IRR of the one that sent the EOI. */
	assert_true(harness_apic_bit(vcpu, APIC_IRR, VECTOR));
	assert_int_equal(harness_requests(vcpu), 0);
	set_line(PIN, false);
	serve(vcpu);
	assert_false(harness_is_pending(vcpu, VECTOR));
	assert_int_equal(read_rte(PIN) & REMOTE, 0);
}

static void a_suppressed_broadcast_waits_for_the_eoi_register(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(1);

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | APIC_SVR_SUPPRESS_BROADCAST | 0xff);
	write_rte(PIN, 1, VECTOR | LEVEL);
	set_line(PIN, true);
	serve(vcpu);
	assert_false(harness_is_pending(vcpu, VECTOR));
	assert_int_equal(read_rte(PIN) & REMOTE, REMOTE);
	ph_ioapic_write(harness.vm, IOAPIC_EOI, VECTOR + 1);
	assert_int_equal(read_rte(PIN) & REMOTE, REMOTE);
	ph_ioapic_write(harness.vm, IOAPIC_EOI, VECTOR);
	assert_true(harness_is_pending(vcpu, VECTOR));
	set_line(PIN, false);
	ph_ioapic_write(harness.vm, IOAPIC_EOI, VECTOR);
	assert_int_equal(read_rte(PIN) & REMOTE, 0);
}

static void one_eoi_ends_every_entry_of_its_vector(void **state)
{
	(void)state;
	for (uint32_t pin = 3; pin <= 5; pin++) {
		write_rte(pin, 0, VECTOR | LEVEL);
		set_line(pin, true);
		assert_int_equal(read_rte(pin) & REMOTE, REMOTE);
	}
	write_rte(6, 0, (VECTOR + 1) | LEVEL);
	set_line(6, true);
	set_line(3, false);
	set_line(4, false);
	set_line(6, false);
	source_ioapic_eoi(harness.vm, NULL, VECTOR);
	assert_int_equal(read_rte(3) & REMOTE, 0);
	assert_int_equal(read_rte(4) & REMOTE, 0);
	assert_int_equal(read_rte(5) & REMOTE, REMOTE);
	assert_int_equal(read_rte(6) & REMOTE, REMOTE);
}

/* A line stuck high: each EOI costs one delivery and never more. */
static void a_stuck_line_is_sent_once_an_eoi(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);
	struct ph_counters counters;

	(void)state;
	write_rte(PIN, 0, VECTOR | LEVEL);
	set_line(PIN, true);
	for (uint32_t i = 0; i < 10000; i++)
		serve(vcpu);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.posted_count[PH_SOURCE_IOAPIC], 10001);
}

/* ---- Nobody accepts ------------------------------------------------------------------------- */

static void a_level_nobody_accepts_keeps_waiting(void **state)
{
	(void)state;
	ph_apic_mmio_write(harness_vcpu(1), APIC_SVR, 4, 0xff);
	write_rte(PIN, 1, VECTOR | LEVEL);
	set_line(PIN, true);
	assert_int_equal(read_rte(PIN) & REMOTE, 0);
	assert_false(take(1));
	enable(harness_vcpu(1));
	assert_true(take(1));
	assert_int_equal(read_rte(PIN) & REMOTE, REMOTE);
}

static void a_level_for_an_id_nobody_has_waits_for_it(void **state)
{
	(void)state;
	write_rte(PIN, 0x77, VECTOR | LEVEL);
	set_line(PIN, true);
	assert_int_equal(read_rte(PIN) & REMOTE, 0);
	ph_apic_mmio_write(harness_vcpu(1), APIC_ID, 4, 0x77000000);
	assert_true(take(1));
}

static void an_edge_nobody_accepts_is_gone(void **state)
{
	(void)state;
	ph_apic_mmio_write(harness_vcpu(1), APIC_SVR, 4, 0xff);
	write_rte(PIN, 1, VECTOR);
	set_line(PIN, true);
	enable(harness_vcpu(1));
	assert_false(take(1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(registers_keep_what_the_datasheet_says),
	    TEST(extended_destination_bits_are_there_when_enabled),
	    TEST(every_entry_comes_up_masked),
	    TEST(the_select_register_has_8_bits),
	    TEST(wild_offsets_do_nothing),
	    TEST(random_writes_are_harmless),
	    TEST(an_edge_pin),
	    TEST(a_level_pin),
	    TEST(an_edge_entry_with_its_line_high_becomes_level),
	    TEST(an_eoi_of_another_vector_does_not_count),
	    TEST(the_line_is_the_or_of_its_users),
	    TEST(an_edge_needs_all_users_low_first),
	    TEST(events_are_edges_even_when_programmed_as_level),
	    TEST(destinations_are_routed),
	    TEST(an_extended_destination_is_routed),
	    TEST(the_lapic_s_eoi_comes_back),
	    TEST(a_suppressed_broadcast_waits_for_the_eoi_register),
	    TEST(one_eoi_ends_every_entry_of_its_vector),
	    TEST(a_stuck_line_is_sent_once_an_eoi),
	    TEST(a_level_nobody_accepts_keeps_waiting),
	    TEST(a_level_for_an_id_nobody_has_waits_for_it),
	    TEST(an_edge_nobody_accepts_is_gone),
	};

	return cmocka_run_group_tests_name("source_ioapic", tests, NULL, NULL);
}
