/* SPDX-License-Identifier: MIT */
/* Host 16550 UARTs: input by interrupt; output on COM1 from a buffer, on COM2 polled. */
#include <stdint.h>

#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/ioapic.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/main/serial.h"

/* Registers of the NS16550A, by offset from the base port. */
#define UART_DATA    0
#define UART_DIVISOR 0 /* with LCR_DLAB; 2 bytes */
#define UART_IER     1
#define UART_IIR     2 /* read */
#define UART_FCR     2 /* write */
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5

#define IER_RECEIVED 0x01
#define IER_THR_EMPTY 0x02
#define IIR_NONE     0x01
#define FCR_ENABLE_AND_CLEAR 0x07
#define LCR_8N1      0x03
#define LCR_DLAB     0x80
#define MCR_READY    0x0b /* DTR, RTS, and OUT2, which lets interrupts out */
#define MCR_LOOPBACK 0x1e
#define LSR_RECEIVED 0x01
#define LSR_THR_EMPTY 0x20
#define LSR_ALL_SENT 0x40
#define FIFO_SIZE    16u

#define COM1_PORT 0x3f8
#define COM2_PORT 0x2f8
#define COM1_IRQ  4u
#define COM2_IRQ  3u
#define WAIT_READS 200000u /* of LSR; a read takes about a microsecond */
#define PROBE_BYTE 0xae

#define OUTPUT_SIZE 4096u /* a power of two */

/* What the UART has not taken yet.  The counts run on: put and taken so far. */
struct output {
	uint32_t put, taken;
	char bytes[OUTPUT_SIZE];
};

/* From `is_stuck` to `output` under lock, once several pCPUs run. */
struct uart {
	uint16_t port;
	bool is_present;
	bool is_stuck; /* took nothing for WAIT_READS */
	uint8_t ier;
	unsigned room;         /* bytes that the FIFO takes for certain */
	struct output *output; /* NULL: writers wait for the UART */
	spinlock_t lock;
	void (*received)(char byte);
};

static struct output console_output_buffer;

static struct uart uarts[] = {
	[SERIAL_CONSOLE] = { .port = COM1_PORT },
	[SERIAL_CONTROL] = { .port = COM2_PORT },
};

static void uart_init(struct uart *uart)
{
	out8(uart->port + UART_IER, 0);
	out8(uart->port + UART_LCR, LCR_DLAB);
	out8(uart->port + UART_DIVISOR, 1);
	out8(uart->port + UART_DIVISOR + 1, 0);
	out8(uart->port + UART_LCR, LCR_8N1);
	out8(uart->port + UART_FCR, FCR_ENABLE_AND_CLEAR);
	out8(uart->port + UART_MCR, MCR_LOOPBACK);
	out8(uart->port + UART_DATA, PROBE_BYTE);
	for (unsigned i = 0; i < 1000 && !(in8(uart->port + UART_LSR) & LSR_RECEIVED); i++)
		cpu_pause();
	uart->is_present = in8(uart->port + UART_DATA) == PROBE_BYTE;
	out8(uart->port + UART_MCR, MCR_READY);
}

void serial_init(void)
{
	uart_init(&uarts[SERIAL_CONSOLE]);
	uart_init(&uarts[SERIAL_CONTROL]);
}

static void set_ier(struct uart *uart, uint8_t ier)
{
	if (uart->ier != ier)
		out8(uart->port + UART_IER, ier);
	uart->ier = ier;
}

/* The FIFO tells only that it is empty: count what went in since. */
static bool has_room(struct uart *uart)
{
	if (uart->room == 0 && in8(uart->port + UART_LSR) & LSR_THR_EMPTY) {
		uart->room = FIFO_SIZE;
		uart->is_stuck = false;
	}
	return uart->room > 0;
}

static void send(struct uart *uart, char byte)
{
	out8(uart->port + UART_DATA, (uint8_t)byte);
	uart->room--;
}

static bool wait_for_room(struct uart *uart)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if (has_room(uart))
			return true;
		if (uart->is_stuck)
			return false;
		cpu_pause();
	}
	uart->is_stuck = true;
	return false;
}

static bool has_output(const struct uart *uart)
{
	return uart->output != NULL && uart->output->put != uart->output->taken;
}

/* As much as the UART takes now; its interrupt asks for the rest. */
static void send_output(struct uart *uart)
{
	struct output *output = uart->output;

	while (has_output(uart) && has_room(uart))
		send(uart, output->bytes[output->taken++ % OUTPUT_SIZE]);
	set_ier(uart, has_output(uart) ? IER_RECEIVED | IER_THR_EMPTY : IER_RECEIVED);
}

static void send_all_output(struct uart *uart)
{
	while (has_output(uart) && wait_for_room(uart))
		send_output(uart);
}

/* Room for so many bytes.  Lets interrupts in meanwhile, if the caller has them on. */
static bool wait_for_space(struct uart *uart, size_t length, uint64_t *flags)
{
	const struct output *output = uart->output;

	for (unsigned i = 0; OUTPUT_SIZE - (output->put - output->taken) < length; i++) {
		if (i == WAIT_READS)
			uart->is_stuck = true;
		send_output(uart);
		if (uart->is_stuck)
			return false;
		spin_unlock_irqrestore(&uart->lock, *flags);
		cpu_pause();
		*flags = spin_lock_irqsave(&uart->lock);
	}
	return true;
}

static void write_buffered(struct uart *uart, const char *bytes, size_t length, uint64_t *flags)
{
	struct output *output = uart->output;

	if (!wait_for_space(uart, length, flags))
		return;
	for (size_t i = 0; i < length; i++)
		output->bytes[output->put++ % OUTPUT_SIZE] = bytes[i];
	send_output(uart);
}

static void write_waiting(struct uart *uart, const char *bytes, size_t length, bool wants_return)
{
	send_all_output(uart);
	for (size_t i = 0; i < length; i++) {
		if (wants_return && bytes[i] == '\n' && wait_for_room(uart))
			send(uart, '\r');
		if (!wait_for_room(uart))
			return;
		send(uart, bytes[i]);
	}
}

void serial_write(enum serial serial, const char *bytes, size_t length)
{
	bool is_fallback = serial == SERIAL_CONTROL && !uarts[SERIAL_CONTROL].is_present;
	struct uart *uart = &uarts[is_fallback ? SERIAL_CONSOLE : serial];
	uint64_t flags;

	if (!uart->is_present)
		return;
	flags = spin_lock_irqsave(&uart->lock);
	if (uart->output != NULL && !is_fallback)
		write_buffered(uart, bytes, length, &flags);
	else
		write_waiting(uart, bytes, length, is_fallback);
	spin_unlock_irqrestore(&uart->lock, flags);
}

static void drain(struct uart *uart)
{
	uint64_t flags = spin_lock_irqsave(&uart->lock);

	send_all_output(uart);
	for (unsigned wait = 0; wait < WAIT_READS; wait++)
		if (in8(uart->port + UART_LSR) & LSR_ALL_SENT)
			break;
	spin_unlock_irqrestore(&uart->lock, flags);
}

void serial_drain(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (uarts[i].is_present)
			drain(&uarts[i]);
}

void serial_break_locks(void)
{
	for (unsigned i = 0; i < 2; i++)
		uarts[i].lock = (spinlock_t)SPINLOCK_INIT;
}

static void receive(struct uart *uart)
{
	while (in8(uart->port + UART_LSR) & LSR_RECEIVED)
		uart->received((char)in8(uart->port + UART_DATA));
}

/* Until the UART's line is low: the IOAPIC sees edges only. */
static void serve(struct uart *uart)
{
	while (!(in8(uart->port + UART_IIR) & IIR_NONE)) {
		receive(uart);
		spin_lock(&uart->lock);
		send_output(uart);
		spin_unlock(&uart->lock);
	}
}

static void console_interrupt(void)
{
	serve(&uarts[SERIAL_CONSOLE]);
}

static void control_interrupt(void)
{
	serve(&uarts[SERIAL_CONTROL]);
}

static void enable_input(struct uart *uart, void (*received)(char), uint8_t vector,
    irq_handler *handler, uint32_t isa_irq)
{
	if (!uart->is_present)
		return;
	uart->received = received;
	irq_register(vector, handler);
	ioapic_route_isa(isa_irq, vector);
	set_ier(uart, IER_RECEIVED);
	/* An interrupt that came before routing was lost: start from an empty FIFO's edge. */
	receive(uart);
}

void serial_enable_input(void (*console_byte)(char byte), void (*control_byte)(char byte))
{
	uint64_t flags = irq_save();

	enable_input(&uarts[SERIAL_CONSOLE], console_byte, VECTOR_SERIAL1, console_interrupt,
	    COM1_IRQ);
	enable_input(&uarts[SERIAL_CONTROL], control_byte, VECTOR_SERIAL2, control_interrupt,
	    COM2_IRQ);
	uarts[SERIAL_CONSOLE].output = &console_output_buffer;
	irq_restore(flags);
}
