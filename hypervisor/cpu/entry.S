/* SPDX-License-Identifier: MIT */
/* Host interrupt and exception entries. */

#define STUB_BYTES 16

	.text
	/* One stub for each vector, STUB_BYTES apart: descriptor.c computes their addresses. */
	.globl vector_stubs
	.balign STUB_BYTES
vector_stubs:
	.set vector, 0
	.rept 256
	.balign STUB_BYTES
	.if vector < 32
	/* Vectors 8, 10..14, 17, 21, 29 and 30 push an error code (SDM vol. 3, table "Exceptions
	 * and Interrupts"; APM vol. 2 for 29 and 30). */
	.if (0x60227d00 >> vector) & 1 == 0
	pushq $0
	.endif
	pushq $vector
	jmp exception_entry
	.else
	pushq %rax
	movl $vector, %eax
	jmp interrupt_entry
	.endif
	.set vector, vector + 1
	.endr

	.balign 16
interrupt_entry:
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	cld
	movl %eax, %edi
	call irq_dispatch
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	popq %rax
	iretq

exception_entry:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call exception_handle
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
