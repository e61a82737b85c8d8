/* SPDX-License-Identifier: MIT */
/* Reader of the boot bundle: a cpio archive ("newc") whose members are used in place. */
#ifndef HYPERVISOR_LOADER_BUNDLE_H
#define HYPERVISOR_LOADER_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#define BUNDLE_FILE_MAX 256u

/* One member.  Both pointers point into the archive; the name ends in NUL. */
struct bundle_file {
	const char *name;
	const uint8_t *data;
	size_t size;
};

struct bundle {
	uint32_t file_count;
	struct bundle_file files[BUNDLE_FILE_MAX];
};

/*
 * Read an archive of `size` bytes, which must live as long as the bundle.  Regular files only
 * (directories are skipped); a name may occur once.  0, or -1 with one line in *error (a constant).
 */
int bundle_parse(const void *archive, size_t size, struct bundle *bundle, const char **error);

/* The member of that name, or NULL. */
const struct bundle_file *bundle_find(const struct bundle *bundle, const char *name);

#endif
