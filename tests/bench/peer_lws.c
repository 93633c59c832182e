/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket echo, or a fan-out of every message to all connections, on
 * libwebsockets, as good as its documented interface allows:
 * no extension, no idle pings, one session ticket and released TLS buffers like
 * cleat's, a queue that is kept between messages, as many writes in a turn as
 * the socket takes (as in its own examples of bulk sending), poll or libuv.
 *
 * A fan-out writes from one buffer for all; the next message is expected when
 * the one before has gone out to everybody, as the load generator has it.
 *
 *	peer_lws PORT CERT KEY TICKET_KEYS RX_BYTES poll|uv echo|fan
 */
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What waits to be sent: for each message its length, LWS_PRE bytes, data. */
struct session {
	unsigned char *q;
	size_t head, tail, cap;
	size_t open;			/* of the message that is coming in */
	unsigned round;			/* of fan-out: the last one it got */
};

#define FAN_MAX (64 * 1024)
#define TICKET_KEYS 80

static struct lws_context *context;
static unsigned char ticket_keys[TICKET_KEYS];
static unsigned char shared[LWS_PRE + FAN_MAX];	/* goes to all */
static size_t shared_n;
static unsigned shared_round;

static unsigned char *
room(struct session *s, size_t n)
{
	unsigned char *q;
	size_t cap;

	if (s->head == s->tail && s->open == 0)
		s->head = s->tail = 0;
	if (s->tail + n > s->cap) {
		cap = (s->tail + n) * 2;
		q = realloc(s->q, cap);
		if (q == NULL)
			return NULL;
		s->q = q;
		s->cap = cap;
	}
	return s->q + s->tail;
}

/* Appends a fragment; a message is complete when its length is written. */
static int
take(struct lws *wsi, struct session *s, const void *in, size_t n)
{
	size_t head = sizeof(size_t) + LWS_PRE, len;
	unsigned char *p = room(s, head + s->open + n);

	if (p == NULL)
		return -1;
	memcpy(p + head + s->open, in, n);
	s->open += n;
	if (!lws_is_final_fragment(wsi))
		return 0;
	len = s->open;
	memcpy(p, &len, sizeof(len));
	s->tail += head + ((len + 7) & ~(size_t)7);
	if (s->tail > s->cap)
		s->tail = s->cap;
	s->open = 0;
	return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
}

static int
give(struct lws *wsi, struct session *s)
{
	size_t head = sizeof(size_t) + LWS_PRE, len;

	while (s->head < s->tail) {
		memcpy(&len, s->q + s->head, sizeof(len));
		if (lws_write(wsi, s->q + s->head + head, len,
		    LWS_WRITE_BINARY) < (int)len)
			return -1;
		s->head += head + ((len + 7) & ~(size_t)7);
		if (s->head >= s->tail) {
			s->head = s->tail;
			break;
		}
		if (lws_send_pipe_choked(wsi))
			return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
	}
	return 0;
}

static void
set_up_tls(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_num_tickets(ctx, 1);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX);
	(void)SSL_CTX_set_tlsext_ticket_keys(ctx, ticket_keys, TICKET_KEYS);
}

/* A fragment of what all will get. */
static int
take_for_all(struct lws *wsi, const void *in, size_t n)
{
	static size_t open;

	if (open + n > FAN_MAX)
		return -1;
	memcpy(shared + LWS_PRE + open, in, n);
	open += n;
	if (!lws_is_final_fragment(wsi))
		return 0;
	shared_n = open;
	open = 0;
	shared_round++;
	return lws_callback_on_writable_all_protocol(context,
	    lws_get_protocol(wsi)) < 0 ? -1 : 0;
}

static int
fan_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t n)
{
	struct session *s = user;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		set_up_tls(user);
		return 0;
	case LWS_CALLBACK_ESTABLISHED:
		s->round = shared_round;
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return take_for_all(wsi, in, n);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		if (s->round == shared_round)
			return 0;
		s->round = shared_round;
		return lws_write(wsi, shared + LWS_PRE, shared_n,
		    LWS_WRITE_BINARY) < (int)shared_n ? -1 : 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, n);
	}
}

static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t n)
{
	struct session *s = user;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		set_up_tls(user);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return take(wsi, s, in, n);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return give(wsi, s);
	case LWS_CALLBACK_CLOSED:
		free(s->q);
		s->q = NULL;
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, n);
	}
}

static void
stop(int sig)
{
	(void)sig;
	_exit(0);
}

/* Tickets hold over a restart, as cleat's do. */
static bool
read_ticket_keys(const char *path)
{
	FILE *f = fopen(path, "rb");
	bool good = f != NULL &&
	    fread(ticket_keys, 1, TICKET_KEYS, f) == TICKET_KEYS;

	if (f != NULL)
		(void)fclose(f);
	return good;
}

int
main(int argc, char **argv)
{
	struct lws_protocols protocols[] = {
		{ "echo", callback, sizeof(struct session), 0, 0, NULL, 0 },
		{ NULL, NULL, 0, 0, 0, NULL, 0 }
	};
	struct lws_context_creation_info info;
	bool uv;

	if (argc != 8 || !read_ticket_keys(argv[4]))
		return 2;
	(void)signal(SIGTERM, stop);
	(void)signal(SIGPIPE, SIG_IGN);
	lws_set_log_level(LLL_ERR | LLL_USER, NULL);
	protocols[0].rx_buffer_size = strtoul(argv[5], NULL, 10);
	if (strcmp(argv[7], "fan") == 0)
		protocols[0].callback = fan_callback;
	uv = strcmp(argv[6], "uv") == 0;
	memset(&info, 0, sizeof(info));
	info.port = (int)strtoul(argv[1], NULL, 10);
	info.iface = "127.0.0.1";
	info.protocols = protocols;
	info.ssl_cert_filepath = argv[2];
	info.ssl_private_key_filepath = argv[3];
	info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
	    LWS_SERVER_OPTION_DISABLE_IPV6 | (uv ? LWS_SERVER_OPTION_LIBUV : 0);
	info.pt_serv_buf_size = 32 * 1024;	/* one for all connections */
	info.gid = info.uid = (unsigned)-1;
	context = lws_create_context(&info);
	if (context == NULL)
		return 1;
	while (lws_service(context, 0) >= 0)
		;
	lws_context_destroy(context);
	return 0;
}
