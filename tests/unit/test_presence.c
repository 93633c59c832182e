/* SPDX-License-Identifier: Apache-2.0 */
/* The presence machine (core/endpoint/presence.c), decision 0007. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "endpoint/presence.h"

static struct presence
in(enum presence_state state, enum presence_reason reason,
    enum presence_intent intent)
{
	return (struct presence){ .state = (uint8_t)state,
	    .reason = (uint8_t)reason, .intent = (uint8_t)intent };
}

static void
is(const struct presence *p, enum presence_state state,
    enum presence_reason reason)
{
	assert_int_equal(p->state, state);
	assert_int_equal(p->reason, reason);
}

static void
hello_makes_online_from_every_state_and_forgets_intents(void **state)
{
	(void)state;
	for (int s = 0; s < PRESENCE_STATES; s++)
		for (int i = INTENT_NONE; i <= INTENT_SLEEP; i++) {
			struct presence p = in((enum presence_state)s,
			    REASON_NONE, (enum presence_intent)i);

			assert_true(presence_apply(&p, PRESENCE_IN_HELLO, 0));
			is(&p, PRESENCE_ONLINE, REASON_HELLO);
			assert_int_equal(p.intent, INTENT_NONE);
		}
}

static void
an_unanswered_ping_makes_suspect_only_of_online(void **state)
{
	(void)state;
	for (int s = 0; s < PRESENCE_STATES; s++) {
		struct presence p = in((enum presence_state)s, REASON_START,
		    INTENT_NONE);
		bool changed = presence_apply(&p, PRESENCE_IN_UNANSWERED, 0);

		assert_int_equal(changed, s == PRESENCE_ONLINE);
		if (changed)
			is(&p, PRESENCE_SUSPECT, REASON_PING_UNANSWERED);
		else
			is(&p, (enum presence_state)s, REASON_START);
	}
}

static void
a_byte_makes_online_only_of_suspect(void **state)
{
	(void)state;
	for (int s = 0; s < PRESENCE_STATES; s++) {
		struct presence p = in((enum presence_state)s, REASON_START,
		    INTENT_NONE);
		bool changed = presence_apply(&p, PRESENCE_IN_HEARD, 0);

		assert_int_equal(changed, s == PRESENCE_SUSPECT);
		if (changed)
			is(&p, PRESENCE_ONLINE, REASON_HEARD);
		else
			is(&p, (enum presence_state)s, REASON_START);
	}
}

static void
an_intent_changes_nothing_until_the_end(void **state)
{
	(void)state;
	for (int i = INTENT_NONE; i <= INTENT_SLEEP; i++) {
		struct presence p = in(PRESENCE_ONLINE, REASON_HELLO,
		    INTENT_NONE);

		assert_false(presence_apply(&p, PRESENCE_IN_INTENT,
		    (unsigned)i));
		is(&p, PRESENCE_ONLINE, REASON_HELLO);
		assert_int_equal(p.intent, i);
	}
}

static void
an_end_means_what_was_announced(void **state)
{
	static const struct {
		enum presence_intent intent;
		enum presence_state state;
		enum presence_reason reason;
	} means[] = {
		{ INTENT_NONE, PRESENCE_DISCONNECTED, REASON_RESET },
		{ INTENT_BYE, PRESENCE_OFFLINE, REASON_BYE },
		{ INTENT_SHUTTING_DOWN, PRESENCE_OFFLINE,
		    REASON_SHUTTING_DOWN },
		{ INTENT_REBOOTING, PRESENCE_OFFLINE, REASON_REBOOTING },
		{ INTENT_SUSPENDING, PRESENCE_OFFLINE, REASON_SUSPENDING },
		{ INTENT_SLEEP, PRESENCE_ASLEEP, REASON_SLEEP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++) {
		struct presence p = in(PRESENCE_ONLINE, REASON_HELLO,
		    INTENT_NONE);

		(void)presence_apply(&p, PRESENCE_IN_INTENT, means[i].intent);
		assert_true(presence_apply(&p, PRESENCE_IN_END, REASON_RESET));
		is(&p, means[i].state, means[i].reason);
		/* A suspect's end means the same. */
		p = in(PRESENCE_SUSPECT, REASON_PING_UNANSWERED,
		    means[i].intent);
		assert_true(presence_apply(&p, PRESENCE_IN_END, REASON_RESET));
		is(&p, means[i].state, means[i].reason);
	}
}

static void
an_intent_can_be_taken_back(void **state)
{
	struct presence p = in(PRESENCE_ONLINE, REASON_HELLO, INTENT_NONE);

	(void)state;
	(void)presence_apply(&p, PRESENCE_IN_INTENT, INTENT_SUSPENDING);
	(void)presence_apply(&p, PRESENCE_IN_INTENT, INTENT_NONE);
	assert_true(presence_apply(&p, PRESENCE_IN_END, REASON_TIMEOUT));
	is(&p, PRESENCE_DISCONNECTED, REASON_TIMEOUT);
}

static void
only_sleepers_can_be_overdue(void **state)
{
	(void)state;
	for (int s = 0; s < PRESENCE_STATES; s++) {
		struct presence p = in((enum presence_state)s, REASON_SLEEP,
		    INTENT_SLEEP);
		bool changed = presence_apply(&p, PRESENCE_IN_OVERDUE, 0);

		assert_int_equal(changed, s == PRESENCE_ASLEEP);
		if (changed)
			is(&p, PRESENCE_DISCONNECTED, REASON_TIMEOUT);
	}
}

static void
a_start_makes_unknown_of_who_was_there(void **state)
{
	(void)state;
	for (int s = 0; s < PRESENCE_STATES; s++)
		for (int r = 0; r < REASON_COUNT; r++) {
			struct presence p = in((enum presence_state)s,
			    (enum presence_reason)r, INTENT_SLEEP);
			bool there = s == PRESENCE_ONLINE ||
			    s == PRESENCE_SUSPECT || s == PRESENCE_UNKNOWN ||
			    (s == PRESENCE_DISCONNECTED &&
			    r == REASON_STOPPING);

			(void)presence_apply(&p, PRESENCE_IN_START, 0);
			if (there)
				is(&p, PRESENCE_UNKNOWN, REASON_START);
			else
				is(&p, (enum presence_state)s,
				    (enum presence_reason)r);
			assert_int_equal(p.intent, INTENT_SLEEP);
		}
}

static void
who_is_not_heard_after_a_start_is_what_it_announced(void **state)
{
	static const struct {
		enum presence_state state;
		enum presence_reason reason;
	} means[] = {
		[INTENT_NONE] = { PRESENCE_DISCONNECTED, REASON_TIMEOUT },
		[INTENT_BYE] = { PRESENCE_OFFLINE, REASON_BYE },
		[INTENT_SHUTTING_DOWN] = { PRESENCE_OFFLINE,
		    REASON_SHUTTING_DOWN },
		[INTENT_REBOOTING] = { PRESENCE_OFFLINE, REASON_REBOOTING },
		[INTENT_SUSPENDING] = { PRESENCE_OFFLINE, REASON_SUSPENDING },
		[INTENT_SLEEP] = { PRESENCE_ASLEEP, REASON_SLEEP },
	};

	(void)state;
	for (int i = INTENT_NONE; i <= INTENT_SLEEP; i++) {
		struct presence p = in(PRESENCE_UNKNOWN, REASON_START,
		    (enum presence_intent)i);

		assert_true(presence_apply(&p, PRESENCE_IN_LOST, 0));
		is(&p, means[i].state, means[i].reason);
	}
	for (int s = PRESENCE_UNKNOWN + 1; s < PRESENCE_STATES; s++) {
		struct presence p = in((enum presence_state)s, REASON_BYE,
		    INTENT_NONE);

		assert_false(presence_apply(&p, PRESENCE_IN_LOST, 0));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    hello_makes_online_from_every_state_and_forgets_intents),
		cmocka_unit_test(
		    an_unanswered_ping_makes_suspect_only_of_online),
		cmocka_unit_test(a_byte_makes_online_only_of_suspect),
		cmocka_unit_test(an_intent_changes_nothing_until_the_end),
		cmocka_unit_test(an_end_means_what_was_announced),
		cmocka_unit_test(an_intent_can_be_taken_back),
		cmocka_unit_test(only_sleepers_can_be_overdue),
		cmocka_unit_test(a_start_makes_unknown_of_who_was_there),
		cmocka_unit_test(
		    who_is_not_heard_after_a_start_is_what_it_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
