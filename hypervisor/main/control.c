/* SPDX-License-Identifier: MIT */
/* Commands on the control channel: focus NAME, stop, tables, panic, trace. */
#include <stdbool.h>

#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/main/control.h"
#include "hypervisor/sched/thread.h"
#include "hypervisor/vm/trace.h"
#include "hypervisor/vm/vm.h"

#define RING_SIZE    256u /* a power of two */
#define COMMAND_MAX  64u

/* Bytes between the handler and the executing thread; under lock. */
static struct {
	spinlock_t lock;
	uint32_t head, tail;
	char bytes[RING_SIZE];
} ring;

static struct thread *control_thread;
static char command[COMMAND_MAX + 1]; /* the thread's own: what has come of the next command */
static uint32_t command_length;

void control_init(struct thread *executor)
{
	control_thread = executor;
}

void control_input(char byte)
{
	uint64_t flags = spin_lock_irqsave(&ring.lock);

	if (ring.head - ring.tail < RING_SIZE)
		ring.bytes[ring.head++ % RING_SIZE] = byte;
	spin_unlock_irqrestore(&ring.lock, flags);
	if (byte == '\n' || byte == '\r')
		thread_wake(control_thread);
}

static bool take_byte(char *byte)
{
	uint64_t flags = spin_lock_irqsave(&ring.lock);
	bool has_byte = ring.head != ring.tail;

	if (has_byte)
		*byte = ring.bytes[ring.tail++ % RING_SIZE];
	spin_unlock_irqrestore(&ring.lock, flags);
	return has_byte;
}

static void focus_on(const char *name)
{
	struct vm *vm = vm_by_name(name);

	if (vm == NULL)
		log_printf("focus: no VM is called \"%s\"", name);
	else
		console_set_focus(vm);
}

static void stop_all(void)
{
	for (uint32_t i = 0; i < vm_count(); i++)
		vm_stop(vm_by_index(i), VM_STOP_ERROR, 1, "stopped by the control channel");
}

static void print_all_tables(void)
{
	for (uint32_t i = 0; i < vm_count(); i++)
		vm_print_tables(vm_by_index(i));
}

static void execute(const char *text)
{
	if (strncmp(text, "focus ", 6) == 0)
		focus_on(text + 6);
	else if (strcmp(text, "stop") == 0)
		stop_all();
	else if (strcmp(text, "tables") == 0)
		print_all_tables();
	else if (strcmp(text, "trace") == 0)
		trace_dump();
	else if (strcmp(text, "panic") == 0)
		panic("asked for by the control channel");
	else
		log_printf("unknown command \"%s\"; there are: focus NAME, stop, tables, trace, panic", text);
}

void control_execute(void)
{
	char byte = 0;

	while (take_byte(&byte)) {
		if (byte != '\n' && byte != '\r') {
			if (command_length < COMMAND_MAX)
				command[command_length++] = byte;
			continue;
		}
		command[command_length] = 0;
		if (command_length > 0)
			execute(command);
		command_length = 0;
	}
}
