/* SPDX-License-Identifier: MIT */
/* The world switch: host state out, guest state in, VMRUN, and back. */

#define GPR(n) (8 * (n))
#define RCX 1
#define RDX 2
#define RBX 3
#define RBP 5
#define RSI 6
#define RDI 7

	.section .text.svm_run, "ax"
	.globl svm_run
	.type svm_run, @function
/* svm_run(rdi: gprs, rsi: guest VMCB, rdx: host VMSAVE area), all but rdi physical. */
svm_run:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdx
	pushq %rdi

	/*
	 * GIF = 0 holds interrupts off while IF = 1 becomes the host's IF that VMRUN saves: only with
	 * it does a physical interrupt end the guest's execution (APM vol. 2, "Virtualizing EFLAGS.IF").
	 */
	clgi
	sti
	movq %rsi, %rax
	vmload %rax
	movq GPR(RCX)(%rdi), %rcx
	movq GPR(RDX)(%rdi), %rdx
	movq GPR(RBX)(%rdi), %rbx
	movq GPR(RBP)(%rdi), %rbp
	movq GPR(RSI)(%rdi), %rsi
	movq GPR(8)(%rdi), %r8
	movq GPR(9)(%rdi), %r9
	movq GPR(10)(%rdi), %r10
	movq GPR(11)(%rdi), %r11
	movq GPR(12)(%rdi), %r12
	movq GPR(13)(%rdi), %r13
	movq GPR(14)(%rdi), %r14
	movq GPR(15)(%rdi), %r15
	movq GPR(RDI)(%rdi), %rdi
	vmrun %rax

	/* RAX is the host's again: the guest's VMCB.  GIF = 0. */
	vmsave %rax
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rcx, GPR(RCX)(%rdi)
	movq %rdx, GPR(RDX)(%rdi)
	movq %rbx, GPR(RBX)(%rdi)
	movq %rbp, GPR(RBP)(%rdi)
	movq %rsi, GPR(RSI)(%rdi)
	movq %r8, GPR(8)(%rdi)
	movq %r9, GPR(9)(%rdi)
	movq %r10, GPR(10)(%rdi)
	movq %r11, GPR(11)(%rdi)
	movq %r12, GPR(12)(%rdi)
	movq %r13, GPR(13)(%rdi)
	movq %r14, GPR(14)(%rdi)
	movq %r15, GPR(15)(%rdi)
	popq GPR(RDI)(%rdi)
	popq %rdi
	popq %rax
	vmload %rax
	cli
	stgi

	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
	.size svm_run, . - svm_run

	.section .note.GNU-stack, "", @progbits
