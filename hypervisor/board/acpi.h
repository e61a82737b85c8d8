/* SPDX-License-Identifier: MIT */
/* Builder of the guest's ACPI tables (ACPI 6.4, chapter 5 "ACPI Software Programming Model"). */
#ifndef HYPERVISOR_BOARD_ACPI_H
#define HYPERVISOR_BOARD_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* Where guests look for the RSDP, and where all tables lie. */
#define ACPI_AREA_BASE 0xe0000u
#define ACPI_AREA_SIZE 0x20000u

/*
 * Build all tables for `cpu_count` CPUs (APIC IDs 0.., at most 1024) in area, which is the guest's
 * memory at ACPI_AREA_BASE.  dsdt: a compiled table.  Returns the bytes used, or 0 when they do
 * not fit.
 */
size_t acpi_build(uint8_t area[ACPI_AREA_SIZE], uint32_t cpu_count, const uint8_t *dsdt,
    size_t dsdt_size);

#endif
