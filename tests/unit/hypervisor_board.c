/* SPDX-License-Identifier: MIT */
/* hypervisor/board/{board,pm,ports}.c: which device answers, power, reset, test devices, fw_cfg. */
#include "tests/unit/hypervisor_fake.h"

static uint32_t in(uint16_t port, unsigned size)
{
	uint32_t value = 0;

	board_io_read(&fake.vm, NULL, port, size, &value);
	return value;
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	board_io_write(&fake.vm, NULL, port, size, value);
}

static void unclaimed_ports_read_ones_and_are_counted(void **state)
{
	static const uint16_t ports[] = { 0x0, 0x2f8, 0x3f7, 0x400, 0x44, 0x60b + 1, 0x1fff, 0x2018,
		0xf3, 0xf5, 0xffff };
	static const uint32_t ones[5] = { 0, 0xff, 0xffff, 0, 0xffffffff };
	uint64_t count = 0;
	size_t i;
	unsigned size;

	(void)state;
	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		for (size = 1; size <= 4; size *= 2) {
			uint32_t value = 0;

			assert_false(board_io_read(&fake.vm, NULL, ports[i], size, &value));
			assert_int_equal(value, ones[size]);
			assert_false(board_io_write(&fake.vm, NULL, ports[i], size, 0));
			count += 2;
			assert_int_equal(board_unclaimed_count(&fake.vm), count);
		}
	}
	assert_int_equal(fake.stop_count, 0);
}

/* Any access at any port, in any size: nothing may crash, whatever it does. */
static void every_port_survives_every_access(void **state)
{
	static const uint32_t values[] = { 0, 0xffffffff, 0xa5a5a5a5, 0x00000006, 0x34343434 };
	unsigned port, size;
	size_t i;

	(void)state;
	for (port = 0; port <= 0xffff; port++) {
		for (size = 1; size <= 4; size *= 2) {
			for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
				fake.console_length = 0;
				out((uint16_t)port, size, values[i]);
				in((uint16_t)port, size);
			}
		}
	}
	fake_advance(10 * FAKE_SECOND);
	board_stop(&fake.vm);
	assert_false(fake_is_armed());
}

static void wide_access_to_byte_devices_is_split(void **state)
{
	(void)state;
	out(0x3fe, 2, 0x7700); /* MSR, then scratch */
	assert_int_equal(in(0x3ff, 1), 0x77);
	assert_int_equal(in(0x3fe, 2), 0x77b0);
	assert_int_equal(in(0x3ff, 2), 0xff77); /* past the UART's last port */
	out(0x20, 2, 0xab11);
	assert_int_equal(fake.pic_port, 0x21);
	assert_int_equal(fake.pic_value, 0xab);
	assert_int_equal(in(0x4d1, 1), 0x5a);
	assert_int_equal(fake.pic_port, 0x4d1);
}

static void debug_exit_gives_odd_codes(void **state)
{
	static const struct {
		unsigned size;
		uint32_t value;
		int code;
	} rows[] = {
		{ 1, 0, 1 }, { 1, 0x10, 33 }, { 4, 0x31, 99 }, { 2, 0xff, 511 }, { 4, 0x100, 1 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		out(0xf4, rows[i].size, rows[i].value);
		assert_int_equal(fake.stop_count, 1);
		assert_int_equal(fake.stop_reason, VM_STOP_DEBUG_EXIT);
		assert_int_equal(fake.stop_code, rows[i].code);
	}
}

static void only_these_writes_stop_the_vm(void **state)
{
	static const struct {
		uint16_t port;
		unsigned size;
		uint32_t value;
		enum vm_stop_reason reason;
	} rows[] = {
		{ 0x604, 2, 0x3400, VM_STOP_POWEROFF }, /* SLP_EN, SLP_TYP 5 */
		{ 0x604, 2, 0x3c00, VM_STOP_NONE }, /* another sleep type */
		{ 0x604, 2, 0x1400, VM_STOP_NONE }, /* no SLP_EN */
		{ 0x604, 4, 0x3400, VM_STOP_POWEROFF }, { 0x605, 1, 0x34, VM_STOP_POWEROFF },
		{ 0x606, 2, 0x3400, VM_STOP_NONE }, { 0xcf9, 1, 0x06, VM_STOP_RESET },
		{ 0xcf9, 1, 0x02, VM_STOP_NONE }, { 0xcf9, 1, 0x0e, VM_STOP_RESET },
		{ 0xcf8, 4, 0x80000600, VM_STOP_NONE }, { 0x64, 1, 0xfe, VM_STOP_RESET },
		{ 0x64, 1, 0xd1, VM_STOP_NONE }, { 0x92, 1, 0x02, VM_STOP_NONE },
		{ 0x92, 1, 0x01, VM_STOP_RESET }, { 0x80, 1, 0xfe, VM_STOP_NONE },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_setup(state);
		out(rows[i].port, rows[i].size, rows[i].value);
		if (fake.stop_reason != rows[i].reason ||
		    fake.stop_count != (rows[i].reason != VM_STOP_NONE) || fake.stop_code != 0)
			fail_msg("row %zu", i);
	}
}

static void sleep_type_and_enable_may_come_apart(void **state)
{
	(void)state;
	out(0x604, 2, 0x1400);
	assert_int_equal(in(0x604, 2), 0x1401); /* SCI_EN is always set */
	out(0x605, 1, 0x34);
	assert_int_equal(fake.stop_reason, VM_STOP_POWEROFF);
}

static void pm_timer_counts_and_wraps(void **state)
{
	uint32_t start, now;

	(void)state;
	start = in(0x608, 4);
	fake_advance(FAKE_SECOND);
	now = in(0x608, 4);
	assert_in_range(now - start, PM_TIMER_HZ - 1, PM_TIMER_HZ + 1);
	assert_int_equal(in(0x609, 2), now >> 8 & 0xffff);
	assert_int_equal(in(0x60a, 4), 0xffffffff);
	fake_advance(1200 * FAKE_SECOND); /* 2^32 ticks are 1199.86 s */
	assert_in_range(in(0x608, 4) - now, 486703, 486705);
}

static void pm_timer_interrupts_at_half_turns(void **state)
{
	(void)state;
	out(0x602, 2, 0x0001);
	assert_true(fake_is_armed());
	fake_advance(599 * FAKE_SECOND);
	assert_false(fake.levels[GSI_SCI][LINE_DEVICE]);
	fake_advance(2 * FAKE_SECOND);
	assert_true(fake.levels[GSI_SCI][LINE_DEVICE]);
	assert_int_equal(in(0x600, 2), 0x0001);
	out(0x600, 2, 0x0000); /* writing 0 clears nothing */
	assert_true(fake.levels[GSI_SCI][LINE_DEVICE]);
	out(0x600, 2, 0x0001);
	assert_false(fake.levels[GSI_SCI][LINE_DEVICE]);
	assert_int_equal(in(0x600, 4), 0x00010000);
	out(0x602, 2, 0);
	assert_false(fake_is_armed());
}

static void test_device_drives_lines(void **state)
{
	unsigned line;

	(void)state;
	for (line = 0; line < 24; line++) {
		out((uint16_t)(0x2000 + line), 1, 1);
		assert_true(fake.levels[line][LINE_TEST]);
		out((uint16_t)(0x2000 + line), 4, 0x100);
		assert_true(fake.levels[line][LINE_TEST]);
		out((uint16_t)(0x2000 + line), 4, 0);
		assert_false(fake.levels[line][LINE_TEST]);
	}
	out(0xe0, 4, 0xcafe1234);
	assert_int_equal(in(0xe0, 4), 0xcafe1234);
	assert_int_equal(in(0xe0, 2), 0x1234);
	out(0xe9, 1, 'd');
	assert_string_equal(fake.console, "d");
	assert_int_equal(in(0xe9, 1), 0xe9);
}

static void device_and_test_share_a_line(void **state)
{
	(void)state;
	out(0x2004, 1, 1);
	out(0x3fc, 1, 0x08);
	out(0x3f9, 1, 0x02);
	assert_true(fake.levels[4][LINE_DEVICE]);
	out(0x2004, 1, 0);
	assert_true(fake.levels[4][LINE_DEVICE]);
	assert_false(fake.levels[4][LINE_TEST]);
}

static void fw_cfg_items(void **state)
{
	static const struct {
		uint16_t key;
		uint8_t bytes[9];
	} rows[] = {
		{ 0x00, { 'Q', 'E', 'M', 'U', 0, 0, 0, 0, 0 } }, { 0x01, { 1 } },
		{ 0x03, { 0, 0, 0, 0x20 } }, { 0x05, { 3 } }, { 0x0f, { 3 } }, { 0x19, { 0 } },
		{ 0xffff, { 0 } },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		out(0x510, 2, rows[i].key);
		for (j = 0; j < sizeof(rows[i].bytes); j++)
			assert_int_equal(in(0x511, 1), rows[i].bytes[j]);
	}
	out(0x510, 2, 0);
	assert_int_equal(in(0x511, 4), 0x554d4551);
}

static void absent_devices(void **state)
{
	(void)state;
	out(0xcf8, 4, 0x80000000);
	assert_int_equal(in(0xcf8, 4), 0xffffffff); /* not echoed: there is no PCI */
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	assert_int_equal(in(0x64, 1), 0); /* the input buffer is never full */
}

static void ioapic_page(void **state)
{
	static const struct {
		uint64_t gpa;
		unsigned size;
		bool is_ours;
		uint64_t value;
	} rows[] = {
		{ 0xfec00000, 4, true, 0x12345678 }, { 0xfec00010, 4, true, 0x12345678 },
		{ 0xfec00000, 1, true, 0 }, { 0xfec00010, 8, true, 0 }, { 0xfec00100, 4, true, 0 },
		{ 0xfec00ffc, 4, true, 0 }, { 0xfec00ffd, 4, false, 7 },
		{ 0xfebffffc, 4, false, 7 }, { 0xfec01000, 4, false, 7 },
		{ 0x1fec00000, 4, false, 7 }, { UINT64_MAX, 4, false, 7 },
	};
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		value = 7;
		if (board_mmio(&fake.vm, rows[i].gpa, rows[i].size, false, &value) !=
			rows[i].is_ours || value != rows[i].value)
			fail_msg("row %zu", i);
	}
	value = 0xabcd;
	assert_true(board_mmio(&fake.vm, 0xfec00010, 4, true, &value));
	assert_int_equal(fake.ioapic_offset, 0x10);
	assert_int_equal(fake.ioapic_value, 0xabcd);
	value = 0x55;
	assert_true(board_mmio(&fake.vm, 0xfec00010, 2, true, &value));
	assert_int_equal(fake.ioapic_value, 0xabcd);
}

/* Ticks and TSC convert both ways without losing one (board/clock.h). */
static void clock_conversions_agree(void **state)
{
	static const uint64_t tsc_hzs[] = { 1000000, 999999937, 2000000000, 5123456789 };
	static const uint32_t hzs[] = { 32768, PIT_HZ, PM_TIMER_HZ };
	static const uint64_t ticks[] = { 0, 1, 2, 119, 65536, 1193181, 1193182, 0xffffffff,
		1ull << 45 };
	size_t i, j, k;

	(void)state;
	for (i = 0; i < 4; i++) {
		for (j = 0; j < 3; j++) {
			for (k = 0; k < 9; k++) {
				struct clock clock = { .base = 1000, .tsc_hz = tsc_hzs[i] };
				uint64_t tsc = clock_tsc(&clock, ticks[k], hzs[j]);

				/* A TSC slower than the clock cannot hit each tick. */
				if (tsc_hzs[i] < hzs[j]) {
					assert_true(clock_ticks(&clock, tsc, hzs[j]) >= ticks[k]);
					continue;
				}
				assert_int_equal(clock_ticks(&clock, tsc, hzs[j]), ticks[k]);
				if (ticks[k] > 0)
					assert_int_equal(clock_ticks(&clock, tsc - 1, hzs[j]),
					    ticks[k] - 1);
			}
		}
	}
}

#define T(name) cmocka_unit_test_setup(name, fake_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unclaimed_ports_read_ones_and_are_counted),
		T(every_port_survives_every_access),
		T(wide_access_to_byte_devices_is_split),
		T(debug_exit_gives_odd_codes),
		T(only_these_writes_stop_the_vm),
		T(sleep_type_and_enable_may_come_apart),
		T(pm_timer_counts_and_wraps),
		T(pm_timer_interrupts_at_half_turns),
		T(test_device_drives_lines),
		T(device_and_test_share_a_line),
		T(fw_cfg_items),
		T(absent_devices),
		T(ioapic_page),
		T(clock_conversions_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
