/* SPDX-License-Identifier: MIT */
/* Fuzz target: the decoder of instructions that exit, on bytes that the guest chooses. */
#include "tests/fuzz/fuzz.h"

#include "hypervisor/vm/decode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	enum decode_mode mode = (enum decode_mode)(input_u8(&input) % 3);
	uint32_t available =
	    (uint32_t)(input.size < DECODE_MAX_LENGTH ? input.size : DECODE_MAX_LENGTH);
	uint8_t *code = malloc(available ? available : 1);
	struct instruction instruction;
	struct mmio_access access;

	FUZZ_CHECK(code);
	if (available)
		memcpy(code, input.bytes, available);
	if (decode(code, available, mode, &instruction)) {
		FUZZ_CHECK(instruction.length >= 1 && instruction.length <= available);
		if (decode_mmio(&instruction, &access)) {
			FUZZ_CHECK(access.bytes == 1 || access.bytes == 2 || access.bytes == 4 ||
			           access.bytes == 8);
			FUZZ_CHECK(access.reg < 16);
		}
	}
	free(code);
	return 0;
}
