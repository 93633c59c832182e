/* SPDX-License-Identifier: Apache-2.0 */
/* The client's life seen by its callbacks (client/client.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cleat-client.h"
#include "client_priv.h"
#include "json_text.h"
#include "tls/digest.h"
#include "wire/ws_frame.h"
#include "wire/ws_handshake.h"
#include "../lib/certs.h"
#include "../lib/tmpdir.h"

#define PATIENCE_MS 30000

struct device {
	struct cleat_client *client;
	enum cleat_client_state state;
	unsigned notified;
};

static void
on_state(void *ctx, enum cleat_client_state is, const char *why)
{
	struct device *d = ctx;

	(void)why;
	d->state = is;
}

static void
stop_at_once(void *ctx, const char *method, const char *params)
{
	struct device *d = ctx;

	(void)method;
	(void)params;
	d->notified++;
	cleat_client_stop(d->client, "enough");
}

static int
listen_on(char *url, size_t cap)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	(void)snprintf(url, cap, "ws://127.0.0.1:%u/x", ntohs(in.sin_port));
	return fd;
}

/* Lets the client work until the server's descriptor is readable. */
static void
until_readable(struct device *d, int fd)
{
	struct pollfd p[2];

	for (;;) {
		p[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = cleat_client_fd(d->client),
		    .events = cleat_client_poll_events(d->client) };
		assert_true(poll(p, 2, PATIENCE_MS) > 0);
		if (p[0].revents != 0)
			return;
		cleat_client_process(d->client);
	}
}

static size_t
add_text(char *to, const char *text)
{
	size_t n = ws_encode_header((uint8_t *)to, WS_OP_TEXT | WS_FIN,
	    strlen(text), NULL);

	memcpy(to + n, text, strlen(text));
	return n + strlen(text);
}

/* The answer to the upgrade and two notifications, in one piece. */
static void
answer(int fd)
{
	static const char say[] = "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}";
	char request[2048], all[2048], accept[WS_ACCEPT_SIZE + 1], *key;
	uint8_t input[WS_ACCEPT_INPUT_SIZE], sha1[20];
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
	size_t at;

	assert_true(n > 0);
	request[n] = '\0';
	key = strstr(request, "Sec-WebSocket-Key: ");
	assert_non_null(key);
	ws_accept_input(key + strlen("Sec-WebSocket-Key: "), input);
	assert_int_equal(digest_sha1(input, sizeof(input), sha1), 0);
	digest_base64(sha1, sizeof(sha1), accept);
	at = (size_t)snprintf(all, sizeof(all), "HTTP/1.1 101 Yes\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n"
	    "Sec-WebSocket-Protocol: cleat.v1.jsonrpc\r\n\r\n", accept);
	at += add_text(all + at, say);
	at += add_text(all + at, say);
	assert_int_equal(send(fd, all, at, 0), at);
}

static void
stop_in_a_callback_waits_until_the_input_is_done_with(void **state)
{
	struct device d = { .state = CLEAT_CLIENT_WAITING };
	char url[64], why[CLEAT_CLIENT_WHY_SIZE], byte;
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .proxy = "none",
		.server = url, .endpoint = "e", .token = "t", .ctx = &d,
		.state = on_state, .notification = stop_at_once
	};
	int fd = listen_on(url, sizeof(url)), peer;

	(void)state;
	assert_int_equal(cleat_client_new(&opts, why, &d.client), 0);
	cleat_client_process(d.client);
	until_readable(&d, fd);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	until_readable(&d, peer);
	answer(peer);
	while (d.state != CLEAT_CLIENT_STOPPED) {
		struct pollfd p = { .fd = cleat_client_fd(d.client),
		    .events = cleat_client_poll_events(d.client) };

		assert_true(poll(&p, 1, PATIENCE_MS) > 0);
		cleat_client_process(d.client);
	}
	assert_int_equal(d.notified, 2);
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	cleat_client_free(&d.client);
	(void)close(peer);
	(void)close(fd);
}

static void
json_is_written_whole_or_not_at_all(void **state)
{
	char *text;

	(void)state;
	assert_null(json_text(NULL));
	text = json_text(json_pack("{s:[i, n]}", "a", 1));
	assert_string_equal(text, "{\"a\":[1,null]}");
	mem_free(text);
	text = json_text(json_string("x"));
	assert_string_equal(text, "\"x\"");
	mem_free(text);
	(void)mem_fail_nth(1);
	text = json_text(json_object());
	(void)mem_fail_nth(0);
	assert_null(text);
}

/* Half a frame would make the next one unreadable. */
static void
short_memory_queues_a_whole_frame_or_nothing(void **state)
{
	static const char text[] = "[1]";
	struct cleat_client c = { .out = NULL };
	size_t was = 0;

	(void)state;
	for (unsigned turn = 0; turn < 300; turn++) {
		int r = -ENOMEM;

		for (unsigned long k = 1; r != 0; k++) {
			(void)mem_fail_nth(k);
			r = client_frame(&c, WS_OP_TEXT, text, 3);
			(void)mem_fail_nth(0);
			assert_true(r == 0 || r == -ENOMEM);
			assert_int_equal(buf_len(c.out), was +
			    (r == 0 ? 9 : 0));
		}
		was = buf_len(c.out);
	}
	buf_free(&c.out);
}

static void
put(const char *path, const struct test_cert *c)
{
	char fresh[256];
	FILE *f;

	(void)snprintf(fresh, sizeof(fresh), "%s~", path);
	f = fopen(fresh, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(c->pem, 1, c->pem_n, f), c->pem_n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, path), 0);
}

static void
short_memory_leaves_the_policy_that_was(void **state)
{
	const struct test_cert_spec spec = { .cn = "ca", .ca = true };
	char path[200], why[CLEAT_CLIENT_WHY_SIZE];
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .proxy = "none", .ca_file = path,
		.server = "wss://localhost", .endpoint = "e", .token = "t"
	};
	const struct tls_client_policy *was;
	struct test_cert ca[2];
	struct cleat_client *c = NULL;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/ca.pem", tmpdir_make());
	for (int i = 0; i < 2; i++)
		test_cert_make(&spec, &ca[i]);
	put(path, &ca[0]);
	assert_int_equal(cleat_client_new(&opts, why, &c), 0);
	was = c->policy;
	assert_int_equal(client_make_policy(c, why), 0);
	assert_ptr_equal(c->policy, was);	/* nothing has changed */
	put(path, &ca[1]);
	for (unsigned long k = 1; c->policy == was; k++) {
		assert_true(k < 10000);
		(void)mem_fail_nth(k);
		assert_int_equal(client_make_policy(c, why), 0);
		(void)mem_fail_nth(0);
		assert_non_null(c->policy);
		assert_true(c->policy != was || c->stale[0] != '\0');
	}
	assert_string_equal(c->stale, "");
	was = c->policy;
	assert_int_equal(client_make_policy(c, why), 0);
	assert_ptr_equal(c->policy, was);
	cleat_client_free(&c);
	for (int i = 0; i < 2; i++)
		test_cert_free(&ca[i]);
	tmpdir_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    stop_in_a_callback_waits_until_the_input_is_done_with),
		cmocka_unit_test(json_is_written_whole_or_not_at_all),
		cmocka_unit_test(
		    short_memory_queues_a_whole_frame_or_nothing),
		cmocka_unit_test(short_memory_leaves_the_policy_that_was)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
