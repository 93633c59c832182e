/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inflater on what a peer may send, then the input itself as a message
 * through the deflater and back.  Byte 0 chooses limit and window.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)

struct collect {
	struct inflate_sink sink;
	uint64_t n;
	const uint8_t *want;		/* NULL: anything */
};

static int
put(struct inflate_sink *sink, uint8_t *p, size_t n)
{
	struct collect *c = (struct collect *)sink;

	CHECK(n > 0 && n <= INFLATE_CHUNK);
	CHECK(c->n + n <= c->sink.limit);
	if (c->want != NULL)
		CHECK(memcmp(c->want + c->n, p, n) == 0);
	memset(p, 0xaa, n);
	c->n += n;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct deflater *deflater;
	static struct inflater *inflater;
	struct collect c = { .sink.put = put };
	struct deflate_input in;
	struct outbuf out = { 0 };
	int r;

	if (n < 1)
		return 0;
	if (deflater == NULL)
		CHECK(deflater_new(&deflater) == 0 &&
		    inflater_new(&inflater) == 0);
	c.sink.limit = p[0] & 8 ? 200000 : 100;
	r = inflate_message(inflater, p + 1, n - 1, &c.sink);
	CHECK(r == 0 || r == -EPROTO || r == -EMSGSIZE);

	in = (struct deflate_input){ .p = p + 1, .n = n - 1,
	    .window_bits = 9 + (p[0] & 7) % 7 };
	out.cap = in.n + in.n / 4 + 64;
	out.p = malloc(out.cap);
	CHECK(out.p != NULL);
	CHECK(deflate_message(deflater, &in, &out) == 0);
	c = (struct collect){ .sink = { put, in.n }, .want = in.p };
	CHECK(inflate_message(inflater, out.p, out.n, &c.sink) == 0);
	CHECK(c.n == in.n);
	free(out.p);
	return 0;
}
