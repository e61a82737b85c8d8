/* SPDX-License-Identifier: MIT */
/* hypervisor/cpu/acpi.c with the fuzz target's memory in place of the machine's. */
#include "tests/fuzz/acpi_memory.h"

#include "hypervisor/cpu/acpi.c"
