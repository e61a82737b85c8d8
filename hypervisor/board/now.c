/* SPDX-License-Identifier: MIT */
/* The board's time source on bare metal; hosted tests bring their own. */
#include "hypervisor/board/clock.h"

uint64_t clock_now(void)
{
	return tsc_read();
}
