/* SPDX-License-Identifier: MIT */
/* Known-wrong orders (facts/bugs.md): each must fail, with a timeline. */
#include "core/sites.h"
#include "lab/machine.h"

static const uint8_t spins[] = {GUEST_SPIN};
static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t halts[] = {GUEST_HALT};
static const uint8_t fast[] = {GUEST_FAST, GUEST_SPIN};

#define VMX(kind) .is_vmx = true, .delivery = PH_DELIVERY_##kind

#define FAILS_EVERYWHERE .expect_sc = LAB_FAILS, .expect_tso = LAB_FAILS
#define FAILS_UNDER_TSO  .expect_sc = LAB_HOLDS, .expect_tso = LAB_FAILS

/* A mutant of a number in facts/bugs.md, with so many senders. */
#define MUTANT(id, number, senders, text, limits, config, ...)                                     \
	LAB_SCENARIO(id) = {.name = "mutant-" text,                                                \
	    .mutant_of_bug = (number),                                                             \
	    .question = "does the lab catch bug " #number " of facts/bugs.md?",                    \
	    .bounds = limits,                                                                      \
	    .sender_default = (senders),                                                           \
	    .data = (config),                                                                      \
	    MACHINE_SCENARIO,                                                                      \
	    __VA_ARGS__}

static const struct machine_config svm_exit = {.program = exits};
static const struct machine_config posted_exit = {.program = exits, VMX(POSTED)};
MUTANT(bug1, 1, 1, "1-late-irqs-off", "SVM, IRQs off only at the entry", &svm_exit,
    FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_IRQS_OFF, LAB_LEFT_OUT}});
MUTANT(bug1_posted, 1, 1, "1-posted", "VMX posted, IRQs off only at the entry", &posted_exit,
    FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_IRQS_OFF, LAB_LEFT_OUT}});

MUTANT(bug2, 2, 1, "2-no-recheck", "VMX posted, no look at ON after IN_GUEST", &posted_exit,
    FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_RECHECK_ON, LAB_LEFT_OUT}});
MUTANT(bug2_fence, 2, 1, "2-no-fence", "VMX posted, IN_GUEST without its fence", &posted_exit,
    FAILS_UNDER_TSO, .weakenings = {{SITE_ENTER_PUBLISH, LAB_UNFENCED}});

MUTANT(bug2_svm, 2, 1, "2-svm", "SVM, no look at ON after IN_GUEST", &svm_exit, FAILS_EVERYWHERE,
    .weakenings = {{SITE_ENTER_RECHECK_ON, LAB_LEFT_OUT}});

static const uint8_t resumes[] = {GUEST_STI, GUEST_EXIT, GUEST_SPIN};
static const struct machine_config nested_device = {
    .program = resumes, VMX(POSTED), .device_posts = true, .l2_program = spins};
MUTANT(bug3_device, 3, 0, "3-device", "VMX posted, RVI updated for L1 and L2 entered",
    &nested_device, FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_NESTED, LAB_LEFT_OUT}});
static const struct machine_config nested_post = {
    .program = resumes, VMX(POSTED), .l2_program = spins};
MUTANT(bug3, 3, 1, "3-post", "VMX posted, RVI updated for L1 and L2 entered", &nested_post,
    FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_NESTED, LAB_LEFT_OUT}});

static const struct machine_config elided = {
    .program = halts, .handler_posts = true, .fault = MACHINE_SLEEPER_ELIDED};
MUTANT(bug4, 4, 1, "4-elided-wake", "SVM, no wake when the sleeper is the running vCPU", &elided,
    FAILS_EVERYWHERE);

static const struct machine_config preempted = {
    .program = exits, VMX(POSTED), .device_posts = true, .is_preempted = true};
MUTANT(bug5, 5, 0, "5-sn", "VMX posted, ON not recomputed when SN is cleared", &preempted,
    FAILS_EVERYWHERE, .weakenings = {{SITE_PID_AFTER_SN, LAB_LEFT_OUT}});

static const struct machine_config sleeper = {.program = halts, VMX(POSTED), .device_posts = true};
MUTANT(bug6, 6, 0, "6-nv", "VMX posted, no second look after NV is the wakeup vector", &sleeper,
    FAILS_EVERYWHERE, .weakenings = {{SITE_BLOCK_RECHECK, LAB_LEFT_OUT}});

static const struct machine_config early_step = {
    .program = exits, .nmis = true, .fault = MACHINE_EARLY_STEP};
MUTANT(bug16, 16, 1, "16-nmi-step", "SVM, TF set before the guest is at its IRET", &early_step,
    FAILS_EVERYWHERE);

static const struct machine_config keeps_on = {
    .program = spins, VMX(POSTED), .fault = MACHINE_KEEPS_ON};
MUTANT(bug17, 17, 2, "17-on-kept", "VMX posted, ON not cleared with the notification", &keeps_on,
    FAILS_EVERYWHERE);

static const struct machine_config clears_svi = {
    .program = spins, VMX(POSTED), .nests = true, .fault = MACHINE_EOI_CLEARS_SVI};
MUTANT(bug18, 18, 3, "18-svi", "VMX posted, nested handlers, EOI sets SVI to 0", &clears_svi,
    FAILS_EVERYWHERE);

static const struct machine_config extra_window = {
    .program = exits, VMX(VIRTUAL), .fault = MACHINE_EXTRA_WINDOW};
MUTANT(bug20, 20, 1, "20-window", "VMX virtual delivery, a window asked for as well", &extra_window,
    FAILS_EVERYWHERE);

static const struct machine_config wrong_ndst = {
    .program = halts, VMX(POSTED), .device_posts = true, .fault = MACHINE_WRONG_NDST};
MUTANT(bug21, 21, 0, "21-ndst", "VMX posted, a sleeper's NDST is wrong", &wrong_ndst,
    FAILS_EVERYWHERE);

static const struct machine_config self_ipi = {.program = exits, .handler_posts = true};
MUTANT(bug23, 23, 0, "23-self-ipi", "SVM, the vCPU's own notification is taken by the host",
    &self_ipi, FAILS_EVERYWHERE,
    .weakenings = {{SITE_POST_ELIDE, LAB_LEFT_OUT}, {SITE_ENTER_IRQS_OFF, LAB_LEFT_OUT}});

static const struct machine_config requests = {.program = exits, .requests = true};
MUTANT(bug24, 24, 1, "24-kick", "SVM, no look at requests after IN_GUEST", &requests,
    FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_RECHECK_REQUESTS, LAB_LEFT_OUT}});
MUTANT(bug24_fence, 24, 1, "24-no-fence", "SVM, IN_GUEST without its fence", &requests,
    FAILS_UNDER_TSO, .weakenings = {{SITE_ENTER_PUBLISH, LAB_UNFENCED}});

static const uint8_t raises_tpr[] = {GUEST_TPR_HIGH, GUEST_WORK, GUEST_TPR_LOW, GUEST_SPIN};
static const struct machine_config no_threshold = {
    .program = raises_tpr, VMX(INJECTED), .fault = MACHINE_NO_THRESHOLD};
MUTANT(bug25, 25, 1, "25-threshold", "VMX injected, the TPR threshold is never refreshed",
    &no_threshold, FAILS_EVERYWHERE);

static const struct machine_config fast_post = {.program = fast};
MUTANT(bug29, 29, 0, "29-no-rescan", "SVM, a fast-path post is not looked at before entry",
    &fast_post, FAILS_EVERYWHERE, .weakenings = {{SITE_ENTER_RECHECK_ON, LAB_LEFT_OUT}});

static const struct machine_config halting = {.program = halts};
MUTANT(bug30, 30, 1, "30-unordered", "SVM, ON set without order before the sleeper is looked at",
    &halting, FAILS_UNDER_TSO, .weakenings = {{SITE_POST_ON, LAB_UNLOCKED}});
MUTANT(bug30_sleep, 30, 1, "30-sleep-fence", "SVM, the sleep is announced without its fence",
    &halting, FAILS_UNDER_TSO, .weakenings = {{SITE_BLOCK_PUBLISH, LAB_UNFENCED}});
MUTANT(bug30_recheck, 30, 1, "30-sleep-recheck", "SVM, no second look after the announcement",
    &halting, FAILS_EVERYWHERE, .weakenings = {{SITE_BLOCK_RECHECK, LAB_LEFT_OUT}});

/* Not in the list; told apart by number 0xffff. */
#define OTHER_MUTANT(id, senders, text, asks, limits, config, ...)                                 \
	LAB_SCENARIO(id) = {.name = "mutant-" text,                                                \
	    .mutant_of_bug = 0xffff,                                                               \
	    .question = asks,                                                                      \
	    .bounds = limits,                                                                      \
	    .sender_default = (senders),                                                           \
	    .data = (config),                                                                      \
	    MACHINE_SCENARIO,                                                                      \
	    __VA_ARGS__}

/* Found by the lab in Posthorn's own core, and repaired there. */
static const struct machine_config kick_notifies = {
    .program = exits, VMX(POSTED), .requests = true, .fault = MACHINE_KICK_NOTIFIES};
OTHER_MUTANT(kick_mutant, 1, "kick-notifies",
    "does the lab see a kick that is taken as a posted interrupt?",
    "VMX posted, kicks sent with the notification vector", &kick_notifies, FAILS_EVERYWHERE);

static const struct machine_config fast_ipi = {.program = fast, .fast_self_ipi = true};
OTHER_MUTANT(fast_mutant, 0, "fast-no-choice",
    "does the lab see a fast exit whose self-IPI waits for the next one?",
    "SVM, no new choice after fast_exit()", &fast_ipi, FAILS_EVERYWHERE,
    .weakenings = {{SITE_ENTER_AGAIN, LAB_LEFT_OUT}});

static const struct machine_config fast_forgets = {
    .program = spins, .fast_eoi = true, .fault = MACHINE_FAST_FORGETS};
OTHER_MUTANT(fast_eoi_mutant, 2, "fast-forgets",
    "does the lab see a fast_exit() that says true and has done nothing?",
    "SVM, EOI writes are lost on the fast path", &fast_forgets, FAILS_EVERYWHERE);

static const struct machine_config drops_acked = {.program = exits,
    VMX(POSTED),
    .handler_posts = true,
    .acknowledges = true,
    .fault = MACHINE_DROPS_ACKED};
OTHER_MUTANT(ack_mutant, 0, "ack-dropped",
    "does the lab see a vector that the exit acknowledged and nobody handled?",
    "VMX posted, acknowledge-on-exit, the vector is dropped", &drops_acked, FAILS_EVERYWHERE);

static const struct machine_config levels = {.program = exits, .level = true};
OTHER_MUTANT(level_mutant, 2, "level-unlocked",
    "does the lab see two senders who set level-triggered vectors without a lock?",
    "SVM, 2 level-triggered interrupts in one word", &levels, FAILS_EVERYWHERE,
    .weakenings = {{SITE_POST_LEVEL, LAB_UNLOCKED}});

static const uint8_t clears_gif[] = {GUEST_CLGI, GUEST_WORK, GUEST_STGI, GUEST_SPIN};
static const struct machine_config forgets_gif = {
    .program = clears_gif, .has_vgif = true, .fault = MACHINE_FORGETS_GIF};
OTHER_MUTANT(gif_mutant, 1, "gif-forgotten",
    "does the lab see an interrupt injected through a clear GIF?",
    "SVM with virtual GIF, a backend that does not look at it", &forgets_gif, FAILS_EVERYWHERE);
