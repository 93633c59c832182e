/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two byte areas.  `outbuf` is a fixed area that is filled from the front,
 * owned by whoever made it (a worker's staging, a stack array).  `buf` is a
 * bounded queue on the heap: bytes are appended at the end and taken from
 * the front.
 */
#ifndef CT_BUF_H
#define CT_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbuf {
	uint8_t *p;
	size_t n, cap;			/* p[0..n) is filled */
};

static inline size_t
outbuf_room(const struct outbuf *o)
{
	return o->cap - o->n;
}

/* A NULL `struct buf *` is an empty queue; buf_append makes it. */
struct buf {
	size_t start, end, cap;		/* data[start..end) is queued */
	uint8_t data[];
};

/* Appends n bytes; the queue then holds at most `limit` bytes.
 * -ENOBUFS over the limit (nothing appended), -ENOMEM. */
int buf_append(struct buf **, const void *p, size_t n, size_t limit);
static inline size_t
buf_len(const struct buf *b)
{
	return b == NULL ? 0 : b->end - b->start;
}
static inline const uint8_t *
buf_data(const struct buf *b)
{
	return b == NULL ? NULL : b->data + b->start;
}
/* Drops n bytes from the front; frees the queue when it is empty. */
void buf_consume(struct buf **, size_t n);
void buf_free(struct buf **);

#endif
