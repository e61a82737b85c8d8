/* SPDX-License-Identifier: MIT */
/* hypervisor/board/rtc.c: calendar, formats, setting the time, and the three interrupts. */
#include "tests/unit/hypervisor_fake.h"

static uint8_t get(uint8_t index)
{
	fake_out8(0x70, index);
	return fake_in8(0x71);
}

static void set(uint8_t index, uint8_t value)
{
	fake_out8(0x70, index);
	fake_out8(0x71, value);
}

static bool line(void)
{
	return fake.levels[GSI_RTC][LINE_DEVICE];
}

/* Year (with century), month, day, hour, minute, second as registers hold them. */
static void assert_time(const uint8_t expected[7])
{
	static const uint8_t indexes[7] = { 0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00 };
	unsigned i;

	for (i = 0; i < 7; i++) {
		if (get(indexes[i]) != expected[i])
			fail_msg("register %#x is %#x, not %#x", indexes[i], get(indexes[i]),
			    expected[i]);
	}
}

static void set_time(const uint8_t time[7])
{
	static const uint8_t indexes[7] = { 0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00 };
	unsigned i;

	set(0x0b, get(0x0b) | 0x80);
	for (i = 0; i < 7; i++)
		set(indexes[i], time[i]);
	set(0x0b, get(0x0b) & 0x7f);
}

static void begins_with_the_hosts_date(void **state)
{
	static const uint8_t expected[7] = { 0x20, 0x26, 0x11, 0x21, 0x01, 0x56, 0x19 };

	(void)state;
	assert_time(expected);
	assert_int_equal(get(0x06), 7); /* Saturday */
	assert_int_equal(get(0x0b), 0x02);
	assert_int_equal(get(0x0d), 0x80);
}

static void seconds_carry_through_the_calendar(void **state)
{
	static const struct {
		uint8_t from[7], to[7];
	} rows[] = {
		{ { 0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59 },
		  { 0x20, 0x24, 0x02, 0x29, 0, 0, 0 } },
		{ { 0x20, 0x25, 0x02, 0x28, 0x23, 0x59, 0x59 },
		  { 0x20, 0x25, 0x03, 0x01, 0, 0, 0 } },
		{ { 0x21, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59 },
		  { 0x21, 0x00, 0x03, 0x01, 0, 0, 0 } },
		{ { 0x20, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59 },
		  { 0x20, 0x00, 0x02, 0x29, 0, 0, 0 } },
		{ { 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59 },
		  { 0x20, 0x00, 0x01, 0x01, 0, 0, 0 } },
		{ { 0x20, 0x26, 0x04, 0x30, 0x23, 0x59, 0x59 },
		  { 0x20, 0x26, 0x05, 0x01, 0, 0, 0 } },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		set_time(rows[i].from);
		assert_time(rows[i].from);
		fake_advance(FAKE_SECOND);
		assert_time(rows[i].to);
	}
}

static void binary_and_12_hour_formats(void **state)
{
	static const uint8_t noon[7] = { 0x20, 0x26, 0x11, 0x21, 0x12, 0x34, 0x56 };

	(void)state;
	set_time(noon);
	set(0x0b, 0x06); /* binary, 24 hours */
	assert_int_equal(get(0x04), 12);
	assert_int_equal(get(0x02), 34);
	assert_int_equal(get(0x32), 20);
	set(0x0b, 0x00); /* BCD, 12 hours: 12 PM */
	assert_int_equal(get(0x04), 0x92);
	fake_advance(3600 * FAKE_SECOND);
	assert_int_equal(get(0x04), 0x81);
	fake_advance(11 * 3600 * FAKE_SECOND);
	assert_int_equal(get(0x04), 0x12); /* 12 AM */
}

static void set_holds_the_clock(void **state)
{
	(void)state;
	set(0x0b, 0x82);
	fake_advance(5 * FAKE_SECOND);
	assert_int_equal(get(0x00), 0x19);
	set(0x0b, 0x02);
	assert_int_equal(get(0x00), 0x19);
	fake_advance(FAKE_SECOND);
	assert_int_equal(get(0x00), 0x20);
}

static void nonsense_date_does_not_harm(void **state)
{
	static const uint8_t nonsense[7] = { 0xff, 0xff, 0x00, 0xff, 0xff, 0x99, 0x99 };
	unsigned i;

	(void)state;
	set_time(nonsense);
	fake_advance(FAKE_SECOND);
	assert_in_range(get(0x08), 1, 0x12);
	for (i = 0; i < 128; i++) {
		set((uint8_t)i, 0xff);
		get((uint8_t)i);
	}
	fake_advance(FAKE_SECOND);
	assert_int_equal(get(0x0d), 0x80);
}

static void updating_is_announced_before_the_second(void **state)
{
	(void)state;
	assert_int_equal(get(0x0a), 0x26);
	fake_advance(FAKE_SECOND - FAKE_SECOND / 8192);
	assert_int_equal(get(0x0a), 0xa6);
	fake_advance(FAKE_SECOND / 8192 + 1);
	assert_int_equal(get(0x0a), 0x26);
}

static void update_interrupts_each_second_when_c_is_read(void **state)
{
	unsigned i;

	(void)state;
	get(0x0c);
	set(0x0b, 0x12);
	for (i = 1; i <= 3; i++) {
		fake_advance(FAKE_SECOND);
		assert_true(line());
		assert_int_equal(fake.rise_count[GSI_RTC], i);
		assert_int_equal(get(0x0c) & 0xb0, 0x90);
		assert_false(line());
	}
	fake_advance(10 * FAKE_SECOND); /* C is not read: one interrupt, and no timer */
	assert_int_equal(fake.rise_count[GSI_RTC], 4);
	assert_false(fake_is_armed());
}

static void periodic_rates(void **state)
{
	static const struct {
		uint8_t rate;
		unsigned hz;
	} rows[] = {
		{ 1, 256 }, { 2, 128 }, { 3, 8192 }, { 4, 4096 }, { 6, 1024 }, { 13, 8 }, { 15, 2 },
		{ 0, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned count = 0;
		uint64_t end;

		fake_setup(state);
		set(0x0a, 0x20 | rows[i].rate);
		set(0x0b, 0x42);
		for (end = fake.now + FAKE_SECOND; fake.now < end;) {
			fake_advance(FAKE_SECOND / 20000);
			if (line()) {
				count++;
				assert_int_equal(get(0x0c) & 0xc0, 0xc0);
			}
		}
		assert_in_range(count + 1, rows[i].hz, rows[i].hz + 2);
	}
}

static void alarm_goes_off_when_all_fields_match(void **state)
{
	static const struct {
		uint8_t hour, minute, second;
		unsigned after; /* seconds from 01:56:19; 0: never in two days */
	} rows[] = {
		{ 0x01, 0x56, 0x20, 1 }, { 0x01, 0x57, 0x00, 41 }, { 0x02, 0x00, 0x00, 221 },
		{ 0x01, 0x56, 0x19, 86400 }, { 0xff, 0xff, 0x05, 46 }, { 0xff, 0xff, 0xff, 1 },
		{ 0xff, 0x00, 0x00, 221 }, { 0xc0, 0xc0, 0x19, 60 }, { 0x24, 0x00, 0x00, 0 },
		{ 0xff, 0x60, 0x00, 0 }, { 0xff, 0xff, 0x77, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		set(0x05, rows[i].hour);
		set(0x03, rows[i].minute);
		set(0x01, rows[i].second);
		get(0x0c);
		set(0x0b, 0x22);
		if (rows[i].after == 0) {
			fake_advance(2 * 86400 * FAKE_SECOND);
			assert_false(line());
			continue;
		}
		fake_advance((rows[i].after - 1) * FAKE_SECOND);
		assert_false(line());
		fake_advance(FAKE_SECOND);
		if (!line())
			fail_msg("row %zu", i);
		assert_int_equal(get(0x0c) & 0xa0, 0xa0);
	}
}

static void flags_are_set_without_interrupts(void **state)
{
	(void)state;
	get(0x0c);
	fake_advance(FAKE_SECOND);
	assert_int_equal(get(0x0c) & 0xd0, 0x50); /* PF and UF, but not IRQF */
	assert_false(line());
	assert_int_equal(fake.timer_fired_count, 0);
}

static void cmos_ram_keeps_bytes(void **state)
{
	(void)state;
	set(0x40, 0x5a);
	set(0x0f, 0x0a);
	assert_int_equal(get(0x40), 0x5a);
	assert_int_equal(get(0x0f), 0x0a);
	fake_out8(0x70, 0x80 | 0x40); /* the NMI mask bit does not count */
	assert_int_equal(fake_in8(0x71), 0x5a);
}

static void decode_refuses_what_is_no_date(void **state)
{
	static const struct {
		uint8_t index, value;
	} rows[] = { { 0x08, 0x00 }, { 0x08, 0x13 }, { 0x07, 0x00 }, { 0x07, 0x32 }, { 0x04, 0x24 },
		{ 0x02, 0x60 }, { 0x00, 0x60 } };
	size_t i;

	(void)state;
	for (i = 0; i <= sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t cmos[CMOS_SIZE] = { [0x00] = 0x19, [0x02] = 0x56, [0x04] = 0x01,
			[0x07] = 0x21, [0x08] = 0x11, [0x09] = 0x26, [0x0b] = 0x02, [0x32] = 0x20 };

		assert_int_equal(rtc_decode(cmos), FAKE_DATE);
		cmos[0x32] = 0; /* a clock without the century */
		assert_int_equal(rtc_decode(cmos), FAKE_DATE);
		if (i < sizeof(rows) / sizeof(rows[0])) {
			cmos[rows[i].index] = rows[i].value;
			assert_int_equal(rtc_decode(cmos), -1);
		}
	}
}

#define T(name) cmocka_unit_test_setup(name, fake_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(begins_with_the_hosts_date),
		T(seconds_carry_through_the_calendar),
		T(binary_and_12_hour_formats),
		T(set_holds_the_clock),
		T(nonsense_date_does_not_harm),
		T(updating_is_announced_before_the_second),
		T(update_interrupts_each_second_when_c_is_read),
		T(periodic_rates),
		T(alarm_goes_off_when_all_fields_match),
		T(flags_are_set_without_interrupts),
		T(cmos_ram_keeps_bytes),
		T(decode_refuses_what_is_no_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
