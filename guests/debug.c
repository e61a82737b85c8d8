/* SPDX-License-Identifier: MIT */
/* Guest: what a handler of #DB finds in DR6 and DR7, also after instructions that exit. */
#include "guests/rt/cpu.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"

const char guest_name[] = "debug";

#define VECTOR_DB 1u
#define RFLAGS_TF 0x100u
#define DR6_FIXED 0xffff0ff0ull
#define DR6_B0    0x1ull
#define DR6_B1    0x2ull
#define DR6_BD    0x2000ull
#define DR6_BS    0x4000ull
#define DR7_FIXED 0x400ull
#define DR7_G0    0x2ull
#define DR7_GD    0x2000ull

#define TAKEN_MAX 8u

#define DEFINE_DR_ACCESS(n)                                                                        \
	static inline uint64_t read_dr##n(void)                                                    \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("movq %%dr" #n ", %0" : "=r"(value));                             \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_dr##n(uint64_t value)                                             \
	{                                                                                          \
		__asm__ volatile("movq %0, %%dr" #n : : "r"(value) : "memory");                    \
	}
DEFINE_DR_ACCESS(6)
DEFINE_DR_ACCESS(7)

static struct {
	uint64_t rip, dr6, dr7;
} taken[TAKEN_MAX];
static volatile unsigned taken_count;

static void take(struct frame *frame)
{
	unsigned i = taken_count++;

	if (i >= TAKEN_MAX) {
		write_dr7(DR7_FIXED);
		frame->rflags &= ~(uint64_t)RFLAGS_TF;
		return;
	}
	taken[i].rip = frame->rip;
	taken[i].dr6 = read_dr6();
	taken[i].dr7 = read_dr7();
	/* For the next to clear. */
	write_dr6(DR6_FIXED | DR6_B1);
	/* Over an instruction breakpoint, which is a fault. */
	frame->rflags |= RFLAGS_RF;
}

static void begin(uint64_t dr6, uint64_t dr7)
{
	taken_count = 0;
	write_dr6(dr6);
	write_dr7(dr7);
}

static void check_taken(unsigned i, const char *what, uint64_t rip, uint64_t dr6)
{
	check(taken_count > i && taken[i].rip == rip && taken[i].dr6 == dr6,
	    "%s: #DB %u of %u at %lx with DR6 %lx, not at %lx with %lx", what, i + 1, taken_count,
	    taken[i].rip, taken[i].dr6, rip, dr6);
}

/* SDM vol. 3, "Debug Status Register (DR6)": B0 to B3 are those of this exception, BS stays. */
static void check_breakpoint(void)
{
	extern const char debug_breakpoint[];

	__asm__ volatile("movq %0, %%dr0" : : "r"(debug_breakpoint));
	begin(DR6_FIXED | DR6_BS | DR6_B1, DR7_FIXED | DR7_G0);
	__asm__ volatile("debug_breakpoint: nop" : : : "memory");
	write_dr7(DR7_FIXED);
	check(taken_count == 1, "breakpoint: %u exceptions", taken_count);
	check_taken(0, "breakpoint", (uint64_t)debug_breakpoint, DR6_FIXED | DR6_BS | DR6_B0);
}

/* "Debug Control Register (DR7)": the processor clears GD, or the handler's own access would be the next. */
static void check_general_detect(void)
{
	extern const char debug_detect[];

	begin(DR6_FIXED, DR7_FIXED | DR7_GD);
	__asm__ volatile("debug_detect: movq %0, %%dr0" : : "r"(0ul) : "memory");
	if (taken_count == 0) { /* QEMU 7.2 */
		write_dr7(DR7_FIXED);
		not_checked("general detect: the processor has none");
		return;
	}
	check(taken_count == 1, "general detect: %u exceptions", taken_count);
	check_taken(0, "general detect", (uint64_t)debug_detect, DR6_FIXED | DR6_BD);
	check(taken[0].dr7 == DR7_FIXED, "general detect: DR7 %lx", taken[0].dr7);
}

/* CPUID exits, so that its trap is the hypervisor's work. */
static void check_single_step(void)
{
	extern const char debug_step_nop[], debug_step_cpuid[];

	begin(DR6_FIXED | DR6_B1, DR7_FIXED);
	__asm__ volatile("pushfq\n\t"
	                 "orl %0, (%%rsp)\n\t"
	                 "popfq\n\t"
	                 "nop\n"
	                 "debug_step_nop: cpuid\n"
	                 "debug_step_cpuid: pushfq\n\t"
	                 "andl %1, (%%rsp)\n\t"
	                 "popfq"
	                 :
	                 : "i"(RFLAGS_TF), "i"(~RFLAGS_TF)
	                 : "rax", "rbx", "rcx", "rdx", "memory");
	check(taken_count == 5, "single step: %u exceptions", taken_count);
	check_taken(0, "after NOP", (uint64_t)debug_step_nop, DR6_FIXED | DR6_BS);
	check_taken(1, "after CPUID", (uint64_t)debug_step_cpuid, DR6_FIXED | DR6_BS);
}

void guest_main(void)
{
	interrupts_set(VECTOR_DB, take);
	check_breakpoint();
	check_general_detect();
	check_single_step();
}
