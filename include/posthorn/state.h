/* SPDX-License-Identifier: MIT */
/* Saving and restoring interrupt delivery: images of a vCPU's and a VM's state, and Linux KVM's
 * layouts. */
#ifndef POSTHORN_STATE_H
#define POSTHORN_STATE_H

#include <posthorn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Posthorn's own images ----------------------------------------------------------------- */

/*
 * An image is a string of bytes without padding, little-endian, the same on every machine;
 * docs/state.md gives each byte.  A vCPU's holds its local APIC with the timer, chosen and
 * interrupted events, NMI blocking, requests, LINT pins and the posted-interrupt descriptor; a VM's
 * holds the IOAPIC, the 8259 pair, the GSI routes and who drives each line.  Nothing of the host is
 * in them: no counters, no pCPU, no inhibit reasons.  The guest's registers and its TSC are the
 * embedder's to carry.
 *
 * To move a VM: let every thread that uses it come back from the core (a host request brings a vCPU
 * out of ph_vcpu_run()), export all vCPUs and the VM, make a VM of the same configuration, set its
 * guest TSC, import every vCPU, then the VM, and let the sources go on with the new one.
 */
#define PH_STATE_VERSION   1u
#define PH_VCPU_STATE_SIZE 440u /* bytes of a vCPU's image */
#define PH_VM_STATE_SIZE   1720u /* bytes of a VM's image */

/*
 * Write the vCPU's image.  The vCPU goes on as if nothing had happened; what is posted meanwhile
 * may or may not be in the image.  PH_BACKEND_SVM: RFLAGS in the VMCB are the guest's own
 * afterwards. PH_ENOSPC: size is below PH_VCPU_STATE_SIZE.  PH_ENOTSUP: L2 is current.  Owner, outside ph_vcpu_run();
 * PH_BACKEND_VMX: its VMCS is current.
 */
int ph_vcpu_export(struct ph_vcpu *vcpu, void *image, size_t size);

/*
 * Put the image into a vCPU as ph_vcpu_init() made it, or into the very one that it was taken of.
 * The owner's state is replaced; what is pending in the image is added to what has been posted to
 * the vCPU, so that no post is lost that comes before, during or after.  The timer is armed again
 * by the guest's TSC.  Owner, outside ph_vcpu_run(); PH_BACKEND_VMX: its VMCS is current.
 *
 * The image may come from an enemy, but must not change during the call.  It is checked whole
 * before anything is written; when it is refused, the vCPU is as it was.  PH_ENOTSUP: another
 * version, or L2 is current.  PH_EINVAL: not an image of this size and kind; of a vCPU with another APIC ID, or of a
 * VM that is configured differently; or a field holds what neither a guest nor the hardware can
 * bring about.
 */
int ph_vcpu_import(struct ph_vcpu *vcpu, const void *image, size_t size);

/*
 * The same of the VM's interrupt controllers and routes, with the same results.  Lines that an
 * image says are high are high for the same users as before.  Any thread; nobody may use the VM's
 * sources meanwhile.  Import after all vCPUs: a level that nobody had accepted is sent again.
 */
int ph_vm_export(struct ph_vm *vm, void *image, size_t size);
int ph_vm_import(struct ph_vm *vm, const void *image, size_t size);

/* ---- Linux KVM's layouts ------------------------------------------------------------------- */

/* As KVM_GET_LAPIC has it: the registers at their xAPIC offsets. */
struct ph_kvm_lapic_state {
	uint8_t regs[1024]; /* the page's first 1024 bytes */
};

/* As KVM_GET_IRQCHIP has it for KVM_IRQCHIP_IOAPIC. */
struct ph_kvm_ioapic_state {
	uint64_t base_address; /* guest-physical; the core does not know it: 0xfec00000 */
	uint32_t ioregsel; /* the register that is selected */
	uint32_t id;       /* 4 bits, in place 3:0 */
	uint32_t irr;      /* a bit a pin: its line is high */
	uint32_t pad;      /* 0 */
	uint64_t redirtbl[PH_IOAPIC_PINS]; /* entries as the registers have them */
};

/* As KVM_GET_IRQCHIP has it for one 8259 (KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE). */
struct ph_kvm_pic_state {
	uint8_t last_irr; /* level of each input */
	uint8_t irr; /* requests */
	uint8_t imr; /* masks */
	uint8_t isr; /* in service */
	uint8_t priority_add; /* the input of highest priority */
	uint8_t irq_base; /* vector of input 0 */
	uint8_t read_reg_select; /* 1: reads give ISR */
	uint8_t poll; /* the next read is a poll */
	uint8_t special_mask; /* special mask mode */
	uint8_t init_state; /* 0: none awaited; 1, 2, 3: ICW2, ICW3, ICW4 */
	uint8_t auto_eoi; /* automatic EOI */
	uint8_t rotate_on_auto_eoi; /* priorities rotate with it */
	uint8_t special_fully_nested_mode; /* of ICW4 */
	uint8_t init4; /* ICW4 is needed */
	uint8_t elcr; /* 1: level-triggered */
	uint8_t elcr_mask; /* bits of elcr that can be set */
};

/*
 * What KVM keeps beside the registers: IA32_APIC_BASE (KVM_GET_SREGS) and IA32_TSC_DEADLINE
 * (KVM_GET_MSRS); and how it was told to write x2APIC IDs (KVM_CAP_X2APIC_API).
 */
struct ph_kvm_lapic_beside {
	uint64_t apic_base;    /* IA32_APIC_BASE */
	uint64_t tsc_deadline; /* IA32_TSC_DEADLINE */
	bool ids_are_32bit; /* in x2APIC mode the ID is in bits 31:0 of its register, not 31:24 */
};

/*
 * Write the local APIC, with what is posted already in IRR and the current count in TMCCT.  Set
 * beside->ids_are_32bit before; the rest is written.  NMIs and other events are not part of it.
 * PH_EINVAL: the x2APIC ID does not fit into 8 bits.  Owner, outside ph_vcpu_run().
 */
int ph_vcpu_export_kvm_lapic(
    struct ph_vcpu *vcpu, struct ph_kvm_lapic_state *state, struct ph_kvm_lapic_beside *beside);
/*
 * Take the local APIC from KVM's.  Bits that this APIC does not have are dropped, its version
 * register stays.  PH_EINVAL, and nothing is written: apic_base is none, another x2APIC ID, or an
 * unmasked LVT entry that this APIC does not have (CMCI).  Owner, outside ph_vcpu_run().
 */
int ph_vcpu_import_kvm_lapic(struct ph_vcpu *vcpu, const struct ph_kvm_lapic_state *state,
    const struct ph_kvm_lapic_beside *beside);

/*
 * The IOAPIC.  The layout has one level for each pin: after an import a high line is one that user
 * 0 of its GSI drives, and the embedder sets its lines again.  base_address is not looked at.
 * PH_EINVAL: ids or entries that this IOAPIC cannot hold.  Threads as for ph_vm_export().
 */
void ph_vm_export_kvm_ioapic(struct ph_vm *vm, struct ph_kvm_ioapic_state *state);
int ph_vm_import_kvm_ioapic(struct ph_vm *vm, const struct ph_kvm_ioapic_state *state);

/*
 * The 8259 pair, [0] the master; lines as for the IOAPIC.  The layout cannot say that a chip was
 * never programmed: it comes back programmed, with vector base 0.  Export, PH_ENOTSUP: a chip is in
 * single mode, which KVM does not have.  Import, PH_EINVAL: a field is out of its range.
 */
int ph_vm_export_kvm_pic(struct ph_vm *vm, struct ph_kvm_pic_state state[2]);
int ph_vm_import_kvm_pic(struct ph_vm *vm, const struct ph_kvm_pic_state state[2]);

#ifdef __cplusplus
}
#endif
#endif
