/* SPDX-License-Identifier: MIT */
/* Thread 002: a mode word with a generation in its upper bits against a plain one, by their IPIs.
 */
#include "core/sites.h"
#include "lab/machine.h"

static const uint8_t exits_twice[] = {GUEST_EXIT, GUEST_EXIT, GUEST_SPIN};

static uint64_t ipis(void)
{
	return machine->ipi_count;
}

static uint64_t spurious(void)
{
	return machine->spurious_count;
}

static uint64_t stale(void)
{
	return machine->stale_count;
}

#define COUNTED                                                                                    \
	.measures = {{"IPIs sent", ipis},                                                          \
	    {"spurious: sent for a request that was seen already", spurious},                      \
	    {"sent for a mode word that was of an earlier entry", stale}}

static const struct machine_config kicks = {
    .program = exits_twice, .requests = true, .counts = true};
LAB_SCENARIO(mode_generation) = {
    .name = "mode-generation",
    .question = "mode word with generation: is each request seen, and what does it cost?",
    .bounds = "1 vCPU, SVM, 1 request a sender, 2 exits",
    .sender_default = 2,
    .sender_max = 3,
    .data = &kicks,
    MACHINE_SCENARIO,
    COUNTED,
};

LAB_SCENARIO(mode_plain) = {
    .name = "mode-plain",
    .question = "plain mode word: is each request seen, and what does it cost?",
    .bounds = "1 vCPU, SVM, 1 request a sender, 2 exits, no generation",
    .sender_default = 2,
    .sender_max = 3,
    .data = &kicks,
    .weakenings = {{SITE_ENTER_GENERATION, LAB_LEFT_OUT}},
    MACHINE_SCENARIO,
    COUNTED,
};
