/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges and responses. */
#include "proxy_auth.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/hex.h"
#include "base/mem.h"
#include "tls/digest.h"

#define TOKEN_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789!#$%&'*+-.^_`|~"

/* ---- challenges --------------------------------------------------------- */

struct scan {
	const char *p;
};

static void
skip(struct scan *s, const char *what)
{
	s->p += strspn(s->p, what);
}

/* A token into to; false: none, or too long. */
static bool
token(struct scan *s, char *to, size_t cap)
{
	size_t n = strspn(s->p, TOKEN_CHARS);

	if (n == 0 || n >= cap)
		return false;
	memcpy(to, s->p, n);
	to[n] = '\0';
	s->p += n;
	return true;
}

static bool
quoted(struct scan *s, char *to, size_t cap)
{
	size_t n = 0;

	for (s->p++; *s->p != '"'; s->p++) {
		if (*s->p == '\\')
			s->p++;
		if (*s->p == '\0' || n + 1 >= cap)
			return false;
		to[n++] = *s->p;
	}
	s->p++;
	to[n] = '\0';
	return true;
}

static bool
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list != '\0') {
		size_t len;

		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (len == n && strncasecmp(list, word, n) == 0)
			return true;
		list += len;
	}
	return false;
}

/* One digest challenge while it is read. */
struct offered {
	struct auth_challenge c;
	bool good, has_realm, has_nonce, any_qop;
};

static void
copy_value(char *to, size_t cap, const char *value, struct offered *o)
{
	if (strlen(value) >= cap)
		o->good = false;
	else
		memcpy(to, value, strlen(value) + 1);
}

static void
take_parameter(struct offered *o, const char *name, const char *value)
{
	if (strcasecmp(name, "realm") == 0) {
		copy_value(o->c.realm, sizeof(o->c.realm), value, o);
		o->has_realm = true;
	} else if (strcasecmp(name, "nonce") == 0) {
		copy_value(o->c.nonce, sizeof(o->c.nonce), value, o);
		o->has_nonce = true;
	} else if (strcasecmp(name, "opaque") == 0) {
		copy_value(o->c.opaque, sizeof(o->c.opaque), value, o);
		o->c.has_opaque = true;
	} else if (strcasecmp(name, "stale") == 0) {
		o->c.stale = strcasecmp(value, "true") == 0;
	} else if (strcasecmp(name, "algorithm") == 0) {
		o->c.sha256 = strcasecmp(value, "SHA-256") == 0;
		if (!o->c.sha256 && strcasecmp(value, "MD5") != 0)
			o->good = false;
	} else if (strcasecmp(name, "qop") == 0) {
		o->any_qop = true;
		o->c.qop = has_word(value, "auth");
	}
}

static void
end_challenge(struct auth_challenge *c, const char *scheme,
    const struct offered *o)
{
	bool basic = c->basic;

	if (strcasecmp(scheme, "Basic") == 0)
		c->basic = true;
	if (strcasecmp(scheme, "Digest") != 0 || !o->good || !o->has_realm ||
	    !o->has_nonce || (o->any_qop && !o->c.qop))
		return;
	if (c->digest && (c->sha256 || !o->c.sha256))
		return;			/* what we have is as good */
	*c = o->c;
	c->digest = true;
	c->basic = basic;
}

/* name = value, or a value alone ("Negotiate abc=="), which is passed over. */
static bool
parameter(struct scan *s, struct offered *o, const char *name)
{
	char value[1024];

	skip(s, " \t");
	if (*s->p != '=')
		return false;
	s->p++;
	skip(s, " \t");
	if (*s->p == '"' ? !quoted(s, value, sizeof(value)) :
	    !token(s, value, sizeof(value)))
		o->good = false;
	else
		take_parameter(o, name, value);
	return true;
}

void
auth_take(struct auth_challenge *c, const char *value)
{
	struct scan s = { value };
	struct offered o = { .good = false };
	char scheme[64] = "", word[64];

	for (;;) {
		const char *before;

		skip(&s, ", \t");
		before = s.p;
		if (*s.p == '\0' || !token(&s, word, sizeof(word)))
			break;
		/* A word that no '=' follows begins a challenge. */
		if (scheme[0] != '\0' && parameter(&s, &o, word)) {
			if (!o.good && s.p == before)
				break;
			s.p += strcspn(s.p, ",");
			continue;
		}
		end_challenge(c, scheme, &o);
		memcpy(scheme, word, sizeof(scheme));
		o = (struct offered){ .good = true };
	}
	end_challenge(c, scheme, &o);
}

/* ---- responses ---------------------------------------------------------- */

static const char *next_part(va_list *ap)
{
	return va_arg(*ap, const char *);
}

/* Hex of the hash of the parts, ended by NULL. */
static int
hash(bool sha256, char *to, ...)
{
	gnutls_digest_algorithm_t how = sha256 ? GNUTLS_DIG_SHA256 :
	    GNUTLS_DIG_MD5;
	gnutls_hash_hd_t h;
	uint8_t sum[32];
	const char *part;
	va_list ap;
	int r = gnutls_hash_init(&h, how);

	if (r < 0)
		return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
	va_start(ap, to);
	while (r >= 0 && (part = next_part(&ap)) != NULL)
		r = gnutls_hash(h, part, strlen(part));
	va_end(ap);
	gnutls_hash_deinit(h, sum);
	if (r >= 0)
		hex_write(sum, sha256 ? 32 : 16, to);
	return r < 0 ? -EIO : 0;
}

int
auth_response(const struct auth_challenge *c, const struct auth_digest *d,
    char *to)
{
	char a1[AUTH_RESPONSE_SIZE], a2[AUTH_RESPONSE_SIZE], nc[9];
	int r = hash(c->sha256, a1, d->user, ":", c->realm, ":", d->password,
	    NULL);

	if (r == 0)
		r = hash(c->sha256, a2, d->method, ":", d->uri, NULL);
	(void)snprintf(nc, sizeof(nc), "%08x", d->nc);
	if (r == 0 && c->qop)
		r = hash(c->sha256, to, a1, ":", c->nonce, ":", nc, ":",
		    d->cnonce, ":auth:", a2, NULL);
	else if (r == 0)
		r = hash(c->sha256, to, a1, ":", c->nonce, ":", a2, NULL);
	mem_wipe(a1, sizeof(a1));
	return r;
}

/* text as a quoted-string; false: it has no room. */
static bool
add_quoted(char *to, size_t cap, size_t *at, const char *name,
    const char *text)
{
	int k = snprintf(to + *at, cap - *at, "%s%s=\"", *at == 7 ? "" : ", ",
	    name);

	if (k < 0 || (size_t)k >= cap - *at)
		return false;
	*at += (size_t)k;
	for (; *text != '\0'; text++) {
		if (cap - *at < 4)
			return false;
		if (*text == '"' || *text == '\\')
			to[(*at)++] = '\\';
		to[(*at)++] = *text;
	}
	to[(*at)++] = '"';
	to[*at] = '\0';
	return true;
}

int
auth_write_digest(const struct auth_challenge *c, const struct auth_digest *d,
    char *to, size_t cap)
{
	char response[AUTH_RESPONSE_SIZE];
	size_t at = 7;
	int r = auth_response(c, d, response), k;

	if (r != 0)
		return r;
	if (cap < 8)
		return -EMSGSIZE;
	for (const char *p = d->user; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	memcpy(to, "Digest ", 8);
	if (!add_quoted(to, cap, &at, "username", d->user) ||
	    !add_quoted(to, cap, &at, "realm", c->realm) ||
	    !add_quoted(to, cap, &at, "nonce", c->nonce) ||
	    !add_quoted(to, cap, &at, "uri", d->uri) ||
	    !add_quoted(to, cap, &at, "response", response) ||
	    (c->has_opaque && !add_quoted(to, cap, &at, "opaque", c->opaque)) ||
	    (c->qop && !add_quoted(to, cap, &at, "cnonce", d->cnonce)))
		return -EMSGSIZE;
	if (c->qop)
		k = snprintf(to + at, cap - at, ", algorithm=%s, qop=auth, "
		    "nc=%08x", c->sha256 ? "SHA-256" : "MD5", d->nc);
	else
		k = snprintf(to + at, cap - at, ", algorithm=%s",
		    c->sha256 ? "SHA-256" : "MD5");
	return k < 0 || (size_t)k >= cap - at ? -EMSGSIZE : 0;
}

int
auth_write_basic(const char *user, const char *password, char *to, size_t cap)
{
	char both[512];
	int n = snprintf(both, sizeof(both), "%s:%s", user, password);
	int r = 0;

	if (strchr(user, ':') != NULL)
		return -EINVAL;		/* RFC 7617 2 */
	if (n < 0 || (size_t)n >= sizeof(both) ||
	    6 + 4 * (((size_t)n + 2) / 3) + 1 > cap)
		r = -EMSGSIZE;
	if (r == 0) {
		memcpy(to, "Basic ", 6);
		digest_base64(both, (size_t)n, to + 6);
	}
	mem_wipe(both, sizeof(both));
	return r;
}
