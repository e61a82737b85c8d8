/* SPDX-License-Identifier: MIT */
/* MC146818 real-time clock and CMOS RAM; starts with the host's date, interrupts by GSI 8. */
#include "hypervisor/board/devices.h"

/* One tick base for seconds and for the periodic rates, which are its divisors. */
#define RTC_HZ     32768u
#define PORT_INDEX 0x70u
#define INDEX_MASK 0x7fu

enum rtc_register {
	REG_SECOND = 0x00,
	REG_SECOND_ALARM = 0x01,
	REG_MINUTE = 0x02,
	REG_MINUTE_ALARM = 0x03,
	REG_HOUR = 0x04,
	REG_HOUR_ALARM = 0x05,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	REG_CENTURY = 0x32,
};

#define A_UPDATING    0x80u /* UIP */
#define A_RATE        0x0fu
#define A_RUNNING     0x20u /* divider chain for a crystal of 32768 Hz */
#define B_SET         0x80u
#define B_INTERRUPTS  0x70u /* PIE, AIE, UIE: the same bits as PF, AF, UF in register C */
#define B_BINARY      0x04u
#define B_24_HOURS    0x02u
#define C_PENDING     0x80u /* IRQF */
#define C_PERIODIC    0x40u
#define C_ALARM       0x20u
#define C_UPDATE      0x10u
#define D_VALID       0x80u
#define HOUR_PM       0x80u
#define ALARM_ANY     0xc0u /* both top bits: every value matches */

#define UPDATING_TICKS 8u /* UIP is set 244 us before the update */
/* Periodic interrupts are at least so many ticks (122 us) apart, the fastest rate that PCs use. */
#define PERIOD_MIN     4u

#define SECONDS_PER_DAY 86400

/* A date of the Gregorian calendar. */
struct date {
	int64_t year;
	unsigned month, day, weekday; /* 1..12, 1..31, 1 (Sunday)..7 */
	unsigned hour, minute, second;
};

/* ---- Calendar ------------------------------------------------------------------------------- */

/* Days from 1970-01-01; years are counted from March so that leap days come last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t from_march = month > 2 ? year : year - 1;
	unsigned month_index = (month + 9) % 12;
	int64_t leap_days = from_march / 4 - from_march / 100 + from_march / 400;

	return from_march * 365 + leap_days + (153 * month_index + 2) / 5 + day - 1 - 719468;
}

static int64_t seconds_of(const struct date *date)
{
	return days_of(date->year, date->month, date->day) * SECONDS_PER_DAY +
	    date->hour * 3600 + date->minute * 60 + date->second;
}

/* Years 1970 to 9999; what lies outside becomes the nearest of them. */
static struct date date_of(int64_t seconds)
{
	int64_t days, of_day;
	struct date date;

	if (seconds < 0)
		seconds = 0;
	days = seconds / SECONDS_PER_DAY;
	of_day = seconds % SECONDS_PER_DAY;
	date.hour = (unsigned)(of_day / 3600);
	date.minute = (unsigned)(of_day / 60 % 60);
	date.second = (unsigned)(of_day % 60);
	date.weekday = (unsigned)((days + 4) % 7) + 1; /* 1970 began on a Thursday */
	date.year = 1970 + days / 366;
	while (date.year < 9999 && days_of(date.year + 1, 1, 1) <= days)
		date.year++;
	date.month = 1;
	while (date.month < 12 && days_of(date.year, date.month + 1, 1) <= days)
		date.month++;
	date.day = (unsigned)(days - days_of(date.year, date.month, 1)) + 1;
	return date;
}

/* ---- Formats of the time registers (register B: DM and 24/12) ------------------------------- */

static uint8_t encode(uint8_t b, unsigned value)
{
	return (uint8_t)(b & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned decode(uint8_t b, uint8_t value)
{
	return b & B_BINARY ? value : (value >> 4) * 10u + (value & 0xfu);
}

static uint8_t encode_hour(uint8_t b, unsigned hour)
{
	unsigned of_12 = hour % 12 == 0 ? 12 : hour % 12;

	if (b & B_24_HOURS)
		return encode(b, hour);
	return (uint8_t)(encode(b, of_12) | (hour >= 12 ? HOUR_PM : 0));
}

static unsigned decode_hour(uint8_t b, uint8_t value)
{
	if (b & B_24_HOURS)
		return decode(b, value);
	return decode(b, value & (uint8_t)~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

int64_t rtc_decode(const uint8_t *cmos)
{
	uint8_t b = cmos[REG_B];
	unsigned century = decode(b, cmos[REG_CENTURY]);
	struct date date = {
		.year = decode(b, cmos[REG_YEAR]),
		.month = decode(b, cmos[REG_MONTH]),
		.day = decode(b, cmos[REG_DAY]),
		.hour = decode_hour(b, cmos[REG_HOUR]),
		.minute = decode(b, cmos[REG_MINUTE]),
		.second = decode(b, cmos[REG_SECOND]),
	};

	/* Clocks without a century register: this one was written after 2000. */
	date.year += 100 * (century >= 19 && century <= 99 ? century : 20);
	if (date.year < 1970 || date.year > 9999 || date.month < 1 || date.month > 12 ||
	    date.day < 1 || date.day > 31 || date.hour > 23 || date.minute > 59 || date.second > 59)
		return -1;
	return seconds_of(&date);
}

/* ---- Running -------------------------------------------------------------------------------- */

static uint64_t rtc_now(const struct board *board)
{
	return clock_ticks(&board->clock, clock_now(), RTC_HZ);
}

/* The divider chain runs and SET does not hold the clock. */
static bool is_running(const struct rtc *rtc)
{
	return !(rtc->cmos[REG_B] & B_SET) && (rtc->cmos[REG_A] & 0x70) == A_RUNNING;
}

static uint64_t ticks_since_epoch(const struct rtc *rtc, uint64_t tick)
{
	return tick > rtc->epoch_tick ? tick - rtc->epoch_tick : 0;
}

static int64_t seconds_at(const struct rtc *rtc, uint64_t tick)
{
	return rtc->epoch + (int64_t)(ticks_since_epoch(rtc, tick) / RTC_HZ);
}

/* Tick at which that second begins. */
static uint64_t tick_of_second(const struct rtc *rtc, int64_t second)
{
	return rtc->epoch_tick + (uint64_t)(second - rtc->epoch) * RTC_HZ;
}

static void store_time(struct rtc *rtc, uint64_t tick)
{
	struct date date = date_of(seconds_at(rtc, tick));
	uint8_t b = rtc->cmos[REG_B];

	rtc->cmos[REG_SECOND] = encode(b, date.second);
	rtc->cmos[REG_MINUTE] = encode(b, date.minute);
	rtc->cmos[REG_HOUR] = encode_hour(b, date.hour);
	rtc->cmos[REG_WEEKDAY] = encode(b, date.weekday);
	rtc->cmos[REG_DAY] = encode(b, date.day);
	rtc->cmos[REG_MONTH] = encode(b, date.month);
	rtc->cmos[REG_YEAR] = encode(b, (unsigned)(date.year % 100));
	rtc->cmos[REG_CENTURY] = encode(b, (unsigned)(date.year / 100));
}

/* Take the registers as the time now; a nonsense date leaves the clock at its last good one. */
static void take_time(struct rtc *rtc, uint64_t tick)
{
	int64_t seconds = rtc_decode(rtc->cmos);

	rtc->epoch = seconds >= 0 ? seconds : seconds_at(rtc, tick);
	rtc->epoch_tick = tick;
	rtc->seen_tick = tick;
}

/* ---- Interrupts ----------------------------------------------------------------------------- */

/* Ticks between periodic interrupts; 0: off (data sheet, "Periodic Interrupt Rate"). */
static uint64_t period(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;
	uint64_t ticks;

	if (rate == 0)
		return 0;
	ticks = 1ull << ((rate <= 2 ? rate + 7 : rate) - 1);
	return ticks < PERIOD_MIN ? PERIOD_MIN : ticks;
}

/* One field of the alarm; an `any` field matches every value. */
struct alarm_field {
	bool is_any;
	unsigned value;
};

static bool alarm_matches(struct alarm_field field, int64_t value)
{
	return field.is_any || field.value == value;
}

/* False when the field's value never comes. */
static bool alarm_is_possible(struct alarm_field field, unsigned limit)
{
	return field.is_any || field.value < limit;
}

/* The first second after `second` at which the alarm goes off; -1: never. */
static int64_t next_alarm(const struct rtc *rtc, int64_t second)
{
	const uint8_t *cmos = rtc->cmos;
	uint8_t b = cmos[REG_B];
	struct alarm_field hours = { (cmos[REG_HOUR_ALARM] & ALARM_ANY) == ALARM_ANY,
		decode_hour(b, cmos[REG_HOUR_ALARM]) };
	struct alarm_field minutes = { (cmos[REG_MINUTE_ALARM] & ALARM_ANY) == ALARM_ANY,
		decode(b, cmos[REG_MINUTE_ALARM]) };
	struct alarm_field seconds = { (cmos[REG_SECOND_ALARM] & ALARM_ANY) == ALARM_ANY,
		decode(b, cmos[REG_SECOND_ALARM]) };
	int64_t at = second + 1;

	/* Also the bound of the loop: about 24 + 60 + 60 steps, whatever the guest wrote. */
	if (!alarm_is_possible(hours, 24) || !alarm_is_possible(minutes, 60) ||
	    !alarm_is_possible(seconds, 60))
		return -1;
	for (;;) {
		if (!alarm_matches(hours, at / 3600 % 24))
			at += 3600 - at % 3600;
		else if (!alarm_matches(minutes, at / 60 % 60))
			at += 60 - at % 60;
		else if (!alarm_matches(seconds, at % 60))
			at++;
		else
			return at;
	}
}

/* Set the flags of register C for what happened since the last look. */
static void catch_up(struct rtc *rtc, uint64_t now)
{
	int64_t seen = seconds_at(rtc, rtc->seen_tick);
	int64_t second = seconds_at(rtc, now);
	uint64_t ticks = period(rtc);
	int64_t alarm;

	if (is_running(rtc) && second > seen) {
		alarm = next_alarm(rtc, seen);
		rtc->cmos[REG_C] |= C_UPDATE;
		if (alarm >= 0 && alarm <= second)
			rtc->cmos[REG_C] |= C_ALARM;
	}
	if (ticks != 0 && (rtc->cmos[REG_A] & 0x70) == A_RUNNING &&
	    now / ticks != rtc->seen_tick / ticks)
		rtc->cmos[REG_C] |= C_PERIODIC;
	rtc->seen_tick = now;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Tick of the next event that would raise the line, or UINT64_MAX. */
static uint64_t next_event(const struct rtc *rtc, uint64_t now)
{
	uint8_t wanted = rtc->cmos[REG_B] & B_INTERRUPTS & (uint8_t)~rtc->cmos[REG_C];
	uint64_t event = UINT64_MAX;
	int64_t second = seconds_at(rtc, now);
	uint64_t ticks = period(rtc);

	if (wanted & C_PERIODIC && ticks != 0 && (rtc->cmos[REG_A] & 0x70) == A_RUNNING)
		event = (now / ticks + 1) * ticks;
	if (!is_running(rtc))
		return event;
	if (wanted & C_UPDATE)
		event = earlier(event, tick_of_second(rtc, second + 1));
	if (wanted & C_ALARM) {
		int64_t alarm = next_alarm(rtc, second);

		if (alarm >= 0)
			event = earlier(event, tick_of_second(rtc, alarm));
	}
	return event;
}

/* Set IRQF and the line, and wait for the next event.  Until C is read no further edge comes. */
static void update_line(struct board *board, uint64_t now)
{
	struct rtc *rtc = &board->rtc;
	bool is_pending = (rtc->cmos[REG_B] & rtc->cmos[REG_C] & B_INTERRUPTS) != 0;
	uint64_t event = is_pending ? UINT64_MAX : next_event(rtc, now);

	rtc->cmos[REG_C] =
	    (uint8_t)((rtc->cmos[REG_C] & B_INTERRUPTS) | (is_pending ? C_PENDING : 0));
	board_line(board, GSI_RTC, LINE_DEVICE, is_pending);
	if (event == UINT64_MAX)
		deadline_clear(&rtc->deadline);
	else
		deadline_set(&rtc->deadline, clock_tsc(&board->clock, event, RTC_HZ));
}

static void rtc_expired(void *arg)
{
	struct board *board = arg;
	uint64_t flags = spin_lock_irqsave(&board->rtc.lock);
	uint64_t now = rtc_now(board);

	catch_up(&board->rtc, now);
	update_line(board, now);
	spin_unlock_irqrestore(&board->rtc.lock, flags);
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static bool is_time_register(uint8_t index)
{
	return (index <= REG_YEAR && index != REG_SECOND_ALARM && index != REG_MINUTE_ALARM &&
		   index != REG_HOUR_ALARM) || index == REG_CENTURY;
}

static uint8_t read_a(const struct rtc *rtc, uint64_t now)
{
	uint64_t of_second = ticks_since_epoch(rtc, now) % RTC_HZ;
	bool is_updating = is_running(rtc) && of_second >= RTC_HZ - UPDATING_TICKS;

	return (uint8_t)(rtc->cmos[REG_A] | (is_updating ? A_UPDATING : 0));
}

static uint8_t read_register(struct board *board, uint8_t index, uint64_t now)
{
	struct rtc *rtc = &board->rtc;
	uint8_t value;

	if (index == REG_A)
		return read_a(rtc, now);
	if (index == REG_D)
		return D_VALID;
	if (index == REG_C) {
		value = rtc->cmos[REG_C];
		rtc->cmos[REG_C] = 0;
		update_line(board, now);
		return value;
	}
	if (is_time_register(index) && is_running(rtc))
		store_time(rtc, now);
	return rtc->cmos[index];
}

uint8_t rtc_read(struct board *board, uint16_t port)
{
	struct rtc *rtc = &board->rtc;
	uint8_t value = 0xff;
	uint64_t flags, now;

	if (port == PORT_INDEX)
		return value; /* write only */
	flags = spin_lock_irqsave(&rtc->lock);
	now = rtc_now(board);
	catch_up(rtc, now);
	update_line(board, now);
	value = read_register(board, rtc->index, now);
	spin_unlock_irqrestore(&rtc->lock, flags);
	return value;
}

static void write_control(struct rtc *rtc, uint8_t index, uint8_t value, uint64_t now)
{
	bool was_running = is_running(rtc);

	/* Bring the registers up to date in the old format before the clock stops. */
	if (was_running)
		store_time(rtc, now);
	rtc->cmos[index] = index == REG_A ? value & (uint8_t)~A_UPDATING : value;
	if (!was_running && is_running(rtc))
		take_time(rtc, now);
}

static void write_register(struct rtc *rtc, uint8_t index, uint8_t value, uint64_t now)
{
	if (index == REG_A || index == REG_B) {
		write_control(rtc, index, value, now);
		return;
	}
	if (index == REG_C || index == REG_D)
		return; /* read only */
	if (is_time_register(index) && is_running(rtc)) {
		store_time(rtc, now);
		rtc->cmos[index] = value;
		take_time(rtc, now);
		return;
	}
	rtc->cmos[index] = value;
}

void rtc_write(struct board *board, uint16_t port, uint8_t value)
{
	struct rtc *rtc = &board->rtc;
	uint64_t flags = spin_lock_irqsave(&rtc->lock);
	uint64_t now = rtc_now(board);

	if (port == PORT_INDEX) {
		rtc->index = value & INDEX_MASK;
	} else {
		catch_up(rtc, now);
		write_register(rtc, rtc->index, value, now);
		update_line(board, now);
	}
	spin_unlock_irqrestore(&rtc->lock, flags);
}

void rtc_init(struct board *board, int64_t seconds)
{
	struct rtc *rtc = &board->rtc;

	rtc->cmos[REG_A] = A_RUNNING | 6; /* 1024 Hz, as BIOSes leave it */
	rtc->cmos[REG_B] = B_24_HOURS;
	rtc->epoch = seconds;
	rtc->epoch_tick = rtc_now(board);
	rtc->seen_tick = rtc->epoch_tick;
	deadline_init(&rtc->deadline, rtc_expired, board);
}

void rtc_stop(struct board *board)
{
	uint64_t flags = spin_lock_irqsave(&board->rtc.lock);

	board->rtc.deadline.is_over = true;
	spin_unlock_irqrestore(&board->rtc.lock, flags);
	deadline_end(&board->rtc.deadline);
}
