/* SPDX-License-Identifier: Apache-2.0 */
/* Who a channel is (core/channel/hello.c), decision 0007. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hex.h"
#include "../lib/channel_rig.h"
#include "endpoint/auth.h"
#include "endpoint/identity.h"

static struct rig rig;
static struct rig_client client, other;
static const struct rig_dial plain = { .early_n = 0 };

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	client = other = (struct rig_client){ .fd = -1, .rig = &rig };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_hang_up(&client);
	rig_hang_up(&other);
	rig_stop(&rig);
	return 0;
}

static struct channel *
the_channel(void)
{
	return channel_find(rig.cw[0], rig.last_id);
}

static void
dial(const char *priority, const struct test_cert *cert)
{
	struct rig_dial d = { .priority = priority, .cert = cert };

	rig_hang_up(&client);
	rig_dial(&rig, &d, &client);
}

static void
a_good_token_makes_an_endpoint_online(void **state)
{
	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "ok 1 ws");
	assert_string_equal(channel_endpoint(the_channel()), "dev-1");
	assert_null(the_channel()->pre);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	assert_int_equal(rig.tap.got[0].type, EVENT_ENDPOINT_ONLINE);
	assert_int_equal(rig.tap.got[0].security, SECURITY_WS);
	assert_string_equal(rig.tap.got[0].text, "rig");
	assert_memory_equal(rig.tap.got[0].peer, "127.0.0.1:", 10);
	assert_int_equal(atomic_load(&rig.counters.authenticated), 1);
	/* Once is enough. */
	assert_true(rig_send_text(&client, "hello dev-2 " RIG_TOKEN));
	{
		char text[32];

		(void)snprintf(text, sizeof(text), "refused %d", -EALREADY);
		rig_expect_text(&client, text);
	}
}

static void
a_bad_hello_is_refused_published_and_not_repeated(void **state)
{
	char text[32];

	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	(void)snprintf(text, sizeof(text), "refused %d", -EINVAL);
	assert_true(rig_send_text(&client, "hello dev/1 " RIG_TOKEN));
	rig_expect_text(&client, text);
	assert_true(rig_send_text(&client, "hello dev-1 not-the-right-token"));
	(void)snprintf(text, sizeof(text), "no %d", -EACCES);
	rig_expect_text(&client, text);
	(void)snprintf(text, sizeof(text), "refused %d", -EALREADY);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, text);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	assert_int_equal(rig.tap.got[0].type, EVENT_AUTH_FAILED);
	assert_string_equal(rig.tap.got[0].endpoint, "dev-1");
	assert_string_equal(channel_endpoint(the_channel()), "");
	assert_int_equal(atomic_load(&rig.counters.auth_failed), 1);
	/* An unknown id hears the same as a known one. */
	dial(NULL, NULL);
	assert_true(rig_send_text(&client, "hello nobody " RIG_TOKEN));
	(void)snprintf(text, sizeof(text), "no %d", -EACCES);
	rig_expect_text(&client, text);
	assert_int_equal(channel_announce_bye(the_channel()), -EPERM);
	assert_int_equal(channel_publish(the_channel(), "{}", 2), -EPERM);
}

static void
tokens_need_tls_or_a_trusted_way(void **state)
{
	(void)state;
	rig.untrusted = true;
	rig_start(&rig);
	dial(NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "no -13");
	dial(RIG_TLS13, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "ok 1 wss");
}

/* key, signature, bound */
#define KEY32 "00112233445566778899aabbccddeeff"
#define KEY KEY32 KEY32
#define SIGNED " " KEY " " KEY KEY
#define BINDS " 1"
#define BINDS_NOT " 0"

static void
an_operator_is_told_why_it_was_refused(void **state)
{
	static const struct {
		const char *priority;
		bool cert;
		const char *line, *why;
	} shown[] = {
		{ NULL, false, "hello dev-1 " RIG_TOKEN, "only under TLS" },
		{ NULL, false, "enrol dev-1 once", "only under TLS" },
		{ NULL, false, "enrol dev-1 -", "only under TLS" },
		{ RIG_TLS13, false, "hello dev-1 -", "no token" },
		{ RIG_TLS13, false, "cert dev-1", "showed no certificate" },
		{ RIG_TLS13, true, "cert dev-2", "for another id" },
		{ RIG_TLS13, false, "key dev-1 -", "signed nothing" },
		{ RIG_TLS13, false, "key dev-1 -" SIGNED BINDS,
		    "signature is wrong" },
		{ RIG_TLS13, false, "enrol dev-1 once" SIGNED BINDS_NOT,
		    "signature is wrong" },
		{ NULL, false, "key dev-1 -" SIGNED BINDS,
		    "the server does not see" },
	};
	const size_t n = sizeof(shown) / sizeof(shown[0]);
	uint8_t challenge[32];

	(void)state;
	rig.untrusted = true;
	rig_start(&rig);
	for (size_t i = 0; i < n; i++) {
		dial(shown[i].priority, shown[i].cert ? &rig.device : NULL);
		assert_int_equal(channel_challenge(the_channel(), challenge),
		    0);
		assert_true(rig_send_text(&client, shown[i].line));
		rig_expect_text(&client, "no -13");
		assert_int_equal(event_tap_sync(&rig.tap), i + 1);
		if (strstr(rig.tap.got[i].text, shown[i].why) == NULL)
			fail_msg("%s: \"%s\"", shown[i].line,
			    rig.tap.got[i].text);
	}
}

static void
the_file_of_tokens_can_be_replaced(void **state)
{
	struct auth_file *none = NULL;
	char why[256];

	(void)state;
	rig_start(&rig);
	assert_int_equal(auth_file_load(NULL, why, &none), 0);
	identity_set_file(rig.identity, none);
	auth_file_unref(&none);
	dial(NULL, NULL);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_text(&client, "no -13");
	identity_set_file(rig.identity, rig.auth);
	dial(NULL, NULL);
	(void)rig_hello(&client, "dev-1");
}

static void
a_certificate_proves_its_name(void **state)
{
	(void)state;
	rig_start(&rig);
	dial(RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "ok 1 wss-safe");
	dial(RIG_TLS12, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "ok 2 wss-safe");
	dial(RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-2"));
	rig_expect_text(&client, "no -13");
	dial(RIG_TLS13, NULL);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "no -13");
	dial(NULL, NULL);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "no -13");
}

/* Without the extended master secret nothing says that nobody is in between. */
static void
without_an_exporter_nothing_is_wss_safe(void **state)
{
	(void)state;
	rig_start(&rig);
	dial(RIG_TLS12_NO_EMS, &rig.device);
	assert_false(the_channel()->has_exporter);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "ok 1 wss");
	/* And a token gives no more than wss, certificate or not. */
	dial(RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "hello dev-2 " RIG_TOKEN));
	rig_expect_text(&client, "ok 1 wss");
}

static void
an_identity_can_be_the_fingerprint(void **state)
{
	char line[100], hex[65];

	(void)state;
	rig.limits.cert_id = CERT_ID_FINGERPRINT;
	rig_start(&rig);
	dial(RIG_TLS13, &rig.device);
	hex_write(the_channel()->cert->proof.sha256, 32, hex);
	(void)snprintf(line, sizeof(line), "cert %s", hex);
	assert_true(rig_send_text(&client, line));
	rig_expect_text(&client, "ok 1 wss-safe");
	dial(RIG_TLS13, &rig.device);
	assert_true(rig_send_text(&client, "cert dev-1"));
	rig_expect_text(&client, "no -13");
}

static void
a_challenge_is_made_once_for_each_channel(void **state)
{
	uint8_t a[32], b[32], c[32];

	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	assert_int_equal(channel_challenge(the_channel(), a), 0);
	assert_int_equal(channel_challenge(the_channel(), b), 0);
	assert_memory_equal(a, b, 32);
	rig_dial(&rig, &plain, &other);
	assert_int_equal(channel_challenge(the_channel(), c), 0);
	assert_memory_not_equal(a, c, 32);
	(void)rig_hello(&other, "dev-1");
	assert_int_equal(channel_challenge(the_channel(), c), -EPERM);
}

static void
the_last_one_wins(void **state)
{
	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	assert_int_equal(rig_hello(&client, "dev-1"), 1);
	rig_dial(&rig, &plain, &other);
	assert_int_equal(rig_hello(&other, "dev-1"), 2);
	rig_expect_close(&client, 4003);
	rig_settle(&rig);
	assert_int_equal(rig.close_code, 4003);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].type, EVENT_ENDPOINT_REPLACED);
	rig_hang_up(&client);
	rig_advance(&rig, 100);
	/* The late end of the old one is no event. */
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig_channels(&rig), 1);
}

/* Both hellos in one turn of the loop: the later is the last. */
static void
of_two_in_one_turn_the_later_wins(void **state)
{
	uint64_t first, second;
	uint8_t b[128];
	size_t n = rig_frame_bytes(b, WS_FIN | WS_OP_TEXT,
	    "hello dev-1 " RIG_TOKEN, 12 + strlen(RIG_TOKEN));

	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	first = rig.last_id;
	rig_dial(&rig, &plain, &other);
	second = rig.last_id;
	/* epoll gives them in the order in which they became ready. */
	assert_int_equal(send(client.fd, b, n, 0), n);
	assert_int_equal(send(other.fd, b, n, 0), n);
	rig_turn(&rig);
	rig_expect_text(&client, "ok 1 ws");
	rig_expect_close(&client, 4003);
	rig_expect_text(&other, "ok 2 ws");
	assert_null(channel_find(rig.cw[0], first));
	assert_non_null(channel_find(rig.cw[0], second));
}

static void
announcements_say_what_an_end_means(void **state)
{
	static const struct {
		enum channel_power power;
		enum presence_reason reason;
	} means[] = {
		{ POWER_SHUTTING_DOWN, REASON_SHUTTING_DOWN },
		{ POWER_REBOOTING, REASON_REBOOTING },
		{ POWER_SUSPENDING, REASON_SUSPENDING },
	};
	size_t n;

	(void)state;
	rig_start(&rig);
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++) {
		dial(NULL, NULL);
		(void)rig_hello(&client, "dev-1");
		assert_int_equal(channel_announce(the_channel(),
		    means[i].power), 0);
		rig_hang_up(&client);
		rig_wait_empty(&rig);
		n = event_tap_sync(&rig.tap);
		assert_int_equal(rig.tap.got[n - 1].state, PRESENCE_OFFLINE);
		assert_int_equal(rig.tap.got[n - 1].reason, means[i].reason);
	}
	dial(NULL, NULL);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(channel_announce(the_channel(), POWER_SUSPENDING), 0);
	assert_int_equal(channel_announce(the_channel(), POWER_ON), 0);
	assert_int_equal(channel_announce(the_channel(),
	    (enum channel_power)9), -EINVAL);
	assert_int_equal(channel_announce_bye(the_channel()), 0);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, "\x03\xe8",
	    2));
	rig_expect_close(&client, 1000);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].reason, REASON_BYE);
	dial(NULL, NULL);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(channel_announce_sleep(the_channel(),
	    1900000000000), 0);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].state, PRESENCE_ASLEEP);
}

static void
ends_carry_their_reason(void **state)
{
	static const struct {
		uint16_t code;
		enum presence_reason reason;
	} ours[] = {
		{ 1001, REASON_STOPPING }, { 1012, REASON_DRAIN },
		{ 4006, REASON_PROTOCOL_ERROR }, { 4005, REASON_REVOKED },
		{ 1000, REASON_PEER_CLOSE }, { 4004, REASON_KICKED },
	};
	size_t n;

	(void)state;
	rig_start(&rig);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		dial(NULL, NULL);
		(void)rig_hello(&client, "dev-1");
		channel_close(the_channel(), ours[i].code, "");
		n = event_tap_sync(&rig.tap);
		assert_int_equal(rig.tap.got[n - 1].reason, ours[i].reason);
		assert_int_equal(rig.tap.got[n - 1].state,
		    PRESENCE_DISCONNECTED);
	}
	dial(NULL, NULL);
	(void)rig_hello(&client, "dev-1");
	assert_true(rig_send(&client, "\xff", 1));
	rig_expect_close(&client, 1002);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].reason, REASON_PROTOCOL_ERROR);
}

static void
a_message_of_a_known_device_is_published(void **state)
{
	(void)state;
	rig_start(&rig);
	dial(NULL, NULL);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(channel_publish(the_channel(), "{\"x\":1}", 7), 0);
	rig_settle(&rig);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_string_equal(rig.tap.got[1].detail, "{\"x\":1}");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_good_token_makes_an_endpoint_online),
		T(a_bad_hello_is_refused_published_and_not_repeated),
		T(tokens_need_tls_or_a_trusted_way),
		T(an_operator_is_told_why_it_was_refused),
		T(the_file_of_tokens_can_be_replaced),
		T(a_certificate_proves_its_name),
		T(without_an_exporter_nothing_is_wss_safe),
		T(an_identity_can_be_the_fingerprint),
		T(a_challenge_is_made_once_for_each_channel),
		T(the_last_one_wins),
		T(of_two_in_one_turn_the_later_wins),
		T(announcements_say_what_an_end_means),
		T(ends_carry_their_reason),
		T(a_message_of_a_known_device_is_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
