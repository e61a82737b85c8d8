/* SPDX-License-Identifier: MIT */
/* Interrupt descriptor table and the way from a stub to its handler. */
#include <stddef.h>

#include "guests/rt/apic.h"
#include "guests/rt/cpu.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"

#define GATE_INTERRUPT  0x8e00u
#define EXCEPTION_COUNT 32u

/* SDM figure "64-Bit IDT Gate Descriptors". */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

_Static_assert(sizeof(struct gate) == 16, "64-Bit IDT Gate Descriptors");
_Static_assert(offsetof(struct gate, offset_high) == 8, "64-Bit IDT Gate Descriptors");

struct descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const char interrupt_stubs[];

static struct gate gates[256];
static interrupt_handler handlers[256];

void interrupts_set_raw(unsigned vector, const void *entry)
{
	uint64_t address = (uint64_t)(uintptr_t)entry;

	gates[vector] = (struct gate){
	    .offset_low = (uint16_t)address,
	    .selector = SELECTOR_CODE64,
	    .attributes = GATE_INTERRUPT,
	    .offset_middle = (uint16_t)(address >> 16),
	    .offset_high = (uint32_t)(address >> 32),
	};
}

void interrupts_init(void)
{
	for (unsigned vector = 0; vector < 256; vector++)
		interrupts_set_raw(vector, interrupt_stubs + vector * INTERRUPT_STUB_SIZE);
}

static void idt_load(uint16_t limit)
{
	struct descriptor descriptor = {limit, (uint64_t)(uintptr_t)gates};

	__asm__ volatile("lidt %0" : : "m"(descriptor));
}

void interrupts_load(void)
{
	idt_load(sizeof(gates) - 1);
}

void interrupts_load_empty(void)
{
	idt_load(0);
}

void interrupts_set(unsigned vector, interrupt_handler handler)
{
	__atomic_store_n(&handlers[vector], handler, __ATOMIC_SEQ_CST);
}

void interrupt_eoi_only(struct frame *frame)
{
	(void)frame;
	apic_eoi();
}

static void unexpected(const struct frame *frame)
{
	uint64_t cr2;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	test_abort("unexpected vector %lu error %lx rip %lx cr2 %lx cpu %u", frame->vector,
	    frame->error, frame->rip, cr2, this_cpu()->index);
}

void interrupt_dispatch(struct frame *frame)
{
	struct cpu *cpu = this_cpu();
	interrupt_handler handler = handlers[frame->vector];

	/* An NMI may come at any time; it is not the fault that the probe waits for. */
	if (cpu->fault_resume && frame->vector != VECTOR_NMI && frame->vector < EXCEPTION_COUNT) {
		cpu->fault_vector = frame->vector;
		cpu->fault_error = frame->error;
		cpu->fault_rflags = frame->rflags;
		frame->rip = cpu->fault_resume;
		return;
	}
	if (frame->vector >= EXCEPTION_COUNT)
		check(frame->rflags & RFLAGS_IF, "CPU %u: vector %lx with interrupts disabled at %lx",
		    cpu->index, frame->vector, frame->rip);
	cpu->interrupt_count[frame->vector]++;
	if (handler)
		handler(frame);
	else if (frame->vector != VECTOR_SPURIOUS || cpu_is_under_posthorn())
		unexpected(frame);
}
