/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record layer under a peer that has the right keys and no manners.  The
 * input is a list of steps (record_steps.h), which the mutator works on as such
 * (record_mutator.c); records are sealed here, so that the fuzzer gets behind
 * the decryption.  Everything is read twice, at once and in pieces, with the
 * same result; data that arrives is a prefix of what was sent; what comes out
 * pleases the strict peer; what is refused is answered with a fatal alert.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/strict_tls.h"
#include "base/check.h"
#include "base/transport.h"
#include "record_steps.h"
#include "tls/aead.h"
#include "tls/record.h"
#include "tls/record_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct input {
	const uint8_t *p;
	size_t n;
};

static struct strict_peer peer;
static struct stage st[2];		/* read at once, and in pieces */
static struct transport *t[2];
static uint8_t wire[STAGE_IN_SIZE], sent[160 * 1024], zeros[17000];
static size_t wire_n, sent_n, got_n, piece;
static size_t last[2];			/* where the last two records begin */
static bool ended, shut;

static unsigned
take(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static const uint8_t *
take_bytes(struct input *in, size_t *n)
{
	const uint8_t *p = in->p;

	if (*n > in->n)
		*n = in->n;
	in->p += *n;
	in->n -= *n;
	return p;
}

static void
record(uint8_t type, const uint8_t *p, size_t n, size_t pad)
{
	if (wire_n + n + pad + 64 > sizeof(wire) || sent_n + n > sizeof(sent))
		return;
	last[1] = last[0];
	last[0] = wire_n;
	wire_n += strict_seal(&peer, type, p, n, pad, wire + wire_n);
	if (type == 23 && n > 0) {
		memcpy(sent + sent_n, p, n);
		sent_n += n;
	}
}

/* Reads wire[] with one of the two; 0, or the error. */
static int
feed(int which, size_t step)
{
	size_t start = 0, end = 0;
	ssize_t k;

	while (end < wire_n) {
		end = wire_n - end < step ? wire_n : end + step;
		k = t[which]->ops->read(t[which], &st[which], wire + start,
		    end - start);
		if (k < 0)
			return (int)k;
		CT_ASSERT((size_t)k <= end - start);
		start += (size_t)k;
	}
	/* what is left is a record that has not come whole */
	memmove(wire, wire + start, which == 1 ? wire_n - start : 0);
	if (which == 1) {
		wire_n -= start;
		last[0] = last[1] = wire_n;
	}
	return 0;
}

static void
flush(void)
{
	CT_ASSERT(strict_take(&peer, st[0].tx.p, st[0].tx.n));
	st[0].tx.n = 0;
	st[1].tx.n = 0;
}

static void
read_both(void)
{
	/* not byte by byte through many large records: it is too slow */
	size_t step_n = piece > wire_n / 64 ? piece : wire_n / 64;
	int a = feed(0, sizeof(wire)), b = feed(1, step_n);

	CT_ASSERT(a == b);
	CT_ASSERT(t[0]->ops->reason(t[0]) == t[1]->ops->reason(t[1]));
	CT_ASSERT(st[0].rx.n == st[1].rx.n);
	CT_ASSERT(memcmp(st[0].rx.p, st[1].rx.p, st[0].rx.n) == 0);
	CT_ASSERT(got_n + st[0].rx.n <= sent_n);
	CT_ASSERT(memcmp(sent + got_n, st[0].rx.p, st[0].rx.n) == 0);
	got_n += st[0].rx.n;
	st[0].rx.n = st[1].rx.n = 0;
	flush();
	CT_ASSERT(a != -EPROTO || shut || peer.level == 2);
	CT_ASSERT(a != -ENOMEM);
	ended = a < 0;
}

static void
move(int which)
{
	uint8_t b[256], again[256];
	struct outbuf out = { b, 0, sizeof(b) }, two = { again, 0, 256 };

	CT_ASSERT(t[which]->ops->export(t[which], &out) == 0);
	t[which]->ops->free(&t[which]);
	CT_ASSERT(tls_record_ops.import(b, out.n, &t[which]) == 0);
	CT_ASSERT(t[which]->ops->export(t[which], &two) == 0);
	CT_ASSERT(out.n == two.n && memcmp(b, again, out.n) == 0);
}

static void
key_update(struct input *in)
{
	unsigned cuts = take(in);
	uint8_t m[5] = { 24, 0, 0, 1, (uint8_t)(cuts >> 7) };
	size_t from = 0;
	bool at_once;

	if (peer.suite->hash_n == 0)
		return;
	/* The peer insists on an answer only when we must have read it. */
	if ((cuts & 0x40) == 0)
		read_both();
	if (ended)
		return;
	/* nor behind a message that has not come whole: it is part of that */
	at_once = (cuts & 0x40) == 0 && wire_n == 0 &&
	    rec_of(t[0])->hs_n == 0 && rec_of(t[0])->hs_skip == 0;
	for (size_t i = 1; i <= 5; i++)
		if (i == 5 || (cuts >> (i - 1) & 1) != 0) {
			record(22, m + from, i - from, cuts >> 4 & 3);
			from = i;
		}
	strict_next_key(&peer.out, peer.suite);
	if (!at_once)
		return;
	peer.asked |= m[4];
	read_both();
}

/* As a stream does, with little room in tx if `cap` is not 0. */
static void
send_some(struct input *in, size_t cap)
{
	size_t n = take(in) << 6;
	ssize_t k = 1;

	if (peer.data_n + n > sizeof(peer.data))
		return;
	CT_ASSERT(rec_sealed_size(t[0], n) <= STAGE_TX_SIZE);
	st[0].tx.cap = cap != 0 ? cap : STAGE_TX_SIZE;
	for (; n > 0 && k > 0; n -= k > 0 ? (size_t)k : 0) {
		k = t[0]->ops->write(t[0], &st[0], zeros, n);
		flush();
	}
	st[0].tx.cap = STAGE_TX_SIZE;
	ended |= k == -EOVERFLOW;	/* keys of TLS 1.2 are used up */
}

/* A record whose header is any, and its inner plaintext as well. */
static void
shaped(struct input *in)
{
	static uint8_t inner[17000];
	unsigned outer = take(in), version = take(in) << 8 | take(in);
	unsigned type = take(in);
	size_t pad = (take(in) << 8 | take(in)) % 16700, n = take(in);
	const uint8_t *p = take_bytes(in, &n);
	size_t all = n;

	if (wire_n + n + pad + 64 > sizeof(wire) || sent_n + n > sizeof(sent))
		return;
	memset(inner, 0, n + 1 + pad);
	memcpy(inner, p, n);
	if (peer.suite->hash_n != 0) {
		inner[n] = (uint8_t)type;
		all += 1 + pad;
	} else {
		type = outer;
	}
	last[1] = last[0];
	last[0] = wire_n;
	wire_n += strict_seal_as(&peer, (uint8_t)outer, version, inner, all,
	    wire + wire_n);
	if (type == 0 && peer.suite->hash_n != 0)
		while (n > 0 && p[n - 1] == 0)
			n--;
	if (type == 0 && peer.suite->hash_n != 0 && n > 0)
		type = p[--n];
	if (type == 23) {
		memcpy(sent + sent_n, p, n);
		sent_n += n;
	}
}

/* What happens to records on their way. */
static void
disorder(unsigned how, unsigned by)
{
	static uint8_t tmp[STAGE_IN_SIZE];
	size_t n0 = wire_n - last[0], n1 = last[0] - last[1];

	if (last[0] >= wire_n)
		return;
	switch (how % 4) {
	case 0:					/* the last two change places */
		memcpy(tmp, wire + last[1], n1);
		memmove(wire + last[1], wire + last[0], n0);
		memcpy(wire + last[1] + n0, tmp, n1);
		last[0] = last[1] + n0;
		break;
	case 1:					/* the last one once more */
		if (wire_n + n0 > sizeof(wire))
			return;
		memcpy(wire + wire_n, wire + last[0], n0);
		wire_n += n0;
		break;
	case 2:					/* it is lost */
		wire_n = last[0];
		last[0] = last[1];
		break;
	default:				/* its end is */
		wire_n -= by < n0 ? by : n0;
		break;
	}
}

/* A message whose length may be a lie, in records of `cut` bytes. */
static void
message(struct input *in, size_t pad)
{
	uint8_t m[4 + 255];
	unsigned type = take(in);
	size_t said = take(in) << 8 | take(in), n = take(in);
	size_t cut = take(in) + 1u;
	const uint8_t *p = take_bytes(in, &n);

	m[0] = (uint8_t)type;
	m[1] = 0;
	m[2] = (uint8_t)(said >> 8);
	m[3] = (uint8_t)said;
	memcpy(m + 4, p, n);
	for (size_t at = 0; at < 4 + n; at += cut)
		record(22, m + at, 4 + n - at < cut ? 4 + n - at : cut, pad);
}

/* One small record many times, for the limits. */
static void
many(struct input *in, unsigned what)
{
	unsigned count = take(in);

	while (count-- > 0)
		switch (what % 6) {
		case 0:
			record(23, NULL, 0, what);
			break;
		case 1:
			record(21, (const uint8_t *)"\1\132", 2, 0);
			break;
		case 2:
			record(22, (const uint8_t *)"\4\0\0\0", 4, 0);
			break;
		case 3:
			record(22, (const uint8_t *)"\1\0\0\0", 4, 0);
			break;
		case 4:
			record(22, (const uint8_t *)"\0\0\0\0", 4, 0);
			break;
		default:
			if (peer.suite->hash_n == 0)
				return;
			record(22, (const uint8_t *)"\30\0\0\1\0", 5, 0);
			strict_next_key(&peer.out, peer.suite);
			break;
		}
}

static void
step(struct input *in)
{
	unsigned op = take(in), arg = op / STEPS, type;
	const uint8_t *p;
	size_t n;

	switch (op % STEPS) {
	case STEP_DATA:
		n = take(in);
		p = take_bytes(in, &n);
		record(23, p, n, arg);
		break;
	case STEP_ZEROS:
		type = take(in);
		n = (take(in) << 8 | take(in)) % sizeof(zeros);
		if (type != 0)		/* 0 is padding in 1.3 */
			record((uint8_t)type, zeros, n, arg * 1200);
		break;
	case STEP_HANDSHAKE:
		n = take(in);
		p = take_bytes(in, &n);
		record(22, p, n, arg);
		break;
	case STEP_ALERT:
		n = arg % 5;
		p = take_bytes(in, &n);
		record(21, p, n, 0);
		break;
	case STEP_UPDATE:
		key_update(in);
		break;
	case STEP_RAW:
		n = take(in);
		p = take_bytes(in, &n);
		if (wire_n + n <= sizeof(wire))
			memcpy(wire + wire_n, p, n);
		else
			n = 0;
		wire_n += n;
		break;
	case STEP_FLIP:
		n = take(in) << 8 | take(in);
		if (wire_n > 0)
			wire[wire_n - 1 - n % wire_n] ^= (uint8_t)(op + 1);
		break;
	case STEP_SEND:
		send_some(in, arg * 20);
		break;
	case STEP_REKEY:
		if (arg > 1)
			tls_record_test_bounds(arg, arg * 2);
		(void)tls_record_rekey(t[0], arg % 2);
		break;
	case STEP_SHUTDOWN:
		(void)t[0]->ops->shutdown(t[0], &st[0]);
		(void)t[1]->ops->shutdown(t[1], &st[1]);
		flush();
		shut = true;
		break;
	case STEP_MOVE:
		move(arg % 2);
		break;
	case STEP_SHAPED:
		shaped(in);
		break;
	case STEP_DISORDER:
		disorder(arg, take(in));
		break;
	case STEP_MESSAGE:
		message(in, arg);
		break;
	case STEP_MANY:
		many(in, arg);
		break;
	default:
		read_both();
		break;
	}
}

static void
prepare(void)
{
	static bool done;

	if (done)
		return;
	for (int i = 0; i < 2; i++) {
		CT_ASSERT(stage_init(&st[i]) == 0);
		CT_ASSERT(aead_cache_new(4, &st[i].aead) == 0);
	}
	done = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, n };
	struct tls_detach d;
	unsigned first = take(&in);

	prepare();
	strict_init(&peer, &strict_suites[first % STRICT_SUITES],
	    first >= 128, 1, &d);
	piece = take(&in) + 1;
	d.limit = (uint16_t)(63 + take(&in) * 64);
	if (d.limit > 16384)
		d.limit = 16384;
	peer.limit = d.limit;
	d.take = (uint16_t)(63 + take(&in) * 64);
	if (d.take > 16384)
		d.take = 16384;
	wire_n = sent_n = got_n = last[0] = last[1] = 0;
	ended = shut = false;
	tls_record_test_bounds(0, 0);
	for (int i = 0; i < 2; i++) {
		CT_ASSERT(tls_record_new(&d, &t[i]) == 0);
		st[i].rx.n = st[i].tx.n = 0;
	}
	while (in.n > 0 && !ended)
		step(&in);
	if (!ended)
		read_both();
	for (int i = 0; i < 2; i++) {
		(void)t[i]->ops->shutdown(t[i], &st[i]);
		(void)t[i]->ops->eof(t[i]);
	}
	flush();
	for (int i = 0; i < 2; i++)
		t[i]->ops->free(&t[i]);
	return 0;
}
