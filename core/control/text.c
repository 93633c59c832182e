/* SPDX-License-Identifier: Apache-2.0 */
/* An answer's text: base/json_out over an area that grows before it
 * is written. */
#include <errno.h>

#include "base/mem.h"
#include "control/control_priv.h"

int
text_room(struct text *t, size_t n)
{
	size_t cap = t->out.cap < 4096 ? 4096 : t->out.cap;
	uint8_t *p;

	if (outbuf_room(&t->out) >= n)
		return 0;
	if (n > TEXT_MAX || t->out.n > TEXT_MAX - n)
		return -E2BIG;
	while (cap - t->out.n < n)
		cap *= 2;
	p = mem_realloc(t->out.p, cap);
	if (p == NULL)
		return -ENOMEM;
	t->out.p = p;
	t->out.cap = cap;
	return 0;
}

/* It may hold a token. */
void
text_fini(struct text *t)
{
	if (t->out.p != NULL)
		mem_free_wiped(t->out.p, t->out.n);
	t->out = (struct outbuf){ 0 };
}

void
put_bool(struct json_out *j, const char *key, bool v)
{
	jout_raw(j, key, v ? "true" : "false", v ? 4 : 5);
}

void
put_time(struct json_out *j, const char *key, int64_t wall_ms)
{
	if (wall_ms > 0)
		jout_time(j, key, wall_ms);
}

void
put_number(struct json_out *j, const char *key, uint64_t v)
{
	if (v != 0)
		jout_uint(j, key, v);
}

void
put_text(struct json_out *j, const char *key, const char *s)
{
	if (s != NULL && s[0] != '\0')
		jout_string(j, key, s);
}
