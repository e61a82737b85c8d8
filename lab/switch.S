/* SPDX-License-Identifier: MIT */
/* Switch between the lab's stack and an actor's: callee-saved registers of the System V ABI. */
	.text
	.globl lab_switch
	.type lab_switch, @function
lab_switch:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
	.size lab_switch, . - lab_switch
	.section .note.GNU-stack, "", @progbits
