/* SPDX-License-Identifier: MIT */
/* Guest: ticks per operation, printed as "bench NAME TICKS"; "-" and a reason where it cannot. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

const char guest_name[] = "bench";

#define VECTOR_TEST        0x51u
#define VECTOR_PEER        0x52u
#define ITERATIONS_DEFAULT 4096u
#define WARM_UP_COUNT      64u
#define TPR_ALL_MASKED     15u

enum need {
	NEED_NOTHING = 0,
	NEED_HYPERCALL = 1 << 0,
	NEED_TWO_CPUS = 1 << 1,
	NEED_TSC_DEADLINE = 1 << 2,
	NEED_TSC_ADJUST = 1 << 3,
	NEED_X2APIC = 1 << 4,
};

struct operation {
	const char *name;
	void (*run)(void);
	unsigned needs;
	/* Each run must take VECTOR_TEST once. */
	bool is_interrupt_expected;
};

static volatile uint64_t taken_count;
static uint64_t icr_ticks, eoi_ticks;
static volatile bool is_peer_released;

/*
 * What a guest's kernel does at the least: save what it uses, EOI, return. An interrupt function
 * calls no other function, or the compiler saves all registers: hence no wrmsr() and rdtsc().
 */
struct raw_frame;
#define XAPIC_EOI_REGISTER  (*(volatile uint32_t *)(APIC_BASE_ADDRESS + APIC_EOI + 0ul))
#define READ_TSC(low, high) __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory")

static void __attribute__((interrupt)) take_xapic(struct raw_frame *frame)
{
	(void)frame;
	taken_count++;
	XAPIC_EOI_REGISTER = 0;
}

static void __attribute__((interrupt)) take_x2apic(struct raw_frame *frame)
{
	(void)frame;
	taken_count++;
	__asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(MSR_X2APIC + (APIC_EOI >> 4)) : "memory");
}

/* One EOI takes far less than 2^32 ticks, so the low halves do. */
static void __attribute__((interrupt)) take_xapic_timed(struct raw_frame *frame)
{
	uint32_t start, end, high;

	(void)frame;
	READ_TSC(start, high);
	XAPIC_EOI_REGISTER = 0;
	READ_TSC(end, high);
	(void)high;
	eoi_ticks += end - start;
	taken_count++;
}

static inline void send_xapic(void)
{
	*xapic_register(APIC_ICR) = APIC_ICR_SELF | APIC_ICR_ASSERT | VECTOR_TEST;
}

static inline void send_x2apic(void)
{
	wrmsr(MSR_X2APIC + (APIC_SELF_IPI >> 4), VECTOR_TEST);
}

static void run_empty(void)
{
	__asm__ volatile("");
}

static void run_cpuid(void)
{
	(void)cpuid(0, 0);
}

static void run_vmcall(void)
{
	uint64_t number = 0xffffffff;

	__asm__ volatile("vmcall" : "+a"(number) : : "rbx", "rcx", "rdx", "memory");
}

static void run_vmmcall(void)
{
	uint64_t number = 0xffffffff;

	__asm__ volatile("vmmcall" : "+a"(number) : : "rbx", "rcx", "rdx", "memory");
}

static void run_inl_pmtimer(void)
{
	(void)inl(PM_TIMER_PORT);
}

static void run_mov_from_cr8(void)
{
	(void)read_cr8();
}

static void run_mov_to_cr8(void)
{
	write_cr8(0);
}

static void run_wr_tsc_adjust(void)
{
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void run_self_ipi_sti_nop(void)
{
	interrupts_disable();
	send_xapic();
	interrupts_enable();
}

static void run_self_ipi_sti_hlt(void)
{
	interrupts_disable();
	send_xapic();
	interrupts_enable_and_halt();
}

static void run_self_ipi_tpr_sti_nop(void)
{
	interrupts_disable();
	write_cr8(TPR_ALL_MASKED);
	send_xapic();
	write_cr8(0);
	interrupts_enable();
}

static void run_x2apic_self_ipi_sti_nop(void)
{
	interrupts_disable();
	send_x2apic();
	interrupts_enable();
}

static void run_x2apic_self_ipi_sti_hlt(void)
{
	interrupts_disable();
	send_x2apic();
	interrupts_enable_and_halt();
}

static void run_x2apic_self_ipi_tpr_sti_nop(void)
{
	interrupts_disable();
	write_cr8(TPR_ALL_MASKED);
	send_x2apic();
	write_cr8(0);
	interrupts_enable();
}

static void run_tscdeadline_immed(void)
{
	uint64_t before = taken_count;

	wrmsr(MSR_TSC_DEADLINE, rdtsc());
	while (taken_count == before)
		__asm__ volatile("nop");
}

static void run_ipi(void)
{
	volatile uint64_t *count = &cpu_at(1)->interrupt_count[VECTOR_PEER];
	uint64_t before = *count;

	apic_send(1, VECTOR_PEER);
	while (*count == before)
		cpu_pause();
}

static void peer_spin(void *argument)
{
	(void)argument;
	interrupts_enable();
	while (!is_peer_released)
		cpu_pause();
	interrupts_disable();
}

static const struct operation general_operations[] = {
    {"empty_loop", run_empty, NEED_NOTHING, false},
    {"cpuid", run_cpuid, NEED_NOTHING, false},
    {"inl_pmtimer", run_inl_pmtimer, NEED_NOTHING, false},
    {"mov_from_cr8", run_mov_from_cr8, NEED_NOTHING, false},
    {"mov_to_cr8", run_mov_to_cr8, NEED_NOTHING, false},
    {"wr_tsc_adjust", run_wr_tsc_adjust, NEED_TSC_ADJUST, false},
    {"self_ipi_sti_nop", run_self_ipi_sti_nop, NEED_NOTHING, true},
    {"self_ipi_sti_hlt", run_self_ipi_sti_hlt, NEED_NOTHING, true},
    {"self_ipi_tpr_sti_nop", run_self_ipi_tpr_sti_nop, NEED_NOTHING, true},
};

static const struct operation vmcall_operation = {"vmcall", run_vmcall, NEED_HYPERCALL, false};
static const struct operation vmmcall_operation = {"vmcall", run_vmmcall, NEED_HYPERCALL, false};
static const struct operation deadline_operation = {
    "tscdeadline_immed", run_tscdeadline_immed, NEED_TSC_DEADLINE, true};
static const struct operation ipi_operation = {"ipi", run_ipi, NEED_TWO_CPUS, false};
static const struct operation ipi_halted_operation = {"ipi_halted", run_ipi, NEED_TWO_CPUS, false};

static const struct operation x2apic_operations[] = {
    {"x2apic_self_ipi_sti_nop", run_x2apic_self_ipi_sti_nop, NEED_X2APIC, true},
    {"x2apic_self_ipi_sti_hlt", run_x2apic_self_ipi_sti_hlt, NEED_X2APIC, true},
    {"x2apic_self_ipi_tpr_sti_nop", run_x2apic_self_ipi_tpr_sti_nop, NEED_X2APIC, true},
};

static uint64_t iterations;

static bool has_hypercall(void)
{
	uint64_t result;
	unsigned fault;

	interrupts_disable();
	fault = try_hypercall(0xffffffff, &result);
	interrupts_enable();
	return fault == FAULT_NONE;
}

/* NULL when all is there. */
static const char *missing(unsigned needs)
{
	if ((needs & NEED_HYPERCALL) && !has_hypercall())
		return "the hypercall faults";
	if ((needs & NEED_TWO_CPUS) && cpu_count < 2)
		return "one CPU";
	if ((needs & NEED_TSC_DEADLINE) && !cpu_has_tsc_deadline())
		return "no TSC-deadline timer";
	if ((needs & NEED_TSC_ADJUST) && !(cpuid(7, 0).ebx & CPUID_7_EBX_TSC_ADJUST))
		return "no IA32_TSC_ADJUST";
	if ((needs & NEED_X2APIC) && !cpu_has_x2apic())
		return "no x2APIC";
	return 0;
}

static void print_ticks(const char *name, uint64_t ticks)
{
	print("bench %s %lu\n", name, (ticks + iterations / 2) / iterations);
}

static void measure(const struct operation *operation)
{
	const char *reason = missing(operation->needs);
	uint64_t start, end, expected;

	if (reason) {
		print("bench %s - %s\n", operation->name, reason);
		return;
	}
	for (unsigned i = 0; i < WARM_UP_COUNT; i++)
		operation->run();
	taken_count = 0;
	watchdog_pet();
	start = rdtsc();
	for (uint64_t i = 0; i < iterations; i++)
		operation->run();
	end = rdtsc();
	expected = operation->is_interrupt_expected ? iterations : 0;
	check(taken_count == expected, "%s: %lu interrupts, expected %lu", operation->name,
	    taken_count, expected);
	print_ticks(operation->name, end - start);
}

static void measure_list(const struct operation *operations, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		measure(&operations[i]);
}

/* The two exits of self_ipi_sti_nop, timed where they happen. */
static void measure_parts(void)
{
	interrupts_set_raw(VECTOR_TEST, (const void *)take_xapic_timed);
	taken_count = 0;
	icr_ticks = 0;
	eoi_ticks = 0;
	for (uint64_t i = 0; i < iterations; i++) {
		uint64_t start;

		interrupts_disable();
		start = rdtsc();
		send_xapic();
		icr_ticks += rdtsc() - start;
		interrupts_enable();
	}
	check(taken_count == iterations, "parts: %lu interrupts", taken_count);
	print_ticks("self_ipi_icr_write", icr_ticks);
	print_ticks("self_ipi_eoi", eoi_ticks);
	interrupts_set_raw(VECTOR_TEST, (const void *)take_xapic);
}

static void measure_deadline(void)
{
	interrupts_disable();
	apic_write(APIC_LVT_TIMER, APIC_LVT_TIMER_DEADLINE | VECTOR_TEST);
	memory_fence();
	interrupts_enable();
	measure(&deadline_operation);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

static void measure_ipi(void)
{
	interrupts_set(VECTOR_PEER, interrupt_eoi_only);
	measure(&ipi_halted_operation);
	if (cpu_count > 1)
		smp_run(1, peer_spin, 0);
	measure(&ipi_operation);
	is_peer_released = true;
	if (cpu_count > 1)
		smp_wait(1, TIMEOUT_MS);
}

static void measure_x2apic(void)
{
	interrupts_disable();
	if (cpu_has_x2apic()) {
		apic_enter_x2apic();
		interrupts_set_raw(VECTOR_TEST, (const void *)take_x2apic);
	}
	interrupts_enable();
	measure_list(x2apic_operations, sizeof(x2apic_operations) / sizeof(x2apic_operations[0]));
}

void guest_main(void)
{
	iterations = option("iterations", ITERATIONS_DEFAULT);
	if (!iterations)
		test_abort("iterations=0");
	print("# iterations=%lu cpus=%u posthorn=%d\n", iterations, cpu_count,
	    cpu_is_under_posthorn());
	smp_start();
	interrupts_set_raw(VECTOR_TEST, (const void *)take_xapic);
	interrupts_enable();
	measure_list(
	    general_operations, sizeof(general_operations) / sizeof(general_operations[0]));
	measure(cpu_is_amd() ? &vmmcall_operation : &vmcall_operation);
	measure_parts();
	measure_deadline();
	measure_ipi();
	measure_x2apic();
}
