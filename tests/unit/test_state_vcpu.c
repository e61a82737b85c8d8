/* SPDX-License-Identifier: MIT */
/* core/state.c, core/state_vcpu.c: a vCPU's image, field by field, and what is refused. */
#include "tests/unit/fake_vmcs.h"
#include "core/post.h"
#include "x86/msr.h"
#include "x86/vmcb.h"

#include <stdlib.h>

#include <posthorn/state.h>

/* docs/state.md. */
#define AT_CONFIG    16u
#define AT_IDENTITY  40u
#define AT_LAPIC     48u
#define AT_REGISTERS 72u
#define AT_EVENTS    328u
#define AT_PENDING   360u
#define AT_REG(reg)  (AT_REGISTERS + (reg) / 4u)
#define BASE_X2APIC  (APIC_DEFAULT_BASE | APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_X2APIC)

static uint8_t image[PH_VCPU_STATE_SIZE];
static uint8_t other[PH_VCPU_STATE_SIZE];

static void poke(struct ph_vcpu *vcpu, uint32_t reg, uint32_t value)
{
	memcpy(vcpu->lapic.page + reg, &value, sizeof(value));
}

/* A vCPU of which every field is set to something that it can be. */
static struct ph_vcpu *busy_vcpu(void)
{
	struct ph_vcpu *vcpu;

	harness_create(NULL);
	vcpu = harness_vcpu(0);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xef);
	ph_apic_mmio_write(vcpu, APIC_ID, 4, 5u << 24);
	ph_apic_mmio_write(vcpu, APIC_LDR, 4, 0x42000000);
	ph_apic_mmio_write(vcpu, APIC_DFR, 4, APIC_DFR_CLUSTER);
	ph_apic_mmio_write(vcpu, APIC_TPR, 4, 0x25);
	ph_apic_mmio_write(vcpu, APIC_LVT_TIMER, 4, APIC_LVT_PERIODIC | 0x31);
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT0, 4, APIC_LVT_LEVEL | 0x32);
	ph_apic_mmio_write(vcpu, APIC_LVT_LINT1, 4, APIC_DELIVERY_NMI << 8);
	ph_apic_mmio_write(vcpu, APIC_LVT_ERROR, 4, 0x33);
	ph_apic_mmio_write(vcpu, APIC_TDCR, 4, 0x3);
	ph_apic_mmio_write(vcpu, APIC_TMICT, 4, 1000000);
	ph_apic_mmio_write(vcpu, APIC_ICR2, 4, 7u << 24);
	poke(vcpu, APIC_ICR, 0xc4500);
	poke(vcpu, APIC_ESR, 0x40);
	lapic_accept(vcpu, 0x71, false);
	lapic_accept(vcpu, 0x72, true);
	lapic_acknowledge(vcpu, 0x72);
	ph_vcpu_lint(vcpu, 0, true);
	post_interrupt(NULL, vcpu, 0x55, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0xc5, true, PH_SOURCE_IOAPIC);
	post_sipi(vcpu, 0x9a);
	ph_vcpu_request(vcpu, 0x8001);
	vcpu->lapic.esr_pending = 0x20;
	vcpu->lapic.extint_pending = true;
	vcpu->activity = ACTIVITY_HALTED;
	vcpu->events = (struct events){
	    .lost = {.kind = EVENT_INTR, .vector = 0x61},
	    .exception = {.kind = EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 6},
	    .nmi_pending_count = 1,
	    .nmi_masked = true,
	};
	return vcpu;
}

static void export_to(struct ph_vcpu *vcpu, uint8_t *to)
{
	memset(to, 0xa5, PH_VCPU_STATE_SIZE);
	assert_int_equal(ph_vcpu_export(vcpu, to, PH_VCPU_STATE_SIZE), PH_OK);
}

/* An image of the busy vCPU, and a fresh one of the same VM. */
static struct ph_vcpu *moved_vcpu(void)
{
	export_to(busy_vcpu(), image);
	harness_create(NULL);
	return harness_vcpu(0);
}

static uint64_t number_at(const uint8_t *bytes, uint32_t offset, uint32_t width)
{
	uint64_t number = 0;

	for (uint32_t i = width; i-- > 0;)
		number = number << 8 | bytes[offset + i];
	return number;
}

static void set_number(uint8_t *bytes, uint32_t offset, uint32_t width, uint64_t value)
{
	for (uint32_t i = 0; i < width; i++)
		bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

/* ---- Layout -------------------------------------------------------------------------------- */

static void each_field_has_its_bytes(void **state)
{
	static const struct {
		const char *field;
		uint32_t offset, width;
		uint64_t expected;
	} rows[] = {
	    {"magic", 0, 4, 0x54534850},
	    {"version", 4, 2, PH_STATE_VERSION},
	    {"kind: vCPU", 6, 2, 1},
	    {"size", 8, 4, PH_VCPU_STATE_SIZE},
	    {"zero", 12, 4, 0},
	    {"TSC kHz", AT_CONFIG, 8, HARNESS_TSC_KHZ},
	    {"APIC timer kHz", AT_CONFIG + 8, 8, HARNESS_APIC_TIMER_KHZ},
	    {"VM flags", AT_CONFIG + 16, 8, 0},
	    {"APIC ID, BSP", AT_IDENTITY, 8, 1ull << 32},
	    {"IA32_APIC_BASE", AT_LAPIC, 8, APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP},
	    {"timer expiry", AT_LAPIC + 8, 8, 1000 + 1000000ull * 16 * 10},
	    {"errors since the last write to ESR", AT_LAPIC + 16, 4, 0x20},
	    {"ExtINT pending", AT_LAPIC + 20, 1, 1},
	    {"register ID", AT_REG(APIC_ID), 4, 5u << 24},
	    {"register TPR", AT_REG(APIC_TPR), 4, 0x25},
	    {"register ISR 3", AT_REG(APIC_ISR + 0x30), 4, 1u << 0x12},
	    {"register IRR 3", AT_REG(APIC_IRR + 0x30), 4, 1u << 0x11},
	    {"register LVT LINT0", AT_REG(APIC_LVT_LINT0), 4, APIC_LVT_LEVEL | 0x32},
	    {"register TDCR", AT_REG(APIC_TDCR), 4, 3},
	    {"activity: halted", AT_EVENTS, 1, 1},
	    {"NMIs pending", AT_EVENTS + 1, 1, 1},
	    {"NMIs masked", AT_EVENTS + 2, 1, 1},
	    {"IRET seen", AT_EVENTS + 3, 1, 0},
	    {"lost event: INTR", AT_EVENTS + 4, 8, 0x6101},
	    {"exception: #PF", AT_EVENTS + 12, 8, 6ull << 32 | 0x010e04},
	    {"zero", AT_EVENTS + 20, 4, 0},
	    {"RIP of IRET", AT_EVENTS + 24, 8, 0},
	    {"requests", AT_PENDING, 4, REQUEST_SIPI | REQUEST_LEVEL | REQUEST_LINT | 0x8001},
	    {"start-up vector", AT_PENDING + 4, 4, 0x9a},
	    {"LINT pins", AT_PENDING + 8, 4, LINT_HIGH | LINT_ROSE},
	    {"ON", AT_PENDING + 12, 4, 1},
	    {"PIR 1", AT_PENDING + 24, 8, 1ull << 0x15},
	    {"levels 3", AT_PENDING + 72, 8, 1ull << 0x05},
	};

	(void)state;
	export_to(busy_vcpu(), image);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].field);
		assert_int_equal(number_at(image, rows[i].offset, rows[i].width), rows[i].expected);
	}
	harness_destroy();
}

static void an_image_comes_back_as_it_was(void **state)
{
	struct ph_vcpu *vcpu = moved_vcpu();

	(void)state;
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	export_to(vcpu, other);
	assert_memory_equal(other, image, sizeof(image));
	/* What is derived is right too. */
	assert_int_equal(lapic_highest_isr(vcpu), 0x72);
	assert_int_equal(lapic_highest_irr(vcpu), 0x71);
	assert_int_equal(lapic_reg(vcpu, APIC_PPR), 0x70);
	assert_int_equal(vcpu->shared.arbitration_priority, 0x70);
	assert_int_equal(vcpu->shared.identity & IDENTITY_ID_MASK, 5);
	assert_true(harness_host(vcpu)->timer_is_armed);
	assert_int_equal(harness_host(vcpu)->timer_deadline, number_at(image, AT_LAPIC + 8, 8));
	harness_destroy();
}

static void exporting_changes_nothing(void **state)
{
	struct ph_vcpu *vcpu = busy_vcpu();

	(void)state;
	export_to(vcpu, image);
	export_to(vcpu, other);
	assert_memory_equal(other, image, sizeof(image));
	harness_destroy();
}

static void x2apic_state_comes_back(void **state)
{
	static const uint32_t ids[] = {0, 0x123};
	static const struct harness_config config = {.vcpu_count = 2, .apic_ids = ids};
	uint64_t value;

	(void)state;
	for (int round = 0; round < 2; round++) {
		harness_create(&config);
		if (round == 0) {
			struct ph_vcpu *vcpu = harness_vcpu(1);

			assert_int_equal(
			    ph_apic_msr_write(vcpu, MSR_APIC_BASE,
			        APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC),
			    PH_OK);
			assert_int_equal(ph_apic_msr_write(vcpu, 0x80f, 0x1ff), PH_OK);
			assert_int_equal(
			    ph_apic_msr_write(vcpu, 0x830, 0x12345678000045fdull), PH_OK);
			export_to(vcpu, image);
		}
	}
	assert_int_equal(ph_vcpu_import(harness_vcpu(1), image, sizeof(image)), PH_OK);
	assert_int_equal(ph_apic_msr_read(harness_vcpu(1), 0x802, &value), PH_OK);
	assert_int_equal(value, 0x123);
	assert_int_equal(ph_apic_msr_read(harness_vcpu(1), 0x80d, &value), PH_OK);
	assert_int_equal(value, 0x120008);
	assert_int_equal(ph_apic_msr_read(harness_vcpu(1), 0x830, &value), PH_OK);
	assert_int_equal(value, 0x12345678000045fdull);
	harness_destroy();
}

static void a_deadline_is_kept_past_or_to_come(void **state)
{
	static const uint64_t deadlines[] = {0, 999999};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_vcpu *vcpu;

		harness_create(NULL);
		vcpu = harness_vcpu(0);
		ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
		ph_apic_mmio_write(vcpu, APIC_LVT_TIMER, 4, APIC_LVT_TSC_DEADLINE | 0x31);
		assert_int_equal(ph_apic_msr_write(vcpu, MSR_TSC_DEADLINE, deadlines[i]), PH_OK);
		export_to(vcpu, image);
		harness_create(NULL);
		vcpu = harness_vcpu(0);
		assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
		assert_int_equal(ph_apic_msr_read(vcpu, MSR_TSC_DEADLINE, &value), PH_OK);
		assert_int_equal(value, deadlines[i]);
		assert_int_equal(harness_host(vcpu)->timer_is_armed, deadlines[i] != 0);
		harness_destroy();
	}
}

static void a_running_timer_is_replaced(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(NULL);
	export_to(harness_vcpu(0), image);
	vcpu = busy_vcpu();
	vcpu->shared.requests = 0;
	assert_true(harness_host(vcpu)->timer_is_armed);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_false(harness_host(vcpu)->timer_is_armed);
	harness_destroy();
}

/* ---- Posts that come meanwhile ------------------------------------------------------------- */

static void what_is_posted_already_is_kept(void **state)
{
	struct ph_vcpu *vcpu = moved_vcpu();

	(void)state;
	post_interrupt(NULL, vcpu, 0x56, false, PH_SOURCE_MSI);
	post_interrupt(NULL, vcpu, 0xc6, true, PH_SOURCE_MSI);
	ph_vcpu_nmi(vcpu);
	ph_vcpu_lint(vcpu, 1, true);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_true(harness_is_pending(vcpu, 0x55));
	assert_true(harness_is_pending(vcpu, 0x56));
	assert_true(harness_is_pending(vcpu, 0xc5));
	assert_true(harness_is_pending(vcpu, 0xc6));
	assert_int_equal(vcpu->shared.lint, (LINT_HIGH | LINT_ROSE) * 3);
	assert_int_equal(harness_requests(vcpu),
	    REQUEST_SIPI | REQUEST_LEVEL | REQUEST_LINT | REQUEST_NMI | REQUEST_DELIVERY | 0x8001);
	harness_destroy();
}

static void a_start_up_vector_is_kept_unless_the_image_has_one(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	harness_create(NULL);
	export_to(harness_vcpu(0), image);
	vcpu = harness_vcpu(0);
	post_sipi(vcpu, 0x77);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(vcpu->shared.sipi_vector, 0x77);
	harness_destroy();
}

/* While SN was set a device left ON alone: at the other end nobody else would look at PIR. */
static void pir_without_on_comes_back_with_on(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	vcpu->pid->pir[2] = 1ull << 5;
	vcpu->pid->control = PID_SN;
	export_to(vcpu, image);
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(vcpu->pid->pir[2], 1ull << 5);
	assert_int_equal(vcpu->pid->control, PID_ON);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

static void a_wrong_head_is_refused(void **state)
{
	static const struct {
		const char *what;
		uint32_t offset, width;
		uint64_t value;
		int expected;
	} rows[] = {
	    {"magic", 0, 4, 0x54534851, PH_EINVAL},
	    {"version 0", 4, 2, 0, PH_ENOTSUP},
	    {"the next version", 4, 2, PH_STATE_VERSION + 1, PH_ENOTSUP},
	    {"kind: VM", 6, 2, 2, PH_EINVAL},
	    {"size", 8, 4, PH_VCPU_STATE_SIZE - 1, PH_EINVAL},
	    {"reserved", 12, 4, 1, PH_EINVAL},
	    {"another TSC frequency", AT_CONFIG, 8, HARNESS_TSC_KHZ + 1, PH_EINVAL},
	    {"another timer frequency", AT_CONFIG + 8, 8, 1, PH_EINVAL},
	    {"directed EOI", AT_CONFIG + 16, 8, 1, PH_EINVAL},
	    {"extended destinations", AT_CONFIG + 16, 8, 2, PH_EINVAL},
	    {"another APIC ID", AT_IDENTITY, 4, 1, PH_EINVAL},
	    {"not the BSP", AT_IDENTITY + 4, 4, 0, PH_EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = moved_vcpu();

		print_message("  %s\n", rows[i].what);
		set_number(image, rows[i].offset, rows[i].width, rows[i].value);
		assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), rows[i].expected);
		harness_destroy();
	}
}

static void a_wrong_size_is_refused(void **state)
{
	struct ph_vcpu *vcpu = moved_vcpu();
	uint8_t longer[PH_VCPU_STATE_SIZE + 1] = {0};

	(void)state;
	memcpy(longer, image, sizeof(image));
	for (size_t size = 0; size <= sizeof(longer); size++) {
		/* Of its own size, so that a sanitizer sees a byte too many. */
		uint8_t *bytes = malloc(size ? size : 1);

		memcpy(bytes, longer, size);
		assert_int_equal(ph_vcpu_import(vcpu, bytes, size),
		    size == PH_VCPU_STATE_SIZE ? PH_OK : PH_EINVAL);
		assert_int_equal(ph_vcpu_export(vcpu, bytes, size),
		    size < PH_VCPU_STATE_SIZE ? PH_ENOSPC : PH_OK);
		free(bytes);
	}
	harness_destroy();
}

static const struct {
	const char *what;
	uint32_t offset, width;
	uint64_t value;
	bool is_accepted;
} changes[] = {
    {"base: reserved bit 9", AT_LAPIC, 8, APIC_DEFAULT_BASE | 0xa00, false},
    {"base: x2APIC without enable", AT_LAPIC, 8, APIC_DEFAULT_BASE | 0x400, false},
    {"base: beyond 52 bits", AT_LAPIC, 8, 1ull << 52 | 0x800, false},
    {"x2APIC mode with an xAPIC's ID", AT_LAPIC, 8, BASE_X2APIC, false},
    {"disabled", AT_LAPIC, 8, APIC_DEFAULT_BASE, true},
    {"timer runs in its reserved mode", AT_REG(APIC_LVT_TIMER), 4, 3u << 17, false},
    {"timer runs without a count", AT_REG(APIC_TMICT), 4, 0, false},
    {"timer that expired long ago", AT_LAPIC + 8, 8, 1, true},
    {"timer that never expires", AT_LAPIC + 8, 8, UINT64_MAX, true},
    {"timer that stands", AT_LAPIC + 8, 8, 0, true},
    {"ESR: bit 8", AT_LAPIC + 16, 4, 0x100, false},
    {"ExtINT: 2", AT_LAPIC + 20, 1, 2, false},
    {"ISR of an illegal vector", AT_REG(APIC_ISR), 4, 1u << 15, false},
    {"IRR of an illegal vector", AT_REG(APIC_IRR), 4, 1, false},
    {"IRR of the first legal vector", AT_REG(APIC_IRR), 4, 1u << 16, true},
    {"TMR of an illegal vector", AT_REG(APIC_TMR), 4, 2, false},
    {"another version register", AT_REG(APIC_VERSION), 4, 0x60015, false},
    {"DFR: a reserved bit clear", AT_REG(APIC_DFR), 4, 0xf7ffffff, false},
    {"DFR: no model", AT_REG(APIC_DFR), 4, 0x5fffffff, true},
    {"SVR: EOI suppression that is not there", AT_REG(APIC_SVR), 4, 0x11ff, false},
    {"SVR disabled and LVT open", AT_REG(APIC_SVR), 4, 0xff, false},
    {"LVT timer: delivery status", AT_REG(APIC_LVT_TIMER), 4, 0x1000, false},
    {"LVT LINT0: Remote IRR of an edge", AT_REG(APIC_LVT_LINT0), 4, 0x4032, false},
    {"LVT LINT0: Remote IRR of an NMI", AT_REG(APIC_LVT_LINT0), 4, 0xc432, false},
    {"LVT LINT0: Remote IRR of a level", AT_REG(APIC_LVT_LINT0), 4, 0xc032, true},
    {"LVT LINT1: Remote IRR", AT_REG(APIC_LVT_LINT1), 4, 0xc032, false},
    {"ICR: delivery status", AT_REG(APIC_ICR), 4, 0x1000, false},
    {"ICR2: an xAPIC has 8 bits", AT_REG(APIC_ICR2), 4, 1, false},
    {"EOI keeps nothing", AT_REG(APIC_EOI), 4, 1, false},
    {"TMCCT is computed", AT_REG(APIC_TMCCT), 4, 1, false},
    {"SELF_IPI keeps nothing", AT_REG(APIC_SELF_IPI), 4, 0x51, false},
    {"no register there", AT_REG(0x3f0 - 0x20), 4, 1, false},
    {"activity 3", AT_EVENTS, 1, 3, false},
    {"activity: wait-for-SIPI", AT_EVENTS, 1, 2, true},
    {"3 NMIs", AT_EVENTS + 1, 1, 3, false},
    {"2 NMIs", AT_EVENTS + 1, 1, 2, true},
    {"NMIs masked: 2", AT_EVENTS + 2, 1, 2, false},
    {"IRET seen, NMIs not masked", AT_EVENTS + 2, 2, 0x100, false},
    {"RIP of an IRET that was not seen", AT_EVENTS + 24, 8, 1, false},
    {"lost: no such kind", AT_EVENTS + 4, 8, 5, false},
    {"lost: ExtINT, which has no vector yet", AT_EVENTS + 4, 8, 2, false},
    {"lost: nothing, with a vector", AT_EVENTS + 4, 8, 0x6100, false},
    {"lost: NMI", AT_EVENTS + 4, 8, 0x0203, true},
    {"lost: NMI of another vector", AT_EVENTS + 4, 8, 0x0303, false},
    {"lost: INTR of a real-mode vector", AT_EVENTS + 4, 8, 0x0801, true},
    {"lost: INTR with an error code", AT_EVENTS + 4, 8, 0x016101, false},
    {"lost: #GP", AT_EVENTS + 4, 8, 0x18ull << 32 | 0x010d04, true},
    {"lost: #GP of real mode", AT_EVENTS + 4, 8, 0x0d04, true},
    {"lost: an error code that is not there", AT_EVENTS + 4, 8, 1ull << 32 | 0x0d04, false},
    {"lost: #UD with an error code", AT_EVENTS + 4, 8, 0x010604, false},
    {"lost: error code above 16 bits", AT_EVENTS + 4, 8, 1ull << 48 | 0x010d04, false},
    {"lost: exception 32", AT_EVENTS + 4, 8, 0x2004, false},
    {"lost: exception 2", AT_EVENTS + 4, 8, 0x0204, false},
    {"exception slot: INTR", AT_EVENTS + 12, 8, 0x6101, false},
    {"exception slot: empty", AT_EVENTS + 12, 8, 0, true},
    {"requests: none such", AT_PENDING, 4, 1u << 31, false},
    {"requests: delivery is the host's", AT_PENDING, 4, REQUEST_DELIVERY, false},
    {"requests: all others", AT_PENDING, 4, REQUEST_ALL & ~REQUEST_DELIVERY, true},
    {"start-up vector", AT_PENDING + 4, 4, 0x100, false},
    {"start-up vector without its request", AT_PENDING, 4, 0, false},
    {"LINT pin 2", AT_PENDING + 8, 4, LINT_HIGH << 2, false},
    {"LINT pin 1", AT_PENDING + 8, 4, LINT_HIGH << 1, true},
    {"ON: 2", AT_PENDING + 12, 1, 2, false},
    {"PIR of an illegal vector: ESR gets it", AT_PENDING + 16, 8, 1, true},
};

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct ph_vcpu *vcpu = moved_vcpu();

		print_message("  %s\n", changes[i].what);
		set_number(image, changes[i].offset, changes[i].width, changes[i].value);
		assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)),
		    changes[i].is_accepted ? PH_OK : PH_EINVAL);
		harness_destroy();
	}
}

/* SDM vol. 3, table "Protected-Mode Exceptions and Interrupts"; AMD's #VC (29) and #SX (30). */
static void only_exceptions_with_an_error_code_may_have_one(void **state)
{
	static const uint8_t with_error[] = {8, 10, 11, 12, 13, 14, 17, 21, 29, 30};

	(void)state;
	for (uint32_t vector = 0; vector < 32; vector++) {
		struct ph_vcpu *vcpu = moved_vcpu();
		bool has_error = memchr(with_error, (int)vector, sizeof(with_error));

		set_number(image, AT_EVENTS + 12, 8, 1ull << 16 | vector << 8 | EVENT_EXCEPTION);
		assert_int_equal(ph_vcpu_import(vcpu, image, PH_VCPU_STATE_SIZE),
		    has_error ? PH_OK : PH_EINVAL);
		harness_destroy();
	}
}

static void an_image_of_a_vm_with_other_settings_is_refused(void **state)
{
	static const struct harness_config rows[] = {
	    {.directed_eoi = true}, {.extended_dest_id = true}, {.tsc_khz = 999999}, {.apic_timer_khz = 99999}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		export_to(busy_vcpu(), image);
		harness_create(&rows[i]);
		assert_int_not_equal(ph_vcpu_import(harness_vcpu(0), image, PH_VCPU_STATE_SIZE), PH_OK);
		export_to(harness_vcpu(0), image);
		assert_int_equal(ph_vcpu_import(harness_vcpu(0), image, PH_VCPU_STATE_SIZE), PH_OK);
		harness_destroy();
	}
}

/*
 * Whatever bit an enemy turns: refused, and the vCPU is as it was; or taken over exactly.  PPR is
 * derived, ON follows from PIR, and only SVM has a use for an IRET that was seen.
 */
static void each_bit_is_refused_or_kept(void **state)
{
	uint8_t before[PH_VCPU_STATE_SIZE];
	uint32_t refused_count = 0;

	(void)state;
	for (uint32_t bit = 0; bit < PH_VCPU_STATE_SIZE * 8; bit++) {
		struct ph_vcpu *vcpu = moved_vcpu();
		int result;

		export_to(vcpu, before);
		image[bit / 8] ^= (uint8_t)(1u << bit % 8);
		result = ph_vcpu_import(vcpu, image, sizeof(image));
		export_to(vcpu, other);
		memcpy(image + AT_REG(APIC_PPR), other + AT_REG(APIC_PPR), 4);
		image[AT_PENDING + 12] = other[AT_PENDING + 12];
		image[AT_EVENTS + 3] = other[AT_EVENTS + 3];
		if (result != PH_OK)
			refused_count++;
		assert_memory_equal(other, result == PH_OK ? image : before, sizeof(image));
		harness_destroy();
	}
	print_message("  %u of %u bits are refused\n", refused_count, PH_VCPU_STATE_SIZE * 8);
	assert_in_range(refused_count, 1, PH_VCPU_STATE_SIZE * 8 - 1);
}

static void a_vcpu_in_the_guest_is_a_bug(void **state)
{
	struct ph_vcpu *vcpu = harness_vcpu(0);

	(void)state;
	export_to(vcpu, image);
	vcpu->shared.mode = MODE_IN_GUEST;
	expect_assert_failure(ph_vcpu_export(vcpu, image, sizeof(image)));
	expect_assert_failure(ph_vcpu_import(vcpu, image, sizeof(image)));
}

/* ---- Backends ------------------------------------------------------------------------------ */

static struct vmcb vmcb __attribute__((aligned(4096)));

static struct ph_vcpu *svm_vcpu(void)
{
	struct ph_vcpu *vcpu;

	memset(&vmcb, 0, sizeof(vmcb));
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	vcpu->backend = &backend_svm;
	vcpu->vmcb = &vmcb;
	vmcb.rflags = RFLAGS_IF | 2;
	return vcpu;
}

/* APM vol. 2: an NMI handler's end is seen only by intercepting its IRET, at either end. */
static void svm_keeps_nmi_blocking(void **state)
{
	static const struct {
		const char *what;
		bool is_masked, awaits_iret;
		bool intercepts_iret;
	} rows[] = {
	    {"NMIs open", false, false, false},
	    {"in an NMI handler", true, false, true},
	    {"IRET seen and not completed", true, true, false},
	    /* Found by fuzzing: its image was refused. */
	    {"IRET seen with NMIs open: nobody's concern", false, true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ph_vcpu *vcpu = svm_vcpu();

		print_message("  %s\n", rows[i].what);
		vcpu->events.nmi_masked = rows[i].is_masked;
		vcpu->nmi_awaits_iret = rows[i].awaits_iret;
		vcpu->nmi_iret_rip = 0x123456789a;
		export_to(vcpu, image);
		vcpu = svm_vcpu();
		vmcb.intercept_3 = VMCB_IRET | VMCB_VINTR;
		vmcb.interrupt_control = V_IRQ | 0xf;
		vmcb.event_inj = VMCB_EVENT_VALID;
		assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
		assert_int_equal(vcpu->events.nmi_masked, rows[i].is_masked);
		assert_int_equal(vcpu->nmi_awaits_iret, rows[i].is_masked && rows[i].awaits_iret);
		assert_int_equal(vcpu->nmi_iret_rip, vcpu->nmi_awaits_iret ? 0x123456789a : 0);
		/* Nothing of what the VMCB was used for before. */
		assert_int_equal(
		    vmcb.intercept_3, VMCB_VINTR | (rows[i].intercepts_iret ? VMCB_IRET : 0));
		assert_int_equal(vmcb.interrupt_control & (V_IRQ | 0xff), 0);
		assert_int_equal(vmcb.event_inj, 0);
		harness_destroy();
	}
}

/* The embedder saves RFLAGS after the export: our TF must not travel with them. */
static void svm_export_gives_rflags_back(void **state)
{
	struct ph_vcpu *vcpu = svm_vcpu();

	(void)state;
	vcpu->events.nmi_masked = true;
	vcpu->backend->nmi_unblocked(vcpu);
	vcpu->backend->set_windows(vcpu, false, true);
	assert_true(vmcb.rflags & (1u << 8));
	export_to(vcpu, image);
	assert_false(vmcb.rflags & (1u << 8));
	assert_true(image[AT_EVENTS + 3]);
	/* And the next entry steps again. */
	vcpu->backend->set_windows(vcpu, false, true);
	assert_true(vmcb.rflags & (1u << 8));
	harness_destroy();
}

static void svm_gets_its_tpr(void **state)
{
	struct ph_vcpu *vcpu = svm_vcpu();

	(void)state;
	assert_int_equal(ph_cr8_write(vcpu, 9), PH_OK);
	export_to(vcpu, image);
	vcpu = svm_vcpu();
	vmcb.interrupt_control = 3;
	vmcb.intercept_cr = VMCB_CR_WRITE(8);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(vmcb.interrupt_control & 0xff, 9);
	assert_int_equal(vmcb.intercept_cr, 0);
	assert_int_equal(vcpu->tpr_given, 0x90);
	harness_destroy();
}

static void vmx_keeps_nmi_blocking(void **state)
{
	struct ph_vcpu *vcpu;

	(void)state;
	for (uint32_t masked = 0; masked < 2; masked++) {
		vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);
		fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = masked ? INTERRUPTIBILITY_NMI : 0;
		export_to(vcpu, image);
		assert_int_equal(image[AT_EVENTS + 2], masked);
		vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);
		fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = masked ? 0 : INTERRUPTIBILITY_NMI;
		vcpu->vmx.primary |= PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW;
		assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
		assert_int_equal(
		    fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], masked ? INTERRUPTIBILITY_NMI : 0);
		assert_int_equal(fake_vmcs[VMCS_PRIMARY], FAKE_PRIMARY);
		harness_destroy();
	}
}

/*
 * Virtual-interrupt delivery: RVI, SVI and the EOI-exit bitmap are written anew, and the delivery
 * follows the mode; into a vCPU that never ran, and into one that did.
 */
static void check_apicv_import(bool has_run)
{
	struct ph_vcpu *vcpu = busy_vcpu();

	vcpu->activity = ACTIVITY_ACTIVE;
	vcpu->shared.requests = 0;
	vcpu->events = (struct events){.lost = {.kind = EVENT_NONE}};
	vcpu->lapic.extint_pending = false;
	export_to(vcpu, image);
	vcpu = fake_vmx_vcpu(PH_DELIVERY_POSTED);
	if (has_run)
		assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(ph_vcpu_run(vcpu), PH_RUN_EXIT);
	assert_int_equal(fake_delivery, PH_DELIVERY_POSTED);
	/* The highest of 0x71, 0x55 and 0xc5 requested; 0x72 in service. */
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTR_STATUS], 0x7200 | 0x71);
	assert_int_equal(fake_vmcs[VMCS_EOI_EXIT_1], 1ull << (0x72 - 0x40));
	harness_destroy();
}

static void apicv_is_told_what_came_back(void **state)
{
	(void)state;
	check_apicv_import(false);
	check_apicv_import(true);
}

/* Between vendors: what SVM has to watch, VMX does by itself. */
static void an_image_moves_between_backends(void **state)
{
	struct ph_vcpu *vcpu = svm_vcpu();

	(void)state;
	vcpu->events.nmi_masked = true;
	export_to(vcpu, image);
	vcpu = fake_vmx_vcpu(PH_DELIVERY_INJECTED);
	assert_int_equal(ph_vcpu_import(vcpu, image, sizeof(image)), PH_OK);
	assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], INTERRUPTIBILITY_NMI);
	export_to(vcpu, other);
	assert_memory_equal(other, image, sizeof(image));
	harness_create(NULL);
	vcpu = harness_vcpu(0);
	assert_int_equal(ph_vcpu_import(vcpu, other, sizeof(other)), PH_OK);
	assert_true(vcpu->events.nmi_masked);
	vcpu = svm_vcpu();
	assert_int_equal(ph_vcpu_import(vcpu, other, sizeof(other)), PH_OK);
	assert_int_equal(vmcb.intercept_3, VMCB_VINTR | VMCB_IRET);
	harness_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_field_has_its_bytes),
	    cmocka_unit_test(an_image_comes_back_as_it_was),
	    cmocka_unit_test(exporting_changes_nothing),
	    cmocka_unit_test(x2apic_state_comes_back),
	    cmocka_unit_test(a_deadline_is_kept_past_or_to_come),
	    cmocka_unit_test(a_running_timer_is_replaced),
	    cmocka_unit_test(what_is_posted_already_is_kept),
	    cmocka_unit_test(a_start_up_vector_is_kept_unless_the_image_has_one),
	    cmocka_unit_test_setup_teardown(
	        pir_without_on_comes_back_with_on, harness_setup, harness_teardown),
	    cmocka_unit_test(a_wrong_head_is_refused),
	    cmocka_unit_test(a_wrong_size_is_refused),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(only_exceptions_with_an_error_code_may_have_one),
	    cmocka_unit_test(an_image_of_a_vm_with_other_settings_is_refused),
	    cmocka_unit_test(each_bit_is_refused_or_kept),
	    cmocka_unit_test_setup_teardown(
	        a_vcpu_in_the_guest_is_a_bug, harness_setup, harness_teardown),
	    cmocka_unit_test(svm_keeps_nmi_blocking),
	    cmocka_unit_test(svm_export_gives_rflags_back),
	    cmocka_unit_test(svm_gets_its_tpr),
	    cmocka_unit_test(vmx_keeps_nmi_blocking),
	    cmocka_unit_test(apicv_is_told_what_came_back),
	    cmocka_unit_test(an_image_moves_between_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
