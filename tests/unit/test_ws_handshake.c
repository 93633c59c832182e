/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake, RFC 6455 4.1 and 4.2. */
#include "wire/ws_handshake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/header_text.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define GOOD "Host: server.example.com\nUpgrade: websocket\n" \
	"Connection: Upgrade\nSec-WebSocket-Version: 13\n" \
	"Sec-WebSocket-Key: " KEY "\n"

static struct header_text headers;

static int
check(const char *method, const char *version, const char *text,
    struct ws_refusal *ret)
{
	struct ws_request r = { method, version, &headers.headers };

	header_text_set(&headers, text);
	return ws_request_check(&r, ret);
}

static void
expect_status(const char *text, unsigned status)
{
	struct ws_refusal no;

	if (check("GET", "HTTP/1.1", text, &no) != -EPROTO)
		fail_msg("accepted:\n%s", text);
	assert_int_equal(no.status, status);
	assert_non_null(no.why);
}

static void
the_example_of_the_rfc_passes(void **state)
{
	struct ws_refusal no = { .status = 7 };
	uint8_t input[WS_ACCEPT_INPUT_SIZE];

	(void)state;
	assert_int_equal(check("GET", "HTTP/1.1", GOOD, &no), 0);
	assert_int_equal(no.status, 7);
	ws_accept_input(ws_request_key(&headers.headers), input);
	assert_memory_equal(input, KEY WS_GUID, sizeof input);
	assert_true(ws_request_is_upgrade(&headers.headers));
}

static void
upgrade_and_connection_are_lists_in_any_case(void **state)
{
	struct ws_refusal no;

	(void)state;
	assert_int_equal(check("GET", "HTTP/1.1", "HOST: a\n"
	    "upgrade: h2c\nUpgrade: foo, WebSocket\n"
	    "Connection: keep-alive, UPGRADE\nsec-websocket-version:  13 \n"
	    "Sec-WebSocket-Key:  " KEY " ", &no), 0);
	assert_memory_equal(ws_request_key(&headers.headers), KEY, 24);
}

static void
only_get_of_http_1_1(void **state)
{
	struct ws_refusal no;

	(void)state;
	assert_int_equal(check("POST", "HTTP/1.1", GOOD, &no), -EPROTO);
	assert_int_equal(no.status, 405);
	assert_string_equal(no.header[0].name, "Allow");
	assert_string_equal(no.header[0].value, "GET");
	assert_int_equal(check("get", "HTTP/1.1", GOOD, &no), -EPROTO);
	assert_int_equal(check("GET", "HTTP/1.0", GOOD, &no), -EPROTO);
	assert_int_equal(no.status, 400);
	assert_null(no.header[0].name);
	assert_int_equal(check("GET", "HTTP/2", GOOD, &no), -EPROTO);
	assert_int_equal(check("GET", "", GOOD, &no), -EPROTO);
	assert_int_equal(check("GET", "HTTP/1.2", GOOD, &no), 0);
}

static void
another_version_gets_426_and_ours(void **state)
{
	struct ws_refusal no;
	char text[400];
	size_t i;
	static const char *const wrong[] = { "8", "12", "14", "013", "13, 8",
	    "", "13x" };

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, "Host: a\nUpgrade: websocket\n"
		    "Connection: Upgrade\nSec-WebSocket-Key: " KEY
		    "\nSec-WebSocket-Version: %s", wrong[i]);
		assert_int_equal(check("GET", "HTTP/1.1", text, &no),
		    -EPROTO);
		assert_int_equal(no.status, 426);
		assert_string_equal(no.header[0].name,
		    "Sec-WebSocket-Version");
		assert_string_equal(no.header[0].value, "13");
		assert_string_equal(no.header[1].name, "Upgrade");
	}
	expect_status("Host: a\nUpgrade: websocket\nConnection: Upgrade\n"
	    "Sec-WebSocket-Key: " KEY, 426);
	expect_status(GOOD "Sec-WebSocket-Version: 13", 400);
}

static void
missing_and_repeated_headers_are_refused(void **state)
{
	(void)state;
	expect_status("", 400);
	expect_status("Host: a", 426);
	expect_status("Host: a\nHost: b\nUpgrade: websocket", 400);
	expect_status("Host: a\nUpgrade: websockets", 426);
	expect_status("Host: a\nUpgrade: websocket", 400);
	expect_status("Host: a\nUpgrade: websocket\nConnection: close", 400);
	expect_status("Host: a\nUpgrade: websocket\nConnection: Upgrade\n"
	    "Sec-WebSocket-Version: 13", 400);
	expect_status(GOOD "Sec-WebSocket-Key: " KEY, 400);
}

static void
a_key_is_base64_of_16_bytes(void **state)
{
	static const char *const wrong[] = { "", "abc",
	    "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
	    "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQA=",
	    "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub2 jZQ==",
	    "dGhlIHNhbXBsZSBub25j_Q==", "dGhlIHNhbXBsZSBub25j=Q==" };
	struct ws_refusal no;
	char text[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, "Host: a\nUpgrade: websocket\n"
		    "Connection: Upgrade\nSec-WebSocket-Version: 13\n"
		    "Sec-WebSocket-Key: %s", wrong[i]);
		assert_int_equal(check("GET", "HTTP/1.1", text, &no),
		    -EPROTO);
		assert_int_equal(no.status, 400);
		assert_null(ws_request_key(&headers.headers));
	}
}

static void
offered_subprotocols_come_in_order(void **state)
{
	struct ws_subprotocols offered;

	(void)state;
	header_text_set(&headers, "Sec-WebSocket-Protocol: mqtt, "
	    "cleat.v1.jsonrpc\nSec-WebSocket-Protocol: echo");
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    0);
	assert_string_equal(offered.name[0], "mqtt");
	assert_string_equal(offered.name[1], "cleat.v1.jsonrpc");
	assert_string_equal(offered.name[2], "echo");
	assert_null(offered.name[3]);
	header_text_set(&headers, "Sec-WebSocket-Protocol: ECHO");
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    0);
	assert_string_equal(offered.name[0], "ECHO");
	header_text_set(&headers, "");
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    0);
	assert_null(offered.name[0]);
}

static void
subprotocols_are_different_tokens_and_not_too_many(void **state)
{
	struct ws_subprotocols offered;
	char text[1500];
	size_t n, i;

	(void)state;
	header_text_set(&headers, "Sec-WebSocket-Protocol: a, b, a");
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    -EINVAL);
	header_text_set(&headers, "Sec-WebSocket-Protocol: a, b c");
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    -EINVAL);
	n = (size_t)snprintf(text, sizeof text,
	    "Sec-WebSocket-Protocol: ");
	for (i = 0; i < 17; i++) {
		header_text_set(&headers, text);
		assert_int_equal(ws_request_subprotocols(&headers.headers,
		    &offered), 0);
		n += (size_t)snprintf(text + n, sizeof text - n, "p%zu, ",
		    i);
	}
	header_text_set(&headers, text);
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    -E2BIG);
	n = (size_t)snprintf(text, sizeof text,
	    "Sec-WebSocket-Protocol: ");
	memset(text + n, 'x', 1024);
	text[n + 1023] = '\0';
	header_text_set(&headers, text);
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    0);
	memset(text + n, 'x', 1024);
	text[n + 1024] = '\0';
	header_text_set(&headers, text);
	assert_int_equal(ws_request_subprotocols(&headers.headers, &offered),
	    -E2BIG);
}

#define ANSWER "Upgrade: WebSocket\nConnection: Upgrade\n" \
	"Sec-WebSocket-Accept: " ACCEPT "\n"

static int
answer(unsigned status, const char *text, struct ws_agreed *ret)
{
	static const char *const asked[] = { "a", "b", NULL };
	struct ws_response r = { .status = status, .accept = ACCEPT,
	    .headers = &headers.headers, .subprotocols = asked,
	    .deflate_offered = true };
	const char *why = NULL;
	int e;

	header_text_set(&headers, text);
	e = ws_response_check(&r, ret, &why);
	assert_int_equal(why != NULL, e != 0);
	return e;
}

static void
a_client_takes_a_good_answer(void **state)
{
	struct ws_agreed a;

	(void)state;
	assert_int_equal(answer(101, ANSWER, &a), 0);
	assert_null(a.subprotocol);
	assert_false(a.deflate.enabled);
	assert_int_equal(answer(101, ANSWER "Sec-WebSocket-Protocol: b\n"
	    "Sec-WebSocket-Extensions: " WS_DEFLATE_OFFER, &a), 0);
	assert_string_equal(a.subprotocol, "b");
	assert_true(a.deflate.enabled);
}

static void
a_client_refuses_a_bad_answer(void **state)
{
	static const char *const wrong[] = { "",
	    "Connection: Upgrade\nSec-WebSocket-Accept: " ACCEPT,
	    "Upgrade: websocket\nSec-WebSocket-Accept: " ACCEPT,
	    "Upgrade: h2c\nConnection: Upgrade\n"
	    "Sec-WebSocket-Accept: " ACCEPT,
	    "Upgrade: websocket\nConnection: Upgrade",
	    "Upgrade: websocket\nConnection: Upgrade\n"
	    "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
	    ANSWER "Sec-WebSocket-Accept: " ACCEPT,
	    ANSWER "Sec-WebSocket-Protocol: c",
	    ANSWER "Sec-WebSocket-Protocol: A",
	    ANSWER "Sec-WebSocket-Protocol: a, b",
	    ANSWER "Sec-WebSocket-Protocol: a\nSec-WebSocket-Protocol: a",
	    ANSWER "Sec-WebSocket-Extensions: permessage-deflate",
	    ANSWER "Sec-WebSocket-Extensions: foo" };
	struct ws_agreed a;
	size_t i;

	(void)state;
	assert_int_equal(answer(200, ANSWER, &a), -EPROTO);
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (answer(101, wrong[i], &a) != -EPROTO)
			fail_msg("accepted:\n%s", wrong[i]);
	}
}

static void
a_client_that_asked_for_nothing_gets_nothing(void **state)
{
	struct ws_response r = { .status = 101, .accept = ACCEPT,
	    .headers = &headers.headers };
	const char *why;
	struct ws_agreed a;

	(void)state;
	header_text_set(&headers, ANSWER);
	assert_int_equal(ws_response_check(&r, &a, &why), 0);
	header_text_set(&headers, ANSWER "Sec-WebSocket-Protocol: a");
	assert_int_equal(ws_response_check(&r, &a, &why), -EPROTO);
	header_text_set(&headers, ANSWER
	    "Sec-WebSocket-Extensions: " WS_DEFLATE_OFFER);
	assert_int_equal(ws_response_check(&r, &a, &why), -EPROTO);
}

#define T(x) cmocka_unit_test(x)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_example_of_the_rfc_passes),
		T(upgrade_and_connection_are_lists_in_any_case),
		T(only_get_of_http_1_1),
		T(another_version_gets_426_and_ours),
		T(missing_and_repeated_headers_are_refused),
		T(a_key_is_base64_of_16_bytes),
		T(offered_subprotocols_come_in_order),
		T(subprotocols_are_different_tokens_and_not_too_many),
		T(a_client_takes_a_good_answer),
		T(a_client_refuses_a_bad_answer),
		T(a_client_that_asked_for_nothing_gets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
