/* SPDX-License-Identifier: MIT */
/* Small helpers of the `posthorn` command: messages, memory, numbers, paths. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_fail(enum cli_status status, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("posthorn: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return (int)status;
}

static void *checked(void *memory)
{
	if (!memory)
		exit(cli_fail(CLI_IO_ERROR, "out of memory"));
	return memory;
}

void *cli_allocate(size_t size)
{
	return checked(calloc(1, size));
}

char *cli_duplicate(const char *text)
{
	return checked(strdup(text));
}

char *cli_format(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return checked(length < 0 ? NULL : text);
}

bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value >= min && *value <= max;
}

static unsigned int suffix_shift(char suffix)
{
	switch (suffix) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return 0;
	}
}

bool cli_parse_size(const char *text, uint64_t *bytes)
{
	unsigned int shift;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	shift = suffix_shift(*end);
	if (errno || !*bytes || end[shift != 0] || *bytes > UINT64_MAX >> 20 >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

char *cli_beside_executable(const char *name)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (length < 0)
		return cli_duplicate(name);
	path[length] = 0;
	slash = strrchr(path, '/');
	if (slash)
		*slash = 0;
	return cli_format("%s/%s", path, name);
}

char *cli_find_program(const char *name)
{
	const char *path = getenv("PATH");
	const char *end;

	if (strchr(name, '/'))
		return access(name, X_OK) ? NULL : cli_duplicate(name);
	for (; path && *path; path = *end ? end + 1 : end) {
		char *candidate;

		end = strchrnul(path, ':');
		candidate = cli_format("%.*s/%s", (int)(end - path), path, name);
		if (access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return NULL;
}
