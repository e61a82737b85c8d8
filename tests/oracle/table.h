/* SPDX-License-Identifier: MIT */
/* A table of named differences from an oracle; each tester has its own, and its own struct difference_case. */
#ifndef TESTS_ORACLE_TABLE_H
#define TESTS_ORACLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct difference_case;

struct difference {
	const char *name;
	const char *reason;
	bool (*is_this)(const struct difference_case *c);
};

extern const struct difference differences[];
extern const size_t difference_count;

#endif
