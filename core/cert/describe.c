/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate in words.  What is in it was written by somebody else: control
 * characters become '?', and nothing is longer than its place.
 */
#include "cert/describe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <gnutls/x509-ext.h>

#include "base/hex.h"

#define STATUS_REQUEST 5		/* RFC 7633, 6066 */
#define SANS_MAX 4096

typedef int get_dn_fn(gnutls_x509_crt_t, gnutls_datum_t *, unsigned);
typedef int get_oid_fn(gnutls_x509_crt_t, const char *, unsigned, unsigned,
    void *, size_t *);

/*
 * The bytes of a character that a terminal obeys or that turns the text around:
 * U+0080…9F, 061C, 200E and F, 2028…E, 2066…9.  0: none.
 */
static size_t
unseen(const uint8_t *p)
{
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
		return 2;
	if (p[0] == 0xd8 && p[1] == 0x9c)
		return 2;
	if (p[0] != 0xe2 || p[1] == 0)
		return 0;
	if (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f ||
	    (p[2] >= 0xa8 && p[2] <= 0xae)))
		return 3;
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9 ? 3 : 0;
}

/* Cut at the last whole character (UTF-8) that fits. */
static void
copy(char *to, size_t cap, const char *text, size_t n)
{
	if (n >= cap) {
		n = cap - 1;
		while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
			n--;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)text[i] < ' ' || text[i] == 0x7f ? '?' :
		    text[i];
	to[n] = '\0';
	for (size_t i = 0; i < n; i++)
		memset(to + i, '?', unseen((const uint8_t *)to + i));
}

static void
part(char *to, size_t cap, gnutls_x509_crt_t crt, get_oid_fn *get,
    const char *oid)
{
	char text[1024];
	size_t n = sizeof(text);

	to[0] = '\0';
	if (get(crt, oid, 0, 0, text, &n) >= 0)
		copy(to, cap, text, n);
}

static void
name(gnutls_x509_crt_t crt, get_dn_fn *dn, get_oid_fn *get,
    struct cert_name *to)
{
	gnutls_datum_t d = { NULL, 0 };

	part(to->cn, sizeof(to->cn), crt, get, GNUTLS_OID_X520_COMMON_NAME);
	part(to->o, sizeof(to->o), crt, get,
	    GNUTLS_OID_X520_ORGANIZATION_NAME);
	part(to->ou, sizeof(to->ou), crt, get,
	    GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME);
	if (dn(crt, &d, 0) >= 0)
		copy(to->dn, sizeof(to->dn), (const char *)d.data, d.size);
	gnutls_free(d.data);
}

static void
add_name(struct cert_facts *f, const char *text, size_t n)
{
	size_t at = strlen(f->names);

	f->names_n++;
	if (at + n + 3 > sizeof(f->names))
		return;
	if (at > 0) {
		memcpy(f->names + at, ", ", 3);
		at += 2;
	}
	copy(f->names + at, sizeof(f->names) - at, text, n);
}

static void
add_san(struct cert_facts *f, int type, const char *san, size_t n)
{
	char text[INET6_ADDRSTRLEN];

	if (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_URI)
		add_name(f, san, n);
	else if (type == GNUTLS_SAN_IPADDRESS && (n == 4 || n == 16) &&
	    inet_ntop(n == 4 ? AF_INET : AF_INET6, san, text,
	    sizeof(text)) != NULL)
		add_name(f, text, strlen(text));
}

static void
names(gnutls_x509_crt_t crt, struct cert_facts *f)
{
	char san[512];
	size_t n;
	int type;

	for (unsigned i = 0; i < SANS_MAX; i++) {
		n = sizeof(san);
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, san, &n,
		    NULL);
		if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (type < 0)
			return;
		add_san(f, type, san, n);
	}
}

static bool
wants_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features = NULL;
	unsigned feature;
	bool found = false;

	if (gnutls_x509_tlsfeatures_init(&features) < 0)
		return false;
	if (gnutls_x509_crt_get_tlsfeatures(crt, features, 0, NULL) >= 0) {
		for (unsigned i = 0; !found && gnutls_x509_tlsfeatures_get(
		    features, i, &feature) >= 0; i++)
			found = feature == STATUS_REQUEST;
	}
	gnutls_x509_tlsfeatures_deinit(features);
	return found;
}

static void
key_text(gnutls_x509_crt_t crt, struct cert_facts *f)
{
	unsigned bits = 0;
	int pk = gnutls_x509_crt_get_pk_algorithm(crt, &bits);
	const char *text;

	if (pk == GNUTLS_PK_ECDSA && bits == 528)
		bits = 521;		/* GnuTLS counts whole bytes */
	text = pk < 0 ? NULL : gnutls_pk_get_name((gnutls_pk_algorithm_t)pk);
	(void)snprintf(f->key, sizeof(f->key), "%.16s %u bits",
	    text != NULL ? text : "unknown", bits);
	pk = gnutls_x509_crt_get_signature_algorithm(crt);
	text = pk < 0 ? NULL :
	    gnutls_sign_get_name((gnutls_sign_algorithm_t)pk);
	(void)snprintf(f->signature, sizeof(f->signature), "%.31s",
	    text != NULL ? text : "unknown");
}

static void
serial(gnutls_x509_crt_t crt, struct cert_facts *f)
{
	uint8_t raw[32];
	size_t n = sizeof(raw);

	if (gnutls_x509_crt_get_serial(crt, raw, &n) < 0)
		n = 0;
	hex_write(raw, n, f->serial);
}

int
cert_describe(struct gnutls_x509_crt_int *crt, struct cert_facts *ret)
{
	struct cert_facts f;
	unsigned critical;
	size_t n;
	int r;

	memset(&f, 0, sizeof(f));
	n = sizeof(f.sha256);
	r = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, f.sha256,
	    &n);
	n = sizeof(f.sha1);
	if (r >= 0)
		r = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA1,
		    f.sha1, &n);
	n = sizeof(f.spki_sha256);
	if (r >= 0)
		r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256,
		    f.spki_sha256, &n);
	if (r < 0)
		return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
	name(crt, gnutls_x509_crt_get_dn3, gnutls_x509_crt_get_dn_by_oid,
	    &f.subject);
	name(crt, gnutls_x509_crt_get_issuer_dn3,
	    gnutls_x509_crt_get_issuer_dn_by_oid, &f.issuer);
	names(crt, &f);
	key_text(crt, &f);
	serial(crt, &f);
	f.not_before = gnutls_x509_crt_get_activation_time(crt);
	f.not_after = gnutls_x509_crt_get_expiration_time(crt);
	f.self_signed = gnutls_x509_crt_check_issuer(crt, crt) != 0;
	f.ca = gnutls_x509_crt_get_ca_status(crt, &critical) > 0;
	f.must_staple = wants_staple(crt);
	*ret = f;
	return 0;
}

bool
cert_has_san(gnutls_x509_crt_t crt, const char *name)
{
	char san[256];
	size_t n;
	int type;

	for (unsigned i = 0; ; i++) {
		n = sizeof(san);
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, san, &n,
		    NULL);
		if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return false;
		if (type == GNUTLS_SAN_DNSNAME && n == strlen(name) &&
		    strncasecmp(san, name, n) == 0)
			return true;
	}
}

void
cert_time(int64_t s, char *to)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(to, CERT_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(to, CERT_TIME_SIZE, "%lld", (long long)s);
}
