/* SPDX-License-Identifier: MIT */
/* What a PC's firmware leaves behind for kernels that count on it. */
#include "hypervisor/board/firmware.h"

#include "hypervisor/board/board.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/vm/vm.h"
#include "x86/apic.h"

#define VECTOR_COUNT    256u
#define PIC_1_VECTOR    0x08u
#define PIC_2_VECTOR    0x70u
#define PIC_LINE_COUNT  8u
#define PIC_1           0x20u
#define PIC_2           0xa0u
#define PIT_CHANNEL_0   0x40u
#define PIT_CONTROL     0x43u
#define PIT_RATE_MODE_0 0x34u /* channel 0, low and high byte, mode 2 */
#define LINT_MODE(mode) (APIC_LVT_LEVEL | (uint32_t)(mode) << APIC_ICR_DELIVERY_SHIFT)

/* At the top of the BIOS area, in segment F000h; int 8 keeps the BIOS's count of ticks at 46Ch. */
#define CODE_SEGMENT 0xf000u
#define CODE_OFFSET  0xff00u

static const uint8_t code[] = {
    /* + 00h */ 0xcf,                               /* iret */
    /* + 01h */ 0x50, 0xb0, 0x20, 0xe6, 0xa0,       /* push ax; mov al, 20h; out a0h, al */
    /* + 06h */ 0xe6, 0x20, 0x58, 0xcf,             /* out 20h, al; pop ax; iret */
    /* + 0ah */ 0x50, 0xb0, 0x20, 0xeb, 0xf7,       /* push ax; mov al, 20h; jmp + 06h */
    /* + 0fh */ 0x1e, 0x50, 0x31, 0xc0, 0x8e, 0xd8, /* push ds; push ax; xor ax, ax; mov ds, ax */
    /* + 15h */ 0x66, 0xff, 0x06, 0x6c, 0x04,       /* inc dword [46ch] */
    /* + 1ah */ 0xb0, 0x20, 0xe6, 0x20,             /* mov al, 20h; out 20h, al */
    /* + 1eh */ 0x58, 0x1f, 0xcf,                   /* pop ax; pop ds; iret */
};
#define CODE_IRET  0x00u
#define CODE_PIC_2 0x01u
#define CODE_PIC_1 0x0au
#define CODE_TIMER 0x0fu
_Static_assert(sizeof(code) == 0x21, "the offsets above");

static uint32_t handler_of(uint32_t vector)
{
	if (vector == PIC_1_VECTOR)
		return CODE_TIMER;
	if (vector - PIC_1_VECTOR < PIC_LINE_COUNT)
		return CODE_PIC_1;
	if (vector - PIC_2_VECTOR < PIC_LINE_COUNT)
		return CODE_PIC_2;
	return CODE_IRET;
}

static void leave_vectors(struct vm *vm)
{
	uint32_t *vectors = guest_pointer(vm, 0, VECTOR_COUNT * sizeof(*vectors));
	uint8_t *bios = guest_pointer(vm, (CODE_SEGMENT << 4) + CODE_OFFSET, sizeof(code));

	/* A VM too small for them will not be loaded either. */
	if (!vectors || !bios)
		return;
	memcpy(bios, code, sizeof(code));
	for (uint32_t vector = 0; vector < VECTOR_COUNT; vector++)
		vectors[vector] = CODE_SEGMENT << 16 | (CODE_OFFSET + handler_of(vector));
}

/* Intel 8259A data sheet, "Initialization Command Words": edge-triggered, cascaded on line 2. */
static void leave_pic(struct vm *vm, uint16_t port, uint8_t vector, uint8_t cascade, uint8_t mask)
{
	const uint8_t words[] = {vector, cascade, 0x01, mask};

	ph_pic_write(vm->ph, port, 0x11);
	for (uint32_t i = 0; i < sizeof(words); i++)
		ph_pic_write(vm->ph, (uint16_t)(port + 1), words[i]);
}

/* Linux is entered by its own protocol and counts on nothing here. */
static bool counts_on_firmware(const struct vm *vm)
{
	return vm->config->kind == VM_KIND_MULTIBOOT;
}

void firmware_leave_board(struct vm *vm)
{
	if (!counts_on_firmware(vm))
		return;
	leave_vectors(vm);
	leave_pic(vm, PIC_1, PIC_1_VECTOR, 1u << 2, 0xfa);
	leave_pic(vm, PIC_2, PIC_2_VECTOR, 2, 0xff);
	board_io_write(vm, NULL, PIT_CONTROL, 1, PIT_RATE_MODE_0);
	board_io_write(vm, NULL, PIT_CHANNEL_0, 1, 0);
	board_io_write(vm, NULL, PIT_CHANNEL_0, 1, 0);
}

void firmware_leave_apic(struct vcpu *vcpu)
{
	if (vcpu->index != 0 || !counts_on_firmware(vcpu->vm))
		return;
	ph_apic_mmio_write(vcpu->ph, APIC_SVR, 4, APIC_SVR_ENABLE | APIC_SVR_VECTOR_MASK);
	ph_apic_mmio_write(vcpu->ph, APIC_LVT_LINT0, 4, LINT_MODE(APIC_DELIVERY_EXTINT));
	ph_apic_mmio_write(vcpu->ph, APIC_LVT_LINT1, 4, LINT_MODE(APIC_DELIVERY_NMI));
}
