/* SPDX-License-Identifier: Apache-2.0 */
/* See channel_rig.h: the clients. */
#include "channel_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

#define NEED(c) ((c) ? (void)0 : need(#c, __LINE__))
#define PATIENCE_MS 10000
#define RECORD_APPLICATION_DATA 23

static void
need(const char *what, int line)
{
	(void)fprintf(stderr, "channel_client.c:%d: %s\n", line, what);
	abort();
}

static ssize_t
push(gnutls_transport_ptr_t p, const void *b, size_t n)
{
	struct rig_client *c = p;

	c->out = realloc(c->out, c->out_n + n);
	NEED(c->out != NULL);
	memcpy(c->out + c->out_n, b, n);
	c->out_n += n;
	return (ssize_t)n;
}

/* Counts the application records that go by. */
static void
count_records(struct rig_client *c, const uint8_t *p, size_t n)
{
	size_t part;

	while (n > 0) {
		if (c->record_left > 0) {
			part = n < c->record_left ? n : c->record_left;
			c->record_left -= part;
			p += part;
			n -= part;
			continue;
		}
		c->record_head[c->record_head_n++] = *p++;
		n--;
		if (c->record_head_n < 5)
			continue;
		c->record_head_n = 0;
		c->record_left = (size_t)c->record_head[3] << 8 |
		    c->record_head[4];
		c->records += c->record_head[0] == RECORD_APPLICATION_DATA;
	}
}

static ssize_t
pull(gnutls_transport_ptr_t p, void *b, size_t n)
{
	struct rig_client *c = p;
	ssize_t got = recv(c->fd, b, n, MSG_DONTWAIT);

	if (got < 0)
		gnutls_transport_set_errno(c->tls, errno);
	else
		count_records(c, b, (size_t)got);
	return got;
}

static int
no_wait(gnutls_transport_ptr_t p, unsigned ms)
{
	(void)p;
	(void)ms;
	return 1;
}

static bool
send_raw(struct rig_client *c, const uint8_t *p, size_t n)
{
	uint64_t end = rig_real_ms() + PATIENCE_MS;
	ssize_t sent;

	while (n > 0 && rig_real_ms() < end) {
		sent = send(c->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
		rig_turn(c->rig);
	}
	return n == 0;
}

bool
rig_release(struct rig_client *c, size_t n)
{
	bool ok;

	if (n > c->out_n)
		n = c->out_n;
	ok = send_raw(c, c->out, n);
	if (n > 0)
		memmove(c->out, c->out + n, c->out_n - n);
	c->out_n -= n;
	return ok;
}

bool
rig_send(struct rig_client *c, const void *p, size_t n)
{
	const uint8_t *from = p;
	ssize_t sent;

	if (c->tls == NULL)
		return send_raw(c, p, n);
	while (n > 0) {
		sent = gnutls_record_send(c->tls, from, n);
		if (sent <= 0)
			return false;
		from += sent;
		n -= (size_t)sent;
	}
	return c->holding || rig_release(c, SIZE_MAX);
}

size_t
rig_frame_bytes(uint8_t *to, unsigned first_byte, const void *p, size_t n)
{
	static const uint8_t mask[4] = { 0x5a, 0x01, 0xfe, 0x80 };
	size_t head = ws_encode_header(to, first_byte, n, mask);

	if (n > 0)
		memcpy(to + head, p, n);
	ws_mask(to + head, n, mask, 0);
	return head + n;
}

bool
rig_send_frame(struct rig_client *c, unsigned first_byte, const void *p,
    size_t n)
{
	uint8_t *b = malloc(WS_HEADER_MAX + n);
	bool ok;

	NEED(b != NULL);
	ok = rig_send(c, b, rig_frame_bytes(b, first_byte, p, n));
	free(b);
	return ok;
}

bool
rig_send_text(struct rig_client *c, const char *text)
{
	return rig_send_frame(c, WS_FIN | WS_OP_TEXT, text, strlen(text));
}

size_t
rig_look(struct rig_client *c)
{
	ssize_t got;

	if (c->in_cap - c->in_n < 65536) {
		c->in_cap = c->in_cap * 2 + 131072;
		c->in = realloc(c->in, c->in_cap);
		NEED(c->in != NULL);
	}
	if (c->tls == NULL)
		got = recv(c->fd, c->in + c->in_n, c->in_cap - c->in_n,
		    MSG_DONTWAIT);
	else
		got = gnutls_record_recv(c->tls, c->in + c->in_n,
		    c->in_cap - c->in_n);
	if (got > 0) {
		c->in_n += (size_t)got;
		return (size_t)got;
	}
	if (got == 0)
		c->eof = c->clean_eof = true;
	else if (c->tls == NULL ? errno != EAGAIN :
	    gnutls_error_is_fatal((int)got) != 0)
		c->eof = true;
	return 0;
}

static void
dial_tls(struct rig_client *c, const struct rig_dial *d)
{
	uint64_t end = rig_real_ms() + PATIENCE_MS;
	gnutls_datum_t pem, key;
	int r;

	NEED(gnutls_certificate_allocate_credentials(&c->cred) == 0);
	if (d->cert != NULL) {
		pem = (gnutls_datum_t){ (uint8_t *)d->cert->pem,
		    (unsigned)strlen(d->cert->pem) };
		key = (gnutls_datum_t){ (uint8_t *)d->cert->key_pem,
		    (unsigned)strlen(d->cert->key_pem) };
		NEED(gnutls_certificate_set_x509_key_mem(c->cred, &pem, &key,
		    GNUTLS_X509_FMT_PEM) == 0);
	}
	NEED(gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK) == 0);
	NEED(gnutls_priority_set_direct(c->tls, d->priority, NULL) == 0);
	NEED(gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE,
	    c->cred) == 0);
	gnutls_transport_set_ptr(c->tls, c);
	gnutls_transport_set_push_function(c->tls, push);
	gnutls_transport_set_pull_function(c->tls, pull);
	gnutls_transport_set_pull_timeout_function(c->tls, no_wait);
	while ((r = gnutls_handshake(c->tls)) != 0) {
		NEED(gnutls_error_is_fatal(r) == 0 && rig_real_ms() < end);
		NEED(rig_release(c, SIZE_MAX));
		rig_turn(c->rig);
	}
	NEED(rig_release(c, SIZE_MAX));
}

static void
read_answer(struct rig_client *c)
{
	uint64_t end = rig_real_ms() + PATIENCE_MS;
	char *behind = NULL;

	while (behind == NULL) {
		NEED(rig_real_ms() < end && !c->eof);
		if (rig_look(c) == 0)
			rig_turn(c->rig);
		behind = c->in_n == 0 ? NULL :
		    memmem(c->in, c->in_n, "\r\n\r\n", 4);
	}
	behind += 4;
	NEED(memcmp(c->in, "HTTP/1.1 101 ", 13) == 0);
	c->deflate = memmem(c->in, (size_t)(behind - (char *)c->in),
	    "permessage-deflate", 18) != NULL;
	c->in_n -= (size_t)(behind - (char *)c->in);
	memmove(c->in, behind, c->in_n);
}

void
rig_dial(struct rig *r, const struct rig_dial *d, struct rig_client *c)
{
	const char *at = d->priority == NULL ? r->plain : r->tls;
	static const char request[] = "GET /echo HTTP/1.1\r\nHost: h\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
	struct sockaddr_storage ss;
	int on = 1, n;
	unsigned len;
	char *all;

	memset(c, 0, sizeof(*c));
	c->rig = r;
	NEED(addr_parse(at, &ss, &len) == 0);
	c->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(c->fd >= 0);
	if (d->rcvbuf > 0)
		NEED(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &d->rcvbuf,
		    sizeof(d->rcvbuf)) == 0);
	NEED(connect(c->fd, (const struct sockaddr *)&ss, len) == 0);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (d->priority != NULL)
		dial_tls(c, d);
	all = malloc(512 + d->early_n);
	NEED(all != NULL);
	n = snprintf(all, 512, "%s%s%s%s\r\n", request,
	    d->extensions == NULL ? "" : "Sec-WebSocket-Extensions: ",
	    d->extensions == NULL ? "" : d->extensions,
	    d->extensions == NULL ? "" : "\r\n");
	if (d->early_n > 0)
		memcpy(all + n, d->early, d->early_n);
	NEED(rig_send(c, all, (size_t)n + d->early_n));
	free(all);
	read_answer(c);
	rig_settle(r);
}

void
rig_hang_up(struct rig_client *c)
{
	if (c->tls != NULL) {
		gnutls_deinit(c->tls);
		gnutls_certificate_free_credentials(c->cred);
	}
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->in);
	free(c->out);
	free(c->frame);
	*c = (struct rig_client){ .rig = c->rig, .fd = -1 };
}

/* The size of a whole frame at the front of c->in, or 0. */
static size_t
whole_frame(const struct rig_client *c, size_t *ret_head)
{
	size_t head = 2, ext, n;

	if (c->in_n < 2)
		return 0;
	NEED((c->in[1] & WS_MASKED) == 0);
	n = c->in[1];
	ext = n < 126 ? 0 : n == 126 ? 2 : 8;
	if (c->in_n < head + ext)
		return 0;
	if (ext > 0)
		for (n = 0; head < 2 + ext; head++)
			n = n << 8 | c->in[head];
	*ret_head = head;
	return c->in_n < head + n ? 0 : head + n;
}

bool
rig_frame(struct rig_client *c, struct rig_frame *ret)
{
	uint64_t end = rig_real_ms() + PATIENCE_MS;
	size_t head = 0, n;

	while ((n = whole_frame(c, &head)) == 0) {
		if (c->eof || rig_real_ms() >= end)
			return false;
		if (rig_look(c) == 0)
			rig_turn(c->rig);
	}
	free(c->frame);
	c->frame = malloc(n);
	NEED(c->frame != NULL);
	memcpy(c->frame, c->in, n);
	c->in_n -= n;
	memmove(c->in, c->in + n, c->in_n);
	*ret = (struct rig_frame){ .first_byte = c->frame[0],
	    .p = c->frame + head, .n = n - head };
	if ((ret->first_byte & 15u) == WS_OP_CLOSE)
		ret->code = ret->n < 2 ? 1005 :
		    (uint16_t)(ret->p[0] << 8 | ret->p[1]);
	return true;
}

void
rig_expect_text(struct rig_client *c, const char *text)
{
	struct rig_frame f;

	NEED(rig_frame(c, &f));
	if (f.first_byte == (WS_FIN | WS_OP_TEXT) && f.n == strlen(text) &&
	    memcmp(f.p, text, f.n) == 0)
		return;
	(void)fprintf(stderr, "expected \"%s\", got %02x \"%.*s\"\n", text,
	    f.first_byte, (int)f.n, (const char *)f.p);
	abort();
}

void
rig_expect_close(struct rig_client *c, uint16_t code)
{
	struct rig_frame f;

	NEED(rig_frame(c, &f));
	if (f.first_byte == (WS_FIN | WS_OP_CLOSE) && f.code == code)
		return;
	(void)fprintf(stderr, "expected close %u, got %02x code %u\n", code,
	    f.first_byte, f.code);
	abort();
}

void
rig_expect_eof(struct rig_client *c)
{
	uint64_t end = rig_real_ms() + PATIENCE_MS;

	while (!c->eof) {
		NEED(rig_real_ms() < end);
		if (rig_look(c) == 0)
			rig_turn(c->rig);
	}
	NEED(c->in_n == 0);
}

uint64_t
rig_hello(struct rig_client *c, const char *id)
{
	unsigned long long number = 0;
	struct rig_frame f;
	char line[256];

	(void)snprintf(line, sizeof(line), "hello %s %s", id, RIG_TOKEN);
	NEED(rig_send_text(c, line));
	NEED(rig_frame(c, &f) && f.n < sizeof(line));
	memcpy(line, f.p, f.n);
	line[f.n] = '\0';
	if (sscanf(line, "ok %llu", &number) != 1) {
		(void)fprintf(stderr, "hello %s: %s\n", id, line);
		abort();
	}
	return number;
}
