/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport of listeners without TLS: bytes pass as they are.  It has no
 * state, hence an end of file always is a clean end.
 */
#include "base/transport.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define PLAIN_TAG 'P'
#define PLAIN_VERSION 1
#define EXPORT_SIZE 4	/* tag, version, 16 bits of length (0) */

static size_t
copy(struct outbuf *to, const uint8_t *p, size_t n)
{
	if (n > outbuf_room(to))
		n = outbuf_room(to);
	if (n > 0)
		memcpy(to->p + to->n, p, n);
	to->n += n;
	return n;
}

static ssize_t
plain_read(struct transport *t, struct stage *st, const uint8_t *in, size_t n)
{
	(void)t;
	return (ssize_t)copy(&st->rx, in, n);
}

static ssize_t
plain_write(struct transport *t, struct stage *st, const uint8_t *p, size_t n)
{
	(void)t;
	return (ssize_t)copy(&st->tx, p, n);
}

static int
plain_shutdown(struct transport *t, struct stage *st)
{
	(void)t;
	(void)st;
	return 0;
}

static int
plain_eof(const struct transport *t)
{
	(void)t;
	return -EPIPE;
}

static const char *
plain_reason(const struct transport *t)
{
	(void)t;
	return "";
}

static int
plain_export(const struct transport *t, struct outbuf *out)
{
	static const uint8_t state[EXPORT_SIZE] = { PLAIN_TAG, PLAIN_VERSION };

	(void)t;
	if (outbuf_room(out) < sizeof(state))
		return -ENOBUFS;
	(void)copy(out, state, sizeof(state));
	return 0;
}

static int
plain_import(const uint8_t *p, size_t n, struct transport **ret)
{
	if (n != EXPORT_SIZE || p[0] != PLAIN_TAG || p[1] != PLAIN_VERSION ||
	    p[2] != 0 || p[3] != 0)
		return -EINVAL;
	return transport_plain_new(ret);
}

static void
plain_free(struct transport **t)
{
	mem_free(*t);
	*t = NULL;
}

const struct transport_ops transport_plain_ops = {
	.name = "plain",
	.tag = PLAIN_TAG,
	.read = plain_read,
	.write = plain_write,
	.shutdown = plain_shutdown,
	.eof = plain_eof,
	.reason = plain_reason,
	.export = plain_export,
	.import = plain_import,
	.free = plain_free,
};

int
transport_plain_new(struct transport **ret)
{
	struct transport *t = mem_calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->ops = &transport_plain_ops;
	*ret = t;
	return 0;
}
