/* SPDX-License-Identifier: MIT */
/* As mailbox.h; ORDER is what a hurried reviewer might weaken. */
#include "mailbox.h"

#ifndef ORDER
#define ORDER memory_order_seq_cst
#endif

bool mailbox_put(struct mailbox *box)
{
	atomic_store_explicit(&box->letter, 1, ORDER);
	return atomic_load_explicit(&box->asleep, memory_order_acquire);
}

bool mailbox_may_sleep(struct mailbox *box)
{
	atomic_store_explicit(&box->asleep, 1, ORDER);
	return !atomic_load_explicit(&box->letter, memory_order_acquire);
}

bool mailbox_take(struct mailbox *box)
{
	return atomic_exchange(&box->letter, 0);
}
