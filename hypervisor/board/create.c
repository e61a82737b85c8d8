/* SPDX-License-Identifier: MIT */
/* Making and freeing a board on bare metal: memory, the host's date, the guest's ACPI tables. */
#include "hypervisor/board/acpi.h"
#include "hypervisor/board/devices.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vm/vm.h"

#define HOST_CMOS_INDEX 0x70u
#define HOST_CMOS_DATA  0x71u
#define CMOS_A          0x0au
#define CMOS_UPDATING   0x80u
#define CMOS_TRIES      100000u
/* 2026-01-01: the date of guests on a machine whose own clock makes none. */
#define SECONDS_DEFAULT 1767225600

extern const uint8_t board_dsdt[], board_dsdt_end[];

static uint8_t host_cmos(uint8_t index)
{
	out8(HOST_CMOS_INDEX, index);
	return in8(HOST_CMOS_DATA);
}

/* Seconds since 1970 on the host's clock.  Boot thread only: the index port is shared. */
static int64_t host_seconds(void)
{
	uint8_t cmos[CMOS_SIZE];
	int64_t seconds;
	unsigned i;

	for (i = 0; i < CMOS_TRIES && host_cmos(CMOS_A) & CMOS_UPDATING; i++)
		cpu_pause();
	for (i = 0; i < CMOS_SIZE; i++)
		cmos[i] = host_cmos((uint8_t)i);
	seconds = rtc_decode(cmos);
	if (seconds >= 0)
		return seconds;
	log_printf("the host's clock shows no date; guests begin on 2026-01-01");
	return SECONDS_DEFAULT;
}

static unsigned board_order(void)
{
	unsigned order = 0;

	while ((size_t)PAGE_SIZE << order < sizeof(struct board))
		order++;
	return order;
}

int board_create(struct vm *vm)
{
	struct board *board = page_alloc(board_order());
	uint8_t *area = guest_pointer(vm, ACPI_AREA_BASE, ACPI_AREA_SIZE);

	if (board == NULL || area == NULL ||
	    acpi_build(area, vm->cpu_count, board_dsdt,
		(size_t)(board_dsdt_end - board_dsdt)) == 0) {
		page_free(board, board_order());
		return -1;
	}
	board_init(board, vm, host_seconds());
	return 0;
}

void board_destroy(struct vm *vm)
{
	page_free(vm->board, board_order());
	vm->board = NULL;
}
