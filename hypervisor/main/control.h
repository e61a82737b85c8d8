/* SPDX-License-Identifier: MIT */
/* Input from the host's serial ports: the console's focus and the control channel's commands. */
#ifndef HYPERVISOR_MAIN_CONTROL_H
#define HYPERVISOR_MAIN_CONTROL_H

#include <stdint.h>

struct thread;
struct vm;

/* The first of `count` VMs gets the focus.  Main thread, before any VM runs. */
void console_init(uint32_t count);
void console_set_focus(struct vm *vm);
/* A byte typed at the host's console.  Handler. */
void console_input(char byte);

/* Commands wake this thread, which then calls control_execute().  Main thread. */
void control_init(struct thread *executor);
/* A byte of a command.  Handler. */
void control_input(char byte);
/* Execute the commands that are complete. */
void control_execute(void);

#endif
