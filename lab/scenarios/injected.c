/* SPDX-License-Identifier: MIT */
/* Injected delivery: interrupts posted to a vCPU that spins, exits, or halts. */
#include "lab/machine.h"

static const uint8_t spins[] = { GUEST_SPIN };
static const uint8_t exits[] = { GUEST_EXIT, GUEST_SPIN };
static const uint8_t halts[] = { GUEST_HALT };

static const struct machine_config spinning = { .program = spins };
static const struct machine_config exiting = { .program = exits };
static const struct machine_config halting = { .program = halts };

LAB_SCENARIO(post_spin) = {
	.name = "post-spin",
	.question = "is every interrupt taken by a guest that never exits by itself?",
	.bounds = "1 vCPU, SVM, 1 interrupt a sender",
	.sender_default = 3,
	.sender_max = 5,
	.data = &spinning,
	MACHINE_SCENARIO,
};

LAB_SCENARIO(post_exit) = {
	.name = "post-exit",
	.question = "is every interrupt taken when the guest enters twice and then never exits?",
	.bounds = "1 vCPU, SVM, 1 interrupt a sender, 1 exit",
	.sender_default = 2,
	.sender_max = 5,
	.data = &exiting,
	MACHINE_SCENARIO,
};

LAB_SCENARIO(post_halt) = {
	.name = "post-halt",
	.question = "is every interrupt taken, and no wake-up lost, when the guest halts?",
	.bounds = "1 vCPU, SVM, 1 interrupt a sender",
	.sender_default = 2,
	.sender_max = 5,
	.data = &halting,
	MACHINE_SCENARIO,
};
