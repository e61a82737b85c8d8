/* SPDX-License-Identifier: MIT */
/* The core's own view of a VM and a vCPU: data split by who may touch it. */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include <posthorn/posthorn.h>
#include "core/shared.h"
#include "x86/apic.h"
#include "x86/pid.h"

/*
 * Order of locks: ioapic_lock or pic_lock, then route_lock.  Posting takes none of them, so a
 * source may post while it holds its own.
 */

/* ---- The mode word: generation in the upper bits, state in the low 2 ----------------------- */
#define MODE_OUTSIDE                     0u
#define MODE_IN_GUEST                    1u
#define MODE_EXITING                     2u
#define MODE_READING_SHADOW_PAGE_TABLES  3u
#define MODE_STATE_MASK                  3u

/* ---- Requests: bits 0..15 are the embedder's ----------------------------------------------- */
#define REQUEST_NMI    (1u << 16)
#define REQUEST_INIT   (1u << 17)
#define REQUEST_SIPI   (1u << 18)
#define REQUEST_SMI    (1u << 19)
#define REQUEST_TIMER  (1u << 20) /* the LAPIC timer's deadline has passed */
#define REQUEST_EVENT  (1u << 21) /* look again: the PIC's output or a routing fact changed */
#define REQUEST_LINT   (1u << 22) /* a LINT pin changed */
#define REQUEST_EXTINT (1u << 23) /* an ExtINT message arrived */
#define REQUEST_LEVEL  (1u << 24) /* interrupts that change TMR wait in vcpu_shared.level and .edge */
#define REQUEST_DELIVERY (1u << 25) /* the reasons against a faster delivery changed */
#define REQUEST_NMI_2  (1u << 26) /* a second NMI: one in service may have one behind it */

#define REQUEST_ALL (PH_REQUEST_HOST_MASK | ((REQUEST_NMI_2 << 1) - REQUEST_NMI))

#define BLOCKED_NO  0u
#define BLOCKED_YES 1u

/*
 * What a sender must know of a vCPU's local APIC, in one word so that it is read whole.
 * Writer: the owner (route_publish_identity()).  Readers: anyone who routes.
 */
#define IDENTITY_ID_MASK        0x00000000ffffffffull /* xAPIC: 8-bit ID; x2APIC: 32-bit ID */
#define IDENTITY_LDR_SHIFT      32                    /* xAPIC: logical APIC ID, 8 bits */
#define IDENTITY_CLUSTER_MODEL  (1ull << 40)          /* DFR says cluster */
#define IDENTITY_X2APIC         (1ull << 41)
#define IDENTITY_HW_ENABLED     (1ull << 42)          /* IA32_APIC_BASE enable bit */
#define IDENTITY_SW_ENABLED     (1ull << 43)          /* SVR enable bit */

/* The LINT pins: 0 or 1 shifted left by the pin's number. */
#define LINT_HIGH 1u        /* the level now */
#define LINT_ROSE (1u << 8) /* an edge that the owner has not handled */

/* Any CPU may touch these, only through core/shared.h. */
struct vcpu_shared {
	uint32_t mode;     /* writer: the owner in enter.c; kickers only IN_GUEST -> EXITING */
	uint32_t requests; /* writers: anyone (or); the owner fetches and clears */
	uint32_t blocked;  /* writers: the owner publishes; one waker or the owner claims */
	uint32_t pcpu;     /* writer: the owner in ph_vcpu_load(), before IN_GUEST; readers: senders */
	uint32_t sipi_vector; /* writers: senders, before REQUEST_SIPI */
	uint32_t lint; /* LINT_HIGH, LINT_ROSE of each pin; writers: anyone (or/and) */
	uint32_t accepts_pic; /* writer: the owner (lapic); reader: source_pic.c */
	uint32_t arbitration_priority; /* PPR for lowest-priority choice; writer: the owner */
	uint64_t identity;
	uint64_t level[4]; /* level-triggered vectors on their way; writers: senders, before REQUEST_LEVEL */
	uint64_t edge[4];  /* the same: edge-triggered ones whose bit in TMR is set */
	uint64_t tmr[4];   /* TMR, for senders; writer: the owner (lapic) */
};

/* Statistics that other CPUs add to. */
struct vcpu_statistics {
	uint64_t posted_count[PH_SOURCE_COUNT];
	uint64_t nmi_count;
	uint64_t notified_count;
	uint64_t elided_count;
	uint64_t woken_count;
	uint64_t kicked_count;
};

/* The local APIC's registers and what is derived from them.  Owner only. */
struct lapic {
	uint8_t *page;     /* registers at the SDM's offsets; an APICv virtual-APIC page fits */
	uint64_t base;     /* IA32_APIC_BASE */
	uint64_t tsc_deadline;
	uint32_t id;       /* initial APIC ID and x2APIC ID */
	uint32_t esr_pending; /* errors since the last write to ESR */
	uint64_t timer_expiry; /* guest TSC at which TMCCT reaches 0; 0: not running */
	uint64_t timer_period; /* guest TSC ticks of one period */
	bool timer_is_armed;   /* the platform's timer may still expire */
	uint8_t irr_pending; /* bit n: the nth 32 vectors of IRR are not all clear */
	uint8_t isr_pending; /* the same of ISR */
	int32_t highest_isr; /* cache; PH_NO_VECTOR when ISR is empty */
	bool is_bsp;
	/* Booleans; as words, for enter.c looks at them after every exit. */
	uint32_t accepts_pic;    /* as published: LINT0 takes the 8259's INTR */
	uint32_t extint_pending; /* an ExtINT message waits for its INTA */
	/* Virtual-interrupt delivery: the processor changes IRR, ISR and PPR behind the caches. */
	bool is_stale;    /* the guest has run since the caches above were right */
	bool irr_changed; /* what RVI, SVI and the EOI-exit bitmap come from changed by software */
	bool isr_changed;
	bool tmr_changed;
	uint32_t seen[64]; /* registers as software last left them; see ph_apic_write_exit() */
};

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HALTED, ACTIVITY_WAIT_FOR_SIPI };

/* An event chosen for, or lost by, an entry.  Owner only. */
enum event_kind { EVENT_NONE, EVENT_INTR, EVENT_EXTINT, EVENT_NMI, EVENT_EXCEPTION };
struct event {
	enum event_kind kind;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

struct events {
	struct event lost;      /* delivery interrupted by an exit: goes first, as it was */
	struct event exception; /* raised by the owner, not yet entered */
	uint8_t nmi_pending_count; /* 0..2: one in service may have one behind it */
	bool nmi_masked;        /* an NMI is in service until IRET */
};

/* NMI blocking, wherever a backend keeps it. */
struct nmi_state {
	bool is_masked;
	bool awaits_iret; /* masked, and the IRET at iret_rip has been seen but not completed */
	uint64_t iret_rip;
};

/* What the VMX backend last wrote, to write only changes. */
struct vmx_controls {
	uint32_t pin_based;
	uint32_t primary;
	uint8_t tpr_threshold;
};

struct ph_vcpu {
	struct vcpu_shared shared __attribute__((aligned(64)));
	struct vcpu_statistics statistics __attribute__((aligned(64)));

	/* From here on: owner only, or constant after ph_vcpu_init(). */
	const struct backend *backend __attribute__((aligned(64)));
	const struct ph_platform *platform;
	void *host;
	struct ph_vm *vm;
	struct pid *pid; /* the descriptor itself is shared; only through core/shared.h */
	void *vmcb;
	uint32_t index;
	enum activity activity;
	uint32_t is_nested; /* a boolean, as a word for enter.c: L2 is the current guest; writer: nested.c */
	struct lapic lapic;
	struct events events;
	struct ph_counters counters; /* the owner's part; the rest is in statistics */
	/* Backend's own. */
	uint64_t nmi_iret_rip;   /* RIP of the IRET that will unblock NMIs */
	bool nmi_awaits_iret;    /* IRET seen, not yet completed */
	bool nmi_steps;          /* RFLAGS.TF is ours, to see that IRET complete */
	bool nmi_step_kept_tf;   /* RFLAGS.TF and exception intercepts as they were before the step */
	uint32_t nmi_step_kept_exceptions;
	bool intr_window;        /* windows asked for at present */
	bool nmi_window;
	uint8_t tpr_given;       /* TPR and threshold that the backend was given last */
	uint8_t threshold_given;
	struct vmx_controls vmx;
	enum ph_delivery delivery;      /* active; writer: delivery.c */
	enum ph_delivery delivery_best; /* of the hardware and the options */
	uint32_t inhibits_fixed;        /* why delivery_best is not PH_DELIVERY_POSTED */
	uint32_t inhibits;              /* this vCPU's own passing reasons */
	uint64_t delivery_base;         /* IA32_APIC_BASE that `delivery` was set for */
	struct ph_vcpu *wake_next;      /* pCPU's wake list; under its lock */
	struct ph_pcpu *wake_pcpu;      /* whose list it is on; NULL: none */
	bool soft_intr_allowed;
	bool soft_nmi_allowed;
	struct ph_event soft_event; /* PH_BACKEND_SOFT: committed for this entry */
};

/* ---- Routing and the interrupt controllers: shared by all vCPUs ---------------------------- */

struct ioapic {
	struct shared_lock lock; /* protects all below */
	uint32_t select;
	uint32_t id;
	uint64_t rte[PH_IOAPIC_PINS];
	uint32_t line_users[PH_IOAPIC_PINS]; /* who drives each pin: one bit a user */
};

struct pic_chip {
	uint8_t irr, isr, imr, line, elcr, vector_base;
	uint8_t awaited_icw;     /* 2, 3 or 4: the word that port 1 takes next; 0: OCW1 */
	uint8_t priority_lowest; /* the input of lowest priority; the one above it is highest */
	bool is_programmed;      /* ICW1 to the last ICW were written: requests reach the output */
	bool is_single, needs_icw4, auto_eoi, rotates_on_auto_eoi;
	bool special_mask, special_fully_nested, polled, reads_isr;
};

struct pic {
	struct shared_lock lock; /* protects chip and line_users */
	struct pic_chip chip[2];
	uint32_t line_users[PH_PIC_PINS];
	uint32_t output; /* INTR; written under the lock, read by owners without it */
};

/* A struct ph_route packed into two shared words (route.c). */
struct route_entry {
	uint64_t address; /* of the MSI */
	uint64_t what;    /* kind, pins and the MSI's data */
};

/* One copy of the GSI routes; the latch keeps two and flips. */
struct route_tables {
	struct route_entry gsi[PH_GSI_MAX];
};

struct ph_vm {
	const struct ph_platform *platform;
	struct ph_vm_config config;
	struct shared_lock route_lock; /* writers of the latch and of the APIC ID maps */
	uint32_t route_sequence;       /* readers use tables[sequence & 1] */
	struct route_tables tables[2];
	struct ioapic ioapic;
	struct pic pic;
	/* Destination facts, rebuilt by route.c; see there. */
	uint32_t vcpu_count;
	struct ph_vcpu **vcpus;   /* vcpu_count pointers, behind this struct */
	uint32_t *physical_map;   /* APIC ID -> whose (core/route.h); single words, no latch */
	uint32_t xapic_count;     /* vCPUs in xAPIC mode; writer: under route_lock; any reader */
	uint32_t gsi_users[PH_GSI_MAX]; /* who drives each GSI that is routed to an MSI; anyone */
	uint32_t inhibits;              /* reasons for the whole VM; writers: anyone (or/and) */
};

/* A physical CPU's vCPUs that sleep and may be woken by a device. */
struct ph_pcpu {
	struct shared_lock lock; /* protects the list */
	struct ph_vcpu *first;
	const struct ph_platform *platform;
	uint32_t ndst;
};

/* PH_BUG_ON: always on. */
#define PH_BUG_ON(vcpu_or_vm, condition) \
	do { \
		if (__builtin_expect(!!(condition), 0)) \
			(vcpu_or_vm)->platform->bug(__FILE__, __LINE__, #condition); \
	} while (0)

#endif
