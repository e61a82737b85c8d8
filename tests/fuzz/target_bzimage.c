/* SPDX-License-Identifier: MIT */
/* Fuzz target: Linux bzImages that lie about themselves. */
#include "tests/fuzz/image.h"

static int load(const struct guest_memory *memory, const struct vm_config *config,
    struct boot_state *boot, char *error)
{
	return linux_load(memory, config, 2500000, boot, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	image_run(bytes, size, IMAGE_RAM_MAX, load);
	return 0;
}
