/* SPDX-License-Identifier: MIT */
/* What the boot loader told us (Multiboot Specification 0.6.96). */
#ifndef HYPERVISOR_BOOT_MULTIBOOT_H
#define HYPERVISOR_BOOT_MULTIBOOT_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_REGION_MAX 64u

struct boot_region {
	uint64_t start, end; /* physical, end exclusive */
};

/* A copy: nothing of the loader's own memory is used after boot_parse(). */
struct boot_info {
	struct boot_region ram[BOOT_REGION_MAX]; /* usable RAM in the loader's order */
	unsigned ram_count;
	struct boot_region module; /* the bundle; empty when there is none */
	unsigned module_count;
};

/* Read the loader's information into *info; panics when it is not multiboot or names no RAM. */
void boot_parse(uint32_t magic, uint32_t information, struct boot_info *info);

#endif
