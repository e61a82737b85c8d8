/* SPDX-License-Identifier: MIT */
/* Instruction decoder and arithmetic for exits; pure functions, tested hosted. */
#include "hypervisor/vm/decode.h"
#include "x86/msr.h"

/* What follows an opcode (SDM vol. 2, appendix A, "Opcode Map"). */
#define HAS_MODRM  0x01u
#define HAS_IMM8   0x02u
#define HAS_IMMZ   0x04u /* 2 or 4 bytes by operand size */
#define HAS_MOFFS  0x08u /* address of the address size */
#define HAS_GROUP3 0x10u /* TEST in group 3 has an immediate */
#define IS_KNOWN   0x80u
#define KNOWN(f)   ((uint8_t)(IS_KNOWN | (f)))

#define ALU_ROW(op) \
	[op + 0] = KNOWN(HAS_MODRM), [op + 1] = KNOWN(HAS_MODRM), [op + 2] = KNOWN(HAS_MODRM), \
	[op + 3] = KNOWN(HAS_MODRM)

static const uint8_t one_byte_map[256] = {
    ALU_ROW(0x00), ALU_ROW(0x08), ALU_ROW(0x10), ALU_ROW(0x18),
    ALU_ROW(0x20), ALU_ROW(0x28), ALU_ROW(0x30), ALU_ROW(0x38),
    [0x80] = KNOWN(HAS_MODRM | HAS_IMM8), [0x81] = KNOWN(HAS_MODRM | HAS_IMMZ),
    [0x83] = KNOWN(HAS_MODRM | HAS_IMM8), [0x84] = KNOWN(HAS_MODRM), [0x85] = KNOWN(HAS_MODRM),
    [0x86] = KNOWN(HAS_MODRM), [0x87] = KNOWN(HAS_MODRM), [0x88] = KNOWN(HAS_MODRM),
    [0x89] = KNOWN(HAS_MODRM), [0x8a] = KNOWN(HAS_MODRM), [0x8b] = KNOWN(HAS_MODRM),
    [0x90] = KNOWN(0), [0xa0] = KNOWN(HAS_MOFFS), [0xa1] = KNOWN(HAS_MOFFS),
    [0xa2] = KNOWN(HAS_MOFFS), [0xa3] = KNOWN(HAS_MOFFS), [0xaa] = KNOWN(0), [0xab] = KNOWN(0),
    [0x6c] = KNOWN(0), [0x6d] = KNOWN(0), [0x6e] = KNOWN(0), [0x6f] = KNOWN(0),
    [0xc6] = KNOWN(HAS_MODRM | HAS_IMM8), [0xc7] = KNOWN(HAS_MODRM | HAS_IMMZ),
    [0xe4] = KNOWN(HAS_IMM8), [0xe5] = KNOWN(HAS_IMM8), [0xe6] = KNOWN(HAS_IMM8),
    [0xe7] = KNOWN(HAS_IMM8), [0xec] = KNOWN(0), [0xed] = KNOWN(0), [0xee] = KNOWN(0),
    [0xef] = KNOWN(0), [0xf4] = KNOWN(0),
    [0xf6] = KNOWN(HAS_MODRM | HAS_GROUP3), [0xf7] = KNOWN(HAS_MODRM | HAS_GROUP3),
};

static const uint8_t two_byte_map[256] = {
    [0x01] = KNOWN(HAS_MODRM), [0x06] = KNOWN(0), [0x08] = KNOWN(0), [0x09] = KNOWN(0),
    [0x20] = KNOWN(HAS_MODRM), [0x21] = KNOWN(HAS_MODRM), [0x22] = KNOWN(HAS_MODRM),
    [0x23] = KNOWN(HAS_MODRM), [0x30] = KNOWN(0), [0x32] = KNOWN(0), [0x33] = KNOWN(0),
    [0xa2] = KNOWN(0), [0xb6] = KNOWN(HAS_MODRM), [0xb7] = KNOWN(HAS_MODRM),
    [0xbe] = KNOWN(HAS_MODRM), [0xbf] = KNOWN(HAS_MODRM), [0xc3] = KNOWN(HAS_MODRM),
};

struct cursor {
	const uint8_t *at;
	uint32_t left;
	bool is_short; /* a byte was wanted that is not there */
};

static uint8_t next_byte(struct cursor *cursor)
{
	if (!cursor->left) {
		cursor->is_short = true;
		return 0;
	}
	cursor->left--;
	return *(const volatile uint8_t *)cursor->at++;
}

/* A little-endian number of 1, 2, 4 or 8 bytes, sign-extended. */
static int64_t next_signed(struct cursor *cursor, uint32_t bytes)
{
	uint64_t value = 0;
	uint32_t i;

	for (i = 0; i < bytes; i++)
		value |= (uint64_t)next_byte(cursor) << 8 * i;
	return (int64_t)(value << (64 - 8 * bytes)) >> (64 - 8 * bytes);
}

struct prefixes {
	bool operand_size;
	bool address_size;
	uint8_t rex;
};

static uint8_t prefix_segment(uint8_t byte)
{
	switch (byte) {
	case 0x26: return DECODE_ES;
	case 0x2e: return DECODE_CS;
	case 0x36: return DECODE_SS;
	case 0x3e: return DECODE_DS;
	case 0x64: return DECODE_FS;
	case 0x65: return DECODE_GS;
	default: return DECODE_NO_SEGMENT;
	}
}

/* Legacy prefixes in any order, then REX; returns the first byte of the opcode. */
static uint8_t decode_prefixes(struct cursor *cursor, enum decode_mode mode,
    struct prefixes *prefixes, struct instruction *in)
{
	for (;;) {
		uint8_t byte = next_byte(cursor);
		uint8_t segment;

		if (mode == DECODE_64 && (byte & 0xf0) == 0x40) {
			prefixes->rex = byte;
			in->has_rex = true;
			continue;
		}
		segment = prefix_segment(byte);
		if (segment != DECODE_NO_SEGMENT)
			in->segment = segment;
		else if (byte == 0x66)
			prefixes->operand_size = true;
		else if (byte == 0x67)
			prefixes->address_size = true;
		else if (byte == 0xf2 || byte == 0xf3)
			in->has_repeat = true;
		else if (byte != 0xf0)
			return byte;
		/* REX counts only right before the opcode (SDM vol. 2, "REX Prefixes"). */
		prefixes->rex = 0;
		in->has_rex = false;
	}
}

static void decode_sizes(const struct prefixes *prefixes, enum decode_mode mode,
    struct instruction *in)
{
	bool is_wide_operand = (mode == DECODE_16) == prefixes->operand_size;

	in->operand_bytes = is_wide_operand ? 4 : 2;
	if (prefixes->rex & 8)
		in->operand_bytes = 8;
	if (mode == DECODE_64)
		in->address_bytes = prefixes->address_size ? 4 : 8;
	else
		in->address_bytes = (mode == DECODE_16) == prefixes->address_size ? 4 : 2;
}

/* SDM vol. 2, tables "16-Bit" and "32-Bit Addressing Forms with the ModR/M Byte". */
static void skip_memory16(struct cursor *cursor, const struct instruction *in)
{
	if (in->mod == 2 || (in->mod == 0 && in->rm == 6))
		next_signed(cursor, 2);
	else if (in->mod == 1)
		next_signed(cursor, 1);
}

static void skip_memory32(struct cursor *cursor, const struct instruction *in)
{
	uint8_t base = in->rm & 7;

	if (base == 4)
		base = next_byte(cursor) & 7; /* SIB */
	if (in->mod == 2 || (in->mod == 0 && base == 5))
		next_signed(cursor, 4);
	else if (in->mod == 1)
		next_signed(cursor, 1);
}

static void decode_modrm(struct cursor *cursor, uint8_t rex, struct instruction *in)
{
	uint8_t modrm = next_byte(cursor);

	in->has_modrm = true;
	in->mod = modrm >> 6;
	in->reg = (uint8_t)((modrm >> 3 & 7) | (rex & 4) << 1);
	in->rm = (uint8_t)((modrm & 7) | (rex & 1) << 3);
	/* Control and debug registers: MOD is ignored (SDM vol. 2, "MOV-Move to/from Control"). */
	if (in->opcode >= (DECODE_TWO_BYTE | 0x20) && in->opcode <= (DECODE_TWO_BYTE | 0x23))
		in->mod = 3;
	if (in->mod == 3)
		return;
	if (in->address_bytes == 2)
		skip_memory16(cursor, in);
	else
		skip_memory32(cursor, in);
}

static void decode_immediate(struct cursor *cursor, uint8_t flags, struct instruction *in)
{
	if ((flags & HAS_GROUP3) && (in->reg & 7) < 2)
		flags |= in->opcode & 1 ? HAS_IMMZ : HAS_IMM8;
	if (flags & HAS_IMM8)
		in->immediate = (uint64_t)next_signed(cursor, 1);
	else if (flags & HAS_IMMZ)
		in->immediate = (uint64_t)next_signed(cursor, in->operand_bytes == 2 ? 2 : 4);
	else if (flags & HAS_MOFFS)
		next_signed(cursor, in->address_bytes);
}

bool decode(const uint8_t *bytes, uint32_t available, enum decode_mode mode,
    struct instruction *in)
{
	struct cursor cursor = {bytes, available, false};
	struct prefixes prefixes = {false, false, 0};
	uint8_t byte, flags;

	if (available > DECODE_MAX_LENGTH)
		cursor.left = available = DECODE_MAX_LENGTH;
	*in = (struct instruction){.segment = DECODE_NO_SEGMENT};
	byte = decode_prefixes(&cursor, mode, &prefixes, in);
	decode_sizes(&prefixes, mode, in);
	in->opcode = byte;
	flags = one_byte_map[byte];
	if (byte == 0x0f) {
		byte = next_byte(&cursor);
		in->opcode = (uint16_t)(DECODE_TWO_BYTE | byte);
		flags = two_byte_map[byte];
	}
	if (!(flags & IS_KNOWN))
		return false;
	if (flags & HAS_MODRM)
		decode_modrm(&cursor, prefixes.rex, in);
	decode_immediate(&cursor, flags, in);
	in->length = (uint8_t)(available - cursor.left);
	return !cursor.is_short;
}

/* ---- MMIO ------------------------------------------------------------------------------------ */

/* The register operand of a byte instruction: AH..BH without REX (SDM vol. 2, "REX Prefixes"). */
static void mmio_byte_register(const struct instruction *in, struct mmio_access *access)
{
	if (access->register_bytes == 1 && !in->has_rex && access->reg >= 4 && access->reg < 8) {
		access->is_high_byte = true;
		access->reg -= 4;
	}
}

static void mmio_extend(const struct instruction *in, struct mmio_access *access)
{
	access->kind = MMIO_LOAD;
	access->bytes = in->opcode & 1 ? 2 : 1;
	access->register_bytes = in->operand_bytes;
	access->is_signed = in->opcode & 8;
}

/* Rows 00..3F of the opcode map. */
static void mmio_alu_row(const struct instruction *in, struct mmio_access *access)
{
	access->kind = in->opcode & 2 ? MMIO_ALU_LOAD : MMIO_ALU_STORE;
	access->alu = (enum alu)(in->opcode >> 3 & 7);
}

static bool mmio_group(const struct instruction *in, struct mmio_access *access)
{
	access->has_immediate = true;
	switch (in->opcode) {
	case 0x80: case 0x81: case 0x83: /* group 1 */
		access->kind = MMIO_ALU_STORE;
		access->alu = (enum alu)(in->reg & 7);
		return true;
	case 0xc6: case 0xc7: /* group 11: MOV only */
		access->kind = MMIO_STORE;
		return (in->reg & 7) == 0;
	case 0xf6: case 0xf7: /* group 3: TEST only */
		access->kind = MMIO_ALU_STORE;
		access->alu = ALU_TEST;
		return (in->reg & 7) < 2;
	default:
		return false;
	}
}

static bool mmio_plain(const struct instruction *in, struct mmio_access *access)
{
	switch (in->opcode) {
	case 0x88: case 0x89:
		access->kind = MMIO_STORE;
		return true;
	case 0x8a: case 0x8b:
		access->kind = MMIO_LOAD;
		return true;
	case 0x84: case 0x85:
		access->kind = MMIO_ALU_STORE;
		access->alu = ALU_TEST;
		return true;
	case 0x86: case 0x87:
		access->kind = MMIO_EXCHANGE;
		return true;
	case 0xa0: case 0xa1: case 0xa2: case 0xa3:
		access->kind = in->opcode & 2 ? MMIO_STORE : MMIO_LOAD;
		access->reg = 0;
		return true;
	case 0xaa: case 0xab:
		access->kind = MMIO_STORE_STRING;
		access->reg = 0;
		return true;
	default:
		return mmio_group(in, access);
	}
}

bool decode_mmio(const struct instruction *in, struct mmio_access *access)
{
	uint8_t bytes = in->opcode & 1 ? in->operand_bytes : 1;

	if (in->has_modrm && in->mod == 3)
		return false;
	*access = (struct mmio_access){.bytes = bytes, .register_bytes = bytes, .reg = in->reg};
	switch (in->opcode) {
	case DECODE_TWO_BYTE | 0xb6: case DECODE_TWO_BYTE | 0xb7:
	case DECODE_TWO_BYTE | 0xbe: case DECODE_TWO_BYTE | 0xbf:
		mmio_extend(in, access);
		return true;
	case DECODE_TWO_BYTE | 0xc3: /* MOVNTI */
		access->kind = MMIO_STORE;
		return true;
	default:
		break;
	}
	if (in->opcode < 0x40)
		mmio_alu_row(in, access);
	else if (in->opcode > 0xff || !mmio_plain(in, access))
		return false;
	mmio_byte_register(in, access);
	return true;
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

#define RFLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static uint64_t alu_result(enum alu op, uint64_t left, uint64_t right, uint64_t carry)
{
	switch (op) {
	case ALU_ADD: return left + right;
	case ALU_ADC: return left + right + carry;
	case ALU_OR: return left | right;
	case ALU_XOR: return left ^ right;
	case ALU_AND: case ALU_TEST: return left & right;
	case ALU_SBB: return left - right - carry;
	default: return left - right;
	}
}

uint64_t alu_compute(enum alu op, uint64_t left, uint64_t right, uint32_t bytes, uint64_t *flags)
{
	uint32_t unused_bits = 64 - 8 * bytes;
	uint64_t mask = ~0ull >> unused_bits;
	uint64_t sign = 1ull << (8 * bytes - 1);
	uint64_t result = alu_result(op, left, right, *flags & RFLAGS_CF) & mask;
	bool is_add = op == ALU_ADD || op == ALU_ADC;
	bool is_sub = op == ALU_SUB || op == ALU_SBB || op == ALU_CMP;
	/* Carries out of (or borrows into) each bit position. */
	uint64_t carries = 0;
	uint64_t out = 0;

	left &= mask;
	right &= mask;
	if (is_add)
		carries = (left & right) | ((left | right) & ~result);
	if (is_sub)
		carries = (~left & right) | ((~left | right) & result);
	out |= carries & sign ? RFLAGS_CF : 0;
	out |= carries & 8 ? RFLAGS_AF : 0;
	/* Overflow: the carries out of the sign bit and into it differ. */
	if (is_add || is_sub)
		out |= !(carries & sign) != !(carries & sign >> 1) ? RFLAGS_OF : 0;
	out |= result ? 0 : RFLAGS_ZF;
	out |= result & sign ? RFLAGS_SF : 0;
	out |= __builtin_popcountll(result & 0xff) & 1 ? 0 : RFLAGS_PF;
	*flags = (*flags & ~RFLAGS_ARITHMETIC) | out;
	return result;
}
