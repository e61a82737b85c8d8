/* SPDX-License-Identifier: MIT */
/* Builder of the guest's ACPI tables; only the DSDT comes from a source of its own (dsdt.asl). */
#include "hypervisor/board/acpi.h"

#include "hypervisor/board/devices.h"
#include "hypervisor/lib/string.h"

#define OEM_ID       "PSTHRN"
#define OEM_TABLE_ID "POSTHORN"

/* Table "DESCRIPTION_HEADER Fields". */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI: DESCRIPTION_HEADER Fields");

/* Table "RSDP Structure". */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI: RSDP Structure");
#define RSDP_1_SIZE 20u

/* Table "Generic Address Structure (GAS)". */
struct acpi_address {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_address) == 12, "ACPI: Generic Address Structure");
#define SPACE_IO 1u

/* Table "FADT Format", as of revision 4. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved_1;
	uint8_t preferred_profile;
	uint16_t sci_interrupt;
	uint32_t smi_command;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_request;
	uint8_t pstate_control;
	uint32_t pm1a_event;
	uint32_t pm1b_event;
	uint32_t pm1a_control;
	uint32_t pm1b_control;
	uint32_t pm2_control;
	uint32_t pm_timer;
	uint32_t gpe0;
	uint32_t gpe1;
	uint8_t pm1_event_length;
	uint8_t pm1_control_length;
	uint8_t pm2_control_length;
	uint8_t pm_timer_length;
	uint8_t gpe0_length;
	uint8_t gpe1_length;
	uint8_t gpe1_base;
	uint8_t cst_control;
	uint16_t c2_latency;
	uint16_t c3_latency;
	uint16_t flush_size;
	uint16_t flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alarm;
	uint8_t month_alarm;
	uint8_t century;
	uint16_t boot_architecture;
	uint8_t reserved_2;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint8_t reserved_3[3];
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_address x_pm1a_event;
	struct acpi_address x_pm1b_event;
	struct acpi_address x_pm1a_control;
	struct acpi_address x_pm1b_control;
	struct acpi_address x_pm2_control;
	struct acpi_address x_pm_timer;
	struct acpi_address x_gpe0;
	struct acpi_address x_gpe1;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_fadt) == 244, "ACPI: FADT Format, revision 4");
_Static_assert(offsetof(struct acpi_fadt, reset_register) == 116, "ACPI: FADT Format");

#define FADT_REVISION        4u
#define FADT_WBINVD          (1u << 0)
#define FADT_PROC_C1         (1u << 2)
#define FADT_NO_POWER_BUTTON (1u << 4)
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_NO_FIXED_RTC    (1u << 6)
#define FADT_TIMER_32        (1u << 8)
#define FADT_RESET_REGISTER  (1u << 10)
#define BOOT_LEGACY_DEVICES  (1u << 0)
#define BOOT_NO_VGA          (1u << 2)
#define LATENCY_C2_NONE      101u  /* above 100: there is no C2 */
#define LATENCY_C3_NONE      1001u /* above 1000: there is no C3 */
#define CMOS_CENTURY         0x32u
#define PORT_RESET           0xcf9u
#define RESET_VALUE          0x06u

/* Table "Firmware ACPI Control Structure (FACS)". */
#define FACS_SIZE    64u
#define FACS_VERSION 2u

/* Table "Multiple APIC Description Table (MADT) Format", and its entries' tables. */
#define MADT_LAPIC_BASE   0xfee00000u
#define MADT_PCAT_COMPAT  1u
#define ENTRY_LAPIC       0u
#define ENTRY_IOAPIC      1u
#define ENTRY_OVERRIDE    2u
#define ENTRY_LAPIC_NMI   4u
#define ENTRY_X2APIC      9u
#define ENTRY_X2APIC_NMI  10u
#define ENTRY_ENABLED     1u
#define ALL_PROCESSORS    0xffu
#define X2APIC_ID_MIN     255u /* the first ID that needs the entry for x2APIC */
#define FLAGS_CONFORMS    0x0u
#define FLAGS_LEVEL_HIGH  0xdu
#define PIT_IOAPIC_PIN    2u

/* AML (ACPI 6.4, chapter 20 "AML Specification"). */
#define AML_NAME   0x08u
#define AML_BYTE   0x0au
#define AML_WORD   0x0bu
#define AML_STRING 0x0du
#define AML_SCOPE  0x10u
#define AML_EXTEND 0x5bu
#define AML_DEVICE 0x82u

struct builder {
	uint8_t *area;
	size_t used;
	int is_full;
};

static void append(struct builder *builder, const void *bytes, size_t size)
{
	if (builder->is_full || size > ACPI_AREA_SIZE - builder->used) {
		builder->is_full = 1;
		return;
	}
	memcpy(builder->area + builder->used, bytes, size);
	builder->used += size;
}

static void append_number(struct builder *builder, uint64_t value, size_t size)
{
	append(builder, &value, size);
}

static void align(struct builder *builder, size_t alignment)
{
	static const uint8_t zeros[64];

	append(builder, zeros, (alignment - builder->used % alignment) % alignment);
}

/* What makes all bytes add up to 0. */
static uint8_t checksum(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	while (size-- > 0)
		sum = (uint8_t)(sum + *bytes++);
	return (uint8_t)-sum;
}

static uint32_t address_at(size_t offset)
{
	return ACPI_AREA_BASE + (uint32_t)offset;
}

static struct acpi_header header(const char *signature, uint8_t revision)
{
	struct acpi_header made = {
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};

	memcpy(made.signature, signature, sizeof(made.signature));
	memcpy(made.oem_id, OEM_ID, sizeof(made.oem_id));
	memcpy(made.oem_table_id, OEM_TABLE_ID, sizeof(made.oem_table_id));
	memcpy(made.creator_id, OEM_ID, sizeof(made.creator_id));
	return made;
}

static size_t begin_table(struct builder *builder, const char *signature, uint8_t revision)
{
	struct acpi_header made = header(signature, revision);
	size_t start;

	align(builder, 16);
	start = builder->used;
	append(builder, &made, sizeof(made));
	return start;
}

/* Write length and checksum of the table that began at `start`; returns its guest address. */
static uint32_t end_table(struct builder *builder, size_t start)
{
	uint8_t *table = builder->area + start;
	struct acpi_header made;

	if (builder->is_full)
		return 0;
	memcpy(&made, table, sizeof(made));
	made.length = (uint32_t)(builder->used - start);
	made.checksum = 0;
	memcpy(table, &made, sizeof(made));
	made.checksum = checksum(table, made.length);
	memcpy(table, &made, sizeof(made));
	return address_at(start);
}

/* ---- MADT ----------------------------------------------------------------------------------- */

static void append_processor(struct builder *builder, uint32_t id)
{
	if (id < X2APIC_ID_MIN) {
		append_number(builder, ENTRY_LAPIC | 8 << 8 | id << 16 | id << 24, 4);
		append_number(builder, ENTRY_ENABLED, 4);
		return;
	}
	append_number(builder, ENTRY_X2APIC | 16 << 8, 4);
	append_number(builder, id, 4);
	append_number(builder, ENTRY_ENABLED, 4);
	append_number(builder, id, 4);
}

static void append_override(struct builder *builder, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	append_number(builder, ENTRY_OVERRIDE | 10 << 8 | (uint32_t)irq << 24, 4);
	append_number(builder, gsi, 4);
	append_number(builder, flags, 2);
}

static uint32_t build_madt(struct builder *builder, uint32_t cpu_count)
{
	size_t start = begin_table(builder, "APIC", 4);
	uint32_t i;

	append_number(builder, MADT_LAPIC_BASE, 4);
	append_number(builder, MADT_PCAT_COMPAT, 4);
	for (i = 0; i < cpu_count; i++)
		append_processor(builder, i);
	append_number(builder, ENTRY_IOAPIC | 12 << 8, 4); /* I/O APIC ID 0 */
	append_number(builder, BOARD_IOAPIC_BASE, 4);
	append_number(builder, 0, 4);
	append_override(builder, GSI_PIT, PIT_IOAPIC_PIN, FLAGS_CONFORMS);
	append_override(builder, GSI_SCI, GSI_SCI, FLAGS_LEVEL_HIGH);
	append_number(builder, ENTRY_LAPIC_NMI | 6 << 8 | ALL_PROCESSORS << 16, 4);
	append_number(builder, 1 << 8, 2); /* flags' high byte is 0; LINT1 */
	if (cpu_count > X2APIC_ID_MIN) {
		append_number(builder, ENTRY_X2APIC_NMI | 12 << 8, 4);
		append_number(builder, UINT32_MAX, 4);
		append_number(builder, 1, 4);
	}
	return end_table(builder, start);
}

/* ---- SSDT: one processor device for each CPU ------------------------------------------------ */

/* PkgLength of four bytes at most, always in the form of three. */
static void append_package_length(struct builder *builder, size_t size)
{
	append_number(builder, 0x80u | (size & 0xf), 1);
	append_number(builder, size >> 4 & 0xffff, 2);
}
#define PACKAGE_LENGTH_SIZE 3u

static void append_cpu_device(struct builder *builder, uint32_t index)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char hid[] = "_HID\x0d" "ACPI0007"; /* with its closing zero */
	char name[4] = { 'C', digits[index >> 8 & 0xf], digits[index >> 4 & 0xf],
		digits[index & 0xf] };
	size_t body = sizeof(name) + 1 + sizeof(hid) + 1 + 4 + 3;

	append_number(builder, AML_EXTEND | AML_DEVICE << 8, 2);
	append_package_length(builder, PACKAGE_LENGTH_SIZE + body);
	append(builder, name, sizeof(name));
	append_number(builder, AML_NAME, 1);
	append(builder, hid, sizeof(hid));
	append_number(builder, AML_NAME, 1);
	append(builder, "_UID", 4);
	append_number(builder, AML_WORD | (uint64_t)index << 8, 3);
}
#define CPU_DEVICE_SIZE 32u

static uint32_t build_ssdt(struct builder *builder, uint32_t cpu_count)
{
	static const char scope[] = { '\\', '_', 'S', 'B', '_' };
	size_t start = begin_table(builder, "SSDT", 2);
	uint32_t i;

	append_number(builder, AML_SCOPE, 1);
	append_package_length(builder,
	    PACKAGE_LENGTH_SIZE + sizeof(scope) + (size_t)cpu_count * CPU_DEVICE_SIZE);
	append(builder, scope, sizeof(scope));
	for (i = 0; i < cpu_count; i++)
		append_cpu_device(builder, i);
	return end_table(builder, start);
}

/* ---- FADT, FACS, DSDT ----------------------------------------------------------------------- */

static uint32_t build_facs(struct builder *builder)
{
	uint8_t facs[FACS_SIZE] = { 'F', 'A', 'C', 'S', FACS_SIZE };

	facs[32] = FACS_VERSION;
	align(builder, FACS_SIZE);
	append(builder, facs, sizeof(facs));
	return address_at(builder->used - FACS_SIZE);
}

static uint32_t put_dsdt(struct builder *builder, const uint8_t *dsdt, size_t size)
{
	align(builder, 16);
	append(builder, dsdt, size);
	return address_at(builder->used - size);
}

static struct acpi_address io_address(uint32_t port, uint8_t bits)
{
	struct acpi_address made = { .space = SPACE_IO, .bit_width = bits, .address = port };

	made.access_size = bits == 8 ? 1 : bits == 16 ? 2 : 3;
	return made;
}

static uint32_t build_fadt(struct builder *builder, uint32_t facs, uint32_t dsdt)
{
	size_t start = begin_table(builder, "FACP", FADT_REVISION);
	struct acpi_fadt fadt = {
		.facs = facs,
		.dsdt = dsdt,
		.sci_interrupt = GSI_SCI,
		.pm1a_event = PM_PORT,
		.pm1a_control = PM_PORT + 4,
		.pm_timer = PM_PORT + 8,
		.pm1_event_length = 4,
		.pm1_control_length = 2,
		.pm_timer_length = 4,
		.c2_latency = LATENCY_C2_NONE,
		.c3_latency = LATENCY_C3_NONE,
		.century = CMOS_CENTURY,
		.boot_architecture = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
		    FADT_NO_FIXED_RTC | FADT_TIMER_32 | FADT_RESET_REGISTER,
		.reset_register = io_address(PORT_RESET, 8),
		.reset_value = RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_event = io_address(PM_PORT, 32),
		.x_pm1a_control = io_address(PM_PORT + 4, 16),
		.x_pm_timer = io_address(PM_PORT + 8, 32),
	};

	append(builder, (const uint8_t *)&fadt + sizeof(fadt.header),
	    sizeof(fadt) - sizeof(fadt.header));
	return end_table(builder, start);
}

/* ---- Roots ---------------------------------------------------------------------------------- */

static uint32_t build_root(struct builder *builder, const char *signature, size_t entry_size,
    const uint32_t *tables, unsigned count)
{
	size_t start = begin_table(builder, signature, 1);
	unsigned i;

	for (i = 0; i < count; i++)
		append_number(builder, tables[i], entry_size);
	return end_table(builder, start);
}

static void write_rsdp(uint8_t *area, uint32_t rsdt, uint32_t xsdt)
{
	struct acpi_rsdp rsdp = { .revision = 2, .rsdt = rsdt, .xsdt = xsdt };

	rsdp.length = sizeof(rsdp);
	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = checksum((const uint8_t *)&rsdp, RSDP_1_SIZE);
	rsdp.extended_checksum = checksum((const uint8_t *)&rsdp, sizeof(rsdp));
	memcpy(area, &rsdp, sizeof(rsdp));
}

size_t acpi_build(uint8_t area[ACPI_AREA_SIZE], uint32_t cpu_count, const uint8_t *dsdt,
    size_t dsdt_size)
{
	struct builder builder = { .area = area, .used = sizeof(struct acpi_rsdp) };
	uint32_t facs = build_facs(&builder);
	uint32_t dsdt_address = put_dsdt(&builder, dsdt, dsdt_size);
	uint32_t tables[3];
	uint32_t rsdt, xsdt;

	tables[0] = build_fadt(&builder, facs, dsdt_address);
	tables[1] = build_madt(&builder, cpu_count);
	tables[2] = build_ssdt(&builder, cpu_count);
	rsdt = build_root(&builder, "RSDT", 4, tables, 3);
	xsdt = build_root(&builder, "XSDT", 8, tables, 3);
	if (builder.is_full)
		return 0;
	write_rsdp(area, rsdt, xsdt);
	return builder.used;
}
