/* SPDX-License-Identifier: MIT */
/* Panic: say what is known, then leave the emulator whatever happens. */
#include <stddef.h>

#include "hypervisor/cpu/instructions.h"
#include "hypervisor/cpu/irq.h"
#include "hypervisor/cpu/exception.h"
#include "hypervisor/cpu/percpu.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/main/host.h"
#include "hypervisor/main/serial.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/sched/thread.h"

#define STACK_WORDS 64u

/* Depth of panics: 1 in the first, more when reporting it failed.  Atomic. */
static uint32_t panic_depth;
static uint32_t panic_apic_id; /* whose panic it is */

bool panic_is_active(void)
{
	return __atomic_load_n(&panic_depth, __ATOMIC_ACQUIRE) != 0;
}

static uint32_t initial_apic_id(void)
{
	return cpuid(1, 0).ebx >> 24;
}

static void halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Let the first panic report; the pCPU it is on gets one more try at leaving, the others stop. */
static void claim(void)
{
	uint32_t depth = __atomic_fetch_add(&panic_depth, 1, __ATOMIC_ACQ_REL);

	if (depth == 0) {
		panic_apic_id = initial_apic_id();
		return;
	}
	if (panic_apic_id != initial_apic_id())
		halt_forever();
	if (depth == 1)
		log_printf("panic: another failure while reporting");
	host_exit(HOST_EXIT_PANIC);
}

static void print_thread(void)
{
	const struct thread *thread;

	if (!percpu_is_ready())
		return;
	thread = this_cpu()->current;
	log_printf("panic: pCPU %u, thread %s", cpu_index(), thread ? thread->name : "(none)");
}

static void print_trace_of_calls(uint64_t rsp)
{
	const uint64_t *word, *end;

	/* No frame pointers: print what on the stack points into the code, most recent first. */
	stack_words(rsp, &word, &end);
	if (end - word > (long)STACK_WORDS)
		end = word + STACK_WORDS;
	for (; word < end; word++)
		if (exception_is_code(*word))
			log_printf("panic: stack 0x%lx: 0x%lx", (uint64_t)word, *word);
}

void panic_with_frame(const struct exception_frame *frame, const char *format, va_list arguments)
{
	char reason[200];
	uint64_t rsp;

	irq_disable();
	claim();
	if (percpu_is_ready())
		ipi_nmi_others();
	serial_break_locks();
	vsnprintf(reason, sizeof(reason), format, arguments);
	log_printf("panic: %s", reason);
	print_thread();
	__asm__ volatile("movq %%rsp, %0" : "=r"(rsp));
	/* A call has spoilt most registers; where it came from is what it can say. */
	if (frame != NULL)
		exception_print(frame);
	else
		log_printf("panic: rip=%016lx rsp=%016lx", (uint64_t)__builtin_return_address(0), rsp);
	exception_print_control();
	print_trace_of_calls(frame != NULL ? frame->rsp : rsp);
	virt_panic_dump();
	trace_dump_last();
	serial_drain();
	control_printf("@end status=%u", HOST_EXIT_PANIC);
	host_exit(HOST_EXIT_PANIC);
}

void panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	panic_with_frame(NULL, format, arguments);
}
