/* SPDX-License-Identifier: MIT */
/* Fuzz target: multiboot images (ELF32, ELF64, explicit addresses) and their modules. */
#include "tests/fuzz/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	image_run(bytes, size, 8u << 20, multiboot_load);
	return 0;
}
