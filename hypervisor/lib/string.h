/* SPDX-License-Identifier: MIT */
/* The memory and string functions that the compiler and the hypervisor need; as in C11. */
#ifndef HYPERVISOR_LIB_STRING_H
#define HYPERVISOR_LIB_STRING_H

#if __STDC_HOSTED__
#include <stdio.h>
#include <string.h>
#else
#include <stdarg.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);
void *memchr(const void *bytes, int byte, size_t length);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t length);
char *strchr(const char *text, int byte);

/*
 * As in C11, for these conversions only: %d %i %u %x %X %c %s %p %%, flags '-', '0' and '#',
 * width, precision of %s ('.N' or '.*'), sizes hh, h, l, ll, z.  Any other conversion is a bug.
 */
int snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *to, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
#endif
#endif
