/* SPDX-License-Identifier: MIT */
/* Where core/ and a foreign APIC differ: each difference has a name and a reason; others fail. */
#ifndef TESTS_ORACLE_DIFFERENCES_H
#define TESTS_ORACLE_DIFFERENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/oracle/table.h"

/* A step of a record, and one register after it (or the step's own result). */
struct difference_case {
	char oracle;     /* 'q': QEMU, 'b': Bochs */
	char op;         /* the step's letter */
	uint32_t offset; /* the register that the step was about */
	uint64_t value;  /* what was written */
	bool is_x2apic;
	bool is_enabled;       /* SVR's enable bit, before the step */
	bool is_denied_there;  /* this step was #GP there and is none here */
	bool is_allowed_there; /* this step is #GP here and was none there */
	bool is_result;        /* the step's result differs; else the register `reg` does */
	uint32_t reg;          /* offset, or DIFFERENCE_ENTRY + pin of an IOAPIC entry */
	uint64_t ours, theirs; /* ~0: #GP */
};

#define DIFFERENCE_ENTRY 0x1000u

#endif
