/* SPDX-License-Identifier: MIT */
/* Console on COM1 (polled 16550) and a small printf. */
#include <stdint.h>

#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/lock.h"
#include "guests/rt/string.h"

#define UART_DATA             (COM1_PORT + 0)
#define UART_IER              (COM1_PORT + 1)
#define UART_FCR              (COM1_PORT + 2)
#define UART_LCR              (COM1_PORT + 3)
#define UART_MCR              (COM1_PORT + 4)
#define UART_LSR              (COM1_PORT + 5)
#define UART_LCR_8N1          0x03
#define UART_LCR_DLAB         0x80
#define UART_FCR_ENABLE       0x07
#define UART_MCR_DTR_RTS_OUT2 0x0b
#define UART_LSR_DR           0x01
#define UART_LSR_THRE         0x20
/* A UART that never gets ready must not hang the guest. */
#define UART_SPIN_MAX 1000000u
#define LINE_MAX      512

static struct lock console_lock;

struct line {
	char text[LINE_MAX];
	size_t length;
};

struct conversion {
	unsigned width;
	bool is_zero_padded;
	bool is_left_aligned;
	unsigned long_count;
};

void console_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, UART_LCR_DLAB);
	outb(UART_DATA, 1); /* divisor 1: 115200 baud */
	outb(UART_IER, 0);
	outb(UART_LCR, UART_LCR_8N1);
	outb(UART_FCR, UART_FCR_ENABLE);
	outb(UART_MCR, UART_MCR_DTR_RTS_OUT2);
}

static void console_put(char byte)
{
	unsigned spin = 0;

	while (!(inb(UART_LSR) & UART_LSR_THRE) && spin++ < UART_SPIN_MAX)
		cpu_pause();
	outb(UART_DATA, (uint8_t)byte);
}

void console_write(const char *text, size_t length)
{
	uint64_t flags = lock_acquire(&console_lock);

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			console_put('\r');
		console_put(text[i]);
	}
	lock_release(&console_lock, flags);
}

int console_read(void)
{
	return inb(UART_LSR) & UART_LSR_DR ? inb(UART_DATA) : -1;
}

static void line_put(struct line *line, char byte)
{
	if (line->length < LINE_MAX)
		line->text[line->length++] = byte;
}

static void line_put_field(
    struct line *line, const char *text, size_t length, const struct conversion *conversion)
{
	size_t padding = conversion->width > length ? conversion->width - length : 0;

	for (; padding && !conversion->is_left_aligned; padding--)
		line_put(line, conversion->is_zero_padded ? '0' : ' ');
	for (size_t i = 0; i < length; i++)
		line_put(line, text[i]);
	for (; padding; padding--)
		line_put(line, ' ');
}

static void line_put_number(struct line *line, uint64_t value, bool is_negative, unsigned base,
    const struct conversion *conversion)
{
	char digits[24];
	size_t start = sizeof(digits);

	do {
		digits[--start] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (is_negative)
		digits[--start] = '-';
	line_put_field(line, digits + start, sizeof(digits) - start, conversion);
}

static const char *conversion_parse(const char *format, struct conversion *conversion)
{
	*conversion = (struct conversion){0};
	for (; *format == '0' || *format == '-'; format++) {
		conversion->is_zero_padded |= *format == '0';
		conversion->is_left_aligned |= *format == '-';
	}
	for (; *format >= '0' && *format <= '9'; format++)
		conversion->width = conversion->width * 10 + (unsigned)(*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		conversion->long_count++;
	return format;
}

/* va_list is an array type here: a pointer to it lets the callee advance it. */
struct arguments {
	va_list list;
};

static void line_put_signed(
    struct line *line, struct arguments *arguments, const struct conversion *conversion)
{
	int64_t value =
	    conversion->long_count ? va_arg(arguments->list, long) : va_arg(arguments->list, int);
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	line_put_number(line, magnitude, value < 0, 10, conversion);
}

static void line_put_unsigned(struct line *line, struct arguments *arguments, unsigned base,
    const struct conversion *conversion)
{
	uint64_t value = conversion->long_count ? va_arg(arguments->list, unsigned long)
	                                        : va_arg(arguments->list, unsigned int);

	line_put_number(line, value, false, base, conversion);
}

static void line_put_conversion(struct line *line, char letter, struct arguments *arguments,
    const struct conversion *conversion)
{
	struct conversion pointer = {.long_count = 1};
	const char *text;

	switch (letter) {
	case 'c':
		line_put(line, (char)va_arg(arguments->list, int));
		break;
	case 's':
		text = va_arg(arguments->list, const char *);
		line_put_field(line, text, string_length(text), conversion);
		break;
	case 'd':
	case 'i':
		line_put_signed(line, arguments, conversion);
		break;
	case 'u':
		line_put_unsigned(line, arguments, 10, conversion);
		break;
	case 'x':
		line_put_unsigned(line, arguments, 16, conversion);
		break;
	case 'p':
		line_put_unsigned(line, arguments, 16, &pointer);
		break;
	default:
		line_put(line, letter);
	}
}

void print_list(const char *format, va_list list)
{
	struct arguments arguments;
	struct conversion conversion;
	struct line line;

	line.length = 0;
	va_copy(arguments.list, list);
	for (; *format; format++) {
		if (*format != '%') {
			line_put(&line, *format);
			continue;
		}
		format = conversion_parse(format + 1, &conversion);
		if (!*format)
			break;
		line_put_conversion(&line, *format, &arguments, &conversion);
	}
	va_end(arguments.list);
	console_write(line.text, line.length);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}
