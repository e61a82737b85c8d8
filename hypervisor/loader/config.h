/* SPDX-License-Identifier: MIT */
/* Parser of the bundle's `config` member into host options and one vm_config for each VM. */
#ifndef HYPERVISOR_LOADER_CONFIG_H
#define HYPERVISOR_LOADER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/loader/bundle.h"
#include "hypervisor/vm/vm.h"

#define CONFIG_ERROR_SIZE 160u

/* The `host` directive. */
struct host_config {
	enum ph_delivery delivery; /* apicv=off|vid|posted: the fastest allowed; default posted */
	bool trace;        /* trace=on; default off */
	bool quiet;        /* quiet=1; default 0 */
};

/*
 * Parse the member `config` of the bundle.  vms has room for vm_max entries; *vm_count receives
 * how many it names, 1 at least.  Files stay in the bundle and are pointed to.  0, or -1 with one
 * line in error[CONFIG_ERROR_SIZE] that names the config's line.
 */
int config_parse(const struct bundle *bundle, struct host_config *host, struct vm_config *vms,
    uint32_t vm_max, uint32_t *vm_count, char *error);

#endif
