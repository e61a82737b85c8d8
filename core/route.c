/* SPDX-License-Identifier: MIT */
/* Destination -> target set: every source hands its message in here, post.c takes it on. */
#include "core/route.h"
#include "core/lapic.h"
#include "core/post.h"

#define XAPIC_BROADCAST  0xffu
#define X2APIC_BROADCAST 0xffffffffu

/* ---- One vCPU against one destination ------------------------------------------------------- */

static uint64_t identity_of(const struct ph_vcpu *vcpu)
{
	return shared64_load(&vcpu->shared.identity, IDENTITY_PUBLISH);
}

static uint32_t identity_id(uint64_t identity)
{
	return (uint32_t)(identity & IDENTITY_ID_MASK);
}

static bool is_xapic(uint64_t identity)
{
	return (identity & (IDENTITY_HW_ENABLED | IDENTITY_X2APIC)) == IDENTITY_HW_ENABLED;
}

/*
 * Does it answer to this physical ID, broadcasts aside?  A vCPU in xAPIC mode whose x2APIC ID needs
 * more than 8 bits answers to both, or INIT could never reach it.
 */
static bool answers_to(const struct ph_vcpu *vcpu, uint64_t identity, uint32_t id)
{
	if (!(identity & IDENTITY_HW_ENABLED))
		return false;
	return identity_id(identity) == id ||
	       (!(identity & IDENTITY_X2APIC) && id > 0xff && id == vcpu->lapic.id);
}

/*
 * 0xff is everybody in xAPIC mode, unless an x2APIC says it: then it is the ID of one CPU.  A vCPU
 * in x2APIC mode is meant by 0xff only when a device says it and cannot name ID 255 otherwise; from
 * xAPIC mode, 0xff is its ID 255.
 */
static bool is_broadcast(const struct ph_vm *vm, uint64_t identity, const struct message *message)
{
	bool target_is_x2apic = (identity & IDENTITY_X2APIC) != 0;

	if (message->from_x2apic)
		return target_is_x2apic && message->destination == X2APIC_BROADCAST;
	if (message->destination != XAPIC_BROADCAST)
		return false;
	return !target_is_x2apic ||
	       (message->source != PH_SOURCE_IPI && !vm->config.extended_dest_id);
}

/* SDM vol. 3, "Logical Destination Mode" and "Logical Destination Mode in x2APIC Mode". */
static inline bool matches_logical(uint64_t identity, uint32_t destination)
{
	uint32_t id = identity_id(identity);
	uint32_t ldr = (uint8_t)(identity >> IDENTITY_LDR_SHIFT);

	if (identity & IDENTITY_X2APIC)
		return id >> 4 == destination >> 16 && (destination & (1u << (id & 15)));
	if (identity & IDENTITY_CLUSTER_MODEL)
		return ldr >> 4 == destination >> 4 && (ldr & destination & 15);
	return (ldr & destination) != 0;
}

static bool matches(const struct ph_vcpu *vcpu, uint64_t identity, const struct ph_vcpu *sender,
    const struct message *message)
{
	if (!(identity & IDENTITY_HW_ENABLED))
		return false;
	if (message->shorthand == APIC_SHORTHAND_ALL)
		return true;
	if (message->shorthand == APIC_SHORTHAND_OTHERS)
		return vcpu != sender;
	if (is_broadcast(vcpu->vm, identity, message))
		return true;
	if (message->is_logical)
		return matches_logical(identity, message->destination);
	return answers_to(vcpu, identity, message->destination);
}

/* ---- Handing over to post.c ----------------------------------------------------------------- */

/*
 * SDM vol. 3, "Local APIC State After It Has Been Software Disabled": NMI, SMI, INIT and start-up
 * still get through.
 */
static inline bool accepts(uint64_t identity, uint8_t delivery)
{
	uint64_t needed = IDENTITY_HW_ENABLED;

	if (delivery <= APIC_DELIVERY_LOWEST || delivery == APIC_DELIVERY_EXTINT)
		needed |= IDENTITY_SW_ENABLED;
	return (identity & needed) == needed;
}

static __attribute__((noinline)) uint32_t deliver_event(
    struct ph_vcpu *target, uint64_t identity, const struct message *message)
{
	if (!accepts(identity, message->delivery))
		return 0;
	switch (message->delivery) {
	case APIC_DELIVERY_SMI:
		post_request(target, REQUEST_SMI);
		return 1;
	case APIC_DELIVERY_NMI:
		post_nmi(target);
		return 1;
	case APIC_DELIVERY_INIT:
		post_request(target, REQUEST_INIT);
		return 1;
	case APIC_DELIVERY_STARTUP:
		post_sipi(target, message->vector);
		return 1;
	case APIC_DELIVERY_EXTINT:
		post_request(target, REQUEST_EXTINT);
		return 1;
	default:
		return 0;
	}
}

static inline uint32_t deliver_to(struct ph_vcpu *sender, struct ph_vcpu *target, uint64_t identity,
    const struct message *message)
{
	if (message->delivery > APIC_DELIVERY_LOWEST)
		return deliver_event(target, identity, message);
	if (!accepts(identity, APIC_DELIVERY_FIXED))
		return 0;
	post_interrupt(sender, target, message->vector, message->is_level, message->source);
	return 1;
}

/* ---- Target sets ---------------------------------------------------------------------------- */

static inline uint32_t lookup(const struct ph_vm *vm, uint32_t id)
{
	if (id >= ROUTE_MAP_COUNT)
		return ROUTE_MAP_NONE;
	return shared32_load_acquire(&vm->physical_map[id], IDENTITY_MAP);
}

static inline uint32_t deliver_to_owner(
    struct ph_vm *vm, struct ph_vcpu *sender, uint32_t owner, const struct message *message)
{
	struct ph_vcpu *target = vm->vcpus[owner - 1];

	return target ? deliver_to(sender, target, identity_of(target), message) : 0;
}

/* A logical destination that is no broadcast, in any mode: the short way through the test. */
static bool is_plain_logical(const struct message *message)
{
	return message->is_logical && message->shorthand == APIC_SHORTHAND_NONE &&
	       message->destination != XAPIC_BROADCAST && message->destination != X2APIC_BROADCAST;
}

static uint32_t deliver_each(
    struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message)
{
	bool plain_logical = is_plain_logical(message);
	uint32_t accepted_count = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct ph_vcpu *target = vm->vcpus[i];
		uint64_t identity;

		if (!target)
			continue;
		identity = identity_of(target);
		if (plain_logical ? (identity & IDENTITY_HW_ENABLED) &&
		                        matches_logical(identity, message->destination)
		                  : matches(target, identity, sender, message))
			accepted_count += deliver_to(sender, target, identity, message);
	}
	return accepted_count;
}

/* Everybody in x2APIC mode: a logical destination names at most 16 IDs in a row. */
static uint32_t deliver_cluster(
    struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message)
{
	uint32_t base = message->destination >> 16 << 4;
	uint32_t mask = message->destination & 0xffff;
	uint32_t accepted_count = 0;

	for (; mask; mask &= mask - 1) {
		uint32_t bit = (uint32_t)__builtin_ctz(mask);
		uint32_t owner = lookup(vm, base + bit);
		struct message one = *message;

		if (owner == ROUTE_MAP_NONE)
			continue;
		if (owner != ROUTE_MAP_SEVERAL) {
			accepted_count += deliver_to_owner(vm, sender, owner, message);
			continue;
		}
		/* From before the last of them entered x2APIC mode: ask each. */
		one.destination = (message->destination & 0xffff0000) | 1u << bit;
		accepted_count += deliver_each(vm, sender, &one);
	}
	return accepted_count;
}

/* ---- Lowest priority ------------------------------------------------------------------------ */

/* A vCPU's arbitration priority, or UINT32_MAX when it is no candidate. */
static uint32_t candidate_priority(
    const struct ph_vcpu *vcpu, const struct ph_vcpu *sender, const struct message *message)
{
	uint64_t identity;

	if (!vcpu)
		return UINT32_MAX;
	identity = identity_of(vcpu);
	if (!accepts(identity, message->delivery) || !matches(vcpu, identity, sender, message))
		return UINT32_MAX;
	return shared32_load(&vcpu->shared.arbitration_priority, NONE);
}

struct election {
	struct ph_vcpu *first; /* a candidate of the lowest priority */
	uint32_t priority;
	uint32_t tied_count;
};

static struct election elect(
    const struct ph_vm *vm, const struct ph_vcpu *sender, const struct message *message)
{
	struct election election = {NULL, UINT32_MAX, 0};

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		uint32_t priority = candidate_priority(vm->vcpus[i], sender, message);

		if (priority == UINT32_MAX || priority > election.priority)
			continue;
		if (priority < election.priority)
			election = (struct election){vm->vcpus[i], priority, 0};
		election.tied_count++;
	}
	return election;
}

/*
 * The candidate with the lowest arbitration priority takes it.  Of n that tie, the one numbered
 * vector % n by vCPU index does, so that a vector stays where its caches are warm and different
 * vectors spread.  Priorities may move between the two looks: whoever is found then is as good.
 */
static uint32_t deliver_lowest(
    struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message)
{
	struct election election = elect(vm, sender, message);
	struct ph_vcpu *chosen = election.first;
	uint32_t skip_count;

	if (!chosen)
		return 0;
	skip_count = message->vector % election.tied_count;
	for (uint32_t i = chosen->index; skip_count && ++i < vm->vcpu_count;) {
		if (candidate_priority(vm->vcpus[i], sender, message) != election.priority)
			continue;
		chosen = vm->vcpus[i];
		skip_count--;
	}
	post_interrupt(sender, chosen, message->vector, message->is_level, message->source);
	return 1;
}

/* ---- The way in ----------------------------------------------------------------------------- */

static bool picks_one(const struct message *message)
{
	return message->delivery == APIC_DELIVERY_LOWEST ||
	       (message->is_redirectable && message->delivery == APIC_DELIVERY_FIXED);
}

/* Apart, so that the way to one target stays short. */
static __attribute__((noinline)) uint32_t deliver_to_set(
    struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message)
{
	if (message->shorthand == APIC_SHORTHAND_SELF) {
		PH_BUG_ON(vm, !sender);
		return deliver_to(sender, sender, identity_of(sender), message);
	}
	if (picks_one(message))
		return deliver_lowest(vm, sender, message);
	if (message->shorthand == APIC_SHORTHAND_NONE && message->is_logical &&
	    message->from_x2apic && message->destination != X2APIC_BROADCAST &&
	    !shared32_load(&vm->xapic_count, NONE))
		return deliver_cluster(vm, sender, message);
	return deliver_each(vm, sender, message);
}

uint32_t route_deliver(struct ph_vm *vm, struct ph_vcpu *sender, const struct message *message)
{
	if (message->shorthand == APIC_SHORTHAND_NONE && !message->is_logical &&
	    message->destination != XAPIC_BROADCAST && message->destination != X2APIC_BROADCAST) {
		uint32_t owner = lookup(vm, message->destination);

		if (owner == ROUTE_MAP_NONE)
			return 0;
		if (owner != ROUTE_MAP_SEVERAL)
			return deliver_to_owner(vm, sender, owner, message);
	}
	return deliver_to_set(vm, sender, message);
}

/* ---- Identities and the map ----------------------------------------------------------------- */

/* SDM vol. 3, "Logical Destination Mode": a model that is neither flat nor cluster matches none. */
static uint64_t xapic_logical_identity(const struct ph_vcpu *vcpu)
{
	uint64_t ldr = lapic_reg(vcpu, APIC_LDR) >> 24;
	uint32_t dfr = lapic_reg(vcpu, APIC_DFR);

	if (dfr >> 28 == APIC_DFR_FLAT >> 28)
		return ldr << IDENTITY_LDR_SHIFT;
	if (dfr >> 28 == APIC_DFR_CLUSTER >> 28)
		return ldr << IDENTITY_LDR_SHIFT | IDENTITY_CLUSTER_MODEL;
	return 0;
}

static uint64_t identity_from_registers(const struct ph_vcpu *vcpu)
{
	const struct lapic *lapic = &vcpu->lapic;
	uint64_t identity = 0;

	if (lapic_reg(vcpu, APIC_SVR) & APIC_SVR_ENABLE)
		identity |= IDENTITY_SW_ENABLED;
	if (lapic->base & APIC_BASE_ENABLE)
		identity |= IDENTITY_HW_ENABLED;
	if (lapic->base & APIC_BASE_X2APIC)
		return identity | IDENTITY_X2APIC | lapic->id;
	identity |= lapic_reg(vcpu, APIC_ID) >> 24;
	return identity | xapic_logical_identity(vcpu);
}

/*
 * Who owns an ID: whoever answers to it, several if a guest wrote it to their xAPICs.  But whose xAPIC
 * ID is only the low byte of a wider x2APIC ID stands back behind all others; of these, the lowest
 * index.
 */
static void mend_entry(struct ph_vm *vm, uint32_t id)
{
	uint32_t owner = ROUTE_MAP_NONE, low_byte_owner = ROUTE_MAP_NONE;

	PH_BUG_ON(vm, id >= ROUTE_MAP_COUNT);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct ph_vcpu *vcpu = vm->vcpus[i];
		uint64_t identity = vcpu ? identity_of(vcpu) : 0;

		if (!vcpu || !answers_to(vcpu, identity, id))
			continue;
		if (is_xapic(identity) && vcpu->lapic.id > 0xff && id <= 0xff)
			low_byte_owner = low_byte_owner ? low_byte_owner : i + 1;
		else
			owner = owner ? ROUTE_MAP_SEVERAL : i + 1;
	}
	shared32_store_release(
	    &vm->physical_map[id], owner ? owner : low_byte_owner, IDENTITY_MAP);
}

static void count_xapic(struct ph_vm *vm, uint64_t before, uint64_t after)
{
	uint32_t count = shared32_load(&vm->xapic_count, NONE);

	count += (uint32_t)is_xapic(after) - (uint32_t)is_xapic(before);
	shared32_store(&vm->xapic_count, count, NONE);
}

/*
 * Readers take no lock.  One that reads a map entry from before the change delivers to the vCPU
 * that had the ID then: the message was sent before the change.  One that reads the new entry also
 * reads the identity stored before it.
 */
void route_publish_identity(struct ph_vcpu *vcpu)
{
	struct ph_vm *vm = vcpu->vm;
	uint64_t after = identity_from_registers(vcpu);
	uint64_t before = identity_of(vcpu); /* nobody else writes it */
	uint64_t flags;

	PH_BUG_ON(vcpu, vm->vcpus[vcpu->index] != vcpu);
	if (before == after)
		return;
	flags = shared_lock_take(&vm->route_lock, vm->platform);
	count_xapic(vm, before, after);
	shared64_store_release(&vcpu->shared.identity, after, IDENTITY_PUBLISH);
	if ((before ^ after) & (IDENTITY_ID_MASK | IDENTITY_X2APIC | IDENTITY_HW_ENABLED)) {
		mend_entry(vm, identity_id(before));
		mend_entry(vm, identity_id(after));
		mend_entry(vm, vcpu->lapic.id);
	}
	shared_lock_drop(&vm->route_lock, vm->platform, flags);
	source_ioapic_retry(vm);
}

/* ---- The GSI routes -------------------------------------------------------------------------- */

/*
 * Two copies and a sequence; readers use copy sequence & 1.  The writer, alone under route_lock:
 *
 *   sequence + 1 (odd);  write copy 0;  sequence + 1 (even);  write copy 1
 *
 * so at every moment the copy that the sequence names is whole, and a reader never waits for a
 * writer that is stopped half-way.  A reader that saw sequence s and reads copy s & 1 can see a
 * mixture only if the writer began on that copy, which it does after moving the sequence on: the
 * increment is a locked operation, so it is visible before any store to the copy is, and the
 * reader, whose loads are in order, finds another sequence at the end and reads again.  Each
 * repetition is paid for by a whole step of a writer; the sequence would have to wrap (2^31
 * replacements) within one read to deceive.
 */

#define WHAT_KIND_SHIFT   48
#define WHAT_IOAPIC_SHIFT 40
#define WHAT_PIC_SHIFT    32

static struct route_entry pack(const struct ph_route *route)
{
	return (struct route_entry){
	    .address = route->msi.address,
	    .what = (uint64_t)route->kind << WHAT_KIND_SHIFT |
	            (uint64_t)(uint8_t)route->ioapic_pin << WHAT_IOAPIC_SHIFT |
	            (uint64_t)(uint8_t)route->pic_pin << WHAT_PIC_SHIFT | route->msi.data,
	};
}

static struct ph_route unpack(struct route_entry entry)
{
	return (struct ph_route){
	    .kind = (enum ph_route_kind)(entry.what >> WHAT_KIND_SHIFT),
	    .ioapic_pin = (int8_t)(entry.what >> WHAT_IOAPIC_SHIFT),
	    .pic_pin = (int8_t)(entry.what >> WHAT_PIC_SHIFT),
	    .msi = {entry.address, (uint32_t)entry.what},
	};
}

static void write_copy(struct route_tables *copy, const struct ph_route *routes, uint32_t count)
{
	static const struct ph_route none = {.kind = PH_ROUTE_NONE};

	for (uint32_t gsi = 0; gsi < PH_GSI_MAX; gsi++) {
		struct route_entry entry = pack(gsi < count ? &routes[gsi] : &none);

		shared64_store_release(&copy->gsi[gsi].address, entry.address, NONE);
		shared64_store_release(&copy->gsi[gsi].what, entry.what, NONE);
	}
}

static void replace_routes(struct ph_vm *vm, const struct ph_route *routes, uint32_t count)
{
	uint64_t flags = shared_lock_take(&vm->route_lock, vm->platform);

	/* Fences both: no store to a copy is seen before its turn.  Pairs with LATCH_READ; lab:
	 * route-change. */
	(void)shared32_add(&vm->route_sequence, 1, LATCH_SEQUENCE);
	write_copy(&vm->tables[0], routes, count);
	(void)shared32_add(&vm->route_sequence, 1, LATCH_SEQUENCE);
	write_copy(&vm->tables[1], routes, count);
	shared_lock_drop(&vm->route_lock, vm->platform, flags);
}

bool route_gsi(struct ph_vm *vm, uint32_t gsi, struct ph_route *route)
{
	struct route_entry entry;
	uint32_t sequence;

	if (gsi >= PH_GSI_MAX)
		return false;
	do {
		const struct route_entry *from;

		sequence = shared32_load_acquire(&vm->route_sequence, LATCH_READ);
		from = &vm->tables[sequence & 1].gsi[gsi];
		entry.address = shared64_load_acquire(&from->address, NONE);
		entry.what = shared64_load_acquire(&from->what, NONE);
	} while (SHARED_STEP(LATCH_RECHECK) &&
	         shared32_load(&vm->route_sequence, LATCH_READ) != sequence);
	*route = unpack(entry);
	return route->kind != PH_ROUTE_NONE;
}

static bool is_valid_route(const struct ph_route *route)
{
	switch (route->kind) {
	case PH_ROUTE_NONE:
	case PH_ROUTE_MSI:
		return true;
	case PH_ROUTE_PINS:
		return route->ioapic_pin >= -1 && route->ioapic_pin < (int)PH_IOAPIC_PINS &&
		       route->pic_pin >= -1 && route->pic_pin < (int)PH_PIC_PINS;
	default:
		return false;
	}
}

int ph_route_set(struct ph_vm *vm, const struct ph_route *routes, uint32_t count)
{
	if (count > PH_GSI_MAX)
		return PH_EINVAL;
	for (uint32_t gsi = 0; gsi < count; gsi++) {
		if (!is_valid_route(&routes[gsi]))
			return PH_EINVAL;
	}
	replace_routes(vm, routes, count);
	return PH_OK;
}

/* Pin 2 of the PIC is the slave's; the PIT's line enters the IOAPIC at pin 2 for that reason. */
static struct ph_route default_route(uint32_t gsi)
{
	struct ph_route route = {.kind = PH_ROUTE_PINS, .ioapic_pin = (int8_t)gsi, .pic_pin = -1};

	if (gsi == 0)
		route.ioapic_pin = 2;
	if (gsi < PH_PIC_PINS && gsi != 2)
		route.pic_pin = (int8_t)gsi;
	return route;
}

void route_init(struct ph_vm *vm)
{
	struct ph_route routes[PH_IOAPIC_PINS];

	for (uint32_t gsi = 0; gsi < PH_IOAPIC_PINS; gsi++)
		routes[gsi] = default_route(gsi);
	replace_routes(vm, routes, PH_IOAPIC_PINS);
}

/* An MSI has no level: the first user to raise the GSI sends it. */
static void set_msi_level(
    struct ph_vm *vm, uint32_t gsi, uint32_t user, bool level, const struct ph_msi *msi)
{
	uint32_t bit = 1u << user;

	if (!level)
		(void)shared32_and(&vm->gsi_users[gsi], ~bit, NONE);
	else if (!shared32_or(&vm->gsi_users[gsi], bit, NONE))
		(void)ph_msi_post(vm, msi);
}

int ph_gsi_set(struct ph_vm *vm, uint32_t gsi, uint32_t user, bool level)
{
	struct ph_route route;

	if (user >= 32 || !route_gsi(vm, gsi, &route))
		return PH_EINVAL;
	if (route.kind == PH_ROUTE_MSI) {
		set_msi_level(vm, gsi, user, level, &route.msi);
		return PH_OK;
	}
	if (route.ioapic_pin >= 0)
		source_ioapic_set_pin(vm, (uint32_t)route.ioapic_pin, user, level);
	if (route.pic_pin >= 0)
		source_pic_set_pin(vm, (uint32_t)route.pic_pin, user, level);
	return PH_OK;
}
