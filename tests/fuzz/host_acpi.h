/* SPDX-License-Identifier: MIT */
/*
 * hypervisor/cpu/acpi.c hosted, for its fuzz target and its unit test: physical memory below 4 GiB
 * is an array.  Also stands in for hypervisor/mm/memory.h there.
 */
#ifndef HYPERVISOR_MM_MEMORY_H
#define HYPERVISOR_MM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#define BIOS_START 0xe0000u
#define BIOS_SIZE  0x20000u

/* All of physical memory. */
extern uint8_t *host_memory;

/* Forget what was read; no tables: from BIOS_START on, BIOS_SIZE bytes are zero. */
void host_acpi_reset(void);
/* acpi_init(); false: it called panic(). */
bool host_acpi_is_read(void);

void *host_virt_of(uint64_t phys);
#define virt_of(phys) host_virt_of(phys)

#endif
