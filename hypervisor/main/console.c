/* SPDX-License-Identifier: MIT */
/* Share the host's COM1 between the guests' consoles. */
#include <stdbool.h>

#include "hypervisor/board/board.h"
#include "hypervisor/lib/spinlock.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/main/console.h"
#include "hypervisor/main/control.h"
#include "hypervisor/main/serial.h"
#include "hypervisor/vm/vm.h"

#define LINE_MAX 240u /* longer lines are broken */

struct line {
	spinlock_t lock;
	uint32_t length;
	char bytes[LINE_MAX];
};

static struct line lines[VM_MAX]; /* by VM index; used with several VMs only */
static bool is_shared;            /* several VMs; constant before any runs */
static struct vm *focus;          /* atomic: who gets what is typed */

void console_init(uint32_t count)
{
	is_shared = count > 1;
	console_set_focus(vm_by_index(0));
}

void console_set_focus(struct vm *vm)
{
	__atomic_store_n(&focus, vm, __ATOMIC_RELEASE);
}

void console_input(char byte)
{
	struct vm *vm = __atomic_load_n(&focus, __ATOMIC_ACQUIRE);

	if (vm != NULL && !vm_is_stopping(vm))
		board_console_input(vm, (uint8_t)byte);
}

static void print_line(const struct vm *vm, struct line *line)
{
	char text[VM_NAME_SIZE + LINE_MAX + 8];
	int length = snprintf(text, sizeof(text), "[%s] %.*s\r\n", vm->name, (int)line->length,
	    line->bytes);

	serial_write(SERIAL_CONSOLE, text, (size_t)length);
	line->length = 0;
}

void console_output(struct vm *vm, uint8_t byte)
{
	struct line *line = &lines[vm->index];
	char raw = (char)byte;
	uint64_t flags;

	if (!is_shared) {
		serial_write(SERIAL_CONSOLE, &raw, 1);
		return;
	}
	if (byte == '\r')
		return;
	flags = spin_lock_irqsave(&line->lock);
	if (byte != '\n')
		line->bytes[line->length++] = raw;
	if (byte == '\n' || line->length == LINE_MAX)
		print_line(vm, line);
	spin_unlock_irqrestore(&line->lock, flags);
}

void console_flush(struct vm *vm)
{
	struct line *line = &lines[vm->index];
	uint64_t flags = spin_lock_irqsave(&line->lock);

	if (line->length > 0)
		print_line(vm, line);
	spin_unlock_irqrestore(&line->lock, flags);
}
