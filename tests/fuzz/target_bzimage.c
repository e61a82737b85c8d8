/* SPDX-License-Identifier: MIT */
/* Fuzz target: Linux bzImages that lie about themselves. */
#include "tests/fuzz/fuzz.h"

#include "hypervisor/loader/loader.h"

#include <string.h>

#define LOW_BYTES (24u << 20)

/* Not zeroed again for each run: loaders only write to it. */
static uint8_t ram[LOW_BYTES] __attribute__((aligned(4096)));

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	uint8_t choice = input_u8(&input);
	struct guest_memory memory = {.low_bytes = LOW_BYTES};
	struct vm_config config = {.kernel = {"kernel", NULL, 0}};
	struct boot_state boot;
	char error[LOADER_ERROR_SIZE];
	uint8_t *image = malloc(input.size ? input.size : 1);

	FUZZ_CHECK(image);
	if (input.size)
		memcpy(image, input.bytes, input.size);
	memory.low = ram;
	config.kernel.data = image;
	config.kernel.size = input.size;
	if (choice & 2)
		config.initrd = (struct vm_file){"initrd", image, input.size};
	if (choice & 1)
		config.cmdline = (struct vm_file){"cmdline", image, input.size};
	memset(error, '!', sizeof(error));
	if (linux_load(&memory, &config, 2500000, &boot, error) != 0)
		FUZZ_CHECK(memchr(error, 0, sizeof(error)));
	free(image);
	return 0;
}
