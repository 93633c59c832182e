/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame parser: byte 0 chooses the rules, byte 1 how the stream is cut.
 * The stream is fed whole and cut; both must give the same bytes, the same ends
 * and the same failure.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/ws_close.h"
#include "wire/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct result {
	uint64_t hash;			/* of all frames and payloads */
	uint64_t bytes;
	uint16_t close_code;
	const char *reason;
};

#define CHECK(c) do { if (!(c)) abort(); } while (0)

static void
mix(struct result *r, unsigned v)
{
	r->hash = (r->hash ^ v) * 0x100000001b3u;
}

static void
take(struct result *r, const struct ws_piece *piece)
{
	size_t i;

	CHECK(piece->opcode != 0 && piece->close_code == 0);
	CHECK(!piece->control || piece->left + piece->len <= WS_CONTROL_MAX);
	if (piece->first)
		mix(r, 0x100u | piece->opcode |
		    (piece->compressed ? 0x80u : 0));
	for (i = 0; i < piece->len; i++)
		mix(r, piece->data[i]);
	r->bytes += piece->len;
	if (piece->frame_end)
		mix(r, piece->last ? 0x200 : 0x201);
}

static struct result
run(const uint8_t *p, size_t n, const struct ws_rules *rules, size_t step)
{
	struct result r = { .hash = 1 };
	struct ws_parser w = { 0 };
	enum ws_result got = WS_MORE;
	struct ws_piece piece;
	struct ws_input in;
	uint8_t *copy;
	size_t at, part;

	for (at = 0; at < n && got != WS_FAIL; at += part) {
		part = step < n - at ? step : n - at;
		copy = malloc(part);
		CHECK(copy != NULL);
		memcpy(copy, p + at, part);
		in.p = copy;
		in.n = part;
		while ((got = ws_parse(&w, rules, &in, &piece)) == WS_PIECE)
			take(&r, &piece);
		CHECK(got == WS_FAIL || in.n == 0);
		CHECK(ws_parser_sane(&w));
		free(copy);
	}
	if (got == WS_FAIL) {
		r.close_code = piece.close_code;
		r.reason = piece.reason;
	}
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ws_rules rules = { 0 };
	struct result whole, cut;
	struct ws_close close;

	if (n < 2)
		return 0;
	rules.from_client = p[0] & 1;
	rules.deflate = p[0] & 2;
	rules.max_message = p[0] & 4 ? UINT64_MAX : 300;
	(void)ws_close_parse(p + 2, n - 2, &close);
	whole = run(p + 2, n - 2, &rules, n);
	cut = run(p + 2, n - 2, &rules, (size_t)p[1] % 31 + 1);
	CHECK(whole.hash == cut.hash && whole.bytes == cut.bytes);
	CHECK(whole.close_code == cut.close_code);
	CHECK(whole.reason == cut.reason);
	return 0;
}
