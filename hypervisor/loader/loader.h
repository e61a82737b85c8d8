/* SPDX-License-Identifier: MIT */
/* Guest loaders: put a Linux bzImage or a multiboot image into guest RAM and say how to enter it. */
#ifndef HYPERVISOR_LOADER_LOADER_H
#define HYPERVISOR_LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;
struct vm_config; /* hypervisor/vm/vm.h */

#define LOADER_ERROR_SIZE 160u
#define LOADER_MODULE_MAX 16u

/*
 * Guest RAM as the host sees it: gpa 0..low_bytes at low, and 4G..4G + high_bytes at high.  The
 * bytes between 640K and 1M are backed too, but guests are told that no RAM is there.
 */
struct guest_memory {
	uint8_t *low;
	uint64_t low_bytes;
	uint8_t *high;
	uint64_t high_bytes;
};

/* Bytes of one input file; data is NULL when there is none. */
struct loader_file {
	const char *name;
	const uint8_t *data;
	size_t size;
};

struct loader_input {
	struct loader_file kernel;
	struct loader_file initrd;  /* Linux only */
	struct loader_file cmdline; /* text; a trailing newline is cut off */
	struct loader_file modules[LOADER_MODULE_MAX]; /* multiboot only */
	uint32_t module_count;
};

enum boot_mode {
	BOOT_LONG64,      /* CR0.PE|PG, CR4.PAE, EFER.LME|LMA, cr3, 64-bit code segment, IF = 0 */
	BOOT_PROTECTED32, /* CR0.PE, no paging, flat 4G segments, IF = 0 */
};

/*
 * Registers of the BSP at its first instruction.  Registers not named are 0.  Segments are flat:
 * code_selector in CS (execute/read), data_selector in DS, ES, SS, FS, GS (read/write); both name
 * descriptors in the GDT at gdt_base.  TR and LDTR as after INIT.
 */
struct boot_state {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rsp;
	uint64_t rax;
	uint64_t rbx;
	uint64_t rsi;
	uint64_t cr3; /* BOOT_LONG64 only */
	uint64_t gdt_base;
	uint16_t gdt_limit;
	uint16_t code_selector;
	uint16_t data_selector;
};

/*
 * Load a Linux bzImage (boot protocol 2.12 or later with a 64-bit entry), or a multiboot 1 image.
 * 0, or -1 with one line in error[LOADER_ERROR_SIZE].
 */
int linux_load(const struct guest_memory *memory, const struct loader_input *input,
    struct boot_state *state, char *error);
int multiboot_load(const struct guest_memory *memory, const struct loader_input *input,
    struct boot_state *state, char *error);

/*
 * Load what the VM's configuration names into the VM's RAM.  After board_create(), before any vCPU
 * runs.  Results as above.
 */
int loader_load_vm(struct vm *vm, const struct vm_config *config, struct boot_state *state,
    char *error);

#endif
