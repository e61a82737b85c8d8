/* SPDX-License-Identifier: MIT */
/* The programs of order.h on the hardware model's VMX with posted interrupts: prints what they see. */
#include "guests/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

#define RFLAGS_IF   (1ull << 9)
#define STEP_MAX    1000u /* of one program: it has ended long before */

struct machine {
	struct model_vmcs vmcs;
	struct model_guest guest;
	struct model_pcpu pcpu;
	struct model_vmx vmx;
	struct pid pid;
	uint8_t program[ORDER_SIZE];
	uint8_t page[4096] __attribute__((aligned(4096)));
};

static uint32_t eoi_exit_count;

static uint32_t ppr(const struct machine *machine)
{
	uint32_t value;

	memcpy(&value, machine->page + APIC_PPR, sizeof(value));
	return value;
}

static void post(struct machine *machine, uint8_t vector)
{
	machine->pid.pir[vector / 64] |= 1ull << vector % 64;
	machine->pid.control |= PID_ON;
	model_ipi_send(&machine->pcpu, MODEL_NOTIFY);
	model_ipi_arrive(&machine->pcpu, 0);
}

static void step(struct machine *machine)
{
	struct model_guest before = machine->guest;
	uint32_t ppr_before = ppr(machine);
	enum model_exit exit = model_vmx_step(&machine->vmx, &machine->pcpu);

	if (memcmp(before.taken, machine->guest.taken, sizeof(before.taken)))
		printf(" B%x@%u/%02x", machine->guest.handler, machine->guest.pc, ppr(machine));
	if (machine->guest.taken[ORDER_RAISING_CLASS] != before.taken[ORDER_RAISING_CLASS]) {
		post(machine, order_vector(ORDER_LOWER_CLASS));
		post(machine, order_vector(ORDER_HIGHER_CLASS));
	}
	if (before.in_service > machine->guest.in_service)
		printf(" E%x/%02x", before.handler, ppr_before);
	if (exit == EXIT_EOI_INDUCED)
		eoi_exit_count++;
	else if (exit != EXIT_NONE)
		abort();
}

static void take_all(struct machine *machine)
{
	uint32_t steps = 0;

	while (machine->guest.handler || model_vmx_has_event(&machine->vmx, &machine->pcpu)) {
		step(machine);
		if (++steps == STEP_MAX)
			abort();
	}
}

static void run(struct machine *machine, const char *program)
{
	for (; *program; program++) {
		step(machine);
		if (order_class(*program))
			post(machine, order_vector(order_class(*program)));
		take_all(machine);
		if (*program == 'h' || *program == 'l')
			printf(" p%02x", ppr(machine));
	}
	if (machine->guest.is_broken || machine->guest.in_service)
		printf(" broken");
}

static enum model_instruction instruction(char letter)
{
	switch (letter) {
	case 'c':
		return GUEST_CLI;
	case 's':
		return GUEST_STI;
	case 'h':
		return GUEST_TPR_HIGH;
	case 'l':
		return GUEST_TPR_LOW;
	default:
		return GUEST_WORK;
	}
}

static void begin(struct machine *machine, const char *program, bool nests, enum model_vmx_fault fault)
{
	uint8_t level = order_vector(ORDER_LEVEL_CLASS);

	memset(machine, 0, sizeof(*machine));
	for (size_t i = 0; program[i]; i++)
		machine->program[i] = (uint8_t)instruction(program[i]);
	machine->program[strlen(program)] = GUEST_SPIN;
	machine->vmcs.pin_based = PIN_POSTED_INTERRUPTS;
	machine->vmcs.secondary = SECONDARY_VIRTUAL_INTERRUPTS;
	machine->vmcs.rflags = RFLAGS_IF;
	machine->vmcs.eoi_exit[level / 64] = 1ull << level % 64;
	machine->guest.nests = nests;
	machine->vmx = (struct model_vmx){.vmcs = &machine->vmcs,
	    .guest = &machine->guest,
	    .program = machine->program,
	    .page = machine->page,
	    .pid = &machine->pid,
	    .fault = fault};
	model_vmx_enter(&machine->vmx);
}

/* With an argument the model is wrong: a comparison that does not see that sees nothing. */
int main(int argc, char **argv)
{
	enum model_vmx_fault fault = argc > 1 ? VMX_EOI_CLEARS_SVI : VMX_RIGHT;
	static struct machine machine;
	char program[ORDER_SIZE];

	(void)argv;
	for (uint32_t nests = 0; nests < 2; nests++) {
		for (uint32_t i = 0; order_program(i, program); i++) {
			printf("order %s%s:", nests ? "n" : "", program);
			begin(&machine, program, nests, fault);
			run(&machine, program);
			putchar('\n');
		}
	}
	printf("order EOI exits: %u\n", eoi_exit_count);
	return 0;
}
