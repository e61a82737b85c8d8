/* SPDX-License-Identifier: MIT */
/* Foreign code in the lab: examples/mailbox.c, compiled as it is against lab/shim/stdatomic.h. */
#include "examples/mailbox.h"
#include "lab/lab.h"

static struct world {
	struct mailbox box;
	uint32_t bell, read_count;
} * w;

static void sender(void *arg)
{
	if (mailbox_put(&w->box))
		LAB_XCHG((uint32_t *)arg, 1);
}

static bool rings(void *arg)
{
	return *(uint32_t *)arg;
}

static void reader(void *arg)
{
	if (!mailbox_take(&w->box) && mailbox_may_sleep(&w->box))
		lab_wait(rings, arg, "sleeps until the bell rings");
	w->read_count++;
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "mailbox");
	lab_cpu("sender", sender, &w->bell);
	lab_cpu("reader", reader, &w->bell);
}

static void letter_is_read(void)
{
	lab_check(w->read_count, "a letter waits and its reader sleeps");
}

#ifndef MAILBOX
#define MAILBOX .name = "example-mailbox", .expect_tso = LAB_HOLDS
#endif
LAB_SCENARIO(mailbox) = {MAILBOX, .question = "does the reader wake for the letter?",
    .bounds = "1 letter", .setup = setup, .quiescent = letter_is_read};
