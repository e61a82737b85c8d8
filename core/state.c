/* SPDX-License-Identifier: MIT */
/* Images of saved state, byte by byte; off the interrupt's path. */
#include "core/state.h"

#define STATE_MAGIC 0x54534850u /* "PHST" */

static void state_byte(struct state_cursor *cursor, uint8_t *value)
{
	if (cursor->to)
		*cursor->to++ = *value;
	else
		*value = *cursor->from++;
}

/* Little-endian, whatever the machine is. */
static void state_number(struct state_cursor *cursor, uint64_t *value, uint32_t count)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t byte = (uint8_t)(*value >> 8 * i);

		state_byte(cursor, &byte);
		number |= (uint64_t)byte << 8 * i;
	}
	*value = number;
}

void state_u8(struct state_cursor *cursor, uint8_t *value)
{
	state_byte(cursor, value);
}

void state_u16(struct state_cursor *cursor, uint16_t *value)
{
	uint64_t number = *value;

	state_number(cursor, &number, 2);
	*value = (uint16_t)number;
}

void state_u32(struct state_cursor *cursor, uint32_t *value)
{
	uint64_t number = *value;

	state_number(cursor, &number, 4);
	*value = (uint32_t)number;
}

void state_u64(struct state_cursor *cursor, uint64_t *value)
{
	state_number(cursor, value, 8);
}

void state_bool(struct state_cursor *cursor, bool *value)
{
	uint8_t byte = *value;

	state_byte(cursor, &byte);
	if (byte > 1)
		cursor->is_refused = true;
	*value = byte != 0;
}

void state_zero(struct state_cursor *cursor, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t byte = 0;

		state_byte(cursor, &byte);
		if (byte)
			cursor->is_refused = true;
	}
}

void state_same(struct state_cursor *cursor, uint64_t value)
{
	uint64_t found = value;

	state_u64(cursor, &found);
	if (found != value)
		cursor->is_refused = true;
}

void state_write_head(struct state_cursor *cursor, uint16_t kind, uint32_t size)
{
	uint32_t magic = STATE_MAGIC;
	uint16_t version = PH_STATE_VERSION;

	state_u32(cursor, &magic);
	state_u16(cursor, &version);
	state_u16(cursor, &kind);
	state_u32(cursor, &size);
	state_zero(cursor, 4);
}

int state_read_head(struct state_cursor *cursor, uint16_t kind, uint32_t size)
{
	uint32_t magic = 0, found_size = 0;
	uint16_t version = 0, found_kind = 0;

	state_u32(cursor, &magic);
	state_u16(cursor, &version);
	state_u16(cursor, &found_kind);
	state_u32(cursor, &found_size);
	state_zero(cursor, 4);
	if (magic != STATE_MAGIC)
		return PH_EINVAL;
	if (version != PH_STATE_VERSION)
		return PH_ENOTSUP;
	return found_kind == kind && found_size == size ? PH_OK : PH_EINVAL;
}

void state_config(struct state_cursor *cursor, const struct ph_vm *vm)
{
	const struct ph_vm_config *config = &vm->config;

	state_same(cursor, config->tsc_khz);
	state_same(cursor, config->apic_timer_khz);
	state_same(cursor, (config->directed_eoi ? 1u : 0u) | (config->extended_dest_id ? 2u : 0u));
}
