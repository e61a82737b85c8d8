/* SPDX-License-Identifier: MIT */
/* hypervisor/cpu/acpi.c: the host's tables, and firmware that got them wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/cpu/acpi.h"
#include "tests/fuzz/host_acpi.h"

#define BIOS BIOS_START
#define XSDT (BIOS + 0x40u)
#define RSDT (BIOS + 0x80u)
#define MADT (BIOS + 0x100u)
#define FADT (BIOS + 0x300u)

static void put(uint64_t at, uint64_t value, uint32_t width)
{
	for (uint32_t i = 0; i < width; i++)
		host_memory[at + i] = (uint8_t)(value >> 8 * i);
}

static void mend_sum(uint64_t at, uint32_t length, uint32_t sum_at)
{
	uint8_t sum = 0;

	host_memory[at + sum_at] = 0;
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + host_memory[at + i]);
	host_memory[at + sum_at] = (uint8_t)-sum;
}

static void finish_table(uint64_t at, const char *signature, uint32_t length)
{
	memcpy(host_memory + at, signature, 4);
	put(at + 4, length, 4);
	mend_sum(at, length, 9);
}

/* Tables of two CPUs and an IOAPIC, found through the XSDT. */
static int setup(void **state)
{
	static const uint8_t entries[] = {
	    0, 8, 0, 4, 1, 0, 0, 0,                             /* APIC ID 4, enabled */
	    0, 8, 1, 6, 0, 0, 0, 0,                             /* disabled */
	    9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, /* x2APIC ID 300, enabled */
	    1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,          /* IOAPIC */
	    2, 10, 0, 0, 2, 0, 0, 0, 0xd, 0,                    /* IRQ 0 is GSI 2 */
	};

	(void)state;
	host_acpi_reset();
	memcpy(host_memory + BIOS, "RSD PTR ", 8);
	host_memory[BIOS + 15] = 2;
	put(BIOS + 16, RSDT, 4);
	put(BIOS + 24, XSDT, 8);
	mend_sum(BIOS, 20, 8);
	put(XSDT + 36, MADT, 8);
	put(XSDT + 44, FADT, 8);
	finish_table(XSDT, "XSDT", 52);
	put(RSDT + 36, MADT, 4);
	finish_table(RSDT, "RSDT", 40);
	put(MADT + 36, 0xfee00000, 4);
	memcpy(host_memory + MADT + 44, entries, sizeof(entries));
	finish_table(MADT, "APIC", 44 + sizeof(entries));
	put(FADT + 76, 0x608, 4);
	put(FADT + 112, 1u << 8, 4);
	finish_table(FADT, "FACP", 244);
	return 0;
}

static void facts_are_found(void **state)
{
	(void)state;
	assert_true(host_acpi_is_read());
	assert_int_equal(acpi_facts.cpu_count, 2);
	assert_int_equal(acpi_facts.apic_ids[0], 4);
	assert_int_equal(acpi_facts.apic_ids[1], 300);
	assert_int_equal(acpi_facts.ioapic_base, 0xfec00000);
	assert_int_equal(acpi_facts.isa_gsi[0], 2);
	assert_int_equal(acpi_facts.isa_flags[0], 0xd);
	assert_int_equal(acpi_facts.isa_gsi[1], 1);
	assert_int_equal(acpi_facts.pm_timer_port, 0x608);
	assert_true(acpi_facts.is_pm_timer_32bit);
}

/* ACPI, "RSDP Structure": revision 0 has no XSDT. */
static void revision_0_has_only_an_rsdt(void **state)
{
	(void)state;
	host_memory[BIOS + 15] = 0;
	mend_sum(BIOS, 20, 8);
	assert_true(host_acpi_is_read());
	assert_int_equal(acpi_facts.cpu_count, 2);
	assert_int_equal(acpi_facts.pm_timer_port, 0);
}

/* Found by fuzzing: an address near 2^64 wrapped around the bound. */
static void a_table_beyond_4g_is_not_there(void **state)
{
	static const uint64_t addresses[] = {UINT64_MAX, UINT64_MAX - 0xfffff, 1ull << 32,
	    (1ull << 32) - (1u << 20) + 1, 1ull << 63};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		setup(state);
		put(BIOS + 24, addresses[i], 8);
		/* The RSDT is used then. */
		assert_true(host_acpi_is_read());
		assert_int_equal(acpi_facts.cpu_count, 2);
	}
}

static void damaged_tables_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint64_t at;
		uint32_t width;
		uint64_t value;
	} rows[] = {
	    {"no RSDP", BIOS, 1, 'X'},
	    {"RSDP's sum", BIOS + 8, 1, 0x55},
	    {"no MADT", MADT, 1, 'X'},
	    {"MADT's sum", MADT + 9, 1, 0x55},
	    {"MADT shorter than a header", MADT + 4, 4, 35},
	    {"MADT longer than any table", MADT + 4, 4, 0xffffffff},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(state);
		print_message("  %s\n", rows[i].what);
		put(rows[i].at, rows[i].value, rows[i].width);
		assert_false(host_acpi_is_read());
	}
}

/* An entry of length 0 or 1, or one that ends behind the table, ends the list. */
static void a_damaged_entry_ends_the_list(void **state)
{
	static const uint8_t lengths[] = {0, 1, 200};

	for (size_t i = 0; i < sizeof(lengths); i++) {
		setup(state);
		host_memory[MADT + 44 + 8 + 1] = lengths[i];
		mend_sum(MADT, 98, 9);
		assert_true(host_acpi_is_read());
		assert_int_equal(acpi_facts.cpu_count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(facts_are_found, setup),
	    cmocka_unit_test_setup(revision_0_has_only_an_rsdt, setup),
	    cmocka_unit_test_setup(a_table_beyond_4g_is_not_there, setup),
	    cmocka_unit_test_setup(damaged_tables_are_refused, setup),
	    cmocka_unit_test_setup(a_damaged_entry_ends_the_list, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
