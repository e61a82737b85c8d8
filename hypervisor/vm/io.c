/* SPDX-License-Identifier: MIT */
/* Port accesses: IN, OUT and their string forms. */
#include "hypervisor/board/board.h"
#include "hypervisor/vm/decode.h"
#include "hypervisor/vm/arch.h"

/* Elements of a REP string access in one exit, so that interrupts get their turn. */
#define IO_BURST 64u

struct io {
	uint16_t port;
	uint32_t bytes;
	bool is_in;
	bool is_string;
	bool is_repeat;
	uint32_t address_bytes;
	uint64_t next_rip;
};

static struct io io_decode(const struct vmcb *vmcb)
{
	uint32_t info = (uint32_t)vmcb->exit_info_1;

	return (struct io){
	    .port = (uint16_t)(info >> IOIO_PORT_SHIFT),
	    .bytes = info >> IOIO_SIZE_SHIFT & 7,
	    .is_in = info & IOIO_TYPE_IN,
	    .is_string = info & IOIO_STR,
	    .is_repeat = info & IOIO_REP,
	    .address_bytes = info & IOIO_A64 ? 8 : info & IOIO_A32 ? 4 : 2,
	    .next_rip = vmcb->exit_info_2,
	};
}

static uint64_t bytes_mask(uint32_t bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static void io_plain(struct vcpu *vcpu, const struct io *io)
{
	uint64_t mask = bytes_mask(io->bytes);
	uint32_t value = (uint32_t)(*vcpu->rax & mask);

	if (!io->is_in) {
		board_io_write(vcpu->vm, vcpu, io->port, io->bytes, value);
		return;
	}
	board_io_read(vcpu->vm, vcpu, io->port, io->bytes, &value);
	if (io->bytes == 4)
		*vcpu->rax = 0;
	*vcpu->rax = (*vcpu->rax & ~mask) | (value & mask);
}

/* ---- Strings --------------------------------------------------------------------------------- */

static const struct vmcb_segment *io_segment(struct vcpu *vcpu, const struct io *io,
    uint32_t *number)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct vmcb_segment *segments[] = {&vmcb->es, &vmcb->cs, &vmcb->ss, &vmcb->ds,
	    &vmcb->fs, &vmcb->gs};
	const struct code *code;

	*number = DECODE_ES;
	if (io->is_in) /* INS: ES, no override */
		return segments[DECODE_ES];
	*number = DECODE_DS;
	code = code_at_rip(vcpu);
	if (code && code->in.length && code->in.segment != DECODE_NO_SEGMENT)
		*number = code->in.segment;
	return segments[*number];
}

/*
 * Linear address of an element, or #GP/#SS outside the segment.  Expand-down segments are taken as
 * expand-up: no system does port strings through one.
 */
static bool io_linear(struct vcpu *vcpu, const struct vmcb_segment *segment, uint32_t number,
    uint64_t offset, uint32_t bytes, uint64_t *linear)
{
	bool is_long = vcpu_is_long64(vcpu);

	*linear = offset;
	if (!is_long || number >= DECODE_FS)
		*linear += segment->base;
	if (is_long)
		return true;
	*linear = (uint32_t)*linear;
	if (offset + bytes - 1 <= segment->limit)
		return true;
	exit_inject_error(vcpu, number == DECODE_SS ? VECTOR_SS : VECTOR_GP, 0);
	return false;
}

static bool io_element(struct vcpu *vcpu, const struct io *io, uint64_t linear)
{
	uint64_t fault = 0;
	uint32_t error = 0, value = 0;
	bool is_ok;

	if (io->is_in) {
		/* Prove the buffer first: a port read cannot be taken back. */
		is_ok = linear_copy(vcpu, linear, &value, io->bytes, false, &fault, &error);
		if (is_ok) {
			board_io_read(vcpu->vm, vcpu, io->port, io->bytes, &value);
			is_ok = linear_copy(vcpu, linear, &value, io->bytes, true, &fault, &error);
		}
	} else {
		is_ok = linear_copy(vcpu, linear, &value, io->bytes, false, &fault, &error);
		if (is_ok)
			board_io_write(vcpu->vm, vcpu, io->port, io->bytes, value);
	}
	if (!is_ok)
		exit_inject_page_fault(vcpu, fault, error);
	return is_ok;
}

static void io_step(struct vcpu *vcpu, uint32_t number, int64_t step, uint64_t mask)
{
	uint64_t old = vcpu_gpr(vcpu, number);
	uint64_t value = (old + (uint64_t)step) & mask;

	/* 32-bit addresses clear the upper half in 64-bit mode; 16-bit ones leave it. */
	if (mask == 0xffff)
		value |= old & ~mask;
	vcpu_set_gpr(vcpu, number, value);
}

/* True: done, go on behind the instruction.  False: it faulted, or goes on after the next entry. */
static bool io_string(struct vcpu *vcpu, const struct io *io)
{
	uint32_t index = io->is_in ? GPR_RDI : GPR_RSI;
	uint64_t mask = bytes_mask(io->address_bytes);
	int64_t step = vcpu_vmcb(vcpu)->rflags & RFLAGS_DF ? -(int64_t)io->bytes : io->bytes;
	uint32_t number, i;
	const struct vmcb_segment *segment = io_segment(vcpu, io, &number);

	for (i = 0; i < (io->is_repeat ? IO_BURST : 1u); i++) {
		uint64_t linear;

		if (io->is_repeat && !(vcpu_gpr(vcpu, GPR_RCX) & mask))
			return true;
		if (!io_linear(vcpu, segment, number, vcpu_gpr(vcpu, index) & mask, io->bytes,
			&linear) ||
		    !io_element(vcpu, io, linear))
			return false;
		io_step(vcpu, index, step, mask);
		if (io->is_repeat)
			io_step(vcpu, GPR_RCX, -1, mask);
	}
	return !io->is_repeat || !(vcpu_gpr(vcpu, GPR_RCX) & mask);
}

void exit_io(struct vcpu *vcpu)
{
	struct io io = io_decode(vcpu_vmcb(vcpu));

	if (io.is_string) {
		if (!io_string(vcpu, &io))
			return;
	} else {
		io_plain(vcpu, &io);
	}
	exit_skip(vcpu, io.next_rip - vcpu_vmcb(vcpu)->rip);
}
