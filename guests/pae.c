/* SPDX-License-Identifier: MIT */
/* Guest: PAE paging outside long mode; its four PDPTEs are loaded at once, and checked when they are. */
#include "guests/rt/cpu.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/layout.h"
#include "guests/rt/test.h"

const char guest_name[] = "pae";

#define PTE_PRESENT    1ull
#define PTE_WRITE      2ull
#define PDPTE_RESERVED 0x20
#define PDE_LARGE      0x80u
#define ADDRESS_MASK   0xffffffffff000ull
#define PAGE_SIZE      4096u
#define GATE_INTERRUPT 0x8e00u

/* Linear address whose PDPTE differs between the two roots. */
#define WINDOW_PDPTE 1u
/* Offset of an entry that the code does not use, so that it may be wrong. */
#define OTHER_PDPTE 24

enum step {
	STEP_PAGING,       /* paging is turned on: MOV to CR0 */
	STEP_EXIT,         /* an exit later */
	STEP_CR3,          /* other PDPTEs: MOV to CR3 */
	STEP_UNRELATED,    /* MOV to CR4 that loads no PDPTEs, with a reserved bit in memory */
	STEP_CR3_RESERVED, /* MOV to CR3 that loads the reserved bit */
	STEP_CR0_RESERVED, /* MOV to CR0 that does */
	STEP_ABSENT,       /* reserved bits in an entry that is not present */
	STEP_CR4_RESERVED, /* MOV to CR4 that turns PAE on under 32-bit paging: it must not */
	STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {
    "MOV to CR0",
    "exit",
    "MOV to CR3",
    "unrelated MOV to CR4",
    "MOV to CR3, reserved bit",
    "MOV to CR0, reserved bit",
    "MOV to CR0, reserved bit in an entry that is not present",
    "MOV to CR4, reserved bits",
};

typedef uint64_t table[PAGE_SIZE / sizeof(uint64_t)] __attribute__((aligned(PAGE_SIZE)));

/* Named by the code below. */
table pae_root_a __attribute__((used)), pae_root_b __attribute__((used));
uint32_t pae_root_32[PAGE_SIZE / sizeof(uint32_t)] __attribute__((aligned(PAGE_SIZE), used));
/* APM vol. 2, "Legacy PAE Mode": under nested paging SVM reads them when they are used. */
uint32_t pae_is_checked __attribute__((used));
volatile uint32_t pae_faults[STEP_COUNT] __attribute__((used));
volatile uint32_t pae_marks[STEP_COUNT] __attribute__((used));
struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) pae_idt_descriptor __attribute__((used));

static table directory_a, directory_b, table_a, table_b, page_a, page_b;
static uint64_t gates[FAULT_GP + 1];

void pae_run(void);
extern const char pae_fault[];

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/*
 * Leaves long mode, runs the steps of enum step in 32-bit mode and comes back.  `try` runs one
 * instruction; a #GP ends it and sets pae_faults[].  `mark` reads through the window.
 */
__asm__(".macro try step, instruction:vararg\n"
        "	movl $\\step, pae_step\n"
        "	movl $9f, pae_resume\n"
        "	\\instruction\n"
        "9:\n"
        ".endm\n"
        ".macro mark step\n"
        "	movl 0x40000000, %eax\n"
        "	movl %eax, pae_marks + 4 * \\step\n"
        ".endm\n"
        ".macro exit\n"
        "	xorl %eax, %eax\n"
        "	cpuid\n"
        ".endm\n"
        ".macro paging_off root\n"
        "	movl %cr0, %eax\n"
        "	andl $0x7fffffff, %eax\n"
        "	movl %eax, %cr0\n"
        "	movl $\\root, %eax\n"
        "	movl %eax, %cr3\n"
        ".endm\n"
        ".macro paging_on step\n"
        "	movl %cr0, %eax\n"
        "	orl $0x80000000, %eax\n"
        "	try \\step, movl %eax, %cr0\n"
        ".endm\n"
        ".macro write_efer_lme instruction\n"
        "	movl $0xc0000080, %ecx\n"
        "	rdmsr\n"
        "	\\instruction $8, %eax\n"
        "	wrmsr\n"
        ".endm\n"

        "	.text\n"
        "	.globl pae_run\n"
        "pae_run:\n"
        "	push %rbx\n"
        "	push %rbp\n"
        "	push %r12\n"
        "	push %r13\n"
        "	push %r14\n"
        "	push %r15\n"
        "	movq %rsp, pae_rsp\n"
        "	movq %cr3, %rax\n"
        "	movl %eax, pae_cr3\n"
        "	movq %cr4, %rax\n"
        "	movl %eax, pae_cr4\n"
        "	lidt pae_idt_descriptor\n"
        "	ljmp *1f\n"
        "1:	.long 2f\n"
        "	.word " TEXT(SELECTOR_CODE32) "\n"
        "	.code32\n"
        "2:	paging_off pae_root_a\n"
        "	write_efer_lme btrl\n"

        "	paging_on 0\n"
        "	mark 0\n"
        "	exit\n"
        "	mark 1\n"

        "	movl $pae_root_b, %eax\n"
        "	try 2, movl %eax, %cr3\n"
        "	exit\n"
        "	mark 2\n"

        "	orl $" TEXT(PDPTE_RESERVED) ", pae_root_b + " TEXT(OTHER_PDPTE) "\n"
        "	movl %cr4, %eax\n"
        "	xorl $0x200, %eax\n" /* OSFXSR */
        "	try 3, movl %eax, %cr4\n"
        "	exit\n"
        "	mark 3\n"

        "	movl $pae_root_b, %eax\n"
        "	try 4, movl %eax, %cr3\n"
        "	mark 4\n"

        "	paging_off pae_root_b\n"
        "	paging_on 5\n"

        "	andl $0xfffffffe, pae_root_b + " TEXT(OTHER_PDPTE) "\n" /* not present */
        "	paging_off pae_root_b\n"
        "	paging_on 6\n"
        "	mark 6\n"

        "	cmpl $0, pae_is_checked\n"
        "	je 4f\n"
        "	paging_off pae_root_32\n"
        "	movl %cr4, %eax\n"
        "	andl $0xffffffdf, %eax\n" /* PAE */
        "	orl $0x10, %eax\n"        /* PSE */
        "	movl %eax, %cr4\n"
        "	paging_on 7\n"
        "	movl %cr4, %eax\n"
        "	orl $0x20, %eax\n"
        "	try 7, movl %eax, %cr4\n"

        "4:	paging_off pae_root_32\n"
        "	movl pae_cr4, %eax\n"
        "	movl %eax, %cr4\n"
        "	movl pae_cr3, %eax\n"
        "	movl %eax, %cr3\n"
        "	write_efer_lme btsl\n"
        "	movl %cr0, %eax\n"
        "	orl $0x80000000, %eax\n"
        "	movl %eax, %cr0\n"
        "	ljmp $" TEXT(SELECTOR_CODE64) ", $3f\n"
        "	.code64\n"
        "3:	movq pae_rsp, %rsp\n"
        "	pop %r15\n"
        "	pop %r14\n"
        "	pop %r13\n"
        "	pop %r12\n"
        "	pop %rbp\n"
        "	pop %rbx\n"
        "	ret\n"

        /* A #GP in 32-bit mode: error code, EIP, CS, EFLAGS. */
        "	.code32\n"
        "pae_fault:\n"
        "	addl $4, %esp\n"
        "	pushl %eax\n"
        "	movl pae_step, %eax\n"
        "	incl pae_faults(, %eax, 4)\n"
        "	movl pae_resume, %eax\n"
        "	movl %eax, 4(%esp)\n"
        "	popl %eax\n"
        "	iretl\n"
        "	.code64\n"
        "	.local pae_rsp, pae_cr3, pae_cr4, pae_step, pae_resume\n"
        "	.comm pae_rsp, 8, 8\n"
        "	.comm pae_cr3, 4, 4\n"
        "	.comm pae_cr4, 4, 4\n"
        "	.comm pae_step, 4, 4\n"
        "	.comm pae_resume, 4, 4\n");

_Static_assert(STEP_CR0_RESERVED == 5 && STEP_CR4_RESERVED == 7, "the numbers in the code");

static uint64_t physical(const void *address)
{
	return (uint64_t)(uintptr_t)address;
}

/* All four gigabytes as in long mode, but for the window, which shows one page. */
static void make_root(table root, table directory, table window, table page)
{
	const uint64_t *top = (const uint64_t *)(uintptr_t)(read_cr3() & ADDRESS_MASK);
	const uint64_t *pointers = (const uint64_t *)(uintptr_t)(top[0] & ADDRESS_MASK);

	for (unsigned i = 0; i < 4; i++)
		root[i] = (pointers[i] & ADDRESS_MASK) | PTE_PRESENT;
	root[WINDOW_PDPTE] = physical(directory) | PTE_PRESENT;
	directory[0] = physical(window) | PTE_PRESENT | PTE_WRITE;
	window[0] = physical(page) | PTE_PRESENT | PTE_WRITE;
}

static void make_tables(void)
{
	uint64_t fault = physical(pae_fault);

	make_root(pae_root_a, directory_a, table_a, page_a);
	make_root(pae_root_b, directory_b, table_b, page_b);
	page_a[0] = 'a';
	page_b[0] = 'b';
	for (uint32_t i = 0; i < PAGE_SIZE / sizeof(uint32_t); i++)
		pae_root_32[i] = i << 22 | PDE_LARGE | (uint32_t)(PTE_PRESENT | PTE_WRITE);
	/* SDM vol. 3, figure "IDT Gate Descriptors". */
	gates[FAULT_GP] = (fault & 0xffff) | (uint64_t)SELECTOR_CODE32 << 16 |
	    (uint64_t)GATE_INTERRUPT << 32 | (fault >> 16 & 0xffff) << 48;
	pae_idt_descriptor.limit = sizeof(gates) - 1;
	pae_idt_descriptor.base = (uint32_t)physical(gates);
}

static void check_mark(enum step step, char expected)
{
	check(pae_marks[step] == (uint8_t)expected, "%s: the window shows %x, expected %c",
	    step_names[step], pae_marks[step], expected);
}

static void check_fault(enum step step, uint32_t expected)
{
	check(pae_faults[step] == expected, "%s: %u times #GP, expected %u", step_names[step],
	    pae_faults[step], expected);
}

void guest_main(void)
{
	const uint32_t genuine_intel = 0x756e6547; /* "Genu" */

	interrupts_disable();
	make_tables();
	pae_is_checked = cpuid(0, 0).ebx == genuine_intel;
	pae_run();
	interrupts_load();

	check_fault(STEP_PAGING, 0);
	check_mark(STEP_PAGING, 'a');
	check_mark(STEP_EXIT, 'a');
	check_fault(STEP_CR3, 0);
	check_mark(STEP_CR3, 'b');
	check_fault(STEP_UNRELATED, 0);
	check_mark(STEP_UNRELATED, 'b');
	check_mark(STEP_CR3_RESERVED, 'b');
	check_fault(STEP_ABSENT, 0);
	check_mark(STEP_ABSENT, 'b');
	if (!pae_is_checked)
		not_checked("reserved bits of PDPTEs: this processor looks when it uses them");
	check_fault(STEP_CR3_RESERVED, pae_is_checked);
	check_fault(STEP_CR0_RESERVED, pae_is_checked);
	check_fault(STEP_CR4_RESERVED, pae_is_checked);
}
