/* SPDX-License-Identifier: MIT */
/* Leaving the emulator. */
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/main/host.h"
#include "hypervisor/main/serial.h"

#define DEBUG_EXIT_PORT    0xf4   /* QEMU's isa-debug-exit */
#define BOCHS_SHUTDOWN_PORT 0x8900 /* Bochs ends when it has read this word there */

void host_exit(enum host_exit status)
{
	static const char word[] = "Shutdown";

	irq_disable();
	serial_drain();
	out32(DEBUG_EXIT_PORT, status);
	for (const char *letter = word; *letter; letter++)
		out8(BOCHS_SHUTDOWN_PORT, (uint8_t)*letter);
	log_printf("no emulator to leave; this machine can be switched off");
	for (;;)
		__asm__ volatile("cli; hlt");
}
