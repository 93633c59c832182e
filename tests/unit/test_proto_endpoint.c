/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device protocol (doc/protocol.md) against a fake host: every message,
 * every error, every close.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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
	struct cleat_request r = { .size = sizeof(r), .listener = "x",
	    .peer = "127.0.0.1:1", .target = "/v1/channel",
	    .subprotocol = "cleat.v1.jsonrpc", .user_agent = "",
	    .cert_cn = "" };

	(void)state;
	ops = cleat_plugin.ops;
	host = fakehost_new("endpoint", "/nonexistent", cleat_plugin.opts);
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
say_n(const char *text, size_t n, uint32_t is_text)
{
	struct cleat_msg m = { .size = sizeof(m), .is_text = is_text, .n = n };
	char *copy = malloc(n + 1);	/* no NUL behind it, and ASan looks */

	assert_non_null(copy);
	memcpy(copy, text, n);
	m.p = copy;
	fake_chan_clear(chan);
	ops->message(inst, chan, chan->session, &m);
	free(copy);
}

static void
say(const char *text)
{
	say_n(text, strlen(text), 1);
}

static void
answered(const char *part)
{
	assert_int_equal(chan->sent_n, 1);
	assert_true(chan->sent[0].is_text);
	if (strstr(chan->sent[0].p, part) == NULL)
		fail_msg("%s is not in %s", part, chan->sent[0].p);
}

static void
error_is(const char *text, int code)
{
	char part[64];

	say(text);
	(void)snprintf(part, sizeof(part), "\"code\":%d,", code);
	answered(part);
}

#define HELLO "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"," \
	"\"params\":{\"endpoint\":\"till-1\",\"auth\":{\"method\":\"token\"," \
	"\"token\":\"secret\"},\"boot_id\":\"b1\",\"agent\":{\"name\":\"x\"," \
	"\"version\":\"1.2\"},\"whatever\":[1]}}"

static void
authenticate(int error)
{
	struct cleat_auth_result r = {
		.size = sizeof(r), .error = error, .endpoint = "till-1",
		.channel = 7, .epoch = 3, .security = CLEAT_SECURITY_WSS,
		.ping_ms = 20000, .dead_ms = 35000, .retry_min_ms = 500,
		.retry_max_ms = 30000, .max_message = 65536,
		.telemetry_seq = 41,
		.enrolled_token = "", .fingerprint = ""
	};

	fake_chan_clear(chan);
	ops->authenticated(inst, chan, chan->session, &r);
}

static void
up(void)
{
	say(HELLO);
	authenticate(0);
	assert_false(chan->closing);
}

/* ---- tests --------------------------------------------------------------- */

static void
the_challenge_comes_first(void **state)
{
	(void)state;
	answered("{\"jsonrpc\":\"2.0\",\"method\":\"challenge\",\"params\":{"
	    "\"nonce\":\"00070e15");
	assert_null(strstr(chan->sent[0].p, "\"id\""));
}

static void
hello_is_handed_on_and_answered(void **state)
{
	(void)state;
	fakehost_opt(host, "servers", "wss://a,wss://b");
	say(HELLO);
	assert_int_equal(chan->sent_n, 0);
	assert_int_equal(chan->hellos, 1);
	assert_int_equal(chan->hello.method, CLEAT_AUTH_TOKEN);
	assert_string_equal(chan->endpoint, "till-1");
	assert_string_equal(chan->token, "secret");
	assert_string_equal(chan->boot_id, "b1");
	assert_string_equal(chan->agent, "x 1.2");
	authenticate(0);
	answered("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"channel\":7,"
	    "\"epoch\":3,\"ping_ms\":20000,\"dead_ms\":35000,"
	    "\"max_message\":65536,\"time\":1800000000000,\"retry\":{"
	    "\"min_ms\":500,\"max_ms\":30000},\"servers\":[\"wss://a\","
	    "\"wss://b\"],\"endpoint\":\"till-1\",\"security\":\"wss\","
	    "\"telemetry_seq\":41}}");
}

static void
hello_with_a_client_certificate_needs_no_token(void **state)
{
	(void)state;
	say("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"hello\",\"params\":"
	    "{\"endpoint\":\"e\",\"auth\":{\"method\":\"mtls\"}}}");
	assert_int_equal(chan->hello.method, CLEAT_AUTH_CERTIFICATE);
	assert_string_equal(chan->agent, "");
	authenticate(0);
	answered("\"id\":\"a\"");
	answered("\"servers\":[]");
}

static void
a_refused_hello_closes(void **state)
{
	(void)state;
	say(HELLO);
	authenticate(-EACCES);
	answered("\"code\":-32001,");
	assert_int_equal(chan->code, 4001);
}

static void
a_hello_at_a_bad_moment_is_told_to_try_later(void **state)
{
	(void)state;
	say(HELLO);
	authenticate(-EAGAIN);
	answered("\"code\":-32002,");
	assert_int_equal(chan->code, 1013);
}

static void
an_id_that_is_not_valid_closes(void **state)
{
	(void)state;
	chan->auth_error = -EINVAL;
	error_is(HELLO, -32005);
	assert_int_equal(chan->code, 4004);
}

static void
hello_is_checked_member_by_member(void **state)
{
	static const char *const bad[][2] = {
		{ "{}", "endpoint" },
		{ "{\"endpoint\":7}", "endpoint" },
		{ "{\"endpoint\":\"e\",\"boot_id\":1}", "boot_id" },
		{ "{\"endpoint\":\"e\",\"agent\":\"x\"}", "agent" },
		{ "{\"endpoint\":\"e\",\"agent\":{\"name\":1}}", "agent" },
		{ "{\"endpoint\":\"e\"}", "auth: " },
		{ "{\"endpoint\":\"e\",\"auth\":{}}", "auth.method" },
		{ "{\"endpoint\":\"e\",\"auth\":{\"method\":\"magic\"}}",
		    "auth.method" },
		{ "{\"endpoint\":\"e\",\"auth\":{\"method\":\"token\"}}",
		    "auth.token" },
		{ "[]", "params" },
		{ "null", "params" },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\","
		    "\"id\":1,\"method\":\"hello\",\"params\":%s}", bad[i][0]);
		error_is(text, -32602);
		answered(bad[i][1]);
		assert_false(chan->closing);
	}
	assert_int_equal(chan->hellos, 0);
}

static void
a_second_hello_is_an_error_and_no_close(void **state)
{
	(void)state;
	say(HELLO);
	error_is(HELLO, -32004);
	authenticate(0);
	error_is(HELLO, -32004);
	assert_int_equal(chan->hellos, 1);
	assert_false(chan->closing);
}

static void
a_hello_that_wants_no_answer_closes(void **state)
{
	(void)state;
	say("{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{}}");
	assert_int_equal(chan->code, 4006);
}

static void
other_methods_before_hello_close(void **state)
{
	(void)state;
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bye\"}", -32003);
	assert_int_equal(chan->code, 4006);
	assert_int_equal(chan->byes, 0);
}

static void
envelopes_are_judged(void **state)
{
	(void)state;
	error_is("", -32700);
	error_is("{", -32700);
	error_is("nonsense", -32700);
	error_is("{\"a\":1}x", -32700);
	error_is("{\"a\":\"\\u0000\"}", -32700);
	error_is("{\"a\":1e999}", -32700);
	answered("\"id\":null");
	error_is("7", -32600);
	error_is("\"x\"", -32600);
	error_is("[]", -32600);
	error_is("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bye\"}]",
	    -32600);
	error_is("{}", -32600);
	error_is("{\"jsonrpc\":\"1.0\",\"id\":4,\"method\":\"bye\"}", -32600);
	answered("\"id\":4");
	error_is("{\"jsonrpc\":\"2.0\",\"id\":4}", -32600);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":4}", -32600);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"bye\"}",
	    -32600);
	answered("\"id\":null");
	assert_false(chan->closing);
}

static void
an_unknown_method_is_never_a_close(void **state)
{
	(void)state;
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}", -32601);
	say("{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":3}");
	assert_int_equal(chan->sent_n, 0);
	up();
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}", -32601);
	assert_false(chan->closing);
}

static void
answers_to_nothing_are_ignored(void **state)
{
	(void)state;
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	assert_int_equal(chan->sent_n, 0);
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}");
	assert_int_equal(chan->sent_n, 0);
	assert_false(chan->closing);
}

static void
depth_is_limited_and_strings_do_not_count(void **state)
{
	char text[4096] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\","
	    "\"params\":{\"s\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}}";
	size_t n = 0;

	(void)state;
	error_is(text, -32601);
	for (int i = 0; i < 1000; i++)
		text[n++] = '[';
	text[n] = '\0';
	error_is(text, -32700);
	answered("too deep");
}

static void
too_many_bad_messages_close(void **state)
{
	(void)state;
	for (int i = 0; i < 63; i++)
		say("{");
	assert_false(chan->closing);
	say("{");
	assert_int_equal(chan->code, 4006);
}

static void
binary_closes(void **state)
{
	(void)state;
	say_n("{}", 2, 0);
	assert_int_equal(chan->code, 1003);
}

static void
complete(int error, uint64_t value)
{
	struct cleat_completion r = { .size = sizeof(r), .error = error,
	    .request = chan->request, .value = value };

	fake_chan_clear(chan);
	ops->completed(inst, chan, chan->session, &r);
}

static void
power_is_announced(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"state\",\"params\":"
	    "{\"power\":\"rebooting\"}}");
	assert_int_equal(chan->sent_n, 0);
	complete(0, 0);
	answered("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	assert_int_equal(chan->power, CLEAT_POWER_REBOOTING);
	say("{\"jsonrpc\":\"2.0\",\"method\":\"state\",\"params\":"
	    "{\"power\":\"on\"}}");
	assert_int_equal(chan->sent_n, 0);
	assert_int_equal(chan->power, CLEAT_POWER_ON);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"state\","
	    "\"params\":{\"power\":\"high\"}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"state\","
	    "\"params\":{\"power\":3}}", -32602);
	assert_int_equal(chan->powers, 2);
	assert_int_equal(chan->settles, 1);	/* nobody waits for the other */
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"state\",\"params\":"
	    "{\"power\":\"on\"}}");
	complete(-ENOSPC, 0);
	answered("\"id\":3,\"error\":{\"code\":-32002,");
	chan->product_error = -EAGAIN;
	error_is("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"state\","
	    "\"params\":{\"power\":\"on\"}}", -32002);
}

static void
sleep_is_announced_within_reason(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sleep\",\"params\":"
	    "{\"until\":1800000060000}}");
	assert_int_equal(chan->sent_n, 0);
	complete(0, 0);
	answered("\"result\":{}");
	assert_true(chan->until == INT64_C(1800000060000));
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sleep\","
	    "\"params\":{\"until\":1800000000000}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sleep\","
	    "\"params\":{\"until\":1900000000000}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sleep\","
	    "\"params\":{\"until\":1800000060000.5}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sleep\"}",
	    -32602);
	assert_int_equal(chan->sleeps, 1);
}

static void
bye_is_answered_then_closed(void **state)
{
	(void)state;
	up();
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"bye\","
	    "\"params\":{\"reason\":1}}", -32602);
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"bye\",\"params\":"
	    "{\"reason\":\"off\"}}");
	assert_int_equal(chan->byes, 1);
	assert_int_equal(chan->sent_n, 0);
	assert_false(chan->closing);
	complete(0, 0);
	answered("\"result\":{}");
	assert_int_equal(chan->code, 1000);
}

static void
bye_closes_whatever_the_disk_says(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"method\":\"bye\"}");
	assert_false(chan->closing);
	complete(-ENOSPC, 0);
	assert_int_equal(chan->sent_n, 0);
	assert_int_equal(chan->code, 1000);
}

static void
events_are_published(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"event\",\"params\":"
	    "{\"data\":{\"t\":21.5}}}");
	answered("\"result\":{}");
	assert_string_equal(chan->message,
	    "{\"type\":\"event\",\"data\":{\"t\":21.5}}");
	say("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":"
	    "{\"type\":\"door.open\",\"data\":{}}}");
	assert_string_equal(chan->message,
	    "{\"type\":\"door.open\",\"data\":{}}");
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"event\","
	    "\"params\":{\"data\":[]}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"event\","
	    "\"params\":{\"type\":\"a b\",\"data\":{}}}", -32602);
	chan->publish_error = -EMSGSIZE;
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"event\","
	    "\"params\":{\"data\":{}}}", -32602);
	assert_int_equal(chan->published, 2);
}

static void
a_device_that_does_not_read_is_let_go(void **state)
{
	(void)state;
	up();
	chan->send_error = -EAGAIN;
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"x\"}");
	assert_int_equal(chan->code, 4008);
}

static void
a_session_moves_as_bytes(void **state)
{
	unsigned char bytes[64];
	struct cleat_chan *other = fake_chan_new(), *first = chan;
	int n;

	(void)state;
	say(HELLO);
	assert_int_equal(ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes)), -EBUSY);
	authenticate(0);
	assert_int_equal(ops->session_export(inst, chan, chan->session, bytes,
	    1), -ENOBUFS);
	n = ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes));
	assert_true(n > 0);
	assert_int_equal(ops->session_import(inst, other, bytes,
	    (size_t)n - 1), -EINVAL);
	assert_int_equal(ops->session_import(inst, other, bytes, (size_t)n),
	    0);
	ops->session_forget(inst, first->session);
	first->session = NULL;
	chan = other;
	error_is(HELLO, -32004);
	ops->closed(inst, other, other->session, 1000);
	chan = first;
	fake_chan_free(&other);
}

#define TELEMETRY "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"telemetry\"," \
	"\"params\":{\"seq\":4,\"data\":[{\"t\":1.5},7]}}"

static void
telemetry_is_answered_when_it_is_durable(void **state)
{
	(void)state;
	up();
	say(TELEMETRY);
	assert_int_equal(chan->sent_n, 0);
	assert_int_equal(chan->telemetries, 1);
	assert_int_equal(chan->seq, 4);
	assert_string_equal(chan->json, "[{\"t\":1.5},7]");
	complete(0, 4);
	answered("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"stored\":4}}");
	complete(0, 4);			/* nobody waits any more */
	assert_int_equal(chan->sent_n, 0);
}

static void
telemetry_that_cannot_be_stored_is_told_to_try_later(void **state)
{
	static const int later[] = { -EAGAIN, -ENOSPC, -EIO };

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		say(TELEMETRY);
		complete(later[i], 0);
		answered("\"id\":9,\"error\":{\"code\":-32002,");
	}
	chan->product_error = -EAGAIN;
	error_is(TELEMETRY, -32002);
	assert_false(chan->closing);
	complete(0, 4);
	assert_int_equal(chan->sent_n, 0);
}

static void
telemetry_is_checked_member_by_member(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"seq\":0,\"data\":[]}", "{\"seq\":-1,\"data\":[]}",
		"{\"seq\":1.0,\"data\":[]}", "{\"seq\":\"1\",\"data\":[]}",
		"{\"seq\":1}", "{\"seq\":1,\"data\":{}}", "[]"
	};
	char text[256];

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\","
		    "\"id\":1,\"method\":\"telemetry\",\"params\":%s}",
		    bad[i]);
		error_is(text, -32602);
	}
	assert_int_equal(chan->telemetries, 0);
}

#define PATCH "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"inventory\"," \
	"\"params\":{\"patch\":{}}}"

static void
more_requests_than_may_wait_are_told_to_try_later(void **state)
{
	(void)state;
	up();
	for (int i = 0; i < 64; i++) {
		say(PATCH);
		assert_int_equal(chan->sent_n, 0);
	}
	for (int i = 0; i < 100; i++)	/* which is no bad message */
		error_is(PATCH, -32002);
	complete(0, 4);
	answered("\"revision\":4");
	say(PATCH);
	assert_int_equal(chan->sent_n, 0);
}

static void
an_inventory_patch_is_answered_with_its_revision(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"inventory\","
	    "\"params\":{\"patch\":{\"mac\":null,\"x\":{\"y\":1}}}}");
	assert_string_equal(chan->json, "{\"mac\":null,\"x\":{\"y\":1}}");
	complete(0, 12);
	answered("\"result\":{\"revision\":12}");
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"inventory\","
	    "\"params\":{\"patch\":{}}}");
	complete(-EMSGSIZE, 0);
	answered("\"code\":-32602,");
	error_is("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"inventory\","
	    "\"params\":{\"patch\":[]}}", -32602);
	assert_int_equal(chan->inventories, 2);
}

static int
send_command(const char *id)
{
	struct cleat_command cmd = { .size = sizeof(cmd), .again = 1, .id = id,
	    .verb = "message", .args_json = "{\"text\":\"x\"}",
	    .deadline_wall_ms = INT64_C(1800000060000) };

	fake_chan_clear(chan);
	return ops->command(inst, chan, chan->session, &cmd);
}

static void
a_command_is_a_request_and_its_answer_means_recorded(void **state)
{
	(void)state;
	up();
	assert_int_equal(send_command("c-1"), 0);
	answered("{\"jsonrpc\":\"2.0\",\"id\":\"command c-1\",\"method\":"
	    "\"command\",\"params\":{\"command_id\":\"c-1\",\"verb\":"
	    "\"message\",\"args\":{\"text\":\"x\"},\"deadline_ms\":60000,"
	    "\"again\":true}}");
	say("{\"jsonrpc\":\"2.0\",\"id\":\"command c-1\",\"result\":{}}");
	assert_int_equal(chan->accepted, 1);
	assert_string_equal(chan->command, "c-1");
	assert_int_equal(chan->sent_n, 0);
}

static void
a_command_that_is_answered_with_an_error_has_failed(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":\"command c-1\",\"error\":"
	    "{\"code\":-32601,\"message\":\"no such verb\"}}");
	assert_int_equal(chan->outcomes, 1);
	assert_int_equal(chan->outcome, CLEAT_OUTCOME_ERROR);
	assert_string_equal(chan->outcome_text,
	    "refused by the device: no such verb (-32601)");
	complete(0, CLEAT_OUTCOME_ERROR);
	assert_int_equal(chan->sent_n, 0);
	chan->product_error = -ENOENT;	/* made up by the device */
	say("{\"jsonrpc\":\"2.0\",\"id\":\"command zz\",\"error\":7}");
	assert_int_equal(chan->sent_n, 0);
	assert_false(chan->closing);
}

static void
a_command_that_the_device_has_no_room_for_comes_later(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"id\":\"command c-1\",\"error\":"
	    "{\"code\":-32002,\"message\":\"not just now\"}}");
	assert_int_equal(chan->later, 1);
	assert_string_equal(chan->command, "c-1");
	assert_int_equal(chan->outcomes, 0);
	assert_int_equal(chan->accepted, 0);
}

static void
a_command_waits_while_the_queue_is_full(void **state)
{
	(void)state;
	up();
	chan->send_error = -EAGAIN;
	assert_int_equal(send_command("c-1"), -EAGAIN);
	assert_false(chan->closing);
}

static void
the_device_is_asked_to_cancel(void **state)
{
	(void)state;
	up();
	fake_chan_clear(chan);
	ops->command_cancel(inst, chan, chan->session, "c-1");
	answered("\"id\":\"cancel c-1\",\"method\":\"cancel\",\"params\":"
	    "{\"command_id\":\"c-1\"}}");
	say("{\"jsonrpc\":\"2.0\",\"id\":\"cancel c-1\",\"result\":{}}");
	say("{\"jsonrpc\":\"2.0\",\"id\":\"cancel c-1\",\"error\":"
	    "{\"code\":-32601}}");
	assert_int_equal(chan->outcomes, 0);
	say("{\"jsonrpc\":\"2.0\",\"id\":\"cancel c-1\",\"error\":"
	    "{\"code\":-32007}}");
	assert_int_equal(chan->outcome, CLEAT_OUTCOME_CANCELLED);
}

#define OUTCOME(rest) "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"outcome\"," \
	"\"params\":{\"command_id\":\"c-1\"" rest "}}"

static void
an_outcome_is_answered_with_the_one_that_counts(void **state)
{
	(void)state;
	up();
	say(OUTCOME(",\"outcome\":\"ok\",\"result\":\"fine\","
	    "\"message\":\"m\""));
	assert_int_equal(chan->outcome, CLEAT_OUTCOME_OK);
	assert_string_equal(chan->json, "\"fine\"");
	assert_string_equal(chan->outcome_text, "m");
	complete(0, CLEAT_OUTCOME_EXPIRED);
	answered("\"id\":3,\"result\":{\"final\":\"expired\"}");
	say(OUTCOME(",\"outcome\":\"interrupted\""));
	assert_string_equal(chan->json, "");
	complete(-ENOENT, 0);
	answered("\"code\":-32007,");
	error_is(OUTCOME(",\"outcome\":\"expired\""), -32602);
	error_is(OUTCOME(",\"outcome\":1"), -32602);
	error_is(OUTCOME(""), -32602);
	error_is(OUTCOME(",\"outcome\":\"ok\",\"message\":1"), -32602);
	assert_int_equal(chan->outcomes, 2);
}

static void
progress_is_a_number_or_a_text(void **state)
{
	(void)state;
	up();
	say("{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":"
	    "{\"command_id\":\"c-1\",\"percent\":42.5}}");
	assert_int_equal(chan->percent, 42);
	say("{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":"
	    "{\"command_id\":\"c-1\",\"text\":\"half\"}}");
	assert_int_equal(chan->percent, -1);
	assert_string_equal(chan->outcome_text, "half");
	assert_int_equal(chan->sent_n, 0);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"progress\","
	    "\"params\":{\"command_id\":\"c-1\",\"percent\":101}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"progress\","
	    "\"params\":{\"command_id\":\"c-1\"}}", -32602);
	error_is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"progress\","
	    "\"params\":{\"percent\":1}}", -32602);
	/* Of a command that ended meanwhile: no error, and no end of the
	 * channel. */
	chan->product_error = -ENOENT;
	for (int i = 0; i < 100; i++)
		say("{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":"
		    "{\"command_id\":\"c-1\",\"percent\":1}}");
	assert_false(chan->closing);
}

static void
drain_names_window_and_servers(void **state)
{
	struct cleat_drain d = { .size = sizeof(d), .window_ms = 60000,
	    .servers = "wss://a,wss://b", .why = "moved" };

	(void)state;
	up();
	fake_chan_clear(chan);
	ops->drain(inst, chan, chan->session, &d);
	answered("{\"jsonrpc\":\"2.0\",\"method\":\"drain\",\"params\":{"
	    "\"window_ms\":60000,\"servers\":[\"wss://a\",\"wss://b\"],"
	    "\"why\":\"moved\"}}");
	d.servers = "";
	fake_chan_clear(chan);
	ops->drain(inst, chan, chan->session, &d);
	answered("\"servers\":[],");
}

static void
a_session_with_a_request_that_waits_does_not_move(void **state)
{
	unsigned char bytes[64];

	(void)state;
	up();
	say(TELEMETRY);
	assert_int_equal(ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes)), -EBUSY);
	complete(0, 4);
	assert_true(ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes)) > 0);
}

/* 15,000 idle devices: nothing is kept for one that has nothing to remember. */
static void
an_idle_channel_has_no_session_of_its_own(void **state)
{
	struct cleat_chan *first = chan, *other = fake_chan_new();
	const void *idle, *own;
	unsigned char bytes[64];
	int n;

	(void)state;
	own = chan->session;
	up();
	idle = chan->session;
	assert_ptr_not_equal(idle, own);
	/* Two that move here share it; one with an error does not. */
	n = ops->session_export(inst, chan, chan->session, bytes,
	    sizeof(bytes));
	assert_int_equal(ops->session_import(inst, other, bytes, (size_t)n),
	    0);
	assert_ptr_equal(other->session, idle);
	error_is(HELLO, -32004);
	assert_ptr_not_equal(chan->session, idle);
	chan = other;
	say(TELEMETRY);
	assert_ptr_not_equal(chan->session, idle);
	assert_ptr_not_equal(chan->session, first->session);
	complete(0, 4);
	assert_ptr_equal(chan->session, idle);
	chan = first;
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"event\",\"params\":"
	    "{\"data\":{}}}");
	assert_ptr_equal(chan->session, idle);
	ops->closed(inst, other, other->session, 1000);
	fake_chan_free(&other);
}

static void
without_a_challenge_the_channel_is_closed(void **state)
{
	struct cleat_request r = { .size = sizeof(r) };
	struct cleat_chan *other = fake_chan_new();

	(void)state;
	other->challenge_error = -EIO;
	ops->open(inst, other, &r);
	assert_int_equal(other->code, 1013);
	ops->closed(inst, other, other->session, 1006);
	fake_chan_free(&other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_challenge_comes_first),
		TEST(hello_is_handed_on_and_answered),
		TEST(hello_with_a_client_certificate_needs_no_token),
		TEST(a_refused_hello_closes),
		TEST(a_hello_at_a_bad_moment_is_told_to_try_later),
		TEST(an_id_that_is_not_valid_closes),
		TEST(hello_is_checked_member_by_member),
		TEST(a_second_hello_is_an_error_and_no_close),
		TEST(a_hello_that_wants_no_answer_closes),
		TEST(other_methods_before_hello_close),
		TEST(envelopes_are_judged),
		TEST(an_unknown_method_is_never_a_close),
		TEST(answers_to_nothing_are_ignored),
		TEST(depth_is_limited_and_strings_do_not_count),
		TEST(too_many_bad_messages_close),
		TEST(binary_closes),
		TEST(power_is_announced),
		TEST(sleep_is_announced_within_reason),
		TEST(bye_is_answered_then_closed),
		TEST(bye_closes_whatever_the_disk_says),
		TEST(events_are_published),
		TEST(a_device_that_does_not_read_is_let_go),
		TEST(a_session_moves_as_bytes),
		TEST(telemetry_is_answered_when_it_is_durable),
		TEST(telemetry_that_cannot_be_stored_is_told_to_try_later),
		TEST(telemetry_is_checked_member_by_member),
		TEST(more_requests_than_may_wait_are_told_to_try_later),
		TEST(an_inventory_patch_is_answered_with_its_revision),
		TEST(a_command_is_a_request_and_its_answer_means_recorded),
		TEST(a_command_that_is_answered_with_an_error_has_failed),
		TEST(a_command_that_the_device_has_no_room_for_comes_later),
		TEST(a_command_waits_while_the_queue_is_full),
		TEST(the_device_is_asked_to_cancel),
		TEST(an_outcome_is_answered_with_the_one_that_counts),
		TEST(progress_is_a_number_or_a_text),
		TEST(drain_names_window_and_servers),
		TEST(a_session_with_a_request_that_waits_does_not_move),
		TEST(an_idle_channel_has_no_session_of_its_own),
		TEST(without_a_challenge_the_channel_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
