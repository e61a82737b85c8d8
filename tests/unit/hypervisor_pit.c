/* SPDX-License-Identifier: MIT */
/* hypervisor/board/pit.c: counting modes, latches, gate and channel 0's interrupt. */
#include "tests/unit/hypervisor_fake.h"

/* TSC time of so many PIT ticks, and a little more so that the last one is complete. */
static void advance_ticks(uint64_t ticks)
{
	fake_advance((ticks * FAKE_SECOND + PIT_HZ - 1) / PIT_HZ);
}

static void program(unsigned channel, unsigned mode, unsigned count)
{
	fake_out8(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	fake_out8((uint16_t)(0x40 + channel), (uint8_t)count);
	fake_out8((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static unsigned read_latched(unsigned channel)
{
	unsigned low;

	fake_out8(0x43, (uint8_t)(channel << 6));
	low = fake_in8((uint16_t)(0x40 + channel));
	return low | (unsigned)fake_in8((uint16_t)(0x40 + channel)) << 8;
}

static uint8_t read_status(unsigned channel)
{
	fake_out8(0x43, (uint8_t)(0xe0 | 2u << channel));
	return fake_in8((uint16_t)(0x40 + channel));
}

/* 8254 data sheet, "Mode Definitions": the count after some ticks. */
static void count_follows_the_mode(void **state)
{
	static const struct {
		unsigned mode, reload, passed, count;
	} rows[] = {
		{ 0, 1000, 0, 1000 }, { 0, 1000, 400, 600 }, { 0, 1000, 1000, 0 },
		{ 0, 1000, 1001, 0xffff }, { 2, 1000, 0, 1000 }, { 2, 1000, 999, 1 },
		{ 2, 1000, 1000, 1000 }, { 2, 1000, 2500, 500 }, { 3, 1000, 100, 800 },
		{ 3, 1000, 499, 2 }, { 3, 1000, 500, 1000 }, { 3, 1001, 0, 1000 },
		{ 3, 1001, 501, 1000 }, { 3, 1001, 500, 0 }, { 4, 10, 4, 6 }, { 4, 10, 11, 0xffff },
		{ 2, 0, 1, 0xffff }, { 6, 1000, 1500, 500 }, { 7, 1000, 100, 800 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		program(0, rows[i].mode, rows[i].reload);
		advance_ticks(rows[i].passed);
		if (read_latched(0) != rows[i].count)
			fail_msg("row %zu", i);
	}
}

static void bcd_counts_in_decimal(void **state)
{
	(void)state;
	fake_out8(0x43, 0x35); /* channel 0, both bytes, mode 2, BCD */
	fake_out8(0x40, 0x34);
	fake_out8(0x40, 0x12); /* 1234 */
	advance_ticks(35);
	assert_int_equal(read_latched(0), 0x1199);
}

static void latch_holds_until_both_bytes_are_read(void **state)
{
	unsigned low, high;

	(void)state;
	program(0, 2, 0x8000);
	advance_ticks(0x10);
	fake_out8(0x43, 0x00);
	advance_ticks(0x1000);
	fake_out8(0x43, 0x00); /* a second latch is ignored while the first is unread */
	low = fake_in8(0x40);
	high = fake_in8(0x40);
	assert_int_equal(low | high << 8, 0x7ff0);
	low = fake_in8(0x40);
	high = fake_in8(0x40);
	assert_int_equal(low | high << 8, 0x6ff0);
}

static void read_back_gives_status_then_count(void **state)
{
	(void)state;
	program(0, 2, 0x1234);
	fake_out8(0x43, 0xc2); /* count and status of channel 0 */
	assert_int_equal(fake_in8(0x40), 0x80 | 0x30 | 2 << 1);
	assert_int_equal(fake_in8(0x40), 0x34);
	assert_int_equal(fake_in8(0x40), 0x12);
}

static void null_count_is_set_until_a_count_is_loaded(void **state)
{
	(void)state;
	fake_out8(0x43, 0x30); /* mode 0 */
	assert_int_equal(read_status(0), 0x40 | 0x30);
	fake_out8(0x40, 10);
	assert_int_equal(read_status(0), 0x40 | 0x30);
	fake_out8(0x40, 0);
	assert_int_equal(read_status(0), 0x30);
	advance_ticks(10);
	assert_int_equal(read_status(0), 0x80 | 0x30);
}

static void new_count_waits_for_the_end_of_the_period(void **state)
{
	(void)state;
	program(0, 2, 1000);
	advance_ticks(100);
	fake_out8(0x40, 2000 & 0xff);
	fake_out8(0x40, 2000 >> 8);
	assert_int_equal(read_latched(0), 900);
	assert_int_equal(read_status(0) & 0x40, 0x40);
	advance_ticks(900);
	assert_int_equal(read_latched(0), 2000);
	assert_int_equal(read_status(0) & 0x40, 0);
}

static void periodic_mode_interrupts_each_period(void **state)
{
	static const uint8_t modes[] = { 2, 3 };
	size_t i;

	for (i = 0; i < sizeof(modes); i++) {
		unsigned before;

		fake_setup(state);
		program(0, modes[i], 11932); /* 10 ms */
		before = fake.rise_count[GSI_PIT];
		fake_advance(1000 * FAKE_MS);
		assert_in_range(fake.rise_count[GSI_PIT] - before, 99, 100);
	}
}

static void one_shot_interrupts_once(void **state)
{
	(void)state;
	program(0, 0, 1193);
	assert_false(fake.levels[GSI_PIT][LINE_DEVICE]);
	advance_ticks(1192);
	assert_int_equal(fake.rise_count[GSI_PIT], 0);
	advance_ticks(1);
	assert_int_equal(fake.rise_count[GSI_PIT], 1);
	assert_true(fake.levels[GSI_PIT][LINE_DEVICE]);
	fake_advance(1000 * FAKE_MS);
	assert_int_equal(fake.rise_count[GSI_PIT], 1);
	assert_false(fake_is_armed());
}

/* A guest's period of 1.7 us must not become 600000 host interrupts a second. */
static void shortest_period_does_not_flood_the_host(void **state)
{
	unsigned fired;

	(void)state;
	program(0, 2, 2);
	fired = fake.timer_fired_count;
	fake_advance(1000 * FAKE_MS);
	assert_in_range(fake.timer_fired_count - fired, 9000, 10001);
	assert_in_range(fake.rise_count[GSI_PIT], 9000, 10002);
	program(0, 3, 1); /* illegal: taken as 2 */
	fired = fake.timer_fired_count;
	fake_advance(100 * FAKE_MS);
	assert_in_range(fake.timer_fired_count - fired, 900, 1001);
}

/* The timer is served late: how many interrupts come at once, in a period, and in all. */
static void late_ticks_are_made_up_slowly_and_within_bounds(void **state)
{
	static const struct {
		unsigned late_ms, at_once, in_a_period, in_50;
	} rows[] = { { 1, 1, 2, 51 }, { 3, 1, 5, 53 }, { 500, 1, 5, 67 }, { 60000, 1, 5, 67 } };
	unsigned before;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		program(0, 2, 1193); /* 0.99985 ms */
		before = fake.rise_count[GSI_PIT];
		fake.now += rows[i].late_ms * FAKE_MS + FAKE_MS / 10;
		fake_advance(0);
		assert_int_equal(fake.rise_count[GSI_PIT] - before, rows[i].at_once);
		fake_advance(FAKE_MS);
		assert_in_range(fake.rise_count[GSI_PIT] - before, 2, rows[i].in_a_period);
		fake_advance(49 * FAKE_MS);
		assert_int_equal(fake.rise_count[GSI_PIT] - before, rows[i].in_50);
	}
}

/* An access between the edge and its late timer must not lose the edge. */
static void edges_survive_accesses_in_between(void **state)
{
	unsigned before, i;

	(void)state;
	program(0, 2, 1193);
	before = fake.rise_count[GSI_PIT];
	for (i = 0; i < 10; i++) {
		fake.now += FAKE_MS;
		fake_out8(0x40, 1193 & 0xff); /* the same count again */
		fake_out8(0x40, 1193 >> 8);
		fake_advance(0);
	}
	fake_advance(0);
	assert_in_range(fake.rise_count[GSI_PIT] - before, 9, 10);
}

static void new_count_keeps_the_edge_between_periods(void **state)
{
	unsigned before;

	(void)state;
	program(0, 2, 1193);
	before = fake.rise_count[GSI_PIT];
	advance_ticks(100);
	fake_out8(0x40, 11930 & 0xff);
	fake_out8(0x40, 11930 >> 8);
	advance_ticks(1092);
	assert_int_equal(fake.rise_count[GSI_PIT] - before, 0);
	advance_ticks(2);
	assert_int_equal(fake.rise_count[GSI_PIT] - before, 1);
	advance_ticks(11920);
	assert_int_equal(fake.rise_count[GSI_PIT] - before, 1);
	advance_ticks(20);
	assert_int_equal(fake.rise_count[GSI_PIT] - before, 2);
}

static void channel_2_follows_its_gate(void **state)
{
	(void)state;
	fake_out8(0x61, 0x01);
	program(2, 0, 1000);
	assert_int_equal(fake_in8(0x61) & 0x21, 0x01);
	advance_ticks(600);
	fake_out8(0x61, 0x00); /* the gate holds mode 0 */
	advance_ticks(5000);
	assert_int_equal(read_latched(2), 400);
	fake_out8(0x61, 0x01);
	advance_ticks(399);
	assert_int_equal(fake_in8(0x61) & 0x20, 0);
	advance_ticks(1);
	assert_int_equal(fake_in8(0x61) & 0x20, 0x20);
}

static void mode_1_starts_at_the_gates_rising_edge(void **state)
{
	(void)state;
	program(2, 1, 100);
	advance_ticks(1000);
	assert_int_equal(fake_in8(0x61) & 0x20, 0x20);
	fake_out8(0x61, 0x01);
	assert_int_equal(fake_in8(0x61) & 0x20, 0);
	advance_ticks(100);
	assert_int_equal(fake_in8(0x61) & 0x20, 0x20);
}

static void port_61_toggles_refresh_and_keeps_speaker(void **state)
{
	unsigned toggles = 0, i;
	uint8_t before, now;

	(void)state;
	fake_out8(0x61, 0x02);
	before = fake_in8(0x61);
	assert_int_equal(before & 0x0f, 0x02);
	for (i = 0; i < 1000; i++) {
		fake_advance(FAKE_MS / 1000);
		now = fake_in8(0x61);
		toggles += ((now ^ before) & 0x10) != 0;
		before = now;
	}
	assert_in_range(toggles, 64, 68); /* 15.1 us each, in 1 ms */
}

static void byte_access_modes(void **state)
{
	(void)state;
	fake_out8(0x43, 0x14); /* channel 0, low byte, mode 2 */
	fake_out8(0x40, 200);
	advance_ticks(50);
	assert_int_equal(fake_in8(0x40), 150);
	fake_out8(0x43, 0x24); /* high byte */
	fake_out8(0x40, 0x10);
	advance_ticks(0x80);
	assert_int_equal(fake_in8(0x40), 0x0f);
}

static void stopped_board_arms_no_timer(void **state)
{
	(void)state;
	program(0, 2, 1193);
	assert_true(fake_is_armed());
	board_stop(&fake.vm);
	assert_false(fake_is_armed());
	program(0, 2, 1193);
	assert_false(fake_is_armed());
}

#define T(name) cmocka_unit_test_setup(name, fake_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(count_follows_the_mode),
		T(bcd_counts_in_decimal),
		T(latch_holds_until_both_bytes_are_read),
		T(read_back_gives_status_then_count),
		T(null_count_is_set_until_a_count_is_loaded),
		T(new_count_waits_for_the_end_of_the_period),
		T(periodic_mode_interrupts_each_period),
		T(one_shot_interrupts_once),
		T(shortest_period_does_not_flood_the_host),
		T(late_ticks_are_made_up_slowly_and_within_bounds),
		T(edges_survive_accesses_in_between),
		T(new_count_keeps_the_edge_between_periods),
		T(channel_2_follows_its_gate),
		T(mode_1_starts_at_the_gates_rising_edge),
		T(port_61_toggles_refresh_and_keeps_speaker),
		T(byte_access_modes),
		T(stopped_board_arms_no_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
