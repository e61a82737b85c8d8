/* SPDX-License-Identifier: MIT */
/* The compiled DSDT (mk/board.mk makes dsdt.aml from dsdt.asl). */
	.section .rodata.board_dsdt, "a"
	.balign 16
	.globl board_dsdt, board_dsdt_end
board_dsdt:
	.incbin "dsdt.aml"
board_dsdt_end:

	.section .note.GNU-stack, "", @progbits
