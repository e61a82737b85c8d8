/* SPDX-License-Identifier: MIT */
/* A vCPU's VMCS: controls, host state, and the register states it starts from. */
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vmx/vmx.h"
#include "x86/apic.h"

#define EPTP_WB_4_LEVELS                                                                           \
	(6u | 3u << 3) /* SDM vol. 3, table "Format of Extended-Page-Table Pointer" */
/* Cycles between two PAUSEs of a spin loop, and of spinning before it exits. */
#define PLE_GAP_CYCLES    128u
#define PLE_WINDOW_CYCLES 4096u

/* ---- Controls -------------------------------------------------------------------------------- */

/*
 * #DB and #AC as on SVM: their delivery can raise them again without end.  CR3 and the INVLPG
 * family belong to the guest.
 */
static void setup_controls(const struct vmx_vcpu *vmx)
{
	vmcs_write(VMCS_PIN_BASED, vmx_features.pin);
	vmcs_write(VMCS_PRIMARY, vmx_features.primary);
	vmcs_write(VMCS_SECONDARY, vmx->secondary);
	vmcs_write(VMCS_EXIT_CONTROLS, vmx_features.exit);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC);
	vmcs_write(VMCS_CR0_MASK, ~VMX_CR0_GUEST);
	vmcs_write(VMCS_CR4_MASK, ~VMX_CR4_GUEST);
	vmcs_write(VMCS_EPT_POINTER, vmx->nested_root | EPTP_WB_4_LEVELS);
	if (vmx_features.has_vpid)
		vmcs_write(VMCS_VPID, vmx->vpid);
	vmcs_write(VMCS_MSR_BITMAP, vmx_msr_bitmap);
	vmcs_write(VMCS_IO_BITMAP_A, vmx_io_bitmap_a);
	vmcs_write(VMCS_IO_BITMAP_B, vmx_io_bitmap_b);
	vmcs_write(VMCS_VMCS_LINK_POINTER, UINT64_MAX);
	if (vmx->secondary & SECONDARY_PAUSE_LOOP) {
		vmcs_write(VMCS_PLE_GAP, PLE_GAP_CYCLES);
		vmcs_write(VMCS_PLE_WINDOW, PLE_WINDOW_CYCLES);
	}
}

static void setup_zero_controls(void)
{
	static const uint32_t zeros[] = {
	    VMCS_PAGE_FAULT_MASK,
	    VMCS_PAGE_FAULT_MATCH,
	    VMCS_CR3_TARGET_COUNT,
	    VMCS_EXIT_MSR_STORE_COUNT,
	    VMCS_EXIT_MSR_LOAD_COUNT,
	    VMCS_ENTRY_MSR_LOAD_COUNT,
	    VMCS_ENTRY_INTR_INFO,
	    VMCS_TPR_THRESHOLD,
	};
	uint32_t i;

	for (i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		vmcs_write(zeros[i], 0);
}

static void setup_apic(const struct vcpu *vcpu)
{
	vmcs_write(VMCS_VIRTUAL_APIC_PAGE, phys_of(vcpu->apic_page));
	if (vmx_features.apicv & SECONDARY_APIC_ACCESSES)
		vmcs_write(VMCS_APIC_ACCESS_ADDR, vcpu->vm->apic_access_page);
	if (vmx_features.delivery == PH_DELIVERY_INJECTED)
		return;
	vmcs_write(VMCS_GUEST_INTR_STATUS, 0);
	vmcs_write(VMCS_EOI_EXIT_0, 0);
	vmcs_write(VMCS_EOI_EXIT_1, 0);
	vmcs_write(VMCS_EOI_EXIT_2, 0);
	vmcs_write(VMCS_EOI_EXIT_3, 0);
	if (vmx_features.delivery == PH_DELIVERY_POSTED) {
		vmcs_write(VMCS_POSTED_INTR_VECTOR, VECTOR_POSTED);
		vmcs_write(VMCS_POSTED_INTR_DESC, phys_of(vcpu->pid));
	}
}

/* What is the same on every pCPU; load_state() writes the rest. */
static void setup_host(void)
{
	vmcs_write(VMCS_HOST_CS, SELECTOR_CODE);
	vmcs_write(VMCS_HOST_SS, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_DS, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_ES, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_FS, 0);
	vmcs_write(VMCS_HOST_GS, 0);
	vmcs_write(VMCS_HOST_TR, SELECTOR_TSS);
	vmcs_write(VMCS_HOST_CR0, cr0_read());
	vmcs_write(VMCS_HOST_CR3, cr3_read());
	vmcs_write(VMCS_HOST_CR4, cr4_read());
	vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_run_exit);
}

void vmx_setup_vmcs(struct vcpu *vcpu)
{
	setup_controls(vcpu->vmx);
	setup_zero_controls();
	setup_apic(vcpu);
	setup_host();
	vcpu->vmx->is_new = false;
}

/* ---- Delivery -------------------------------------------------------------------------------- */

void vmx_set_delivery(struct ph_vcpu *ph, void *host, enum ph_delivery delivery)
{
	struct vcpu *vcpu = host;
	struct vmx_vcpu *vmx = vcpu->vmx;
	bool is_virtual = delivery != PH_DELIVERY_INJECTED;
	bool is_x2apic = is_virtual && ph_apic_base_address(ph) == UINT64_MAX;
	/* Of use to injected delivery, too: TPR without exits, and exits that say which register. */
	bool is_page = (vmx_features.apicv & SECONDARY_APIC_ACCESSES) &&
	    ph_apic_base_address(ph) == APIC_DEFAULT_BASE;
	uint32_t secondary = vmx_features.secondary;

	if (is_virtual)
		secondary |= SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS;
	if (is_x2apic)
		secondary |= SECONDARY_X2APIC_MODE;
	if (is_page)
		secondary |= SECONDARY_APIC_ACCESSES;
	vmx->secondary = secondary;
	vmcs_write(VMCS_SECONDARY, secondary);
	vmcs_write(VMCS_MSR_BITMAP, is_x2apic ? vmx_msr_bitmap_x2apic : vmx_msr_bitmap);
	vmcs_write(VMCS_EPT_POINTER,
	    (is_page ? vcpu->vm->apic_root : vmx->nested_root) | EPTP_WB_4_LEVELS);
	arch_flush_tlb(vcpu);
}

static enum ph_delivery least(enum ph_delivery a, enum ph_delivery b)
{
	return a < b ? a : b;
}

void vmx_vcpu_configure(const struct vcpu *vcpu, struct ph_vcpu_config *config)
{
	(void)vcpu;
	config->delivery = least(vmx_features.delivery, vendor_delivery_limit);
	config->inhibits = vmx_features.inhibits;
	if (vendor_delivery_limit < vmx_features.delivery)
		config->inhibits |= 1u << PH_INHIBIT_OPTION;
	config->pin_based = vmx_features.pin;
	config->primary = vmx_features.primary;
}

/* ---- Register states: made in memory, written when the vCPU is loaded ------------------------ */

void vmx_vcpu_reset(struct vcpu *vcpu, bool init)
{
	/* INIT keeps some registers; those of a vCPU that is not loaded are in memory. */
	if (running_vcpu() == vcpu) {
		vmx_registers_load(vcpu);
		vmx_segments_load(vcpu);
	}
	vcpu->vmx->is_dirty = true;
	arch_vcpu_reset(vcpu, init);
}

void vmx_vcpu_boot(struct vcpu *vcpu, const struct boot_state *state)
{
	arch_vcpu_boot(vcpu, state);
	vcpu->vmx->is_dirty = true;
}

void vmx_vcpu_start(struct vcpu *vcpu, uint8_t vector)
{
	vmx_registers_load(vcpu);
	vmx_segments_load(vcpu);
	arch_vcpu_start(vcpu, vector);
	vcpu->vmx->is_dirty = true;
	vmx_registers_store_all(vcpu);
}

int vmx_vcpu_create(struct vcpu *vcpu, uint64_t nested_root, uint64_t tsc_offset)
{
	struct vmx_vcpu *vmx = page_alloc(0);
	uint32_t *vmcs = page_alloc(0);

	_Static_assert(sizeof(struct vmx_vcpu) <= PAGE_SIZE, "struct vmx_vcpu in one page");
	if (!vmx || !vmcs)
		return -1;
	*vmcs = (uint32_t)(rdmsr(MSR_VMX_BASIC) & VMX_BASIC_REVISION);
	vcpu->vmx = vmx;
	vmx->vmcs = vmcs;
	vmx->vmcs_phys = phys_of(vmcs);
	vmx->nested_root = nested_root;
	/* 0 is the host's own. */
	vmx->vpid = (uint16_t)(1 + vcpu->vm->index * VM_CPU_MAX + vcpu->index);
	vmx->secondary = vmx_features.secondary;
	vmx->is_new = true;
	vmx->is_dirty = true;
	vmx->deadline = VMX_NO_DEADLINE;
	vcpu->entry_work = VCPU_WORK_TIMER;
	vcpu->rax = &vcpu->gprs[GPR_RAX];
	if (arch_vcpu_create(vcpu, tsc_offset))
		return -1;
	arch_vcpu_reset(vcpu, false);
	return 0;
}
