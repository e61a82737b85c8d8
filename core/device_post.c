/* SPDX-License-Identifier: MIT */
/* Devices that post by themselves (VT-d): SN, NV and NDST of the descriptor, and waking sleepers. */
#include "core/delivery.h"
#include "core/post.h"

/*
 * A device posts: PIR, then, unless SN or ON is set, ON and vector NV to NDST (VT-d, "Interrupt-Posting
 * Hardware Operation").  So the descriptor always says where this vCPU can be found:
 * - on a pCPU: NV = notification vector, NDST = that pCPU, SN clear;
 * - asleep: NV = wakeup vector, on the wake list of pCPU NDST, SN clear;
 * - runnable but not running: SN set, for it will look at PIR when it is loaded.
 */

static bool device_post_is_used(const struct ph_vcpu *vcpu)
{
	return vcpu->vm->config.pcpus != NULL;
}

/* Change the control word as a whole: clear `clear`, then set `set`; senders change ON meanwhile. */
static void device_post_change(struct ph_vcpu *vcpu, uint64_t clear, uint64_t set)
{
	uint64_t *control = &vcpu->pid->control;
	uint64_t before = shared64_load(control, NONE);

	for (;;) {
		uint64_t found = shared64_cmpxchg(control, before, (before & ~clear) | set, PID_CHANGE);

		if (found == before)
			return;
		before = found;
	}
}

static uint64_t device_post_nv(uint8_t vector)
{
	return (uint64_t)vector << PID_NV_SHIFT;
}

void device_post_load(struct ph_vcpu *vcpu, uint32_t pcpu)
{
	const struct ph_vm_config *config = &vcpu->vm->config;

	if (!device_post_is_used(vcpu))
		return;
	/* Asleep until now: NV stays the wakeup vector until device_post_sleep_end(). */
	device_post_change(vcpu, PID_SN | PID_NDST_MASK | (vcpu->wake_pcpu ? 0 : PID_NV_MASK),
	    (uint64_t)config->pcpus[pcpu]->ndst << PID_NDST_SHIFT |
		(vcpu->wake_pcpu ? 0 : device_post_nv(config->notification_vector)));
	/* While SN was set devices set PIR alone: ON is for us to set (facts/bugs.md 5). */
	if (!SHARED_STEP(PID_AFTER_SN))
		return;
	for (uint32_t word = 0; word < 4; word++) {
		if (shared64_load(&vcpu->pid->pir[word], PID_PIR_AFTER_SN)) {
			device_post_change(vcpu, 0, PID_ON);
			return;
		}
	}
}

void device_post_put(struct ph_vcpu *vcpu)
{
	/* On a wake list, NV is the wakeup vector and SN must stay clear: either, never both. */
	if (device_post_is_used(vcpu) && !vcpu->wake_pcpu)
		device_post_change(vcpu, 0, PID_SN);
}

void device_post_sleep_begin(struct ph_vcpu *vcpu)
{
	struct ph_pcpu *pcpu;
	uint64_t flags;

	if (!device_post_is_used(vcpu))
		return;
	pcpu = vcpu->vm->config.pcpus[shared32_load(&vcpu->shared.pcpu, NONE)];
	flags = shared_lock_take(&pcpu->lock, vcpu->platform);
	vcpu->wake_next = pcpu->first;
	pcpu->first = vcpu;
	shared_lock_drop(&pcpu->lock, vcpu->platform, flags);
	vcpu->wake_pcpu = pcpu;
	/*
	 * On the list first, then NV: a wakeup vector finds it there.  A device that was faster set ON
	 * and used the notification vector, which nobody handles; the recheck that follows sees ON.
	 */
	device_post_change(vcpu, PID_NV_MASK, device_post_nv(vcpu->vm->config.wakeup_vector));
}

void device_post_sleep_end(struct ph_vcpu *vcpu)
{
	struct ph_pcpu *pcpu = vcpu->wake_pcpu;
	struct ph_vcpu **link;
	uint64_t flags;

	if (!pcpu)
		return;
	device_post_change(vcpu, PID_NV_MASK, device_post_nv(vcpu->vm->config.notification_vector));
	flags = shared_lock_take(&pcpu->lock, vcpu->platform);
	for (link = &pcpu->first; *link != vcpu; link = &(*link)->wake_next)
		PH_BUG_ON(vcpu, !*link);
	*link = vcpu->wake_next;
	shared_lock_drop(&pcpu->lock, vcpu->platform, flags);
	vcpu->wake_pcpu = NULL;
}

size_t ph_pcpu_size(void)
{
	return sizeof(struct ph_pcpu);
}

struct ph_pcpu *ph_pcpu_init(void *memory, const struct ph_platform *platform, uint32_t ndst)
{
	struct ph_pcpu *pcpu = memory;

	pcpu->platform = platform;
	pcpu->ndst = ndst;
	return pcpu;
}

void ph_pcpu_wakeup(struct ph_pcpu *pcpu)
{
	uint64_t flags = shared_lock_take(&pcpu->lock, pcpu->platform);

	for (struct ph_vcpu *vcpu = pcpu->first; vcpu; vcpu = vcpu->wake_next) {
		if (post_is_on(vcpu))
			post_wake(vcpu);
	}
	shared_lock_drop(&pcpu->lock, pcpu->platform, flags);
}
