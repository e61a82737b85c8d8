/* SPDX-License-Identifier: MIT */
/* Instructions that C has no words for, and the record of the CPU that runs. */
#ifndef GUESTS_RT_CPU_H
#define GUESTS_RT_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "guests/rt/layout.h"

#define RFLAGS_IF 0x200u
#define RFLAGS_RF 0x10000u

#define MSR_TSC          0x00000010u
#define MSR_TSC_ADJUST   0x0000003bu
#define MSR_APIC_BASE    0x0000001bu
#define MSR_TSC_DEADLINE 0x000006e0u
#define MSR_X2APIC       0x00000800u
#define MSR_EFER         0xc0000080u

#define CPUID_1_ECX_X2APIC       (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR   (1u << 31)
#define CPUID_7_EBX_TSC_ADJUST   (1u << 1)

/* Value of cpu.fault_vector when a probed instruction did not fault. */
#define FAULT_NONE 0xffffu
#define FAULT_GP   13u
#define FAULT_UD   6u

/*
 * Lives at the low end of its CPU's stack, so that RSP finds it whatever a guest does to MSRs.
 * Written by its own CPU only, except work_* (see smp.h). Counts are read by other CPUs.
 */
struct cpu {
	uint32_t index;
	bool has_x2apic_mode;
	volatile bool is_online;
	volatile uint64_t fault_resume;
	volatile uint64_t fault_vector;
	volatile uint64_t fault_error;
	volatile uint64_t fault_rflags;
	void (*volatile work_function)(void *argument);
	void *volatile work_argument;
	volatile uint64_t interrupt_count[256];
};

_Static_assert(sizeof(struct cpu) < CPU_STACK_SIZE / 4, "leave room for the stack itself");

struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpu *this_cpu(void)
{
	uintptr_t stack;

	__asm__ volatile("movq %%rsp, %0" : "=r"(stack));
	return (struct cpu *)(stack & ~(uintptr_t)CPU_STACK_MASK);
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr)
	                 : "memory");
}

/* Ordered after earlier instructions, so that two readings bracket what stands between. */
static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result result;

	__asm__ volatile("cpuid"
	                 : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
	                 : "a"(leaf), "c"(subleaf)
	                 : "memory");
	return result;
}

static inline void interrupts_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void interrupts_enable(void)
{
	__asm__ volatile("sti; nop" : : : "memory");
}

/* Open the window for one instruction and close it again: all that is pending is taken. */
static inline void interrupts_window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* No interrupt is taken between STI and HLT (the shadow of STI), so no wakeup is lost. */
static inline void interrupts_enable_and_halt(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

static inline uint64_t read_rflags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void memory_fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline uint64_t read_cr8(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr8, %0" : "=r"(value) : : "memory");
	return value;
}

static inline void write_cr8(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr8" : : "r"(value) : "memory");
}

#define DEFINE_CR_ACCESS(n)                                                                        \
	static inline uint64_t read_cr##n(void)                                                    \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("movq %%cr" #n ", %0" : "=r"(value) : : "memory");                \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_cr##n(uint64_t value)                                             \
	{                                                                                          \
		__asm__ volatile("movq %0, %%cr" #n : : "r"(value) : "memory");                    \
	}
DEFINE_CR_ACCESS(0)
DEFINE_CR_ACCESS(3)
DEFINE_CR_ACCESS(4)

/*
 * Run one instruction that may fault. interrupt_dispatch() resumes behind it and leaves the
 * vector in fault_vector. Call with interrupts disabled: a handler must not fault meanwhile.
 */
#define FAULT_PROBE(instruction, outputs, ...)                                                     \
	__asm__ volatile("movq $1f, %[resume]\n\t" instruction "\n1:\tmovq $0, %[resume]"          \
	                 : [resume] "+m"(this_cpu()->fault_resume)outputs:__VA_ARGS__              \
	                 : "memory")
#define FAULT_OUTPUTS(...) , __VA_ARGS__

/* Each returns the vector of the fault, or FAULT_NONE. */
unsigned try_rdmsr(uint32_t msr, uint64_t *value);
unsigned try_wrmsr(uint32_t msr, uint64_t value);
unsigned try_write_cr0(uint64_t value);
unsigned try_write_cr3(uint64_t value);
unsigned try_write_cr4(uint64_t value);
unsigned try_write_cr8(uint64_t value);
unsigned try_hypercall(uint64_t number, uint64_t *result);

/* AMD (and Hygon) CPUs have VMMCALL, the others VMCALL. */
bool cpu_is_amd(void);
/* The guest runs under Posthorn: checks where QEMU's own APIC is known to be wrong may run. */
bool cpu_is_under_posthorn(void);
bool cpu_has_x2apic(void);
bool cpu_has_tsc_deadline(void);

#endif
