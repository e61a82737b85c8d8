/* SPDX-License-Identifier: MIT */
/* Guest: reset by port 0xcf9, or by the keyboard controller with "keyboard=1". */
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "reset";

#define RESET_CONTROL_PORT 0xcf9
#define RESET_SYSTEM       0x02
#define RESET_CPU          0x04
#define KEYBOARD_PORT      0x64
#define KEYBOARD_PULSE     0xfe

void guest_main(void)
{
	print("RESULT %s PASS when the VM stops now\n", guest_name);
	if (option("keyboard", 0)) {
		outb(KEYBOARD_PORT, KEYBOARD_PULSE);
	} else {
		outb(RESET_CONTROL_PORT, RESET_SYSTEM);
		outb(RESET_CONTROL_PORT, RESET_SYSTEM | RESET_CPU);
	}
	delay_ms(1000);
	test_abort("still running a second after a reset");
}
