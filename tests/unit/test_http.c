/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP hop and what ordinary requests get (core/net/http.c, http_hop.c,
 * routes.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "../lib/nettest.h"

static struct nettest t;
static char reply[256 * 1024];

static const struct net_listener_opts plain = {
	.name = "plain", .address = "127.0.0.1:0", .backlog = 128
};

static int
start(uint32_t http_ms)
{
	char why[256];

	memset(&t, 0, sizeof(t));
	t.limits = nettest_limits();
	t.limits.http_ms = http_ms;
	log_set_level(LOG_LVL_ERROR);
	return nettest_start(&t, &plain, 1, why);
}

static int
set_up(void **state)
{
	(void)state;
	return start(5000);
}

static int
set_up_hasty(void **state)
{
	(void)state;
	return start(300);
}

static int
tear_down(void **state)
{
	(void)state;
	nettest_stop(&t);
	return 0;
}

static bool
nobody_left(void *arg)
{
	(void)arg;
	return atomic_load(&net_counters(t.net)->handshakes_now) == 0;
}

/* The whole answer up to the end of the connection. */
static size_t
ask(const char *request, size_t n)
{
	int fd = nettest_connect(t.address);
	bool eof;

	assert_true(fd >= 0);
	(void)nettest_send(&t, fd, request, n);
	n = nettest_read(&t, fd, reply, sizeof(reply), sizeof(reply), &eof);
	assert_true(eof);
	(void)close(fd);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	return n;
}

#define END "Host: h\r\nConnection: close\r\n\r\n"

static void
expect(const char *line, const char *status, const char *part)
{
	char request[512];

	(void)snprintf(request, sizeof(request), "%s\r\n" END, line);
	(void)ask(request, strlen(request));
	if (strncmp(reply, status, strlen(status)) != 0 ||
	    (part != NULL && strstr(reply, part) == NULL))
		fail_msg("<%s> got <%s>", line, reply);
}

static void
health_and_readiness_are_told(void **state)
{
	(void)state;
	expect("GET /healthz HTTP/1.1", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	assert_non_null(strstr(reply, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(reply, "Content-Type: text/plain"));
	assert_null(strstr(reply, "Server:"));
	expect("GET /readyz HTTP/1.1", "HTTP/1.1 503 ", "not ready\n");
	t.ready = true;
	expect("GET /readyz?verbose HTTP/1.1", "HTTP/1.1 200 ",
	    "\r\n\r\nready\n");
	expect("HEAD /healthz HTTP/1.1", "HTTP/1.1 200 ",
	    "Content-Length: 3\r\n");
	assert_null(strstr(reply, "ok\n"));
}

static void
everything_else_is_not_found_or_not_allowed(void **state)
{
	(void)state;
	expect("GET / HTTP/1.1", "HTTP/1.1 404 ", "not found\n");
	expect("GET /healthz/ HTTP/1.1", "HTTP/1.1 404 ", NULL);
	expect("GET /%68ealthz HTTP/1.1", "HTTP/1.1 404 ", NULL);
	expect("GET ws HTTP/1.1", "HTTP/1.1 404 ", NULL);
	expect("GET  HTTP/1.1", "HTTP/1.1 404 ", NULL);
	expect("GET http://h/healthz HTTP/1.1", "HTTP/1.1 200 ", NULL);
	expect("PUT /healthz HTTP/1.1", "HTTP/1.1 405 ",
	    "Allow: GET, HEAD\r\n");
	expect("DELETE / HTTP/1.1", "HTTP/1.1 405 ", NULL);
	expect("GET HTTP/1.1", "HTTP/1.1 400 ", NULL);
}

static void
acme_answers_are_served(void **state)
{
	const struct net_answer_spec spec[] = { { "tok-1", "tok-1.thumb" } };
	struct net_answers *a;

	(void)state;
	expect("GET /.well-known/acme-challenge/tok-1 HTTP/1.1",
	    "HTTP/1.1 404 ", NULL);
	assert_int_equal(net_answers_new(spec, 1, &a), 0);
	net_worker_set_answers(t.w, a);
	net_answers_unref(&a);
	expect("GET /.well-known/acme-challenge/tok-1 HTTP/1.1",
	    "HTTP/1.1 200 ", "\r\n\r\ntok-1.thumb");
	expect("GET /.well-known/acme-challenge/tok-2 HTTP/1.1",
	    "HTTP/1.1 404 ", NULL);
	expect("GET /.well-known/acme-challenge/ HTTP/1.1",
	    "HTTP/1.1 404 ", NULL);
	net_worker_set_answers(t.w, NULL);
	expect("GET /.well-known/acme-challenge/tok-1 HTTP/1.1",
	    "HTTP/1.1 404 ", NULL);
}

static void
answers_are_made_or_not_when_memory_is_short(void **state)
{
	const struct net_answer_spec spec[] = {
		{ "a", "b" }, { "c", "d" }
	};
	struct net_answers *a = NULL;
	unsigned long n = 1;

	(void)state;
	for (;; n++) {
		(void)mem_fail_nth(n);
		if (net_answers_new(spec, 2, &a) == 0)
			break;
		assert_null(a);
	}
	(void)mem_fail_nth(0);
	assert_int_equal(n, 6);
	net_answers_unref(&a);
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static void
three_pipelined_gets_get_three_answers(void **state)
{
	static const char three[] =
	    "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
	    "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"
	    "GET /nothing HTTP/1.1\r\n" END;

	(void)state;
	(void)ask(three, strlen(three));
	assert_int_equal(count(reply, "HTTP/1.1 "), 3);
	assert_int_equal(count(reply, "HTTP/1.1 200 "), 1);
	assert_int_equal(count(reply, "HTTP/1.1 503 "), 1);
	assert_int_equal(count(reply, "HTTP/1.1 404 "), 1);
	assert_int_equal(atomic_load(&net_counters(t.net)->http_requests), 3);
}

static void
a_connection_is_kept_for_the_next_request(void **state)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = nettest_connect(t.address);
	bool eof;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(nettest_send(&t, fd, one, strlen(one)));
		(void)nettest_read(&t, fd, reply, sizeof(reply), 1, &eof);
		assert_false(eof);
		assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	}
	(void)close(fd);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_request_whose_sender_shuts_its_end_is_answered(void **state)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = nettest_connect(t.address);
	bool eof;

	(void)state;
	assert_int_equal(send(fd, one, strlen(one), 0), strlen(one));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	(void)nettest_read(&t, fd, reply, sizeof(reply), sizeof(reply), &eof);
	assert_true(eof);
	assert_int_equal(count(reply, "HTTP/1.1 200 "), 1);
	(void)close(fd);
}

static void
a_large_header_gets_431(void **state)
{
	char *big = malloc(45000);

	(void)state;
	assert_non_null(big);
	memset(big, 'a', 45000);
	memcpy(big, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
	(void)ask(big, 40000);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	/* Just over the limit, but not over libmicrohttpd's pool. */
	memcpy(big + 8192 - 3, "\r\n\r\n", 4);
	(void)ask(big, 8193);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	/* Just within. */
	memset(big + 8192 - 3, 'a', 4);
	memcpy(big + 8192 - 23, "\r\nConnection: close\r\n\r\n", 23);
	(void)ask(big, 8192);
	assert_memory_equal(reply, "HTTP/1.1 404 ", 13);
	free(big);
}

static void
garbage_is_closed(void **state)
{
	static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03";
	char noise[3000];

	(void)state;
	(void)ask("\r\n\r\n\r\n \r\n", 9);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 167 + i / 7);
	memcpy(noise, tls, sizeof(tls) - 1);
	noise[50] = '\n';
	(void)ask(noise, sizeof(noise));
	assert_int_equal(t.channels_n, 0);
	expect("GET /healthz HTTP/1.1", "HTTP/1.1 200 ", NULL);
}

static void
a_body_is_not_waited_for(void **state)
{
	char *post = malloc(600000);
	static const char head[] = "POST /x HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 3000000\r\n\r\n";

	(void)state;
	assert_non_null(post);
	memset(post, 'b', 600000);
	memcpy(post, head, strlen(head));
	(void)ask(post, 600000);
	assert_memory_equal(reply, "HTTP/1.1 405 ", 13);
	free(post);
}

static void
a_slow_request_ends_at_its_deadline(void **state)
{
	int fd = nettest_connect(t.address);
	bool eof = false;
	unsigned i;

	(void)state;
	for (i = 0; i < 200 && !eof; i++) {
		if (!nettest_send(&t, fd, "G", 1))
			break;
		(void)nettest_read(&t, fd, reply, 2, 0, &eof);
		nettest_turn(&t, 10);
		if (recv(fd, reply, 1, MSG_DONTWAIT) == 0)
			eof = true;
	}
	assert_true(i < 200);
	(void)close(fd);
	assert_int_equal(atomic_load(&net_counters(t.net)->http_timeouts), 1);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_flood_of_requests_that_reads_nothing_is_closed(void **state)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	struct net_limits l = t.limits;
	int fd = nettest_connect(t.address), small = 4096;
	unsigned i;

	(void)state;
	l.backlog_bytes = 64 * 1024;
	net_set_limits(t.net, &l);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small,
	    sizeof(small)), 0);
	/* Until nothing goes in any more; the kernel may keep the client's end
	 * waiting for minutes after the server's has gone. */
	for (i = 0; i < 200000; i++) {
		if (send(fd, one, strlen(one), MSG_DONTWAIT | MSG_NOSIGNAL) <
		    0)
			break;
		nettest_turn(&t, 0);
	}
	assert_true(i < 200000);
	assert_true(nettest_until(&t, nobody_left, NULL, 20000));
	(void)close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(health_and_readiness_are_told),
		T(everything_else_is_not_found_or_not_allowed),
		T(acme_answers_are_served),
		cmocka_unit_test(answers_are_made_or_not_when_memory_is_short),
		T(three_pipelined_gets_get_three_answers),
		T(a_connection_is_kept_for_the_next_request),
		T(a_request_whose_sender_shuts_its_end_is_answered),
		T(a_large_header_gets_431),
		T(garbage_is_closed),
		T(a_body_is_not_waited_for),
		cmocka_unit_test_setup_teardown(
		    a_slow_request_ends_at_its_deadline, set_up_hasty,
		    tear_down),
		T(a_flood_of_requests_that_reads_nothing_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
