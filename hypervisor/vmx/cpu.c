/* SPDX-License-Identifier: MIT */
/* VMX on each pCPU: capability MSRs, what is used of them, VMXON. */
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vmx/vmx.h"
#include "x86/cpuid.h"

struct vmx_features vmx_features;

bool vmx_is_present(void)
{
	return cpuid(1, 0).ecx & CPUID_1_C_VMX;
}

/* ---- Controls (SDM vol. 3, "Algorithms for Determining VMX Capabilities") -------------------- */

/*
 * Lower half: bits that must be 1; upper half: bits that may be 1.  All of `needed`, and what there
 * is of `wanted`.
 */
static uint32_t controls(const char *name, uint32_t msr, uint32_t needed, uint32_t wanted)
{
	uint64_t allowed;
	uint32_t may_be_1, must_be_1;

	if (msr != MSR_VMX_SECONDARY && (rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE))
		msr += VMX_TRUE_OFFSET;
	allowed = rdmsr(msr);
	must_be_1 = (uint32_t)allowed;
	may_be_1 = (uint32_t)(allowed >> 32);
	if (needed & ~may_be_1)
		panic("not supported: VMX without %s controls %#x", name, needed & ~may_be_1);
	return ((needed | wanted) & may_be_1) | must_be_1;
}

#define SECONDARY_APICV                                                                            \
	(SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC_MODE | SECONDARY_APIC_REGISTERS |              \
	    SECONDARY_VIRTUAL_INTERRUPTS)

/* The fastest delivery of hardware and option, and why there is no faster one. */
static void settle_delivery(struct vmx_features *f, bool has_posting)
{
	f->delivery = PH_DELIVERY_POSTED;
	if (!has_posting)
		f->delivery = PH_DELIVERY_VIRTUAL;
	if ((f->secondary & SECONDARY_APICV) != SECONDARY_APICV)
		f->delivery = PH_DELIVERY_INJECTED;
	if (f->delivery != PH_DELIVERY_POSTED)
		f->inhibits |= 1u << PH_INHIBIT_HARDWARE;
	f->apicv = f->secondary & SECONDARY_APICV;
	f->secondary &= ~SECONDARY_APICV; /* set_delivery() turns on what it wants */
}

static struct vmx_features cpu_features(void)
{
	struct vmx_features f = {0};
	uint64_t ept = rdmsr(MSR_VMX_EPT_VPID);
	uint32_t pin;

	pin = controls("pin-based", MSR_VMX_PIN,
	    PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS,
	    PIN_POSTED_INTERRUPTS | PIN_PREEMPTION_TIMER);
	f.pin = pin & ~PIN_POSTED_INTERRUPTS; /* the core turns it on */
	f.primary = controls("primary", MSR_VMX_PRIMARY,
	    PRIMARY_TSC_OFFSETTING | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_RDPMC |
	        PRIMARY_TPR_SHADOW | PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS | PRIMARY_MONITOR |
	        PRIMARY_SECONDARY,
	    0);
	if (f.primary & (PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE))
		panic("not supported: VMX that exits on every access to CR3");
	f.secondary = controls("secondary", MSR_VMX_SECONDARY,
	    SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_WBINVD,
	    SECONDARY_VPID | SECONDARY_RDTSCP | SECONDARY_INVPCID | SECONDARY_PAUSE_LOOP |
	        SECONDARY_APICV);
	f.exit = controls("exit", MSR_VMX_EXIT,
	    EXIT_HOST_64 | EXIT_ACK_INTERRUPT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
	        EXIT_LOAD_EFER | EXIT_SAVE_DEBUG,
	    0);
	f.entry = controls("entry", MSR_VMX_ENTRY,
	    ENTRY_IA32E | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER | ENTRY_LOAD_DEBUG, 0);
	if ((ept & (VMX_EPT_WALK_4 | VMX_EPT_WB | VMX_EPT_2M)) !=
	    (VMX_EPT_WALK_4 | VMX_EPT_WB | VMX_EPT_2M))
		panic("not supported: EPT without 4 levels, write-back or 2 MB pages");
	f.has_vpid =
	    (f.secondary & SECONDARY_VPID) && (ept & VMX_VPID_INVVPID) && (ept & VMX_VPID_SINGLE);
	if (!f.has_vpid)
		f.secondary &= ~SECONDARY_VPID;
	f.has_timer = pin & PIN_PREEMPTION_TIMER;
	f.timer_shift = (uint8_t)(rdmsr(MSR_VMX_MISC) & VMX_MISC_TIMER_SHIFT);
	settle_delivery(&f, pin & PIN_POSTED_INTERRUPTS);
	return f;
}

static void log_features(void)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} optional[] = {
	    {SECONDARY_VPID, "VPID"},
	    {SECONDARY_RDTSCP, "RDTSCP"},
	    {SECONDARY_INVPCID, "INVPCID"},
	    {SECONDARY_PAUSE_LOOP, "PAUSE-loop exiting"},
	    {SECONDARY_APIC_ACCESSES, "virtual APIC accesses"},
	    {SECONDARY_X2APIC_MODE, "virtual x2APIC mode"},
	    {SECONDARY_APIC_REGISTERS, "APIC-register virtualization"},
	    {SECONDARY_VIRTUAL_INTERRUPTS, "virtual-interrupt delivery"},
	};
	static const char *const names[] = {"injected", "virtual", "posted"};
	uint32_t i;

	for (i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (!((vmx_features.secondary | vmx_features.apicv) & optional[i].bit))
			log_printf("VMX: no %s; going on without", optional[i].name);
	if (!vmx_features.has_timer)
		log_printf("VMX: no preemption timer; going on without");
	if (vmx_features.delivery != PH_DELIVERY_POSTED)
		log_printf("VMX: no posted interrupts; going on without");
	log_printf("VMX: delivery up to %s", names[vmx_features.delivery]);
}

static void cpu_check_features(void)
{
	struct vmx_features f = cpu_features();

	if (!vmx_features.pin) {
		vmx_features = f;
		host_features.has_next_rip = true;
		host_features.has_decode_assists = true;
		host_features.has_pause_filter = f.secondary & SECONDARY_PAUSE_LOOP;
		features_init_xsave();
		log_features();
	}
	if (vmx_features.pin != f.pin || vmx_features.primary != f.primary ||
	    vmx_features.secondary != f.secondary || vmx_features.exit != f.exit ||
	    vmx_features.entry != f.entry || vmx_features.delivery != f.delivery)
		panic("not supported: pCPU %u has other VMX features than pCPU 0", cpu_index());
}

/* ---- VMXON (SDM vol. 3, "Enabling and Entering VMX Operation") ------------------------------- */

static void cpu_allow_vmxon(void)
{
	uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
	else if (!(control & FEATURE_CONTROL_VMX))
		panic("not supported: VMX is disabled by the firmware");
	cr0_write((cr0_read() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
	cr4_write((cr4_read() | CR4_VMXE | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
}

static void cpu_vmxon(void)
{
	uint32_t *region = page_alloc(0);
	uint64_t phys;
	bool is_failed;

	if (!region)
		panic("no memory for VMX on pCPU %u", cpu_index());
	*region = (uint32_t)(rdmsr(MSR_VMX_BASIC) & VMX_BASIC_REVISION);
	phys = phys_of(region);
	__asm__ volatile("vmxon %1; setbe %0" : "=q"(is_failed) : "m"(phys) : "cc", "memory");
	if (is_failed)
		panic("VMXON failed on pCPU %u", cpu_index());
}

void vmx_cpu_init(void)
{
	cpu_check_features();
	cpu_enable_fpu();
	cpu_allow_vmxon();
	cpu_vmxon();
}
