/* SPDX-License-Identifier: MIT */
/* What the board needs of the rest of the hypervisor, faked: time, timers, lines, consoles. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/main/console.h"

struct fake fake;

static struct timer *queue;

uint64_t clock_now(void)
{
	return fake.now;
}

uint64_t tsc_khz(void)
{
	return FAKE_TSC_KHZ;
}

bool timer_cancel(struct timer *timer)
{
	struct timer **at;

	for (at = &queue; *at != NULL; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			timer->is_queued = false;
			return true;
		}
	}
	return false;
}

void timer_cancel_sync(struct timer *timer)
{
	timer_cancel(timer);
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	struct timer **at;

	timer_cancel(timer);
	timer->deadline = deadline;
	timer->is_queued = true;
	for (at = &queue; *at != NULL && (*at)->deadline <= deadline; at = &(*at)->next)
		continue;
	timer->next = *at;
	*at = timer;
}

void fake_advance(uint64_t ticks)
{
	uint64_t end = fake.now + ticks;

	while (queue != NULL && queue->deadline <= end) {
		struct timer *timer = queue;

		if (timer->deadline > fake.now)
			fake.now = timer->deadline;
		timer_cancel(timer);
		fake.timer_fired_count++;
		timer->fn(timer->arg);
	}
	fake.now = end;
}

bool fake_is_armed(void)
{
	return queue != NULL;
}

int ph_gsi_set(struct ph_vm *vm, uint32_t gsi, uint32_t user, bool level)
{
	(void)vm;
	assert_in_range(gsi, 0, FAKE_GSIS - 1);
	assert_in_range(user, 0, 1);
	if (level && !fake.levels[gsi][0] && !fake.levels[gsi][1])
		fake.rise_count[gsi]++;
	fake.levels[gsi][user] = level;
	return PH_OK;
}

uint8_t ph_pic_read(struct ph_vm *vm, uint16_t port)
{
	(void)vm;
	fake.pic_port = port;
	return 0x5a;
}

void ph_pic_write(struct ph_vm *vm, uint16_t port, uint8_t value)
{
	(void)vm;
	fake.pic_port = port;
	fake.pic_value = value;
}

uint32_t ph_ioapic_read(struct ph_vm *vm, uint32_t offset)
{
	(void)vm;
	fake.ioapic_offset = offset;
	return 0x12345678;
}

void ph_ioapic_write(struct ph_vm *vm, uint32_t offset, uint32_t value)
{
	(void)vm;
	fake.ioapic_offset = offset;
	fake.ioapic_value = value;
}

void vm_stop(struct vm *vm, enum vm_stop_reason reason, int code, const char *text)
{
	assert_ptr_equal(vm, &fake.vm);
	assert_null(text);
	fake.stop_count++;
	fake.stop_reason = reason;
	fake.stop_code = code;
}

void console_output(struct vm *vm, uint8_t byte)
{
	assert_ptr_equal(vm, &fake.vm);
	assert_in_range(fake.console_length, 0, sizeof(fake.console) - 2);
	fake.console[fake.console_length++] = (char)byte;
}

int fake_setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	queue = NULL;
	fake.now = 12345; /* the TSC is not 0 when a board is made */
	fake.vm.cpu_count = 3;
	fake.vm.ram_low_bytes = 512ull << 20;
	fake.vm.ram_high_bytes = 0;
	board_init(&fake.board, &fake.vm, FAKE_DATE);
	return 0;
}

uint8_t fake_in8(uint16_t port)
{
	uint32_t value = 0;

	assert_true(board_io_read(&fake.vm, NULL, port, 1, &value));
	assert_in_range(value, 0, 0xff);
	return (uint8_t)value;
}

void fake_out8(uint16_t port, uint8_t value)
{
	assert_true(board_io_write(&fake.vm, NULL, port, 1, value));
}
