/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server sends a device, from its HTTP answer on: headers, frames,
 * hello's answer, requests and notifications.  The first byte says in what
 * pieces it comes.  Whatever it is, the client goes on or tries again, says
 * nothing that is not a masked frame, and answers each call of its owner once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)

struct owner {
	struct cleat_client *client;
	unsigned asked, answered;
	bool stop;
};

static void
on_answer(void *arg, const struct cleat_client_answer *a)
{
	struct owner *o = arg;

	CHECK(a->text != NULL && a->json != NULL);
	CHECK(++o->answered <= o->asked);
}

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	struct owner *o = ctx;

	CHECK(why != NULL && strlen(why) < 2048);
	if (state != CLEAT_CLIENT_ONLINE)
		return;
	o->asked += cleat_client_telemetry(o->client, 1, "[1]", on_answer,
	    o) == 0;
	o->asked += cleat_client_inventory(o->client, "{\"a\":1}", on_answer,
	    o) == 0;
	o->asked += cleat_client_call(o->client, "x", "{}", on_answer, o) == 0;
}

static void
on_notification(void *ctx, const char *method, const char *params)
{
	struct owner *o = ctx;

	CHECK(params != NULL);
	if (strcmp(method, "stop") == 0) {
		cleat_client_stop(o->client, "told to");
		o->stop = true;
	}
}

static int
on_request(void *ctx, const char *method, const char *params)
{
	struct owner *o = ctx;

	CHECK(params != NULL);
	(void)cleat_client_progress(o->client, method, (int)strlen(params),
	    method);
	return -(int)(strlen(method) % 40);
}

static void
on_text(void *ctx, const char *text)
{
	(void)ctx;
	CHECK(text != NULL);
}

static void
on_log(void *ctx, enum cleat_client_level level, const char *text)
{
	(void)ctx;
	CHECK(level >= CLEAT_CLIENT_WARNING && text != NULL);
}

static struct cleat_client *
make(struct owner *o)
{
	char why[CLEAT_CLIENT_WHY_SIZE];
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .server = "ws://127.0.0.1:1",
		.endpoint = "e", .token = "t", .proxy = "none", .ctx = o,
		.state = on_state, .notification = on_notification,
		.request = on_request, .hello = on_text, .approval = on_text,
		.log = on_log
	};

	CHECK(cleat_client_new(&opts, why, &o->client) == 0);
	return o->client;
}

/* As if the request to upgrade had just been sent on this descriptor. */
static void
connected(struct cleat_client *c, int fd)
{
	c->url = *servers_now(&c->servers);
	c->link = (struct link){ .url = &c->url, .step = LINK_UP, .fd = fd };
	c->deadline_ms = client_now_ms() + CLIENT_ATTEMPT_MS;
	c->close_code = 1006;
	memcpy(c->accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
	    sizeof("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	client_set_phase(c, CLIENT_LINK, "");
	c->phase = CLIENT_UPGRADE;
}

/* What it said are whole masked frames that a server could take. */
static void
check_said(uint8_t *p, size_t n)
{
	static const struct ws_rules rules = {
		.from_client = true, .max_message = CLIENT_OUT_MAX
	};
	struct ws_parser parser = { 0 };
	struct ws_input in = { .p = p, .n = n };
	struct ws_piece piece;
	enum ws_result r;

	while ((r = ws_parse(&parser, &rules, &in, &piece)) == WS_PIECE)
		continue;
	CHECK(r == WS_MORE);
}

static size_t
take_said(int fd, uint8_t *to, size_t n, size_t cap)
{
	ssize_t k;

	while (n < cap && (k = recv(fd, to + n, cap - n, MSG_DONTWAIT)) > 0)
		n += (size_t)k;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t said[1024 * 1024];
	struct owner o = { NULL, 0, 0, false };
	size_t step = n > 0 && p[0] != 0 ? p[0] : SIZE_MAX, at = 1, got = 0;
	struct cleat_client *c;
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	c = make(&o);
	connected(c, fd[0]);
	while (at < n && c->phase >= CLIENT_UPGRADE &&
	    c->phase <= CLIENT_GOODBYE) {
		size_t len = n - at < step ? n - at : step;
		ssize_t k = send(fd[1], p + at, len, MSG_NOSIGNAL);

		CHECK(k > 0);
		at += (size_t)k;
		cleat_client_process(c);
		got = take_said(fd[1], said, got, sizeof(said));
	}
	CHECK(c->phase == CLIENT_DONE || !o.stop ||
	    c->phase == CLIENT_GOODBYE);
	got = take_said(fd[1], said, got, sizeof(said));
	if (got < sizeof(said))
		check_said(said, got);
	(void)close(fd[1]);
	if (c->phase >= CLIENT_UPGRADE && c->phase <= CLIENT_GOODBYE)
		cleat_client_process(c);
	cleat_client_stop(c, "the end");
	CHECK(cleat_client_get_state(c) == CLEAT_CLIENT_STOPPED);
	CHECK(o.asked == o.answered);
	cleat_client_free(&o.client);
	return 0;
}
