/* SPDX-License-Identifier: MIT */
/* In place of hypervisor/mm/memory.h when hypervisor/cpu/acpi.c is fuzzed: memory is the target's.
 */
#ifndef HYPERVISOR_MM_MEMORY_H
#define HYPERVISOR_MM_MEMORY_H

#include <stdint.h>

void *fuzz_virt_of(uint64_t phys);
#define virt_of(phys) fuzz_virt_of(phys)

#endif
