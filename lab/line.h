/* SPDX-License-Identifier: MIT */
/* 64 aligned bytes at once. */
#ifndef LAB_LINE_H
#define LAB_LINE_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>

static inline bool line_all_ones(__m128i a, __m128i b, __m128i c, __m128i d)
{
	return _mm_movemask_epi8(_mm_and_si128(_mm_and_si128(a, b), _mm_and_si128(c, d))) == 0xffff;
}

static inline bool line_is_equal(const uint8_t *a, const uint8_t *b)
{
	const __m128i *x = (const __m128i *)(const void *)a, *y = (const __m128i *)(const void *)b;

	return line_all_ones(_mm_cmpeq_epi32(x[0], y[0]), _mm_cmpeq_epi32(x[1], y[1]),
	    _mm_cmpeq_epi32(x[2], y[2]), _mm_cmpeq_epi32(x[3], y[3]));
}

static inline bool line_is_zero(const uint8_t *line)
{
	const __m128i *x = (const __m128i *)(const void *)line;
	const __m128i zero = _mm_setzero_si128();

	return line_all_ones(_mm_cmpeq_epi32(x[0], zero), _mm_cmpeq_epi32(x[1], zero),
	    _mm_cmpeq_epi32(x[2], zero), _mm_cmpeq_epi32(x[3], zero));
}

/* Bits that are set in any of several lines. */
struct line_sum {
	__m128i even, odd;
};

static inline struct line_sum line_sum_zero(void)
{
	return (struct line_sum){_mm_setzero_si128(), _mm_setzero_si128()};
}

static inline void line_add_bits(struct line_sum *sum, const uint8_t *line)
{
	const __m128i *x = (const __m128i *)(const void *)line;

	sum->even = _mm_or_si128(_mm_or_si128(sum->even, x[0]), x[2]);
	sum->odd = _mm_or_si128(_mm_or_si128(sum->odd, x[1]), x[3]);
}

static inline void line_add_difference(struct line_sum *sum, const uint8_t *a, const uint8_t *b)
{
	const __m128i *x = (const __m128i *)(const void *)a, *y = (const __m128i *)(const void *)b;

	for (int i = 0; i < 4; i++)
		sum->even = _mm_or_si128(sum->even, _mm_xor_si128(x[i], y[i]));
}

static inline bool line_sum_is_zero(struct line_sum sum)
{
	__m128i all = _mm_or_si128(sum.even, sum.odd);

	return _mm_movemask_epi8(_mm_cmpeq_epi32(all, _mm_setzero_si128())) == 0xffff;
}

static inline void line_copy(uint8_t *to, const uint8_t *from)
{
	__m128i *x = (__m128i *)(void *)to;
	const __m128i *y = (const __m128i *)(const void *)from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
	x[3] = y[3];
}

#endif
