/* SPDX-License-Identifier: Apache-2.0 */
/* See pack.h. */
#include "base/pack.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 4096

uint8_t *
pack_room(struct pack *w, size_t n)
{
	size_t cap = w->out.cap == 0 ? FIRST_CAP : w->out.cap;
	uint8_t *p;

	if (w->error != 0)
		return NULL;
	if (outbuf_room(&w->out) >= n)
		return w->out.p + w->out.n;
	while (cap - w->out.n < n && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap - w->out.n < n) {
		w->error = -ENOMEM;
		return NULL;
	}
	/* Not realloc: what it would leave behind may be a key. */
	p = mem_alloc(cap);
	if (p == NULL) {
		w->error = -ENOMEM;
		return NULL;
	}
	if (w->out.n > 0)
		memcpy(p, w->out.p, w->out.n);
	mem_free_wiped(w->out.p, w->out.cap);
	w->out.p = p;
	w->out.cap = cap;
	return p + w->out.n;
}

void
pack_bytes(struct pack *w, const void *p, size_t n)
{
	uint8_t *to = pack_room(w, n);

	if (to == NULL || n == 0)
		return;
	memcpy(to, p, n);
	w->out.n += n;
}

void
pack_u32(struct pack *w, uint32_t v)
{
	pack_bytes(w, &v, sizeof(v));
}

void
pack_u64(struct pack *w, uint64_t v)
{
	pack_bytes(w, &v, sizeof(v));
}

void
pack_text(struct pack *w, const char *text)
{
	size_t n = strlen(text) + 1;

	pack_u32(w, (uint32_t)n);
	pack_bytes(w, text, n);
}

void
pack_fini(struct pack *w)
{
	/* Also behind the end: what was taken back. */
	mem_free_wiped(w->out.p, w->out.cap);
	*w = (struct pack){ .error = 0 };
}

const uint8_t *
unpack_bytes(struct unpack *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->error != 0 || n > r->n) {
		r->error = -EINVAL;
		return NULL;
	}
	r->p += n;
	r->n -= n;
	return p;
}

void
unpack_copy(struct unpack *r, void *to, size_t n)
{
	const uint8_t *p = unpack_bytes(r, n);

	if (p == NULL)
		memset(to, 0, n);
	else
		memcpy(to, p, n);
}

uint32_t
unpack_u32(struct unpack *r)
{
	uint32_t v;

	unpack_copy(r, &v, sizeof(v));
	return v;
}

uint64_t
unpack_u64(struct unpack *r)
{
	uint64_t v;

	unpack_copy(r, &v, sizeof(v));
	return v;
}

const char *
unpack_text(struct unpack *r, size_t max)
{
	uint32_t n = unpack_u32(r);
	const uint8_t *p;

	if (r->error == 0 && (n == 0 || n - 1 > max))
		r->error = -EINVAL;
	p = unpack_bytes(r, n);
	if (p == NULL || memchr(p, '\0', n) != p + n - 1) {
		r->error = -EINVAL;
		return "";
	}
	return (const char *)p;
}
