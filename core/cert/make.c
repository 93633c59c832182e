/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making certificates (RFC 5280 4.2) and lists of revoked ones.  A self-signed
 * server certificate is no authority and good for TLS servers only, so that
 * trusting it trusts nothing else.
 */
#include "cert/make.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>

#include "base/mem.h"

#define PART_MAX 64			/* RFC 5280 appendix A, ub-… */
#define ID_SIZE 64

static int
vendor(char *why, const char *what, int r)
{
	if (r >= 0)
		return 0;
	return cert_why(why, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO,
	    "making %s: %s", what, gnutls_strerror(r));
}

static int
take(gnutls_datum_t *d, struct cert_blob *ret)
{
	uint8_t *p = mem_alloc((size_t)d->size + 1);

	if (p != NULL) {
		memcpy(p, d->data, d->size);
		p[d->size] = '\0';
		ret->p = p;
		ret->n = d->size;
	}
	if (d->data != NULL)
		mem_wipe(d->data, d->size);
	gnutls_free(d->data);
	d->data = NULL;
	return p == NULL ? GNUTLS_E_MEMORY_ERROR : 0;
}

/* ---- what is in it ------------------------------------------------------- */

static int
add_name(gnutls_x509_crt_t crt, const char *name)
{
	unsigned char addr[16];
	unsigned n = (unsigned)strlen(name);

	if (inet_pton(AF_INET, name, addr) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_IPADDRESS, addr, 4, GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, name, addr) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_IPADDRESS, addr, 16, GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(crt,
	    strstr(name, "://") != NULL || strncmp(name, "urn:", 4) == 0 ?
	    GNUTLS_SAN_URI : GNUTLS_SAN_DNSNAME, name, n,
	    GNUTLS_FSAN_APPEND);
}

/* Cut between characters (UTF-8). */
static int
add_part(gnutls_x509_crt_t crt, const char *oid, const char *text)
{
	size_t n;

	if (text == NULL || text[0] == '\0')
		return 0;
	n = strlen(text);
	if (n > PART_MAX) {
		n = PART_MAX;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	return gnutls_x509_crt_set_dn_by_oid(crt, oid, 0, text, (unsigned)n);
}

static int
set_serial(gnutls_x509_crt_t crt)
{
	unsigned char serial[CERT_SERIAL_N];
	int r = gnutls_rnd(GNUTLS_RND_RANDOM, serial, sizeof(serial));

	if (r < 0)
		return r;
	serial[0] = (serial[0] & 0x7f) | 0x40;	/* positive, full length */
	return gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
}

static int
set_subject(gnutls_x509_crt_t crt, const struct cert_make_spec *spec)
{
	int r;

	if ((r = add_part(crt, GNUTLS_OID_X520_COMMON_NAME, spec->cn)) < 0 ||
	    (r = add_part(crt, GNUTLS_OID_X520_ORGANIZATION_NAME,
	    spec->o)) < 0 ||
	    (r = add_part(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME,
	    spec->ou)) < 0)
		return r;
	for (size_t i = 0; spec->names != NULL && spec->names[i] != NULL; i++) {
		r = add_name(crt, spec->names[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
set_usage(gnutls_x509_crt_t crt, enum cert_make_kind kind)
{
	int r;

	if (kind == CERT_MAKE_CA) {
		r = gnutls_x509_crt_set_basic_constraints(crt, 1, 0);
		return r < 0 ? r : gnutls_x509_crt_set_key_usage(crt,
		    GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	}
	if ((r = gnutls_x509_crt_set_basic_constraints(crt, 0, -1)) < 0 ||
	    (r = gnutls_x509_crt_set_key_usage(crt,
	    GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0)
		return r;
	return gnutls_x509_crt_set_key_purpose_oid(crt,
	    kind == CERT_MAKE_CLIENT ? GNUTLS_KP_TLS_WWW_CLIENT :
	    GNUTLS_KP_TLS_WWW_SERVER, 0);
}

static int
set_ids(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
	unsigned char id[ID_SIZE];
	size_t n = sizeof(id);
	int r;

	r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, id, &n);
	if (r >= 0)
		r = gnutls_x509_crt_set_subject_key_id(crt, id, n);
	if (r < 0 || issuer == NULL)
		return r;
	n = sizeof(id);
	/* An authority without one: then there is nothing to refer to. */
	if (gnutls_x509_crt_get_subject_key_id(issuer, id, &n, NULL) < 0)
		return 0;
	return gnutls_x509_crt_set_authority_key_id(crt, id, n);
}

static int
fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
    const struct cert_make_spec *spec)
{
	const struct cert_chain *by = spec->issuer;
	int r;

	if ((r = gnutls_x509_crt_set_version(crt, 3)) < 0 ||
	    (r = set_serial(crt)) < 0 ||
	    (r = gnutls_x509_crt_set_activation_time(crt,
	    (time_t)spec->from_s)) < 0 ||
	    (r = gnutls_x509_crt_set_expiration_time(crt,
	    (time_t)spec->to_s)) < 0 ||
	    (r = gnutls_x509_crt_set_key(crt, key)) < 0 ||
	    (r = set_usage(crt, spec->kind)) < 0 ||
	    (r = set_ids(crt, by == NULL ? NULL : by->crt[0]->crt)) < 0)
		return r;
	return gnutls_x509_crt_sign2(crt, by == NULL ? crt : by->crt[0]->crt,
	    by == NULL ? key : by->key->key, GNUTLS_DIG_SHA256, 0);
}

/* ---- certificates -------------------------------------------------------- */

static int
export(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *password,
    struct cert_blob *to_crt, struct cert_blob *to_key)
{
	gnutls_datum_t d = { NULL, 0 };
	int r;

	r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d);
	if (r >= 0)
		r = take(&d, to_crt);
	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM,
		    password, password == NULL ? GNUTLS_PKCS_PLAIN :
		    GNUTLS_PKCS_PBES2_AES_256, &d);
	if (r >= 0)
		r = take(&d, to_key);
	return r;
}

int
cert_make(const struct cert_make_spec *spec, const char *password, char *why,
    struct cert_blob *ret_crt, struct cert_blob *ret_key)
{
	struct cert_blob crt_pem = { NULL, 0 }, key_pem = { NULL, 0 };
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;
	int r, err;

	r = gnutls_x509_privkey_init(&key);
	if (r >= 0)
		r = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (r >= 0)
		r = gnutls_x509_crt_init(&crt);
	if (r >= 0 && (r = set_subject(crt, spec)) < 0 &&
	    r != GNUTLS_E_MEMORY_ERROR)
		err = cert_why(why, -EINVAL, "a name cannot stand in a "
		    "certificate: %s", gnutls_strerror(r));
	else {
		if (r >= 0)
			r = fill(crt, key, spec);
		if (r >= 0)
			r = export(crt, key, password, &crt_pem, &key_pem);
		err = vendor(why, "a certificate", r);
	}
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	if (key != NULL)
		gnutls_x509_privkey_deinit(key);
	if (err < 0) {
		cert_blob_free(&crt_pem);
		cert_blob_free(&key_pem);
		return err;
	}
	*ret_crt = crt_pem;
	*ret_key = key_pem;
	return 0;
}

/* ---- revocation ---------------------------------------------------------- */

static int
fill_crl(gnutls_x509_crl_t crl, const struct cert_revoked *revoked, size_t n,
    uint64_t number)
{
	unsigned char text[9] = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = gnutls_x509_crl_set_crt_serial(crl, revoked[i].serial,
		    revoked[i].serial_n, (time_t)revoked[i].when_s);
	for (int i = 0; i < 8; i++)
		text[8 - i] = (unsigned char)(number >> 8 * i);
	return r < 0 ? r : gnutls_x509_crl_set_number(crl, text, sizeof(text));
}

int
cert_make_crl(const struct cert_chain *issuer,
    const struct cert_revoked *revoked, size_t n, uint64_t number,
    int64_t from_s, int64_t next_s, char *why, struct cert_blob *ret)
{
	gnutls_datum_t d = { NULL, 0 };
	gnutls_x509_crl_t crl = NULL;
	unsigned char id[ID_SIZE];
	size_t id_n = sizeof(id);
	int r;

	r = gnutls_x509_crl_init(&crl);
	if (r >= 0)
		r = gnutls_x509_crl_set_version(crl, 2);
	if (r >= 0)
		r = fill_crl(crl, revoked, n, number);
	if (r >= 0)
		r = gnutls_x509_crl_set_this_update(crl, (time_t)from_s);
	if (r >= 0)
		r = gnutls_x509_crl_set_next_update(crl, (time_t)next_s);
	if (r >= 0 && gnutls_x509_crt_get_subject_key_id(issuer->crt[0]->crt,
	    id, &id_n, NULL) >= 0)
		r = gnutls_x509_crl_set_authority_key_id(crl, id, id_n);
	if (r >= 0)
		r = gnutls_x509_crl_sign2(crl, issuer->crt[0]->crt,
		    issuer->key->key, GNUTLS_DIG_SHA256, 0);
	if (r >= 0)
		r = gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &d);
	if (r >= 0)
		r = take(&d, ret);
	if (crl != NULL)
		gnutls_x509_crl_deinit(crl);
	return vendor(why, "a revocation list", r);
}

/* ---- PKCS#12 ------------------------------------------------------------- */

static int
bag_key(const struct cert_chain *ch, const char *password,
    const char *friendly, gnutls_pkcs12_bag_t bag)
{
	gnutls_datum_t d = { NULL, 0 }, id;
	int r;

	id.data = (unsigned char *)(uintptr_t)ch->crt[0]->sha256;
	id.size = 20;
	r = gnutls_x509_privkey_export2_pkcs8(ch->key->key,
	    GNUTLS_X509_FMT_DER, password, GNUTLS_PKCS_PBES2_AES_256, &d);
	if (r >= 0)
		r = gnutls_pkcs12_bag_set_data(bag,
		    GNUTLS_BAG_PKCS8_ENCRYPTED_KEY, &d);
	gnutls_free(d.data);
	if (r >= 0 && friendly != NULL)
		r = gnutls_pkcs12_bag_set_friendly_name(bag, 0, friendly);
	return r < 0 ? r : gnutls_pkcs12_bag_set_key_id(bag, 0, &id);
}

static int
bag_chain(const struct cert_chain *ch, const char *friendly,
    gnutls_pkcs12_bag_t bag)
{
	gnutls_datum_t id;
	int r = 0;

	id.data = (unsigned char *)(uintptr_t)ch->crt[0]->sha256;
	id.size = 20;
	for (size_t i = 0; r >= 0 && i < ch->n; i++)
		r = gnutls_pkcs12_bag_set_crt(bag, ch->crt[i]->crt);
	if (r >= 0 && friendly != NULL)
		r = gnutls_pkcs12_bag_set_friendly_name(bag, 0, friendly);
	return r < 0 ? r : gnutls_pkcs12_bag_set_key_id(bag, 0, &id);
}

int
cert_make_pkcs12(const struct cert_chain *ch, const char *password,
    const char *friendly, char *why, struct cert_blob *ret)
{
	gnutls_pkcs12_bag_t keys = NULL, certs = NULL;
	gnutls_datum_t d = { NULL, 0 };
	gnutls_pkcs12_t p12 = NULL;
	int r;

	if ((r = gnutls_pkcs12_init(&p12)) >= 0 &&
	    (r = gnutls_pkcs12_bag_init(&keys)) >= 0 &&
	    (r = gnutls_pkcs12_bag_init(&certs)) >= 0 &&
	    (r = bag_chain(ch, friendly, certs)) >= 0 &&
	    (r = gnutls_pkcs12_bag_encrypt(certs, password,
	    GNUTLS_PKCS_PBES2_AES_256)) >= 0 &&
	    (r = gnutls_pkcs12_set_bag(p12, certs)) >= 0 &&
	    (r = bag_key(ch, password, friendly, keys)) >= 0 &&
	    (r = gnutls_pkcs12_set_bag(p12, keys)) >= 0 &&
	    (r = gnutls_pkcs12_generate_mac2(p12, GNUTLS_MAC_SHA256,
	    password)) >= 0 &&
	    (r = gnutls_pkcs12_export2(p12, GNUTLS_X509_FMT_DER, &d)) >= 0)
		r = take(&d, ret);
	if (keys != NULL)
		gnutls_pkcs12_bag_deinit(keys);
	if (certs != NULL)
		gnutls_pkcs12_bag_deinit(certs);
	if (p12 != NULL)
		gnutls_pkcs12_deinit(p12);
	return vendor(why, "a PKCS#12 file", r);
}
