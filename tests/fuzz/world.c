/* SPDX-License-Identifier: MIT */
/* The fuzz targets' platform: time and sleep are the input's, every assertion ends the program. */
#include "tests/fuzz/world.h"

#include <string.h>

struct world world;

static void nothing(void)
{
}

static uint64_t irq_save(void)
{
	return 0;
}

static void irq_restore(uint64_t flags)
{
	(void)flags;
}

static void enter(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	if (world.guest)
		world.guest(host);
}

static void notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	(void)pcpu;
}

/* Nothing else runs: whoever sleeps is called by the host. */
static void sleep_or_be_called(struct ph_vcpu *vcpu, void *host)
{
	struct world_vcpu *own = host;

	if (!own->wake_count)
		ph_vcpu_request(vcpu, 1);
	FUZZ_CHECK(own->wake_count == 1);
	own->wake_count = 0;
}

static void wake(struct ph_vcpu *vcpu, void *host)
{
	struct world_vcpu *own = host;

	(void)vcpu;
	FUZZ_CHECK(own->wake_count == 0);
	own->wake_count++;
}

static struct ph_vcpu *running(void)
{
	return world.running;
}

static uint64_t guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	return world.tsc;
}

static void timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	struct world_vcpu *own = host;

	(void)vcpu;
	own->deadline = deadline;
	own->timer_is_armed = true;
}

static void timer_cancel(struct ph_vcpu *vcpu, void *host)
{
	struct world_vcpu *own = host;

	(void)vcpu;
	own->timer_is_armed = false;
}

static void init(struct ph_vcpu *vcpu, void *host)
{
	((struct world_vcpu *)host)->is_waiting = ph_vcpu_index(vcpu) != 0;
}

static void start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	struct world_vcpu *own = host;

	(void)vcpu;
	own->is_waiting = false;
	own->start_vector = vector;
}

static void smi(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	((struct world_vcpu *)host)->smi_count++;
}

static uint64_t vmcs_read(const struct ph_vcpu *vcpu, void *host, uint32_t field)
{
	const struct world_vcpu *own = host;

	(void)vcpu;
	FUZZ_CHECK(field < 0x7000 && field % 2 == 0);
	return own->vmcs[field / 2];
}

static void vmcs_write(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value)
{
	struct world_vcpu *own = host;

	(void)vcpu;
	FUZZ_CHECK(field < 0x7000 && field % 2 == 0);
	own->vmcs[field / 2] = value;
}

static void set_delivery(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery)
{
	(void)vcpu;
	(void)host;
	(void)delivery;
}

static void __attribute__((noreturn)) bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: PH_BUG_ON(%s)\n", file, line, what);
	abort();
}

static const struct ph_platform platform = {
    .irq_disable = nothing,
    .irq_enable = nothing,
    .irq_save = irq_save,
    .irq_restore = irq_restore,
    .enter = enter,
    .notify = notify,
    .sleep = sleep_or_be_called,
    .wake = wake,
    .running = running,
    .guest_tsc = guest_tsc,
    .timer_arm = timer_arm,
    .timer_cancel = timer_cancel,
    .vmcs_read = vmcs_read,
    .vmcs_write = vmcs_write,
    .set_delivery = set_delivery,
    .init = init,
    .start = start,
    .smi = smi,
    .bug = bug,
};

/* Allocated once and zeroed for each world: allocation would be most of a run's time. */
static void *zeroed(void **memory, size_t alignment, size_t size)
{
	size_t rounded = (size + alignment - 1) / alignment * alignment;

	if (!*memory)
		*memory = aligned_alloc(alignment, rounded);
	FUZZ_CHECK(*memory);
	memset(*memory, 0, rounded);
	return *memory;
}

static struct {
	void *vm[WORLD_VCPU_MAX + 1]; /* by number of vCPUs */
	void *vcpu[WORLD_VCPU_MAX], *page[WORLD_VCPU_MAX], *pid[WORLD_VCPU_MAX],
	    *vmcb[WORLD_VCPU_MAX];
} pool;

static void make_vcpu(uint32_t index)
{
	struct world_vcpu *own = &world.vcpus[index];
	struct ph_vcpu_config config = {
	    .backend = world.config.backend,
	    .delivery = world.config.delivery,
	    .apic_id = index * (world.config.apic_id_step ? world.config.apic_id_step : 1),
	    .is_bsp = index == 0,
	    .host = own,
	};

	memset(own, 0, sizeof(*own));
	own->is_waiting = index != 0;
	own->page = config.apic_page = zeroed(&pool.page[index], 4096, 4096);
	config.pid = zeroed(&pool.pid[index], 4096, 64);
	if (config.backend == PH_BACKEND_SVM)
		own->vmcb = config.vmcb = zeroed(&pool.vmcb[index], 4096, 4096);
	FUZZ_CHECK(
	    ph_vcpu_init(world.vm, index, zeroed(&pool.vcpu[index], PH_VCPU_ALIGN, ph_vcpu_size()),
	        &config, &own->vcpu) == PH_OK);
}

void world_make(const struct world_config *config)
{
	struct ph_vm_config vm = {
	    .platform = &platform,
	    .vcpu_count = config->vcpu_count,
	    .tsc_khz = 2000000,
	    .apic_timer_khz = 100000,
	    .extended_dest_id = config->extended_dest_id,
	    .directed_eoi = config->directed_eoi,
	};

	world.config = *config;
	world.guest = NULL;
	world.running = NULL;
	world.tsc = 1000000;
	FUZZ_CHECK(ph_vm_init(zeroed(&pool.vm[config->vcpu_count], PH_VM_ALIGN, ph_vm_size(&vm)),
	               &vm, &world.vm) == PH_OK);
	for (uint32_t i = 0; i < config->vcpu_count; i++)
		make_vcpu(i);
}

void world_run(uint32_t index)
{
	struct ph_vcpu *vcpu = world.vcpus[index].vcpu;

	world.running = vcpu;
	ph_vcpu_load(vcpu, index);
	if (ph_vcpu_run(vcpu) == PH_RUN_REQUEST)
		(void)ph_vcpu_take_requests(vcpu);
	ph_vcpu_put(vcpu);
	world.running = NULL;
}

void world_advance(uint64_t ticks)
{
	if (world.tsc > UINT64_MAX / 2)
		return;
	world.tsc += ticks;
	for (uint32_t i = 0; i < world.config.vcpu_count; i++) {
		struct world_vcpu *own = &world.vcpus[i];

		if (!own->timer_is_armed || own->deadline > world.tsc)
			continue;
		own->timer_is_armed = false;
		ph_vcpu_timer_expired(own->vcpu);
	}
}

static uint8_t vcpu_images[WORLD_VCPU_MAX][PH_VCPU_STATE_SIZE];
static uint8_t vm_image[PH_VM_STATE_SIZE];

static void check_kvm_layouts(void)
{
	struct ph_kvm_lapic_state lapic;
	struct ph_kvm_ioapic_state ioapic;
	struct ph_kvm_pic_state pic[2];
	struct ph_kvm_lapic_beside beside = {.ids_are_32bit = true};

	for (uint32_t i = 0; i < world.config.vcpu_count; i++) {
		FUZZ_CHECK(ph_vcpu_export_kvm_lapic(world.vcpus[i].vcpu, &lapic, &beside) == PH_OK);
		FUZZ_CHECK(ph_vcpu_import_kvm_lapic(world.vcpus[i].vcpu, &lapic, &beside) == PH_OK);
	}
	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	FUZZ_CHECK(ph_vm_import_kvm_ioapic(world.vm, &ioapic) == PH_OK);
	if (ph_vm_export_kvm_pic(world.vm, pic) == PH_OK)
		FUZZ_CHECK(ph_vm_import_kvm_pic(world.vm, pic) == PH_OK);
}

void world_check(void)
{
	uint32_t count = world.config.vcpu_count;
	struct world_config config = world.config;
	uint8_t again[PH_VM_STATE_SIZE];
	uint64_t tsc = world.tsc;

	for (uint32_t i = 0; i < count; i++)
		FUZZ_CHECK(ph_vcpu_export(
		               world.vcpus[i].vcpu, vcpu_images[i], PH_VCPU_STATE_SIZE) == PH_OK);
	FUZZ_CHECK(ph_vm_export(world.vm, vm_image, sizeof(vm_image)) == PH_OK);
	world_make(&config);
	world.tsc = tsc;
	for (uint32_t i = 0; i < count; i++) {
		struct ph_vcpu *vcpu = world.vcpus[i].vcpu;

		FUZZ_CHECK(ph_vcpu_import(vcpu, vcpu_images[i], PH_VCPU_STATE_SIZE) == PH_OK);
		FUZZ_CHECK(ph_vcpu_export(vcpu, again, PH_VCPU_STATE_SIZE) == PH_OK);
		FUZZ_CHECK(memcmp(again, vcpu_images[i], PH_VCPU_STATE_SIZE) == 0);
	}
	FUZZ_CHECK(ph_vm_import(world.vm, vm_image, sizeof(vm_image)) == PH_OK);
	check_kvm_layouts();
	for (uint32_t i = 0; i < count; i++)
		world_run(i);
}
