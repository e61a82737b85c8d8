/* SPDX-License-Identifier: MIT */
/* Small ports: fw_cfg, the test devices of emulators, reset, and a PCI bus that is not there. */
#include "hypervisor/board/devices.h"
#include "hypervisor/main/console.h"
#include "hypervisor/vm/vm.h"

/* ---- fw_cfg (QEMU: docs/specs/fw_cfg) ------------------------------------------------------- */

#define FW_CFG_SELECTOR  0x510u
#define FW_CFG_SIGNATURE 0x00u
#define FW_CFG_ID        0x01u
#define FW_CFG_RAM_SIZE  0x03u
#define FW_CFG_NB_CPUS   0x05u
#define FW_CFG_MAX_CPUS  0x0fu
#define FW_CFG_ID_PORTS  1u /* selector and data port, no DMA */

/* The item as a little-endian number; items that are not there read as zeros. */
static uint64_t fw_cfg_item(const struct vm *vm, uint16_t key)
{
	switch (key) {
	case FW_CFG_SIGNATURE:
		return 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24;
	case FW_CFG_ID:
		return FW_CFG_ID_PORTS;
	case FW_CFG_RAM_SIZE:
		return vm->ram_low_bytes + vm->ram_high_bytes;
	case FW_CFG_NB_CPUS:
	case FW_CFG_MAX_CPUS:
		return vm->cpu_count;
	}
	return 0;
}

static uint8_t fw_cfg_next(struct board *board)
{
	struct ports *ports = &board->ports;
	uint64_t item = fw_cfg_item(board->vm, ports->fw_cfg_key);

	if (ports->fw_cfg_offset >= sizeof(item))
		return 0;
	return (uint8_t)(item >> 8 * ports->fw_cfg_offset++);
}

uint32_t fw_cfg_read(struct board *board, uint16_t port, unsigned size)
{
	uint32_t value = 0;
	uint64_t flags;
	unsigned i;

	if (port == FW_CFG_SELECTOR)
		return UINT32_MAX;
	flags = spin_lock_irqsave(&board->ports.lock);
	for (i = 0; i < size; i++)
		value |= (uint32_t)fw_cfg_next(board) << 8 * i;
	spin_unlock_irqrestore(&board->ports.lock, flags);
	return value;
}

void fw_cfg_write(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	uint64_t flags;

	if (port != FW_CFG_SELECTOR || size != 2)
		return;
	flags = spin_lock_irqsave(&board->ports.lock);
	board->ports.fw_cfg_key = (uint16_t)value;
	board->ports.fw_cfg_offset = 0;
	spin_unlock_irqrestore(&board->ports.lock, flags);
}

/* ---- Devices of test guests: debug exit, debug console, pc-testdev -------------------------- */

#define PORT_SCRATCH       0xe0u
#define PORT_SCRATCH_LAST  0xe3u
#define PORT_DEBUG_CONSOLE 0xe9u
#define PORT_DEBUG_EXIT    0xf4u
#define PORT_TEST_LINES    0x2000u
#define DEBUG_CONSOLE_ID   0xe9u

uint32_t test_read(struct board *board, uint16_t port, unsigned size)
{
	(void)size;
	if (port == PORT_DEBUG_CONSOLE)
		return DEBUG_CONSOLE_ID;
	if (port == PORT_DEBUG_EXIT)
		return 0;
	if (port >= PORT_SCRATCH && port <= PORT_SCRATCH_LAST)
		return __atomic_load_n(&board->ports.scratch, __ATOMIC_RELAXED);
	return UINT32_MAX;
}

void test_write(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	(void)size;
	if (port == PORT_DEBUG_CONSOLE)
		console_output(board->vm, (uint8_t)value);
	else if (port == PORT_DEBUG_EXIT)
		vm_stop(board->vm, VM_STOP_DEBUG_EXIT, (int)((value & 0xff) << 1 | 1), NULL);
	else if (port >= PORT_SCRATCH && port <= PORT_SCRATCH_LAST)
		__atomic_store_n(&board->ports.scratch, value, __ATOMIC_RELAXED);
	else
		board_line(board, port - PORT_TEST_LINES, LINE_TEST, value != 0);
}

/* ---- Reset, and configuration space that answers all ones ----------------------------------- */

#define PORT_KEYBOARD_DATA   0x60u
#define PORT_KEYBOARD_STATUS 0x64u
#define PORT_92              0x92u
#define PORT_RESET_CONTROL   0xcf9u
#define KEYBOARD_PULSE_RESET 0xfeu
#define PORT_92_RESET        0x01u
#define PORT_92_A20          0x02u
#define RESET_CONTROL_CPU    0x04u

/* The keyboard controller's status must read "ready", or a reset through it waits for long. */
uint32_t reset_read(struct board *board, uint16_t port, unsigned size)
{
	if (size != 1)
		return UINT32_MAX;
	switch (port) {
	case PORT_KEYBOARD_DATA:
	case PORT_KEYBOARD_STATUS:
		return 0;
	case PORT_92:
		return PORT_92_A20;
	case PORT_RESET_CONTROL:
		return __atomic_load_n(&board->ports.reset_control, __ATOMIC_RELAXED);
	}
	return UINT32_MAX;
}

void reset_write(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	bool is_reset = false;

	if (size != 1)
		return;
	switch (port) {
	case PORT_KEYBOARD_STATUS:
		is_reset = value == KEYBOARD_PULSE_RESET;
		break;
	case PORT_92:
		is_reset = (value & PORT_92_RESET) != 0;
		break;
	case PORT_RESET_CONTROL:
		__atomic_store_n(&board->ports.reset_control, (uint8_t)value, __ATOMIC_RELAXED);
		is_reset = (value & RESET_CONTROL_CPU) != 0;
		break;
	}
	if (is_reset)
		vm_stop(board->vm, VM_STOP_RESET, 0, NULL);
}
