/* SPDX-License-Identifier: MIT */
/*
 * Short interrupt programs that run on the hardware model and, as a guest, on real processors or
 * emulators of them: what each sees is printed as lines to compare.
 *
 * A program is a string, a character an instruction:
 *   3 8    a self-IPI of vector 31h, 81h       %    a level-triggered interrupt of vector 41h
 *   5      one of vector 51h, whose handler begins with self-IPIs of 31h and 81h
 *   c s    CLI, STI (and NOP, for its shadow)  h l  TPR to F0h, to 0
 * It begins with interrupts enabled and TPR 0.  What is seen, in order:
 *   B<class>@<n>/<PPR>  a handler begins, after n instructions     E<class>/<PPR>  it is about to write EOI
 *   p<PPR>              after h and l
 */
#ifndef GUESTS_ORDER_H
#define GUESTS_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#define ORDER_LETTERS      "358%cshl"
#define ORDER_LETTER_COUNT 8u
#define ORDER_LENGTH       3u      /* all programs up to that length, and the ones below */
#define ORDER_ENDING       "ls"    /* behind each: everything is taken at last */
#define ORDER_SIZE         16u
#define ORDER_LEVEL_CLASS  4u
#define ORDER_RAISING_CLASS 5u /* its handler raises these two: */
#define ORDER_LOWER_CLASS  3u
#define ORDER_HIGHER_CLASS 8u

static const char *const order_longer[] = {
    "c38%", "c%83", "ch38l", "h38%l", "c3s8c%", "hc8l3s", "c3c8shl", "8h3l%", "%h%l%", "c%h3s8l", "h8c3l%s", "3c3s8", "c5%s", "h5%8l", "5%5c5s"};
#define ORDER_LONGER_COUNT (sizeof(order_longer) / sizeof(order_longer[0]))

static inline uint8_t order_vector(uint32_t vector_class)
{
	return (uint8_t)(vector_class << 4 | 1);
}

/* The class that an instruction raises an interrupt of; 0: none. */
static inline uint32_t order_class(char letter)
{
	return letter == '3' || letter == '5' || letter == '8' ? (uint32_t)(letter - '0') : letter == '%' ? ORDER_LEVEL_CLASS : 0;
}

static inline void order_append(char *program, const char *text)
{
	while (*program)
		program++;
	while ((*program++ = *text++))
		;
}

/* Program number `index` with its ending; false: there are no more. */
static inline bool order_program(uint32_t index, char program[ORDER_SIZE])
{
	uint32_t length = 1, count = ORDER_LETTER_COUNT;

	for (; length <= ORDER_LENGTH && index >= count; length++) {
		index -= count;
		count *= ORDER_LETTER_COUNT;
	}
	program[0] = 0;
	if (length > ORDER_LENGTH) {
		if (index >= ORDER_LONGER_COUNT)
			return false;
		order_append(program, order_longer[index]);
	} else {
		for (uint32_t i = 0; i < length; i++) {
			program[i] = ORDER_LETTERS[index % ORDER_LETTER_COUNT];
			index /= ORDER_LETTER_COUNT;
		}
		program[length] = 0;
	}
	order_append(program, ORDER_ENDING);
	return true;
}

#endif
