/* SPDX-License-Identifier: MIT */
/* The devices of a board: their state, and the doors that board.c calls. */
#ifndef HYPERVISOR_BOARD_DEVICES_H
#define HYPERVISOR_BOARD_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include <posthorn/types.h>

#include "hypervisor/board/board.h"
#include "hypervisor/board/clock.h"
#include "hypervisor/lib/spinlock.h"

struct board;

/* Users of a GSI's line (ph_gsi_set): the device itself, and the test device that shares it. */
enum line_user { LINE_DEVICE, LINE_TEST };

#define GSI_PIT  0u
#define GSI_COM1 4u
#define GSI_RTC  8u
#define GSI_SCI  9u

/* Set the level of an interrupt line as driven by `user`.  Under the device's lock. */
void board_line(struct board *board, uint32_t gsi, enum line_user user, bool level);

/* ---- 8254 PIT and port 0x61 (Intel 8254 data sheet) ----------------------------------------- */

#define PIT_HZ            1193182u
#define PIT_CHANNEL_COUNT 3u
/*
 * Interrupts of a periodic channel 0 are at least so many ticks (100 us) apart: shorter periods
 * count as programmed, but raise the line only so often.  Of longer ones, late interrupts are made
 * up at no more than PIT_CATCH_UP_RATE times the rate, PIT_BACKLOG_MAX of them at most.
 */
#define PIT_PERIOD_MIN    120u
#define PIT_CATCH_UP_RATE 4u
#define PIT_BACKLOG_MAX   16u

enum pit_access { PIT_ACCESS_LATCH, PIT_ACCESS_LOW, PIT_ACCESS_HIGH, PIT_ACCESS_BOTH };

struct pit_channel {
	uint8_t mode;     /* 0..5 */
	uint8_t access;   /* enum pit_access */
	bool is_bcd;
	bool is_loaded;   /* a count was written since the control word */
	bool is_counting; /* else `held` is what had passed when it stopped */
	bool is_gated;    /* the gate input; channel 2's is port 0x61 bit 0 */
	bool writes_high; /* PIT_ACCESS_BOTH: the next byte is the high one */
	bool reads_high;
	uint8_t written_low;
	uint32_t reload;  /* 1..65536 */
	uint64_t start;   /* PIT tick of the load */
	uint64_t held;
	uint32_t next_reload; /* modes 2 and 3: takes over at tick next_start; 0: none */
	uint64_t next_start;
	bool is_takeover;     /* the count took over at the end of a period: an edge at `start` */
	uint64_t edge_count;  /* channel 0, periodic: edges raised since `start` */
	uint8_t latch_count;  /* bytes of latched count still to read */
	uint16_t latched;
	bool is_status_latched;
	uint8_t status;
};

struct pit {
	spinlock_t lock;
	struct pit_channel channels[PIT_CHANNEL_COUNT];
	bool is_speaker_on; /* port 0x61 bit 1 */
	uint64_t last_edge; /* PIT tick of channel 0's last periodic interrupt */
	struct deadline deadline;
};

void pit_init(struct board *board);
void pit_stop(struct board *board);
uint8_t pit_read(struct board *board, uint16_t port);
void pit_write(struct board *board, uint16_t port, uint8_t value);

/* ---- 16550A UART, COM1 (National Semiconductor PC16550D data sheet) ------------------------- */

#define UART_INPUT_SIZE 1024u /* a power of 2; bytes typed but not yet read */

struct uart {
	spinlock_t lock;
	uint8_t ier, lcr, mcr, scratch;
	uint8_t msr_delta;     /* MSR bits 3:0 */
	uint8_t fcr;
	uint8_t divisor[2];
	bool is_thre_pending;  /* the transmitter's interrupt, until IIR is read */
	bool is_overrun;
	uint32_t input_first, input_count;
	uint8_t input[UART_INPUT_SIZE];
};

void uart_init(struct board *board);
uint8_t uart_read(struct board *board, uint16_t port);
void uart_write(struct board *board, uint16_t port, uint8_t value);
void uart_input(struct board *board, uint8_t byte);

/* ---- MC146818 RTC and CMOS RAM (Motorola data sheet) ---------------------------------------- */

#define CMOS_SIZE 128u

struct rtc {
	spinlock_t lock;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE]; /* time registers are valid only while the clock is stopped */
	int64_t epoch;           /* seconds since 1970 at `epoch_tick` */
	uint64_t epoch_tick;     /* tick of RTC_HZ at which that second began */
	uint64_t seen_tick;      /* flags in register C are up to date until here */
	struct deadline deadline;
};

/* `seconds`: the date now, since 1970. */
void rtc_init(struct board *board, int64_t seconds);
void rtc_stop(struct board *board);
uint8_t rtc_read(struct board *board, uint16_t port);
void rtc_write(struct board *board, uint16_t port, uint8_t value);
/* Decode time registers 0..9, century and register B of a CMOS image; -1 when they make no date. */
int64_t rtc_decode(const uint8_t *cmos);

/* ---- ACPI fixed hardware (ACPI 6.4, "ACPI Hardware Specification") -------------------------- */

#define PM_PORT      0x600u
#define PM_PORT_LAST 0x60bu
#define PM_TIMER_HZ  3579545u
#define PM_SLP_TYP_S5 5u

struct pm {
	spinlock_t lock;
	uint16_t status, enable, control;
	uint64_t seen_half; /* half turns of the timer already noticed */
	struct deadline deadline;
};

void pm_init(struct board *board);
void pm_stop(struct board *board);
uint32_t pm_read(struct board *board, uint16_t port, unsigned size);
void pm_write(struct board *board, uint16_t port, unsigned size, uint32_t value);

/* ---- Small ports ---------------------------------------------------------------------------- */

struct ports {
	spinlock_t lock;
	uint16_t fw_cfg_key;
	uint32_t fw_cfg_offset;
	uint32_t scratch;       /* pc-testdev's register */
	uint8_t reset_control;  /* port 0xcf9 */
};

uint32_t fw_cfg_read(struct board *board, uint16_t port, unsigned size);
void fw_cfg_write(struct board *board, uint16_t port, unsigned size, uint32_t value);
uint32_t test_read(struct board *board, uint16_t port, unsigned size);
void test_write(struct board *board, uint16_t port, unsigned size, uint32_t value);
uint32_t reset_read(struct board *board, uint16_t port, unsigned size);
void reset_write(struct board *board, uint16_t port, unsigned size, uint32_t value);

/* ---- All of it ------------------------------------------------------------------------------ */

struct board {
	struct vm *vm; /* constant */
	struct clock clock;
	struct pit pit;
	struct uart uart;
	struct rtc rtc;
	struct pm pm;
	struct ports ports;
	bool levels[PH_IOAPIC_PINS]; /* of LINE_DEVICE; each under its device's lock */
	uint64_t unclaimed_count; /* atomic */
};

/*
 * The parts of board_create() that need no allocator and no host hardware: devices in their state
 * after reset.  The board is zeroed memory.
 */
void board_init(struct board *board, struct vm *vm, int64_t seconds);

#endif
