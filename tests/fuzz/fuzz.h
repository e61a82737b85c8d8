/* SPDX-License-Identifier: MIT */
/* What every fuzz target has: its entry point, and a reader that turns bytes into choices. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* One run: libFuzzer's entry point, and the replay program's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The property: what does not hold ends the program, and the input is kept. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(                                                                   \
			    stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The rest of the input; behind its end everything is 0. */
struct input {
	const uint8_t *bytes;
	size_t size;
};

static inline uint64_t input_take(struct input *input, uint32_t byte_count)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < byte_count && input->size; i++) {
		value |= (uint64_t)*input->bytes++ << 8 * i;
		input->size--;
	}
	return value;
}

static inline uint8_t input_u8(struct input *input)
{
	return (uint8_t)input_take(input, 1);
}

static inline uint32_t input_u32(struct input *input)
{
	return (uint32_t)input_take(input, 4);
}

#endif
