/* SPDX-License-Identifier: MIT */
/* Guest: the local APIC's modes, the way from one to another, and its registers in each. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/cpu.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"

const char guest_name[] = "apic_mode";

#define VECTOR_TEST          0x51u
#define CPUID_1_EDX_APIC     (1u << 9)
#define ESR_ILLEGAL_REGISTER (1u << 7)
#define TDCR_WRITABLE        0xbu
#define LVT_TIMER_DEFINED    0x710ffu
#define LVT_LINT_DEFINED     0x1f7ffu
#define TIMER_MODE_RESERVED  (3u << 17)
#define X2APIC_MSR_FIRST     0x800u
#define X2APIC_MSR_LAST      0x83fu

static uint32_t msr_of(uint32_t offset)
{
	return MSR_X2APIC + (offset >> 4);
}

static void check_base(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	check((base & ~0xfffull) == APIC_BASE_ADDRESS, "base %lx", base);
	check(base & APIC_BASE_EN && !(base & APIC_BASE_EXTD), "mode at start: %lx", base);
	check(base & APIC_BASE_BSP, "no BSP flag: %lx", base);
	check(apic_id() == cpuid(1, 0).ebx >> 24, "ID %u is not CPUID's", apic_id());
	check((apic_read(APIC_VERSION) & 0xff) >= 0x14, "version %x", apic_read(APIC_VERSION));
	check((apic_read(APIC_VERSION) >> 16 & 0xff) >= 3, "LVT count");
}

static void check_written(const char *name, uint32_t offset, uint32_t written, uint32_t expected)
{
	apic_write(offset, written);
	check(apic_read(offset) == expected, "%s: wrote %x, reads %x, expected %x", name, written,
	    apic_read(offset), expected);
}

static void check_common_registers(void)
{
	check_written("TPR", APIC_TPR, 0xff, 0xff);
	check_written("TPR", APIC_TPR, 0, 0);
	check_written("TDCR", APIC_TDCR, 0xb, TDCR_WRITABLE);
	check_written("TMICT", APIC_TMICT, 0, 0);
	check_written("SVR", APIC_SVR, APIC_SVR_ENABLE | 0xef, APIC_SVR_ENABLE | 0xef);
	check_written(
	    "SVR", APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
}

static void check_read_only(const char *name, uint32_t offset)
{
	uint32_t before = apic_read(offset);

	apic_write(offset, ~before);
	check(apic_read(offset) == before, "%s changed from %x to %x", name, before,
	    apic_read(offset));
}

/* Reserved bits are dropped and read-only registers stay (SDM 3, 11.4.1). */
static void check_xapic_registers(void)
{
	check_written("LDR", APIC_LDR, 0xa5ffffff, 0xa5000000);
	check_written("DFR", APIC_DFR, 0, 0x0fffffff);
	check_written("DFR", APIC_DFR, 0xffffffff, 0xffffffff);
	check_written("LDR", APIC_LDR, 0, 0);
	check_written("TDCR", APIC_TDCR, 0xffffffff, TDCR_WRITABLE);
	apic_write(APIC_LVT_TIMER, ~TIMER_MODE_RESERVED);
	check(!(apic_read(APIC_LVT_TIMER) & ~LVT_TIMER_DEFINED), "LVT timer reads %x",
	    apic_read(APIC_LVT_TIMER));
	apic_write(APIC_LVT_LINT1, 0xffffffff);
	check(!(apic_read(APIC_LVT_LINT1) & ~LVT_LINT_DEFINED), "LVT LINT1 reads %x",
	    apic_read(APIC_LVT_LINT1));
	check_read_only("version", APIC_VERSION);
	check_read_only("PPR", APIC_PPR);
	check_read_only("TMCCT", APIC_TMCCT);
	for (uint32_t offset = 0; offset < 0x80; offset += 0x10) {
		check_read_only("ISR", APIC_ISR + offset);
		check_read_only("TMR", APIC_TMR + offset);
		check_read_only("IRR", APIC_IRR + offset);
	}
	apic_init();
}

/* SDM 3, 11.5.3: an access to a reserved register shows in ESR. */
static void check_illegal_register(void)
{
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	check(apic_read(APIC_ESR) == 0, "ESR %x at rest", apic_read(APIC_ESR));
	(void)apic_read(0x040);
	check(apic_read(APIC_ESR) == 0, "ESR shows an error before it is written");
	apic_write(APIC_ESR, 0);
	check(apic_read(APIC_ESR) == ESR_ILLEGAL_REGISTER, "ESR %x", apic_read(APIC_ESR));
	apic_write(APIC_ESR, 0);
}

/* SDM 3, 11.4.7.2: state of the local APIC after it has been software disabled. */
static void check_software_disable(void)
{
	uint64_t interrupts = this_cpu()->interrupt_count[VECTOR_TEST];
	uint64_t nmis = this_cpu()->interrupt_count[VECTOR_NMI];

	apic_write(APIC_LVT_LINT1, APIC_DELIVERY_NMI);
	apic_write(APIC_SVR, VECTOR_SPURIOUS);
	check(apic_read(APIC_LVT_LINT1) & APIC_LVT_MASKED, "LVT is not masked");
	apic_write(APIC_LVT_LINT1, APIC_DELIVERY_NMI);
	check(apic_read(APIC_LVT_LINT1) & APIC_LVT_MASKED, "LVT was unmasked while disabled");
	apic_send_self(VECTOR_TEST);
	interrupts_window();
	check(
	    this_cpu()->interrupt_count[VECTOR_TEST] == interrupts, "a disabled APIC took an IPI");
	apic_write_icr(APIC_DELIVERY_NMI | APIC_ICR_ASSERT, apic_id());
	__asm__ volatile("nop");
	check(this_cpu()->interrupt_count[VECTOR_NMI] == nmis + 1, "a disabled APIC drops NMIs");
	apic_init();
	interrupts_window();
	check(
	    this_cpu()->interrupt_count[VECTOR_TEST] == interrupts, "the IPI came after enabling");
}

static void expect_gp(const char *what, uint32_t number, unsigned fault)
{
	check(fault == FAULT_GP, "%s %x: vector %u, expected #GP", what, number, fault);
}

static void expect_mode_gp(const char *from, uint64_t bits)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	uint64_t wanted = (base & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD)) | bits;

	check(try_wrmsr(MSR_APIC_BASE, wanted) == FAULT_GP, "%s to %lx does not fault", from, bits);
	check(rdmsr(MSR_APIC_BASE) == base, "%s: the base changed", from);
}

static void set_mode(uint64_t bits)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD);
	unsigned fault = try_wrmsr(MSR_APIC_BASE, base | bits);

	check(fault == FAULT_NONE, "mode %lx: vector %u", bits, fault);
	this_cpu()->has_x2apic_mode = bits & APIC_BASE_EXTD;
}

static void check_msrs_fault(const char *mode)
{
	uint64_t value;

	for (uint32_t msr = X2APIC_MSR_FIRST; msr <= X2APIC_MSR_LAST; msr++) {
		expect_gp(mode, msr, try_rdmsr(msr, &value));
		expect_gp(mode, msr, try_wrmsr(msr, 0));
	}
}

/* Registers that x2APIC mode does not have, or has one way only: SDM table "x2APIC MSRs". */
static void check_x2apic_faults(void)
{
	static const uint32_t absent[] = {
	    0x800, 0x801, 0x804, 0x807, 0x809, 0x80c, 0x80e, 0x829, 0x831, 0x83a, 0x83d};
	static const uint32_t read_only[] = {
	    0x802, 0x803, 0x80a, 0x80d, 0x810, 0x818, 0x820, 0x839};
	static const uint32_t write_only[] = {0x80b, 0x83f};
	static const struct {
		uint32_t msr;
		uint64_t value;
	} reserved[] = {{0x808, 0x100}, {0x80b, 1}, {0x80f, 1u << 31}, {0x828, 1},
	    {0x830, 1u << 31}, {0x830, 1u << 20}, {0x832, 1u << 31}, {0x835, 1u << 31},
	    {0x838, 1ull << 32}, {0x83e, 4}, {0x83f, 0x100}};
	uint64_t value;

	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		expect_gp("absent: RDMSR", absent[i], try_rdmsr(absent[i], &value));
		expect_gp("absent: WRMSR", absent[i], try_wrmsr(absent[i], 0));
	}
	for (unsigned i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		check(try_rdmsr(read_only[i], &value) == FAULT_NONE, "RDMSR %x", read_only[i]);
		expect_gp("read-only: WRMSR", read_only[i], try_wrmsr(read_only[i], value));
	}
	for (unsigned i = 0; i < sizeof(write_only) / sizeof(write_only[0]); i++)
		expect_gp("write-only: RDMSR", write_only[i], try_rdmsr(write_only[i], &value));
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		expect_gp("reserved bits: WRMSR", reserved[i].msr,
		    try_wrmsr(reserved[i].msr, reserved[i].value));
}

static void check_x2apic_identity(void)
{
	uint32_t id = apic_read(APIC_ID);
	uint32_t logical = (id >> 4) << 16 | 1u << (id & 15);

	check(id == cpuid(1, 0).ebx >> 24, "x2APIC ID %x", id);
	check(apic_read(APIC_LDR) == logical, "LDR %x, expected %x", apic_read(APIC_LDR), logical);
	check(rdmsr(msr_of(APIC_ICR)) >> 32 == 0, "ICR %lx", rdmsr(msr_of(APIC_ICR)));
	apic_write_icr(APIC_DELIVERY_FIXED | APIC_ICR_ASSERT | 0x31, 0x12345678);
	check(rdmsr(msr_of(APIC_ICR)) == (0x12345678ull << 32 | APIC_ICR_ASSERT | 0x31),
	    "ICR reads %lx", rdmsr(msr_of(APIC_ICR)));
}

/* CPUID.1:ECX[21] = 0: EXTD is a reserved bit. */
static void check_no_x2apic(void)
{
	check_msrs_fault("no x2APIC: MSR");
	expect_mode_gp("no x2APIC", APIC_BASE_EN | APIC_BASE_EXTD);
	expect_mode_gp("no x2APIC", APIC_BASE_EXTD);
	check_software_disable();
	set_mode(0);
	expect_mode_gp("no x2APIC, disabled", APIC_BASE_EN | APIC_BASE_EXTD);
}

static void check_x2apic(void)
{
	apic_write(APIC_TPR, 0x35);
	check_msrs_fault("xAPIC mode: MSR");
	expect_mode_gp("xAPIC", APIC_BASE_EXTD);
	set_mode(APIC_BASE_EN | APIC_BASE_EXTD);
	check(apic_read(APIC_TPR) == 0x35, "TPR %x after the change", apic_read(APIC_TPR));
	check(
	    apic_read(APIC_SVR) & APIC_SVR_ENABLE, "SVR %x after the change", apic_read(APIC_SVR));
	apic_write(APIC_TPR, 0);
	expect_mode_gp("x2APIC", APIC_BASE_EN);
	expect_mode_gp("x2APIC", APIC_BASE_EXTD);
	check_x2apic_identity();
	check_common_registers();
	check_x2apic_faults();
	check_software_disable();
	set_mode(0);
	expect_mode_gp("disabled", APIC_BASE_EN | APIC_BASE_EXTD);
	check_msrs_fault("disabled: MSR");
}

/*
 * SDM 3, 11.4.3: disabled by IA32_APIC_BASE, and back.  Whether the registers keep their values is open
 * there (Linux KVM keeps them, and so does Posthorn); the ID and the masks do not change either way.
 */
static void check_disabled(void)
{
	apic_write(APIC_TPR, 0x20);
	set_mode(0);
	check(!(cpuid(1, 0).edx & CPUID_1_EDX_APIC), "CPUID shows a disabled APIC");
	expect_mode_gp("disabled", APIC_BASE_EXTD);
	set_mode(APIC_BASE_EN);
	check(cpuid(1, 0).edx & CPUID_1_EDX_APIC, "CPUID does not show the APIC");
	check(apic_read(APIC_LVT_TIMER) == APIC_LVT_MASKED, "LVT timer %x after the change",
	    apic_read(APIC_LVT_TIMER));
	check(apic_id() == 0, "ID %x after the change", apic_id());
	apic_write(APIC_TPR, 0);
	apic_init();
}

static void take_nmi(struct frame *frame)
{
	(void)frame;
}

void guest_main(void)
{
	interrupts_disable();
	interrupts_set(VECTOR_TEST, interrupt_eoi_only);
	interrupts_set(VECTOR_NMI, take_nmi);
	check_base();
	check_common_registers();
	if (!cpu_is_under_posthorn()) {
		not_checked("modes, reserved bits, software disable: QEMU 7.2 lacks these rules");
		return;
	}
	check_xapic_registers();
	check_illegal_register();
	check_software_disable();
	check_disabled();
	if (cpu_has_x2apic())
		check_x2apic();
	else
		check_no_x2apic();
	set_mode(APIC_BASE_EN);
	apic_init();
	check_software_disable();
}
