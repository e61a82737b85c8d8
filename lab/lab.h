/* SPDX-License-Identifier: MIT */
/* The race lab as a scenario's author sees it: memory, CPUs, hardware, checks. */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lab_model { LAB_SC, LAB_TSO };

/* How an ordering site (core/sites.h) is weakened. */
enum lab_weakness {
	LAB_STRONG,   /* as written */
	LAB_UNFENCED, /* RMW: still atomic, but no fence; PUBLISH: a plain store; FENCE: nothing */
	LAB_UNLOCKED, /* RMW: a plain load and a plain store */
	LAB_LEFT_OUT, /* STEP: not done */
};

/* A site of core/sites.h, or LAB_ASSUMED(an assumption) with LAB_LEFT_OUT: not assumed. */
#define LAB_ASSUMED(assumption) (0x10000u + (assumption))
struct lab_weakening {
	uint32_t site;
	enum lab_weakness how;
};

/*
 * What the lab leans on the hardware for.  X(NAME, on by default, what, source).  Each may be
 * turned off in a scenario or by the audit.
 */
#define LAB_ASSUMPTION_LIST(X)                                                                     \
	X(INTERRUPT_DRAINS, true, "taking an interrupt drains the store buffer",                   \
	    "SDM vol. 3, \"Store Buffer\"")                                                        \
	X(ICR_DRAINS, true,                                                                        \
	    "the IPI leaves after earlier stores are visible (xAPIC ICR: UC store)",               \
	    "SDM vol. 3, \"Memory Ordering\"; x2APIC's WRMSR does not")                            \
	X(ENTRY_DRAINS, false, "guest entry drains the store buffer",                              \
	    "not promised by SDM or APM; off")

enum lab_assumption {
#define LAB_ASSUMPTION_ENUM(name, on, what, source) LAB_##name,
	LAB_ASSUMPTION_LIST(LAB_ASSUMPTION_ENUM)
#undef LAB_ASSUMPTION_ENUM
	    LAB_ASSUMPTION_COUNT,
	LAB_NOTHING_DRAINS = LAB_ASSUMPTION_COUNT,
};

struct lab_params {
	enum lab_model model;
	uint32_t sender_count;
};

enum lab_expect { LAB_HOLDS, LAB_FAILS };

#define LAB_MEASURE_MAX 3u

struct lab_scenario {
	const char *name;
	const char *question; /* one line, ends in a question mark */
	const char *bounds;   /* what the verdict covers, besides the number of senders */
	uint32_t sender_default, sender_max; /* 0: the scenario has no senders to vary */
	enum lab_expect expect_sc, expect_tso;
	void (*setup)(const struct lab_params *params);
	/* In every state / in every state in which nothing can happen any more; may be NULL. */
	void (*invariant)(void);
	void (*quiescent)(void);
	/*
	 * What must come true in the end; a fair cycle on which it stays true is a failure.  NULL:
	 * some CPU has not ended.  A scenario whose CPUs never end sets it.
	 */
	bool (*pending)(void);
	/* Counted in every state in which nothing can happen any more: least and most are printed.
	 */
	struct lab_measure {
		const char *what;
		uint64_t (*value)(void);
	} measures[LAB_MEASURE_MAX];
	struct lab_weakening weakenings[4]; /* LAB_STRONG ends the list */
	uint32_t mutant_of_bug;             /* number in facts/bugs.md, or 0 */
	const void *data;                   /* the scenario's own constants */
};

/* Defines and registers a scenario: LAB_SCENARIO(any_identifier) = { .name = ... }; */
#define LAB_SCENARIO(id)                                                                           \
	static const struct lab_scenario id;                                                       \
	static const struct lab_scenario *const id##_entry                                         \
	    __attribute__((section("lab_scenarios"), used)) = &id;                                 \
	static const struct lab_scenario id

/* ---- In setup() ------------------------------------------------------------------------------ */

/* Zeroed memory of the world, aligned to 64; page-aligned when size is a multiple of 4096. */
void *lab_alloc(size_t size, const char *name);
/*
 * The same, aligned to 64, for a block of which as a rule the first `busy` bytes at most are written:
 * the rest lies on pages of its own, and that it stays constant costs nothing to check.
 */
void *lab_alloc_split(size_t size, size_t busy, const char *name);
/* Name a part of it for timelines. */
void lab_name(const volatile void *address, size_t size, const char *name);
/* A CPU running run(arg).  Returns its number. */
uint32_t lab_cpu(const char *name, void (*run)(void *), void *arg);
/* As lab_cpu(), but its stores are visible at once: a device. */
uint32_t lab_device(const char *name, void (*run)(void *), void *arg);
/*
 * A machine without a program: choices(arg) says how many things it can do now, step(arg, n) does
 * one.  Neither may use the shared operations; both see memory, not store buffers.
 */
void lab_hardware(
    const char *name, uint32_t (*choices)(void *), void (*step)(void *, uint32_t), void *arg);
/*
 * Interrupts of a CPU: open(arg) is its interrupt flag, waiting(arg) whether one waits; take(arg)
 * runs on the CPU, at any scheduling point where both are true.
 */
void lab_interrupts(
    uint32_t cpu, bool (*open)(void *), bool (*waiting)(void *), void (*take)(void *), void *arg);
/* Statistics in the world's memory: set back to zero after every action. */
void lab_ignore(void *address, size_t size);
const struct lab_scenario *lab_scenario_now(void);

/* ---- On a CPU -------------------------------------------------------------------------------- */

uint32_t lab_self(void);
/* Is the caller on a CPU, or in setup(), a check or a machine's step? */
bool lab_is_running(void);
/* Any of 0..count-1. */
uint32_t lab_choose(uint32_t count, const char *what);
/* Go on when ready(arg) is true of memory (not of store buffers). */
void lab_wait(bool (*ready)(void *), void *arg, const char *what);
/* A step of the CPU that is no memory access; waits for the store buffer if the assumption is on.
 */
void lab_hardware_step(uint32_t assumption, const char *what);

#define LAB_LOAD(p)     lab_plain_load((p), sizeof(*(p)), __FILE__, __LINE__)
#define LAB_STORE(p, v) lab_plain_store((p), sizeof(*(p)), (uint64_t)(v), __FILE__, __LINE__)
#define LAB_XCHG(p, v)  lab_plain_xchg((p), sizeof(*(p)), (uint64_t)(v), __FILE__, __LINE__)
#define LAB_FENCE()     lab_plain_fence(__FILE__, __LINE__)
uint64_t lab_plain_load(const volatile void *address, uint32_t size, const char *file, int line);
void lab_plain_store(
    volatile void *address, uint32_t size, uint64_t value, const char *file, int line);
uint64_t lab_plain_xchg(
    volatile void *address, uint32_t size, uint64_t value, const char *file, int line);
void lab_plain_fence(const char *file, int line);

/* ---- Anywhere -------------------------------------------------------------------------------- */

/* The property: false is a counterexample. */
void lab_check(bool holds, const char *what);
/* An assertion in the code under test failed; does not return to a CPU's program. */
void lab_bug(const char *file, int line, const char *what) __attribute__((noreturn));
/* A line in the timeline; costs nothing while searching.  what is a string constant. */
void lab_note(const char *what, uint64_t value);

#endif
