/* SPDX-License-Identifier: MIT */
/* Guest: fixed IPIs to oneself, one delivery each, the highest priority first. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "self_ipi";

#define VECTOR_TEST      0x51u
#define ROUND_COUNT      100u
#define ORDER_MAX        16u
#define ESR_SEND_ILLEGAL (1u << 5)
#define DFR_FLAT         0xffffffffu

static unsigned order[ORDER_MAX];
static volatile unsigned order_count;
static volatile bool was_in_service, was_still_requested;

static void record(struct frame *frame)
{
	unsigned vector = (unsigned)frame->vector;

	was_in_service = apic_vector_bit(APIC_ISR, vector);
	was_still_requested = apic_vector_bit(APIC_IRR, vector);
	if (order_count < ORDER_MAX)
		order[order_count] = vector;
	order_count++;
	apic_eoi();
}

struct way {
	const char *name;
	uint32_t icr;
	/* Physical: the APIC ID; logical: the LDR's value. */
	bool has_destination;
};

static const struct way ways[] = {
    {"shorthand self", APIC_ICR_SELF, false},
    {"physical", 0, true},
    {"logical", APIC_ICR_LOGICAL, true},
    {"shorthand all", APIC_ICR_ALL, false},
    {"lowest priority", APIC_DELIVERY_LOWEST, true},
    {"lowest priority, logical", APIC_DELIVERY_LOWEST | APIC_ICR_LOGICAL, true},
};

static uint32_t logical_id(void)
{
	if (this_cpu()->has_x2apic_mode)
		return apic_read(APIC_LDR);
	apic_write(APIC_DFR, DFR_FLAT);
	apic_write(APIC_LDR, 1u << 24);
	return 1;
}

static void check_one_delivery(const char *name, uint64_t expected)
{
	bool is_requested = apic_vector_bit(APIC_IRR, VECTOR_TEST);

	check(is_requested, "%s: IRR is clear before delivery", name);
	check(order_count == expected - 1, "%s: delivered with interrupts disabled", name);
	interrupts_window();
	check(order_count == expected, "%s: %u deliveries, expected %lu", name, order_count,
	    expected);
	check(was_in_service, "%s: ISR is clear in the handler", name);
	check(!was_still_requested, "%s: IRR is set in the handler", name);
	check(!apic_vector_bit(APIC_ISR, VECTOR_TEST), "%s: ISR is set after EOI", name);
	interrupts_window();
	check(order_count == expected, "%s: delivered again", name);
}

static void check_ways(void)
{
	uint32_t logical = logical_id();

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct way *way = &ways[i];
		uint32_t destination = way->icr & APIC_ICR_LOGICAL ? logical : apic_id();

		order_count = 0;
		for (unsigned round = 1; round <= ROUND_COUNT; round++) {
			apic_write_icr(way->icr | APIC_ICR_ASSERT | VECTOR_TEST,
			    way->has_destination ? destination : 0);
			check_one_delivery(way->name, round);
		}
	}
	order_count = 0;
	for (unsigned round = 1; round <= ROUND_COUNT; round++) {
		apic_send_self(VECTOR_TEST);
		check_one_delivery("apic_send_self", round);
	}
}

static void check_not_me(void)
{
	order_count = 0;
	apic_write_icr(APIC_ICR_ALL_BUT_SELF | APIC_ICR_ASSERT | VECTOR_TEST, 0);
	interrupts_window();
	check(order_count == 0, "shorthand all-but-self reached the sender");
	apic_write_icr(APIC_ICR_ASSERT | VECTOR_TEST, 0x7e);
	interrupts_window();
	check(order_count == 0, "physical ID 0x7e reached CPU 0");
	apic_write_icr(APIC_ICR_LOGICAL | APIC_ICR_ASSERT | VECTOR_TEST, 1u << 7);
	interrupts_window();
	check(order_count == 0, "another logical ID reached CPU 0");
}

static void check_order(void)
{
	static const unsigned sent[] = {0x41, 0x95, 0x62, 0xd0, 0x63, 0x31, 0x96, 0xe8};
	static const unsigned taken[] = {0xe8, 0xd0, 0x96, 0x95, 0x63, 0x62, 0x41, 0x31};
	const unsigned count = sizeof(sent) / sizeof(sent[0]);

	for (unsigned i = 0; i < count; i++)
		interrupts_set(sent[i], record);
	order_count = 0;
	for (unsigned i = 0; i < count; i++)
		apic_send_self(sent[i]);
	for (unsigned i = 0; i < count; i++)
		interrupts_window();
	check(order_count == count, "%u of %u vectors were delivered", order_count, count);
	for (unsigned i = 0; i < count; i++)
		check(order[i] == taken[i], "place %u: vector %x, expected %x", i, order[i],
		    taken[i]);
}

static void send_while_in_service(struct frame *frame)
{
	(void)frame;
	order_count++;
	if (order_count == 1) {
		apic_send_self(VECTOR_TEST);
		apic_send_self(VECTOR_TEST);
		interrupts_window();
		check(order_count == 1, "a vector interrupted its own handler");
	}
	apic_eoi();
}

/* IRR and ISR hold one request each: SDM 3, 11.8.4. */
static void check_coalescing(void)
{
	order_count = 0;
	apic_send_self(VECTOR_TEST);
	apic_send_self(VECTOR_TEST);
	apic_send_self(VECTOR_TEST);
	interrupts_window();
	interrupts_window();
	check(order_count == 1, "3 requests before delivery: %u deliveries", order_count);

	interrupts_set(VECTOR_TEST, send_while_in_service);
	order_count = 0;
	apic_send_self(VECTOR_TEST);
	interrupts_window();
	interrupts_window();
	check(order_count == 2, "2 requests in service: %u deliveries", order_count);
	interrupts_set(VECTOR_TEST, record);
}

static void nest(struct frame *frame)
{
	(void)frame;
	order_count = 0;
	apic_send_self(0x6f); /* same class: waits for EOI */
	apic_send_self(0x4f); /* lower class: waits too */
	interrupts_window();
	check(order_count == 0, "class 6 or 4 interrupted vector 0x60");
	apic_send_self(0x70);
	interrupts_window();
	check(order_count == 1 && order[0] == 0x70, "class 7 did not interrupt vector 0x60");
	apic_eoi();
}

static void check_nesting(void)
{
	interrupts_set(0x60, nest);
	interrupts_set(0x4f, record);
	interrupts_set(0x6f, record);
	interrupts_set(0x70, record);
	apic_send_self(0x60);
	for (unsigned i = 0; i < 3; i++)
		interrupts_window();
	check(order_count == 3, "%u nested vectors, expected 3", order_count);
	check(order[1] == 0x6f && order[2] == 0x4f, "after EOI: %x, %x", order[1], order[2]);
}

/* SDM 3, 11.5.3: vectors 0..15 are not delivered and set an error bit. QEMU 7.2 delivers them. */
static void check_illegal_vector(void)
{
	if (!cpu_is_under_posthorn()) {
		not_checked("vectors 0..15: QEMU 7.2 delivers them");
		return;
	}
	for (unsigned vector = 0; vector < 16; vector++) {
		apic_write(APIC_ESR, 0);
		apic_write_icr(APIC_ICR_SELF | APIC_ICR_ASSERT | vector, 0);
		interrupts_window();
		check(!apic_vector_bit(APIC_IRR, vector), "IRR holds vector %u", vector);
		apic_write(APIC_ESR, 0);
		check(apic_read(APIC_ESR) & ESR_SEND_ILLEGAL, "ESR after vector %u: %x", vector,
		    apic_read(APIC_ESR));
	}
	apic_write(APIC_ESR, 0);
}

static void check_all(const char *mode)
{
	print("mode %s\n", mode);
	interrupts_set(VECTOR_TEST, record);
	check_ways();
	check_not_me();
	check_order();
	check_coalescing();
	check_nesting();
	check_illegal_vector();
}

void guest_main(void)
{
	interrupts_disable();
	check_all("xAPIC");
	if (!cpu_has_x2apic()) {
		not_checked("x2APIC mode: not in CPUID");
		return;
	}
	apic_enter_x2apic();
	check_all("x2APIC");
	apic_reset_to_xapic();
	check_all("xAPIC again");
}
