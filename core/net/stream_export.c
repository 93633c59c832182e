/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream as bytes and back, so that another worker or process can go on with
 * it.  Everything is checked on the way in; the descriptor travels beside it.
 *
 * Layout, big endian: version 1, flags, 2 reserved (zero), length of transport,
 * carry and backlog (4 bytes each), then the three.
 */
#include "net/stream.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "tls/record.h"

#define STREAM_VERSION 1
#define STREAM_HEADER 16
#define FLAG_SHUT 1

static void
put32(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static size_t
get32(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

static void
put_queue(struct outbuf *out, const struct buf *b)
{
	if (buf_len(b) > 0)
		memcpy(out->p + out->n, buf_data(b), buf_len(b));
	out->n += buf_len(b);
}

int
stream_export(const struct stream *s, struct outbuf *out)
{
	size_t carry_n = buf_len(s->carry), backlog_n = buf_len(s->backlog);
	size_t start = out->n;
	uint8_t *head;
	int error;

	CT_ASSERT(s->transport != NULL && s->watch.fn == NULL);
	if (outbuf_room(out) < STREAM_HEADER)
		return -ENOBUFS;
	head = out->p + start;
	memset(head, 0, STREAM_HEADER);
	out->n += STREAM_HEADER;
	error = s->transport->ops->export(s->transport, out);
	if (error == 0 && (outbuf_room(out) < carry_n ||
	    outbuf_room(out) - carry_n < backlog_n))
		error = -ENOBUFS;
	if (error != 0) {
		out->n = start;
		return error;
	}
	head[0] = STREAM_VERSION;
	head[1] = s->shut ? FLAG_SHUT : 0;
	put32(head + 4, out->n - start - STREAM_HEADER);
	put32(head + 8, carry_n);
	put32(head + 12, backlog_n);
	put_queue(out, s->carry);
	put_queue(out, s->backlog);
	return 0;
}

static const struct transport_ops *
ops_of(uint8_t tag)
{
	static const struct transport_ops *const all[] = {
		&transport_plain_ops, &tls_record_ops
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->tag == tag)
			return all[i];
	return NULL;
}

int
stream_import(struct stream *s, int fd, const uint8_t *p, size_t n)
{
	const struct transport_ops *ops;
	struct stream made;
	size_t transport_n, carry_n, backlog_n;
	int error;

	if (n < STREAM_HEADER || p[0] != STREAM_VERSION ||
	    (p[1] & ~FLAG_SHUT) != 0 || p[2] != 0 || p[3] != 0)
		return -EINVAL;
	transport_n = get32(p + 4);
	carry_n = get32(p + 8);
	backlog_n = get32(p + 12);
	/* Three 32-bit values do not overflow a 64-bit sum. */
	if (n - STREAM_HEADER != transport_n + carry_n + backlog_n ||
	    transport_n == 0 || carry_n > STAGE_IN_SIZE)
		return -EINVAL;
	ops = ops_of(p[STREAM_HEADER]);
	if (ops == NULL)
		return -EINVAL;
	stream_init(&made, fd, NULL);
	made.shut = made.failed = p[1] & FLAG_SHUT;
	p += STREAM_HEADER;
	error = ops->import(p, transport_n, &made.transport);
	if (error == 0 && carry_n > 0)
		error = buf_append(&made.carry, p + transport_n, carry_n,
		    carry_n);
	if (error == 0 && backlog_n > 0)
		error = buf_append(&made.backlog, p + transport_n + carry_n,
		    backlog_n, backlog_n);
	if (error != 0) {
		stream_forget(&made);
		return error;
	}
	*s = made;
	return 0;
}
