/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: a verdict never changes when more bytes come, and only whole
 * headers are used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)

static int
parse(const uint8_t *p, size_t n, struct proxy_header *ret)
{
	const char *why = NULL;
	uint8_t *copy = malloc(n > 0 ? n : 1);
	int r;

	/* A block of exactly n bytes, so that overreads are found. */
	CHECK(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	memset(ret, 0, sizeof *ret);
	r = proxy_parse(copy, n, ret, &why);
	CHECK((r == -EPROTO) == (why != NULL));
	CHECK(r == 0 || r == -EAGAIN || r == -EPROTO);
	CHECK(r != 0 || (ret->used > 0 && ret->used <= n));
	CHECK(r != 0 || ret->used <= PROXY_V2_MAX);
	CHECK(r != -EAGAIN || n < PROXY_V2_MAX);
	free(copy);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct proxy_header whole, part;
	size_t i;
	int r, rp;

	r = parse(p, n, &whole);
	for (i = 0; i < n; i += i < 120 ? 1 : 97) {
		rp = parse(p, i, &part);
		CHECK(rp == -EAGAIN || rp == r);
		if (rp == 0)
			CHECK(memcmp(&part, &whole, sizeof part) == 0);
		if (r == 0)
			CHECK((rp == 0) == (i >= whole.used));
	}
	return 0;
}
