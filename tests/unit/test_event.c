/* SPDX-License-Identifier: Apache-2.0 */
/* core/event/event.c and encode.c: names, packing, the text on the bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/encode.h"
#include "event/record.h"

static int64_t
fixed_wall(void)
{
	return INT64_C(1795217860123);	/* 2026-11-20T23:37:40.123Z */
}

static void
every_value_has_its_own_name(void **state)
{
	unsigned i, k;

	(void)state;
	for (i = 0; i < EVENT_TYPES; i++) {
		assert_non_null(event_type_name(i));
		assert_non_null(strchr(event_type_name(i), '.'));
		for (k = 0; k < i; k++)
			assert_string_not_equal(event_type_name(i),
			    event_type_name(k));
	}
	for (i = 0; i < PRESENCE_STATES; i++)
		assert_non_null(presence_state_name(i));
	for (i = 0; i < REASON_COUNT; i++)
		assert_non_null(presence_reason_name(i));
	assert_string_equal(channel_security_name(SECURITY_WSS_SAFE),
	    "wss-safe");
	assert_true(event_is_presence(EVENT_ENDPOINT_UNLINKED));
	assert_false(event_is_presence(EVENT_ENDPOINT_MESSAGE));
}

static void
a_record_needs_nothing_of_the_caller(void **state)
{
	char id[] = "dev-1", peer[] = "192.0.2.1", detail[] = "{\"a\":1}";
	struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .endpoint = id, .peer = peer,
		.text = "", .detail = detail, .detail_n = 7,
	};
	struct event_record *r;

	(void)state;
	assert_int_equal(event_pack(&ev, &r), 0);
	memset(id, 'x', sizeof(id) - 1);
	memset(peer, 'x', sizeof(peer) - 1);
	memset(detail, 'x', sizeof(detail) - 1);
	assert_string_equal(r->ev.endpoint, "dev-1");
	assert_string_equal(r->ev.peer, "192.0.2.1");
	assert_null(r->ev.text);
	assert_memory_equal(r->ev.detail, "{\"a\":1}", 7);
	assert_int_equal(r->ev.wall_ms, fixed_wall());
	mem_free(r);
}

static void
wrong_values_are_refused(void **state)
{
	struct event_record *r = NULL;
	char id[EVENT_ID_MAX + 2];
	struct event ev = { .type = EVENT_TYPES };

	(void)state;
	assert_int_equal(event_pack(&ev, &r), -EINVAL);
	ev = (struct event){ .state = PRESENCE_STATES };
	assert_int_equal(event_pack(&ev, &r), -EINVAL);
	ev = (struct event){ .reason = REASON_COUNT };
	assert_int_equal(event_pack(&ev, &r), -EINVAL);
	ev = (struct event){ .security = SECURITY_WSS_SAFE + 1 };
	assert_int_equal(event_pack(&ev, &r), -EINVAL);
	memset(id, 'x', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	ev = (struct event){ .endpoint = id };
	assert_int_equal(event_pack(&ev, &r), -EINVAL);
	id[EVENT_ID_MAX] = '\0';
	mem_fail_nth(1);
	assert_int_equal(event_pack(&ev, &r), -ENOMEM);
	mem_fail_nth(0);
	assert_null(r);
	assert_int_equal(event_pack(&ev, &r), 0);
	mem_free(r);
}

static const char *
text_of(const struct event *ev, uint64_t seq, char *to, size_t *ret_json)
{
	struct outbuf out = { .p = (uint8_t *)to,
	    .cap = event_encoded_max(ev) };

	assert_true(out.cap < 8192);
	assert_int_equal(event_encode(ev, 7, seq, &out, ret_json), 0);
	to[out.n] = '\0';
	return to;
}

static void
a_full_event_has_every_member(void **state)
{
	const struct event ev = {
		.type = EVENT_ENDPOINT_REPLACED, .wall_ms = fixed_wall(),
		.endpoint = "dev-1", .channel = 5, .old_channel = 4,
		.revision = 12, .state = PRESENCE_ONLINE,
		.security = SECURITY_WSS_SAFE, .reason = REASON_HELLO,
		.rtt_us = 830, .peer = "192.0.2.1", .text = "a \"b\"",
		.detail = "{\"a\":1}", .detail_n = 7,
	};
	char to[8192];
	size_t json;

	(void)state;
	assert_string_equal(text_of(&ev, 9, to, &json),
	    "endpoint.replaced/dev-1 {\"seq\":9,\"epoch\":7,"
	    "\"time\":\"2026-11-20T23:37:40.123Z\","
	    "\"event\":\"endpoint.replaced\",\"endpoint\":\"dev-1\","
	    "\"channel\":5,\"old_channel\":4,\"revision\":12,"
	    "\"state\":\"online\",\"security\":\"wss-safe\","
	    "\"reason\":\"hello\",\"rtt_us\":830,\"peer\":\"192.0.2.1\","
	    "\"text\":\"a \\\"b\\\"\",\"detail\":{\"a\":1}}");
	assert_int_equal(json, strlen("endpoint.replaced/dev-1 "));
}

static void
members_that_do_not_apply_are_left_out(void **state)
{
	const struct event ev = {
		.type = EVENT_DAEMON_READY, .wall_ms = fixed_wall(),
	};
	char to[8192];
	size_t json;

	(void)state;
	assert_string_equal(text_of(&ev, 2, to, &json),
	    "daemon.ready {\"seq\":2,\"epoch\":7,"
	    "\"time\":\"2026-11-20T23:37:40.123Z\","
	    "\"event\":\"daemon.ready\"}");
}

static void
the_topic_has_one_space_whatever_the_id(void **state)
{
	const struct event ev = {
		.type = EVENT_AUTH_FAILED, .wall_ms = fixed_wall(),
		.endpoint = "a b%\n\xff",
	};
	char to[8192];
	size_t json;

	(void)state;
	text_of(&ev, 2, to, &json);
	assert_int_equal(strncmp(to, "auth.failed/a%20b%25%0A%FF {", 28), 0);
}

static void
the_largest_event_fits_its_bound(void **state)
{
	char id[EVENT_ID_MAX + 1], text[600], to[8192];
	struct event ev = {
		.type = EVENT_DAEMON_RELOAD_FAILED, .wall_ms = fixed_wall(),
		.endpoint = id, .channel = UINT64_MAX,
		.old_channel = UINT64_MAX, .revision = UINT64_MAX,
		.security = SECURITY_WSS_SAFE,
		.reason = REASON_PING_UNANSWERED, .rtt_us = UINT32_MAX,
		.text = text,
	};
	size_t json;

	(void)state;
	memset(id, 1, sizeof(id) - 1);
	id[EVENT_ID_MAX] = '\0';
	memset(text, 1, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text_of(&ev, UINT64_MAX, to, &json);
	ev.type = EVENT_ENDPOINT_DISCONNECTED;
	text_of(&ev, UINT64_MAX, to, &json);
}

static void
a_small_area_is_an_error_and_no_overrun(void **state)
{
	const struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .wall_ms = fixed_wall(),
		.endpoint = "dev-1", .detail = "{\"a\":1}", .detail_n = 7,
	};
	char whole[8192];
	size_t n, full, json;

	(void)state;
	full = strlen(text_of(&ev, 1, whole, &json));
	for (n = 0; n <= full; n++) {
		uint8_t *area = malloc(n + 1);
		struct outbuf out = { .p = area, .cap = n };

		assert_int_equal(event_encode(&ev, 7, 1, &out, &json),
		    n < full ? -ENOBUFS : 0);
		free(area);
	}
}

static int
fix_clock(void **state)
{
	(void)state;
	clock_replace(NULL, fixed_wall);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_its_own_name),
		cmocka_unit_test(a_record_needs_nothing_of_the_caller),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(a_full_event_has_every_member),
		cmocka_unit_test(members_that_do_not_apply_are_left_out),
		cmocka_unit_test(the_topic_has_one_space_whatever_the_id),
		cmocka_unit_test(the_largest_event_fits_its_bound),
		cmocka_unit_test(a_small_area_is_an_error_and_no_overrun),
	};

	return cmocka_run_group_tests(tests, fix_clock, NULL);
}
