/* SPDX-License-Identifier: MIT */
/* The local APIC's registers by MMIO and MSR, its modes and CR8: the guest's door to lapic.c. */
#include "core/delivery.h"
#include "core/lapic.h"
#include "core/post.h"
#include "core/route.h"

#define MSR_APIC_BASE    0x01bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u
#define MSR_X2APIC_COUNT 0x100u

#define REGISTER_COUNT LAPIC_REGISTER_COUNT
#define REGISTER_END   (REGISTER_COUNT * 16u)

/* The mode by IA32_APIC_BASE: EXTD is bit 0, EN is bit 1. */
#define BASE_MODE_SHIFT 10
enum regs_mode { MODE_DISABLED = 0, MODE_INVALID = 1, MODE_XAPIC = 2, MODE_X2APIC = 3 };

static inline enum regs_mode regs_mode(uint64_t base)
{
	return (enum regs_mode)(base >> BASE_MODE_SHIFT & 3);
}

/* ---- Writes, register by register ---------------------------------------------------------- */

static void regs_write_id(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	lapic_set_reg(vcpu, offset, value);
	route_publish_identity(vcpu);
}

static void regs_write_dfr(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	/* Bits 27:0 are reserved as ones. */
	regs_write_id(vcpu, offset, value | APIC_DFR_CLUSTER);
}

static void regs_write_tpr(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	lapic_set_tpr(vcpu, (uint8_t)value);
}

static void regs_write_eoi(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	(void)value;
	eoi(vcpu);
}

/* Bits that are there only with directed EOI. */
static uint32_t regs_svr_reserved(const struct ph_vcpu *vcpu)
{
	return vcpu->vm->config.directed_eoi ? 0 : APIC_SVR_SUPPRESS_BROADCAST;
}

static void regs_write_svr(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	uint32_t before = lapic_reg(vcpu, offset);

	value &= ~regs_svr_reserved(vcpu);
	lapic_set_reg(vcpu, offset, value);
	if (!((before ^ value) & APIC_SVR_ENABLE))
		return;
	if (!(value & APIC_SVR_ENABLE)) {
		for (uint32_t lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
			lapic_set_reg(vcpu, lvt, lapic_reg(vcpu, lvt) | APIC_LVT_MASKED);
	}
	route_publish_identity(vcpu);
	source_lvt_update_pic(vcpu);
	delivery_update(vcpu);
}

static void regs_write_esr(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)value;
	lapic_set_reg(vcpu, offset, vcpu->lapic.esr_pending);
	vcpu->lapic.esr_pending = 0;
}

static void regs_write_icr(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	/* Sent at once: the delivery status always reads idle. */
	lapic_set_reg(vcpu, offset, value & ~APIC_ICR_PENDING);
	source_ipi_send(vcpu, value, lapic_reg(vcpu, APIC_ICR2) >> 24);
}

static void regs_write_self_ipi(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	source_ipi_self(vcpu, (uint8_t)value);
}

static void regs_write_plain(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	lapic_set_reg(vcpu, offset, value);
}

/* While software-disabled, mask bits cannot be cleared; status and Remote IRR are read-only. */
static uint32_t regs_lvt_value(const struct ph_vcpu *vcpu, uint32_t value)
{
	value &= ~(APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR);
	return lapic_is_sw_enabled(vcpu) ? value : value | APIC_LVT_MASKED;
}

static void regs_write_lvt(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	lapic_set_reg(vcpu, offset, regs_lvt_value(vcpu, value));
}

static void regs_write_lint0(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	uint32_t remote_irr = lapic_reg(vcpu, offset) & APIC_LVT_REMOTE_IRR;

	/* Remote IRR belongs to fixed, level-triggered entries alone. */
	if (!(value & APIC_LVT_LEVEL) || value & APIC_LVT_DELIVERY_MASK)
		remote_irr = 0;
	lapic_set_reg(vcpu, offset, regs_lvt_value(vcpu, value) | remote_irr);
	source_lvt_lint0_changed(vcpu);
}

static void regs_write_timer(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	lapic_timer_write_lvt(vcpu, regs_lvt_value(vcpu, value));
}

static void regs_write_initial_count(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	lapic_timer_write_initial_count(vcpu, value);
}

static void regs_write_divide(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	(void)offset;
	lapic_timer_write_divide(vcpu, value);
}

/* ---- What each register allows ------------------------------------------------------------- */

#define MMIO_READ  1u
#define MMIO_WRITE 2u
#define MSR_READ   4u
#define MSR_WRITE  8u
#define READ       (MMIO_READ | MSR_READ)
#define WRITE      (MMIO_WRITE | MSR_WRITE)
#define MMIO       (MMIO_READ | MMIO_WRITE)

#define LVT_BITS (APIC_LVT_VECTOR_MASK | APIC_LVT_STATUS | APIC_LVT_MASKED)
#define LINT_BITS                                                                                  \
	(LVT_BITS | APIC_LVT_DELIVERY_MASK | APIC_LVT_POLARITY | APIC_LVT_REMOTE_IRR |             \
	    APIC_LVT_LEVEL)
#define SVR_BITS                                                                                   \
	(APIC_SVR_VECTOR_MASK | APIC_SVR_ENABLE | APIC_SVR_FOCUS_OFF | APIC_SVR_SUPPRESS_BROADCAST)

/*
 * SDM vol. 3, tables "Local APIC Register Address Map" and "Local APIC Register Address Map
 * Supported by x2APIC".  No access at all: reserved.
 */
struct regs_rule {
	uint32_t access;
	uint32_t bits; /* not reserved; others are dropped (xAPIC) or raise #GP (x2APIC) */
	void (*write)(struct ph_vcpu *vcpu, uint32_t offset, uint32_t value);
};

static const struct regs_rule regs_rules[REGISTER_COUNT] = {
    [APIC_ID / 16] = {READ | MMIO_WRITE, 0xff000000u, regs_write_id},
    [APIC_VERSION / 16] = {READ, 0, NULL},
    [APIC_TPR / 16] = {READ | WRITE, 0xff, regs_write_tpr},
    [APIC_APR / 16] = {MMIO_READ, 0, NULL}, /* reads 0 since the Pentium 4, as RRD does */
    [APIC_PPR / 16] = {READ, 0, NULL},
    [APIC_EOI / 16] = {WRITE, 0, regs_write_eoi},
    [APIC_RRD / 16] = {MMIO_READ, 0, NULL},
    [APIC_LDR / 16] = {READ | MMIO_WRITE, 0xff000000u, regs_write_id},
    [APIC_DFR / 16] = {MMIO, 0xf0000000u, regs_write_dfr},
    [APIC_SVR / 16] = {READ | WRITE, SVR_BITS, regs_write_svr},
    [APIC_ISR / 16 ... APIC_IRR / 16 + 7] = {READ, 0, NULL}, /* with TMR between */
    [APIC_ESR / 16] = {READ | WRITE, 0, regs_write_esr},
    [APIC_ICR / 16] = {READ | WRITE, 0xffffffffu, regs_write_icr}, /* x2APIC: regs_msr_write_icr */
    [APIC_ICR2 / 16] = {MMIO, 0xff000000u, regs_write_plain},
    [APIC_LVT_TIMER / 16] = {READ | WRITE, LVT_BITS | APIC_LVT_TIMER_MASK, regs_write_timer},
    [APIC_LVT_THERM / 16] = {READ | WRITE, LVT_BITS | APIC_LVT_DELIVERY_MASK, regs_write_lvt},
    [APIC_LVT_PMC / 16] = {READ | WRITE, LVT_BITS | APIC_LVT_DELIVERY_MASK, regs_write_lvt},
    [APIC_LVT_LINT0 / 16] = {READ | WRITE, LINT_BITS, regs_write_lint0},
    [APIC_LVT_LINT1 / 16] = {READ | WRITE, LINT_BITS, regs_write_lvt},
    [APIC_LVT_ERROR / 16] = {READ | WRITE, LVT_BITS, regs_write_lvt},
    [APIC_TMICT / 16] = {READ | WRITE, 0xffffffffu, regs_write_initial_count},
    [APIC_TMCCT / 16] = {READ, 0, NULL},
    [APIC_TDCR / 16] = {READ | WRITE, 0xb, regs_write_divide},
    [APIC_SELF_IPI / 16] = {MSR_WRITE, APIC_ICR_VECTOR_MASK, regs_write_self_ipi},
};

static uint32_t regs_read(struct ph_vcpu *vcpu, uint32_t offset)
{
	return offset == APIC_TMCCT ? lapic_timer_current_count(vcpu) : lapic_reg(vcpu, offset);
}

/* ---- Writes that the processor has done already --------------------------------------------- */

/*
 * With APIC-register virtualization the value is in the page before anyone looks, and some
 * registers need to know what was there: `seen` is what software last left in them.
 */
void lapic_regs_see(struct ph_vcpu *vcpu)
{
	for (uint32_t i = 0; i < REGISTER_COUNT; i++)
		vcpu->lapic.seen[i] = lapic_reg(vcpu, i * 16);
}

/* Out of line, so that the common write needs no frame. */
static __attribute__((noinline)) void regs_write_virtual(
    struct ph_vcpu *vcpu, const struct regs_rule *rule, uint32_t offset, uint32_t value)
{
	lapic_refresh(vcpu);
	rule->write(vcpu, offset, value);
	lapic_regs_see(vcpu);
}

static inline void regs_write(
    struct ph_vcpu *vcpu, const struct regs_rule *rule, uint32_t offset, uint32_t value)
{
	/* Injected: nobody else writes the page, so it is never stale. */
	if (__builtin_expect(vcpu->delivery == PH_DELIVERY_INJECTED, 1))
		rule->write(vcpu, offset, value);
	else
		regs_write_virtual(vcpu, rule, offset, value);
}

void ph_apic_write_exit(struct ph_vcpu *vcpu, uint32_t offset)
{
	const struct regs_rule *rule = &regs_rules[offset / 16 % REGISTER_COUNT];
	uint32_t value = lapic_reg(vcpu, offset & (REGISTER_END - 16));

	if (offset >= REGISTER_END || offset % 16 || !(rule->access & (MMIO_WRITE | MSR_WRITE)))
		return;
	lapic_set_reg(vcpu, offset, vcpu->lapic.seen[offset / 16]);
	regs_write(vcpu, rule, offset, value & rule->bits);
}

/* ---- MMIO ---------------------------------------------------------------------------------- */

/*
 * The rule of an access, or NULL: only aligned 32-bit ones are defined (SDM vol. 3, "The Local APIC
 * Block Diagram"), and only in xAPIC mode is there a page.
 */
static inline const struct regs_rule *regs_mmio_rule(
    const struct ph_vcpu *vcpu, uint32_t offset, uint32_t size)
{
	/* Rotated, so that one comparison finds both an odd offset and a large one. */
	uint32_t index = offset >> 4 | offset << 28;

	if (size != 4 || index >= REGISTER_COUNT || !lapic_is_xapic(vcpu))
		return NULL;
	return &regs_rules[index];
}

uint32_t ph_apic_mmio_read(struct ph_vcpu *vcpu, uint32_t offset, uint32_t size)
{
	const struct regs_rule *rule = regs_mmio_rule(vcpu, offset, size);

	if (!rule)
		return 0;
	if (rule->access & MMIO_READ)
		return regs_read(vcpu, offset);
	if (!(rule->access & MMIO))
		source_lvt_error(vcpu, APIC_ESR_REGISTER);
	return 0;
}

void ph_apic_mmio_write(struct ph_vcpu *vcpu, uint32_t offset, uint32_t size, uint32_t value)
{
	const struct regs_rule *rule = regs_mmio_rule(vcpu, offset, size);

	if (!rule)
		return;
	if (rule->access & MMIO_WRITE)
		regs_write(vcpu, rule, offset, value & rule->bits);
	else if (!(rule->access & MMIO))
		source_lvt_error(vcpu, APIC_ESR_REGISTER);
}

void ph_apic_icr_write(struct ph_vcpu *vcpu, uint32_t value)
{
	if (__builtin_expect(vcpu->delivery == PH_DELIVERY_INJECTED, 1))
		regs_write_icr(vcpu, APIC_ICR, value);
	else
		regs_write_virtual(vcpu, &regs_rules[APIC_ICR / 16], APIC_ICR, value);
}

/* ---- x2APIC MSRs --------------------------------------------------------------------------- */

/* Bit 12, the delivery status that x2APIC mode does not have, is dropped as Linux KVM does. */
#define X2APIC_ICR_RESERVED 0xfff32000ull

static int regs_msr_write_icr(struct ph_vcpu *vcpu, uint64_t value)
{
	uint32_t low = (uint32_t)value;
	uint32_t high = (uint32_t)(value >> 32);

	if (value & X2APIC_ICR_RESERVED)
		return PH_GUEST_GP;
	lapic_set_reg(vcpu, APIC_ICR, low & ~APIC_ICR_PENDING);
	lapic_set_reg(vcpu, APIC_ICR2, high);
	source_ipi_send(vcpu, low, high);
	return PH_OK;
}

static int regs_msr_write(struct ph_vcpu *vcpu, uint32_t index, uint64_t value)
{
	const struct regs_rule *rule = &regs_rules[index % REGISTER_COUNT];

	if (index >= REGISTER_COUNT || !lapic_is_x2apic(vcpu))
		return PH_GUEST_GP;
	if (index == APIC_ICR / 16)
		return regs_msr_write_icr(vcpu, value);
	if (!(rule->access & MSR_WRITE) || value & ~(uint64_t)rule->bits)
		return PH_GUEST_GP;
	if (index == APIC_SVR / 16 && value & regs_svr_reserved(vcpu))
		return PH_GUEST_GP;
	regs_write(vcpu, rule, index * 16, (uint32_t)value);
	return PH_OK;
}

static int regs_msr_read(struct ph_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	if (index >= REGISTER_COUNT || !lapic_is_x2apic(vcpu) ||
	    !(regs_rules[index].access & MSR_READ))
		return PH_GUEST_GP;
	*value = regs_read(vcpu, index * 16);
	if (index == APIC_ICR / 16)
		*value |= (uint64_t)lapic_reg(vcpu, APIC_ICR2) << 32;
	return PH_OK;
}

/* ---- IA32_APIC_BASE: the modes ------------------------------------------------------------- */

/* Bits 7:0 and 9, and above any physical address; an embedder whose guest has fewer than 52
 * physical address bits refuses the others itself. */
#define BASE_RESERVED     0xfff00000000002ffull
#define BASE_ADDRESS_MASK 0x000ffffffffff000ull

/* SDM vol. 3, figure "Local x2APIC State Transitions with IA32_APIC_BASE, INIT, and Reset": the
 * modes that may follow each, one bit a mode. */
static const uint8_t regs_mode_followers[4] = {
    [MODE_DISABLED] = 1u << MODE_DISABLED | 1u << MODE_XAPIC,
    [MODE_XAPIC] = 1u << MODE_DISABLED | 1u << MODE_XAPIC | 1u << MODE_X2APIC,
    [MODE_X2APIC] = 1u << MODE_DISABLED | 1u << MODE_X2APIC,
};

/*
 * What survives: from xAPIC mode all but the ID, LDR and ICR's high half on the way to x2APIC (SDM
 * vol. 3, "x2APIC State Transitions"), and all but the ID through disabled, where the SDM leaves it
 * open and Linux KVM keeps it; from x2APIC mode nothing but the x2APIC ID.
 */
static void regs_change_mode(struct ph_vcpu *vcpu, enum regs_mode before, enum regs_mode after)
{
	if (before == MODE_X2APIC) {
		post_drain(vcpu);
		post_take_levels(vcpu);
		lapic_reset_registers(vcpu);
	}
	if (after == MODE_X2APIC)
		lapic_set_reg(vcpu, APIC_ICR2, 0);
	if (after != MODE_DISABLED)
		lapic_reset_id(vcpu);
	route_publish_identity(vcpu);
	source_lvt_update_pic(vcpu);
}

static int regs_write_base(struct ph_vcpu *vcpu, uint64_t value)
{
	enum regs_mode before = regs_mode(vcpu->lapic.base);
	enum regs_mode after = regs_mode(value);

	if (value & BASE_RESERVED || !(regs_mode_followers[before] >> after & 1u))
		return PH_GUEST_GP;
	lapic_refresh(vcpu);
	vcpu->lapic.base = value;
	if (before != after)
		regs_change_mode(vcpu, before, after);
	delivery_update(vcpu);
	return PH_OK;
}

bool lapic_base_is_valid(uint64_t base)
{
	return !(base & BASE_RESERVED) && regs_mode(base) != MODE_INVALID;
}

/* ---- State import: what a register can hold -------------------------------------------------- */

static uint32_t regs_clean_id(const struct ph_vcpu *vcpu, enum regs_mode mode, uint32_t value)
{
	/* Disabled from x2APIC mode: the ID stays as it was there. */
	if (mode == MODE_X2APIC || (mode == MODE_DISABLED && value == vcpu->lapic.id))
		return vcpu->lapic.id;
	return value & 0xff000000u;
}

static uint32_t regs_clean_lvt(uint32_t offset, uint32_t bits, bool is_enabled, uint32_t value)
{
	uint32_t kept = APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR;

	/* Remote IRR: of a fixed, level-triggered LINT0 alone. */
	if (offset == APIC_LVT_LINT0 && value & APIC_LVT_LEVEL && !(value & APIC_LVT_DELIVERY_MASK))
		kept = APIC_LVT_STATUS;
	value &= bits & ~kept;
	return is_enabled ? value : value | APIC_LVT_MASKED;
}

/* Registers whose bits are not simply those that software can write. */
static uint32_t regs_clean_special(
    const struct ph_vcpu *vcpu, enum regs_mode mode, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case APIC_ID:
		return regs_clean_id(vcpu, mode, value);
	case APIC_VERSION:
		return lapic_version(vcpu);
	case APIC_LDR:
		return mode == MODE_X2APIC ? lapic_logical_x2apic_id(vcpu->lapic.id)
					   : value & 0xff000000u;
	case APIC_DFR:
		return value | APIC_DFR_CLUSTER;
	case APIC_SVR:
		return value & SVR_BITS & ~regs_svr_reserved(vcpu);
	case APIC_ISR:
	case APIC_TMR:
	case APIC_IRR: /* lower vectors are illegal */
		return value & ~((1u << LAPIC_FIRST_VECTOR) - 1);
	case APIC_PPR:
		return value & 0xff;
	case APIC_ESR:
		return value & APIC_ESR_ALL;
	case APIC_ICR:
		return value & ~APIC_ICR_PENDING;
	case APIC_ICR2:
		return mode == MODE_X2APIC ? value : value & 0xff000000u;
	default:
		return value;
	}
}

static uint32_t regs_clean(const struct ph_vcpu *vcpu, enum regs_mode mode, bool is_enabled,
    uint32_t offset, uint32_t value)
{
	const struct regs_rule *rule = &regs_rules[offset / 16];

	if (offset >= APIC_LVT_TIMER && offset <= APIC_LVT_ERROR)
		return regs_clean_lvt(offset, rule->bits, is_enabled, value);
	/* Nothing is kept in a register that is not there, that only acts, or that is computed. */
	if (!(rule->access & READ) || offset == APIC_APR || offset == APIC_RRD ||
	    offset == APIC_TMCCT)
		return 0;
	if (rule->write == regs_write_tpr || rule->write == regs_write_initial_count ||
	    rule->write == regs_write_divide)
		return value & rule->bits;
	return regs_clean_special(vcpu, mode, offset, value);
}

void lapic_regs_clean(const struct ph_vcpu *vcpu, uint64_t base, uint32_t regs[REGISTER_COUNT])
{
	bool is_enabled = regs[APIC_SVR / 16] & APIC_SVR_ENABLE;

	for (uint32_t i = 0; i < REGISTER_COUNT; i++)
		regs[i] = regs_clean(vcpu, regs_mode(base), is_enabled, i * 16, regs[i]);
}

uint64_t ph_apic_base_address(const struct ph_vcpu *vcpu)
{
	if (regs_mode(vcpu->lapic.base) != MODE_XAPIC)
		return UINT64_MAX;
	return vcpu->lapic.base & BASE_ADDRESS_MASK;
}

/* ---- The MSR doors and CR8 ----------------------------------------------------------------- */

int ph_apic_msr_read(struct ph_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (msr - MSR_X2APIC < MSR_X2APIC_COUNT)
		return regs_msr_read(vcpu, msr - MSR_X2APIC, value);
	switch (msr) {
	case MSR_APIC_BASE:
		*value = vcpu->lapic.base;
		return PH_OK;
	case MSR_TSC_DEADLINE:
		*value = lapic_timer_read_deadline(vcpu);
		return PH_OK;
	default:
		return PH_ENOENT;
	}
}

/* Out of line: they need a frame, and the x2APIC's registers are written far more often. */
static __attribute__((noinline)) int regs_other_msr_write(
    struct ph_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_APIC_BASE:
		return regs_write_base(vcpu, value);
	case MSR_TSC_DEADLINE:
		lapic_timer_write_deadline(vcpu, value);
		return PH_OK;
	default:
		return PH_ENOENT;
	}
}

int ph_apic_msr_write(struct ph_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	if (msr - MSR_X2APIC < MSR_X2APIC_COUNT)
		return regs_msr_write(vcpu, msr - MSR_X2APIC, value);
	return regs_other_msr_write(vcpu, msr, value);
}

uint64_t ph_cr8_read(const struct ph_vcpu *vcpu)
{
	return lapic_reg(vcpu, APIC_TPR) >> 4;
}

int ph_cr8_write(struct ph_vcpu *vcpu, uint64_t value)
{
	if (value > 15)
		return PH_GUEST_GP;
	lapic_refresh(vcpu);
	lapic_set_tpr(vcpu, (uint8_t)(value << 4));
	return PH_OK;
}
