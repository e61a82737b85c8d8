/* SPDX-License-Identifier: MIT */
/* Settings of one VM, by option name, from the command line or from a --vm file. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void replace(char **slot, const char *value)
{
	free(*slot);
	*slot = cli_duplicate(value);
}

static bool is_name(const char *value)
{
	size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length > 0 && length < VM_NAME_SIZE && !value[length];
}

static int apply_number(
    uint32_t *slot, const char *key, const char *value, uint32_t min, uint32_t max, char **error)
{
	uint64_t number;

	if (!cli_parse_number(value, min, max, &number)) {
		*error =
		    cli_format("%s must be a number from %u to %u, not '%s'", key, min, max, value);
		return CLI_USAGE;
	}
	*slot = (uint32_t)number;
	return CLI_OK;
}

static int apply_memory(struct vm_options *vm, const char *value, char **error)
{
	if (cli_parse_size(value, &vm->memory) && vm->memory <= VM_MEMORY_MAX)
		return CLI_OK;
	*error = cli_format("memory must be bytes or a number with K, M or G, not '%s'", value);
	return CLI_USAGE;
}

static int apply_module(struct vm_options *vm, const char *value, char **error)
{
	if (vm->module_count == VM_MODULE_MAX) {
		*error = cli_format("more than %d modules for one VM", VM_MODULE_MAX);
		return CLI_USAGE;
	}
	vm->modules[vm->module_count++] = cli_duplicate(value);
	return CLI_OK;
}

static int apply_name(struct vm_options *vm, const char *value, char **error)
{
	if (!is_name(value)) {
		*error = cli_format(
		    "name must be 1 to %d of a-z, 0-9 and '-', not '%s'", VM_NAME_SIZE - 1, value);
		return CLI_USAGE;
	}
	strcpy(vm->name, value);
	return CLI_OK;
}

/* 0 or 1; the option alone, without a value, is 1. */
static int apply_switch(bool *slot, const char *key, const char *value, char **error)
{
	uint32_t number = 1;
	int status = value ? apply_number(&number, key, value, 0, 1, error) : CLI_OK;

	if (status == CLI_OK)
		*slot = number == 1;
	return status;
}

int vm_apply(struct vm_options *vm, const char *key, const char *value, char **error)
{
	if (!strcmp(key, "kernel") || !strcmp(key, "guest")) {
		replace(&vm->image, value);
		vm->must_be_multiboot = !strcmp(key, "guest");
	} else if (!strcmp(key, "initrd")) {
		replace(&vm->initrd, value);
	} else if (!strcmp(key, "append")) {
		replace(&vm->append, value);
	} else if (!strcmp(key, "module")) {
		return apply_module(vm, value, error);
	} else if (!strcmp(key, "name")) {
		return apply_name(vm, value, error);
	} else if (!strcmp(key, "memory")) {
		return apply_memory(vm, value, error);
	} else if (!strcmp(key, "cpus")) {
		return apply_number(&vm->cpu_count, key, value, 1, VM_CPU_MAX, error);
	} else if (!strcmp(key, "migrate")) {
		return apply_number(&vm->migrate_ms, key, value, 0, MIGRATE_MS_MAX, error);
	} else if (!strcmp(key, "pin")) {
		return apply_switch(&vm->is_pinned, key, value, error);
	} else if (!strcmp(key, "x2apic")) {
		return apply_switch(&vm->shows_x2apic, key, value, error);
	} else {
		*error = cli_format("no setting '%s'", key);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	return text;
}

static bool is_path_key(const char *key)
{
	return !strcmp(key, "kernel") || !strcmp(key, "guest") || !strcmp(key, "initrd") ||
	       !strcmp(key, "module");
}

/* @value as seen from the folder of the file @path. Caller frees. */
static char *from_folder_of(const char *path, const char *value)
{
	const char *slash = strrchr(path, '/');

	if (*value == '/' || !slash)
		return cli_duplicate(value);
	return cli_format("%.*s/%s", (int)(slash - path), path, value);
}

static int apply_line(struct vm_options *vm, const char *path, char *line, char **error)
{
	char *equals = strchr(line, '=');
	char *key, *value;
	int status;

	if (!equals) {
		*error = cli_format("expected 'key = value', not '%s'", line);
		return CLI_USAGE;
	}
	*equals = 0;
	key = trim(line);
	value = trim(equals + 1);
	if (!is_path_key(key))
		return vm_apply(vm, key, value, error);
	value = from_folder_of(path, value);
	status = vm_apply(vm, key, value, error);
	free(value);
	return status;
}

int vm_file_read(struct vm_options *vm, const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL, *error = NULL;
	size_t size = 0, number = 0;
	int status = CLI_OK;

	if (!file)
		return cli_fail(
		    CLI_BAD_INPUT, "cannot read --vm file '%s': %s", path, strerror(errno));
	while (status == CLI_OK && getline(&line, &size, file) >= 0) {
		char *text = trim(line);

		number++;
		if (*text && *text != '#')
			status = apply_line(vm, path, text, &error);
	}
	if (ferror(file))
		status = cli_fail(
		    CLI_BAD_INPUT, "cannot read --vm file '%s': %s", path, strerror(errno));
	else if (status != CLI_OK)
		status = cli_fail(CLI_BAD_INPUT, "%s:%zu: %s", path, number, error);
	free(error);
	free(line);
	fclose(file);
	return status;
}
