/* SPDX-License-Identifier: MIT */
/* VMX's side of a vCPU: the VMCS, its copy in the registers that both vendors share, its exits. */
#ifndef HYPERVISOR_VMX_VMX_H
#define HYPERVISOR_VMX_VMX_H

#include "hypervisor/vm/arch.h"
#include "hypervisor/vm/vendor.h"
#include "x86/vmcs.h"

/* Capability MSRs (SDM vol. 3, appendix A). */
#define MSR_FEATURE_CONTROL  0x3au
#define FEATURE_CONTROL_LOCK (1ull << 0)
#define FEATURE_CONTROL_VMX  (1ull << 2) /* VMXON outside SMX */
#define MSR_VMX_BASIC        0x480u
#define VMX_BASIC_REVISION   0x7fffffffull
#define VMX_BASIC_TRUE       (1ull << 55)
#define MSR_VMX_PIN          0x481u
#define MSR_VMX_PRIMARY      0x482u
#define MSR_VMX_EXIT         0x483u
#define MSR_VMX_ENTRY        0x484u
#define MSR_VMX_MISC         0x485u
#define VMX_MISC_TIMER_SHIFT 0x1full
#define MSR_VMX_CR0_FIXED0   0x486u
#define MSR_VMX_CR0_FIXED1   0x487u
#define MSR_VMX_CR4_FIXED0   0x488u
#define MSR_VMX_CR4_FIXED1   0x489u
#define MSR_VMX_SECONDARY    0x48bu
#define MSR_VMX_EPT_VPID     0x48cu
#define VMX_EPT_WALK_4       (1ull << 6)
#define VMX_EPT_WB           (1ull << 14)
#define VMX_EPT_2M           (1ull << 16)
#define VMX_VPID_INVVPID     (1ull << 32)
#define VMX_VPID_SINGLE      (1ull << 41)
#define VMX_TRUE_OFFSET      0xcu /* from MSR_VMX_PIN..ENTRY to their TRUE forms */

#define CPUID_1_C_VMX    (1u << 5)
#define CR4_VMXE         (1ull << 13)
#define ENTRY_LOAD_DEBUG (1u << 2)
#define EXIT_SAVE_DEBUG  (1u << 2)

/* SDM vol. 3, table "Exit Qualification for EPT Violations". */
#define EPT_WRITE         (1u << 1)
#define EPT_FETCH         (1u << 2)
#define EPT_LINEAR_VALID  (1u << 7)
#define EPT_FINAL         (1u << 8)
#define EPT_NMI_UNBLOCKED (1u << 12)
/* SDM vol. 3, table "Exit Qualification for APIC-Access VM Exits from Linear Accesses". */
#define APIC_ACCESS_OFFSET_MASK 0xfffu
#define APIC_ACCESS_TYPE_SHIFT  12
#define APIC_ACCESS_WRITE       1u
#define APIC_ACCESS_FETCH       2u
#define APIC_ACCESS_PHYSICAL    10u /* this and above: not a linear access */

/* Host vector that a posted interrupt is notified by; VECTOR_NOTIFY ends the guest's execution. */
#define VECTOR_POSTED 0xe5

/* Controls as the capability MSRs allow them; the same on all pCPUs. */
struct vmx_features {
	uint32_t pin, primary, secondary, exit, entry;
	uint32_t apicv;            /* secondary controls of APIC virtualization that are there */
	enum ph_delivery delivery; /* the fastest */
	uint32_t inhibits;         /* why it is not posted */
	bool has_vpid;
	bool has_timer;            /* VMX-preemption timer */
	uint8_t timer_shift;       /* it counts when that bit of the TSC changes */
};
extern struct vmx_features vmx_features;

/* What the VMCS holds, as last read or written: only changes are written. */
struct vmx_seen {
	uint64_t rip, rsp, rflags, cr0, cr3, cr4, efer, cr2, dr6, tsc_offset, pat;
};

/* Owner only. */
struct vmx_vcpu {
	void *vmcs;
	uint64_t vmcs_phys;
	uint64_t nested_root;
	struct vmx_seen seen;
	uint32_t secondary;
	uint32_t exit_reason;
	uint64_t deadline; /* host TSC for the VMX-preemption timer; VMX_NO_DEADLINE */
	uint16_t vpid;
	bool is_launched;
	bool is_new;   /* the VMCS holds nothing yet */
	bool is_dirty; /* the registers were changed while it was not loaded */
};

#define VMX_EXIT_SLOTS 66u /* one a basic reason; the last: entry failed, or unknown */
_Static_assert(VMX_EXIT_SLOTS <= EXIT_SLOT_COUNT, "exit_count");
#define VMX_REASON_NOT_ENTERED 65u
#define VMX_REASON_LIMIT 128u /* of those that are counted each for itself */
_Static_assert(VMX_REASON_LIMIT <= EXIT_SLOT_COUNT, "exit_count");

static inline uint64_t vmcs_read(uint64_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline void vmcs_write(uint64_t field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

/* ---- cpu.c ---------------------------------------------------------------------------------- */
bool vmx_is_present(void);
void vmx_cpu_init(void);

/* ---- maps.c: EPT, MSR and I/O bitmaps ------------------------------------------------------- */
int vmx_maps_create(void);
uint64_t vmx_tables_create(struct vm *vm);
/* MSR bitmaps: everything but what entry and exit switch exits; and with virtual x2APIC mode. */
extern uint64_t vmx_msr_bitmap, vmx_msr_bitmap_x2apic;
extern uint64_t vmx_io_bitmap_a, vmx_io_bitmap_b;

/* ---- timer.c: the local APIC timer's deadline by the VMX-preemption timer ------------------- */
#define VMX_NO_DEADLINE UINT64_MAX
/* platform.timer_arm and timer_cancel. */
void vmx_timer_arm(struct ph_vcpu *ph, void *host, uint64_t deadline);
void vmx_timer_cancel(struct ph_vcpu *ph, void *host);
/* Before an entry, while there is a deadline or was one at the last (VCPU_WORK_TIMER); IRQs off. */
void vmx_timer_set(struct vcpu *vcpu);
/* The timer's exit. */
void vmx_timer_exit(struct vcpu *vcpu);
/* The vCPU leaves a pCPU: a timer of the host takes over, until it is back.  IRQs off. */
void vmx_timer_put(struct vcpu *vcpu);
void vmx_timer_load(struct vcpu *vcpu);

/* ---- setup.c -------------------------------------------------------------------------------- */
int vmx_vcpu_create(struct vcpu *vcpu, uint64_t nested_root, uint64_t tsc_offset);
void vmx_vcpu_configure(const struct vcpu *vcpu, struct ph_vcpu_config *config);
void vmx_vcpu_reset(struct vcpu *vcpu, bool init);
void vmx_vcpu_boot(struct vcpu *vcpu, const struct boot_state *state);
void vmx_vcpu_start(struct vcpu *vcpu, uint8_t vector);
/* Fill in the VMCS of a vCPU for the first time; it is current. */
void vmx_setup_vmcs(struct vcpu *vcpu);
/* platform.set_delivery. */
void vmx_set_delivery(struct ph_vcpu *ph, void *host, enum ph_delivery delivery);

/* ---- registers.c: VMCS <-> the registers that the shared handlers use ------------------------ */
void vmx_registers_load(struct vcpu *vcpu);
void vmx_segments_load(struct vcpu *vcpu);
/* Write back what handlers have changed; all of it when it was changed while not loaded. */
void vmx_registers_store(struct vcpu *vcpu);
void vmx_registers_store_all(struct vcpu *vcpu);
#define VMX_CR0_GUEST (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM) /* CR0 bits of the guest's own  \
	                                                            */
#define VMX_CR4_GUEST CR4_PGE

/* ---- run.c ---------------------------------------------------------------------------------- */
/* platform.enter: one VM entry.  Owner, IRQs off. */
void vmx_enter(struct ph_vcpu *ph, void *host);
void vmx_enter_traced(struct ph_vcpu *ph, void *host);
/* platform.fast_exit: CPUID, x2APIC and deadline writes, windows. */
bool vmx_fast_exit(struct ph_vcpu *ph, void *host);
void vmx_load_state(struct vcpu *vcpu);
void vmx_save_state(struct vcpu *vcpu);
/* world.S: VMLAUNCH or VMRESUME; the exit reason, VMX_REASON_NOT_ENTERED without an exit. */
uint32_t vmx_run(uint64_t *gprs, bool is_launched);
extern char vmx_run_exit[];

/* ---- exit.c, fault.c ------------------------------------------------------------------------ */
void vmx_handle_exit(struct vcpu *vcpu);
/* What vmx_fast_exit() does too. */
/* An access to the local APIC's page by any instruction; false: it is none. */
bool vmx_fast_access(struct vcpu *vcpu, uint32_t reason);
void vmx_exit_eoi(struct vcpu *vcpu);
void vmx_exit_apic_write(struct vcpu *vcpu);
const char *vmx_slot_name(uint32_t slot);
const char *vmx_code_name(uint64_t code);
/* SDM vol. 3, "VM-Instruction Error Numbers". */
const char *vmx_instruction_error(uint32_t number);
/* The first check on guest state (SDM vol. 3, "Checks on the Guest State Area") that fails. */
const char *vmx_invalid_reason(void);
void vmx_dump(const struct vcpu *vcpu);

#endif
