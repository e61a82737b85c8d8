/* SPDX-License-Identifier: MIT */
/* The named ordering sites of the core: every access that a protocol leans on, for the fence audit. */
#ifndef CORE_SITES_H
#define CORE_SITES_H

/*
 * X(NAME, kind, what).  kind: RMW (locked), FENCE (full fence), PUBLISH (store and full fence),
 * LOAD, STORE, STEP (a step that may be left out).  docs/ordering.md says what each pairs with.
 */
#define CORE_SITE_LIST(X) \
	X(NONE, LOAD, "an access that no ordering leans on") \
	X(POST_LEVEL, RMW, "post: a vector that changes TMR, before its request") \
	X(POST_RETRIGGER, STEP, "post: an edge whose bit in TMR is set goes by request, too") \
	X(POST_PIR, RMW, "post: set the PIR bit") \
	X(POST_ON, RMW, "post: set ON; also the fence before the mode word is read") \
	X(POST_MODE, LOAD, "post: read the mode word") \
	X(POST_PCPU, LOAD, "post: read where it runs, after the mode word") \
	X(POST_ELIDE, STEP, "post: no IPI when the target is the running vCPU and IN_GUEST") \
	X(REQUEST_SET, RMW, "request: set the bits; also the fence before the mode word is read") \
	X(REQUEST_EXITING, RMW, "request: IN_GUEST to EXITING, so that one kicker sends the IPI") \
	X(WAKE_CLAIM, RMW, "wake: claim the sleeper, so that exactly one wake is sent") \
	X(WAKE_BLOCKED, LOAD, "wake: is it blocked?") \
	X(ENTER_PUBLISH, PUBLISH, "enter 3: IN_GUEST, full fence") \
	X(ENTER_ON, LOAD, "enter 4: is ON set?") \
	X(ENTER_REQUESTS, LOAD, "enter 5: requests pending?") \
	X(ENTER_RECHECK_ON, STEP, "enter 4: look at ON after IN_GUEST is published") \
	X(ENTER_RECHECK_REQUESTS, STEP, "enter 5: look at requests after IN_GUEST is published") \
	X(ENTER_IRQS_OFF, STEP, "enter 2: interrupts off before IN_GUEST is published") \
	X(ENTER_NESTED, STEP, "enter 4: what is drained with L2 current needs a new choice") \
	X(ENTER_AGAIN, STEP, "enter 6: a new choice after a fast-path exit") \
	X(ENTER_GENERATION, STEP, "enter 3: the next generation in the mode word") \
	X(ENTER_OUTSIDE, STORE, "enter 7: OUTSIDE") \
	X(DRAIN_ON, RMW, "drain: clear ON before PIR is read; also the fence between") \
	X(DRAIN_PIR, RMW, "drain: take the PIR word") \
	X(DRAIN_LEVEL, RMW, "drain: take the vectors that change TMR, after their request was cleared") \
	X(SERVICE_REQUESTS, RMW, "enter 1: fetch and clear the requests") \
	X(BLOCK_PUBLISH, PUBLISH, "block: announce the sleep, full fence") \
	X(BLOCK_RECHECK, STEP, "block: look again after the announcement") \
	X(BLOCK_CLAIM, RMW, "block: take the announcement back unless a waker has claimed it") \
	X(LOAD_PCPU, STORE, "load: write where it runs, before IN_GUEST") \
	X(INHIBIT_SET, RMW, "delivery: a reason against it, before the request") \
	X(INHIBIT_READ, LOAD, "delivery: read the reasons after the request was cleared") \
	X(PID_CHANGE, RMW, "descriptor: SN, NV and NDST in one word with ON") \
	X(PID_AFTER_SN, STEP, "descriptor: after SN was cleared set ON if PIR is not empty") \
	X(PID_PIR_AFTER_SN, LOAD, "descriptor: read PIR after SN was cleared") \
	X(STATE_READ, LOAD, "export: read what is posted") \
	X(STATE_PIR, RMW, "import: add saved vectors to PIR, which senders set meanwhile") \
	X(STATE_ON, RMW, "import: add ON") \
	X(STATE_LEVEL, RMW, "import: add saved level-triggered vectors") \
	X(STATE_REQUESTS, RMW, "import: add saved LINT edges and requests") \
	X(SIPI_VECTOR, STORE, "sipi: the vector, before its request") \
	X(LINT_SET, RMW, "lint: the pin's level and edge, before their request") \
	X(LINT_TAKE, RMW, "lint: take the edges, after their request was fetched") \
	X(LVT_ACCEPTS_PIC, PUBLISH, "lvt: this CPU takes INTR, before the owner reads the PIC's output") \
	X(LATCH_SEQUENCE, RMW, "latch: writer flips the copies; also the fence before it writes one") \
	X(LATCH_READ, LOAD, "latch: reader's sequence before and after") \
	X(LATCH_RECHECK, STEP, "latch: read again if the sequence moved on meanwhile") \
	X(IDENTITY_PUBLISH, STORE, "route: the identity word, before the map entries that lead to it") \
	X(IDENTITY_MAP, LOAD, "route: read the map entry before the identity it leads to") \
	X(PIC_OUTPUT, PUBLISH, "pic: INTR rises; full fence before accepts_pic is read") \
	X(PIC_ACCEPTS, LOAD, "pic: does this vCPU take the 8259's INTR?")

enum core_site {
#define CORE_SITE_ENUM(name, kind, what) SITE_##name,
	CORE_SITE_LIST(CORE_SITE_ENUM)
#undef CORE_SITE_ENUM
	SITE_COUNT
};

#endif
