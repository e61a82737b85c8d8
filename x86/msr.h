/* SPDX-License-Identifier: MIT */
/* Model-specific registers and control-register bits that the hypervisor names (SDM vol. 4, APM). */
#ifndef X86_MSR_H
#define X86_MSR_H

/* Numbers: SDM vol. 4, table "IA-32 Architectural MSRs". */
#define MSR_P5_MC_ADDR       0x00000000u
#define MSR_P5_MC_TYPE       0x00000001u
#define MSR_TSC              0x00000010u
#define MSR_PLATFORM_ID      0x00000017u
#define MSR_APIC_BASE        0x0000001bu
#define MSR_TSC_ADJUST       0x0000003bu
#define MSR_PATCH_LEVEL      0x0000008bu
#define MSR_MTRR_CAP         0x000000feu
#define MSR_SYSENTER_CS      0x00000174u
#define MSR_SYSENTER_ESP     0x00000175u
#define MSR_SYSENTER_EIP     0x00000176u
#define MSR_MCG_CAP          0x00000179u
#define MSR_MCG_STATUS       0x0000017au
#define MSR_MISC_ENABLE      0x000001a0u
#define MSR_DEBUGCTL         0x000001d9u
#define MSR_LBR_FROM         0x000001dbu /* ..0x1de: last branch and exception, from and to */
#define MSR_LBR_LAST         0x000001deu
#define MSR_MTRR_PHYS_BASE_0 0x00000200u /* base and mask alternate */
#define MSR_MTRR_FIX_64K     0x00000250u
#define MSR_MTRR_FIX_16K     0x00000258u /* two */
#define MSR_MTRR_FIX_4K      0x00000268u /* eight */
#define MSR_PAT              0x00000277u
#define MSR_MTRR_DEF_TYPE    0x000002ffu
#define MSR_TSC_DEADLINE     0x000006e0u
#define MSR_X2APIC_FIRST     0x00000800u
#define MSR_X2APIC_LAST      0x000008ffu

/* APM vol. 2, appendix A, "MSR Cross-Reference". */
#define MSR_EFER             0xc0000080u
#define MSR_STAR             0xc0000081u
#define MSR_LSTAR            0xc0000082u
#define MSR_CSTAR            0xc0000083u
#define MSR_SFMASK           0xc0000084u
#define MSR_FS_BASE          0xc0000100u
#define MSR_GS_BASE          0xc0000101u
#define MSR_KERNEL_GS_BASE   0xc0000102u
#define MSR_TSC_AUX          0xc0000103u
#define MSR_PERF_EVTSEL_0    0xc0010000u /* ..0xc0010007: four selectors, four counters */
#define MSR_PERF_CTR_3       0xc0010007u
#define MSR_SYSCFG           0xc0010010u
#define MSR_HWCR             0xc0010015u
#define MSR_TOP_MEM          0xc001001au
#define MSR_TOP_MEM2         0xc001001du
#define MSR_NB_CFG           0xc001001fu
#define MSR_INT_PENDING      0xc0010055u
#define MSR_TSEG_ADDR        0xc0010112u
#define MSR_TSEG_MASK        0xc0010113u
#define MSR_VM_CR            0xc0010114u
#define MSR_VM_HSAVE_PA      0xc0010117u
#define MSR_LS_CFG           0xc0011020u
#define MSR_DE_CFG           0xc0011029u
#define MSR_CU_CFG_LAST      0xc001102fu

#define EFER_SCE   (1ull << 0)
#define EFER_LME   (1ull << 8)
#define EFER_LMA   (1ull << 10)
#define EFER_NXE   (1ull << 11)
#define EFER_SVME  (1ull << 12)
#define EFER_FFXSR (1ull << 14)

#define VM_CR_SVMDIS (1ull << 4)

/* Control registers (SDM vol. 3, "Control Registers"). */
#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)

#define CR4_VME        (1ull << 0)
#define CR4_PVI        (1ull << 1)
#define CR4_TSD        (1ull << 2)
#define CR4_DE         (1ull << 3)
#define CR4_PSE        (1ull << 4)
#define CR4_PAE        (1ull << 5)
#define CR4_MCE        (1ull << 6)
#define CR4_PGE        (1ull << 7)
#define CR4_PCE        (1ull << 8)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_LA57       (1ull << 12)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_PCIDE      (1ull << 17)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)

#define RFLAGS_CF    (1ull << 0)
#define RFLAGS_FIXED (1ull << 1) /* reads as one */
#define RFLAGS_PF    (1ull << 2)
#define RFLAGS_AF    (1ull << 4)
#define RFLAGS_ZF    (1ull << 6)
#define RFLAGS_SF    (1ull << 7)
#define RFLAGS_TF    (1ull << 8)
#define RFLAGS_IF    (1ull << 9)
#define RFLAGS_DF    (1ull << 10)
#define RFLAGS_OF    (1ull << 11)
#define RFLAGS_RF    (1ull << 16)
#define RFLAGS_VM    (1ull << 17)

/* Debug registers (SDM vol. 3, "Debug Registers"). */
#define DR6_FIXED 0xffff0ff0ull
#define DR6_TRAPS 0xfull /* B0 to B3 */
#define DR6_BS    (1ull << 14)
#define DR7_GD    (1ull << 13)
#define DR7_FIXED 0x400ull

/* XCR0 (SDM vol. 1, "XSAVE-Supported Features"). */
#define XCR0_X87 (1ull << 0)
#define XCR0_SSE (1ull << 1)
#define XCR0_AVX (1ull << 2)

/* Page-table entries (SDM vol. 3, "Paging"). */
#define PTE_P  (1ull << 0)
#define PTE_RW (1ull << 1)
#define PTE_US (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)

/* Error code of #PF (SDM vol. 3, "Page-Fault Error Code"). */
#define PF_PRESENT (1u << 0)
#define PF_WRITE   (1u << 1)
#define PF_USER    (1u << 2)
#define PF_FETCH   (1u << 4)

/* Exception vectors (SDM vol. 3, table "Protected-Mode Exceptions and Interrupts"). */
#define VECTOR_DB 1u
#define VECTOR_UD 6u
#define VECTOR_SS 12u
#define VECTOR_GP 13u
#define VECTOR_PF 14u
#define VECTOR_AC 17u
#define VECTOR_MC 18u

#endif
