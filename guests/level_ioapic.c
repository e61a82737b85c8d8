/* SPDX-License-Identifier: MIT */
/* Guest: edge- and level-triggered lines of the IOAPIC, remote IRR, masks and EOI. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "level_ioapic";

#define VECTOR_LINE        0x61u
#define LINE_LOW           14u
#define LINE_SECOND        15u
#define LINE_HIGH          20u /* QEMU's test device drives lines 0..15 only */
#define REDELIVERY_COUNT   50u
#define SVR_SUPPRESS_EOI   (1u << 12)
#define VERSION_SUPPRESSES (1u << 24)
#define IOAPIC_VERSION_EOI 0x20u
#define IOAPIC_EOI_OFFSET  0x40u

static unsigned line;
static volatile unsigned taken_count;
/* The handler lowers the line (and the second one a delivery later) when this many were taken. */
static volatile unsigned lower_at;
static volatile bool was_remote_irr, was_level_in_tmr;

static bool remote_irr(void)
{
	return ioapic_read_entry(line) & IOAPIC_REMOTE_IRR;
}

static void take(struct frame *frame)
{
	taken_count++;
	was_remote_irr = remote_irr();
	was_level_in_tmr = apic_vector_bit(APIC_TMR, (unsigned)frame->vector);
	if (taken_count == lower_at)
		line_set(line, false);
	apic_eoi();
}

static void prepare(uint64_t entry)
{
	line_set(line, false);
	ioapic_write_entry(line, entry | VECTOR_LINE);
	taken_count = 0;
	lower_at = 1;
}

static void windows(void)
{
	for (unsigned i = 0; i < REDELIVERY_COUNT + 10; i++)
		interrupts_window();
}

static void expect(const char *rule, unsigned count)
{
	windows();
	check(taken_count == count, "line %u: %s: %u deliveries, expected %u", line, rule,
	    taken_count, count);
}

static void check_edge(void)
{
	prepare(0);
	lower_at = 0;
	line_set(line, true);
	check(!remote_irr(), "an edge sets remote IRR");
	expect("edge rises", 1);
	check(!was_level_in_tmr, "TMR is set for an edge");
	/* QEMU 7.2 takes a line that is set while high for another edge. */
	if (cpu_is_under_posthorn()) {
		line_set(line, true);
		expect("edge stays high", 1);
	}
	line_set(line, false);
	expect("edge falls", 1);
	line_set(line, true);
	expect("edge rises again", 2);
	line_set(line, false);

	ioapic_write_entry(line, VECTOR_LINE | IOAPIC_MASKED);
	line_set(line, true);
	ioapic_write_entry(line, VECTOR_LINE);
	expect("edge while masked is lost", 2);
	line_set(line, false);
}

static void check_level(void)
{
	prepare(IOAPIC_LEVEL);
	check(!remote_irr(), "remote IRR is set before the line rises");
	line_set(line, true);
	check(remote_irr(), "remote IRR is clear after acceptance");
	check(apic_vector_bit(APIC_IRR, VECTOR_LINE), "IRR is clear after acceptance");
	expect("level, lowered by the handler", 1);
	check(was_remote_irr, "remote IRR is clear in the handler");
	check(was_level_in_tmr, "TMR is clear for a level");
	check(!remote_irr(), "remote IRR is set after EOI");

	prepare(IOAPIC_LEVEL);
	lower_at = REDELIVERY_COUNT;
	line_set(line, true);
	expect("level high at EOI is delivered again", REDELIVERY_COUNT);
	check(!remote_irr(), "remote IRR is set after the last EOI");
}

static void check_deassert(void)
{
	prepare(IOAPIC_LEVEL);
	line_set(line, true);
	line_set(line, false);
	check(remote_irr(), "lowering the line clears remote IRR");
	expect("lowered after acceptance", 1);
	check(!remote_irr(), "remote IRR is set after EOI of a lowered line");

	prepare(IOAPIC_LEVEL);
	line_set(line, true);
	line_set(line, false);
	line_set(line, true);
	lower_at = 2;
	expect("lowered and raised before EOI", 2);
}

static void check_mask(void)
{
	prepare(IOAPIC_LEVEL | IOAPIC_MASKED);
	line_set(line, true);
	check(!remote_irr(), "a masked line sets remote IRR");
	expect("masked", 0);
	ioapic_write_entry(line, IOAPIC_LEVEL | VECTOR_LINE);
	expect("unmasked while high", 1);

	prepare(IOAPIC_LEVEL | IOAPIC_MASKED);
	line_set(line, true);
	line_set(line, false);
	ioapic_write_entry(line, IOAPIC_LEVEL | VECTOR_LINE);
	expect("unmasked after it fell", 0);

	prepare(IOAPIC_LEVEL);
	line_set(line, true);
	ioapic_write_entry(line, IOAPIC_LEVEL | IOAPIC_MASKED | VECTOR_LINE);
	lower_at = 0;
	expect("masked while pending", 1);
	check(!remote_irr(), "EOI does not reach a masked entry");
	ioapic_write_entry(line, IOAPIC_LEVEL | VECTOR_LINE);
	lower_at = 2;
	expect("unmasked while still high", 2);
}

static void check_register(void)
{
	prepare(IOAPIC_LEVEL);
	ioapic_write_entry(
	    line, IOAPIC_LEVEL | IOAPIC_MASKED | IOAPIC_REMOTE_IRR | IOAPIC_PENDING | VECTOR_LINE);
	check(!(ioapic_read_entry(line) & (IOAPIC_REMOTE_IRR | IOAPIC_PENDING)),
	    "the read-only bits were written");
	check((ioapic_read(IOAPIC_REG_VERSION) >> 16 & 0xff) == IOAPIC_PIN_COUNT - 1,
	    "version register %x", ioapic_read(IOAPIC_REG_VERSION));
	/* Kernels use this to clear remote IRR where there is no EOI register. */
	prepare(IOAPIC_LEVEL);
	line_set(line, true);
	line_set(line, false);
	ioapic_write_entry(line, IOAPIC_MASKED | VECTOR_LINE);
	ioapic_write_entry(line, IOAPIC_MASKED | IOAPIC_LEVEL | VECTOR_LINE);
	check(!remote_irr(), "remote IRR outlives a change to edge and back");
	expect("accepted before the change", 1);
}

static void take_shared(struct frame *frame)
{
	(void)frame;
	taken_count++;
	line_set(taken_count == 1 ? LINE_LOW : LINE_SECOND, false);
	apic_eoi();
}

/* One EOI ends all level entries of its vector; the line that stays high comes again. */
static void check_shared_vector(void)
{
	prepare(IOAPIC_LEVEL);
	ioapic_write_entry(LINE_SECOND, IOAPIC_LEVEL | VECTOR_LINE);
	interrupts_set(VECTOR_LINE, take_shared);
	line_set(LINE_LOW, true);
	line_set(LINE_SECOND, true);
	expect("two lines of one vector", 2);
	check(!(ioapic_read_entry(LINE_SECOND) & IOAPIC_REMOTE_IRR), "remote IRR of the second");
	ioapic_write_entry(LINE_SECOND, IOAPIC_MASKED);
	interrupts_set(VECTOR_LINE, take);
}

static void check_directed_eoi(void)
{
	if (!(apic_read(APIC_VERSION) & VERSION_SUPPRESSES) ||
	    (ioapic_read(IOAPIC_REG_VERSION) & 0xff) < IOAPIC_VERSION_EOI) {
		not_checked("directed EOI: not offered");
		return;
	}
	apic_write(APIC_SVR, APIC_SVR_ENABLE | SVR_SUPPRESS_EOI | VECTOR_SPURIOUS);
	prepare(IOAPIC_LEVEL);
	lower_at = 2;
	line_set(line, true);
	expect("EOI without broadcast", 1);
	check(remote_irr(), "EOI without broadcast cleared remote IRR");
	*(volatile uint32_t *)(uintptr_t)(IOAPIC_BASE_ADDRESS + IOAPIC_EOI_OFFSET) = VECTOR_LINE;
	expect("directed EOI while high", 2);
	check(remote_irr(), "the second delivery's remote IRR is clear before directed EOI");
	*(volatile uint32_t *)(uintptr_t)(IOAPIC_BASE_ADDRESS + IOAPIC_EOI_OFFSET) = VECTOR_LINE;
	check(!remote_irr(), "directed EOI did not clear remote IRR");
	apic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
}

/* Each CPU in turn is the destination; its EOI ends the level at the one IOAPIC. */
static void check_destinations(void)
{
	smp_start();
	for (unsigned cpu = 1; cpu < cpu_count; cpu++) {
		volatile uint64_t *count = &cpu_at(cpu)->interrupt_count[VECTOR_LINE];

		prepare(IOAPIC_LEVEL | ioapic_destination(cpu));
		lower_at = REDELIVERY_COUNT;
		line_set(line, true);
		if (!WAIT_UNTIL(taken_count == REDELIVERY_COUNT && !remote_irr(), TIMEOUT_MS))
			test_abort(
			    "CPU %u: %u deliveries, remote IRR %d", cpu, taken_count, remote_irr());
		check(*count == REDELIVERY_COUNT, "CPU %u took %lu", cpu, *count);
		check(!apic_vector_bit(APIC_IRR, VECTOR_LINE), "CPU 0 was reached as well");
	}
}

static void check_line(unsigned number)
{
	line = number;
	check_edge();
	check_level();
	check_deassert();
	check_mask();
	check_register();
	check_directed_eoi();
	ioapic_write_entry(line, IOAPIC_MASKED);
}

void guest_main(void)
{
	interrupts_disable();
	interrupts_set(VECTOR_LINE, take);
	check_line(LINE_LOW);
	check_line(LINE_SECOND);
	if (cpu_is_under_posthorn())
		check_line(LINE_HIGH);
	else
		not_checked("lines above 15 and a line set while high: QEMU 7.2 differs");
	line = LINE_LOW;
	check_shared_vector();
	check_destinations();
}
