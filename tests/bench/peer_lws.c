/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket echo on libwebsockets, as good as its documented interface allows:
 * no extension, no idle pings, one session ticket and released TLS buffers like
 * cleat's, a queue that is kept between messages, as many writes in a turn as the
 * socket takes (as in its own examples of bulk sending), poll or libuv.
 *
 *	peer_lws PORT CERT KEY RX_BYTES poll|uv
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
};

static struct lws_context *context;

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

static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
    void *in, size_t n)
{
	struct session *s = user;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		(void)SSL_CTX_set_num_tickets(user, 1);
		(void)SSL_CTX_set_mode(user, SSL_MODE_RELEASE_BUFFERS);
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

int
main(int argc, char **argv)
{
	struct lws_protocols protocols[] = {
		{ "echo", callback, sizeof(struct session), 0, 0, NULL, 0 },
		{ NULL, NULL, 0, 0, 0, NULL, 0 }
	};
	struct lws_context_creation_info info;
	bool uv;

	if (argc != 6)
		return 2;
	(void)signal(SIGTERM, stop);
	(void)signal(SIGPIPE, SIG_IGN);
	lws_set_log_level(LLL_ERR | LLL_USER, NULL);
	protocols[0].rx_buffer_size = strtoul(argv[4], NULL, 10);
	uv = strcmp(argv[5], "uv") == 0;
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
