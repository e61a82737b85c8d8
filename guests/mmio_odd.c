/* SPDX-License-Identifier: MIT */
/* Guest: unusual instructions on the APIC page; each works, faults, or stops this VM only. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/test.h"

const char guest_name[] = "mmio_odd";

#define ODD_INSTRUCTIONS(X)                                                                        \
	X(or_memory, "orl $0, (%[at])")                                                            \
	X(and_memory, "andl $-1, (%[at])")                                                         \
	X(add_memory, "addl $0x10, (%[at])")                                                       \
	X(increment, "incl (%[at])")                                                               \
	X(exchange, "xchgl %%eax, (%[at])")                                                        \
	X(compare_exchange, "lock cmpxchgl %%ecx, (%[at])")                                        \
	X(compare, "cmpl $0, (%[at])")                                                             \
	X(test, "testl $1, (%[at])")                                                               \
	X(bit_test_set, "lock btsl $4, (%[at])")                                                   \
	X(zero_extend, "movzbl (%[at]), %%eax")                                                    \
	X(sign_extend, "movswl (%[at]), %%eax")                                                    \
	X(store_immediate, "movl $0x20, (%[at])")                                                  \
	X(store_byte, "movb $0x20, (%[at])")                                                       \
	X(store_quad, "movq %%rax, (%[at])")                                                       \
	X(push_memory, "pushq (%[at])\n\tpopq %%rax")                                              \
	X(load_string, "movq %[at], %%rsi\n\tlodsl")                                               \
	X(store_string, "movq %[at], %%rdi\n\tmovl $4, %%ecx\n\trep stosl")                        \
	X(page_crossing, "movl 0xffd(%[page]), %%eax")                                             \
	X(store_descriptor, "sgdt (%[at])")

struct odd {
	const char *name;
	unsigned (*run)(void);
};

#define DEFINE_ODD(name, instruction)                                                              \
	static unsigned run_##name(void)                                                           \
	{                                                                                          \
		volatile uint32_t *at = xapic_register(APIC_TPR);                                  \
		volatile uint32_t *page = xapic_register(0);                                       \
		this_cpu()->fault_vector = FAULT_NONE;                                             \
		__asm__ volatile("movq %%rsp, %%rbx\n\t"                                           \
		                 "movq $1f, %[resume]\n\t" instruction "\n"                        \
		                 "1:\tmovq %%rbx, %%rsp\n\t"                                       \
		                 "movq $0, %[resume]"                                              \
		                 : [resume] "+m"(this_cpu()->fault_resume)                         \
		                 : [at] "r"(at), [page] "r"(page)                                  \
		                 : "rax", "rbx", "rcx", "rsi", "rdi", "memory", "cc");             \
		return (unsigned)this_cpu()->fault_vector;                                         \
	}
ODD_INSTRUCTIONS(DEFINE_ODD)

#define LIST_ODD(name, instruction) {#name, run_##name},
static const struct odd odds[] = {ODD_INSTRUCTIONS(LIST_ODD)};

/* Instructions from the APIC page: whatever comes of it is this VM's alone. */
static void fetch_from_apic(void)
{
	if (!cpu_is_under_posthorn())
		test_skip("QEMU 7.2 runs what its APIC page reads as");
	this_cpu()->fault_vector = FAULT_NONE;
	__asm__ volatile("movq $1f, %[resume]\n\t"
	                 "call *%[at]\n"
	                 "1:\tmovq $0, %[resume]"
	                 : [resume] "+m"(this_cpu()->fault_resume)
	                 : [at] "r"(xapic_register(APIC_TPR))
	                 : "rax", "memory", "cc");
	check(this_cpu()->fault_vector != FAULT_NONE, "the APIC page was executed");
	test_finish();
}

void guest_main(void)
{
	interrupts_disable();
	if (option("fetch", 0))
		fetch_from_apic();
	for (unsigned i = 0; i < sizeof(odds) / sizeof(odds[0]); i++) {
		unsigned fault;

		print("%s ... ", odds[i].name);
		apic_write(APIC_TPR, 0);
		fault = odds[i].run();
		check(fault == FAULT_NONE || fault < 32, "%s: vector %u", odds[i].name, fault);
		if (fault == FAULT_NONE)
			print("done\n");
		else
			print("fault %u\n", fault);
	}
	apic_write(APIC_TPR, 0);
	check(apic_read(APIC_TPR) == 0, "TPR %x", apic_read(APIC_TPR));
}
