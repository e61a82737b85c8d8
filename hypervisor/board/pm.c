/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware: PM1 event and control registers and the 32-bit PM timer. */
#include "hypervisor/board/devices.h"
#include "hypervisor/vm/vm.h"

/* Offsets from PM_PORT; the registers of each pair of bytes. */
#define PM1_EVENT   0x0u /* status, and enable two bytes on */
#define PM1_CONTROL 0x4u
#define PM_TIMER    0x8u

#define STATUS_TIMER  0x0001u /* TMR_STS: the timer's highest bit has changed */
#define STATUS_MASK   0x8731u /* bits that a write of 1 clears */
#define ENABLE_MASK   0x4721u
#define ENABLE_TIMER  0x0001u
#define CONTROL_SCI   0x0001u /* SCI_EN: there is no SMI mode to leave */
#define CONTROL_MASK  0x1c00u
#define SLP_TYP(value) ((value) >> 10 & 7u)
#define SLP_EN        0x2000u

#define HALF_TURN_SHIFT 31u

static uint64_t pm_now(const struct board *board)
{
	return clock_ticks(&board->clock, clock_now(), PM_TIMER_HZ);
}

/* Notice half turns of the timer, set the line, wait for the next one if it interrupts. */
static void update(struct board *board)
{
	struct pm *pm = &board->pm;
	uint64_t half = pm_now(board) >> HALF_TURN_SHIFT;

	if (half != pm->seen_half)
		pm->status |= STATUS_TIMER;
	pm->seen_half = half;
	board_line(board, GSI_SCI, LINE_DEVICE, (pm->status & pm->enable) != 0);
	if (pm->enable & ENABLE_TIMER && !(pm->status & STATUS_TIMER))
		deadline_set(&pm->deadline,
		    clock_tsc(&board->clock, (half + 1) << HALF_TURN_SHIFT, PM_TIMER_HZ));
	else
		deadline_clear(&pm->deadline);
}

static void pm_expired(void *arg)
{
	struct board *board = arg;
	uint64_t flags = spin_lock_irqsave(&board->pm.lock);

	update(board);
	spin_unlock_irqrestore(&board->pm.lock, flags);
}

/* Offset from the start of the access's aligned 4 bytes, in bits; accesses never cross them. */
static unsigned lane(uint16_t port)
{
	return (port & 3u) * 8;
}

static bool crosses(uint16_t port, unsigned size)
{
	return (port & 3u) + size > 4;
}

uint32_t pm_read(struct board *board, uint16_t port, unsigned size)
{
	struct pm *pm = &board->pm;
	uint32_t value = 0;
	uint64_t flags;

	if (crosses(port, size))
		return UINT32_MAX;
	/* The timer is Linux's clock: no lock and no timer on its way. */
	if ((port & 0xcu) == PM_TIMER)
		return (uint32_t)pm_now(board) >> lane(port);
	flags = spin_lock_irqsave(&pm->lock);
	update(board);
	switch (port & 0xcu) {
	case PM1_EVENT:
		value = pm->status | (uint32_t)pm->enable << 16;
		break;
	case PM1_CONTROL:
		value = pm->control | CONTROL_SCI;
		break;
	}
	spin_unlock_irqrestore(&pm->lock, flags);
	return value >> lane(port);
}

static void write_event(struct pm *pm, uint32_t mask, uint32_t value)
{
	uint16_t enable_mask = (uint16_t)(mask >> 16);

	pm->status &= (uint16_t)~(value & mask & STATUS_MASK);
	pm->enable = (uint16_t)((pm->enable & ~enable_mask) |
	    (value >> 16 & enable_mask & ENABLE_MASK));
}

void pm_write(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	struct pm *pm = &board->pm;
	bool is_off = false;
	uint32_t mask;
	uint64_t flags;

	if (crosses(port, size))
		return;
	mask = (size == 4 ? UINT32_MAX : (1u << size * 8) - 1) << lane(port);
	value <<= lane(port);
	flags = spin_lock_irqsave(&pm->lock);
	update(board);
	switch (port & 0xcu) {
	case PM1_EVENT:
		write_event(pm, mask, value);
		break;
	case PM1_CONTROL:
		pm->control = (uint16_t)((pm->control & ~mask) | (value & mask & CONTROL_MASK));
		is_off = (value & mask & SLP_EN) && SLP_TYP(pm->control) == PM_SLP_TYP_S5;
		break;
	}
	update(board);
	spin_unlock_irqrestore(&pm->lock, flags);
	if (is_off)
		vm_stop(board->vm, VM_STOP_POWEROFF, 0, NULL);
}

void pm_init(struct board *board)
{
	deadline_init(&board->pm.deadline, pm_expired, board);
}

void pm_stop(struct board *board)
{
	uint64_t flags = spin_lock_irqsave(&board->pm.lock);

	board->pm.deadline.is_over = true;
	spin_unlock_irqrestore(&board->pm.lock, flags);
	deadline_end(&board->pm.deadline);
}
