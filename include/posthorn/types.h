/* SPDX-License-Identifier: MIT */
/* Basic types, results and limits of libposthorn's API. */
#ifndef POSTHORN_TYPES_H
#define POSTHORN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_vm;
struct ph_vcpu;

/* Errors are negative; results that the guest caused are positive. */
enum ph_err {
	PH_OK = 0,
	PH_EINVAL = -1,  /* an argument is out of its stated range */
	PH_ENOTSUP = -2, /* valid, but this build or backend does not do it */
	PH_ENOSPC = -3,  /* a fixed table is full */
	PH_ENOENT = -4,  /* no vCPU, GSI or route of that name */
	PH_GUEST_GP = 1, /* the guest's access raises #GP(0) */
};

#define PH_VCPU_MAX     1024u /* vCPUs in one VM */
#ifndef PH_GSI_MAX
#define PH_GSI_MAX      64u   /* GSIs in one routing table */
#endif
#define PH_IOAPIC_PINS  24u   /* of the IOAPIC */
#define PH_PIC_PINS     16u   /* of the 8259 pair */
#define PH_NO_VECTOR    (-1)  /* in place of a vector */

/* Where an interrupt came from; one counter each (SDM vol. 3, "Local and I/O APIC"). */
#define PH_SOURCE_LIST(X) X(MSI, msi) X(IOAPIC, ioapic) X(PIC, pic) X(IPI, ipi) X(LVT, lvt)

/* PH_SOURCE_MSI and so on. */
enum ph_source {
#define PH_SOURCE_ENUM(upper, lower) PH_SOURCE_##upper,
	PH_SOURCE_LIST(PH_SOURCE_ENUM)
#undef PH_SOURCE_ENUM
	PH_SOURCE_COUNT
};

/* How interrupts reach a running guest; each is faster than the one before. */
#define PH_DELIVERY_LIST(X) \
	X(INJECTED, injected) /* through the VMCS's or VMCB's event field, with windows */ \
	X(VIRTUAL, virtual)   /* virtual-interrupt delivery: RVI, SVI, EOI without exit */ \
	X(POSTED, posted)     /* and posted interrupts: a notification delivers without exit */

/* PH_DELIVERY_INJECTED and so on. */
enum ph_delivery {
#define PH_DELIVERY_ENUM(upper, lower) PH_DELIVERY_##upper,
	PH_DELIVERY_LIST(PH_DELIVERY_ENUM)
#undef PH_DELIVERY_ENUM
};

/* Why a vCPU's delivery is not the fastest that the hardware has. */
#define PH_INHIBIT_LIST(X) \
	X(HARDWARE, "hardware", "the CPU has no virtual-interrupt delivery") \
	X(OPTION, "option", "turned off by an option") \
	X(HOST, "host", "the host asked for it (debugging, save and restore)") \
	X(APIC_DISABLED, "apic-disabled", "the guest disabled this local APIC in IA32_APIC_BASE or SVR") \
	X(APIC_BASE, "apic-base", "the guest moved the xAPIC page")

/* PH_INHIBIT_HARDWARE and so on. */
enum ph_inhibit {
#define PH_INHIBIT_ENUM(upper, name, what) PH_INHIBIT_##upper,
	PH_INHIBIT_LIST(PH_INHIBIT_ENUM)
#undef PH_INHIBIT_ENUM
	PH_INHIBIT_COUNT
};

/* Events of the trace ring (platform.trace); the detail's meaning in brackets. */
#define PH_TRACE_LIST(X) \
	X(POST, post)         /* an interrupt was accepted for the vCPU [vector] */ \
	X(NOTIFY, notify)     /* a notification IPI was sent [0] */ \
	X(WAKE, wake)         /* a blocked vCPU was woken [0] */ \
	X(KICK, kick)         /* an IPI was sent for a request [request bits] */ \
	X(ENTER, enter)       /* entry into the guest [0] */ \
	X(LAP, lap)           /* an entry was abandoned [0] */ \
	X(INJECT, inject)     /* an event goes in with this entry [kind << 8 | vector] */ \
	X(WINDOW, window)     /* a window was asked for [bit 0 interrupt, bit 1 NMI] */ \
	X(BLOCK, block)       /* the vCPU goes to sleep [0] */ \
	X(EOI, eoi)           /* end of interrupt [vector] */ \
	X(EXIT, exit)         /* the guest exited; written by the embedder [exit code] */

/* PH_TRACE_POST and so on. */
enum ph_trace_event {
#define PH_TRACE_ENUM(upper, lower) PH_TRACE_##upper,
	PH_TRACE_LIST(PH_TRACE_ENUM)
#undef PH_TRACE_ENUM
	PH_TRACE_COUNT
};

/* Delivery counters of one vCPU, as `posthorn run` prints them.  Read from any thread. */
struct ph_counters {
	uint64_t posted_count[PH_SOURCE_COUNT]; /* interrupts accepted for this vCPU, by source */
	uint64_t nmi_count;      /* NMIs accepted */
	uint64_t injected_count; /* interrupts, NMIs and exceptions entered through injection */
	uint64_t notified_count; /* notification IPIs sent to make this vCPU look */
	uint64_t elided_count;   /* notifications not needed: the target was the running vCPU */
	uint64_t woken_count;    /* wake-ups from the blocked state */
	uint64_t kicked_count;   /* IPIs sent for a request, not for an interrupt */
	uint64_t window_count;   /* interrupt and NMI windows opened */
	uint64_t lap_count;      /* entries abandoned after IN_GUEST was published */
	uint64_t entry_count;    /* entries into the guest */
	uint64_t reinjected_count; /* events lost by an exit and injected again */
};

#ifdef __cplusplus
}
#endif
#endif
