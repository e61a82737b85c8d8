/* SPDX-License-Identifier: MIT */
/* IOAPIC, 8259 pair, 8254 channel 0, fw_cfg and the pc-testdev interrupt lines. */
#ifndef GUESTS_RT_DEVICES_H
#define GUESTS_RT_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_BASE_ADDRESS 0xfec00000u
#define IOAPIC_PIN_COUNT    24u
#define IOAPIC_PIN_PIT      2u
#define IOAPIC_REG_ID       0x00u
#define IOAPIC_REG_VERSION  0x01u
#define IOAPIC_REG_ENTRIES  0x10u

/* Redirection table entry (82093AA). */
#define IOAPIC_LOGICAL    (1ull << 11)
#define IOAPIC_PENDING    (1ull << 12)
#define IOAPIC_REMOTE_IRR (1ull << 14)
#define IOAPIC_LEVEL      (1ull << 15)
#define IOAPIC_MASKED     (1ull << 16)

uint32_t ioapic_read(uint32_t index);
void ioapic_write(uint32_t index, uint32_t value);
uint64_t ioapic_read_entry(unsigned pin);
/* The entry is masked while its halves are written. */
void ioapic_write_entry(unsigned pin, uint64_t entry);
void ioapic_mask_all(void);
static inline uint64_t ioapic_destination(uint32_t apic_id)
{
	return (uint64_t)apic_id << 56;
}

/* Level of input n (0..23) of the IOAPIC, 0..15 of the 8259 pair as well. */
void line_set(unsigned line, bool is_high);

#define PIC_MASTER_COMMAND 0x20
#define PIC_MASTER_DATA    0x21
#define PIC_SLAVE_COMMAND  0xa0
#define PIC_SLAVE_DATA     0xa1
#define PIC_EOI            0x20
#define PIC_READ_IRR       0x0a
#define PIC_READ_ISR       0x0b
/* Cascade on IRQ2, 8086 mode, all inputs masked. */
void pic_init(uint8_t master_vector, uint8_t slave_vector);
void pic_set_mask(uint16_t mask);
/* Non-specific EOI, to the slave too for IRQ 8..15. */
void pic_eoi(unsigned irq);
uint16_t pic_read_irr(void);
uint16_t pic_read_isr(void);

#define PIT_HZ            1193182u
#define PIT_MODE_TERMINAL 0u
#define PIT_MODE_RATE     2u
/* Channel 0; count 0 means 65536. */
void pit_start(unsigned mode, uint16_t count);
uint16_t pit_read(void);

#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_RAM_SIZE  0x03
#define FW_CFG_NB_CPUS   0x05
#define FW_CFG_MAX_CPUS  0x0f
/* Little-endian item of that many bytes (at most 8); 0 when there is no fw_cfg. */
uint64_t fw_cfg_read(uint16_t key, unsigned byte_count);

#endif
