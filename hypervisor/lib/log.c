/* SPDX-License-Identifier: MIT */
/* Lines on the control channel. */
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/main/serial.h"

static void print_line(const char *prefix, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void print_line(const char *prefix, const char *format, va_list arguments)
{
	static const char cut[] = "...";
	char line[LOG_LINE_MAX + 1]; /* and the newline */
	size_t used = strlen(prefix);
	int length;

	memcpy(line, prefix, used);
	length = vsnprintf(line + used, LOG_LINE_MAX - used, format, arguments);
	used += (size_t)length;
	if (used >= LOG_LINE_MAX) {
		used = LOG_LINE_MAX - 1;
		memcpy(line + used - strlen(cut), cut, strlen(cut));
	}
	line[used++] = '\n';
	serial_write(SERIAL_CONTROL, line, used);
}

void log_printf(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line("posthorn: ", format, arguments);
	va_end(arguments);
}

void control_printf(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line("", format, arguments);
	va_end(arguments);
}
