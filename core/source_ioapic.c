/* SPDX-License-Identifier: MIT */
/* The IOAPIC (82093AA with the EOI register of version 0x20): pins in, messages out to route.c. */
#include "core/route.h"

#define IOAPIC_VERSION   0x20u
#define IOAPIC_MAX_SHIFT 16
#define IOAPIC_ID_MASK   0x0f000000u

/* What software can write; delivery status and Remote IRR are the hardware's. */
#define RTE_WRITABLE                                                                               \
	(IOAPIC_RTE_VECTOR_MASK | 7ull << IOAPIC_RTE_DELIVERY_SHIFT | IOAPIC_RTE_LOGICAL |         \
	    IOAPIC_RTE_ACTIVE_LOW | IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED |                         \
	    0xffull << IOAPIC_RTE_DEST_SHIFT)
#define RTE_EXTENDED (0x7full << IOAPIC_RTE_EXT_DEST_SHIFT)

static uint64_t rte_writable(const struct ph_vm *vm)
{
	return RTE_WRITABLE | (vm->config.extended_dest_id ? RTE_EXTENDED : 0);
}

static uint8_t rte_vector(uint64_t rte)
{
	return (uint8_t)(rte & IOAPIC_RTE_VECTOR_MASK);
}

/* 82093AA, "Delivery Mode": 011 and 110 are reserved. */
static uint8_t rte_delivery(uint64_t rte)
{
	uint8_t delivery = rte >> IOAPIC_RTE_DELIVERY_SHIFT & 7;

	return delivery == APIC_DELIVERY_STARTUP ? APIC_DELIVERY_RESERVED : delivery;
}

/* SMI, NMI, INIT and ExtINT are edges even when programmed as level: no EOI would end them. */
static bool rte_is_level(uint64_t rte)
{
	return (rte & IOAPIC_RTE_LEVEL) && rte_delivery(rte) <= APIC_DELIVERY_LOWEST;
}

static uint32_t rte_destination(uint64_t rte)
{
	uint32_t extended = rte >> IOAPIC_RTE_EXT_DEST_SHIFT & 0x7f;

	return (uint32_t)(rte >> IOAPIC_RTE_DEST_SHIFT) | extended << 8;
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* Returns how many vCPUs accepted it. */
static uint32_t send(struct ph_vm *vm, struct ph_vcpu *sender, uint64_t rte)
{
	struct message message = {
	    .destination = rte_destination(rte),
	    .vector = rte_vector(rte),
	    .delivery = rte_delivery(rte),
	    .is_logical = (rte & IOAPIC_RTE_LOGICAL) != 0,
	    .is_level = rte_is_level(rte),
	    .source = PH_SOURCE_IOAPIC,
	};

	return route_deliver(vm, sender, &message);
}

/*
 * Send a level that is asserted and not in service.  Remote IRR means that somebody has it and will
 * send an EOI; nobody accepted: the level keeps waiting.
 */
static void send_level(struct ph_vm *vm, struct ph_vcpu *sender, uint32_t pin)
{
	struct ioapic *ioapic = &vm->ioapic;
	uint64_t rte = ioapic->rte[pin];

	if (!ioapic->line_users[pin] || !rte_is_level(rte) ||
	    (rte & (IOAPIC_RTE_MASKED | IOAPIC_RTE_REMOTE_IRR)))
		return;
	if (send(vm, sender, rte))
		ioapic->rte[pin] |= IOAPIC_RTE_REMOTE_IRR;
}

/*
 * The line is the OR of its users; polarity is the board's affair and its RTE bit has no effect. An
 * edge on a masked pin is gone (82093AA, "Interrupt Mask": neither delivered nor held pending), a
 * level waits for the unmasking.
 */
void source_ioapic_set_pin(struct ph_vm *vm, uint32_t pin, uint32_t user, bool level)
{
	struct ioapic *ioapic = &vm->ioapic;
	uint32_t before;
	uint64_t flags;

	if (pin >= PH_IOAPIC_PINS)
		return;
	flags = shared_lock_take(&ioapic->lock, vm->platform);
	before = ioapic->line_users[pin];
	ioapic->line_users[pin] = (before & ~(1u << user)) | (uint32_t)level << user;
	if (rte_is_level(ioapic->rte[pin]))
		send_level(vm, NULL, pin);
	else if (level && !before && !(ioapic->rte[pin] & IOAPIC_RTE_MASKED))
		send(vm, NULL, ioapic->rte[pin]);
	shared_lock_drop(&ioapic->lock, vm->platform, flags);
}

/*
 * A line that is still asserted is sent again at once.  That cannot loop inside the host: each
 * sending waits for an EOI, and each EOI is an exit of the guest's own time, which the host's timer
 * preempts.  One EOI sends at most one message a pin.
 */
static void take_eoi(struct ph_vm *vm, struct ph_vcpu *sender, uint8_t vector)
{
	struct ioapic *ioapic = &vm->ioapic;

	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		uint64_t rte = ioapic->rte[pin];

		if (rte_vector(rte) != vector || !rte_is_level(rte))
			continue;
		ioapic->rte[pin] = rte & ~IOAPIC_RTE_REMOTE_IRR;
		send_level(vm, sender, pin);
	}
}

void source_ioapic_eoi(struct ph_vm *vm, struct ph_vcpu *sender, uint8_t vector)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);

	take_eoi(vm, sender, vector);
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
}

void source_ioapic_retry(struct ph_vm *vm)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);

	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++)
		send_level(vm, NULL, pin);
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
}

/* ---- Registers ------------------------------------------------------------------------------ */

static uint32_t read_register(const struct ioapic *ioapic)
{
	uint32_t pin = (ioapic->select - IOAPIC_TABLE) / 2;

	switch (ioapic->select) {
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return ioapic->id;
	case IOAPIC_VER:
		return IOAPIC_VERSION | (PH_IOAPIC_PINS - 1) << IOAPIC_MAX_SHIFT;
	default:
		if (ioapic->select < IOAPIC_TABLE || pin >= PH_IOAPIC_PINS)
			return 0;
		return (uint32_t)(ioapic->rte[pin] >> 32 * (ioapic->select & 1));
	}
}

/*
 * Writing an entry as edge clears its Remote IRR: systems without the EOI register end a level that
 * way.  A level that was waiting for this entry goes out; an edge needs a new one.
 */
static void write_rte(struct ph_vm *vm, uint32_t pin, uint64_t value)
{
	uint64_t rte = (vm->ioapic.rte[pin] & IOAPIC_RTE_REMOTE_IRR) | (value & rte_writable(vm));

	if (!rte_is_level(rte))
		rte &= ~IOAPIC_RTE_REMOTE_IRR;
	vm->ioapic.rte[pin] = rte;
	send_level(vm, NULL, pin);
}

static void write_register(struct ph_vm *vm, uint32_t value)
{
	struct ioapic *ioapic = &vm->ioapic;
	uint32_t pin = (ioapic->select - IOAPIC_TABLE) / 2;
	uint64_t rte;

	if (ioapic->select == IOAPIC_ID)
		ioapic->id = value & IOAPIC_ID_MASK;
	if (ioapic->select < IOAPIC_TABLE || pin >= PH_IOAPIC_PINS)
		return;
	rte = ioapic->rte[pin];
	if (ioapic->select & 1)
		write_rte(vm, pin, (uint32_t)rte | (uint64_t)value << 32);
	else
		write_rte(vm, pin, (rte & ~(uint64_t)UINT32_MAX) | value);
}

uint32_t ph_ioapic_read(struct ph_vm *vm, uint32_t offset)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);
	uint32_t value = 0;

	if (offset == IOAPIC_REGSEL)
		value = vm->ioapic.select;
	else if (offset == IOAPIC_WINDOW)
		value = read_register(&vm->ioapic);
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
	return value;
}

void ph_ioapic_write(struct ph_vm *vm, uint32_t offset, uint32_t value)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);

	if (offset == IOAPIC_REGSEL)
		vm->ioapic.select = value & 0xff;
	else if (offset == IOAPIC_WINDOW)
		write_register(vm, value);
	else if (offset == IOAPIC_EOI)
		take_eoi(vm, NULL, (uint8_t)value);
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
}

/* 82093AA, "I/O Redirection Table Registers": every entry comes up masked. */
void source_ioapic_init(struct ph_vm *vm)
{
	struct ioapic *ioapic = &vm->ioapic;

	ioapic->select = 0;
	ioapic->id = 0;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		ioapic->rte[pin] = IOAPIC_RTE_MASKED;
		ioapic->line_users[pin] = 0;
	}
}

/* ---- Saved state ---------------------------------------------------------------------------- */

void source_ioapic_export(struct ph_vm *vm, struct ioapic *copy)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);

	copy->select = vm->ioapic.select;
	copy->id = vm->ioapic.id;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		copy->rte[pin] = vm->ioapic.rte[pin];
		copy->line_users[pin] = vm->ioapic.line_users[pin];
	}
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
}

bool source_ioapic_is_valid(const struct ph_vm *vm, const struct ioapic *ioapic)
{
	uint64_t writable = rte_writable(vm);

	if (ioapic->select > 0xff || ioapic->id & ~IOAPIC_ID_MASK)
		return false;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		uint64_t rte = ioapic->rte[pin];

		if (rte & ~(writable | (rte_is_level(rte) ? IOAPIC_RTE_REMOTE_IRR : 0)))
			return false;
	}
	return true;
}

void source_ioapic_import(struct ph_vm *vm, const struct ioapic *ioapic)
{
	uint64_t flags = shared_lock_take(&vm->ioapic.lock, vm->platform);

	vm->ioapic.select = ioapic->select;
	vm->ioapic.id = ioapic->id;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		vm->ioapic.rte[pin] = ioapic->rte[pin];
		vm->ioapic.line_users[pin] = ioapic->line_users[pin];
	}
	shared_lock_drop(&vm->ioapic.lock, vm->platform, flags);
	source_ioapic_retry(vm);
}
