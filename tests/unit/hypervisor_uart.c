/* SPDX-License-Identifier: MIT */
/* hypervisor/board/uart.c: registers and interrupts of a 16550A, as drivers detect and use it. */
#include "tests/unit/hypervisor_fake.h"

#define DATA    0x3f8u
#define IER     0x3f9u
#define IIR     0x3fau
#define LCR     0x3fbu
#define MCR     0x3fcu
#define LSR     0x3fdu
#define MSR     0x3feu
#define SCRATCH 0x3ffu

static bool line(void)
{
	return fake.levels[GSI_COM1][LINE_DEVICE];
}

static void type(const char *text)
{
	while (*text != '\0')
		board_console_input(&fake.vm, (uint8_t)*text++);
}

/* The steps by which Linux's 8250 driver tells a 16550A from its older and newer kin. */
static void detection_finds_a_16550a(void **state)
{
	(void)state;
	fake_out8(IER, 0);
	assert_int_equal(fake_in8(IER), 0);
	fake_out8(IER, 0x0f);
	assert_int_equal(fake_in8(IER), 0x0f);
	fake_out8(IER, 0xff);
	assert_int_equal(fake_in8(IER), 0x0f);
	fake_out8(IER, 0);
	fake_out8(SCRATCH, 0xa5);
	assert_int_equal(fake_in8(SCRATCH), 0xa5);
	fake_out8(MCR, 0x1a);
	assert_int_equal(fake_in8(MSR) & 0xf0, 0x90);
	fake_out8(MCR, 0);
	fake_out8(IIR, 0x01);
	assert_int_equal(fake_in8(IIR) & 0xe0, 0xc0);
	fake_out8(IIR, 0x00);
	assert_int_equal(fake_in8(IIR) & 0xe0, 0x00);
}

static void divisor_hides_data_and_ier(void **state)
{
	(void)state;
	fake_out8(LCR, 0x80);
	fake_out8(DATA, 0x0c);
	fake_out8(IER, 0x34);
	assert_int_equal(fake_in8(DATA), 0x0c);
	assert_int_equal(fake_in8(IER), 0x34);
	fake_out8(LCR, 0x03);
	assert_int_equal(fake_in8(LCR), 0x03);
	assert_int_equal(fake_in8(IER), 0);
	assert_int_equal(fake.console_length, 0);
}

static void output_reaches_the_console(void **state)
{
	(void)state;
	fake_out8(DATA, 'o');
	fake_out8(DATA, 'k');
	assert_string_equal(fake.console, "ok");
	assert_int_equal(fake_in8(LSR) & 0x60, 0x60);
}

static void input_comes_in_order(void **state)
{
	(void)state;
	assert_int_equal(fake_in8(LSR) & 0x01, 0);
	type("abc");
	assert_int_equal(fake_in8(LSR) & 0x01, 1);
	assert_int_equal(fake_in8(DATA), 'a');
	assert_int_equal(fake_in8(DATA), 'b');
	assert_int_equal(fake_in8(DATA), 'c');
	assert_int_equal(fake_in8(LSR) & 0x01, 0);
}

/* Data sheet, "Interrupt Control Functions": priority, and what clears each interrupt. */
static void interrupts_are_identified_by_priority(void **state)
{
	unsigned i;

	(void)state;
	fake_out8(IIR, 0x41); /* FIFO, trigger at 4 */
	fake_out8(MCR, 0x08);
	fake_out8(IER, 0x0f);
	assert_int_equal(fake_in8(IIR), 0xc2); /* enabling raises THRE; reading IIR clears it */
	assert_int_equal(fake_in8(IIR), 0xc1);
	assert_false(line());
	type("x");
	assert_int_equal(fake_in8(IIR), 0xcc); /* below the trigger: timeout */
	type("yzz");
	assert_int_equal(fake_in8(IIR), 0xc4);
	fake_out8(DATA, '!'); /* THRE waits behind the data */
	assert_int_equal(fake_in8(IIR), 0xc4);
	for (i = 0; i < UART_INPUT_SIZE; i++)
		type("o");
	assert_int_equal(fake_in8(IIR), 0xc6);
	assert_int_equal(fake_in8(LSR) & 0x02, 0x02); /* reading LSR clears the overrun */
	assert_int_equal(fake_in8(IIR), 0xc4);
	fake_out8(IIR, 0x43); /* empty the FIFO */
	assert_int_equal(fake_in8(IIR), 0xc2);
	assert_int_equal(fake_in8(IIR), 0xc1);
}

static void reading_another_interrupt_keeps_thre(void **state)
{
	(void)state;
	fake_out8(MCR, 0x08);
	fake_out8(IER, 0x03);
	type("x");
	assert_int_equal(fake_in8(IIR), 0x04);
	fake_in8(DATA);
	assert_int_equal(fake_in8(IIR), 0x02);
	assert_int_equal(fake_in8(IIR), 0x01);
}

static void thre_is_raised_again_by_enabling_it(void **state)
{
	(void)state;
	fake_out8(MCR, 0x08);
	fake_out8(IER, 0x02);
	assert_true(line());
	assert_int_equal(fake_in8(IIR), 0x02);
	assert_false(line());
	fake_out8(IER, 0x02); /* no change, no interrupt */
	assert_false(line());
	fake_out8(IER, 0x00);
	fake_out8(IER, 0x02);
	assert_true(line());
	assert_int_equal(fake.rise_count[GSI_COM1], 2);
}

static void out2_gates_the_interrupt(void **state)
{
	(void)state;
	fake_out8(IER, 0x01);
	type("x");
	assert_false(line());
	fake_out8(MCR, 0x08);
	assert_true(line());
	fake_out8(MCR, 0x18);
	assert_false(line());
	fake_out8(MCR, 0x08);
	fake_in8(DATA);
	assert_false(line());
}

static void loopback_returns_data_and_modem_lines(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} rows[] = {
		{ 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 }, { 0x18, 0x80 },
		{ 0x1f, 0xf0 }, { 0x00, 0xb0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_out8(MCR, rows[i].mcr);
		if ((fake_in8(MSR) & 0xf0) != rows[i].msr)
			fail_msg("row %zu", i);
	}
	fake_out8(MCR, 0x10);
	fake_out8(DATA, 'L');
	type("t"); /* the line is cut off in loopback */
	assert_int_equal(fake.console_length, 0);
	assert_int_equal(fake_in8(DATA), 'L');
	assert_int_equal(fake_in8(LSR) & 1, 0);
}

static void modem_changes_set_deltas_until_read(void **state)
{
	(void)state;
	fake_in8(MSR);
	fake_out8(MCR, 0x10); /* CTS, DSR and DCD fall */
	assert_int_equal(fake_in8(MSR), 0x0b);
	assert_int_equal(fake_in8(MSR), 0x00);
	fake_out8(MCR, 0x14); /* RI rises: no delta */
	assert_int_equal(fake_in8(MSR), 0x40);
	fake_out8(MCR, 0x10); /* its trailing edge: TERI */
	assert_int_equal(fake_in8(MSR), 0x04);
}

static void full_buffer_loses_the_newest(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UART_INPUT_SIZE + 5; i++)
		board_console_input(&fake.vm, (uint8_t)i);
	for (i = 0; i < UART_INPUT_SIZE; i++)
		assert_int_equal(fake_in8(DATA), i & 0xff);
	assert_int_equal(fake_in8(LSR) & 0x03, 0x02);
}

#define T(name) cmocka_unit_test_setup(name, fake_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(detection_finds_a_16550a),
		T(divisor_hides_data_and_ier),
		T(output_reaches_the_console),
		T(input_comes_in_order),
		T(interrupts_are_identified_by_priority),
		T(reading_another_interrupt_keeps_thre),
		T(thre_is_raised_again_by_enabling_it),
		T(out2_gates_the_interrupt),
		T(loopback_returns_data_and_modem_lines),
		T(modem_changes_set_deltas_until_read),
		T(full_buffer_loses_the_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
