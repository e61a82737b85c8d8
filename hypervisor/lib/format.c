/* SPDX-License-Identifier: MIT */
/* snprintf for the few conversions that string.h lists. */
#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"

struct output {
	char *to;
	size_t size;
	size_t length; /* of the whole text, also of what did not fit */
};

struct conversion {
	bool is_left, is_zero_padded, is_alternate;
	int width;
	int precision; /* -1: none */
	int longs;     /* 2 and 1: ll and l (and z); 0: int; -1: h; -2: hh */
};

static void put(struct output *out, char byte)
{
	if (out->length + 1 < out->size)
		out->to[out->length] = byte;
	out->length++;
}

static void pad(struct output *out, char byte, int count)
{
	for (; count > 0; count--)
		put(out, byte);
}

static void put_text(struct output *out, const struct conversion *c, const char *text, int length)
{
	if (!c->is_left)
		pad(out, ' ', c->width - length);
	for (int i = 0; i < length; i++)
		put(out, text[i]);
	if (c->is_left)
		pad(out, ' ', c->width - length);
}

static void put_string(struct output *out, const struct conversion *c, const char *text)
{
	int length = 0;

	if (text == NULL)
		text = "(null)";
	while ((c->precision < 0 || length < c->precision) && text[length])
		length++;
	put_text(out, c, text, length);
}

static void put_number(struct output *out, const struct conversion *c, uint64_t value,
    const char *prefix, unsigned base, const char *digits)
{
	char text[24];
	int start = (int)sizeof(text), prefix_length = (int)strlen(prefix), length;

	do {
		text[--start] = digits[value % base];
		value /= base;
	} while (value != 0);
	length = (int)sizeof(text) - start + prefix_length;
	if (!c->is_left && !c->is_zero_padded)
		pad(out, ' ', c->width - length);
	for (; *prefix; prefix++)
		put(out, *prefix);
	if (!c->is_left && c->is_zero_padded)
		pad(out, '0', c->width - length);
	for (; start < (int)sizeof(text); start++)
		put(out, text[start]);
	if (c->is_left)
		pad(out, ' ', c->width - length);
}

static int parse_count(const char **format, va_list *arguments)
{
	int count = 0;

	if (**format == '*') {
		(*format)++;
		return va_arg(*arguments, int);
	}
	for (; **format >= '0' && **format <= '9'; (*format)++)
		count = count * 10 + (**format - '0');
	return count;
}

static struct conversion parse_conversion(const char **format, va_list *arguments)
{
	struct conversion c = { .precision = -1 };

	for (;; (*format)++) {
		if (**format == '-')
			c.is_left = true;
		else if (**format == '0')
			c.is_zero_padded = true;
		else if (**format == '#')
			c.is_alternate = true;
		else
			break;
	}
	c.width = parse_count(format, arguments);
	if (**format == '.') {
		(*format)++;
		c.precision = parse_count(format, arguments);
	}
	for (;; (*format)++) {
		if (**format == 'l' || **format == 'z')
			c.longs++;
		else if (**format == 'h')
			c.longs--;
		else
			break;
	}
	return c;
}

static uint64_t take_unsigned(const struct conversion *c, va_list *arguments)
{
	unsigned value;

	if (c->longs > 0)
		return va_arg(*arguments, uint64_t);
	value = va_arg(*arguments, unsigned);
	if (c->longs == -1)
		return (uint16_t)value;
	if (c->longs == -2)
		return (uint8_t)value;
	return value;
}

static int64_t take_signed(const struct conversion *c, va_list *arguments)
{
	uint64_t value = take_unsigned(c, arguments);

	switch (c->longs) {
	case 0:
		return (int32_t)value;
	case -1:
		return (int16_t)value;
	case -2:
		return (int8_t)value;
	default:
		return (int64_t)value;
	}
}

static void convert(struct output *out, const struct conversion *c, char letter,
    va_list *arguments)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	int64_t number;
	char byte;

	switch (letter) {
	case 'd':
	case 'i':
		number = take_signed(c, arguments);
		put_number(out, c, number < 0 ? 0 - (uint64_t)number : (uint64_t)number,
		    number < 0 ? "-" : "", 10, lower);
		break;
	case 'u':
		put_number(out, c, take_unsigned(c, arguments), "", 10, lower);
		break;
	case 'x':
		put_number(out, c, take_unsigned(c, arguments), c->is_alternate ? "0x" : "", 16,
		    lower);
		break;
	case 'X':
		put_number(out, c, take_unsigned(c, arguments), c->is_alternate ? "0X" : "", 16,
		    upper);
		break;
	case 'p':
		put_number(out, c, (uintptr_t)va_arg(*arguments, void *), "0x", 16, lower);
		break;
	case 'c':
		byte = (char)va_arg(*arguments, int);
		put_text(out, c, &byte, 1);
		break;
	case 's':
		put_string(out, c, va_arg(*arguments, const char *));
		break;
	case '%':
		put(out, '%');
		break;
	default:
		panic("snprintf: unsupported conversion %%%c", letter);
	}
}

int vsnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	struct output out = { .to = to, .size = size };
	va_list rest;

	va_copy(rest, arguments);
	for (; *format; format++) {
		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		format++;

		struct conversion c = parse_conversion(&format, &rest);

		convert(&out, &c, *format, &rest);
	}
	va_end(rest);
	if (size > 0)
		to[out.length < size ? out.length : size - 1] = 0;
	return (int)out.length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(to, size, format, arguments);
	va_end(arguments);
	return length;
}
