/* SPDX-License-Identifier: MIT */
/* The posted-interrupt descriptor (SDM vol. 3, table "Format of Posted-Interrupt Descriptor"). */
#ifndef X86_PID_H
#define X86_PID_H

#include <stddef.h>
#include <stdint.h>

struct pid {
	uint64_t pir[4];  /* bits 255:0, one a vector */
	uint32_t control; /* bits 287:256: ON, SN, NV */
	uint32_t ndst;    /* bits 319:288: notification destination */
	uint32_t reserved[6];
};

#define PID_ON       (1u << 0)
#define PID_SN       (1u << 1)
#define PID_NV_SHIFT 16

_Static_assert(sizeof(struct pid) == 64, "Format of Posted-Interrupt Descriptor: 64 bytes");
_Static_assert(offsetof(struct pid, control) == 32, "Format of Posted-Interrupt Descriptor: 256");
_Static_assert(offsetof(struct pid, ndst) == 36, "Format of Posted-Interrupt Descriptor: 319:288");

#endif
