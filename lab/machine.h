/* SPDX-License-Identifier: MIT */
/* A small machine for scenarios: libposthorn's VM on the model's CPUs, with senders and a guest. */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include <posthorn/posthorn.h>

#include "lab/lab.h"
#include "model/model.h"

#define MACHINE_VCPU_MAX 2u

/* Wrong orders that live outside core/: in the embedder's verbs, or in the hardware. */
enum machine_fault {
	MACHINE_RIGHT,
	MACHINE_SLEEPER_ELIDED, /* no wake-up when the vCPU is the running one: bug 4 */
	MACHINE_FORGETS_WAKE,   /* a wake-up that comes before sleep() is not remembered */
	MACHINE_LOSES_EVENT,    /* the event of an interrupted delivery is ignored */
	MACHINE_KEEPS_ON,       /* the processor does not clear ON: bug 17 */
	MACHINE_EOI_CLEARS_SVI, /* EOI sets SVI to 0: bug 18 */
	MACHINE_EXTRA_WINDOW,   /* an interrupt window although delivery is virtual: bug 20 */
	MACHINE_WRONG_NDST,     /* a sleeper's descriptor names another pCPU: bug 21 */
	MACHINE_EARLY_STEP,     /* single-steps whatever runs when it wants an NMI window: bug 16 */
	MACHINE_KICK_NOTIFIES,  /* a kick is sent with the notification vector */
	MACHINE_NO_THRESHOLD,   /* the TPR threshold is not refreshed: bug 25 */
	MACHINE_FAST_FORGETS,   /* fast_exit() says that it has handled an EOI, and has not */
	MACHINE_FORGETS_GIF,    /* the backend does not see that the guest's GIF is clear */
	MACHINE_DROPS_ACKED,    /* the vector that the exit acknowledged is not handled */
};

/* A scenario's constants; .data of its struct lab_scenario. */
struct machine_config {
	const uint8_t *program; /* enum model_instruction; the last one repeats */
	bool is_vmx;
	enum ph_delivery delivery; /* VMX */
	enum machine_fault fault;
	uint32_t posts_each;       /* interrupts of each sender; 0: 1 */
	bool same_vector;          /* all senders post the same vector */
	bool nmis;                 /* the senders send NMIs */
	bool requests;             /* the senders raise host requests */
	bool deliveries_can_fault; /* an injected event's delivery may be cut short by an exit, once
	                            */
	uint8_t moves; /* how often the vCPU may move to another pCPU, or back, between entries */
	bool is_preempted;   /* put and loaded again on its pCPU between two entries, once */
	bool handler_posts;  /* a device's host interrupt on the vCPU's own pCPU posts a vector */
	bool device_posts;   /* VT-d: a device posts a vector by itself */
	bool toggles;        /* someone inhibits the fast delivery and allows it again */
	bool level;          /* the senders' interrupts are level-triggered MSIs */
	bool lint;           /* the senders raise LINT0, an edge with a vector of its own */
	bool nests;          /* handlers open interrupts before their EOI */
	bool fast_eoi;       /* EOI writes are handled on the fast path */
	bool fast_self_ipi;  /* the fast path writes the self-IPI register; else it posts an MSI */
	uint32_t vcpu_count; /* 0: 1 */
	bool exchanges;      /* GUEST_EXIT is an IPI to the other vCPU */
	bool preempts;       /* VMX: the preemption timer expires once; a fast exit that posts */
	bool acknowledges;   /* VMX: exits acknowledge the interrupt */
	bool has_vgif;       /* SVM: virtual GIF */
	bool pic;            /* the senders raise a line of the 8259 */
	bool late_pic;       /* GUEST_EXIT lets this vCPU take the 8259's INTR, not before */
	bool counts;         /* IPIs are counted */
	/* VMX: GUEST_EXIT of the program is VMRESUME of L2, which runs this one.  L1 takes interrupts
	 * by exits of L2, after each of which its program begins anew. */
	const uint8_t *l2_program;
	bool imports;        /* the owner saves the vCPU and puts it back before it runs */
};

/* All of the machine that is not libposthorn's; in the world. */
struct machine_vcpu {
	struct model_guest guest, l2;
	uint8_t is_l2;      /* the VMCS of L2 is the current one */
	uint8_t exit;       /* enum model_exit, until it is handled */
	uint8_t wake_count; /* wake() without its sleep() */
	uint8_t is_asleep;
	uint8_t pcpu;
	uint8_t has_faulted, moved_count, was_preempted, timer_count;
	uint8_t request_posted, request_seen;
	uint8_t posted[MODEL_GUEST_VECTORS];
};

struct machine {
	struct model_pcpu pcpus[MODEL_PCPU_MAX];
	struct machine_vcpu vcpus[MACHINE_VCPU_MAX];
	uint8_t running[MODEL_PCPU_MAX]; /* vCPU index + 1; 0: none */
	uint8_t nmi_posted;
	uint8_t handler_fired, device_fired, device_in_flight;
	uint8_t window_count; /* exits for an interrupt window */
	/* With .counts: IPIs; kicks for a request that was seen; those by an old mode word. */
	uint8_t ipi_count, spurious_count, stale_count;
	uint8_t is_in_guest, exit_count;    /* vCPU 0 */
	uint8_t exits_seen[MODEL_PCPU_MAX]; /* by each sender when it read the mode word */
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
struct ph_vm *machine_vm(void);
const struct pid *machine_pid(uint32_t index);
bool machine_tmr_bit(uint32_t index, uint8_t vector);
/* Post a vector, the vector of class `vector_class` (4..15), to a vCPU, as a device's MSI. */
void machine_post_vector(uint32_t vcpu, uint8_t vector);
void machine_post(uint32_t vcpu, uint32_t vector_class);
/* The same, level-triggered or not whatever the configuration says. */
void machine_post_triggered(uint32_t vcpu, uint8_t vector, bool is_level);
/* The VM of the scenario's configuration, without actors. */
void machine_make(void);
/* The vCPUs' threads, the wire and what else the configuration has, without senders. */
void machine_start(void);
const struct machine_config *machine_config(void);

#define MACHINE_SCENARIO                                                                           \
	.setup = machine_setup, .invariant = machine_nothing_invented,                             \
	.quiescent = machine_nothing_pending

#endif
