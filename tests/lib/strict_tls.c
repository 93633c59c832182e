/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict record peer (RFC 8446 5, 4.6.3, 7; RFC 5246 6.2.3.3; RFC 5288;
 * RFC 7905).  Slow and simple; never used outside tests.
 */
#include "strict_tls.h"

#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "tls/record.h"

#define TAG 16

const struct strict_suite strict_suites[STRICT_SUITES] = {
	{ "1.3 AES-128-GCM", 0x0304, GNUTLS_CIPHER_AES_128_GCM,
	    GNUTLS_MAC_SHA256, 16, 32, false },
	{ "1.3 AES-256-GCM", 0x0304, GNUTLS_CIPHER_AES_256_GCM,
	    GNUTLS_MAC_SHA384, 32, 48, false },
	{ "1.3 CHACHA20-POLY1305", 0x0304, GNUTLS_CIPHER_CHACHA20_POLY1305,
	    GNUTLS_MAC_SHA256, 32, 32, false },
	{ "1.3 AES-128-CCM", 0x0304, GNUTLS_CIPHER_AES_128_CCM,
	    GNUTLS_MAC_SHA256, 16, 32, false },
	{ "1.2 AES-128-GCM", 0x0303, GNUTLS_CIPHER_AES_128_GCM, 0, 16, 0,
	    true },
	{ "1.2 AES-256-GCM", 0x0303, GNUTLS_CIPHER_AES_256_GCM, 0, 32, 0,
	    true },
	{ "1.2 CHACHA20-POLY1305", 0x0303, GNUTLS_CIPHER_CHACHA20_POLY1305, 0,
	    32, 0, false },
	{ "1.2 AES-128-CCM", 0x0303, GNUTLS_CIPHER_AES_128_CCM, 0, 16, 0,
	    true },
	{ "1.2 AES-256-CCM", 0x0303, GNUTLS_CIPHER_AES_256_CCM, 0, 32, 0,
	    true },
};

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* HKDF-Expand (RFC 5869 2.3) of an HkdfLabel, one block is enough. */
static void
expand(const struct strict_suite *s, const uint8_t *secret, const char *label,
    uint8_t *to, size_t n)
{
	uint8_t info[64], block[64];
	size_t k = 0, ln = strlen(label);

	info[k++] = 0;
	info[k++] = (uint8_t)n;
	info[k++] = (uint8_t)(ln + 6);
	memcpy(info + k, "tls13 ", 6);
	memcpy(info + k + 6, label, ln);
	k += 6 + ln;
	info[k++] = 0;
	info[k++] = 1;
	must(n <= s->hash_n);
	must(gnutls_hmac_fast((gnutls_mac_algorithm_t)s->prf, secret,
	    s->hash_n, info, k, block) == 0);
	memcpy(to, block, n);
}

static void
derive(struct strict_half *h, const struct strict_suite *s)
{
	expand(s, h->secret, "key", h->key, s->key_n);
	expand(s, h->secret, "iv", h->iv, 12);
	h->seq = 0;
}

void
strict_next_key(struct strict_half *h, const struct strict_suite *s)
{
	uint8_t next[48];

	expand(s, h->secret, "traffic upd", next, s->hash_n);
	memcpy(h->secret, next, s->hash_n);
	derive(h, s);
}

void
strict_set_secret(struct strict_half *h, const struct strict_suite *s,
    const void *secret, size_t n)
{
	must(n == s->hash_n);
	memcpy(h->secret, secret, n);
	derive(h, s);
}

static void
half_init(struct strict_half *h, const struct strict_suite *s, unsigned seed)
{
	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < 48; i++)
		h->secret[i] = (uint8_t)(seed * 31 + i * 7 + 1);
	if (s->hash_n != 0) {
		derive(h, s);
		return;
	}
	memcpy(h->key, h->secret, s->key_n);
	memcpy(h->iv, h->secret + 32, s->explicit_nonce ? 4 : 12);
	h->seq = 1;
}

static void
direction(const struct strict_half *h, const struct strict_suite *s,
    struct tls_direction *d)
{
	memcpy(d->secret, h->secret, s->hash_n);
	d->secret_len = s->hash_n;
	memcpy(d->key, h->key, s->key_n);
	d->key_len = s->key_n;
	d->iv_len = s->explicit_nonce ? 4 : 12;
	memcpy(d->iv, h->iv, d->iv_len);
	d->seq = h->seq;
}

void
strict_init(struct strict_peer *p, const struct strict_suite *s,
    bool other_is_client, unsigned seed, struct tls_detach *d)
{
	memset(p, 0, sizeof(*p));
	p->suite = s;
	p->limit = 16384;
	p->alert = p->level = -1;
	half_init(&p->out, s, seed * 2);
	half_init(&p->in, s, seed * 2 + 1);
	memset(d, 0, sizeof(*d));
	d->version = s->version;
	d->cipher = s->cipher;
	d->prf = s->prf;
	d->is_client = other_is_client;
	d->limit = d->take = 16384;
	direction(&p->out, s, &d->rd);
	direction(&p->in, s, &d->wr);
}

static void
adopt(struct strict_half *h, const struct tls_direction *d)
{
	memcpy(h->secret, d->secret, sizeof(h->secret));
	memcpy(h->key, d->key, sizeof(h->key));
	memcpy(h->iv, d->iv, sizeof(h->iv));
	h->seq = d->seq;
}

void
strict_adopt(struct strict_peer *p, const struct strict_suite *s,
    const struct tls_detach *d)
{
	memset(p, 0, sizeof(*p));
	p->suite = s;
	p->limit = 16384;
	p->alert = p->level = -1;
	adopt(&p->out, &d->rd);
	adopt(&p->in, &d->wr);
}

static gnutls_aead_cipher_hd_t
open_handle(const struct strict_peer *p, struct strict_half *h)
{
	gnutls_datum_t k = { h->key, (unsigned)p->suite->key_n };
	gnutls_aead_cipher_hd_t hd;

	must(gnutls_aead_cipher_init(&hd,
	    (gnutls_cipher_algorithm_t)p->suite->cipher, &k) == 0);
	return hd;
}

static void
seq_bytes(uint64_t seq, uint8_t *to)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(seq >> (56 - 8 * i));
}

static void
nonce_of(const struct strict_peer *p, const struct strict_half *h,
    const uint8_t *wire, uint8_t *nonce)
{
	uint8_t s[8];

	memcpy(nonce, h->iv, 12);
	if (p->suite->explicit_nonce) {
		memcpy(nonce + 4, wire, 8);
		return;
	}
	seq_bytes(h->seq, s);
	for (int i = 0; i < 8; i++)
		nonce[i + 4] = (uint8_t)(nonce[i + 4] ^ s[i]);
}

static size_t
aad_of(const struct strict_peer *p, const struct strict_half *h,
    const uint8_t *head, size_t plain, uint8_t *aad)
{
	if (p->suite->hash_n != 0) {
		memcpy(aad, head, 5);
		return 5;
	}
	seq_bytes(h->seq, aad);
	memcpy(aad + 8, head, 3);
	aad[11] = (uint8_t)(plain >> 8);
	aad[12] = (uint8_t)plain;
	return 13;
}

size_t
strict_seal_as(struct strict_peer *p, uint8_t type, unsigned version,
    const uint8_t *in, size_t n, uint8_t *to)
{
	size_t skip = p->suite->explicit_nonce ? 8 : 0, len = skip + n + TAG;
	size_t aad_n, out_n = n + TAG;
	uint8_t nonce[12], aad[13];
	gnutls_aead_cipher_hd_t hd = open_handle(p, &p->out);

	to[0] = type;
	to[1] = (uint8_t)(version >> 8);
	to[2] = (uint8_t)version;
	to[3] = (uint8_t)(len >> 8);
	to[4] = (uint8_t)len;
	/* Any unique value will do; not the sequence number, so that a reader
	 * that does not take it from the wire fails. */
	seq_bytes(p->out.seq ^ UINT64_C(0x5a5a000000000000), to + 5);
	nonce_of(p, &p->out, to + 5, nonce);
	aad_n = aad_of(p, &p->out, to, n, aad);
	must(gnutls_aead_cipher_encrypt(hd, nonce, 12, aad, aad_n, TAG, in, n,
	    to + 5 + skip, &out_n) == 0);
	gnutls_aead_cipher_deinit(hd);
	p->out.seq++;
	return 5 + len;
}

size_t
strict_seal_inner(struct strict_peer *p, const uint8_t *inner, size_t n,
    uint8_t *to)
{
	return strict_seal_as(p, 23, 0x0303, inner, n, to);
}

size_t
strict_seal(struct strict_peer *p, uint8_t type, const void *in, size_t n,
    size_t pad, uint8_t *to)
{
	uint8_t *inner;
	size_t k;

	if (p->suite->hash_n == 0)
		return strict_seal_as(p, type, 0x0303, in, n, to);
	inner = calloc(1, n + 1 + pad);
	must(inner != NULL);
	if (n > 0)
		memcpy(inner, in, n);
	inner[n] = type;
	k = strict_seal_as(p, 23, 0x0303, inner, n + 1 + pad, to);
	free(inner);
	return k;
}

size_t
strict_key_update(struct strict_peer *p, bool ask, uint8_t *to)
{
	const uint8_t m[5] = { 24, 0, 0, 1, ask };
	size_t n = strict_seal(p, 22, m, sizeof(m), 0, to);

	strict_next_key(&p->out, p->suite);
	p->asked |= ask;
	return n;
}

static bool
wrong(struct strict_peer *p, const char *why)
{
	if (p->wrong == NULL)
		p->wrong = why;
	return false;
}

static bool
take_update(struct strict_peer *p, const uint8_t *b, size_t n)
{
	if (p->suite->hash_n == 0)
		return wrong(p, "a handshake message in TLS 1.2");
	if (n != 5 || b[0] != 24 || b[1] != 0 || b[2] != 0 || b[3] != 1)
		return wrong(p, "a handshake message other than KeyUpdate");
	if (b[4] > 1)
		return wrong(p, "KeyUpdate with an unknown value");
	if (p->asked && b[4] != 0)
		return wrong(p, "an answer that asks in turn");
	p->asked = false;
	p->updates++;
	p->requests += b[4];
	strict_next_key(&p->in, p->suite);
	return true;
}

static bool
take(struct strict_peer *p, uint8_t type, const uint8_t *b, size_t n)
{
	if (p->ended)
		return wrong(p, "a record after the end");
	p->records++;
	switch (type) {
	case 23:
		if (p->asked)
			return wrong(p, "data before the KeyUpdate answer");
		if (n > p->limit)
			return wrong(p, "more plaintext than the limit");
		if (p->data_n + n > sizeof(p->data))
			return wrong(p, "more data than the test expects");
		memcpy(p->data + p->data_n, b, n);
		p->data_n += n;
		return true;
	case 22:
		return take_update(p, b, n);
	case 21:
		if (n != 2 || b[0] < 1 || b[0] > 2)
			return wrong(p, "a malformed alert");
		p->level = b[0];
		p->alert = b[1];
		p->ended = b[0] == 2 || b[1] == 0;
		p->warnings += b[0] == 1;
		return true;
	default:
		return wrong(p, "an unknown content type");
	}
}

ssize_t
strict_open(const struct strict_peer *p, struct strict_half *h,
    const uint8_t *r, size_t len, uint8_t *to)
{
	size_t skip = p->suite->explicit_nonce ? 8 : 0, n, aad_n;
	uint8_t nonce[12], aad[13];
	gnutls_aead_cipher_hd_t hd;
	int rc;

	if (len < 5 + skip + TAG)
		return -1;
	n = len - 5 - skip - TAG;
	nonce_of(p, h, r + 5, nonce);
	aad_n = aad_of(p, h, r, n, aad);
	hd = open_handle(p, h);
	rc = gnutls_aead_cipher_decrypt(hd, nonce, 12, aad, aad_n, TAG,
	    r + 5 + skip, len - 5 - skip, to, &n);
	gnutls_aead_cipher_deinit(hd);
	if (rc != 0)
		return -1;
	h->seq++;
	return (ssize_t)n;
}

static bool
take_record(struct strict_peer *p, const uint8_t *r, size_t len)
{
	uint8_t plain[17 * 1024], type = r[0], s[8];
	ssize_t n;

	if (len < (p->suite->explicit_nonce ? 8u : 0) + TAG)
		return wrong(p, "a record that is too short");
	seq_bytes(p->in.seq, s);
	if (p->suite->explicit_nonce && memcmp(r + 5, s, 8) != 0)
		return wrong(p, "the nonce is not the sequence number");
	n = strict_open(p, &p->in, r, 5 + len, plain);
	if (n < 0)
		return wrong(p, "a record that does not decrypt");
	if (p->suite->hash_n != 0) {
		while (n > 0 && plain[n - 1] == 0)
			n--;
		if (n == 0)
			return wrong(p, "nothing but padding");
		type = plain[--n];
	}
	return take(p, type, plain, (size_t)n);
}

bool
strict_take(struct strict_peer *p, const uint8_t *b, size_t n)
{
	size_t len;

	while (n > 0) {
		if (n < 5)
			return wrong(p, "a partial record header");
		len = (size_t)b[3] << 8 | b[4];
		if (b[1] != 3 || b[2] != 3)
			return wrong(p, "a record version other than 0x0303");
		if (p->suite->hash_n != 0 && b[0] != 23)
			return wrong(p, "an outer type other than 23");
		if (len > 16384 + 256 || n - 5 < len)
			return wrong(p, "a bad record length");
		if (!take_record(p, b, len))
			return false;
		b += 5 + len;
		n -= 5 + len;
	}
	return true;
}
