/* SPDX-License-Identifier: MIT */
/* Self-check: the classic lost wake-up: check, then sleep, against set, then wake. */
#include "lab/lab.h"

enum { RIGHT, NO_FENCE, NO_RECHECK };
static const int variants[] = {RIGHT, NO_FENCE, NO_RECHECK};

struct world {
	uint32_t work, is_asleep, wake_count, is_done;
};
static struct world *w;

static bool is_woken(void *arg)
{
	(void)arg;
	return w->wake_count > 0;
}

static void sleeper(void *arg)
{
	int variant = *(const int *)lab_scenario_now()->data;

	(void)arg;
	while (!LAB_LOAD(&w->work)) {
		LAB_STORE(&w->is_asleep, 1);
		if (variant == RIGHT)
			LAB_FENCE();
		if (variant != NO_RECHECK && LAB_LOAD(&w->work))
			break;
		lab_wait(is_woken, NULL, "wakes up");
		w->wake_count--;
	}
	w->is_done = 1;
}

static void waker(void *arg)
{
	(void)arg;
	LAB_XCHG(&w->work, 1);
	if (LAB_LOAD(&w->is_asleep)) {
		lab_hardware_step(LAB_NOTHING_DRAINS, "sends a wake-up");
		w->wake_count++;
	}
}

static void setup(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_name(&w->work, 4, "work");
	lab_name(&w->is_asleep, 4, "is_asleep");
	lab_cpu("sleeper", sleeper, NULL);
	lab_cpu("waker", waker, NULL);
}

static void quiescent(void)
{
	lab_check(w->is_done, "asleep for ever with work to do");
}

LAB_SCENARIO(right) = {
    .name = "self-sleep",
    .question = "does announce, fence, look again, sleep lose no wake-up?",
    .bounds = "one sleeper, one waker",
    .setup = setup,
    .quiescent = quiescent,
    .data = &variants[0],
};

LAB_SCENARIO(no_fence) = {
    .name = "self-sleep-no-fence",
    .question = "does it without the fence?",
    .bounds = "one sleeper, one waker",
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .quiescent = quiescent,
    .data = &variants[1],
};

LAB_SCENARIO(no_recheck) = {
    .name = "self-sleep-no-recheck",
    .question = "does it without looking again?",
    .bounds = "one sleeper, one waker",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup,
    .quiescent = quiescent,
    .data = &variants[2],
};
