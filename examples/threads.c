/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine monitor in one file: threads are the virtual CPUs, libposthorn is their
 * interrupt delivery.  The guest is a toy whose every instruction exits, so that this runs
 * anywhere; a real monitor has KVM_RUN (with the irqchip in userspace) or an emulator's loop in
 * enter().
 *
 *     cc threads.c $(pkg-config --cflags --libs posthorn) -pthread
 *
 * The guest: CPU 0 starts the others by INIT and SIPI, its timer ticks, a token goes round the CPUs
 * as an IPI, and a device sends MSIs.  At the end every one of them must have been taken exactly
 * once.
 */
#include <errno.h>
#include <posthorn/posthorn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VCPU_COUNT   4u
#define TOKEN_ROUNDS 500u /* times that the token passes each CPU */
#define MSI_COUNT    400u
#define REQUEST_STOP 1u /* bits 15:0 of the requests are ours */

enum vector { TOKEN_VECTOR = 0x41, MSI_VECTOR = 0x51, TIMER_VECTOR = 0x61 };
enum msr { APIC_BASE = 0x1b, EOI = 0x80b, SVR = 0x80f, ICR = 0x830, TIMER = 0x832, TMICT = 0x838 };

struct wrmsr {
	uint64_t msr, value;
};

struct cpu {
	struct ph_vcpu *vcpu;
	uint32_t number;
	struct wrmsr program[8]; /* the toy's code: MSRs to write; then it halts */
	uint32_t done_count, length;
	sem_t woken;
	uint64_t deadline; /* guest TSC; 0: no timer */
	atomic_uint token_count, msi_count, tick_count; /* what the guest has taken */
};

static struct cpu cpus[VCPU_COUNT];
static struct ph_vm *vm;
static _Thread_local struct ph_vcpu *current; /* the vCPU that this thread runs */

/* ---- The guest ----------------------------------------------------------------------------- */

static const struct wrmsr boot[] = {
    {APIC_BASE, 0xfee00c00}, /* x2APIC mode */
    {SVR, 0x1ff},
    /* CPU 0 alone: */
    {TIMER, 1u << 17 | TIMER_VECTOR}, /* periodic */
    {TMICT, 500000},                      /* 1 ms: 1 GHz divided by 2 */
    {ICR, 0xc4500},                       /* INIT to all others */
    {ICR, 0xc4608},                       /* SIPI to all others */
};

static void guest_boot(struct cpu *cpu)
{
	cpu->done_count = 0;
	cpu->length = cpu->number ? 2 : sizeof(boot) / sizeof(boot[0]);
	memcpy(cpu->program, boot, sizeof(boot));
}

/* Interrupts are off until the EOI is done. */
static void guest_handler(struct cpu *cpu, uint8_t vector)
{
	uint64_t next = (cpu->number + 1) % VCPU_COUNT;

	cpu->done_count = cpu->length = 0;
	if (vector == MSI_VECTOR)
		cpu->msi_count++;
	else if (vector == TIMER_VECTOR)
		cpu->tick_count++;
	else if (++cpu->token_count < TOKEN_ROUNDS || next != 0)
		cpu->program[cpu->length++] = (struct wrmsr){ICR, next << 32 | TOKEN_VECTOR};
	cpu->program[cpu->length++] = (struct wrmsr){EOI, 0};
}

/* ---- The platform: what libposthorn asks of its embedder ------------------------------------ */

/*
 * From here to the guest's entry a notification must not get lost: it must end the guest's turn.
 * The toy's turn is one instruction: nothing to do.  With KVM: block the signal that notify() sends
 * here, and let KVM_RUN unblock it (KVM_SET_SIGNAL_MASK).
 */
static void irq_disable_or_enable(void)
{
}

/* Around short locks, for handlers that call the library; we have none. */
static uint64_t irq_save(void)
{
	return 0;
}

static void irq_restore(uint64_t flags)
{
	(void)flags;
}

static uint64_t guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	struct timespec now;

	(void)vcpu, (void)host;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Take the event that was chosen, and say whether the next one may come. */
static void enter(struct ph_vcpu *vcpu, void *host)
{
	struct cpu *cpu = host;
	struct ph_event event = ph_vcpu_take_event(vcpu);

	if (event.kind == PH_EVENT_INTR)
		guest_handler(cpu, event.vector);
	ph_vcpu_set_interruptible(vcpu, cpu->done_count >= cpu->length - 1, true);
	if (cpu->deadline && guest_tsc(vcpu, cpu) >= cpu->deadline) {
		cpu->deadline = 0;
		ph_vcpu_timer_expired(vcpu);
	}
}

static void notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu, (void)host, (void)pcpu;
}

/* Until wake() or the timer, whose expiry wakes this very vCPU: the semaphore is up then. */
static void sleep_until_woken(struct ph_vcpu *vcpu, void *host)
{
	struct cpu *cpu = host;
	uint64_t end = cpu->deadline ? cpu->deadline : UINT64_MAX / 2;
	struct timespec until = {(time_t)(end / 1000000000u), (long)(end % 1000000000u)};

	while (sem_timedwait(&cpu->woken, &until) != 0) {
		if (errno == ETIMEDOUT && cpu->deadline) {
			cpu->deadline = 0;
			ph_vcpu_timer_expired(vcpu);
		}
	}
}

static void wake(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu;
	sem_post(&((struct cpu *)host)->woken);
}

static struct ph_vcpu *running(void)
{
	return current;
}

static void timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	(void)vcpu;
	((struct cpu *)host)->deadline = deadline;
}

static void timer_cancel(struct ph_vcpu *vcpu, void *host)
{
	timer_arm(vcpu, host, 0);
}

/* INIT, SMI: a real guest's registers would be reset, its SMM entered. */
static void nothing(struct ph_vcpu *vcpu, void *host)
{
	(void)vcpu, (void)host;
}

static void start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	(void)vcpu, (void)vector; /* a real guest begins at vector << 12 */
	guest_boot(host);
}

static void __attribute__((noreturn)) bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* clang-format off */
static const struct ph_platform platform = {
	.irq_disable = irq_disable_or_enable, .irq_enable = irq_disable_or_enable,
	.irq_save = irq_save, .irq_restore = irq_restore,
	.enter = enter, .notify = notify, .running = running,
	.sleep = sleep_until_woken, .wake = wake,
	.guest_tsc = guest_tsc, .timer_arm = timer_arm, .timer_cancel = timer_cancel,
	.init = nothing, .start = start, .smi = nothing, .bug = bug,
};
/* clang-format on */

/* ---- The monitor --------------------------------------------------------------------------- */

/* The exit: the toy's next instruction. */
static void handle_exit(struct cpu *cpu)
{
	const struct wrmsr *write = &cpu->program[cpu->done_count];

	if (cpu->done_count == cpu->length)
		ph_vcpu_halt(cpu->vcpu);
	else if (ph_apic_msr_write(cpu->vcpu, (uint32_t)write->msr, write->value) != PH_OK)
		bug(__FILE__, __LINE__, "WRMSR raised #GP");
	else
		cpu->done_count++;
}

static void *vcpu_thread(void *arg)
{
	struct cpu *cpu = arg;

	current = cpu->vcpu;
	ph_vcpu_load(cpu->vcpu, cpu->number);
	do {
		while (ph_vcpu_run(cpu->vcpu) == PH_RUN_EXIT)
			handle_exit(cpu);
	} while (!(ph_vcpu_take_requests(cpu->vcpu) & REQUEST_STOP));
	ph_vcpu_put(cpu->vcpu);
	return NULL;
}

/* The library allocates nothing: all memory is the embedder's. */
static _Alignas(4096) uint8_t vm_memory[1 << 16], vcpu_memory[VCPU_COUNT][1 << 14];
static _Alignas(4096) uint8_t apic_pages[VCPU_COUNT][4096], descriptors[VCPU_COUNT][4096];

static bool make_vm(void)
{
	const struct ph_vm_config config = {
	    .platform = &platform, .vcpu_count = VCPU_COUNT, .tsc_khz = 1000000, .apic_timer_khz = 1000000};

	if (ph_vm_size(&config) > sizeof(vm_memory) || ph_vcpu_size() > sizeof(vcpu_memory[0]) ||
	    ph_vm_init(vm_memory, &config, &vm) != PH_OK)
		return false;
	for (uint32_t i = 0; i < VCPU_COUNT; i++) {
		const struct ph_vcpu_config vcpu = {.backend = PH_BACKEND_SOFT, .apic_id = i,
		    .is_bsp = i == 0, .host = &cpus[i], .apic_page = apic_pages[i], .pid = descriptors[i]};

		cpus[i].number = i;
		guest_boot(&cpus[i]);
		sem_init(&cpus[i].woken, 0, 0);
		if (ph_vcpu_init(vm, i, vcpu_memory[i], &vcpu, &cpus[i].vcpu) != PH_OK)
			return false;
	}
	return true;
}

/* A CPU whose APIC is not enabled yet accepts nothing. */
static void send(uint32_t to, uint8_t vector)
{
	const struct ph_msi msi = {.address = 0xfee00000u | to << 12, .data = vector};

	while (ph_msi_post(vm, &msi) != 1)
		sched_yield();
}

/* A device: to each CPU the next MSI once the last one was taken, for two that wait would merge. */
static void send_msis(void)
{
	for (uint32_t i = 0; i < MSI_COUNT; i++) {
		send(i % VCPU_COUNT, MSI_VECTOR);
		while (cpus[i % VCPU_COUNT].msi_count <= i / VCPU_COUNT)
			sched_yield();
		if (i == VCPU_COUNT) /* all CPUs run */
			send(0, TOKEN_VECTOR);
	}
}

int main(void)
{
	pthread_t threads[VCPU_COUNT];
	uint32_t tokens = 0, msis = 0;

	if (!make_vm())
		return 1;
	for (uint32_t i = 0; i < VCPU_COUNT; i++)
		pthread_create(&threads[i], NULL, vcpu_thread, &cpus[i]);
	send_msis();
	while (cpus[VCPU_COUNT - 1].token_count < TOKEN_ROUNDS || cpus[0].tick_count < 5)
		sched_yield();
	for (uint32_t i = 0; i < VCPU_COUNT; i++)
		ph_vcpu_request(cpus[i].vcpu, REQUEST_STOP);
	for (uint32_t i = 0; i < VCPU_COUNT; i++) {
		pthread_join(threads[i], NULL);
		tokens += cpus[i].token_count;
		msis += cpus[i].msi_count;
	}
	printf("token %u of %u, MSIs %u of %u, ticks %u\n", tokens, VCPU_COUNT * TOKEN_ROUNDS, msis,
	    MSI_COUNT, cpus[0].tick_count);
	return tokens == VCPU_COUNT * TOKEN_ROUNDS && msis == MSI_COUNT ? 0 : 1;
}
