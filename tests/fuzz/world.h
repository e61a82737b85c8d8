/* SPDX-License-Identifier: MIT */
/* A VM of some vCPUs for the fuzz targets of core/, its platform, and what must hold at any time.
 */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include <posthorn/posthorn.h>
#include <posthorn/state.h>

#include "tests/fuzz/fuzz.h"
#include "x86/vmcb.h"
#include "x86/vmcs.h"

#define WORLD_VCPU_MAX 8u

struct world_config {
	enum ph_backend backend;
	enum ph_delivery delivery;
	uint32_t vcpu_count;
	bool extended_dest_id;
	bool directed_eoi;
	uint32_t apic_id_step; /* APIC IDs are index * step */
};

struct world_vcpu {
	struct ph_vcpu *vcpu;
	struct vmcb *vmcb;
	uint64_t vmcs[0x7000 / 2]; /* by encoding / 2 */
	uint32_t wake_count;
	uint64_t deadline;
	bool timer_is_armed;
	void *page;
	bool is_waiting;      /* for a start-up IPI */
	uint8_t start_vector; /* of the last one that started it */
	uint32_t smi_count;
};

struct world {
	struct world_config config;
	struct ph_vm *vm;
	struct world_vcpu vcpus[WORLD_VCPU_MAX];
	uint64_t tsc;
	struct ph_vcpu *running;
	/* What the guest does in enter(); NULL: nothing. */
	void (*guest)(struct world_vcpu *own);
};

extern struct world world;

void world_make(const struct world_config *config);

/* Run a vCPU as its owner: to its next exit. */
void world_run(uint32_t index);
/* Let time pass; timers that are due expire. */
void world_advance(uint64_t ticks);

/*
 * What must hold whatever was done: the state of each vCPU and of the VM can be exported, is
 * accepted by a fresh VM, and comes back as it was.  The world is a fresh one afterwards.
 */
void world_check(void);

#endif
