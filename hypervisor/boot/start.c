/* SPDX-License-Identifier: MIT */
/* Start-up order of the kernel, on the first pCPU and on the others. */
#include <stddef.h>

#include "hypervisor/boot/start.h"
#include "hypervisor/cpu/cpu.h"
#include "hypervisor/cpu/ioapic.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/tcg.h"
#include "hypervisor/cpu/vectors.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/main/host.h"
#include "hypervisor/main/serial.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/mm/range.h"
#include "hypervisor/sched/sched.h"
#include "hypervisor/sched/thread.h"

struct boot_info boot_info;

void boot_main(uint32_t magic, uint32_t information) __attribute__((noreturn)); /* from boot.S */

/* Its arrival ends guest execution; that is all it is for. */
static void notify_interrupt(void)
{
}

static void stop_interrupt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void start_main_thread(void)
{
	struct thread *thread = thread_create("main", main_thread, NULL, 0);

	if (thread == NULL)
		panic("no memory for the first thread");
	thread->is_pinned = true;
	thread_start(thread);
}

void boot_main(uint32_t magic, uint32_t information)
{
	serial_init();
	log_printf("starting");
	boot_parse(magic, information, &boot_info);
	memory_init(&boot_info);
	acpi_init();
	pic_mask();
	cpu_init_first();
	ioapic_init();
	clock_calibrate();
	timer_init();
	irq_register(VECTOR_NOTIFY, notify_interrupt);
	irq_register(VECTOR_STOP, stop_interrupt);
	sched_init();
	sched_cpu_init();
	virt_cpu_init();
	cpu_start_others();
	tcg_start_nudge();
	log_printf("%u CPUs, %lu MiB free", cpu_count(), memory_free_bytes() >> 20);
	start_main_thread();
	sched_idle();
}

void main_other_cpu(void)
{
	sched_cpu_init();
	virt_cpu_init();
	sched_idle();
}
