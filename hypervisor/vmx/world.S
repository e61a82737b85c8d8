/* SPDX-License-Identifier: MIT */
/* The world switch: guest registers in, VMLAUNCH or VMRESUME, and back. */

#define GPR(n) (8 * (n))
#define RCX 1
#define RDX 2
#define RBX 3
#define RBP 5
#define RSI 6
#define RDI 7
#define VMCS_HOST_RSP 0x6c14
#define VMCS_EXIT_REASON 0x4402
#define REASON_NOT_ENTERED 65 /* VMX_REASON_NOT_ENTERED */

	.section .text.vmx_run, "ax"
	.globl vmx_run, vmx_run_exit
	.type vmx_run, @function
/* uint32_t vmx_run(rdi: gprs, esi: VMRESUME); IRQs off at call and return. */
vmx_run:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	movl $VMCS_HOST_RSP, %eax
	vmwrite %rsp, %rax
	testl %esi, %esi
	/* Nothing from here to the entry changes the flags. */
	movq (%rdi), %rax
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
	jz 1f
	vmresume
	jmp 2f
1:
	vmlaunch
2:
	/* VMfail: no exit, the registers in memory are still the guest's. */
	popq %rdi
	movl $REASON_NOT_ENTERED, %eax
	jmp 3f

vmx_run_exit:
	/* Every exit begins here, RSP as written above. */
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rax, (%rdi)
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
	movl $VMCS_EXIT_REASON, %eax
	vmread %rax, %rax
3:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
	.size vmx_run, . - vmx_run

	.section .note.GNU-stack, "", @progbits
