/* SPDX-License-Identifier: MIT */
/* Guest: the programs of guests/order.h; prints what they see, to compare with the model. */
#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"
#include "guests/order.h"

const char guest_name[] = "order";

#define LEVEL_LINE 14u /* QEMU's test device drives lines 0..15 only */
#define EVENT_MAX  32u

struct event {
	char kind;
	uint8_t vector_class;
	uint8_t at;
	uint8_t ppr;
};

static struct event events[EVENT_MAX];
static volatile uint32_t event_count;
static volatile uint8_t done_count; /* instructions of the program, with the one under way */
static bool nests;

static void note(char kind, uint32_t vector_class)
{
	uint32_t index = event_count;

	if (index == EVENT_MAX)
		test_abort("more events than a program can have");
	events[index] = (struct event){kind, (uint8_t)vector_class, done_count, (uint8_t)apic_read(APIC_PPR)};
	event_count = index + 1;
}

static void take(struct frame *frame)
{
	uint32_t vector_class = (uint32_t)frame->vector >> 4;

	note('B', vector_class);
	if (vector_class == ORDER_LEVEL_CLASS)
		line_set(LEVEL_LINE, false);
	if (vector_class == ORDER_RAISING_CLASS) {
		apic_send_self(order_vector(ORDER_LOWER_CLASS));
		apic_send_self(order_vector(ORDER_HIGHER_CLASS));
	}
	if (nests)
		interrupts_enable();
	note('E', vector_class);
	apic_eoi();
}

static void execute(char letter)
{
	switch (letter) {
	case '%':
		line_set(LEVEL_LINE, true);
		break;
	case 'c':
		interrupts_disable();
		break;
	case 's':
		interrupts_enable();
		break;
	case 'h':
		apic_write(APIC_TPR, 0xf0);
		break;
	case 'l':
		apic_write(APIC_TPR, 0);
		break;
	default:
		apic_send_self(order_vector(order_class(letter)));
		break;
	}
}

static void run(const char *program)
{
	event_count = 0;
	done_count = 0;
	for (; *program; program++) {
		done_count++;
		execute(*program);
		/* An exit of its own, or nothing: whatever is pending has been taken by now. */
		__asm__ volatile("nop; nop" : : : "memory");
		if (*program == 'h' || *program == 'l')
			note('p', 0);
	}
}

static void print_events(const char *program)
{
	print("order %s%s:", nests ? "n" : "", program);
	for (uint32_t i = 0; i < event_count; i++) {
		const struct event *event = &events[i];

		if (event->kind == 'p')
			print(" p%02x", event->ppr);
		else if (event->kind == 'E')
			print(" E%x/%02x", event->vector_class, event->ppr);
		else
			print(" B%x@%u/%02x", event->vector_class, event->at, event->ppr);
	}
	print("\n");
}

void guest_main(void)
{
	char program[ORDER_SIZE];
	uint32_t count = 0;

	for (uint32_t i = 0; ORDER_LETTERS[i]; i++)
		if (order_class(ORDER_LETTERS[i]))
			interrupts_set(order_vector(order_class(ORDER_LETTERS[i])), take);
	ioapic_write_entry(LEVEL_LINE, IOAPIC_LEVEL | order_vector(ORDER_LEVEL_CLASS));
	if (option("x2apic", 0)) {
		if (!cpu_has_x2apic())
			test_skip("no x2APIC");
		apic_enter_x2apic();
	}
	interrupts_enable();
	for (uint32_t i = 0; i < 2; i++) {
		nests = i;
		for (uint32_t j = 0; order_program(j, program); j++) {
			run(program);
			print_events(program);
			watchdog_pet();
			count++;
		}
	}
	check(count > 800, "%u programs", count);
}
