/* SPDX-License-Identifier: MIT */
/* Guest: echo each line of the console, by UART interrupts, until "quit". */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/string.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "console_echo";

#define VECTOR_UART 0x44u
#define UART_IER    (COM1_PORT + 1)
#define UART_IER_RX 0x01
#define RING_SIZE   1024u
#define LINE_SIZE   256u

static volatile char ring[RING_SIZE];
static volatile unsigned put_count, get_count;
static volatile unsigned interrupt_count, overrun_count;

static void receive(struct frame *frame)
{
	int byte;

	(void)frame;
	interrupt_count++;
	while ((byte = console_read()) >= 0) {
		overrun_count += put_count - get_count >= RING_SIZE;
		ring[put_count % RING_SIZE] = (char)byte;
		put_count++;
	}
	apic_eoi();
}

static char next_byte(void)
{
	interrupts_disable();
	while (get_count == put_count) {
		interrupts_enable_and_halt();
		interrupts_disable();
	}
	interrupts_enable();
	watchdog_pet();
	return ring[get_count++ % RING_SIZE];
}

static void read_line(char *line)
{
	unsigned length = 0;
	char byte;

	while ((byte = next_byte()) != '\n' && byte != '\r') {
		if (length < LINE_SIZE - 1)
			line[length++] = byte;
	}
	line[length] = 0;
}

void guest_main(void)
{
	char line[LINE_SIZE];
	unsigned line_count = 0;

	interrupts_set(VECTOR_UART, receive);
	ioapic_write_entry(COM1_IRQ, VECTOR_UART | ioapic_destination(apic_id()));
	watchdog_start(TIMEOUT_MS);
	interrupts_enable();
	outb(UART_IER, UART_IER_RX);
	print("ready\n");
	for (;;) {
		read_line(line);
		if (!line[0])
			continue;
		print("echo: %s\n", line);
		if (string_starts_with(line, "quit"))
			break;
		line_count++;
	}
	check(interrupt_count > 0, "no UART interrupt");
	check(overrun_count == 0, "%u bytes came too fast", overrun_count);
	print("%u lines, %u bytes, %u interrupts\n", line_count, get_count, interrupt_count);
}
