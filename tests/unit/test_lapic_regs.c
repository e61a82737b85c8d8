/* SPDX-License-Identifier: MIT */
/* core/lapic_regs.c: the register map by MMIO and MSR, modes and IDs, CR8. */
#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BASE_MSR     0x1bu
#define XAPIC        (APIC_DEFAULT_BASE | APIC_BASE_ENABLE)
#define X2APIC       (XAPIC | APIC_BASE_X2APIC)
#define DISABLED     APIC_DEFAULT_BASE

static struct ph_vcpu *vcpu0(void)
{
	return harness_vcpu(0);
}

static uint32_t rd(uint32_t offset)
{
	return ph_apic_mmio_read(vcpu0(), offset, 4);
}

static void wr(uint32_t offset, uint32_t value)
{
	ph_apic_mmio_write(vcpu0(), offset, 4, value);
}

static int wrmsr(uint32_t msr, uint64_t value)
{
	return ph_apic_msr_write(vcpu0(), msr, value);
}

static uint64_t rdmsr(uint32_t msr)
{
	uint64_t value = 0xdeadbeef;

	assert_int_equal(ph_apic_msr_read(vcpu0(), msr, &value), PH_OK);
	return value;
}

static void set_base(uint64_t base)
{
	assert_int_equal(wrmsr(BASE_MSR, base), PH_OK);
}

static void make(uint32_t apic_id, bool directed_eoi)
{
	struct harness_config config = {.apic_ids = &apic_id, .directed_eoi = directed_eoi};

	harness_create(&config);
}

static uint64_t identity(void)
{
	return shared64_load(&vcpu0()->shared.identity, NONE);
}

/* ---- The register map ---------------------------------------------------------------------- */

/*
 * SDM vol. 3, tables "Local APIC Register Address Map" and "... Supported by x2APIC", a register
 * each 16 bytes: r read-only, w write-only, b both, . reserved.  CMCI (2f0h) is not there: version
 * 50014h.
 */
static const char mmio_map[] = "..br....brrwrbbb"  /* 000-0f0 */
                               "rrrrrrrrrrrrrrrr"  /* 100-1f0: ISR, TMR */
                               "rrrrrrrrb......."  /* 200-2f0: IRR, ESR */
                               "bbbbbbbbbr....b."; /* 300-3f0 */
static const char msr_map[] = "..rr....b.rw.r.b"
                              "rrrrrrrrrrrrrrrr"
                              "rrrrrrrrb......."
                              "b.bbbbbbbr....bw";

static void mmio_register_map(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t expected = mmio_map[i] == '.' ? APIC_ESR_REGISTER : 0;

		wr(APIC_ESR, 0);
		(void)rd(i * 16);
		wr(APIC_ESR, 0);
		if (rd(APIC_ESR) != expected)
			fail_msg("read of %#x: ESR %#x", i * 16, rd(APIC_ESR));
		/* Not the ESR: writing it takes the error away. */
		if (i * 16 == APIC_ESR)
			continue;
		wr(i * 16, 0);
		wr(APIC_ESR, 0);
		if (rd(APIC_ESR) != (i * 16 == APIC_ICR ? APIC_ESR_SEND_VECTOR : expected))
			fail_msg("write of %#x: ESR %#x", i * 16, rd(APIC_ESR));
	}
}

static void mmio_read_only_registers_keep_their_value(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t before = lapic_reg(vcpu0(), i * 16);

		if (mmio_map[i] != 'r' && mmio_map[i] != '.')
			continue;
		wr(i * 16, 0xffffffff);
		wr(i * 16, 0);
		assert_int_equal(lapic_reg(vcpu0(), i * 16), before);
	}
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
}

static void mmio_write_only_and_reserved_registers_read_zero(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		if (mmio_map[i] == 'w' || mmio_map[i] == '.')
			assert_int_equal(rd(i * 16), 0);
	}
	/* APR and RRD since the Pentium 4. */
	assert_int_equal(rd(APIC_APR), 0);
	assert_int_equal(rd(APIC_RRD), 0);
}

static void msr_register_map(void **state)
{
	(void)state;
	set_base(X2APIC);
	for (uint32_t i = 0; i < 256; i++) {
		char access = i < 64 ? msr_map[i] : '.';
		uint64_t value;
		int read = ph_apic_msr_read(vcpu0(), 0x800 + i, &value);
		int write = wrmsr(0x800 + i, 0);

		if (read != (access == 'r' || access == 'b' ? PH_OK : PH_GUEST_GP))
			fail_msg("RDMSR %#x: %d", 0x800 + i, read);
		if (write != (access == 'w' || access == 'b' ? PH_OK : PH_GUEST_GP))
			fail_msg("WRMSR %#x: %d", 0x800 + i, write);
	}
}

static void msrs_outside_x2apic_mode_fault(void **state)
{
	static const uint64_t bases[] = {XAPIC, DISABLED};

	(void)state;
	for (size_t b = 0; b < COUNT(bases); b++) {
		set_base(bases[b]);
		for (uint32_t i = 0; i < 256; i++) {
			uint64_t value;

			assert_int_equal(ph_apic_msr_read(vcpu0(), 0x800 + i, &value), PH_GUEST_GP);
			assert_int_equal(wrmsr(0x800 + i, 0), PH_GUEST_GP);
		}
	}
}

static void other_msrs_are_not_ours(void **state)
{
	static const uint32_t msrs[] = {0, 0x1a, 0x1c, 0x6df, 0x6e1, 0x7ff, 0x900, 0xffffffff};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < COUNT(msrs); i++) {
		assert_int_equal(ph_apic_msr_read(vcpu0(), msrs[i], &value), PH_ENOENT);
		assert_int_equal(wrmsr(msrs[i], 0), PH_ENOENT);
	}
}

static void mmio_is_gone_outside_xapic_mode(void **state)
{
	static const uint64_t bases[] = {DISABLED, XAPIC, X2APIC};

	(void)state;
	wr(APIC_TPR, 0x20);
	for (size_t i = 0; i < COUNT(bases); i++) {
		bool is_there = bases[i] == XAPIC;

		set_base(bases[i]);
		assert_int_equal(rd(APIC_TPR), is_there ? 0x20 : 0);
		wr(APIC_TPR, 0x20 + (uint32_t)i);
		assert_int_equal(lapic_reg(vcpu0(), APIC_TPR), is_there ? 0x20 + i : 0x20);
		(void)rd(0);
		assert_int_equal(vcpu0()->lapic.esr_pending, is_there ? APIC_ESR_REGISTER : 0);
		wr(APIC_TPR, 0x20);
		vcpu0()->lapic.esr_pending = 0;
	}
}

/* Only aligned 32-bit accesses below 400h are defined. */
static const struct {
	uint32_t offset;
	uint32_t size;
} undefined_accesses[] = {
    {APIC_TPR, 1},
    {APIC_TPR, 2},
    {APIC_TPR, 8},
    {APIC_TPR, 16},
    {APIC_TPR, 0},
    {APIC_TPR + 1, 1},
    {APIC_TPR + 1, 4},
    {APIC_TPR + 2, 2},
    {APIC_TPR + 4, 4},
    {APIC_TPR + 12, 4},
    {APIC_TPR - 1, 4},
    {0x400 + APIC_TPR, 4},
    {0x400, 4},
    {0xff0, 4},
    {0xfff, 1},
    {0x1000 + APIC_TPR, 4},
    {0xfffffff0, 4},
    {0xffffffff, 4},
};

static void undefined_accesses_do_nothing(void **state)
{
	(void)state;
	wr(APIC_TPR, 0x5a);
	for (size_t i = 0; i < COUNT(undefined_accesses); i++) {
		uint32_t offset = undefined_accesses[i].offset;
		uint32_t size = undefined_accesses[i].size;

		assert_int_equal(ph_apic_mmio_read(vcpu0(), offset, size), 0);
		ph_apic_mmio_write(vcpu0(), offset, size, 0xffffffff);
		assert_int_equal(lapic_reg(vcpu0(), APIC_TPR), 0x5a);
	}
	assert_int_equal(vcpu0()->lapic.esr_pending, 0);
}

/* ---- Values -------------------------------------------------------------------------------- */

/* What an xAPIC register holds after ones, and after zeros, were written; APIC software-enabled. */
static const struct {
	uint32_t reg;
	uint32_t ones;
	uint32_t zeros;
	uint32_t x2apic_bits; /* bits that WRMSR takes; 0: not writable in x2APIC mode */
} values[] = {
    {APIC_ID, 0xff000000, 0, 0},
    {APIC_TPR, 0xff, 0, 0xff},
    {APIC_LDR, 0xff000000, 0, 0},
    {APIC_DFR, 0xffffffff, 0x0fffffff, 0},
    {APIC_SVR, 0x3ff, 0, 0x3ff},
    {APIC_ICR2, 0xff000000, 0, 0},
    {APIC_LVT_TIMER, 0x700ff, 0, 0x710ff},
    {APIC_LVT_THERM, 0x107ff, 0, 0x117ff},
    {APIC_LVT_PMC, 0x107ff, 0, 0x117ff},
    {APIC_LVT_LINT0, 0x1a7ff, 0, 0x1f7ff},
    {APIC_LVT_LINT1, 0x1a7ff, 0, 0x1f7ff},
    {APIC_LVT_ERROR, 0x100ff, 0, 0x110ff},
    {APIC_TMICT, 0xffffffff, 0, 0xffffffff},
    {APIC_TDCR, 0xb, 0, 0xb},
};

static void writable_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		make(0, false);
		wr(APIC_SVR, 0x1ff);
		wr(values[i].reg, 0xffffffff);
		if (rd(values[i].reg) != values[i].ones)
			fail_msg("%#x: %#x", values[i].reg, rd(values[i].reg));
		wr(APIC_SVR, 0x1ff);
		wr(values[i].reg, 0);
		if (rd(values[i].reg) != values[i].zeros)
			fail_msg("%#x: %#x", values[i].reg, rd(values[i].reg));
	}
}

static void x2apic_reserved_bits_fault(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		uint32_t msr = 0x800 + values[i].reg / 16;

		if (!values[i].x2apic_bits)
			continue;
		make(0, false);
		set_base(X2APIC);
		(void)wrmsr(0x80f, 0x1ff);
		for (uint32_t bit = 0; bit < 64; bit++) {
			bool is_valid = bit < 32 && values[i].x2apic_bits >> bit & 1;

			if (wrmsr(msr, 1ull << bit) != (is_valid ? PH_OK : PH_GUEST_GP))
				fail_msg("MSR %#x bit %u", msr, bit);
			if (is_valid)
				continue;
			assert_int_equal(wrmsr(msr, 0), PH_OK);
			assert_int_equal(rdmsr(msr), 0);
		}
	}
}

static void x2apic_icr_reserved_bits_fault(void **state)
{
	(void)state;
	set_base(X2APIC);
	for (uint32_t bit = 0; bit < 64; bit++) {
		bool is_reserved = bit == 13 || bit == 16 || bit == 17 || (bit >= 20 && bit <= 31);
		/* To a CPU that is not there. */
		uint64_t value = 0x7777ull << 32 | 0x41 | 1ull << bit;

		if (wrmsr(0x830, value) != (is_reserved ? PH_GUEST_GP : PH_OK))
			fail_msg("bit %u", bit);
		if (!is_reserved)
			assert_true(rdmsr(0x830) == (value & ~(uint64_t)APIC_ICR_PENDING));
	}
}

static void x2apic_eoi_and_esr_take_only_zero(void **state)
{
	static const uint32_t msrs[] = {0x80b, 0x828};

	(void)state;
	set_base(X2APIC);
	for (size_t i = 0; i < COUNT(msrs); i++) {
		assert_int_equal(wrmsr(msrs[i], 0), PH_OK);
		for (uint32_t bit = 0; bit < 64; bit++)
			assert_int_equal(wrmsr(msrs[i], 1ull << bit), PH_GUEST_GP);
	}
}

static void faulting_write_changes_nothing(void **state)
{
	(void)state;
	set_base(X2APIC);
	assert_int_equal(wrmsr(0x808, 0x30), PH_OK);
	assert_int_equal(wrmsr(0x808, 0x1ff), PH_GUEST_GP);
	assert_int_equal(rdmsr(0x808), 0x30);
	assert_int_equal(wrmsr(0x830, 0x7777ull << 32 | 0x41), PH_OK);
	assert_int_equal(wrmsr(0x830, 1ull << 31 | 1u << 18 | 0x42), PH_GUEST_GP);
	assert_true(rdmsr(0x830) == (0x7777ull << 32 | 0x41));
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
}

static void icr_delivery_status_reads_idle(void **state)
{
	(void)state;
	wr(APIC_ICR2, 9u << 24);
	wr(APIC_ICR, APIC_ICR_PENDING | 0x4041);
	assert_int_equal(rd(APIC_ICR), 0x4041);
	assert_int_equal(rd(APIC_ICR2), 9u << 24);
}

static void version_says_directed_eoi(void **state)
{
	(void)state;
	assert_int_equal(rd(APIC_VERSION), 0x50014);
	wr(APIC_SVR, 0x1ff | APIC_SVR_SUPPRESS_BROADCAST);
	assert_int_equal(rd(APIC_SVR), 0x1ff);
	set_base(X2APIC);
	assert_int_equal(wrmsr(0x80f, APIC_SVR_SUPPRESS_BROADCAST), PH_GUEST_GP);
	make(0, true);
	assert_int_equal(rd(APIC_VERSION), 0x1050014);
	wr(APIC_SVR, 0x1ff | APIC_SVR_SUPPRESS_BROADCAST);
	assert_int_equal(rd(APIC_SVR), 0x11ff);
	set_base(X2APIC);
	assert_int_equal(wrmsr(0x80f, APIC_SVR_SUPPRESS_BROADCAST), PH_OK);
}

/* ---- Software enable, errors ---------------------------------------------------------------- */

static const uint32_t lvts[] = {
    APIC_LVT_TIMER, APIC_LVT_THERM, APIC_LVT_PMC, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR};

/* SDM vol. 3, "Local APIC State After It Has Been Software Disabled". */
static void software_disable_masks_every_lvt(void **state)
{
	(void)state;
	wr(APIC_SVR, 0x1ff);
	for (size_t i = 0; i < COUNT(lvts); i++)
		wr(lvts[i], 0x41);
	wr(APIC_SVR, 0xff);
	for (size_t i = 0; i < COUNT(lvts); i++) {
		assert_int_equal(rd(lvts[i]), APIC_LVT_MASKED | 0x41);
		/* An attempt to clear the bit is ignored; the rest is written. */
		wr(lvts[i], 0x42);
		assert_int_equal(rd(lvts[i]), APIC_LVT_MASKED | 0x42);
	}
	wr(APIC_SVR, 0x1ff);
	for (size_t i = 0; i < COUNT(lvts); i++) {
		assert_int_equal(rd(lvts[i]), APIC_LVT_MASKED | 0x42);
		wr(lvts[i], 0x43);
		assert_int_equal(rd(lvts[i]), 0x43);
	}
}

static void software_enable_is_published(void **state)
{
	(void)state;
	assert_false(identity() & IDENTITY_SW_ENABLED);
	wr(APIC_SVR, 0x1ff);
	assert_true(identity() & IDENTITY_SW_ENABLED);
	wr(APIC_SVR, 0xff);
	assert_false(identity() & IDENTITY_SW_ENABLED);
}

static void esr_is_written_then_read(void **state)
{
	(void)state;
	(void)rd(0x10);
	assert_int_equal(rd(APIC_ESR), 0);
	wr(APIC_ESR, 0xffffffff);
	assert_int_equal(rd(APIC_ESR), APIC_ESR_REGISTER);
	assert_int_equal(rd(APIC_ESR), APIC_ESR_REGISTER);
	wr(APIC_ESR, 0);
	assert_int_equal(rd(APIC_ESR), 0);
}

static void illegal_access_delivers_the_error_interrupt(void **state)
{
	(void)state;
	wr(APIC_SVR, 0x1ff);
	wr(APIC_LVT_ERROR, 0x77);
	wr(0x3f0, 1);
	assert_true(harness_apic_bit(vcpu0(), APIC_IRR, 0x77));
}

static void x2apic_fault_is_no_esr_error(void **state)
{
	(void)state;
	set_base(X2APIC);
	assert_int_equal(wrmsr(0x801, 0), PH_GUEST_GP);
	assert_int_equal(wrmsr(0x828, 0), PH_OK);
	assert_int_equal(rdmsr(0x828), 0);
}

/* ---- IA32_APIC_BASE ------------------------------------------------------------------------ */

/* SDM vol. 3, figure "Local x2APIC State Transitions with IA32_APIC_BASE, INIT, and Reset". */
static const struct {
	const char *rule;
	uint64_t before;
	uint64_t after;
	bool is_valid;
} transitions[] = {
    {"disabled to disabled", DISABLED, DISABLED, true},
    {"disabled to xAPIC", DISABLED, XAPIC, true},
    {"disabled to x2APIC", DISABLED, X2APIC, false},
    {"disabled to EXTD alone", DISABLED, DISABLED | APIC_BASE_X2APIC, false},
    {"xAPIC to disabled", XAPIC, DISABLED, true},
    {"xAPIC to xAPIC", XAPIC, XAPIC, true},
    {"xAPIC to x2APIC", XAPIC, X2APIC, true},
    {"xAPIC to EXTD alone", XAPIC, DISABLED | APIC_BASE_X2APIC, false},
    {"x2APIC to disabled", X2APIC, DISABLED, true},
    {"x2APIC to xAPIC", X2APIC, XAPIC, false},
    {"x2APIC to x2APIC", X2APIC, X2APIC, true},
    {"x2APIC to EXTD alone", X2APIC, DISABLED | APIC_BASE_X2APIC, false},
};

static void mode_transitions(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(transitions); i++) {
		make(0, false);
		set_base(transitions[i].before);
		if (wrmsr(BASE_MSR, transitions[i].after) !=
		    (transitions[i].is_valid ? PH_OK : PH_GUEST_GP))
			fail_msg("%s", transitions[i].rule);
		assert_true(rdmsr(BASE_MSR) == (transitions[i].is_valid ? transitions[i].after
		                                                        : transitions[i].before));
	}
}

static void base_reserved_bits_fault(void **state)
{
	(void)state;
	for (uint32_t bit = 0; bit < 64; bit++) {
		bool is_reserved = bit < 8 || bit == 9 || bit >= 52;

		/* The mode bits are another test's. */
		if (bit == 10 || bit == 11)
			continue;
		set_base(XAPIC);
		if (wrmsr(BASE_MSR, XAPIC ^ 1ull << bit) != (is_reserved ? PH_GUEST_GP : PH_OK))
			fail_msg("bit %u", bit);
		assert_true(rdmsr(BASE_MSR) == (is_reserved ? XAPIC : XAPIC ^ 1ull << bit));
	}
}

static void base_moves_the_page(void **state)
{
	(void)state;
	assert_true(ph_apic_base_address(vcpu0()) == APIC_DEFAULT_BASE);
	wr(APIC_TPR, 0x33);
	set_base(0x000fedcba9876000ull | APIC_BASE_ENABLE);
	assert_true(ph_apic_base_address(vcpu0()) == 0x000fedcba9876000ull);
	assert_int_equal(rd(APIC_TPR), 0x33);
	set_base(X2APIC);
	assert_true(ph_apic_base_address(vcpu0()) == UINT64_MAX);
	set_base(DISABLED);
	assert_true(ph_apic_base_address(vcpu0()) == UINT64_MAX);
}

static void bsp_flag_is_read_back(void **state)
{
	(void)state;
	assert_true(rdmsr(BASE_MSR) == (XAPIC | APIC_BASE_BSP));
	set_base(XAPIC);
	assert_true(rdmsr(BASE_MSR) == XAPIC);
}

/* ---- IDs across the modes ------------------------------------------------------------------ */

/* SDM vol. 3, "Deriving Logical x2APIC ID from the Local x2APIC ID". */
static const struct {
	uint32_t id;
	uint32_t xapic_id;
	uint32_t ldr;
} ids[] = {
    {0, 0, 0x00000001},
    {1, 1, 0x00000002},
    {15, 15, 0x00008000},
    {16, 16, 0x00010001},
    {0x25, 0x25, 0x00020020},
    {255, 255, 0x000f8000},
    {256, 0, 0x00100001}, /* an xAPIC ID is 8 bits */
    {1023, 255, 0x003f8000},
};

static void ids_by_mode(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		make(ids[i].id, false);
		assert_int_equal(rd(APIC_ID), ids[i].xapic_id << 24);
		assert_int_equal(identity() & IDENTITY_ID_MASK, ids[i].xapic_id);
		set_base(X2APIC);
		assert_int_equal(rdmsr(0x802), ids[i].id);
		assert_int_equal(rdmsr(0x80d), ids[i].ldr);
		assert_int_equal(identity() & IDENTITY_ID_MASK, ids[i].id);
		assert_true(identity() & IDENTITY_X2APIC);
	}
}

static void xapic_id_is_writable_and_published(void **state)
{
	(void)state;
	wr(APIC_ID, 0x42ffffff);
	assert_int_equal(rd(APIC_ID), 0x42000000);
	assert_int_equal(identity() & IDENTITY_ID_MASK, 0x42);
}

static void ldr_and_dfr_are_published(void **state)
{
	(void)state;
	wr(APIC_LDR, 0x5a000000);
	assert_int_equal(identity() >> IDENTITY_LDR_SHIFT & 0xff, 0x5a);
	assert_false(identity() & IDENTITY_CLUSTER_MODEL);
	wr(APIC_DFR, 0);
	assert_int_equal(rd(APIC_DFR), APIC_DFR_CLUSTER);
	assert_true(identity() & IDENTITY_CLUSTER_MODEL);
	wr(APIC_DFR, 0xf0000000);
	assert_int_equal(rd(APIC_DFR), APIC_DFR_FLAT);
	assert_false(identity() & IDENTITY_CLUSTER_MODEL);
}

static void written_id_is_lost_on_the_way_to_x2apic(void **state)
{
	(void)state;
	make(0x17, false);
	wr(APIC_ID, 0x42000000);
	wr(APIC_LDR, 0x08000000);
	wr(APIC_ICR2, 0x99000000);
	set_base(X2APIC);
	assert_int_equal(rdmsr(0x802), 0x17);
	assert_int_equal(rdmsr(0x80d), 0x10080);
	assert_int_equal(rdmsr(0x830) >> 32, 0);
}

static void written_id_is_lost_through_disabled(void **state)
{
	(void)state;
	make(0x17, false);
	wr(APIC_ID, 0x42000000);
	set_base(DISABLED);
	assert_false(identity() & IDENTITY_HW_ENABLED);
	set_base(XAPIC);
	assert_int_equal(rd(APIC_ID), 0x17000000);
	assert_true(identity() & IDENTITY_HW_ENABLED);
}

static void scribble(void)
{
	wr(APIC_SVR, 0x1fe);
	wr(APIC_TPR, 0x35);
	wr(APIC_LVT_LINT1, 0x2453);
	wr(APIC_LVT_ERROR, 0x67);
	wr(APIC_TDCR, 3);
	wr(APIC_ICR, 0x40041);
	lapic_accept(vcpu0(), 0x91, true);
	lapic_acknowledge(vcpu0(), 0x91);
	lapic_accept(vcpu0(), 0xa2, false);
}

static void assert_scribbled(void)
{
	assert_int_equal(lapic_reg(vcpu0(), APIC_SVR), 0x1fe);
	assert_int_equal(lapic_reg(vcpu0(), APIC_TPR), 0x35);
	assert_int_equal(lapic_reg(vcpu0(), APIC_PPR), 0x90);
	assert_int_equal(lapic_reg(vcpu0(), APIC_LVT_LINT1), 0x2453);
	assert_int_equal(lapic_reg(vcpu0(), APIC_LVT_ERROR), 0x67);
	assert_int_equal(lapic_reg(vcpu0(), APIC_TDCR), 3);
	assert_int_equal(lapic_reg(vcpu0(), APIC_ICR), 0x40041);
	assert_true(harness_apic_bit(vcpu0(), APIC_ISR, 0x91));
	assert_true(harness_apic_bit(vcpu0(), APIC_TMR, 0x91));
	assert_true(harness_apic_bit(vcpu0(), APIC_IRR, 0xa2));
	assert_true(harness_apic_bit(vcpu0(), APIC_IRR, 0x41));
}

/* SDM vol. 3, "x2APIC State Transitions": most registers are not affected. */
static void xapic_to_x2apic_keeps_the_rest(void **state)
{
	(void)state;
	scribble();
	set_base(X2APIC);
	assert_scribbled();
	assert_int_equal(lapic_deliverable(vcpu0()), 0xa2);
}

static void xapic_through_disabled_keeps_the_rest(void **state)
{
	(void)state;
	scribble();
	set_base(DISABLED);
	set_base(XAPIC);
	assert_scribbled();
	assert_int_equal(lapic_deliverable(vcpu0()), 0xa2);
}

/* The same: from x2APIC mode nothing is preserved but the x2APIC ID. */
static void x2apic_to_disabled_resets_all(void **state)
{
	(void)state;
	make(0x17, false);
	scribble();
	set_base(X2APIC);
	assert_int_equal(wrmsr(0x838, 1000), PH_OK);
	post_interrupt(NULL, vcpu0(), 0x52, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu0(), 0x53, true, PH_SOURCE_IOAPIC);
	set_base(DISABLED);
	set_base(XAPIC);
	post_take_levels(vcpu0());
	post_drain(vcpu0());
	assert_int_equal(rd(APIC_ID), 0x17000000);
	assert_int_equal(rd(APIC_LDR), 0);
	assert_int_equal(rd(APIC_SVR), 0xff);
	assert_int_equal(rd(APIC_TPR), 0);
	assert_int_equal(rd(APIC_PPR), 0);
	assert_int_equal(rd(APIC_LVT_ERROR), APIC_LVT_MASKED);
	assert_int_equal(rd(APIC_TMICT), 0);
	assert_false(harness_host(vcpu0())->timer_is_armed);
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_IRR), 0);
	assert_int_equal(harness_apic_bit_count(vcpu0(), APIC_ISR), 0);
	assert_int_equal(lapic_deliverable(vcpu0()), PH_NO_VECTOR);
	set_base(X2APIC);
	assert_int_equal(rdmsr(0x802), 0x17);
}

static void same_mode_again_changes_no_register(void **state)
{
	(void)state;
	wr(APIC_ID, 0x42000000);
	scribble();
	set_base(XAPIC | APIC_BASE_BSP);
	set_base(0x12345000 | APIC_BASE_ENABLE);
	assert_scribbled();
	assert_int_equal(rd(APIC_ID), 0x42000000);
}

/* ---- CR8 ----------------------------------------------------------------------------------- */

/* SDM vol. 3, "Interaction of Task Priorities between CR8 and APIC". */
static void cr8_is_the_class_of_tpr(void **state)
{
	(void)state;
	for (uint64_t cr8 = 0; cr8 < 16; cr8++) {
		assert_int_equal(ph_cr8_write(vcpu0(), cr8), PH_OK);
		assert_int_equal(rd(APIC_TPR), cr8 << 4);
		assert_int_equal(rd(APIC_PPR), cr8 << 4);
		wr(APIC_TPR, (uint32_t)cr8 << 4 | 0xf);
		assert_int_equal(ph_cr8_read(vcpu0()), cr8);
	}
}

static void cr8_above_15_faults(void **state)
{
	(void)state;
	assert_int_equal(ph_cr8_write(vcpu0(), 7), PH_OK);
	for (uint32_t bit = 4; bit < 64; bit++)
		assert_int_equal(ph_cr8_write(vcpu0(), 1ull << bit), PH_GUEST_GP);
	assert_int_equal(ph_cr8_read(vcpu0()), 7);
}

/* Every offset, MSR and value a guest may come with: no crash, and the caches stay true. */
static void any_access_is_harmless(void **state)
{
	static const uint64_t bases[] = {XAPIC, X2APIC, DISABLED, XAPIC};
	uint64_t seed = 0x2545f4914f6cdd1dull;

	(void)state;
	for (uint32_t round = 0; round < 200000; round++) {
		uint64_t value;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (round % 50000 == 0)
			set_base(bases[round / 50000]);
		ph_apic_mmio_write(vcpu0(), (uint32_t)seed & 0xff0, 4, (uint32_t)(seed >> 20));
		(void)ph_apic_mmio_read(vcpu0(), (uint32_t)(seed >> 8) & 0xfff, seed & 7);
		(void)wrmsr(0x800 + (seed >> 16 & 0xff), seed >> (seed & 63));
		(void)ph_apic_msr_read(vcpu0(), 0x800 + (seed >> 30 & 0xff), &value);
		harness_advance(seed >> 55);
		if (shared32_and(&vcpu0()->shared.requests, 0, NONE) & REQUEST_TIMER)
			lapic_timer_service(vcpu0());
		post_drain(vcpu0());
		if (lapic_deliverable(vcpu0()) != PH_NO_VECTOR)
			lapic_acknowledge(vcpu0(), (uint8_t)lapic_deliverable(vcpu0()));
		assert_int_equal(lapic_reg(vcpu0(), APIC_IRR) & 0xffff, 0);
		assert_int_equal(vcpu0()->lapic.highest_isr >= 0,
		    harness_apic_bit_count(vcpu0(), APIC_ISR) != 0);
	}
	assert_int_equal(harness.irq_save_depth, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mmio_register_map),
	    TEST(mmio_read_only_registers_keep_their_value),
	    TEST(mmio_write_only_and_reserved_registers_read_zero),
	    TEST(msr_register_map),
	    TEST(msrs_outside_x2apic_mode_fault),
	    TEST(other_msrs_are_not_ours),
	    TEST(mmio_is_gone_outside_xapic_mode),
	    TEST(undefined_accesses_do_nothing),
	    TEST(writable_bits),
	    TEST(x2apic_reserved_bits_fault),
	    TEST(x2apic_icr_reserved_bits_fault),
	    TEST(x2apic_eoi_and_esr_take_only_zero),
	    TEST(faulting_write_changes_nothing),
	    TEST(icr_delivery_status_reads_idle),
	    TEST(version_says_directed_eoi),
	    TEST(software_disable_masks_every_lvt),
	    TEST(software_enable_is_published),
	    TEST(esr_is_written_then_read),
	    TEST(illegal_access_delivers_the_error_interrupt),
	    TEST(x2apic_fault_is_no_esr_error),
	    TEST(mode_transitions),
	    TEST(base_reserved_bits_fault),
	    TEST(base_moves_the_page),
	    TEST(bsp_flag_is_read_back),
	    TEST(ids_by_mode),
	    TEST(xapic_id_is_writable_and_published),
	    TEST(ldr_and_dfr_are_published),
	    TEST(written_id_is_lost_on_the_way_to_x2apic),
	    TEST(written_id_is_lost_through_disabled),
	    TEST(xapic_to_x2apic_keeps_the_rest),
	    TEST(xapic_through_disabled_keeps_the_rest),
	    TEST(x2apic_to_disabled_resets_all),
	    TEST(same_mode_again_changes_no_register),
	    TEST(cr8_is_the_class_of_tpr),
	    TEST(cr8_above_15_faults),
	    TEST(any_access_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
