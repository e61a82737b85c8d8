/* SPDX-License-Identifier: MIT */
/* hypervisor/cpu/acpi.c with an array in place of the machine's memory. */
#include "tests/fuzz/host_acpi.h"

#include "hypervisor/cpu/acpi.c"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAPPED (1ull << 32)

uint8_t *host_memory;
static jmp_buf panicked;

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "host_acpi: %s\n", what);
	abort();
}

void host_acpi_reset(void)
{
	if (!host_memory) {
		host_memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (host_memory == MAP_FAILED)
			give_up("no memory");
	}
	memset(host_memory + BIOS_START, 0, BIOS_SIZE);
	memset(&acpi_facts, 0, sizeof(acpi_facts));
}

bool host_acpi_is_read(void)
{
	if (setjmp(panicked))
		return false;
	acpi_init();
	return true;
}

/* The property: nothing is read beyond what the host maps. */
void *host_virt_of(uint64_t phys)
{
	if (phys >= MAPPED)
		give_up("read beyond 4 GiB");
	return host_memory + phys;
}

void panic(const char *format, ...)
{
	(void)format;
	longjmp(panicked, 1);
}

void log_printf(const char *format, ...)
{
	(void)format;
}
