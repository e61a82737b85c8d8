/* SPDX-License-Identifier: MIT */
/*
 * Guest: what this machine's local APIC and IOAPIC answer to a random sequence, one line a step,
 * with every register that changed.  tests/oracle replays such a record against core/.  Options:
 * seed, steps, lines=1 (pc-testdev), x2apic=1.
 */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/random.h"
#include "guests/rt/test.h"

const char guest_name[] = "apic_record";

#define STEPS_DEFAULT 500u
#define REGISTERS     64u
#define TAKEN_MAX     64u

enum mode { MODE_DISABLED = 0, MODE_INVALID = 1, MODE_XAPIC = 2, MODE_X2APIC = 3 };

static struct random random;
static enum mode mode = MODE_XAPIC;
static uint32_t before[REGISTERS];
static uint64_t entries_before[IOAPIC_PIN_COUNT];
static unsigned taken[TAKEN_MAX];
static unsigned taken_count;

/* What can be read at any time without an effect, and does not count by itself. */
static const uint16_t shown[] = {0x020, 0x080, 0x0a0, 0x0d0, 0x0e0, 0x0f0, 0x100, 0x110, 0x120,
    0x130, 0x140, 0x150, 0x160, 0x170, 0x180, 0x190, 0x1a0, 0x1b0, 0x1c0, 0x1d0, 0x1e0, 0x1f0,
    0x200, 0x210, 0x220, 0x230, 0x240, 0x250, 0x260, 0x270, 0x280, 0x300, 0x310, 0x320, 0x330,
    0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};

static uint32_t below(uint32_t bound)
{
	return random_below(&random, bound);
}

static uint32_t read_register(uint32_t offset)
{
	uint64_t value = 0;

	if (mode == MODE_XAPIC)
		return *xapic_register(offset);
	if (offset == APIC_DFR)
		return 0;
	if (offset == APIC_ICR_HIGH)
		return (uint32_t)(rdmsr(MSR_X2APIC + APIC_ICR / 16) >> 32);
	(void)try_rdmsr(MSR_X2APIC + offset / 16, &value);
	return (uint32_t)value;
}

static void show_changes(void)
{
	if (mode == MODE_XAPIC || mode == MODE_X2APIC) {
		for (unsigned i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
			uint32_t value = read_register(shown[i]);

			if (value != before[shown[i] / 16])
				print(" %03x=%08x", shown[i], value);
			before[shown[i] / 16] = value;
		}
	}
	for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
		uint64_t entry = ioapic_read_entry(pin);

		if (entry != entries_before[pin])
			print(" e%02x=%016lx", pin, entry);
		entries_before[pin] = entry;
	}
	print("\n");
}

static void take(struct frame *frame)
{
	if (taken_count == TAKEN_MAX)
		test_abort("interrupts without end");
	taken[taken_count++] = (unsigned)frame->vector;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static uint32_t vector(void)
{
	return 0x20 + below(0xe0);
}

/* Fixed, lowest priority or a reserved mode: others end the guest or run firmware. */
static uint32_t delivery(void)
{
	static const uint32_t modes[] = {0, 0, 0, 0x100, 0x300};

	return modes[below(5)];
}

static uint32_t any_bits(void)
{
	return (uint32_t)random_next(&random);
}

static uint32_t value_for(uint32_t offset)
{
	static const uint32_t dividers[] = {0, 1, 2, 3, 8, 9, 0xa, 0xb};

	switch (offset) {
	case APIC_SVR:
		return vector() | (below(8) ? APIC_SVR_ENABLE : 0) | (below(4) ? 0 : 0x200);
	case APIC_ID:
		return 0;
	case APIC_LDR:
		return 1u << (24 + below(8)) | (below(4) ? 0 : any_bits() & 0xffffff);
	case APIC_DFR:
		return below(2) ? 0xffffffff : 0x0fffffff;
	case APIC_TMICT:
		return 0;
	case APIC_TDCR:
		return dividers[below(8)];
	case APIC_ICR:
		return vector() | delivery() | (below(3) ? 0 : APIC_ICR_LOGICAL) | APIC_ICR_ASSERT |
		       below(4) << 18;
	case APIC_ICR_HIGH:
		return below(2) ? 0 : below(2) ? 0xff000000 : any_bits() & 0xff000000;
	case APIC_TPR:
		return below(2) ? 0 : below(256);
	case APIC_LVT_TIMER:
		return vector() | (below(2) ? APIC_LVT_MASKED : 0) | below(3) << 17;
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
		return vector() | (below(2) ? APIC_LVT_MASKED : 0) | (below(4) ? 0 : 0x8000) |
		       (below(4) ? 0 : 0x2000);
	case APIC_LVT_THERMAL:
	case APIC_LVT_PERFORMANCE:
	case APIC_LVT_ERROR:
		return vector() | (below(2) ? APIC_LVT_MASKED : 0);
	default:
		return below(4) ? 0 : any_bits();
	}
}

/* ---- Steps: the line says what was done and, behind "=>", what came back --------------------- */

static uint32_t written_offset(void)
{
	static const uint16_t offsets[] = {APIC_TPR, APIC_EOI, APIC_EOI, APIC_LDR, APIC_DFR,
	    APIC_SVR, APIC_ESR, APIC_ICR, APIC_ICR, APIC_ICR, APIC_ICR_HIGH, APIC_LVT_TIMER,
	    APIC_LVT_THERMAL, APIC_LVT_PERFORMANCE, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR,
	    APIC_TMICT, APIC_TDCR, APIC_PPR, APIC_ISR, APIC_IRR, APIC_VERSION, APIC_SELF_IPI};

	return offsets[below(sizeof(offsets) / sizeof(offsets[0]))];
}

static void step_mmio_write(void)
{
	uint32_t offset = written_offset();
	uint32_t value = value_for(offset);

	/* SELF_IPI is x2APIC's. */
	if (offset == APIC_SELF_IPI)
		offset = APIC_TPR;
	*xapic_register(offset) = value;
	print("w %03x %08x", offset, value);
}

static void step_mmio_read(void)
{
	uint32_t offset = below(64) * 16;

	if (offset == APIC_TMCCT)
		offset = APIC_VERSION;
	print("r %03x => %08x", offset, *xapic_register(offset));
}

static void step_msr_write(void)
{
	uint32_t offset = below(8) ? written_offset() : below(64) * 16;
	uint64_t value = value_for(offset);
	unsigned fault;

	if (offset == APIC_SELF_IPI)
		value = vector();
	if (offset == APIC_EOI || offset == APIC_ESR)
		value = below(8) ? 0 : 1;
	if (offset == APIC_ICR)
		value |= (uint64_t)(below(2) ? 0 : below(2) ? 0xffffffff : 1u << below(17)) << 32;
	if (below(16) == 0)
		value |= 1ull << (32 + below(32));
	if (offset == APIC_TMICT)
		value = 0;
	fault = try_wrmsr(MSR_X2APIC + offset / 16, value);
	print("W %03x %016lx => %s", offset, value, fault == FAULT_NONE ? "ok" : "gp");
}

static void step_msr_read(void)
{
	uint32_t offset = below(64) * 16;
	uint64_t value = 0;
	unsigned fault;

	if (offset == APIC_TMCCT)
		offset = APIC_VERSION;
	fault = try_rdmsr(MSR_X2APIC + offset / 16, &value);
	if (fault == FAULT_NONE)
		print("R %03x => %016lx", offset, value);
	else
		print("R %03x => gp", offset);
}

/* Pins whose lines nobody drives but this guest. */
static const uint8_t pins[] = {5, 10, 11, 20};
static bool is_high[4];

/* A pin whose line is high is only masked or unmasked: QEMU forgets lines when the trigger changes.
 */
static void step_ioapic(void)
{
	unsigned which = below(4);
	uint32_t index = IOAPIC_REG_ENTRIES + 2u * pins[which] + below(2);
	uint32_t value;

	if (is_high[which])
		index &= ~1u;
	if (index & 1)
		value = below(2) ? 0 : below(2) ? 0xff000000 : 1u << (24 + below(8));
	else
		value = vector() | (below(4) ? 0 : 0x100) | (below(2) ? 0x8000 : 0) |
		        (below(4) ? 0 : 0x10000) | (below(4) ? 0 : 0x800) | (below(8) ? 0 : 0x5000);
	if (is_high[which])
		value = ((ioapic_read(index) & 0x1afff) ^ 0x10000) | 0x20;
	ioapic_write(index, value);
	print("o %02x %08x", index, value);
}

static void step_line(void)
{
	unsigned which = below(3);

	is_high[which] = !is_high[which];
	line_set(pins[which], is_high[which]);
	print("l %u %u", pins[which], is_high[which]);
}

static void step_window(void)
{
	taken_count = 0;
	interrupts_window();
	print("i =>");
	for (unsigned i = 0; i < taken_count; i++)
		print(" %02x", taken[i]);
	print(" .");
}

static void step_cr8(void)
{
	uint64_t value = below(16);

	write_cr8(value);
	print("c %lx", value);
}

/* Mode changes by the SDM's figure; those that it does not have must fault. */
static void step_mode(bool has_x2apic)
{
	enum mode to = below(has_x2apic ? 4 : 1) ? (enum mode)below(4)
	               : mode == MODE_XAPIC      ? MODE_DISABLED
	                                         : MODE_XAPIC;
	uint64_t value = APIC_BASE_ADDRESS | APIC_BASE_BSP | (uint64_t)to << 10;
	unsigned fault;

	fault = try_wrmsr(MSR_APIC_BASE, value);
	mode = (enum mode)(rdmsr(MSR_APIC_BASE) >> 10 & 3);
	print("b %lx => %s", value, fault == FAULT_NONE ? "ok" : "gp");
}

static void step(bool has_lines, bool has_x2apic)
{
	uint32_t choice = below(20);

	if (has_x2apic && below(60) == 0)
		step_mode(has_x2apic);
	else if (choice < 3)
		step_window();
	else if (choice < 4)
		step_cr8();
	else if (choice < 7)
		step_ioapic();
	else if (choice < 10 && has_lines)
		step_line();
	else if (mode == MODE_XAPIC)
		choice < 12 ? step_mmio_read() : step_mmio_write();
	else if (mode == MODE_X2APIC)
		choice < 12 ? step_msr_read() : step_msr_write();
	else
		step_mode(has_x2apic);
	show_changes();
}

void guest_main(void)
{
	uint64_t steps = option("steps", STEPS_DEFAULT);
	uint64_t modes = option("modes", 1);
	bool has_changes = modes == 1 && cpu_has_x2apic();
	bool has_lines = option("lines", 0);

	random.state = option("seed", 1) * 1000003;
	interrupts_disable();
	for (unsigned i = 32; i < 256; i++)
		interrupts_set(i, take);
	apic_init();
	ioapic_mask_all();
	if (modes == 2) {
		apic_enter_x2apic();
		mode = MODE_X2APIC;
	}
	print("begin %u", mode);
	show_changes();
	while (steps--)
		step(has_lines, has_changes);
	print("end\n");
}
