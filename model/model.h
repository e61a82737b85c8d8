/* SPDX-License-Identifier: MIT */
/* The hardware as the manuals say it: pCPUs, IPIs in flight, a guest, SVM.  Pure steps, no threads.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/apic.h"
#include "x86/pid.h"
#include "x86/vmcb.h"
#include "x86/vmcs.h"

#define MODEL_PCPU_MAX 8u

/* Host interrupt vectors, by what they are for. */
enum model_vector { MODEL_NOTIFY, MODEL_WAKEUP, MODEL_KICK, MODEL_DEVICE, MODEL_VECTOR_COUNT };

/* One physical CPU's interrupt side (SDM vol. 3, "Local APIC"; one IRR bit a vector: IPIs merge).
 */
struct model_pcpu {
	uint8_t irr;                           /* arrived and not yet taken, by enum model_vector */
	uint8_t in_flight[MODEL_VECTOR_COUNT]; /* sent and not yet arrived */
	uint8_t interrupts_on;                 /* the interrupt flag and GIF together */
	uint8_t pad[2];
};

/* An IPI arrives at any later moment: between sending and arrival anything may happen. */
void model_ipi_send(struct model_pcpu *target, enum model_vector vector);
/* Number of different IPIs in flight to this pCPU; the nth of them arrives. */
uint32_t model_ipi_count(const struct model_pcpu *pcpu);
enum model_vector model_ipi_arrive(struct model_pcpu *pcpu, uint32_t nth);
/* INTA: the highest arrived vector leaves the IRR; EOI follows at once. */
enum model_vector model_interrupt_take(struct model_pcpu *pcpu);

/* ---- A guest: a program of one instruction a step -------------------------------------------- */

enum model_instruction {
	GUEST_SPIN, /* for ever; nothing but an event ends it */
	GUEST_HALT, /* HLT, intercepted; repeated for ever */
	GUEST_EXIT, /* something intercepted that the host handles, once */
	GUEST_FAST, /* the same, handled on the fast path */
	GUEST_WORK, /* something that does not exit, once */
	GUEST_CLI,
	GUEST_STI,         /* without its shadow: model.md */
	GUEST_SHADOW,      /* MOV SS: the next boundary is in its shadow */
	GUEST_HALT_INSIDE, /* HLT, not intercepted: waits for an event, then goes on */
	GUEST_TPR_HIGH,    /* VMX: TPR to class 15, without an exit */
	GUEST_TPR_LOW,     /* VMX: TPR to 0; exits below the TPR threshold */
	GUEST_CLGI,        /* SVM with virtual GIF */
	GUEST_STGI,
};

#define MODEL_GUEST_VECTORS 16u /* a guest vector's class stands for it */

struct model_guest {
	uint8_t pc;
	uint8_t handler;     /* class of the vector whose handler runs; 0: none */
	uint8_t nests;       /* constant: handlers open interrupts before their EOI */
	uint8_t is_broken;   /* an interrupt came through a handler of its own or a higher class */
	uint16_t in_service; /* handlers begun and not ended, by class */
	uint16_t opened;     /* of these, handlers that have opened interrupts */
	uint8_t ended; /* class of the handler that ended last: what an EOI-induced exit is for */
	uint8_t nmi_handler; /* an NMI handler runs */
	uint8_t nmi_blocked; /* by the processor, until IRET */
	uint8_t nmi_taken;
	uint8_t stray_traps; /* #DB that the guest saw and did not ask for */
	uint8_t taken[MODEL_GUEST_VECTORS];
};

/* A vector is taken: its handler begins, with interrupts off. */
void model_guest_take(struct model_guest *guest, uint8_t vector);
/*
 * One step of the handler: true when it was the EOI, its last.  Interrupts are on after either
 * step.
 */
bool model_guest_handler_step(struct model_guest *guest);
/* Is the guest at an instruction that never ends by itself? */
bool model_guest_is_idle(const struct model_guest *guest, const uint8_t *program);

/* Why the guest's turn ended. */
enum model_exit {
	EXIT_NONE,
	EXIT_HOST_INTERRUPT,
	EXIT_WINDOW, /* interrupt window, VINTR */
	EXIT_NMI_WINDOW,
	EXIT_EOI_WRITE,   /* the guest wrote EOI and nothing virtualizes it */
	EXIT_EOI_INDUCED, /* virtualized, and its vector is in the EOI-exit bitmap */
	EXIT_HALT,
	EXIT_HANDLED, /* something that the host handles */
	EXIT_FAST,    /* the same on the fast path */
	EXIT_TPR,     /* VMX: TPR fell below the threshold */
	EXIT_IRET,    /* SVM: the IRET intercept */
	EXIT_TRAP,    /* #DB */
	EXIT_FAULT,   /* in the middle of an event's delivery */
	EXIT_TIMER,   /* VMX: the preemption timer */
};

/* ---- SVM (APM vol. 2, "Secure Virtual Machine") ---------------------------------------------- */

/* VMRUN: takes EVENTINJ into the guest ("Event Injection"). */
void model_svm_vmrun(struct vmcb *vmcb, struct model_guest *guest);
/*
 * #VMEXIT while the injected event is being delivered: EXITINTINFO gets it, the guest has not seen
 * it ("EXITINTINFO").  To be called instead of model_svm_vmrun(), with a valid EVENTINJ.
 */
enum model_exit model_svm_vmrun_faults(struct vmcb *vmcb);
/* Does something end the guest's instruction stream at this boundary? */
bool model_svm_has_event(const struct vmcb *vmcb, const struct model_pcpu *pcpu);
/* One instruction boundary and, without an event, one instruction. */
enum model_exit model_svm_step(struct vmcb *vmcb, struct model_guest *guest, const uint8_t *program,
    const struct model_pcpu *pcpu);
/* ---- VMX (SDM vol. 3, "VM Entries", "VM Exits", "APIC Virtualization and Virtual Interrupts")  */

/* Wrong hardware, to show what the right one is needed for. */
enum model_vmx_fault {
	VMX_RIGHT,
	VMX_KEEPS_ON,      /* posted-interrupt processing does not clear ON */
	VMX_EOI_CLEARS_SVI /* EOI virtualization forgets lower vectors in service */
};

/* The fields that matter to interrupts, each in its own word. */
struct model_vmcs {
	uint32_t pin_based, primary, secondary;
	uint32_t entry_intr_info, idt_vectoring_info;
	uint32_t interruptibility;
	uint32_t tpr_threshold;
	uint32_t exit_controls, exit_intr_info;
	uint16_t intr_status;
	uint16_t posting;      /* 1: ON was cleared, PIR is still to be taken */
	uint8_t in_guest;      /* VMX non-root operation */
	uint8_t timer_expired; /* the preemption timer has counted down to 0 */
	uint8_t pad[6];
	uint64_t rflags;
	uint64_t eoi_exit[4];
};

uint64_t model_vmcs_read(const struct model_vmcs *vmcs, uint32_t field);
void model_vmcs_write(struct model_vmcs *vmcs, uint32_t field, uint64_t value);

/* A VMX guest with its virtual-APIC page and posted-interrupt descriptor. */
struct model_vmx {
	struct model_vmcs *vmcs;
	struct model_guest *guest;
	const uint8_t *program;
	uint8_t *page;
	struct pid *pid;
	enum model_vmx_fault fault;
};

/* VM entry: event injection, PPR virtualization ("Event Injection", "Virtual APIC State"). */
void model_vmx_enter(const struct model_vmx *vmx);
/* An exit in the middle of the injected event's delivery, instead of model_vmx_enter(). */
enum model_exit model_vmx_enter_faults(const struct model_vmx *vmx);
/* The preemption timer can reach 0 now: activated, in the guest, and it has not yet. */
bool model_vmx_timer_runs(const struct model_vmx *vmx);
bool model_vmx_has_event(const struct model_vmx *vmx, const struct model_pcpu *pcpu);
enum model_exit model_vmx_step(const struct model_vmx *vmx, struct model_pcpu *pcpu);

/* ---- VT-d: a device posts (VT-d specification, "Interrupt-Posting Hardware Operation") ------- */

/*
 * One atomic read-modify-write of the descriptor: the PIR bit, and ON if ON and SN were clear.
 * True: send vector *nv to *ndst.
 */
bool model_vtd_post(struct pid *pid, uint8_t vector, uint8_t *nv, uint32_t *ndst);

#endif
