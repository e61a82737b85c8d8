/* SPDX-License-Identifier: MIT */
/* The plain form of a fuzz target: run each file of the folders and files named, once. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static unsigned run_count;

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct stat facts;

	if (!file || fstat(fileno(file), &facts) != 0) {
		perror(path);
		exit(1);
	}
	/* Of its own size, so that the sanitizer sees a byte too many. */
	size = (size_t)facts.st_size;
	bytes = malloc(size ? size : 1);
	if (!bytes || fread(bytes, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	fprintf(stderr, "# %s\n", path);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	run_count++;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_visible, alphasort);

	if (count < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		run_file(name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat facts;

		if (stat(argv[i], &facts) == 0 && S_ISDIR(facts.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	if (!run_count) {
		fprintf(stderr, "usage: %s FOLDER|FILE...: nothing was run\n", argv[0]);
		return 1;
	}
	printf("ok 1 - %u inputs\n1..1\n", run_count);
	return 0;
}
