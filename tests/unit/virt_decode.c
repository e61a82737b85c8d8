/* SPDX-License-Identifier: MIT */
/* hypervisor/vm/decode.c: lengths, MMIO operands and arithmetic flags, against tables and the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/vm/decode.h"
#include "x86/msr.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Lengths --------------------------------------------------------------------------------- */

struct length_row {
	const char *text;
	enum decode_mode mode;
	uint8_t length; /* also how many of the bytes count */
	uint8_t bytes[DECODE_MAX_LENGTH];
};

static const struct length_row length_rows[] = {
    {"cpuid", DECODE_64, 2, {0x0f, 0xa2}},
    {"rep cpuid", DECODE_64, 3, {0xf3, 0x0f, 0xa2}},
    {"rex.w cpuid", DECODE_64, 3, {0x48, 0x0f, 0xa2}},
    {"hlt", DECODE_16, 1, {0xf4}},
    {"wrmsr", DECODE_32, 2, {0x0f, 0x30}},
    {"vmmcall", DECODE_64, 3, {0x0f, 0x01, 0xd9}},
    {"xsetbv", DECODE_64, 3, {0x0f, 0x01, 0xd1}},
    {"clts", DECODE_16, 2, {0x0f, 0x06}},
    {"mov cr8, r9", DECODE_64, 4, {0x45, 0x0f, 0x22, 0xc1}},
    /* MOD is ignored: what looks like a displacement is none. */
    {"mov cr0, eax with mod 0", DECODE_32, 3, {0x0f, 0x22, 0x05}},
    {"pause", DECODE_64, 2, {0xf3, 0x90}},
    {"mov [rax], ecx", DECODE_64, 2, {0x89, 0x08}},
    {"mov [rip+d32], ecx", DECODE_64, 6, {0x89, 0x0d, 1, 2, 3, 4}},
    {"mov [d32], ecx", DECODE_32, 6, {0x89, 0x0d, 1, 2, 3, 4}},
    {"mov [rsp], ecx", DECODE_64, 3, {0x89, 0x0c, 0x24}},
    {"mov [rax+d8], ecx", DECODE_64, 3, {0x89, 0x48, 1}},
    {"mov [rax+d32], ecx", DECODE_64, 6, {0x89, 0x88, 1, 2, 3, 4}},
    {"mov [rsp+d8], ecx", DECODE_64, 4, {0x89, 0x4c, 0x24, 1}},
    {"mov [rsp+d32], ecx", DECODE_64, 7, {0x89, 0x8c, 0x24, 1, 2, 3, 4}},
    {"mov [index+d32], ecx: no base", DECODE_64, 7, {0x89, 0x0c, 0x25, 1, 2, 3, 4}},
    {"mov [r12], ecx", DECODE_64, 4, {0x41, 0x89, 0x0c, 0x24}},
    {"mov [r13+d8], ecx", DECODE_64, 4, {0x41, 0x89, 0x4d, 0x00}},
    {"mov [d16], cx", DECODE_16, 4, {0x89, 0x0e, 1, 2}},
    {"mov [bx+si+d8], cx", DECODE_16, 3, {0x89, 0x48, 1}},
    {"mov [bp+d16], cx", DECODE_16, 4, {0x89, 0x8e, 1, 2}},
    {"addr32 mov [eax+d32], cx", DECODE_16, 7, {0x67, 0x89, 0x88, 1, 2, 3, 4}},
    {"addr16 mov [d16], ecx", DECODE_32, 5, {0x67, 0x89, 0x0e, 1, 2}},
    {"mov dword [rax], imm32", DECODE_64, 6, {0xc7, 0x00, 1, 2, 3, 4}},
    {"mov word [rax], imm16", DECODE_64, 5, {0x66, 0xc7, 0x00, 1, 2}},
    {"mov qword [rax], imm32", DECODE_64, 7, {0x48, 0xc7, 0x00, 1, 2, 3, 4}},
    {"mov byte [rax], imm8", DECODE_64, 3, {0xc6, 0x00, 1}},
    {"mov word [bx], imm16", DECODE_16, 4, {0xc7, 0x07, 1, 2}},
    {"mov eax, moffs64", DECODE_64, 9, {0xa1, 1, 2, 3, 4, 5, 6, 7, 8}},
    {"mov eax, moffs32", DECODE_32, 5, {0xa1, 1, 2, 3, 4}},
    {"mov ax, moffs16", DECODE_16, 3, {0xa1, 1, 2}},
    {"or dword [rax], imm8", DECODE_64, 3, {0x83, 0x08, 1}},
    {"and dword [rax], imm32", DECODE_64, 6, {0x81, 0x20, 1, 2, 3, 4}},
    {"test dword [rax], imm32", DECODE_64, 6, {0xf7, 0x00, 1, 2, 3, 4}},
    {"test byte [rax], imm8", DECODE_64, 3, {0xf6, 0x00, 1}},
    {"not dword [rax]: no immediate", DECODE_64, 2, {0xf7, 0x10}},
    {"movzx eax, byte [rcx]", DECODE_64, 3, {0x0f, 0xb6, 0x01}},
    {"stosd", DECODE_64, 1, {0xab}},
    {"rep stosq", DECODE_64, 3, {0xf3, 0x48, 0xab}},
    {"fs outsb", DECODE_32, 2, {0x64, 0x6e}},
    {"all legacy prefixes", DECODE_64, 8, {0x66, 0x67, 0x2e, 0xf0, 0xf2, 0x64, 0x89, 0x00}},
};

static void lengths_are_the_manuals(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(length_rows); i++) {
		const struct length_row *row = &length_rows[i];
		struct instruction in;

		if (!decode(row->bytes, DECODE_MAX_LENGTH, row->mode, &in) ||
		    in.length != row->length)
			fail_msg("%s: length %u, not %u", row->text, in.length, row->length);
	}
}

static void a_cut_instruction_is_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(length_rows); i++) {
		const struct length_row *row = &length_rows[i];
		struct instruction in;

		for (uint32_t cut = 0; cut < row->length; cut++)
			if (decode(row->bytes, cut, row->mode, &in))
				fail_msg("%s: taken with %u of %u bytes", row->text, cut,
				    row->length);
	}
}

static void unknown_opcodes_are_refused(void **state)
{
	static const uint8_t unknown[][3] = {{0x0f, 0x0b}, {0xcc}, {0xc3}, {0xe8}, {0x50}, {0x0f, 0xff},
	    {0xc5, 0xf8, 0x77}};
	struct instruction in;

	(void)state;
	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_false(decode(unknown[i], 3, DECODE_64, &in));
}

static void fifteen_bytes_are_the_most(void **state)
{
	uint8_t bytes[32];
	struct instruction in;

	(void)state;
	memset(bytes, 0x66, sizeof(bytes));
	bytes[13] = 0x0f;
	bytes[14] = 0xa2;
	assert_true(decode(bytes, sizeof(bytes), DECODE_64, &in));
	assert_int_equal(in.length, 15);
	bytes[13] = 0x66;
	bytes[14] = 0x0f;
	bytes[15] = 0xa2;
	assert_false(decode(bytes, sizeof(bytes), DECODE_64, &in));
}

/* SDM vol. 2, "REX Prefixes": one that is not right before the opcode is ignored. */
static void rex_counts_before_the_opcode_only(void **state)
{
	static const uint8_t late[] = {0x44, 0x66, 0x89, 0x08};
	static const uint8_t right[] = {0x66, 0x44, 0x89, 0x08};
	struct instruction in;

	(void)state;
	assert_true(decode(late, sizeof(late), DECODE_64, &in));
	assert_false(in.has_rex);
	assert_int_equal(in.reg, 1);
	assert_true(decode(right, sizeof(right), DECODE_64, &in));
	assert_int_equal(in.reg, 9);
}

/* ---- MMIO ------------------------------------------------------------------------------------ */

struct mmio_row {
	const char *text;
	enum decode_mode mode;
	uint8_t bytes[DECODE_MAX_LENGTH];
	struct mmio_access access;
	uint64_t immediate;
};

#define LOAD(size, wide, r)  {.kind = MMIO_LOAD, .bytes = size, .register_bytes = wide, .reg = r}
#define STORE(size, r)       {.kind = MMIO_STORE, .bytes = size, .register_bytes = size, .reg = r}

static const struct mmio_row mmio_rows[] = {
    {"mov [rax], ecx", DECODE_64, {0x89, 0x08}, STORE(4, 1), 0},
    {"mov [rax], rcx", DECODE_64, {0x48, 0x89, 0x08}, STORE(8, 1), 0},
    {"mov [rax], r9w", DECODE_64, {0x66, 0x44, 0x89, 0x08}, STORE(2, 9), 0},
    {"mov [rax], sil", DECODE_64, {0x40, 0x88, 0x30}, STORE(1, 6), 0},
    {"mov [rax], dh", DECODE_64, {0x88, 0x30},
     {.kind = MMIO_STORE, .bytes = 1, .register_bytes = 1, .reg = 2, .is_high_byte = true}, 0},
    {"mov ecx, [rax]", DECODE_64, {0x8b, 0x08}, LOAD(4, 4, 1), 0},
    {"movzx r8d, byte [rax]", DECODE_64, {0x44, 0x0f, 0xb6, 0x00}, LOAD(1, 4, 8), 0},
    {"movzx ax, byte [rax]: AX is no high byte", DECODE_64, {0x66, 0x0f, 0xb6, 0x20}, LOAD(1, 2, 4), 0},
    {"movsx rax, word [rax]", DECODE_64, {0x48, 0x0f, 0xbf, 0x00},
     {.kind = MMIO_LOAD, .bytes = 2, .register_bytes = 8, .is_signed = true}, 0},
    {"movnti [rax], ecx", DECODE_64, {0x0f, 0xc3, 0x08}, STORE(4, 1), 0},
    {"mov dword [rax], -1", DECODE_64, {0xc7, 0x00, 0xff, 0xff, 0xff, 0xff},
     {.kind = MMIO_STORE, .bytes = 4, .register_bytes = 4, .has_immediate = true}, ~0ull},
    {"mov moffs, eax", DECODE_32, {0xa3, 1, 2, 3, 4}, STORE(4, 0), 0},
    {"mov al, moffs", DECODE_32, {0xa0, 1, 2, 3, 4}, LOAD(1, 1, 0), 0},
    {"stosw", DECODE_16, {0xab}, {.kind = MMIO_STORE_STRING, .bytes = 2, .register_bytes = 2}, 0},
    {"or [rax], ecx", DECODE_64, {0x09, 0x08},
     {.kind = MMIO_ALU_STORE, .alu = ALU_OR, .bytes = 4, .register_bytes = 4, .reg = 1}, 0},
    {"xor ecx, [rax]", DECODE_64, {0x33, 0x08},
     {.kind = MMIO_ALU_LOAD, .alu = ALU_XOR, .bytes = 4, .register_bytes = 4, .reg = 1}, 0},
    {"cmp dword [rax], -2", DECODE_64, {0x83, 0x38, 0xfe},
     {.kind = MMIO_ALU_STORE, .alu = ALU_CMP, .bytes = 4, .register_bytes = 4, .has_immediate = true,
      .reg = 7}, ~1ull},
    {"test [rax], cl", DECODE_64, {0x84, 0x08},
     {.kind = MMIO_ALU_STORE, .alu = ALU_TEST, .bytes = 1, .register_bytes = 1, .reg = 1}, 0},
    {"test byte [rax], 0x80", DECODE_64, {0xf6, 0x00, 0x80},
     {.kind = MMIO_ALU_STORE, .alu = ALU_TEST, .bytes = 1, .register_bytes = 1,
      .has_immediate = true}, 0xffffffffffffff80ull},
    {"xchg [rax], ecx", DECODE_64, {0x87, 0x08},
     {.kind = MMIO_EXCHANGE, .bytes = 4, .register_bytes = 4, .reg = 1}, 0},
};

static void check_access(const char *text, const struct mmio_access *is,
    const struct mmio_access *wanted)
{
	if (is->kind != wanted->kind || is->bytes != wanted->bytes ||
	    is->register_bytes != wanted->register_bytes || is->is_signed != wanted->is_signed ||
	    is->has_immediate != wanted->has_immediate || is->is_high_byte != wanted->is_high_byte)
		fail_msg("%s: not the right access", text);
	if (!wanted->has_immediate && is->reg != wanted->reg)
		fail_msg("%s: register %u, not %u", text, is->reg, wanted->reg);
	if ((is->kind == MMIO_ALU_LOAD || is->kind == MMIO_ALU_STORE) && is->alu != wanted->alu)
		fail_msg("%s: operation %d, not %d", text, is->alu, wanted->alu);
}

static void mmio_operands_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mmio_rows); i++) {
		const struct mmio_row *row = &mmio_rows[i];
		struct instruction in;
		struct mmio_access access;

		if (!decode(row->bytes, DECODE_MAX_LENGTH, row->mode, &in) || !decode_mmio(&in, &access))
			fail_msg("%s: not taken", row->text);
		check_access(row->text, &access, &row->access);
		if (access.has_immediate && in.immediate != row->immediate)
			fail_msg("%s: immediate %llx", row->text, (unsigned long long)in.immediate);
	}
}

static void what_is_no_memory_access_is_refused(void **state)
{
	static const uint8_t refused[][6] = {
	    {0x89, 0xc8},       /* mov eax, ecx */
	    {0x0f, 0xa2},       /* cpuid */
	    {0xf4},             /* hlt */
	    {0xf7, 0x10},       /* not dword [rax] */
	    {0xf7, 0x38},       /* idiv dword [rax] */
	    {0xc7, 0x08, 1, 2}, /* group 11, /1 */
	    {0x90},             /* nop */
	};
	struct instruction in;
	struct mmio_access access;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		assert_true(decode(refused[i], 6, DECODE_64, &in));
		assert_false(decode_mmio(&in, &access));
	}
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

#define ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define DEFINE_CPU(size, type)                                                                     \
	static uint64_t cpu_##size(enum alu op, uint64_t left, uint64_t right, uint64_t *flags)    \
	{                                                                                          \
		type a = (type)left, b = (type)right;                                              \
		uint64_t carry = *flags & RFLAGS_CF;                                               \
		switch (op) {                                                                      \
		case ALU_ADD: CPU_DO("add", a, b); break;                                          \
		case ALU_OR: CPU_DO("or", a, b); break;                                            \
		case ALU_ADC: CPU_DO("adc", a, b); break;                                          \
		case ALU_SBB: CPU_DO("sbb", a, b); break;                                          \
		case ALU_AND: CPU_DO("and", a, b); break;                                          \
		case ALU_SUB: CPU_DO("sub", a, b); break;                                          \
		case ALU_XOR: CPU_DO("xor", a, b); break;                                          \
		case ALU_CMP: CPU_DO("cmp", a, b); return (type)(left - right);                    \
		case ALU_TEST: CPU_DO("test", a, b); return (type)(left & right);                  \
		}                                                                                  \
		return a;                                                                          \
	}
#define CPU_DO(name, a, b)                                                                         \
	__asm__("btq $0, %[carry]\n\t" name " %[right], %[left]\n\tpushfq\n\tpopq %[out]"          \
		: [left] "+r"(a), [out] "=r"(*flags)                                               \
		: [right] "r"(b), [carry] "r"(carry) : "cc", "memory")
DEFINE_CPU(1, uint8_t)
DEFINE_CPU(2, uint16_t)
DEFINE_CPU(4, uint32_t)
DEFINE_CPU(8, uint64_t)

typedef uint64_t cpu_alu(enum alu op, uint64_t left, uint64_t right, uint64_t *flags);

static const struct {
	uint32_t bytes;
	cpu_alu *run;
} sizes[] = {{1, cpu_1}, {2, cpu_2}, {4, cpu_4}, {8, cpu_8}};

/* AF is undefined after logical operations (SDM vol. 2, "AND", "OR", "XOR", "TEST"). */
static uint64_t defined_flags(enum alu op)
{
	bool is_logical = op == ALU_OR || op == ALU_AND || op == ALU_XOR || op == ALU_TEST;

	return is_logical ? ARITHMETIC & ~RFLAGS_AF : ARITHMETIC;
}

static void check_alu(enum alu op, uint32_t size, uint64_t left, uint64_t right, uint64_t carry)
{
	uint64_t flags = carry | RFLAGS_FIXED | RFLAGS_IF, cpu_flags = carry;
	uint64_t result = alu_compute(op, left, right, sizes[size].bytes, &flags);
	uint64_t wanted = sizes[size].run(op, left, right, &cpu_flags);

	if (result != wanted || ((flags ^ cpu_flags) & defined_flags(op)))
		fail_msg("operation %d on %u bytes, %llx and %llx, carry %d: %llx flags %llx, the CPU "
			 "says %llx flags %llx", op, sizes[size].bytes, (unsigned long long)left,
		    (unsigned long long)right, (int)carry, (unsigned long long)result,
		    (unsigned long long)(flags & ARITHMETIC), (unsigned long long)wanted,
		    (unsigned long long)(cpu_flags & ARITHMETIC));
	assert_int_equal(flags & ~ARITHMETIC, RFLAGS_FIXED | RFLAGS_IF);
}

static void flags_are_the_cpus(void **state)
{
	static const uint64_t values[] = {0, 1, 2, 7, 8, 0xf, 0x10, 0x7f, 0x80, 0xff, 0x7fff, 0x8000,
	    0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
	    0xffffffffffffffff, 0x123456789abcdef0};

	(void)state;
	for (enum alu op = ALU_ADD; op <= ALU_TEST; op++)
		for (uint32_t size = 0; size < COUNT(sizes); size++)
			for (size_t i = 0; i < COUNT(values) * COUNT(values) * 2; i++)
				check_alu(op, size, values[i / 2 / COUNT(values)],
				    values[i / 2 % COUNT(values)], i & 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lengths_are_the_manuals),
	    cmocka_unit_test(a_cut_instruction_is_none),
	    cmocka_unit_test(unknown_opcodes_are_refused),
	    cmocka_unit_test(fifteen_bytes_are_the_most),
	    cmocka_unit_test(rex_counts_before_the_opcode_only),
	    cmocka_unit_test(mmio_operands_are_found),
	    cmocka_unit_test(what_is_no_memory_access_is_refused),
	    cmocka_unit_test(flags_are_the_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
