/* SPDX-License-Identifier: MIT */
/* The guest's instruction at RIP: fetched, decoded, and remembered for the next exit there. */
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/arch.h"

#define CODE_COUNT (1u << CODE_SHIFT)

_Static_assert(CODE_COUNT * sizeof(struct code) <= PAGE_SIZE << CODE_ORDER, "struct code");

static inline uint64_t code_linear(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	return vcpu_is_long64(vcpu) ? vmcb->rip : (uint32_t)(vmcb->cs.base + vmcb->rip);
}

static void code_decode(struct code *code, const uint8_t *bytes, uint32_t available)
{
	const struct mmio_access *access = &code->access;

	if (!decode(bytes, available, code->mode, &code->in))
		code->in.length = 0;
	code->is_mmio = code->in.length && decode_mmio(&code->in, &code->access);
	code->is_plain_store = code->is_mmio && access->kind == MMIO_STORE && access->bytes == 4 &&
	    (access->has_immediate || access->reg != GPR_RSP);
}

/* Bytes at `linear` up to 15, over a page's end if need be.  Returns how many. */
static uint32_t read_bytes(const struct vcpu *vcpu, uint64_t linear, uint8_t *bytes)
{
	uint32_t offset = (uint32_t)(linear % PAGE_SIZE);
	uint32_t here = PAGE_SIZE - offset;
	const uint8_t *page = walk_page(vcpu, linear, NULL);

	if (!page)
		return 0;
	if (here >= DECODE_MAX_LENGTH) {
		memcpy(bytes, page + offset, DECODE_MAX_LENGTH);
		return DECODE_MAX_LENGTH;
	}
	memcpy(bytes, page + offset, here);
	page = walk_page(vcpu, linear + here, NULL);
	if (!page)
		return here;
	memcpy(bytes + here, page, DECODE_MAX_LENGTH - here);
	return DECODE_MAX_LENGTH;
}

/* Levels that the walk did not have (large pages) compare with themselves. */
static void complete_walk(struct walk_memory *walk)
{
	for (; walk->count < WALK_LEVELS; walk->count++)
		walk->entry[walk->count] = &walk->value[walk->count];
}

/* Note what the instruction is made of.  False: it cannot be remembered. */
static bool remember(struct vcpu *vcpu, struct code *code, uint64_t linear)
{
	const uint8_t *page;

	if (code->mode != DECODE_64 || linear % PAGE_SIZE > PAGE_SIZE - DECODE_MAX_LENGTH)
		return false;
	page = walk_page(vcpu, linear, &code->walk);
	if (!page)
		return false;
	complete_walk(&code->walk);
	code->host = page + linear % PAGE_SIZE;
	code->first = code_word(code->host);
	code->last = code_word(code->host + CODE_LAST_WORD);
	code->linear = linear;
	return true;
}

static __attribute__((noinline)) const struct code *code_read(struct vcpu *vcpu, struct code *code,
    uint64_t linear)
{
	uint8_t bytes[DECODE_MAX_LENGTH];
	uint32_t available = DECODE_MAX_LENGTH;

	*code = (struct code){.linear = CODE_NOWHERE, .linear_store = CODE_NOWHERE, .cr3 = vcpu_vmcb(vcpu)->cr3,
	    .mode = decode_mode(vcpu)};
	if (remember(vcpu, code, linear)) {
		memcpy(bytes, &code->first, sizeof(uint64_t));
		memcpy(bytes + CODE_LAST_WORD, &code->last, sizeof(uint64_t));
	} else {
		available = read_bytes(vcpu, linear, bytes);
	}
	if (!available)
		return NULL;
	code_decode(code, bytes, available);
	if (code->is_plain_store && code->in.length <= sizeof(code->first))
		code->linear_store = code->linear;
	return code;
}

const struct code *code_at_rip(struct vcpu *vcpu)
{
	uint64_t linear = code_linear(vcpu);
	struct code *code = code_slot(vcpu->arch, linear);

	/* Only 64-bit code is remembered, whose linear address is RIP. */
	if (vcpu_is_long64(vcpu) && code->linear == linear &&
	    code_holds(code, vcpu_vmcb(vcpu)->cr3))
		return code;
	return code_read(vcpu, code, linear);
}

void code_forget(struct arch_vcpu *arch)
{
	uint32_t i;

	for (i = 0; i < CODE_COUNT; i++)
		arch->code[i].linear = arch->code[i].linear_store = CODE_NOWHERE;
}

void code_print(struct vcpu *vcpu, char *text)
{
	uint8_t bytes[DECODE_MAX_LENGTH];
	uint32_t available = read_bytes(vcpu, code_linear(vcpu), bytes);
	uint32_t i;

	for (i = 0; i < available; i++) {
		text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	text[2 * i] = 0;
}

uint64_t instruction_length(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);
	const struct code *code;
	char text[2 * DECODE_MAX_LENGTH + 1];

	if (host_features.has_next_rip && vmcb->next_rip)
		return vmcb->next_rip - vmcb->rip;
	code = code_at_rip(vcpu);
	if (!code)
		return 0;
	if (!code->in.length) {
		code_print(vcpu, text);
		exit_stop(vcpu, "unknown instruction %s behind exit %#llx", text,
		    (unsigned long long)vmcb->exit_code);
	}
	return code->in.length;
}
