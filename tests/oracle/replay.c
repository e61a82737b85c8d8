/* SPDX-License-Identifier: MIT */
/*
 * Replay records of foreign APICs (guests/apic_record.c, made by tools/record-apic.sh) against
 * core/: every step's result and every register after it must be the same, or a difference that is
 * listed.  Behind a listed difference core/ takes over the oracle's registers, so that each is seen
 * by itself.
 */
#include "tests/fuzz/world.h"
#include "tests/oracle/differences.h"
#include "x86/apic.h"
#include "x86/msr.h"

#include <string.h>

#define GP       UINT64_MAX
#define LINE_MAX 4096
#define HISTORY  8u

static const uint16_t shown[] = {0x020, 0x080, 0x0a0, 0x0d0, 0x0e0, 0x0f0, 0x100, 0x110, 0x120,
    0x130, 0x140, 0x150, 0x160, 0x170, 0x180, 0x190, 0x1a0, 0x1b0, 0x1c0, 0x1d0, 0x1e0, 0x1f0,
    0x200, 0x210, 0x220, 0x230, 0x240, 0x250, 0x260, 0x270, 0x280, 0x300, 0x310, 0x320, 0x330,
    0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};

/* The oracle, as its record says it is. */
static struct {
	char name;
	uint64_t base;
	uint32_t regs[64];
	uint64_t entries[PH_IOAPIC_PINS];
} oracle;

static struct ph_vcpu *vcpu;
static char taken[1024];
static unsigned step_count, listed_count, unlisted_count;
static unsigned used[64];
static char history[HISTORY][LINE_MAX];
static const char *file_name;
static unsigned line_number;

/* ---- core/ --------------------------------------------------------------------------------- */

static bool has_taken;

static void guest(struct world_vcpu *own)
{
	struct ph_event event = ph_vcpu_take_event(own->vcpu);

	has_taken = event.kind != PH_EVENT_NONE;
	if (has_taken)
		snprintf(
		    taken + strlen(taken), sizeof(taken) - strlen(taken), " %02x", event.vector);
}

static void window(void)
{
	ph_vcpu_set_interruptible(vcpu, true, true);
	do
		world_run(0);
	while (has_taken);
	ph_vcpu_set_interruptible(vcpu, false, true);
}

static bool is_x2apic(void)
{
	return oracle.base & APIC_BASE_X2APIC;
}

static bool is_on(void)
{
	return oracle.base & APIC_BASE_ENABLE;
}

static uint64_t msr_read(uint32_t offset)
{
	uint64_t value = 0;

	return ph_apic_msr_read(vcpu, 0x800 + offset / 16, &value) == PH_OK ? value : GP;
}

static uint32_t core_register(uint32_t offset)
{
	if (!is_x2apic())
		return ph_apic_mmio_read(vcpu, offset, 4);
	if (offset == APIC_DFR)
		return 0;
	if (offset == APIC_ICR2)
		return (uint32_t)(msr_read(APIC_ICR) >> 32);
	return (uint32_t)msr_read(offset);
}

static uint32_t ioapic_read(uint32_t index)
{
	ph_ioapic_write(world.vm, IOAPIC_REGSEL, index);
	return ph_ioapic_read(world.vm, IOAPIC_WINDOW);
}

static uint64_t core_entry(uint32_t pin)
{
	return ioapic_read(IOAPIC_TABLE + 2 * pin) |
	       (uint64_t)ioapic_read(IOAPIC_TABLE + 2 * pin + 1) << 32;
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	ph_ioapic_write(world.vm, IOAPIC_REGSEL, index);
	ph_ioapic_write(world.vm, IOAPIC_WINDOW, value);
}

/* Take over what the oracle has. */
static void resynchronize(void)
{
	struct ph_kvm_lapic_state lapic = {{0}};
	struct ph_kvm_ioapic_state ioapic;
	const struct ph_kvm_lapic_beside beside = {.apic_base = oracle.base, .ids_are_32bit = true};

	for (uint32_t i = 0; i < 64; i++) {
		for (uint32_t byte = 0; byte < 4; byte++)
			lapic.regs[i * 16 + byte] = (uint8_t)(oracle.regs[i] >> 8 * byte);
	}
	if (is_on())
		FUZZ_CHECK(ph_vcpu_import_kvm_lapic(vcpu, &lapic, &beside) == PH_OK);
	ph_vm_export_kvm_ioapic(world.vm, &ioapic);
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++)
		ioapic.redirtbl[pin] = oracle.entries[pin] & 0xff0000000001ffffull;
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		if (!(ioapic.redirtbl[pin] & IOAPIC_RTE_LEVEL) || ioapic.redirtbl[pin] & 0x600)
			ioapic.redirtbl[pin] &= ~IOAPIC_RTE_REMOTE_IRR;
	}
	FUZZ_CHECK(ph_vm_import_kvm_ioapic(world.vm, &ioapic) == PH_OK);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static void report(const struct difference_case *c)
{
	unlisted_count++;
	printf("# %s:%u: unlisted difference: ", file_name, line_number);
	if (c->is_result)
		printf("the result");
	else
		printf("register %03x", c->reg);
	printf(": core %llx, oracle %llx\n", (unsigned long long)c->ours,
	    (unsigned long long)c->theirs);
	for (uint32_t i = 0; i < HISTORY; i++)
		printf("#   %s\n", history[(step_count + 1 + i) % HISTORY]);
}

/* True: they are the same. */
static bool compare(struct difference_case *c)
{
	if (c->ours == c->theirs)
		return true;
	for (size_t i = 0; i < difference_count; i++) {
		if (differences[i].is_this(c)) {
			used[i]++;
			listed_count++;
			return false;
		}
	}
	report(c);
	return false;
}

static void compare_all(struct difference_case *c)
{
	bool is_same = true;

	/* The guest is entered before it reads a register: what was posted gets into IRR. */
	world_run(0);

	c->is_result = false;
	for (size_t i = 0; is_on() && i < sizeof(shown) / sizeof(shown[0]); i++) {
		c->reg = shown[i];
		c->ours = core_register(shown[i]);
		c->theirs = oracle.regs[shown[i] / 16];
		is_same &= compare(c);
	}
	for (uint32_t pin = 0; pin < PH_IOAPIC_PINS; pin++) {
		c->reg = DIFFERENCE_ENTRY + pin;
		c->ours = core_entry(pin);
		c->theirs = oracle.entries[pin];
		is_same &= compare(c);
	}
	if (!is_same)
		resynchronize();
}

/* "320=000100d8", "e05=0000000000010870". */
static void read_changes(char *text)
{
	for (char *token = strtok(text, " \n"); token; token = strtok(NULL, " \n")) {
		char *equals = strchr(token, '=');
		uint32_t at;

		if (!equals)
			continue;
		at = (uint32_t)strtoul(token[0] == 'e' ? token + 1 : token, NULL, 16);
		if (token[0] == 'e')
			oracle.entries[at % PH_IOAPIC_PINS] = strtoull(equals + 1, NULL, 16);
		else
			oracle.regs[at / 16 % 64] = (uint32_t)strtoul(equals + 1, NULL, 16);
	}
}

/* ---- Steps --------------------------------------------------------------------------------- */

/* Does it; the result in *ours where there is one. */
static bool do_step(struct difference_case *c, uint64_t *ours)
{
	uint32_t value = (uint32_t)c->value;

	switch (c->op) {
	case 'w':
		ph_apic_mmio_write(vcpu, c->offset, 4, value);
		return false;
	case 'r':
		*ours = ph_apic_mmio_read(vcpu, c->offset, 4);
		return true;
	case 'W':
		*ours = ph_apic_msr_write(vcpu, 0x800 + c->offset / 16, c->value) == PH_OK ? 0 : GP;
		return true;
	case 'R':
		*ours = msr_read(c->offset);
		return true;
	case 'c':
		FUZZ_CHECK(ph_cr8_write(vcpu, c->offset) == PH_OK);
		return false;
	case 'o':
		ioapic_write(c->offset, value);
		return false;
	case 'l':
		FUZZ_CHECK(ph_gsi_set(world.vm, c->offset, 0, value) == PH_OK);
		return false;
	default: /* b */
		*ours = ph_apic_msr_write(vcpu, MSR_APIC_BASE, c->value) == PH_OK ? 0 : GP;
		return true;
	}
}

static uint64_t result_of(const char *text)
{
	if (strncmp(text, "gp", 2) == 0)
		return GP;
	return strncmp(text, "ok", 2) == 0 ? 0 : strtoull(text, NULL, 16);
}

static void run_window(struct difference_case *c, const char *result)
{
	size_t length = strcspn(result, ".");

	taken[0] = 0;
	window();
	strcat(taken, " ");
	c->is_result = true;
	c->ours = 0;
	c->theirs = strlen(taken) == length && memcmp(taken, result, length) == 0 ? 0 : 1;
	(void)compare(c);
}

static void run_step(char *line)
{
	struct difference_case c = {.oracle = oracle.name,
	    .op = line[0],
	    .is_x2apic = is_x2apic(),
	    .is_enabled = oracle.regs[APIC_SVR / 16] & APIC_SVR_ENABLE};
	char *result = strstr(line, "=>"), *changes;
	char *end;
	uint64_t ours = 0;

	c.offset = (uint32_t)strtoul(line + 1, &end, c.op == 'l' ? 10 : 16);
	c.value = strtoull(end, NULL, 16);
	if (c.op == 'b')
		c.value = c.offset;
	if (c.op == 'i') {
		run_window(&c, result + 2);
	} else if (do_step(&c, &ours)) {
		c.is_result = true;
		c.ours = ours;
		c.theirs = result_of(result + 3);
		c.is_denied_there = c.ours != GP && c.theirs == GP;
		c.is_allowed_there = c.ours == GP && c.theirs != GP;
		(void)compare(&c);
		if (c.op == 'b' && c.theirs != GP)
			oracle.base = c.value;
	}
	changes = result ? strchr(result + 3, ' ') : c.op == 'c' ? end : strchr(end + 1, ' ');
	if (changes)
		read_changes(changes);
	compare_all(&c);
}

static void run_record(const char *path)
{
	const struct world_config config = {.backend = PH_BACKEND_SOFT, .vcpu_count = 1};
	char line[LINE_MAX];
	FILE *file = fopen(path, "r");

	FUZZ_CHECK(file);
	file_name = path;
	line_number = 0;
	memset(&oracle, 0, sizeof(oracle));
	oracle.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP;
	world_make(&config);
	world.guest = guest;
	vcpu = world.vcpus[0].vcpu;
	while (fgets(line, sizeof(line), file) && strncmp(line, "end", 3) != 0) {
		line[strcspn(line, "\r\n")] = 0;
		line_number++;
		if (strncmp(line, "# oracle ", 9) == 0) {
			oracle.name = line[9];
		} else if (strncmp(line, "begin", 5) == 0) {
			/* The mode as in IA32_APIC_BASE. */
			oracle.base |= (strtoull(line + 5, NULL, 10) & 1) << 10;
			read_changes(line + 5);
			resynchronize();
		} else if (line[0] && line[0] != '#') {
			step_count++;
			snprintf(history[step_count % HISTORY], LINE_MAX, "%s", line);
			run_step(line);
		}
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	unsigned stale_count = 0;

	for (int i = 1; i < argc; i++)
		run_record(argv[i]);
	for (size_t i = 0; i < difference_count; i++) {
		printf("# %5u times: %s\n", used[i], differences[i].name);
		stale_count += used[i] == 0;
	}
	printf("# %u steps, %u listed differences, %u unlisted, %u listed and never seen\n",
	    step_count, listed_count, unlisted_count, stale_count);
	printf("%s 1 - as the oracle says, or listed\n1..1\n",
	    step_count && !unlisted_count && !stale_count ? "ok" : "not ok");
	return step_count && !unlisted_count && !stale_count ? 0 : 1;
}
