/* SPDX-License-Identifier: MIT */
/* What the embedder of libposthorn supplies: CPUs, time, sleep and the guest entry itself. */
#ifndef POSTHORN_PLATFORM_H
#define POSTHORN_PLATFORM_H

#include <posthorn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The embedder's verbs.  One constant table per VM.  "Owner" is the thread that runs the vCPU.
 * None of them may call back into libposthorn unless its comment says so.
 */
struct ph_platform {
	/*
	 * Turn host interrupts off and on (on bare metal CLI and STI).  Owner.  A userspace
	 * embedder blocks its kick signal instead, so that a notification sent after the mode word
	 * says IN_GUEST makes enter() return at once.
	 */
	void (*irq_disable)(void);
	void (*irq_enable)(void); /* see irq_disable() */

	/*
	 * Save the interrupt flag and turn interrupts off; restore it.  Any thread or handler, around
	 * each short lock of the core.  May do nothing where no interrupt handler calls the core.
	 */
	uint64_t (*irq_save)(void);
	void (*irq_restore)(uint64_t flags); /* see irq_save() */

	/*
	 * Enter the guest and return after its exit.  Owner, IRQs off at call and return.  A
	 * notification that arrives after irq_disable() must end the guest's execution (injected
	 * delivery) or be taken as a posted interrupt.
	 */
	void (*enter)(struct ph_vcpu *vcpu, void *host);

	/*
	 * The exit that enter() returned with: handle it now, with IRQs off, if it needs nothing but the
	 * vCPU's registers and the core (ph_apic_*(), ph_cr8_*(), exceptions), and is short; a host
	 * interrupt that ended the guest may be handled here, its handler run with IRQs off.  True: the
	 * vCPU goes on in the guest without leaving IN_GUEST; false: the exit is handed up untouched.
	 * NULL: every exit is handed up.  Owner, IRQs off; may call the core's owner functions.
	 */
	bool (*fast_exit)(struct ph_vcpu *vcpu, void *host);

	/*
	 * Make the pCPU that runs the vCPU look: send the notification IPI to `pcpu`.  Any thread or
	 * handler.  Arriving late or at a pCPU that runs something else by then is harmless.
	 */
	void (*notify)(struct ph_vcpu *vcpu, void *host, uint32_t pcpu);

	/*
	 * Make the pCPU that runs the vCPU leave the guest, for a request.  As notify(), but hardware must
	 * not take it as a posted interrupt, for that ends no execution.  NULL: notify() does it.
	 */
	void (*kick)(struct ph_vcpu *vcpu, void *host, uint32_t pcpu);

	/*
	 * sleep(): return when wake() has been called; each return consumes exactly one wake().  A
	 * wake() that comes first is remembered.  Owner, IRQs on.
	 * wake(): any thread or handler.  The core calls it exactly once per announced sleep at most.
	 */
	void (*sleep)(struct ph_vcpu *vcpu, void *host);
	void (*wake)(struct ph_vcpu *vcpu, void *host); /* see sleep() */

	/*
	 * The vCPU running on the calling pCPU, or NULL (idle, or a thread that runs no vCPU).
	 * Any thread or handler.
	 */
	struct ph_vcpu *(*running)(void);

	/* The guest's TSC now.  Owner. */
	uint64_t (*guest_tsc)(struct ph_vcpu *vcpu, void *host);

	/*
	 * Call ph_vcpu_timer_expired() once the guest's TSC has reached `deadline` (replacing any
	 * earlier arming), or cancel.  Owner.  Expiring after cancel is harmless.
	 */
	void (*timer_arm)(struct ph_vcpu *vcpu, void *host, uint64_t deadline);
	void (*timer_cancel)(struct ph_vcpu *vcpu, void *host); /* see timer_arm() */

	/*
	 * PH_BACKEND_VMX: VMREAD and VMWRITE of the vCPU's VMCS, which is current on the calling pCPU;
	 * `field` is an encoding of SDM vol. 3, "Field Encoding in VMCS".  A library built with
	 * PH_VMCS_DIRECT executes the instructions itself.  Owner.
	 */
	uint64_t (*vmcs_read)(const struct ph_vcpu *vcpu, void *host, uint32_t field);
	/* See vmcs_read(). */
	void (*vmcs_write)(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value);
	/*
	 * The active delivery or the APIC's mode changed: set the controls of APIC virtualization and
	 * the MSR bitmap accordingly (SDM vol. 3, "APIC Virtualization and Virtual Interrupts").  The
	 * pin-based "process posted interrupts" is the core's.  Optional where injected delivery is
	 * all there is.  Owner.
	 */
	void (*set_delivery)(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery);

	/*
	 * INIT was taken: put the architectural registers into their INIT state (SDM vol. 3, table
	 * "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT").  The core resets
	 * its own parts.  Owner.
	 */
	void (*init)(struct ph_vcpu *vcpu, void *host);
	/* Start-up IPI taken in wait-for-SIPI: begin at physical address vector << 12.  Owner. */
	void (*start)(struct ph_vcpu *vcpu, void *host, uint8_t vector);
	/* SMI taken.  A platform without system-management mode returns at once.  Owner. */
	void (*smi)(struct ph_vcpu *vcpu, void *host);

	/* An assertion failed (PH_BUG_ON): say so and do not return.  Any thread or handler. */
	void (*bug)(const char *file, int line, const char *what) __attribute__((noreturn));

	/*
	 * A delivery event for the trace ring of the calling pCPU; NULL when tracing is off.
	 * Any thread or handler.
	 */
	void (*trace)(uint32_t event, const struct ph_vcpu *vcpu, uint64_t detail);
};

#ifdef __cplusplus
}
#endif
#endif
