/* SPDX-License-Identifier: MIT */
/* Injected delivery (SVM): posts to a vCPU that spins, exits or halts; NMIs; cut-short deliveries.
 */
#include "lab/machine.h"

static const uint8_t spins[] = {GUEST_SPIN};
static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t halts[] = {GUEST_HALT};
static const uint8_t closes[] = {GUEST_CLI, GUEST_WORK, GUEST_STI, GUEST_SPIN};
static const uint8_t fast[] = {GUEST_FAST, GUEST_SPIN};

static const struct machine_config spinning = {.program = spins};
LAB_SCENARIO(post_spin) = {
    .name = "post-spin",
    .question = "is every interrupt taken by a guest that never exits by itself?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender",
    .sender_default = 3,
    .sender_max = 5,
    .data = &spinning,
    MACHINE_SCENARIO,
};

static const struct machine_config exiting = {.program = exits};
LAB_SCENARIO(post_exit) = {
    .name = "post-exit",
    .question = "is every interrupt taken when the guest enters twice and then never exits?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 5,
    .data = &exiting,
    MACHINE_SCENARIO,
};

static const struct machine_config halting = {.program = halts};
LAB_SCENARIO(post_halt) = {
    .name = "post-halt",
    .question = "is every interrupt taken, and no wake-up lost, when the guest halts?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 5,
    .data = &halting,
    MACHINE_SCENARIO,
};

static const struct machine_config closing = {.program = closes};
LAB_SCENARIO(post_window) = {
    .name = "post-window",
    .question = "is an interrupt that finds IF clear taken as soon as the guest sets it?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender, CLI and STI once",
    .sender_default = 1,
    .sender_max = 4,
    .data = &closing,
    MACHINE_SCENARIO,
};

static const struct machine_config again = {.program = halts, .same_vector = true, .posts_each = 2};
LAB_SCENARIO(post_again) = {
    .name = "post-again",
    .question = "is a vector taken after its last post, and no more often than posted?",
    .bounds = "1 vCPU, SVM, 2 posts of one vector a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &again,
    MACHINE_SCENARIO,
};

static const struct machine_config cut_short = {.program = exits, .deliveries_can_fault = true};
LAB_SCENARIO(reinject) = {
    .name = "reinject",
    .question = "is an event taken exactly once when an exit cuts its delivery short?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender, 1 cut-short delivery",
    .sender_default = 2,
    .sender_max = 4,
    .data = &cut_short,
    MACHINE_SCENARIO,
};

static const struct machine_config nmi = {.program = exits, .nmis = true};
LAB_SCENARIO(nmi_window) = {
    .name = "nmi-window",
    .question =
        "are two NMIs taken one after the other, with no single-step trap left in the guest?",
    .bounds = "1 vCPU, SVM, 1 NMI a sender",
    .sender_default = 2,
    .sender_max = 3,
    .data = &nmi,
    MACHINE_SCENARIO,
};

static const struct machine_config nmi_halt = {.program = halts, .nmis = true};
LAB_SCENARIO(nmi_wakes) = {
    .name = "nmi-halt",
    .question = "does an NMI end HLT?",
    .bounds = "1 vCPU, SVM, 1 NMI a sender",
    .sender_default = 2,
    .sender_max = 3,
    .data = &nmi_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config requests = {.program = exits, .requests = true};
LAB_SCENARIO(request_kick) = {
    .name = "request-kick",
    .question = "is every request seen by a vCPU that is entering, in the guest, or leaving?",
    .bounds = "1 vCPU, SVM, 1 request a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 4,
    .data = &requests,
    MACHINE_SCENARIO,
};

static const struct machine_config requests_halt = {.program = halts, .requests = true};
LAB_SCENARIO(request_halt) = {
    .name = "request-halt",
    .question = "is every request seen by a vCPU that goes to sleep?",
    .bounds = "1 vCPU, SVM, 1 request a sender",
    .sender_default = 2,
    .sender_max = 4,
    .data = &requests_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config moving = {.program = exits, .moves = 1};
LAB_SCENARIO(migrate) = {
    .name = "migrate",
    .question = "does a post in flight reach a vCPU that moves to another pCPU?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender, 1 move",
    .sender_default = 2,
    .sender_max = 4,
    .data = &moving,
    MACHINE_SCENARIO,
};

static const struct machine_config handler_halt = {.program = halts, .handler_posts = true};
LAB_SCENARIO(self_block) = {
    .name = "handler-post-halt",
    .question =
        "does a post from a host interrupt handler on the vCPU's own pCPU wake it? (thread 004)",
    .bounds = "1 vCPU, SVM, 1 handler's post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &handler_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config handler_exit = {.program = exits, .handler_posts = true};
LAB_SCENARIO(self_exit) = {
    .name = "handler-post-exit",
    .question = "is a post from a host interrupt handler on the vCPU's own pCPU seen? (thread 004)",
    .bounds = "1 vCPU, SVM, 1 handler's post, 1 interrupt a sender, 1 exit",
    .sender_default = 1,
    .sender_max = 3,
    .data = &handler_exit,
    MACHINE_SCENARIO,
};

static const struct machine_config fast_post = {.program = fast};
LAB_SCENARIO(self_fast) = {
    .name = "fast-post",
    .question = "is a post by the fast path taken at once, though its IPI is elided? (thread 004)",
    .bounds = "1 vCPU, SVM, 1 fast-path post, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &fast_post,
    MACHINE_SCENARIO,
};

static const struct machine_config fast_ipi = {.program = fast, .fast_self_ipi = true};
LAB_SCENARIO(self_fast_ipi) = {
    .name = "fast-self-ipi",
    .question = "is a self-IPI that the fast path handles taken at once? (bug 29)",
    .bounds = "1 vCPU, SVM, 1 self-IPI, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &fast_ipi,
    MACHINE_SCENARIO,
};

static const struct machine_config levels = {.program = exits, .level = true};
LAB_SCENARIO(level_exit) = {
    .name = "level-exit",
    .question = "is every level-triggered interrupt taken?",
    .bounds = "1 vCPU, SVM, 1 level-triggered interrupt a sender, 1 exit",
    .sender_default = 2,
    .sender_max = 3,
    .data = &levels,
    MACHINE_SCENARIO,
};

static const struct machine_config levels_halt = {.program = halts, .level = true};
LAB_SCENARIO(level_halt) = {
    .name = "level-halt",
    .question = "does a level-triggered interrupt wake the vCPU?",
    .bounds = "1 vCPU, SVM, 1 level-triggered interrupt a sender",
    .sender_default = 2,
    .sender_max = 3,
    .data = &levels_halt,
    MACHINE_SCENARIO,
};

static const struct machine_config lint = {.program = spins, .lint = true};
LAB_SCENARIO(lint_pins) = {
    .name = "lint-pins",
    .question = "is every edge of the LINT pins seen though the pin has fallen again?",
    .bounds = "1 vCPU, SVM, each sender pulses a pin of its own",
    .sender_default = 2,
    .sender_max = 2,
    .data = &lint,
    MACHINE_SCENARIO,
};

static const struct machine_config fast_eoi = {.program = spins, .fast_eoi = true};
LAB_SCENARIO(eoi_fast) = {
    .name = "fast-eoi",
    .question = "is the next interrupt taken when the fast path handles the EOI of the last one?",
    .bounds = "1 vCPU, SVM, EOI writes on the fast path, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 4,
    .data = &fast_eoi,
    MACHINE_SCENARIO,
};

static const uint8_t clears_gif[] = {GUEST_CLGI, GUEST_WORK, GUEST_STGI, GUEST_SPIN};
static const struct machine_config gif = {.program = clears_gif, .has_vgif = true};
LAB_SCENARIO(virtual_gif) = {
    .name = "vgif",
    .question = "does an interrupt that finds the guest's GIF clear wait for it, and no longer?",
    .bounds = "1 vCPU, SVM with virtual GIF, CLGI and STGI once, 1 interrupt a sender",
    .sender_default = 1,
    .sender_max = 3,
    .data = &gif,
    MACHINE_SCENARIO,
};

static const uint8_t exits_twice[] = {GUEST_EXIT, GUEST_EXIT, GUEST_SPIN};
static const struct machine_config moves_back = {.program = exits_twice, .moves = 2};
LAB_SCENARIO(migrate_back) = {
    .name = "migrate-back",
    .question = "does a post in flight reach a vCPU that moves away and comes back?",
    .bounds = "1 vCPU, SVM, 1 interrupt a sender, 2 moves",
    .sender_default = 1,
    .sender_max = 3,
    .data = &moves_back,
    MACHINE_SCENARIO,
};
