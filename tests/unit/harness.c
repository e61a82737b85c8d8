/* SPDX-License-Identifier: MIT */
/* The fake platform: every verb is recorded; time and sleep belong to the test. */
#include "tests/unit/harness.h"
#include "core/lapic.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 4096u

struct harness harness;

static void fake_irq_disable(void)
{
	harness.irqs_on = false;
	if (harness.on_irq_disable)
		harness.on_irq_disable();
}

static void fake_irq_enable(void)
{
	harness.irqs_on = true;
}

static uint64_t fake_irq_save(void)
{
	uint64_t flags = harness.irqs_on;

	harness.irqs_on = false;
	harness.irq_save_depth++;
	return flags;
}

static void fake_irq_restore(uint64_t flags)
{
	assert_true(harness.irq_save_depth > 0);
	harness.irq_save_depth--;
	harness.irqs_on = flags != 0;
}

static void fake_enter(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	assert_false(harness.irqs_on);
	record->enter_count++;
	record->is_fast_exit = harness.on_enter && harness.on_enter(vcpu) == HARNESS_FAST;
}

static bool fake_fast_exit(struct ph_vcpu *vcpu, void *host)
{
	const struct harness_vcpu *record = host;

	assert_ptr_equal(record->vcpu, vcpu);
	assert_false(harness.irqs_on);
	return record->is_fast_exit;
}

static void fake_notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	struct harness_vcpu *record = host;

	assert_ptr_equal(record->vcpu, vcpu);
	record->notify_count++;
	record->notify_pcpu = pcpu;
}

static void fake_sleep(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	record->sleep_count++;
	if (!record->wakes_unconsumed && harness.on_sleep)
		harness.on_sleep(vcpu);
	if (!record->wakes_unconsumed)
		fail_msg("vCPU %u sleeps and nothing will wake it", ph_vcpu_index(vcpu));
	record->wakes_unconsumed--;
}

static void fake_wake(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	assert_ptr_equal(record->vcpu, vcpu);
	record->wake_count++;
	record->wakes_unconsumed++;
}

static struct ph_vcpu *fake_running(void)
{
	return harness.running;
}

static uint64_t fake_guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	return harness.tsc;
}

static void fake_timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	struct harness_vcpu *record = host;

	(void)vcpu;
	record->timer_arm_count++;
	record->timer_is_armed = true;
	record->timer_deadline = deadline;
}

static void fake_timer_cancel(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	(void)vcpu;
	record->timer_cancel_count++;
	record->timer_is_armed = false;
}

static void fake_init(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	(void)vcpu;
	record->init_count++;
}

static void fake_start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	struct harness_vcpu *record = host;

	(void)vcpu;
	record->start_count++;
	record->start_vector = vector;
}

static void fake_smi(struct ph_vcpu *vcpu, void *host)
{
	struct harness_vcpu *record = host;

	(void)vcpu;
	record->smi_count++;
}

/* Inside expect_assert_failure() this returns to the test; elsewhere it fails the test. */
static void __attribute__((noreturn)) fake_bug(const char *file, int line, const char *what)
{
	mock_assert(0, what, file, line);
	abort();
}

static void fake_trace(uint32_t event, const struct ph_vcpu *vcpu, uint64_t detail)
{
	if (harness.trace_count < HARNESS_TRACE_MAX)
		harness.trace[harness.trace_count] = (struct harness_trace){event, vcpu, detail};
	harness.trace_count++;
}

const struct ph_platform harness_platform = {
    .irq_disable = fake_irq_disable,
    .irq_enable = fake_irq_enable,
    .irq_save = fake_irq_save,
    .irq_restore = fake_irq_restore,
    .enter = fake_enter,
    .fast_exit = fake_fast_exit,
    .notify = fake_notify,
    .sleep = fake_sleep,
    .wake = fake_wake,
    .running = fake_running,
    .guest_tsc = fake_guest_tsc,
    .timer_arm = fake_timer_arm,
    .timer_cancel = fake_timer_cancel,
    .init = fake_init,
    .start = fake_start,
    .smi = fake_smi,
    .bug = fake_bug,
    .trace = fake_trace,
};

static void *zeroed(size_t alignment, size_t size)
{
	size_t rounded = (size + alignment - 1) / alignment * alignment;
	void *memory = aligned_alloc(alignment, rounded);

	assert_non_null(memory);
	memset(memory, 0, rounded);
	return memory;
}

static void create_vcpu(uint32_t index, uint32_t apic_id, const struct ph_vcpu_config *like)
{
	static const struct ph_vcpu_config soft = {.backend = PH_BACKEND_SOFT};
	struct harness_vcpu *record = &harness.vcpus[index];
	struct ph_vcpu_config config = like ? *like : soft;

	config.apic_id = apic_id;
	config.is_bsp = index == 0;
	config.host = record;
	record->memory = zeroed(PH_VCPU_ALIGN, ph_vcpu_size());
	record->apic_page = config.apic_page = zeroed(PAGE_SIZE, PAGE_SIZE);
	record->pid = config.pid = zeroed(PAGE_SIZE, sizeof(struct pid));
	assert_int_equal(
	    ph_vcpu_init(harness.vm, index, record->memory, &config, &record->vcpu), PH_OK);
}

void harness_create(const struct harness_config *config)
{
	static const struct harness_config defaults;
	const struct harness_config *want = config ? config : &defaults;
	struct ph_vm_config vm_config = {
	    .platform = want->platform ? want->platform : &harness_platform,
	    .vcpu_count = want->vcpu_count ? want->vcpu_count : 1,
	    .tsc_khz = want->tsc_khz ? want->tsc_khz : HARNESS_TSC_KHZ,
	    .apic_timer_khz = want->apic_timer_khz ? want->apic_timer_khz : HARNESS_APIC_TIMER_KHZ,
	    .extended_dest_id = want->extended_dest_id,
	    .directed_eoi = want->directed_eoi,
	};

	harness_destroy();
	harness.irqs_on = true;
	harness.tsc = 1000;
	harness.vcpu_count = vm_config.vcpu_count;
	harness.vcpus = calloc(harness.vcpu_count, sizeof(*harness.vcpus));
	assert_non_null(harness.vcpus);
	harness.vm_memory = zeroed(PH_VM_ALIGN, ph_vm_size(&vm_config));
	assert_int_equal(ph_vm_init(harness.vm_memory, &vm_config, &harness.vm), PH_OK);
	for (uint32_t i = 0; i < harness.vcpu_count; i++)
		create_vcpu(i, want->apic_ids ? want->apic_ids[i] : i, want->vcpu);
}

void harness_destroy(void)
{
	for (uint32_t i = 0; i < harness.vcpu_count; i++) {
		free(harness.vcpus[i].memory);
		free(harness.vcpus[i].apic_page);
		free(harness.vcpus[i].pid);
	}
	free(harness.vcpus);
	free(harness.vm_memory);
	memset(&harness, 0, sizeof(harness));
}

int harness_setup(void **state)
{
	(void)state;
	harness_create(NULL);
	return 0;
}

int harness_teardown(void **state)
{
	uint32_t depth = harness.irq_save_depth;

	(void)state;
	harness_destroy();
	return depth != 0; /* a lock was left held */
}

struct ph_vcpu *harness_vcpu(uint32_t index)
{
	assert_true(index < harness.vcpu_count);
	return harness.vcpus[index].vcpu;
}

struct harness_vcpu *harness_host(const struct ph_vcpu *vcpu)
{
	return ph_vcpu_host(vcpu);
}

void harness_advance(uint64_t ticks)
{
	harness.tsc += ticks;
	for (uint32_t i = 0; i < harness.vcpu_count; i++) {
		struct harness_vcpu *record = &harness.vcpus[i];

		if (!record->timer_is_armed || record->timer_deadline > harness.tsc)
			continue;
		record->timer_is_armed = false;
		ph_vcpu_timer_expired(record->vcpu);
	}
}

bool harness_apic_bit(const struct ph_vcpu *vcpu, uint32_t reg, uint8_t vector)
{
	uint32_t word;

	memcpy(&word, vcpu->lapic.page + reg + (vector >> 5) * 16u, sizeof(word));
	return word >> (vector & 31) & 1;
}

uint32_t harness_apic_bit_count(const struct ph_vcpu *vcpu, uint32_t reg)
{
	uint32_t count = 0;

	for (uint32_t vector = 0; vector < 256; vector++)
		count += harness_apic_bit(vcpu, reg, (uint8_t)vector);
	return count;
}

bool harness_is_pending(const struct ph_vcpu *vcpu, uint8_t vector)
{
	uint64_t posted = shared64_load(&vcpu->pid->pir[vector >> 6], NONE) |
	                  shared64_load(&vcpu->shared.level[vector >> 6], NONE);

	return (posted >> (vector & 63) & 1) || harness_apic_bit(vcpu, APIC_IRR, vector);
}

uint32_t harness_requests(const struct ph_vcpu *vcpu)
{
	return shared32_load(&vcpu->shared.requests, NONE);
}

void harness_clear_pending(struct ph_vcpu *vcpu)
{
	for (uint32_t i = 0; i < 4; i++) {
		shared64_store(&vcpu->pid->pir[i], 0, NONE);
		shared64_store(&vcpu->shared.level[i], 0, NONE);
	}
	shared64_store(&vcpu->pid->control, 0, NONE);
	shared32_store(&vcpu->shared.requests, 0, NONE);
	for (uint32_t i = 0; i < 8; i++)
		memset(vcpu->lapic.page + APIC_IRR + i * 16u, 0, sizeof(uint32_t));
	lapic_rebuild(vcpu);
}
