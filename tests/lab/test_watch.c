/* SPDX-License-Identifier: MIT */
/* The watching build finds a shared word that is touched without core/shared.h, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lab/engine.h"

static struct result result;

static enum lab_status verdict(const char *name, uint32_t senders)
{
	const struct lab_scenario *scenario = scenario_find(name);
	struct options options = {.model = LAB_TSO,
	    .jobs = 1,
	    .seconds = 30,
	    .memory = (size_t)256 << 20,
	    .reduce = true,
    .memorize = true,
	    .sender_count = senders};

	assert_non_null(scenario);
	weakenings_reset(scenario);
	explore(scenario, &options, &result);
	return result.status;
}

static void a_word_shared_plainly_is_found(void **state)
{
	(void)state;
	assert_true(engine.is_watching);
	assert_int_equal(verdict("watch-plain", 0), STATUS_UNSOUND);
}

static void annotated_own_and_locked_words_are_fine(void **state)
{
	(void)state;
	assert_int_equal(verdict("watch-annotated", 0), STATUS_HOLDS);
	assert_int_equal(verdict("watch-locked", 0), STATUS_HOLDS);
}

static void the_core_shares_only_through_its_door(void **state)
{
	static const char *const names[] = {"post-exit", "post-halt", "posted-exit", "posted-halt",
	    "device-halt", "device-preempted", "handler-post-halt", "request-kick", "nmi-window"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		enum lab_status status = verdict(names[i], 1);

		if (status != STATUS_HOLDS)
			fail_msg("%s: %s: %s", names[i], status_name(status), result.failure.what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_word_shared_plainly_is_found),
	    cmocka_unit_test(annotated_own_and_locked_words_are_fine),
	    cmocka_unit_test(the_core_shares_only_through_its_door),
	};

	arena_map();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
