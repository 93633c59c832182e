/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin status-prometheus: its text and its HTTP server. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/fakehost.h"

#include "../../plugins/status-prometheus/http.h"
#include "../../plugins/status-prometheus/text.h"

extern const struct cleat_plugin cleat_plugin;

#define ANSWER_SIZE (512 * 1024)

static struct cleat_metric
metric(const char *name, const char *labels, double value)
{
	return (struct cleat_metric){
		.size = sizeof(struct cleat_metric), .is_counter = 1,
		.name = name, .help = "Help.", .labels = labels,
		.value = value
	};
}

/* ---- text --------------------------------------------------------------- */

static void
expect_text(const struct cleat_metric *m, size_t n, const char *wanted)
{
	struct text t = { .p = NULL };

	for (size_t i = 0; i < n; i++)
		text_add(&t, &m[i]);
	assert_int_equal(t.error, 0);
	assert_int_equal(t.n, strlen(wanted));
	assert_memory_equal(t.p == NULL ? "" : t.p, wanted, t.n);
	free(t.p);
}

static void
help_and_type_come_once_a_name(void **state)
{
	struct cleat_metric m[] = {
		metric("a_total", "", 3), metric("b_total", "x=\"1\"", 1),
		metric("b_total", "x=\"2\",y=\"\"", 2)
	};

	(void)state;
	m[0].is_counter = 0;
	expect_text(m, 3, "# HELP a_total Help.\n# TYPE a_total gauge\n"
	    "a_total 3\n# HELP b_total Help.\n# TYPE b_total counter\n"
	    "b_total{x=\"1\"} 1\nb_total{x=\"2\",y=\"\"} 2\n");
}

static void
help_is_escaped(void **state)
{
	struct cleat_metric m = metric("a", "", 0);

	(void)state;
	m.help = "one\\two\nthree\"";
	expect_text(&m, 1, "# HELP a one\\\\two\\nthree\"\n"
	    "# TYPE a counter\na 0\n");
}

static void
counts_stay_whole_and_odd_values_have_their_words(void **state)
{
	struct cleat_metric m[] = {
		metric("a", "", 18014398509481984.0), metric("a", "", 0.25),
		metric("a", "", (double)NAN), metric("a", "", (double)INFINITY),
		metric("a", "", -(double)INFINITY)
	};

	(void)state;
	expect_text(m, 5, "# HELP a Help.\n# TYPE a counter\n"
	    "a 18014398509481984\na 0.25\na NaN\na +Inf\na -Inf\n");
}

static void
bad_names_are_left_out(void **state)
{
	char longest[200];
	struct cleat_metric m[] = {
		metric("", "", 1), metric("1a", "", 1), metric("a b", "", 1),
		metric("a\n", "", 1), metric(longest, "", 1)
	};

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[199] = '\0';
	expect_text(m, 5, "");
}

static void
the_text_is_bounded(void **state)
{
	struct text t = { .p = NULL };
	struct cleat_metric m = metric("a", "", 1);
	char *help = malloc(1024 * 1024 + 1);

	(void)state;
	assert_non_null(help);
	memset(help, 'x', 1024 * 1024);
	help[1024 * 1024] = '\0';
	m.help = help;
	for (int i = 0; i < 8; i++) {
		m.name = i % 2 ? "a" : "b";
		text_add(&t, &m);
	}
	assert_int_equal(t.error, -EMSGSIZE);
	assert_true(t.cap <= TEXT_MAX);
	free(t.p);
	free(help);
}

/* ---- the plugin --------------------------------------------------------- */

struct rig {
	struct fakehost *host;
	void *inst;
	int port;
	char *answer;
	struct cleat_metric *many;
};

static int
open_rig(struct rig *r, const char *address)
{
	const struct cleat_life *life = cleat_plugin.life;
	const char *at;
	int err;

	memset(r, 0, sizeof(*r));
	r->host = fakehost_new("prometheus", "/nowhere", cleat_plugin.opts);
	r->answer = malloc(ANSWER_SIZE);
	assert_non_null(r->answer);
	fakehost_opt(r->host, "address", address);
	fakehost_opt(r->host, "connections", "3");
	err = life->open(fakehost_self(r->host), fakehost_table(), &r->inst);
	if (err < 0)
		return err;
	err = life->start(r->inst);
	if (err < 0) {
		life->close(r->inst);
		return err;
	}
	at = strstr(fakehost_last_log(r->host), "http://");
	assert_non_null(at);
	at = strrchr(at, ':');
	r->port = (int)strtol(at + 1, NULL, 10);
	assert_true(r->port > 0);
	return 0;
}

static void
close_rig(struct rig *r)
{
	const struct cleat_life *life = cleat_plugin.life;

	if (r->port > 0) {
		life->stop(r->inst);
		life->close(r->inst);
	}
	fakehost_free(&r->host);
	free(r->answer);
	free(r->many);
}

static int
dial(const struct rig *r)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Has the server do all there is to do.  libmicrohttpd's own epoll is
 * edge-triggered: what it put off comes with the timer. */
static void
settle(struct rig *r)
{
	do
		fakehost_tick(r->host, 1);
	while (fakehost_poll(r->host, 1));
}

/* Sends and reads until the whole answer (or the end) is there. */
static size_t
ask(struct rig *r, int fd, const char *request, size_t n, bool to_end)
{
	size_t got = 0;
	ssize_t k;

	assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), n);
	r->answer[0] = '\0';
	for (int i = 0; i < 5000; i++) {
		settle(r);
		k = recv(fd, r->answer + got, ANSWER_SIZE - 1 - got,
		    MSG_DONTWAIT);
		if (k == 0 || (k < 0 && errno == ECONNRESET))
			return got;
		got += k > 0 ? (size_t)k : 0;
		r->answer[got] = '\0';
		if (!to_end && got > 0 && k < 0)
			return got;
	}
	fail_msg("no answer");
	return 0;
}

static size_t
get(struct rig *r, const char *request, bool to_end)
{
	int fd = dial(r);
	size_t n = ask(r, fd, request, strlen(request), to_end);

	(void)close(fd);
	settle(r);
	return n;
}

static void
figures_come_with_their_content_type(void **state)
{
	struct cleat_metric m = metric("cleat_x_total", "", 7);
	struct rig r;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	fakehost_metrics(r.host, &m, 1, 0);
	get(&r, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	    true);
	assert_non_null(strstr(r.answer, "HTTP/1.1 200 "));
	assert_non_null(strstr(r.answer, "Content-Type: text/plain; "
	    "version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(r.answer, "\r\n\r\n# HELP cleat_x_total Help.\n"
	    "# TYPE cleat_x_total counter\ncleat_x_total 7\n"));
	close_rig(&r);
}

static void
one_connection_serves_many_scrapes(void **state)
{
	static const char q[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct cleat_metric m = metric("cleat_x_total", "", 7);
	struct rig r;
	int fd;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	fakehost_metrics(r.host, &m, 1, 0);
	fd = dial(&r);
	for (int i = 0; i < 5; i++) {
		ask(&r, fd, q, sizeof(q) - 1, false);
		assert_non_null(strstr(r.answer, "cleat_x_total 7\n"));
	}
	(void)close(fd);
	close_rig(&r);
}

static void
other_requests_are_refused(void **state)
{
	static const struct { const char *request, *status; } c[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", " 404 " },
		{ "GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n", " 404 " },
		{ "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", " 405 " },
		{ "POST /metrics HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 100000\r\n\r\nabc", " 405 " },
		{ "nonsense\r\n\r\n", "" },
	};
	struct rig r;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		get(&r, c[i].request, true);
		assert_non_null(strstr(r.answer, c[i].status));
		assert_null(strstr(r.answer, " 200 "));
	}
	close_rig(&r);
}

static void
head_has_no_body(void **state)
{
	struct cleat_metric m = metric("cleat_x_total", "", 7);
	struct rig r;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	fakehost_metrics(r.host, &m, 1, 0);
	get(&r, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    "\r\n", true);
	assert_non_null(strstr(r.answer, " 200 "));
	assert_null(strstr(r.answer, "cleat_x_total"));
	close_rig(&r);
}

static void
a_long_header_is_refused(void **state)
{
	struct rig r;
	char *q = malloc(70000);
	size_t n;

	(void)state;
	assert_non_null(q);
	n = (size_t)snprintf(q, 70000, "GET /metrics HTTP/1.1\r\nX: ");
	memset(q + n, 'y', 60000);
	n += 60000;
	n += (size_t)snprintf(q + n, 70000 - n, "\r\n\r\n");
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	get(&r, q, true);
	assert_null(strstr(r.answer, " 200 "));
	free(q);
	close_rig(&r);
}

static void
no_figures_is_503(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	fakehost_metrics(r.host, NULL, 0, -ENOMEM);
	get(&r, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", true);
	assert_non_null(strstr(r.answer, " 503 "));
	assert_int_equal(fakehost_logged(r.host, CLEAT_LOG_WARNING), 1);
	close_rig(&r);
}

/* Three that say nothing fill it; a fourth waits until one has gone. */
static void
connections_are_bounded(void **state)
{
	static const char q[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
	    "Connection: close\r\n\r\n";
	struct cleat_metric m = metric("cleat_x_total", "", 7);
	int idle[3], fd;
	struct rig r;
	char c;

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	fakehost_metrics(r.host, &m, 1, 0);
	for (int i = 0; i < 3; i++) {
		idle[i] = dial(&r);
		assert_int_equal(send(idle[i], "GET", 3, MSG_NOSIGNAL), 3);
		assert_true(fakehost_poll(r.host, 1000));
		settle(&r);
	}
	fd = dial(&r);
	assert_int_equal(send(fd, q, sizeof(q) - 1, MSG_NOSIGNAL),
	    sizeof(q) - 1);
	for (int i = 0; i < 20; i++) {
		(void)fakehost_poll(r.host, 1);
		fakehost_tick(r.host, 1);
	}
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	(void)close(idle[1]);
	ask(&r, fd, "", 0, true);
	assert_non_null(strstr(r.answer, "cleat_x_total 7\n"));
	(void)close(fd);
	(void)close(idle[0]);
	(void)close(idle[2]);
	close_rig(&r);
}

static void
bad_addresses_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "127.0.0.1", ":9976", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "localhost:9976", "::1:9976", "[::1]",
		"[]:9976", "[::1:9976", "127.0.0.1:-1", "127.0.0.1:123456789"
	};
	char bound[80];
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_bind(bad[i], bound, &fd), -EINVAL);
}

static void
a_busy_port_is_refused(void **state)
{
	struct rig r, second;
	char address[32];

	(void)state;
	assert_int_equal(open_rig(&r, "127.0.0.1:0"), 0);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", r.port);
	assert_int_equal(open_rig(&second, address), -EADDRINUSE);
	assert_int_equal(fakehost_logged(second.host, CLEAT_LOG_ERROR), 1);
	assert_non_null(strstr(fakehost_last_log(second.host), address));
	close_rig(&second);
	close_rig(&r);
}

static void
an_ipv6_address_is_taken(void **state)
{
	char bound[80];
	int fd, r = http_bind("[::1]:0", bound, &fd);

	(void)state;
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
		skip();
	assert_int_equal(r, 0);
	assert_memory_equal(bound, "[::1]:", 6);
	(void)close(fd);
}

static void
a_failing_loop_leaves_nothing(void **state)
{
	struct http_opts o = { .path = "/m", .connections = 1,
	    .timeout_s = 1 };
	struct fakehost *h = fakehost_new("p", "/", cleat_plugin.opts);
	struct http *http = NULL;
	char bound[80];
	int fd;

	(void)state;
	assert_int_equal(http_bind("127.0.0.1:0", bound, &fd), 0);
	fakehost_fd_error(h, -EMFILE);
	assert_int_equal(http_new(fakehost_self(h), fakehost_table(), fd, &o,
	    &http), -EMFILE);
	assert_null(http);
	fakehost_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_and_type_come_once_a_name),
		cmocka_unit_test(help_is_escaped),
		cmocka_unit_test(
		    counts_stay_whole_and_odd_values_have_their_words),
		cmocka_unit_test(bad_names_are_left_out),
		cmocka_unit_test(the_text_is_bounded),
		cmocka_unit_test(figures_come_with_their_content_type),
		cmocka_unit_test(one_connection_serves_many_scrapes),
		cmocka_unit_test(other_requests_are_refused),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(a_long_header_is_refused),
		cmocka_unit_test(no_figures_is_503),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(a_busy_port_is_refused),
		cmocka_unit_test(an_ipv6_address_is_taken),
		cmocka_unit_test(a_failing_loop_leaves_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
