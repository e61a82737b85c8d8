/* SPDX-License-Identifier: MIT */
/* Posted delivery (VMX): virtual-interrupt delivery, notification, devices that post, the toggle.
 */
#include "core/sites.h"
#include "lab/machine.h"

static const uint8_t spins[] = {GUEST_SPIN};
static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t halts[] = {GUEST_HALT};
static const uint8_t halts_inside[] = {GUEST_HALT_INSIDE};
static const uint8_t fast[] = {GUEST_FAST, GUEST_SPIN};

#define VMX(kind) .is_vmx = true, .delivery = PH_DELIVERY_##kind

static const struct machine_config injected = {.program = exits, VMX(INJECTED)};
LAB_SCENARIO(vmx_injected) = {
    .name = "vmx-injected",
    .question = "is every interrupt taken with VMX event injection and windows?",
    .bounds = "1 vCPU, VMX injected, 1 interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 4,
    .data = &injected,
    MACHINE_SCENARIO,
};

static const struct machine_config virtual = {.program = exits, VMX(VIRTUAL)};
LAB_SCENARIO(vmx_virtual) = {
    .name = "vmx-virtual",
    .question = "is every interrupt taken with virtual-interrupt delivery, and without windows?",
    .bounds = "1 vCPU, VMX virtual delivery, 1 interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 4,
    .data = &virtual,
    MACHINE_SCENARIO,
};

static const struct machine_config spinning = {.program = spins, VMX(POSTED)};
LAB_SCENARIO(posted_spin) = {
    .name = "posted-spin",
    .question = "is every posted interrupt taken by a guest that never exits? (thread 000)",
    .bounds = "1 vCPU, VMX posted, 1 interrupt a sender",
    .sender_default = 3,
    .sender_max = 4,
    .data = &spinning,
    MACHINE_SCENARIO,
};

static const struct machine_config exiting = {.program = exits, VMX(POSTED)};
LAB_SCENARIO(posted_exit) = {
    .name = "posted-exit",
    .question = "is every posted interrupt taken by a guest that enters twice? (thread 000)",
    .bounds = "1 vCPU, VMX posted, 1 interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 4,
    .data = &exiting,
    MACHINE_SCENARIO,
};

static const struct machine_config halting = {.program = halts, VMX(POSTED)};
LAB_SCENARIO(posted_halt) = {
    .name = "posted-halt",
    .question = "is no wake-up lost with posted delivery?",
    .bounds = "1 vCPU, VMX posted, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 4,
    .data = &halting,
    MACHINE_SCENARIO,
};

static const struct machine_config inside = {.program = halts_inside, VMX(POSTED)};
LAB_SCENARIO(posted_halt_inside) = {
    .name = "posted-halt-inside",
    .question = "does a posted interrupt end a HLT that does not exit?",
    .bounds = "1 vCPU, VMX posted, HLT in the guest, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 4,
    .data = &inside,
    MACHINE_SCENARIO,
};

static const struct machine_config device = {.program = exits, VMX(POSTED), .device_posts = true};
LAB_SCENARIO(device_exit) = {
    .name = "device-exit",
    .question = "is a device's posted interrupt never delayed to the next exit? (thread 000)",
    .bounds = "1 vCPU, VMX posted, 1 device post, 1 interrupt a sender, 1 exit",
    .sender_default = 1,
    .sender_max = 3,
    .data = &device,
    MACHINE_SCENARIO,
};

static const struct machine_config device_halt = {
    .program = halts, VMX(POSTED), .device_posts = true};
LAB_SCENARIO(device_wakes) = {
    .name = "device-halt",
    .question = "does a device's posted interrupt wake a sleeper through the wakeup vector?",
    .bounds = "1 vCPU, VMX posted, 1 device post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &device_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config device_put = {
    .program = exits, VMX(POSTED), .device_posts = true, .is_preempted = true};
LAB_SCENARIO(device_preempted) = {
    .name = "device-preempted",
    .question = "is a device's post kept that comes while SN is set?",
    .bounds = "1 vCPU, VMX posted, 1 device post, 1 preemption, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &device_put,
    MACHINE_SCENARIO,
};

static const struct machine_config device_moves = {
    .program = exits, VMX(POSTED), .device_posts = true, .moves = 1};
LAB_SCENARIO(device_migrates) = {
    .name = "device-migrate",
    .question = "does a device's post follow the vCPU to another pCPU (NDST)?",
    .bounds = "1 vCPU, VMX posted, 1 device post, 1 move, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &device_moves,
    MACHINE_SCENARIO,
};

static const struct machine_config fast_post = {.program = fast, VMX(POSTED)};
LAB_SCENARIO(posted_fast) = {
    .name = "fast-post-posted",
    .question =
        "is a fast-path post taken at once with posted delivery, its IPI elided? (thread 004)",
    .bounds = "1 vCPU, VMX posted, 1 fast-path post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &fast_post,
    MACHINE_SCENARIO,
};

static const struct machine_config fast_ipi = {.program = fast, VMX(POSTED), .fast_self_ipi = true};
LAB_SCENARIO(posted_fast_ipi) = {
    .name = "fast-self-ipi-posted",
    .question = "is a self-IPI that the fast path handles taken at once with posted delivery?",
    .bounds = "1 vCPU, VMX posted, 1 self-IPI, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &fast_ipi,
    MACHINE_SCENARIO,
};

static const struct machine_config toggling = {.program = spins, VMX(POSTED), .toggles = true};
LAB_SCENARIO(toggle) = {
    .name = "toggle",
    .question = "is no interrupt lost when posted delivery is turned off and on? (gap 1)",
    .bounds = "1 vCPU, VMX posted, 1 toggle, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &toggling,
    MACHINE_SCENARIO,
};

static const struct machine_config handler_halt = {
    .program = halts, VMX(POSTED), .handler_posts = true};
LAB_SCENARIO(posted_self_block) = {
    .name = "handler-post-posted",
    .question =
        "does a handler's post on the vCPU's own pCPU wake it with posted delivery? (thread 004)",
    .bounds = "1 vCPU, VMX posted, 1 handler's post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &handler_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config nesting = {.program = spins, VMX(POSTED), .nests = true};
LAB_SCENARIO(posted_nests) = {
    .name = "posted-nested-handlers",
    .question = "does no interrupt come through a handler of a higher class (SVI after EOI)?",
    .bounds = "1 vCPU, VMX posted, handlers that open interrupts, 1 interrupt a sender",
    .sender_default = 3,
    .sender_max = 3,
    .data = &nesting,
    MACHINE_SCENARIO,
};

static const uint8_t raises_tpr[] = {GUEST_TPR_HIGH, GUEST_WORK, GUEST_TPR_LOW, GUEST_SPIN};
static const struct machine_config tpr = {.program = raises_tpr, VMX(INJECTED)};
LAB_SCENARIO(vmx_tpr) = {
    .name = "vmx-tpr",
    .question = "is an interrupt that TPR held back taken as soon as the guest lowers TPR?",
    .bounds = "1 vCPU, VMX injected, TPR raised and lowered once, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &tpr,
    MACHINE_SCENARIO,
};

static const struct machine_config posted_requests = {
    .program = exits, VMX(POSTED), .requests = true};
LAB_SCENARIO(request_posted) = {
    .name = "request-posted",
    .question = "is every request seen when notifications do not exit?",
    .bounds = "1 vCPU, VMX posted, 1 request a sender, 1 exit",
    .sender_default = 1,
    .sender_max = 3,
    .data = &posted_requests,
    MACHINE_SCENARIO,
};

static const struct machine_config nmi_posted = {.program = exits, VMX(POSTED), .nmis = true};
LAB_SCENARIO(nmi_posted_scenario) = {
    .name = "nmi-posted",
    .question = "are NMIs taken when notifications do not exit?",
    .bounds = "1 vCPU, VMX posted, 1 NMI a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 3,
    .data = &nmi_posted,
    MACHINE_SCENARIO,
};

static const struct machine_config levels = {.program = exits, VMX(POSTED), .level = true};
LAB_SCENARIO(level_posted) = {
    .name = "level-posted",
    .question = "is every level-triggered interrupt taken, and its EOI seen, with posted delivery?",
    .bounds = "1 vCPU, VMX posted, 1 level-triggered interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 3,
    .data = &levels,
    MACHINE_SCENARIO,
};

/* ---- A vector that came as a level comes as an edge ---- */

#define RETRIGGERED 0x91

static bool level_is_over(void *arg)
{
	const struct model_guest *guest = &machine->vcpus[0].guest;

	(void)arg;
	return guest->taken[RETRIGGERED >> 4] && !(guest->in_service >> (RETRIGGERED >> 4) & 1);
}

static void posts_level_then_edge(void *arg)
{
	(void)arg;
	machine_post_triggered(0, RETRIGGERED, true);
	lab_wait(level_is_over, NULL, "waits for the level's EOI");
	machine_post_triggered(0, RETRIGGERED, false);
}

/* The machine and a sender of the scenario's own. */
static void setup_with(void (*sender)(void *arg))
{
	machine_make();
	machine_start();
	lab_cpu("sender", sender, NULL);
}

static void setup_retrigger(const struct lab_params *params)
{
	(void)params;
	setup_with(posts_level_then_edge);
}

static void tmr_follows(void)
{
	machine_nothing_pending();
	lab_check(!machine_tmr_bit(0, RETRIGGERED), "the edge was taken as a level: TMR is set");
}

#define RETRIGGER                                                                                  \
	.bounds = "1 vCPU, VMX posted, 1 vector as a level, then as an edge, 1 exit",              \
	.sender_default = 1, .data = &exiting, .setup = setup_retrigger,                           \
	.invariant = machine_nothing_invented, .quiescent = tmr_follows

LAB_SCENARIO(retrigger_posted) = {
    .name = "retrigger-posted",
    .question = "does TMR follow a vector whose trigger mode changes, in a guest that does not exit?",
    RETRIGGER,
};

LAB_SCENARIO(retrigger_mutant) = {
    .name = "mutant-retrigger",
    .mutant_of_bug = 0xffff,
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .weakenings = {{SITE_POST_RETRIGGER, LAB_LEFT_OUT}},
    .question = "does the lab see an edge that goes through PIR while its bit in TMR is set?",
    RETRIGGER,
};

/* ---- Thread 002: the order of arrival ---- */

static void posts_100_then_200(void *arg)
{
	(void)arg;
	machine_post_vector(0, 100);
	machine_post_vector(0, 200);
}

static void setup_order(const struct lab_params *params)
{
	(void)params;
	setup_with(posts_100_then_200);
}

static void in_order(void)
{
	const struct model_guest *guest = &machine->vcpus[0].guest;

	machine_nothing_invented();
	lab_check(!guest->taken[200 >> 4] || guest->taken[100 >> 4],
	    "200 was posted second and taken first: one notification, a later scan of PIR");
}

LAB_SCENARIO(arrival_order) = {
    .name = "posted-200-first",
    .question = "do vectors 100 and 200, posted in this order, arrive in it? (thread 002: no)",
    .bounds = "1 vCPU, VMX posted, 1 sender posts 100, then 200",
    .sender_default = 1,
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .data = &spinning,
    .setup = setup_order,
    .invariant = in_order,
    .quiescent = machine_nothing_pending,
};

/* ---- The preemption timer, and acknowledge-on-exit ---- */

static const struct machine_config preempted = {.program = spins, VMX(POSTED), .preempts = true};
LAB_SCENARIO(preemption_timer) = {
    .name = "preemption-timer",
    .question = "is the timer's interrupt taken at once, posted by its fast exit? (thread 004)",
    .bounds = "1 vCPU, VMX posted, the preemption timer expires once, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &preempted,
    MACHINE_SCENARIO,
};

static const struct machine_config acknowledged = {
    .program = exits, VMX(POSTED), .handler_posts = true, .acknowledges = true};
LAB_SCENARIO(acknowledge_on_exit) = {
    .name = "ack-on-exit",
    .question = "is a post seen that the handler of an acknowledged vector makes?",
    .bounds = "1 vCPU, VMX posted, acknowledge-on-exit, 1 handler's post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &acknowledged,
    MACHINE_SCENARIO,
};

static const struct machine_config acknowledged_halt = {
    .program = halts, VMX(POSTED), .handler_posts = true, .acknowledges = true};
LAB_SCENARIO(acknowledge_and_block) = {
    .name = "ack-on-exit-halt",
    .question = "does it wake the vCPU that goes to sleep next?",
    .bounds = "1 vCPU, VMX posted, acknowledge-on-exit, 1 handler's post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &acknowledged_halt,
    MACHINE_SCENARIO,
};

static const uint8_t exits_twice[] = {GUEST_EXIT, GUEST_EXIT, GUEST_SPIN};
static const struct machine_config device_there_and_back = {
    .program = exits_twice, VMX(POSTED), .device_posts = true, .moves = 2};
LAB_SCENARIO(device_migrates_back) = {
    .name = "device-migrate-back",
    .question = "does a device's post follow the vCPU there and back (NDST)?",
    .bounds = "1 vCPU, VMX posted, 1 device post, 2 moves, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 2,
    .data = &device_there_and_back,
    MACHINE_SCENARIO,
};
