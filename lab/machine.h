/* SPDX-License-Identifier: MIT */
/* A small machine for scenarios: libposthorn's VM on the model's CPUs, with senders and a guest. */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include <posthorn/posthorn.h>

#include "lab/lab.h"
#include "model/model.h"

#define MACHINE_VCPU_MAX 2u

/* Wrong orders that live outside core/: in the embedder's verbs. */
enum machine_fault {
	MACHINE_RIGHT,
	MACHINE_LATE_IRQS_OFF,   /* interrupts stay on until the entry itself: bug 1 */
	MACHINE_RUNNING_IS_TRUE, /* running() names the vCPU for every caller: bug 4 */
	MACHINE_FORGETS_WAKE,    /* a wake-up that comes before sleep() is not remembered */
	MACHINE_LOSES_EVENT,     /* EXITINTINFO is ignored after an exit in the middle of a delivery */
};

/* A scenario's constants; .data of its struct lab_scenario. */
struct machine_config {
	const uint8_t *program;      /* enum model_instruction; the last one repeats */
	uint32_t vcpu_count;         /* 0: 1 */
	enum machine_fault fault;
	bool deliveries_can_fault;   /* an injected event's delivery may be cut short by an exit, once */
	bool migrates;               /* the vCPU moves to another pCPU between two entries, once */
	bool nmis;                   /* the senders send NMIs */
	bool requests;               /* the senders raise host requests */
	bool interrupt_posts;        /* a device's host interrupt on the vCPU's own pCPU posts a vector */
	bool same_vector;            /* all senders post the same vector */
	uint32_t posts_each;         /* interrupts of each sender; 0: 1 */
};

/* All of the machine that is not libposthorn's; in the world. */
struct machine_vcpu {
	struct model_guest guest;
	uint8_t wake_count;     /* wake() without its sleep() */
	uint8_t is_asleep;
	uint8_t pcpu;
	uint8_t pad;
	uint8_t has_faulted, has_migrated;
	uint8_t request_posted, request_seen;
};

struct machine {
	struct model_pcpu pcpus[MODEL_PCPU_MAX];
	struct machine_vcpu vcpus[MACHINE_VCPU_MAX];
	uint8_t running[MODEL_PCPU_MAX]; /* vCPU index + 1; 0: none */
	uint8_t posted[MODEL_GUEST_VECTORS];
	uint8_t nmi_posted;
	uint8_t device_fired;
	uint8_t spurious_count; /* notifications that found their vCPU outside the guest */
};
extern struct machine *machine;

/* The usual setup(): one vCPU on pCPU 0, senders on pCPUs 1 and up. */
void machine_setup(const struct lab_params *params);
/* The usual quiescent(): nothing posted is untaken, no request unseen, no NMI lost. */
void machine_nothing_pending(void);
/* The usual invariant(): nothing taken that was not posted. */
void machine_nothing_invented(void);

/* ---- For scenarios that bring their own actors ---- */
struct ph_vcpu *machine_vcpu(uint32_t index);
/* Post the vector of class `vector_class` (3..15) to a vCPU, as a device's MSI. */
void machine_post(uint32_t vcpu, uint32_t vector_class);
const struct machine_config *machine_config(void);
void lab_ignore_counters(struct ph_vcpu *vcpu, size_t size);

#define MACHINE_SCENARIO \
	.setup = machine_setup, .invariant = machine_nothing_invented, \
	.quiescent = machine_nothing_pending

#endif
