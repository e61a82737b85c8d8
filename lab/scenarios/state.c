/* SPDX-License-Identifier: MIT */
/*
 * Saving and restoring at any point of an exchange: an operator asks the vCPU out of the guest, its
 * state goes into an image and from there into another vCPU, or back into the same one.
 */
#include <posthorn/posthorn.h>
#include <posthorn/state.h>

#include "core/shared.h"
#include "lab/lab.h"
#include "lab/platform.h"
#include "model/model.h"
#include "x86/apic.h"
#include "x86/msr.h"

#define RFLAGS_TF               (1ull << 8)
#define RFLAGS_IF               (1ull << 9)
#define FIRST_CLASS             4u /* up to 7 the vectors are in one word of PIR */
#define VECTOR_OF(vector_class) ((uint8_t)((uint32_t)(vector_class) << 4 | 1u))
#define REQUEST_MOVE            1u
#define MSR_X2APIC_EOI          0x80bu
#define MSR_X2APIC_SVR          0x80fu

/* What the mover does wrong. */
enum state_fault {
	STATE_RIGHT,
	STATE_EARLY, /* the image is taken before the senders have stopped */
	STATE_STALE, /* the vCPU runs on after the image was taken, and is set back to it */
};

struct state_config {
	const uint8_t *program;
	bool is_vmx;
	enum ph_delivery delivery[2]; /* of the two sides */
	bool in_place;                /* back into the same vCPU, while the senders go on */
	bool nmis;
	bool level;
	uint32_t posts_each; /* 0: 1 */
	bool deliveries_can_fault;
	enum state_fault fault;
};

/* All that is not libposthorn's; in the world. */
struct state_world {
	struct model_pcpu pcpu;
	struct model_guest guest;
	uint32_t gate; /* senders post, and the mover moves, behind it */
	uint8_t side;  /* where the VM is */
	uint8_t exit, wake_count, is_asleep, has_faulted, has_moved;
	uint8_t posted[MODEL_GUEST_VECTORS];
	uint8_t nmi_posted;
};

/* One of the two VMs; constant after setup. */
struct side {
	struct ph_vm *vm;
	struct ph_vcpu *vcpu;
	struct vmcb *vmcb;
	struct model_vmx vmx;
};

static struct state_world *world;
static struct side sides[2];
static uint8_t *image;
static uint32_t numbers[4] = {0, 1, 2, 3};

static const struct state_config *config(void)
{
	return lab_scenario_now()->data;
}

static struct side *here(void)
{
	return &sides[world->side];
}

/* ---- struct ph_platform -------------------------------------------------------------------- */

static bool on_pcpu(void)
{
	return lab_is_running() && lab_self() == 0;
}

static void irq_disable(void)
{
	lab_hardware_step(LAB_NOTHING_DRAINS, "interrupts off");
	world->pcpu.interrupts_on = 0;
}

static void irq_enable(void)
{
	world->pcpu.interrupts_on = 1;
}

static uint64_t irq_save(void)
{
	uint64_t was = on_pcpu() ? world->pcpu.interrupts_on : 0;

	if (was)
		irq_disable();
	return was;
}

static void irq_restore(uint64_t flags)
{
	if (flags)
		irq_enable();
}

static void notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	(void)pcpu;
	lab_hardware_step(LAB_ICR_DRAINS, "sends the notification IPI");
	model_ipi_send(&world->pcpu, MODEL_NOTIFY);
}

static void kick(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	(void)pcpu;
	lab_hardware_step(LAB_ICR_DRAINS, "sends the kick IPI");
	model_ipi_send(&world->pcpu, MODEL_KICK);
}

static bool has_wake(void *arg)
{
	(void)arg;
	return world->wake_count != 0;
}

static void sleep_until_woken(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	world->is_asleep = 1;
	lab_wait(has_wake, NULL, "is woken");
	world->is_asleep = 0;
	world->wake_count--;
}

static void wake(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	lab_hardware_step(LAB_NOTHING_DRAINS, "wakes the vCPU");
	world->wake_count++;
	lab_check(world->wake_count == 1, "two wake-ups for one sleep");
}

static struct ph_vcpu *running(void)
{
	return on_pcpu() ? here()->vcpu : NULL;
}

static uint64_t vmcs_read(const struct ph_vcpu *vcpu, void *host, uint32_t field)
{
	(void)vcpu;
	return model_vmcs_read(((struct side *)host)->vmx.vmcs, field);
}

static void vmcs_write(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value)
{
	(void)vcpu;
	model_vmcs_write(((struct side *)host)->vmx.vmcs, field, value);
}

static void set_delivery(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery)
{
	struct model_vmcs *vmcs = ((struct side *)host)->vmx.vmcs;

	(void)vcpu;
	if (delivery == PH_DELIVERY_INJECTED)
		vmcs->secondary &= ~SECONDARY_VIRTUAL_INTERRUPTS;
	else
		vmcs->secondary |= SECONDARY_VIRTUAL_INTERRUPTS;
}

/* ---- The guest's turn ---------------------------------------------------------------------- */

static bool guest_has_event(void *arg)
{
	const struct side *side = arg;

	return config()->is_vmx ? model_vmx_has_event(&side->vmx, &world->pcpu)
	                        : model_svm_has_event(side->vmcb, &world->pcpu);
}

static bool event_is_injected(const struct side *side)
{
	return config()->is_vmx ? side->vmx.vmcs->entry_intr_info & INTR_INFO_VALID
	                        : side->vmcb->event_inj & VMCB_EVENT_VALID;
}

static enum model_exit guest_begins(const struct side *side)
{
	bool is_vmx = config()->is_vmx;

	if (config()->deliveries_can_fault && !world->has_faulted && event_is_injected(side) &&
	    lab_choose(2, "the delivery is cut short")) {
		world->has_faulted = 1;
		return is_vmx ? model_vmx_enter_faults(&side->vmx)
		              : model_svm_vmrun_faults(side->vmcb);
	}
	if (is_vmx)
		model_vmx_enter(&side->vmx);
	else
		model_svm_vmrun(side->vmcb, &world->guest);
	return EXIT_NONE;
}

static void enter(struct ph_vcpu *vcpu, void *host)
{
	const struct side *side = host;
	const uint8_t *program = config()->program;
	bool is_vmx = config()->is_vmx;
	enum model_exit exit;

	(void)vcpu;
	lab_hardware_step(LAB_ENTRY_DRAINS, "guest entry");
	exit = guest_begins(side);
	while (exit == EXIT_NONE) {
		if (model_guest_is_idle(&world->guest, program) &&
		    (is_vmx || !(side->vmcb->rflags & RFLAGS_TF)))
			lab_wait(guest_has_event, host, "guest spins until an event");
		else
			lab_hardware_step(LAB_NOTHING_DRAINS, "guest instruction");
		exit = is_vmx ? model_vmx_step(&side->vmx, &world->pcpu)
		              : model_svm_step(side->vmcb, &world->guest, program, &world->pcpu);
	}
	world->exit = (uint8_t)exit;
	lab_note("exit", world->exit);
}

static const struct ph_platform platform = {
    .irq_disable = irq_disable,
    .irq_enable = irq_enable,
    .irq_save = irq_save,
    .irq_restore = irq_restore,
    .enter = enter,
    .notify = notify,
    .kick = kick,
    .sleep = sleep_until_woken,
    .wake = wake,
    .running = running,
    .vmcs_read = vmcs_read,
    .vmcs_write = vmcs_write,
    .set_delivery = set_delivery,
    LAB_PLATFORM_REST,
};

/* ---- The move ------------------------------------------------------------------------------ */

/* What an embedder carries by itself: the guest's registers. */
static void copy_registers(const struct side *from, struct side *to)
{
	if (config()->is_vmx) {
		to->vmx.vmcs->rflags = from->vmx.vmcs->rflags;
		to->vmx.vmcs->interruptibility = from->vmx.vmcs->interruptibility;
		return;
	}
	to->vmcb->rflags = from->vmcb->rflags;
	to->vmcb->rip = from->vmcb->rip;
	to->vmcb->dr6 = from->vmcb->dr6;
	to->vmcb->interrupt_state = from->vmcb->interrupt_state;
}

static void save(void)
{
	lab_check(ph_vcpu_export(here()->vcpu, image, PH_VCPU_STATE_SIZE) == PH_OK,
	    "the state cannot be exported");
}

static void restore(void)
{
	lab_check(ph_vcpu_import(here()->vcpu, image, PH_VCPU_STATE_SIZE) == PH_OK,
	    "the state cannot be imported");
	/* No part of the world's state any more. */
	__builtin_memset(image, 0, PH_VCPU_STATE_SIZE);
}

/*
 * To the other side, with the senders outside.  The image of the VM has no interleavings, for
 * nobody may use its sources meanwhile: tests/unit/test_state_vm.c.
 */
static void move_away(void)
{
	if (config()->fault == STATE_EARLY)
		save();
	lab_lock(&world->gate, __FILE__, __LINE__);
	if (config()->fault != STATE_EARLY)
		save();
	ph_vcpu_put(here()->vcpu);
	copy_registers(&sides[0], &sides[1]);
	world->side = 1;
	ph_vcpu_load(here()->vcpu, 0);
	restore();
	lab_note("the VM has moved", 0);
	lab_unlock(&world->gate, __FILE__, __LINE__);
}

static void handle_exit(struct ph_vcpu *vcpu)
{
	uint8_t exit = world->exit;

	world->exit = EXIT_NONE;
	switch ((enum model_exit)exit) {
	case EXIT_EOI_WRITE:
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_EOI, 0) == PH_OK, "EOI refused");
		break;
	case EXIT_EOI_INDUCED:
		ph_apic_eoi_exit(vcpu, VECTOR_OF(world->guest.ended));
		break;
	case EXIT_HALT:
		ph_vcpu_halt(vcpu);
		break;
	case EXIT_IRET:
		ph_vcpu_nmi_unblocked(vcpu);
		break;
	case EXIT_TRAP:
		if (!ph_vcpu_exception_exit(vcpu, 1))
			world->guest.stray_traps++;
		break;
	default:
		break;
	}
}

/* Back into the same vCPU; senders post at any moment. */
static void save_and_restore(void)
{
	struct ph_vcpu *vcpu = here()->vcpu;

	save();
	if (config()->fault == STATE_STALE && ph_vcpu_run(vcpu) == PH_RUN_EXIT)
		handle_exit(vcpu);
	restore();
	lab_note("the state has been set back", 0);
}

/* ---- Threads ------------------------------------------------------------------------------- */

static void vcpu_thread(void *arg)
{
	(void)arg;
	for (;;) {
		struct ph_vcpu *vcpu = here()->vcpu;

		if (ph_vcpu_run(vcpu) == PH_RUN_EXIT) {
			handle_exit(vcpu);
			continue;
		}
		(void)ph_vcpu_take_requests(vcpu);
		world->has_moved = 1;
		if (config()->in_place)
			save_and_restore();
		else
			move_away();
	}
}

static void post(uint32_t vector_class)
{
	struct ph_msi msi = {
	    .address = MSI_ADDRESS_BASE,
	    .data =
	        VECTOR_OF(vector_class) | (config()->level ? MSI_DATA_LEVEL | MSI_DATA_ASSERT : 0),
	};

	if (config()->nmis) {
		world->nmi_posted++;
		ph_vcpu_nmi(here()->vcpu);
		return;
	}
	world->posted[vector_class]++;
	lab_check(ph_msi_post(here()->vm, &msi) == 1, "the vCPU did not accept the interrupt");
}

static void sender(void *arg)
{
	uint32_t number = *(uint32_t *)arg;
	uint32_t posts = config()->posts_each ? config()->posts_each : 1;

	for (uint32_t i = 0; i < posts; i++) {
		if (!config()->in_place)
			lab_lock(&world->gate, __FILE__, __LINE__);
		post(FIRST_CLASS + number * posts + i);
		if (!config()->in_place)
			lab_unlock(&world->gate, __FILE__, __LINE__);
	}
}

static void operator_thread(void *arg)
{
	(void)arg;
	ph_vcpu_request(sides[0].vcpu, REQUEST_MOVE);
}

/* ---- Host interrupts, the wire ------------------------------------------------------------- */

static bool interrupts_open(void *arg)
{
	(void)arg;
	return world->pcpu.interrupts_on;
}

static bool interrupt_waiting(void *arg)
{
	(void)arg;
	return world->pcpu.irr != 0;
}

static void interrupt_take(void *arg)
{
	(void)arg;
	(void)model_interrupt_take(&world->pcpu);
	lab_note("host interrupt: does nothing", 0);
}

static uint32_t wire_choices(void *arg)
{
	(void)arg;
	return model_ipi_count(&world->pcpu);
}

static void wire_step(void *arg, uint32_t choice)
{
	(void)arg;
	model_ipi_arrive(&world->pcpu, choice);
	lab_note("IPI arrives", 0);
}

/* ---- Setup --------------------------------------------------------------------------------- */

static void make_hardware(struct side *side, uint32_t index, struct ph_vcpu_config *vcpu)
{
	if (!config()->is_vmx) {
		side->vmcb = lab_alloc_split(4096, VMCB_BUSY, "VMCB");
		side->vmcb->rflags = RFLAGS_IF | 2u;
		vcpu->vmcb = side->vmcb;
		return;
	}
	side->vmx = (struct model_vmx){
	    .vmcs = lab_alloc(sizeof(struct model_vmcs), "VMCS"),
	    .guest = &world->guest,
	    .program = config()->program,
	    .page = vcpu->apic_page,
	    .pid = vcpu->pid,
	};
	vcpu->backend = PH_BACKEND_VMX;
	vcpu->delivery = config()->delivery[index];
	vcpu->pin_based = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS;
	vcpu->primary = PRIMARY_HLT | PRIMARY_TPR_SHADOW;
	side->vmx.vmcs->pin_based = vcpu->pin_based;
	side->vmx.vmcs->primary = vcpu->primary;
	side->vmx.vmcs->rflags = RFLAGS_IF | 2u;
}

static void make_side(uint32_t index)
{
	struct side *side = &sides[index];
	struct ph_vm_config vm = {
	    .platform = &platform,
	    .vcpu_count = 1,
	    .tsc_khz = 1000000,
	    .apic_timer_khz = 1000000,
	};
	struct ph_vcpu_config vcpu = {
	    .backend = PH_BACKEND_SVM,
	    .is_bsp = true,
	    .host = side,
	    .apic_page = lab_alloc(4096, "apic page"),
	    .pid = lab_alloc(64, "PID"),
	};

	*side = (struct side){.vmcb = NULL};
	make_hardware(side, index, &vcpu);
	if (ph_vm_init(lab_alloc_split(ph_vm_size(&vm), 0, "vm"), &vm, &side->vm) != PH_OK ||
	    ph_vcpu_init(side->vm, 0, lab_alloc(ph_vcpu_size(), "vcpu"), &vcpu, &side->vcpu) !=
	        PH_OK)
		lab_bug(__FILE__, __LINE__, "the scenario's vCPU cannot be made");
	lab_ignore_counters(side->vcpu);
}

static void setup(const struct lab_params *params)
{
	static const char *const names[] = {"sender 0", "sender 1", "sender 2", "sender 3"};
	uint64_t base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP | APIC_BASE_X2APIC;

	world = lab_alloc(sizeof(*world), "world");
	world->pcpu.interrupts_on = 1;
	image = lab_alloc(PH_VCPU_STATE_SIZE, "image");
	make_side(0);
	if (!config()->in_place)
		make_side(1);
	if (ph_apic_msr_write(sides[0].vcpu, MSR_APIC_BASE, base) != PH_OK ||
	    ph_apic_msr_write(sides[0].vcpu, MSR_X2APIC_SVR, 0x1ff) != PH_OK)
		lab_bug(__FILE__, __LINE__, "the guest's APIC cannot be set up");
	ph_vcpu_load(sides[0].vcpu, 0);
	lab_cpu("vcpu", vcpu_thread, NULL);
	lab_interrupts(0, interrupts_open, interrupt_waiting, interrupt_take, NULL);
	for (uint32_t i = 0; i < params->sender_count; i++)
		lab_cpu(names[i], sender, &numbers[i]);
	lab_cpu("operator", operator_thread, NULL);
	lab_hardware("wire", wire_choices, wire_step, NULL);
}

/* ---- Properties ---------------------------------------------------------------------------- */

static void nothing_lost(void)
{
	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		lab_check(!world->posted[i] || world->guest.taken[i],
		    world->is_asleep ? "an interrupt is pending and its vCPU sleeps"
		                     : "an interrupt is pending and its vCPU spins in the guest");
	lab_check(!world->nmi_posted || world->guest.nmi_taken, "an NMI was lost");
	lab_check(world->has_moved, "the operator's request was lost");
}

static void nothing_doubled(void)
{
	const struct model_guest *guest = &world->guest;
	uint32_t is_doubled = 0;

	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		is_doubled |= (uint32_t)(guest->taken[i] > world->posted[i]);
	lab_check(!is_doubled, "an interrupt was taken twice");
	lab_check(guest->nmi_taken <= world->nmi_posted, "an NMI was taken twice");
	lab_check(!guest->is_broken, "an interrupt came through a handler of its own class");
	lab_check(guest->stray_traps == 0, "the guest sees a single-step trap that is not its own");
}

#define STATE_SCENARIO .setup = setup, .invariant = nothing_doubled, .quiescent = nothing_lost

static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t halts[] = {GUEST_HALT};
static const uint8_t spins[] = {GUEST_SPIN};

#define SVM             .is_vmx = false
#define VMX(from, into) .is_vmx = true, .delivery = {PH_DELIVERY_##from, PH_DELIVERY_##into}

#define STATE(id, text, asks, limits, senders, most, ...)                                          \
	static const struct state_config id##_config = {__VA_ARGS__};                              \
	LAB_SCENARIO(id) = {.name = "state-" text,                                                 \
	    .question = asks,                                                                      \
	    .bounds = limits,                                                                      \
	    .sender_default = senders,                                                             \
	    .sender_max = most,                                                                    \
	    .data = &id##_config,                                                                  \
	    STATE_SCENARIO}

STATE(state_svm, "svm", "is nothing lost or doubled when a VM moves at any point of an exchange?",
    "1 vCPU, SVM, 1 interrupt a sender, 1 exit, 1 cut-short delivery, 1 move", 1, 3, SVM,
    .program = exits, .deliveries_can_fault = true);
STATE(state_svm_halt, "svm-halt", "is nothing lost when a VM moves whose vCPU sleeps?",
    "1 vCPU, SVM, 1 interrupt a sender, 1 move", 1, 3, SVM, .program = halts);
STATE(state_svm_nmi, "svm-nmi", "are NMIs kept, and none let through a handler, by a move?",
    "1 vCPU, SVM, 1 NMI a sender, 1 move", 2, 2, SVM, .program = spins, .nmis = true);
STATE(state_level, "level", "are level-triggered interrupts kept by a move?",
    "1 vCPU, SVM, 1 level-triggered interrupt a sender, 1 move", 1, 3, SVM, .program = spins,
    .level = true);
STATE(state_vmx, "vmx", "is nothing lost or doubled when a VM moves, VMX injected?",
    "1 vCPU, VMX injected, 1 interrupt a sender, 1 exit, 1 cut-short delivery, 1 move", 1, 3,
    VMX(INJECTED, INJECTED), .program = exits, .deliveries_can_fault = true);
STATE(state_vmx_nmi, "vmx-nmi", "are NMIs kept, and none let through a handler, on VMX?",
    "1 vCPU, VMX injected, 1 NMI a sender, 1 move", 2, 2, VMX(INJECTED, INJECTED), .program = spins,
    .nmis = true);
STATE(state_posted, "posted", "is nothing lost or doubled when a VM moves, VMX posted?",
    "1 vCPU, VMX posted, 1 interrupt a sender, 1 exit, 1 move", 1, 3, VMX(POSTED, POSTED),
    .program = exits);
STATE(state_slower, "posted-to-injected", "can a VM move to a machine without APICv?",
    "1 vCPU, VMX posted to injected, 1 interrupt a sender, 1 move", 1, 3, VMX(POSTED, INJECTED),
    .program = spins);
STATE(state_faster, "injected-to-posted", "can a VM move to a machine with posted interrupts?",
    "1 vCPU, VMX injected to posted, 1 interrupt a sender, 1 move", 1, 3, VMX(INJECTED, POSTED),
    .program = spins);
STATE(state_in_place, "in-place",
    "is a post kept that comes while the state is saved and set back?",
    "1 vCPU, SVM, 1 interrupt a sender, 1 exit, saved and restored once", 1, 3, SVM,
    .program = exits, .in_place = true);
STATE(state_in_place_posted, "in-place-posted", "the same with posted delivery?",
    "1 vCPU, VMX posted, 1 interrupt a sender, 1 exit, saved and restored once", 1, 3,
    VMX(POSTED, POSTED), .program = exits, .in_place = true);

/* ---- Known-wrong: not in facts/bugs.md, told apart by number 0xffff -------------------------- */

#define STATE_MUTANT(id, text, asks, limits, senders, weakened, ...)                               \
	static const struct state_config id##_config = {__VA_ARGS__};                              \
	LAB_SCENARIO(id) = {.name = "mutant-state-" text,                                          \
	    .mutant_of_bug = 0xffff,                                                               \
	    .question = asks,                                                                      \
	    .bounds = limits,                                                                      \
	    .sender_default = senders,                                                             \
	    .data = &id##_config,                                                                  \
	    .weakenings = weakened,                                                                \
	    .expect_sc = LAB_FAILS,                                                                \
	    .expect_tso = LAB_FAILS,                                                               \
	    STATE_SCENARIO}
#define NOT_WEAKENED                                                                               \
	{                                                                                          \
		{                                                                                  \
			0, LAB_STRONG                                                              \
		}                                                                                  \
	}
#define UNLOCKED_PIR                                                                               \
	{                                                                                          \
		{                                                                                  \
			SITE_STATE_PIR, LAB_UNLOCKED                                               \
		}                                                                                  \
	}

STATE_MUTANT(mutant_early, "early", "does the lab see an image taken before the senders stopped?",
    "SVM, saved outside the gate", 1, NOT_WEAKENED, SVM, .program = spins, .fault = STATE_EARLY);
STATE_MUTANT(mutant_stale, "stale", "does the lab see a vCPU that is set back after it went on?",
    "SVM, one run between saving and restoring", 1, NOT_WEAKENED, SVM, .program = exits,
    .in_place = true, .fault = STATE_STALE);
STATE_MUTANT(mutant_stored, "stored", "does the lab see PIR stored where it is to be added to?",
    "SVM, PIR restored by a load and a store, 2 interrupts of one sender", 1, UNLOCKED_PIR, SVM,
    .program = spins, .in_place = true, .posts_each = 2);
