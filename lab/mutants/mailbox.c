/* SPDX-License-Identifier: MIT */
/* The foreign code of docs/lab.md with a weaker order. */
#define ORDER             memory_order_release
#define mailbox_put       weak_mailbox_put
#define mailbox_may_sleep weak_mailbox_may_sleep
#define mailbox_take      weak_mailbox_take
#include "examples/mailbox.c"

#define MAILBOX .name = "mutant-mailbox", .mutant_of_bug = 0xffff, .expect_tso = LAB_FAILS
#include "lab/scenarios/mailbox.c"
