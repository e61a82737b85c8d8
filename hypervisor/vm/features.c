/* SPDX-License-Identifier: MIT */
/* What the host's processors have, as far as both vendors use it. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/vm/arch.h"
#include "x86/cpuid.h"

struct host_features host_features;

void features_init_xsave(void)
{
	host_features.has_xsave = cpuid(1, 0).ecx & CPUID_1_C_XSAVE;
	host_features.xcr0 = XCR0_X87 | XCR0_SSE;
	if (host_features.has_xsave)
		host_features.xcr0 = cpuid(0xd, 0).eax & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
}

/* The host does not use the FPU; it holds the state of the vCPU that is loaded. */
void cpu_enable_fpu(void)
{
	cr0_write((cr0_read() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT |
	    (host_features.has_xsave ? CR4_OSXSAVE : 0));
}
