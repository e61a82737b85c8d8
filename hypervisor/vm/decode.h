/* SPDX-License-Identifier: MIT */
/* Decoder of the instructions that exits need: the intercepted ones, and those that access MMIO. */
#ifndef HYPERVISOR_SVM_DECODE_H
#define HYPERVISOR_SVM_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#define DECODE_MAX_LENGTH 15u /* SDM vol. 2, "Instruction Format" */

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

/* Segment registers by the number in segment overrides' order; DECODE_NO_SEGMENT: no override. */
enum decode_segment {
	DECODE_ES, DECODE_CS, DECODE_SS, DECODE_DS, DECODE_FS, DECODE_GS, DECODE_NO_SEGMENT
};

#define DECODE_TWO_BYTE 0x0f00u /* in instruction.opcode: behind the escape byte 0F */

struct instruction {
	uint8_t length;
	uint16_t opcode;
	uint8_t operand_bytes; /* 2, 4 or 8, by prefixes and mode; byte forms are the opcode's */
	uint8_t address_bytes;
	bool has_rex;
	bool has_modrm;
	bool has_repeat;       /* F2 or F3 */
	uint8_t segment;       /* enum decode_segment */
	/* ModRM, extended by REX.  Of a memory operand no more is needed: exits tell its address. */
	uint8_t mod, reg, rm;
	uint64_t immediate; /* sign-extended to 64 bits */
};

/*
 * Decode one instruction.  False: not one of those above, or not whole in `available` bytes.
 * Reads each byte once, so that the bytes may lie in memory that the guest is changing.
 */
bool decode(const uint8_t *bytes, uint32_t available, enum decode_mode mode,
    struct instruction *instruction);

/* ---- What an MMIO access does ---------------------------------------------------------------- */

enum mmio_kind {
	MMIO_LOAD,       /* memory to register, zero- or sign-extended */
	MMIO_STORE,      /* register or immediate to memory */
	MMIO_STORE_STRING, /* STOS */
	MMIO_ALU_LOAD,   /* register = register op memory (CMP, TEST: flags only) */
	MMIO_ALU_STORE,  /* memory = memory op register or immediate (CMP, TEST: flags only) */
	MMIO_EXCHANGE,
};

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };

struct mmio_access {
	enum mmio_kind kind;
	enum alu alu;
	uint8_t bytes;          /* of memory: 1, 2, 4 or 8 */
	uint8_t register_bytes; /* of the destination register; MMIO_LOAD may extend */
	bool is_signed;
	bool has_immediate;     /* the second operand is instruction.immediate */
	uint8_t reg;
	bool is_high_byte;      /* AH, CH, DH, BH: reg is the number of AX..BX */
};

/* What the decoded instruction does to its memory operand.  False: not supported for MMIO. */
bool decode_mmio(const struct instruction *instruction, struct mmio_access *access);

/* left op right on `bytes`; updates CF, PF, AF, ZF, SF and OF in *flags as the SDM says. */
uint64_t alu_compute(enum alu op, uint64_t left, uint64_t right, uint32_t bytes, uint64_t *flags);

struct vcpu;
enum decode_mode decode_mode(const struct vcpu *vcpu);

#endif
