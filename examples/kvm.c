/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine monitor on Linux's KVM whose interrupt controllers are libposthorn's: no
 * KVM_CREATE_IRQCHIP; KVM_INTERRUPT injects, the local APIC's page exits.  Threads are the CPUs.
 *
 *     cc kvm.c kvm_guest.S $(pkg-config --cflags --libs posthorn) -pthread
 *
 * The guest, real-mode code: CPU 0 starts the other by INIT and SIPI, its timer ticks, a token
 * goes to and fro as an IPI, a device sends MSIs; each must be taken exactly once.  (77: no KVM.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <posthorn/posthorn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define VCPU_COUNT   2u
#define TOKEN_ROUNDS 200u
#define MSI_COUNT    100u
#define NS           1000000000u /* in a second */
#define REQUEST_STOP 1u /* bits 15:0 of the requests are ours */
#define APIC_PAGE    0xfee00000u

enum vector { TOKEN_VECTOR = 0x41, MSI_VECTOR = 0x51, TIMER_VECTOR = 0x61 };
enum count { TOKENS, MSIS, TICKS };

struct cpu {
	struct ph_vcpu *vcpu;
	uint32_t number;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	sem_t woken;
	timer_t timer;     /* brings the thread out of KVM_RUN */
	uint64_t deadline; /* guest TSC; 0: no timer */
};

static struct cpu cpus[VCPU_COUNT] = {{.number = 0}, {.number = 1}};
static struct ph_vm *vm;
static uint8_t *memory; /* the guest's */
extern const uint8_t guest_code[], guest_code_end[]; /* kvm_guest.S */
static _Thread_local struct cpu *current;

static void __attribute__((noreturn)) bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, strerror(errno));
	exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : bug(__FILE__, __LINE__, #condition))

static uint32_t taken(uint32_t cpu, enum count which)
{
	return ((_Atomic uint32_t *)(void *)(memory + 0x500 + cpu * 16))[which];
}

static void guest_boot(struct cpu *cpu, uint32_t address)
{
	const struct kvm_segment data = {.limit = 0xffff, .type = 3, .present = 1, .s = 1};
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rflags = 2, .rsp = 0x8000 + cpu->number * 0x1000,
	    .rsi = 0x500 + cpu->number * 16,
	    .rbx = (uint64_t)(1 - cpu->number) << 24,       /* whom the token goes to */
	    .rdx = cpu->number ? TOKEN_ROUNDS : UINT32_MAX}; /* CPU 1 keeps the last */

	CHECK(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.cs.base = address;
	sregs.cs.selector = (uint16_t)(address >> 4);
	sregs.ds.base = APIC_PAGE;
	CHECK(ioctl(cpu->fd, KVM_SET_SREGS, &sregs) == 0 && ioctl(cpu->fd, KVM_SET_REGS, &regs) == 0);
}

/* ---- The platform: what libposthorn asks of its embedder ------------------------------------- */

/* The signal's handler.  Wherever the thread is, its next KVM_RUN returns at once. */
static void on_kick(int number)
{
	(void)number;
	if (current)
		current->run->immediate_exit = 1;
}

static uint64_t guest_tsc(struct ph_vcpu *vcpu, void *host)
{
	struct timespec now;

	(void)vcpu, (void)host;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static void expire(struct cpu *cpu)
{
	if (!cpu->deadline || guest_tsc(cpu->vcpu, cpu) < cpu->deadline)
		return;
	cpu->deadline = 0;
	ph_vcpu_timer_expired(cpu->vcpu);
}

/* Inject what was chosen, run, and say whether the next one may come. */
static void enter(struct ph_vcpu *vcpu, void *host)
{
	struct cpu *cpu = host;
	struct ph_event event = ph_vcpu_take_event(vcpu);
	struct kvm_interrupt interrupt = {event.vector};

	if (event.kind == PH_EVENT_INTR)
		CHECK(ioctl(cpu->fd, KVM_INTERRUPT, &interrupt) == 0);
	cpu->run->request_interrupt_window = ph_vcpu_wants_window(vcpu);
	cpu->run->cr8 = ph_cr8_read(vcpu);
	if (ioctl(cpu->fd, KVM_RUN, NULL) < 0) {
		CHECK(errno == EINTR || errno == EAGAIN);
		cpu->run->exit_reason = KVM_EXIT_INTR;
	}
	cpu->run->immediate_exit = 0; /* one that comes late costs an exit for nothing */
	if (cpu->run->cr8 != ph_cr8_read(vcpu)) /* a 64-bit guest's TPR */
		(void)ph_cr8_write(vcpu, cpu->run->cr8);
	ph_vcpu_set_interruptible(vcpu, cpu->run->ready_for_interrupt_injection, false);
	expire(cpu);
}

/* Until wake() or the timer, whose expiry wakes this very vCPU: the semaphore is up then. */
static void sleep_until_woken(struct ph_vcpu *vcpu, void *host)
{
	struct cpu *cpu = host;
	uint64_t end = cpu->deadline ? cpu->deadline : UINT64_MAX / 2;
	struct timespec until = {(time_t)(end / NS), (long)(end % NS)};

	(void)vcpu;
	while (sem_clockwait(&cpu->woken, CLOCK_MONOTONIC, &until) != 0)
		expire(cpu);
}

static void timer_arm(struct ph_vcpu *vcpu, void *host, uint64_t deadline)
{
	struct cpu *cpu = host;
	const struct itimerspec at = {.it_value = {(time_t)(deadline / NS), (long)(deadline % NS)}};

	(void)vcpu;
	cpu->deadline = deadline;
	CHECK(timer_settime(cpu->timer, TIMER_ABSTIME, &at, NULL) == 0);
}

/* clang-format off */
/* No handler of ours calls the library, and a kick is never lost: see on_kick(). */
static void irq_disable_or_enable(void) {}
static uint64_t irq_save(void) { return 0; }
static void irq_restore(uint64_t flags) { (void)flags; }
static struct ph_vcpu *running(void) { return current ? current->vcpu : NULL; }
static void timer_cancel(struct ph_vcpu *vcpu, void *host) { timer_arm(vcpu, host, 0); }
/* INIT leaves the registers to start(); SMI: there is no system-management mode. */
static void nothing(struct ph_vcpu *vcpu, void *host) { (void)vcpu, (void)host; }

static void wake(struct ph_vcpu *v, void *host) { (void)v, sem_post(&((struct cpu *)host)->woken); }
static void notify(struct ph_vcpu *vcpu, void *host, uint32_t pcpu)
{
	(void)vcpu, (void)pcpu, pthread_kill(((struct cpu *)host)->thread, SIGUSR1);
}
static void start(struct ph_vcpu *vcpu, void *host, uint8_t vector)
{
	(void)vcpu, guest_boot(host, (uint32_t)vector << 12);
}
static const struct ph_platform platform = {
	.irq_disable = irq_disable_or_enable, .irq_enable = irq_disable_or_enable,
	.irq_save = irq_save, .irq_restore = irq_restore,
	.enter = enter, .notify = notify, .running = running,
	.sleep = sleep_until_woken, .wake = wake,
	.guest_tsc = guest_tsc, .timer_arm = timer_arm, .timer_cancel = timer_cancel,
	.init = nothing, .start = start, .smi = nothing, .bug = bug,
};
/* clang-format on */

/* ---- The monitor ----------------------------------------------------------------------------- */

static void apic_access(struct cpu *cpu)
{
	uint32_t offset = (uint32_t)cpu->run->mmio.phys_addr - APIC_PAGE, value;
	uint32_t length = cpu->run->mmio.len;

	CHECK(cpu->run->mmio.phys_addr >= APIC_PAGE && offset < 4096 && length <= 4);
	memcpy(&value, cpu->run->mmio.data, 4);
	if (cpu->run->mmio.is_write)
		ph_apic_mmio_write(cpu->vcpu, offset, length, value);
	else
		value = ph_apic_mmio_read(cpu->vcpu, offset, length);
	memcpy(cpu->run->mmio.data, &value, 4);
}

static void *vcpu_thread(void *arg)
{
	struct cpu *cpu = current = arg;
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};

	event._sigev_un._tid = gettid();
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &cpu->timer) == 0);
	ph_vcpu_load(cpu->vcpu, cpu->number);
	do {
		while (ph_vcpu_run(cpu->vcpu) == PH_RUN_EXIT) {
			if (cpu->run->exit_reason == KVM_EXIT_MMIO)
				apic_access(cpu);
			else if (cpu->run->exit_reason == KVM_EXIT_HLT)
				ph_vcpu_halt(cpu->vcpu);
			else /* a kick, or the window that enter() asked for */
				CHECK(cpu->run->exit_reason == KVM_EXIT_INTR ||
				      cpu->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN);
		}
	} while (!(ph_vcpu_take_requests(cpu->vcpu) & REQUEST_STOP));
	ph_vcpu_put(cpu->vcpu);
	return NULL;
}

static void make_cpu(int kvm, int kvm_vm, struct cpu *cpu)
{
	static _Alignas(4096) uint8_t states[VCPU_COUNT][1 << 14], pages[VCPU_COUNT][2][4096];
	const struct ph_vcpu_config config = {.backend = PH_BACKEND_SOFT, .apic_id = cpu->number,
	    .is_bsp = cpu->number == 0, .host = cpu, .apic_page = pages[cpu->number][0],
	    .pid = pages[cpu->number][1]};

	sem_init(&cpu->woken, 0, 0);
	CHECK((cpu->fd = ioctl(kvm_vm, KVM_CREATE_VCPU, cpu->number)) >= 0);
	cpu->run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
	    MAP_SHARED, cpu->fd, 0);
	CHECK(cpu->run != MAP_FAILED && ph_vcpu_size() <= sizeof(states[0]));
	CHECK(ph_vcpu_init(vm, cpu->number, states[cpu->number], &config, &cpu->vcpu) == PH_OK);
	guest_boot(cpu, 0x1000);
}

static void make_vm(int kvm)
{
	static _Alignas(PH_VM_ALIGN) uint8_t state[1 << 16];
	const struct ph_vm_config config = {.platform = &platform, .vcpu_count = VCPU_COUNT,
	    .tsc_khz = 1000000, .apic_timer_khz = 1000000};
	struct kvm_userspace_memory_region region = {.memory_size = 0x10000};
	int kvm_vm = ioctl(kvm, KVM_CREATE_VM, 0);
	struct cpu *cpu;
	uint32_t *vectors;

	memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(kvm_vm >= 0 && memory != MAP_FAILED && ph_vm_size(&config) <= sizeof(state));
	region.userspace_addr = (uintptr_t)memory;
	CHECK(ioctl(kvm_vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
	CHECK(ph_vm_init(state, &config, &vm) == PH_OK);
	memcpy(memory + 0x1000, guest_code, (size_t)(guest_code_end - guest_code));
	vectors = (uint32_t *)(void *)memory;
	vectors[TOKEN_VECTOR] = 0x3000; /* segment 0 */
	vectors[MSI_VECTOR] = 0x3100;
	vectors[TIMER_VECTOR] = 0x3200;
	for (cpu = cpus; cpu < cpus + VCPU_COUNT; cpu++)
		make_cpu(kvm, kvm_vm, cpu);
}

/* A CPU whose APIC is not enabled yet accepts nothing. */
static void send(uint32_t to, uint8_t vector)
{
	const struct ph_msi msi = {.address = APIC_PAGE | to << 12, .data = vector};

	while (ph_msi_post(vm, &msi) != 1)
		sched_yield();
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint32_t msis;

	if (kvm < 0)
		return puts("skipped: no /dev/kvm"), 77;
	signal(SIGUSR1, on_kick);
	make_vm(kvm);
	for (uint32_t i = 0; i < VCPU_COUNT; i++)
		CHECK(pthread_create(&cpus[i].thread, NULL, vcpu_thread, &cpus[i]) == 0);
	/* The device: to each CPU the next MSI once the last one was taken, for two would merge. */
	for (uint32_t i = 0; i < MSI_COUNT; i++) {
		send(i % VCPU_COUNT, MSI_VECTOR);
		while (taken(i % VCPU_COUNT, MSIS) <= i / VCPU_COUNT)
			sched_yield();
		if (i == VCPU_COUNT) /* both CPUs run */
			send(0, TOKEN_VECTOR);
	}
	while (taken(1, TOKENS) < TOKEN_ROUNDS || taken(0, TICKS) < 5)
		sched_yield();
	for (uint32_t i = 0; i < VCPU_COUNT; i++) {
		ph_vcpu_request(cpus[i].vcpu, REQUEST_STOP);
		CHECK(pthread_join(cpus[i].thread, NULL) == 0);
	}
	msis = taken(0, MSIS) + taken(1, MSIS);
	printf("token %u and %u of %u, MSIs %u of %u, ticks %u\n", taken(0, TOKENS), taken(1, TOKENS),
	    TOKEN_ROUNDS, msis, MSI_COUNT, taken(0, TICKS));
	return taken(0, TOKENS) != TOKEN_ROUNDS || taken(1, TOKENS) != TOKEN_ROUNDS || msis != MSI_COUNT;
}
