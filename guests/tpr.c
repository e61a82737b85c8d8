/* SPDX-License-Identifier: MIT */
/* Guest: TPR, CR8 and PPR: which vectors they hold back, and that lowering lets them go at once. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"

const char guest_name[] = "tpr";

#define CLASS_FIRST 2u
#define CLASS_COUNT 16u

static volatile uint64_t taken_count;
static volatile unsigned last_vector;
static volatile uint32_t ppr_seen;

static void take(struct frame *frame)
{
	taken_count++;
	last_vector = (unsigned)frame->vector;
	ppr_seen = apic_read(APIC_PPR);
	apic_eoi();
}

static void set_tpr_by_register(unsigned class)
{
	apic_write(APIC_TPR, class << 4);
	__asm__ volatile("nop");
}

static void set_tpr_by_cr8(unsigned class)
{
	write_cr8(class);
	__asm__ volatile("nop");
}

/* With interrupts enabled: sent under each TPR, taken at once or when the TPR falls. */
static void check_classes(const char *way, void (*set_tpr)(unsigned class))
{
	for (unsigned tpr = 0; tpr < CLASS_COUNT; tpr++) {
		for (unsigned class = CLASS_FIRST; class < CLASS_COUNT; class ++) {
			unsigned vector = class << 4 | 1;
			bool is_allowed = class > tpr;

			taken_count = 0;
			set_tpr(tpr);
			apic_send_self(vector);
			__asm__ volatile("nop");
			check(taken_count == is_allowed, "%s: TPR class %u, vector %x: %lu taken",
			    way, tpr, vector, taken_count);
			if (!is_allowed) {
				set_tpr(class);
				check(taken_count == 0, "%s: vector %x at its own class", way,
				    vector);
				set_tpr(class - 1);
			}
			check(taken_count == 1, "%s: vector %x after lowering: %lu", way, vector,
			    taken_count);
			set_tpr(0);
			check(taken_count == 1, "%s: vector %x came twice", way, vector);
		}
	}
}

/* CR8 is TPR bits 7:4 (SDM 3, 11.8.6.1). */
static void check_cr8_is_tpr(void)
{
	for (unsigned value = 0; value < 256; value++) {
		apic_write(APIC_TPR, value);
		check(read_cr8() == value >> 4, "TPR %x: CR8 %lx", value, read_cr8());
		check(apic_read(APIC_TPR) == value, "TPR reads %x, not %x", apic_read(APIC_TPR),
		    value);
	}
	for (unsigned class = 0; class < CLASS_COUNT; class ++) {
		write_cr8(class);
		check(apic_read(APIC_TPR) == class << 4, "CR8 %x: TPR %x", class,
		    apic_read(APIC_TPR));
		check(read_cr8() == class, "CR8 reads %lx, not %x", read_cr8(), class);
		check(apic_read(APIC_PPR) == class << 4, "CR8 %x: PPR %x", class,
		    apic_read(APIC_PPR));
	}
	write_cr8(0);
}

static void check_steps(void)
{
	static const unsigned vectors[] = {0x41, 0x61, 0x81};
	static const unsigned tprs[] = {7, 5, 0};
	static const unsigned expected[] = {0x81, 0x61, 0x41};

	taken_count = 0;
	set_tpr_by_cr8(15);
	for (unsigned i = 0; i < 3; i++)
		apic_send_self(vectors[i]);
	for (unsigned i = 0; i < 3; i++) {
		set_tpr_by_cr8(tprs[i]);
		check(taken_count == i + 1 && last_vector == expected[i],
		    "CR8 %u: %lu taken, the last %x", tprs[i], taken_count, last_vector);
	}
}

/* PPR is the higher class of TPR and ISR: SDM 3, 11.8.3.1. */
static void check_ppr(void)
{
	static const struct {
		uint32_t tpr;
		unsigned vector;
		uint32_t ppr;
	} cases[] = {
	    {0x00, 0x61, 0x60},
	    {0x30, 0x61, 0x60},
	    {0x5f, 0x61, 0x60},
	    {0x0f, 0xe9, 0xe0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		apic_write(APIC_TPR, cases[i].tpr);
		check(apic_read(APIC_PPR) == cases[i].tpr, "TPR %x, ISR empty: PPR %x",
		    cases[i].tpr, apic_read(APIC_PPR));
		apic_send_self(cases[i].vector);
		__asm__ volatile("nop");
		check(last_vector == cases[i].vector && ppr_seen == cases[i].ppr,
		    "TPR %x, vector %x in service: PPR %x", cases[i].tpr, last_vector, ppr_seen);
	}
	apic_write(APIC_TPR, 0);
}

static void raise_in_service(struct frame *frame)
{
	uint32_t ppr;

	(void)frame;
	apic_write(APIC_TPR, 0xa3);
	ppr = apic_read(APIC_PPR);
	check(ppr == 0xa3, "TPR 0xa3 over vector 0x61 in service: PPR %x", ppr);
	apic_send_self(0x91);
	taken_count = 0;
	interrupts_window();
	check(taken_count == 0, "vector 0x91 under TPR 0xa3");
	apic_write(APIC_TPR, 0);
	interrupts_window();
	check(taken_count == 1, "vector 0x91 over 0x61 in service");
	apic_eoi();
}

static void check_tpr_over_isr(void)
{
	interrupts_set(0x61, raise_in_service);
	apic_send_self(0x61);
	__asm__ volatile("nop");
	check(taken_count == 1, "vector 0x61 was not taken");
	interrupts_set(0x61, take);
}

static void check_all(const char *mode)
{
	print("mode %s\n", mode);
	for (unsigned vector = CLASS_FIRST << 4; vector < VECTOR_SPURIOUS; vector++)
		interrupts_set(vector, take);
	interrupts_enable();
	check_classes("TPR", set_tpr_by_register);
	check_classes("CR8", set_tpr_by_cr8);
	check_cr8_is_tpr();
	check_steps();
	check_ppr();
	check_tpr_over_isr();
	interrupts_disable();
}

void guest_main(void)
{
	check_all("xAPIC");
	if (!cpu_has_x2apic()) {
		not_checked("x2APIC mode: not in CPUID");
		return;
	}
	apic_enter_x2apic();
	check_all("x2APIC");
}
