/* SPDX-License-Identifier: MIT */
/* The guest's own page tables, walked in software: for instruction bytes and string operands. */
#include "hypervisor/lib/string.h"
#include "hypervisor/vm/arch.h"

#define PAGE_BYTES      4096u
#define LONG_PHYS_MASK  0x000ffffffffff000ull
#define LEGACY_PHYS_MASK 0xfffff000ull
#define PAE_ROOT_MASK   0xffffffe0ull

/*
 * Rights are checked as far as a fault can be told to the guest: present, writable, user.  Nothing
 * here sets accessed and dirty bits: hardware has just walked for the exiting instruction, and
 * string operands set them when the guest looks at the buffer.
 */
struct walk {
	const struct vcpu *vcpu;
	uint64_t linear;
	uint32_t access;
	uint64_t rights; /* PTE_RW and PTE_US as all levels allow */
	struct walk_memory *memory; /* note each long-mode entry there; or NULL */
};

static bool walk_entry(const struct walk *walk, uint64_t table, uint32_t index, bool is_wide,
    uint64_t *entry)
{
	const void *at =
	    guest_pointer(walk->vcpu->vm, table + (uint64_t)index * (is_wide ? 8 : 4), is_wide ? 8 : 4);

	if (!at)
		return false;
	*entry = is_wide ? *(const volatile uint64_t *)at : *(const volatile uint32_t *)at;
	if (walk->memory && walk->memory->count < WALK_LEVELS) {
		walk->memory->entry[walk->memory->count] = at;
		walk->memory->value[walk->memory->count++] = *entry;
	}
	return *entry & PTE_P;
}

static bool walk_rights_ok(const struct walk *walk)
{
	uint64_t cr0 = vcpu_vmcb(walk->vcpu)->cr0;

	if ((walk->access & PF_USER) && !(walk->rights & PTE_US))
		return false;
	if (!(walk->access & PF_WRITE) || (walk->rights & PTE_RW))
		return true;
	return !(walk->access & PF_USER) && !(cr0 & CR0_WP);
}

/* Four or five levels, or PAE's lower two (levels == 2), from `table`. */
static bool walk_wide(struct walk *walk, uint64_t table, uint32_t levels, uint64_t *gpa)
{
	uint32_t level;

	for (level = levels; level > 0; level--) {
		uint32_t shift = 12 + 9 * (level - 1);
		uint64_t page_mask = (1ull << shift) - 1;
		uint64_t entry;

		if (!walk_entry(walk, table, (uint32_t)(walk->linear >> shift) & 511, true, &entry))
			return false;
		walk->rights &= entry;
		table = entry & LONG_PHYS_MASK;
		if (level == 1 || ((level == 2 || level == 3) && (entry & PTE_PS))) {
			*gpa = (table & ~page_mask) | (walk->linear & page_mask);
			return true;
		}
	}
	return false;
}

static bool walk_pae(struct walk *walk, uint64_t cr3, uint64_t *gpa)
{
	uint64_t entry;

	if (!walk_entry(walk, cr3 & PAE_ROOT_MASK, (uint32_t)(walk->linear >> 30) & 3, true, &entry))
		return false;
	return walk_wide(walk, entry & LONG_PHYS_MASK, 2, gpa);
}

static bool walk_legacy(struct walk *walk, uint64_t cr3, uint64_t cr4, uint64_t *gpa)
{
	uint32_t linear = (uint32_t)walk->linear;
	uint64_t entry;

	if (!walk_entry(walk, cr3 & LEGACY_PHYS_MASK, linear >> 22, false, &entry))
		return false;
	walk->rights &= entry;
	if ((cr4 & CR4_PSE) && (entry & PTE_PS)) {
		/* PSE-36: bits 20:13 are address bits 39:32. */
		*gpa = (entry & 0xffc00000u) | (entry & 0x1fe000u) << 19 | (linear & 0x3fffffu);
		return true;
	}
	if (!walk_entry(walk, entry & LEGACY_PHYS_MASK, linear >> 12 & 1023, false, &entry))
		return false;
	walk->rights &= entry;
	*gpa = (entry & LEGACY_PHYS_MASK) | (linear & 0xfffu);
	return true;
}

static bool walk_tables(struct walk *walk, uint64_t *gpa)
{
	const struct vmcb *vmcb = vcpu_vmcb(walk->vcpu);

	if (vmcb->efer & EFER_LMA)
		return walk_wide(walk, vmcb->cr3 & LONG_PHYS_MASK, vmcb->cr4 & CR4_LA57 ? 5 : 4, gpa);
	if (vmcb->cr4 & CR4_PAE)
		return walk_pae(walk, vmcb->cr3, gpa);
	return walk_legacy(walk, vmcb->cr3, vmcb->cr4, gpa);
}

bool walk_linear(const struct vcpu *vcpu, uint64_t linear, uint32_t access, uint64_t *gpa,
    uint32_t *error)
{
	struct walk walk = {.vcpu = vcpu, .linear = linear, .access = access,
	    .rights = PTE_RW | PTE_US};

	if (!(vcpu_vmcb(vcpu)->cr0 & CR0_PG)) {
		*gpa = (uint32_t)linear;
		return true;
	}
	if (!walk_tables(&walk, gpa)) {
		*error = access;
		return false;
	}
	if (!walk_rights_ok(&walk)) {
		*error = access | PF_PRESENT;
		return false;
	}
	return true;
}

bool linear_copy(const struct vcpu *vcpu, uint64_t linear, void *host, uint32_t length, bool write,
    uint64_t *fault, uint32_t *error)
{
	uint32_t access = (write ? PF_WRITE : 0) | (vcpu_vmcb(vcpu)->cpl == 3 ? PF_USER : 0);
	uint8_t *at = host;

	while (length) {
		uint32_t step = PAGE_BYTES - (uint32_t)(linear % PAGE_BYTES);
		uint64_t gpa;

		step = step < length ? step : length;
		*fault = linear;
		if (!walk_linear(vcpu, linear, access, &gpa, error))
			return false;
		/* Outside RAM there is nothing: reads are all ones, writes are ignored. */
		if (write)
			guest_write(vcpu->vm, gpa, at, step);
		else if (!guest_read(vcpu->vm, gpa, at, step))
			memset(at, 0xff, step);
		linear += step;
		at += step;
		length -= step;
	}
	return true;
}

const uint8_t *walk_page(const struct vcpu *vcpu, uint64_t linear, struct walk_memory *memory)
{
	struct walk walk = {.vcpu = vcpu, .linear = linear, .memory = memory};
	uint64_t gpa = (uint32_t)linear;

	if ((vcpu_vmcb(vcpu)->cr0 & CR0_PG) && !walk_tables(&walk, &gpa))
		return NULL;
	return guest_pointer(vcpu->vm, gpa & ~(uint64_t)(PAGE_BYTES - 1), PAGE_BYTES);
}
