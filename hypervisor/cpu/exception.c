/* SPDX-License-Identifier: MIT */
/* Host exceptions, and NMI as the stop signal of a panic. */
#include "hypervisor/cpu/exception.h"
#include "hypervisor/cpu/instructions.h"
#include "hypervisor/lib/log.h"
#include "hypervisor/lib/panic.h"

#define VECTOR_NMI 2u

static const char *const names[32] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",  "#TS",
	"#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	"22",  "23",  "24",  "25",  "26",  "27",  "#HV", "#VC", "#SX", "31",
};

bool exception_is_code(uint64_t address)
{
	extern char text_start[], rodata_start[];

	return address >= (uint64_t)text_start && address < (uint64_t)rodata_start;
}

void exception_print(const struct exception_frame *f)
{
	log_printf("panic: rip=%016lx rsp=%016lx rflags=%016lx", f->rip, f->rsp, f->rflags);
	log_printf("panic: rax=%016lx rbx=%016lx rcx=%016lx rdx=%016lx", f->rax, f->rbx, f->rcx,
	    f->rdx);
	log_printf("panic: rsi=%016lx rdi=%016lx rbp=%016lx r8 =%016lx", f->rsi, f->rdi, f->rbp,
	    f->r8);
	log_printf("panic: r9 =%016lx r10=%016lx r11=%016lx r12=%016lx", f->r9, f->r10, f->r11,
	    f->r12);
	log_printf("panic: r13=%016lx r14=%016lx r15=%016lx", f->r13, f->r14, f->r15);
}

void exception_print_control(void)
{
	log_printf("panic: cr0=%016lx cr2=%016lx cr3=%016lx cr4=%016lx", cr0_read(), cr2_read(),
	    cr3_read(), cr4_read());
}

static void die(const struct exception_frame *frame, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(const struct exception_frame *frame, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	panic_with_frame(frame, format, arguments);
}

void exception_handle(const struct exception_frame *frame)
{
	if (frame->vector == VECTOR_NMI) {
		while (panic_is_active())
			__asm__ volatile("cli; hlt");
		log_printf("NMI at rip=0x%lx: nobody asked for it; going on", frame->rip);
		return;
	}
	die(frame, "exception %s error=0x%lx rip=0x%lx cr2=0x%lx", names[frame->vector & 31],
	    frame->error, frame->rip, cr2_read());
}
