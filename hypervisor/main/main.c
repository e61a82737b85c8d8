/* SPDX-License-Identifier: MIT */
/* The first thread: make the VMs that the bundle describes, wait for their end, leave. */
#include <stddef.h>

#include "hypervisor/boot/start.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/loader/bundle.h"
#include "hypervisor/loader/config.h"
#include "hypervisor/main/control.h"
#include "hypervisor/main/host.h"
#include "hypervisor/main/serial.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/trace.h"
#include "hypervisor/vm/vendor.h"
#include "hypervisor/vm/vm.h"

static struct bundle bundle;
static struct host_config host_config;
static struct vm_config vm_configs[VM_MAX];
static uint32_t vm_config_count;

static struct thread *waiting_thread;
static uint32_t failed_count; /* atomic: VMs that stopped abnormally */

static void leave(enum host_exit status) __attribute__((noreturn));

static void leave(enum host_exit status)
{
	serial_drain();
	control_printf("@end status=%u", status);
	host_exit(status);
}

static void read_bundle(void)
{
	const struct boot_region *module = &boot_info.module;
	const char *bundle_error;
	char config_error[CONFIG_ERROR_SIZE];

	if (boot_info.module_count != 1) {
		log_printf("error: expected one multiboot module, the bundle; there are %u",
		    boot_info.module_count);
		leave(HOST_EXIT_CONFIG);
	}
	if (bundle_parse(virt_of(module->start), module->end - module->start, &bundle,
		&bundle_error) != 0) {
		log_printf("error: bundle: %s", bundle_error);
		leave(HOST_EXIT_CONFIG);
	}
	if (config_parse(&bundle, &host_config, vm_configs, VM_MAX, &vm_config_count,
		config_error) != 0) {
		log_printf("error: config: %s", config_error);
		leave(HOST_EXIT_CONFIG);
	}
	vendor_limit_delivery(host_config.delivery);
}

static void make_vms(void)
{
	if (host_config.trace && trace_enable() != 0)
		log_printf("not enough memory for tracing; going on without");
	for (uint32_t i = 0; i < vm_config_count; i++)
		if (vm_create(&vm_configs[i]) == NULL)
			leave(HOST_EXIT_CONFIG);
}

static bool all_ended(void)
{
	for (uint32_t i = 0; i < vm_count(); i++)
		if (!vm_has_ended(vm_by_index(i)))
			return false;
	return true;
}

void host_vm_stopped(struct vm *vm, bool is_normal)
{
	(void)vm;
	if (!is_normal)
		__atomic_fetch_add(&failed_count, 1, __ATOMIC_RELAXED);
	thread_wake(waiting_thread);
}

void main_thread(void *arg)
{
	(void)arg;
	waiting_thread = thread_current();
	read_bundle();
	make_vms();
	console_init(vm_count());
	control_init(waiting_thread);
	serial_enable_input(console_input, control_input);
	if (!host_config.quiet)
		log_printf("starting %u VMs", vm_count());
	for (uint32_t i = 0; i < vm_count(); i++)
		vm_start(vm_by_index(i));
	while (!all_ended()) {
		thread_sleep();
		control_execute();
	}
	if (trace_is_enabled())
		trace_dump();
	leave(__atomic_load_n(&failed_count, __ATOMIC_RELAXED) ? HOST_EXIT_VM_FAILED
							       : HOST_EXIT_OK);
}
