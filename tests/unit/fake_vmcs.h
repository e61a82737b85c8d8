/* SPDX-License-Identifier: MIT */
/* The harness's vCPU on the VMX backend, over a VMCS that is an array. */
#ifndef TESTS_UNIT_FAKE_VMCS_H
#define TESTS_UNIT_FAKE_VMCS_H

#include <string.h>

#include "tests/unit/harness.h"
#include "core/backend.h"
#include "core/lapic.h"
#include "x86/vmcs.h"

static uint64_t fake_vmcs[0x7000];
static uint32_t fake_vmcs_write_count;
static enum ph_delivery fake_delivery; /* of the last set_delivery() */
static uint32_t fake_delivery_count;
static struct ph_platform fake_platform;

static uint64_t fake_vmcs_read(const struct ph_vcpu *vcpu, void *host, uint32_t field)
{
	(void)vcpu;
	(void)host;
	return fake_vmcs[field];
}

static void fake_vmcs_write(const struct ph_vcpu *vcpu, void *host, uint32_t field, uint64_t value)
{
	(void)vcpu;
	(void)host;
	fake_vmcs_write_count++;
	fake_vmcs[field] = value;
}

static void fake_set_delivery(struct ph_vcpu *vcpu, void *host, enum ph_delivery delivery)
{
	(void)vcpu;
	(void)host;
	fake_delivery = delivery;
	fake_delivery_count++;
}

#define RFLAGS_IF (1ull << 9)

/* Controls as an embedder wrote them: they are to be kept. */
#define FAKE_PIN_BASED 0x3fu
#define FAKE_PRIMARY   0xb5a0f1f2u

/* A vCPU whose hardware has `best`; the switch to it is still a pending request. */
static inline struct ph_vcpu *fake_vmx_vcpu(enum ph_delivery best)
{
	const struct ph_vcpu_config like = {
	    .backend = PH_BACKEND_VMX,
	    .delivery = best,
	    .inhibits = best == PH_DELIVERY_POSTED ? 0 : 1u << PH_INHIBIT_OPTION,
	    .pin_based = FAKE_PIN_BASED,
	    .primary = FAKE_PRIMARY,
	};
	struct ph_vcpu *vcpu;

	memset(fake_vmcs, 0, sizeof(fake_vmcs));
	fake_vmcs[VMCS_PIN_BASED] = FAKE_PIN_BASED;
	fake_vmcs[VMCS_PRIMARY] = FAKE_PRIMARY;
	fake_vmcs_write_count = 0;
	fake_delivery = PH_DELIVERY_INJECTED;
	fake_delivery_count = 0;
	fake_platform = harness_platform;
	fake_platform.vmcs_read = fake_vmcs_read;
	fake_platform.vmcs_write = fake_vmcs_write;
	fake_platform.set_delivery = fake_set_delivery;
	harness_create(&(struct harness_config){.platform = &fake_platform, .vcpu = &like});
	vcpu = harness_vcpu(0);
	ph_apic_mmio_write(vcpu, APIC_SVR, 4, APIC_SVR_ENABLE | 0xff);
	fake_vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_IF | 2;
	fake_vmcs[VMCS_GUEST_CR0] = 1;
	return vcpu;
}

#endif
