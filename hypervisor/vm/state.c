/* SPDX-License-Identifier: MIT */
/* The registers that both vendors leave to software: FPU, XCR0, DR0 to DR3, TSC_AUX. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/vm/arch.h"

/* The XSAVE area (SDM vol. 1, "Legacy Region of an XSAVE Area", "XSAVE Header"). */
struct xsave_area {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved_5;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint64_t st[16];
	uint8_t xmm[512 - 160];
	uint64_t xstate_bv;
};
_Static_assert(offsetof(struct xsave_area, st) == 32, "Format of an FXSAVE Area");
_Static_assert(offsetof(struct xsave_area, xstate_bv) == 512, "XSAVE Header");

#define INITIAL_FCW 0x037fu

/* Whose FPU state each pCPU's registers hold, if arch->fpu_pcpu says the same; by the pCPU itself. */
static struct arch_vcpu *fpu_owners[PCPU_MAX];

static void xsetbv0(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t xgetbv0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void fpu_save(struct arch_vcpu *arch)
{
	if (!host_features.has_xsave) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(arch->fpu_area) : "memory");
		return;
	}
	/* Read it back: QEMU 7.2 does not know the XSETBV intercept, and the guest sets it alone. */
	arch->xcr0 = xgetbv0();
	xsetbv0(host_features.xcr0);
	__asm__ volatile("xsave64 (%0)" : : "r"(arch->fpu_area), "a"((uint32_t)host_features.xcr0),
			 "d"(0) : "memory");
}

static bool x87_is_initial(const struct xsave_area *area)
{
	uint64_t used = area->fsw | area->ftw | area->fop | area->fip | area->fdp;
	uint32_t i;

	for (i = 0; i < 16; i++)
		used |= area->st[i];
	return !used && area->fcw == INITIAL_FCW;
}

/*
 * An x87 state that is the initial one is left out, so that XRSTOR makes it instead of loading it: a
 * loaded one has QEMU (7.2 and later) rewrite the first CPU's mode flags from whatever CPU this is,
 * without a lock.  With one thread for each CPU that undoes a VM entry or exit there.
 */
static void fpu_load(struct arch_vcpu *arch)
{
	struct xsave_area *area = arch->fpu_area;

	if (!host_features.has_xsave) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		return;
	}
	if (x87_is_initial(area))
		area->xstate_bv &= ~XCR0_X87;
	xsetbv0(host_features.xcr0);
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)host_features.xcr0), "d"(0)
			 : "memory");
}

/* The state may still be in the registers: the vCPU left this pCPU, and no other came here since. */
static void fpu_claim(struct arch_vcpu *arch)
{
	uint32_t pcpu = cpu_index();

	if (fpu_owners[pcpu] != arch || arch->fpu_pcpu != pcpu)
		fpu_load(arch);
	fpu_owners[pcpu] = arch;
	arch->fpu_pcpu = pcpu;
	if (host_features.has_xsave)
		xsetbv0(arch->xcr0);
}

void state_load(struct arch_vcpu *arch)
{
	fpu_claim(arch);
	__asm__ volatile("movq %0, %%dr0" : : "r"(arch->dr[0]));
	__asm__ volatile("movq %0, %%dr1" : : "r"(arch->dr[1]));
	__asm__ volatile("movq %0, %%dr2" : : "r"(arch->dr[2]));
	__asm__ volatile("movq %0, %%dr3" : : "r"(arch->dr[3]));
	wrmsr(MSR_TSC_AUX, arch->tsc_aux);
}

void state_save(struct arch_vcpu *arch)
{
	fpu_save(arch);
	__asm__ volatile("movq %%dr0, %0" : "=r"(arch->dr[0]));
	__asm__ volatile("movq %%dr1, %0" : "=r"(arch->dr[1]));
	__asm__ volatile("movq %%dr2, %0" : "=r"(arch->dr[2]));
	__asm__ volatile("movq %%dr3, %0" : "=r"(arch->dr[3]));
}
