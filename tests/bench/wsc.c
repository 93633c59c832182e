/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's connection. */
#include "wsc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOURCES 24			/* 127.0.0.2 .. 127.0.0.25 */
#define AREA (256 * 1024)

static uint8_t raw[AREA], plain[AREA];

/* Keeps the last ticket of each connection, for the next one. */
static int
on_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct wsc *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

SSL_CTX *
wsc_context(const char *ca, unsigned flags)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool old = (flags & WSC_TLS12) != 0;
	int version = old ? TLS1_2_VERSION : TLS1_3_VERSION;
	/* TLS 1.2 asks for the certificate's group by the same list; OpenSSL's
	 * macro takes what may be written to. */
	char newer[] = "X25519", older[] = "X25519:P-256";

	if (ctx == NULL ||
	    SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM") != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, old ? older : newer) != 1)
		return NULL;
	/* What a client spends on checking is not what is measured. */
	SSL_CTX_set_verify(ctx, ca == NULL ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
	    NULL);
	if (ca != NULL && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return NULL;
	if ((flags & WSC_RESUME) != 0) {
		(void)SSL_CTX_set_session_cache_mode(ctx,
		    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, on_ticket);
	} else {
		(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	}
	if ((flags & WSC_PSK_KE) != 0)
		(void)SSL_CTX_set_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	return ctx;
}

static void
drop(struct wsc *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	/* Else OpenSSL takes it for a bad end, and does not resume. */
	if (c->ssl != NULL)
		SSL_set_shutdown(c->ssl,
		    SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	free(c->part);
	free(c->out);
	c->ssl = NULL;
	c->part = c->out = NULL;
	c->part_n = c->out_n = 0;
	c->fd = -1;
	c->state = WSC_CLOSED;
}

static void
fail(struct wsc *c, const char *why)
{
	if (c->state == WSC_CLOSED)
		return;
	drop(c);
	c->target->failed(c, why);
}

void
wsc_reset(struct wsc *c)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd >= 0)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now,
		    sizeof(now));
	drop(c);
}

static int
open_socket(const struct wsc_target *t, unsigned number)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	}, from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 +
		    number % SOURCES)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	    sizeof(one)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 &&
	    errno != EINPROGRESS)) {
		int error = errno;

		(void)close(fd);
		return -error;
	}
	return fd;
}

/* A copy: OpenSSL uses each but once, and not every server gives a new one. */
static void
use_ticket(SSL *ssl, const SSL_SESSION *session)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	if (copy != NULL)
		(void)SSL_set_session(ssl, copy);
	SSL_SESSION_free(copy);
}

int
wsc_start(struct wsc *c, const struct wsc_target *t, unsigned number)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	SSL_SESSION *session = c->session;
	int fd = open_socket(t, number);

	if (fd < 0)
		return fd;
	memset(c, 0, sizeof(*c));
	c->session = session;
	c->target = t;
	c->number = number;
	c->fd = fd;
	c->state = WSC_CONNECTING;
	if (t->tls) {
		BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

		c->ssl = SSL_new(t->ctx);
		if (c->ssl == NULL || in == NULL || out == NULL) {
			BIO_free(in);
			BIO_free(out);
			drop(c);
			return -ENOMEM;
		}
		SSL_set_bio(c->ssl, in, out);
		(void)SSL_set_app_data(c->ssl, c);
		if (session != NULL)
			use_ticket(c->ssl, session);
		SSL_set_connect_state(c->ssl);
	}
	if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		drop(c);
		return -errno;
	}
	return 0;
}

bool
wsc_resumed(const struct wsc *c)
{
	return c->ssl != NULL && SSL_session_reused(c->ssl) == 1;
}

bool
wsc_without_ecdhe(const struct wsc *c)
{
	EVP_PKEY *key = NULL;
	bool has;

	if (!wsc_resumed(c))
		return false;
	has = SSL_get_peer_tmp_key(c->ssl, &key) == 1;
	EVP_PKEY_free(key);
	return !has;
}

/* ---- sending ----------------------------------------------------------- */

static void
watch_output(struct wsc *c, bool on)
{
	struct epoll_event ev = {
		.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c
	};

	(void)epoll_ctl(c->target->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
keep(struct wsc *c, const uint8_t *p, size_t n)
{
	uint8_t *more;

	if (n == 0)
		return;
	more = realloc(c->out, c->out_n + n);
	if (more == NULL)
		abort();
	memcpy(more + c->out_n, p, n);
	c->out = more;
	c->out_n += n;
}

/* Takes as much as the socket does. */
static size_t
push(struct wsc *c, const uint8_t *p, size_t n)
{
	ssize_t sent = n == 0 ? 0 : send(c->fd, p, n, MSG_NOSIGNAL);

	return sent < 0 ? 0 : (size_t)sent;	/* errors show up on reading */
}

void
wsc_flush(struct wsc *c)
{
	size_t before = c->out_n, sent;
	char *sealed = NULL;
	long n = 0;

	if (c->state == WSC_CLOSED)
		return;
	if (c->ssl != NULL)
		n = BIO_get_mem_data(SSL_get_wbio(c->ssl), &sealed);
	if (before == 0 && n > 0) {
		sent = push(c, (uint8_t *)sealed, (size_t)n);
		keep(c, (uint8_t *)sealed + sent, (size_t)n - sent);
		(void)BIO_reset(SSL_get_wbio(c->ssl));
	} else {
		if (n > 0) {
			keep(c, (uint8_t *)sealed, (size_t)n);
			(void)BIO_reset(SSL_get_wbio(c->ssl));
		}
		sent = push(c, c->out, c->out_n);
		c->out_n -= sent;
		if (c->out_n > 0)
			memmove(c->out, c->out + sent, c->out_n);
	}
	if (c->out_n == 0) {
		free(c->out);
		c->out = NULL;
	}
	if ((before == 0) != (c->out_n == 0))
		watch_output(c, c->out_n > 0);
}

static void
put(struct wsc *c, const uint8_t *p, size_t n)
{
	if (c->ssl == NULL)
		keep(c, p, n);
	else if (SSL_write(c->ssl, p, (int)n) != (int)n)
		fail(c, "SSL_write");
}

void
wsc_send(struct wsc *c, int opcode, const void *p, size_t n)
{
	static const uint8_t mask[4] = { 0x5a, 0xc3, 0x17, 0x88 };
	static uint8_t frame[AREA];
	const uint8_t *from = p;
	size_t at = 2;

	if (n > AREA - 14)
		abort();
	frame[0] = (uint8_t)(0x80 | opcode);
	if (n < 126) {
		frame[1] = (uint8_t)(0x80 | n);
	} else if (n < 65536) {
		frame[1] = 0x80 | 126;
		frame[2] = (uint8_t)(n >> 8);
		frame[3] = (uint8_t)n;
		at = 4;
	} else {
		frame[1] = 0x80 | 127;
		for (int i = 0; i < 8; i++)
			frame[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
		at = 10;
	}
	memcpy(frame + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < n; i++)
		frame[at + i] = from[i] ^ mask[i & 3];
	put(c, frame, at + n);
}

static void
ask(struct wsc *c)
{
	const struct wsc_target *t = c->target;
	char request[512];
	int n;

	n = snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n%s%s%s\r\n", t->path,
	    t->subprotocol == NULL ? "" : "Sec-WebSocket-Protocol: ",
	    t->subprotocol == NULL ? "" : t->subprotocol,
	    t->subprotocol == NULL ? "" : "\r\n");
	if (n < 0 || (size_t)n >= sizeof(request))
		abort();
	c->state = WSC_UPGRADE;
	put(c, (uint8_t *)request, (size_t)n);
}

/* ---- receiving ---------------------------------------------------------- */

/* The answer to the upgrade; bytes used, 0: not whole. */
static size_t
take_answer(struct wsc *c, const uint8_t *p, size_t n)
{
	static const char ok[] = "HTTP/1.1 101";
	const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);

	if (n >= sizeof(ok) - 1 && memcmp(p, ok, sizeof(ok) - 1) != 0) {
		fail(c, "the upgrade was refused");
		return 0;
	}
	if (end == NULL)
		return 0;
	c->state = WSC_OPEN;
	c->target->opened(c);
	return (size_t)(end + 4 - p);
}

/* One frame; bytes used, 0: not whole. */
static size_t
take_frame(struct wsc *c, const uint8_t *p, size_t n)
{
	size_t head = 2, len;
	int opcode;

	if (n < 2)
		return 0;
	len = p[1] & 0x7f;
	if (len >= 126)
		head = len == 126 ? 4 : 10;
	if (n < head)
		return 0;
	if (head > 2) {
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (len > AREA / 2) {
		fail(c, "frame too long");
		return 0;
	}
	if (n < head + len)
		return 0;
	opcode = p[0] & 0xf;
	if (opcode == 8) {
		fail(c, "close frame");
		return 0;
	}
	if (opcode == 9) {
		if (c->target->pinged != NULL)
			c->target->pinged(c);
		wsc_send(c, 10, p + head, len);
	} else if (opcode != 10) {
		c->target->message(c, opcode, p + head, len);
	}
	return head + len;
}

static void
take(struct wsc *c, const uint8_t *p, size_t n)
{
	size_t used = 0, one;
	uint8_t *whole = NULL;

	if (c->part_n > 0) {
		whole = malloc(c->part_n + n);
		if (whole == NULL)
			abort();
		memcpy(whole, c->part, c->part_n);
		memcpy(whole + c->part_n, p, n);
		n += c->part_n;
		p = whole;
		free(c->part);
		c->part = NULL;
		c->part_n = 0;
	}
	do {
		one = c->state == WSC_UPGRADE ?
		    take_answer(c, p + used, n - used) :
		    take_frame(c, p + used, n - used);
		used += one;
	} while (one > 0 && used < n && c->state != WSC_CLOSED);
	if (c->state != WSC_CLOSED && used < n) {
		c->part_n = n - used;
		c->part = malloc(c->part_n);
		if (c->part == NULL)
			abort();
		memcpy(c->part, p + used, c->part_n);
	}
	free(whole);
}

static void
tls_input(struct wsc *c, const uint8_t *p, size_t n)
{
	int got = -1;

	if (BIO_write(SSL_get_rbio(c->ssl), p, (int)n) != (int)n)
		abort();
	if (c->state == WSC_TLS && (got = SSL_do_handshake(c->ssl)) == 1)
		ask(c);
	while (c->state >= WSC_UPGRADE &&
	    (got = SSL_read(c->ssl, plain, sizeof(plain))) > 0)
		take(c, plain, (size_t)got);
	if (c->state != WSC_CLOSED &&
	    SSL_get_error(c->ssl, got) == SSL_ERROR_SSL)
		fail(c, "TLS");
}

static void
connected(struct wsc *c)
{
	socklen_t n = sizeof(int);
	int error = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 ||
	    error != 0) {
		fail(c, strerror(error));
		return;
	}
	watch_output(c, false);
	if (c->ssl == NULL) {
		ask(c);
	} else {
		c->state = WSC_TLS;
		(void)SSL_do_handshake(c->ssl);
	}
}

void
wsc_event(struct wsc *c, uint32_t events)
{
	ssize_t n;

	if (c->state == WSC_CLOSED)
		return;
	if (c->state == WSC_CONNECTING) {
		connected(c);
	} else if ((events & ~(uint32_t)EPOLLOUT) != 0) {
		n = recv(c->fd, raw, sizeof(raw), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			fail(c, n == 0 ? "ended by the server" :
			    strerror(errno));
			return;
		}
		if (n > 0 && c->ssl != NULL)
			tls_input(c, raw, (size_t)n);
		else if (n > 0)
			take(c, raw, (size_t)n);
	}
	wsc_flush(c);
}
