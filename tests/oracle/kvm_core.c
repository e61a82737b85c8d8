/* SPDX-License-Identifier: MIT */
/* The KVM oracle's other side: core/, through its public API. */
#include "tests/fuzz/world.h"
#include "tests/oracle/kvm.h"
#include "x86/apic.h"
#include "x86/msr.h"

#include <string.h>

static struct shape shape;
static struct ph_route routes[ORACLE_GSIS];
static uint32_t nmi_count[ORACLE_VCPU_MAX];
static int window_of; /* the vCPU that takes an interrupt, or -1 */
static uint64_t taken;

/* ---- The guest ----------------------------------------------------------------------------- */

static void guest(struct world_vcpu *own)
{
	struct ph_event event = ph_vcpu_take_event(own->vcpu);

	if (event.kind == PH_EVENT_NMI) {
		nmi_count[ph_vcpu_index(own->vcpu)]++;
		ph_vcpu_nmi_unblocked(own->vcpu);
	} else if (event.kind == PH_EVENT_INTR) {
		FUZZ_CHECK(window_of == (int)ph_vcpu_index(own->vcpu) && !taken);
		taken = 0x100 | event.vector;
		ph_vcpu_set_interruptible(own->vcpu, false, true);
	}
}

/* The owners take what has come: requests, NMIs, posted interrupts into IRR. */
static void settle(uint8_t vcpus)
{
	for (uint32_t i = 0; i < shape.vcpu_count; i++) {
		if (vcpus >> i & 1)
			world_run(i);
	}
}

static uint64_t open_window(uint32_t vcpu)
{
	window_of = (int)vcpu;
	taken = 0;
	ph_vcpu_set_interruptible(world.vcpus[vcpu].vcpu, true, true);
	world_run(vcpu);
	ph_vcpu_set_interruptible(world.vcpus[vcpu].vcpu, false, true);
	window_of = -1;
	return taken;
}

/* ---- Images -------------------------------------------------------------------------------- */

static void get_lapic(
    uint32_t vcpu, struct ph_kvm_lapic_state *lapic, struct ph_kvm_lapic_beside *beside)
{
	beside->ids_are_32bit = shape.wide_ids;
	FUZZ_CHECK(ph_vcpu_export_kvm_lapic(world.vcpus[vcpu].vcpu, lapic, beside) == PH_OK);
}

static void set_lapic_word(uint32_t vcpu, uint32_t offset, uint32_t value)
{
	struct ph_kvm_lapic_state lapic;
	struct ph_kvm_lapic_beside beside;

	get_lapic(vcpu, &lapic, &beside);
	memcpy(lapic.regs + offset, &value, 4);
	FUZZ_CHECK(ph_vcpu_import_kvm_lapic(world.vcpus[vcpu].vcpu, &lapic, &beside) == PH_OK);
}

static void drop_edges(struct ph_kvm_ioapic_state *ioapic)
{
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++) {
		if (!(ioapic->redirtbl[pin] & IOAPIC_RTE_LEVEL))
			ioapic->irr &= ~(1u << pin);
	}
}

/* As set_ioapic_word() of kvm_linux.c. */
static void set_ioapic_word(uint32_t word, uint64_t value)
{
	struct ph_kvm_ioapic_state ioapic;

	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	drop_edges(&ioapic);
	if (word < ORACLE_PINS)
		ioapic.redirtbl[word] = value;
	else if (word == IOAPIC_IMAGE_ID)
		ioapic.id = (uint32_t)value;
	drop_edges(&ioapic);
	FUZZ_CHECK(ph_vm_import_kvm_ioapic(world.vm, &ioapic) == PH_OK);
}

static void set_pic_byte(uint32_t where, uint8_t value)
{
	struct ph_kvm_pic_state pics[2];

	FUZZ_CHECK(ph_vm_export_kvm_pic(world.vm, pics) == PH_OK);
	memcpy((uint8_t *)&pics[where / 16 % 2] + where % 16, &value, 1);
	FUZZ_CHECK(ph_vm_import_kvm_pic(world.vm, pics) == PH_OK);
}

/* ---- Routes -------------------------------------------------------------------------------- */

static void set_route(uint32_t gsi, uint64_t value)
{
	struct route route = route_of(value);

	routes[gsi] = (struct ph_route){.kind = PH_ROUTE_NONE, .ioapic_pin = -1, .pic_pin = -1};
	if (route.type == ROUTE_MSI) {
		routes[gsi].kind = PH_ROUTE_MSI;
		routes[gsi].msi = (struct ph_msi){route.address, route.data};
	} else if (route.type == ROUTE_PINS) {
		routes[gsi].kind = PH_ROUTE_PINS;
		routes[gsi].ioapic_pin = (int8_t)route.ioapic_pin;
		routes[gsi].pic_pin = (int8_t)route.pic_pin;
	}
}

/* ---- Steps --------------------------------------------------------------------------------- */

static uint64_t msr_write(uint32_t vcpu, uint32_t msr, uint64_t value)
{
	return ph_apic_msr_write(world.vcpus[vcpu].vcpu, msr, value) == PH_OK ? 0 : RESULT_GP;
}

static uint64_t msr_read(uint32_t vcpu, uint32_t msr)
{
	uint64_t value = 0;

	return ph_apic_msr_read(world.vcpus[vcpu].vcpu, msr, &value) == PH_OK ? value : RESULT_GP;
}

static uint64_t lapic_step(const struct step *step)
{
	struct ph_vcpu *vcpu = world.vcpus[step->vcpu].vcpu;

	switch (step->op) {
	case 'W':
		return msr_write(step->vcpu, MSR_X2APIC_FIRST + step->where / 16, step->value);
	case 'R':
		return msr_read(step->vcpu, MSR_X2APIC_FIRST + step->where / 16);
	case 'w':
		ph_apic_mmio_write(vcpu, step->where, 4, (uint32_t)step->value);
		return 0;
	case 'r':
		return ph_apic_mmio_read(vcpu, step->where, 4);
	case 'B':
		return msr_write(step->vcpu, MSR_APIC_BASE, step->value);
	case 'p':
		set_lapic_word(step->vcpu, step->where, (uint32_t)step->value);
		return 0;
	default: /* i */
		return open_window(step->vcpu);
	}
}

static uint64_t chip_step(const struct step *step)
{
	const struct ph_msi msi = {step->value, step->where};

	switch (step->op) {
	case 'm':
		(void)ph_msi_post(world.vm, &msi);
		break;
	case 'l':
		(void)ph_gsi_set(world.vm, step->where, 0, step->value != 0);
		/* An MSI has no level: core/ sends it when the GSI rises, KVM whenever it is told.
		 */
		if (step->where < ORACLE_GSIS && routes[step->where].kind == PH_ROUTE_MSI)
			(void)ph_gsi_set(world.vm, step->where, 0, false);
		break;
	case 'g':
		set_route(step->where % ORACLE_GSIS, step->value);
		FUZZ_CHECK(ph_route_set(world.vm, routes, ORACLE_GSIS) == PH_OK);
		break;
	case 'o':
	case 'u':
		ph_ioapic_write(world.vm, IOAPIC_REGSEL, step->where);
		if (step->op == 'u')
			return ph_ioapic_read(world.vm, IOAPIC_WINDOW);
		ph_ioapic_write(world.vm, IOAPIC_WINDOW, (uint32_t)step->value);
		break;
	case 'O':
		set_ioapic_word(step->where, step->value);
		break;
	case 'c':
		ph_pic_write(world.vm, (uint16_t)step->where, (uint8_t)step->value);
		break;
	case 'C':
		return ph_pic_read(world.vm, (uint16_t)step->where);
	default: /* P */
		set_pic_byte(step->where, (uint8_t)step->value);
		break;
	}
	return 0;
}

void core_step(const struct step *step, const struct reading *reading, struct state *state)
{
	memset(nmi_count, 0, sizeof(nmi_count));
	for (uint32_t i = 0; i < shape.vcpu_count; i++)
		world.vcpus[i].smi_count = 0;
	state->cell[CELL_RESULT] = strchr("WRwrBpi", step->op) ? lapic_step(step) : chip_step(step);
	settle(reading->registers);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static void read_registers(uint32_t vcpu, uint64_t *cells)
{
	struct ph_kvm_lapic_state lapic;
	struct ph_kvm_lapic_beside beside;

	get_lapic(vcpu, &lapic, &beside);
	for (uint32_t i = 0; i < VCPU_BASE; i++) {
		uint32_t value;

		memcpy(&value, lapic.regs + i * 16, 4);
		cells[i] = value;
	}
	cells[APIC_TMCCT / 16] = cells[APIC_TMCCT / 16] != 0;
}

static void read_ioapic(uint64_t *cells)
{
	struct ph_kvm_ioapic_state ioapic;

	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++)
		cells[pin] = ioapic.redirtbl[pin];
	cells[IOAPIC_IMAGE_IRR] = ioapic.irr;
	cells[IOAPIC_IMAGE_ID] = ioapic.id;
	cells[IOAPIC_IMAGE_SELECT] = ioapic.ioregsel;
}

static void read_pics(uint64_t *cells)
{
	struct ph_kvm_pic_state pics[2];

	FUZZ_CHECK(ph_vm_export_kvm_pic(world.vm, pics) == PH_OK);
	for (uint32_t i = 0; i < PIC_CELLS; i++)
		cells[i] = ((const uint8_t *)pics)[i];
}

static void read_events(uint32_t vcpu, uint64_t *cells)
{
	cells[VCPU_WAITS] = world.vcpus[vcpu].is_waiting;
	cells[VCPU_START] = world.vcpus[vcpu].start_vector;
	cells[VCPU_NMI] = nmi_count[vcpu] != 0;
	cells[VCPU_SMI] = world.vcpus[vcpu].smi_count != 0;
	cells[VCPU_BASE] = msr_read(vcpu, MSR_APIC_BASE);
}

void core_read(const struct reading *reading, struct state *state)
{
	for (uint32_t i = 0; i < shape.vcpu_count; i++) {
		if (reading->events >> i & 1)
			read_events(i, state->cell + i * VCPU_CELLS);
		if (reading->registers >> i & 1)
			read_registers(i, state->cell + i * VCPU_CELLS);
	}
	if (reading->ioapic)
		read_ioapic(state->cell + CELL_IOAPIC);
	if (reading->pics)
		read_pics(state->cell + CELL_PIC);
}

/* ---- Taking over --------------------------------------------------------------------------- */

static void take_over_lapic(uint32_t vcpu, const uint64_t *cells)
{
	struct ph_kvm_lapic_state lapic = {{0}};
	struct ph_kvm_lapic_beside beside = {
	    .apic_base = cells[VCPU_BASE], .ids_are_32bit = shape.wide_ids};

	for (uint32_t i = 0; i < VCPU_BASE; i++) {
		uint32_t value = (uint32_t)cells[i];

		memcpy(lapic.regs + i * 16, &value, 4);
	}
	FUZZ_CHECK(ph_vcpu_import_kvm_lapic(world.vcpus[vcpu].vcpu, &lapic, &beside) == PH_OK);
}

/* Such as the 8259s, of which KVM cannot say that they were never programmed. */
static void take_over_pics(const struct state *state)
{
	struct ph_kvm_pic_state pics[2];

	for (uint32_t i = 0; i < PIC_CELLS; i++)
		((uint8_t *)pics)[i] = (uint8_t)state->cell[CELL_PIC + i];
	FUZZ_CHECK(ph_vm_import_kvm_pic(world.vm, pics) == PH_OK);
}

void core_lower_lines(void)
{
	struct ph_kvm_ioapic_state ioapic;

	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	ioapic.irr = 0;
	FUZZ_CHECK(ph_vm_import_kvm_ioapic(world.vm, &ioapic) == PH_OK);
}

void core_make(const struct shape *wanted, const struct state *initial)
{
	const struct world_config config = {.backend = PH_BACKEND_SOFT,
	    .vcpu_count = wanted->vcpu_count,
	    .apic_id_step = wanted->apic_id_step,
	    /* 0xff is no broadcast to x2APICs then. */
	    .extended_dest_id = wanted->wide_ids};

	shape = *wanted;
	window_of = -1;
	world_make(&config);
	world.guest = guest;
	for (uint32_t gsi = 0; gsi < ORACLE_GSIS; gsi++)
		set_route(gsi, route_default(gsi));
	FUZZ_CHECK(ph_route_set(world.vm, routes, ORACLE_GSIS) == PH_OK);
	for (uint32_t i = 0; i < wanted->vcpu_count; i++)
		ph_vcpu_set_interruptible(world.vcpus[i].vcpu, false, true);
	take_over_pics(initial);
	for (uint32_t i = 0; i < wanted->vcpu_count; i++)
		take_over_lapic(i, initial->cell + i * VCPU_CELLS);
	settle(UINT8_MAX);
}
