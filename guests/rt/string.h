/* SPDX-License-Identifier: MIT */
/* Memory and text without a C library. */
#ifndef GUESTS_RT_STRING_H
#define GUESTS_RT_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The compiler may call these two by itself. */
void *memcpy(void *destination, const void *source, size_t length);
void *memset(void *destination, int value, size_t length);

size_t string_length(const char *text);
bool string_starts_with(const char *text, const char *prefix);
/* Decimal digits up to the first other byte; 0 when there are none. */
uint64_t string_to_number(const char *text);

#endif
