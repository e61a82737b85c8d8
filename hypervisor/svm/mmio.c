/* SPDX-License-Identifier: MIT */
/* Nested page faults: accesses to the local APIC and the IOAPIC pages, and to nowhere. */
#include "hypervisor/board/board.h"
#include "hypervisor/svm/decode.h"
#include "hypervisor/svm/svm.h"

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

static void stop_unsupported(struct vcpu *vcpu, uint64_t gpa, const uint8_t *bytes,
    uint32_t available)
{
	char text[2 * DECODE_MAX_LENGTH + 1];
	uint32_t i;

	for (i = 0; i < available; i++) {
		text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	text[2 * i] = 0;
	svm_stop_error(vcpu, "unsupported MMIO instruction %s at %#llx", text,
	    (unsigned long long)gpa);
}

/* The bytes of the instruction: fetched by hardware where it does, else read from guest memory. */
static const uint8_t *exit_bytes(struct vcpu *vcpu, uint8_t *buffer, uint32_t *available)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (svm_features.has_decode_assists && vmcb->fetched_count) {
		*available = vmcb->fetched_count & 0xf;
		return vmcb->fetched_bytes;
	}
	return fetch_instruction(vcpu, buffer, available);
}

/* Unaligned words of guest memory, each read once: the guest may be changing them. */
struct unaligned_word {
	uint64_t value;
} __attribute__((packed));

static uint64_t read_word(const uint8_t *at)
{
	return ((const volatile struct unaligned_word *)(const volatile void *)at)->value;
}

static bool decode_into(struct mmio_memory *memory, const uint8_t *bytes, uint32_t available)
{
	return decode(bytes, available, memory->mode, &memory->in) &&
	    decode_mmio(&memory->in, &memory->access);
}

/*
 * Decode what is at `bytes`, or find it decoded.  Fifteen bytes decide: the same ones in the same mode
 * are the same instruction.  NULL: not supported.
 */
static const struct mmio_memory *decode_remembered(struct vcpu *vcpu, const uint8_t *bytes,
    uint32_t available)
{
	struct mmio_memory *memory = &vcpu->svm->decoded[vcpu_vmcb(vcpu)->rip % MMIO_MEMORIES];
	enum decode_mode mode = decode_mode(vcpu);
	uint64_t copy[2];

	if (available < DECODE_MAX_LENGTH) {
		*memory = (struct mmio_memory){.mode = mode};
		return decode_into(memory, bytes, available) ? memory : NULL;
	}
	copy[0] = read_word(bytes);
	copy[1] = read_word(bytes + DECODE_MAX_LENGTH - sizeof(uint64_t));
	if (memory->is_valid && memory->first == copy[0] && memory->last == copy[1] &&
	    memory->mode == mode)
		return memory;
	*memory = (struct mmio_memory){.first = copy[0], .last = copy[1], .mode = mode};
	/* The words overlap in one byte; put behind each other they are the instruction. */
	copy[1] >>= 8;
	memory->is_valid = decode_into(memory, (const uint8_t *)copy, available);
	return memory->is_valid ? memory : NULL;
}

static void emulate(struct vcpu *vcpu, uint64_t gpa)
{
	uint8_t buffer[DECODE_MAX_LENGTH];
	uint32_t available;
	const uint8_t *bytes = exit_bytes(vcpu, buffer, &available);
	const struct mmio_memory *decoded;

	/* Unmapped by another CPU meanwhile: the guest runs it again and faults by itself. */
	if (!bytes)
		return;
	decoded = decode_remembered(vcpu, bytes, available);
	if (!decoded || gpa % PAGE_BYTES + decoded->access.bytes > PAGE_BYTES) {
		stop_unsupported(vcpu, gpa, bytes, available);
		return;
	}
	if (perform(vcpu, &decoded->in, &decoded->access, gpa))
		svm_skip(vcpu, decoded->in.length);
}

/* True: this fault is not an access that can be emulated, and has been dealt with. */
static bool handle_odd_fault(struct vcpu *vcpu, uint64_t info, uint64_t gpa)
{
	if (vcpu_vmcb(vcpu)->exit_int_info & VMCB_EVENT_VALID) {
		svm_stop_error(vcpu, "event delivered through %#llx, which is not RAM",
		    (unsigned long long)gpa);
		return true;
	}
	if (info & NPF_TABLE_WALK) {
		svm_stop_error(vcpu, "page table at %#llx, which is not RAM",
		    (unsigned long long)gpa);
		return true;
	}
	if (guest_pointer(vcpu->vm, gpa, 1)) {
		svm_stop_error(vcpu, "nested page fault %#llx in RAM at %#llx",
		    (unsigned long long)info, (unsigned long long)gpa);
		return true;
	}
	if (info & NPF_FETCH) {
		/* All ones: FF FF is no instruction. */
		svm_inject(vcpu, VECTOR_UD);
		return true;
	}
	return false;
}

/* MOV of 32 bits to the local APIC: what EOI and ICR writes are.  False: something else. */
static bool store_to_apic(struct vcpu *vcpu, uint32_t offset)
{
	uint8_t buffer[DECODE_MAX_LENGTH];
	uint32_t available;
	const uint8_t *bytes = exit_bytes(vcpu, buffer, &available);
	const struct mmio_memory *decoded = bytes ? decode_remembered(vcpu, bytes, available) : NULL;
	const struct mmio_access *access;

	if (!decoded)
		return false;
	access = &decoded->access;
	if (access->kind != MMIO_STORE || access->bytes != 4)
		return false;
	ph_apic_mmio_write(vcpu->ph, offset, 4,
	    (uint32_t)(access->has_immediate ? decoded->in.immediate : vcpu_gpr(vcpu, access->reg)));
	svm_skip_plain(vcpu, decoded->in.length, decoded->mode);
	return true;
}

/* The local APIC's page: the common case, and all that is handled with IRQs off. */
bool svm_fast_npf(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (!is_apic_page(vcpu, vmcb->exit_info_2) ||
	    (vmcb->exit_info_1 & (NPF_TABLE_WALK | NPF_FETCH)) ||
	    (vmcb->exit_int_info & VMCB_EVENT_VALID))
		return false;
	if (!store_to_apic(vcpu, (uint32_t)vmcb->exit_info_2 % PAGE_BYTES))
		emulate(vcpu, vmcb->exit_info_2);
	return true;
}

void svm_exit_npf(struct vcpu *vcpu)
{
	uint64_t info = vcpu_vmcb(vcpu)->exit_info_1;
	uint64_t gpa = vcpu_vmcb(vcpu)->exit_info_2;

	if (!handle_odd_fault(vcpu, info, gpa))
		emulate(vcpu, gpa);
}
