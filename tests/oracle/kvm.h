/* SPDX-License-Identifier: MIT */
/*
 * The differential tester of core/ against Linux KVM's in-kernel interrupt controllers: steps that
 * both sides take, and the state that is compared after each.
 */
#ifndef TESTS_ORACLE_KVM_H
#define TESTS_ORACLE_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/oracle/table.h"

#define ORACLE_VCPU_MAX 8u
#define ORACLE_PINS     24u
#define ORACLE_GSIS     32u /* 24 and above: MSIs unless routed otherwise */

enum shape_mode { MODES_X2APIC, MODES_XAPIC, MODES_MIXED };

/* What a VM is made of. */
struct shape {
	uint32_t vcpu_count;
	uint32_t apic_id_step; /* APIC IDs are index * step */
	uint32_t mode;         /* enum shape_mode: what the vCPUs' APICs are mostly in */
	bool wide_ids;         /* KVM_CAP_X2APIC_API: 32-bit IDs, no broadcast quirk */
};

/*
 * The letters of steps.  "Guest": KVM runs an instruction of the vCPU; else it is an ioctl.
 *
 *   W R  x2APIC MSR 0x800 + where: write value, read (EOI of a level: by the guest)
 *   w r  register of the xAPIC page at `where`, by the guest
 *   B    IA32_APIC_BASE = value, by the guest
 *   p    register at `where` of the vCPU's kvm_lapic_state image = value
 *   i    the guest opens its interrupt window for one interrupt
 *   m    MSI: data `where`, address `value`
 *   l    level `value` of GSI `where`
 *   g    route of GSI `where`: route_of()
 *   o u  IOAPIC register `where` = value, read, by the guest
 *   O    word `where` of the IOAPIC's image: pin for an entry, IOAPIC_IMAGE_* else
 *   c C  8259 port `where`: write value, read, by the guest
 *   P    byte where % 16 of the image of 8259 where / 16
 */
#define STEP_LETTERS "WRwrBpimlgouOcCP"

struct step {
	char op;
	uint8_t vcpu;
	uint32_t where;
	uint64_t value;
};

/* ---- State: one value a cell --------------------------------------------------------------- */

enum vcpu_cell {
	/* 0..63: register at cell * 16 */
	VCPU_BASE = 64,
	VCPU_WAITS, /* for a start-up IPI */
	VCPU_START, /* vector of the last start-up IPI that started it */
	VCPU_NMI,   /* an NMI came with this step */
	VCPU_SMI,   /* an SMI did */
	VCPU_CELLS,
};

enum ioapic_cell {
	/* 0..23: entries */
	IOAPIC_IMAGE_IRR = ORACLE_PINS, /* levels of the lines */
	IOAPIC_IMAGE_ID,
	IOAPIC_IMAGE_SELECT,
	IOAPIC_CELLS,
};

#define PIC_CELLS   32u
#define CELL_IOAPIC (ORACLE_VCPU_MAX * VCPU_CELLS)
#define CELL_PIC    (CELL_IOAPIC + IOAPIC_CELLS)
#define CELL_RESULT (CELL_PIC + PIC_CELLS) /* what the step gave */
#define CELL_COUNT  (CELL_RESULT + 1)

#define RESULT_GP   UINT64_MAX
#define RESULT_LOST (UINT64_MAX - 1) /* KVM's vCPU did not come to the end of the step */

struct state {
	uint64_t cell[CELL_COUNT];
};

/* Cells of one part, which a reading has or has not. */
struct cells {
	uint32_t first, count;
};

static inline uint32_t vcpu_cell(uint32_t vcpu, uint32_t cell)
{
	return vcpu * VCPU_CELLS + cell;
}

static inline uint64_t state_reg(const struct state *state, uint32_t vcpu, uint32_t offset)
{
	return state->cell[vcpu_cell(vcpu, offset / 16)];
}

/* Which cells are read and compared after a step. */
struct reading {
	uint8_t registers; /* of these vCPUs */
	uint8_t events;    /* BASE, WAITS, START, NMI, SMI of these */
	bool ioapic;
	bool pics;
};

#define READING_PARTS (2u * ORACLE_VCPU_MAX + 3u)
/* The reading's i-th part, i < READING_PARTS; count 0: it has not. */
struct cells reading_part(const struct reading *reading, uint32_t i);

/* ---- Steps (kvm_steps.c) ------------------------------------------------------------------- */

/* Can the step be taken in this state?  The answer does not depend on the side. */
bool step_applies(const struct shape *shape, const struct step *step, const struct state *state);
/* Does KVM's vCPU have to run for it? */
bool step_needs_guest(const struct step *step, const struct state *state);
/*
 * What is compared after the step, which is the index-th of its sequence: every register; events
 * and IA32_APIC_BASE if it can have sent one or written it, and after every 16th step.
 */
struct reading step_reading(
    const struct shape *shape, const struct step *step, const struct state *before, uint32_t index);
struct reading reading_all(const struct shape *shape);

enum route_type { ROUTE_NONE, ROUTE_PINS, ROUTE_MSI };
struct route {
	enum route_type type;
	int ioapic_pin, pic_pin; /* -1: none */
	uint32_t address, data;
};
struct route route_of(uint64_t value);
uint64_t route_default(uint32_t gsi);

/* Text of a step, and back. */
int step_print(char *text, size_t size, const struct step *step);
bool step_parse(const char *text, struct step *step);
/* Name of a cell. */
void cell_print(char *text, size_t size, uint32_t cell);

struct random {
	uint64_t state;
};
uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t bound);
struct shape shape_choose(struct random *random, uint32_t vcpu_count);
struct step step_choose(
    struct random *random, const struct shape *shape, const struct state *state, uint32_t index);

/* ---- The two sides ------------------------------------------------------------------------- */

/* KVM (kvm_linux.c).  NULL, or why it cannot be used. */
const char *kvm_open(void);
void kvm_make(const struct shape *shape);
void kvm_step(const struct step *step, const struct state *before, struct state *state);
void kvm_read(const struct reading *reading, struct state *state);
/* Give KVM this state, of what the reading names. */
void kvm_put(const struct reading *parts, const struct state *state);

/* core/ (kvm_core.c). */
void core_make(const struct shape *shape, const struct state *initial);
/* Those that `reading` names run behind it. */
void core_step(const struct step *step, const struct reading *reading, struct state *state);
void core_read(const struct reading *reading, struct state *state);
/* All lines of the IOAPIC are low, as kvm_put() makes them for KVM. */
void core_lower_lines(void);

/* ---- Comparing (kvm_differences.c) --------------------------------------------------------- */

/* One cell that differs after a step. */
struct difference_case {
	const struct shape *shape;
	const struct step *step;
	const struct state *before; /* the oracle's state before the step */
	const struct state *after;  /* and behind it */
	const struct state *core;   /* core's state behind it */
	const uint64_t *routes;     /* of the GSIs, before the step */
	uint32_t cell;
	uint32_t vcpu; /* of the cell, or UINT32_MAX */
	uint32_t reg;  /* register offset of the cell, or UINT32_MAX */
	uint64_t ours, theirs;
};

/* Bits of a cell that are compared, when the oracle's state is this. */
uint64_t cell_mask(const struct state *state, uint32_t cell);

/* ---- Both, step by step (kvm_compare.c) ----------------------------------------------------- */

struct comparison {
	struct shape shape;
	uint64_t routes[ORACLE_GSIS];
	struct state theirs; /* the oracle's, as read last */
	struct state before;
	struct state ours;
	uint64_t used[64]; /* how often each listed difference was seen */
	const char *show;  /* part of a name: that one counts as unlisted; or NULL */
	uint64_t step_count, cell_count;
	/* How the oracle takes over core's state behind a listed difference; NULL: it is a record.
	 */
	void (*put)(const struct reading *parts, const struct state *state);
	/* The first unlisted difference, if any. */
	bool is_failed;
	struct difference_case found;
	struct step found_step;
};

/* With theirs in place, and what the sides are made of. */
void compare_begin(struct comparison *comparison, const struct shape *shape);
/* Compare after a step that both sides have taken; theirs is the oracle's state by then. */
void compare_step(
    struct comparison *comparison, const struct step *step, const struct reading *reading);
void compare_report(const struct comparison *comparison);
/* 0 only if nothing failed and, with `all`, each listed difference was seen. */
int compare_verdict(const struct comparison *comparison, bool all);

#endif
