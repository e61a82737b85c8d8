/* SPDX-License-Identifier: MIT */
/* Delivery state in the layouts of Linux's KVM interface, for VMs that come from it or go to it. */
#include "core/route.h"
#include "core/state.h"

_Static_assert(sizeof(struct ph_kvm_lapic_state) == 1024, "struct kvm_lapic_state: 1024 bytes");
_Static_assert(sizeof(struct ph_kvm_ioapic_state) == 216, "struct kvm_ioapic_state: 216 bytes");
_Static_assert(offsetof(struct ph_kvm_ioapic_state, redirtbl) == 24, "struct kvm_ioapic_state: 24");
_Static_assert(sizeof(struct ph_kvm_pic_state) == 16, "struct kvm_pic_state: 16 bytes");

#define KVM_IOAPIC_BASE     0xfec00000ull
#define KVM_IOAPIC_ID_SHIFT 24

/* ---- Local APIC ---------------------------------------------------------------------------- */

static uint32_t kvm_reg(const struct ph_kvm_lapic_state *state, uint32_t offset)
{
	const uint8_t *bytes = &state->regs[offset];

	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static void kvm_set_reg(struct ph_kvm_lapic_state *state, uint32_t offset, uint32_t value)
{
	for (uint32_t i = 0; i < 4; i++)
		state->regs[offset + i] = (uint8_t)(value >> 8 * i);
}

/* KVM moves what is posted into IRR before it hands the registers out; so do we, in the copy. */
static void kvm_add_posted(const struct ph_vcpu *vcpu, uint32_t regs[LAPIC_REGISTER_COUNT])
{
	for (uint32_t i = 0; i < 8; i++) {
		uint64_t level = shared64_load(&vcpu->shared.level[i / 2], STATE_READ);
		uint64_t edge = shared64_load(&vcpu->pid->pir[i / 2], STATE_READ) |
		    shared64_load(&vcpu->shared.edge[i / 2], STATE_READ);
		uint32_t legal = i ? UINT32_MAX : ~((1u << LAPIC_FIRST_VECTOR) - 1);
		uint32_t level_bits = (uint32_t)(level >> i % 2 * 32) & legal;
		uint32_t edge_bits = (uint32_t)(edge >> i % 2 * 32) & legal;

		regs[APIC_IRR / 16 + i] |= level_bits | edge_bits;
		regs[APIC_TMR / 16 + i] = (regs[APIC_TMR / 16 + i] & ~edge_bits) | level_bits;
	}
}

static bool kvm_wide_id(const struct ph_kvm_lapic_beside *beside, uint64_t base)
{
	return beside->ids_are_32bit && base & APIC_BASE_X2APIC;
}

int ph_vcpu_export_kvm_lapic(
    struct ph_vcpu *vcpu, struct ph_kvm_lapic_state *state, struct ph_kvm_lapic_beside *beside)
{
	struct state_lapic lapic;
	uint32_t count = lapic_timer_current_count(vcpu);

	state_read_lapic(vcpu, &lapic);
	if (lapic.base & APIC_BASE_X2APIC && !beside->ids_are_32bit) {
		if (vcpu->lapic.id > 0xff)
			return PH_EINVAL;
		lapic.regs[APIC_ID / 16] = vcpu->lapic.id << 24;
	}
	kvm_add_posted(vcpu, lapic.regs);
	lapic.regs[APIC_TMCCT / 16] = count;
	__builtin_memset(state, 0, sizeof(*state));
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		kvm_set_reg(state, i * 16, lapic.regs[i]);
	beside->apic_base = lapic.base;
	beside->tsc_deadline = lapic_timer_deadline(vcpu);
	return PH_OK;
}

int ph_vcpu_import_kvm_lapic(struct ph_vcpu *vcpu, const struct ph_kvm_lapic_state *state,
    const struct ph_kvm_lapic_beside *beside)
{
	struct state_lapic lapic = {
	    .base = beside->apic_base,
	    .extint_pending = vcpu->lapic.extint_pending,
	};
	uint32_t cmci = kvm_reg(state, APIC_LVT_CMCI);
	uint32_t id = kvm_reg(state, APIC_ID);

	if (!lapic_base_is_valid(lapic.base) || (cmci && !(cmci & APIC_LVT_MASKED)))
		return PH_EINVAL;
	if (lapic.base & APIC_BASE_X2APIC &&
	    (kvm_wide_id(beside, lapic.base) ? id : id >> 24) != vcpu->lapic.id)
		return PH_EINVAL;
	for (uint32_t i = 0; i < LAPIC_REGISTER_COUNT; i++)
		lapic.regs[i] = kvm_reg(state, i * 16);
	lapic_regs_clean(vcpu, lapic.base, lapic.regs);
	if ((lapic.regs[APIC_LVT_TIMER / 16] & APIC_LVT_TIMER_MASK) == APIC_LVT_TSC_DEADLINE)
		lapic.timer_expiry = beside->tsc_deadline;
	state_write_lapic(vcpu, &lapic);
	lapic_timer_resume_count(vcpu, kvm_reg(state, APIC_TMCCT));
	return PH_OK;
}

/* ---- IOAPIC -------------------------------------------------------------------------------- */

void ph_vm_export_kvm_ioapic(struct ph_vm *vm, struct ph_kvm_ioapic_state *state)
{
	struct ioapic ioapic;

	source_ioapic_export(vm, &ioapic);
	*state = (struct ph_kvm_ioapic_state){
	    .base_address = KVM_IOAPIC_BASE,
	    .ioregsel = ioapic.select,
	    .id = ioapic.id >> KVM_IOAPIC_ID_SHIFT,
	};
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		state->redirtbl[pin] = ioapic.rte[pin];
		state->irr |= (uint32_t)(ioapic.line_users[pin] != 0) << pin;
	}
}

int ph_vm_import_kvm_ioapic(struct ph_vm *vm, const struct ph_kvm_ioapic_state *state)
{
	struct ioapic ioapic = {.select = state->ioregsel, .id = state->id << KVM_IOAPIC_ID_SHIFT};

	if (state->id > 0xf)
		return PH_EINVAL;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		/* Messages are sent at once: none is ever pending. */
		ioapic.rte[pin] = state->redirtbl[pin] & ~IOAPIC_RTE_STATUS;
		ioapic.line_users[pin] = state->irr >> pin & 1;
	}
	if (!source_ioapic_is_valid(vm, &ioapic))
		return PH_EINVAL;
	source_ioapic_import(vm, &ioapic);
	return PH_OK;
}

/* ---- 8259 pair ----------------------------------------------------------------------------- */

static void kvm_export_chip(
    const struct pic_chip *chip, uint8_t elcr_mask, struct ph_kvm_pic_state *state)
{
	*state = (struct ph_kvm_pic_state){
	    .last_irr = chip->line,
	    .irr = chip->irr,
	    .imr = chip->imr,
	    .isr = chip->isr,
	    .priority_add = (chip->priority_lowest + 1u) & 7u,
	    .irq_base = chip->vector_base,
	    .read_reg_select = chip->reads_isr,
	    .poll = chip->polled,
	    .special_mask = chip->special_mask,
	    .init_state = chip->awaited_icw ? (uint8_t)(chip->awaited_icw - 1) : 0,
	    .auto_eoi = chip->auto_eoi,
	    .rotate_on_auto_eoi = chip->rotates_on_auto_eoi,
	    .special_fully_nested_mode = chip->special_fully_nested,
	    .init4 = chip->needs_icw4,
	    .elcr = chip->elcr,
	    .elcr_mask = elcr_mask,
	};
}

int ph_vm_export_kvm_pic(struct ph_vm *vm, struct ph_kvm_pic_state state[2])
{
	struct pic pic;

	source_pic_export(vm, &pic);
	if (pic.chip[0].is_single || pic.chip[1].is_single)
		return PH_ENOTSUP;
	for (uint32_t i = 0; i < 2; i++)
		kvm_export_chip(&pic.chip[i], source_pic_elcr_mask(i), &state[i]);
	return PH_OK;
}

static bool kvm_import_chip(
    const struct ph_kvm_pic_state *state, uint8_t elcr_mask, struct pic_chip *chip)
{
	*chip = (struct pic_chip){
	    .irr = state->irr,
	    .isr = state->isr,
	    .imr = state->imr,
	    .elcr = state->elcr & elcr_mask,
	    .vector_base = state->irq_base,
	    .awaited_icw = state->init_state ? (uint8_t)(state->init_state + 1) : 0,
	    .priority_lowest = (state->priority_add + 7u) & 7u,
	    .is_programmed = !state->init_state,
	    .needs_icw4 = state->init4 != 0,
	    .auto_eoi = state->auto_eoi != 0,
	    .rotates_on_auto_eoi = state->rotate_on_auto_eoi != 0,
	    .special_mask = state->special_mask != 0,
	    .special_fully_nested = state->special_fully_nested_mode != 0,
	    .polled = state->poll != 0,
	    .reads_isr = state->read_reg_select != 0,
	};
	return state->init_state <= 3 && state->priority_add <= 7;
}

int ph_vm_import_kvm_pic(struct ph_vm *vm, const struct ph_kvm_pic_state state[2])
{
	struct pic pic;
	bool is_valid = true;

	for (uint32_t i = 0; i < 2; i++) {
		is_valid &= kvm_import_chip(&state[i], source_pic_elcr_mask(i), &pic.chip[i]);
		for (uint32_t input = 0; input < 8; input++)
			pic.line_users[i * 8 + input] = state[i].last_irr >> input & 1;
	}
	/* The cascade: raised by the slave's requests alone. */
	pic.line_users[2] = 0;
	if (!is_valid || !source_pic_is_valid(&pic))
		return PH_EINVAL;
	source_pic_import(vm, &pic);
	return PH_OK;
}
