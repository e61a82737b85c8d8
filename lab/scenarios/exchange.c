/* SPDX-License-Identifier: MIT */
/* Two vCPUs that post to each other while either may block. */
#include "lab/machine.h"

static const uint8_t sends_and_halts[] = {GUEST_EXIT, GUEST_HALT};
static const uint8_t sends_and_spins[] = {GUEST_EXIT, GUEST_SPIN};

#define EXCHANGE .vcpu_count = 2, .exchanges = true
#define POSTED   .is_vmx = true, .delivery = PH_DELIVERY_POSTED

static const struct machine_config halting = {.program = sends_and_halts, EXCHANGE};
LAB_SCENARIO(exchange_halt) = {
    .name = "exchange-halt",
    .question = "do both IPIs arrive when two vCPUs send one to each other and halt?",
    .bounds = "2 vCPUs, SVM, an IPI from each to the other, then HLT",
    .data = &halting,
    MACHINE_SCENARIO,
};

static const struct machine_config posted_halting = {.program = sends_and_halts, EXCHANGE, POSTED};
LAB_SCENARIO(exchange_posted_halt) = {
    .name = "exchange-posted-halt",
    .question = "do both IPIs arrive when two vCPUs with posted delivery do it?",
    .bounds = "2 vCPUs, VMX posted, an IPI from each to the other, then HLT",
    .data = &posted_halting,
    MACHINE_SCENARIO,
};

static const struct machine_config posted_spinning = {.program = sends_and_spins, EXCHANGE, POSTED};
LAB_SCENARIO(exchange_posted_spin) = {
    .name = "exchange-posted-spin",
    .question = "do both IPIs arrive when two vCPUs send one to each other and never exit again?",
    .bounds = "2 vCPUs, VMX posted, an IPI from each to the other",
    .data = &posted_spinning,
    MACHINE_SCENARIO,
};
