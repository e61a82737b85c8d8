/* SPDX-License-Identifier: MIT */
/* CPUID leaves and feature bits (SDM vol. 2, "CPUID"; APM vol. 3, appendix E). */
#ifndef X86_CPUID_H
#define X86_CPUID_H

/* Leaf 1, ECX. */
#define CPUID_1_C_SSE3         (1u << 0)
#define CPUID_1_C_PCLMUL       (1u << 1)
#define CPUID_1_C_MONITOR      (1u << 3)
#define CPUID_1_C_SSSE3        (1u << 9)
#define CPUID_1_C_FMA          (1u << 12)
#define CPUID_1_C_CX16         (1u << 13)
#define CPUID_1_C_PCID         (1u << 17)
#define CPUID_1_C_SSE41        (1u << 19)
#define CPUID_1_C_SSE42        (1u << 20)
#define CPUID_1_C_X2APIC       (1u << 21)
#define CPUID_1_C_MOVBE        (1u << 22)
#define CPUID_1_C_POPCNT       (1u << 23)
#define CPUID_1_C_TSC_DEADLINE (1u << 24)
#define CPUID_1_C_AES          (1u << 25)
#define CPUID_1_C_XSAVE        (1u << 26)
#define CPUID_1_C_OSXSAVE      (1u << 27)
#define CPUID_1_C_AVX          (1u << 28)
#define CPUID_1_C_F16C         (1u << 29)
#define CPUID_1_C_RDRAND       (1u << 30)
#define CPUID_1_C_HYPERVISOR   (1u << 31)

/* Leaf 1, EDX. */
#define CPUID_1_D_FPU    (1u << 0)
#define CPUID_1_D_VME    (1u << 1)
#define CPUID_1_D_DE     (1u << 2)
#define CPUID_1_D_PSE    (1u << 3)
#define CPUID_1_D_TSC    (1u << 4)
#define CPUID_1_D_MSR    (1u << 5)
#define CPUID_1_D_PAE    (1u << 6)
#define CPUID_1_D_MCE    (1u << 7)
#define CPUID_1_D_CX8    (1u << 8)
#define CPUID_1_D_APIC   (1u << 9)
#define CPUID_1_D_SEP    (1u << 11)
#define CPUID_1_D_MTRR   (1u << 12)
#define CPUID_1_D_PGE    (1u << 13)
#define CPUID_1_D_MCA    (1u << 14)
#define CPUID_1_D_CMOV   (1u << 15)
#define CPUID_1_D_PAT    (1u << 16)
#define CPUID_1_D_PSE36  (1u << 17)
#define CPUID_1_D_CLFSH  (1u << 19)
#define CPUID_1_D_MMX    (1u << 23)
#define CPUID_1_D_FXSR   (1u << 24)
#define CPUID_1_D_SSE    (1u << 25)
#define CPUID_1_D_SSE2   (1u << 26)
#define CPUID_1_D_HTT    (1u << 28)

/* Leaf 6, EAX. */
#define CPUID_6_A_ARAT (1u << 2)

/* Leaf 7, subleaf 0. */
#define CPUID_7_B_FSGSBASE   (1u << 0)
#define CPUID_7_B_TSC_ADJUST (1u << 1)
#define CPUID_7_B_BMI1       (1u << 3)
#define CPUID_7_B_AVX2       (1u << 5)
#define CPUID_7_B_SMEP       (1u << 7)
#define CPUID_7_B_BMI2       (1u << 8)
#define CPUID_7_B_ERMS       (1u << 9)
#define CPUID_7_B_INVPCID    (1u << 10)
#define CPUID_7_B_RDSEED     (1u << 18)
#define CPUID_7_B_ADX        (1u << 19)
#define CPUID_7_B_SMAP       (1u << 20)
#define CPUID_7_B_CLFLUSHOPT (1u << 23)
#define CPUID_7_B_CLWB       (1u << 24)
#define CPUID_7_B_SHA        (1u << 29)
#define CPUID_7_C_UMIP       (1u << 2)
#define CPUID_7_C_GFNI       (1u << 8)
#define CPUID_7_C_VAES       (1u << 9)
#define CPUID_7_C_VPCLMUL    (1u << 10)
#define CPUID_7_C_RDPID      (1u << 22)
#define CPUID_7_D_FSRM       (1u << 4)

/* Leaf 0Dh, subleaf 1, EAX. */
#define CPUID_D1_A_XSAVEOPT (1u << 0)
#define CPUID_D1_A_XSAVEC   (1u << 1)
#define CPUID_D1_A_XGETBV1  (1u << 2)

/* Leaf 80000001h. */
#define CPUID_E1_C_LAHF       (1u << 0)
#define CPUID_E1_C_CMP_LEGACY (1u << 1)
#define CPUID_E1_C_SVM        (1u << 2)
#define CPUID_E1_C_ABM        (1u << 5)
#define CPUID_E1_C_SSE4A      (1u << 6)
#define CPUID_E1_C_MISALIGN   (1u << 7)
#define CPUID_E1_C_PREFETCH   (1u << 8)
#define CPUID_E1_C_XOP        (1u << 11)
#define CPUID_E1_C_FMA4       (1u << 16)
#define CPUID_E1_C_TBM        (1u << 21)
#define CPUID_E1_C_TOPOEXT    (1u << 22)
#define CPUID_E1_D_SYSCALL    (1u << 11)
#define CPUID_E1_D_NX         (1u << 20)
#define CPUID_E1_D_MMXEXT     (1u << 22)
#define CPUID_E1_D_FFXSR      (1u << 25)
#define CPUID_E1_D_PAGE1GB    (1u << 26)
#define CPUID_E1_D_RDTSCP     (1u << 27)
#define CPUID_E1_D_LM         (1u << 29)
#define CPUID_E1_D_3DNOWEXT   (1u << 30)
#define CPUID_E1_D_3DNOW      (1u << 31)
/* Bits of 80000001h EDX that repeat leaf 1 EDX on AMD processors. */
#define CPUID_E1_D_SHARED     0x0183f3ffu

/* Leaf 80000007h, EDX; leaf 80000008h, EBX. */
#define CPUID_E7_D_INVARIANT_TSC (1u << 8)
#define CPUID_E8_B_CLZERO        (1u << 0)
#define CPUID_E8_B_XSAVEERPTR    (1u << 2)

/* Leaf 8000000Ah: SVM revision and features; EBX is the number of ASIDs. */
#define CPUID_SVM_D_NPT            (1u << 0)
#define CPUID_SVM_D_LBRV           (1u << 1)
#define CPUID_SVM_D_NRIPS          (1u << 3)
#define CPUID_SVM_D_FLUSH_BY_ASID  (1u << 6)
#define CPUID_SVM_D_DECODE_ASSISTS (1u << 7)
#define CPUID_SVM_D_PAUSE_FILTER   (1u << 10)
#define CPUID_SVM_D_AVIC           (1u << 13)
#define CPUID_SVM_D_VGIF           (1u << 16)

#endif
