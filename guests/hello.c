/* SPDX-License-Identifier: MIT */
/* Guest: print what the platform says of itself and exit. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "hello";

void guest_main(void)
{
	print("hello from a guest: cpus=%u memory_kib=%u tsc_per_ms=%lu x2apic=%d posthorn=%d\n",
	    cpu_count, memory_upper_kib(), tsc_ticks_per_ms(), cpu_has_x2apic(),
	    cpu_is_under_posthorn());
	print("command line: %s\n", command_line());
	check(apic_id() == 0, "the BSP's APIC ID is %u", apic_id());
	check(rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP, "the BSP flag is clear");
	smp_start();
	for (unsigned i = 0; i < cpu_count; i++)
		check(cpu_at(i)->is_online, "CPU %u is not online", i);
}
