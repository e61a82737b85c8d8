/* SPDX-License-Identifier: MIT */
/* Read the multiboot information: RAM and the bundle. */
#include "hypervisor/boot/multiboot.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"

#define MULTIBOOT_MAGIC    0x2badb002u
#define FLAG_MODULES       (1u << 3)
#define FLAG_MEMORY_MAP    (1u << 6)
#define MEMORY_TYPE_RAM    1u
#define IDENTITY_MAP_LIMIT (1ull << 32) /* the boot page tables end here */

/* Multiboot 0.6.96, "Boot information format". */
struct information {
	uint32_t flags;
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
};
_Static_assert(offsetof(struct information, mods_count) == 20, "Boot information format");
_Static_assert(offsetof(struct information, mmap_length) == 44, "Boot information format");

struct module {
	uint32_t start, end, string, reserved;
};
_Static_assert(sizeof(struct module) == 16, "Boot information format, mods_addr");

/* `size` does not count itself. */
struct memory_map {
	uint32_t size;
	uint32_t base_low, base_high;
	uint32_t length_low, length_high;
	uint32_t type;
};
_Static_assert(sizeof(struct memory_map) == 24, "Boot information format, mmap_addr");

static void add_ram(struct boot_info *info, uint64_t start, uint64_t length)
{
	if (length == 0 || start + length < start)
		return;
	if (info->ram_count == BOOT_REGION_MAX)
		panic("the boot loader's memory map has more than %u regions", BOOT_REGION_MAX);
	info->ram[info->ram_count++] = (struct boot_region){ start, start + length };
}

static void parse_memory_map(const struct information *mbi, struct boot_info *info)
{
	uint64_t offset = 0;

	while (offset + sizeof(struct memory_map) <= mbi->mmap_length) {
		const struct memory_map *map = virt_of(mbi->mmap_addr + offset);

		if (map->type == MEMORY_TYPE_RAM)
			add_ram(info, (uint64_t)map->base_high << 32 | map->base_low,
			    (uint64_t)map->length_high << 32 | map->length_low);
		offset += (uint64_t)map->size + 4;
	}
}

static void parse_modules(const struct information *mbi, struct boot_info *info)
{
	const struct module *module = virt_of(mbi->mods_addr);

	info->module_count = mbi->mods_count;
	if (mbi->mods_count == 0)
		return;
	if (module->end < module->start)
		panic("the boot loader's module ends before it starts");
	info->module = (struct boot_region){ module->start, module->end };
}

void boot_parse(uint32_t magic, uint32_t information, struct boot_info *info)
{
	const struct information *mbi = virt_of(information);

	memset(info, 0, sizeof(*info));
	if (magic != MULTIBOOT_MAGIC)
		panic("not started by a multiboot loader (magic 0x%x)", magic);
	if (!(mbi->flags & FLAG_MEMORY_MAP))
		panic("the boot loader gave no memory map");
	parse_memory_map(mbi, info);
	if (mbi->flags & FLAG_MODULES)
		parse_modules(mbi, info);
	if (info->ram_count == 0)
		panic("the boot loader's memory map names no RAM");
}
