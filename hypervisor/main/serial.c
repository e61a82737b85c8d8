/* SPDX-License-Identifier: MIT */
/* Host 16550 UARTs: polled output, input by interrupt. */
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
#define UART_FCR     2
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5

#define IER_RECEIVED 0x01
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

struct uart {
	uint16_t port;
	bool is_present;
	bool is_stuck; /* took nothing for WAIT_READS; under lock */
	spinlock_t lock;
	void (*received)(char byte);
};

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

static bool wait_for_room(struct uart *uart)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if (in8(uart->port + UART_LSR) & LSR_THR_EMPTY) {
			uart->is_stuck = false;
			return true;
		}
		if (uart->is_stuck)
			return false;
		cpu_pause();
	}
	uart->is_stuck = true;
	return false;
}

static void write_locked(struct uart *uart, const char *bytes, size_t length, bool wants_return)
{
	unsigned room = 0;

	for (size_t i = 0; i < length; i++) {
		if (room < 2) {
			if (!wait_for_room(uart))
				return;
			room = FIFO_SIZE;
		}
		if (wants_return && bytes[i] == '\n') {
			out8(uart->port + UART_DATA, '\r');
			room--;
		}
		out8(uart->port + UART_DATA, (uint8_t)bytes[i]);
		room--;
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
	write_locked(uart, bytes, length, is_fallback);
	spin_unlock_irqrestore(&uart->lock, flags);
}

void serial_drain(void)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned wait = 0; uarts[i].is_present && wait < WAIT_READS; wait++)
			if (in8(uarts[i].port + UART_LSR) & LSR_ALL_SENT)
				break;
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

static void console_interrupt(void)
{
	receive(&uarts[SERIAL_CONSOLE]);
}

static void control_interrupt(void)
{
	receive(&uarts[SERIAL_CONTROL]);
}

static void enable_input(struct uart *uart, void (*received)(char), uint8_t vector,
    irq_handler *handler, uint32_t isa_irq)
{
	if (!uart->is_present)
		return;
	uart->received = received;
	irq_register(vector, handler);
	ioapic_route_isa(isa_irq, vector);
	out8(uart->port + UART_IER, IER_RECEIVED);
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
	irq_restore(flags);
}
