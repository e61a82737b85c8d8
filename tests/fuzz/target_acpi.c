/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the host's ACPI tables as firmware may have damaged them.  The input is the memory
 * from 0xe0000 on; whatever else is read below 4 GiB is zero, and beyond there is nothing.
 */
#include "tests/fuzz/fuzz.h"

#include "hypervisor/cpu/acpi.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>

#define BIOS_START 0xe0000u
#define BIOS_SIZE  0x20000u
#define MAPPED     (1ull << 32)

void acpi_init(void);
void *fuzz_virt_of(uint64_t phys);

static uint8_t *memory;
static jmp_buf panicked;

void *fuzz_virt_of(uint64_t phys)
{
	FUZZ_CHECK(phys < MAPPED);
	return memory + phys;
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

/* Every table's sum right, so that the fuzzer gets past it: the first byte says so. */
static void mend_sums(void)
{
	for (uint32_t at = 0; at + 36 <= BIOS_SIZE; at += 16) {
		uint8_t *bytes = memory + BIOS_START + at;
		uint32_t length, mended = 9;
		uint8_t sum = 0;

		memcpy(&length, bytes + 4, 4);
		if (memcmp(bytes, "RSD PTR ", 8) == 0) {
			length = 20;
			mended = 8;
		}
		if (!bytes[0] || length < 20 || length > BIOS_SIZE - at)
			continue;
		for (uint32_t i = 0; i < length; i++)
			sum = (uint8_t)(sum + bytes[i]);
		bytes[mended] = (uint8_t)(bytes[mended] - sum);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	uint8_t choice = input_u8(&input);
	size_t used = input.size < BIOS_SIZE ? input.size : BIOS_SIZE;

	if (!memory) {
		memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		FUZZ_CHECK(memory != MAP_FAILED);
	}
	memset(memory + BIOS_START, 0, BIOS_SIZE);
	if (used)
		memcpy(memory + BIOS_START, input.bytes, used);
	if (choice & 1)
		mend_sums();
	memset(&acpi_facts, 0, sizeof(acpi_facts));
	if (!setjmp(panicked)) {
		acpi_init();
		FUZZ_CHECK(acpi_facts.cpu_count >= 1 && acpi_facts.cpu_count <= PCPU_MAX);
	}
	return 0;
}
