/* SPDX-License-Identifier: MIT */
/* Nested page faults: accesses to the local APIC and the IOAPIC pages, and to nowhere. */
#include "hypervisor/board/board.h"
#include "hypervisor/vm/decode.h"
#include "hypervisor/vm/arch.h"

#define PAGE_BYTES 4096u
#define BYTES_MASK(bytes) (~0ull >> (64 - 8 * (bytes)))

enum decode_mode decode_mode(const struct vcpu *vcpu)
{
	if (vcpu_is_long64(vcpu))
		return DECODE_64;
	return vcpu_vmcb(vcpu)->cs.attributes & VMCB_SEG_DB ? DECODE_32 : DECODE_16;
}

/* ---- The device side: outside every device reads are all ones, writes are ignored ------------ */

static bool is_apic_page(const struct vcpu *vcpu, uint64_t gpa)
{
	return (gpa & ~(uint64_t)(PAGE_BYTES - 1)) == ph_apic_base_address(vcpu->ph);
}

static uint64_t mmio_read(struct vcpu *vcpu, uint64_t gpa, uint32_t bytes)
{
	uint64_t value;

	if (is_apic_page(vcpu, gpa))
		value = ph_apic_mmio_read(vcpu->ph, (uint32_t)gpa % PAGE_BYTES, bytes);
	else if (!board_mmio(vcpu->vm, gpa, bytes, false, &value))
		value = ~0ull;
	return value & BYTES_MASK(bytes);
}

static void mmio_write(struct vcpu *vcpu, uint64_t gpa, uint32_t bytes, uint64_t value)
{
	value &= BYTES_MASK(bytes);
	if (is_apic_page(vcpu, gpa))
		ph_apic_mmio_write(vcpu->ph, (uint32_t)gpa % PAGE_BYTES, bytes, (uint32_t)value);
	else
		board_mmio(vcpu->vm, gpa, bytes, true, &value);
}

/* ---- The register side ----------------------------------------------------------------------- */

static uint64_t read_register(const struct vcpu *vcpu, const struct mmio_access *access)
{
	uint64_t value = vcpu_gpr(vcpu, access->reg);

	if (access->is_high_byte)
		value >>= 8;
	return value & BYTES_MASK(access->register_bytes);
}

/* 32-bit results clear the upper half, smaller ones leave the rest (SDM vol. 1, "General-Purpose
 * Registers in 64-Bit Mode"). */
static void write_register(struct vcpu *vcpu, const struct mmio_access *access, uint64_t value)
{
	uint64_t mask = BYTES_MASK(access->register_bytes);
	uint64_t old = vcpu_gpr(vcpu, access->reg);

	if (access->is_high_byte) {
		mask <<= 8;
		value <<= 8;
	}
	if (access->register_bytes == 4)
		old = 0;
	vcpu_set_gpr(vcpu, access->reg, (old & ~mask) | (value & mask));
}

static uint64_t extend(const struct mmio_access *access, uint64_t value)
{
	uint32_t unused_bits = 64 - 8u * access->bytes;

	if (!access->is_signed)
		return value;
	return (uint64_t)((int64_t)(value << unused_bits) >> unused_bits);
}

static uint64_t second_operand(const struct vcpu *vcpu, const struct instruction *in,
    const struct mmio_access *access)
{
	return access->has_immediate ? in->immediate : read_register(vcpu, access);
}

/* Add to a register as string instructions do: on the address size. */
static void step_register(struct vcpu *vcpu, uint32_t number, int64_t step, uint32_t bytes)
{
	struct mmio_access as = {.register_bytes = (uint8_t)bytes, .reg = (uint8_t)number};

	write_register(vcpu, &as, vcpu_gpr(vcpu, number) + (uint64_t)step);
}

/* One element.  False: the instruction goes on (REP), RIP stays and it faults again. */
static bool store_string(struct vcpu *vcpu, const struct instruction *in,
    const struct mmio_access *access, uint64_t gpa)
{
	uint64_t count_mask = BYTES_MASK(in->address_bytes);
	int64_t step = vcpu_vmcb(vcpu)->rflags & RFLAGS_DF ? -access->bytes : access->bytes;

	mmio_write(vcpu, gpa, access->bytes, vcpu_gpr(vcpu, GPR_RAX));
	step_register(vcpu, GPR_RDI, step, in->address_bytes);
	if (!in->has_repeat)
		return true;
	step_register(vcpu, GPR_RCX, -1, in->address_bytes);
	return !(vcpu_gpr(vcpu, GPR_RCX) & count_mask);
}

static void alu_store(struct vcpu *vcpu, const struct instruction *in,
    const struct mmio_access *access, uint64_t gpa)
{
	uint64_t left = mmio_read(vcpu, gpa, access->bytes);
	uint64_t result = alu_compute(access->alu, left, second_operand(vcpu, in, access),
	    access->bytes, &vcpu_vmcb(vcpu)->rflags);

	if (access->alu != ALU_CMP && access->alu != ALU_TEST)
		mmio_write(vcpu, gpa, access->bytes, result);
}

static void alu_load(struct vcpu *vcpu, const struct mmio_access *access, uint64_t gpa)
{
	uint64_t result = alu_compute(access->alu, read_register(vcpu, access),
	    mmio_read(vcpu, gpa, access->bytes), access->bytes, &vcpu_vmcb(vcpu)->rflags);

	if (access->alu != ALU_CMP)
		write_register(vcpu, access, result);
}

static bool perform(struct vcpu *vcpu, const struct instruction *in,
    const struct mmio_access *access, uint64_t gpa)
{
	uint64_t value;

	switch (access->kind) {
	case MMIO_STORE:
		mmio_write(vcpu, gpa, access->bytes, second_operand(vcpu, in, access));
		return true;
	case MMIO_LOAD:
		value = mmio_read(vcpu, gpa, access->bytes);
		write_register(vcpu, access, extend(access, value));
		return true;
	case MMIO_STORE_STRING:
		return store_string(vcpu, in, access, gpa);
	case MMIO_ALU_STORE:
		alu_store(vcpu, in, access, gpa);
		return true;
	case MMIO_ALU_LOAD:
		alu_load(vcpu, access, gpa);
		return true;
	case MMIO_EXCHANGE:
		value = mmio_read(vcpu, gpa, access->bytes);
		mmio_write(vcpu, gpa, access->bytes, read_register(vcpu, access));
		write_register(vcpu, access, value);
		return true;
	}
	return true;
}

/* ---- The exit -------------------------------------------------------------------------------- */

static void stop_unsupported(struct vcpu *vcpu, uint64_t gpa)
{
	char text[2 * DECODE_MAX_LENGTH + 1];

	code_print(vcpu, text);
	exit_stop(vcpu, "unsupported MMIO instruction %s at %#llx", text,
	    (unsigned long long)gpa);
}

static void emulate(struct vcpu *vcpu, const struct code *code, uint64_t gpa)
{
	if (!code->is_mmio || gpa % PAGE_BYTES + code->access.bytes > PAGE_BYTES)
		stop_unsupported(vcpu, gpa);
	else if (perform(vcpu, &code->in, &code->access, gpa))
		exit_skip(vcpu, code->in.length);
}

/* True: this fault is not an access that can be emulated, and has been dealt with. */
static bool handle_odd_fault(struct vcpu *vcpu, uint64_t info, uint64_t gpa)
{
	if ((vcpu_vmcb(vcpu)->exit_int_info & (VMCB_EVENT_VALID | SVM_EVENT_UNTAKEN)) ==
	    VMCB_EVENT_VALID) {
		exit_stop(vcpu, "event delivered through %#llx, which is not RAM",
		    (unsigned long long)gpa);
		return true;
	}
	if (info & NPF_TABLE_WALK) {
		exit_stop(vcpu, "page table at %#llx, which is not RAM",
		    (unsigned long long)gpa);
		return true;
	}
	if (guest_pointer(vcpu->vm, gpa, 1)) {
		exit_stop(vcpu, "nested page fault %#llx in RAM at %#llx",
		    (unsigned long long)info, (unsigned long long)gpa);
		return true;
	}
	if (info & NPF_FETCH) {
		/* All ones: FF FF is no instruction. */
		exit_inject(vcpu, VECTOR_UD);
		return true;
	}
	return false;
}

/* The local APIC's page: the common case, and all that is handled with IRQs off. */
bool exit_fast_apic(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct code *code;

	if (!is_apic_page(vcpu, vmcb->exit_info_2) ||
	    (vmcb->exit_info_1 & (NPF_TABLE_WALK | NPF_FETCH)) ||
	    (vmcb->exit_int_info & VMCB_EVENT_VALID))
		return false;
	code = code_at_rip(vcpu);
	if (code && code->is_plain_store) {
		ph_apic_mmio_write(vcpu->ph, (uint32_t)vmcb->exit_info_2 % PAGE_BYTES, 4,
		    exit_store_value(vcpu, code));
		exit_skip_plain(vcpu, code->in.length, code->mode);
	} else if (code)
		emulate(vcpu, code, vmcb->exit_info_2);
	return true;
}

void exit_nested_fault(struct vcpu *vcpu)
{
	uint64_t info = vcpu_vmcb(vcpu)->exit_info_1;
	uint64_t gpa = vcpu_vmcb(vcpu)->exit_info_2;
	const struct code *code;

	if (handle_odd_fault(vcpu, info, gpa))
		return;
	code = code_at_rip(vcpu);
	if (code)
		emulate(vcpu, code, gpa);
}
