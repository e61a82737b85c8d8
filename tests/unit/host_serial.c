/* SPDX-License-Identifier: MIT */
/* hypervisor/main/serial.c with 16550s of this file: who waits for the line, and who does not. */
#define HYPERVISOR_CPU_INSTRUCTIONS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void out8(uint16_t port, uint8_t value);
static uint8_t in8(uint16_t port);

static void cpu_pause(void)
{
}

#include "hypervisor/main/serial.c"

#define SENT_SIZE (3 * OUTPUT_SIZE)
#define NEVER     UINT32_MAX

/* A UART whose line sends what its FIFO holds only when a test says so, or after so many reads of LSR. */
struct line {
	bool is_absent;
	uint8_t ier, lcr, mcr, input;
	bool has_input, is_thre_pending;
	uint32_t fifo_count, sent_count, lost_count;
	uint32_t reads_until_idle;
	char sent[SENT_SIZE + FIFO_SIZE];
};

static struct line lines[2];
static irq_handler *handlers[2];
static uint32_t lsr_read_count, typed_count;

static struct line *line_of(uint16_t port)
{
	return &lines[port >= COM1_PORT ? SERIAL_CONSOLE : SERIAL_CONTROL];
}

static void idle(struct line *line)
{
	line->is_thre_pending |= line->fifo_count > 0;
	line->sent_count += line->fifo_count;
	line->fifo_count = 0;
	assert_true(line->sent_count <= SENT_SIZE);
}

static void put_data(struct line *line, uint8_t value)
{
	line->is_thre_pending = false;
	if (line->mcr & 0x10) { /* loopback */
		line->input = value;
		line->has_input = true;
	} else if (line->fifo_count == FIFO_SIZE) {
		line->lost_count++;
	} else {
		line->sent[line->sent_count + line->fifo_count++] = (char)value;
	}
}

static void out8(uint16_t port, uint8_t value)
{
	struct line *line = line_of(port);

	if (line->lcr & LCR_DLAB && (port & 7) < 2)
		return;
	switch (port & 7) {
	case UART_DATA:
		put_data(line, value);
		break;
	case UART_IER:
		line->is_thre_pending |= value & ~line->ier & IER_THR_EMPTY && !line->fifo_count;
		line->ier = value;
		break;
	case UART_LCR:
		line->lcr = value;
		break;
	case UART_MCR:
		line->mcr = value;
		break;
	}
}

static bool has_interrupt(const struct line *line)
{
	return (line->ier & IER_RECEIVED && line->has_input) ||
	    (line->ier & IER_THR_EMPTY && line->is_thre_pending);
}

static uint8_t read_iir(struct line *line)
{
	if (!has_interrupt(line))
		return IIR_NONE;
	if (line->has_input)
		return 4;
	line->is_thre_pending = false;
	return 2;
}

static uint8_t read_lsr(struct line *line)
{
	lsr_read_count++;
	if (line->fifo_count && line->reads_until_idle != NEVER && line->reads_until_idle-- == 0) {
		line->reads_until_idle = 3;
		idle(line);
	}
	return (uint8_t)((line->fifo_count ? 0 : LSR_THR_EMPTY | LSR_ALL_SENT) |
	    (line->has_input ? LSR_RECEIVED : 0));
}

static uint8_t in8(uint16_t port)
{
	struct line *line = line_of(port);

	if (line->is_absent)
		return 0xff;
	switch (port & 7) {
	case UART_DATA:
		line->has_input = false;
		return line->input;
	case UART_IIR:
		return read_iir(line);
	case UART_LSR:
		return read_lsr(line);
	}
	return 0;
}

void irq_register(uint8_t vector, irq_handler *handler)
{
	handlers[vector == VECTOR_SERIAL1 ? SERIAL_CONSOLE : SERIAL_CONTROL] = handler;
}

void ioapic_route_isa(uint32_t isa_irq, uint8_t vector)
{
	(void)isa_irq;
	(void)vector;
}

static void typed(char byte)
{
	(void)byte;
	typed_count++;
}

/* The line has sent all; its interrupt is taken if there is one. */
static bool idle_and_interrupt(struct line *line)
{
	idle(line);
	if (!has_interrupt(line))
		return false;
	handlers[line - lines]();
	assert_false(has_interrupt(line)); /* or its next edge is never seen */
	return true;
}

static struct line *console(void)
{
	return &lines[SERIAL_CONSOLE];
}

static int begin(bool has_control)
{
	memset(lines, 0, sizeof(lines));
	memset(&console_output_buffer, 0, sizeof(console_output_buffer));
	memset(uarts, 0, sizeof(uarts));
	uarts[SERIAL_CONSOLE].port = COM1_PORT;
	uarts[SERIAL_CONTROL].port = COM2_PORT;
	lines[SERIAL_CONSOLE].reads_until_idle = lines[SERIAL_CONTROL].reads_until_idle = NEVER;
	lines[SERIAL_CONTROL].is_absent = !has_control;
	serial_init();
	serial_enable_input(typed, typed);
	lsr_read_count = typed_count = 0;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return begin(true);
}

static int setup_without_control(void **state)
{
	(void)state;
	return begin(false);
}

static void fill(char *text, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		text[i] = (char)('!' + i % 90);
}

static void assert_sent(const struct line *line, const char *text, uint32_t length)
{
	assert_int_equal(line->lost_count, 0);
	assert_int_equal(line->sent_count, length);
	assert_memory_equal(line->sent, text, length);
}

static void a_byte_goes_to_an_idle_uart_at_once(void **state)
{
	(void)state;
	serial_write(SERIAL_CONSOLE, "x", 1);
	assert_int_equal(console()->fifo_count, 1);
	assert_int_equal(console()->ier, IER_RECEIVED);
}

/* As a guest writes: byte by byte, faster than the line. */
static void a_text_of_the_buffers_size_waits_for_nothing(void **state)
{
	char text[OUTPUT_SIZE];
	uint32_t interrupt_count = 0;

	(void)state;
	fill(text, sizeof(text));
	for (uint32_t i = 0; i < sizeof(text); i++)
		serial_write(SERIAL_CONSOLE, &text[i], 1);
	assert_true(lsr_read_count <= OUTPUT_SIZE);
	assert_int_equal(console()->fifo_count, FIFO_SIZE);
	assert_int_equal(console()->ier, IER_RECEIVED | IER_THR_EMPTY);
	while (idle_and_interrupt(console()))
		interrupt_count++;
	assert_int_equal(interrupt_count, OUTPUT_SIZE / FIFO_SIZE - 1);
	assert_sent(console(), text, sizeof(text));
	assert_int_equal(console()->ier, IER_RECEIVED);
}

static void a_full_buffer_waits_and_loses_nothing(void **state)
{
	char text[2 * OUTPUT_SIZE];

	(void)state;
	console()->reads_until_idle = 3;
	fill(text, sizeof(text));
	for (uint32_t i = 0; i < sizeof(text); i += 64)
		serial_write(SERIAL_CONSOLE, text + i, 64);
	while (idle_and_interrupt(console()))
		;
	assert_sent(console(), text, sizeof(text));
}

static void a_uart_that_takes_nothing_is_waited_for_once(void **state)
{
	char text[OUTPUT_SIZE + FIFO_SIZE];

	(void)state;
	fill(text, sizeof(text));
	for (uint32_t i = 0; i < sizeof(text); i++)
		serial_write(SERIAL_CONSOLE, &text[i], 1);
	lsr_read_count = 0;
	serial_write(SERIAL_CONSOLE, "dropped", 7);
	assert_in_range(lsr_read_count, WAIT_READS, 2 * WAIT_READS);
	lsr_read_count = 0;
	serial_write(SERIAL_CONSOLE, "dropped", 7);
	assert_in_range(lsr_read_count, 1, 10);
	while (idle_and_interrupt(console()))
		;
	assert_sent(console(), text, sizeof(text));
	serial_write(SERIAL_CONSOLE, "again", 5);
	assert_int_equal(console()->fifo_count, 5);
}

static void drain_sends_what_is_buffered(void **state)
{
	char text[1000];

	(void)state;
	fill(text, sizeof(text));
	serial_write(SERIAL_CONSOLE, text, sizeof(text));
	console()->reads_until_idle = 3;
	serial_drain();
	assert_sent(console(), text, sizeof(text));
}

static void the_control_channel_is_not_buffered(void **state)
{
	char text[1000];

	(void)state;
	fill(text, sizeof(text));
	lines[SERIAL_CONTROL].reads_until_idle = 3;
	serial_write(SERIAL_CONTROL, text, sizeof(text));
	idle(&lines[SERIAL_CONTROL]);
	assert_sent(&lines[SERIAL_CONTROL], text, sizeof(text));
	assert_int_equal(console()->fifo_count, 0);
}

/* Without COM2 its lines stand on COM1, behind what the guests had written. */
static void control_lines_stand_behind_the_buffer(void **state)
{
	char text[100];

	(void)state;
	memset(text, 'a', sizeof(text));
	serial_write(SERIAL_CONSOLE, text, 98);
	console()->reads_until_idle = 3;
	serial_write(SERIAL_CONTROL, "\n", 1);
	memcpy(text + 98, "\r\n", 2);
	idle(console());
	assert_sent(console(), text, sizeof(text));
}

static void input_comes_while_output_waits(void **state)
{
	char text[100];

	(void)state;
	fill(text, sizeof(text));
	serial_write(SERIAL_CONSOLE, text, sizeof(text));
	console()->has_input = true;
	idle_and_interrupt(console());
	assert_int_equal(typed_count, 1);
	while (idle_and_interrupt(console()))
		;
	assert_sent(console(), text, sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_byte_goes_to_an_idle_uart_at_once, setup),
	    cmocka_unit_test_setup(a_text_of_the_buffers_size_waits_for_nothing, setup),
	    cmocka_unit_test_setup(a_full_buffer_waits_and_loses_nothing, setup),
	    cmocka_unit_test_setup(a_uart_that_takes_nothing_is_waited_for_once, setup),
	    cmocka_unit_test_setup(drain_sends_what_is_buffered, setup),
	    cmocka_unit_test_setup(the_control_channel_is_not_buffered, setup),
	    cmocka_unit_test_setup(control_lines_stand_behind_the_buffer, setup_without_control),
	    cmocka_unit_test_setup(input_comes_while_output_waits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
