/* SPDX-License-Identifier: MIT */
/* 8254 interval timer: channel 0 on GSI 0, channel 2 behind port 0x61 (Intel 8254 data sheet). */
#include "hypervisor/board/devices.h"

#define PORT_CHANNEL_0 0x40u
#define PORT_CONTROL   0x43u
#define PORT_61        0x61u

/* Control word. */
#define CONTROL_SELECT(value) ((value) >> 6)
#define CONTROL_ACCESS(value) ((value) >> 4 & 3u)
#define CONTROL_MODE(value)   ((value) >> 1 & 7u)
#define CONTROL_BCD           0x01u
#define SELECT_READ_BACK      3u
#define READ_BACK_NO_COUNT    0x20u
#define READ_BACK_NO_STATUS   0x10u

#define STATUS_OUT        0x80u
#define STATUS_NULL_COUNT 0x40u

/* Port 0x61. */
#define P61_GATE2   0x01u
#define P61_SPEAKER 0x02u
#define P61_REFRESH 0x10u /* toggles each 15 us with the DRAM refresh, channel 1 */
#define P61_OUT2    0x20u
#define REFRESH_TICKS 18u

static uint64_t pit_now(const struct board *board)
{
	return clock_ticks(&board->clock, clock_now(), PIT_HZ);
}

static bool is_periodic(const struct pit_channel *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

/* Ticks counted since the load. */
static uint64_t elapsed(const struct pit_channel *channel, uint64_t now)
{
	if (!channel->is_counting)
		return channel->held;
	return now > channel->start ? now - channel->start : 0;
}

/* Let a count that waited for the end of the period take over. */
static void catch_up(struct pit_channel *channel, uint64_t now)
{
	if (channel->next_reload == 0 || !channel->is_counting || now < channel->next_start)
		return;
	channel->reload = channel->next_reload;
	channel->start = channel->next_start;
	channel->next_reload = 0;
	channel->is_takeover = true;
	channel->edge_count = 0;
}

static bool output(const struct pit_channel *channel, uint64_t now)
{
	uint64_t passed = elapsed(channel, now);

	if (!channel->is_loaded)
		return channel->mode != 0;
	switch (channel->mode) {
	case 0:
		return passed >= channel->reload;
	case 1:
		return !channel->is_counting || passed >= channel->reload;
	case 2:
		return !channel->is_counting || passed % channel->reload != channel->reload - 1;
	case 3:
		return !channel->is_counting ||
		    passed % channel->reload < (channel->reload + 1) / 2;
	default:
		return !channel->is_counting || passed != channel->reload;
	}
}

/* Mode 3 counts down by two, twice a period; an odd count is one longer in the first half. */
static uint32_t square_wave_count(uint32_t reload, uint32_t passed)
{
	uint32_t first_half = (reload + 1) / 2;
	uint32_t in_half = passed < first_half ? passed : passed - first_half;

	return (reload & ~1u) - 2 * in_half;
}

static uint16_t to_bcd(uint32_t value)
{
	return (uint16_t)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
	    value / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint32_t value)
{
	return (value & 0xf) + (value >> 4 & 0xf) * 10 + (value >> 8 & 0xf) * 100 +
	    (value >> 12 & 0xf) * 1000;
}

/* The counting element as a read sees it. */
static uint16_t count_now(const struct pit_channel *channel, uint64_t now)
{
	uint64_t passed = elapsed(channel, now);
	uint32_t modulus = channel->is_bcd ? 10000u : 0x10000u;
	uint32_t reload = channel->reload;
	uint32_t count;

	switch (channel->mode) {
	case 2:
		count = reload - (uint32_t)(passed % reload);
		break;
	case 3:
		count = square_wave_count(reload, (uint32_t)(passed % reload));
		break;
	default:
		count = (reload + modulus - (uint32_t)(passed % modulus)) % modulus;
		break;
	}
	return channel->is_bcd ? to_bcd(count) : (uint16_t)count;
}

/* ---- Channel 0's interrupt ------------------------------------------------------------------ */

/* Rising edges that a periodic channel 0 has made since `start`. */
static uint64_t due_edge_count(const struct pit_channel *channel, uint64_t now)
{
	return elapsed(channel, now) / channel->reload + channel->is_takeover;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* PIT tick at which the next of `late_count` edges may be raised. */
static uint64_t next_late_edge(const struct pit *pit, uint64_t late_count)
{
	uint32_t catch_up_period = pit->channels[0].reload / PIT_CATCH_UP_RATE;

	return pit->last_edge + larger(PIT_PERIOD_MIN, late_count > 1 ? catch_up_period : 0);
}

static uint64_t next_periodic_edge(const struct pit *pit, uint64_t now)
{
	const struct pit_channel *channel = &pit->channels[0];
	uint64_t due = due_edge_count(channel, now);
	uint64_t edge, missing;

	if (due > channel->edge_count)
		return larger(now, next_late_edge(pit, due - channel->edge_count));
	edge = channel->start +
	    (channel->edge_count + 1 - channel->is_takeover) * channel->reload;
	if (edge < pit->last_edge + PIT_PERIOD_MIN) {
		missing = pit->last_edge + PIT_PERIOD_MIN - edge;
		edge += (missing + channel->reload - 1) / channel->reload * channel->reload;
	}
	return edge;
}

/* PIT tick of channel 0's next interrupt, or UINT64_MAX. */
static uint64_t next_edge(const struct pit *pit, uint64_t now)
{
	const struct pit_channel *channel = &pit->channels[0];
	uint64_t edge;

	if (!channel->is_loaded || !channel->is_counting)
		return UINT64_MAX;
	if (is_periodic(channel))
		return next_periodic_edge(pit, now);
	/* Mode 0 rises at the terminal count, mode 4 one tick later. */
	edge = channel->start + channel->reload + (channel->mode == 4);
	return edge > now ? edge : UINT64_MAX;
}

static void arm(struct board *board, uint64_t now)
{
	struct pit *pit = &board->pit;
	uint64_t edge = next_edge(pit, now);

	if (edge == UINT64_MAX)
		deadline_clear(&pit->deadline);
	else
		deadline_set(&pit->deadline, clock_tsc(&board->clock, edge, PIT_HZ));
}

/* The line follows OUT: the level first, so that the guest can raise an edge by a control word. */
static void follow_output(struct board *board, uint64_t now)
{
	board_line(board, GSI_PIT, LINE_DEVICE, output(&board->pit.channels[0], now));
	arm(board, now);
}

/* Raise one of the edges that are due, if any; later ones wait their turn. */
static void raise_due_edge(struct board *board, uint64_t now)
{
	struct pit *pit = &board->pit;
	struct pit_channel *channel = &pit->channels[0];
	uint64_t due = due_edge_count(channel, now);
	uint64_t backlog_max = channel->reload < PIT_PERIOD_MIN ? 0 : PIT_BACKLOG_MAX;

	if (due <= channel->edge_count || now < next_late_edge(pit, due - channel->edge_count))
		return;
	channel->edge_count++;
	if (due - channel->edge_count > backlog_max)
		channel->edge_count = due - backlog_max;
	pit->last_edge = now;
	/* OUT was low in between, for one tick or for half the period. */
	board_line(board, GSI_PIT, LINE_DEVICE, false);
	board_line(board, GSI_PIT, LINE_DEVICE, true);
}

static void pit_expired(void *arg)
{
	struct board *board = arg;
	struct pit_channel *channel = &board->pit.channels[0];
	uint64_t flags = spin_lock_irqsave(&board->pit.lock);
	uint64_t now = pit_now(board);

	catch_up(channel, now);
	if (channel->is_loaded && channel->is_counting && is_periodic(channel)) {
		raise_due_edge(board, now);
		arm(board, now);
	} else {
		follow_output(board, now);
	}
	spin_unlock_irqrestore(&board->pit.lock, flags);
}

/* ---- Programming ---------------------------------------------------------------------------- */

static void start_counting(struct pit_channel *channel, uint64_t now)
{
	if (channel->next_reload != 0)
		channel->reload = channel->next_reload;
	channel->next_reload = 0;
	channel->start = now;
	channel->held = 0;
	channel->is_counting = true;
	channel->is_takeover = false;
	channel->edge_count = 0;
}

static void load(struct pit_channel *channel, uint32_t written, uint64_t now)
{
	uint32_t modulus = channel->is_bcd ? 10000u : 0x10000u;
	uint32_t count = channel->is_bcd ? from_bcd(written) : written;
	bool was_loaded = channel->is_loaded;

	if (count == 0)
		count = modulus;
	/* A count of 1 is illegal in modes 2 and 3; take the shortest legal period. */
	if (is_periodic(channel) && count == 1)
		count = 2;
	channel->is_loaded = true;
	if (is_periodic(channel) && was_loaded && channel->is_counting) {
		channel->next_reload = count;
		channel->next_start = channel->start +
		    (elapsed(channel, now) / channel->reload + 1) * channel->reload;
		return;
	}
	if (channel->mode == 1 || channel->mode == 5) {
		/* The gate's next rising edge takes it. */
		channel->next_reload = count;
		channel->next_start = UINT64_MAX;
		return;
	}
	channel->next_reload = 0;
	channel->reload = count;
	start_counting(channel, now);
	if (!channel->is_gated)
		channel->is_counting = false;
}

static void write_count(struct pit_channel *channel, uint8_t value, uint64_t now)
{
	switch (channel->access) {
	case PIT_ACCESS_LOW:
		load(channel, value, now);
		return;
	case PIT_ACCESS_HIGH:
		load(channel, (uint32_t)value << 8, now);
		return;
	}
	channel->writes_high = !channel->writes_high;
	if (!channel->writes_high) {
		load(channel, (uint32_t)value << 8 | channel->written_low, now);
		return;
	}
	channel->written_low = value;
	if (channel->mode == 0) {
		/* The first of two bytes stops the count and takes OUT low. */
		channel->is_loaded = false;
		channel->is_counting = false;
		channel->held = 0;
	}
}

static void latch_count(struct pit_channel *channel, uint64_t now)
{
	if (channel->latch_count > 0)
		return;
	channel->latched = count_now(channel, now);
	channel->latch_count = channel->access == PIT_ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *channel, uint64_t now)
{
	if (channel->is_status_latched)
		return;
	channel->is_status_latched = true;
	channel->status = (uint8_t)((unsigned)channel->access << 4 | (unsigned)channel->mode << 1 |
	    channel->is_bcd);
	if (output(channel, now))
		channel->status |= STATUS_OUT;
	if (!channel->is_loaded || channel->next_reload != 0)
		channel->status |= STATUS_NULL_COUNT;
}

static void read_back(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned i;

	for (i = 0; i < PIT_CHANNEL_COUNT; i++) {
		if (!(value & 2u << i))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			latch_count(&pit->channels[i], now);
		if (!(value & READ_BACK_NO_STATUS))
			latch_status(&pit->channels[i], now);
	}
}

static void set_mode(struct pit_channel *channel, uint8_t value)
{
	uint8_t mode = CONTROL_MODE(value);

	channel->access = CONTROL_ACCESS(value);
	channel->mode = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
	channel->is_bcd = (value & CONTROL_BCD) != 0;
	channel->is_loaded = false;
	channel->is_counting = false;
	channel->held = 0;
	channel->next_reload = 0;
	channel->writes_high = false;
	channel->reads_high = false;
	channel->latch_count = 0;
	channel->is_status_latched = false;
}

static void write_control(struct board *board, uint8_t value, uint64_t now)
{
	struct pit *pit = &board->pit;
	unsigned select = CONTROL_SELECT(value);

	if (select == SELECT_READ_BACK) {
		read_back(pit, value, now);
	} else if (CONTROL_ACCESS(value) == PIT_ACCESS_LATCH) {
		latch_count(&pit->channels[select], now);
	} else {
		set_mode(&pit->channels[select], value);
		if (select == 0)
			follow_output(board, now);
	}
}

static void set_gate(struct pit_channel *channel, bool level, uint64_t now)
{
	bool was_gated = channel->is_gated;

	channel->is_gated = level;
	if (was_gated == level || !channel->is_loaded)
		return;
	switch (channel->mode) {
	case 0:
	case 4:
		/* The gate only holds the count. */
		if (level) {
			channel->start = now - channel->held;
		} else {
			channel->held = elapsed(channel, now);
		}
		channel->is_counting = level;
		break;
	case 1:
	case 5:
		if (level)
			start_counting(channel, now);
		break;
	default:
		if (level)
			start_counting(channel, now);
		else
			channel->is_counting = false;
		break;
	}
}

static uint8_t read_61(struct pit *pit, uint64_t now)
{
	const struct pit_channel *channel = &pit->channels[2];

	return (uint8_t)((channel->is_gated ? P61_GATE2 : 0) |
	    (pit->is_speaker_on ? P61_SPEAKER : 0) |
	    (now / REFRESH_TICKS % 2 != 0 ? P61_REFRESH : 0) |
	    (output(channel, now) ? P61_OUT2 : 0));
}

static uint8_t read_count(struct pit_channel *channel, uint64_t now)
{
	uint16_t count;
	bool is_high;

	if (channel->is_status_latched) {
		channel->is_status_latched = false;
		return channel->status;
	}
	count = channel->latch_count > 0 ? channel->latched : count_now(channel, now);
	is_high = channel->access == PIT_ACCESS_HIGH;
	if (channel->access == PIT_ACCESS_BOTH) {
		is_high = channel->reads_high;
		channel->reads_high = !channel->reads_high;
	}
	if (channel->latch_count > 0)
		channel->latch_count--;
	return (uint8_t)(is_high ? count >> 8 : count);
}

uint8_t pit_read(struct board *board, uint16_t port)
{
	struct pit *pit = &board->pit;
	uint64_t flags = spin_lock_irqsave(&pit->lock);
	uint64_t now = pit_now(board);
	uint8_t value = 0xff;
	unsigned i;

	for (i = 0; i < PIT_CHANNEL_COUNT; i++)
		catch_up(&pit->channels[i], now);
	if (port == PORT_61)
		value = read_61(pit, now);
	else if (port < PORT_CONTROL)
		value = read_count(&pit->channels[port - PORT_CHANNEL_0], now);
	spin_unlock_irqrestore(&pit->lock, flags);
	return value;
}

void pit_write(struct board *board, uint16_t port, uint8_t value)
{
	struct pit *pit = &board->pit;
	uint64_t flags = spin_lock_irqsave(&pit->lock);
	uint64_t now = pit_now(board);
	unsigned i;

	for (i = 0; i < PIT_CHANNEL_COUNT; i++)
		catch_up(&pit->channels[i], now);
	if (port == PORT_61) {
		pit->is_speaker_on = (value & P61_SPEAKER) != 0;
		set_gate(&pit->channels[2], (value & P61_GATE2) != 0, now);
	} else if (port == PORT_CONTROL) {
		write_control(board, value, now);
	} else {
		write_count(&pit->channels[port - PORT_CHANNEL_0], value, now);
		if (port == PORT_CHANNEL_0)
			follow_output(board, now);
	}
	spin_unlock_irqrestore(&pit->lock, flags);
}

void pit_init(struct board *board)
{
	unsigned i;

	for (i = 0; i < PIT_CHANNEL_COUNT; i++) {
		board->pit.channels[i].access = PIT_ACCESS_BOTH;
		board->pit.channels[i].reload = 0x10000u;
		board->pit.channels[i].is_gated = i != 2;
	}
	deadline_init(&board->pit.deadline, pit_expired, board);
}

void pit_stop(struct board *board)
{
	uint64_t flags = spin_lock_irqsave(&board->pit.lock);

	board->pit.deadline.is_over = true;
	spin_unlock_irqrestore(&board->pit.lock, flags);
	deadline_end(&board->pit.deadline);
}
