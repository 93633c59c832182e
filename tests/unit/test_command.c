/* SPDX-License-Identifier: Apache-2.0 */
/* Commands from the operator to the device and back (decision 0014). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/product_rig.h"
#include "../lib/store_rig.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "channel/command_check.h"
#include "channel/completion.h"
#include "store/endpoints.h"
#include "store/telemetry.h"

static struct product p;

static int
set_up(void **state)
{
	(void)state;
	product_start(&p);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	product_stop(&p);
	return 0;
}

static void
asked(unsigned n, const char *what)
{
	assert_true(p.asked_n > n);
	assert_string_equal(p.asked[n], what);
}

static void
reconnect(void)
{
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	product_connect(&p, &p.client, "dev-1");
}

static void
a_command_is_accepted_and_delivered_when_it_is_stored(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(product_add(&p, "c-1"), 0);
	rig_settle(&p.rig);
	assert_int_equal(p.added_n, 0);
	assert_int_equal(p.asked_n, 0);
	product_release(&p, false);
	assert_int_equal(p.added_n, 1);
	assert_int_equal(p.added.error, 0);
	assert_string_equal(p.added.id, "c-1");
	asked(0, "c-1");
	assert_string_equal(p.args, "{\"text\":\"x\"}");
	assert_int_equal(product_state(&p, "c-1"), COMMAND_QUEUED);
	assert_int_equal(product_events(&p, EVENT_COMMAND_QUEUED), 1);
}

static void
refused(enum command_refusal why, uint64_t times)
{
	assert_int_equal(command_table_refused(p.commands, why), times);
}

static void
a_command_that_cannot_be_stored_is_not_delivered(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_release(&p, true);
	assert_int_equal(p.added_n, 1);
	assert_int_equal(p.added.error, -EIO);
	assert_int_equal(p.asked_n, 0);
	assert_int_equal(command_table_open(p.commands), 0);
	refused(COMMAND_REFUSED_STORE, 1);
	assert_int_equal(product_events(&p, EVENT_COMMAND_QUEUED), 0);
}

static void
an_id_is_made_and_used_once(void **state)
{
	char id[COMMAND_ID_MAX + 1];

	(void)state;
	assert_int_equal(product_add(&p, ""), 0);
	product_settle(&p);
	memcpy(id, p.added.id, sizeof(id));
	assert_true(id_word_valid(id));
	assert_int_equal(product_add(&p, id), -EEXIST);
	assert_int_equal(product_outcome(&p, id, COMMAND_OK), 0);
	product_settle(&p);
	/* Also when it is only in the store any more. */
	assert_int_equal(product_add(&p, id), 0);
	product_settle(&p);
	assert_int_equal(p.added.error, -EEXIST);
	assert_int_equal(product_state(&p, id), COMMAND_OK);
	refused(COMMAND_REFUSED_EXISTS, 2);
}

static void
commands_come_in_order_and_again_after_every_hello(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "c-%d", i);
		assert_int_equal(product_add(&p, id), 0);
	}
	product_settle(&p);
	assert_int_equal(p.asked_n, 3);
	asked(0, "c-1");
	asked(1, "c-2");
	asked(2, "c-3");
	assert_int_equal(product_outcome(&p, "c-2", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.asked_n, 3);
	reconnect();
	assert_int_equal(p.asked_n, 5);
	asked(3, "c-1 again");
	asked(4, "c-3 again");
}

static void
commands_wait_for_a_device_that_is_offline(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	assert_int_equal(p.asked_n, 0);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 2);
	asked(0, "c-1");
	asked(1, "c-2");
}

static void
accepted_is_stored_and_told_once(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(channel_command_accepted(product_channel(&p), "c-1"),
	    0);
	assert_int_equal(channel_command_accepted(product_channel(&p), "c-1"),
	    0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_ACCEPTED);
	assert_int_equal(product_events(&p, EVENT_COMMAND_ACCEPTED), 1);
	assert_int_equal(channel_command_accepted(product_channel(&p), "c-9"),
	    -ENOENT);
}

static void
the_first_outcome_counts_and_the_second_is_told_which(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_ERROR), 0);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	rig_settle(&p.rig);
	assert_int_equal(p.done_n, 0);
	product_release(&p, false);
	assert_int_equal(p.done_n, 2);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.request, 7);
	assert_int_equal(p.done.value, 2);	/* CLEAT_OUTCOME_ERROR */
	assert_int_equal(product_state(&p, "c-1"), COMMAND_ERROR);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 1);
	/* And much later, when it is in no memory any more. */
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_CANCELLED), 0);
	product_settle(&p);
	assert_int_equal(p.done.value, 2);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 1);
}

static void
an_outcome_that_cannot_be_stored_leaves_the_command_open(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_release(&p, true);
	assert_int_equal(p.done_n, 1);
	assert_int_equal(p.done.error, -EIO);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 0);
	assert_int_equal(command_table_open(p.commands), 1);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.value, 1);
	assert_int_equal(command_table_open(p.commands), 0);
}

static void
nobody_ends_the_command_of_another(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_connect(&p, &p.other, "dev-2");
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, -ENOENT);
	assert_int_equal(channel_command_accepted(product_channel(&p), "c-1"),
	    -ENOENT);
	assert_int_equal(channel_command_progress(product_channel(&p), "c-1",
	    1, ""), -ENOENT);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_QUEUED);
	assert_int_equal(command_table_open(p.commands), 1);
	assert_int_equal(product_outcome(&p, "c-nobody", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, -ENOENT);
}

static void
open_commands_survive_a_kill(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	assert_int_equal(channel_command_accepted(product_channel(&p), "c-2"),
	    0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_add(&p, "c-3"), 0);
	product_release(&p, false);
	product_restart(&p);
	assert_int_equal(command_table_open(p.commands), 3);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 3);
	asked(0, "c-1 again");
	asked(1, "c-2 again");
	asked(2, "c-3 again");
	/* The outcome it had before is not lost either. */
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	product_restart(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_OK);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 2);
	asked(0, "c-2 again");
}

static void
what_was_not_stored_at_a_kill_was_not_accepted(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(p.added_n, 0);
	product_release(&p, true);
	product_restart(&p);
	assert_int_equal(command_table_open(p.commands), 0);
	assert_int_equal(product_state(&p, "c-1"), -1);
}

static void
a_command_expires_whatever_the_device_says_later(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	command_table_sweep(p.commands, clock_wall_ms() + 59999);
	product_settle(&p);
	assert_int_equal(command_table_open(p.commands), 2);
	command_table_sweep(p.commands, clock_wall_ms() + 60001);
	product_settle(&p);
	assert_int_equal(command_table_open(p.commands), 0);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_EXPIRED);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 2);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.done.value, 3);	/* CLEAT_OUTCOME_EXPIRED */
	reconnect();
	assert_int_equal(p.asked_n, 2);
}

static void
an_outcome_after_the_deadline_is_expired_before_any_sweep(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	rig_advance(&p.rig, 15000);	/* it still answers pings */
	p.rules.deadline_max_ms = 1;
	command_table_set_rules(p.commands, &p.rules);
	assert_int_equal(product_add(&p, "c-2"), -EINVAL);
	rig_hang_up(&p.client);
	rig_advance(&p.rig, 60000);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(p.done.value, 3);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_EXPIRED);
	assert_string_equal(product_message(&p, "c-1"), "");
}

static void
a_command_that_is_over_is_sent_to_nobody(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	rig_advance(&p.rig, 60001);
	product_connect(&p, &p.client, "dev-1");
	product_settle(&p);
	assert_int_equal(p.asked_n, 0);
	assert_int_equal(command_table_open(p.commands), 1);
	command_table_sweep(p.commands, clock_wall_ms());
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_EXPIRED);
}

/* More than one sweep looks at in one go. */
static void
many_expire_at_once(void **state)
{
	char id[16];

	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	p.rules.queue_max = p.rules.open_max = 1000;
	command_table_set_rules(p.commands, &p.rules);
	for (int i = 0; i < 600; i++) {
		(void)snprintf(id, sizeof(id), "c-%d", i);
		assert_int_equal(product_add(&p, id), 0);
		product_settle(&p);
	}
	command_table_sweep(p.commands, clock_wall_ms() + 60001);
	product_settle(&p);
	assert_int_equal(command_table_open(p.commands), 0);
}

static void
an_end_that_cannot_be_stored_leaves_it_to_be_delivered(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	/* It comes while somebody is at ending the command. */
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 0);
	product_release(&p, true);
	assert_int_equal(p.added.error, -EIO);
	command_table_sweep(p.commands, clock_wall_ms());
	rig_settle(&p.rig);
	assert_int_equal(p.asked_n, 1);
	asked(0, "c-1");
}

static void
an_expiry_that_cannot_be_stored_is_tried_again(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	command_table_sweep(p.commands, clock_wall_ms() + 60001);
	command_table_sweep(p.commands, clock_wall_ms() + 60001);
	product_release(&p, true);
	assert_int_equal(command_table_open(p.commands), 1);
	command_table_sweep(p.commands, clock_wall_ms() + 60001);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_EXPIRED);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 1);
}

static void
a_command_that_was_never_delivered_is_cancelled_at_once(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_cancel(&p, "c-1"), -EAGAIN);
	product_settle(&p);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(p.added.error, 0);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_CANCELLED);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 0);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(p.added.error, -EALREADY);
	assert_int_equal(product_cancel(&p, "c-9"), 0);
	product_settle(&p);
	assert_int_equal(p.added.error, -ENOENT);
	assert_int_equal(product_cancel(&p, "a b"), -ENOENT);
}

static void
a_device_that_has_it_is_asked_to_cancel_until_it_answers(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(p.added.error, 0);
	assert_int_equal(p.asked_n, 2);
	asked(1, "cancel c-1");
	/* It is not told to do it again. */
	reconnect();
	assert_int_equal(p.asked_n, 3);
	asked(2, "cancel c-1");
	product_restart(&p);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 1);
	asked(0, "cancel c-1");
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_OK);
}

static void
a_cancel_and_an_outcome_at_once_make_one_outcome(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	/* It is being cancelled: a device that comes now does not get it. */
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.asked_n, 0);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_release(&p, false);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_CANCELLED);
	assert_int_equal(p.done.value, 4);
	assert_int_equal(product_events(&p, EVENT_COMMAND_DONE), 1);
}

static void
a_cancel_that_cannot_be_stored_cancels_nothing(void **state)
{
	(void)state;
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	product_release(&p, true);
	assert_int_equal(p.added.error, -EIO);
	product_connect(&p, &p.client, "dev-1");
	asked(0, "c-1");
}

static void
progress_is_told_once_a_second(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	for (int i = 0; i < 50; i++)
		assert_int_equal(channel_command_progress(product_channel(&p),
		    "c-1", i, "t"), 0);
	assert_int_equal(product_events(&p, EVENT_COMMAND_PROGRESS), 1);
	rig_advance(&p.rig, 1000);
	assert_int_equal(channel_command_progress(product_channel(&p), "c-1",
	    -1, "half"), 0);
	assert_int_equal(product_events(&p, EVENT_COMMAND_PROGRESS), 2);
}

static void
queues_have_a_cap(void **state)
{
	char id[16];

	(void)state;
	for (unsigned i = 0; i < p.rules.queue_max; i++) {
		(void)snprintf(id, sizeof(id), "c-%u", i);
		assert_int_equal(product_add(&p, id), 0);
	}
	assert_int_equal(product_add(&p, "more"), -EDQUOT);
	assert_non_null(strstr(p.why, "8 commands"));
	refused(COMMAND_REFUSED_QUEUE, 1);
	product_settle(&p);
	assert_int_equal(product_outcome(&p, "c-0", COMMAND_OK), 0);
	product_settle(&p);
	assert_int_equal(product_add(&p, "more"), 0);
	product_settle(&p);
	p.rules.queue_max = 100;
	p.rules.open_max = 8;
	command_table_set_rules(p.commands, &p.rules);
	assert_int_equal(product_add(&p, "all"), -EDQUOT);
	refused(COMMAND_REFUSED_OPEN, 1);
	assert_int_equal(product_add_verb(&p, "nobody", "c-9", "x-a", "{}"),
	    -ENOENT);
	refused(COMMAND_REFUSED_ENDPOINT, 1);
	assert_int_equal(product_add_verb(&p, "dev-1", "c-9", "dance", "{}"),
	    -EINVAL);
	refused(COMMAND_REFUSED_INVALID, 1);
	refused(COMMAND_REFUSED_BUSY, 0);
	refused(COMMAND_REFUSED_MEMORY, 0);
}

static void
every_reason_to_refuse_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < COMMAND_REFUSALS; i++)
		assert_true(strlen(command_refusal_name(
		    (enum command_refusal)i)) > 0);
}

static void
a_request_is_checked_before_it_is_taken(void **state)
{
	static const struct {
		const char *verb, *args, *says;
	} bad[] = {
		{ "", "{}", "verb" }, { "dance", "{}", "verb" },
		{ "x-", "{}", "verb" }, { "x-a b", "{}", "verb" },
		{ "reboot", "", "args" }, { "reboot", "[]", "args" },
		{ "reboot", "{} {}", "args" },
		{ "reboot", "{\"delay_ms\":-1}", "args.delay_ms" },
		{ "reboot", "{\"delay_ms\":\"1\"}", "args.delay_ms" },
		{ "message", "{}", "args.text" },
		{ "message", "{\"text\":1}", "args.text" },
		{ "update", "{\"url\":\"https://x\"}", "args.sha256" },
		{ "update", "{\"url\":\"u\",\"sha256\":\"12\"}",
		    "args.sha256" },
		{ "set-server", "{\"servers\":[]}", "args.servers" },
		{ "set-server", "{\"servers\":[\"http://x\"]}",
		    "args.servers" },
		{ "wake", "{\"mac\":\"00:11\"}", "args.mac" },
	};
	char longer[256] = "{\"text\":\"";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(product_add_verb(&p, "dev-1", "", bad[i].verb,
		    bad[i].args), -EINVAL);
		if (strstr(p.why, bad[i].says) == NULL)
			fail_msg("%s %s: %s", bad[i].verb, bad[i].args, p.why);
	}
	memset(longer + 9, 'x', 200);
	memcpy(longer + 209, "\"}", 3);
	assert_int_equal(product_add_verb(&p, "dev-1", "", "message", longer),
	    -EINVAL);
	assert_int_equal(product_add_verb(&p, "dev-1", "a b", "reboot", "{}"),
	    -EINVAL);
	assert_int_equal(product_add_verb(&p, "no-one", "", "reboot", "{}"),
	    -ENOENT);
	assert_int_equal(product_add_verb(&p, "dev-1", "", "x-own",
	    "{\"any\":[1]}"), 0);
	assert_int_equal(product_add_verb(&p, "dev-1", "", "set-server",
	    "{\"servers\":[\"wss://a\", \"ws://b\"]}"), 0);
	product_settle(&p);
	assert_int_equal(p.asked_n, 2);
}

static void
a_full_send_queue_only_delays(void **state)
{
	(void)state;
	p.command_error = -EAGAIN;
	p.command_errors = 1;
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	command_table_sweep(p.commands, clock_wall_ms());
	rig_settle(&p.rig);
	assert_int_equal(p.asked_n, 2);
	asked(0, "c-1");
	asked(1, "c-2");
}

static void
what_a_device_has_no_room_for_comes_later_in_its_order(void **state)
{
	struct channel *c = product_channel(&p);

	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	assert_int_equal(channel_command_later(c, "c-9"), -ENOENT);
	assert_int_equal(channel_command_later(c, "c-2"), 0);
	assert_int_equal(channel_command_later(c, "c-2"), -ENOENT);
	assert_int_equal(channel_command_later(c, "c-1"), 0);
	assert_int_equal(product_add(&p, "c-3"), 0);
	product_settle(&p);
	command_table_sweep(p.commands, clock_wall_ms());
	rig_settle(&p.rig);
	assert_int_equal(p.asked_n, 2);
	/* A cancel does not wait. */
	assert_int_equal(product_cancel(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(p.asked_n, 3);
	asked(2, "cancel c-1");
	rig_advance(&p.rig, 5001);
	command_table_sweep(p.commands, clock_wall_ms());
	rig_settle(&p.rig);
	assert_int_equal(p.asked_n, 5);
	asked(3, "c-2 again");
	asked(4, "c-3");
	/* Another channel is asked at once. */
	assert_int_equal(channel_command_later(c, "c-2"), 0);
	reconnect();
	assert_int_equal(p.asked_n, 8);
	asked(6, "c-2 again");
	assert_int_equal(product_state(&p, "c-2"), COMMAND_QUEUED);
}

static void
a_protocol_that_cannot_makes_an_error(void **state)
{
	(void)state;
	p.command_error = -ENOTSUP;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_ERROR);
	p.command_error = -EMSGSIZE;
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-2"), COMMAND_ERROR);
	for (int i = 0; i < RIG_WORKERS; i++)
		p.rig.protocol[i].base.command = NULL;
	assert_int_equal(product_add(&p, "c-3"), 0);
	product_settle(&p);
	assert_int_equal(product_state(&p, "c-3"), COMMAND_ERROR);
}

static void
a_channel_that_moves_gets_what_came_meanwhile(void **state)
{
	uint64_t id = p.rig.last_id;
	unsigned on;

	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	on = channel_find(p.rig.cw[0], id) != NULL ? 0 : 1;
	assert_int_equal(channel_migrate(p.rig.cw[on], id, 1 - on), 0);
	assert_int_equal(product_add(&p, "c-2"), 0);
	product_settle(&p);
	assert_non_null(channel_find(p.rig.cw[1 - on], id));
	assert_int_equal(p.asked_n, 2);
	asked(1, "c-2");
}

static void
a_channel_that_waits_for_the_store_does_not_move(void **state)
{
	uint64_t id = p.rig.last_id;
	unsigned on;

	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	on = channel_find(p.rig.cw[0], id) != NULL ? 0 : 1;
	product_hold(&p);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	assert_int_equal(channel_migrate(p.rig.cw[on], id, 1 - on), -EBUSY);
	product_release(&p, false);
	assert_int_equal(p.done_n, 1);
	assert_int_equal(channel_migrate(p.rig.cw[on], id, 1 - on), 0);
}

static void
an_end_of_the_channel_loses_no_outcome(void **state)
{
	(void)state;
	assert_int_equal(product_add(&p, "c-1"), 0);
	product_settle(&p);
	product_hold(&p);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	rig_hang_up(&p.client);
	rig_wait_empty(&p.rig);
	product_release(&p, false);
	assert_int_equal(p.done_n, 0);
	assert_int_equal(product_state(&p, "c-1"), COMMAND_OK);
}

static void
no_more_than_some_outcomes_wait(void **state)
{
	int r = 0;
	unsigned n;

	(void)state;
	product_hold(&p);
	for (n = 0; n < 100 && r == 0; n++)
		r = product_outcome(&p, "c-1", COMMAND_OK);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(n - 1, COMPLETIONS_MAX);
	product_release(&p, false);
	assert_int_equal(p.done_n, COMPLETIONS_MAX);
	assert_int_equal(product_outcome(&p, "c-1", COMMAND_OK), 0);
	product_settle(&p);
}

static void
short_memory_at_an_add_leaves_nothing(void **state)
{
	int r = -ENOMEM;

	(void)state;
	for (unsigned long n = 1; r == -ENOMEM; n++) {
		(void)mem_fail_nth(n);
		r = product_add(&p, "c-1");
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		if (r != 0)
			assert_int_equal(command_table_open(p.commands), 0);
	}
	product_settle(&p);
	assert_int_equal(command_table_open(p.commands), 1);
}

/* The tables of a daemon that starts, from a store with something in it. */
static void
short_memory_at_a_start_is_told_and_leaves_nothing(void **state)
{
	struct store_command row = { .id = "c-1", .endpoint = "dev-1",
	    .verb = "reboot", .args = "{}", .by = "", .deadline_ms = 1 };
	char path[sizeof(p.path) + 8];
	struct store_opts o = { .path = path, .queue_jobs = 16,
	    .queue_bytes = 4096, .telemetry_rows = 10,
	    .telemetry_bytes = 1000 };
	struct command_deps deps = { .endpoints = p.rig.endpoints };
	struct telemetry_table *telemetry = NULL;
	struct command_table *commands = NULL;
	uint64_t number, last, cursor;
	int r;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s.start", p.path);
	assert_int_equal(store_rig_try(&o, p.why, &deps.store), 0);
	assert_int_equal(store_command_add(store_reader(deps.store), &row,
	    &number), 0);
	assert_int_equal(store_endpoint_admit(store_reader(deps.store),
	    "dev-1", STORE_ACTIVE, 1), 0);
	assert_int_equal(store_telemetry_put(store_reader(deps.store),
	    "dev-1", 4, 0, 1, "[]", 2, &last, &cursor), 0);
	(void)mem_fail_nth(1);
	assert_int_equal(telemetry_table_new(deps.store, NULL, &telemetry),
	    -ENOMEM);
	(void)mem_fail_nth(1);
	assert_int_equal(command_table_new(&deps, &p.rules, &commands),
	    -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(telemetry_table_new(deps.store, NULL, &telemetry), 0);
	assert_int_equal(command_table_new(&deps, &p.rules, &commands), 0);
	r = -ENOMEM;
	for (unsigned long n = 1; r == -ENOMEM; n++) {
		(void)mem_fail_nth(n);
		r = telemetry_table_load(telemetry, p.why);
		(void)mem_fail_nth(0);
	}
	assert_int_equal(r, 0);
	r = -ENOMEM;
	for (unsigned long n = 1; r == -ENOMEM; n++) {
		(void)mem_fail_nth(n);
		r = command_table_load(commands, p.why);
		(void)mem_fail_nth(0);
	}
	assert_int_equal(r, 0);
	assert_int_equal(command_table_open(commands), 1);
	command_table_forget(commands, "dev-1");
	assert_int_equal(command_table_open(commands), 0);
	command_table_free(&commands);
	telemetry_table_free(&telemetry);
	store_free(&deps.store);
}

static void
text_is_cut_between_characters(void **state)
{
	(void)state;
	assert_int_equal(command_cut("abc", 3), 3);
	assert_int_equal(command_cut("abc", 2), 2);
	assert_int_equal(command_cut("a\xc3\xa9", 2), 1);
	assert_int_equal(command_cut("a\xe2\x82\xac", 3), 1);
	assert_int_equal(command_cut("\xf0\x9f\x98\x80", 3), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_is_accepted_and_delivered_when_it_is_stored),
		TEST(a_command_that_cannot_be_stored_is_not_delivered),
		TEST(an_id_is_made_and_used_once),
		TEST(commands_come_in_order_and_again_after_every_hello),
		TEST(commands_wait_for_a_device_that_is_offline),
		TEST(accepted_is_stored_and_told_once),
		TEST(the_first_outcome_counts_and_the_second_is_told_which),
		TEST(an_outcome_that_cannot_be_stored_leaves_the_command_open),
		TEST(nobody_ends_the_command_of_another),
		TEST(open_commands_survive_a_kill),
		TEST(what_was_not_stored_at_a_kill_was_not_accepted),
		TEST(a_command_expires_whatever_the_device_says_later),
		TEST(an_outcome_after_the_deadline_is_expired_before_any_sweep),
		TEST(a_command_that_is_over_is_sent_to_nobody),
		TEST(many_expire_at_once),
		TEST(an_end_that_cannot_be_stored_leaves_it_to_be_delivered),
		TEST(an_expiry_that_cannot_be_stored_is_tried_again),
		TEST(a_command_that_was_never_delivered_is_cancelled_at_once),
		TEST(a_device_that_has_it_is_asked_to_cancel_until_it_answers),
		TEST(a_cancel_and_an_outcome_at_once_make_one_outcome),
		TEST(a_cancel_that_cannot_be_stored_cancels_nothing),
		TEST(progress_is_told_once_a_second),
		TEST(queues_have_a_cap),
		TEST(every_reason_to_refuse_has_a_name),
		TEST(a_request_is_checked_before_it_is_taken),
		TEST(a_full_send_queue_only_delays),
		TEST(what_a_device_has_no_room_for_comes_later_in_its_order),
		TEST(a_protocol_that_cannot_makes_an_error),
		TEST(a_channel_that_moves_gets_what_came_meanwhile),
		TEST(a_channel_that_waits_for_the_store_does_not_move),
		TEST(an_end_of_the_channel_loses_no_outcome),
		TEST(no_more_than_some_outcomes_wait),
		TEST(short_memory_at_an_add_leaves_nothing),
		TEST(short_memory_at_a_start_is_told_and_leaves_nothing),
		cmocka_unit_test(text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
