/* SPDX-License-Identifier: MIT */
/* Makes a bootable ISO image of Posthorn and its bundle. */
#ifndef CLI_ISO_H
#define CLI_ISO_H

#include "cli/options.h"

/*
 * Write @options->iso_path by grub-mkrescue; @folder is an empty temporary folder that the
 * caller removes. 0 or an exit status, after one line on standard error.
 */
int iso_write(const struct run_options *options, const char *folder);

#endif
