/* SPDX-License-Identifier: MIT */
/* libposthorn: virtual interrupt delivery for x86 hypervisors.  The installed API. */
#ifndef POSTHORN_POSTHORN_H
#define POSTHORN_POSTHORN_H

#include <posthorn/platform.h>
#include <posthorn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The virtual machine ------------------------------------------------------------------ */

/* What a VM is made of. */
struct ph_vm_config {
	const struct ph_platform *platform; /* the embedder's verbs; lives as long as the VM */
	uint32_t vcpu_count;      /* 1..PH_VCPU_MAX */
	uint64_t tsc_khz;         /* guest TSC frequency; not 0 */
	uint64_t apic_timer_khz;  /* APIC timer input clock before the divider; not 0 */
	bool extended_dest_id;    /* MSI and IOAPIC destinations carry bits 14:8 in address bits 11:5 */
	bool directed_eoi;        /* LAPIC version says EOI-broadcast suppression is there */
	/*
	 * Devices post into the descriptors by themselves (VT-d): one entry for each pCPU, made by
	 * ph_pcpu_init(), and the host's two vectors.  NULL: only software posts.
	 */
	struct ph_pcpu *const *pcpus;
	uint8_t notification_vector; /* of a vCPU that runs */
	uint8_t wakeup_vector;       /* of a vCPU that sleeps; see ph_pcpu_wakeup() */
};

/* Bytes and alignment of the memory that ph_vm_init() wants. */
size_t ph_vm_size(const struct ph_vm_config *config);
#define PH_VM_ALIGN 64u /* alignment of a VM's memory */

/*
 * Make a VM in zeroed memory of ph_vm_size() bytes.  The caller owns the memory and frees it when
 * no thread uses the VM.  PH_EINVAL: a field of config is out of range.
 */
int ph_vm_init(void *memory, const struct ph_vm_config *config, struct ph_vm **vm);

/* ---- Virtual CPUs -------------------------------------------------------------------------- */

/* How events reach the guest. */
enum ph_backend {
	PH_BACKEND_SVM, /* event injection through a VMCB (APM vol. 2, "Event Injection") */
	PH_BACKEND_VMX, /* a VMCS, reached by vmcs_read() and vmcs_write(); injected or APICv */
	PH_BACKEND_SOFT, /* no hardware: ph_vcpu_take_event() hands chosen events to the embedder */
};

/* What a vCPU is made of.  The memory that is pointed to lives as long as the vCPU. */
struct ph_vcpu_config {
	enum ph_backend backend; /* how events reach the guest */
	uint32_t apic_id; /* initial APIC ID = x2APIC ID; unique in the VM; below PH_VCPU_MAX */
	bool is_bsp;      /* one vCPU of a VM is */
	void *host;       /* passed to every platform verb */
	void *apic_page;  /* 4096 zeroed bytes, page-aligned: registers in the SDM's layout */
	void *pid;        /* 64 zeroed bytes, page-aligned: posted-interrupt descriptor */
	void *vmcb;       /* PH_BACKEND_SVM: the VMCB, 4096 bytes */
	/*
	 * PH_BACKEND_VMX: the fastest delivery that the hardware has and the options allow, with the
	 * reason if that is not PH_DELIVERY_POSTED; the pin-based and primary controls as the embedder
	 * wrote them into the VMCS, with virtual NMIs, and with the TPR shadow over apic_page.
	 */
	enum ph_delivery delivery;
	uint32_t inhibits; /* bits 1 << PH_INHIBIT_*, for ph_vcpu_inhibits() only */
	uint32_t pin_based; /* see delivery */
	uint32_t primary;   /* see delivery */
};

/* Bytes and alignment of the memory that ph_vcpu_init() wants. */
size_t ph_vcpu_size(void);
#define PH_VCPU_ALIGN 64u /* alignment of a vCPU's memory */

/*
 * Make vCPU `index` of the VM in zeroed memory of ph_vcpu_size() bytes.  The BSP starts runnable,
 * the others wait for SIPI.  Before any vCPU runs; not thread-safe.
 */
int ph_vcpu_init(struct ph_vm *vm, uint32_t index, void *memory, const struct ph_vcpu_config *config,
    struct ph_vcpu **vcpu);

/* What it was made with, and where it belongs.  Any thread. */
void *ph_vcpu_host(const struct ph_vcpu *vcpu);
uint32_t ph_vcpu_index(const struct ph_vcpu *vcpu);
struct ph_vm *ph_vcpu_vm(const struct ph_vcpu *vcpu);
/* The vCPU of that index, or NULL.  Any thread. */
struct ph_vcpu *ph_vm_vcpu(const struct ph_vm *vm, uint32_t index);
/* A consistent-enough copy of the counters (each is monotonic).  Any thread. */
void ph_vcpu_counters(const struct ph_vcpu *vcpu, struct ph_counters *counters);

/*
 * The vCPU is about to run on this pCPU / stops running here.  Owner, around any number of
 * ph_vcpu_run() calls; a thread that migrates calls put on the old pCPU and load on the new one.
 */
void ph_vcpu_load(struct ph_vcpu *vcpu, uint32_t pcpu);
void ph_vcpu_put(struct ph_vcpu *vcpu);

struct ph_pcpu;
/*
 * A physical CPU's list of sleeping vCPUs, for devices that post: ph_pcpu_wakeup() is the host's
 * handler of the wakeup vector.  `ndst` is the CPU's NDST value, in place (SDM vol. 3, table "Format of
 * Posted-Interrupt Descriptor").  Memory: zeroed, ph_pcpu_size() bytes, 64-byte aligned, the caller's.
 */
size_t ph_pcpu_size(void);
struct ph_pcpu *ph_pcpu_init(void *memory, const struct ph_platform *platform, uint32_t ndst);
/* Handler, on that pCPU. */
void ph_pcpu_wakeup(struct ph_pcpu *pcpu);

/* ---- Which delivery is active, and why it is not a faster one ------------------------------- */

/* Add or remove a reason for the whole VM.  Every vCPU follows before its next entry.  Any thread. */
void ph_vm_inhibit(struct ph_vm *vm, enum ph_inhibit reason, bool on);
/* The active delivery; the reasons (bits 1 << PH_INHIBIT_*) against a faster one.  Any thread;
 * advisory while the vCPU runs. */
enum ph_delivery ph_vcpu_delivery(const struct ph_vcpu *vcpu);
uint32_t ph_vcpu_inhibits(const struct ph_vcpu *vcpu);

/* Why ph_vcpu_run() returned. */
enum ph_run {
	PH_RUN_EXIT,    /* the guest exited; the embedder decodes and handles the exit */
	PH_RUN_REQUEST, /* host requests are pending: ph_vcpu_take_requests() */
	PH_RUN_NESTED_EXIT, /* only after ph_vcpu_set_nested() */
};

/*
 * Run the vCPU until an exit that the platform's enter() did not handle, or a host request.
 * Sleeps inside while the vCPU is halted or waits for SIPI.  Owner, IRQs on.  The only place of
 * entry ordering; see docs/ordering.md.
 */
enum ph_run ph_vcpu_run(struct ph_vcpu *vcpu);

/*
 * HLT was executed and RIP already points behind it.  The next ph_vcpu_run() sleeps until an event
 * that the SDM lists under "HLT" can be taken.  Owner.
 */
void ph_vcpu_halt(struct ph_vcpu *vcpu);

/*
 * L2 is the current guest from now on, or L1 again.  Entries with L2 current load L2's VMCS, so
 * nothing of L1's local APIC is injected, and RVI reaches nobody: as soon as an interrupt or an NMI
 * of L1 can be taken ph_vcpu_run() returns PH_RUN_NESTED_EXIT instead of entering.  The embedder then
 * makes L1 current and shows it an exit for an external interrupt.  This is for an L1 with
 * external-interrupt exiting and without acknowledge-on-exit; there must be no event whose delivery
 * an exit of L2 cut short.  The VMCS of the guest named is the current one.  INIT makes L1 current:
 * the platform's init() follows.  PH_ENOTSUP: the backend is not PH_BACKEND_VMX.  Owner, outside
 * ph_vcpu_run().
 */
int ph_vcpu_set_nested(struct ph_vcpu *vcpu, bool is_nested);

/*
 * Is there an interrupt that the APIC would deliver, if the guest takes interrupts?  Then HLT with
 * RFLAGS.IF set ends at once, and platform.fast_exit() may step over it.  False says nothing.  Owner.
 */
bool ph_vcpu_has_deliverable(struct ph_vcpu *vcpu);

/* ---- Requests: any thread asks the owner for something ------------------------------------- */

/* Bits 0..15 belong to the embedder. */
#define PH_REQUEST_HOST_MASK 0xffffu

/* Set the bits, and kick or wake the vCPU so that they are seen before it enters the guest again. */
void ph_vcpu_request(struct ph_vcpu *vcpu, uint32_t bits);
/* Fetch and clear the embedder's pending bits.  Owner. */
uint32_t ph_vcpu_take_requests(struct ph_vcpu *vcpu);
/* True when an embedder's bit is pending.  Any thread; advisory. */
bool ph_vcpu_has_request(const struct ph_vcpu *vcpu);

/* ---- Events that the owner raises ---------------------------------------------------------- */

/*
 * Queue an exception as a fault of the current instruction (combining into #DF or a triple fault by
 * SDM vol. 3, table "Conditions for Generating a Double Fault").  CR2 and DR6 are the caller's.
 * Owner.  Returns false when the result is a triple fault: the VM must be shut down.
 */
bool ph_vcpu_queue_exception(struct ph_vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
/* NMI from the platform or another thread.  Any thread. */
void ph_vcpu_nmi(struct ph_vcpu *vcpu);
/* The guest executed IRET, or NMIs were unblocked otherwise (SVM: the IRET intercept).  Owner. */
void ph_vcpu_nmi_unblocked(struct ph_vcpu *vcpu);
/*
 * An exception exit; call it before anything else is done with one.  True: it was the #DB of the
 * core's own single step over IRET, and the guest must not see it.  While it steps, the core
 * intercepts every exception: one that is not swallowed goes back by ph_vcpu_queue_exception().
 * Owner.
 */
bool ph_vcpu_exception_exit(struct ph_vcpu *vcpu, uint8_t vector);
/*
 * VMX: the exit's interruption information or EPT qualification says "NMI unblocking due to IRET": IRET
 * faulted and NMIs are blocked again.  Owner.
 */
void ph_vcpu_nmi_blocked_again(struct ph_vcpu *vcpu);
/* The emulator finished an instruction: STI/MOV SS shadow ends (RIP was advanced).  Owner. */
void ph_vcpu_end_shadow(struct ph_vcpu *vcpu);

/* Kinds of events that PH_BACKEND_SOFT hands out. */
enum ph_event_kind { PH_EVENT_NONE, PH_EVENT_INTR, PH_EVENT_NMI, PH_EVENT_EXCEPTION };
/* An event handed to an embedder of PH_BACKEND_SOFT. */
struct ph_event {
	enum ph_event_kind kind; /* what it is */
	uint8_t vector;          /* its vector; 2 for an NMI */
	bool has_error;          /* an exception with an error code */
	uint32_t error;          /* the error code, or 0 */
};
/*
 * PH_BACKEND_SOFT, inside enter(): fetch the event to deliver now.  The embedder states in advance
 * whether the guest can take one.  Owner.
 */
struct ph_event ph_vcpu_take_event(struct ph_vcpu *vcpu);
void ph_vcpu_set_interruptible(struct ph_vcpu *vcpu, bool intr, bool nmi);
/*
 * PH_BACKEND_SOFT, inside enter(): true when an event waits for the guest to become interruptible, so
 * that the embedder returns as soon as it is.  Owner.
 */
bool ph_vcpu_wants_window(const struct ph_vcpu *vcpu);

/* ---- The local APIC's doors ---------------------------------------------------------------- */

/*
 * xAPIC MMIO at the APIC base; offset 0..4095, size 1, 2, 4 or 8.  Owner.  Accesses that the SDM
 * leaves undefined read 0 and write nothing.  Not to be called unless ph_apic_base_address() says
 * the page is there.
 */
uint32_t ph_apic_mmio_read(struct ph_vcpu *vcpu, uint32_t offset, uint32_t size);
void ph_apic_mmio_write(struct ph_vcpu *vcpu, uint32_t offset, uint32_t size, uint32_t value);
/*
 * ph_apic_mmio_write() of 32 bits to EOI, of which the value does not matter, and to ICR's low half: the
 * short way to the registers that are written most.  In xAPIC mode only.  Owner.
 */
void ph_apic_eoi(struct ph_vcpu *vcpu);
void ph_apic_icr_write(struct ph_vcpu *vcpu, uint32_t value);
/*
 * One IPI to many: as a write of `icr` with physical destination to ICR in x2APIC mode, once for each bit n
 * of set[0] and, 64 IDs on, set[1], to APIC ID first + n.  icr: vector, delivery mode, level and trigger
 * only, else PH_EINVAL.  Returns how many vCPUs accepted it.  For hypercalls such as KVM_HC_SEND_IPI.  Owner.
 */
int ph_ipi_multicast(struct ph_vcpu *vcpu, uint32_t icr, uint32_t first, const uint64_t set[2]);
/* Guest-physical address of the xAPIC page, or UINT64_MAX when not in xAPIC mode.  Owner. */
uint64_t ph_apic_base_address(const struct ph_vcpu *vcpu);

/*
 * VMX APIC virtualization.  A write to the virtual-APIC page has been done by the processor, its effect
 * is the core's (SDM vol. 3, "APIC-Write VM Exits"); an EOI was virtualized whose vector is in the
 * EOI-exit bitmap ("EOI Virtualization").  Owner.
 */
void ph_apic_write_exit(struct ph_vcpu *vcpu, uint32_t offset);
void ph_apic_eoi_exit(struct ph_vcpu *vcpu, uint8_t vector);

/*
 * RDMSR/WRMSR of IA32_APIC_BASE (0x1b), IA32_TSC_DEADLINE (0x6e0) and the x2APIC range
 * (0x800-0x8ff).  PH_OK, PH_GUEST_GP, or PH_ENOENT for any other MSR.  Owner.
 */
int ph_apic_msr_read(struct ph_vcpu *vcpu, uint32_t msr, uint64_t *value);
int ph_apic_msr_write(struct ph_vcpu *vcpu, uint32_t msr, uint64_t value);

/* CR8 = TPR[7:4] (SDM vol. 3, "Task Priority in IA-32e Mode").  Owner.  PH_GUEST_GP above 15. */
uint64_t ph_cr8_read(const struct ph_vcpu *vcpu);
int ph_cr8_write(struct ph_vcpu *vcpu, uint64_t value);

/* The deadline given to timer_arm() has passed.  Any thread or handler. */
void ph_vcpu_timer_expired(struct ph_vcpu *vcpu);
/*
 * The same, found by the owner itself, whose guest was left for it (VMX-preemption timer): it fires at
 * once, and in platform.fast_exit() the guest goes on without another lap.  Owner.
 */
void ph_vcpu_timer_exit(struct ph_vcpu *vcpu);
/*
 * What platform.guest_tsc() says has jumped by `delta` (modulo 2^64: WRMSR to IA32_TSC or IA32_TSC_ADJUST).
 * A running count goes on as if nothing had happened; IA32_TSC_DEADLINE is compared with the new TSC.
 * Owner, outside the guest.
 */
void ph_vcpu_tsc_moved(struct ph_vcpu *vcpu, uint64_t delta);
/* Level of LINT0/LINT1 (pin 0 or 1) of this vCPU's local APIC.  Any thread. */
void ph_vcpu_lint(struct ph_vcpu *vcpu, uint32_t pin, bool level);

/* ---- Interrupt sources of the VM ----------------------------------------------------------- */

/* A message-signalled interrupt (SDM vol. 3, "Message Signalled Interrupts"). */
struct ph_msi {
	uint64_t address; /* 0xfee00000 and above, by 1 MiB */
	uint32_t data;    /* vector, delivery mode, trigger */
};
/* Deliver an MSI.  Any thread or handler.  Returns how many vCPUs accepted it, or PH_EINVAL. */
int ph_msi_post(struct ph_vm *vm, const struct ph_msi *msi);

/* Where a GSI leads. */
enum ph_route_kind { PH_ROUTE_NONE, PH_ROUTE_PINS, PH_ROUTE_MSI };
/* One GSI's route: IOAPIC and/or PIC pins, or an MSI. */
struct ph_route {
	enum ph_route_kind kind; /* pins, an MSI, or nowhere */
	int8_t ioapic_pin; /* -1: none */
	int8_t pic_pin;    /* -1: none */
	struct ph_msi msi; /* PH_ROUTE_MSI */
};
/*
 * Replace the whole routing table; routes[gsi], count at most PH_GSI_MAX.  Any one thread at a
 * time; others keep delivering meanwhile and see the old table or the new one, never a mixture.
 * ph_vm_init() installs the PC's default: GSI n to IOAPIC pin n (0 to pin 2) and PIC pin n.
 */
int ph_route_set(struct ph_vm *vm, const struct ph_route *routes, uint32_t count);

/*
 * Set the level of a GSI as driven by one of 32 users of the line; the line is the OR of its users.
 * An edge is a change from 0 to 1.  Any thread or handler.  PH_EINVAL: no such GSI or user.
 */
int ph_gsi_set(struct ph_vm *vm, uint32_t gsi, uint32_t user, bool level);

/* IOAPIC registers: offset 0..255 from its base, 32-bit accesses (others read 0).  Any thread. */
uint32_t ph_ioapic_read(struct ph_vm *vm, uint32_t offset);
void ph_ioapic_write(struct ph_vm *vm, uint32_t offset, uint32_t value);

/* 8259 pair: ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1.  Any thread. */
uint8_t ph_pic_read(struct ph_vm *vm, uint16_t port);
void ph_pic_write(struct ph_vm *vm, uint16_t port, uint8_t value);

#ifdef __cplusplus
}
#endif
#endif
