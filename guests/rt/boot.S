/* SPDX-License-Identifier: MIT */
/* Multiboot entry, the switch to long mode, the AP trampoline and the interrupt stubs. */
#include "guests/rt/layout.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000003 /* page-aligned modules, memory information */

#define CR0_PE	 0x00000001
#define CR0_PG	 0x80000000
#define CR4_PAE	 0x00000020
#define MSR_EFER 0xc0000080
#define EFER_LME 0x00000100

/* 2 MiB page: present, writable, large; device memory is not cached. */
#define PDE_MEMORY	0x83
#define PDE_DEVICE	0x93
#define DEVICE_FIRST_PDE (0xc0000000 >> 21)

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl guest_entry
guest_entry:
	cli
	cld
	mov %eax, multiboot_magic
	mov %ebx, multiboot_info
	mov $(cpu_stacks + CPU_STACK_SIZE), %esp

	/* Identity map of the low 4 GiB. */
	movl $(page_directory_pointers + 0x3), page_map_level4
	mov $page_directory_pointers, %edi
	mov $(page_directories + 0x3), %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $4096, %eax
	add $8, %edi
	loop 1b
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $PDE_MEMORY, %eax
	cmp $DEVICE_FIRST_PDE, %ecx
	jb 3f
	or $PDE_DEVICE, %eax
3:	mov %eax, page_directories(, %ecx, 8)
	inc %ecx
	cmp $2048, %ecx
	jb 2b

	lgdt gdt_descriptor
	call enable_long_mode
	ljmp $SELECTOR_CODE64, $bsp_entry64

enable_long_mode:
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $page_map_level4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $(CR0_PG | CR0_PE), %eax
	mov %eax, %cr0
	ret

ap_entry32:
	mov $SELECTOR_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov ap_boot_stack, %esp
	call enable_long_mode
	ljmp $SELECTOR_CODE64, $ap_entry64

	.code64
.macro load_data_segments
	mov $SELECTOR_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov %eax, %ss
.endm

bsp_entry64:
	load_data_segments
	mov $(cpu_stacks + CPU_STACK_SIZE), %rsp
	xor %ebp, %ebp
	mov multiboot_magic, %edi
	mov multiboot_info, %esi
	call runtime_start
1:	cli
	hlt
	jmp 1b

ap_entry64:
	load_data_segments
	mov ap_boot_stack, %rsp
	xor %ebp, %ebp
	call smp_ap_start
1:	cli
	hlt
	jmp 1b

/* Copied to TRAMPOLINE_BASE; a STARTUP IPI enters at its first byte, CS:IP = base >> 4 : 0. */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE_BASE + (ap_trampoline_gdt - ap_trampoline)
	mov %cr0, %eax
	or $CR0_PE, %eax
	mov %eax, %cr0
	ljmpl $SELECTOR_CODE32, $ap_entry32
	.balign 4
ap_trampoline_gdt:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:
	.code64

/*
 * One stub a vector. A vector may come as an exception (with or without an error code) or as an
 * interrupt (never with one), so the vector number does not tell. The stack does: the CPU aligns
 * RSP to 16 bytes before it pushes 5 quadwords, or 6 with the error code.
 */
	.balign INTERRUPT_STUB_SIZE
	.globl interrupt_stubs
interrupt_stubs:
	.set vector, 0
	.rept 256
	.balign INTERRUPT_STUB_SIZE
	testb $8, %spl
	jz 1f
	push $0
1:	push $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

interrupt_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	call interrupt_dispatch
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.data
	.balign 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SELECTOR_CODE64 */
	.quad 0x00cf93000000ffff /* SELECTOR_DATA */
	.quad 0x00cf9b000000ffff /* SELECTOR_CODE32 */
gdt_end:
gdt_descriptor:
	.word gdt_end - gdt - 1
	.quad gdt

	.globl ap_boot_stack
	.balign 8
ap_boot_stack:
	.quad 0
multiboot_magic:
	.long 0
multiboot_info:
	.long 0

	.bss
	.balign 4096
page_map_level4:
	.skip 4096
page_directory_pointers:
	.skip 4096
page_directories:
	.skip 4 * 4096
	.balign CPU_STACK_SIZE
	.globl cpu_stacks
cpu_stacks:
	.skip CPU_COUNT_MAX * CPU_STACK_SIZE

	.section .note.GNU-stack, "", @progbits
