/* SPDX-License-Identifier: MIT */
/* The host's serial ports: COM1 carries the guests' consoles, COM2 the control channel. */
#ifndef HYPERVISOR_MAIN_SERIAL_H
#define HYPERVISOR_MAIN_SERIAL_H

#include <stdbool.h>
#include <stddef.h>

enum serial {
	SERIAL_CONSOLE,
	SERIAL_CONTROL, /* falls back to COM1 where there is no COM2 */
};

/* Find and set up the UARTs (115200 8N1).  First pCPU, before any output. */
void serial_init(void);

/*
 * Take received bytes by interrupt from now on, on the first pCPU, and send SERIAL_CONSOLE's from a
 * buffer.  After irq and IOAPIC set-up.
 */
void serial_enable_input(void (*console_byte)(char byte), void (*control_byte)(char byte));

/*
 * Write bytes in one piece.  SERIAL_CONTROL waits for the UART; any thread or handler.
 * SERIAL_CONSOLE waits only while its buffer of 4096 bytes has no room, with the caller's interrupt
 * flag; any thread.  Both wait only so long: with a UART that takes nothing, bytes are dropped until
 * it does again.
 */
void serial_write(enum serial serial, const char *bytes, size_t length);

/*
 * Send what is buffered and wait, only so long, until the last byte is on its way: an emulator that
 * ends drops the rest, and whoever reads "@end" may end it.
 */
void serial_drain(void);

/* From panic(): other pCPUs are stopped; write even if one of them held the UART's lock. */
void serial_break_locks(void);

#endif
