/* SPDX-License-Identifier: MIT */
/* Guest: the 8259 pair in virtual wire mode, through LINT0 as ExtINT. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "extint_pic";

#define VECTOR_MASTER 0x20u
#define VECTOR_SLAVE  0x28u
#define IRQ_MASTER    5u
#define IRQ_SLAVE     14u
/* Not 10 or 11: QEMU's firmware makes those level-triggered. */
#define IRQ_SLAVE_HIGH 12u
#define IRQ_CASCADE    2u
#define IRQ_SPURIOUS   7u
#define VECTOR_IPI     0x51u
#define PIT_TICK_COUNT 20u
#define ROUND_COUNT    50u
#define ORDER_MAX      8u
#define STORM_COUNT    10000u
#define LINE_EXTINT    11u

static unsigned order[ORDER_MAX];
static volatile unsigned taken_count;
static volatile uint16_t isr_seen;
static volatile bool was_in_apic_isr;

static unsigned irq_of(uint64_t vector)
{
	return (
	    unsigned)(vector >= VECTOR_SLAVE ? vector - VECTOR_SLAVE + 8 : vector - VECTOR_MASTER);
}

static void take(struct frame *frame)
{
	unsigned irq = irq_of(frame->vector);

	isr_seen = pic_read_isr();
	was_in_apic_isr = apic_vector_bit(APIC_ISR, (unsigned)frame->vector);
	if (taken_count < ORDER_MAX)
		order[taken_count] = irq;
	taken_count++;
	if (taken_count > STORM_COUNT)
		test_abort("IRQ %u comes again and again", irq);
	pic_eoi(irq);
}

static void unmask(unsigned mask)
{
	pic_set_mask((uint16_t) ~(mask | 1u << IRQ_CASCADE));
}

static void expect(const char *rule, unsigned count)
{
	for (unsigned i = 0; i < 8; i++)
		interrupts_window();
	check(taken_count == count, "%s: %u deliveries, expected %u", rule, taken_count, count);
}

static void check_irq(unsigned irq)
{
	unmask(1u << irq);
	taken_count = 0;
	for (unsigned round = 1; round <= ROUND_COUNT; round++) {
		line_set(irq, true);
		check(pic_read_irr() & 1u << irq, "IRQ %u is not in the 8259's IRR", irq);
		expect("edge rises", round);
		check(isr_seen & 1u << irq, "IRQ %u is not in the 8259's ISR", irq);
		check(irq < 8 || isr_seen & 1u << IRQ_CASCADE, "no cascade in the master's ISR");
		check(!was_in_apic_isr, "ExtINT shows in the local APIC's ISR");
		check(pic_read_isr() == 0, "the 8259's ISR is %x after EOI", pic_read_isr());
		line_set(irq, false);
		expect("edge falls", round);
	}
}

static void check_masks(void)
{
	unmask(0);
	taken_count = 0;
	line_set(IRQ_MASTER, true);
	expect("masked at the 8259", 0);
	unmask(1u << IRQ_MASTER);
	expect("unmasked while high", 1);
	line_set(IRQ_MASTER, false);

	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED | APIC_DELIVERY_EXTINT);
	line_set(IRQ_MASTER, true);
	expect("masked at LINT0", 1);
	apic_write(APIC_LVT_LINT0, APIC_DELIVERY_EXTINT);
	expect("LINT0 unmasked while the 8259 requests", 2);
	line_set(IRQ_MASTER, false);
}

/* The slave sits on input 2 of the master: its inputs come before 3..7. */
static void check_order(void)
{
	unmask(1u << IRQ_MASTER | 1u << IRQ_SLAVE | 1u << IRQ_SLAVE_HIGH);
	taken_count = 0;
	line_set(IRQ_MASTER, true);
	line_set(IRQ_SLAVE, true);
	line_set(IRQ_SLAVE_HIGH, true);
	expect("three at once", 3);
	check(order[0] == IRQ_SLAVE_HIGH && order[1] == IRQ_SLAVE && order[2] == IRQ_MASTER,
	    "order %u %u %u", order[0], order[1], order[2]);
	line_set(IRQ_MASTER, false);
	line_set(IRQ_SLAVE, false);
	line_set(IRQ_SLAVE_HIGH, false);
}

static void take_without_eoi(struct frame *frame)
{
	(void)frame;
	taken_count++;
}

/* Until EOI the 8259 holds back its equal and lower inputs. */
static void check_in_service(void)
{
	unmask(1u << IRQ_MASTER | 1u << (IRQ_MASTER + 1) | 1u << (IRQ_MASTER - 1));
	interrupts_set(VECTOR_MASTER + IRQ_MASTER, take_without_eoi);
	taken_count = 0;
	line_set(IRQ_MASTER, true);
	expect("first", 1);
	line_set(IRQ_MASTER + 1, true);
	expect("lower input while in service", 1);
	line_set(IRQ_MASTER - 1, true);
	expect("higher input while in service", 2);
	pic_eoi(IRQ_MASTER);
	expect("lower input after EOI", 3);
	for (unsigned irq = IRQ_MASTER - 1; irq <= IRQ_MASTER + 1; irq++)
		line_set(irq, false);
	interrupts_set(VECTOR_MASTER + IRQ_MASTER, take);
}

/* ExtINT passes by the local APIC's priorities: SDM 3, 11.8.3. */
static void check_tpr(void)
{
	uint64_t before = this_cpu()->interrupt_count[VECTOR_IPI];

	unmask(1u << IRQ_MASTER);
	taken_count = 0;
	apic_write(APIC_TPR, 0xf0);
	apic_send_self(VECTOR_IPI);
	line_set(IRQ_MASTER, true);
	expect("ExtINT with TPR 0xf0", 1);
	check(this_cpu()->interrupt_count[VECTOR_IPI] == before, "TPR let the IPI through");
	apic_write(APIC_TPR, 0);
	interrupts_window();
	check(this_cpu()->interrupt_count[VECTOR_IPI] == before + 1, "the IPI was lost");
	line_set(IRQ_MASTER, false);
}

static void check_pit(void)
{
	uint32_t begin = pm_timer_read();
	uint32_t us;

	unmask(1u << 0);
	taken_count = 0;
	pit_start(PIT_MODE_RATE, PIT_HZ / 200);
	interrupts_disable();
	while (taken_count < PIT_TICK_COUNT) {
		interrupts_enable_and_halt();
		interrupts_disable();
	}
	us = pm_timer_to_us(pm_timer_since(begin));
	unmask(0);
	check(us >= (PIT_TICK_COUNT - 1) * 4900, "%u PIT ticks of 5000 us in %u us", PIT_TICK_COUNT,
	    us);
	print("PIT: %u ticks in %u us\n", PIT_TICK_COUNT, us);
}

static void take_spurious(struct frame *frame)
{
	(void)frame;
	isr_seen = pic_read_isr();
	taken_count++;
}

/*
 * An acknowledge that finds no request gets IRQ 7's vector and no ISR bit. An IOAPIC entry in
 * ExtINT mode makes the CPU acknowledge an idle 8259. QEMU 7.2 drops such messages.
 */
static void check_spurious(void)
{
	if (!cpu_is_under_posthorn()) {
		not_checked("spurious IRQ 7: QEMU 7.2 drops ExtINT messages");
		return;
	}
	unmask(0);
	taken_count = 0;
	isr_seen = 0xffff;
	interrupts_set(VECTOR_MASTER + IRQ_SPURIOUS, take_spurious);
	ioapic_write_entry(LINE_EXTINT, APIC_DELIVERY_EXTINT | ioapic_destination(apic_id()));
	line_set(LINE_EXTINT, true);
	expect("ExtINT message, idle 8259", 1);
	check(isr_seen == 0, "a spurious IRQ 7 left ISR %x", isr_seen);
	line_set(LINE_EXTINT, false);
	ioapic_write_entry(LINE_EXTINT, IOAPIC_MASKED);
}

void guest_main(void)
{
	interrupts_disable();
	for (unsigned irq = 0; irq < 16; irq++)
		interrupts_set((irq < 8 ? VECTOR_MASTER : VECTOR_SLAVE - 8) + irq, take);
	interrupts_set(VECTOR_IPI, interrupt_eoi_only);
	pic_init(VECTOR_MASTER, VECTOR_SLAVE);
	apic_write(APIC_LVT_LINT0, APIC_DELIVERY_EXTINT);
	check_irq(IRQ_MASTER);
	check_irq(IRQ_SLAVE);
	check_masks();
	check_order();
	check_in_service();
	check_tpr();
	check_pit();
	check_spurious();
}
