/* SPDX-License-Identifier: MIT */
/* One run of a guest loader on an input of the fuzzer. */
#include "tests/fuzz/image.h"

#include <string.h>

/* Not zeroed again for each run: loaders only write to it. */
static uint8_t ram[IMAGE_RAM_MAX] __attribute__((aligned(4096)));

void image_run(const uint8_t *bytes, size_t size, uint64_t low_bytes, image_load load)
{
	struct input input = {bytes, size};
	uint8_t choice = input_u8(&input);
	struct guest_memory memory = {.low = ram, .low_bytes = low_bytes};
	struct vm_config config = {.kernel = {"kernel", NULL, 0}};
	struct boot_state boot;
	char error[LOADER_ERROR_SIZE];
	/* Of its own size, so that the sanitizer sees a byte too many. */
	uint8_t *image = malloc(input.size ? input.size : 1);

	FUZZ_CHECK(image);
	if (input.size)
		memcpy(image, input.bytes, input.size);
	config.kernel.data = image;
	config.kernel.size = input.size;
	if (choice & 2)
		config.initrd = (struct vm_file){"initrd", image, input.size};
	if (choice & 1)
		config.cmdline = (struct vm_file){"cmdline", image, input.size};
	memset(error, '!', sizeof(error));
	if (load(&memory, &config, &boot, error) != 0)
		FUZZ_CHECK(memchr(error, 0, sizeof(error)));
	free(image);
}
