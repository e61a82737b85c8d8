/* SPDX-License-Identifier: MIT */
/* What the board needs of the rest of the hypervisor, faked: time, timers, lines, consoles. */
#ifndef TESTS_UNIT_HYPERVISOR_FAKE_H
#define TESTS_UNIT_HYPERVISOR_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/board/devices.h"
#include "hypervisor/vm/vm.h"

#define FAKE_TSC_KHZ 2000000u
#define FAKE_MS      (uint64_t)FAKE_TSC_KHZ /* TSC ticks of a millisecond */
#define FAKE_SECOND  (1000 * FAKE_MS)
#define FAKE_GSIS    24u
/* 2026-11-21 01:56:19 UTC, a Saturday. */
#define FAKE_DATE    1795226179

struct fake {
	uint64_t now;
	bool levels[FAKE_GSIS][2]; /* by GSI and user */
	unsigned rise_count[FAKE_GSIS];
	unsigned stop_count;
	enum vm_stop_reason stop_reason;
	int stop_code;
	char console[64];
	unsigned console_length;
	uint16_t pic_port;
	uint8_t pic_value;
	uint32_t ioapic_offset, ioapic_value;
	unsigned timer_fired_count;
	struct vm vm;
	struct board board;
};

extern struct fake fake;

/* A board in its state after reset, at time 0; for use as a cmocka setup. */
int fake_setup(void **state);

/* Let time pass; timers fire in order, each at its deadline. */
void fake_advance(uint64_t ticks);
/* True when any timer is armed. */
bool fake_is_armed(void);

/* One byte access, as a guest makes it. */
uint8_t fake_in8(uint16_t port);
void fake_out8(uint16_t port, uint8_t value);

#endif
