/* SPDX-License-Identifier: MIT */
/* Code that knows nothing of Posthorn, for docs/lab.md: a letter, a sleeper, a bell. */
#ifndef EXAMPLES_MAILBOX_H
#define EXAMPLES_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

struct mailbox {
	atomic_int letter;
	atomic_int asleep;
};

/* Put a letter in; true: the caller must ring the bell. */
bool mailbox_put(struct mailbox *box);
/* Announce a sleep; true: sleep until the bell rings. */
bool mailbox_may_sleep(struct mailbox *box);
/* Take the letter out, if there is one. */
bool mailbox_take(struct mailbox *box);

#endif
