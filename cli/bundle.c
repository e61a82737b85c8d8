/* SPDX-License-Identifier: MIT */
/* Writes the bundle: the newc archive that the hypervisor finds as its multiboot module. */
#include "cli/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE 65536
/* newc writes sizes as eight hexadecimal digits. */
#define NEWC_FILE_MAX UINT32_MAX

struct bundle_writer {
	struct archive *archive;
	const char *path;
};

static void print_vm(FILE *out, const struct vm_options *vm)
{
	fprintf(out, "vm name=%s cpus=%u memory=%lluK kind=%s kernel=%s/kernel", vm->name,
	    vm->cpu_count, (unsigned long long)(vm->memory / 1024),
	    vm->kind == IMAGE_LINUX ? "linux" : "multiboot", vm->name);
	if (vm->initrd)
		fprintf(out, " initrd=%s/initrd", vm->name);
	if (vm->append)
		fprintf(out, " cmdline=%s/cmdline", vm->name);
	for (uint32_t i = 0; i < vm->module_count; i++)
		fprintf(out, " module=%s/module%u", vm->name, i);
	if (vm->is_pinned)
		fputs(" pin=1", out);
	if (!vm->shows_x2apic)
		fputs(" x2apic=0", out);
	if (vm->migrate_ms)
		fprintf(out, " migrate=%u", vm->migrate_ms);
	fputc('\n', out);
}

char *bundle_config(const struct run_options *options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		exit(cli_fail(CLI_IO_ERROR, "out of memory"));
	fprintf(out, "host apicv=%s trace=%s quiet=%d\n", options->apicv,
	    options->wants_trace ? "on" : "off", options->is_verbose ? 0 : 1);
	for (uint32_t i = 0; i < options->vm_count; i++)
		print_vm(out, &options->vms[i]);
	fclose(out);
	return text;
}

static int write_failed(const struct bundle_writer *writer)
{
	int error = archive_errno(writer->archive);

	return cli_fail(CLI_IO_ERROR,
	    "cannot write the bundle '%s': %s; set TMPDIR to a folder with room", writer->path,
	    error > 0 ? strerror(error) : archive_error_string(writer->archive));
}

static int begin_member(struct bundle_writer *writer, const char *name, uint64_t size)
{
	struct archive_entry *entry = archive_entry_new();
	int result;

	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	result = archive_write_header(writer->archive, entry);
	archive_entry_free(entry);
	return result == ARCHIVE_OK ? CLI_OK : write_failed(writer);
}

static int add_text(struct bundle_writer *writer, const char *name, const char *text)
{
	size_t size = strlen(text);
	int status = begin_member(writer, name, size);

	if (status == CLI_OK && size && archive_write_data(writer->archive, text, size) < 0)
		status = write_failed(writer);
	return status;
}

static int copy_data(struct bundle_writer *writer, int file, const char *path, uint64_t left)
{
	char buffer[COPY_SIZE];

	while (left) {
		size_t wanted = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);
		ssize_t got = read(file, buffer, wanted);

		if (got <= 0)
			return cli_fail(CLI_BAD_INPUT, "cannot read '%s': %s", path,
			    got ? strerror(errno) : "it became shorter meanwhile");
		if (archive_write_data(writer->archive, buffer, (size_t)got) < 0)
			return write_failed(writer);
		left -= (uint64_t)got;
	}
	return CLI_OK;
}

static int add_open_file(struct bundle_writer *writer, const char *name, int file, const char *path)
{
	struct stat facts;
	int status;

	if (fstat(file, &facts))
		return cli_fail(CLI_BAD_INPUT, "cannot read '%s': %s", path, strerror(errno));
	if (facts.st_size > NEWC_FILE_MAX)
		return cli_fail(
		    CLI_BAD_INPUT, "'%s' is larger than 4 GiB; give a smaller file", path);
	status = begin_member(writer, name, (uint64_t)facts.st_size);
	if (status == CLI_OK)
		status = copy_data(writer, file, path, (uint64_t)facts.st_size);
	return status;
}

/* Add the file @path as VM_NAME/@name. */
static int add_file(
    struct bundle_writer *writer, const struct vm_options *vm, const char *name, const char *path)
{
	char *member = cli_format("%s/%s", vm->name, name);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	int status;

	if (file < 0) {
		status = cli_fail(CLI_BAD_INPUT, "cannot read '%s': %s", path, strerror(errno));
	} else {
		status = add_open_file(writer, member, file, path);
		close(file);
	}
	free(member);
	return status;
}

static int add_vm(struct bundle_writer *writer, const struct vm_options *vm)
{
	int status = add_file(writer, vm, "kernel", vm->image);

	if (status == CLI_OK && vm->initrd)
		status = add_file(writer, vm, "initrd", vm->initrd);
	if (status == CLI_OK && vm->append) {
		char *member = cli_format("%s/cmdline", vm->name);

		status = add_text(writer, member, vm->append);
		free(member);
	}
	for (uint32_t i = 0; status == CLI_OK && i < vm->module_count; i++) {
		char name[24];

		snprintf(name, sizeof(name), "module%u", i);
		status = add_file(writer, vm, name, vm->modules[i]);
	}
	return status;
}

static int add_all(struct bundle_writer *writer, const struct run_options *options)
{
	char *config = bundle_config(options);
	int status = add_text(writer, "config", config);

	free(config);
	for (uint32_t i = 0; status == CLI_OK && i < options->vm_count; i++)
		status = add_vm(writer, &options->vms[i]);
	return status;
}

int bundle_write(const struct run_options *options, const char *path)
{
	struct bundle_writer writer = {archive_write_new(), path};
	int status;

	if (!writer.archive)
		return cli_fail(CLI_IO_ERROR, "out of memory");
	if (archive_write_set_format_cpio_newc(writer.archive) != ARCHIVE_OK ||
	    archive_write_open_filename(writer.archive, path) != ARCHIVE_OK) {
		status = write_failed(&writer);
	} else {
		status = add_all(&writer, options);
		/* The last block goes out here: a full disk may show only now. */
		if (archive_write_close(writer.archive) != ARCHIVE_OK && status == CLI_OK)
			status = write_failed(&writer);
	}
	archive_write_free(writer.archive);
	return status;
}
