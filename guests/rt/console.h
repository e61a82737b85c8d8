/* SPDX-License-Identifier: MIT */
/* Console on COM1 and a small printf. */
#ifndef GUESTS_RT_CONSOLE_H
#define GUESTS_RT_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define COM1_PORT 0x3f8
#define COM1_IRQ  4

void console_init(void);
/* Any CPU may call these, not an NMI handler. */
void console_write(const char *text, size_t length);
/* %c %s %d %i %u %x %p %%, with l, ll, z, width and 0 or - flags. Lines are not mixed. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_list(const char *format, va_list arguments);
/* Next byte, or -1 when none has come. Not locked: one CPU reads. */
int console_read(void);

#endif
