/* SPDX-License-Identifier: MIT */
/* The board's doors: which device answers a port, the IOAPIC's page, interrupt lines. */
#include "hypervisor/board/devices.h"
#include "hypervisor/vm/vm.h"

/* Devices of 8-bit registers see wider accesses as bytes at rising ports. */
struct byte_port {
	uint16_t first, last;
	uint8_t (*read)(struct board *board, uint16_t port);
	void (*write)(struct board *board, uint16_t port, uint8_t value);
};

struct wide_port {
	uint16_t first, last;
	uint32_t (*read)(struct board *board, uint16_t port, unsigned size);
	void (*write)(struct board *board, uint16_t port, unsigned size, uint32_t value);
};

static uint8_t pic_read(struct board *board, uint16_t port)
{
	return ph_pic_read(board->vm->ph, port);
}

static void pic_write(struct board *board, uint16_t port, uint8_t value)
{
	ph_pic_write(board->vm->ph, port, value);
}

/* Ports that guests touch without meaning: POST codes and short delays. */
static uint8_t quiet_read(struct board *board, uint16_t port)
{
	(void)board;
	(void)port;
	return 0xff;
}

static void quiet_write(struct board *board, uint16_t port, uint8_t value)
{
	(void)board;
	(void)port;
	(void)value;
}

static uint32_t absent_read(struct board *board, uint16_t port, unsigned size)
{
	(void)board;
	(void)port;
	(void)size;
	return UINT32_MAX;
}

static void absent_write(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	(void)board;
	(void)port;
	(void)size;
	(void)value;
}

/* The busiest first: the search is linear. */
static const struct byte_port byte_ports[] = {
	{ 0x3f8, 0x3ff, uart_read, uart_write },
	{ 0x40, 0x43, pit_read, pit_write },
	{ 0x61, 0x61, pit_read, pit_write },
	{ 0x20, 0x21, pic_read, pic_write },
	{ 0xa0, 0xa1, pic_read, pic_write },
	{ 0x70, 0x71, rtc_read, rtc_write },
	{ 0x80, 0x80, quiet_read, quiet_write },
	{ 0xed, 0xed, quiet_read, quiet_write },
	{ 0x4d0, 0x4d1, pic_read, pic_write },
};

static const struct wide_port wide_ports[] = {
	{ PM_PORT, PM_PORT_LAST, pm_read, pm_write },
	{ 0xe0, 0xe3, test_read, test_write },
	{ 0xe9, 0xe9, test_read, test_write },
	{ 0xf4, 0xf4, test_read, test_write },
	{ 0x2000, 0x2000 + PH_IOAPIC_PINS - 1, test_read, test_write },
	{ 0xe4, 0xe7, absent_read, absent_write }, /* pc-testdev: flush a page; nothing to do */
	{ 0x510, 0x511, fw_cfg_read, fw_cfg_write },
	{ 0x60, 0x60, reset_read, reset_write },
	{ 0x64, 0x64, reset_read, reset_write },
	{ 0x92, 0x92, reset_read, reset_write },
	{ 0xcf9, 0xcf9, reset_read, reset_write },
	{ 0xcf8, 0xcff, absent_read, absent_write }, /* no PCI bus */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct byte_port *find_byte_port(uint16_t port)
{
	size_t i;

	for (i = 0; i < COUNT(byte_ports); i++) {
		if (port >= byte_ports[i].first && port <= byte_ports[i].last)
			return &byte_ports[i];
	}
	return NULL;
}

static const struct wide_port *find_wide_port(uint16_t port)
{
	size_t i;

	for (i = 0; i < COUNT(wide_ports); i++) {
		if (port >= wide_ports[i].first && port <= wide_ports[i].last)
			return &wide_ports[i];
	}
	return NULL;
}

static uint32_t size_mask(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static bool count_unclaimed(struct board *board)
{
	__atomic_fetch_add(&board->unclaimed_count, 1, __ATOMIC_RELAXED);
	return false;
}

static uint32_t read_bytes(struct board *board, uint16_t port, unsigned size)
{
	uint32_t value = 0;
	unsigned i;

	for (i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);
		const struct byte_port *device = find_byte_port(at);
		uint8_t byte = device != NULL ? device->read(board, at) : 0xff;

		value |= (uint32_t)byte << 8 * i;
	}
	return value;
}

static void write_bytes(struct board *board, uint16_t port, unsigned size, uint32_t value)
{
	unsigned i;

	for (i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);
		const struct byte_port *device = find_byte_port(at);

		if (device != NULL)
			device->write(board, at, (uint8_t)(value >> 8 * i));
	}
}

bool board_io_read(struct vm *vm, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t *value)
{
	struct board *board = vm->board;
	const struct wide_port *device;

	(void)vcpu;
	if (find_byte_port(port) != NULL) {
		*value = read_bytes(board, port, size);
		return true;
	}
	device = find_wide_port(port);
	*value = size_mask(size);
	if (device == NULL)
		return count_unclaimed(board);
	*value &= device->read(board, port, size);
	return true;
}

bool board_io_write(struct vm *vm, struct vcpu *vcpu, uint16_t port, unsigned size, uint32_t value)
{
	struct board *board = vm->board;
	const struct wide_port *device;

	(void)vcpu;
	if (find_byte_port(port) != NULL) {
		write_bytes(board, port, size, value);
		return true;
	}
	device = find_wide_port(port);
	if (device == NULL)
		return count_unclaimed(board);
	device->write(board, port, size, value & size_mask(size));
	return true;
}

bool board_mmio(struct vm *vm, uint64_t gpa, unsigned size, bool write, uint64_t *value)
{
	uint32_t offset = (uint32_t)(gpa - BOARD_IOAPIC_BASE);

	if (gpa < BOARD_IOAPIC_BASE || gpa > BOARD_IOAPIC_BASE + BOARD_IOAPIC_SIZE - size)
		return false;
	/* 82093AA data sheet: registers are accessed as 32 bits; anything else finds nothing. */
	if (size != 4 || offset > 0xff) {
		if (!write)
			*value = 0;
	} else if (write) {
		ph_ioapic_write(vm->ph, offset, (uint32_t)*value);
	} else {
		*value = ph_ioapic_read(vm->ph, offset);
	}
	return true;
}

void board_console_input(struct vm *vm, uint8_t byte)
{
	uart_input(vm->board, byte);
}

uint64_t board_unclaimed_count(const struct vm *vm)
{
	const struct board *board = vm->board;

	return __atomic_load_n(&board->unclaimed_count, __ATOMIC_RELAXED);
}

void board_line(struct board *board, uint32_t gsi, enum line_user user, bool level)
{
	/* Devices say their level often; the core need only hear of changes. */
	if (user == LINE_DEVICE) {
		if (board->levels[gsi] == level)
			return;
		board->levels[gsi] = level;
	}
	ph_gsi_set(board->vm->ph, gsi, user, level);
}

void board_init(struct board *board, struct vm *vm, int64_t seconds)
{
	board->vm = vm;
	board->clock.base = clock_now();
	board->clock.tsc_hz = tsc_khz() * 1000;
	pit_init(board);
	uart_init(board);
	rtc_init(board, seconds);
	pm_init(board);
	vm->board = board;
}

void board_stop(struct vm *vm)
{
	struct board *board = vm->board;

	pit_stop(board);
	rtc_stop(board);
	pm_stop(board);
}
