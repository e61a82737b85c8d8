/* SPDX-License-Identifier: MIT */
/* Self-check: message passing and its wrong order, load buffering, and independent reads. */
#include "lab/lab.h"

enum { RIGHT, WRONG };
static const int variants[] = {RIGHT, WRONG};

struct world {
	uint32_t data, flag, x, y, read[4];
};
static struct world *w;

static void writer(void *arg)
{
	(void)arg;
	if (*(const int *)lab_scenario_now()->data == WRONG) {
		LAB_STORE(&w->flag, 1);
		LAB_STORE(&w->data, 42);
		return;
	}
	LAB_STORE(&w->data, 42);
	LAB_STORE(&w->flag, 1);
}

static void reader(void *arg)
{
	(void)arg;
	if (LAB_LOAD(&w->flag))
		lab_check(LAB_LOAD(&w->data) == 42, "the flag is there and the data is not");
}

static void setup_message(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_name(&w->data, 4, "data");
	lab_name(&w->flag, 4, "flag");
	lab_cpu("writer", writer, NULL);
	lab_cpu("reader", reader, NULL);
}

LAB_SCENARIO(right) = {
    .name = "self-message",
    .question = "is the data there when the flag is, written in that order?",
    .bounds = "2 CPUs",
    .setup = setup_message,
    .data = &variants[0],
};

LAB_SCENARIO(wrong) = {
    .name = "self-message-reversed",
    .question = "is the data there when the flag is, written first?",
    .bounds = "2 CPUs",
    .expect_sc = LAB_FAILS,
    .expect_tso = LAB_FAILS,
    .setup = setup_message,
    .data = &variants[1],
};

static void load_x_store_y(void *arg)
{
	(void)arg;
	w->read[0] = (uint32_t)LAB_LOAD(&w->x);
	LAB_STORE(&w->y, 1);
}

static void load_y_store_x(void *arg)
{
	(void)arg;
	w->read[1] = (uint32_t)LAB_LOAD(&w->y);
	LAB_STORE(&w->x, 1);
}

static void setup_buffering(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_cpu("cpu0", load_x_store_y, NULL);
	lab_cpu("cpu1", load_y_store_x, NULL);
}

static void not_both(void)
{
	lab_check(!(w->read[0] && w->read[1]), "both loads saw the other's later store");
}

LAB_SCENARIO(load_buffering) = {
    .name = "self-load-buffering",
    .question = "are loads ordered before later stores?",
    .bounds = "2 CPUs",
    .setup = setup_buffering,
    .quiescent = not_both,
};

static void store_x(void *arg)
{
	(void)arg;
	LAB_STORE(&w->x, 1);
}

static void store_y(void *arg)
{
	(void)arg;
	LAB_STORE(&w->y, 1);
}

static void read_xy(void *arg)
{
	(void)arg;
	w->read[0] = (uint32_t)LAB_LOAD(&w->x);
	w->read[1] = (uint32_t)LAB_LOAD(&w->y);
}

static void read_yx(void *arg)
{
	(void)arg;
	w->read[2] = (uint32_t)LAB_LOAD(&w->y);
	w->read[3] = (uint32_t)LAB_LOAD(&w->x);
}

static void setup_reads(const struct lab_params *params)
{
	(void)params;
	w = lab_alloc(sizeof(*w), "w");
	lab_cpu("x", store_x, NULL);
	lab_cpu("y", store_y, NULL);
	lab_cpu("xy", read_xy, NULL);
	lab_cpu("yx", read_yx, NULL);
}

static void same_order(void)
{
	lab_check(!(w->read[0] && !w->read[1] && w->read[2] && !w->read[3]),
	    "two CPUs saw two stores in opposite orders");
}

LAB_SCENARIO(independent_reads) = {
    .name = "self-independent-reads",
    .question = "do all CPUs see two independent stores in the same order?",
    .bounds = "4 CPUs",
    .setup = setup_reads,
    .quiescent = same_order,
};
