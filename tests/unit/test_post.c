/* SPDX-License-Identifier: MIT */
/* core/post.c: what a sender does for each state of the target, and what the drain hands on. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

struct post_row {
	const char *rule;
	uint32_t mode;
	uint32_t blocked;
	bool runs_here;
	uint32_t expect_notify;
	uint32_t expect_wake;
	uint32_t expect_elided;
	uint32_t expect_mode_after_request;
};

#define GENERATION (5u << 2)

static const struct post_row rows[] = {
    {"OUTSIDE, awake: the entry will look", GENERATION, 0, false, 0, 0, 0, GENERATION},
    {"OUTSIDE, blocked: one wake-up", GENERATION, BLOCKED_YES, false, 0, 1, 0, GENERATION},
    {"OUTSIDE, blocked, posted by a host handler on the same pCPU: still a wake-up", GENERATION,
	BLOCKED_YES, true, 0, 1, 0, GENERATION},
    {"IN_GUEST elsewhere: one IPI", GENERATION | MODE_IN_GUEST, 0, false, 1, 0, 0,
	GENERATION | MODE_EXITING},
    {"IN_GUEST and running here: elided", GENERATION | MODE_IN_GUEST, 0, true, 0, 0, 1,
	GENERATION | MODE_IN_GUEST},
    {"EXITING: its kicker's IPI is on its way", GENERATION | MODE_EXITING, 0, false, 0, 0, 0,
	GENERATION | MODE_EXITING},
    {"READING_SHADOW_PAGE_TABLES: step 4 is still to come",
	GENERATION | MODE_READING_SHADOW_PAGE_TABLES, 0, false, 0, 0, 0,
	GENERATION | MODE_READING_SHADOW_PAGE_TABLES},
};

static struct ph_vcpu *prepare(const struct post_row *row)
{
	struct ph_vcpu *vcpu;

	harness_create(&(struct harness_config){.vcpu_count = 2});
	vcpu = harness_vcpu(1);
	vcpu->shared.mode = row->mode;
	vcpu->shared.blocked = row->blocked;
	ph_vcpu_load(vcpu, 7);
	harness.running = row->runs_here ? vcpu : NULL;
	return vcpu;
}

static void post_notifies_by_the_target_s_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct post_row *row = &rows[i];
		struct ph_vcpu *vcpu = prepare(row);
		struct harness_vcpu *host = harness_host(vcpu);
		struct ph_counters counters;

		print_message("  %s\n", row->rule);
		post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
		ph_vcpu_counters(vcpu, &counters);
		assert_int_equal(host->notify_count, row->expect_notify);
		assert_int_equal(host->wake_count, row->expect_wake);
		assert_int_equal(counters.elided_count, row->expect_elided);
		assert_int_equal(counters.notified_count, row->expect_notify);
		assert_int_equal(counters.woken_count, row->expect_wake);
		assert_int_equal(counters.posted_count[PH_SOURCE_MSI], 1);
		if (row->expect_notify)
			assert_int_equal(host->notify_pcpu, 7);
		assert_int_equal(vcpu->pid->pir[1], 1ull << 0x11);
		assert_true(vcpu->pid->control & PID_ON);
		assert_int_equal(vcpu->shared.blocked, 0);
		harness_destroy();
	}
}

static void request_kicks_by_the_target_s_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct post_row *row = &rows[i];
		struct ph_vcpu *vcpu = prepare(row);
		struct harness_vcpu *host = harness_host(vcpu);

		print_message("  %s\n", row->rule);
		ph_vcpu_request(vcpu, 0x3);
		assert_int_equal(host->notify_count, row->expect_notify);
		assert_int_equal(host->wake_count, row->expect_wake);
		assert_int_equal(vcpu->shared.mode, row->expect_mode_after_request);
		assert_int_equal(harness_requests(vcpu), 0x3);
		harness_destroy();
	}
}

static uint32_t kick_count;

static void fake_kick(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	assert_int_equal(pcpu, 7);
	kick_count++;
}

/* The notification vector can be taken as a posted interrupt, which ends no execution. */
static void request_kicks_where_a_post_notifies(void **state)
{
	struct ph_platform platform = harness_platform;
	struct ph_vcpu *vcpu = prepare(&rows[3]);

	(void)state;
	platform.kick = fake_kick;
	vcpu->platform = &platform;
	kick_count = 0;
	ph_vcpu_request(vcpu, 0x1);
	assert_int_equal(kick_count, 1);
	assert_int_equal(harness_host(vcpu)->notify_count, 0);
	vcpu->shared.mode = GENERATION | MODE_IN_GUEST;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(kick_count, 1);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	harness_destroy();
}

static void second_post_before_a_drain_sends_nothing(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[3]);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0xf1, false, PH_SOURCE_IOAPIC);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	assert_true(post_drain(vcpu));
	assert_false(post_drain(vcpu));
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(harness_host(vcpu)->notify_count, 2);
	harness_destroy();
}

static void second_request_of_the_same_bits_sends_nothing(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[3]);

	(void)state;
	ph_vcpu_request(vcpu, 0x3);
	ph_vcpu_request(vcpu, 0x1);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	/* Another bit: EXITING says that a kick is under way. */
	ph_vcpu_request(vcpu, 0x4);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	assert_int_equal(ph_vcpu_take_requests(vcpu), 0x7);
	assert_int_equal(ph_vcpu_take_requests(vcpu), 0);
	harness_destroy();
}

static void host_cannot_raise_the_core_s_own_requests(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[0]);

	(void)state;
	ph_vcpu_request(vcpu, REQUEST_INIT | 0x8000u);
	assert_int_equal(harness_requests(vcpu), 0x8000);
	harness_destroy();
}

static void drain_moves_each_vector_with_its_trigger_mode(void **state)
{
	static const struct {
		uint8_t vector;
		bool level;
	} posts[] = {{0x10, false}, {0x3f, true}, {0x40, false}, {0x7f, true}, {0x80, true},
	    {0xbf, false}, {0xc0, true}, {0xff, false}};
	struct ph_vcpu *vcpu = prepare(&rows[0]);

	(void)state;
	for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++)
		post_interrupt(NULL, vcpu, posts[i].vector, posts[i].level, PH_SOURCE_IOAPIC);
	assert_true(harness_requests(vcpu) & REQUEST_LEVEL);
	assert_true(post_drain(vcpu));
	post_take_levels(vcpu);
	for (size_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
		assert_true(harness_apic_bit(vcpu, APIC_IRR, posts[i].vector));
		assert_int_equal(harness_apic_bit(vcpu, APIC_TMR, posts[i].vector), posts[i].level);
	}
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_IRR), 8);
	assert_false(vcpu->pid->control & PID_ON);
	harness_destroy();
}

/* Not through PIR, which a processor may take with TMR as it is; the next one is plain again. */
static void edge_after_a_level_comes_by_request(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[3]);

	(void)state;
	lapic_accept(vcpu, 0xb3, true);
	lapic_accept(vcpu, 0xb4, true);
	for (uint32_t round = 0; round < 2; round++) {
		post_interrupt(NULL, vcpu, 0xb3, false, PH_SOURCE_MSI);
		assert_int_equal(vcpu->pid->pir[2], round ? 1ull << (0xb3 - 0x80) : 0);
		assert_int_equal(harness_requests(vcpu), round ? 0 : REQUEST_LEVEL);
		post_drain(vcpu);
		vcpu->shared.requests = 0;
		post_take_levels(vcpu);
		assert_true(harness_apic_bit(vcpu, APIC_IRR, 0xb3));
		assert_false(harness_apic_bit(vcpu, APIC_TMR, 0xb3));
		assert_true(harness_apic_bit(vcpu, APIC_TMR, 0xb4));
	}
	/* Both at once: the IOAPIC waits for the level's EOI. */
	post_interrupt(NULL, vcpu, 0xb4, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0xb4, true, PH_SOURCE_IOAPIC);
	post_take_levels(vcpu);
	assert_true(harness_apic_bit(vcpu, APIC_TMR, 0xb4));
	harness_destroy();
}

static void level_comes_by_request_and_not_through_pir(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[3]);

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, true, PH_SOURCE_IOAPIC);
	assert_false(vcpu->pid->control & PID_ON);
	assert_int_equal(vcpu->pid->pir[1], 0);
	assert_int_equal(harness_requests(vcpu), REQUEST_LEVEL);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	post_interrupt(NULL, vcpu, 0x51, true, PH_SOURCE_IOAPIC);
	assert_int_equal(harness_host(vcpu)->notify_count, 1);
	harness_destroy();
}

static void owner_posts_to_itself_without_notification(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[0]);
	struct ph_counters counters;

	(void)state;
	post_interrupt(vcpu, vcpu, 0x51, false, PH_SOURCE_IPI);
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x51));
	assert_false(vcpu->pid->control & PID_ON);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.elided_count, 1);
	assert_int_equal(counters.posted_count[PH_SOURCE_IPI], 1);
	assert_int_equal(harness_host(vcpu)->notify_count, 0);
	harness_destroy();
}

static void claimed_sleeper_is_woken_once(void **state)
{
	struct ph_vcpu *vcpu = prepare(&rows[1]);

	(void)state;
	ph_vcpu_nmi(vcpu);
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	ph_vcpu_timer_expired(vcpu);
	assert_int_equal(harness_host(vcpu)->wake_count, 1);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(post_notifies_by_the_target_s_state),
	    cmocka_unit_test(request_kicks_by_the_target_s_state),
	    cmocka_unit_test(request_kicks_where_a_post_notifies),
	    cmocka_unit_test(second_post_before_a_drain_sends_nothing),
	    cmocka_unit_test(second_request_of_the_same_bits_sends_nothing),
	    cmocka_unit_test(host_cannot_raise_the_core_s_own_requests),
	    cmocka_unit_test(drain_moves_each_vector_with_its_trigger_mode),
	    cmocka_unit_test(edge_after_a_level_comes_by_request),
	    cmocka_unit_test(level_comes_by_request_and_not_through_pir),
	    cmocka_unit_test(owner_posts_to_itself_without_notification),
	    cmocka_unit_test(claimed_sleeper_is_woken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
