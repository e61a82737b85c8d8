/* SPDX-License-Identifier: MIT */
/* Memory and string functions; the compiler calls the first four by itself. */
#include <stdint.h>

#include "hypervisor/lib/string.h"

/* "rep" instructions: the compiler cannot turn them back into calls of these functions. */

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	void *d = to;
	size_t words = length / 8, bytes = length % 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (d <= s || d >= s + length)
		return memcpy(to, from, length);
	d += length - 1;
	s += length - 1;
	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(length) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	void *d = to;
	uint64_t word = (uint8_t)byte * 0x0101010101010101ull;
	size_t words = length / 8, bytes = length % 8;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(word) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
	const uint8_t *x = a, *y = b;

	for (; length > 0; length--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

void *memchr(const void *bytes, int byte, size_t length)
{
	const uint8_t *x = bytes;

	for (; length > 0; length--, x++)
		if (*x == (uint8_t)byte)
			return (void *)(uintptr_t)x;
	return NULL;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end)
		end++;
	return (size_t)(end - text);
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t length)
{
	for (; length > 0; length--, a++, b++) {
		if (*a != *b)
			return (uint8_t)*a < (uint8_t)*b ? -1 : 1;
		if (*a == 0)
			break;
	}
	return 0;
}

char *strchr(const char *text, int byte)
{
	for (;; text++) {
		if (*text == (char)byte)
			return (char *)(uintptr_t)text;
		if (*text == 0)
			return NULL;
	}
}
