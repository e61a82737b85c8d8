/* SPDX-License-Identifier: MIT */
/* Read the host's MADT and FADT (ACPI Specification, "ACPI Software Programming Model"). */
#include <stddef.h>

#include "hypervisor/cpu/acpi.h"
#include "hypervisor/cpu/cpu.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"

#define BIOS_START     0xe0000u
#define BIOS_END       0x100000u
#define EBDA_SEGMENT   0x40eu
#define EBDA_SEARCHED  1024u
#define TABLE_MAX_BYTES (1u << 20)

#define MADT_LAPIC      0
#define MADT_IOAPIC     1
#define MADT_OVERRIDE   2
#define MADT_LAPIC_BASE 5
#define MADT_X2APIC     9
#define MADT_CPU_ENABLED 1u

#define FADT_PM_TMR_BLK 76u
#define FADT_FLAGS      112u
#define FADT_TMR_VAL_EXT (1u << 8)

/* ACPI, table "RSDP Structure". */
struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct rsdp) == 36, "RSDP Structure");

/* ACPI, table "DESCRIPTION_HEADER Fields". */
struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 36, "DESCRIPTION_HEADER Fields");

struct acpi_facts acpi_facts;

static uint32_t get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint16_t get16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t get64(const void *at)
{
	return get32(at) | (uint64_t)get32((const uint8_t *)at + 4) << 32;
}

static bool sums_to_zero(const void *bytes, uint32_t length)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + byte[i]);
	return sum == 0;
}

static const struct rsdp *find_rsdp_in(uint32_t start, uint32_t end)
{
	for (uint32_t at = start; at + sizeof(struct rsdp) <= end; at += 16) {
		const struct rsdp *rsdp = virt_of(at);

		if (memcmp(rsdp->signature, "RSD PTR ", 8) == 0 && sums_to_zero(rsdp, 20))
			return rsdp;
	}
	return NULL;
}

static const struct rsdp *find_rsdp(void)
{
	uint32_t ebda = (uint32_t)get16(virt_of(EBDA_SEGMENT)) << 4;
	const struct rsdp *rsdp = NULL;

	if (ebda >= 0x400 && ebda < BIOS_START)
		rsdp = find_rsdp_in(ebda, ebda + EBDA_SEARCHED);
	return rsdp != NULL ? rsdp : find_rsdp_in(BIOS_START, BIOS_END);
}

/* A table at that physical address if it is whole and below the direct map's certain part. */
static const struct header *table_at(uint64_t phys)
{
	const struct header *table;

	if (phys == 0 || phys > (1ull << 32) - TABLE_MAX_BYTES)
		return NULL;
	table = virt_of(phys);
	if (table->length < sizeof(*table) || table->length > TABLE_MAX_BYTES ||
	    !sums_to_zero(table, table->length))
		return NULL;
	return table;
}

static const uint8_t *find_table(const struct rsdp *rsdp, const char *signature)
{
	bool has_xsdt = rsdp->revision >= 2 && table_at(rsdp->xsdt) != NULL;
	const struct header *root = table_at(has_xsdt ? rsdp->xsdt : rsdp->rsdt);
	uint32_t entry_size = has_xsdt ? 8 : 4;

	if (root == NULL)
		panic("the ACPI root table is damaged");
	for (uint32_t at = sizeof(*root); at + entry_size <= root->length; at += entry_size) {
		const uint8_t *entry = (const uint8_t *)root + at;
		const struct header *table = table_at(has_xsdt ? get64(entry) : get32(entry));

		if (table != NULL && memcmp(table->signature, signature, 4) == 0)
			return (const uint8_t *)table;
	}
	return NULL;
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_CPU_ENABLED))
		return;
	if (acpi_facts.cpu_count == PCPU_MAX) {
		acpi_facts.cpu_ignored_count++;
		return;
	}
	acpi_facts.apic_ids[acpi_facts.cpu_count++] = apic_id;
}

static void read_madt_entry(const uint8_t *entry, uint32_t length)
{
	switch (entry[0]) {
	case MADT_LAPIC:
		if (length >= 8)
			add_cpu(entry[3], get32(entry + 4));
		break;
	case MADT_X2APIC:
		if (length >= 16)
			add_cpu(get32(entry + 4), get32(entry + 8));
		break;
	case MADT_IOAPIC:
		if (length >= 12 && get32(entry + 8) == 0)
			acpi_facts.ioapic_base = get32(entry + 4);
		break;
	case MADT_OVERRIDE:
		if (length >= 10 && entry[3] < ISA_IRQ_COUNT) {
			acpi_facts.isa_gsi[entry[3]] = get32(entry + 4);
			acpi_facts.isa_flags[entry[3]] = get16(entry + 8);
		}
		break;
	case MADT_LAPIC_BASE:
		if (length >= 12)
			acpi_facts.lapic_base = get64(entry + 4);
		break;
	default:
		break;
	}
}

static void read_madt(const uint8_t *madt)
{
	uint32_t length = get32(madt + 4), at = 44;

	acpi_facts.lapic_base = get32(madt + 36);
	for (uint32_t irq = 0; irq < ISA_IRQ_COUNT; irq++)
		acpi_facts.isa_gsi[irq] = irq;
	while (at + 2 <= length && madt[at + 1] >= 2 && at + madt[at + 1] <= length) {
		read_madt_entry(madt + at, madt[at + 1]);
		at += madt[at + 1];
	}
}

static void read_fadt(const uint8_t *fadt)
{
	if (get32(fadt + 4) < FADT_FLAGS + 4)
		return;
	acpi_facts.pm_timer_port = (uint16_t)get32(fadt + FADT_PM_TMR_BLK);
	acpi_facts.is_pm_timer_32bit = (get32(fadt + FADT_FLAGS) & FADT_TMR_VAL_EXT) != 0;
}

void acpi_init(void)
{
	const struct rsdp *rsdp = find_rsdp();
	const uint8_t *madt, *fadt;

	if (rsdp == NULL)
		panic("no ACPI tables found below 1 MiB");
	madt = find_table(rsdp, "APIC");
	if (madt == NULL)
		panic("the ACPI tables have no MADT");
	read_madt(madt);
	fadt = find_table(rsdp, "FACP");
	if (fadt != NULL)
		read_fadt(fadt);
	if (acpi_facts.cpu_count == 0)
		panic("the ACPI MADT names no processor");
	if (acpi_facts.cpu_ignored_count != 0)
		log_printf("not supported: more than %u CPUs; %u stay unused", PCPU_MAX,
		    acpi_facts.cpu_ignored_count);
}
