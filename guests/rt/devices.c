/* SPDX-License-Identifier: MIT */
/* IOAPIC, 8259 pair, 8254 channel 0, fw_cfg and the pc-testdev interrupt lines. */
#include "guests/rt/cpu.h"
#include "guests/rt/devices.h"

#define TESTDEV_LINE_PORT 0x2000
#define PIT_CHANNEL0_PORT 0x40
#define PIT_COMMAND_PORT  0x43
#define PIT_LOW_HIGH      0x30
#define PIT_LATCH         0x00
#define FW_CFG_SELECTOR   0x510
#define FW_CFG_DATA       0x511
#define FW_CFG_MAGIC      0x554d4551u /* "QEMU" */
#define PIC_ICW1          0x11
#define PIC_ICW4_8086     0x01

static volatile uint32_t *ioapic_register(uint32_t offset)
{
	return (volatile uint32_t *)(uintptr_t)(IOAPIC_BASE_ADDRESS + offset);
}

uint32_t ioapic_read(uint32_t index)
{
	*ioapic_register(0x00) = index;
	return *ioapic_register(0x10);
}

void ioapic_write(uint32_t index, uint32_t value)
{
	*ioapic_register(0x00) = index;
	*ioapic_register(0x10) = value;
}

uint64_t ioapic_read_entry(unsigned pin)
{
	uint64_t low = ioapic_read(IOAPIC_REG_ENTRIES + pin * 2);

	return low | ((uint64_t)ioapic_read(IOAPIC_REG_ENTRIES + pin * 2 + 1) << 32);
}

void ioapic_write_entry(unsigned pin, uint64_t entry)
{
	uint32_t low = IOAPIC_REG_ENTRIES + pin * 2;

	ioapic_write(low, (uint32_t)(ioapic_read(low) | IOAPIC_MASKED));
	ioapic_write(low + 1, (uint32_t)(entry >> 32));
	ioapic_write(low, (uint32_t)entry);
}

void ioapic_mask_all(void)
{
	for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++)
		ioapic_write_entry(pin, IOAPIC_MASKED);
}

void line_set(unsigned line, bool is_high)
{
	outb((uint16_t)(TESTDEV_LINE_PORT + line), is_high);
}

void pic_init(uint8_t master_vector, uint8_t slave_vector)
{
	outb(PIC_MASTER_COMMAND, PIC_ICW1);
	outb(PIC_MASTER_DATA, master_vector);
	outb(PIC_MASTER_DATA, 1 << 2);
	outb(PIC_MASTER_DATA, PIC_ICW4_8086);
	outb(PIC_SLAVE_COMMAND, PIC_ICW1);
	outb(PIC_SLAVE_DATA, slave_vector);
	outb(PIC_SLAVE_DATA, 2);
	outb(PIC_SLAVE_DATA, PIC_ICW4_8086);
	pic_set_mask(0xffff);
}

void pic_set_mask(uint16_t mask)
{
	outb(PIC_MASTER_DATA, (uint8_t)mask);
	outb(PIC_SLAVE_DATA, (uint8_t)(mask >> 8));
}

void pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(PIC_SLAVE_COMMAND, PIC_EOI);
	outb(PIC_MASTER_COMMAND, PIC_EOI);
}

static uint16_t pic_read_both(uint8_t command)
{
	outb(PIC_MASTER_COMMAND, command);
	outb(PIC_SLAVE_COMMAND, command);
	return (uint16_t)(inb(PIC_MASTER_COMMAND) | inb(PIC_SLAVE_COMMAND) << 8);
}

uint16_t pic_read_irr(void)
{
	return pic_read_both(PIC_READ_IRR);
}

uint16_t pic_read_isr(void)
{
	return pic_read_both(PIC_READ_ISR);
}

void pit_start(unsigned mode, uint16_t count)
{
	outb(PIT_COMMAND_PORT, (uint8_t)(PIT_LOW_HIGH | mode << 1));
	outb(PIT_CHANNEL0_PORT, (uint8_t)count);
	outb(PIT_CHANNEL0_PORT, (uint8_t)(count >> 8));
}

uint16_t pit_read(void)
{
	uint16_t low;

	outb(PIT_COMMAND_PORT, PIT_LATCH);
	low = inb(PIT_CHANNEL0_PORT);
	return (uint16_t)(low | inb(PIT_CHANNEL0_PORT) << 8);
}

static uint64_t fw_cfg_item(uint16_t key, unsigned byte_count)
{
	uint64_t value = 0;

	outw(FW_CFG_SELECTOR, key);
	for (unsigned i = 0; i < byte_count; i++)
		value |= (uint64_t)inb(FW_CFG_DATA) << (8 * i);
	return value;
}

uint64_t fw_cfg_read(uint16_t key, unsigned byte_count)
{
	if (fw_cfg_item(FW_CFG_SIGNATURE, 4) != FW_CFG_MAGIC)
		return 0;
	return fw_cfg_item(key, byte_count);
}
