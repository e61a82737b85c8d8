/* SPDX-License-Identifier: MIT */
/* The posted-interrupt descriptor (SDM vol. 3, table "Format of Posted-Interrupt Descriptor"). */
#ifndef X86_PID_H
#define X86_PID_H

#include <stddef.h>
#include <stdint.h>

struct pid {
	uint64_t pir[4];  /* bits 255:0, one a vector */
	uint64_t control; /* bits 319:256: ON, SN, NV, NDST; one word, for it changes as a whole */
	uint64_t reserved[3];
};

#define PID_ON         (1ull << 0)
#define PID_SN         (1ull << 1)
#define PID_NV_SHIFT   16
#define PID_NV_MASK    (0xffull << PID_NV_SHIFT)
#define PID_NDST_SHIFT 32 /* x2APIC: 32-bit ID; xAPIC: the 8-bit ID in bits 15:8 of NDST */
#define PID_NDST_MASK  (0xffffffffull << PID_NDST_SHIFT)

_Static_assert(sizeof(struct pid) == 64, "Format of Posted-Interrupt Descriptor: 64 bytes");
_Static_assert(offsetof(struct pid, control) == 32, "Format of Posted-Interrupt Descriptor: 256");

#endif
