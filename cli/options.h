/* SPDX-License-Identifier: MIT */
/* What the user asked `posthorn run` to do: the VMs and the host they run on. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/cli.h"

#define VM_MAX         16
#define VM_MODULE_MAX  8
#define VM_NAME_SIZE   16
#define VM_CPU_MAX     64
#define HOST_CPU_MAX   64
#define VM_MEMORY_MAX  (1ULL << 40)
#define MIGRATE_MS_MAX 1000000

enum image_kind {
	IMAGE_UNKNOWN,
	IMAGE_LINUX,
	IMAGE_MULTIBOOT,
};

struct vm_options {
	char name[VM_NAME_SIZE];
	uint32_t cpu_count;
	uint64_t memory; /* bytes */
	char *image;
	bool must_be_multiboot; /* given by --guest */
	enum image_kind kind;   /* by content; set by options_check() */
	char *initrd;
	char *append;
	char *modules[VM_MODULE_MAX];
	uint32_t module_count;
	bool is_pinned;
	bool shows_x2apic;
	uint32_t migrate_ms; /* 0 = off */
};

enum accelerator {
	ACCELERATOR_AUTO,
	ACCELERATOR_TCG,        /* as many threads as this QEMU's version is good for */
	ACCELERATOR_TCG_SINGLE, /* one thread for all CPUs */
	ACCELERATOR_TCG_MULTI,  /* one thread a CPU */
	ACCELERATOR_KVM,
};

enum run_host {
	HOST_QEMU_SVM,
	HOST_BOCHS_VMX,
};

struct run_options {
	struct vm_options vms[VM_MAX];
	uint32_t vm_count;
	uint32_t pcpu_count;  /* 0 = as many as useful */
	uint64_t host_memory; /* bytes; 0 = computed */
	enum run_host host;
	enum accelerator accelerator;
	bool wants_icount;
	const char *apicv; /* the fastest delivery allowed: "off", "vid" or "posted" */
	bool is_dry_run;
	bool is_verbose;
	bool shows_help;
	bool wants_tables;        /* print the delivery tables at the end */
	bool wants_trace;         /* Posthorn records delivery events, see trace.h */
	uint32_t timeout_seconds; /* 0 = none */
	char *log_path;
	char *iso_path;
	char *bundle_path;
	char *emulator;   /* program name or path; NULL until options_check(): the host's */
	char *hypervisor; /* path of posthorn.elf */
};

/* Fill @options with defaults. Pairs with options_free(). */
void options_init(struct run_options *options);
void options_free(struct run_options *options);

/* Parse the command line; 0 or an exit status, after one line on standard error. */
int options_parse(struct run_options *options, int argc, char **argv);

/*
 * Look at every file and value, fill in what was left out. 0 or an exit status, after one line
 * on standard error that says what to do.
 */
int options_check(struct run_options *options);

/*
 * Apply one setting of a VM by its long option name. 0, or CLI_USAGE with the reason in
 * @error (caller frees). Also used for the `key = value` lines of a --vm file.
 */
int vm_apply(struct vm_options *vm, const char *key, const char *value, char **error);

/* --host=VALUE and --apicv=VALUE; 0 or an exit status, after one line on standard error. */
int options_apply_host(struct run_options *options, const char *value);
int options_apply_delivery(struct run_options *options, const char *value);

/* Read a --vm file into @vm; relative paths start at the file's folder. As options_parse(). */
int vm_file_read(struct vm_options *vm, const char *path);

extern const char run_help_text[];

#endif
