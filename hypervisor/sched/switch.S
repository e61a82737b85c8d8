/* SPDX-License-Identifier: MIT */
/* The switch from one kernel thread's stack to another's. */
	.text
	/* void context_switch(uint64_t *saved_rsp, uint64_t next_rsp); */
	.globl context_switch
context_switch:
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

	/* Where a new thread's stack returns to. */
	.globl thread_entry
thread_entry:
	call thread_begin
	ud2
	.section .note.GNU-stack, "", @progbits
