/* SPDX-License-Identifier: MIT */
/* What the vCPUs of a VM share: routes, APIC identities, the 8259, reasons against fast delivery.
 */
#include "core/sites.h"
#include "lab/machine.h"
#include "x86/apic.h"
#include "x86/msr.h"

#define OLD_VECTOR  0x51u
#define NEW_VECTOR  0x61u
#define MSI(vcpu)   (MSI_ADDRESS_BASE | (uint64_t)(vcpu) << MSI_ADDRESS_DEST_SHIFT)
#define NEW_APIC_ID 5u

static const uint8_t spins[] = {GUEST_SPIN};
static const uint8_t exits[] = {GUEST_EXIT, GUEST_SPIN};
static const uint8_t late_halts[] = {GUEST_EXIT, GUEST_HALT};

/* ---- A route is replaced while others deliver by it ---- */

static void set_route(uint32_t vcpu, uint32_t vector)
{
	struct ph_route route = {
	    .kind = PH_ROUTE_MSI,
	    .ioapic_pin = -1,
	    .pic_pin = -1,
	    .msi = {MSI(vcpu), vector},
	};

	lab_check(ph_route_set(machine_vm(), &route, 1) == PH_OK, "route refused");
}

static void replaces(void *arg)
{
	(void)arg;
	set_route(1, NEW_VECTOR);
}

static void raises(void *arg)
{
	(void)arg;
	(void)ph_gsi_set(machine_vm(), 0, 0, true);
	(void)ph_gsi_set(machine_vm(), 0, 0, false);
}

static void setup_route(const struct lab_params *params)
{
	static const char *const names[] = {"device 0", "device 1", "device 2"};

	machine_make();
	set_route(0, OLD_VECTOR);
	lab_cpu("router", replaces, NULL);
	for (uint32_t i = 0; i < params->sender_count; i++)
		lab_cpu(names[i], raises, NULL);
}

static bool has_pir(uint32_t vcpu, uint32_t vector)
{
	return machine_pid(vcpu)->pir[vector / 64] >> (vector % 64) & 1;
}

static void no_mixture(void)
{
	lab_check(!has_pir(0, NEW_VECTOR) && !has_pir(1, OLD_VECTOR),
	    "half of the old route and half of the new one");
}

static void one_of_them(void)
{
	lab_check(has_pir(0, OLD_VECTOR) || has_pir(1, NEW_VECTOR), "no route at all");
}

static const struct machine_config two_targets = {.program = spins, .vcpu_count = 2};
LAB_SCENARIO(route_change) = {
    .name = "route-change",
    .question = "does an interrupt see the old route or the new one, never half of each?",
    .bounds = "2 vCPUs at rest, 1 route replaced once, a table of 1 GSI, 1 edge a device",
    .sender_default = 2,
    .sender_max = 3,
    .data = &two_targets,
    .setup = setup_route,
    .invariant = no_mixture,
    .quiescent = one_of_them,
};

LAB_SCENARIO(route_mutant) = {
    .name = "mutant-route-mixture",
    .mutant_of_bug = 0xffff,
    .question = "does the lab see a route that is read while it is replaced?",
    .bounds = "the reader does not look at the sequence again",
    .sender_default = 1,
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .data = &two_targets,
    .weakenings = {{SITE_LATCH_RECHECK, LAB_LEFT_OUT}},
    .setup = setup_route,
    .invariant = no_mixture,
    .quiescent = one_of_them,
};

/* ---- An APIC's ID changes while others send to it ---- */

static uint32_t *id_has_changed;

static void changes_id(void *arg)
{
	(void)arg;
	ph_apic_mmio_write(machine_vcpu(0), APIC_ID, 4, NEW_APIC_ID << 24);
	LAB_STORE(id_has_changed, 1);
}

static void sends_to_new_id(void *arg)
{
	struct ph_msi msi = {MSI(NEW_APIC_ID), OLD_VECTOR};
	bool must_arrive = LAB_LOAD(id_has_changed);
	int accepted = ph_msi_post(machine_vm(), &msi);

	(void)arg;
	lab_check(accepted == 1 || !must_arrive, "the new ID is in force, and nobody answers");
}

static void sends_to_old_id(void *arg)
{
	struct ph_msi msi = {MSI(0), NEW_VECTOR};
	bool must_not_arrive = LAB_LOAD(id_has_changed);
	int accepted = ph_msi_post(machine_vm(), &msi);

	(void)arg;
	lab_check(accepted == 0 || !must_not_arrive, "the old ID is gone, and somebody answers");
}

static void setup_identity(const struct lab_params *params)
{
	static const char *const names[] = {"to the new ID", "to the old ID", "to the new ID too"};
	uint64_t off = APIC_DEFAULT_BASE | APIC_BASE_BSP, on = off | APIC_BASE_ENABLE;

	machine_make();
	id_has_changed = lab_alloc(sizeof(*id_has_changed), "changed");
	lab_check(ph_apic_msr_write(machine_vcpu(0), MSR_APIC_BASE, off) == PH_OK &&
	              ph_apic_msr_write(machine_vcpu(0), MSR_APIC_BASE, on) == PH_OK,
	    "no xAPIC");
	ph_apic_mmio_write(machine_vcpu(0), APIC_SVR, 4, 0x1ff);
	lab_cpu("owner", changes_id, NULL);
	for (uint32_t i = 0; i < params->sender_count; i++)
		lab_cpu(names[i], i == 1 ? sends_to_old_id : sends_to_new_id, NULL);
}

static void nothing(void)
{
}

static const struct machine_config one_target = {.program = spins};
LAB_SCENARIO(identity_change) = {
    .name = "identity-change",
    .question = "does an APIC answer to its new ID, and only to it, once the change is done?",
    .bounds = "1 vCPU at rest, its xAPIC ID written once, 1 message a sender",
    .sender_default = 2,
    .sender_max = 3,
    .data = &one_target,
    .setup = setup_identity,
    .quiescent = nothing,
};

/* ---- The 8259 ---- */

static const struct machine_config pic = {.program = spins, .pic = true};
LAB_SCENARIO(pic_spin) = {
    .name = "pic-spin",
    .question = "does the 8259's interrupt reach a vCPU that never exits by itself?",
    .bounds = "1 vCPU, SVM, LINT0 in ExtINT mode, 1 line raised by each sender",
    .sender_default = 2,
    .sender_max = 2,
    .data = &pic,
    MACHINE_SCENARIO,
};

static const struct machine_config late_pic = {.program = exits, .pic = true, .late_pic = true};
LAB_SCENARIO(pic_late) = {
    .name = "pic-late",
    .question = "is INTR seen when it rises while the guest unmasks LINT0?",
    .bounds = "1 vCPU, SVM, LINT0 unmasked once, 1 line",
    .sender_default = 1,
    .sender_max = 2,
    .data = &late_pic,
    MACHINE_SCENARIO,
};

static const struct machine_config pic_wakes = {
    .program = late_halts, .pic = true, .late_pic = true};
LAB_SCENARIO(pic_halt) = {
    .name = "pic-halt",
    .question = "does the 8259's interrupt wake a vCPU that has just unmasked LINT0? (bug 26)",
    .bounds = "1 vCPU, SVM, LINT0 unmasked once, HLT, 1 line",
    .sender_default = 1,
    .sender_max = 2,
    .data = &pic_wakes,
    MACHINE_SCENARIO,
};

/* ---- Reasons against the fast delivery ---- */

static void uses_option(void *arg)
{
	(void)arg;
	ph_vm_inhibit(machine_vm(), PH_INHIBIT_OPTION, true);
	ph_vm_inhibit(machine_vm(), PH_INHIBIT_OPTION, false);
}

static void uses_host(void *arg)
{
	(void)arg;
	ph_vm_inhibit(machine_vm(), PH_INHIBIT_HOST, true);
	ph_vm_inhibit(machine_vm(), PH_INHIBIT_HOST, false);
}

static void setup_reasons(const struct lab_params *params)
{
	(void)params;
	machine_make();
	lab_cpu("option", uses_option, NULL);
	lab_cpu("host", uses_host, NULL);
}

static void no_reason_left(void)
{
	lab_check(!ph_vcpu_inhibits(machine_vcpu(0)), "a reason that was taken back stayed behind");
}

static const struct machine_config posted = {
    .program = spins, .is_vmx = true, .delivery = PH_DELIVERY_POSTED};
LAB_SCENARIO(inhibit_reasons) = {
    .name = "inhibit-reasons",
    .question = "is every reason gone that was taken back, though two come and go at once?",
    .bounds = "1 vCPU at rest, VMX posted, 2 CPUs with a reason each",
    .data = &posted,
    .setup = setup_reasons,
    .quiescent = no_reason_left,
};

/* ---- An image is put into a vCPU that others post to ---- */

static const struct machine_config imports = {.program = spins, .imports = true};
LAB_SCENARIO(import_posted) = {
    .name = "import-post",
    .question = "is no post lost that comes while the vCPU is saved and put back?",
    .bounds = "1 vCPU, SVM, saved and put back before it runs, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 3,
    .data = &imports,
    MACHINE_SCENARIO,
};

static const struct machine_config imports_level = {
    .program = spins, .imports = true, .level = true};
LAB_SCENARIO(import_level) = {
    .name = "import-level",
    .question = "is no level-triggered interrupt lost that comes meanwhile?",
    .bounds = "1 vCPU, SVM, saved and put back before it runs, 1 interrupt a sender",
    .sender_default = 2,
    .sender_max = 2,
    .data = &imports_level,
    MACHINE_SCENARIO,
};

static const struct machine_config imports_lint = {.program = spins, .imports = true, .lint = true};
LAB_SCENARIO(import_lint) = {
    .name = "import-lint",
    .question = "is no edge of a LINT pin lost that comes meanwhile?",
    .bounds = "1 vCPU, SVM, saved and put back before it runs, each sender pulses a pin",
    .sender_default = 2,
    .sender_max = 2,
    .data = &imports_lint,
    MACHINE_SCENARIO,
};
