/* SPDX-License-Identifier: MIT */
/* What kind of kernel a file holds, told by its content. */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include "cli/options.h"

struct image_facts {
	enum image_kind kind;
	uint64_t file_size;   /* bytes */
	uint64_t memory_need; /* bytes of guest memory below which it surely cannot start */
	const char *problem;  /* why kind is IMAGE_UNKNOWN although it looks like a kernel */
};

/*
 * Read the facts of the kernel at @path. 0, or -1 with errno set when it cannot be read.
 * Linux: the boot protocol's setup header; multiboot: specification 0.6.96, section 3.1.1.
 */
int image_read(const char *path, struct image_facts *facts);

#endif
