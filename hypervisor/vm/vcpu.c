/* SPDX-License-Identifier: MIT */
/* A vCPU's thread: enter, handle the exit, give way, until the VM stops. */
#include "hypervisor/vm/vcpu.h"
#include "hypervisor/board/firmware.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/vendor.h"

/* ---- The thread ------------------------------------------------------------------------------ */

/* False: the VM stops. */
static bool serve_requests(struct vcpu *vcpu)
{
	uint32_t requests = ph_vcpu_take_requests(vcpu->ph);

	if (requests & VM_REQUEST_STOP)
		return false;
	if (requests & VM_REQUEST_MIGRATE)
		thread_migrate(thread_current(),
		    __atomic_load_n(&vcpu->migrate_pcpu, __ATOMIC_RELAXED));
	return true;
}

static void vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	bool goes_on = true;

	firmware_leave_apic(vcpu);
	while (goes_on) {
		if (ph_vcpu_run(vcpu->ph) == PH_RUN_EXIT)
			vendor->handle_exit(vcpu);
		else
			goes_on = serve_requests(vcpu);
		if (thread_should_yield())
			thread_yield();
	}
	timer_cancel(&vcpu->arch->timer);
	if (__atomic_sub_fetch(&vm->running_vcpu_count, 1, __ATOMIC_ACQ_REL) == 0)
		vm_finish(vm);
}

static void vcpu_switch_in(struct thread *thread)
{
	struct vcpu *vcpu = thread->owner;
	struct percpu *cpu = this_cpu();

	vendor->load_state(vcpu);
	cpu->running_vcpu = vcpu;
	ph_vcpu_load(vcpu->ph, cpu->index);
}

static void vcpu_switch_out(struct thread *thread)
{
	struct vcpu *vcpu = thread->owner;

	ph_vcpu_put(vcpu->ph);
	this_cpu()->running_vcpu = NULL;
	vendor->save_state(vcpu);
}

/* ---- Making one ------------------------------------------------------------------------------ */

static void timer_expired(void *arg)
{
	struct vcpu *vcpu = arg;

	ph_vcpu_timer_expired(vcpu->ph);
}

static unsigned order_of(size_t bytes)
{
	unsigned order = 0;

	while ((size_t)PAGE_SIZE << order < bytes)
		order++;
	return order;
}

static int create_ph(struct vcpu *vcpu)
{
	struct ph_vcpu_config config = {
	    .backend = vendor->backend,
	    .apic_id = vcpu->index,
	    .is_bsp = vcpu->index == 0,
	    .host = vcpu,
	    .apic_page = page_alloc(0),
	    .pid = page_alloc(0),
	};
	void *memory = page_alloc(order_of(ph_vcpu_size()));

	if (!config.apic_page || !config.pid || !memory)
		return -1;
	vcpu->apic_page = config.apic_page;
	vcpu->pid = config.pid;
	vendor->vcpu_configure(vcpu, &config);
	return ph_vcpu_init(vcpu->vm->ph, vcpu->index, memory, &config, &vcpu->ph) == PH_OK ? 0 : -1;
}

static int create_thread(struct vcpu *vcpu, uint32_t pcpu)
{
	char name[20];
	struct thread *thread;

	snprintf(name, sizeof(name), "%s/%u", vcpu->vm->name, vcpu->index);
	thread = thread_create(name, vcpu_main, vcpu, pcpu);
	if (!thread)
		return -1;
	thread->owner = vcpu;
	thread->switch_in = vcpu_switch_in;
	thread->switch_out = vcpu_switch_out;
	thread->is_pinned = vcpu->vm->config->is_pinned;
	vcpu->thread = thread;
	vcpu->migrate_pcpu = pcpu;
	return 0;
}

int vcpu_create(struct vm *vm, uint32_t index, uint64_t npt_root, uint32_t pcpu)
{
	struct vcpu *vcpu = page_alloc(0);

	_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "struct vcpu in one page");
	if (!vcpu)
		return -1;
	vcpu->vm = vm;
	vcpu->index = index;
	vm->vcpus[index] = vcpu;
	if (vendor->vcpu_create(vcpu, npt_root, vm->tsc_offset))
		return -1;
	vcpu->arch->timer.fn = timer_expired;
	vcpu->arch->timer.arg = vcpu;
	if (create_ph(vcpu))
		return -1;
	return create_thread(vcpu, pcpu);
}
