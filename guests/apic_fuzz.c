/* SPDX-License-Identifier: MIT */
/* Guest: wild accesses to APIC, IOAPIC, MSRs and ports; all must still work afterwards. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/random.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "apic_fuzz";

#define STEPS_DEFAULT      20000u
#define VECTOR_VERIFY      0x51u
#define WINDOW_TAKEN_MAX   64u
#define DRAIN_ROUND_MAX    1000u
#define VECTOR_FIRST_LEGAL 16u
#define LINE_VERIFY        14u
#define LINE_COUNT         16u

struct port_range {
	uint16_t first, last;
};

/* Ports whose writes end or change the guest itself; 3 more below, for wider accesses. */
static const struct port_range kept_out_ports[] = {
    {0x1d, 0x21},   /* master 8259: could unmask lines with vectors below 16 */
    {0x5d, 0x64},   /* keyboard controller: reset */
    {0x8f, 0x92},   /* fast reset */
    {0x9d, 0xa1},   /* slave 8259 */
    {0xf1, 0xf7},   /* debug exit */
    {0x3f5, 0x3ff}, /* COM1 */
    {0x5fd, 0x607}, /* power off */
    {0xcf5, 0xcff}, /* reset, PCI */
};

static const uint32_t odd_msrs[] = {0, 0x20, 0x79, 0x8b, 0xce, 0x186, 0x1d9, 0x3a, 0x480, 0x48b,
    0x7ff, 0x840, 0x8ff, 0x4b564d00, 0x40000000, 0x40000070, 0xc0000000, 0xc0001fff, 0xc0002000,
    0xc0010015, 0xc001001a, 0xc0010111, 0xc0010114, 0xc0010115, 0xc0010117, 0xc0010118, 0xc001011b,
    0xc0011fff, 0xdeadbeef, 0xffffffff};

static struct random randoms[CPU_COUNT_MAX];
static uint64_t step_count;
static unsigned window_taken[CPU_COUNT_MAX];
static uint64_t fault_count[CPU_COUNT_MAX];
static volatile unsigned arrived_count;
static bool is_posthorn;

/* A level line that stays high would be taken for ever: at the limit, return with IF = 0. */
static void take(struct frame *frame)
{
	unsigned me = this_cpu()->index;

	if (frame->vector < VECTOR_FIRST_LEGAL)
		test_abort("vector %lu was delivered", frame->vector);
	if (++window_taken[me] >= WINDOW_TAKEN_MAX)
		frame->rflags &= ~(uint64_t)RFLAGS_IF;
	apic_eoi();
}

static void take_nmi(struct frame *frame)
{
	(void)frame;
}

static void window(void)
{
	window_taken[this_cpu()->index] = 0;
	interrupts_window();
}

/*
 * INIT and STARTUP would end a CPU, as they should. On QEMU 7.2 an SMI runs firmware and vectors
 * below 16 are delivered, so these stay out there.
 */
static uint32_t harmless(uint32_t value)
{
	uint32_t mode = value & APIC_DELIVERY_MASK;

	if (mode == APIC_DELIVERY_INIT || mode == APIC_DELIVERY_STARTUP ||
	    (mode == APIC_DELIVERY_SMI && !is_posthorn))
		value &= ~APIC_DELIVERY_MASK;
	if (!is_posthorn && (value & 0xff) < VECTOR_FIRST_LEGAL)
		value |= VECTOR_FIRST_LEGAL;
	return value;
}

static uint32_t value_for(uint32_t offset, uint32_t value)
{
	/* QEMU 7.2 spends all its time on a timer of a few nanoseconds. */
	if ((offset & ~0xfu) == APIC_TMICT && !is_posthorn)
		return value | 0x100000;
	return harmless(value);
}

static void fuzz_apic_read(struct random *random)
{
	uint32_t offset = random_below(random, 0x1000);
	volatile char *address = (volatile char *)(uintptr_t)(APIC_BASE_ADDRESS + offset);

	switch (random_below(random, 4)) {
	case 0:
		(void)*(volatile uint8_t *)address;
		break;
	case 1:
		(void)*(volatile uint16_t *)(uintptr_t)((uintptr_t)address & ~1ul);
		break;
	case 2:
		(void)*(volatile uint64_t *)(uintptr_t)((uintptr_t)address & ~7ul);
		break;
	default:
		(void)*(volatile uint32_t *)(uintptr_t)((uintptr_t)address & ~3ul);
	}
}

static void fuzz_apic_write(struct random *random)
{
	uint32_t offset = random_below(random, 0x100) << 4;
	uint32_t value = value_for(offset, (uint32_t)random_next(random));

	if (random_below(random, 16) == 0)
		offset |= random_below(random, 4) << 2;
	*xapic_register(offset) = value;
}

static void fuzz_ioapic(struct random *random)
{
	uint32_t index = random_below(random, 0x100);
	uint32_t value = (uint32_t)random_next(random);

	if (random_below(random, 2))
		index = IOAPIC_REG_ENTRIES + random_below(random, 2 * IOAPIC_PIN_COUNT);
	if (random_below(random, 2))
		(void)ioapic_read(index);
	else
		ioapic_write(index, harmless(value));
}

static void expect_fault(const char *what, uint32_t number, unsigned fault)
{
	check(fault == FAULT_NONE || fault == FAULT_GP, "%s %x: vector %u", what, number, fault);
	fault_count[this_cpu()->index] += fault == FAULT_GP;
}

static void fuzz_msr(struct random *random, uint32_t msr)
{
	uint64_t value = random_next(random);

	if (random_below(random, 2))
		value &= 0xffffffff;
	value = (value & ~0xffffffffull) | value_for((msr - MSR_X2APIC) << 4, (uint32_t)value);
	if (random_below(random, 2))
		expect_fault("RDMSR", msr, try_rdmsr(msr, &value));
	else
		expect_fault("WRMSR", msr, try_wrmsr(msr, value));
}

static void fuzz_odd_msr(struct random *random)
{
	uint32_t index = random_below(random, sizeof(odd_msrs) / sizeof(odd_msrs[0]));

	if (random_below(random, 2))
		fuzz_msr(random, odd_msrs[index]);
	else
		fuzz_msr(random, (uint32_t)random_next(random) | 0x01000000);
}

/* On QEMU itself, other ports belong to devices that this guest must not upset. */
static bool is_port_open(uint16_t port)
{
	if (!is_posthorn)
		return port >= 0x4000 && port < 0x9f00;
	for (unsigned i = 0; i < sizeof(kept_out_ports) / sizeof(kept_out_ports[0]); i++) {
		if (port >= kept_out_ports[i].first && port <= kept_out_ports[i].last)
			return false;
	}
	return true;
}

static void fuzz_port(struct random *random)
{
	uint16_t port = (uint16_t)random_next(random);
	uint32_t value = (uint32_t)random_next(random);

	if (!is_port_open(port))
		port = 0x4000;
	switch (random_below(random, 6)) {
	case 0:
		(void)inb(port);
		break;
	case 1:
		(void)inw(port);
		break;
	case 2:
		(void)inl(port);
		break;
	case 3:
		outb(port, (uint8_t)value);
		break;
	case 4:
		outw(port, (uint16_t)value);
		break;
	default:
		outl(port, value);
	}
}

static void fuzz_string_port(struct random *random)
{
	uint8_t buffer[16];
	uint64_t count = random_below(random, sizeof(buffer) + 1);
	void *to = buffer;
	const void *from = buffer;

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x4000) : "memory");
	check(count == 0, "REP INSB left %lu", count);
	count = random_below(random, sizeof(buffer) + 1);
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x4000) : "memory");
	check(count == 0, "REP OUTSB left %lu", count);
}

static void fuzz_step(struct random *random)
{
	switch (random_below(random, 12)) {
	case 0:
	case 1:
		fuzz_apic_read(random);
		break;
	case 2:
	case 3:
	case 4:
		fuzz_apic_write(random);
		break;
	case 5:
		fuzz_ioapic(random);
		break;
	case 6:
		fuzz_msr(random, MSR_X2APIC + random_below(random, 0x40));
		break;
	case 7:
		fuzz_odd_msr(random);
		break;
	case 8:
		fuzz_port(random);
		break;
	case 9:
		line_set(random_below(random, LINE_COUNT), random_below(random, 2));
		break;
	case 10:
		write_cr8(random_below(random, 16));
		break;
	default:
		window();
		if (random_below(random, 32) == 0)
			fuzz_string_port(random);
	}
}

/* All CPUs call it; interrupts stay disabled. */
static void meet(unsigned number)
{
	__atomic_add_fetch(&arrived_count, 1, __ATOMIC_SEQ_CST);
	if (!WAIT_UNTIL(arrived_count >= number * cpu_count, 3 * TIMEOUT_MS))
		test_abort("CPU %u: only %u arrivals", this_cpu()->index, arrived_count);
}

static void quiet_devices(void)
{
	for (unsigned line = 0; line < LINE_COUNT; line++)
		line_set(line, false);
	pic_init(0x20, 0x28);
	ioapic_write(IOAPIC_REG_ID, 0);
	ioapic_mask_all();
}

static bool is_apic_idle(void)
{
	for (uint32_t offset = 0; offset < 0x80; offset += 0x10) {
		if (apic_read(APIC_IRR + offset) || apic_read(APIC_ISR + offset))
			return false;
	}
	return true;
}

static void recover(void)
{
	unsigned round;

	if (!this_cpu()->has_x2apic_mode) {
		apic_write(APIC_ID, this_cpu()->index << 24);
		apic_write(APIC_DFR, 0xffffffff);
		apic_write(APIC_LDR, 0);
	}
	apic_init();
	for (round = 0; round < DRAIN_ROUND_MAX && !is_apic_idle(); round++) {
		apic_eoi();
		window();
	}
	check(round < DRAIN_ROUND_MAX, "CPU %u: the APIC does not get idle", this_cpu()->index);
	check(apic_id() == this_cpu()->index, "CPU %u: APIC ID %u", this_cpu()->index, apic_id());
}

static void verify(void)
{
	volatile uint64_t *count = &this_cpu()->interrupt_count[VECTOR_VERIFY];
	uint64_t before = *count;

	apic_send_self(VECTOR_VERIFY);
	window();
	check(*count == before + 1, "self IPI after fuzzing: %lu", *count - before);

	apic_write(APIC_LVT_TIMER, APIC_LVT_TIMER_ONE_SHOT | VECTOR_VERIFY);
	apic_write(APIC_TMICT, 1000);
	interrupts_enable();
	if (!WAIT_UNTIL(*count == before + 2, TIMEOUT_MS))
		test_abort("CPU %u: the timer is dead after fuzzing", this_cpu()->index);
	interrupts_disable();

	if (this_cpu()->index)
		return;
	ioapic_write_entry(LINE_VERIFY, VECTOR_VERIFY | ioapic_destination(apic_id()));
	line_set(LINE_VERIFY, true);
	window();
	line_set(LINE_VERIFY, false);
	check(*count == before + 3, "IOAPIC edge after fuzzing: %lu", *count - before - 2);
	ioapic_write_entry(LINE_VERIFY, IOAPIC_MASKED);
}

static void fuzz_phase(unsigned phase)
{
	unsigned me = this_cpu()->index;

	for (uint64_t i = 0; i < step_count; i++)
		fuzz_step(&randoms[me]);
	meet(4 * phase + 1);
	if (me == 0)
		quiet_devices();
	meet(4 * phase + 2);
	recover();
	meet(4 * phase + 3);
	verify();
	/* The next phase raises lines that CPU 0 has still to verify. */
	meet(4 * phase + 4);
}

static void fuzz(void *argument)
{
	(void)argument;
	interrupts_disable();
	fuzz_phase(0);
	if (!cpu_has_x2apic()) {
		not_checked("x2APIC mode: not in CPUID");
		return;
	}
	apic_enter_x2apic();
	fuzz_phase(1);
}

void guest_main(void)
{
	uint64_t seed = option("seed", 1);

	is_posthorn = cpu_is_under_posthorn();
	step_count = option("steps", STEPS_DEFAULT);
	smp_start();
	for (unsigned vector = 0; vector < 256; vector++) {
		/* Exceptions proper keep the runtime's handler, which names them. */
		if (vector >= VECTOR_FIRST_LEGAL)
			interrupts_set(vector, take);
	}
	interrupts_set(VECTOR_NMI, take_nmi);
	for (unsigned i = 0; i < cpu_count; i++)
		randoms[i].state = seed * 1000003 + i;
	if (!is_posthorn)
		not_checked(
		    "SMI, short timers, ports but 0x4000..0x9eff: QEMU 7.2 is upset by them");
	print("fuzz: seed %lu, %lu steps on each of %u CPUs\n", seed, step_count, cpu_count);
	smp_run_all(fuzz, 0, 3 * TIMEOUT_MS);
	for (unsigned i = 0; i < cpu_count; i++)
		print("fuzz: CPU %u had %lu #GP\n", i, fault_count[i]);
}
