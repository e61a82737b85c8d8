/* SPDX-License-Identifier: MIT */
/*
 * The guest of kvm.c: real-mode code for address 0x1000.  DS begins at the local APIC, ES at 0;
 * ES:SI are the CPU's counts of tokens, MSIs and ticks, EBX is ICR's upper half for the other CPU,
 * EDX the count of tokens at which this CPU keeps the token.
 */
	.code16
	.macro eoi
	movl	$0, 0xb0
	iret
	.endm

	.section .rodata
	.globl	guest_code, guest_code_end
guest_code:
	movl	$0x1ff, 0xf0		/* CPU 0, at 0x1000: SVR, the APIC is on */
	movl	$0x20061, 0x320		/* the timer: periodic, vector 0x61 */
	movl	$1000000, 0x380		/* its count: 2 ms */
	movl	$0xc4500, 0x300		/* ICR: INIT to all others */
	movl	$0xc4602, 0x300		/* ICR: SIPI to all others, to begin at 0x2000 */
0:	sti
	hlt
	jmp	0b

	.org	guest_code + 0x1000	/* CPU 1, at 0x2000 */
	movl	$0x1ff, 0xf0
0:	sti
	hlt
	jmp	0b

	.org	guest_code + 0x2000	/* at 0x3000: the token */
	incl	%es:(%si)
	cmpl	%edx, %es:(%si)
	jae	0f
	movl	%ebx, 0x310
	movl	$0x41, 0x300		/* ICR: fixed, vector 0x41 */
0:	eoi

	.org	guest_code + 0x2100	/* at 0x3100: the MSI */
	incl	%es:4(%si)
	eoi

	.org	guest_code + 0x2200	/* at 0x3200: the timer */
	incl	%es:8(%si)
	eoi
guest_code_end:

	.section .note.GNU-stack, "", @progbits
