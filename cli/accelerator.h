/* SPDX-License-Identifier: MIT */
/* What QEMU runs the CPUs of the hypervisor on: KVM, or TCG with one thread or one for each CPU. */
#ifndef CLI_ACCELERATOR_H
#define CLI_ACCELERATOR_H

#include "cli/options.h"

/*
 * The value of QEMU's -accel for @options, a constant. May run the emulator for its version, with
 * a limit of some seconds. @status is 0, or an exit status after one line on standard error.
 */
const char *accelerator_choose(const struct run_options *options, int *status);

#endif
