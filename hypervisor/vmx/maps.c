/* SPDX-License-Identifier: MIT */
/* Extended page tables, MSR bitmaps and I/O bitmaps. */
#include "hypervisor/lib/string.h"
#include "hypervisor/mm/memory.h"
#include "hypervisor/vmx/vmx.h"
#include "x86/apic.h"

/* SDM vol. 3, tables "Format of an EPT ... Entry": read, write, execute; leaves write-back. */
#define EPT_RW        3ull
#define EPT_RWX       7ull
#define EPT_WB        (6ull << 3)
#define EPT_PHYS_MASK 0x000ffffffffff000ull

static const struct npt_format ept_format = {.table = EPT_RWX, .leaf = EPT_RWX | EPT_WB};
/* No fetches from the APIC-access page: they exit anyhow, and are what Bochs 3.0 ends itself at. */
static const struct npt_format apic_format = {.table = EPT_RWX, .leaf = EPT_RW | EPT_WB};

uint64_t vmx_msr_bitmap, vmx_msr_bitmap_x2apic;
uint64_t vmx_io_bitmap_a, vmx_io_bitmap_b;

/* ---- MSR bitmaps (SDM vol. 3, "MSR-Bitmap Address"): 1 = exit -------------------------------- */

#define BITMAP_HIGH  0x400u /* MSRs C0000000h.. behind 0.. */
#define BITMAP_WRITE 0x800u /* writes behind reads */

static void bitmap_allow(uint8_t *bitmap, uint32_t msr, uint32_t offset)
{
	if (msr >= MSRPM_RANGE_1)
		offset += BITMAP_HIGH;
	bitmap[offset + (msr % 0x2000u) / 8] &= (uint8_t) ~(1u << msr % 8);
}

/* MSRs that entry and exit, or load_state and save_state, switch. */
static void bitmap_fill(uint8_t *bitmap)
{
	static const uint32_t switched[] = {
	    MSR_SYSENTER_CS,
	    MSR_SYSENTER_ESP,
	    MSR_SYSENTER_EIP,
	    MSR_STAR,
	    MSR_LSTAR,
	    MSR_CSTAR,
	    MSR_SFMASK,
	    MSR_FS_BASE,
	    MSR_GS_BASE,
	    MSR_KERNEL_GS_BASE,
	};
	uint32_t i;

	memset(bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < sizeof(switched) / sizeof(switched[0]); i++) {
		bitmap_allow(bitmap, switched[i], 0);
		bitmap_allow(bitmap, switched[i], BITMAP_WRITE);
	}
}

static void bitmap_allow_x2apic(uint8_t *bitmap, uint32_t reg, uint32_t offset)
{
	bitmap_allow(bitmap, MSR_X2APIC_FIRST + reg / 16, offset);
}

/*
 * SDM vol. 3, "Virtualizing MSR-Based APIC Accesses": reads come from the page, and these three
 * writes are virtualized.  ID, LDR, ICR and TMCCT are not in the page as x2APIC mode shows them.
 */
static void bitmap_fill_x2apic(uint8_t *bitmap)
{
	static const uint32_t written[] = {APIC_TPR, APIC_EOI, APIC_SELF_IPI};
	static const uint32_t read[] = {APIC_TPR, APIC_PPR, APIC_SVR, APIC_LVT_TIMER,
	    APIC_LVT_THERM, APIC_LVT_PMC, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR,
	    APIC_TMICT, APIC_TDCR};
	uint32_t i;

	bitmap_fill(bitmap);
	for (i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		bitmap_allow_x2apic(bitmap, read[i], 0);
	for (i = APIC_ISR; i < APIC_IRR + 8 * 16; i += 16)
		bitmap_allow_x2apic(bitmap, i, 0);
	for (i = 0; i < sizeof(written) / sizeof(written[0]); i++)
		bitmap_allow_x2apic(bitmap, written[i], BITMAP_WRITE);
}

int vmx_maps_create(void)
{
	uint8_t *plain = page_alloc(0), *x2apic = page_alloc(0);
	void *io_a = page_alloc(0), *io_b = page_alloc(0);

	if (!plain || !x2apic || !io_a || !io_b)
		return -1;
	bitmap_fill(plain);
	bitmap_fill_x2apic(x2apic);
	/* Every port exits: the guest owns none of the host's. */
	memset(io_a, 0xff, PAGE_SIZE);
	memset(io_b, 0xff, PAGE_SIZE);
	vmx_msr_bitmap = phys_of(plain);
	vmx_msr_bitmap_x2apic = phys_of(x2apic);
	vmx_io_bitmap_a = phys_of(io_a);
	vmx_io_bitmap_b = phys_of(io_b);
	return 0;
}

/* ---- EPT ------------------------------------------------------------------------------------- */

/* A copy of a table, or a new one.  NULL: no memory. */
static uint64_t *copy_of(uint64_t entry)
{
	uint64_t *table = page_alloc(0);

	if (table && entry)
		memcpy(table, virt_of(entry & EPT_PHYS_MASK), PAGE_SIZE);
	return table;
}

/*
 * A second root for the vCPUs whose xAPIC page is virtualized: the same tables, and the APIC-access
 * page, which the others must not see, for without its control it would be plain memory.  The
 * gigabyte below 4G holds no RAM.
 */
static int apic_root_create(struct vm *vm, uint64_t root)
{
	uint64_t *top = copy_of(root);
	uint64_t *second = top ? copy_of(top[0]) : NULL;
	void *page = page_alloc(0);

	_Static_assert(
	    VM_LOW_RAM_END == 3ull << 30, "the tables of 3G..4G are the APIC page's own");
	if (!second || !page)
		return -1;
	top[0] = phys_of(second) | EPT_RWX;
	vm->apic_root = phys_of(top);
	vm->apic_access_page = phys_of(page);
	return npt_map_page(&apic_format, top, APIC_DEFAULT_BASE, vm->apic_access_page, 0);
}

uint64_t vmx_tables_create(struct vm *vm)
{
	uint64_t root = npt_create(&ept_format, vm);

	if (!root || apic_root_create(vm, root))
		return 0;
	return root;
}
