/* SPDX-License-Identifier: MIT */
/* Steps of the KVM oracle: what they touch, their text, and random ones. */
#include "tests/oracle/kvm.h"
#include "x86/apic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_EVERY      16u
#define MSI_DATA_DELIVERY 8

/* ---- What a step needs and touches --------------------------------------------------------- */

static bool is_on(const struct state *state, uint32_t vcpu)
{
	return state->cell[vcpu_cell(vcpu, VCPU_BASE)] & APIC_BASE_ENABLE;
}

static bool is_x2apic(const struct state *state, uint32_t vcpu)
{
	return state->cell[vcpu_cell(vcpu, VCPU_BASE)] & APIC_BASE_X2APIC;
}

static bool is_waiting(const struct state *state, uint32_t vcpu)
{
	return state->cell[vcpu_cell(vcpu, VCPU_WAITS)];
}

static int highest(const struct state *state, uint32_t vcpu, uint32_t reg)
{
	for (int word = 7; word >= 0; word--) {
		uint32_t bits = (uint32_t)state_reg(state, vcpu, reg + (uint32_t)word * 16);

		if (bits)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

static bool is_event(uint32_t delivery)
{
	return delivery > APIC_DELIVERY_LOWEST;
}

/* KVM asks the IOAPIC which vectors concern it when the vCPU is about to run, so it must. */
static bool ends_level(const struct step *step, const struct state *state)
{
	int vector = highest(state, step->vcpu, APIC_ISR);

	return strchr("Ww", step->op) && step->where == APIC_EOI && vector >= 0 &&
	       state_reg(state, step->vcpu, APIC_TMR + (uint32_t)vector / 32 * 16) >> vector % 32 &
	           1;
}

bool step_needs_guest(const struct step *step, const struct state *state)
{
	return strchr("wrBioucC", step->op) || ends_level(step, state);
}

/* Does the EOI of a level end the vector of an edge-triggered pin whose message is an event?  KVM
 * sends that again (resends_edges_at_eoi()). */
static bool resends_event(const struct step *step, const struct state *state)
{
	int vector = highest(state, step->vcpu, APIC_ISR);

	for (uint32_t pin = 0; ends_level(step, state) && pin < ORACLE_PINS; pin++) {
		uint64_t entry = state->cell[CELL_IOAPIC + pin];

		if ((int)(entry & IOAPIC_RTE_VECTOR_MASK) == vector &&
		    !(entry & (IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED)) &&
		    is_event(entry >> IOAPIC_RTE_DELIVERY_SHIFT & 7))
			return true;
	}
	return false;
}

/* An NMI, SMI or INIT of the vCPU that sends it would meet the guest in the middle of the step. */
static bool stops_itself(const struct step *step, const struct state *state)
{
	uint32_t delivery = (uint32_t)step->value >> APIC_ICR_DELIVERY_SHIFT & 7;

	if (resends_event(step, state))
		return true;
	return step->op == 'w' && step->where == APIC_ICR && is_event(delivery) &&
	       ((uint32_t)step->value & APIC_ICR_SHORTHAND_MASK) >> APIC_ICR_SHORTHAND_SHIFT !=
	           APIC_SHORTHAND_OTHERS;
}

/* An input that becomes level-triggered while it has latched an edge, or with its line high. */
static bool is_odd_elcr(const struct step *step, const struct state *state)
{
	const uint64_t *cells = state->cell + CELL_PIC + (step->where & 1) * 16;

	return step->op == 'c' && step->where >= 0x4d0 &&
	       (cells[0] ^ cells[1]) & step->value & ~cells[14];
}

/* An image that no APIC could have: masks belong to SVR, the count to the timer's mode. */
static bool is_odd_image(const struct step *step, const struct state *state)
{
	uint64_t differing = step->value ^ state_reg(state, step->vcpu, step->where);
	bool is_enabled = state_reg(state, step->vcpu, APIC_SVR) & APIC_SVR_ENABLE;
	bool is_lvt = step->where >= APIC_LVT_TIMER && step->where <= APIC_LVT_ERROR;

	if (step->op != 'p')
		return false;
	return (is_lvt && !is_enabled && !(step->value & APIC_LVT_MASKED)) ||
	       (step->where == APIC_LVT_TIMER && differing & APIC_LVT_TIMER_MASK) ||
	       (step->where == APIC_SVR && differing & APIC_SVR_ENABLE);
}

bool step_applies(const struct shape *shape, const struct step *step, const struct state *state)
{
	if (step->vcpu >= shape->vcpu_count || !strchr(STEP_LETTERS, step->op))
		return false;
	if (step_needs_guest(step, state) &&
	    (is_waiting(state, step->vcpu) || stops_itself(step, state)))
		return false;
	if (is_odd_elcr(step, state) || is_odd_image(step, state))
		return false;
	if (step->op == 'w' || step->op == 'r')
		return is_on(state, step->vcpu) && !is_x2apic(state, step->vcpu);
	/* A disabled APIC has no image that could be loaded. */
	return step->op != 'p' || is_on(state, step->vcpu);
}

struct reading reading_all(const struct shape *shape)
{
	uint8_t all = (uint8_t)((1u << shape->vcpu_count) - 1);

	return (struct reading){all, all, true, true};
}

/* Can it send an NMI, an SMI, INIT or a start-up IPI, or change IA32_APIC_BASE? */
static bool may_send_event(const struct step *step, const struct state *before)
{
	switch (step->op) {
	case 'm':
		return is_event(step->where >> MSI_DATA_DELIVERY & 7);
	case 'W':
	case 'w':
		return ends_level(step, before) ||
		       (step->where == APIC_ICR &&
		           is_event((uint32_t)step->value >> APIC_ICR_DELIVERY_SHIFT & 7));
	default: /* an INIT that waited for an APIC is taken when it is enabled */
		return strchr("lB", step->op);
	}
}

struct reading step_reading(
    const struct shape *shape, const struct step *step, const struct state *before, uint32_t index)
{
	struct reading reading = reading_all(shape);

	if (index % EVENTS_EVERY != EVENTS_EVERY - 1 && !may_send_event(step, before))
		reading.events = 0;
	return reading;
}

struct cells reading_part(const struct reading *reading, uint32_t i)
{
	uint32_t vcpu = i / 2;

	if (i == READING_PARTS - 1)
		return (struct cells){CELL_RESULT, 1};
	if (i == READING_PARTS - 2)
		return (struct cells){CELL_PIC, reading->pics ? PIC_CELLS : 0};
	if (i == READING_PARTS - 3)
		return (struct cells){CELL_IOAPIC, reading->ioapic ? IOAPIC_CELLS : 0};
	if (i % 2)
		return (struct cells){vcpu_cell(vcpu, VCPU_BASE),
		    reading->events >> vcpu & 1 ? VCPU_CELLS - VCPU_BASE : 0};
	return (struct cells){vcpu_cell(vcpu, 0), reading->registers >> vcpu & 1 ? VCPU_BASE : 0};
}

/* ---- Routes -------------------------------------------------------------------------------- */

/* Bits 1:0 the type; 15:8 and 23:16 the pins, 0xff none; an MSI's address 31:8, its data 63:32. */
struct route route_of(uint64_t value)
{
	return (struct route){
	    .type = (enum route_type)(value & 3),
	    .ioapic_pin = (int8_t)(value >> 8),
	    .pic_pin = (int8_t)(value >> 16),
	    .address = (uint32_t)MSI_ADDRESS_BASE | ((uint32_t)(value >> 8) & 0xfffffcu & 0xfffffu),
	    .data = (uint32_t)(value >> 32),
	};
}

static uint64_t route_pins(int ioapic_pin, int pic_pin)
{
	return ROUTE_PINS | (uint64_t)(uint8_t)ioapic_pin << 8 | (uint64_t)(uint8_t)pic_pin << 16;
}

uint64_t route_default(uint32_t gsi)
{
	if (gsi >= ORACLE_PINS)
		return ROUTE_MSI | (uint64_t)(gsi % 4) << 20 | (uint64_t)(0x30 + gsi) << 32;
	return route_pins(gsi ? (int)gsi : 2, gsi < 16 && gsi != 2 ? (int)gsi : -1);
}

/* ---- Text ---------------------------------------------------------------------------------- */

int step_print(char *text, size_t size, const struct step *step)
{
	return snprintf(text, size, "%c%u %x %llx", step->op, step->vcpu, step->where,
	    (unsigned long long)step->value);
}

bool step_parse(const char *text, struct step *step)
{
	char *end;

	if (!text[0] || !strchr(STEP_LETTERS, text[0]))
		return false;
	step->op = text[0];
	step->vcpu = (uint8_t)strtoul(text + 1, &end, 10);
	step->where = (uint32_t)strtoul(end, &end, 16);
	step->value = strtoull(end, NULL, 16);
	return true;
}

void cell_print(char *text, size_t size, uint32_t cell)
{
	static const char *const others[] = {"base", "waits", "start", "nmi", "smi"};
	uint32_t own = cell % VCPU_CELLS;

	if (cell == CELL_RESULT)
		snprintf(text, size, "the result");
	else if (cell >= CELL_PIC)
		snprintf(text, size, "8259 %u's image byte %u", (cell - CELL_PIC) / 16,
		    (cell - CELL_PIC) % 16);
	else if (cell >= CELL_IOAPIC + ORACLE_PINS)
		snprintf(text, size, "IOAPIC's %s",
		    (const char *const[]){
		        "lines", "ID", "select"}[cell - CELL_IOAPIC - ORACLE_PINS]);
	else if (cell >= CELL_IOAPIC)
		snprintf(text, size, "IOAPIC entry %u", cell - CELL_IOAPIC);
	else if (own >= VCPU_BASE)
		snprintf(text, size, "vCPU %u's %s", cell / VCPU_CELLS, others[own - VCPU_BASE]);
	else
		snprintf(text, size, "vCPU %u's register %03x", cell / VCPU_CELLS, own * 16);
}

/* ---- Random steps -------------------------------------------------------------------------- */

uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t random_below(struct random *random, uint32_t bound)
{
	return (uint32_t)((random_next(random) >> 32) * bound >> 32);
}

static bool one_in(struct random *random, uint32_t n)
{
	return random_below(random, n) == 0;
}

struct shape shape_choose(struct random *random, uint32_t vcpu_count)
{
	static const uint8_t counts[] = {1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8};
	static const uint32_t steps[] = {1, 1, 1, 4, 16, 17};
	struct shape shape = {
	    .vcpu_count = vcpu_count ? vcpu_count : counts[random_below(random, 12)],
	    .apic_id_step = steps[random_below(random, 6)],
	    .wide_ids = random_below(random, 2) != 0,
	    .mode = MODES_X2APIC,
	};
	uint32_t mode = random_below(random, 32);

	if (mode >= 28)
		shape.mode = mode == 31 ? MODES_MIXED : MODES_XAPIC;

	if (shape.wide_ids && one_in(random, 4))
		shape.apic_id_step = 40; /* the eighth is above 255 */
	return shape;
}

/* Few vectors, so that they meet; now and then any. */
static uint8_t choose_vector(struct random *random)
{
	static const uint8_t few[] = {0x20, 0x21, 0x31, 0x51, 0x52, 0x6f, 0x81, 0xa3, 0xf0, 0xfe};

	return one_in(random, 6) ? (uint8_t)random_next(random) : few[random_below(random, 10)];
}

static uint32_t choose_id(struct random *random, const struct shape *shape)
{
	switch (random_below(random, 16)) {
	case 0:
		return (uint32_t)random_next(random) & 0xff;
	case 1:
		return 0xff;
	default:
		return random_below(random, shape->vcpu_count) * shape->apic_id_step;
	}
}

static uint32_t choose_logical(struct random *random, const struct shape *shape, bool is_x2apic)
{
	uint32_t id = choose_id(random, shape);

	if (one_in(random, 12))
		return is_x2apic ? UINT32_MAX : 0xff;
	if (!is_x2apic)
		return (uint32_t)random_next(random) & 0xff;
	return id >> 4 << 16 |
	       (one_in(random, 2) ? 1u << (id & 15) : (uint32_t)random_next(random) & 0xffff);
}

static uint32_t choose_delivery(struct random *random)
{
	uint32_t choice = random_below(random, 256);

	if (choice < 176)
		return APIC_DELIVERY_FIXED;
	if (choice < 224)
		return APIC_DELIVERY_LOWEST;
	/* INIT forgets all that there is: seldom.  KVM ignores messages of ExtINT: none. */
	return choice < 226   ? APIC_DELIVERY_INIT
	       : choice < 232 ? APIC_DELIVERY_RESERVED
	       : choice < 240 ? APIC_DELIVERY_STARTUP
	       : choice < 248 ? APIC_DELIVERY_SMI
	                      : APIC_DELIVERY_NMI;
}

static struct step choose_icr(
    struct random *random, const struct shape *shape, const struct state *state, uint8_t vcpu)
{
	bool is_x2 = is_x2apic(state, vcpu);
	uint32_t logical = random_below(random, 3) == 0;
	uint32_t low = choose_vector(random) | choose_delivery(random) << APIC_ICR_DELIVERY_SHIFT |
	               logical * APIC_ICR_LOGICAL;
	uint32_t high = logical ? choose_logical(random, shape, is_x2) : choose_id(random, shape);

	if (one_in(random, 2))
		low |= random_below(random, 4) << APIC_ICR_SHORTHAND_SHIFT;
	if (!one_in(random, 4))
		low |= APIC_ICR_ASSERT;
	if (one_in(random, 8))
		low |= APIC_ICR_LEVEL;
	if (one_in(random, 64)) /* reserved bits */
		low |= (uint32_t)random_next(random) & 0xfff33000;
	if (!is_x2 && one_in(random, 2))
		return (struct step){'w', vcpu, APIC_ICR2, high << 24};
	return (struct step){
	    is_x2 ? 'W' : 'w', vcpu, APIC_ICR, is_x2 ? (uint64_t)high << 32 | low : low};
}

static uint32_t choose_lvt(struct random *random, uint32_t reg)
{
	uint32_t value = choose_vector(random);

	if (one_in(random, 2))
		value |= APIC_LVT_MASKED;
	if (reg == APIC_LVT_TIMER)
		return value | random_below(random, 3) << 17;
	if (reg != APIC_LVT_ERROR)
		value |= random_below(random, 8) << 8;
	if (reg == APIC_LVT_LINT0 && one_in(random, 2))
		value = (value & ~0x700u & ~APIC_LVT_MASKED) | APIC_DELIVERY_EXTINT << 8;
	if ((reg == APIC_LVT_LINT0 || reg == APIC_LVT_LINT1) && one_in(random, 3))
		value |= (uint32_t)random_next(random) & (APIC_LVT_POLARITY | APIC_LVT_LEVEL);
	return value;
}

/* One bit for each CPU in either model, unless odd ones are wanted. */
static uint32_t choose_ldr(struct random *random, const struct shape *shape)
{
	uint32_t index = random_below(random, shape->vcpu_count);

	if (one_in(random, 8))
		return random_below(random, 256) << 24;
	return (one_in(random, 3) ? index / 4 << 4 | 1u << index % 4 : 1u << index) << 24;
}

static uint64_t choose_value(struct random *random, const struct shape *shape, uint32_t reg)
{
	if (one_in(random, 48))
		return random_next(random) >> random_below(random, 64);
	switch (reg) {
	case APIC_ID:
		return (uint64_t)choose_id(random, shape) << 24;
	case APIC_TPR:
		return one_in(random, 12) ? random_next(random) & 0xff
		                          : random_below(random, 16) << 4;
	case APIC_LDR:
		return choose_ldr(random, shape);
	case APIC_DFR:
		return one_in(random, 3) ? APIC_DFR_CLUSTER : APIC_DFR_FLAT;
	case APIC_SVR:
		return choose_vector(random) | (one_in(random, 6) ? 0 : APIC_SVR_ENABLE) |
		       (one_in(random, 8) ? APIC_SVR_FOCUS_OFF : 0);
	case APIC_LVT_TIMER:
	case APIC_LVT_THERM:
	case APIC_LVT_PMC:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		return choose_lvt(random, reg);
	case APIC_TMICT: /* so long that it never ends */
		return one_in(random, 3) ? 0 : 0xfff00000u | random_below(random, 0xfffff);
	case APIC_TDCR:
		return random_next(random) & 0xb;
	case APIC_SELF_IPI:
		return choose_vector(random);
	default:
		return 0;
	}
}

/* Registers by how often they are written and read. */
static uint32_t choose_register(struct random *random)
{
	static const uint16_t often[] = {APIC_TPR, APIC_TPR, APIC_TPR, APIC_SELF_IPI, APIC_SELF_IPI,
	    APIC_SELF_IPI, APIC_SVR, APIC_LVT_TIMER, APIC_LVT_THERM, APIC_LVT_PMC, APIC_LVT_LINT0,
	    APIC_LVT_LINT1, APIC_LVT_ERROR, APIC_TDCR, APIC_TMICT, APIC_ESR, APIC_LDR, APIC_DFR,
	    APIC_ID};

	if (one_in(random, 16))
		return random_below(random, 64) * 16;
	return often[random_below(random, sizeof(often) / sizeof(often[0]))];
}

static struct step choose_write(
    struct random *random, const struct shape *shape, const struct state *state, uint8_t vcpu)
{
	uint32_t reg = choose_register(random);
	uint64_t value = choose_value(random, shape, reg);

	/* A short count would end while we look. */
	if (reg == APIC_TMICT && (uint32_t)value)
		value |= 0xf0000000u;
	if (reg == APIC_ICR || reg == APIC_EOI)
		reg = APIC_TPR;
	if (is_x2apic(state, vcpu) || !is_on(state, vcpu) || one_in(random, 64))
		return (struct step){'W', vcpu, reg, value};
	return (struct step){'w', vcpu, reg, (uint32_t)value};
}

static struct step choose_read(struct random *random, const struct state *state, uint8_t vcpu)
{
	uint32_t reg = one_in(random, 2) ? random_below(random, 64) * 16 : choose_register(random);

	if (reg == APIC_TMCCT)
		reg = APIC_PPR;
	if (is_x2apic(state, vcpu) || !is_on(state, vcpu) || one_in(random, 64))
		return (struct step){'R', vcpu, reg, 0};
	return (struct step){'r', vcpu, reg, 0};
}

/* Registers that an image changes here; the count, the ID and the errors have tales of their own.
 */
static bool has_image(uint32_t reg, bool is_x2)
{
	if (reg == APIC_LDR)
		return !is_x2;
	return reg == APIC_TPR || reg == APIC_SVR ||
	       (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR);
}

/* Bits that an image can have in a register. */
static uint32_t image_mask(uint32_t reg)
{
	switch (reg) {
	case APIC_TPR:
		return 0xff;
	case APIC_LDR:
		return 0xff000000;
	case APIC_SVR:
		return 0x3ff;
	case APIC_LVT_TIMER:
		return 0x700ff;
	case APIC_LVT_ERROR:
		return 0x100ff;
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
		return 0x1a7ff;
	default: /* thermal, performance */
		return 0x107ff;
	}
}

static struct step choose_image(
    struct random *random, const struct shape *shape, const struct state *state, uint8_t vcpu)
{
	static const uint16_t sets[] = {APIC_ISR, APIC_TMR, APIC_IRR};
	uint32_t vector = 16 + random_below(random, 240);
	uint32_t reg, value;

	if (one_in(random, 2)) {
		reg = sets[random_below(random, 3)] + vector / 32 * 16;
		return (struct step){
		    'p', vcpu, reg, (uint32_t)state_reg(state, vcpu, reg) ^ 1u << vector % 32};
	}
	do
		reg = choose_register(random);
	while (!has_image(reg, is_x2apic(state, vcpu)));
	value = (uint32_t)choose_value(random, shape, reg) & image_mask(reg);
	if (reg == APIC_LVT_TIMER) /* the count belongs to the mode */
		value = (value & ~APIC_LVT_TIMER_MASK) |
		        ((uint32_t)state_reg(state, vcpu, reg) & APIC_LVT_TIMER_MASK);
	if (reg == APIC_SVR) /* the LVT's masks belong to it */
		value = (value & ~APIC_SVR_ENABLE) |
		        ((uint32_t)state_reg(state, vcpu, APIC_SVR) & APIC_SVR_ENABLE);
	if (reg >= APIC_LVT_TIMER && !(state_reg(state, vcpu, APIC_SVR) & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASKED;
	return (struct step){'p', vcpu, reg, value};
}

static struct step choose_msi(struct random *random, const struct shape *shape, uint8_t vcpu)
{
	bool is_logical = one_in(random, 3);
	uint32_t id = is_logical ? choose_logical(random, shape, false) : choose_id(random, shape);
	uint32_t data = choose_vector(random) | choose_delivery(random) << MSI_DATA_DELIVERY;

	if (one_in(random, 8))
		data |= (uint32_t)random_next(random) & (MSI_DATA_ASSERT | MSI_DATA_LEVEL);
	return (struct step){'m', vcpu, data,
	    MSI_ADDRESS_BASE | (id & 0xff) << MSI_ADDRESS_DEST_SHIFT |
	        (is_logical ? MSI_ADDRESS_LOGICAL : 0) |
	        (one_in(random, 4) ? MSI_ADDRESS_REDIRECT : 0)};
}

static uint64_t choose_entry(struct random *random, const struct shape *shape)
{
	bool is_logical = one_in(random, 3);
	uint64_t id =
	    (is_logical ? choose_logical(random, shape, false) : choose_id(random, shape)) & 0xff;

	uint64_t delivery = choose_delivery(random);
	bool is_level = one_in(random, 2) && delivery <= APIC_DELIVERY_LOWEST;

	return choose_vector(random) | delivery << IOAPIC_RTE_DELIVERY_SHIFT |
	       (is_logical ? IOAPIC_RTE_LOGICAL : 0) |
	       (one_in(random, 4) ? IOAPIC_RTE_ACTIVE_LOW : 0) | (is_level ? IOAPIC_RTE_LEVEL : 0) |
	       (one_in(random, 4) ? IOAPIC_RTE_MASKED : 0) | id << IOAPIC_RTE_DEST_SHIFT;
}

static struct step choose_ioapic(struct random *random, const struct shape *shape, uint8_t vcpu)
{
	uint64_t entry = choose_entry(random, shape);
	uint32_t index = IOAPIC_TABLE + random_below(random, 2 * ORACLE_PINS);

	if (one_in(random, 16))
		index = random_below(random, 0x48);
	if (one_in(random, 3))
		return (struct step){'u', vcpu, index, 0};
	return (struct step){'o', vcpu, index, index & 1 ? entry >> 32 : (uint32_t)entry};
}

static struct step choose_ioapic_image(
    struct random *random, const struct shape *shape, const struct state *state, uint8_t vcpu)
{
	uint32_t pin = random_below(random, ORACLE_PINS);
	uint64_t entry = choose_entry(random, shape);
	uint64_t before = state->cell[CELL_IOAPIC + pin];

	if (one_in(random, 12))
		return (struct step){'O', vcpu, IOAPIC_IMAGE_ID, random_below(random, 16)};
	if (entry & IOAPIC_RTE_LEVEL && before & IOAPIC_RTE_LEVEL)
		entry |= before & IOAPIC_RTE_REMOTE_IRR;
	return (struct step){'O', vcpu, pin, entry};
}

static struct step choose_pic(struct random *random, uint8_t vcpu)
{
	static const uint16_t ports[] = {
	    0x20, 0x20, 0x21, 0x21, 0xa0, 0xa0, 0xa1, 0xa1, 0x4d0, 0x4d1};
	uint32_t port = ports[random_below(random, 10)];
	uint8_t value = (uint8_t)random_next(random);

	if (one_in(random, 4))
		return (struct step){'C', vcpu, port, 0};
	if (!(port & 1) && port < 0x100 && !one_in(random, 12))
		value &= 0xef; /* ICW1 seldom */
	if (!(port & 1) && port < 0x100 && one_in(random, 3))
		value = 0x20;
	if (!(port & 1) && port < 0x100 && value & 0x10)
		value &= 0xf5; /* neither single nor level */
	return (struct step){'c', vcpu, port, value};
}

static struct step choose_pic_image(struct random *random, uint8_t vcpu)
{
	/* Bytes of struct kvm_pic_state and the values that they can have. */
	static const struct {
		uint8_t byte, mask;
	} fields[] = {{2, 0xff}, {2, 0xff}, {3, 0xff}, {4, 7}, {5, 0xf8}, {6, 1}, {7, 1}, {8, 1},
	    {10, 1}, {11, 1}, {12, 1}};
	uint32_t field = random_below(random, sizeof(fields) / sizeof(fields[0]));
	uint32_t chip = random_below(random, 2);
	uint8_t mask = fields[field].mask;

	return (struct step){
	    'P', vcpu, chip * 16 + fields[field].byte, (uint8_t)random_next(random) & mask};
}

static struct step choose_base(struct random *random, const struct state *state, uint8_t vcpu)
{
	uint64_t now = state->cell[vcpu_cell(vcpu, VCPU_BASE)];
	uint64_t mode = (uint64_t)random_below(random, 4) << 10;

	if (!one_in(random, 4))
		mode =
		    now & APIC_BASE_ENABLE ? APIC_BASE_ENABLE | APIC_BASE_X2APIC : APIC_BASE_ENABLE;
	return (struct step){'B', vcpu, 0, (now & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC)) | mode};
}

static struct step choose_route(struct random *random, const struct shape *shape, uint8_t vcpu)
{
	uint32_t gsi = random_below(random, ORACLE_GSIS);
	struct step msi = choose_msi(random, shape, vcpu);

	switch (random_below(random, 5)) {
	case 0:
		return (struct step){'g', vcpu, gsi, ROUTE_NONE};
	case 1:
		return (struct step){'g', vcpu, gsi,
		    ROUTE_MSI | (msi.value & 0xffffc) << 8 | (uint64_t)(msi.where & 0x7ff) << 32};
	case 2:
		return (struct step){'g', vcpu, gsi,
		    route_pins((int)random_below(random, ORACLE_PINS),
		        one_in(random, 2) ? 8 + (int)random_below(random, 8) : -1)};
	default:
		return (struct step){'g', vcpu, gsi, route_default(gsi)};
	}
}

/* The first steps: the other vCPUs started, the APICs on, most in x2APIC mode. */
static bool choose_prologue(const struct shape *shape, uint32_t index, struct random *random,
    const struct state *state, struct step *step)
{
	uint32_t own = index - 2;
	uint8_t vcpu = (uint8_t)(own / 2 % ORACLE_VCPU_MAX);

	if (index < 2) {
		*step = (struct step){'w', 0, APIC_ICR, index ? 0xc4610 : 0xc4500};
		return true;
	}
	if (own / 2 >= shape->vcpu_count)
		return false;
	*step =
	    (struct step){'B', vcpu, 0, state->cell[vcpu_cell(vcpu, VCPU_BASE)] | APIC_BASE_X2APIC};
	if (own % 2 || shape->mode == MODES_XAPIC ||
	    (shape->mode == MODES_MIXED && one_in(random, 2)))
		*step = (struct step){is_x2apic(state, vcpu) ? 'W' : 'w', vcpu, APIC_SVR, 0x1ff};
	return true;
}

static struct step choose_eoi(const struct state *state, uint8_t vcpu)
{
	return (struct step){is_x2apic(state, vcpu) ? 'W' : 'w', vcpu, APIC_EOI, 0};
}

/* The way back into the mode that the VM is in, with the mode's tables filled. */
static bool choose_return(struct random *random, const struct shape *shape,
    const struct state *state, uint8_t vcpu, struct step *step)
{
	uint64_t now = state->cell[vcpu_cell(vcpu, VCPU_BASE)];
	uint64_t mode = now & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	uint64_t wanted = APIC_BASE_ENABLE | (shape->mode == MODES_X2APIC ? APIC_BASE_X2APIC : 0);

	if (shape->mode == MODES_MIXED || mode == wanted || !one_in(random, 4))
		return false;
	if (mode == (APIC_BASE_ENABLE | APIC_BASE_X2APIC))
		wanted = 0;
	else if (mode == 0)
		wanted = APIC_BASE_ENABLE;
	*step = (struct step){'B', vcpu, 0, (now & ~mode) | wanted};
	return true;
}

/* Somebody waits for a start-up IPI: that would be all, for the rest of the sequence. */
static bool choose_start(
    struct random *random, const struct shape *shape, const struct state *state, struct step *step)
{
	for (uint8_t vcpu = 0; vcpu < shape->vcpu_count; vcpu++) {
		if (!is_waiting(state, vcpu) || !one_in(random, 8))
			continue;
		*step = is_x2apic(state, 0) ? (struct step){'W', 0, APIC_ICR, 0xc4611}
		                            : (struct step){'w', 0, APIC_ICR, 0xc4611};
		return true;
	}
	return false;
}

struct step step_choose(
    struct random *random, const struct shape *shape, const struct state *state, uint32_t index)
{
	uint8_t vcpu = (uint8_t)random_below(random, shape->vcpu_count);
	uint32_t choice = random_below(random, 100);
	bool is_serving = highest(state, vcpu, APIC_ISR) >= 0;
	struct step step;

	if (choose_prologue(shape, index, random, state, &step) ||
	    choose_start(random, shape, state, &step) ||
	    choose_return(random, shape, state, vcpu, &step))
		return step;
	if (choice < 28)
		return choose_write(random, shape, state, vcpu);
	if (choice < 34)
		return choose_read(random, state, vcpu);
	if (choice < 52)
		return choose_icr(random, shape, state, vcpu);
	if (choice < 64)
		return choose_msi(random, shape, vcpu);
	if (choice < 72)
		return (struct step){'l', vcpu,
		    random_below(random, one_in(random, 3) ? ORACLE_GSIS : 12),
		    random_below(random, 2)};
	if (choice < 86)
		return is_serving || one_in(random, 8) ? choose_eoi(state, vcpu)
		                                       : (struct step){'i', vcpu, 0, 0};
	if (choice < 90)
		return choose_image(random, shape, state, vcpu);
	if (choice < 92)
		return choose_ioapic(random, shape, vcpu);
	if (choice < 94)
		return choose_ioapic_image(random, shape, state, vcpu);
	if (choice < 96)
		return choose_pic(random, vcpu);
	if (choice < 98)
		return choose_pic_image(random, vcpu);
	if (choice < 99 || one_in(random, 4))
		return choose_base(random, state, vcpu);
	return choose_route(random, shape, vcpu);
}
