/* SPDX-License-Identifier: MIT */
/*
 * L2 is the current guest and L1 owns the interrupt (thread 000, Radim's question; bug 3): L1's
 * VMCS and its RVI are not loaded, so a post that step 4 finds must end in an exit to L1.
 */
#include "lab/machine.h"

static const uint8_t resumes[] = {GUEST_STI, GUEST_EXIT, GUEST_SPIN};
static const uint8_t spins[] = {GUEST_SPIN};
static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t halts[] = {GUEST_HALT};
static const uint8_t fast[] = {GUEST_FAST, GUEST_SPIN};

#define VMX(kind) .is_vmx = true, .delivery = PH_DELIVERY_##kind

#define NESTED(id, text, asks, limits, senders, most, ...)                                         \
	static const struct machine_config id##_config = {.program = resumes, __VA_ARGS__};        \
	LAB_SCENARIO(id) = {.name = "nested-" text,                                                \
	    .question = asks,                                                                      \
	    .bounds = limits ", L1 with external-interrupt exiting resumes L2 after each exit",    \
	    .sender_default = (senders),                                                           \
	    .sender_max = (most),                                                                  \
	    .data = &id##_config,                                                                  \
	    MACHINE_SCENARIO}

NESTED(device, "device-post",
    "a device posts to L1 just before an entry into L2: a nested exit? (thread 000)",
    "1 vCPU, VMX posted, 1 device post, 1 interrupt a sender, 1 exit of L2", 1, 2, VMX(POSTED),
    .device_posts = true, .l2_program = exits);
NESTED(posted, "post-l1", "is every post for L1 taken though L2 never exits by itself?",
    "1 vCPU, VMX posted, 1 interrupt a sender", 2, 3, VMX(POSTED), .l2_program = spins);
NESTED(injected, "post-l1-injected", "is it with event injection?",
    "1 vCPU, VMX injected, 1 interrupt a sender, 1 exit of L2", 2, 3, VMX(INJECTED),
    .l2_program = exits);
NESTED(halted, "halt", "does a post for L1 end the sleep of a vCPU whose L2 has halted?",
    "1 vCPU, VMX posted, HLT of L2, 1 interrupt a sender", 1, 3, VMX(POSTED), .l2_program = halts);
NESTED(fast_post, "fast-post", "does a post by a fast exit of L2, its IPI elided, reach L1?",
    "1 vCPU, VMX posted, 1 fast-path post, 1 interrupt a sender", 1, 3, VMX(POSTED),
    .l2_program = fast);
NESTED(fast_ipi, "fast-self-ipi", "does a vector that a fast exit of L2 sets in IRR reach L1?",
    "1 vCPU, VMX posted, 1 self-IPI, 1 interrupt a sender", 1, 3, VMX(POSTED), .l2_program = fast,
    .fast_self_ipi = true);
NESTED(nmi, "nmi", "does an NMI for L1 end L2's run?", "1 vCPU, VMX posted, 1 NMI a sender", 1,
    3, VMX(POSTED), .nmis = true, .l2_program = spins);
NESTED(level, "level", "is every level-triggered interrupt of L1 taken though L2 runs?",
    "1 vCPU, VMX posted, 1 level-triggered interrupt a sender, 1 exit of L2", 1, 3, VMX(POSTED),
    .level = true, .l2_program = exits);
