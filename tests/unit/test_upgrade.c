/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrade requests through the whole of net, plain (core/net/upgrade.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/net_priv.h"
#include "net/upgrade.h"
#include "../lib/nettest.h"

static struct nettest t;
static char reply[256 * 1024];

static const char *const origins[] = { "https://console.example", NULL };
static const struct net_listener_opts plain = {
	.name = "plain", .address = "127.0.0.1:0", .origins = origins,
	.backlog = 128
};

static int
set_up(void **state)
{
	char why[256];

	(void)state;
	memset(&t, 0, sizeof(t));
	t.limits = nettest_limits();
	log_set_level(LOG_LVL_ERROR);
	if (nettest_start(&t, &plain, 1, why) != 0) {
		print_error("%s\n", why);
		return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	nettest_stop(&t);
	return 0;
}

static bool
has_channel(void *arg)
{
	return t.channels_n >= *(unsigned *)arg;
}

static void
wait_channels(unsigned n)
{
	assert_true(nettest_until(&t, has_channel, &n, 3000));
}

static bool
nobody_left(void *arg)
{
	(void)arg;
	return atomic_load(&net_counters(t.net)->handshakes_now) == 0;
}

static void
assert_answer(const char *request, const char *status, const char *part)
{
	bool eof;
	int fd = nettest_connect(t.address);

	assert_true(fd >= 0);
	assert_true(nettest_send(&t, fd, request, strlen(request)));
	/* The answer is short; what is wanted is in its first segment. */
	(void)nettest_read(&t, fd, reply, sizeof(reply), 12, &eof);
	if (strncmp(reply, status, strlen(status)) != 0 ||
	    (part != NULL && strstr(reply, part) == NULL))
		fail_msg("request <%s> got <%s>", request, reply);
	(void)close(fd);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static size_t
read_101(int fd, size_t more)
{
	const char *end;
	bool eof;
	size_t n, head;

	n = nettest_read(&t, fd, reply, sizeof(reply), 1, &eof);
	end = strstr(reply, "\r\n\r\n");
	if (end == NULL)
		fail_msg("got <%s>", reply);
	head = (size_t)(end + 4 - reply);
	if (n < head + more)
		n += nettest_read(&t, fd, reply + n, sizeof(reply) - n,
		    head + more - n, &eof);
	assert_true(n >= head + more);
	return head;
}

static void
a_good_request_gets_the_101_of_the_rfc(void **state)
{
	int fd = nettest_connect(t.address);
	static const char req[] = NETTEST_UPGRADE("/v1/channel?x=1");

	(void)state;
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	(void)read_101(fd, 0);
	assert_non_null(strstr(reply, "HTTP/1.1 101 "));
	assert_non_null(strstr(reply,
	    "Sec-WebSocket-Accept: " NETTEST_ACCEPT "\r\n"));
	assert_non_null(strstr(reply, "Upgrade: websocket\r\n"));
	assert_non_null(strstr(reply, "Connection: Upgrade\r\n"));
	assert_null(strstr(reply, "Server:"));
	assert_null(strstr(reply, "Extensions"));
	wait_channels(1);
	assert_string_equal(t.channels[0].path, "/v1/channel");
	assert_string_equal(t.channels[0].target, "/v1/channel?x=1");
	assert_string_equal(t.channels[0].peer, "127.0.0.1");
	assert_int_equal(t.channels[0].early_n, 0);
	/* It is the channel's descriptor alone from here on. */
	assert_true(nettest_send(&t, fd, "hello", 5));
	{
		bool eof;
		assert_int_equal(nettest_read(&t, fd, reply, sizeof(reply), 5,
		    &eof), 5);
		assert_memory_equal(reply, "hello", 5);
	}
	(void)close(fd);
}

/* ret: `n` bytes that show any loss, doubling or swap. */
static void
pattern(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static void
early(size_t n)
{
	static const char req[] = NETTEST_UPGRADE("/");
	uint8_t *all = malloc(strlen(req) + n);
	unsigned before = t.channels_n;
	int fd = nettest_connect(t.address);
	size_t i;

	assert_non_null(all);
	memcpy(all, req, strlen(req));
	pattern(all + strlen(req), n);
	assert_true(nettest_send(&t, fd, all, strlen(req) + n));
	(void)read_101(fd, 0);
	wait_channels(before + 1);
	for (i = 0; i < 400 && t.channels[before].got_n < n; i++)
		nettest_turn(&t, 5);
	assert_int_equal(t.channels[before].got_n, n);
	assert_memory_equal(t.channels[before].got, all + strlen(req), n);
	(void)close(fd);
	free(all);
}

static void
what_is_behind_the_request_is_neither_lost_nor_doubled(void **state)
{
	(void)state;
	early(1);
	early(6);
	early(5000);
	early(9000);
	early(20000);
	early(60000);
	early(300000);
}

static bool
all_kept(void *arg)
{
	(void)arg;
	return t.w->http.kept_n == HTTP_PAIRS_KEPT;
}

/* The numbers of the pairs' own ends, of which each has one for life. */
static void
kept(ino_t to[HTTP_PAIRS_KEPT])
{
	struct stat st;

	assert_true(nettest_until(&t, all_kept, NULL, 3000));
	for (int i = 0; i < HTTP_PAIRS_KEPT; i++) {
		assert_int_equal(fstat(t.w->http.kept[i].ours, &st), 0);
		to[i] = st.st_ino;
	}
}

static void
a_pair_is_used_again_after_an_upgrade_that_emptied_it(void **state)
{
	ino_t before[HTTP_PAIRS_KEPT], after[HTTP_PAIRS_KEPT];

	(void)state;
	kept(before);
	early(0);
	early(7);
	early(9000);
	early(300000);
	kept(after);
	assert_memory_equal(before, after, sizeof(before));
}

static void
a_pair_that_served_an_ordinary_request_is_replaced(void **state)
{
	ino_t before[HTTP_PAIRS_KEPT], after[HTTP_PAIRS_KEPT];

	(void)state;
	kept(before);
	assert_answer("GET /healthz HTTP/1.1\r\nHost: h\r\n"
	    "Connection: close\r\n\r\n", "HTTP/1.1 200 ", NULL);
	kept(after);
	assert_memory_equal(before, after, sizeof(before) - sizeof(before[0]));
	assert_int_not_equal(before[HTTP_PAIRS_KEPT - 1],
	    after[HTTP_PAIRS_KEPT - 1]);
	early(0);
}

static void
a_request_in_single_bytes_is_good_too(void **state)
{
	static const char req[] = NETTEST_UPGRADE("/echo") "frame";
	int fd = nettest_connect(t.address);

	(void)state;
	for (size_t i = 0; i < strlen(req); i++)
		assert_true(nettest_send(&t, fd, req + i, 1));
	(void)read_101(fd, 0);
	wait_channels(1);
	for (int i = 0; i < 200 && t.channels[0].got_n < 5; i++)
		nettest_turn(&t, 5);
	assert_int_equal(t.channels[0].got_n, 5);
	assert_memory_equal(t.channels[0].got, "frame", 5);
	(void)close(fd);
}

static void
a_get_an_upgrade_and_a_frame_fit_in_one_segment(void **state)
{
	static const char req[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
	    NETTEST_UPGRADE("/echo") "frame";
	int fd = nettest_connect(t.address);
	bool eof;
	size_t n;

	(void)state;
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	n = nettest_read(&t, fd, reply, sizeof(reply), 1, &eof);
	for (int i = 0; i < 200 && strstr(reply, " 101 ") == NULL; i++)
		n += nettest_read(&t, fd, reply + n, sizeof(reply) - n, 1,
		    &eof);
	assert_memory_equal(reply, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(reply, "ok\nHTTP/1.1 101 "));
	wait_channels(1);
	assert_int_equal(t.channels[0].early_n, 5);
	assert_memory_equal(t.channels[0].got, "frame", 5);
	(void)close(fd);
}

static void
odd_targets_reach_the_router_as_sent(void **state)
{
	static const struct {
		const char *request, *target, *path;
	} cases[] = {
		{ NETTEST_UPGRADE("ws"), "ws", "" },
		{ NETTEST_UPGRADE(""), "", "" },
		{ NETTEST_UPGRADE("*"), "*", "" },
		{ NETTEST_UPGRADE("?a=b"), "?a=b", "" },
		{ NETTEST_UPGRADE("http://h/v1/channel"),
		    "http://h/v1/channel", "/v1/channel" },
		{ NETTEST_UPGRADE("wss://h:1?x"), "wss://h:1?x", "/" },
		{ NETTEST_UPGRADE("/a%20b"), "/a%20b", "/a%20b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = nettest_connect(t.address);

		assert_true(nettest_send(&t, fd, cases[i].request,
		    strlen(cases[i].request)));
		(void)read_101(fd, 0);
		wait_channels((unsigned)i + 1);
		assert_string_equal(t.channels[i].target, cases[i].target);
		assert_string_equal(t.channels[i].path, cases[i].path);
		(void)close(fd);
	}
}

static void
an_empty_target_may_come_in_single_bytes(void **state)
{
	static const char req[] = NETTEST_UPGRADE("");
	int fd = nettest_connect(t.address);

	(void)state;
	for (size_t i = 0; i < strlen(req); i++)
		assert_true(nettest_send(&t, fd, req + i, 1));
	(void)read_101(fd, 0);
	wait_channels(1);
	assert_string_equal(t.channels[0].target, "");
	(void)close(fd);
}

static void
bad_requests_are_refused_with_a_reason(void **state)
{
	(void)state;
#define HEAD "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: " NETTEST_KEY "\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define CONN "Connection: Upgrade\r\n"
	assert_answer(HEAD CONN KEY "Sec-WebSocket-Version: 8\r\n\r\n",
	    "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13\r\n");
	assert_answer(HEAD CONN V13 "\r\n", "HTTP/1.1 400 ", "Key\n");
	assert_answer(HEAD V13 KEY "\r\n", "HTTP/1.1 400 ", "Upgrade\n");
	assert_answer(HEAD CONN V13 KEY KEY "\r\n", "HTTP/1.1 400 ", "Key\n");
	assert_answer(HEAD CONN V13 KEY "Origin: https://evil.example\r\n\r\n",
	    "HTTP/1.1 403 ", "Origin");
	assert_answer(HEAD CONN V13 KEY
	    "Sec-WebSocket-Protocol: a, a\r\n\r\n", "HTTP/1.1 400 ",
	    "Sec-WebSocket-Protocol");
	assert_answer(HEAD CONN V13 KEY
	    "Sec-WebSocket-Extensions: ;;\r\n\r\n", "HTTP/1.1 400 ",
	    "Extensions");
	assert_answer("POST / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
	    CONN V13 KEY "\r\n", "HTTP/1.1 405 ", "Allow: GET\r\n");
	assert_int_equal(t.channels_n, 0);
	assert_int_equal(
	    atomic_load(&net_counters(t.net)->upgrade_refused), 8);
	/* The router says no. */
	t.route_status = 404;
	t.route_why = "no such protocol";
	assert_answer(HEAD CONN V13 KEY "\r\n", "HTTP/1.1 404 ",
	    "no such protocol\n");
	t.route_status = 7;
	assert_answer(HEAD CONN V13 KEY "\r\n", "HTTP/1.1 503 ", NULL);
}

static void
a_listed_origin_is_let_in(void **state)
{
	static const char req[] = HEAD CONN V13 KEY
	    "Origin: https://console.example\r\n\r\n";
	int fd = nettest_connect(t.address);

	(void)state;
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	(void)read_101(fd, 0);
	wait_channels(1);
	(void)close(fd);
}

static void
subprotocol_and_compression_are_answered(void **state)
{
	static const char req[] = HEAD CONN V13 KEY
	    "Sec-WebSocket-Protocol: x, cleat.v1.jsonrpc\r\n"
	    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
	int fd = nettest_connect(t.address);

	(void)state;
	t.route_subprotocol = "cleat.v1.jsonrpc";
	t.route_compression = true;
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	(void)read_101(fd, 0);
	assert_non_null(strstr(reply,
	    "Sec-WebSocket-Protocol: cleat.v1.jsonrpc\r\n"));
	assert_non_null(strstr(reply,
	    "Sec-WebSocket-Extensions: permessage-deflate"));
	wait_channels(1);
	assert_true(t.channels[0].compression);
	(void)close(fd);
	t.route_compression = false;
	fd = nettest_connect(t.address);
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	(void)read_101(fd, 0);
	assert_null(strstr(reply, "Extensions"));
	wait_channels(2);
	assert_false(t.channels[1].compression);
	(void)close(fd);
}

static void
a_stream_nobody_takes_is_closed(void **state)
{
	static const char req[] = NETTEST_UPGRADE("/");
	int fd = nettest_connect(t.address);
	bool eof;

	(void)state;
	t.refuse_upgraded = true;
	assert_true(nettest_send(&t, fd, req, strlen(req)));
	(void)nettest_read(&t, fd, reply, sizeof(reply), sizeof(reply), &eof);
	assert_true(eof);
	(void)close(fd);
	assert_int_equal(atomic_load(&net_counters(t.net)->connections), 0);
}

static void
upgrades_work_or_close_when_memory_is_short(void **state)
{
	static const char req[] = NETTEST_UPGRADE("/x") "early";
	unsigned long n, total = 0;
	unsigned good = 0;
	bool eof;

	(void)state;
	for (n = 1; good == 0; n++) {
		int fd = nettest_connect(t.address);

		assert_true(fd >= 0);
		/* The failing allocation is counted from accept on. */
		(void)mem_fail_nth(n);
		(void)nettest_send(&t, fd, req, strlen(req));
		(void)nettest_read(&t, fd, reply, sizeof(reply), 1, &eof);
		total = mem_fail_nth(0);
		if (total < n && strstr(reply, " 101 ") != NULL)
			good++;
		(void)close(fd);
		assert_true(nettest_until(&t, nobody_left, NULL, 3000));
		assert_true(n < 100);
		/* Some failures are survived: keep room for the last. */
		for (int i = 0; i < 20; i++)
			nettest_turn(&t, 0);
		if (t.channels_n > 0 && good == 0) {
			for (unsigned i = 0; i < t.channels_n; i++) {
				if (t.channels[i].open)
					fail_msg("channel still open");
			}
			t.channels_n = 0;
		}
	}
	assert_true(n > 5);
}

static void
the_path_of_a_target_is_found(void **state)
{
	static const struct {
		const char *target, *path;
	} cases[] = {
		{ "", "" }, { "/", "/" }, { "/a/b", "/a/b" }, { "/a?b", "/a" },
		{ "/a#b", "/a" }, { "a", "" }, { "a/b", "" }, { "?/", "" },
		{ "http://h", "/" }, { "http://h/", "/" },
		{ "http://h?/x", "/" }, { "http://h:80/a?b", "/a" },
		{ "://h/a", "" }, { "a/b://c/d", "" }, { "a?http://b/c", "" },
		{ "//h/a", "//h/a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n;
		const char *p = target_path(cases[i].target, &n);

		assert_int_equal(n, strlen(cases[i].path));
		assert_memory_equal(p, cases[i].path, n);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_good_request_gets_the_101_of_the_rfc),
		T(what_is_behind_the_request_is_neither_lost_nor_doubled),
		T(a_pair_is_used_again_after_an_upgrade_that_emptied_it),
		T(a_pair_that_served_an_ordinary_request_is_replaced),
		T(a_request_in_single_bytes_is_good_too),
		T(a_get_an_upgrade_and_a_frame_fit_in_one_segment),
		T(odd_targets_reach_the_router_as_sent),
		T(an_empty_target_may_come_in_single_bytes),
		T(bad_requests_are_refused_with_a_reason),
		T(a_listed_origin_is_let_in),
		T(subprotocol_and_compression_are_answered),
		T(a_stream_nobody_takes_is_closed),
		T(upgrades_work_or_close_when_memory_is_short),
		cmocka_unit_test(the_path_of_a_target_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
