/* SPDX-License-Identifier: MIT */
/* Instructions that may fault, and what CPUID says of the platform. */
#include "guests/rt/cpu.h"

#define CPUID_HYPERVISOR_LEAF 0x40000000u

static void fault_expect(void)
{
	this_cpu()->fault_vector = FAULT_NONE;
}

static unsigned fault_taken(void)
{
	return (unsigned)this_cpu()->fault_vector;
}

unsigned try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	fault_expect();
	FAULT_PROBE("rdmsr", FAULT_OUTPUTS("+a"(low), "+d"(high)), "c"(msr));
	*value = ((uint64_t)high << 32) | low;
	return fault_taken();
}

unsigned try_wrmsr(uint32_t msr, uint64_t value)
{
	fault_expect();
	FAULT_PROBE("wrmsr", , "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	return fault_taken();
}

unsigned try_write_cr0(uint64_t value)
{
	fault_expect();
	FAULT_PROBE("movq %[value], %%cr0", , [value] "r"(value));
	return fault_taken();
}

unsigned try_write_cr3(uint64_t value)
{
	fault_expect();
	FAULT_PROBE("movq %[value], %%cr3", , [value] "r"(value));
	return fault_taken();
}

unsigned try_write_cr4(uint64_t value)
{
	fault_expect();
	FAULT_PROBE("movq %[value], %%cr4", , [value] "r"(value));
	return fault_taken();
}

unsigned try_write_cr8(uint64_t value)
{
	fault_expect();
	FAULT_PROBE("movq %[value], %%cr8", , [value] "r"(value));
	return fault_taken();
}

unsigned try_hypercall(uint64_t number, uint64_t *result)
{
	uint64_t value = number;

	fault_expect();
	if (cpu_is_amd())
		FAULT_PROBE("vmmcall", FAULT_OUTPUTS("+a"(value)), "b"(0));
	else
		FAULT_PROBE("vmcall", FAULT_OUTPUTS("+a"(value)), "b"(0));
	*result = value;
	return fault_taken();
}

bool cpu_is_amd(void)
{
	struct cpuid_result vendor = cpuid(0, 0);

	/* "Auth(enticAMD)" or "Hygo(nGenuine)" */
	return vendor.ebx == 0x68747541u || vendor.ebx == 0x6f677948u;
}

bool cpu_is_under_posthorn(void)
{
	struct cpuid_result signature;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR))
		return false;
	signature = cpuid(CPUID_HYPERVISOR_LEAF, 0);
	/* "Post" "horn" "Post" */
	return signature.ebx == 0x74736f50u && signature.ecx == 0x6e726f68u &&
	       signature.edx == 0x74736f50u;
}

bool cpu_has_x2apic(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC;
}

bool cpu_has_tsc_deadline(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_TSC_DEADLINE;
}
