/* SPDX-License-Identifier: MIT */
/* core/device_post.c: SN, NV and NDST, and waking sleepers by the wakeup vector. */
#include <string.h>

#include "tests/unit/harness.h"
#include "core/delivery.h"
#include "core/post.h"

#define NOTIFICATION 0xf2u
#define WAKEUP       0xf3u

static struct ph_pcpu *pcpus[2];
static uint8_t memory[2][256] __attribute__((aligned(64)));

static struct ph_vcpu *prepare(void)
{
	struct ph_vcpu *vcpu;

	harness_create(NULL);
	assert_in_range(ph_pcpu_size(), 1, sizeof(memory[0]));
	memset(memory, 0, sizeof(memory));
	for (uint32_t i = 0; i < 2; i++)
		pcpus[i] = ph_pcpu_init(memory[i], &harness_platform, 0x100u * (i + 1));
	vcpu = harness_vcpu(0);
	vcpu->vm->config.pcpus = pcpus;
	vcpu->vm->config.notification_vector = NOTIFICATION;
	vcpu->vm->config.wakeup_vector = WAKEUP;
	ph_vcpu_set_interruptible(vcpu, true, true);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	return vcpu;
}

static uint32_t nv(const struct ph_vcpu *vcpu)
{
	return (uint32_t)(vcpu->pid->control >> PID_NV_SHIFT) & 0xff;
}

static uint32_t ndst(const struct ph_vcpu *vcpu)
{
	return (uint32_t)(vcpu->pid->control >> PID_NDST_SHIFT);
}

/* What a device does (VT-d, "Interrupt-Posting Hardware Operation"); true: it sends NV to NDST. */
static bool device_posts(struct ph_vcpu *vcpu, uint8_t vector)
{
	vcpu->pid->pir[vector / 64] |= 1ull << vector % 64;
	if (vcpu->pid->control & (PID_SN | PID_ON))
		return false;
	vcpu->pid->control |= PID_ON;
	return true;
}

static void descriptor_says_where_the_vcpu_runs(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	ph_vcpu_load(vcpu, 1);
	assert_int_equal(nv(vcpu), NOTIFICATION);
	assert_int_equal(ndst(vcpu), 0x200);
	assert_false(vcpu->pid->control & (PID_SN | PID_ON));
	ph_vcpu_put(vcpu);
	assert_true(vcpu->pid->control & PID_SN);
	ph_vcpu_load(vcpu, 0);
	assert_int_equal(ndst(vcpu), 0x100);
	assert_false(vcpu->pid->control & PID_SN);
	harness_destroy();
}

static void post_under_sn_sets_on_when_sn_is_cleared(void **state)
{
	/* One in each word of PIR. */
	static const uint8_t vectors[] = {0x11, 0x51, 0x91, 0xff};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors); i++) {
		struct ph_vcpu *vcpu = prepare();

		ph_vcpu_load(vcpu, 0);
		ph_vcpu_put(vcpu);
		assert_false(device_posts(vcpu, vectors[i]));
		assert_false(vcpu->pid->control & PID_ON);
		ph_vcpu_load(vcpu, 1);
		assert_true(vcpu->pid->control & PID_ON);
		assert_true(post_drain(vcpu));
		assert_true(harness_apic_bit(vcpu, APIC_IRR, vectors[i]));
		harness_destroy();
	}
}

static void on_outlives_the_way_from_pcpu_to_pcpu(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	ph_vcpu_load(vcpu, 0);
	assert_true(device_posts(vcpu, 0x51));
	ph_vcpu_put(vcpu);
	assert_true(vcpu->pid->control & PID_ON);
	vcpu->pid->pir[1] = 0;
	ph_vcpu_load(vcpu, 1);
	assert_true(vcpu->pid->control & PID_ON);
	harness_destroy();
}

static void device_wakes(struct ph_vcpu *vcpu)
{
	assert_int_equal(nv(vcpu), WAKEUP);
	assert_int_equal(ndst(vcpu), 0x100);
	/* The scheduler takes the thread off its pCPU: never SN while NV is the wakeup vector. */
	ph_vcpu_put(vcpu);
	assert_false(vcpu->pid->control & PID_SN);
	ph_pcpu_wakeup(pcpus[0]);
	assert_int_equal(harness_host(vcpu)->wake_count, 0);
	assert_true(device_posts(vcpu, 0x51));
	ph_pcpu_wakeup(pcpus[1]);
	assert_int_equal(harness_host(vcpu)->wake_count, 0);
	ph_pcpu_wakeup(pcpus[0]);
	ph_pcpu_wakeup(pcpus[0]);
	assert_int_equal(harness_host(vcpu)->wake_count, 1);
	/* Awake on another pCPU; still on the old one's list. */
	ph_vcpu_load(vcpu, 1);
	assert_int_equal(nv(vcpu), WAKEUP);
	assert_int_equal(ndst(vcpu), 0x200);
}

static void sleeper_is_woken_by_the_wakeup_vector_of_its_pcpu(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	ph_vcpu_load(vcpu, 0);
	harness.on_sleep = device_wakes;
	ph_vcpu_halt(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(nv(vcpu), NOTIFICATION);
	assert_null(pcpus[0]->first);
	assert_int_equal(harness_host(vcpu)->wakes_unconsumed, 0);
	harness_destroy();
}

static void two_sleepers_share_a_pcpu(void **state)
{
	struct ph_vcpu *first, *second;

	(void)state;
	(void)prepare();
	harness_create(&(struct harness_config){.vcpu_count = 2});
	harness.vm->config.pcpus = pcpus;
	harness.vm->config.notification_vector = NOTIFICATION;
	harness.vm->config.wakeup_vector = WAKEUP;
	first = harness_vcpu(0);
	second = harness_vcpu(1);
	ph_vcpu_load(first, 0);
	ph_vcpu_load(second, 0);
	for (uint32_t round = 0; round < 2; round++) {
		device_post_sleep_begin(first);
		device_post_sleep_begin(second);
		first->shared.blocked = BLOCKED_YES;
		second->shared.blocked = BLOCKED_YES;
		assert_true(device_posts(first, 0x51));
		ph_pcpu_wakeup(pcpus[0]);
		assert_int_equal(harness_host(first)->wake_count, round + 1);
		assert_int_equal(harness_host(second)->wake_count, 0);
		(void)post_drain(first);
		/* The one in the middle of the list leaves, then the last. */
		device_post_sleep_end(first);
		device_post_sleep_end(second);
		assert_null(pcpus[0]->first);
		/* Awake: not on the list, whatever is asked. */
		device_post_sleep_end(first);
		ph_vcpu_put(first);
		assert_true(first->pid->control & PID_SN);
		ph_vcpu_load(first, 0);
	}
	harness_destroy();
}

static void without_devices_the_descriptor_keeps_still(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vcpu->vm->config.pcpus = NULL;
	ph_vcpu_load(vcpu, 1);
	ph_vcpu_put(vcpu);
	assert_int_equal(vcpu->pid->control, 0);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptor_says_where_the_vcpu_runs),
	    cmocka_unit_test(post_under_sn_sets_on_when_sn_is_cleared),
	    cmocka_unit_test(on_outlives_the_way_from_pcpu_to_pcpu),
	    cmocka_unit_test(two_sleepers_share_a_pcpu),
	    cmocka_unit_test(sleeper_is_woken_by_the_wakeup_vector_of_its_pcpu),
	    cmocka_unit_test(without_devices_the_descriptor_keeps_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
