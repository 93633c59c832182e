/* SPDX-License-Identifier: Apache-2.0 */
/* The echo protocol against a fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fakehost.h"

extern const struct cleat_plugin cleat_plugin;

static struct fakehost *host;
static struct cleat_chan *chan;
static void *inst;
static const struct cleat_protocol_ops *ops;

static int
set_up(void **state)
{
	struct cleat_request r = { .size = sizeof(r) };

	(void)state;
	ops = cleat_plugin.ops;
	host = fakehost_new("echo", "/nonexistent", cleat_plugin.opts);
	if (cleat_plugin.life->open(fakehost_self(host), fakehost_table(),
	    &inst) != 0)
		return -1;
	chan = fake_chan_new();
	ops->open(inst, chan, &r);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ops->closed(inst, chan, chan->session, 1000);
	fake_chan_free(&chan);
	cleat_plugin.life->close(inst);
	fakehost_free(&host);
	return 0;
}

static void
say(const void *p, size_t n, uint32_t is_text)
{
	struct cleat_msg m = { .size = sizeof(m), .is_text = is_text, .p = p,
	    .n = n };

	ops->message(inst, chan, chan->session, &m);
}

static void
text_comes_back_as_text_and_binary_as_binary(void **state)
{
	(void)state;
	say("hello", 5, 1);
	say("\0\1\2", 3, 0);
	say(NULL, 0, 1);
	assert_int_equal(chan->sent_n, 3);
	assert_true(chan->sent[0].is_text);
	assert_string_equal(chan->sent[0].p, "hello");
	assert_false(chan->sent[1].is_text);
	assert_memory_equal(chan->sent[1].p, "\0\1\2", 3);
	assert_int_equal(chan->sent[2].n, 0);
}

static void
one_message_is_kept_for_a_slow_reader(void **state)
{
	(void)state;
	chan->send_error = -EAGAIN;
	say("kept", 4, 0);
	assert_non_null(chan->session);
	assert_false(chan->closing);
	assert_int_equal(ops->session_export(inst, chan, chan->session, NULL,
	    0), -EBUSY);
	ops->drained(inst, chan, chan->session);
	assert_int_equal(chan->sent_n, 0);
	chan->send_error = 0;
	ops->drained(inst, chan, chan->session);
	assert_int_equal(chan->sent_n, 1);
	assert_string_equal(chan->sent[0].p, "kept");
	assert_false(chan->sent[0].is_text);
	assert_null(chan->session);
	ops->drained(inst, chan, chan->session);
	assert_int_equal(chan->sent_n, 1);
}

static void
a_peer_that_only_sends_is_closed(void **state)
{
	(void)state;
	chan->send_error = -EAGAIN;
	say("kept", 4, 1);
	say("more", 4, 1);
	assert_int_equal(chan->code, 4008);
}

static void
it_needs_no_authentication_on_its_path(void **state)
{
	(void)state;
	assert_int_equal(ops->flags, CLEAT_PROTOCOL_ANONYMOUS);
	assert_string_equal(ops->paths[0], "/echo");
	assert_null(ops->authenticated);
}

static void
an_empty_session_moves(void **state)
{
	(void)state;
	assert_int_equal(ops->session_export(inst, chan, chan->session, NULL,
	    0), 0);
	assert_int_equal(ops->session_import(inst, chan, "", 0), 0);
	assert_int_equal(ops->session_import(inst, chan, "x", 1), -EINVAL);
	assert_int_equal(ops->session_import(inst, chan, "\1", 1), -EINVAL);
	assert_int_equal(ops->session_import(inst, chan, "\2\1x", 3), -EINVAL);
	assert_int_equal(ops->session_import(inst, chan, "\1\2x", 3), -EINVAL);
	assert_null(chan->session);
}

static void
a_kept_message_moves_if_there_is_room(void **state)
{
	unsigned char bytes[8];
	void *first;

	(void)state;
	chan->send_error = -EAGAIN;
	say("kept", 4, 1);
	first = chan->session;
	assert_int_equal(ops->session_export(inst, chan, first, bytes, 5),
	    -EBUSY);
	assert_int_equal(ops->session_export(inst, chan, first, bytes, 1),
	    -EBUSY);
	assert_int_equal(ops->session_export(inst, chan, first, bytes,
	    sizeof(bytes)), 6);
	assert_memory_equal(bytes, "\1\1kept", 6);
	chan->session = NULL;
	assert_int_equal(ops->session_import(inst, chan, bytes, 6), 0);
	assert_true(chan->session != NULL && chan->session != first);
	ops->session_forget(inst, first);
	chan->send_error = 0;
	ops->drained(inst, chan, chan->session);
	assert_int_equal(chan->sent_n, 1);
	assert_true(chan->sent[0].is_text);
	assert_int_equal(chan->sent[0].n, 4);
	assert_memory_equal(chan->sent[0].p, "kept", 4);
	/* One without bytes is one, too. */
	chan->send_error = -EAGAIN;
	say(NULL, 0, 0);
	assert_int_equal(ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes)), 2);
	first = chan->session;
	assert_int_equal(ops->session_import(inst, chan, bytes, 2), 0);
	ops->session_forget(inst, first);
	chan->send_error = 0;
	ops->drained(inst, chan, chan->session);
	assert_int_equal(chan->sent[1].n, 0);
	assert_false(chan->sent[1].is_text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_comes_back_as_text_and_binary_as_binary),
		TEST(one_message_is_kept_for_a_slow_reader),
		TEST(a_peer_that_only_sends_is_closed),
		TEST(it_needs_no_authentication_on_its_path),
		TEST(an_empty_session_moves),
		TEST(a_kept_message_moves_if_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
