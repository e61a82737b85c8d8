/* SPDX-License-Identifier: MIT */
/*
 * The KVM oracle's KVM side: a VM with the in-kernel irqchip.  What has an ioctl is done by it; the
 * rest by real-mode instructions that a vCPU runs, one step a KVM_RUN.
 */
#include "tests/oracle/kvm.h"
#include "x86/apic.h"
#include "x86/msr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define MEMORY_SIZE       0x10000u
#define STACK             0x8000u
#define CODE_WINDOW       0x1000u
#define CODE_APIC_WRITE   0x1100u
#define CODE_APIC_READ    0x1200u
#define CODE_WRMSR        0x1300u
#define CODE_IOAPIC_WRITE 0x1400u
#define CODE_IOAPIC_READ  0x1500u
#define CODE_PORT_WRITE   0x1600u
#define CODE_PORT_READ    0x1700u
#define CODE_HANDLER      0x3000u
#define CODE_TAKEN        0x3100u
#define PORT_DONE         0x10u
#define PORT_INTERRUPT    0x11u
#define VECTOR_GP         13u
#define IOAPIC_BASE       0xfec00000u
#define CPUID_MAX         256u
#define GUEST_TRIES       25 /* interruptions by the alarm */

static int kvm_fd = -1, vm_fd = -1;
static long run_size;
static uint8_t *memory;
static struct shape shape;

static struct {
	int fd;
	struct kvm_run *run;
	bool is_dirty; /* the segments may have been reset */
	bool was_waiting;
} vcpus[ORACLE_VCPU_MAX];

static union {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
} cpuid;

static uint64_t routes[ORACLE_GSIS];

static void __attribute__((noreturn)) die(const char *what)
{
	printf("# KVM: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(2);
}

static int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result;

	do
		result = ioctl(fd, request, argument);
	while (result < 0 && errno == EINTR); /* the alarm */
	if (result < 0)
		die(what);
	return result;
}

/* ---- Making a VM --------------------------------------------------------------------------- */

static void on_alarm(int number)
{
	(void)number;
}

/* A vCPU that waits for ever is brought back by a signal. */
static void start_alarms(void)
{
	const struct itimerval each = {{0, 200000}, {0, 200000}};
	struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &each, NULL);
}

static void put_code(uint32_t at, const char *code, size_t size)
{
	memcpy(memory + at, code, size);
}

#define DONE          "\x66\xe7\x10" /* out 0x10, eax */
#define INTERRUPT     "\x66\xe7\x11" /* out 0x11, eax */
#define PUT(at, code) put_code(at, code, sizeof(code) - 1)

/* DS begins at the local APIC, ES at the IOAPIC; each handler has its vector as CS. */
static void put_guest(void)
{
	for (uint32_t vector = 0; vector < 256; vector++) {
		uint16_t entry[2] = {(uint16_t)(CODE_HANDLER - vector * 16), (uint16_t)vector};

		memcpy(memory + vector * 4, entry, sizeof(entry));
	}
	PUT(CODE_WINDOW, "\xfb\x90\x90\xfa" DONE);           /* sti; nop; nop; cli */
	PUT(CODE_APIC_WRITE, "\x66\x89\x07" DONE);           /* mov [bx], eax */
	PUT(CODE_APIC_READ, "\x66\x8b\x07" DONE);            /* mov eax, [bx] */
	PUT(CODE_WRMSR, "\x0f\x30" DONE);                    /* wrmsr */
	PUT(CODE_IOAPIC_WRITE, "\x26\x66\x89\x1e\x00\x00"    /* mov es:[0], ebx */
	                       "\x26\x66\xa3\x10\x00" DONE); /* mov es:[0x10], eax */
	PUT(CODE_IOAPIC_READ, "\x26\x66\x89\x1e\x00\x00"
	                      "\x26\x66\xa1\x10\x00" DONE); /* mov eax, es:[0x10] */
	PUT(CODE_PORT_WRITE, "\xee" DONE);                  /* out dx, al */
	PUT(CODE_PORT_READ, "\xec" DONE);                   /* in al, dx */
	PUT(CODE_HANDLER, "\x66\x8c\xc8"                    /* mov eax, cs */
	                  "\xea\x00\x31\x00\x00");          /* jmp 0:CODE_TAKEN */
	PUT(CODE_TAKEN, INTERRUPT);
}

static void set_routes(void)
{
	static union {
		struct kvm_irq_routing head;
		uint8_t room[sizeof(struct kvm_irq_routing) +
		             2 * ORACLE_GSIS * sizeof(struct kvm_irq_routing_entry)];
	} table;
	uint32_t count = 0;

	memset(&table, 0, sizeof(table));
	for (uint32_t gsi = 0; gsi < ORACLE_GSIS; gsi++) {
		struct route route = route_of(routes[gsi]);
		struct kvm_irq_routing_entry *entry = &table.head.entries[count];

		if (route.type == ROUTE_MSI) {
			*entry =
			    (struct kvm_irq_routing_entry){.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI};
			entry->u.msi.address_lo = route.address;
			entry->u.msi.data = route.data;
			count++;
		}
		if (route.type == ROUTE_PINS && route.ioapic_pin >= 0) {
			*entry = (struct kvm_irq_routing_entry){
			    .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP};
			entry->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
			entry->u.irqchip.pin = (uint32_t)route.ioapic_pin;
			entry = &table.head.entries[++count];
		}
		if (route.type == ROUTE_PINS && route.pic_pin >= 0) {
			*entry = (struct kvm_irq_routing_entry){
			    .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP};
			entry->u.irqchip.irqchip =
			    route.pic_pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
			entry->u.irqchip.pin = (uint32_t)route.pic_pin % 8;
			count++;
		}
	}
	table.head.nr = count;
	call(vm_fd, KVM_SET_GSI_ROUTING, &table, "KVM_SET_GSI_ROUTING");
}

static void make_vcpu(uint32_t index)
{
	struct kvm_mp_state waiting = {KVM_MP_STATE_INIT_RECEIVED};
	uintptr_t id = index * shape.apic_id_step;
	int fd = call(vm_fd, KVM_CREATE_VCPU, (void *)id, "KVM_CREATE_VCPU");

	vcpus[index].fd = fd;
	vcpus[index].run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vcpus[index].run == MAP_FAILED)
		die("kvm_run");
	vcpus[index].is_dirty = true;
	vcpus[index].was_waiting = index != 0;
	call(fd, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
	if (index)
		call(fd, KVM_SET_MP_STATE, &waiting, "KVM_SET_MP_STATE");
}

static void unmake(void)
{
	for (uint32_t i = 0; i < shape.vcpu_count; i++) {
		munmap(vcpus[i].run, (size_t)run_size);
		close(vcpus[i].fd);
	}
	if (vm_fd >= 0)
		close(vm_fd);
}

void kvm_make(const struct shape *wanted)
{
	struct kvm_userspace_memory_region region = {
	    .memory_size = MEMORY_SIZE, .userspace_addr = (uintptr_t)memory};
	struct kvm_enable_cap ids = {.cap = KVM_CAP_X2APIC_API,
	    .args = {KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK}};

	struct kvm_enable_cap quirks = {.cap = KVM_CAP_DISABLE_QUIRKS,
	    .args = {KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE}};

	unmake();
	shape = *wanted;
	vm_fd = call(kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	call(vm_fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	call(vm_fd, KVM_ENABLE_CAP, &quirks, "KVM_CAP_DISABLE_QUIRKS");
	if (shape.wide_ids)
		call(vm_fd, KVM_ENABLE_CAP, &ids, "KVM_CAP_X2APIC_API");
	call(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	for (uint32_t i = 0; i < shape.vcpu_count; i++)
		make_vcpu(i);
	for (uint32_t gsi = 0; gsi < ORACLE_GSIS; gsi++)
		routes[gsi] = route_default(gsi);
	set_routes();
}

/* ---- Local APICs --------------------------------------------------------------------------- */

static void get_lapic(uint32_t vcpu, struct kvm_lapic_state *lapic)
{
	call(vcpus[vcpu].fd, KVM_GET_LAPIC, lapic, "KVM_GET_LAPIC");
}

/* Twice: PPR comes from what KVM remembers of the ISR before. */
static void put_lapic(uint32_t vcpu, struct kvm_lapic_state *lapic)
{
	call(vcpus[vcpu].fd, KVM_SET_LAPIC, lapic, "KVM_SET_LAPIC");
	call(vcpus[vcpu].fd, KVM_SET_LAPIC, lapic, "KVM_SET_LAPIC");
}

static void set_lapic_word(uint32_t vcpu, uint32_t offset, uint32_t value)
{
	struct kvm_lapic_state lapic;

	get_lapic(vcpu, &lapic);
	memcpy(lapic.regs + offset, &value, 4);
	put_lapic(vcpu, &lapic);
}

union one_msr {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static uint64_t msr_write(uint32_t vcpu, uint32_t msr, uint64_t value)
{
	union one_msr one = {{.nmsrs = 1}};

	one.head.entries[0] = (struct kvm_msr_entry){.index = msr, .data = value};
	return call(vcpus[vcpu].fd, KVM_SET_MSRS, &one, "KVM_SET_MSRS") == 1 ? 0 : RESULT_GP;
}

static uint64_t msr_read(uint32_t vcpu, uint32_t msr)
{
	union one_msr one = {{.nmsrs = 1}};

	one.head.entries[0] = (struct kvm_msr_entry){.index = msr};
	return call(vcpus[vcpu].fd, KVM_GET_MSRS, &one, "KVM_GET_MSRS") == 1
	           ? one.head.entries[0].data
	           : RESULT_GP;
}

/* ---- The guest ----------------------------------------------------------------------------- */

static struct kvm_segment segment(uint64_t base)
{
	return (struct kvm_segment){.base = base,
	    .limit = 0xffff,
	    .selector = (uint16_t)(base >> 4),
	    .type = 3,
	    .present = 1,
	    .s = 1};
}

static void drop_smm(uint32_t vcpu)
{
	struct kvm_vcpu_events events = {.flags = KVM_VCPUEVENT_VALID_SMM};

	call(vcpus[vcpu].fd, KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS");
}

/* KVM_SET_SREGS has CR8, four bits of TPR, in it: put the other four back. */
static void set_segments(uint32_t vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic, after;

	call(vcpus[vcpu].fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	get_lapic(vcpu, &lapic);
	sregs.cs = segment(0);
	sregs.cs.type = 0xb;
	sregs.ds = segment(APIC_DEFAULT_BASE);
	sregs.es = segment(IOAPIC_BASE);
	sregs.ss = segment(0);
	call(vcpus[vcpu].fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	drop_smm(vcpu);
	get_lapic(vcpu, &after);
	if (after.regs[APIC_TPR] != lapic.regs[APIC_TPR])
		call(vcpus[vcpu].fd, KVM_SET_LAPIC, &lapic, "KVM_SET_LAPIC");
	vcpus[vcpu].is_dirty = false;
}

/* What an exit in the middle of an instruction still wants must not meet the next step. */
static void drop_exit(uint32_t vcpu)
{
	vcpus[vcpu].run->immediate_exit = 1;
	(void)ioctl(vcpus[vcpu].fd, KVM_RUN, NULL);
	vcpus[vcpu].run->immediate_exit = 0;
	vcpus[vcpu].is_dirty = true;
}

/* Run to an OUT to PORT_DONE or PORT_INTERRUPT: its value, and which.  False: another exit. */
static bool run_guest(uint32_t vcpu, struct kvm_regs regs, uint32_t *value, bool *is_interrupt)
{
	struct kvm_run *run = vcpus[vcpu].run;
	int tries = 0;

	if (vcpus[vcpu].is_dirty)
		set_segments(vcpu);
	regs.rsp = STACK;
	regs.rflags = 2;
	run->s.regs.regs = regs;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	while (ioctl(vcpus[vcpu].fd, KVM_RUN, NULL) < 0) {
		if ((errno != EINTR && errno != EAGAIN) || ++tries == GUEST_TRIES)
			return false;
	}
	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT) {
		drop_exit(vcpu);
		return false;
	}
	memcpy(value, (uint8_t *)run + run->io.data_offset, 4);
	*is_interrupt = run->io.port == PORT_INTERRUPT;
	return true;
}

/* Registers of a step's code: RBX is where, RAX and RDX the value, RCX an MSR, RDX a port. */
static uint64_t run_code(const struct step *step, uint32_t code, uint32_t msr)
{
	bool is_port = step->op == 'c' || step->op == 'C';
	struct kvm_regs regs = {.rip = code,
	    .rbx = step->where,
	    .rcx = msr,
	    .rax = (uint32_t)step->value,
	    .rdx = is_port ? step->where : step->value >> 32};
	uint32_t value;
	bool is_interrupt;

	if (!run_guest(step->vcpu, regs, &value, &is_interrupt))
		return RESULT_LOST;
	if (is_interrupt)
		return step->op == 'i'      ? 0x100 | value
		       : value == VECTOR_GP ? RESULT_GP
		                            : 0x100 | value;
	return strchr("ruC", step->op) ? value : 0;
}

/* ---- The chips ----------------------------------------------------------------------------- */

static void get_chip(uint32_t id, struct kvm_irqchip *chip)
{
	*chip = (struct kvm_irqchip){.chip_id = id};
	call(vm_fd, KVM_GET_IRQCHIP, chip, "KVM_GET_IRQCHIP");
}

/* The image has the lines of some edge-triggered pins: of none, so that both sides agree. */
static void drop_edges(struct kvm_irqchip *chip)
{
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++) {
		if (!(chip->chip.ioapic.redirtbl[pin].bits & IOAPIC_RTE_LEVEL))
			chip->chip.ioapic.irr &= ~(1u << pin);
	}
}

/* Only pins that were level-triggered and still are keep their lines. */
static void set_ioapic_word(uint32_t word, uint64_t value)
{
	struct kvm_irqchip chip;

	get_chip(KVM_IRQCHIP_IOAPIC, &chip);
	drop_edges(&chip);
	if (word < ORACLE_PINS)
		chip.chip.ioapic.redirtbl[word].bits = value;
	else if (word == IOAPIC_IMAGE_ID)
		chip.chip.ioapic.id = (uint32_t)value;
	drop_edges(&chip);
	call(vm_fd, KVM_SET_IRQCHIP, &chip, "KVM_SET_IRQCHIP");
}

static void set_pic_byte(uint32_t where, uint8_t value)
{
	struct kvm_irqchip chip;

	get_chip(where / 16 % 2 ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, &chip);
	memcpy((uint8_t *)&chip.chip.pic + where % 16, &value, 1);
	call(vm_fd, KVM_SET_IRQCHIP, &chip, "KVM_SET_IRQCHIP");
}

/* ---- Steps --------------------------------------------------------------------------------- */

static void signal_msi(const struct step *step)
{
	struct kvm_msi msi = {.address_lo = (uint32_t)step->value,
	    .address_hi = (uint32_t)(step->value >> 32),
	    .data = step->where};

	/* Nobody accepting it is an answer too. */
	if (ioctl(vm_fd, KVM_SIGNAL_MSI, &msi) < 0 && errno != EINVAL && errno != EPERM)
		die("KVM_SIGNAL_MSI");
}

static void set_line(const struct step *step)
{
	struct kvm_irq_level line = {.irq = step->where, .level = (uint32_t)step->value};

	call(vm_fd, KVM_IRQ_LINE, &line, "KVM_IRQ_LINE");
}

static uint64_t do_ioctl(const struct step *step)
{
	switch (step->op) {
	case 'W':
		return msr_write(step->vcpu, MSR_X2APIC_FIRST + step->where / 16, step->value);
	case 'R':
		return msr_read(step->vcpu, MSR_X2APIC_FIRST + step->where / 16);
	case 'p':
		set_lapic_word(step->vcpu, step->where, (uint32_t)step->value);
		break;
	case 'm':
		signal_msi(step);
		break;
	case 'l':
		set_line(step);
		break;
	case 'g':
		routes[step->where % ORACLE_GSIS] = step->value;
		set_routes();
		break;
	case 'O':
		set_ioapic_word(step->where, step->value);
		break;
	default: /* P */
		set_pic_byte(step->where, (uint8_t)step->value);
		break;
	}
	return 0;
}

static uint64_t do_guest(const struct step *step)
{
	switch (step->op) {
	case 'W': /* EOI of a level */
		return run_code(step, CODE_WRMSR, MSR_X2APIC_FIRST + step->where / 16);
	case 'w':
		return run_code(step, CODE_APIC_WRITE, 0);
	case 'r':
		return run_code(step, CODE_APIC_READ, 0);
	case 'B':
		return run_code(step, CODE_WRMSR, MSR_APIC_BASE);
	case 'i':
		return run_code(step, CODE_WINDOW, 0);
	case 'o':
		return run_code(step, CODE_IOAPIC_WRITE, 0);
	case 'u':
		return run_code(step, CODE_IOAPIC_READ, 0);
	case 'c':
		return run_code(step, CODE_PORT_WRITE, 0);
	default: /* C */
		return run_code(step, CODE_PORT_READ, 0);
	}
}

void kvm_step(const struct step *step, const struct state *before, struct state *state)
{
	state->cell[CELL_RESULT] = step_needs_guest(step, before) ? do_guest(step) : do_ioctl(step);
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* Some systems have a /dev/kvm for its interrupt controllers alone. */
static bool runs_guests(void)
{
	const struct shape one = {.vcpu_count = 1, .apic_id_step = 1};
	uint32_t value;
	bool is_interrupt;

	kvm_make(&one);
	return run_guest(0, (struct kvm_regs){.rip = CODE_WINDOW}, &value, &is_interrupt) &&
	       !is_interrupt;
}

const char *kvm_open(void)
{
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		return "no /dev/kvm";
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) <= 0 ||
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API) <= 0 ||
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) <= 0)
		return "/dev/kvm has no in-kernel irqchip with x2APIC, or no register "
		       "synchronization";
	run_size = call(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	cpuid.head.nent = CPUID_MAX;
	call(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < cpuid.head.nent; i++) {
		if (cpuid.head.entries[i].function == 1)
			cpuid.head.entries[i].ecx |= 1u << 21 | 1u << 24; /* x2APIC, TSC deadline */
	}
	memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("memory");
	put_guest();
	start_alarms();
	return runs_guests() ? NULL : "/dev/kvm runs no guest";
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Also takes INIT and start-up IPIs, as KVM_RUN would. */
static void read_waiting(uint32_t vcpu, uint64_t *cells)
{
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	bool is_waiting;

	call(vcpus[vcpu].fd, KVM_GET_MP_STATE, &mp, "KVM_GET_MP_STATE");
	is_waiting =
	    mp.mp_state == KVM_MP_STATE_INIT_RECEIVED || mp.mp_state == KVM_MP_STATE_UNINITIALIZED;
	if (vcpus[vcpu].was_waiting && !is_waiting) {
		call(vcpus[vcpu].fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
		cells[VCPU_START] = sregs.cs.selector >> 8;
	}
	if (is_waiting || vcpus[vcpu].was_waiting)
		vcpus[vcpu].is_dirty = true;
	vcpus[vcpu].was_waiting = is_waiting;
	cells[VCPU_WAITS] = is_waiting;
}

static void read_events(uint32_t vcpu, uint64_t *cells)
{
	struct kvm_vcpu_events events = {0};

	call(vcpus[vcpu].fd, KVM_GET_VCPU_EVENTS, &events, "KVM_GET_VCPU_EVENTS");
	cells[VCPU_NMI] = events.nmi.pending != 0;
	cells[VCPU_SMI] = events.smi.pending != 0;
	if (!events.nmi.pending && !events.smi.pending)
		return;
	events.nmi.pending = events.smi.pending = 0;
	events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SMM;
	call(vcpus[vcpu].fd, KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS");
}

static void read_registers(uint32_t vcpu, uint64_t *cells)
{
	struct kvm_lapic_state lapic;

	get_lapic(vcpu, &lapic);
	for (uint32_t i = 0; i < VCPU_BASE; i++) {
		uint32_t value;

		memcpy(&value, lapic.regs + i * 16, 4);
		cells[i] = value;
	}
	/* As after an INIT, which the BSP shows in no other way. */
	vcpus[vcpu].is_dirty |= cells[APIC_SVR / 16] == 0xff;
	/* A running count is another one at each look. */
	cells[APIC_TMCCT / 16] = cells[APIC_TMCCT / 16] != 0;
}

static void read_ioapic(uint64_t *cells)
{
	struct kvm_irqchip chip;

	get_chip(KVM_IRQCHIP_IOAPIC, &chip);
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++)
		cells[pin] = chip.chip.ioapic.redirtbl[pin].bits;
	cells[IOAPIC_IMAGE_IRR] = chip.chip.ioapic.irr;
	cells[IOAPIC_IMAGE_ID] = chip.chip.ioapic.id;
	cells[IOAPIC_IMAGE_SELECT] = chip.chip.ioapic.ioregsel;
}

static void read_pics(uint64_t *cells)
{
	struct kvm_irqchip chip;

	for (uint32_t i = 0; i < PIC_CELLS; i++) {
		if (i % 16 == 0)
			get_chip(i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, &chip);
		cells[i] = ((const uint8_t *)&chip.chip.pic)[i % 16];
	}
}

void kvm_read(const struct reading *reading, struct state *state)
{
	for (uint32_t i = 0; i < shape.vcpu_count; i++) {
		uint64_t *cells = state->cell + i * VCPU_CELLS;

		if (reading->events >> i & 1) {
			read_waiting(i, cells);
			read_events(i, cells);
			cells[VCPU_BASE] = msr_read(i, MSR_APIC_BASE);
		}
		if (reading->registers >> i & 1)
			read_registers(i, cells);
	}
	if (reading->ioapic)
		read_ioapic(state->cell + CELL_IOAPIC);
	if (reading->pics)
		read_pics(state->cell + CELL_PIC);
}

/* ---- Taking over core's state -------------------------------------------------------------- */

static void put_vcpu(uint32_t vcpu, const uint64_t *cells)
{
	struct kvm_mp_state mp = {
	    cells[VCPU_WAITS] ? KVM_MP_STATE_INIT_RECEIVED : KVM_MP_STATE_RUNNABLE};
	struct kvm_lapic_state lapic = {{0}};

	(void)msr_write(vcpu, MSR_APIC_BASE, cells[VCPU_BASE]);
	if (vcpus[vcpu].was_waiting != (cells[VCPU_WAITS] != 0)) {
		call(vcpus[vcpu].fd, KVM_SET_MP_STATE, &mp, "KVM_SET_MP_STATE");
		vcpus[vcpu].was_waiting = cells[VCPU_WAITS] != 0;
		vcpus[vcpu].is_dirty = true;
	}
	for (uint32_t i = 0; i < VCPU_BASE; i++) {
		uint32_t value = (uint32_t)cells[i];

		if (i == APIC_TMCCT / 16 && value)
			value = (uint32_t)cells[APIC_TMICT / 16];
		memcpy(lapic.regs + i * 16, &value, 4);
	}
	put_lapic(vcpu, &lapic);
}

/* All lines low: a level that waits would be sent again. */
static void put_ioapic_cells(const uint64_t *cells)
{
	struct kvm_irqchip chip;

	get_chip(KVM_IRQCHIP_IOAPIC, &chip);
	for (uint32_t pin = 0; pin < ORACLE_PINS; pin++)
		chip.chip.ioapic.redirtbl[pin].bits = cells[pin];
	chip.chip.ioapic.irr = 0;
	chip.chip.ioapic.id = (uint32_t)cells[IOAPIC_IMAGE_ID];
	chip.chip.ioapic.ioregsel = (uint32_t)cells[IOAPIC_IMAGE_SELECT];
	call(vm_fd, KVM_SET_IRQCHIP, &chip, "KVM_SET_IRQCHIP");
}

/* The slave first: its requests go into the master at once, and are to be those it has then. */
static void put_pic_cells(const uint64_t *cells)
{
	struct kvm_irqchip chip;

	for (uint32_t chip_id = KVM_IRQCHIP_PIC_SLAVE; chip_id < 2; chip_id--) {
		get_chip(chip_id, &chip);
		for (uint32_t i = 0; i < 16; i++)
			((uint8_t *)&chip.chip.pic)[i] = (uint8_t)cells[chip_id * 16 + i];
		/* The cascade's line: KVM pulses it. */
		if (chip_id == KVM_IRQCHIP_PIC_MASTER)
			chip.chip.pic.last_irr &= (uint8_t)~4u;
		call(vm_fd, KVM_SET_IRQCHIP, &chip, "KVM_SET_IRQCHIP");
	}
}

void kvm_put(const struct reading *parts, const struct state *state)
{
	if (parts->ioapic)
		put_ioapic_cells(state->cell + CELL_IOAPIC);
	if (parts->pics)
		put_pic_cells(state->cell + CELL_PIC);
	for (uint32_t i = 0; i < shape.vcpu_count; i++) {
		if (parts->registers >> i & 1)
			put_vcpu(i, state->cell + i * VCPU_CELLS);
	}
}
