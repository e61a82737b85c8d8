/* SPDX-License-Identifier: MIT */
/* Writes the bundle: the newc archive that the hypervisor finds as its multiboot module. */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include "cli/options.h"

/*
 * Write the config and every file of the checked @options to @path. 0 or an exit status, after
 * one line on standard error.
 */
int bundle_write(const struct run_options *options, const char *path);

/* The text of the bundle's member "config". Caller frees. */
char *bundle_config(const struct run_options *options);

#endif
