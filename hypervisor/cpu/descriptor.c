/* SPDX-License-Identifier: MIT */
/* Segment and interrupt descriptors of each pCPU. */
#include <stddef.h>

#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/exception.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"

#define MSR_GS_BASE    0xc0000101u
#define STUB_BYTES     16u
#define GATE_INTERRUPT 0x8e00u /* present, DPL 0, 64-bit interrupt gate */
#define VECTOR_NMI     2u
#define VECTOR_DF      8u
#define VECTOR_MC      18u
#define CODE64         0x00af9b000000ffffull
#define DATA           0x00cf93000000ffffull
#define TSS_AVAILABLE  0x0000890000000000ull

/* SDM vol. 3, figure "64-Bit TSS Format". */
struct tss {
	uint32_t reserved0;
	uint32_t rsp[6];
	uint32_t reserved1[2];
	uint32_t ist[14];
	uint32_t reserved2[2];
	uint16_t reserved3;
	uint16_t io_map_base;
};
_Static_assert(sizeof(struct tss) == 104, "64-Bit TSS Format");
_Static_assert(offsetof(struct tss, ist) == 36, "64-Bit TSS Format");

/* SDM vol. 3, figure "64-Bit IDT Gate Descriptors". */
struct gate64 {
	uint64_t low, high;
};
_Static_assert(sizeof(struct gate64) == 16, "64-Bit IDT Gate Descriptors");

struct descriptors {
	uint64_t gdt[5];
	struct tss tss;
};

struct pseudo_descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct pseudo_descriptor) == 10, "Pseudo-Descriptor Formats");

extern char vector_stubs[];

static struct descriptors descriptors[PCPU_MAX];
static struct gate64 idt[256];

static uint64_t ist_of(unsigned vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return IST_NMI;
	case VECTOR_DF:
		return IST_DOUBLE_FAULT;
	case VECTOR_MC:
		return IST_MACHINE_CHECK;
	default:
		return 0;
	}
}

static void fill_idt(void)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		uint64_t stub = (uint64_t)vector_stubs + vector * STUB_BYTES;

		idt[vector].low = (stub & 0xffff) | (uint64_t)SELECTOR_CODE << 16 |
		    ist_of(vector) << 32 | (uint64_t)GATE_INTERRUPT << 32 |
		    (stub & 0xffff0000) << 32;
		idt[vector].high = stub >> 32;
	}
}

static void set_ist(struct tss *tss, unsigned number)
{
	uint64_t top = (uint64_t)stack_alloc();

	if (top == 0)
		panic("no memory for an interrupt stack");
	tss->ist[2 * (number - 1)] = (uint32_t)top;
	tss->ist[2 * (number - 1) + 1] = (uint32_t)(top >> 32);
}

static void load(const struct descriptors *d)
{
	struct pseudo_descriptor gdtr = { sizeof(d->gdt) - 1, (uint64_t)d->gdt };
	struct pseudo_descriptor idtr = { sizeof(idt) - 1, (uint64_t)idt };

	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr) : "memory");
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
			 : : "i"(SELECTOR_CODE) : "rax", "memory");
	__asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss; movl %1, %%fs; movl %1, %%gs"
			 : : "r"(SELECTOR_DATA), "r"(0) : "memory");
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

void descriptor_init(struct percpu *percpu)
{
	struct descriptors *d = &descriptors[percpu->index];
	uint64_t tss = (uint64_t)&d->tss;

	if (percpu->index == 0)
		fill_idt();
	d->tss.io_map_base = sizeof(d->tss);
	set_ist(&d->tss, IST_NMI);
	set_ist(&d->tss, IST_DOUBLE_FAULT);
	set_ist(&d->tss, IST_MACHINE_CHECK);
	d->gdt[SELECTOR_CODE / 8] = CODE64;
	d->gdt[SELECTOR_DATA / 8] = DATA;
	d->gdt[SELECTOR_TSS / 8] = TSS_AVAILABLE | (sizeof(d->tss) - 1) | (tss & 0xffffff) << 16 |
	    (tss >> 24 & 0xff) << 56;
	d->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
	load(d);
	wrmsr(MSR_GS_BASE, (uint64_t)percpu);
}
