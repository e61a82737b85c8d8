/* SPDX-License-Identifier: MIT */
/* Unaligned little-endian fields of file formats; the caller has checked the bounds. */
#ifndef HYPERVISOR_LOADER_BYTES_H
#define HYPERVISOR_LOADER_BYTES_H

#include <stdint.h>

#include "hypervisor/lib/string.h"

#define BYTES_ACCESS(bits)                                                                         \
	static inline uint##bits##_t bytes_get##bits(const uint8_t *at)                            \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		memcpy(&value, at, sizeof(value));                                                 \
		return value;                                                                      \
	}                                                                                          \
	static inline void bytes_put##bits(uint8_t *at, uint##bits##_t value)                      \
	{                                                                                          \
		memcpy(at, &value, sizeof(value));                                                 \
	}
BYTES_ACCESS(16)
BYTES_ACCESS(32)
BYTES_ACCESS(64)
#undef BYTES_ACCESS

#endif
