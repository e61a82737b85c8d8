/* SPDX-License-Identifier: MIT */
/* core/enter.c: order of the steps, choice of events, blocking, requests. */
#include <string.h>

#include "tests/unit/harness.h"
#include "core/lapic.h"
#include "core/post.h"

/* What the test wants to happen at each enter(), and what it saw. */
static struct {
	uint32_t fast_count; /* so many enters return HARNESS_FAST first */
	struct ph_event taken[16];
	uint32_t taken_count;
	bool takes_events;
	void (*inside)(struct ph_vcpu *vcpu, uint32_t nth);
	uint32_t enter_count;
	uint32_t mode_in_guest_seen;
} script;

static enum harness_exit scripted_enter(struct ph_vcpu *vcpu)
{
	uint32_t nth = script.enter_count++;

	assert_false(harness.irqs_on);
	assert_int_not_equal(vcpu->shared.mode & MODE_STATE_MASK, MODE_OUTSIDE);
	if ((vcpu->shared.mode & MODE_STATE_MASK) == MODE_IN_GUEST)
		script.mode_in_guest_seen++;
	if (script.takes_events) {
		struct ph_event event = ph_vcpu_take_event(vcpu);

		if (event.kind != PH_EVENT_NONE) {
			assert_in_range(script.taken_count, 0, 15);
			script.taken[script.taken_count++] = event;
		}
	}
	if (script.inside)
		script.inside(vcpu, nth);
	return nth < script.fast_count ? HARNESS_FAST : HARNESS_EXIT;
}

static void enable_apic(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
}

static struct ph_vcpu *prepare(void)
{
	struct ph_vcpu *vcpu;

	memset(&script, 0, sizeof(script));
	script.takes_events = true;
	harness_create(NULL);
	harness.on_enter = scripted_enter;
	vcpu = harness_vcpu(0);
	enable_apic(vcpu);
	ph_vcpu_set_interruptible(vcpu, true, true);
	return vcpu;
}

static void pending_of_every_kind_go_in_by_priority_one_an_entry(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	static const struct {
		enum ph_event_kind kind;
		uint8_t vector;
	} expected[] = {
	    {PH_EVENT_EXCEPTION, 13}, {PH_EVENT_NMI, 2}, {PH_EVENT_INTR, 0x91}, {PH_EVENT_NONE, 0}};

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	ph_vcpu_nmi(vcpu);
	assert_true(ph_vcpu_queue_exception(vcpu, 13, true, 0x18));
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		if (expected[i].kind == PH_EVENT_NONE) {
			/* 0x51 waits for the EOI of 0x91: its class is lower. */
			assert_int_equal(script.taken_count, i);
			continue;
		}
		assert_int_equal(script.taken_count, i + 1);
		assert_int_equal(script.taken[i].kind, expected[i].kind);
		assert_int_equal(script.taken[i].vector, expected[i].vector);
	}
	assert_true(script.taken[0].has_error);
	assert_int_equal(script.taken[0].error, 0x18);
	ph_apic_mmio_write(vcpu, APIC_EOI, 4, 0);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken[3].vector, 0x51);
	harness_destroy();
}

static void blocked_events_open_windows(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	struct ph_counters counters;

	(void)state;
	ph_vcpu_set_interruptible(vcpu, false, true);
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 0);
	assert_true(ph_vcpu_wants_window(vcpu));
	assert_true(harness_apic_bit(vcpu, APIC_IRR, 0x51));
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.window_count, 1);
	ph_vcpu_set_interruptible(vcpu, true, true);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 1);
	assert_false(ph_vcpu_wants_window(vcpu));
	assert_true(harness_apic_bit(vcpu, APIC_ISR, 0x51));
	harness_destroy();
}

static void lost_event_goes_in_again_first_and_is_acknowledged_once(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	struct ph_counters counters;

	(void)state;
	script.takes_events = false; /* the exit cuts the delivery short */
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_true(harness_apic_bit(vcpu, APIC_ISR, 0x51));
	post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
	ph_vcpu_nmi(vcpu);
	script.takes_events = true;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 3);
	assert_int_equal(script.taken[0].vector, 0x51);
	assert_int_equal(script.taken[1].kind, PH_EVENT_NMI);
	assert_int_equal(script.taken[2].vector, 0x91);
	assert_int_equal(harness_apic_bit_count(vcpu, APIC_ISR), 2);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.reinjected_count, 1);
	harness_destroy();
}

static void post_from_irq_disable(struct ph_vcpu *vcpu, uint32_t nth)
{
	if (nth == 0)
		post_interrupt(NULL, vcpu, 0x61, false, PH_SOURCE_MSI);
}

static void post_during_a_fast_exit_is_seen_before_the_next_entry(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	script.fast_count = 1;
	script.inside = post_from_irq_disable;
	harness.running = vcpu;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.enter_count, 2);
	assert_int_equal(script.taken_count, 1);
	assert_int_equal(script.taken[0].vector, 0x61);
	/* The running vCPU, IN_GUEST: no IPI (thread 004). */
	assert_int_equal(harness_host(vcpu)->notify_count, 0);
	harness_destroy();
}

static int late_kind;

static void something_late(void)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	switch (late_kind) {
	case 1:
		post_interrupt(NULL, vcpu, 0x91, false, PH_SOURCE_MSI);
		break;
	case 2:
		ph_vcpu_nmi(vcpu);
		break;
	case 3:
		ph_vcpu_request(vcpu, 0x1);
		break;
	}
	late_kind = 0;
}

/* Step 5 finds it; nothing of the abandoned choice (0x51) is left behind. */
static void late_event_abandons_the_entry_and_its_choice(void **state)
{
	static const struct {
		int kind;
		enum ph_run result;
		uint32_t laps;
		enum ph_event_kind first;
		uint8_t vector;
	} rows[] = {
	    {0, PH_RUN_EXIT, 0, PH_EVENT_INTR, 0x51},
	    {1, PH_RUN_EXIT, 1, PH_EVENT_INTR, 0x91},
	    {2, PH_RUN_EXIT, 1, PH_EVENT_NMI, 2},
	    {3, PH_RUN_REQUEST, 1, PH_EVENT_NONE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare();
		struct ph_counters counters;

		post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
		late_kind = rows[i].kind;
		harness.on_irq_disable = something_late;
		assert_int_equal(ph_vcpu_run(vcpu), rows[i].result);
		ph_vcpu_counters(vcpu, &counters);
		assert_int_equal(counters.lap_count, rows[i].laps);
		assert_true(harness.irqs_on);
		assert_int_equal(vcpu->shared.mode & MODE_STATE_MASK, MODE_OUTSIDE);
		if (rows[i].first == PH_EVENT_NONE) {
			assert_int_equal(script.taken_count, 0);
			assert_int_equal(counters.injected_count, 0);
		} else {
			assert_int_equal(script.taken[0].kind, rows[i].first);
			assert_int_equal(script.taken[0].vector, rows[i].vector);
		}
		assert_int_equal(harness_apic_bit(vcpu, APIC_IRR, 0x51), rows[i].vector != 0x51);
		assert_int_equal(harness_apic_bit(vcpu, APIC_ISR, 0x51), rows[i].vector == 0x51);
		harness_destroy();
	}
}

static void fast_exit_enters_again_without_leaving_in_guest(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	uint32_t generation;

	(void)state;
	script.fast_count = 3;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.enter_count, 4);
	generation = vcpu->shared.mode >> 2;
	assert_int_equal(generation, 1);
	assert_int_equal(vcpu->shared.mode & MODE_STATE_MASK, MODE_OUTSIDE);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(vcpu->shared.mode >> 2, generation + 1);
	assert_true(harness.irqs_on);
	harness_destroy();
}

static void generation_wraps_without_touching_the_state(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	vcpu->shared.mode = 0xfffffffcu;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(vcpu->shared.mode, 0);
	assert_int_equal(script.mode_in_guest_seen, 1);
	harness_destroy();
}

/* Found by fuzzing: an interrupt or an NMI had an error code, or none, as the stack would have it.
 */
static void only_an_exception_has_an_error_code(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		const struct ph_event *event = &script.taken[2 * i + 1];

		assert_true(ph_vcpu_queue_exception(vcpu, 13, true, 0x18));
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_true(script.taken[2 * i].has_error);
		if (i == 0)
			ph_vcpu_nmi(vcpu);
		else if (i == 1)
			post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
		else
			vcpu->lapic.extint_pending = true;
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(event->kind, i == 0 ? PH_EVENT_NMI : PH_EVENT_INTR);
		assert_false(event->has_error);
		assert_int_equal(event->error, 0);
	}
	harness_destroy();
}

static void queue_in_enter(struct ph_vcpu *vcpu, uint32_t nth)
{
	if (nth == 0)
		assert_true(ph_vcpu_queue_exception(vcpu, 6, false, 0));
}

static void exception_from_a_fast_exit_is_delivered(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	script.fast_count = 1;
	script.inside = queue_in_enter;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 1);
	assert_int_equal(script.taken[0].kind, PH_EVENT_EXCEPTION);
	assert_int_equal(script.taken[0].vector, 6);
	harness_destroy();
}

static void self_ipi_in_enter(struct ph_vcpu *vcpu, uint32_t nth)
{
	if (nth == 0)
		post_interrupt(vcpu, vcpu, 0x71, false, PH_SOURCE_IPI);
}

/* A fast exit may make an interrupt deliverable: a new choice, still without leaving IN_GUEST. */
static void fast_exit_s_own_interrupt_goes_in_with_the_next_entry(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	script.fast_count = 1;
	script.inside = self_ipi_in_enter;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.enter_count, 2);
	assert_int_equal(script.taken_count, 1);
	assert_int_equal(script.taken[0].vector, 0x71);
	assert_int_equal(vcpu->shared.mode >> 2, 1);
	harness_destroy();
}

static void fast_exit_s_own_interrupt_opens_a_window_if_it_must_wait(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	script.fast_count = 1;
	script.inside = self_ipi_in_enter;
	ph_vcpu_set_interruptible(vcpu, false, true);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 0);
	assert_true(ph_vcpu_wants_window(vcpu));
	harness_destroy();
}

/* What came inside a fast-path exit: each kind must make the next entry choose anew. */
enum fast_event { FAST_NMI_LATCHED, FAST_EXTINT, FAST_PIC, FAST_LOST, FAST_NOTHING };
static enum fast_event fast_event;

static void event_in_enter(struct ph_vcpu *vcpu, uint32_t nth)
{
	if (nth)
		return;
	switch (fast_event) {
	case FAST_NMI_LATCHED:
		ph_vcpu_nmi_unblocked(vcpu);
		break;
	case FAST_EXTINT: /* the thermal LVT in ExtINT mode */
		ph_apic_mmio_write(vcpu, APIC_LVT_THERM, 4, APIC_DELIVERY_EXTINT << 8);
		source_lvt_deliver(vcpu, APIC_LVT_THERM);
		break;
	case FAST_PIC:
		ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, APIC_DELIVERY_EXTINT << 8);
		break;
	case FAST_LOST:
	case FAST_NOTHING:
		break;
	}
}

static void raise_pic(struct ph_vm *vm)
{
	ph_pic_write(vm, 0x20, 0x11);
	ph_pic_write(vm, 0x21, 0x20);
	ph_pic_write(vm, 0x21, 0x04);
	ph_pic_write(vm, 0x21, 0x01);
	assert_int_equal(ph_gsi_set(vm, 3, 0, true), PH_OK);
}

static void what_a_fast_exit_brings_goes_in_with_the_next_entry(void **state)
{
	static const struct {
		const char *what;
		enum fast_event event;
		uint32_t taken_count;
		enum ph_event_kind kind;
		uint8_t vector;
	} rows[] = {
	    {"an NMI whose predecessor has ended", FAST_NMI_LATCHED, 1, PH_EVENT_NMI, 2},
	    {"an ExtINT message: the 8259's spurious vector", FAST_EXTINT, 1, PH_EVENT_INTR, 0x07},
	    {"LINT0 opened to the 8259", FAST_PIC, 1, PH_EVENT_INTR, 0x23},
	    {"an exception that was not delivered", FAST_LOST, 1, PH_EVENT_EXCEPTION, 6},
	    {"nothing", FAST_NOTHING, 0, PH_EVENT_NONE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare();

		print_message("  %s\n", rows[i].what);
		fast_event = rows[i].event;
		script.fast_count = 1;
		script.inside = event_in_enter;
		if (fast_event == FAST_NMI_LATCHED) {
			vcpu->events.nmi_masked = true;
			ph_vcpu_nmi(vcpu);
		}
		if (fast_event == FAST_PIC)
			raise_pic(harness.vm);
		if (fast_event == FAST_LOST) {
			/* The first enter() does not take it. */
			vcpu->events.lost = (struct event){.kind = EVENT_EXCEPTION, .vector = 6};
			script.takes_events = false;
			assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
			assert_int_equal(vcpu->counters.reinjected_count, 2);
			assert_int_equal(script.enter_count, 2);
			harness_destroy();
			continue;
		}
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(script.enter_count, 2);
		assert_int_equal(script.taken_count, rows[i].taken_count);
		assert_int_equal(script.taken[0].kind, rows[i].kind);
		assert_int_equal(script.taken[0].vector, rows[i].vector);
		harness_destroy();
	}
}

static void without_a_fast_path_each_exit_is_handed_up(void **state)
{
	static struct ph_platform platform;
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	platform = harness_platform;
	platform.fast_exit = NULL;
	vcpu->platform = &platform;
	script.fast_count = 5;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.enter_count, 1);
	harness_destroy();
}

static void each_request_is_served_once(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	struct ph_counters counters;

	(void)state;
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, 0x61);
	post_request(vcpu, REQUEST_SMI | REQUEST_EXTINT);
	ph_vcpu_lint(vcpu, 0, true);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(harness_host(vcpu)->smi_count, 1);
	/* ExtINT before what the APIC has: its INTR pin takes no part in priorities. */
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.posted_count[PH_SOURCE_PIC], 1);
	assert_int_equal(script.taken_count, 2);
	assert_int_equal(script.taken[0].vector, 0x07);
	assert_int_equal(script.taken[1].vector, 0x61);
	harness_destroy();
}

static void arm_timer(struct ph_vcpu *vcpu)
{
	ph_apic_mmio_write(vcpu, APIC_LVT_TIMER, 4, 0x71);
	ph_apic_mmio_write(vcpu, APIC_TMICT, 4, 100);
	/* It is due, and its expiry has not been said yet. */
	harness.tsc += 1000000;
}

static void a_request_has_its_own_service_done_and_no_other(void **state)
{
	static const struct {
		const char *what;
		uint32_t bits;
		uint32_t smi_count, init_count;
		uint8_t taken; /* a vector, or 0 */
		bool serves_timer;
	} rows[] = {
	    {"SMI", REQUEST_SMI, 1, 0, 0, false},
	    {"timer", REQUEST_TIMER, 0, 0, 0x71, true},
	    {"NMI", REQUEST_NMI, 0, 0, 2, false},
	    {"second NMI", REQUEST_NMI_2, 0, 0, 2, false},
	    {"ExtINT", REQUEST_EXTINT, 0, 0, 7, false},
	    {"look again", REQUEST_EVENT, 0, 0, 0, false},
	    {"delivery", REQUEST_DELIVERY, 0, 0, 0, false},
	    {"LINT", REQUEST_LINT, 0, 0, 0, false},
	    {"SIPI, not waited for", REQUEST_SIPI, 0, 0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare();

		print_message("  %s\n", rows[i].what);
		arm_timer(vcpu);
		post_request(vcpu, rows[i].bits);
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(harness_host(vcpu)->smi_count, rows[i].smi_count);
		assert_int_equal(harness_host(vcpu)->init_count, rows[i].init_count);
		assert_int_equal(harness_host(vcpu)->start_count, 0);
		assert_int_equal(script.taken_count, rows[i].taken ? 1 : 0);
		if (rows[i].taken)
			assert_int_equal(script.taken[0].vector, rows[i].taken);
		assert_int_equal(vcpu->lapic.timer_is_armed, !rows[i].serves_timer);
		harness_destroy();
	}
}

/* SDM vol. 3, "Local APIC State After an INIT Reset": all but the APIC's ID and its mode. */
static void init_forgets_events_and_registers(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	assert_int_equal(
	    ph_apic_msr_write(vcpu, 0x1b, APIC_DEFAULT_BASE | 0x900 | APIC_BASE_X2APIC), PH_OK);
	assert_int_equal(ph_apic_msr_write(vcpu, 0x808, 0x20), PH_OK);
	assert_int_equal(ph_apic_msr_write(vcpu, 0x832, 0x71), PH_OK);
	ph_vcpu_set_interruptible(vcpu, false, false);
	ph_vcpu_nmi(vcpu);
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	vcpu->events.lost = (struct event){.kind = EVENT_INTR, .vector = 0x61};
	vcpu->events.exception = (struct event){.kind = EVENT_EXCEPTION, .vector = 6};
	vcpu->soft_event = (struct ph_event){.kind = PH_EVENT_INTR, .vector = 0x41};
	post_request(vcpu, REQUEST_INIT);
	ph_vcpu_set_interruptible(vcpu, true, true);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 0);
	assert_false(vcpu->intr_window || vcpu->nmi_window);
	assert_int_equal(lapic_reg(vcpu, APIC_TPR), 0);
	assert_int_equal(lapic_reg(vcpu, APIC_SVR), 0xff);
	assert_int_equal(lapic_reg(vcpu, APIC_LVT_TIMER), APIC_LVT_MASKED);
	assert_int_equal(vcpu->lapic.base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC),
	    APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	harness_destroy();
}

/* SDM vol. 3, "Typical BSP Initialization Sequence": the BSP goes on at once after INIT. */
static void init_of_the_bsp_does_not_wait_for_sipi(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	ph_vcpu_halt(vcpu);
	post_request(vcpu, REQUEST_INIT);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(harness_host(vcpu)->init_count, 1);
	assert_int_equal(harness_host(vcpu)->sleep_count, 0);
	assert_int_equal(vcpu->activity, ACTIVITY_ACTIVE);
	harness_destroy();
}

/* HLT ends at once when an exception or a cut-short event is still to be delivered. */
static void an_event_of_the_vcpu_s_own_ends_halt(void **state)
{
	(void)state;
	for (uint32_t is_lost = 0; is_lost < 2; is_lost++) {
		struct ph_vcpu *vcpu = prepare();
		struct event event = {.kind = EVENT_EXCEPTION, .vector = 6};

		ph_vcpu_halt(vcpu);
		if (is_lost)
			vcpu->events.lost = event;
		else
			vcpu->events.exception = event;
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		assert_int_equal(harness_host(vcpu)->sleep_count, 0);
		assert_int_equal(script.taken[0].vector, 6);
		harness_destroy();
	}
}

/* docs/ordering.md, blocking: what comes between the last look and the announcement is seen. */
static struct ph_vcpu *race_vcpu;
static enum { RACE_POST, RACE_REQUEST, RACE_NOTHING } sleep_race;

static uint64_t race_irq_save(void)
{
	struct ph_vcpu *vcpu = race_vcpu;

	race_vcpu = NULL;
	if (vcpu && sleep_race == RACE_POST)
		post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	else if (vcpu && sleep_race == RACE_REQUEST)
		ph_vcpu_request(vcpu, 1);
	return harness_platform.irq_save();
}

static void wake_with_a_request(struct ph_vcpu *vcpu)
{
	ph_vcpu_request(vcpu, 2);
}

static void what_comes_while_the_sleep_is_announced_ends_it(void **state)
{
	static const struct {
		enum ph_run result;
		uint32_t sleep_count, request;
	} rows[] = {
	    [RACE_POST] = {PH_RUN_EXIT, 0, 0},
	    [RACE_REQUEST] = {PH_RUN_REQUEST, 0, 1},
	    [RACE_NOTHING] = {PH_RUN_REQUEST, 1, 2},
	};
	static uint8_t memory[256] __attribute__((aligned(64)));
	static struct ph_platform platform;
	struct ph_pcpu *pcpu;

	(void)state;
	platform = harness_platform;
	platform.irq_save = race_irq_save;
	for (uint32_t i = 0; i < 3; i++) {
		struct ph_vcpu *vcpu = prepare();

		/* Devices post: the wake list's lock is taken on the way to sleep. */
		memset(memory, 0, sizeof(memory));
		pcpu = ph_pcpu_init(memory, &platform, 0);
		vcpu->vm->config.pcpus = &pcpu;
		vcpu->platform = &platform;
		race_vcpu = vcpu;
		sleep_race = i;
		harness.on_sleep = wake_with_a_request;
		ph_vcpu_halt(vcpu);
		assert_int_equal(ph_vcpu_run(vcpu), rows[i].result);
		assert_int_equal(harness_host(vcpu)->sleep_count, rows[i].sleep_count);
		assert_int_equal(ph_vcpu_take_requests(vcpu), rows[i].request);
		assert_int_equal(vcpu->shared.blocked, BLOCKED_NO);
		harness_destroy();
	}
}

static void host_requests_come_out_before_the_guest_runs(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	ph_vcpu_request(vcpu, 0x10);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_REQUEST);
	assert_int_equal(script.enter_count, 0);
	assert_int_equal(ph_vcpu_take_requests(vcpu), 0x10);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.enter_count, 1);
	harness_destroy();
}

struct wake_row {
	const char *rule;
	bool intr_allowed;
	bool nmi_masked;
	enum { WAKE_INTR, WAKE_NMI, WAKE_LOW_INTR, WAKE_REQUEST, WAKE_TIMER } by;
	bool expect_awake;
};

static const struct wake_row *wake_row;
static bool wake_gave_up;

static void wake_by(struct ph_vcpu *vcpu)
{
	static int calls;

	if (calls++ % 2) {
		/* Slept again: end the test by a host request. */
		wake_gave_up = true;
		ph_vcpu_request(vcpu, 0x1);
		return;
	}
	switch (wake_row->by) {
	case WAKE_INTR:
	case WAKE_LOW_INTR:
		post_interrupt(
		    NULL, vcpu, wake_row->by == WAKE_INTR ? 0x51 : 0x31, false, PH_SOURCE_MSI);
		break;
	case WAKE_NMI:
		ph_vcpu_nmi(vcpu);
		break;
	case WAKE_REQUEST:
		ph_vcpu_request(vcpu, 0x1);
		break;
	case WAKE_TIMER:
		ph_vcpu_timer_expired(vcpu);
		break;
	}
	if (wake_row->expect_awake || wake_row->by == WAKE_REQUEST)
		calls = 0;
}

/* SDM vol. 2, "HLT": an enabled interrupt, an NMI; not what IF or the TPR holds back. */
static const struct wake_row wake_rows[] = {
    {"interrupt with IF=1", true, false, WAKE_INTR, true},
    {"interrupt with IF=0", false, false, WAKE_INTR, false},
    {"interrupt below TPR", true, false, WAKE_LOW_INTR, false},
    {"NMI with IF=0", false, false, WAKE_NMI, true},
    {"NMI while NMIs are masked", true, true, WAKE_NMI, false},
    {"host request", false, false, WAKE_REQUEST, false},
    {"timer that is masked", true, false, WAKE_TIMER, false},
};

static void halt_ends_by_what_the_manual_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wake_rows) / sizeof(wake_rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare();
		enum ph_run result;

		wake_row = &wake_rows[i];
		wake_gave_up = false;
		print_message("  %s\n", wake_row->rule);
		ph_vcpu_set_interruptible(vcpu, wake_row->intr_allowed, true);
		vcpu->events.nmi_masked = wake_row->nmi_masked;
		assert_int_equal(ph_cr8_write(vcpu, 4), PH_OK);
		harness.on_sleep = wake_by;
		ph_vcpu_halt(vcpu);
		result = ph_vcpu_run(vcpu);
		if (wake_row->expect_awake) {
			assert_int_equal(result, PH_RUN_EXIT);
			assert_int_equal(harness_host(vcpu)->sleep_count, 1);
		} else {
			assert_int_equal(result, PH_RUN_REQUEST);
			assert_int_equal(script.enter_count, 0);
			assert_int_equal(wake_gave_up, wake_row->by != WAKE_REQUEST);
		}
		assert_int_equal(harness_host(vcpu)->wakes_unconsumed, 0);
		assert_int_equal(vcpu->shared.blocked, BLOCKED_NO);
		harness_destroy();
	}
}

static void pending_interrupt_means_no_sleep_at_all(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
	ph_vcpu_halt(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(harness_host(vcpu)->sleep_count, 0);
	assert_int_equal(script.taken[0].vector, 0x51);
	harness_destroy();
}

static void wake_for_nothing_once(struct ph_vcpu *vcpu)
{
	if (harness_host(vcpu)->sleep_count == 1)
		ph_vcpu_timer_expired(vcpu);
	else
		post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
}

static void a_wake_up_for_nothing_does_not_end_halt(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	harness.on_sleep = wake_for_nothing_once;
	ph_vcpu_halt(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(harness_host(vcpu)->sleep_count, 2);
	assert_int_equal(script.enter_count, 1);
	assert_int_equal(script.taken[0].vector, 0x51);
	harness_destroy();
}

/* ---- What is traced and counted -------------------------------------------------------------- */

/* One step, and the events that it leaves in the trace, in order. */
static void expect_trace(const char *rule, const struct harness_trace *expected, uint32_t count)
{
	print_message("  %s\n", rule);
	assert_int_equal(harness.trace_count, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(harness.trace[i].event, expected[i].event);
		assert_ptr_equal(harness.trace[i].vcpu, harness_vcpu(0));
		assert_int_equal(harness.trace[i].detail, expected[i].detail);
	}
	harness.trace_count = 0;
}

#define EXPECT_TRACE(rule, ...)                                                                    \
	expect_trace(rule, (const struct harness_trace[]){__VA_ARGS__},                            \
	    sizeof((const struct harness_trace[]){__VA_ARGS__}) / sizeof(struct harness_trace))
#define INJECTED(kind, vector)                                                                     \
	{                                                                                          \
		PH_TRACE_INJECT, NULL, (uint64_t)(kind) << 8 | (vector)                            \
	}

static void post_51(struct ph_vcpu *vcpu)
{
	post_interrupt(NULL, vcpu, 0x51, false, PH_SOURCE_MSI);
}

static void post_52_late(void)
{
	harness.on_irq_disable = NULL;
	post_interrupt(NULL, harness_vcpu(0), 0x52, false, PH_SOURCE_MSI);
}

static void senders_are_traced(struct ph_vcpu *vcpu)
{
	vcpu->shared.mode = MODE_IN_GUEST;
	post_51(vcpu);
	EXPECT_TRACE(
	    "a post to a running vCPU", {PH_TRACE_POST, NULL, 0x51}, {PH_TRACE_NOTIFY, NULL, 0});
	post_request(vcpu, REQUEST_SMI | 1);
	EXPECT_TRACE("a request", {PH_TRACE_KICK, NULL, REQUEST_SMI | 1});
	vcpu->shared.mode = MODE_OUTSIDE;
	(void)ph_vcpu_take_requests(vcpu);
	harness_clear_pending(vcpu);
	post_interrupt(vcpu, vcpu, 0x53, false, PH_SOURCE_IPI);
	EXPECT_TRACE("a post to itself", {PH_TRACE_POST, NULL, 0x53});
	harness_clear_pending(vcpu);
}

static void the_owner_is_traced(struct ph_vcpu *vcpu)
{
	harness.on_sleep = post_51;
	ph_vcpu_halt(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("sleep, post, wake-up, injection", {PH_TRACE_BLOCK, NULL, 0},
	    {PH_TRACE_POST, NULL, 0x51}, {PH_TRACE_WAKE, NULL, 0}, INJECTED(EVENT_INTR, 0x51),
	    {PH_TRACE_ENTER, NULL, 0});
	harness.on_irq_disable = post_52_late;
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("a post between choice and recheck", {PH_TRACE_POST, NULL, 0x52},
	    {PH_TRACE_LAP, NULL, 0}, {PH_TRACE_ENTER, NULL, 0});
}

static void windows_are_traced_when_they_open(struct ph_vcpu *vcpu)
{
	static const struct {
		const char *rule;
		bool posts, sends_nmi;
		uint64_t window; /* 0: none is asked for */
	} rows[] = {
	    {"interrupt window", true, false, 1},
	    {"it is open", false, false, 0},
	    {"NMI window beside it", false, true, 3},
	    {"both are open", false, false, 0},
	};

	ph_vcpu_set_interruptible(vcpu, false, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].posts)
			post_interrupt(vcpu, vcpu, 0x91, false, PH_SOURCE_IPI);
		if (rows[i].sends_nmi)
			ph_vcpu_nmi(vcpu);
		harness.trace_count = 0;
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
		if (rows[i].window)
			EXPECT_TRACE(rows[i].rule, {PH_TRACE_WINDOW, NULL, rows[i].window},
			    {PH_TRACE_ENTER, NULL, 0});
		else
			EXPECT_TRACE(rows[i].rule, {PH_TRACE_ENTER, NULL, 0});
	}
	ph_vcpu_set_interruptible(vcpu, true, true);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("the NMI goes in", INJECTED(EVENT_NMI, 2), {PH_TRACE_ENTER, NULL, 0});
	harness_clear_pending(vcpu);
	ph_vcpu_nmi_unblocked(vcpu);
	ph_vcpu_nmi(vcpu);
	ph_vcpu_nmi(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("a window for the second NMI", {PH_TRACE_WINDOW, NULL, 2},
	    INJECTED(EVENT_NMI, 2), {PH_TRACE_ENTER, NULL, 0});
	ph_vcpu_nmi_unblocked(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("it goes in", INJECTED(EVENT_NMI, 2), {PH_TRACE_ENTER, NULL, 0});
	vcpu->events.nmi_pending_count = 2;
	ph_vcpu_set_interruptible(vcpu, false, false);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	EXPECT_TRACE("NMI window alone", {PH_TRACE_WINDOW, NULL, 2}, {PH_TRACE_ENTER, NULL, 0});
}

static void what_happens_is_traced_and_counted(void **state)
{
	struct ph_vcpu *vcpu = prepare();
	struct ph_counters counters;

	(void)state;
	harness.trace_count = 0;
	senders_are_traced(vcpu);
	the_owner_is_traced(vcpu);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.posted_count[PH_SOURCE_MSI], 3);
	assert_int_equal(counters.posted_count[PH_SOURCE_IPI], 1);
	assert_int_equal(counters.notified_count, 1);
	assert_int_equal(counters.kicked_count, 1);
	assert_int_equal(counters.woken_count, 1);
	assert_int_equal(counters.injected_count, 1);
	assert_int_equal(counters.lap_count, 1);
	assert_int_equal(counters.entry_count, 2);
	windows_are_traced_when_they_open(vcpu);
	ph_vcpu_counters(vcpu, &counters);
	assert_int_equal(counters.injected_count, 4);
	harness_destroy();
}

static void send_sipi(struct ph_vcpu *vcpu)
{
	post_sipi(vcpu, 0x9a);
}

static void init_then_sipi_starts_an_application_processor(void **state)
{
	struct ph_vcpu *ap;

	(void)state;
	memset(&script, 0, sizeof(script));
	harness_create(&(struct harness_config){.vcpu_count = 2});
	harness.on_enter = scripted_enter;
	harness.on_sleep = send_sipi;
	ap = harness_vcpu(1);
	/* SDM vol. 3, "MP Initialization": so they come out of power-up, too. */
	assert_int_equal(ap->activity, ACTIVITY_WAIT_FOR_SIPI);
	assert_int_equal(harness_vcpu(0)->activity, ACTIVITY_ACTIVE);
	post_request(ap, REQUEST_INIT);
	assert_int_equal(ph_vcpu_run(ap), PH_RUN_EXIT);
	assert_int_equal(harness_host(ap)->init_count, 1);
	assert_int_equal(harness_host(ap)->start_count, 1);
	assert_int_equal(harness_host(ap)->start_vector, 0x9a);
	/* A second SIPI finds it running and is ignored. */
	post_sipi(ap, 0x11);
	assert_int_equal(ph_vcpu_run(ap), PH_RUN_EXIT);
	assert_int_equal(harness_host(ap)->start_count, 1);
	harness_destroy();
}

/* SDM vol. 3, "Handling Multiple NMIs": one in service and one behind it, however they came. */
static void nmis_posted_before_the_owner_looks_are_two_at_most(void **state)
{
	static const struct {
		const char *what;
		unsigned posted;
		bool is_masked; /* one in service */
		bool is_open;   /* at an instruction boundary without a shadow */
		unsigned taken; /* in all, with an IRET after each */
	} rows[] = {
	    {"one", 1, false, true, 1},
	    {"two", 2, false, true, 2},
	    {"a third merges", 3, false, true, 2},
	    {"two behind one in service are one", 2, true, true, 1},
	    {"a shadow merges none", 2, false, false, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = prepare();

		print_message("  %s\n", rows[i].what);
		vcpu->events.nmi_masked = rows[i].is_masked;
		ph_vcpu_set_interruptible(vcpu, true, rows[i].is_open);
		for (unsigned nmi = 0; nmi < rows[i].posted; nmi++)
			ph_vcpu_nmi(vcpu);
		for (unsigned iret = 0; iret < 4; iret++) {
			assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
			ph_vcpu_set_interruptible(vcpu, true, true);
			ph_vcpu_nmi_unblocked(vcpu);
		}
		assert_int_equal(script.taken_count, rows[i].taken);
		harness_destroy();
	}
}

static void second_nmi_waits_for_iret_and_a_third_is_merged(void **state)
{
	struct ph_vcpu *vcpu = prepare();

	(void)state;
	for (int i = 0; i < 3; i++) {
		ph_vcpu_nmi(vcpu);
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	}
	assert_int_equal(script.taken_count, 1);
	assert_true(ph_vcpu_wants_window(vcpu));
	ph_vcpu_nmi_unblocked(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 2);
	ph_vcpu_nmi_unblocked(vcpu);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(script.taken_count, 2);
	harness_destroy();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pending_of_every_kind_go_in_by_priority_one_an_entry),
	    cmocka_unit_test(blocked_events_open_windows),
	    cmocka_unit_test(lost_event_goes_in_again_first_and_is_acknowledged_once),
	    cmocka_unit_test(post_during_a_fast_exit_is_seen_before_the_next_entry),
	    cmocka_unit_test(late_event_abandons_the_entry_and_its_choice),
	    cmocka_unit_test(fast_exit_enters_again_without_leaving_in_guest),
	    cmocka_unit_test(generation_wraps_without_touching_the_state),
	    cmocka_unit_test(only_an_exception_has_an_error_code),
	    cmocka_unit_test(exception_from_a_fast_exit_is_delivered),
	    cmocka_unit_test(fast_exit_s_own_interrupt_goes_in_with_the_next_entry),
	    cmocka_unit_test(fast_exit_s_own_interrupt_opens_a_window_if_it_must_wait),
	    cmocka_unit_test(what_a_fast_exit_brings_goes_in_with_the_next_entry),
	    cmocka_unit_test(without_a_fast_path_each_exit_is_handed_up),
	    cmocka_unit_test(each_request_is_served_once),
	    cmocka_unit_test(a_request_has_its_own_service_done_and_no_other),
	    cmocka_unit_test(init_forgets_events_and_registers),
	    cmocka_unit_test(a_wake_up_for_nothing_does_not_end_halt),
	    cmocka_unit_test(what_happens_is_traced_and_counted),
	    cmocka_unit_test(init_of_the_bsp_does_not_wait_for_sipi),
	    cmocka_unit_test(an_event_of_the_vcpu_s_own_ends_halt),
	    cmocka_unit_test(what_comes_while_the_sleep_is_announced_ends_it),
	    cmocka_unit_test(host_requests_come_out_before_the_guest_runs),
	    cmocka_unit_test(halt_ends_by_what_the_manual_lists),
	    cmocka_unit_test(pending_interrupt_means_no_sleep_at_all),
	    cmocka_unit_test(init_then_sipi_starts_an_application_processor),
	    cmocka_unit_test(nmis_posted_before_the_owner_looks_are_two_at_most),
	    cmocka_unit_test(second_nmi_waits_for_iret_and_a_third_is_merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
