/* SPDX-License-Identifier: MIT */
/* A fake platform and a VM of N vCPUs (PH_BACKEND_SOFT) for the unit tests of core/. */
#ifndef TESTS_UNIT_HARNESS_H
#define TESTS_UNIT_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <posthorn/posthorn.h>
#include "core/vcpu.h"

#define HARNESS_TSC_KHZ        1000000u /* 1 GHz: one TSC tick is 1 ns */
#define HARNESS_APIC_TIMER_KHZ 100000u  /* 100 MHz: one timer tick is 10 TSC ticks */
#define HARNESS_TRACE_MAX      256u

/* What to build; a zeroed field takes its default. */
struct harness_config {
	uint32_t vcpu_count;      /* default 1; vCPU 0 is the BSP */
	const uint32_t *apic_ids; /* default: the index */
	uint64_t tsc_khz;         /* default HARNESS_TSC_KHZ */
	uint64_t apic_timer_khz;  /* default HARNESS_APIC_TIMER_KHZ */
	bool extended_dest_id;
	bool directed_eoi;
	const struct ph_platform *platform;  /* default harness_platform */
	const struct ph_vcpu_config *vcpu;   /* of each vCPU, but for what the harness gives it; default soft */
};

/* One vCPU and every call of a platform verb about it; it is the vCPU's `host`. */
struct harness_vcpu {
	struct ph_vcpu *vcpu;
	uint32_t enter_count;
	bool is_fast_exit; /* what on_enter() returned */
	uint32_t notify_count;
	uint32_t notify_pcpu; /* of the last notify() */
	uint32_t sleep_count;
	uint32_t wake_count;
	uint32_t wakes_unconsumed;
	uint32_t init_count;
	uint32_t start_count;
	uint8_t start_vector; /* of the last start() */
	uint32_t smi_count;
	uint32_t timer_arm_count;
	uint32_t timer_cancel_count;
	bool timer_is_armed;
	uint64_t timer_deadline; /* of the last timer_arm() */
	void *memory;
	void *apic_page;
	void *pid;
};

struct harness_trace {
	uint32_t event;
	const struct ph_vcpu *vcpu;
	uint64_t detail;
};

/* What an exit is to the fake fast_exit(): handed up, or handled. */
enum harness_exit { HARNESS_EXIT, HARNESS_FAST };

struct harness {
	struct ph_vm *vm;
	uint32_t vcpu_count;
	struct harness_vcpu *vcpus;
	void *vm_memory;
	uint64_t tsc;            /* every vCPU's guest TSC */
	struct ph_vcpu *running; /* what running() answers */
	bool irqs_on;
	uint32_t irq_save_depth; /* locks held now: 0 after every call into the core */
	/* Set by a test: what happens inside enter() and when sleep() has no wake to consume.
	 * Without on_sleep, such a sleep fails the test, for it would never end. */
	enum harness_exit (*on_enter)(struct ph_vcpu *vcpu);
	void (*on_sleep)(struct ph_vcpu *vcpu);
	/* Called at step 2 of an entry: what comes between its choice and its recheck. */
	void (*on_irq_disable)(void);
	struct harness_trace trace[HARNESS_TRACE_MAX]; /* the first ones; trace_count goes on */
	uint32_t trace_count;
};

/* The one world of a test binary. */
extern struct harness harness;

/* Build (any earlier world is torn down first); config may be NULL for one vCPU.  A failure of
 * ph_vm_init() or ph_vcpu_init() fails the test. */
void harness_create(const struct harness_config *config);
void harness_destroy(void);
/* cmocka setup and teardown: one default vCPU. */
int harness_setup(void **state);
int harness_teardown(void **state);

struct ph_vcpu *harness_vcpu(uint32_t index);
struct harness_vcpu *harness_host(const struct ph_vcpu *vcpu);
/* The fake platform, for tests that call ph_vm_init() themselves. */
extern const struct ph_platform harness_platform;

/* Let TSC ticks pass; a timer that becomes due fires through ph_vcpu_timer_expired(), once. */
void harness_advance(uint64_t ticks);

/* Bit `vector` of a 256-bit APIC register (APIC_IRR, APIC_ISR, APIC_TMR), not counting PIR. */
bool harness_apic_bit(const struct ph_vcpu *vcpu, uint32_t reg, uint8_t vector);
/* Set bits of such a register. */
uint32_t harness_apic_bit_count(const struct ph_vcpu *vcpu, uint32_t reg);
/* Is the vector posted: in PIR, or in IRR already? */
bool harness_is_pending(const struct ph_vcpu *vcpu, uint8_t vector);
/* Pending requests, REQUEST_* and the embedder's. */
uint32_t harness_requests(const struct ph_vcpu *vcpu);
/* Forget pending interrupts and requests, so that the next row of a table starts clean. */
void harness_clear_pending(struct ph_vcpu *vcpu);

#endif
