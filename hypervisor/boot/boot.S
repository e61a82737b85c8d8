/* SPDX-License-Identifier: MIT */
/* From multiboot's 32-bit entry, or from a start-up IPI, to C in long mode. */
#include "hypervisor/cpu/vectors.h"

#define IMAGE_BASE       0xffffffff80000000
#define MULTIBOOT_HEADER 0x1badb002
#define MULTIBOOT_FLAGS  0x3 /* modules on page boundaries; memory information wanted */
#define PAGE_WRITABLE    0x003
#define PAGE_LARGE       0x083
#define CR0_PE_MP_ET_NE_WP_PG 0x80010033
#define CR4_PAE          0x20
#define MSR_EFER         0xc0000080
#define EFER_LME_NXE     0x900
#define BOOT_CODE32      0x18
#define BOOT_STACK_SIZE  16384

	.section .boot.header, "a"
	.balign 4
	.long MULTIBOOT_HEADER, MULTIBOOT_FLAGS, -(MULTIBOOT_HEADER + MULTIBOOT_FLAGS)

	.section .boot.text, "ax"
	.code32
	.globl boot_start
boot_start:
	cli
	cld
	movl %eax, %edi /* multiboot magic and information: arguments of boot_main() */
	movl %ebx, %esi
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	btl $29, %edx
	jnc no_long_mode
	btl $20, %edx /* no-execute pages: the kernel's mapping needs them */
	jnc no_long_mode

	/* 4 GiB of 2 MiB pages, seen at 0, at DIRECT_MAP_BASE and (1 GiB of it) at IMAGE_BASE. */
	movl $boot_directories, %edx
	movl $PAGE_LARGE, %eax
1:	movl %eax, (%edx)
	addl $8, %edx
	addl $0x200000, %eax
	jnc 1b
	movl $boot_directories + PAGE_WRITABLE, %eax
	movl %eax, boot_pdpt
	movl %eax, boot_pdpt_image + 510 * 8
	addl $0x1000, %eax
	movl %eax, boot_pdpt + 8
	addl $0x1000, %eax
	movl %eax, boot_pdpt + 16
	addl $0x1000, %eax
	movl %eax, boot_pdpt + 24
	movl $boot_pdpt + PAGE_WRITABLE, %eax
	movl %eax, boot_pml4
	movl %eax, boot_pml4 + 256 * 8
	movl $boot_pdpt_image + PAGE_WRITABLE, %eax
	movl %eax, boot_pml4 + 511 * 8
	lgdtl boot_gdt_pointer
	xorl %ebp, %ebp /* 0: the first pCPU */

enter_long_mode:
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME_NXE, %eax
	wrmsr
	movl $CR0_PE_MP_ET_NE_WP_PG, %eax
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE, $low64

no_long_mode:
	movl $no_long_mode_text, %esi
	movw $0x3f8, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	cli
	hlt
	jmp 2b

	/* Start-up IPIs lead to a copy of this in a page below 1 MiB (smp.c); real mode. */
	.code16
	.globl trampoline_start, trampoline_end
trampoline_start:
	cli
	cld
	lgdtl %cs:trampoline_gdt_pointer - trampoline_start
	movl %cr0, %eax
	andl $0x9fffffff, %eax /* caches on: INIT leaves CD and NW set */
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $BOOT_CODE32, $ap_start32
	.balign 4
trampoline_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
trampoline_end:

	.code32
ap_start32:
	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $1, %ebp /* not the first pCPU */
	jmp enter_long_mode

	.code64
low64:
	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movabsq $high64, %rax
	jmpq *%rax

	.text
high64:
	testl %ebp, %ebp
	jnz 1f
	leaq boot_stack_top(%rip), %rsp
	movl %edi, %edi
	movl %esi, %esi
	call boot_main
	ud2
1:	movq kernel_cr3(%rip), %rax
	movq %rax, %cr3
	movq ap_stack_top(%rip), %rsp
	xorl %ebp, %ebp
	call ap_main
	ud2

	.section .boot.data, "aw"
	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SELECTOR_CODE: 64-bit code */
	.quad 0x00cf93000000ffff /* SELECTOR_DATA */
	.quad 0x00cf9b000000ffff /* BOOT_CODE32: flat 32-bit code */
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
no_long_mode_text:
	.asciz "posthorn: not supported: a CPU without 64-bit mode or no-execute pages\r\n"

	.section .boot.bss, "aw", @nobits
	.balign 4096
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_pdpt_image:
	.skip 4096
boot_directories:
	.skip 4 * 4096

	/* The page below the stack is left unmapped by mm/map.c. */
	.section .bss.stack, "aw", @nobits
	.balign 4096
	.globl boot_stack_guard
boot_stack_guard:
	.skip 4096
	.skip BOOT_STACK_SIZE
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
