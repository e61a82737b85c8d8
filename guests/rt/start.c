/* SPDX-License-Identifier: MIT */
/* From the multiboot entry to guest_main(): command line, console, interrupts, time, CPU count. */
#include <stddef.h>

#include "guests/rt/apic.h"
#include "guests/rt/console.h"
#include "guests/rt/devices.h"
#include "guests/rt/interrupts.h"
#include "guests/rt/smp.h"
#include "guests/rt/string.h"
#include "guests/rt/test.h"
#include "guests/rt/time.h"

#define MULTIBOOT_LOADER_MAGIC 0x2badb002u
#define MULTIBOOT_HAS_MEMORY   (1u << 0)
#define MULTIBOOT_HAS_CMDLINE  (1u << 2)
#define PIC_MASTER_VECTOR      0x20
#define PIC_SLAVE_VECTOR       0x28

/* Multiboot Specification 0.6.96, "Boot information format", up to what is used here. */
struct multiboot_information {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
};

_Static_assert(offsetof(struct multiboot_information, cmdline) == 16, "Boot information format");

static const struct multiboot_information *information;
static struct firmware_state firmware;

void runtime_start(uint32_t magic, uint32_t address);

const char *command_line(void)
{
	if (!(information->flags & MULTIBOOT_HAS_CMDLINE))
		return "";
	return (const char *)(uintptr_t)information->cmdline;
}

uint32_t memory_upper_kib(void)
{
	return information->flags & MULTIBOOT_HAS_MEMORY ? information->mem_upper : 0;
}

uint64_t option(const char *name, uint64_t fallback)
{
	const char *text = command_line();
	bool is_word_start = true;

	for (; *text; text++) {
		if (is_word_start && string_starts_with(text, name) &&
		    text[string_length(name)] == '=')
			return string_to_number(text + string_length(name) + 1);
		is_word_start = *text == ' ';
	}
	return fallback;
}

static void firmware_record(void)
{
	firmware.svr = apic_read(APIC_SVR);
	firmware.lint0 = apic_read(APIC_LVT_LINT0);
	firmware.lint1 = apic_read(APIC_LVT_LINT1);
	firmware.pic_mask = (uint16_t)(inb(0xa1) << 8 | inb(0x21));
}

const struct firmware_state *firmware_left(void)
{
	return &firmware;
}

static unsigned cpu_count_find(void)
{
	uint64_t count = option("cpus", fw_cfg_read(FW_CFG_NB_CPUS, 2));

	if (count > CPU_COUNT_MAX)
		test_abort("%lu CPUs, at most %u are supported", count, CPU_COUNT_MAX);
	return count ? (unsigned)count : 1;
}

void runtime_start(uint32_t magic, uint32_t address)
{
	console_init();
	interrupts_init();
	interrupts_load();
	if (magic != MULTIBOOT_LOADER_MAGIC)
		test_abort("loader magic is %x", magic);
	information = (const struct multiboot_information *)(uintptr_t)address;
	firmware_record();
	pic_init(PIC_MASTER_VECTOR, PIC_SLAVE_VECTOR);
	ioapic_mask_all();
	apic_init();
	time_init();
	cpu_count = cpu_count_find();
	this_cpu()->is_online = true;
	guest_main();
	test_finish();
}
