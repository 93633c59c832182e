/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zlib's raw deflate for whole messages.  A window need not be larger than its
 * message, and clearing a large one's hash table costs more than compressing a
 * short message, so there is a stream for each window size, made when it is
 * first needed and reset for each message.
 */
#include "wire/deflate.h"

#include <errno.h>
#include <stdbool.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"

#define BITS_MIN 9			/* raw deflate of zlib cannot do 8 */
#define BITS_MAX 15
#define LOOKAHEAD 262			/* zlib never reaches it back */
#define LEVEL 6
#define TAIL_SIZE 4
#define TYPE_AT_BLOCK 128		/* z_stream.data_type, see zlib.h */
#define TYPE_BITS_LEFT 63

struct deflater {
	z_stream z[BITS_MAX - BITS_MIN + 1];
	bool ready[BITS_MAX - BITS_MIN + 1];
};

struct inflater {
	z_stream z;
	uint8_t chunk[INFLATE_CHUNK];
};

static void *
z_alloc(void *opaque, unsigned items, unsigned size)
{
	(void)opaque;
	return mem_calloc(items, size);
}

static void
z_free(void *opaque, void *p)
{
	(void)opaque;
	mem_free(p);
}

int
deflater_new(struct deflater **ret)
{
	struct deflater *d = mem_calloc(1, sizeof *d);

	if (d == NULL)
		return -ENOMEM;
	*ret = d;
	return 0;
}

void
deflater_free(struct deflater **dp)
{
	struct deflater *d = *dp;
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < sizeof d->ready / sizeof d->ready[0]; i++) {
		if (d->ready[i])
			(void)deflateEnd(&d->z[i]);	/* drops data only */
	}
	mem_free(d);
	*dp = NULL;
}

/* The stream for n bytes, ready for a new message; NULL: no memory. */
static z_stream *
stream_for(struct deflater *d, size_t n, unsigned max_bits)
{
	unsigned bits = BITS_MIN;
	size_t i;

	while (bits < max_bits && ((size_t)1 << bits) < n + LOOKAHEAD)
		bits++;
	i = bits - BITS_MIN;
	if (d->ready[i])
		return deflateReset(&d->z[i]) == Z_OK ? &d->z[i] : NULL;
	d->z[i] = (z_stream){ .zalloc = z_alloc, .zfree = z_free };
	if (deflateInit2(&d->z[i], LEVEL, Z_DEFLATED, -(int)bits,
	    bits >= 13 ? 8 : (int)bits - 5, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	d->ready[i] = true;
	return &d->z[i];
}

int
deflate_message(struct deflater *d, const struct deflate_input *in,
    struct outbuf *out)
{
	size_t done = 0, room = outbuf_room(out), n, made;
	z_stream *z;

	CT_ASSERT(in->window_bits >= BITS_MIN && in->window_bits <= BITS_MAX);
	z = stream_for(d, in->n, in->window_bits);
	if (z == NULL)
		return -ENOMEM;
	if (room > UINT32_MAX)
		room = UINT32_MAX;
	z->next_out = out->p + out->n;
	z->avail_out = (unsigned)room;
	do {
		n = in->n - done < UINT32_MAX ? in->n - done : UINT32_MAX;
		z->next_in = n > 0 ? in->p + done : NULL;
		z->avail_in = (unsigned)n;
		done += n;
		(void)deflate(z, done < in->n ? Z_NO_FLUSH : Z_SYNC_FLUSH);
		/* A flush that filled the room to its end is not known to be
		 * whole (zlib.h: call again with room until it is not full). */
		if (z->avail_out == 0 || z->avail_in > 0)
			return -ENOBUFS;
	} while (done < in->n);
	made = room - z->avail_out;
	CT_ASSERT(made > TAIL_SIZE);
	out->n += made - TAIL_SIZE;
	return 0;
}

int
inflater_new(struct inflater **ret)
{
	struct inflater *f = mem_calloc(1, sizeof *f);

	if (f == NULL)
		return -ENOMEM;
	f->z.zalloc = z_alloc;
	f->z.zfree = z_free;
	if (inflateInit2(&f->z, -BITS_MAX) != Z_OK) {
		mem_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void
inflater_free(struct inflater **fp)
{
	if (*fp == NULL)
		return;
	(void)inflateEnd(&(*fp)->z);		/* fails only for no stream */
	mem_free(*fp);
	*fp = NULL;
}

/* A message on its way through the inflater. */
struct expansion {
	struct inflater *f;
	struct inflate_sink *sink;
	uint64_t total;			/* given to the sink */
	int data_type;			/* after the last step forward */
};

static int
flush_chunk(struct expansion *x)
{
	z_stream *z = &x->f->z;
	size_t n = INFLATE_CHUNK - z->avail_out;
	int r;

	if (n == 0)
		return 0;
	if (n > x->sink->limit - x->total)
		return -EMSGSIZE;
	r = x->sink->put(x->sink, x->f->chunk, n);
	if (r != 0)
		return r;
	x->total += n;
	z->next_out = x->f->chunk;
	z->avail_out = INFLATE_CHUNK;
	return 0;
}

/* Until zlib has used its input (0) or a final block has ended (1). */
static int
expand(struct expansion *x)
{
	z_stream *z = &x->f->z;
	int r, zr;

	for (;;) {
		zr = inflate(z, Z_SYNC_FLUSH);
		if (zr == Z_MEM_ERROR)
			return -ENOMEM;
		if (zr != Z_OK && zr != Z_BUF_ERROR && zr != Z_STREAM_END)
			return -EPROTO;
		if (zr != Z_BUF_ERROR)
			x->data_type = z->data_type;
		if (zr == Z_STREAM_END)
			return 1;
		if (z->avail_out > 0)
			return 0;
		if ((r = flush_chunk(x)) != 0)
			return r;
	}
}

/* All of p[0..n); what follows a final block is a new stream.  1: a final
 * block ended with the last byte. */
static int
expand_all(struct expansion *x, const uint8_t *p, size_t n)
{
	z_stream *z = &x->f->z;
	int r = 0;

	while (n > 0) {
		z->next_in = p;
		z->avail_in = n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
		if ((r = expand(x)) < 0)
			return r;
		n -= (size_t)(z->next_in - p);
		p = z->next_in;
		if (r == 1 && n > 0)
			(void)inflateReset(z);	/* fails only if it is none */
	}
	return r;
}

/* Behind the tail the sender's empty stored block has ended: zlib waits for the
 * next block at a byte's boundary.  Anything else was cut short. */
static bool
at_block_boundary(const struct expansion *x)
{
	return (x->data_type & TYPE_AT_BLOCK) != 0 &&
	    (x->data_type & TYPE_BITS_LEFT) == 0;
}

int
inflate_message(struct inflater *f, const uint8_t *p, size_t n,
    struct inflate_sink *sink)
{
	static const uint8_t tail[TAIL_SIZE] = { 0x00, 0x00, 0xff, 0xff };
	struct expansion x = { .f = f, .sink = sink };
	int r;

	if (n == 0)
		return 0;
	(void)inflateReset(&f->z);		/* fails only if it is none */
	f->z.next_out = f->chunk;
	f->z.avail_out = INFLATE_CHUNK;
	r = expand_all(&x, p, n);
	if (r == 0) {
		r = expand_all(&x, tail, sizeof tail);
		if (r == 0 && !at_block_boundary(&x))
			r = -EPROTO;
	}
	return r < 0 ? r : flush_chunk(&x);
}
