/* SPDX-License-Identifier: MIT */
/* The virtual machine control block of SVM, its bits and exit codes (APM vol. 2, appendices B, C). */
#ifndef X86_VMCB_H
#define X86_VMCB_H

#include <stddef.h>
#include <stdint.h>

/* Intercept words 0 (CR reads, CR writes) and 1 (DR reads, DR writes). */
#define VMCB_CR_READ(n)  (1u << (n))
#define VMCB_CR_WRITE(n) (1u << (16 + (n)))
#define VMCB_DR_READ(n)  (1u << (n))
#define VMCB_DR_WRITE(n) (1u << (16 + (n)))

/* Intercept word 3, offset 00Ch. */
#define VMCB_INTR         (1u << 0)
#define VMCB_NMI          (1u << 1)
#define VMCB_SMI          (1u << 2)
#define VMCB_INIT         (1u << 3)
#define VMCB_VINTR        (1u << 4)
#define VMCB_CR0_SELECTIVE (1u << 5)
#define VMCB_IDTR_READ    (1u << 6)
#define VMCB_GDTR_READ    (1u << 7)
#define VMCB_LDTR_READ    (1u << 8)
#define VMCB_TR_READ      (1u << 9)
#define VMCB_IDTR_WRITE   (1u << 10)
#define VMCB_GDTR_WRITE   (1u << 11)
#define VMCB_LDTR_WRITE   (1u << 12)
#define VMCB_TR_WRITE     (1u << 13)
#define VMCB_RDTSC        (1u << 14)
#define VMCB_RDPMC        (1u << 15)
#define VMCB_PUSHF        (1u << 16)
#define VMCB_POPF         (1u << 17)
#define VMCB_CPUID        (1u << 18)
#define VMCB_RSM          (1u << 19)
#define VMCB_IRET         (1u << 20)
#define VMCB_INTN         (1u << 21)
#define VMCB_INVD         (1u << 22)
#define VMCB_PAUSE        (1u << 23)
#define VMCB_HLT          (1u << 24)
#define VMCB_INVLPG       (1u << 25)
#define VMCB_INVLPGA      (1u << 26)
#define VMCB_IOIO         (1u << 27)
#define VMCB_MSR          (1u << 28)
#define VMCB_TASK_SWITCH  (1u << 29)
#define VMCB_FERR_FREEZE  (1u << 30)
#define VMCB_SHUTDOWN     (1u << 31)

/* Intercept word 4, offset 010h. */
#define VMCB_VMRUN       (1u << 0)
#define VMCB_VMMCALL     (1u << 1)
#define VMCB_VMLOAD      (1u << 2)
#define VMCB_VMSAVE      (1u << 3)
#define VMCB_STGI        (1u << 4)
#define VMCB_CLGI        (1u << 5)
#define VMCB_SKINIT      (1u << 6)
#define VMCB_RDTSCP      (1u << 7)
#define VMCB_ICEBP       (1u << 8)
#define VMCB_WBINVD      (1u << 9)
#define VMCB_MONITOR     (1u << 10)
#define VMCB_MWAIT       (1u << 11)
#define VMCB_MWAIT_ARMED (1u << 12)
#define VMCB_XSETBV      (1u << 13)
#define VMCB_RDPRU       (1u << 14)

/* Intercept word 5, offset 014h. */
#define VMCB_INVLPGB         (1u << 0)
#define VMCB_INVLPGB_ILLEGAL (1u << 1)
#define VMCB_INVPCID         (1u << 2)
#define VMCB_MCOMMIT         (1u << 3)
#define VMCB_TLBSYNC         (1u << 4)

/* TLB_CONTROL, offset 05Ch (APM vol. 2, "TLB Flush"). */
#define VMCB_TLB_KEEP       0u
#define VMCB_TLB_FLUSH_ALL  1u
#define VMCB_TLB_FLUSH_ASID 3u /* needs FlushByAsid */

/* Virtual interrupt control, offset 060h (appendix B, "VMCB Layout, Control Area"). */
#define V_TPR_MASK          0xffull
#define V_IRQ               (1ull << 8)
#define V_GIF               (1ull << 9)
#define V_NMI               (1ull << 11)
#define V_NMI_MASK          (1ull << 12)
#define V_INTR_PRIO_SHIFT   16
#define V_INTR_PRIO_MASK    (0xfull << V_INTR_PRIO_SHIFT)
#define V_IGN_TPR           (1ull << 20)
#define V_INTR_MASKING      (1ull << 24)
#define V_GIF_ENABLE        (1ull << 25)
#define V_NMI_ENABLE        (1ull << 26)
#define V_X2AVIC_ENABLE     (1ull << 30)
#define V_AVIC_ENABLE       (1ull << 31)
#define V_INTR_VECTOR_SHIFT 32
#define V_INTR_VECTOR_MASK  (0xffull << V_INTR_VECTOR_SHIFT)

/* Guest interrupt status, offset 068h. */
#define VMCB_INTERRUPT_SHADOW     (1ull << 0)
#define VMCB_GUEST_INTERRUPT_MASK (1ull << 1)

/* EVENTINJ, offset 0A8h, and EXITINTINFO, offset 088h (APM vol. 2, "Event Injection"). */
#define VMCB_EVENT_VECTOR_MASK    0xffull
#define VMCB_EVENT_TYPE_SHIFT     8
#define VMCB_EVENT_TYPE_MASK      (7ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_TYPE_INTR      (0ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_TYPE_NMI       (2ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_TYPE_EXCEPTION (3ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_TYPE_SOFTWARE  (4ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_ERROR_VALID    (1ull << 11)
#define VMCB_EVENT_VALID          (1ull << 31)
#define VMCB_EVENT_ERROR_SHIFT    32

/* Nested paging, offset 090h, and offset 0B8h. */
#define VMCB_NP_ENABLE          (1ull << 0)
#define VMCB_LBR_VIRTUALIZATION (1ull << 0)
#define VMCB_VIRTUAL_VMSAVE     (1ull << 1)

/* VMCB clean bits, offset 0C0h (APM vol. 2, "VMCB Clean Bits"): set = unchanged since last VMRUN. */
#define VMCB_CLEAN_INTERCEPTS (1u << 0)
#define VMCB_CLEAN_PERMISSION_MAPS (1u << 1)
#define VMCB_CLEAN_ASID       (1u << 2)
#define VMCB_CLEAN_TPR        (1u << 3)
#define VMCB_CLEAN_NP         (1u << 4)
#define VMCB_CLEAN_CR         (1u << 5)
#define VMCB_CLEAN_DR         (1u << 6)
#define VMCB_CLEAN_DT         (1u << 7)
#define VMCB_CLEAN_SEG        (1u << 8)
#define VMCB_CLEAN_CR2        (1u << 9)
#define VMCB_CLEAN_LBR        (1u << 10)
#define VMCB_CLEAN_AVIC       (1u << 11)
#define VMCB_CLEAN_CET        (1u << 12)

/* Segment attributes as the VMCB packs them (descriptor bits 55:52 and 47:40). */
#define VMCB_SEG_TYPE_MASK 0x00fu
#define VMCB_SEG_S         0x010u
#define VMCB_SEG_DPL_SHIFT 5
#define VMCB_SEG_P         0x080u
#define VMCB_SEG_AVL       0x100u
#define VMCB_SEG_L         0x200u
#define VMCB_SEG_DB        0x400u
#define VMCB_SEG_G         0x800u

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* Control area. */
	uint32_t intercept_cr;
	uint32_t intercept_dr;
	uint32_t intercept_exceptions;
	uint32_t intercept_3;
	uint32_t intercept_4;
	uint32_t intercept_5;
	uint8_t reserved_018[0x03c - 0x018];
	uint16_t pause_filter_threshold;
	uint16_t pause_filter_count;
	uint64_t iopm_base_pa;
	uint64_t msrpm_base_pa;
	uint64_t tsc_offset;
	uint32_t guest_asid;
	uint8_t tlb_control;
	uint8_t reserved_05d[3];
	uint64_t interrupt_control; /* V_* */
	uint64_t interrupt_state;   /* VMCB_INTERRUPT_SHADOW, VMCB_GUEST_INTERRUPT_MASK */
	uint64_t exit_code;
	uint64_t exit_info_1;
	uint64_t exit_info_2;
	uint64_t exit_int_info;
	uint64_t nested_control; /* VMCB_NP_ENABLE */
	uint64_t avic_apic_bar;
	uint64_t ghcb_pa;
	uint64_t event_inj;
	uint64_t n_cr3;
	uint64_t lbr_control;
	uint32_t clean;
	uint32_t reserved_0c4;
	uint64_t next_rip;
	uint8_t fetched_count;
	uint8_t fetched_bytes[15];
	uint64_t avic_backing_page;
	uint64_t reserved_0e8;
	uint64_t avic_logical_table;
	uint64_t avic_physical_table;
	uint64_t reserved_100;
	uint64_t vmsa_pa;
	uint8_t reserved_110[0x400 - 0x110];

	/* State save area. */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved_4cc;
	uint64_t efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4;
	uint64_t cr3;
	uint64_t cr0;
	uint64_t dr7;
	uint64_t dr6;
	uint64_t rflags;
	uint64_t rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint64_t s_cet;
	uint64_t ssp;
	uint64_t isst_addr;
	uint64_t rax;
	uint64_t star;
	uint64_t lstar;
	uint64_t cstar;
	uint64_t sfmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs;
	uint64_t sysenter_esp;
	uint64_t sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t g_pat;
	uint64_t dbgctl;
	uint64_t br_from;
	uint64_t br_to;
	uint64_t last_excp_from;
	uint64_t last_excp_to;
	uint8_t reserved_698[0x6e0 - 0x698];
	uint64_t spec_ctrl;
	uint8_t reserved_6e8[0x1000 - 0x6e8];
};

#define VMCB_AT(field, offset) \
	_Static_assert(offsetof(struct vmcb, field) == (offset), "APM vol. 2, appendix B: " #field)
/* Table "VMCB Layout, Control Area". */
VMCB_AT(intercept_exceptions, 0x008);
VMCB_AT(intercept_3, 0x00c);
VMCB_AT(intercept_4, 0x010);
VMCB_AT(intercept_5, 0x014);
VMCB_AT(pause_filter_threshold, 0x03c);
VMCB_AT(iopm_base_pa, 0x040);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(guest_asid, 0x058);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(interrupt_control, 0x060);
VMCB_AT(interrupt_state, 0x068);
VMCB_AT(exit_code, 0x070);
VMCB_AT(exit_int_info, 0x088);
VMCB_AT(nested_control, 0x090);
VMCB_AT(avic_apic_bar, 0x098);
VMCB_AT(event_inj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(lbr_control, 0x0b8);
VMCB_AT(clean, 0x0c0);
VMCB_AT(next_rip, 0x0c8);
VMCB_AT(fetched_count, 0x0d0);
VMCB_AT(avic_backing_page, 0x0e0);
VMCB_AT(avic_logical_table, 0x0f0);
VMCB_AT(avic_physical_table, 0x0f8);
VMCB_AT(vmsa_pa, 0x108);
/* Table "VMCB Layout, State Save Area". */
VMCB_AT(es, 0x400);
VMCB_AT(gdtr, 0x460);
VMCB_AT(idtr, 0x480);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(dr7, 0x560);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(star, 0x600);
VMCB_AT(sysenter_cs, 0x628);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(dbgctl, 0x670);
VMCB_AT(last_excp_to, 0x690);
VMCB_AT(spec_ctrl, 0x6e0);
#undef VMCB_AT
_Static_assert(sizeof(struct vmcb) == 0x1000, "APM vol. 2, \"VMCB\": one 4 KB page");
_Static_assert(sizeof(struct vmcb_segment) == 16, "APM vol. 2, appendix B: segment registers");

/* Exit codes (APM vol. 2, appendix C, table "SVM Intercept Codes"). */
#define VMEXIT_CR_READ(n)   (0x000u + (n))
#define VMEXIT_CR_WRITE(n)  (0x010u + (n))
#define VMEXIT_DR_READ(n)   (0x020u + (n))
#define VMEXIT_DR_WRITE(n)  (0x030u + (n))
#define VMEXIT_EXCEPTION(v) (0x040u + (v))
#define VMEXIT_INTR         0x060u
#define VMEXIT_NMI          0x061u
#define VMEXIT_SMI          0x062u
#define VMEXIT_INIT         0x063u
#define VMEXIT_VINTR        0x064u
#define VMEXIT_CR0_SELECTIVE 0x065u
#define VMEXIT_IDTR_READ    0x066u
#define VMEXIT_TR_WRITE     0x06du
#define VMEXIT_RDTSC        0x06eu
#define VMEXIT_RDPMC        0x06fu
#define VMEXIT_PUSHF        0x070u
#define VMEXIT_POPF         0x071u
#define VMEXIT_CPUID        0x072u
#define VMEXIT_RSM          0x073u
#define VMEXIT_IRET         0x074u
#define VMEXIT_INTN         0x075u
#define VMEXIT_INVD         0x076u
#define VMEXIT_PAUSE        0x077u
#define VMEXIT_HLT          0x078u
#define VMEXIT_INVLPG       0x079u
#define VMEXIT_INVLPGA      0x07au
#define VMEXIT_IOIO         0x07bu
#define VMEXIT_MSR          0x07cu
#define VMEXIT_TASK_SWITCH  0x07du
#define VMEXIT_FERR_FREEZE  0x07eu
#define VMEXIT_SHUTDOWN     0x07fu
#define VMEXIT_VMRUN        0x080u
#define VMEXIT_VMMCALL      0x081u
#define VMEXIT_VMLOAD       0x082u
#define VMEXIT_VMSAVE       0x083u
#define VMEXIT_STGI         0x084u
#define VMEXIT_CLGI         0x085u
#define VMEXIT_SKINIT       0x086u
#define VMEXIT_RDTSCP       0x087u
#define VMEXIT_ICEBP        0x088u
#define VMEXIT_WBINVD       0x089u
#define VMEXIT_MONITOR      0x08au
#define VMEXIT_MWAIT        0x08bu
#define VMEXIT_MWAIT_ARMED  0x08cu
#define VMEXIT_XSETBV       0x08du
#define VMEXIT_RDPRU        0x08eu
#define VMEXIT_INVLPGB      0x0a0u
#define VMEXIT_INVLPGB_ILLEGAL 0x0a1u
#define VMEXIT_INVPCID      0x0a2u
#define VMEXIT_MCOMMIT      0x0a3u
#define VMEXIT_TLBSYNC      0x0a4u
#define VMEXIT_NPF          0x400u
#define VMEXIT_AVIC_INCOMPLETE_IPI 0x401u
#define VMEXIT_AVIC_NOACCEL 0x402u
#define VMEXIT_INVALID      0xffffffffffffffffull

/* EXITINFO1 of VMEXIT_IOIO (APM vol. 2, "I/O Intercepts"). */
#define IOIO_TYPE_IN     (1u << 0)
#define IOIO_STR         (1u << 2)
#define IOIO_REP         (1u << 3)
#define IOIO_SIZE_SHIFT  4 /* one-hot: 1, 2, 4 bytes in bits 6:4 */
#define IOIO_SIZE_MASK   (7u << IOIO_SIZE_SHIFT)
#define IOIO_A16         (1u << 7)
#define IOIO_A32         (1u << 8)
#define IOIO_A64         (1u << 9)
#define IOIO_SEG_SHIFT   10 /* effective segment, bits 12:10, with DecodeAssists */
#define IOIO_SEG_MASK    (7u << IOIO_SEG_SHIFT)
#define IOIO_PORT_SHIFT  16

/* EXITINFO1 of VMEXIT_NPF (APM vol. 2, "Nested versus Guest Page Faults, Fault Ordering"). */
#define NPF_PRESENT        (1ull << 0)
#define NPF_WRITE          (1ull << 1)
#define NPF_USER           (1ull << 2)
#define NPF_RESERVED       (1ull << 3)
#define NPF_FETCH          (1ull << 4)
#define NPF_FINAL_ADDRESS  (1ull << 32) /* the guest's final physical address */
#define NPF_TABLE_WALK     (1ull << 33) /* the guest's own page-table walk */

/* EXITINFO1 of VMEXIT_CR_* and VMEXIT_DR_* with DecodeAssists (APM vol. 2, "Decode Assists"). */
#define CR_ACCESS_GPR_MASK 0xfull
#define CR_ACCESS_MOV      (1ull << 63) /* MOV CRn; clear for LMSW, CLTS, SMSW */

/* EXITINFO2 of VMEXIT_TASK_SWITCH (APM vol. 2, "Task Switch Intercept"). */
#define TASK_SWITCH_IRET       (1ull << 36)
#define TASK_SWITCH_JUMP       (1ull << 38)
#define TASK_SWITCH_ERROR_CODE (1ull << 44)

/* MSR permission map: two bits (read, write) per MSR in three ranges (APM vol. 2, "MSR Intercepts"). */
#define MSRPM_SIZE      0x2000u
#define MSRPM_RANGE_0   0x00000000u /* at offset 0000h, 1FFFh MSRs */
#define MSRPM_RANGE_1   0xc0000000u /* at offset 0800h */
#define MSRPM_RANGE_2   0xc0010000u /* at offset 1000h */
#define MSRPM_RANGE_LEN 0x2000u
/* I/O permission map: one bit per port, 12 KB (APM vol. 2, "I/O Intercepts"). */
#define IOPM_SIZE       0x3000u

#endif
