/* SPDX-License-Identifier: MIT */
/* Making VMs and vCPUs, and what the embedder asks of them; off the interrupt's path. */
#include "core/backend.h"
#include "core/delivery.h"
#include "core/enter.h"
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"

static size_t vm_align(size_t bytes)
{
	return (bytes + PH_VM_ALIGN - 1) & ~(size_t)(PH_VM_ALIGN - 1);
}

size_t ph_vm_size(const struct ph_vm_config *config)
{
	return vm_align(sizeof(struct ph_vm)) +
	    vm_align(config->vcpu_count * sizeof(struct ph_vcpu *)) +
	    vm_align(PH_VCPU_MAX * sizeof(uint32_t));
}

int ph_vm_init(void *memory, const struct ph_vm_config *config, struct ph_vm **vm_out)
{
	struct ph_vm *vm = memory;
	uint8_t *bytes = memory;

	if (!config->platform || config->vcpu_count == 0 || config->vcpu_count > PH_VCPU_MAX ||
	    config->tsc_khz == 0 || config->apic_timer_khz == 0)
		return PH_EINVAL;
	vm->platform = config->platform;
	vm->config = *config;
	vm->vcpu_count = config->vcpu_count;
	bytes += vm_align(sizeof(*vm));
	vm->vcpus = (struct ph_vcpu **)(void *)bytes;
	bytes += vm_align(config->vcpu_count * sizeof(struct ph_vcpu *));
	vm->physical_map = (uint32_t *)(void *)bytes;
	route_init(vm);
	source_ioapic_init(vm);
	source_pic_init(vm);
	*vm_out = vm;
	return PH_OK;
}

size_t ph_vcpu_size(void)
{
	return sizeof(struct ph_vcpu);
}

static const struct backend *vcpu_backend(enum ph_backend backend)
{
	switch (backend) {
	case PH_BACKEND_SVM:
		return &backend_svm;
	case PH_BACKEND_VMX:
		return &backend_vmx;
	case PH_BACKEND_SOFT:
		return &backend_soft;
	}
	return NULL;
}

/* Has the platform, and the configuration, what the backend and its delivery need? */
static bool vcpu_backend_is_complete(const struct ph_platform *platform,
    const struct ph_vcpu_config *config)
{
	switch (config->backend) {
	case PH_BACKEND_SVM:
		return config->vmcb && config->delivery == PH_DELIVERY_INJECTED;
	case PH_BACKEND_VMX:
		return platform->vmcs_read && platform->vmcs_write &&
		    (config->delivery == PH_DELIVERY_INJECTED || platform->set_delivery);
	case PH_BACKEND_SOFT:
		return config->delivery == PH_DELIVERY_INJECTED;
	}
	return false;
}

static bool vcpu_config_is_valid(const struct ph_vm *vm, uint32_t index,
    const struct ph_vcpu_config *config)
{
	if (index >= vm->vcpu_count || vm->vcpus[index] || config->apic_id >= PH_VCPU_MAX)
		return false;
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		if (vm->vcpus[i] && vm->vcpus[i]->lapic.id == config->apic_id)
			return false;
	}
	return config->apic_page && ((uintptr_t)config->apic_page & 0xfff) == 0 && config->pid &&
	    ((uintptr_t)config->pid & 0x3f) == 0 && vcpu_backend_is_complete(vm->platform, config);
}

int ph_vcpu_init(struct ph_vm *vm, uint32_t index, void *memory, const struct ph_vcpu_config *config,
    struct ph_vcpu **vcpu_out)
{
	struct ph_vcpu *vcpu = memory;

	if (!vcpu_backend(config->backend))
		return PH_ENOTSUP;
	if (!vcpu_config_is_valid(vm, index, config))
		return PH_EINVAL;
	vcpu->backend = vcpu_backend(config->backend);
	vcpu->platform = vm->platform;
	vcpu->host = config->host;
	vcpu->vm = vm;
	vcpu->pid = config->pid;
	vcpu->vmcb = config->vmcb;
	vcpu->index = index;
	vcpu->delivery_best = config->delivery;
	vcpu->inhibits_fixed = config->inhibits;
	vcpu->vmx.pin_based = config->pin_based;
	vcpu->vmx.primary = config->primary;
	vcpu->activity = config->is_bsp ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI;
	vcpu->lapic.page = config->apic_page;
	vcpu->lapic.id = config->apic_id;
	vcpu->lapic.is_bsp = config->is_bsp;
	vm->vcpus[index] = vcpu;
	enter_reset(vcpu);
	vcpu->backend->reset(vcpu);
	lapic_reset(vcpu, false);
	/* The VMCS is not current here: the owner switches at its first entry. */
	if (config->delivery != PH_DELIVERY_INJECTED)
		post_request(vcpu, REQUEST_DELIVERY);
	*vcpu_out = vcpu;
	return PH_OK;
}

void *ph_vcpu_host(const struct ph_vcpu *vcpu)
{
	return vcpu->host;
}

uint32_t ph_vcpu_index(const struct ph_vcpu *vcpu)
{
	return vcpu->index;
}

struct ph_vm *ph_vcpu_vm(const struct ph_vcpu *vcpu)
{
	return vcpu->vm;
}

struct ph_vcpu *ph_vm_vcpu(const struct ph_vm *vm, uint32_t index)
{
	return index < vm->vcpu_count ? vm->vcpus[index] : NULL;
}

void ph_vcpu_counters(const struct ph_vcpu *vcpu, struct ph_counters *counters)
{
	const struct vcpu_statistics *statistics = &vcpu->statistics;

	*counters = vcpu->counters;
	for (uint32_t i = 0; i < PH_SOURCE_COUNT; i++)
		counters->posted_count[i] += shared64_load(&statistics->posted_count[i], NONE);
	counters->nmi_count += shared64_load(&statistics->nmi_count, NONE);
	counters->notified_count += shared64_load(&statistics->notified_count, NONE);
	counters->elided_count += shared64_load(&statistics->elided_count, NONE);
	counters->woken_count += shared64_load(&statistics->woken_count, NONE);
	counters->kicked_count += shared64_load(&statistics->kicked_count, NONE);
}

void ph_vcpu_load(struct ph_vcpu *vcpu, uint32_t pcpu)
{
	/* Before the next IN_GUEST: who sees that mode word sends its IPI here. */
	shared32_store(&vcpu->shared.pcpu, pcpu, LOAD_PCPU);
	device_post_load(vcpu, pcpu);
}

void ph_vcpu_put(struct ph_vcpu *vcpu)
{
	PH_BUG_ON(vcpu,
	    (shared32_load(&vcpu->shared.mode, NONE) & MODE_STATE_MASK) != MODE_OUTSIDE);
	device_post_put(vcpu);
}

void ph_vcpu_nmi_unblocked(struct ph_vcpu *vcpu)
{
	vcpu->backend->nmi_unblocked(vcpu);
}

bool ph_vcpu_exception_exit(struct ph_vcpu *vcpu, uint8_t vector)
{
	return vcpu->backend->exception_exit(vcpu, vector);
}

void ph_vcpu_nmi_blocked_again(struct ph_vcpu *vcpu)
{
	vcpu->backend->nmi_blocked_again(vcpu);
}

void ph_vcpu_end_shadow(struct ph_vcpu *vcpu)
{
	vcpu->backend->end_shadow(vcpu);
}

/* ---- Exceptions: SDM vol. 3, table "Interrupt and Exception Classes" and the one after it -- */

enum exception_class { EXCEPTION_BENIGN, EXCEPTION_CONTRIBUTORY, EXCEPTION_PAGE_FAULT, EXCEPTION_DOUBLE };

static enum exception_class exception_class(uint8_t vector)
{
	switch (vector) {
	case 0:  /* #DE */
	case 10: /* #TS */
	case 11: /* #NP */
	case 12: /* #SS */
	case 13: /* #GP */
	case 21: /* #CP */
		return EXCEPTION_CONTRIBUTORY;
	case 14: /* #PF */
	case 20: /* #VE */
		return EXCEPTION_PAGE_FAULT;
	case 8: /* #DF */
		return EXCEPTION_DOUBLE;
	default:
		return EXCEPTION_BENIGN;
	}
}

bool ph_vcpu_queue_exception(struct ph_vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	struct events *events = &vcpu->events;
	struct event event = {
	    .kind = EVENT_EXCEPTION, .vector = vector, .has_error = has_error, .error = error};
	struct event *first = &events->exception;
	enum exception_class second_class = exception_class(vector);
	enum exception_class first_class;

	if (first->kind == EVENT_NONE && events->lost.kind == EVENT_EXCEPTION)
		first = &events->lost;
	if (first->kind == EVENT_NONE) {
		*first = event;
		return true;
	}
	first_class = exception_class(first->vector);
	if (first_class == EXCEPTION_DOUBLE && second_class != EXCEPTION_BENIGN)
		return false;
	first->kind = EVENT_NONE;
	if ((first_class == EXCEPTION_CONTRIBUTORY && second_class == EXCEPTION_CONTRIBUTORY) ||
	    (first_class == EXCEPTION_PAGE_FAULT && second_class != EXCEPTION_BENIGN))
		event = (struct event){.kind = EVENT_EXCEPTION, .vector = 8, .has_error = true};
	events->exception = event;
	return true;
}
