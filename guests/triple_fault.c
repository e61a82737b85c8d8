/* SPDX-License-Identifier: MIT */
/* Guest: an exception without an IDT, which must stop this VM and nothing else. */
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"

const char guest_name[] = "triple_fault";

void guest_main(void)
{
	print("RESULT %s PASS when the VM stops now\n", guest_name);
	interrupts_load_empty();
	__asm__ volatile("ud2");
	test_abort("ran on after a triple fault");
}
