/* SPDX-License-Identifier: MIT */
/* Looks at every file and value of `posthorn run` before anything is started. */
#include "cli/image.h"
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1ULL << 20)
/* What a hypervisor of many pages needs beside its guests: image, per-CPU stacks, tables. */
#define HOST_BASE_MEMORY (64 * MIB)
#define HOST_CPU_MEMORY  (2 * MIB)

static int check_readable(const char *what, const char *path, uint64_t *size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	bool is_regular;

	if (file < 0 || fstat(file, &status)) {
		int error = errno;

		if (file >= 0)
			close(file);
		return cli_fail(CLI_BAD_INPUT, "cannot read %s '%s': %s; check the path", what,
		    path, strerror(error));
	}
	close(file);
	is_regular = S_ISREG(status.st_mode);
	*size += (uint64_t)status.st_size;
	if (is_regular && status.st_size > 0)
		return CLI_OK;
	return cli_fail(CLI_BAD_INPUT, "%s '%s' is %s", what, path,
	    is_regular ? "empty" : "not a regular file");
}

static int check_image(struct vm_options *vm, uint64_t *need)
{
	struct image_facts facts;
	uint64_t size = 0;
	int status = check_readable("kernel", vm->image, &size);

	if (status != CLI_OK)
		return status;
	if (image_read(vm->image, &facts))
		return cli_fail(
		    CLI_BAD_INPUT, "cannot read kernel '%s': %s", vm->image, strerror(errno));
	if (facts.problem)
		return cli_fail(
		    CLI_BAD_INPUT, "'%s' is %s; give an x86-64 one", vm->image, facts.problem);
	if (facts.kind == IMAGE_UNKNOWN)
		return cli_fail(CLI_BAD_INPUT,
		    "'%s' is not a kernel; give a Linux bzImage or a multiboot ELF", vm->image);
	if (vm->must_be_multiboot && facts.kind != IMAGE_MULTIBOOT)
		return cli_fail(CLI_BAD_INPUT,
		    "'%s' is a Linux kernel, not a multiboot ELF; use --kernel", vm->image);
	vm->kind = facts.kind;
	*need += facts.memory_need + (facts.kind == IMAGE_MULTIBOOT ? facts.file_size : 0);
	return CLI_OK;
}

static int check_kind(const struct vm_options *vm)
{
	if (vm->kind == IMAGE_LINUX && vm->module_count)
		return cli_fail(
		    CLI_USAGE, "--module is for multiboot guests; for Linux use --initrd");
	if (vm->kind == IMAGE_MULTIBOOT && vm->initrd)
		return cli_fail(
		    CLI_USAGE, "--initrd is for Linux; for multiboot guests use --module");
	if (vm->append && strpbrk(vm->append, "\n\r"))
		return cli_fail(CLI_USAGE, "--append holds a line break; give one line");
	return CLI_OK;
}

static int check_vm(struct vm_options *vm)
{
	uint64_t need = 0;
	int status;

	if (!vm->image)
		return cli_fail(CLI_USAGE,
		    "no guest; give --kernel, --guest or --vm (see 'posthorn run --help')");
	status = check_image(vm, &need);
	if (status == CLI_OK)
		status = check_kind(vm);
	if (status == CLI_OK && vm->initrd)
		status = check_readable("initrd", vm->initrd, &need);
	for (uint32_t i = 0; status == CLI_OK && i < vm->module_count; i++)
		status = check_readable("module", vm->modules[i], &need);
	if (status == CLI_OK && vm->memory < need)
		status = cli_fail(CLI_USAGE,
		    "too little memory for '%s': %llu KiB; give --memory=%lluM or more", vm->image,
		    (unsigned long long)(vm->memory / 1024),
		    (unsigned long long)((need + MIB - 1) / MIB));
	return status;
}

static int name_vms(struct run_options *options)
{
	for (uint32_t i = 0; i < options->vm_count; i++) {
		struct vm_options *vm = &options->vms[i];

		if (!vm->name[0])
			snprintf(vm->name, sizeof(vm->name), "vm%u", i);
		for (uint32_t other = 0; other < i; other++) {
			if (!strcmp(vm->name, options->vms[other].name))
				return cli_fail(
				    CLI_USAGE, "two VMs are named '%s'; give --name", vm->name);
		}
	}
	return CLI_OK;
}

static uint32_t useful_pcpu_count(const struct run_options *options)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t wanted = 0;

	if (options->wants_icount)
		return 1;
	for (uint32_t i = 0; i < options->vm_count; i++)
		wanted += options->vms[i].cpu_count;
	if (online > 0 && wanted > (uint32_t)online)
		wanted = (uint32_t)online;
	return wanted > HOST_CPU_MAX ? HOST_CPU_MAX : wanted;
}

/* Guests, 1/128 of that for nested tables, the bundle while it is unpacked, Posthorn itself. */
static uint64_t needed_host_memory(const struct run_options *options)
{
	uint64_t guests = 0, bytes;

	for (uint32_t i = 0; i < options->vm_count; i++)
		guests += options->vms[i].memory + options->vms[i].cpu_count * MIB;
	bytes = guests + guests / 128 + HOST_BASE_MEMORY + options->pcpu_count * HOST_CPU_MEMORY;
	for (uint32_t i = 0; i < options->vm_count; i++) {
		const struct vm_options *vm = &options->vms[i];
		struct stat status;

		if (stat(vm->image, &status) == 0)
			bytes += (uint64_t)status.st_size;
		if (vm->initrd && stat(vm->initrd, &status) == 0)
			bytes += (uint64_t)status.st_size;
		for (uint32_t module = 0; module < vm->module_count; module++) {
			if (stat(vm->modules[module], &status) == 0)
				bytes += (uint64_t)status.st_size;
		}
	}
	return (bytes + MIB - 1) / MIB * MIB;
}

static char *default_emulator(enum run_host host)
{
	const char *qemu = getenv("POSTHORN_QEMU");

	if (host == HOST_BOCHS_VMX)
		return cli_beside_executable("../tools/bochs-run.sh");
	return cli_duplicate(qemu && *qemu ? qemu : "qemu-system-x86_64");
}

int options_check(struct run_options *options)
{
	uint64_t needed, size = 0;
	int status = CLI_OK;

	for (uint32_t i = 0; status == CLI_OK && i < options->vm_count; i++)
		status = check_vm(&options->vms[i]);
	if (status == CLI_OK)
		status = name_vms(options);
	if (status == CLI_OK)
		status = check_readable("hypervisor", options->hypervisor, &size);
	if (status != CLI_OK)
		return status;
	if (!options->emulator)
		options->emulator = default_emulator(options->host);
	if (!options->pcpu_count)
		options->pcpu_count = useful_pcpu_count(options);
	needed = needed_host_memory(options);
	if (!options->host_memory)
		options->host_memory = needed;
	if (options->host_memory < needed)
		return cli_fail(CLI_USAGE,
		    "--host-memory is too little for these VMs; give %lluM or more",
		    (unsigned long long)(needed / MIB));
	return CLI_OK;
}
