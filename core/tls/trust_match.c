/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a certificate is one of those that the operator means: fields of its
 * names, alternative names, fingerprint, pinned keys (as RFC 7469 2.4 makes
 * them, without its header).
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "tls/digest.h"
#include "tls/trust_priv.h"

#define SANS_MAX 256			/* that are looked at */
#define VALUES_MAX 16			/* of one field */
#define TEXT_MAX 512

struct match {
	const struct tls_trust *trust;
	const struct tls_path *path;
	const uint8_t *sha256;
	unsigned asked, met;
	struct tls_match *to;
};

/* The first that is not met is the reason. */
static void __attribute__((format(printf, 3, 4)))
say(struct match *m, enum tls_review_item item, const char *fmt, ...)
{
	char text[sizeof(m->to->why)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (m->to->why[0] == '\0')
		memcpy(m->to->why, text, sizeof(text));
	tls_review_fault(m->to->review, item, TLS_REVIEW_UNMET, text);
}

static void
met(struct match *m, enum tls_review_item item)
{
	m->met++;
	tls_review_met(m->to->review, item);
}

/* A peer's text, as far as it is harmless in a line. */
static const char *
tame(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '"')
			*p = '?';
	return text;
}

/* ---- fields ------------------------------------------------------------- */

/* Takes RFC 4514's escapes out, which the library has put in.  False: a NUL. */
static bool
unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; p++) {
		if (p[0] == '\\' && p[1] == '0' && p[2] == '0')
			return false;
		if (p[0] == '\\' && p[1] != '\0')
			p++;
		*to++ = *p;
	}
	*to = '\0';
	return true;
}

static bool
field_is(gnutls_x509_crt_t crt, enum tls_trust_field f, const char *wanted,
    char seen[TEXT_MAX])
{
	static const char *const oids[] = {
		GNUTLS_OID_X520_COMMON_NAME,
		GNUTLS_OID_X520_ORGANIZATION_NAME,
		GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME
	};
	bool subject = f <= TLS_SUBJECT_OU;
	const char *oid = oids[f % 3];
	size_t n;
	int r = 0;

	seen[0] = '\0';
	for (unsigned i = 0; r >= 0 && i < VALUES_MAX; i++) {
		char value[TEXT_MAX];

		n = sizeof(value);
		r = subject ? gnutls_x509_crt_get_dn_by_oid(crt, oid, i, 0,
		    value, &n) : gnutls_x509_crt_get_issuer_dn_by_oid(crt, oid,
		    i, 0, value, &n);
		if (r < 0 || strlen(value) != n || !unescape(value))
			continue;	/* none, too long, or with a NUL */
		if (strcmp(value, wanted) == 0)
			return true;
		if (seen[0] == '\0')
			(void)snprintf(seen, TEXT_MAX, "%s", value);
	}
	return false;
}

static void
match_fields(struct match *m)
{
	static const char *const names[TLS_TRUST_FIELDS] = {
		"subject CN", "subject O", "subject OU", "issuer CN",
		"issuer O", "issuer OU"
	};
	char seen[TEXT_MAX];

	for (int f = 0; f < TLS_TRUST_FIELDS; f++) {
		if (m->trust->field[f] == NULL)
			continue;
		m->asked++;
		if (field_is(m->path->crt[0], (enum tls_trust_field)f,
		    m->trust->field[f], seen))
			met(m, TLS_REVIEW_FIELDS);
		else
			say(m, TLS_REVIEW_FIELDS, "has %s \"%.100s\", "
			    "\"%.100s\" is expected", names[f], tame(seen),
			    m->trust->field[f]);
	}
}

/* ---- alternative names -------------------------------------------------- */

static bool
san_is(const struct tls_san *s, unsigned type, const char *p, size_t n)
{
	size_t len = strlen(s->text);

	switch (s->kind) {
	case TLS_SAN_IP:
		return type == GNUTLS_SAN_IPADDRESS && n == s->addr_n &&
		    memcmp(p, s->addr, n) == 0;
	case TLS_SAN_URI:
		return type == GNUTLS_SAN_URI && (s->open ? n >= len :
		    n == len) && memcmp(p, s->text, len) == 0;
	case TLS_SAN_DNS:
		break;
	}
	if (type != GNUTLS_SAN_DNSNAME || n < len)
		return false;
	/* "*." stands for one label, as in certificates (RFC 6125 6.4.3). */
	if (s->open && (n == len || memchr(p, '.', n - len) != NULL ||
	    memchr(p, '*', n) != NULL))
		return false;
	return (s->open || n == len) &&
	    strncasecmp(p + n - len, s->text, len) == 0;
}

static bool
has_san(const struct tls_trust *t, gnutls_x509_crt_t crt)
{
	char value[TEXT_MAX];
	unsigned type;
	size_t n;
	int r;

	for (unsigned i = 0; i < SANS_MAX; i++) {
		n = sizeof(value);
		r = gnutls_x509_crt_get_subject_alt_name2(crt, i, value, &n,
		    &type, NULL);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (r < 0)
			continue;
		/* Text comes with a NUL that does not count. */
		if (type != GNUTLS_SAN_IPADDRESS && memchr(value, '\0', n))
			continue;
		for (size_t k = 0; k < t->sans_n; k++)
			if (san_is(&t->san[k], type, value, n))
				return true;
	}
	return false;
}

static void
match_sans(struct match *m)
{
	if (m->trust->sans_n == 0)
		return;
	m->asked++;
	if (has_san(m->trust, m->path->crt[0]))
		met(m, TLS_REVIEW_SANS);
	else
		say(m, TLS_REVIEW_SANS, "has none of the alternative names "
		    "that are expected");
}

/* ---- the certificate itself, and keys ----------------------------------- */

static void
match_fingerprint(struct match *m)
{
	char hex[65];

	if (m->trust->fingerprints_n == 0)
		return;
	m->asked++;
	if (tls_trust_listed(m->trust, m->sha256)) {
		met(m, TLS_REVIEW_FINGERPRINT);
		m->to->listed = true;
		return;
	}
	hex_write(m->sha256, 32, hex);
	say(m, TLS_REVIEW_FINGERPRINT, "has a fingerprint that is not in the "
	    "list: %s", hex);
}

static int
pin_of(gnutls_x509_crt_t crt, char *to)
{
	uint8_t spki[32];
	size_t n = sizeof(spki);
	int r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, spki,
	    &n);

	if (r < 0)
		return r;
	memcpy(to, "sha256/", 7);
	digest_base64(spki, sizeof(spki), to + 7);
	return 0;
}

static bool
pinned(const struct tls_trust *t, const char *text, bool ca)
{
	for (unsigned i = 0; i < t->pins_n; i++)
		if (t->pins[i].ca == ca && strcmp(t->pins[i].text, text) == 0)
			return true;
	return false;
}

static void
say_pins(struct match *m, const char *seen)
{
	const struct tls_trust *t = m->trust;
	char list[TLS_PINS_MAX * (TLS_PIN_TEXT + 10)] = "";
	size_t at = 0;

	for (unsigned i = 0; i < t->pins_n; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s%s",
		    i == 0 ? "" : " or ", t->pins[i].ca ? "ca:" : "",
		    t->pins[i].text);
	say(m, TLS_REVIEW_PINS, "has a key that does not match the pins: "
	    "seen %s, expected %s", seen, list);
}

/* A pin of a CA counts for what stands above: each step upwards is a signature
 * that was verified, whatever else the peer has sent. */
static int
match_pins(struct match *m)
{
	char seen[TLS_PIN_TEXT + 1], text[TLS_PIN_TEXT + 1];
	bool found;

	if (m->trust->pins_n == 0)
		return 0;
	m->asked++;
	if (pin_of(m->path->crt[0], seen) < 0)
		return -EINVAL;
	found = pinned(m->trust, seen, false);
	m->to->listed = m->to->listed || found;
	for (unsigned i = 1; !found && i < m->path->n; i++)
		found = pin_of(m->path->crt[i], text) >= 0 &&
		    pinned(m->trust, text, true);
	if (found)
		met(m, TLS_REVIEW_PINS);
	else
		say_pins(m, seen);
	return 0;
}

/* One of the criteria was enough: what is not met is forgiven. */
static void
forgive(struct tls_review *r)
{
	for (int i = TLS_REVIEW_FIELDS; r != NULL && i < TLS_REVIEW_ITEMS; i++)
		if (r->item[i].state == TLS_REVIEW_UNMET)
			r->item[i].state = TLS_REVIEW_FORGIVEN;
}

int
tls_trust_match(const struct tls_trust *t, const struct tls_path *path,
    const uint8_t sha256[32], struct tls_match *ret)
{
	struct match m = {
		.trust = t, .path = path, .sha256 = sha256, .to = ret
	};
	int r;

	ret->why[0] = '\0';
	ret->listed = false;
	match_fields(&m);
	match_sans(&m);
	match_fingerprint(&m);
	r = match_pins(&m);
	if (r < 0)
		return r;
	if (t->any_of && m.met > 0)
		forgive(ret->review);
	if (m.asked == 0 || (t->any_of ? m.met > 0 : m.met == m.asked))
		return 0;
	return -EACCES;
}
