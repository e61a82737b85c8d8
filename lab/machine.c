/* SPDX-License-Identifier: MIT */
/* The lab's embedder of libposthorn: struct ph_platform on the model's CPUs. */
#include "lab/machine.h"

#include <posthorn/state.h>

#include "lab/platform.h"
#include "x86/apic.h"
#include "x86/msr.h"

#define RFLAGS_TF               (1ull << 8)
#define RFLAGS_IF               (1ull << 9)
#define FIRST_CLASS             4u /* classes 4 to 7 share a word of PIR */
#define PIC_CLASS               11u
#define NOTIFICATION_VECTOR     0xf2u
#define WAKEUP_VECTOR           0xf1u
#define LINT_CLASS              12u
#define DEVICE_CLASS            13u
#define HANDLER_CLASS           14u
#define FAST_CLASS              15u
#define MSR_X2APIC_SELF_IPI     0x83fu
#define MSR_X2APIC_EOI          0x80bu
#define MSR_X2APIC_SVR          0x80fu
#define MSR_X2APIC_LINT0        0x835u
#define MSR_X2APIC_LINT1        0x836u
#define MSR_X2APIC_ICR          0x830u
#define LVT_EXTINT              0x700u
#define LVT_MASKED              0x10000u
#define VECTOR_OF(vector_class) ((uint8_t)((uint32_t)(vector_class) << 4 | 1u))

struct machine *machine;
static struct ph_vm *vm;
static struct ph_vcpu *vcpus[MACHINE_VCPU_MAX];
static struct vmcb *vmcbs[MACHINE_VCPU_MAX];
static struct model_vmx vmxs[MACHINE_VCPU_MAX], l2_vmxs[MACHINE_VCPU_MAX];
static struct pid *pids[MACHINE_VCPU_MAX];
static const uint8_t *apic_pages[MACHINE_VCPU_MAX];
static uint8_t *image;
static struct ph_pcpu *pcpus[MODEL_PCPU_MAX];
static const struct ph_platform platform;
/* Numbers handed to actors; constants. */
static uint32_t numbers[MODEL_PCPU_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};

const struct machine_config *machine_config(void)
{
	return lab_scenario_now()->data;
}

struct ph_vm *machine_vm(void)
{
	return vm;
}

const struct pid *machine_pid(uint32_t index)
{
	return pids[index];
}

bool machine_tmr_bit(uint32_t index, uint8_t vector)
{
	const uint8_t *byte = apic_pages[index] + APIC_TMR + vector / 32 * 16 + vector % 32 / 8;

	return *byte >> vector % 8 & 1;
}

struct ph_vcpu *machine_vcpu(uint32_t index)
{
	return vcpus[index];
}

static uint32_t machine_vcpu_count(void)
{
	return machine_config()->vcpu_count ? machine_config()->vcpu_count : 1;
}

/* With the current VMCS: L1's, or L2's. */
static struct model_vmx *vmx_of(size_t index)
{
	return machine->vcpus[index].is_l2 ? &l2_vmxs[index] : &vmxs[index];
}

/* The pCPU under the calling actor: a vCPU's thread may have moved. */
static struct model_pcpu *this_pcpu(void)
{
	uint32_t self = lab_self();

	return &machine->pcpus[self < MACHINE_VCPU_MAX && vcpus[self] ? machine->vcpus[self].pcpu
	                                                              : self];
}

static uint32_t this_pcpu_number(void)
{
	return (uint32_t)(this_pcpu() - machine->pcpus);
}

/* ---- struct ph_platform ---------------------------------------------------------------------- */

static void irq_disable(void)
{
	lab_hardware_step(LAB_NOTHING_DRAINS, "interrupts off");
	this_pcpu()->interrupts_on = 0;
}

static void irq_enable(void)
{
	this_pcpu()->interrupts_on = 1;
}

static uint64_t irq_save(void)
{
	uint64_t was = lab_is_running() ? this_pcpu()->interrupts_on : 0;

	if (was) {
		lab_hardware_step(LAB_NOTHING_DRAINS, "interrupts off");
		this_pcpu()->interrupts_on = 0;
	}
	return was;
}

static void irq_restore(uint64_t flags)
{
	if (flags)
		this_pcpu()->interrupts_on = 1;
}

static void notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	lab_hardware_step(LAB_ICR_DRAINS, "sends the notification IPI");
	if (machine_config()->counts)
		machine->ipi_count++;
	model_ipi_send(&machine->pcpus[pcpu], MODEL_NOTIFY);
}

static void kick(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu;
	(void)host;
	lab_hardware_step(LAB_ICR_DRAINS, "sends the kick IPI");
	if (machine_config()->counts)
		machine->ipi_count++;
	model_ipi_send(&machine->pcpus[pcpu],
	    machine_config()->fault == MACHINE_KICK_NOTIFIES ? MODEL_NOTIFY : MODEL_KICK);
}

static bool has_wake(void *arg)
{
	return ((struct machine_vcpu *)arg)->wake_count != 0;
}

static void sleep_until_woken(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;

	(void)vcpu;
	if (machine_config()->fault == MACHINE_FORGETS_WAKE) {
		lab_hardware_step(LAB_NOTHING_DRAINS, "goes to sleep");
		own->wake_count = 0;
	}
	own->is_asleep = 1;
	lab_wait(has_wake, own, "is woken");
	own->is_asleep = 0;
	own->wake_count--;
}

static struct ph_vcpu *running(void)
{
	uint32_t index = machine->running[this_pcpu_number()];

	/* A sender has just read the mode word. */
	if (machine_config()->counts)
		machine->exits_seen[this_pcpu_number()] = machine->exit_count;
	return index ? vcpus[index - 1] : NULL;
}

static void wake(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;

	if (machine_config()->fault == MACHINE_SLEEPER_ELIDED && running() == vcpu)
		return;
	lab_hardware_step(LAB_NOTHING_DRAINS, "wakes the vCPU");
	own->wake_count++;
	lab_check(own->wake_count == 1, "two wake-ups for one sleep");
}

/* A sender has decided to kick; is there still a reason? */
static void trace(uint32_t event, const struct ph_vcpu *vcpu, uint64_t detail)
{
	(void)vcpu;
	if (event != PH_TRACE_KICK || !machine_config()->counts)
		return;
	if ((machine->vcpus[0].request_seen & detail) == detail)
		machine->spurious_count++;
	if (machine->is_in_guest && machine->exits_seen[this_pcpu_number()] != machine->exit_count)
		machine->stale_count++;
}

/* ---- VMX's verbs ----------------------------------------------------------------------------- */

static uint64_t vmcs_read(const struct ph_vcpu *vcpu, void *host, uint32_t field)
{
	(void)host;
	return model_vmcs_read(vmx_of(ph_vcpu_index(vcpu))->vmcs, field);
}

static void vmcs_write(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value)
{
	(void)host;
	if (field == VMCS_TPR_THRESHOLD && machine_config()->fault == MACHINE_NO_THRESHOLD)
		return;
	if (field == VMCS_PRIMARY && machine_config()->fault == MACHINE_EXTRA_WINDOW)
		value |= PRIMARY_INTERRUPT_WINDOW;
	model_vmcs_write(vmx_of(ph_vcpu_index(vcpu))->vmcs, field, value);
}

static void set_delivery(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery)
{
	struct model_vmcs *vmcs = vmx_of(ph_vcpu_index(vcpu))->vmcs;

	(void)host;
	if (delivery == PH_DELIVERY_INJECTED)
		vmcs->secondary &= ~SECONDARY_VIRTUAL_INTERRUPTS;
	else
		vmcs->secondary |= SECONDARY_VIRTUAL_INTERRUPTS;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void send_msi(uint32_t vcpu, uint8_t vector, bool is_level)
{
	struct ph_msi msi = {
	    .address = MSI_ADDRESS_BASE | (uint64_t)vcpu << MSI_ADDRESS_DEST_SHIFT,
	    .data = vector | (is_level ? MSI_DATA_LEVEL | MSI_DATA_ASSERT : 0),
	};

	lab_check(ph_msi_post(vm, &msi) == 1, "the vCPU did not accept the interrupt");
}

/* ---- The host's interrupt handlers ----------------------------------------------------------- */

static void handle_interrupt(enum model_vector vector)
{
	switch (vector) {
	case MODEL_DEVICE:
		lab_note("host interrupt: a device; its handler posts", 0);
		send_msi(0, VECTOR_OF(HANDLER_CLASS), machine_config()->level);
		break;
	case MODEL_WAKEUP:
		lab_note("host interrupt: wakeup vector", 0);
		ph_pcpu_wakeup(pcpus[this_pcpu_number()]);
		break;
	case MODEL_KICK:
		lab_note("host interrupt: kick, does nothing more", 0);
		break;
	default:
		lab_note("host interrupt: notification, does nothing", 0);
	}
}

/* ---- The guest's turn ------------------------------------------------------------------------ */

static bool guest_has_event(void *arg)
{
	struct machine_vcpu *own = arg;
	size_t index = (size_t)(own - machine->vcpus);

	if (machine_config()->is_vmx)
		return model_vmx_has_event(vmx_of(index), &machine->pcpus[own->pcpu]);
	return model_svm_has_event(vmcbs[index], &machine->pcpus[own->pcpu]);
}

static bool event_is_injected(size_t index)
{
	return machine_config()->is_vmx ? vmx_of(index)->vmcs->entry_intr_info & INTR_INFO_VALID
	                                : vmcbs[index]->event_inj & VMCB_EVENT_VALID;
}

static enum model_exit guest_begins(struct machine_vcpu *own, size_t index)
{
	bool is_vmx = machine_config()->is_vmx;

	if (machine_config()->deliveries_can_fault && !own->has_faulted &&
	    event_is_injected(index) && lab_choose(2, "the delivery is cut short")) {
		own->has_faulted = 1;
		return is_vmx ? model_vmx_enter_faults(vmx_of(index))
		              : model_svm_vmrun_faults(vmcbs[index]);
	}
	if (event_is_injected(index))
		lab_note("guest takes event", is_vmx ? vmx_of(index)->vmcs->entry_intr_info & 0xff
		                                     : vmcbs[index]->event_inj & 0xff);
	if (is_vmx)
		model_vmx_enter(vmx_of(index));
	else
		model_svm_vmrun(vmcbs[index], &own->guest);
	return EXIT_NONE;
}

static enum model_exit guest_runs(struct machine_vcpu *own, size_t index)
{
	const uint8_t *program =
	    own->is_l2 ? machine_config()->l2_program : machine_config()->program;
	bool is_vmx = machine_config()->is_vmx;
	enum model_exit exit;

	lab_hardware_step(LAB_ENTRY_DRAINS, own->is_l2 ? "entry into L2" : "guest entry");
	exit = guest_begins(own, index);
	while (exit == EXIT_NONE) {
		if (model_guest_is_idle(own->is_l2 ? &own->l2 : &own->guest, program) &&
		    (is_vmx || !(vmcbs[index]->rflags & RFLAGS_TF)))
			lab_wait(guest_has_event, own, "guest spins until an event");
		else
			lab_hardware_step(LAB_NOTHING_DRAINS, "guest instruction");
		exit = is_vmx ? model_vmx_step(vmx_of(index), this_pcpu())
		              : model_svm_step(vmcbs[index], &own->guest, program, this_pcpu());
	}
	return exit;
}

static const char *const exit_names[] = {
    [EXIT_HOST_INTERRUPT] = "exit: host interrupt",
    [EXIT_WINDOW] = "exit: interrupt window",
    [EXIT_NMI_WINDOW] = "exit: NMI window",
    [EXIT_EOI_WRITE] = "exit: EOI write",
    [EXIT_EOI_INDUCED] = "exit: EOI-induced",
    [EXIT_HALT] = "exit: HLT",
    [EXIT_HANDLED] = "exit: handled by the host",
    [EXIT_FAST] = "exit: fast path",
    [EXIT_TPR] = "exit: TPR below threshold",
    [EXIT_IRET] = "exit: IRET",
    [EXIT_TRAP] = "exit: #DB",
    [EXIT_FAULT] = "exit in the middle of a delivery",
    [EXIT_TIMER] = "exit: preemption timer",
};

static void fast_path(struct ph_vcpu *vcpu)
{
	if (machine_config()->fast_self_ipi) {
		machine->vcpus[0].posted[FAST_CLASS]++;
		lab_check(
		    ph_apic_msr_write(vcpu, MSR_X2APIC_SELF_IPI, VECTOR_OF(FAST_CLASS)) == PH_OK,
		    "self-IPI refused");
	} else {
		machine_post(ph_vcpu_index(vcpu), FAST_CLASS);
	}
}

/* Acknowledge-on-exit: the host's handler for the vector that the exit took. */
static void handle_acknowledged(uint32_t info)
{
	if (info & INTR_INFO_VALID)
		handle_interrupt((enum model_vector)(info & INTR_INFO_VECTOR_MASK));
}

static void enter(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;
	size_t index = (size_t)(own - machine->vcpus);

	(void)vcpu;
	/* The entry itself needs them off; with step 2 left out that is all there is. */
	if (this_pcpu()->interrupts_on) {
		lab_hardware_step(LAB_NOTHING_DRAINS, "interrupts off");
		this_pcpu()->interrupts_on = 0;
	}
	if (machine_config()->fault == MACHINE_EARLY_STEP &&
	    (vmcbs[index]->intercept_3 & VMCB_IRET))
		vmcbs[index]->rflags |= RFLAGS_TF;
	if (machine_config()->fault == MACHINE_FORGETS_GIF)
		vmcbs[index]->interrupt_control |= V_GIF_ENABLE;
	machine->is_in_guest = machine_config()->counts;
	own->exit = (uint8_t)guest_runs(own, index);
	machine->exit_count += machine->is_in_guest;
	machine->is_in_guest = 0;
	if (machine_config()->fault == MACHINE_FORGETS_GIF)
		vmcbs[index]->interrupt_control &= ~V_GIF_ENABLE;
	if (machine_config()->fault == MACHINE_LOSES_EVENT) {
		if (machine_config()->is_vmx)
			vmxs[index].vmcs->idt_vectoring_info = 0;
		else
			vmcbs[index]->exit_int_info = 0;
	}
	lab_note(exit_names[own->exit], 0);
	if (machine_config()->is_vmx && machine_config()->fault != MACHINE_DROPS_ACKED)
		handle_acknowledged(vmx_of(index)->vmcs->exit_intr_info);
}

static bool fast_exit(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;

	bool is_eoi = own->exit == EXIT_EOI_WRITE && machine_config()->fast_eoi;

	if (own->exit != EXIT_FAST && own->exit != EXIT_TIMER && !is_eoi)
		return false;
	own->exit = EXIT_NONE;
	if (!is_eoi)
		fast_path(vcpu);
	else if (machine_config()->fault != MACHINE_FAST_FORGETS)
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_EOI, 0) == PH_OK, "EOI refused");
	return true;
}

static const struct ph_platform platform = {
    .irq_disable = irq_disable,
    .irq_enable = irq_enable,
    .irq_save = irq_save,
    .irq_restore = irq_restore,
    .enter = enter,
    .fast_exit = fast_exit,
    .notify = notify,
    .kick = kick,
    .sleep = sleep_until_woken,
    .wake = wake,
    .running = running,
    .vmcs_read = vmcs_read,
    .vmcs_write = vmcs_write,
    .set_delivery = set_delivery,
    .trace = trace,
    LAB_PLATFORM_REST,
};

/* ---- Threads --------------------------------------------------------------------------------- */

/* VMRESUME and its opposite; what VMPTRLD does is in is_l2. */
static void make_current(struct ph_vcpu *vcpu, bool is_l2)
{
	machine->vcpus[ph_vcpu_index(vcpu)].is_l2 = is_l2;
	lab_check(ph_vcpu_set_nested(vcpu, is_l2) == PH_OK, "L2 refused");
}

/* SDM vol. 3, "Loading Host State": L1 goes on at its handler of exits with interrupts off. */
static void exit_to_l1(struct ph_vcpu *vcpu, struct machine_vcpu *own)
{
	lab_note("nested exit: external interrupt", 0);
	make_current(vcpu, false);
	own->guest.pc = 0;
	vmxs[ph_vcpu_index(vcpu)].vmcs->rflags &= ~RFLAGS_IF;
}

/* What GUEST_EXIT is in this scenario. */
static void handle_instruction(struct ph_vcpu *vcpu)
{
	uint32_t other = 1 - ph_vcpu_index(vcpu);
	uint64_t command = (uint64_t)other << 32 | VECTOR_OF(FIRST_CLASS);

	if (machine_config()->exchanges) {
		machine->vcpus[other].posted[FIRST_CLASS]++;
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_ICR, command) == PH_OK, "IPI refused");
	}
	if (machine_config()->late_pic)
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_LINT0, LVT_EXTINT) == PH_OK,
		    "LINT0 refused");
	if (machine_config()->l2_program)
		make_current(vcpu, true);
}

static void handle_exit(struct ph_vcpu *vcpu, struct machine_vcpu *own)
{
	uint8_t exit = own->exit;

	own->exit = EXIT_NONE;
	switch ((enum model_exit)exit) {
	case EXIT_EOI_WRITE:
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_EOI, 0) == PH_OK, "EOI refused");
		break;
	case EXIT_EOI_INDUCED:
		ph_apic_eoi_exit(vcpu, VECTOR_OF(own->guest.ended));
		break;
	case EXIT_HALT:
		ph_vcpu_halt(vcpu);
		break;
	case EXIT_HANDLED:
		handle_instruction(vcpu);
		break;
	case EXIT_WINDOW:
		machine->window_count++;
		break;
	case EXIT_IRET:
		ph_vcpu_nmi_unblocked(vcpu);
		break;
	case EXIT_TRAP:
		if (!ph_vcpu_exception_exit(vcpu, 1))
			own->guest.stray_traps++;
		break;
	default:
		break;
	}
}

static void move_to(struct ph_vcpu *vcpu, struct machine_vcpu *own, uint32_t to)
{
	ph_vcpu_put(vcpu);
	/* The scheduler's own locks order this thread's stores before it runs again. */
	LAB_FENCE();
	machine->running[own->pcpu] = 0;
	lab_hardware_step(LAB_NOTHING_DRAINS, "is scheduled again");
	own->pcpu = (uint8_t)to;
	machine->running[to] = (uint8_t)(own - machine->vcpus + 1);
	ph_vcpu_load(vcpu, to);
}

static void maybe_move(struct ph_vcpu *vcpu, struct machine_vcpu *own)
{
	if (own->moved_count < machine_config()->moves && lab_choose(2, "moves to another pCPU")) {
		own->moved_count++;
		move_to(vcpu, own, own->pcpu ? 0 : MODEL_PCPU_MAX - 1);
	}
	if (machine_config()->is_preempted && !own->was_preempted &&
	    lab_choose(2, "is preempted")) {
		own->was_preempted = 1;
		move_to(vcpu, own, own->pcpu);
	}
}

static void save_and_restore(struct ph_vcpu *vcpu)
{
	lab_check(ph_vcpu_export(vcpu, image, PH_VCPU_STATE_SIZE) == PH_OK, "export refused");
	lab_check(ph_vcpu_import(vcpu, image, PH_VCPU_STATE_SIZE) == PH_OK, "import refused");
	/* Constant again. */
	__builtin_memset(image, 0, PH_VCPU_STATE_SIZE);
}

static void vcpu_thread(void *arg)
{
	uint32_t index = *(uint32_t *)arg;
	struct machine_vcpu *own = &machine->vcpus[index];

	if (machine_config()->imports)
		save_and_restore(vcpus[index]);
	for (;;) {
		switch (ph_vcpu_run(vcpus[index])) {
		case PH_RUN_REQUEST:
			own->request_seen |= (uint8_t)ph_vcpu_take_requests(vcpus[index]);
			break;
		case PH_RUN_EXIT:
			handle_exit(vcpus[index], own);
			break;
		case PH_RUN_NESTED_EXIT:
			exit_to_l1(vcpus[index], own);
			break;
		}
		maybe_move(vcpus[index], own);
	}
}

void machine_post_triggered(uint32_t vcpu, uint8_t vector, bool is_level)
{
	machine->vcpus[vcpu].posted[vector >> 4]++;
	send_msi(vcpu, vector, is_level);
}

void machine_post_vector(uint32_t vcpu, uint8_t vector)
{
	machine_post_triggered(vcpu, vector, machine_config()->level);
}

void machine_post(uint32_t vcpu, uint32_t vector_class)
{
	machine_post_vector(vcpu, VECTOR_OF(vector_class));
}

/* Senders 0 and 1 have a LINT pin each. */
static void pulse_pin(uint32_t pin)
{
	machine->vcpus[0].posted[LINT_CLASS - pin]++;
	ph_vcpu_lint(vcpus[0], pin, true);
	ph_vcpu_lint(vcpus[0], pin, false);
}

static void sender(void *arg)
{
	const struct machine_config *config = machine_config();
	uint32_t number = *(uint32_t *)arg;
	uint32_t posts = config->posts_each ? config->posts_each : 1;

	for (uint32_t i = 0; i < posts; i++) {
		if (config->nmis) {
			machine->nmi_posted++;
			ph_vcpu_nmi(vcpus[0]);
		} else if (config->requests) {
			machine->vcpus[0].request_posted |= (uint8_t)(1u << number);
			ph_vcpu_request(vcpus[0], 1u << number);
		} else if (config->lint) {
			pulse_pin(number % 2);
		} else if (config->pic) {
			machine->vcpus[0].posted[PIC_CLASS]++;
			lab_check(ph_gsi_set(vm, 0, number, true) == PH_OK, "no such GSI");
		} else {
			machine_post(
			    0, FIRST_CLASS + (config->same_vector ? 0 : number * posts + i));
		}
	}
}

static void toggler(void *arg)
{
	(void)arg;
	ph_vm_inhibit(vm, PH_INHIBIT_OPTION, true);
	ph_vm_inhibit(vm, PH_INHIBIT_OPTION, false);
}

/* ---- Interrupts of the host ------------------------------------------------------------------ */

static struct model_pcpu *pcpu_of(void *arg)
{
	uint32_t number = *(uint32_t *)arg;

	return &machine
	            ->pcpus[number < MACHINE_VCPU_MAX && vcpus[number] ? machine->vcpus[number].pcpu
	                                                               : number];
}

static bool interrupts_open(void *arg)
{
	return pcpu_of(arg)->interrupts_on;
}

static bool interrupt_waiting(void *arg)
{
	return pcpu_of(arg)->irr != 0;
}

static void interrupt_take(void *arg)
{
	struct model_pcpu *pcpu = pcpu_of(arg);
	enum model_vector vector = model_interrupt_take(pcpu);

	pcpu->interrupts_on = 0;
	handle_interrupt(vector);
	pcpu->interrupts_on = 1;
}

/* ---- The wire, a device line, pCPUs without a thread ----------------------------------------- */

static uint32_t wire_choices(void *arg)
{
	uint32_t count = 0;

	(void)arg;
	for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++)
		count += model_ipi_count(&machine->pcpus[i]);
	return count;
}

static void wire_step(void *arg, uint32_t choice)
{
	uint32_t i = 0;

	(void)arg;
	while (choice >= model_ipi_count(&machine->pcpus[i]))
		choice -= model_ipi_count(&machine->pcpus[i++]);
	model_ipi_arrive(&machine->pcpus[i], choice);
	lab_note("IPI arrives at pCPU", i);
}

static uint32_t handler_choices(void *arg)
{
	(void)arg;
	return !machine->handler_fired;
}

static void handler_step(void *arg, uint32_t choice)
{
	(void)arg;
	(void)choice;
	machine->handler_fired = 1;
	machine->vcpus[0].posted[HANDLER_CLASS]++;
	machine->pcpus[machine->vcpus[0].pcpu].irr |= 1u << MODEL_DEVICE;
	lab_note("a device interrupts the vCPU's pCPU", 0);
}

static uint32_t device_choices(void *arg)
{
	(void)arg;
	return !machine->device_fired;
}

static void device_step(void *arg, uint32_t choice)
{
	uint8_t nv;
	uint32_t ndst;

	(void)arg;
	(void)choice;
	machine->device_fired = 1;
	machine->vcpus[0].posted[DEVICE_CLASS]++;
	lab_note("device posts: PIR", VECTOR_OF(DEVICE_CLASS));
	if (!model_vtd_post(vmxs[0].pid, VECTOR_OF(DEVICE_CLASS), &nv, &ndst))
		return;
	lab_note("and ON; sends vector", nv);
	if (machine_config()->fault == MACHINE_WRONG_NDST && nv == WAKEUP_VECTOR)
		ndst = MODEL_PCPU_MAX - 1;
	lab_check(ndst < MODEL_PCPU_MAX, "NDST names no pCPU");
	model_ipi_send(&machine->pcpus[ndst], nv == WAKEUP_VECTOR ? MODEL_WAKEUP : MODEL_NOTIFY);
}

static uint32_t idle_choices(void *arg)
{
	uint32_t count = 0;

	(void)arg;
	for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++)
		count += machine->pcpus[i].irr && machine->running[i] == 0;
	return count;
}

static void idle_step(void *arg, uint32_t choice)
{
	(void)arg;
	for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++) {
		if (machine->pcpus[i].irr && machine->running[i] == 0 && choice-- == 0) {
			model_interrupt_take(&machine->pcpus[i]);
			lab_note("idle pCPU swallows the IPI", i);
			return;
		}
	}
}

/* ---- Setup ----------------------------------------------------------------------------------- */

/* L2's VMCS as L0 makes it: every interrupt of the host exits, none is posted. */
static void make_l2(uint32_t index)
{
	l2_vmxs[index] = (struct model_vmx){
	    .vmcs = lab_alloc(sizeof(struct model_vmcs), "VMCS of L2"),
	    .guest = &machine->vcpus[index].l2,
	    .program = machine_config()->l2_program,
	    .page = vmxs[index].page,
	    .pid = vmxs[index].pid,
	};
	l2_vmxs[index].vmcs->pin_based = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS;
	l2_vmxs[index].vmcs->primary = PRIMARY_HLT;
	l2_vmxs[index].vmcs->rflags = RFLAGS_IF | 2u;
}

static void make_vmx(uint32_t index, struct ph_vcpu_config *config)
{
	struct model_vmx *vmx = &vmxs[index];

	*vmx = (struct model_vmx){
	    .vmcs = lab_alloc(sizeof(struct model_vmcs), "VMCS"),
	    .guest = &machine->vcpus[index].guest,
	    .program = machine_config()->program,
	    .page = config->apic_page,
	    .pid = config->pid,
	    .fault = machine_config()->fault == MACHINE_KEEPS_ON         ? VMX_KEEPS_ON
	             : machine_config()->fault == MACHINE_EOI_CLEARS_SVI ? VMX_EOI_CLEARS_SVI
	                                                                 : VMX_RIGHT,
	};
	config->backend = PH_BACKEND_VMX;
	config->delivery = machine_config()->delivery;
	config->pin_based = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS |
	                    (machine_config()->preempts ? PIN_PREEMPTION_TIMER : 0);
	vmx->vmcs->exit_controls = machine_config()->acknowledges ? EXIT_ACK_INTERRUPT : 0;
	config->primary = PRIMARY_HLT | PRIMARY_TPR_SHADOW;
	vmx->vmcs->pin_based = config->pin_based;
	vmx->vmcs->primary = config->primary;
	if (machine_config()->fault == MACHINE_EXTRA_WINDOW)
		vmx->vmcs->primary |= PRIMARY_INTERRUPT_WINDOW;
	vmx->vmcs->rflags = RFLAGS_IF | 2u;
	if (machine_config()->l2_program)
		make_l2(index);
}

static void make_svm(uint32_t index, struct ph_vcpu_config *config)
{
	vmcbs[index] = lab_alloc_split(4096, VMCB_BUSY, "VMCB");
	vmcbs[index]->rflags = RFLAGS_IF | 2u;
	if (machine_config()->has_vgif)
		vmcbs[index]->interrupt_control = V_GIF_ENABLE | V_GIF;
	config->vmcb = vmcbs[index];
}

static uint64_t first_lint0(void)
{
	if (machine_config()->pic)
		return LVT_EXTINT | (machine_config()->late_pic ? LVT_MASKED : 0);
	return VECTOR_OF(LINT_CLASS);
}

/* ICW1 to ICW4, then a mask that lets line 0 through (8259A data sheet). */
static void program_pic(void)
{
	ph_pic_write(vm, 0x20, 0x11);
	ph_pic_write(vm, 0x21, (uint8_t)(PIC_CLASS << 4));
	ph_pic_write(vm, 0x21, 0x04);
	ph_pic_write(vm, 0x21, 0x01);
	ph_pic_write(vm, 0x21, 0xfe);
}

static void make_vcpu(uint32_t index)
{
	struct ph_vcpu_config config = {
	    .backend = PH_BACKEND_SVM,
	    .apic_id = index,
	    .is_bsp = true, /* all of them: none waits for a SIPI */
	    .host = &machine->vcpus[index],
	    .apic_page = lab_alloc(4096, "apic page"),
	    .pid = lab_alloc(64, "PID"),
	};
	void *memory = lab_alloc(ph_vcpu_size(), "vcpu");
	uint64_t base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP;

	pids[index] = config.pid;
	apic_pages[index] = config.apic_page;
	lab_name(config.pid, 8, "PIR[0]");
	lab_name((char *)config.pid + 8, 8, "PIR[1]");
	lab_name((char *)config.pid + 16, 8, "PIR[2]");
	lab_name((char *)config.pid + 24, 8, "PIR[3]");
	lab_name((char *)config.pid + 32, 8, "PID.control");
	if (machine_config()->is_vmx)
		make_vmx(index, &config);
	else
		make_svm(index, &config);
	if (ph_vcpu_init(vm, index, memory, &config, &vcpus[index]) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_APIC_BASE, base | APIC_BASE_X2APIC) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_X2APIC_SVR, 0x1ff) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_X2APIC_LINT0, first_lint0()) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_X2APIC_LINT1, VECTOR_OF(LINT_CLASS - 1)) != PH_OK)
		lab_bug(__FILE__, __LINE__, "the scenario's vCPU cannot be made");
	machine->vcpus[index].pcpu = (uint8_t)index;
	machine->vcpus[index].guest.nests = machine_config()->nests;
	machine->running[index] = (uint8_t)(index + 1);
	lab_ignore_counters(vcpus[index]);
	ph_vcpu_load(vcpus[index], index);
}

static void make_vm(uint32_t vcpu_count)
{
	struct ph_vm_config config = {
	    .platform = &platform,
	    .vcpu_count = vcpu_count,
	    .tsc_khz = 1000000,
	    .apic_timer_khz = 1000000,
	};

	machine = lab_alloc(sizeof(*machine), "machine");
	if (machine_config()->device_posts) {
		config.pcpus = pcpus;
		config.notification_vector = NOTIFICATION_VECTOR;
		config.wakeup_vector = WAKEUP_VECTOR;
		for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++)
			pcpus[i] =
			    ph_pcpu_init(lab_alloc(ph_pcpu_size(), "wake list"), &platform, i);
	}
	__builtin_memset(vcpus, 0, sizeof(vcpus));
	for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++)
		machine->pcpus[i].interrupts_on = 1;
	if (ph_vm_init(lab_alloc_split(ph_vm_size(&config), 0, "vm"), &config, &vm) != PH_OK)
		lab_bug(__FILE__, __LINE__, "the scenario's VM cannot be made");
	for (uint32_t i = 0; i < vcpu_count; i++)
		make_vcpu(i);
	if (machine_config()->pic)
		program_pic();
	if (machine_config()->imports)
		image = lab_alloc(PH_VCPU_STATE_SIZE, "image");
}

static uint32_t timer_choices(void *arg)
{
	(void)arg;
	return !machine->vcpus[0].timer_count && model_vmx_timer_runs(&vmxs[0]);
}

static void timer_step(void *arg, uint32_t choice)
{
	(void)arg;
	(void)choice;
	machine->vcpus[0].timer_count++;
	vmxs[0].vmcs->timer_expired = 1;
	lab_note("the preemption timer reaches 0", 0);
}

void machine_make(void)
{
	make_vm(machine_vcpu_count());
}

void machine_start(void)
{
	static const char *const names[] = {"vcpu 0", "vcpu 1"};
	const struct machine_config *config = machine_config();

	for (uint32_t i = 0; i < machine_vcpu_count(); i++) {
		lab_cpu(names[i], vcpu_thread, &numbers[i]);
		lab_interrupts(i, interrupts_open, interrupt_waiting, interrupt_take, &numbers[i]);
	}
	lab_hardware("wire", wire_choices, wire_step, NULL);
	if (config->toggles)
		lab_cpu("toggler", toggler, NULL);
	if (config->handler_posts)
		lab_hardware("device interrupt", handler_choices, handler_step, NULL);
	if (config->device_posts)
		lab_hardware("device", device_choices, device_step, NULL);
	if (config->preempts)
		lab_hardware("preemption timer", timer_choices, timer_step, NULL);
	if (config->moves || config->is_preempted || config->device_posts)
		lab_hardware("idle pCPUs", idle_choices, idle_step, NULL);
}

void machine_setup(const struct lab_params *params)
{
	static const char *const names[] = {
	    "sender 0", "sender 1", "sender 2", "sender 3", "sender 4"};

	machine_make();
	machine_start();
	for (uint32_t i = 0; i < params->sender_count; i++)
		lab_cpu(names[i], sender, &numbers[i]);
}

/* ---- Properties ------------------------------------------------------------------------------ */

static void check_vcpu_at_rest(const struct machine_vcpu *own)
{
	const struct model_guest *guest = &own->guest;

	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		lab_check(!own->posted[i] || guest->taken[i],
		    own->is_asleep ? "an interrupt is pending and its vCPU sleeps"
		    : own->is_l2   ? "an interrupt of L1 is pending and its vCPU spins in L2"
		                   : "an interrupt is pending and its vCPU spins in the guest");
	lab_check(own->request_seen == own->request_posted,
	    own->is_asleep ? "a request waits and its vCPU sleeps"
	                   : "a request waits and its vCPU spins in the guest");
}

void machine_nothing_pending(void)
{
	for (uint32_t i = 0; i < machine_vcpu_count(); i++)
		check_vcpu_at_rest(&machine->vcpus[i]);
	/* One in service may have one behind it: of more than two, the rest may merge. */
	lab_check(machine->vcpus[0].guest.nmi_taken >=
	              (machine->nmi_posted < 2 ? machine->nmi_posted : 2),
	    "an NMI was lost");
}

static void check_vcpu(const struct machine_vcpu *own)
{
	const struct model_guest *guest = &own->guest;
	uint32_t is_invented = 0;

	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		is_invented |= (uint32_t)(guest->taken[i] > own->posted[i]);
	lab_check(!is_invented, "an interrupt was taken twice");
	lab_check(!own->l2.in_service && !own->l2.nmi_taken, "L2 took what was L1's");
	lab_check(!guest->is_broken,
	    "an interrupt came through a handler of its own or a higher class, or through GIF");
	lab_check(guest->stray_traps == 0, "the guest sees a single-step trap that is not its own");
}

void machine_nothing_invented(void)
{
	for (uint32_t i = 0; i < machine_vcpu_count(); i++)
		check_vcpu(&machine->vcpus[i]);
	lab_check(
	    machine->vcpus[0].guest.nmi_taken <= machine->nmi_posted, "an NMI was taken twice");
	lab_check(!machine_config()->is_vmx || machine_config()->toggles ||
	              machine_config()->delivery == PH_DELIVERY_INJECTED ||
	              machine->window_count == 0,
	    "an interrupt-window exit although delivery is virtual");
}
