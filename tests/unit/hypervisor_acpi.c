/* SPDX-License-Identifier: MIT */
/* hypervisor/board/acpi.c: tables that can be found, with right sums and lengths. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/board/acpi.h"
#include "hypervisor/loader/bytes.h"

extern const uint8_t board_dsdt[], board_dsdt_end[];

static uint8_t area[ACPI_AREA_SIZE];

static size_t build(uint32_t cpu_count)
{
	memset(area, 0, sizeof(area));
	return acpi_build(area, cpu_count, board_dsdt, (size_t)(board_dsdt_end - board_dsdt));
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size-- > 0)
		total = (uint8_t)(total + *bytes++);
	return total;
}

/* The table at a guest address, after its length and checksum were checked. */
static const uint8_t *table_at(uint64_t address, const char *signature)
{
	const uint8_t *table;
	uint32_t length;

	assert_in_range(address, ACPI_AREA_BASE, ACPI_AREA_BASE + ACPI_AREA_SIZE - 36);
	table = area + (address - ACPI_AREA_BASE);
	assert_memory_equal(table, signature, 4);
	length = bytes_get32(table + 4);
	assert_in_range(length, 36, (uint64_t)(area + ACPI_AREA_SIZE - table));
	assert_int_equal(sum(table, length), 0);
	return table;
}

static const uint8_t *xsdt_entry(unsigned index, const char *signature)
{
	const uint8_t *xsdt = table_at(bytes_get64(area + 24), "XSDT");

	return table_at(bytes_get64(xsdt + 36 + 8 * index), signature);
}

static void roots_agree(void **state)
{
	static const char *const signatures[] = { "FACP", "APIC", "SSDT" };
	const uint8_t *rsdt;
	unsigned i;

	(void)state;
	assert_in_range(build(2), 500, ACPI_AREA_SIZE);
	assert_memory_equal(area, "RSD PTR ", 8);
	assert_int_equal(sum(area, 20), 0);
	assert_int_equal(sum(area, 36), 0);
	assert_int_equal(area[15], 2);
	rsdt = table_at(bytes_get32(area + 16), "RSDT");
	assert_int_equal(bytes_get32(rsdt + 4), 36 + 3 * 4);
	for (i = 0; i < 3; i++)
		assert_ptr_equal(xsdt_entry(i, signatures[i]),
		    table_at(bytes_get32(rsdt + 36 + 4 * i), signatures[i]));
}

static void fadt_names_the_boards_registers(void **state)
{
	const uint8_t *fadt;
	uint64_t facs;

	(void)state;
	build(1);
	fadt = xsdt_entry(0, "FACP");
	assert_int_equal(bytes_get32(fadt + 4), 244);
	assert_int_equal(bytes_get16(fadt + 46), 9);      /* SCI_INT */
	assert_int_equal(bytes_get32(fadt + 48), 0);      /* SMI_CMD: always in ACPI mode */
	assert_int_equal(bytes_get32(fadt + 56), 0x600);  /* PM1a_EVT_BLK */
	assert_int_equal(bytes_get32(fadt + 64), 0x604);  /* PM1a_CNT_BLK */
	assert_int_equal(bytes_get32(fadt + 76), 0x608);  /* PM_TMR_BLK */
	assert_int_equal(fadt[91], 4);                    /* PM_TMR_LEN */
	assert_int_equal(fadt[108], 0x32);                /* CENTURY */
	assert_int_equal(bytes_get16(fadt + 109) & 2, 0); /* no 8042 */
	/* TMR_VAL_EXT and RESET_REG_SUP, not HW_REDUCED_ACPI */
	assert_int_equal(bytes_get32(fadt + 112) & 0x100500, 0x500);
	assert_int_equal(bytes_get64(fadt + 120), 0xcf9); /* RESET_REG */
	assert_int_equal(fadt[128], 6);
	assert_ptr_equal(table_at(bytes_get32(fadt + 40), "DSDT"),
	    table_at(bytes_get64(fadt + 140), "DSDT"));
	facs = bytes_get32(fadt + 36);
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(area + (facs - ACPI_AREA_BASE), "FACS\x40", 5);
}

/* Each CPU once; from APIC ID 255 on as a local x2APIC. */
static void madt_lists_cpus_ioapic_and_overrides(void **state)
{
	static const uint32_t counts[] = { 1, 2, 64, 255, 256, 1024 };
	static const uint8_t ioapic[] = { 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 };
	static const uint8_t pit[] = { 2, 10, 0, 0, 2, 0, 0, 0, 0, 0 };
	static const uint8_t sci[] = { 2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0 };
	static const uint8_t nmi[] = { 4, 6, 0xff, 0, 0, 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint32_t cpus = 0, ioapics = 0, overrides = 0, nmis = 0, at, length;
		const uint8_t *madt;

		assert_in_range(build(counts[i]), 1, ACPI_AREA_SIZE);
		madt = xsdt_entry(1, "APIC");
		length = bytes_get32(madt + 4);
		assert_int_equal(bytes_get32(madt + 36), 0xfee00000);
		assert_int_equal(bytes_get32(madt + 40), 1);
		for (at = 44; at < length; at += madt[at + 1]) {
			const uint8_t *entry = madt + at;

			assert_in_range(entry[1], 2, length - at);
			if (entry[0] == 0) {
				assert_int_equal(entry[2], cpus);
				assert_int_equal(entry[3], cpus++);
				assert_int_equal(bytes_get32(entry + 4), 1);
			} else if (entry[0] == 9) {
				assert_int_equal(bytes_get32(entry + 4), cpus);
				assert_int_equal(bytes_get32(entry + 8), 1);
				assert_int_equal(bytes_get32(entry + 12), cpus++);
			} else if (entry[0] == 1) {
				assert_memory_equal(entry, ioapic, sizeof(ioapic));
				ioapics++;
			} else if (entry[0] == 2) {
				assert_memory_equal(entry, overrides == 0 ? pit : sci, 10);
				overrides++;
			} else if (entry[0] == 4) {
				assert_memory_equal(entry, nmi, sizeof(nmi));
				nmis++;
			} else {
				assert_int_equal(entry[0], 10);
			}
		}
		assert_int_equal(at, length);
		assert_int_equal(cpus, counts[i]);
		assert_int_equal(ioapics, 1);
		assert_int_equal(overrides, 2);
		assert_int_equal(nmis, 1);
	}
}

/* AML: Scope (\_SB) { Device (C000) { Name (_HID, "ACPI0007") Name (_UID, 0) } ... } */
static void ssdt_packages_have_exact_lengths(void **state)
{
	static const uint32_t counts[] = { 1, 3, 64, 1024 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const uint8_t *ssdt, *at, *end;
		uint32_t cpu;

		build(counts[i]);
		ssdt = xsdt_entry(2, "SSDT");
		end = ssdt + bytes_get32(ssdt + 4);
		at = ssdt + 36;
		assert_int_equal(at[0], 0x10);
		assert_int_equal((at[1] & 0xf) | bytes_get16(at + 2) << 4, end - at - 1);
		assert_memory_equal(at + 4, "\\_SB_", 5);
		at += 9;
		for (cpu = 0; cpu < counts[i]; cpu++) {
			uint32_t length = (at[2] & 0xfu) | (uint32_t)bytes_get16(at + 3) << 4;
			char name[5];

			snprintf(name, sizeof(name), "C%03X", cpu & 0xfff);
			assert_memory_equal(at, "\x5b\x82", 2);
			assert_memory_equal(at + 5, name, 4);
			at += 2 + length;
			assert_int_equal(bytes_get16(at - 2), cpu);
		}
		assert_ptr_equal(at, end);
	}
}

static void too_many_bytes_are_refused(void **state)
{
	static uint8_t dsdt[ACPI_AREA_SIZE];

	(void)state;
	assert_int_equal(acpi_build(area, 1, dsdt, sizeof(dsdt)), 0);
	assert_int_equal(acpi_build(area, 1, dsdt, sizeof(dsdt) - 200), 0);
	assert_int_not_equal(acpi_build(area, 1, dsdt, sizeof(dsdt) - 2000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_agree),
		cmocka_unit_test(fadt_names_the_boards_registers),
		cmocka_unit_test(madt_lists_cpus_ioapic_and_overrides),
		cmocka_unit_test(ssdt_packages_have_exact_lengths),
		cmocka_unit_test(too_many_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
