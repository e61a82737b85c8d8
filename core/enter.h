/* SPDX-License-Identifier: MIT */
/* What enter.c lends to the rest of the core. */
#ifndef CORE_ENTER_H
#define CORE_ENTER_H

#include "core/vcpu.h"

/* Put the vCPU's events and activity into their state after power-up or INIT.  Owner. */
void enter_reset(struct ph_vcpu *vcpu);

/* Is an ExtINT waiting?  PIC first: its INTR pin does not take part in the APIC's priorities. */
bool enter_has_extint(const struct ph_vcpu *vcpu);

#endif
