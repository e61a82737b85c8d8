/* SPDX-License-Identifier: MIT */
/* tests/oracle/kvm_steps.c: which steps the KVM oracle leaves out, and what it reads after one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/oracle/kvm.h"
#include "x86/apic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define VECTOR         0x51u
#define LEVEL          IOAPIC_RTE_LEVEL
#define MASKED         IOAPIC_RTE_MASKED
#define MODE(delivery) ((uint64_t)APIC_DELIVERY_##delivery << IOAPIC_RTE_DELIVERY_SHIFT)

static const struct shape two = {.vcpu_count = 2, .apic_id_step = 1};

/* Two enabled x2APICs; the first serves VECTOR, a level. */
static struct state serving(void)
{
	struct state state = {{0}};

	for (uint32_t i = 0; i < two.vcpu_count; i++)
		state.cell[vcpu_cell(i, VCPU_BASE)] = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	state.cell[vcpu_cell(0, (APIC_ISR + VECTOR / 32 * 16) / 16)] = 1u << VECTOR % 32;
	state.cell[vcpu_cell(0, (APIC_TMR + VECTOR / 32 * 16) / 16)] = 1u << VECTOR % 32;
	return state;
}

/* KVM sends edge-triggered pins of the vector again: an event would stop the guest in its step. */
static void an_eoi_that_would_send_an_event_is_left_out(void **unused)
{
	static const struct {
		const char *text;
		uint64_t entry;
		bool applies;
	} rows[] = {
	    {"an SMI", VECTOR | MODE(SMI), false},
	    {"an NMI", VECTOR | MODE(NMI), false},
	    {"an INIT", VECTOR | MODE(INIT), false},
	    {"masked", VECTOR | MODE(SMI) | MASKED, true},
	    {"a level", VECTOR | MODE(SMI) | LEVEL, true},
	    {"another vector", (VECTOR + 1) | MODE(SMI), true},
	    {"fixed", VECTOR | MODE(FIXED), true},
	    {"lowest priority", VECTOR | MODE(LOWEST), true},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct step eoi = {'W', 0, APIC_EOI, 0}, other = {'W', 1, APIC_EOI, 0},
		                  tpr = {'W', 0, APIC_TPR, 0};
		struct state state = serving();

		state.cell[CELL_IOAPIC + ORACLE_PINS - 1] = rows[i].entry;
		if (step_applies(&two, &eoi, &state) != rows[i].applies)
			fail_msg("%s", rows[i].text);
		assert_true(step_applies(&two, &other, &state));
		assert_true(step_applies(&two, &tpr, &state));
	}
}

static void every_register_is_read_after_every_step(void **unused)
{
	static const struct {
		const char *text;
		bool reads_events;
	} rows[] = {
	    {"W0 b0 0", true}, /* of a level */
	    {"W1 b0 0", false},
	    {"W0 80 20", false},
	    {"W0 300 51", false},
	    {"W0 300 10000044b", true},
	    {"m0 51 fee00000", false},
	    {"m0 251 fee00000", true},
	    {"l0 3 1", true},
	    {"B0 0 fee00800", true},
	    {"i1 0 0", false},
	};
	const struct state state = serving();

	(void)unused;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct reading reading, sixteenth;
		struct step step;

		assert_true(step_parse(rows[i].text, &step));
		reading = step_reading(&two, &step, &state, 0);
		sixteenth = step_reading(&two, &step, &state, 15);
		assert_int_equal(reading.registers, 3);
		assert_true(reading.ioapic && reading.pics);
		if (reading.events != (rows[i].reads_events ? 3 : 0))
			fail_msg("%s", rows[i].text);
		assert_int_equal(sixteenth.events, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_eoi_that_would_send_an_event_is_left_out),
	    cmocka_unit_test(every_register_is_read_after_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
