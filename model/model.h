/* SPDX-License-Identifier: MIT */
/* The hardware as the manuals say it: pCPUs, IPIs in flight, a guest, SVM.  Pure steps, no threads. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/vmcb.h"

#define MODEL_PCPU_MAX 8u

/* Host interrupt vectors, by what they are for. */
enum model_vector { MODEL_NOTIFY, MODEL_WAKEUP, MODEL_DEVICE, MODEL_VECTOR_COUNT };

/* One physical CPU's interrupt side (SDM vol. 3, "Local APIC"; one IRR bit a vector: IPIs merge). */
struct model_pcpu {
	uint8_t irr;                           /* arrived and not yet taken, by enum model_vector */
	uint8_t in_flight[MODEL_VECTOR_COUNT]; /* sent and not yet arrived */
	uint8_t interrupts_on;                 /* the interrupt flag and GIF together */
	uint8_t pad[3];
};

/* An IPI arrives at any later moment: between sending and arrival anything may happen. */
void model_ipi_send(struct model_pcpu *target, enum model_vector vector);
/* Number of different IPIs in flight to this pCPU; the nth of them arrives. */
uint32_t model_ipi_count(const struct model_pcpu *pcpu);
enum model_vector model_ipi_arrive(struct model_pcpu *pcpu, uint32_t nth);
/* INTA: the highest arrived vector leaves the IRR; EOI follows at once. */
enum model_vector model_interrupt_take(struct model_pcpu *pcpu);

/* ---- A guest: a program of one instruction a step ---------------------------------------------- */

enum model_instruction {
	GUEST_SPIN,  /* for ever; nothing but an event ends it */
	GUEST_HALT,  /* HLT, intercepted; repeated for ever */
	GUEST_EXIT,  /* something intercepted that the host handles, once */
	GUEST_FAST,  /* the same, handled on the fast path */
	GUEST_WORK,  /* something that does not exit, once */
	GUEST_CLI,
	GUEST_STI,   /* without its shadow: model.md */
	GUEST_SHADOW /* MOV SS: the next boundary is in its shadow */
};

#define MODEL_GUEST_VECTORS 16u /* a guest vector's class stands for it */

struct model_guest {
	uint8_t pc;
	uint8_t handler;     /* class of the vector whose handler runs; 0: none */
	uint8_t nmi_handler; /* an NMI handler runs */
	uint8_t nmi_blocked; /* by the processor, until IRET */
	uint8_t nmi_taken;
	uint8_t stray_traps; /* #DB that the guest saw and did not ask for */
	uint8_t taken[MODEL_GUEST_VECTORS];
};

/* ---- SVM (APM vol. 2, "Secure Virtual Machine") ------------------------------------------------ */

#define MODEL_NO_EXIT (~1ull)

/* VMRUN: takes EVENTINJ into the guest ("Event Injection"). */
void model_svm_vmrun(struct vmcb *vmcb, struct model_guest *guest);
/*
 * #VMEXIT while the injected event is being delivered: EXITINTINFO gets it, the guest has not seen
 * it ("EXITINTINFO").  To be called instead of model_svm_vmrun(), with a valid EVENTINJ.
 */
uint64_t model_svm_vmrun_faults(struct vmcb *vmcb);
/* Does something end the guest's instruction stream at this boundary? */
bool model_svm_has_event(const struct vmcb *vmcb, const struct model_pcpu *pcpu);
/* One instruction boundary and, without an event, one instruction.  Exit code or MODEL_NO_EXIT. */
uint64_t model_svm_step(struct vmcb *vmcb, struct model_guest *guest, const uint8_t *program,
    const struct model_pcpu *pcpu);
/* Is the guest at an instruction that never ends by itself? */
bool model_guest_is_idle(const struct model_guest *guest, const uint8_t *program);

#endif
