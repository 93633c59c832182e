/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that are elsewhere.  GnuTLS calls back for a signature in the middle of
 * a handshake; the callback sends the request and leaves the handshake's stack,
 * and returns only with the answer.  It never returns GNUTLS_E_AGAIN: the
 * handshake would go on as if the signature had been sent.
 */
#include <errno.h>
#include <string.h>

#include "tls/coro.h"
#include "tls/tls_priv.h"

/* RFC 8446 4.2.3.  `bits`: the scheme is bound to that curve; 0: to none. */
static const struct scheme {
	gnutls_sign_algorithm_t sign;
	gnutls_pk_algorithm_t pk;
	uint16_t iana;
	uint16_t bits;
} schemes[] = {
	{GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, GNUTLS_PK_ECDSA, 0x0403, 256},
	{GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, GNUTLS_PK_ECDSA, 0x0503, 384},
	{GNUTLS_SIGN_ECDSA_SECP521R1_SHA512, GNUTLS_PK_ECDSA, 0x0603, 521},
	{GNUTLS_SIGN_ECDSA_SHA256, GNUTLS_PK_ECDSA, 0x0403, 0},
	{GNUTLS_SIGN_ECDSA_SHA384, GNUTLS_PK_ECDSA, 0x0503, 0},
	{GNUTLS_SIGN_ECDSA_SHA512, GNUTLS_PK_ECDSA, 0x0603, 0},
	{GNUTLS_SIGN_EDDSA_ED25519, GNUTLS_PK_EDDSA_ED25519, 0x0807, 0},
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, GNUTLS_PK_RSA, 0x0804, 0},
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, GNUTLS_PK_RSA, 0x0805, 0},
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, GNUTLS_PK_RSA, 0x0806, 0},
	{GNUTLS_SIGN_RSA_PSS_SHA256, GNUTLS_PK_RSA_PSS, 0x0809, 0},
	{GNUTLS_SIGN_RSA_PSS_SHA384, GNUTLS_PK_RSA_PSS, 0x080a, 0},
	{GNUTLS_SIGN_RSA_PSS_SHA512, GNUTLS_PK_RSA_PSS, 0x080b, 0},
	{GNUTLS_SIGN_RSA_SHA256, GNUTLS_PK_RSA, 0x0401, 0},
	{GNUTLS_SIGN_RSA_SHA384, GNUTLS_PK_RSA, 0x0501, 0},
	{GNUTLS_SIGN_RSA_SHA512, GNUTLS_PK_RSA, 0x0601, 0},
};

/* What precedes the hash in a DigestInfo (RFC 8017 9.2, note 1); byte 14 is the
 * algorithm, bytes 1 and 18 follow from the hash's length. */
static const uint8_t digest_info[19] = {
	0x30, 0, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
	0x04, 0x02, 0, 0x05, 0x00, 0x04, 0
};

bool
tls_sign_fits(gnutls_pk_algorithm_t pk, unsigned bits,
    gnutls_sign_algorithm_t sign)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (schemes[i].sign == sign)
			return schemes[i].pk == pk && (schemes[i].bits == 0 ||
			    schemes[i].bits == bits);
	return false;
}

static int
scheme_number(gnutls_sign_algorithm_t sign)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (schemes[i].sign == sign)
			return schemes[i].iana;
	return 0;
}

/* Asks, leaves the stack, and is entered again with the answer. */
static int
sign(const struct tls_cred *c, int scheme, const void *p, size_t n,
    gnutls_datum_t *sig)
{
	struct tls_handshake *h = coro_current_arg();
	struct tls_sign_job *job;
	int r;

	if (h == NULL || h->given_up || scheme == 0)
		return GNUTLS_E_PK_SIGN_FAILED;
	job = &h->job;
	job->n = 0;
	job->error = 0;
	r = c->signer.request(c->signer.ctx, c->key_id, scheme, p, n, job);
	if (r < 0) {
		h->signer_error = r;
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	tls_handshake_suspend(h);
	if (h->given_up)
		return GNUTLS_E_PK_SIGN_FAILED;
	if (job->error < 0 || job->n == 0) {
		h->signer_error = job->error < 0 ? job->error : -EIO;
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	sig->data = gnutls_malloc(job->n);
	if (sig->data == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(sig->data, job->sig, job->n);
	sig->size = (unsigned)job->n;
	return 0;
}

static int
sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata,
    unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *sig)
{
	(void)key;
	(void)flags;
	if (algo != GNUTLS_SIGN_EDDSA_ED25519)
		return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	return sign(userdata, scheme_number(algo), data->data, data->size,
	    sig);
}

/* PKCS #1 v1.5 comes as a finished DigestInfo: takes the hash out again. */
static int
sign_digest_info(const struct tls_cred *c, const gnutls_datum_t *d,
    gnutls_datum_t *sig)
{
	static const struct {
		uint8_t oid, n;
		uint16_t iana;
	} hash[] = {{1, 32, 0x0401}, {2, 48, 0x0501}, {3, 64, 0x0601}};
	uint8_t head[sizeof(digest_info)];
	size_t i;

	for (i = 0; i < sizeof(hash) / sizeof(*hash); i++) {
		memcpy(head, digest_info, sizeof(head));
		head[1] = (uint8_t)(hash[i].n + 17);
		head[14] = hash[i].oid;
		head[18] = hash[i].n;
		if (d->size == sizeof(head) + hash[i].n &&
		    memcmp(d->data, head, sizeof(head)) == 0)
			return sign(c, hash[i].iana, d->data + sizeof(head),
			    hash[i].n, sig);
	}
	return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
}

static int
sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata,
    unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *sig)
{
	(void)key;
	(void)flags;
	if (algo == GNUTLS_SIGN_RSA_RAW)
		return sign_digest_info(userdata, hash, sig);
	return sign(userdata, scheme_number(algo), hash->data, hash->size,
	    sig);
}

static int
key_info(gnutls_privkey_t key, unsigned flags, void *userdata)
{
	const struct tls_cred *c = userdata;

	(void)key;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
		return (int)c->pk;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0)
		return (int)c->bits;
	if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0)
		return tls_sign_fits(c->pk, c->bits,
		    GNUTLS_FLAGS_TO_SIGN_ALGO(flags));
	return -1;
}

int
tls_signer_import(struct tls_cred *c, gnutls_privkey_t key)
{
	return gnutls_privkey_import_ext4(key, c, sign_data, sign_hash, NULL,
	    NULL, key_info, 0);
}

void
tls_sign_done(struct tls_sign_job *job, int error, const void *sig, size_t n)
{
	if (error == 0 && n > sizeof(job->sig))
		error = -EMSGSIZE;
	job->error = error;
	if (error == 0) {
		if (n > 0)
			memcpy(job->sig, sig, n);
		job->n = n;
	}
	mailbox_post(job->mailbox, &job->mail);
}
