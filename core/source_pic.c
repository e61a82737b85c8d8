/* SPDX-License-Identifier: MIT */
/* The pair of 8259A controllers: ISA lines in; INTR to the vCPUs whose LINT0 takes it. */
#include "core/route.h"
#include "core/post.h"

/* Sections quoted are of the 8259A datasheet. */

#define MASTER         0
#define SLAVE          1
#define CASCADE_INPUT  2u
#define SPURIOUS_INPUT 7u
#define NO_INPUT       8u

#define PORT_MASTER      0x20u
#define PORT_SLAVE       0xa0u
#define PORT_ELCR_MASTER 0x4d0u
#define PORT_ELCR_SLAVE  0x4d1u

#define ICW1_MARK                 (1u << 4)
#define ICW1_NEEDS_ICW4           (1u << 0)
#define ICW1_SINGLE               (1u << 1)
#define ICW2_BASE_MASK            0xf8u
#define ICW4_AUTO_EOI             (1u << 1)
#define ICW4_SPECIAL_FULLY_NESTED (1u << 4)

#define OCW2_LEVEL_MASK       7u
#define OCW2_COMMAND_SHIFT    5
#define OCW3_MARK             (1u << 3)
#define OCW3_READ_ISR         (1u << 0)
#define OCW3_READ             (1u << 1)
#define OCW3_POLL             (1u << 2)
#define OCW3_SPECIAL_MASK     (1u << 5)
#define OCW3_SET_SPECIAL_MASK (1u << 6)

#define POLL_REQUEST 0x80u

/* OCW2 bits R, SL, EOI. */
enum ocw2_command {
	OCW2_ROTATE_AUTO_CLEAR,
	OCW2_EOI,
	OCW2_NOTHING,
	OCW2_EOI_SPECIFIC,
	OCW2_ROTATE_AUTO_SET,
	OCW2_EOI_ROTATE,
	OCW2_SET_PRIORITY,
	OCW2_EOI_SPECIFIC_ROTATE,
};

/* Inputs whose trigger a PC lets ELCR choose: not the timer, the keyboard, the cascade, the RTC or
 * the FPU. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

/* ---- One chip: priorities ("Fully Nested Mode" and what alters it) --------------------------- */

/* 0 is highest; NO_INPUT of an empty set. */
static uint32_t rank_of_highest(const struct pic_chip *chip, uint8_t inputs)
{
	uint32_t first = (chip->priority_lowest + 1u) & 7u;
	uint32_t rotated = (uint32_t)(inputs | inputs << 8) >> first & 0xff;

	return rotated ? (uint32_t)__builtin_ctz(rotated) : NO_INPUT;
}

static uint32_t input_of_rank(const struct pic_chip *chip, uint32_t rank)
{
	return (chip->priority_lowest + 1u + rank) & 7u;
}

/* In-service bits that hold requests back: in special mask mode a masked one does not. */
static uint8_t holding(const struct pic_chip *chip)
{
	return chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr;
}

/* The request that INT of the master or the slave is raised for, or NO_INPUT. */
static uint32_t chip_request(const struct pic *pic, uint32_t index)
{
	const struct pic_chip *chip = &pic->chip[index];
	uint32_t rank = rank_of_highest(chip, chip->irr & (uint8_t)~chip->imr);
	uint32_t held = rank_of_highest(chip, holding(chip));
	uint32_t input;

	if (rank == NO_INPUT || !chip->is_programmed)
		return NO_INPUT;
	input = input_of_rank(chip, rank);
	if (rank < held)
		return input;
	/* "Special Fully Nested Mode": a slave in service is not locked out of the master. */
	if (rank == held && chip->special_fully_nested && index == MASTER && input == CASCADE_INPUT)
		return input;
	return NO_INPUT;
}

/*
 * An edge stays latched although the line falls before INTA, where the datasheet would answer with
 * a spurious IR7: boards pulse their lines, and no interrupt may be lost to that.
 */
static void chip_set_input(struct pic_chip *chip, uint32_t input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (level && ((chip->elcr & bit) || !(chip->line & bit)))
		chip->irr |= bit;
	if (!level && (chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
	chip->line = level ? chip->line | bit : chip->line & (uint8_t)~bit;
}

static void chip_acknowledge(struct pic_chip *chip, uint32_t input)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (!(chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotates_on_auto_eoi)
		chip->priority_lowest = (uint8_t)input;
}

/* ---- The pair ------------------------------------------------------------------------------- */

static void wake_acceptors(struct ph_vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct ph_vcpu *vcpu = vm->vcpus[i];

		if (vcpu && shared32_load(&vcpu->shared.accepts_pic, PIC_ACCEPTS))
			post_request(vcpu, REQUEST_EVENT);
	}
}

/*
 * The slave's INT is the master's input 2.  INTR published is a full fence before accepts_pic is
 * read: an owner that is not seen as accepting sees INTR by itself.  Pairs with LVT_ACCEPTS_PIC; lab:
 * pic-late.
 * INTR that falls concerns nobody: whoever comes too late gets a spurious IRQ 7.
 */
static void update_output(struct ph_vm *vm)
{
	struct pic *pic = &vm->pic;
	struct pic_chip *master = &pic->chip[MASTER];
	uint32_t before = shared32_load(&pic->output, NONE);
	uint32_t after;

	if (!master->is_single) {
		chip_set_input(master, CASCADE_INPUT, false);
		if (chip_request(pic, SLAVE) != NO_INPUT)
			chip_set_input(master, CASCADE_INPUT, true);
	}
	after = chip_request(pic, MASTER) != NO_INPUT;
	if (before == after)
		return;
	shared32_publish(&pic->output, after, PIC_OUTPUT);
	if (after)
		wake_acceptors(vm);
}

void source_pic_set_pin(struct ph_vm *vm, uint32_t pin, uint32_t user, bool level)
{
	struct pic *pic = &vm->pic;
	uint64_t flags;

	/* The cascade is wired on the board. */
	if (pin >= PH_PIC_PINS || pin == CASCADE_INPUT)
		return;
	flags = shared_lock_take(&pic->lock, vm->platform);
	pic->line_users[pin] = (pic->line_users[pin] & ~(1u << user)) | (uint32_t)level << user;
	chip_set_input(&pic->chip[pin / 8], pin % 8, pic->line_users[pin] != 0);
	update_output(vm);
	shared_lock_drop(&pic->lock, vm->platform, flags);
}

/* One INTA to one chip.  A request that has gone meanwhile: IR7, without its in-service bit. */
static uint32_t take_request(struct pic *pic, uint32_t index)
{
	uint32_t input = chip_request(pic, index);

	if (input == NO_INPUT)
		return SPURIOUS_INPUT;
	chip_acknowledge(&pic->chip[index], input);
	return input;
}

static uint8_t acknowledge_pair(struct pic *pic)
{
	struct pic_chip *master = &pic->chip[MASTER];
	struct pic_chip *slave = &pic->chip[SLAVE];
	uint32_t input = take_request(pic, MASTER);

	if (input != CASCADE_INPUT || master->is_single)
		return (uint8_t)(master->vector_base + input);
	return (uint8_t)(slave->vector_base + take_request(pic, SLAVE));
}

uint8_t source_pic_acknowledge(struct ph_vm *vm)
{
	uint64_t flags = shared_lock_take(&vm->pic.lock, vm->platform);
	uint8_t vector = acknowledge_pair(&vm->pic);

	update_output(vm);
	shared_lock_drop(&vm->pic.lock, vm->platform, flags);
	return vector;
}

bool source_pic_output(const struct ph_vm *vm)
{
	return shared32_load(&vm->pic.output, PIC_OUTPUT) != 0;
}

/* ---- Command words -------------------------------------------------------------------------- */

/* "Initialization Command Words": what ICW1 clears, and without ICW4 what ICW4 would set. */
static void write_icw1(struct pic_chip *chip, uint8_t value)
{
	*chip = (struct pic_chip){
	    .irr = chip->irr & chip->elcr, /* an edge must come anew */
	    .line = chip->line,
	    .elcr = chip->elcr,
	    .priority_lowest = 7,
	    .awaited_icw = 2,
	    .is_single = (value & ICW1_SINGLE) != 0,
	    .needs_icw4 = (value & ICW1_NEEDS_ICW4) != 0,
	};
}

static void await_icw(struct pic_chip *chip, uint8_t next)
{
	if (next == 3 && chip->is_single)
		next = 4;
	if (next == 4 && !chip->needs_icw4)
		next = 0;
	chip->awaited_icw = next;
	chip->is_programmed = next == 0;
}

/* Port 1.  ICW3 tells the chips what the board's wiring says already; it has no effect. */
static void write_data(struct pic_chip *chip, uint8_t value)
{
	switch (chip->awaited_icw) {
	case 2:
		chip->vector_base = value & ICW2_BASE_MASK;
		await_icw(chip, 3);
		break;
	case 3:
		await_icw(chip, 4);
		break;
	case 4:
		chip->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
		chip->special_fully_nested = (value & ICW4_SPECIAL_FULLY_NESTED) != 0;
		await_icw(chip, 0);
		break;
	default:
		chip->imr = value;
		break;
	}
}

/* The highest in service; "Special Mask Mode": a masked one is not ended this way. */
static void end_highest(struct pic_chip *chip, bool rotate)
{
	uint32_t rank = rank_of_highest(chip, holding(chip));
	uint32_t input;

	if (rank == NO_INPUT)
		return;
	input = input_of_rank(chip, rank);
	chip->isr &= (uint8_t) ~(1u << input);
	if (rotate)
		chip->priority_lowest = (uint8_t)input;
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
	uint8_t input = value & OCW2_LEVEL_MASK;
	enum ocw2_command command = (enum ocw2_command)(value >> OCW2_COMMAND_SHIFT);

	switch (command) {
	case OCW2_ROTATE_AUTO_CLEAR:
	case OCW2_ROTATE_AUTO_SET:
		chip->rotates_on_auto_eoi = command == OCW2_ROTATE_AUTO_SET;
		break;
	case OCW2_EOI:
	case OCW2_EOI_ROTATE:
		end_highest(chip, command == OCW2_EOI_ROTATE);
		break;
	case OCW2_EOI_SPECIFIC:
		chip->isr &= (uint8_t) ~(1u << input);
		break;
	case OCW2_EOI_SPECIFIC_ROTATE:
		chip->isr &= (uint8_t) ~(1u << input);
		chip->priority_lowest = input;
		break;
	case OCW2_SET_PRIORITY:
		chip->priority_lowest = input;
		break;
	case OCW2_NOTHING:
		break;
	}
}

static void write_ocw3(struct pic_chip *chip, uint8_t value)
{
	chip->polled = (value & OCW3_POLL) != 0;
	if (value & OCW3_READ)
		chip->reads_isr = (value & OCW3_READ_ISR) != 0;
	if (value & OCW3_SET_SPECIAL_MASK)
		chip->special_mask = (value & OCW3_SPECIAL_MASK) != 0;
}

static void write_command(struct pic_chip *chip, uint8_t value)
{
	if (value & ICW1_MARK)
		write_icw1(chip, value);
	else if (value & OCW3_MARK)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

/* A pin that becomes level-triggered follows its line from now on. */
static void write_elcr(struct pic_chip *chip, uint8_t value)
{
	chip->elcr = value;
	chip->irr = (chip->irr & (uint8_t)~value) | (chip->line & value);
}

/* "Poll Command": the next read is an INTA whose answer is the input's number. */
static uint8_t read_poll(struct pic *pic, uint32_t index)
{
	uint32_t input = chip_request(pic, index);

	pic->chip[index].polled = false;
	if (input == NO_INPUT)
		return 0;
	chip_acknowledge(&pic->chip[index], input);
	return (uint8_t)(POLL_REQUEST | input);
}

static uint8_t read_chip(struct pic *pic, uint32_t index, bool is_data)
{
	const struct pic_chip *chip = &pic->chip[index];

	if (chip->polled)
		return read_poll(pic, index);
	if (is_data)
		return chip->imr;
	return chip->reads_isr ? chip->isr : chip->irr;
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static uint8_t read_port(struct pic *pic, uint16_t port)
{
	switch (port) {
	case PORT_MASTER:
	case PORT_MASTER + 1:
		return read_chip(pic, MASTER, port & 1);
	case PORT_SLAVE:
	case PORT_SLAVE + 1:
		/* A poll takes what INT was raised for: the master's latch falls with it. */
		if (pic->chip[SLAVE].polled)
			pic->chip[MASTER].irr &= (uint8_t) ~(1u << CASCADE_INPUT);
		return read_chip(pic, SLAVE, port & 1);
	case PORT_ELCR_MASTER:
	case PORT_ELCR_SLAVE:
		return pic->chip[port & 1].elcr;
	default:
		return 0xff;
	}
}

static void write_port(struct pic *pic, uint16_t port, uint8_t value)
{
	switch (port) {
	case PORT_MASTER:
	case PORT_SLAVE:
		write_command(&pic->chip[port == PORT_SLAVE], value);
		break;
	case PORT_MASTER + 1:
	case PORT_SLAVE + 1:
		write_data(&pic->chip[port == PORT_SLAVE + 1], value);
		break;
	case PORT_ELCR_MASTER:
	case PORT_ELCR_SLAVE:
		write_elcr(&pic->chip[port & 1], value & elcr_writable[port & 1]);
		break;
	default:
		break;
	}
}

uint8_t ph_pic_read(struct ph_vm *vm, uint16_t port)
{
	uint64_t flags = shared_lock_take(&vm->pic.lock, vm->platform);
	uint8_t value = read_port(&vm->pic, port);

	update_output(vm);
	shared_lock_drop(&vm->pic.lock, vm->platform, flags);
	return value;
}

void ph_pic_write(struct ph_vm *vm, uint16_t port, uint8_t value)
{
	uint64_t flags = shared_lock_take(&vm->pic.lock, vm->platform);

	write_port(&vm->pic, port, value);
	update_output(vm);
	shared_lock_drop(&vm->pic.lock, vm->platform, flags);
}

/* Both chips wait for ICW1: until it comes they take a mask, and raise nothing. */
void source_pic_init(struct ph_vm *vm)
{
	static const struct pic_chip unprogrammed = {.priority_lowest = 7};
	struct pic *pic = &vm->pic;

	pic->chip[MASTER] = unprogrammed;
	pic->chip[SLAVE] = unprogrammed;
	for (uint32_t pin = 0; pin < PH_PIC_PINS; pin++)
		pic->line_users[pin] = 0;
	shared32_store(&pic->output, 0, NONE);
}

/* ---- Saved state ---------------------------------------------------------------------------- */

uint8_t source_pic_elcr_mask(uint32_t chip)
{
	return elcr_writable[chip];
}

void source_pic_export(struct ph_vm *vm, struct pic *copy)
{
	uint64_t flags = shared_lock_take(&vm->pic.lock, vm->platform);

	copy->chip[MASTER] = vm->pic.chip[MASTER];
	copy->chip[SLAVE] = vm->pic.chip[SLAVE];
	for (uint32_t pin = 0; pin < PH_PIC_PINS; pin++)
		copy->line_users[pin] = vm->pic.line_users[pin];
	shared_lock_drop(&vm->pic.lock, vm->platform, flags);
}

bool source_pic_is_valid(const struct pic *pic)
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct pic_chip *chip = &pic->chip[i];

		if (chip->elcr & ~elcr_writable[i] || chip->vector_base & ~ICW2_BASE_MASK ||
		    chip->priority_lowest > 7 || chip->awaited_icw == 1 || chip->awaited_icw > 4 ||
		    (chip->awaited_icw && chip->is_programmed))
			return false;
	}
	return !pic->line_users[CASCADE_INPUT];
}

/* The cascade's line is left low: update_output() raises it as long as the slave requests. */
static void import_chip(struct pic *pic, uint32_t index, const struct pic_chip *from)
{
	struct pic_chip *chip = &pic->chip[index];

	*chip = *from;
	chip->line = 0;
	for (uint32_t input = 0; input < 8; input++)
		chip->line |= (uint8_t)((pic->line_users[index * 8 + input] != 0) << input);
	chip->irr = (chip->irr & (uint8_t)~chip->elcr) | (chip->line & chip->elcr);
}

void source_pic_import(struct ph_vm *vm, const struct pic *pic)
{
	uint64_t flags = shared_lock_take(&vm->pic.lock, vm->platform);

	for (uint32_t pin = 0; pin < PH_PIC_PINS; pin++)
		vm->pic.line_users[pin] = pic->line_users[pin];
	import_chip(&vm->pic, MASTER, &pic->chip[MASTER]);
	import_chip(&vm->pic, SLAVE, &pic->chip[SLAVE]);
	update_output(vm);
	shared_lock_drop(&vm->pic.lock, vm->platform, flags);
}
