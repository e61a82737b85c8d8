/* SPDX-License-Identifier: MIT */
/* Fuzz target: the boot bundle's archive and the configuration in it. */
#include "tests/fuzz/fuzz.h"

#include "hypervisor/loader/bundle.h"
#include "hypervisor/loader/config.h"

#include <string.h>

static struct bundle bundle;
static struct vm_config vms[4];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *why = NULL;
	char error[CONFIG_ERROR_SIZE];
	struct host_config host;
	uint32_t count = 0;

	if (bundle_parse(bytes, size, &bundle, &why) != 0) {
		FUZZ_CHECK(why && bundle.file_count == 0);
		return 0;
	}
	for (uint32_t i = 0; i < bundle.file_count; i++) {
		const struct bundle_file *file = &bundle.files[i];

		FUZZ_CHECK(bundle_find(&bundle, file->name) == file);
		FUZZ_CHECK(file->data >= bytes && file->data + file->size <= bytes + size);
	}
	memset(error, '!', sizeof(error));
	if (config_parse(&bundle, &host, vms, 4, &count, error) == 0)
		FUZZ_CHECK(count >= 1 && count <= 4);
	else
		FUZZ_CHECK(memchr(error, 0, sizeof(error)));
	return 0;
}
