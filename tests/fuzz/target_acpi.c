/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the host's ACPI tables as firmware may have damaged them.  The input is the memory
 * from 0xe0000 on; whatever else is read below 4 GiB is zero, and beyond there is nothing.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/host_acpi.h"

#include "hypervisor/cpu/acpi.h"

#include <string.h>

/* Every table's sum right, so that the fuzzer gets past it: the first byte says so. */
static void mend_sums(void)
{
	for (uint32_t at = 0; at + 36 <= BIOS_SIZE; at += 16) {
		uint8_t *bytes = host_memory + BIOS_START + at;
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

	host_acpi_reset();
	if (used)
		memcpy(host_memory + BIOS_START, input.bytes, used);
	if (choice & 1)
		mend_sums();
	if (host_acpi_is_read())
		FUZZ_CHECK(acpi_facts.cpu_count >= 1 && acpi_facts.cpu_count <= PCPU_MAX);
	return 0;
}
