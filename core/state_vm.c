/* SPDX-License-Identifier: MIT */
/* A VM's interrupt controllers and routes to and from an image; off the interrupt's path. */
#include "core/route.h"
#include "core/state.h"

/* ---- The layout: docs/state.md ------------------------------------------------------------- */

static void vm_ioapic(struct state_cursor *cursor, struct ioapic *ioapic)
{
	state_u32(cursor, &ioapic->select);
	state_u32(cursor, &ioapic->id);
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++)
		state_u64(cursor, &ioapic->rte[pin]);
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++)
		state_u32(cursor, &ioapic->line_users[pin]);
}

static void vm_pic_chip(struct state_cursor *cursor, struct pic_chip *chip)
{
	state_u8(cursor, &chip->irr);
	state_u8(cursor, &chip->isr);
	state_u8(cursor, &chip->imr);
	state_u8(cursor, &chip->elcr);
	state_u8(cursor, &chip->vector_base);
	state_u8(cursor, &chip->awaited_icw);
	state_u8(cursor, &chip->priority_lowest);
	state_bool(cursor, &chip->is_programmed);
	state_bool(cursor, &chip->is_single);
	state_bool(cursor, &chip->needs_icw4);
	state_bool(cursor, &chip->auto_eoi);
	state_bool(cursor, &chip->rotates_on_auto_eoi);
	state_bool(cursor, &chip->special_mask);
	state_bool(cursor, &chip->special_fully_nested);
	state_bool(cursor, &chip->polled);
	state_bool(cursor, &chip->reads_isr);
}

static void vm_pic(struct state_cursor *cursor, struct pic *pic)
{
	vm_pic_chip(cursor, &pic->chip[0]);
	vm_pic_chip(cursor, &pic->chip[1]);
	for (uint32_t pin = 0; pin < PH_PIC_PINS; pin++)
		state_u32(cursor, &pic->line_users[pin]);
}

static void vm_route(struct state_cursor *cursor, struct ph_route *route)
{
	uint8_t kind = (uint8_t)route->kind;
	uint8_t ioapic_pin = (uint8_t)route->ioapic_pin;
	uint8_t pic_pin = (uint8_t)route->pic_pin;

	state_u8(cursor, &kind);
	state_u8(cursor, &ioapic_pin);
	state_u8(cursor, &pic_pin);
	state_zero(cursor, 1);
	state_u32(cursor, &route->msi.data);
	state_u64(cursor, &route->msi.address);
	route->kind = (enum ph_route_kind)kind;
	route->ioapic_pin = (int8_t)ioapic_pin;
	route->pic_pin = (int8_t)pic_pin;
}

struct state_vm {
	struct ioapic ioapic;
	struct pic pic;
	struct ph_route routes[PH_GSI_MAX];
	uint32_t gsi_users[PH_GSI_MAX];
};

/* All behind the head. */
static void vm_body(struct state_cursor *cursor, const struct ph_vm *vm, struct state_vm *state)
{
	state_config(cursor, vm);
	state_same(cursor, vm->vcpu_count);
	vm_ioapic(cursor, &state->ioapic);
	vm_pic(cursor, &state->pic);
	for (uint32_t gsi = 0; gsi < PH_GSI_MAX; gsi++)
		vm_route(cursor, &state->routes[gsi]);
	for (uint32_t gsi = 0; gsi < PH_GSI_MAX; gsi++)
		state_u32(cursor, &state->gsi_users[gsi]);
}

/* ---- Saving and restoring ------------------------------------------------------------------ */

int ph_vm_export(struct ph_vm *vm, void *image, size_t size)
{
	struct state_cursor cursor = {.to = image};
	struct state_vm state;

	if (size < PH_VM_STATE_SIZE)
		return PH_ENOSPC;
	source_ioapic_export(vm, &state.ioapic);
	source_pic_export(vm, &state.pic);
	for (uint32_t gsi = 0; gsi < PH_GSI_MAX; gsi++) {
		(void)route_gsi(vm, gsi, &state.routes[gsi]);
		state.gsi_users[gsi] = shared32_load(&vm->gsi_users[gsi], NONE);
	}
	state_write_head(&cursor, STATE_KIND_VM, PH_VM_STATE_SIZE);
	vm_body(&cursor, vm, &state);
	PH_BUG_ON(vm, cursor.to != (uint8_t *)image + PH_VM_STATE_SIZE);
	return PH_OK;
}

/* ph_route_set() checks all before it changes any, and nothing after it can fail. */
int ph_vm_import(struct ph_vm *vm, const void *image, size_t size)
{
	struct state_cursor cursor = {.from = image};
	struct state_vm state = {.gsi_users = {0}};
	int result;

	if (size != PH_VM_STATE_SIZE)
		return PH_EINVAL;
	result = state_read_head(&cursor, STATE_KIND_VM, PH_VM_STATE_SIZE);
	if (result != PH_OK)
		return result;
	vm_body(&cursor, vm, &state);
	if (cursor.is_refused || !source_ioapic_is_valid(vm, &state.ioapic) ||
	    !source_pic_is_valid(&state.pic) || ph_route_set(vm, state.routes, PH_GSI_MAX) != PH_OK)
		return PH_EINVAL;
	for (uint32_t gsi = 0; gsi < PH_GSI_MAX; gsi++)
		shared32_store(&vm->gsi_users[gsi], state.gsi_users[gsi], NONE);
	source_ioapic_import(vm, &state.ioapic);
	source_pic_import(vm, &state.pic);
	return PH_OK;
}
