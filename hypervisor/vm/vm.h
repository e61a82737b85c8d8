/* SPDX-License-Identifier: MIT */
/* A virtual machine of the hypervisor: its memory, its vCPUs, how it starts and how it stops. */
#ifndef HYPERVISOR_VM_VM_H
#define HYPERVISOR_VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <posthorn/posthorn.h>

#define VM_NAME_SIZE    16u /* with the closing zero */
#define VM_CPU_MAX      64u
#define VM_MODULE_MAX   8u
#define VM_MAX          16u /* VMs at a time */
#define VM_LOW_RAM_END  0xc0000000ull  /* RAM below 4G ends here; the rest starts at 4G */
#define VM_HIGH_RAM     0x100000000ull
#define VM_STOP_TEXT    96u

struct thread;
struct arch_vcpu;
struct vmx_vcpu;

/* ---- Configuration: filled by loader/, read-only afterwards --------------------------------- */

/* One member of the bundle.  Data lives as long as the hypervisor does; data == NULL: absent. */
struct vm_file {
	const char *name; /* zero-terminated, as the bundle spells it */
	const void *data;
	uint64_t size;
};

enum vm_kind { VM_KIND_LINUX, VM_KIND_MULTIBOOT };

struct vm_config {
	char name[VM_NAME_SIZE];
	uint32_t cpu_count;    /* 1..VM_CPU_MAX */
	uint64_t memory_bytes; /* RAM in all; a multiple of 4096 */
	enum vm_kind kind;
	bool hides_x2apic;     /* CPUID does not show it, IA32_APIC_BASE does not enter it */
	bool is_pinned;        /* vCPU i stays on pCPU i mod n */
	uint32_t migrate_ms;   /* force a migration of every vCPU each so many ms; 0: off */
	struct vm_file kernel;
	struct vm_file initrd;
	struct vm_file cmdline; /* bytes are the command line, not zero-terminated */
	struct vm_file modules[VM_MODULE_MAX];
	uint32_t module_count;
};

enum boot_mode {
	BOOT_LONG64,      /* long mode, paging on, flat code and data segments from the guest's GDT */
	BOOT_PROTECTED32, /* protected mode, paging off, flat 32-bit segments */
};

/* The BSP's first register state, said by the image loader.  Registers not named here are 0. */
struct boot_state {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rax, rbx, rsi, rdi, rsp;
	uint64_t cr3;          /* BOOT_LONG64: guest-physical address of the level-4 table */
	uint64_t gdt_base;     /* guest-physical (= linear) address; 0 with limit 0: no GDT */
	uint16_t gdt_limit;
	uint16_t code_selector;
	uint16_t data_selector; /* loaded into SS, DS, ES, FS and GS */
};

/* ---- Machine -------------------------------------------------------------------------------- */

enum vm_stop_reason {
	VM_STOP_NONE, /* still running */
	VM_STOP_POWEROFF,
	VM_STOP_DEBUG_EXIT,
	VM_STOP_TRIPLE_FAULT,
	VM_STOP_INVALID_STATE,
	VM_STOP_RESET,
	VM_STOP_ERROR,
};

/* Requests that the hypervisor raises with ph_vcpu_request(); bits 0..15 are the embedder's. */
#define VM_REQUEST_STOP    0x1u
#define VM_REQUEST_YIELD   0x4u /* nothing but thread_yield() */
#define VM_REQUEST_MIGRATE 0x2u /* move to vcpu->migrate_pcpu */

/* General-purpose registers in the order of their numbers in ModRM and the SIB byte. */
enum gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	GPR_COUNT,
};

#define VCPU_WORK_FLUSH    1u
#define VCPU_WORK_TIMER    2u
#define VCPU_WORK_LAUNCH   4u /* the entry after a VMCLEAR */
#define VCPU_WORK_LAUNCHED 8u /* the one after that */
#define VCPU_WORK_DEBUG    16u /* exit_note_debug() */

/* One virtual CPU.  Everything here belongs to its own thread unless a comment says otherwise. */
struct vcpu {
	/* RSP is in the VMCB, and SVM's RAX: use vcpu_gpr()/vcpu_set_gpr(). */
	uint64_t gprs[GPR_COUNT];
	uint64_t *rax; /* constant: SVM's processor keeps it in the VMCB, VMX's handlers in gprs */
	uint32_t entry_work; /* VCPU_WORK_*: what VMX has to do before the next entry */
	struct arch_vcpu *arch;  /* of both vendors; see vendor.h */
	void *apic_page, *pid; /* constant; the memory of libposthorn's part that hardware sees */
	struct vmx_vcpu *vmx;  /* NULL on SVM */
	struct ph_vcpu *ph;    /* constant after vm_create() */
	struct vm *vm;         /* constant */
	uint32_t index;        /* constant; = initial APIC ID */
	struct thread *thread; /* constant after vm_create() */
	uint32_t migrate_pcpu; /* atomic: where VM_REQUEST_MIGRATE wants it; any writer */
};

struct vm {
	char name[VM_NAME_SIZE];
	uint32_t index; /* 0.. in order of creation */
	const struct vm_config *config;
	struct ph_vm *ph;
	void *board; /* BOARD's state; set by board_create() */

	/* RAM.  Guest-physical 0..ram_low_bytes-1 and VM_HIGH_RAM..+ram_high_bytes-1.  Constant. */
	uint8_t *ram_low;
	uint64_t ram_low_bytes;
	uint8_t *ram_high;
	uint64_t ram_high_bytes;

	/* VMX: nested tables with the APIC-access page in them, and that page.  Constant. */
	uint64_t apic_root, apic_access_page;

	uint64_t tsc_khz;    /* guest TSC frequency; constant */
	uint64_t tsc_offset; /* guest TSC = host TSC + tsc_offset (modulo 2^64); constant */

	uint32_t cpu_count;
	struct vcpu *vcpus[VM_CPU_MAX];

	/* Atomic; the first to change stop_reason from VM_STOP_NONE writes the rest, then says so. */
	uint32_t stop_reason; /* enum vm_stop_reason */
	int stop_code;
	char stop_text[VM_STOP_TEXT]; /* VM_STOP_ERROR and VM_STOP_INVALID_STATE: why */
	uint32_t running_vcpu_count;  /* atomic: vCPU threads that have not left their loop */
	bool is_ended;                /* atomic: every vCPU has left and the tables are printed */
};

/*
 * Make a VM: memory, board, loaded image, vCPU threads (ready to run at vm_start()).  `config` must
 * outlive it.  NULL after one clear line on the control channel.  Boot thread only.
 */
struct vm *vm_create(const struct vm_config *config);
/* Start the vCPU threads.  Boot thread only. */
void vm_start(struct vm *vm);

/*
 * Stop the VM: the first call decides reason and code and prints the "@vm" line; later ones do
 * nothing.  All vCPUs are made to leave their loops; does not wait.  `text` is copied; NULL: none.
 * Any thread, or a handler with IRQs off.
 */
void vm_stop(struct vm *vm, enum vm_stop_reason reason, int code, const char *text);
bool vm_is_stopping(const struct vm *vm);
/* True once every vCPU has left and the VM's tables are printed.  Any thread. */
bool vm_has_ended(const struct vm *vm);
/* "poweroff", "debug-exit", "triple-fault", "invalid-state", "reset", "error". */
const char *vm_stop_name(enum vm_stop_reason reason);

/* VMs in order of creation, for the control channel and the console.  Any thread. */
uint32_t vm_count(void);
struct vm *vm_by_index(uint32_t index);
struct vm *vm_by_name(const char *name);

/* Print the "@table" lines of every vCPU on the control channel.  Any thread. */
void vm_print_tables(const struct vm *vm);

/* Guest TSC of the VM now (the same for all its vCPUs).  Any thread or handler. */
uint64_t vm_guest_tsc(const struct vm *vm);

/* ---- Guest memory --------------------------------------------------------------------------- */

/* Host pointer to `length` bytes at `gpa`, or NULL unless all lie in RAM.  Any thread. */
void *guest_pointer(const struct vm *vm, uint64_t gpa, uint64_t length);
/* Copy out of and into guest-physical RAM.  False (and nothing copied) unless all lie in RAM. */
bool guest_read(const struct vm *vm, uint64_t gpa, void *to, uint64_t length);
bool guest_write(const struct vm *vm, uint64_t gpa, const void *from, uint64_t length);

/* ---- Hooks that KERNEL's parts call --------------------------------------------------------- */

/* Once on each pCPU, IRQs off, before any VM runs: enable SVM or VMX.  Panics without them. */
void virt_cpu_init(void);
/* From panic(): print the running vCPU's state; the last trace events.  Takes no lock. */
void virt_panic_dump(void);
void trace_dump_last(void);

#endif
