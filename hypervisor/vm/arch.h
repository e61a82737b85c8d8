/* SPDX-License-Identifier: MIT */
/*
 * What both vendors have of a vCPU: its registers in the form of the VMCB (vendor.h), the state that the
 * world switch leaves to software, and the handlers of exits that are the same on both.
 */
#ifndef HYPERVISOR_VM_ARCH_H
#define HYPERVISOR_VM_ARCH_H

#include "hypervisor/cpu/percpu.h"
#include "hypervisor/cpu/timer.h"
#include "hypervisor/vm/decode.h"
#include "hypervisor/vm/vm.h"
#include "x86/msr.h"
#include "x86/vmcb.h"

/* A MOV that changes one of these under PAE paging loads the PDPTEs (SDM vol. 3, "PDPTE Registers"). */
#define CR0_PDPTE_BITS (CR0_CD | CR0_NW | CR0_PG)
#define CR4_PDPTE_BITS (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

/* What the host's SVM offers (CPUID 8000000Ah), the least of all pCPUs. */
struct host_features {
	uint32_t asid_count;
	bool has_next_rip;
	bool has_decode_assists;
	bool has_flush_by_asid;
	bool has_pause_filter;
	bool has_vgif;
	bool is_tcg; /* QEMU's own emulation: see run.c */
	bool has_xsave; /* not SVM's, but of the same use: else FXSAVE */
	uint64_t xcr0;  /* components that the hypervisor switches */
};
extern struct host_features host_features;

/* Counters of exits by reason; the vendor names the slots. */
#define EXIT_SLOT_COUNT 0xabu

/* EXITINTINFO, bit that hardware keeps zero: the event may not have begun (run.c). */
#define SVM_EVENT_UNTAKEN (1ull << 12)

/* ---- The vCPU ------------------------------------------------------------------------------- */

#define LAST_EXIT_COUNT 16u /* power of two */

struct last_exit {
	uint64_t code;
	uint64_t rip;
};

#define KEPT_MTRR_VARIABLE_COUNT 8u
#define KEPT_MTRR_FIXED_COUNT    11u

/* MSRs that are kept for the guest to read back and have no effect under nested paging. */
struct kept_msrs {
	uint64_t mtrr_variable[2 * KEPT_MTRR_VARIABLE_COUNT];
	uint64_t mtrr_fixed[KEPT_MTRR_FIXED_COUNT];
	uint64_t mtrr_def_type;
	uint64_t mcg_status;
	uint64_t hwcr;
	uint64_t misc_enable;
};

/* The entries that a walk of the guest's long-mode tables has read. */
#define WALK_LEVELS 4u /* CR4.LA57 is not offered */
struct walk_memory {
	uint32_t count;
	const volatile uint64_t *entry[WALK_LEVELS];
	uint64_t value[WALK_LEVELS];
};

/*
 * A decoded instruction at a linear address, with all that it was made of: while the table entries and
 * the bytes (two overlapping words) still read the same, decoding it again would change nothing.
 */
struct code {
	uint64_t linear; /* CODE_NOWHERE: decoded for one use only */
	uint64_t linear_store; /* the same for a plain store of up to 8 bytes; else CODE_NOWHERE */
	uint64_t cr3;
	uint64_t first, last;
	const uint8_t *host; /* the first byte */
	struct walk_memory walk;
	struct instruction in; /* length 0: not an instruction that the decoder knows */
	struct mmio_access access;
	enum decode_mode mode;
	bool is_mmio; /* access is valid */
	bool is_plain_store; /* MOV of 32 bits, not from RSP, to memory: what EOI and ICR writes are */
} __attribute__((aligned(256))); /* so that it is found by a shift */
#define CODE_SHIFT   6u /* 64 of them, by the low bits of the address */
#define CODE_ORDER   2u /* of their pages */
#define CODE_NOWHERE (1ull << 63) /* is no canonical address */
#define CODE_LAST_WORD (DECODE_MAX_LENGTH - sizeof(uint64_t))

/* Owner only, unless a comment says otherwise. */
struct arch_vcpu {
	struct vmcb *vmcb;
	uint64_t vmcb_phys;
	uint64_t asid_generation; /* 0: needs a new ASID, with nothing cached under it */
	uint32_t asid_pcpu;       /* whose generation it is */

	struct code *code; /* remembered instructions, by a hash of the address */

	uint64_t guest_cr4; /* as the guest sees it; the VMCB's has MCE set */
	uint64_t xcr0;
	uint64_t tsc_aux;
	uint64_t tsc_offset; /* also in the VMCB; read by handlers */
	uint64_t tsc_adjust; /* IA32_TSC_ADJUST: all that the guest has moved its TSC by */
	uint64_t dr[4];
	void *fpu_area; /* one page */
	uint32_t fpu_pcpu; /* where the FPU was loaded last */
	struct kept_msrs kept;

	struct timer timer; /* the local APIC timer's deadline */

	uint64_t exit_count[EXIT_SLOT_COUNT]; /* read from any thread */
	uint64_t exit_total;
	struct last_exit last_exits[LAST_EXIT_COUNT]; /* ring; exit_total is its head */
};

static inline struct vmcb *vcpu_vmcb(const struct vcpu *vcpu)
{
	return vcpu->arch->vmcb;
}

/* General-purpose registers by number; RSP comes from the VMCB. */
static inline uint64_t vcpu_gpr(const struct vcpu *vcpu, uint32_t number)
{
	if (number == GPR_RAX)
		return *vcpu->rax;
	return number == GPR_RSP ? vcpu_vmcb(vcpu)->rsp : vcpu->gprs[number];
}

static inline void vcpu_set_gpr(struct vcpu *vcpu, uint32_t number, uint64_t value)
{
	if (number == GPR_RAX)
		*vcpu->rax = value;
	else if (number == GPR_RSP)
		vcpu_vmcb(vcpu)->rsp = value;
	else
		vcpu->gprs[number] = value;
}

static inline bool vcpu_is_long64(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	return (vmcb->cs.attributes & VMCB_SEG_L) && (vmcb->efer & EFER_LMA);
}

/* ---- registers.c, npt.c, state.c ------------------------------------------------------------ */

/* Make vcpu->arch, zeroed but for what memory it has.  0, or -1: no memory. */
int arch_vcpu_create(struct vcpu *vcpu, uint64_t tsc_offset);
/* Architectural registers after power-up or INIT (SDM vol. 3, "Processor State After Reset"). */
void arch_vcpu_reset(struct vcpu *vcpu, bool init);
/* The BSP's state as the image loader wants it. */
void arch_vcpu_boot(struct vcpu *vcpu, const struct boot_state *state);
/* Start-up IPI: real mode at vector << 12. */
void arch_vcpu_start(struct vcpu *vcpu, uint8_t vector);
/* Forget every translation of the guest before its next entry. */
void arch_flush_tlb(struct vcpu *vcpu);

/* Bits of the entries: NPT and EPT differ in nothing else that is used here. */
struct npt_format {
	uint64_t table; /* an entry that points to a table */
	uint64_t leaf;  /* one that maps a page; bit 7 says "large" in both */
};
/* Nested page tables that map the VM's RAM.  Physical address of the root; 0: no memory. */
uint64_t npt_create(const struct npt_format *format, const struct vm *vm);
/* Map one page of 4 KB (leaf level 0) or 2 MB (1).  0, or -1: no memory. */
int npt_map_page(const struct npt_format *format, uint64_t *root, uint64_t gpa, uint64_t phys,
    uint32_t leaf);

/* host_features.has_xsave and xcr0 of the first pCPU; each pCPU: FPU on. */
void features_init_xsave(void);
void cpu_enable_fpu(void);
/* state.c: the part that both vendors leave to software.  On the pCPU at hand, IRQs off. */
void state_load(struct arch_vcpu *arch);
void state_save(struct arch_vcpu *arch);

/* ---- exit.c --------------------------------------------------------------------------------- */

/* Handle the exit that svm_enter() returned with.  Owner, IRQs on. */
void exit_handle(struct vcpu *vcpu);

/* Leaves of an exit handler. */
void exit_skip(struct vcpu *vcpu, uint64_t length);
void exit_inject(struct vcpu *vcpu, uint8_t vector);              /* without an error code */
void exit_inject_error(struct vcpu *vcpu, uint8_t vector, uint32_t error);
void exit_inject_page_fault(struct vcpu *vcpu, uint64_t linear, uint32_t error);

/* Causes that go into DR6 before #DB is queued: what delivery by the processor does to DR6 and DR7. */
void exit_note_debug(struct vcpu *vcpu, uint64_t causes);

/* Stop the VM with "error: <text>". */
void exit_stop(struct vcpu *vcpu, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void exit_io(struct vcpu *vcpu);       /* io.c */
/* exit_skip() where the mode is known: nothing more to do but in a shadow or a single step. */
static inline void exit_skip_plain(struct vcpu *vcpu, uint64_t length, enum decode_mode mode)
{
	struct vmcb *vmcb = vcpu_vmcb(vcpu);

	if (mode != DECODE_64 || (vmcb->rflags & RFLAGS_TF) || vmcb->interrupt_state) {
		exit_skip(vcpu, length);
		return;
	}
	vmcb->rip += length;
	vmcb->rflags &= ~RFLAGS_RF;
}

void exit_nested_fault(struct vcpu *vcpu);      /* mmio.c */
/* The same with IRQs off; false: not the local APIC's page, nothing was done. */
bool exit_fast_apic(struct vcpu *vcpu);
/* What a plain store stores. */
static inline uint32_t exit_store_value(const struct vcpu *vcpu, const struct code *code)
{
	const struct mmio_access *access = &code->access;

	return (uint32_t)(access->has_immediate ? code->in.immediate : vcpu_gpr(vcpu, access->reg));
}
void exit_cr(struct vcpu *vcpu);       /* cr.c */
void exit_xsetbv(struct vcpu *vcpu);

void arch_dump(const struct vcpu *vcpu);

/* ---- walk.c: linear -> guest-physical ------------------------------------------------------- */

/* Translate; false: *error is the #PF error code (present and access bits; `access` is PF_*). */
bool walk_linear(const struct vcpu *vcpu, uint64_t linear, uint32_t access, uint64_t *gpa,
    uint32_t *error);
/* Copy between host memory and guest-linear memory; false: *linear_fault, *error say the #PF. */
bool linear_copy(const struct vcpu *vcpu, uint64_t linear, void *host, uint32_t length, bool write,
    uint64_t *fault, uint32_t *error);

/* Host pointer to the page that `linear` lies in, or NULL; entries are noted unless memory is NULL. */
const uint8_t *walk_page(const struct vcpu *vcpu, uint64_t linear, struct walk_memory *memory);

/* ---- code.c --------------------------------------------------------------------------------- */

/*
 * The decoded instruction at RIP, valid until the next call on this vCPU; NULL when its page is not
 * there: another CPU has unmapped it, and the guest had better run it again and fault by itself.
 */
const struct code *code_at_rip(struct vcpu *vcpu);

static inline struct code *code_slot(const struct arch_vcpu *arch, uint64_t linear)
{
	return &arch->code[linear & ((1u << CODE_SHIFT) - 1)];
}

/* Guest memory, each word read once: the guest may be changing it. */
struct unaligned_word {
	uint64_t value;
} __attribute__((packed));

static inline uint64_t code_word(const uint8_t *at)
{
	return ((const volatile struct unaligned_word *)(const volatile void *)at)->value;
}

static inline bool walk_holds(const struct walk_memory *walk)
{
	return *walk->entry[0] == walk->value[0] && *walk->entry[1] == walk->value[1] &&
	    *walk->entry[2] == walk->value[2] && *walk->entry[3] == walk->value[3];
}

/* Would it be read and decoded to the same as it was, as far as its first 8 bytes are concerned? */
static inline bool code_begins(const struct code *code, uint64_t cr3)
{
	return code->cr3 == cr3 && walk_holds(&code->walk) && code_word(code->host) == code->first;
}

/* All of it? */
static inline bool code_holds(const struct code *code, uint64_t cr3)
{
	return code_begins(code, cr3) && code_word(code->host + CODE_LAST_WORD) == code->last;
}

/*
 * The instruction at `rip`, of a 64-bit code segment, if it is remembered and a short plain store; else NULL.
 * Nothing is remembered outside long mode, nor when it is left.
 */
static inline const struct code *code_remembered_store(const struct arch_vcpu *arch, uint64_t rip,
    uint64_t cr3)
{
	const struct code *code = code_slot(arch, rip);

	return code->linear_store == rip && code_begins(code, cr3) ? code : NULL;
}

/* Forget all: the paging mode changed.  Also the state to begin with. */
void code_forget(struct arch_vcpu *arch);
/* The bytes at RIP in hexadecimal, for messages: text[2 * DECODE_MAX_LENGTH + 1]. */
void code_print(struct vcpu *vcpu, char *text);
/* Length of the instruction that exited; 0: not to be had, the VM was stopped or tries again. */
uint64_t instruction_length(struct vcpu *vcpu);

#endif
