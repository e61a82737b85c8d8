/* SPDX-License-Identifier: MIT */
/* The lab's embedder of libposthorn: struct ph_platform on the model's CPUs. */
#include "lab/machine.h"
#include "x86/apic.h"
#include "x86/msr.h"

#define FIRST_CLASS 3u
#define MSR_X2APIC_EOI 0x80bu
#define MSR_X2APIC_SVR 0x80fu
#define VECTOR_OF(vector_class) ((uint8_t)((vector_class) << 4 | 1u))

struct machine *machine;
static struct ph_vm *vm;
static struct ph_vcpu *vcpus[MACHINE_VCPU_MAX];
static struct vmcb *vmcbs[MACHINE_VCPU_MAX];
static const struct ph_platform platform;
/* Numbers handed to actors; constants. */
static uint32_t numbers[MODEL_PCPU_MAX] = { 0, 1, 2, 3, 4, 5, 6, 7 };

const struct machine_config *machine_config(void)
{
	return lab_scenario_now()->data;
}

struct ph_vcpu *machine_vcpu(uint32_t index)
{
	return vcpus[index];
}

/* The pCPU under the calling actor: a vCPU's thread may have moved. */
static struct model_pcpu *this_pcpu(void)
{
	uint32_t self = lab_self();

	return &machine->pcpus[self < MACHINE_VCPU_MAX && vcpus[self] ? machine->vcpus[self].pcpu : self];
}

static uint32_t this_pcpu_number(void)
{
	return (uint32_t)(this_pcpu() - machine->pcpus);
}

/* ---- struct ph_platform ------------------------------------------------------------------------ */

static void irq_disable(void)
{
	if (machine_config()->fault == MACHINE_LATE_IRQS_OFF)
		return;
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
	model_ipi_send(&machine->pcpus[pcpu], MODEL_NOTIFY);
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

static void wake(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;

	(void)vcpu;
	lab_hardware_step(LAB_NOTHING_DRAINS, "wakes the vCPU");
	own->wake_count++;
	lab_check(own->wake_count == 1, "two wake-ups for one sleep");
}

static struct ph_vcpu *running(void)
{
	uint32_t index = machine->running[this_pcpu_number()];

	if (machine_config()->fault == MACHINE_RUNNING_IS_TRUE)
		return vcpus[0];
	return index ? vcpus[index - 1] : NULL;
}

static uint64_t guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
	return 1000;
}

static void timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	(void)vcpu;
	(void)host;
	(void)deadline;
}

static void nothing(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	(void)host;
}

static void start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	(void)vcpu;
	(void)host;
	(void)vector;
}

/* ---- The guest's turn -------------------------------------------------------------------------- */

static bool guest_has_event(void *arg)
{
	struct machine_vcpu *own = arg;

	return model_svm_has_event(vmcbs[own - machine->vcpus], &machine->pcpus[own->pcpu]);
}

static uint64_t enter_svm(struct machine_vcpu *own, struct vmcb *vmcb)
{
	const uint8_t *program = machine_config()->program;
	uint64_t exit = MODEL_NO_EXIT;

	lab_hardware_step(LAB_ENTRY_DRAINS, "VMRUN");
	if (machine_config()->deliveries_can_fault && !own->has_faulted &&
	    (vmcb->event_inj & VMCB_EVENT_VALID) && lab_choose(2, "the delivery is cut short")) {
		own->has_faulted = 1;
		return model_svm_vmrun_faults(vmcb);
	}
	if (vmcb->event_inj & VMCB_EVENT_VALID)
		lab_note("guest takes event", vmcb->event_inj & 0xff);
	model_svm_vmrun(vmcb, &own->guest);
	while (exit == MODEL_NO_EXIT) {
		if (model_guest_is_idle(&own->guest, program) && !(vmcb->rflags & 1u << 8))
			lab_wait(guest_has_event, own, "guest spins until an exit");
		else
			lab_hardware_step(LAB_NOTHING_DRAINS, "guest instruction");
		exit = model_svm_step(vmcb, &own->guest, program, this_pcpu());
	}
	return exit;
}

/* A fast-path exit is handled here, with interrupts off. */
static enum ph_entered enter(struct ph_vcpu *vcpu, void *host)
{
	struct machine_vcpu *own = host;
	struct vmcb *vmcb = vmcbs[own - machine->vcpus];

	(void)vcpu;
	if (machine_config()->fault == MACHINE_LATE_IRQS_OFF) {
		lab_hardware_step(LAB_NOTHING_DRAINS, "interrupts off");
		this_pcpu()->interrupts_on = 0;
	}
	vmcb->exit_code = enter_svm(own, vmcb);
	if (machine_config()->fault == MACHINE_LOSES_EVENT)
		vmcb->exit_int_info = 0;
	lab_note("exit", vmcb->exit_code);
	if (vmcb->exit_code != VMEXIT_RDTSC)
		return PH_ENTERED_EXIT;
	/* A self-IPI by the fast path: what thread 004's elision is for. */
	machine_post(ph_vcpu_index(vcpu), 15);
	vmcb->exit_code = 0;
	return PH_ENTERED_FAST;
}

static const struct ph_platform platform = {
	.irq_disable = irq_disable,
	.irq_enable = irq_enable,
	.irq_save = irq_save,
	.irq_restore = irq_restore,
	.enter = enter,
	.notify = notify,
	.sleep = sleep_until_woken,
	.wake = wake,
	.running = running,
	.guest_tsc = guest_tsc,
	.timer_arm = timer_arm,
	.timer_cancel = nothing,
	.init = nothing,
	.start = start,
	.smi = nothing,
	.bug = lab_bug,
};

/* ---- Threads ----------------------------------------------------------------------------------- */

static void handle_exit(struct ph_vcpu *vcpu, struct machine_vcpu *own)
{
	struct vmcb *vmcb = vmcbs[own - machine->vcpus];
	uint64_t code = vmcb->exit_code;

	vmcb->exit_code = 0;
	switch (code) {
	case VMEXIT_MSR:
		lab_check(ph_apic_msr_write(vcpu, MSR_X2APIC_EOI, 0) == PH_OK, "EOI refused");
		break;
	case VMEXIT_HLT:
		ph_vcpu_halt(vcpu);
		break;
	case VMEXIT_IRET:
		ph_vcpu_nmi_unblocked(vcpu);
		break;
	case VMEXIT_EXCEPTION(1):
		if (!ph_vcpu_exception_exit(vcpu, 1))
			own->guest.stray_traps++;
		break;
	default:
		break;
	}
}

static void migrate(struct ph_vcpu *vcpu, struct machine_vcpu *own, uint32_t to)
{
	if (own->has_migrated || !lab_choose(2, "moves to another pCPU"))
		return;
	own->has_migrated = 1;
	ph_vcpu_put(vcpu);
	/* The scheduler's own locks order this thread's stores before it runs elsewhere. */
	LAB_FENCE();
	lab_hardware_step(LAB_NOTHING_DRAINS, "now on another pCPU");
	machine->running[own->pcpu] = 0;
	own->pcpu = (uint8_t)to;
	machine->running[to] = (uint8_t)(own - machine->vcpus + 1);
	ph_vcpu_load(vcpu, to);
}

static void vcpu_thread(void *arg)
{
	uint32_t index = *(uint32_t *)arg;
	struct machine_vcpu *own = &machine->vcpus[index];

	ph_vcpu_load(vcpus[index], own->pcpu);
	for (;;) {
		if (ph_vcpu_run(vcpus[index]) == PH_RUN_REQUEST)
			own->request_seen |= (uint8_t)ph_vcpu_take_requests(vcpus[index]);
		else
			handle_exit(vcpus[index], own);
		if (machine_config()->migrates)
			migrate(vcpus[index], own, MODEL_PCPU_MAX - 1);
	}
}

void machine_post(uint32_t vcpu, uint32_t vector_class)
{
	struct ph_msi msi = {
		.address = MSI_ADDRESS_BASE | (uint64_t)vcpu << MSI_ADDRESS_DEST_SHIFT,
		.data = VECTOR_OF(vector_class),
	};

	machine->posted[vector_class]++;
	lab_check(ph_msi_post(vm, &msi) == 1, "the vCPU did not accept the interrupt");
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
		} else {
			machine_post(0, FIRST_CLASS + (config->same_vector ? 0 : number * posts + i));
		}
	}
}

/* ---- Interrupts of the host -------------------------------------------------------------------- */

static struct model_pcpu *pcpu_of(void *arg)
{
	uint32_t number = *(uint32_t *)arg;

	return &machine->pcpus[number < MACHINE_VCPU_MAX && vcpus[number] ?
		machine->vcpus[number].pcpu : number];
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
	if (vector == MODEL_DEVICE) {
		lab_note("host interrupt: a device; its handler posts", 0);
		machine_post(0, 14);
	} else {
		lab_note("host interrupt: notification, does nothing", 0);
	}
	pcpu->interrupts_on = 1;
}

/* ---- The wire, a device line, pCPUs without a thread -------------------------------------------- */

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

static uint32_t device_choices(void *arg)
{
	(void)arg;
	return !machine->device_fired;
}

static void device_step(void *arg, uint32_t choice)
{
	(void)arg;
	(void)choice;
	machine->device_fired = 1;
	machine->pcpus[machine->vcpus[0].pcpu].irr |= 1u << MODEL_DEVICE;
	lab_note("device raises its host interrupt on the vCPU's pCPU", 0);
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

/* ---- Setup ------------------------------------------------------------------------------------- */

static void make_vcpu(uint32_t index)
{
	struct ph_vcpu_config config = {
		.backend = PH_BACKEND_SVM,
		.apic_id = index,
		.is_bsp = true,
		.host = &machine->vcpus[index],
		.apic_page = lab_alloc(4096, "apic page"),
		.pid = lab_alloc(64, "PID"),
		.vmcb = lab_alloc(4096, "VMCB"),
	};
	void *memory = lab_alloc(ph_vcpu_size(), "vcpu");
	uint64_t base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP;

	vmcbs[index] = config.vmcb;
	vmcbs[index]->rflags = 1u << 9 | 2u;
	if (ph_vcpu_init(vm, index, memory, &config, &vcpus[index]) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_APIC_BASE, base | APIC_BASE_X2APIC) != PH_OK ||
	    ph_apic_msr_write(vcpus[index], MSR_X2APIC_SVR, 0x1ff) != PH_OK)
		lab_bug(__FILE__, __LINE__, "the scenario's vCPU cannot be made");
	machine->vcpus[index].pcpu = (uint8_t)index;
	machine->running[index] = (uint8_t)(index + 1);
	lab_name(config.pid, 8, "PIR[0]");
	lab_name((char *)config.pid + 24, 8, "PIR[3]");
	lab_name((char *)config.pid + 32, 8, "PID.control");
	lab_ignore_counters(vcpus[index], ph_vcpu_size());
}

/* Where the public counters live: poke each word and ask.  Statistics are no part of a state. */
void lab_ignore_counters(struct ph_vcpu *vcpu, size_t size)
{
	uint64_t *words = (uint64_t *)(void *)vcpu;
	struct ph_counters before, after;

	for (size_t i = 0; i < size / 8; i++) {
		uint64_t was = words[i];

		ph_vcpu_counters(vcpu, &before);
		words[i] = was + 1;
		ph_vcpu_counters(vcpu, &after);
		words[i] = was;
		if (__builtin_memcmp(&before, &after, sizeof(before)))
			lab_ignore(&words[i], 8);
	}
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
	__builtin_memset(vcpus, 0, sizeof(vcpus));
	for (uint32_t i = 0; i < MODEL_PCPU_MAX; i++)
		machine->pcpus[i].interrupts_on = 1;
	if (ph_vm_init(lab_alloc(ph_vm_size(&config), "vm"), &config, &vm) != PH_OK)
		lab_bug(__FILE__, __LINE__, "the scenario's VM cannot be made");
	for (uint32_t i = 0; i < vcpu_count; i++)
		make_vcpu(i);
}

void machine_setup(const struct lab_params *params)
{
	static const char *const names[] = { "sender 0", "sender 1", "sender 2", "sender 3", "sender 4" };
	const struct machine_config *config = machine_config();
	uint32_t count = config->vcpu_count ? config->vcpu_count : 1;

	make_vm(count);
	for (uint32_t i = 0; i < count; i++) {
		lab_cpu(i ? "vcpu 1" : "vcpu 0", vcpu_thread, &numbers[i]);
		lab_interrupts(i, interrupts_open, interrupt_waiting, interrupt_take, &numbers[i]);
	}
	for (uint32_t i = 0; i < params->sender_count; i++)
		lab_cpu(names[i], sender, &numbers[i]);
	lab_hardware("wire", wire_choices, wire_step, NULL);
	if (config->interrupt_posts)
		lab_hardware("device", device_choices, device_step, NULL);
	if (config->migrates)
		lab_hardware("idle pCPUs", idle_choices, idle_step, NULL);
}

/* ---- Properties -------------------------------------------------------------------------------- */

void machine_nothing_pending(void)
{
	const struct machine_vcpu *own = &machine->vcpus[0];
	const struct model_guest *guest = &own->guest;

	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		lab_check(!machine->posted[i] || guest->taken[i],
		    own->is_asleep ? "an interrupt is pending and its vCPU sleeps" :
		    "an interrupt is pending and its vCPU spins in the guest");
	lab_check(own->request_seen == own->request_posted,
	    own->is_asleep ? "a request waits and its vCPU sleeps" :
	    "a request waits and its vCPU spins in the guest");
	lab_check(!machine->nmi_posted || guest->nmi_taken, "an NMI was lost");
}

void machine_nothing_invented(void)
{
	const struct model_guest *guest = &machine->vcpus[0].guest;

	for (uint32_t i = 0; i < MODEL_GUEST_VECTORS; i++)
		lab_check(guest->taken[i] <= machine->posted[i], "an interrupt was taken twice");
	lab_check(guest->nmi_taken <= machine->nmi_posted, "an NMI was taken twice");
	lab_check(guest->stray_traps == 0, "the guest sees a single-step trap that is not its own");
}
