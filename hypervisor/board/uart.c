/* SPDX-License-Identifier: MIT */
/* 16550A UART, COM1 on GSI 4; the line is infinitely fast, so the transmitter is always empty. */
#include "hypervisor/board/devices.h"
#include "hypervisor/main/console.h"

#define UART_BASE 0x3f8u

enum uart_register {
	REG_DATA, /* RBR and THR; with DLAB the divisor's low byte */
	REG_IER,  /* with DLAB the divisor's high byte */
	REG_IIR,  /* write: FCR */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCRATCH,
};

#define IER_RECEIVE  0x01u
#define IER_TRANSMIT 0x02u
#define IER_LINE     0x04u
#define IER_MODEM    0x08u
#define IER_MASK     0x0fu

#define IIR_NONE     0x01u
#define IIR_MODEM    0x00u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE  0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFO     0xc0u

#define FCR_ENABLE         0x01u
#define FCR_CLEAR_RECEIVE  0x02u
#define FCR_KEPT           0xc9u
#define FCR_TRIGGER(value) ((value) >> 6)

#define LCR_DLAB 0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DATA    0x01u
#define LSR_OVERRUN 0x02u
#define LSR_EMPTY   0x60u /* THRE and TEMT */

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI  0x40u
#define MSR_DCD 0x80u
/* A terminal is there. */
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)
/* RI reports its trailing edge only, the others any change. */
#define MSR_TERI 0x04u

static uint8_t modem_lines(const struct uart *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
	    (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint32_t receive_trigger(const struct uart *uart)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? triggers[FCR_TRIGGER(uart->fcr)] : 1;
}

/* The highest pending interrupt (data sheet, "Interrupt Control Functions"). */
static uint8_t interrupt_id(const struct uart *uart)
{
	if (uart->ier & IER_LINE && uart->is_overrun)
		return IIR_LINE;
	if (uart->ier & IER_RECEIVE && uart->input_count >= receive_trigger(uart))
		return IIR_RECEIVE;
	/* Fewer characters than the trigger: no more will come at once, so the time is up. */
	if (uart->ier & IER_RECEIVE && uart->input_count > 0)
		return IIR_TIMEOUT;
	if (uart->ier & IER_TRANSMIT && uart->is_thre_pending)
		return IIR_TRANSMIT;
	if (uart->ier & IER_MODEM && uart->msr_delta != 0)
		return IIR_MODEM;
	return IIR_NONE;
}

/* On a PC, OUT2 gates the interrupt; in loopback the pin is inactive. */
static void update_line(struct board *board)
{
	const struct uart *uart = &board->uart;
	bool is_gated = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	board_line(board, GSI_COM1, LINE_DEVICE, is_gated && interrupt_id(uart) != IIR_NONE);
}

static void put_input(struct uart *uart, uint8_t byte)
{
	if (uart->input_count == UART_INPUT_SIZE) {
		uart->is_overrun = true;
		return;
	}
	uart->input[(uart->input_first + uart->input_count) % UART_INPUT_SIZE] = byte;
	uart->input_count++;
}

static uint8_t take_input(struct uart *uart)
{
	uint8_t byte;

	if (uart->input_count == 0)
		return 0;
	byte = uart->input[uart->input_first];
	uart->input_first = (uart->input_first + 1) % UART_INPUT_SIZE;
	uart->input_count--;
	return byte;
}

static uint8_t read_register(struct uart *uart, enum uart_register reg)
{
	uint8_t value;

	switch (reg) {
	case REG_DATA:
		return uart->lcr & LCR_DLAB ? uart->divisor[0] : take_input(uart);
	case REG_IER:
		return uart->lcr & LCR_DLAB ? uart->divisor[1] : uart->ier;
	case REG_IIR:
		value = interrupt_id(uart);
		if (value == IIR_TRANSMIT)
			uart->is_thre_pending = false;
		return value | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		value = (uint8_t)(LSR_EMPTY | (uart->input_count > 0 ? LSR_DATA : 0) |
		    (uart->is_overrun ? LSR_OVERRUN : 0));
		uart->is_overrun = false;
		return value;
	case REG_MSR:
		value = modem_lines(uart) | uart->msr_delta;
		uart->msr_delta = 0;
		return value;
	case REG_SCRATCH:
		return uart->scratch;
	}
	return 0xff;
}

uint8_t uart_read(struct board *board, uint16_t port)
{
	uint64_t flags = spin_lock_irqsave(&board->uart.lock);
	uint8_t value = read_register(&board->uart, (enum uart_register)(port - UART_BASE));

	update_line(board);
	spin_unlock_irqrestore(&board->uart.lock, flags);
	return value;
}

static void write_mcr(struct uart *uart, uint8_t value)
{
	uint8_t before = modem_lines(uart);
	uint8_t changed;

	uart->mcr = value & MCR_MASK;
	changed = before ^ modem_lines(uart);
	if (!(before & MSR_RI))
		changed &= (uint8_t)~MSR_RI;
	uart->msr_delta |= (uint8_t)(changed >> 4);
}

static void write_ier(struct uart *uart, uint8_t value)
{
	/* Enabling the transmitter's interrupt while it is empty raises it. */
	if (value & IER_TRANSMIT && !(uart->ier & IER_TRANSMIT))
		uart->is_thre_pending = true;
	uart->ier = value & IER_MASK;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	/* Turning the FIFOs on or off empties them, too. */
	if (value & FCR_CLEAR_RECEIVE || (value ^ uart->fcr) & FCR_ENABLE)
		uart->input_count = 0;
	uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
}

/* True when the byte goes out on the line. */
static bool write_data(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DLAB) {
		uart->divisor[0] = value;
		return false;
	}
	uart->is_thre_pending = true;
	if (uart->mcr & MCR_LOOP) {
		put_input(uart, value);
		return false;
	}
	return true;
}

static bool write_register(struct uart *uart, enum uart_register reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA:
		return write_data(uart, value);
	case REG_IER:
		if (uart->lcr & LCR_DLAB)
			uart->divisor[1] = value;
		else
			write_ier(uart, value);
		break;
	case REG_IIR:
		write_fcr(uart, value);
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		write_mcr(uart, value);
		break;
	case REG_SCRATCH:
		uart->scratch = value;
		break;
	case REG_LSR:
	case REG_MSR:
		break; /* for factory tests only */
	}
	return false;
}

void uart_write(struct board *board, uint16_t port, uint8_t value)
{
	uint64_t flags = spin_lock_irqsave(&board->uart.lock);
	enum uart_register reg = (enum uart_register)(port - UART_BASE);
	bool is_output = write_register(&board->uart, reg, value);

	update_line(board);
	spin_unlock_irqrestore(&board->uart.lock, flags);
	/* Outside the lock: the host's UART is slow, and handlers take the lock for input. */
	if (is_output)
		console_output(board->vm, value);
}

void uart_input(struct board *board, uint8_t byte)
{
	uint64_t flags = spin_lock_irqsave(&board->uart.lock);

	if (!(board->uart.mcr & MCR_LOOP))
		put_input(&board->uart, byte);
	update_line(board);
	spin_unlock_irqrestore(&board->uart.lock, flags);
}

void uart_init(struct board *board)
{
	board->uart.divisor[0] = 1;
}
