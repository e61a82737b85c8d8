/* SPDX-License-Identifier: MIT */
/* What there is to say of a vCPU when it, or the host, has gone wrong. */
#include "hypervisor/lib/log.h"
#include "hypervisor/vm/arch.h"
#include "x86/apic.h"
#include "x86/pid.h"
#include "hypervisor/vm/vendor.h"

static void dump_segment(const char *name, const struct vmcb_segment *segment)
{
	log_printf("  %s %04x base %016llx limit %08x attributes %03x", name, segment->selector,
	    (unsigned long long)segment->base, segment->limit, segment->attributes);
}

static void dump_gprs(const struct vcpu *vcpu)
{
	static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi",
	    "rdi", "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15"};
	uint32_t i;

	for (i = 0; i < GPR_COUNT; i += 4)
		log_printf("  %s %016llx %s %016llx %s %016llx %s %016llx", names[i],
		    (unsigned long long)vcpu_gpr(vcpu, i), names[i + 1],
		    (unsigned long long)vcpu_gpr(vcpu, i + 1), names[i + 2],
		    (unsigned long long)vcpu_gpr(vcpu, i + 2), names[i + 3],
		    (unsigned long long)vcpu_gpr(vcpu, i + 3));
}

static void dump_control(const struct vmcb *vmcb)
{
	log_printf("  rip %016llx rflags %08llx cpl %u", (unsigned long long)vmcb->rip,
	    (unsigned long long)vmcb->rflags, vmcb->cpl);
	log_printf("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx",
	    (unsigned long long)vmcb->cr0, (unsigned long long)vmcb->cr2,
	    (unsigned long long)vmcb->cr3, (unsigned long long)vmcb->cr4,
	    (unsigned long long)vmcb->efer);
	log_printf("  exit %llx info %llx %llx int_info %llx inject %llx int_ctl %llx shadow %llx",
	    (unsigned long long)vmcb->exit_code, (unsigned long long)vmcb->exit_info_1,
	    (unsigned long long)vmcb->exit_info_2, (unsigned long long)vmcb->exit_int_info,
	    (unsigned long long)vmcb->event_inj, (unsigned long long)vmcb->interrupt_control,
	    (unsigned long long)vmcb->interrupt_state);
}

static void dump_exits(const struct arch_vcpu *arch)
{
	uint64_t count = arch->exit_total < LAST_EXIT_COUNT ? arch->exit_total : LAST_EXIT_COUNT;
	uint64_t i;

	for (i = arch->exit_total - count; i < arch->exit_total; i++) {
		const struct last_exit *exit = &arch->last_exits[i % LAST_EXIT_COUNT];
		const char *name = vendor->code_name(exit->code);

		log_printf("  exit %llu: %llx (%s) at rip %016llx", (unsigned long long)i,
		    (unsigned long long)exit->code, name ? name : "?", (unsigned long long)exit->rip);
	}
}

static uint32_t apic_word(const struct vcpu *vcpu, uint32_t offset)
{
	return *(const volatile uint32_t *)((const uint8_t *)vcpu->apic_page + offset);
}

/* IRR, ISR or PIR: the words that are not zero. */
static void dump_vectors(const struct vcpu *vcpu, const char *name, uint32_t offset)
{
	uint32_t i;

	for (i = 0; i < 8; i++) {
		uint32_t word = apic_word(vcpu, offset + 16 * i);

		if (word)
			log_printf("  %s[%u..%u] %08x", name, 32 * i + 31, 32 * i, word);
	}
}

static void dump_apic(const struct vcpu *vcpu)
{
	const struct pid *pid = vcpu->pid;
	uint32_t i;

	log_printf("  apic tpr %x ppr %x svr %x icr %x:%08x lvt timer %x", apic_word(vcpu, APIC_TPR),
	    apic_word(vcpu, APIC_PPR), apic_word(vcpu, APIC_SVR), apic_word(vcpu, APIC_ICR2),
	    apic_word(vcpu, APIC_ICR), apic_word(vcpu, APIC_LVT_TIMER));
	log_printf("  apic id %x ldr %x dfr %x", apic_word(vcpu, APIC_ID), apic_word(vcpu, APIC_LDR),
	    apic_word(vcpu, APIC_DFR));
	dump_vectors(vcpu, "irr", APIC_IRR);
	dump_vectors(vcpu, "isr", APIC_ISR);
	for (i = 0; i < 4; i++)
		if (pid->pir[i])
			log_printf("  pir[%u] %016llx", i, (unsigned long long)pid->pir[i]);
	log_printf("  pid control %016llx", (unsigned long long)pid->control);
}

void arch_dump(const struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu_vmcb(vcpu);

	log_printf("%s vcpu %u:", vcpu->vm->name, vcpu->index);
	dump_gprs(vcpu);
	dump_control(vmcb);
	dump_segment("cs  ", &vmcb->cs);
	dump_segment("ss  ", &vmcb->ss);
	dump_segment("ds  ", &vmcb->ds);
	dump_segment("tr  ", &vmcb->tr);
	dump_segment("gdtr", &vmcb->gdtr);
	dump_segment("idtr", &vmcb->idtr);
	dump_apic(vcpu);
	dump_exits(vcpu->arch);
}
