/* SPDX-License-Identifier: MIT */
/* Field encodings and controls of the VMCS, exit reasons (SDM vol. 3, appendices B and C). */
#ifndef X86_VMCS_H
#define X86_VMCS_H

#include <stdint.h>

/* X(name, encoding): appendix B, "Field Encoding in VMCS". */
#define VMCS_FIELD_LIST(X) \
	/* 16-bit control */ \
	X(VPID, 0x0000) X(POSTED_INTR_VECTOR, 0x0002) X(EPTP_INDEX, 0x0004) \
	/* 16-bit guest state */ \
	X(GUEST_ES, 0x0800) X(GUEST_CS, 0x0802) X(GUEST_SS, 0x0804) X(GUEST_DS, 0x0806) \
	X(GUEST_FS, 0x0808) X(GUEST_GS, 0x080a) X(GUEST_LDTR, 0x080c) X(GUEST_TR, 0x080e) \
	X(GUEST_INTR_STATUS, 0x0810) X(GUEST_PML_INDEX, 0x0812) \
	/* 16-bit host state */ \
	X(HOST_ES, 0x0c00) X(HOST_CS, 0x0c02) X(HOST_SS, 0x0c04) X(HOST_DS, 0x0c06) \
	X(HOST_FS, 0x0c08) X(HOST_GS, 0x0c0a) X(HOST_TR, 0x0c0c) \
	/* 64-bit control */ \
	X(IO_BITMAP_A, 0x2000) X(IO_BITMAP_B, 0x2002) X(MSR_BITMAP, 0x2004) \
	X(EXIT_MSR_STORE, 0x2006) X(EXIT_MSR_LOAD, 0x2008) X(ENTRY_MSR_LOAD, 0x200a) \
	X(TSC_OFFSET, 0x2010) X(VIRTUAL_APIC_PAGE, 0x2012) X(APIC_ACCESS_ADDR, 0x2014) \
	X(POSTED_INTR_DESC, 0x2016) X(EPT_POINTER, 0x201a) X(EOI_EXIT_0, 0x201c) \
	X(EOI_EXIT_1, 0x201e) X(EOI_EXIT_2, 0x2020) X(EOI_EXIT_3, 0x2022) \
	X(XSS_EXIT_BITMAP, 0x202c) X(TSC_MULTIPLIER, 0x2032) \
	/* 64-bit read-only */ \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400) \
	/* 64-bit guest state */ \
	X(VMCS_LINK_POINTER, 0x2800) X(GUEST_DEBUGCTL, 0x2802) X(GUEST_PAT, 0x2804) \
	X(GUEST_EFER, 0x2806) X(GUEST_PDPTE0, 0x280a) X(GUEST_PDPTE1, 0x280c) \
	X(GUEST_PDPTE2, 0x280e) X(GUEST_PDPTE3, 0x2810) \
	/* 64-bit host state */ \
	X(HOST_PAT, 0x2c00) X(HOST_EFER, 0x2c02) \
	/* 32-bit control */ \
	X(PIN_BASED, 0x4000) X(PRIMARY, 0x4002) X(EXCEPTION_BITMAP, 0x4004) \
	X(PAGE_FAULT_MASK, 0x4006) X(PAGE_FAULT_MATCH, 0x4008) X(CR3_TARGET_COUNT, 0x400a) \
	X(EXIT_CONTROLS, 0x400c) X(EXIT_MSR_STORE_COUNT, 0x400e) X(EXIT_MSR_LOAD_COUNT, 0x4010) \
	X(ENTRY_CONTROLS, 0x4012) X(ENTRY_MSR_LOAD_COUNT, 0x4014) X(ENTRY_INTR_INFO, 0x4016) \
	X(ENTRY_EXCEPTION_ERROR, 0x4018) X(ENTRY_INSTRUCTION_LEN, 0x401a) \
	X(TPR_THRESHOLD, 0x401c) X(SECONDARY, 0x401e) X(PLE_GAP, 0x4020) X(PLE_WINDOW, 0x4022) \
	/* 32-bit read-only */ \
	X(VM_INSTRUCTION_ERROR, 0x4400) X(EXIT_REASON, 0x4402) X(EXIT_INTR_INFO, 0x4404) \
	X(EXIT_INTR_ERROR, 0x4406) X(IDT_VECTORING_INFO, 0x4408) X(IDT_VECTORING_ERROR, 0x440a) \
	X(EXIT_INSTRUCTION_LEN, 0x440c) X(EXIT_INSTRUCTION_INFO, 0x440e) \
	/* 32-bit guest state */ \
	X(GUEST_ES_LIMIT, 0x4800) X(GUEST_CS_LIMIT, 0x4802) X(GUEST_SS_LIMIT, 0x4804) \
	X(GUEST_DS_LIMIT, 0x4806) X(GUEST_FS_LIMIT, 0x4808) X(GUEST_GS_LIMIT, 0x480a) \
	X(GUEST_LDTR_LIMIT, 0x480c) X(GUEST_TR_LIMIT, 0x480e) X(GUEST_GDTR_LIMIT, 0x4810) \
	X(GUEST_IDTR_LIMIT, 0x4812) X(GUEST_ES_ACCESS, 0x4814) X(GUEST_CS_ACCESS, 0x4816) \
	X(GUEST_SS_ACCESS, 0x4818) X(GUEST_DS_ACCESS, 0x481a) X(GUEST_FS_ACCESS, 0x481c) \
	X(GUEST_GS_ACCESS, 0x481e) X(GUEST_LDTR_ACCESS, 0x4820) X(GUEST_TR_ACCESS, 0x4822) \
	X(GUEST_INTERRUPTIBILITY, 0x4824) X(GUEST_ACTIVITY, 0x4826) X(GUEST_SMBASE, 0x4828) \
	X(GUEST_SYSENTER_CS, 0x482a) X(PREEMPTION_TIMER, 0x482e) \
	/* 32-bit host state */ \
	X(HOST_SYSENTER_CS, 0x4c00) \
	/* natural-width control */ \
	X(CR0_MASK, 0x6000) X(CR4_MASK, 0x6002) X(CR0_SHADOW, 0x6004) X(CR4_SHADOW, 0x6006) \
	/* natural-width read-only */ \
	X(EXIT_QUALIFICATION, 0x6400) X(GUEST_LINEAR_ADDRESS, 0x640a) \
	/* natural-width guest state */ \
	X(GUEST_CR0, 0x6800) X(GUEST_CR3, 0x6802) X(GUEST_CR4, 0x6804) X(GUEST_ES_BASE, 0x6806) \
	X(GUEST_CS_BASE, 0x6808) X(GUEST_SS_BASE, 0x680a) X(GUEST_DS_BASE, 0x680c) \
	X(GUEST_FS_BASE, 0x680e) X(GUEST_GS_BASE, 0x6810) X(GUEST_LDTR_BASE, 0x6812) \
	X(GUEST_TR_BASE, 0x6814) X(GUEST_GDTR_BASE, 0x6816) X(GUEST_IDTR_BASE, 0x6818) \
	X(GUEST_DR7, 0x681a) X(GUEST_RSP, 0x681c) X(GUEST_RIP, 0x681e) X(GUEST_RFLAGS, 0x6820) \
	X(GUEST_PENDING_DEBUG, 0x6822) X(GUEST_SYSENTER_ESP, 0x6824) X(GUEST_SYSENTER_EIP, 0x6826) \
	/* natural-width host state */ \
	X(HOST_CR0, 0x6c00) X(HOST_CR3, 0x6c02) X(HOST_CR4, 0x6c04) X(HOST_FS_BASE, 0x6c06) \
	X(HOST_GS_BASE, 0x6c08) X(HOST_TR_BASE, 0x6c0a) X(HOST_GDTR_BASE, 0x6c0c) \
	X(HOST_IDTR_BASE, 0x6c0e) X(HOST_SYSENTER_ESP, 0x6c10) X(HOST_SYSENTER_EIP, 0x6c12) \
	X(HOST_RSP, 0x6c14) X(HOST_RIP, 0x6c16)

enum vmcs_field {
#define VMCS_FIELD_ENUM(name, encoding) VMCS_##name = (encoding),
	VMCS_FIELD_LIST(VMCS_FIELD_ENUM)
#undef VMCS_FIELD_ENUM
};

/* Pin-based controls (table "Definitions of Pin-Based VM-Execution Controls"). */
#define PIN_EXTERNAL_INTERRUPT (1u << 0)
#define PIN_NMI                (1u << 3)
#define PIN_VIRTUAL_NMIS       (1u << 5)
#define PIN_PREEMPTION_TIMER   (1u << 6)
#define PIN_POSTED_INTERRUPTS  (1u << 7)

/* Primary processor-based controls. */
#define PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define PRIMARY_TSC_OFFSETTING   (1u << 3)
#define PRIMARY_HLT              (1u << 7)
#define PRIMARY_INVLPG           (1u << 9)
#define PRIMARY_MWAIT            (1u << 10)
#define PRIMARY_RDPMC            (1u << 11)
#define PRIMARY_RDTSC            (1u << 12)
#define PRIMARY_CR3_LOAD         (1u << 15)
#define PRIMARY_CR3_STORE        (1u << 16)
#define PRIMARY_CR8_LOAD         (1u << 19)
#define PRIMARY_CR8_STORE        (1u << 20)
#define PRIMARY_TPR_SHADOW       (1u << 21)
#define PRIMARY_NMI_WINDOW       (1u << 22)
#define PRIMARY_MOV_DR           (1u << 23)
#define PRIMARY_IO               (1u << 24)
#define PRIMARY_IO_BITMAPS       (1u << 25)
#define PRIMARY_MTF              (1u << 27)
#define PRIMARY_MSR_BITMAPS      (1u << 28)
#define PRIMARY_MONITOR          (1u << 29)
#define PRIMARY_PAUSE            (1u << 30)
#define PRIMARY_SECONDARY        (1u << 31)

/* Secondary processor-based controls. */
#define SECONDARY_APIC_ACCESSES         (1u << 0)
#define SECONDARY_EPT                   (1u << 1)
#define SECONDARY_DESCRIPTOR_TABLE      (1u << 2)
#define SECONDARY_RDTSCP                (1u << 3)
#define SECONDARY_X2APIC_MODE           (1u << 4)
#define SECONDARY_VPID                  (1u << 5)
#define SECONDARY_WBINVD                (1u << 6)
#define SECONDARY_UNRESTRICTED_GUEST    (1u << 7)
#define SECONDARY_APIC_REGISTERS        (1u << 8)
#define SECONDARY_VIRTUAL_INTERRUPTS    (1u << 9)
#define SECONDARY_PAUSE_LOOP            (1u << 10)
#define SECONDARY_RDRAND                (1u << 11)
#define SECONDARY_INVPCID               (1u << 12)
#define SECONDARY_VMFUNC                (1u << 13)
#define SECONDARY_RDSEED                (1u << 16)
#define SECONDARY_XSAVES                (1u << 20)

/* VM-exit and VM-entry controls. */
#define EXIT_HOST_64        (1u << 9)
#define EXIT_ACK_INTERRUPT  (1u << 15)
#define EXIT_SAVE_PAT       (1u << 18)
#define EXIT_LOAD_PAT       (1u << 19)
#define EXIT_SAVE_EFER      (1u << 20)
#define EXIT_LOAD_EFER      (1u << 21)
#define EXIT_SAVE_PREEMPTION_TIMER (1u << 22)
#define ENTRY_IA32E         (1u << 9)
#define ENTRY_LOAD_PAT      (1u << 14)
#define ENTRY_LOAD_EFER     (1u << 15)

/* Interruption information: entry, exit and IDT-vectoring (tables in "VM-Entry Interruption
 * Information" and "IDT-Vectoring Information"). */
#define INTR_INFO_VECTOR_MASK     0xffu
#define INTR_INFO_TYPE_MASK       (7u << 8)
#define INTR_INFO_EXTERNAL        (0u << 8)
#define INTR_INFO_NMI             (2u << 8)
#define INTR_INFO_EXCEPTION       (3u << 8)
#define INTR_INFO_SOFTWARE        (4u << 8)
#define INTR_INFO_PRIV_EXCEPTION  (5u << 8)
#define INTR_INFO_SOFT_EXCEPTION  (6u << 8)
#define INTR_INFO_ERROR_VALID     (1u << 11)
#define INTR_INFO_NMI_UNBLOCKED   (1u << 12)
#define INTR_INFO_VALID           (1u << 31)

/* Interruptibility state (table "Format of Interruptibility State"). */
#define INTERRUPTIBILITY_STI    (1u << 0)
#define INTERRUPTIBILITY_MOV_SS (1u << 1)
#define INTERRUPTIBILITY_SMI    (1u << 2)
#define INTERRUPTIBILITY_NMI    (1u << 3)

/* Guest interrupt status: RVI in the low byte, SVI in the high one. */
#define INTR_STATUS_RVI_MASK  0x00ffu
#define INTR_STATUS_SVI_SHIFT 8

/* Basic exit reasons (appendix C). */
#define VMX_EXIT_LIST(X) \
	X(EXCEPTION_NMI, 0) X(EXTERNAL_INTERRUPT, 1) X(TRIPLE_FAULT, 2) X(INIT, 3) X(SIPI, 4) \
	X(IO_SMI, 5) X(OTHER_SMI, 6) X(INTERRUPT_WINDOW, 7) X(NMI_WINDOW, 8) X(TASK_SWITCH, 9) \
	X(CPUID, 10) X(GETSEC, 11) X(HLT, 12) X(INVD, 13) X(INVLPG, 14) X(RDPMC, 15) X(RDTSC, 16) \
	X(RSM, 17) X(VMCALL, 18) X(VMCLEAR, 19) X(VMLAUNCH, 20) X(VMPTRLD, 21) X(VMPTRST, 22) \
	X(VMREAD, 23) X(VMRESUME, 24) X(VMWRITE, 25) X(VMXOFF, 26) X(VMXON, 27) X(CR_ACCESS, 28) \
	X(MOV_DR, 29) X(IO, 30) X(RDMSR, 31) X(WRMSR, 32) X(INVALID_GUEST_STATE, 33) \
	X(MSR_LOADING, 34) X(MWAIT, 36) X(MONITOR_TRAP, 37) X(MONITOR, 39) X(PAUSE, 40) \
	X(MACHINE_CHECK, 41) X(TPR_BELOW_THRESHOLD, 43) X(APIC_ACCESS, 44) X(VIRTUALIZED_EOI, 45) \
	X(GDTR_IDTR, 46) X(LDTR_TR, 47) X(EPT_VIOLATION, 48) X(EPT_MISCONFIG, 49) X(INVEPT, 50) \
	X(RDTSCP, 51) X(PREEMPTION_TIMER, 52) X(INVVPID, 53) X(WBINVD, 54) X(XSETBV, 55) \
	X(APIC_WRITE, 56) X(RDRAND, 57) X(INVPCID, 58) X(VMFUNC, 59) X(ENCLS, 60) X(RDSEED, 61) \
	X(PML_FULL, 62) X(XSAVES, 63) X(XRSTORS, 64)

enum vmx_exit {
#define VMX_EXIT_ENUM(name, number) VMX_EXIT_##name = (number),
	VMX_EXIT_LIST(VMX_EXIT_ENUM)
#undef VMX_EXIT_ENUM
};
#define VMX_EXIT_BASIC_MASK   0xffffu
#define VMX_EXIT_ENTRY_FAILED (1u << 31)

#endif
