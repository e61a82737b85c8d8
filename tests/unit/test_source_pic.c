/* SPDX-License-Identifier: MIT */
/* core/source_pic.c: the 8259A pair, command word by command word. */
#include "tests/unit/harness.h"
#include "core/post.h"
#include "core/route.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MASTER_BASE  0x20u
#define SLAVE_BASE   0x28u

/* ---- Steps: one operation each, and what INTR leads to afterwards --------------------------- */

enum action {
	RAISE, /* the line of input `value` */
	LOWER,
	PULSE, /* up and down */
	WRITE, /* `value` to `port` */
	READ,  /* `port`, expecting `value` */
	INTA,  /* expecting vector `value` */
};

struct step {
	const char *rule;
	enum action action;
	uint16_t port;
	uint32_t value;
	bool output; /* INTR afterwards */
};

static void act(const struct step *step)
{
	switch (step->action) {
	case RAISE:
	case LOWER:
		source_pic_set_pin(harness.vm, step->value, 0, step->action == RAISE);
		break;
	case PULSE:
		source_pic_set_pin(harness.vm, step->value, 0, true);
		source_pic_set_pin(harness.vm, step->value, 0, false);
		break;
	case WRITE:
		ph_pic_write(harness.vm, step->port, (uint8_t)step->value);
		break;
	case READ:
		assert_int_equal(ph_pic_read(harness.vm, step->port), step->value);
		break;
	case INTA:
		assert_int_equal(source_pic_acknowledge(harness.vm), step->value);
		break;
	}
}

static void walk(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("  %s\n", steps[i].rule);
		act(&steps[i]);
		assert_int_equal(source_pic_output(harness.vm), steps[i].output);
	}
}

static void program(uint16_t port, uint8_t icw1, uint8_t base, uint8_t icw3, uint8_t icw4)
{
	ph_pic_write(harness.vm, port, icw1);
	ph_pic_write(harness.vm, port + 1, base);
	if (!(icw1 & 2))
		ph_pic_write(harness.vm, port + 1, icw3);
	if (icw1 & 1)
		ph_pic_write(harness.vm, port + 1, icw4);
}

/* As a PC's firmware and systems do: edge, cascade, 8086 mode; `icw4` for both. */
static void program_pair(uint8_t icw4)
{
	program(0x20, 0x11, MASTER_BASE, 4, icw4);
	program(0xa0, 0x11, SLAVE_BASE, 2, icw4);
}

static int setup(void **state)
{
	(void)state;
	harness_create(NULL);
	program_pair(0x01);
	return 0;
}

/* ---- Initialization ------------------------------------------------------------------------- */

static void an_unprogrammed_pair_raises_nothing(void **state)
{
	static const struct step steps[] = {
	    {"power-up mask", READ, 0x21, 0x00, false},
	    {"a request", RAISE, 0, 0, false},
	    {"is held", READ, 0x20, 0x01, false},
	    {"port 1 is the mask (how systems probe)", WRITE, 0x21, 0xfb, false},
	    {"and reads back", READ, 0x21, 0xfb, false},
	    {"ICW1 clears the mask", WRITE, 0x20, 0x11, false},
	    {"and the edge", READ, 0x20, 0x00, false},
	    {"ICW2", WRITE, 0x21, 0x20, false},
	    {"ICW3", WRITE, 0x21, 0x04, false},
	    {"ICW4: the line has to rise anew", WRITE, 0x21, 0x01, false},
	    {"falling", LOWER, 0, 0, false},
	    {"rising", RAISE, 0, 0, true},
	    {"INTA", INTA, 0, 0x20, false},
	};

	(void)state;
	harness_create(NULL);
	walk(steps, COUNT(steps));
}

struct sequence_row {
	const char *rule;
	uint8_t icw1;
	uint8_t data[4]; /* written to port 1; the last ends as OCW1 */
	uint32_t count;
	uint8_t mask;
};

static void icw1_says_which_words_follow(void **state)
{
	static const struct sequence_row rows[] = {
	    {"cascade with ICW4: four words", 0x11, {0x40, 0x04, 0x01, 0xaa}, 4, 0xaa},
	    {"cascade without ICW4", 0x10, {0x40, 0x04, 0xaa}, 3, 0xaa},
	    {"single with ICW4: no ICW3", 0x13, {0x40, 0x01, 0xaa}, 3, 0xaa},
	    {"single without ICW4", 0x12, {0x40, 0xaa}, 2, 0xaa},
	    {"the mask is clear until OCW1", 0x11, {0x40, 0x04, 0x01}, 3, 0x00},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		setup(state);
		print_message("  %s\n", rows[i].rule);
		ph_pic_write(harness.vm, 0x21, 0xff);
		ph_pic_write(harness.vm, 0x20, rows[i].icw1);
		for (uint32_t word = 0; word < rows[i].count; word++)
			ph_pic_write(harness.vm, 0x21, rows[i].data[word]);
		assert_int_equal(ph_pic_read(harness.vm, 0x21), rows[i].mask);
		source_pic_set_pin(harness.vm, 6, 0, true);
		source_pic_set_pin(harness.vm, 0, 0, true);
		assert_int_equal(source_pic_acknowledge(harness.vm), 0x40);
	}
}

static void icw1_resets_the_modes(void **state)
{
	static const struct step steps[] = {
	    {"lowest priority to 3", WRITE, 0x20, 0xc3, false},
	    {"special mask", WRITE, 0x20, 0x68, false},
	    {"read ISR", WRITE, 0x20, 0x0b, false},
	    {"an interrupt", PULSE, 0, 1, true},
	    {"in service", INTA, 0, 0x21, false},
	    {"as read", READ, 0x20, 0x02, false},
	    {"ICW1", WRITE, 0x20, 0x11, false},
	    {"ICW2: only the upper five bits", WRITE, 0x21, 0x47, false},
	    {"ICW3", WRITE, 0x21, 0x04, false},
	    {"ICW4", WRITE, 0x21, 0x01, false},
	    {"IRR is read again", PULSE, 0, 7, true},
	    {"IRR", READ, 0x20, 0x80, true},
	    {"a second", PULSE, 0, 0, true},
	    {"priority 0 is highest again", INTA, 0, 0x40, false},
	    {"no special mask", WRITE, 0x21, 0x01, false},
	    {"so 0 in service holds 7 back", READ, 0x20, 0x80, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void edges(void **state)
{
	static const struct step steps[] = {
	    {"rising", RAISE, 0, 4, true},
	    {"INTA", INTA, 0, 0x24, false},
	    {"EOI: the line is still high, no new edge", WRITE, 0x20, 0x20, false},
	    {"falling", LOWER, 0, 4, false},
	    {"a pulse stays latched", PULSE, 0, 4, true},
	    {"IRR", READ, 0x20, 0x10, true},
	    {"INTA", INTA, 0, 0x24, false},
	    {"IRR is clear", READ, 0x20, 0x00, false},
	    {"an edge in service", PULSE, 0, 4, false},
	    {"comes after the EOI", WRITE, 0x20, 0x20, true},
	    {"INTA", INTA, 0, 0x24, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void levels(void **state)
{
	static const struct step steps[] = {
	    {"ELCR: input 5 by level", WRITE, 0x4d0, 0x20, false},
	    {"high", RAISE, 0, 5, true},
	    {"INTA", INTA, 0, 0x25, false},
	    {"IRR follows the line", READ, 0x20, 0x20, false},
	    {"EOI while high: again", WRITE, 0x20, 0x20, true},
	    {"low: gone", LOWER, 0, 5, false},
	    {"high", RAISE, 0, 5, true},
	    {"INTA", INTA, 0, 0x25, false},
	    {"low", LOWER, 0, 5, false},
	    {"EOI", WRITE, 0x20, 0x20, false},
	    {"slave input 10 by level", WRITE, 0x4d1, 0x04, false},
	    {"high", RAISE, 0, 10, true},
	    {"INTA", INTA, 0, 0x2a, false},
	    {"EOI slave", WRITE, 0xa0, 0x20, false},
	    {"EOI master: again", WRITE, 0x20, 0x20, true},
	    {"INTA", INTA, 0, 0x2a, false},
	    {"EOI slave", WRITE, 0xa0, 0x20, false},
	    {"EOI master", WRITE, 0x20, 0x20, true},
	    {"slave low, latched in the master", LOWER, 0, 10, true},
	    {"input 5 high", RAISE, 0, 5, true},
	    {"ICW1 forgets latches, not levels", WRITE, 0x20, 0x12, false},
	    {"ICW2: the level is there", WRITE, 0x21, 0x20, true},
	    {"INTA", INTA, 0, 0x25, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void elcr_has_fixed_edge_inputs(void **state)
{
	static const struct step steps[] = {
	    {"timer, keyboard, cascade", WRITE, 0x4d0, 0xff, false},
	    {"are edge", READ, 0x4d0, 0xf8, false},
	    {"RTC, FPU", WRITE, 0x4d1, 0xff, false},
	    {"are edge", READ, 0x4d1, 0xde, false},
	    {"ICW1 leaves ELCR alone", WRITE, 0x20, 0x11, false},
	    {"it is another chip", READ, 0x4d0, 0xf8, false},
	};
	static const struct step line[] = {
	    {"high as edge, in service", RAISE, 0, 3, true},
	    {"INTA", INTA, 0, 0x23, false},
	    {"EOI", WRITE, 0x20, 0x20, false},
	    {"becomes level: the line counts", WRITE, 0x4d0, 0x08, true},
	    {"low", LOWER, 0, 3, false},
	};

	walk(steps, COUNT(steps));
	setup(state);
	walk(line, COUNT(line));
}

static void the_line_is_the_or_of_its_users(void **state)
{
	(void)state;
	ph_pic_write(harness.vm, 0x4d0, 0x20);
	source_pic_set_pin(harness.vm, 5, 0, true);
	source_pic_set_pin(harness.vm, 5, 31, true);
	source_pic_set_pin(harness.vm, 5, 0, false);
	assert_true(source_pic_output(harness.vm));
	source_pic_set_pin(harness.vm, 5, 31, false);
	assert_false(source_pic_output(harness.vm));
}

static void masking(void **state)
{
	static const struct step steps[] = {
	    {"mask input 1", WRITE, 0x21, 0x02, false},
	    {"reads back", READ, 0x21, 0x02, false},
	    {"a request is latched", PULSE, 0, 1, false},
	    {"in IRR", READ, 0x20, 0x02, false},
	    {"another gets through", PULSE, 0, 6, true},
	    {"INTA", INTA, 0, 0x26, false},
	    {"unmasked: the higher one comes", WRITE, 0x21, 0x00, true},
	    {"masked again before INTA", WRITE, 0x21, 0x02, false},
	    {"spurious", INTA, 0, 0x27, false},
	    {"unmasked", WRITE, 0x21, 0x00, true},
	    {"INTA", INTA, 0, 0x21, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

/* ---- Priorities ----------------------------------------------------------------------------- */

static void fully_nested(void **state)
{
	static const struct step steps[] = {
	    {"5", PULSE, 0, 5, true},
	    {"3", PULSE, 0, 3, true},
	    {"3 goes first", INTA, 0, 0x23, false},
	    {"4 is held back", PULSE, 0, 4, false},
	    {"1 is not", PULSE, 0, 1, true},
	    {"1 nests", INTA, 0, 0x21, false},
	    {"OCW3: read ISR", WRITE, 0x20, 0x0b, false},
	    {"both in service", READ, 0x20, 0x0a, false},
	    {"non-specific EOI ends the highest", WRITE, 0x20, 0x20, false},
	    {"3 is left", READ, 0x20, 0x08, false},
	    {"EOI: now 4", WRITE, 0x20, 0x20, true},
	    {"4", INTA, 0, 0x24, false},
	    {"specific EOI of 4: now 5", WRITE, 0x20, 0x64, true},
	    {"5", INTA, 0, 0x25, false},
	    {"specific EOI of another leaves it", WRITE, 0x20, 0x63, false},
	    {"5 is in service", READ, 0x20, 0x20, false},
	    {"OCW2 010 does nothing", WRITE, 0x20, 0x45, false},
	    {"5 is in service", READ, 0x20, 0x20, false},
	    {"EOI", WRITE, 0x20, 0x20, false},
	    {"EOI of nothing", WRITE, 0x20, 0x20, false},
	    {"ISR is clear", READ, 0x20, 0x00, false},
	    {"OCW3: read IRR", WRITE, 0x20, 0x0a, false},
	    {"IRR is clear", READ, 0x20, 0x00, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void rotation(void **state)
{
	static const struct step steps[] = {
	    {"set priority: 3 is lowest", WRITE, 0x20, 0xc3, false},
	    {"3", PULSE, 0, 3, true},
	    {"0", PULSE, 0, 0, true},
	    {"5", PULSE, 0, 5, true},
	    {"5 goes first", INTA, 0, 0x25, false},
	    {"rotate on non-specific EOI: 5 is lowest", WRITE, 0x20, 0xa0, true},
	    {"then 0", INTA, 0, 0x20, false},
	    {"5 again", PULSE, 0, 5, false},
	    {"rotate on specific EOI: 0 is lowest", WRITE, 0x20, 0xe0, true},
	    {"3 is above 5 now", INTA, 0, 0x23, false},
	    {"rotate on EOI: 3 is lowest", WRITE, 0x20, 0xa0, true},
	    {"5", INTA, 0, 0x25, false},
	    {"rotate on EOI", WRITE, 0x20, 0xa0, false},
	    {"rotate on EOI of nothing keeps the order", WRITE, 0x20, 0xa0, false},
	    {"6", PULSE, 0, 6, true},
	    {"5", PULSE, 0, 5, true},
	    {"6 is highest", INTA, 0, 0x26, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void automatic_eoi(void **state)
{
	static const struct step steps[] = {
	    {"2 and 3 wait", PULSE, 0, 3, true},
	    {"1", PULSE, 0, 1, true},
	    {"1, ended by the INTA", INTA, 0, 0x21, true},
	    {"3", INTA, 0, 0x23, false},
	    {"OCW3: read ISR", WRITE, 0x20, 0x0b, false},
	    {"nothing is in service", READ, 0x20, 0x00, false},
	    {"no rotation", PULSE, 0, 3, true},
	    {"1", PULSE, 0, 1, true},
	    {"1 first", INTA, 0, 0x21, true},
	    {"rotate in automatic EOI mode", WRITE, 0x20, 0x80, true},
	    {"3, and it becomes lowest", INTA, 0, 0x23, false},
	    {"3 again", PULSE, 0, 3, true},
	    {"7", PULSE, 0, 7, true},
	    {"7 first, and it becomes lowest", INTA, 0, 0x27, true},
	    {"3", INTA, 0, 0x23, false},
	    {"rotation off", WRITE, 0x20, 0x00, false},
	    {"5: highest but one", PULSE, 0, 5, true},
	    {"5", INTA, 0, 0x25, false},
	    {"5 again", PULSE, 0, 5, true},
	    {"6", PULSE, 0, 6, true},
	    {"still above 6", INTA, 0, 0x25, true},
	    {"6", INTA, 0, 0x26, false},
	};

	(void)state;
	program_pair(0x03);
	walk(steps, COUNT(steps));
}

static void special_mask_mode(void **state)
{
	static const struct step steps[] = {
	    {"2 is taken", PULSE, 0, 1, true},
	    {"in service", INTA, 0, 0x21, false},
	    {"4 is held back", PULSE, 0, 4, false},
	    {"masking 1 alone changes nothing", WRITE, 0x21, 0x02, false},
	    {"special mask mode lets 4 through", WRITE, 0x20, 0x68, true},
	    {"4", INTA, 0, 0x24, false},
	    {"a masked one is not ended by a non-specific EOI", WRITE, 0x20, 0x20, false},
	    {"OCW3: read ISR", WRITE, 0x20, 0x0b, false},
	    {"1 is still in service", READ, 0x20, 0x02, false},
	    {"nor by a second", WRITE, 0x20, 0x20, false},
	    {"1 is still in service", READ, 0x20, 0x02, false},
	    {"OCW3 without ESMM leaves the mode", WRITE, 0x20, 0x0b, false},
	    {"5 gets through", PULSE, 0, 5, true},
	    {"special mask mode off: 5 is held back", WRITE, 0x20, 0x48, false},
	    {"a specific EOI ends 1", WRITE, 0x20, 0x61, true},
	    {"5", INTA, 0, 0x25, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

/* ---- The cascade ---------------------------------------------------------------------------- */

static void the_slave_enters_at_input_2(void **state)
{
	static const struct step steps[] = {
	    {"14", PULSE, 0, 14, true},
	    {"seen in the master", READ, 0x20, 0x04, true},
	    {"and the slave", READ, 0xa0, 0x40, true},
	    {"the vector is the slave's", INTA, 0, 0x2e, false},
	    {"read ISR", WRITE, 0x20, 0x0b, false},
	    {"2 in service", READ, 0x20, 0x04, false},
	    {"read ISR", WRITE, 0xa0, 0x0b, false},
	    {"6 in service", READ, 0xa0, 0x40, false},
	    {"3 is held back", PULSE, 0, 3, false},
	    {"9, higher in the slave, waits for the master", PULSE, 0, 9, false},
	    {"1 nests", PULSE, 0, 1, true},
	    {"1", INTA, 0, 0x21, false},
	    {"EOI of 1", WRITE, 0x20, 0x20, false},
	    {"EOI of 2: now 9", WRITE, 0x20, 0x20, true},
	    {"9", INTA, 0, 0x29, false},
	    {"EOI slave", WRITE, 0xa0, 0x20, false},
	    {"EOI master: 14 holds back nothing higher", WRITE, 0x20, 0x20, true},
	    {"3", INTA, 0, 0x23, false},
	    {"input 2 has no line of its own", RAISE, 0, 2, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void the_special_fully_nested_master(void **state)
{
	static const struct step steps[] = {
	    {"14", PULSE, 0, 14, true},
	    {"INTA", INTA, 0, 0x2e, false},
	    {"a lower one of the slave waits", PULSE, 0, 15, false},
	    {"a lower one of the master, too", PULSE, 0, 3, false},
	    {"a higher one of the slave nests", PULSE, 0, 9, true},
	    {"INTA", INTA, 0, 0x29, false},
	    {"EOI slave: 14 is in service", WRITE, 0xa0, 0x20, false},
	    {"EOI slave: now 15", WRITE, 0xa0, 0x20, true},
	    {"INTA", INTA, 0, 0x2f, false},
	    {"EOI slave", WRITE, 0xa0, 0x20, false},
	    {"EOI master: now 3", WRITE, 0x20, 0x20, true},
	    {"INTA", INTA, 0, 0x23, false},
	};

	(void)state;
	program(0x20, 0x11, MASTER_BASE, 4, 0x11);
	walk(steps, COUNT(steps));
}

/* The slave's input 2 is a line as others are. */
static void a_special_fully_nested_slave_holds_its_input_2_back(void **state)
{
	static const struct step steps[] = {
	    {"ELCR: input 10 by level", WRITE, 0x4d1, 0x04, false},
	    {"high", RAISE, 0, 10, true},
	    {"INTA", INTA, 0, 0x2a, false},
	    {"in service and high: nothing for the master", READ, 0x20, 0x00, false},
	    {"EOI slave: again", WRITE, 0xa0, 0x20, false},
	    {"for the master", READ, 0x20, 0x04, false},
	};

	(void)state;
	program(0xa0, 0x11, SLAVE_BASE, 2, 0x11);
	walk(steps, COUNT(steps));
}

static void masking_input_2_masks_the_slave(void **state)
{
	static const struct step steps[] = {
	    {"mask the cascade", WRITE, 0x21, 0x04, false},
	    {"12", PULSE, 0, 12, false},
	    {"unmask", WRITE, 0x21, 0x00, true},
	    {"12", INTA, 0, 0x2c, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void a_single_master_has_an_input_2_of_its_own(void **state)
{
	static const struct step steps[] = {
	    {"the slave is not connected", PULSE, 0, 12, false},
	    {"its own inputs are", PULSE, 0, 7, true},
	    {"INTA", INTA, 0, 0x27, false},
	};

	(void)state;
	program(0x20, 0x13, MASTER_BASE, 0, 0x01);
	walk(steps, COUNT(steps));
}

/* ---- Spurious and poll ---------------------------------------------------------------------- */

static void spurious_interrupts(void **state)
{
	static const struct step steps[] = {
	    {"INTA with nothing there: IRQ 7", INTA, 0, 0x27, false},
	    {"read ISR", WRITE, 0x20, 0x0b, false},
	    {"without its in-service bit", READ, 0x20, 0x00, false},
	    {"ELCR", WRITE, 0x4d0, 0x20, false},
	    {"a level", RAISE, 0, 5, true},
	    {"gone before INTA", LOWER, 0, 5, false},
	    {"IRQ 7", INTA, 0, 0x27, false},
	    {"11", PULSE, 0, 11, true},
	    {"masked in the slave after the master saw it", WRITE, 0xa1, 0x08, true},
	    {"IRQ 15", INTA, 0, 0x2f, false},
	    {"the master has 2 in service", READ, 0x20, 0x04, false},
	    {"read the slave's ISR", WRITE, 0xa0, 0x0b, false},
	    {"the slave nothing", READ, 0xa0, 0x00, false},
	    {"EOI of the master only", WRITE, 0x20, 0x20, false},
	    {"11 was not lost", WRITE, 0xa1, 0x00, true},
	    {"INTA", INTA, 0, 0x2b, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void polling(void **state)
{
	static const struct step steps[] = {
	    {"poll", WRITE, 0x20, 0x0c, false},
	    {"nothing", READ, 0x20, 0x00, false},
	    {"4", PULSE, 0, 4, true},
	    {"poll", WRITE, 0x20, 0x0c, true},
	    {"acknowledges 4", READ, 0x20, 0x84, false},
	    {"the next read is IRR", READ, 0x20, 0x00, false},
	    {"read ISR", WRITE, 0x20, 0x0b, false},
	    {"4 in service", READ, 0x20, 0x10, false},
	    {"6", PULSE, 0, 6, false},
	    {"poll", WRITE, 0x20, 0x0c, false},
	    {"6 is held back", READ, 0x20, 0x00, false},
	    {"OCW3 without RR: still ISR", READ, 0x20, 0x10, false},
	    {"mask 7", WRITE, 0x21, 0x80, false},
	    {"EOI", WRITE, 0x20, 0x20, true},
	    {"poll", WRITE, 0x20, 0x0c, true},
	    {"port 1 is as good", READ, 0x21, 0x86, false},
	    {"and the mask is read again", READ, 0x21, 0x80, false},
	    {"EOI", WRITE, 0x20, 0x20, false},
	    {"13", PULSE, 0, 13, true},
	    {"poll the slave", WRITE, 0xa0, 0x0c, true},
	    {"13 is its 5; the master has nothing left", READ, 0xa0, 0x85, false},
	    {"9 nests in the slave", PULSE, 0, 9, true},
	    {"14 waits", PULSE, 0, 14, true},
	    {"poll the slave", WRITE, 0xa0, 0x0c, true},
	    {"9 is its 1", READ, 0xa0, 0x81, false},
	    {"EOI", WRITE, 0xa0, 0x20, false},
	    {"EOI: now 14", WRITE, 0xa0, 0x20, true},
	    {"by vector", INTA, 0, 0x2e, false},
	};

	(void)state;
	walk(steps, COUNT(steps));
}

static void unknown_ports_do_nothing(void **state)
{
	static const uint16_t ports[] = {0x1f, 0x22, 0x9f, 0xa2, 0x4cf, 0x4d2, 0x0, 0xffff};
	struct pic before = harness.vm->pic;

	(void)state;
	for (size_t i = 0; i < COUNT(ports); i++) {
		ph_pic_write(harness.vm, ports[i], 0x11);
		assert_int_equal(ph_pic_read(harness.vm, ports[i]), 0xff);
	}
	source_pic_set_pin(harness.vm, PH_PIC_PINS, 0, true);
	source_pic_set_pin(harness.vm, UINT32_MAX, 0, true);
	assert_memory_equal(&before, &harness.vm->pic, sizeof(before));
}

static void random_writes_are_harmless(void **state)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	uint64_t random = 1;

	(void)state;
	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t value;
		uint16_t port;

		random = random * 6364136223846793005u + 1442695040888963407u;
		value = (uint32_t)(random >> 32);
		port = ports[(value >> 8) % COUNT(ports)];
		ph_pic_write(harness.vm, port, (uint8_t)value);
		ph_pic_read(harness.vm, port);
		source_pic_set_pin(harness.vm, value >> 12 & 15, value >> 16 & 31, value >> 22 & 1);
		if (value >> 23 & 1)
			source_pic_acknowledge(harness.vm);
		assert_int_equal(harness.irq_save_depth, 0);
	}
	program_pair(0x01);
	for (uint32_t pin = 0; pin < PH_PIC_PINS; pin++) {
		for (uint32_t user = 0; user < 32; user++)
			source_pic_set_pin(harness.vm, pin, user, false);
	}
	ph_pic_write(harness.vm, 0x4d0, 0);
	program_pair(0x01);
	source_pic_set_pin(harness.vm, 3, 0, true);
	assert_int_equal(source_pic_acknowledge(harness.vm), MASTER_BASE + 3);
}

/* ---- Towards the vCPUs ---------------------------------------------------------------------- */

static void accept_pic(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, APIC_DELIVERY_EXTINT << 8);
	harness_clear_pending(vcpu);
}

static void a_rising_output_is_told_to_those_who_take_it(void **state)
{
	(void)state;
	harness_create(&(struct harness_config){.vcpu_count = 3});
	program_pair(0x01);
	accept_pic(harness_vcpu(0));
	accept_pic(harness_vcpu(2));
	source_pic_set_pin(harness.vm, 1, 0, true);
	assert_int_equal(harness_requests(harness_vcpu(0)), REQUEST_EVENT);
	assert_int_equal(harness_requests(harness_vcpu(1)), 0);
	assert_int_equal(harness_requests(harness_vcpu(2)), REQUEST_EVENT);
	harness_clear_pending(harness_vcpu(0));
	source_pic_set_pin(harness.vm, 0, 0, true);
	assert_int_equal(harness_requests(harness_vcpu(0)), 0);
	assert_int_equal(source_pic_acknowledge(harness.vm), MASTER_BASE);
	assert_int_equal(harness_requests(harness_vcpu(0)), 0);
	ph_pic_write(harness.vm, 0x20, 0x20);
	assert_int_equal(harness_requests(harness_vcpu(0)), REQUEST_EVENT);
}

static void a_sleeper_who_takes_it_is_woken(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	accept_pic(vcpu);
	vcpu->shared.blocked = BLOCKED_YES;
	ph_pic_write(harness.vm, 0x21, 0x01);
	source_pic_set_pin(harness.vm, 0, 0, true);
	assert_int_equal(harness_host(vcpu)->wake_count, 0);
	ph_pic_write(harness.vm, 0x21, 0x00);
	assert_int_equal(harness_host(vcpu)->wake_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_unprogrammed_pair_raises_nothing),
	    TEST(icw1_says_which_words_follow),
	    TEST(icw1_resets_the_modes),
	    TEST(edges),
	    TEST(levels),
	    TEST(elcr_has_fixed_edge_inputs),
	    TEST(the_line_is_the_or_of_its_users),
	    TEST(masking),
	    TEST(fully_nested),
	    TEST(rotation),
	    TEST(automatic_eoi),
	    TEST(special_mask_mode),
	    TEST(the_slave_enters_at_input_2),
	    TEST(the_special_fully_nested_master),
	    TEST(a_special_fully_nested_slave_holds_its_input_2_back),
	    TEST(masking_input_2_masks_the_slave),
	    TEST(a_single_master_has_an_input_2_of_its_own),
	    TEST(spurious_interrupts),
	    TEST(polling),
	    TEST(unknown_ports_do_nothing),
	    TEST(random_writes_are_harmless),
	    TEST(a_rising_output_is_told_to_those_who_take_it),
	    TEST(a_sleeper_who_takes_it_is_woken),
	};

	return cmocka_run_group_tests_name("source_pic", tests, NULL, NULL);
}
