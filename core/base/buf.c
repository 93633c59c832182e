/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded byte queue.  Exists only while something is queued: an idle
 * channel pays nothing for it.
 */
#include "base/buf.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 512

/* Makes the area hold at least `need` bytes. */
static int
grow(struct buf **b, size_t need)
{
	size_t cap = *b == NULL ? FIRST_CAP : (*b)->cap * 2;
	struct buf *bigger;

	if (cap < need)
		cap = need;
	bigger = mem_realloc(*b, sizeof(*bigger) + cap);
	if (bigger == NULL)
		return -ENOMEM;
	if (*b == NULL)
		bigger->start = bigger->end = 0;
	bigger->cap = cap;
	*b = bigger;
	return 0;
}

int
buf_append(struct buf **b, const void *p, size_t n, size_t limit)
{
	size_t len = buf_len(*b);
	int err;

	if (n == 0)
		return 0;
	if (len > limit || n > limit - len)
		return -ENOBUFS;
	if (*b != NULL && (*b)->cap - (*b)->end < n && (*b)->start > 0) {
		memmove((*b)->data, (*b)->data + (*b)->start, len);
		(*b)->start = 0;
		(*b)->end = len;
	}
	if (*b == NULL || (*b)->cap - (*b)->end < n) {
		err = grow(b, len + n);
		if (err < 0)
			return err;
	}
	memcpy((*b)->data + (*b)->end, p, n);
	(*b)->end += n;
	return 0;
}

void
buf_consume(struct buf **b, size_t n)
{
	if (n >= buf_len(*b))
		buf_free(b);
	else
		(*b)->start += n;
}

void
buf_free(struct buf **b)
{
	mem_free(*b);
	*b = NULL;
}
