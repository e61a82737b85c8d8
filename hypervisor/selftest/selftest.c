/* SPDX-License-Identifier: MIT */
/* placeholder */
#include "hypervisor/boot/start.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/main/host.h"
void virt_cpu_init(void) {}
void virt_panic_dump(void) {}
void trace_dump_last(void) {}
void main_thread(void *arg) { (void)arg; log_printf("main thread"); host_exit(HOST_EXIT_OK); }
