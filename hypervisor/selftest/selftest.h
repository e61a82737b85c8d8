/* SPDX-License-Identifier: MIT */
/* The kernel's self-test: cases run one after another on the first thread. */
#ifndef HYPERVISOR_SELFTEST_SELFTEST_H
#define HYPERVISOR_SELFTEST_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/lib/log.h"

/* A case returns false at its first failed check. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			log_printf("FAILED %s:%d: %s", __FILE__, __LINE__, #condition);            \
			return false;                                                              \
		}                                                                                  \
	} while (0)

struct selftest_case {
	const char *name;
	bool (*run)(void);
};

extern const struct selftest_case selftest_memory_cases[];
extern const struct selftest_case selftest_thread_cases[];
extern const struct selftest_case selftest_timer_cases[];

/* Yield until *counter reaches wanted; false after ten seconds. */
bool selftest_wait(const uint32_t *counter, uint32_t wanted);

#endif
