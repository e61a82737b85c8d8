/* SPDX-License-Identifier: MIT */
/* Guest: power off by ACPI S5. */
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "poweroff";

#define PM1_CONTROL_PORT 0x604
#define PM1_SLP_EN       (1u << 13)
#define PM1_SLP_TYP(n)   ((unsigned)(n) << 10)
/* S5's type is 5 on Posthorn's board and 0 on QEMU's. */
#define SLP_TYP_POSTHORN 5
#define SLP_TYP_QEMU     0

void guest_main(void)
{
	unsigned type = cpu_is_under_posthorn() ? SLP_TYP_POSTHORN : SLP_TYP_QEMU;

	print("RESULT %s PASS when the VM stops now\n", guest_name);
	outw(PM1_CONTROL_PORT, (uint16_t)(PM1_SLP_TYP(type) | PM1_SLP_EN));
	delay_ms(1000);
	test_abort("still on a second after S5");
}
