/* SPDX-License-Identifier: MIT */
/* The table of differences between core/ and Linux KVM's interrupt controllers. */
#include "tests/oracle/kvm.h"
#include "x86/apic.h"

#include <string.h>

/* ---- Left out of the comparison ------------------------------------------------------------ */

static uint64_t register_mask(const struct state *state, uint32_t vcpu, uint32_t offset)
{
	uint64_t base = state->cell[vcpu_cell(vcpu, VCPU_BASE)];

	/* No guest can read a register of a disabled APIC. */
	if (!(base & APIC_BASE_ENABLE))
		return 0;
	/* Reserved in xAPIC mode; KVM may have more there from x2APIC mode. */
	if (!(base & APIC_BASE_X2APIC) && (offset == APIC_LDR || offset == APIC_ICR2))
		return 0xff000000;
	return UINT64_MAX;
}

uint64_t cell_mask(const struct state *state, uint32_t cell)
{
	uint64_t mask = UINT64_MAX;

	if (cell < CELL_IOAPIC && cell % VCPU_CELLS < VCPU_BASE)
		return register_mask(state, cell / VCPU_CELLS, cell % VCPU_CELLS * 16);
	/* Of edge-triggered pins KVM hands out the line only until the edge was sent. */
	for (uint32_t pin = 0; cell == CELL_IOAPIC + IOAPIC_IMAGE_IRR && pin < ORACLE_PINS; pin++) {
		if (!(state->cell[CELL_IOAPIC + pin] & IOAPIC_RTE_LEVEL))
			mask &= ~(1ull << pin);
	}
	/* The cascade is no line that anyone drives: KVM pulses it, core/ holds it. */
	return cell == CELL_PIC ? ~4ull : mask;
}

/* ---- What a step is ------------------------------------------------------------------------- */

static bool is_irr(uint32_t reg)
{
	return reg >= APIC_IRR && reg < APIC_ESR;
}

static bool is_tmr(uint32_t reg)
{
	return reg >= APIC_TMR && reg < APIC_IRR;
}

/* Bits that only one side has. */
static uint64_t differing(const struct difference_case *c)
{
	return c->ours ^ c->theirs;
}

static uint64_t base_before(const struct difference_case *c, uint32_t vcpu)
{
	return c->before->cell[vcpu_cell(vcpu, VCPU_BASE)];
}

static bool was_x2apic(const struct difference_case *c, uint32_t vcpu)
{
	return base_before(c, vcpu) & APIC_BASE_X2APIC;
}

static bool is_icr(const struct difference_case *c)
{
	return c->step->where == APIC_ICR && (c->step->op == 'W' || c->step->op == 'w');
}

static uint32_t icr_shorthand(const struct difference_case *c)
{
	return (uint32_t)c->step->value >> APIC_ICR_SHORTHAND_SHIFT & 3;
}

static uint32_t icr_delivery(const struct difference_case *c)
{
	return (uint32_t)c->step->value >> APIC_ICR_DELIVERY_SHIFT & 7;
}

static bool is_eoi(const struct difference_case *c)
{
	return c->step->where == APIC_EOI && (c->step->op == 'W' || c->step->op == 'w');
}

/* An IPI, an MSI, or what the pin of a line sends. */
struct message {
	uint32_t vector, delivery, destination;
	bool is_logical, is_redirectable;
};

static struct message ipi_of(const struct difference_case *c)
{
	uint32_t low = (uint32_t)c->step->value;
	bool is_wide = c->step->op == 'W';

	return (struct message){
	    .vector = low & 0xff,
	    .delivery = icr_delivery(c),
	    .destination = is_wide ? (uint32_t)(c->step->value >> 32)
	                           : (uint32_t)state_reg(c->before, c->step->vcpu, APIC_ICR2) >> 24,
	    .is_logical = low & APIC_ICR_LOGICAL,
	};
}

static struct message msi_of(uint64_t address, uint32_t data)
{
	return (struct message){
	    .vector = data & 0xff,
	    .delivery = data >> 8 & 7,
	    .destination = (uint32_t)address >> MSI_ADDRESS_DEST_SHIFT & 0xff,
	    .is_logical = address & MSI_ADDRESS_LOGICAL,
	    .is_redirectable = address & MSI_ADDRESS_REDIRECT,
	};
}

static struct message pin_message_of(uint64_t entry)
{
	return (struct message){
	    .vector = entry & 0xff,
	    .delivery = entry >> IOAPIC_RTE_DELIVERY_SHIFT & 7,
	    .destination = (uint32_t)(entry >> IOAPIC_RTE_DEST_SHIFT) & 0xff,
	    .is_logical = entry & IOAPIC_RTE_LOGICAL,
	};
}

/* False: the step sends no single message; IOAPIC pins may send by an EOI or a write. */
static bool message_of(const struct difference_case *c, struct message *message)
{
	struct route route;

	if (is_icr(c)) {
		*message = ipi_of(c);
		return true;
	}
	if (c->step->op == 'm') {
		*message = msi_of(c->step->value, c->step->where);
		return true;
	}
	route = route_of(c->step->op == 'l' ? c->routes[c->step->where % ORACLE_GSIS] : ROUTE_NONE);
	if (route.type == ROUTE_MSI)
		*message = msi_of(route.address, route.data);
	else if (route.type == ROUTE_PINS && route.ioapic_pin >= 0)
		*message =
		    pin_message_of(c->before->cell[CELL_IOAPIC + (uint32_t)route.ioapic_pin]);
	else
		return false;
	return true;
}

/* Of one message; what pins send by an EOI or a write is taken for fixed. */
static uint32_t message_delivery(const struct difference_case *c)
{
	struct message message;

	return message_of(c, &message) ? message.delivery : APIC_DELIVERY_FIXED;
}

/* IRR, TMR, or an event: what a message can do to its target. */
static bool is_arrival(const struct difference_case *c)
{
	uint32_t own = c->cell % VCPU_CELLS, delivery = message_delivery(c);

	if (c->vcpu == UINT32_MAX)
		return false;
	return is_irr(c->reg) || is_tmr(c->reg) || own == VCPU_NMI || own == VCPU_SMI ||
	       delivery == APIC_DELIVERY_INIT || delivery == APIC_DELIVERY_STARTUP;
}

/* Lines, EOIs and writes to the IOAPIC: pins send. */
static bool is_ioapic_step(const struct difference_case *c)
{
	return strchr("loOg", c->step->op) || is_eoi(c);
}

/* A level that was accepted on one side alone. */
static bool is_acceptance(const struct difference_case *c)
{
	return c->cell >= CELL_IOAPIC && c->cell < CELL_IOAPIC + ORACLE_PINS &&
	       differing(c) == IOAPIC_RTE_REMOTE_IRR;
}

/* In this word of IRR or TMR, the bits of vectors that pins send in this delivery mode. */
static uint64_t bits_of_pins(const struct difference_case *c, uint32_t delivery)
{
	uint64_t bits = 0;

	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++) {
		uint64_t entry = c->after->cell[CELL_IOAPIC + pin];

		if ((entry >> IOAPIC_RTE_DELIVERY_SHIFT & 7) == delivery &&
		    (entry & 0xff) / 32 == (c->reg >> 4 & 7))
			bits |= 1ull << entry % 32;
	}
	return bits;
}

static bool has_entry_of(const struct difference_case *c, uint32_t delivery)
{
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++) {
		uint64_t entry = c->after->cell[CELL_IOAPIC + pin];

		if ((entry >> IOAPIC_RTE_DELIVERY_SHIFT & 7) == delivery)
			return true;
	}
	return false;
}

/* ---- The table ----------------------------------------------------------------------------- */

static bool has_no_errors(const struct difference_case *c)
{
	if (c->cell == CELL_RESULT)
		return c->step->where == APIC_ESR && strchr("Rr", c->step->op) && c->ours;
	return c->reg == APIC_ESR;
}

/* The bit of the error entry's interrupt, which core/ raises with the first error, in this word. */
static uint64_t error_bit(const struct difference_case *c)
{
	uint64_t lvt = state_reg(c->before, c->vcpu, APIC_LVT_ERROR);

	if (lvt & APIC_LVT_MASKED || (lvt & 0xff) / 32 != (c->reg >> 4 & 7))
		return 0;
	return 1ull << lvt % 32;
}

static bool has_no_error_interrupt(const struct difference_case *c)
{
	return (is_irr(c->reg) || is_tmr(c->reg)) && !(differing(c) & ~error_bit(c));
}

/* How many CPUs have the vector requested that had not, in this state. */
static uint32_t arrival_count(
    const struct difference_case *c, const struct state *state, uint32_t vector)
{
	uint32_t reg = APIC_IRR + vector / 32 * 16, count = 0;

	for (uint32_t i = 0; i < c->shape->vcpu_count; i++)
		count += (uint32_t)(state_reg(state, i, reg) & ~state_reg(c->before, i, reg)) >>
		             vector % 32 &
		         1;
	return count;
}

static bool is_for_lowest(const struct message *message)
{
	return message->delivery == APIC_DELIVERY_LOWEST || message->is_redirectable;
}

/* Is it the message's own bit of IRR or TMR that differs? */
static bool is_own_bit(const struct difference_case *c, const struct message *message)
{
	uint64_t own = (c->reg >> 4 & 7) == message->vector / 32 ? 1ull << message->vector % 32 : 0;

	return (is_irr(c->reg) || is_tmr(c->reg)) && !(differing(c) & ~(own | error_bit(c)));
}

/* Even behind a shorthand. */
static bool sends_lowest_broadcast_to_all(const struct difference_case *c)
{
	struct message message;

	return message_of(c, &message) && is_for_lowest(&message) && !message.is_logical &&
	       message.destination == 0xff && is_own_bit(c, &message) &&
	       arrival_count(c, c->core, message.vector) <= 1;
}

static bool accepts_low_vectors(const struct difference_case *c)
{
	return (c->reg == APIC_IRR || c->reg == APIC_TMR) &&
	       !(differing(c) & ~(0xffffull | error_bit(c)));
}

static bool sends_any_mode_by_shorthand(const struct difference_case *c)
{
	return is_icr(c) && icr_delivery(c) != APIC_DELIVERY_FIXED &&
	       (icr_shorthand(c) == APIC_SHORTHAND_SELF ||
	           icr_shorthand(c) == APIC_SHORTHAND_ALL) &&
	       is_arrival(c);
}

static bool has_level_ipis(const struct difference_case *c)
{
	return is_icr(c) && (uint32_t)c->step->value & APIC_ICR_LEVEL && is_arrival(c) &&
	       (is_tmr(c->reg) || !(c->step->value & APIC_ICR_ASSERT));
}

static bool takes_deassert_for_interrupt(const struct difference_case *c)
{
	return c->step->op == 'm' && is_arrival(c) &&
	       (c->step->where & (MSI_DATA_LEVEL | MSI_DATA_ASSERT)) == MSI_DATA_LEVEL;
}

static bool chooses_lowest_by_vector(const struct difference_case *c)
{
	struct message message;

	if (message_of(c, &message) && is_acceptance(c))
		return message.delivery == APIC_DELIVERY_LOWEST;
	if (message_of(c, &message))
		return is_for_lowest(&message) && is_own_bit(c, &message) &&
		       arrival_count(c, c->core, message.vector) <= 1 &&
		       arrival_count(c, c->after, message.vector) <= 1;
	if (!is_ioapic_step(c))
		return false;
	if (is_acceptance(c))
		return has_entry_of(c, APIC_DELIVERY_LOWEST);
	return (is_irr(c->reg) || is_tmr(c->reg)) &&
	       !(differing(c) & ~(bits_of_pins(c, APIC_DELIVERY_LOWEST) | error_bit(c)));
}

static bool redirects_any_mode(const struct difference_case *c)
{
	struct message message;

	return message_of(c, &message) && message.is_redirectable &&
	       message.delivery > APIC_DELIVERY_LOWEST && is_arrival(c);
}

static bool loses_low_tpr(const struct difference_case *c)
{
	bool is_read = c->cell == CELL_RESULT && c->step->op == 'r' &&
	               (c->step->where == APIC_TPR || c->step->where == APIC_PPR);

	if (!is_read && (c->vcpu != c->step->vcpu || (c->reg != APIC_TPR && c->reg != APIC_PPR)))
		return false;
	return step_needs_guest(c->step, c->before) && !(differing(c) & ~0xfull) &&
	       !(c->theirs & 0xf);
}

static bool keeps_icr2_into_x2apic(const struct difference_case *c)
{
	return c->step->op == 'B' && c->vcpu == c->step->vcpu && c->reg == APIC_ICR2 && !c->ours;
}

static bool keeps_icr2_over_init(const struct difference_case *c)
{
	return c->reg == APIC_ICR2 && !c->ours && was_x2apic(c, c->vcpu) &&
	       state_reg(c->after, c->vcpu, APIC_SVR) == APIC_SVR_VECTOR_MASK;
}

static bool keeps_registers_when_disabled(const struct difference_case *c)
{
	return c->step->op == 'B' && c->vcpu == c->step->vcpu && c->reg != UINT32_MAX &&
	       !(base_before(c, c->vcpu) & APIC_BASE_ENABLE);
}

static bool reads_reserved_bits(const struct difference_case *c)
{
	return c->step->op == 'r' && c->cell == CELL_RESULT &&
	       (c->step->where == APIC_LDR || c->step->where == APIC_ICR2) &&
	       (c->theirs & 0xff000000) == c->ours;
}

static bool gives_pic_to_any_disabled(const struct difference_case *c)
{
	return c->step->op == 'i' && c->step->vcpu != 0 &&
	       !(base_before(c, c->step->vcpu) & APIC_BASE_ENABLE) && c->cell >= CELL_PIC;
}

/* What may make an APIC accept that did not. */
static bool may_accept_now(const struct difference_case *c)
{
	uint32_t where = c->step->where;

	if (c->step->op == 'B')
		return true;
	return strchr("Wwp", c->step->op) &&
	       (where == APIC_SVR || where == APIC_ID || where == APIC_LDR || where == APIC_DFR);
}

static bool lets_levels_wait(const struct difference_case *c)
{
	if (!may_accept_now(c))
		return false;
	if (c->cell >= CELL_IOAPIC && c->cell < CELL_IOAPIC + ORACLE_PINS)
		return c->ours == (c->theirs | IOAPIC_RTE_REMOTE_IRR);
	return (is_irr(c->reg) || is_tmr(c->reg)) && (c->ours & c->theirs) == c->theirs;
}

static bool polls_otherwise(const struct difference_case *c)
{
	uint32_t chip = c->step->where >> 7 & 1;

	return c->step->op == 'C' && c->step->where < 0x100 &&
	       c->before->cell[CELL_PIC + chip * 16 + 7] && c->cell >= CELL_PIC;
}

static bool drops_reserved_bits(const struct difference_case *c)
{
	return c->step->op == 'W' && c->core->cell[CELL_RESULT] == RESULT_GP &&
	       c->after->cell[CELL_RESULT] == 0;
}

static bool has_ioapic_version_11(const struct difference_case *c)
{
	return c->step->op == 'u' && c->step->where == IOAPIC_VER && c->cell == CELL_RESULT;
}

static bool has_ones_beyond_the_table(const struct difference_case *c)
{
	return c->step->op == 'u' && c->cell == CELL_RESULT && !c->ours && c->theirs == 0xffffffff;
}

static bool is_mixed(const struct difference_case *c)
{
	bool has_xapic = false, has_x2apic = false;

	for (uint32_t i = 0; i < c->shape->vcpu_count; i++) {
		uint64_t base = c->after->cell[vcpu_cell(i, VCPU_BASE)];

		has_x2apic |= (base & APIC_BASE_X2APIC) != 0;
		has_xapic |= base & APIC_BASE_ENABLE && !(base & APIC_BASE_X2APIC);
	}
	return has_xapic && has_x2apic;
}

static bool routes_mixed_modes_by_map(const struct difference_case *c)
{
	struct message message;

	if (!is_mixed(c) || !is_arrival(c))
		return false;
	if (message_of(c, &message))
		return message.is_logical || message.destination == 0xff ||
		       message.destination == UINT32_MAX;
	return is_ioapic_step(c);
}

/* Bytes of struct kvm_pic_state. */
#define PIC_SPECIAL_MASK 8u

/* Registers of an 8259 in which a request, an acknowledgement or an EOI shows. */
static bool is_pic_request(const struct difference_case *c)
{
	const uint32_t bytes = 1u << 1 | 1u << 3 | 1u << 4 | 1u << 7; /* IRR, ISR, rotation, poll */

	return c->cell >= CELL_PIC && c->cell < CELL_RESULT &&
	       bytes >> (c->cell - CELL_PIC) % 16 & 1;
}

/* ... and what a CPU takes or reads instead. */
static bool is_pic_effect(const struct difference_case *c)
{
	if (c->cell == CELL_RESULT)
		return strchr("iC", c->step->op);
	if (c->step->op == 'i' && c->vcpu == c->step->vcpu)
		return is_irr(c->reg) || c->reg == APIC_PPR ||
		       (c->reg >= APIC_ISR && c->reg < APIC_TMR);
	return is_pic_request(c);
}

static uint64_t pic_byte(const struct state *state, uint32_t chip, uint32_t byte)
{
	return state->cell[CELL_PIC + chip * 16 + byte];
}

static bool has_no_special_mask(const struct difference_case *c)
{
	bool is_set = false;

	for (uint32_t chip = 0; chip < 2; chip++)
		is_set |= pic_byte(c->before, chip, PIC_SPECIAL_MASK) ||
		          pic_byte(c->core, chip, PIC_SPECIAL_MASK);
	return is_set && is_pic_effect(c);
}

static bool keeps_much_over_icw1(const struct difference_case *c)
{
	return c->step->op == 'c' && (c->step->where == 0x20 || c->step->where == 0xa0) &&
	       c->step->value & 0x10 && c->cell >= CELL_PIC && c->cell < CELL_RESULT;
}

static bool hides_lines(const struct difference_case *c)
{
	return c->cell == CELL_IOAPIC + IOAPIC_IMAGE_IRR && (c->ours & c->theirs) == c->theirs;
}

static bool pends_nmi_while_waiting(const struct difference_case *c)
{
	return c->vcpu != UINT32_MAX && c->cell % VCPU_CELLS == VCPU_NMI &&
	       c->before->cell[vcpu_cell(c->vcpu, VCPU_WAITS)];
}

static bool keeps_delivery_status(const struct difference_case *c)
{
	return c->reg >= APIC_LVT_TIMER && c->reg <= APIC_LVT_ERROR &&
	       (c->theirs & ~(uint64_t)(APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR)) == c->ours;
}

static bool is_missing(uint32_t offset)
{
	return offset < APIC_ID || (offset > APIC_VERSION && offset < APIC_TPR) ||
	       offset == APIC_APR || offset == APIC_EOI || offset == APIC_RRD ||
	       (offset > APIC_ESR && offset < APIC_ICR) ||
	       (offset > APIC_TMCCT && offset != APIC_TDCR);
}

static bool reads_anything(const struct difference_case *c)
{
	return c->step->op == 'r' && c->cell == CELL_RESULT && !c->ours &&
	       is_missing(c->step->where);
}

static uint64_t id_of(const struct difference_case *c, uint32_t vcpu)
{
	return state_reg(c->before, vcpu, APIC_ID) >>
	       (was_x2apic(c, vcpu) && c->shape->wide_ids ? 0 : 24);
}

static bool shares_its_id(const struct difference_case *c, uint32_t vcpu)
{
	for (uint32_t i = 0; i < c->shape->vcpu_count; i++) {
		if (i != vcpu && id_of(c, i) == id_of(c, vcpu))
			return true;
	}
	return false;
}

/* Is it true of the vCPU that differs, or of any, for a level that one side accepted? */
static bool is_true_of(
    const struct difference_case *c, bool (*is_this)(const struct difference_case *, uint32_t))
{
	if (c->vcpu != UINT32_MAX)
		return is_arrival(c) && is_this(c, c->vcpu);
	for (uint32_t i = 0; i < c->shape->vcpu_count; i++) {
		if (is_acceptance(c) && is_this(c, i))
			return true;
	}
	return false;
}

static bool finds_one_of_an_id(const struct difference_case *c)
{
	struct message message;

	return is_true_of(c, shares_its_id) && !(message_of(c, &message) && message.is_logical);
}

static bool has_remote_irr_for_nobody(const struct difference_case *c)
{
	return is_ioapic_step(c) && is_acceptance(c) && c->theirs & IOAPIC_RTE_REMOTE_IRR;
}

#define PIC_INIT_STATE 9u

static bool requests_while_programmed(const struct difference_case *c)
{
	bool is_awaiting =
	    pic_byte(c->before, 0, PIC_INIT_STATE) || pic_byte(c->before, 1, PIC_INIT_STATE);

	return is_awaiting && is_pic_effect(c);
}

static bool may_be_logical(const struct difference_case *c)
{
	struct message message;

	return !message_of(c, &message) || message.is_logical;
}

/* In xAPIC mode, the bits that name the CPU in its model. */
static uint32_t logical_bits(const struct difference_case *c, uint32_t vcpu)
{
	uint32_t ldr = (uint32_t)state_reg(c->before, vcpu, APIC_LDR) >> 24;

	if (was_x2apic(c, vcpu))
		return 0;
	return (uint32_t)state_reg(c->before, vcpu, APIC_DFR) == APIC_DFR_FLAT ? ldr : ldr & 15;
}

static bool has_odd_logical_id(const struct difference_case *c, uint32_t vcpu)
{
	uint32_t bits = logical_bits(c, vcpu);

	for (uint32_t i = 0; i < c->shape->vcpu_count; i++) {
		if (i != vcpu && logical_bits(c, i) & bits)
			return true;
	}
	return bits & (bits - 1);
}

static bool finds_logical_by_one_bit(const struct difference_case *c)
{
	return is_true_of(c, has_odd_logical_id) && may_be_logical(c);
}

static bool has_odd_model(const struct difference_case *c, uint32_t vcpu)
{
	uint32_t dfr = (uint32_t)state_reg(c->before, vcpu, APIC_DFR);

	return !was_x2apic(c, vcpu) && dfr != APIC_DFR_FLAT && dfr != APIC_DFR_CLUSTER;
}

static bool takes_odd_models_for_clusters(const struct difference_case *c)
{
	return is_true_of(c, has_odd_model) && may_be_logical(c);
}

#define PIC_FULLY_NESTED 12u

static bool lets_all_past_the_slave(const struct difference_case *c)
{
	return pic_byte(c->before, 0, PIC_FULLY_NESTED) && is_pic_effect(c);
}

#define PIC_POLL 7u

static bool polls_after_another_ocw3(const struct difference_case *c)
{
	uint32_t port = c->step->where;
	bool is_ocw3 = (c->step->value & 0x18) == 8;

	return c->step->op == 'c' && (port == 0x20 || port == 0xa0) && is_ocw3 &&
	       c->cell == CELL_PIC + (port >> 7) * 16 + PIC_POLL && !c->ours;
}

static bool starts_by_msi(const struct difference_case *c)
{
	struct message message;

	return !is_icr(c) && message_of(c, &message) && message.delivery == APIC_DELIVERY_STARTUP &&
	       c->vcpu != UINT32_MAX &&
	       (c->cell % VCPU_CELLS == VCPU_WAITS || c->cell % VCPU_CELLS == VCPU_START);
}

static bool loses_events_when_disabled(const struct difference_case *c)
{
	struct message message;

	return message_of(c, &message) && message.is_logical &&
	       message.delivery > APIC_DELIVERY_LOWEST && is_arrival(c) &&
	       !(state_reg(c->before, c->vcpu, APIC_SVR) & APIC_SVR_ENABLE);
}

/* An edge-triggered pin of the vector that ends, a level. */
static bool resends_edges_at_eoi(const struct difference_case *c)
{
	struct message message;

	if (!is_eoi(c) || !is_arrival(c))
		return false;
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++) {
		uint64_t entry = c->before->cell[CELL_IOAPIC + pin];

		message = pin_message_of(entry);
		if (!(entry & (IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED)) &&
		    (c->reg == UINT32_MAX || is_own_bit(c, &message)) &&
		    state_reg(c->before, c->step->vcpu, APIC_ISR + message.vector / 32 * 16) >>
		            message.vector % 32 &
		        1)
			return true;
	}
	return false;
}

#define TIMER_MODE_RESERVED APIC_LVT_TIMER_MASK

static bool counts_in_the_reserved_mode(const struct difference_case *c)
{
	uint64_t before, after;

	if (c->reg != APIC_TMICT && c->reg != APIC_TMCCT)
		return false;
	before = state_reg(c->before, c->vcpu, APIC_LVT_TIMER) & APIC_LVT_TIMER_MASK;
	after = state_reg(c->after, c->vcpu, APIC_LVT_TIMER) & APIC_LVT_TIMER_MASK;
	return before == TIMER_MODE_RESERVED || after == TIMER_MODE_RESERVED;
}

const struct difference differences[] = {
    {"the EOI of a level sends edge-triggered pins of its vector again, if high",
        "82093AA, \"Trigger Mode\": an edge is sent once", resends_edges_at_eoi},
    {"in the special fully nested mode a slave in service holds no request back",
        "8259A, \"The Special Fully Nested Mode\": only that slave's own are let through",
        lets_all_past_the_slave},
    {"an OCW3 without the poll bit leaves the poll",
        "8259A, \"Operation Command Word 3\": P = 0 is no poll", polls_after_another_ocw3},
    {"an MSI starts a CPU", "SDM vol. 3, \"Message Data Register Format\": 110 is reserved",
        starts_by_msi},
    {"NMI, SMI and INIT do not find a software-disabled APIC by its logical ID",
        "SDM vol. 3, \"Local APIC State After It Has Been Software Disabled\": it responds to them",
        loses_events_when_disabled},
    {"Remote IRR is set for a level that no APIC accepted",
        "core/ lets it wait for an APIC that accepts: no EOI would end it",
        has_remote_irr_for_nobody},
    {"an 8259 that awaits initialization words requests",
        "8259A, \"Initialization Command Words\": ready for requests after the sequence",
        requests_while_programmed},
    {"an xAPIC is found by the lowest bit of its logical ID, and alone",
        "SDM vol. 3, \"Logical Destination Mode\": by any bit", finds_logical_by_one_bit},
    {"a DFR that names no model names the cluster model",
        "SDM vol. 3, \"Logical Destination Mode\": all ones or all zeros; core/ finds nobody by it",
        takes_odd_models_for_clusters},
    {"no special mask mode of the 8259", "8259A, \"Special Mask Mode\"", has_no_special_mask},
    {"ICW1 leaves the 8259's ISR, vectors, poll and rotation, and forgets the lines",
        "8259A, \"Initialization Command Words\": what it clears; lines are lines",
        keeps_much_over_icw1},
    {"a line of a pin that was edge-triggered when it rose is not in the image",
        "KVM leaves out lines whose edge was sent", hides_lines},
    {"an NMI for a CPU that waits for a start-up IPI pends at once",
        "core/ hands it over when the CPU has started; either keeps it", pends_nmi_while_waiting},
    {"an LVT entry's delivery status and Remote IRR can be written",
        "SDM vol. 3, \"Local Vector Table\": read-only", keeps_delivery_status},
    {"a read of a register that is not there leaves what was there",
        "SDM vol. 3, \"Local APIC Register Address Map\": reserved; core/ reads 0", reads_anything},
    {"of CPUs that share an xAPIC ID one is found",
        "SDM vol. 3, \"Local APIC ID\": IDs are to be unique; core/ delivers to all",
        finds_one_of_an_id},
    {"an error status register that is always 0",
        "SDM vol. 3, \"Error Handling\": core/ has errors", has_no_errors},
    {"no error interrupt", "SDM vol. 3, \"Error Handling\": an error delivers the error LVT",
        has_no_error_interrupt},
    {"vectors below 16 are accepted",
        "SDM vol. 3, \"Valid Interrupt Vectors\": they are illegal and set an error",
        accepts_low_vectors},
    {"IPIs to self or to all, in other delivery modes than fixed",
        "SDM vol. 3, table \"Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local "
        "xAPIC Interrupt Command Register\": invalid",
        sends_any_mode_by_shorthand},
    {"an IPI with the trigger bit is level-triggered, and none without the level bit",
        "SDM vol. 3, \"Interrupt Command Register (ICR)\": the bit is ignored but for INIT "
        "de-assert",
        has_level_ipis},
    {"the de-assert message of a level-triggered MSI is an interrupt",
        "SDM vol. 3, \"Message Data Register Format\": level 0 is the end of one",
        takes_deassert_for_interrupt},
    {"the target of lowest priority is chosen by the vector alone",
        "SDM vol. 3, \"Lowest Priority Delivery Mode\": by the arbitration priority; core/ counts "
        "by vector among those that tie",
        chooses_lowest_by_vector},
    {"the timer counts in mode 3", "SDM vol. 3, \"Local Vector Table\": reserved; core/ stops it",
        counts_in_the_reserved_mode},
    {"a message of lowest priority for physical ID 0xff goes to all",
        "SDM vol. 3, \"Physical Destination Mode\": not supported, and software must not; core/ "
        "chooses one as always",
        sends_lowest_broadcast_to_all},
    {"a redirectable MSI goes to one CPU in every delivery mode",
        "SDM vol. 3, \"Message Address Register Format\": the hint is for fixed and "
        "lowest-priority "
        "interrupts",
        redirects_any_mode},
    {"running the guest clears the lower half of TPR",
        "APM vol. 2, \"Virtualizing the Local APIC\": kvm-amd keeps V_TPR, which has 4 bits, and "
        "takes TPR from it",
        loses_low_tpr},
    {"ICR's upper half survives the way into x2APIC mode",
        "SDM vol. 3, \"x2APIC State Transitions\": it is not preserved", keeps_icr2_into_x2apic},
    {"ICR's upper half survives INIT in x2APIC mode",
        "SDM vol. 3, \"Local APIC State After It Receives an INIT Reset\": as after power-up",
        keeps_icr2_over_init},
    {"what an APIC in x2APIC mode had is there again after it was disabled",
        "SDM vol. 3, \"x2APIC State Transitions\": disabling it resets all but the ID",
        keeps_registers_when_disabled},
    {"reserved bits of the xAPIC's LDR and ICR2 read as x2APIC mode left them",
        "SDM vol. 3, figures \"Logical Destination Register (LDR)\" and \"Interrupt Command "
        "Register\": bits 23:0 are reserved",
        reads_reserved_bits},
    {"any CPU without an APIC takes the 8259's interrupts",
        "SDM vol. 3, \"Enabling or Disabling the Local APIC\": LINT0 is INTR then; a board wires "
        "the 8259 to the boot CPU's",
        gives_pic_to_any_disabled},
    {"a level that no APIC accepted is not sent when one would",
        "core/ lets it wait for an APIC that accepts; KVM sends it with the line's next change",
        lets_levels_wait},
    {"the 8259's poll word has no request bit and takes the request without in-service bit",
        "8259A, \"Poll Command\": bit 7 is the request; the read is an acknowledgement",
        polls_otherwise},
    {"reserved bits and read-only registers of the x2APIC do not fault",
        "SDM vol. 3, \"Reserved Bit Checking\": #GP", drops_reserved_bits},
    {"the IOAPIC has version 0x11", "core/ has version 0x20, with an EOI register",
        has_ioapic_version_11},
    {"registers that the IOAPIC does not have read as ones", "82093AA: reserved; core/ reads 0",
        has_ones_beyond_the_table},
    {"CPUs in xAPIC and in x2APIC mode at once are found by KVM's map of either",
        "SDM vol. 3, \"x2APIC Mode\": all are to be in the same; core/ asks each in its own mode",
        routes_mixed_modes_by_map},
};

const size_t difference_count = sizeof(differences) / sizeof(differences[0]);
