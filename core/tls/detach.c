/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a session's keys over into the record layer (decision 0001): keys, IVs
 * and sequence numbers from gnutls_record_get_state(), the TLS 1.3 traffic
 * secrets from GnuTLS's secret hook (its key log goes stale when a KeyUpdate
 * arrives early).  The record layer checks that the secrets give the keys.
 * Wipes every copy.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "tls/tls_priv.h"
#include "tls/record.h"

/* Called again, with both secrets, for every KeyUpdate: the last one counts. */
int
tls_detach_secret(gnutls_session_t s, gnutls_record_encryption_level_t level,
    const void *rd, const void *wr, size_t n)
{
	struct tls_handshake *h = tls_session_handshake(s);

	if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
		return 0;
	if (n > sizeof(h->secret_rd))
		return GNUTLS_E_INTERNAL_ERROR;
	if (rd != NULL)
		memcpy(h->secret_rd, rd, n);
	if (wr != NULL)
		memcpy(h->secret_wr, wr, n);
	h->secret_n = n;
	return 0;
}

static int
take(gnutls_session_t s, unsigned rd, struct tls_direction *d)
{
	gnutls_datum_t iv, key;
	uint8_t seq[8];
	size_t i;

	if (gnutls_record_get_state(s, rd, NULL, &iv, &key, seq) < 0 ||
	    key.size > sizeof(d->key) || iv.size > sizeof(d->iv))
		return -EPROTO;
	memcpy(d->key, key.data, key.size);
	d->key_len = key.size;
	memcpy(d->iv, iv.data, iv.size);
	d->iv_len = iv.size;
	d->seq = 0;
	for (i = 0; i < sizeof(seq); i++)
		d->seq = d->seq << 8 | seq[i];
	mem_wipe(seq, sizeof(seq));
	return 0;
}

int
tls_detach_session(struct tls_handshake *h, struct transport **ret)
{
	bool v13 = gnutls_protocol_get_version(h->session) == GNUTLS_TLS1_3;
	struct tls_detach d = {0};
	int r;

	d.version = v13 ? 0x0304 : 0x0303;
	d.cipher = (int)gnutls_cipher_get(h->session);
	d.prf = (int)gnutls_prf_hash_get(h->session);
	d.limit = tls_hello_limit(h);
	d.take = tls_hello_take(h);
	r = take(h->session, 1, &d.rd);
	if (r == 0)
		r = take(h->session, 0, &d.wr);
	if (r == 0 && v13) {
		memcpy(d.rd.secret, h->secret_rd, h->secret_n);
		memcpy(d.wr.secret, h->secret_wr, h->secret_n);
		d.rd.secret_len = d.wr.secret_len = h->secret_n;
	}
	if (r == 0)
		r = tls_record_new(&d, ret);
	mem_wipe(&d, sizeof(d));
	return r == 0 || r == -ENOMEM ? r : -EPROTO;
}
