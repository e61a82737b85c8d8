/* SPDX-License-Identifier: MIT */
/* What the targets of guest images share: an input becomes a VM's kernel, initrd and command line.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "tests/fuzz/fuzz.h"

#include "hypervisor/loader/loader.h"

/* A loader under test: 0, or an error's text. */
typedef int (*image_load)(const struct guest_memory *memory, const struct vm_config *config,
    struct boot_state *boot, char *error);

/* Load the input into `low_bytes` (at most IMAGE_RAM_MAX) of RAM; the first byte chooses the files.
 */
#define IMAGE_RAM_MAX (24u << 20)
void image_run(const uint8_t *bytes, size_t size, uint64_t low_bytes, image_load load);

#endif
