/* SPDX-License-Identifier: MIT */
/* Making, starting and stopping VMs. */
#include "hypervisor/vm/vm.h"
#include "hypervisor/board/board.h"
#include "hypervisor/board/firmware.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/loader/loader.h"
#include "hypervisor/main/console.h"
#include "hypervisor/main/host.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/policy.h"
#include "hypervisor/vm/vcpu.h"
#include "hypervisor/vm/vendor.h"

/* Input clock of the guests' APIC timers; no faster than the TSC, as no processor's is. */
#define APIC_TIMER_KHZ_MAX 1000000u

static struct vm *vms[VM_MAX];
static uint32_t created_count; /* atomic: published after vms[] */
static struct timer migrate_timers[VM_MAX];

uint32_t vm_count(void)
{
	return __atomic_load_n(&created_count, __ATOMIC_ACQUIRE);
}

struct vm *vm_by_index(uint32_t index)
{
	return index < vm_count() ? vms[index] : NULL;
}

struct vm *vm_by_name(const char *name)
{
	uint32_t i;

	for (i = 0; i < vm_count(); i++)
		if (strcmp(vms[i]->name, name) == 0)
			return vms[i];
	return NULL;
}

uint64_t vm_guest_tsc(const struct vm *vm)
{
	return tsc_read() + vm->tsc_offset;
}

/* ---- Making.  What a failure leaves behind is not freed: the host's boot ends with it. -------- */

static int make_memory(struct vm *vm)
{
	uint64_t bytes = vm->config->memory_bytes;

	vm->ram_low_bytes = bytes < VM_LOW_RAM_END ? bytes : VM_LOW_RAM_END;
	vm->ram_high_bytes = bytes - vm->ram_low_bytes;
	vm->ram_low = memory_alloc_range(vm->ram_low_bytes, LARGE_PAGE_SIZE);
	if (!vm->ram_low)
		return -1;
	if (!vm->ram_high_bytes)
		return 0;
	vm->ram_high = memory_alloc_range(vm->ram_high_bytes, LARGE_PAGE_SIZE);
	return vm->ram_high ? 0 : -1;
}

static int make_ph(struct vm *vm)
{
	struct ph_vm_config config = {
	    .platform = platform_table(),
	    .vcpu_count = vm->cpu_count,
	    .tsc_khz = vm->tsc_khz,
	    .apic_timer_khz = vm->tsc_khz < APIC_TIMER_KHZ_MAX ? vm->tsc_khz : APIC_TIMER_KHZ_MAX,
	    .extended_dest_id = false,
	    .directed_eoi = false,
	};
	unsigned order = 0;
	void *memory;

	while ((size_t)PAGE_SIZE << order < ph_vm_size(&config))
		order++;
	memory = page_alloc(order);
	return memory && ph_vm_init(memory, &config, &vm->ph) == PH_OK ? 0 : -1;
}

static int make_vcpus(struct vm *vm)
{
	uint64_t npt_root = vendor->tables_create(vm);
	uint32_t i;

	if (!npt_root)
		return -1;
	for (i = 0; i < vm->cpu_count; i++)
		if (vcpu_create(vm, i, npt_root, i % cpu_count()))
			return -1;
	return 0;
}

/* Policy and permission maps are the same for all VMs: made with the first. */
static int make_shared(void)
{
	static bool is_made;

	if (is_made)
		return 0;
	is_made = true;
	policy_init();
	return vendor->shared_create();
}

static int make_parts(struct vm *vm)
{
	if (make_memory(vm)) {
		log_printf("error: %s: not enough memory for a guest of %llu KB (%llu KB free)",
		    vm->name, (unsigned long long)vm->config->memory_bytes >> 10,
		    (unsigned long long)memory_free_bytes() >> 10);
		return -1;
	}
	if (make_shared() || make_ph(vm) || make_vcpus(vm) || board_create(vm)) {
		log_printf("error: %s: no memory left", vm->name);
		return -1;
	}
	return 0;
}

struct vm *vm_create(const struct vm_config *config)
{
	struct vm *vm = page_alloc(0);
	struct boot_state state = {.mode = BOOT_PROTECTED32};
	char error[LOADER_ERROR_SIZE];

	_Static_assert(sizeof(struct vm) <= PAGE_SIZE, "struct vm in one page");
	if (!vm || created_count == VM_MAX) {
		log_printf("error: %s: too many VMs", config->name);
		return NULL;
	}
	memcpy(vm->name, config->name, VM_NAME_SIZE);
	vm->config = config;
	vm->index = created_count;
	vm->cpu_count = config->cpu_count;
	vm->running_vcpu_count = config->cpu_count;
	vm->tsc_khz = tsc_khz();
	vm->tsc_offset = 0 - tsc_read();
	if (make_parts(vm))
		return NULL;
	firmware_leave_board(vm);
	if (loader_load_vm(vm, &state, error)) {
		log_printf("error: %s", error);
		return NULL;
	}
	vendor->vcpu_boot(vm->vcpus[0], &state);
	vms[vm->index] = vm;
	__atomic_store_n(&created_count, vm->index + 1, __ATOMIC_RELEASE);
	return vm;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Send every vCPU to the next pCPU, again and again: IRQ context. */
static void migrate_all(void *arg)
{
	struct vm *vm = arg;
	uint32_t i;

	if (vm_is_stopping(vm))
		return;
	for (i = 0; i < vm->cpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		uint32_t next =
		    (__atomic_load_n(&vcpu->migrate_pcpu, __ATOMIC_RELAXED) + 1) % cpu_count();

		__atomic_store_n(&vcpu->migrate_pcpu, next, __ATOMIC_RELAXED);
		ph_vcpu_request(vcpu->ph, VM_REQUEST_MIGRATE);
	}
	timer_set(&migrate_timers[vm->index],
	    tsc_read() + tsc_from_ns((uint64_t)vm->config->migrate_ms * 1000000u));
}

void vm_start(struct vm *vm)
{
	uint32_t i;

	if (vm->config->migrate_ms) {
		migrate_timers[vm->index].fn = migrate_all;
		migrate_timers[vm->index].arg = vm;
		timer_set(&migrate_timers[vm->index],
		    tsc_read() + tsc_from_ns((uint64_t)vm->config->migrate_ms * 1000000u));
	}
	for (i = 0; i < vm->cpu_count; i++)
		thread_start(vm->vcpus[i]->thread);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

const char *vm_stop_name(enum vm_stop_reason reason)
{
	static const char *const names[] = {
	    [VM_STOP_NONE] = "running",
	    [VM_STOP_POWEROFF] = "poweroff",
	    [VM_STOP_DEBUG_EXIT] = "debug-exit",
	    [VM_STOP_TRIPLE_FAULT] = "triple-fault",
	    [VM_STOP_INVALID_STATE] = "invalid-state",
	    [VM_STOP_RESET] = "reset",
	    [VM_STOP_ERROR] = "error",
	};

	return names[reason];
}

bool vm_is_stopping(const struct vm *vm)
{
	return __atomic_load_n(&vm->stop_reason, __ATOMIC_ACQUIRE) != VM_STOP_NONE;
}

bool vm_has_ended(const struct vm *vm)
{
	return __atomic_load_n(&vm->is_ended, __ATOMIC_ACQUIRE);
}

static bool is_normal(uint32_t reason)
{
	return reason == VM_STOP_POWEROFF || reason == VM_STOP_DEBUG_EXIT || reason == VM_STOP_RESET;
}

static void print_stop(const struct vm *vm, enum vm_stop_reason reason)
{
	const char *separator = vm->stop_text[0] ? ":" : "";

	control_printf("@vm %s stopped %s%s%s code=%d", vm->name, vm_stop_name(reason), separator,
	    vm->stop_text, vm->stop_code);
}

void vm_stop(struct vm *vm, enum vm_stop_reason reason, int code, const char *text)
{
	uint32_t expected = VM_STOP_NONE;
	uint32_t i;

	if (!__atomic_compare_exchange_n(&vm->stop_reason, &expected, (uint32_t)reason, false,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	vm->stop_code = code;
	if (text)
		snprintf(vm->stop_text, VM_STOP_TEXT, "%s", text);
	print_stop(vm, reason);
	for (i = 0; i < vm->cpu_count; i++)
		ph_vcpu_request(vm->vcpus[i]->ph, VM_REQUEST_STOP);
}

/* For whoever looks into a guest that went wrong: where each vCPU was. */
static void dump_vcpus(const struct vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->cpu_count; i++)
		vendor->dump(vm->vcpus[i]);
}

void vm_finish(struct vm *vm)
{
	bool was_normal = is_normal(vm->stop_reason);

	timer_cancel(&migrate_timers[vm->index]);
	board_stop(vm);
	console_flush(vm);
	if (!was_normal)
		dump_vcpus(vm);
	vm_print_tables(vm);
	__atomic_store_n(&vm->is_ended, true, __ATOMIC_RELEASE);
	host_vm_stopped(vm, was_normal);
}

/* ---- Panic ----------------------------------------------------------------------------------- */

void virt_panic_dump(void)
{
	uint32_t i;

	for (i = 0; i < vm_count(); i++)
		dump_vcpus(vm_by_index(i));
}
