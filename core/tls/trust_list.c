/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what is asked of a certificate besides its chain, as a person writes
 * it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/mem.h"
#include "tls/snapshot.h"
#include "tls/trust_priv.h"
#include "tls/vendor.h"

#define SEPARATORS ", \t\r\n"
#define HASH 32

/* The next word of a list; its length, 0 at the end. */
static size_t
word(const char **p)
{
	*p += strspn(*p, SEPARATORS);
	return strcspn(*p, SEPARATORS);
}

static size_t
count(const char *list)
{
	size_t n, words = 0;

	for (; (n = word(&list)) > 0; list += n)
		words++;
	return words;
}

/* "AB:CD:..." or "abcd...". */
static int
take_hash(const char *p, size_t n, uint8_t *to)
{
	char print[4 * HASH];

	if (n >= sizeof(print))
		return -EINVAL;
	memcpy(print, p, n);
	print[n] = '\0';
	return hex_read_print(print, to, HASH) == HASH ? 0 : -EINVAL;
}

static int
by_hash(const void *a, const void *b)
{
	return memcmp(a, b, HASH);
}

static int
take_fingerprints(struct tls_trust *t, const char *list, char *why)
{
	size_t n, words = count(list);

	if (words > TLS_TRUST_LIST_MAX)
		return tls_why(why, -EINVAL, "more than %d fingerprints",
		    TLS_TRUST_LIST_MAX);
	t->fingerprint = mem_calloc(words + 1, HASH);
	if (t->fingerprint == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (; (n = word(&list)) > 0; list += n)
		if (take_hash(list, n,
		    t->fingerprint[t->fingerprints_n++]) < 0)
			return tls_why(why, -EINVAL, "fingerprint %.*s: 64 "
			    "hexadecimal digits (SHA-256) are expected",
			    n > 100 ? 100 : (int)n, list);
	if (t->fingerprints_n > 1)
		qsort(t->fingerprint, t->fingerprints_n, HASH, by_hash);
	return 0;
}

bool
tls_trust_listed(const struct tls_trust *t, const uint8_t sha256[32])
{
	return t->fingerprints_n > 0 && bsearch(sha256, t->fingerprint,
	    t->fingerprints_n, HASH, by_hash) != NULL;
}

bool
tls_trust_fingerprints_rule(const struct tls_trust *t)
{
	bool others = t->pins_n > 0 || t->sans_n > 0;

	for (int i = 0; i < TLS_TRUST_FIELDS; i++)
		others = others || t->field[i] != NULL;
	return t->fingerprints_n > 0 && (!t->any_of || !others);
}

static int
read_address(struct tls_san *s)
{
	s->addr_n = 4;
	if (inet_pton(AF_INET, s->text, s->addr) == 1)
		return 0;
	s->addr_n = 16;
	return inet_pton(AF_INET6, s->text, s->addr) == 1 ? 0 : -EINVAL;
}

static int
take_san(struct tls_san *s, const char *p, size_t n)
{
	static const char *const kinds[] = {
		[TLS_SAN_DNS] = "dns:", [TLS_SAN_URI] = "uri:",
		[TLS_SAN_IP] = "ip:"
	};
	size_t k = 0, skip;

	while (k < 3 && strncasecmp(p, kinds[k], strlen(kinds[k])) != 0)
		k++;
	if (k == 3)
		return -EINVAL;
	skip = strlen(kinds[k]);
	if (n > skip + 2 && k == TLS_SAN_DNS && p[skip] == '*' &&
	    p[skip + 1] == '.') {
		s->open = true;
		skip++;			/* the dot stays */
	} else if (n > skip + 1 && k == TLS_SAN_URI && p[n - 1] == '*') {
		s->open = true;
		n--;
	}
	if (n <= skip || memchr(p + skip, '*', n - skip) != NULL)
		return -EINVAL;
	s->kind = (enum tls_san_kind)k;
	s->text = mem_dup(p + skip, n - skip + 1);
	if (s->text == NULL)
		return -ENOMEM;
	s->text[n - skip] = '\0';
	return k == TLS_SAN_IP ? read_address(s) : 0;
}

static int
take_sans(struct tls_trust *t, const char *list, char *why)
{
	size_t n, words = count(list);
	int r;

	if (words > TLS_TRUST_SANS_MAX)
		return tls_why(why, -EINVAL, "more than %d alternative names",
		    TLS_TRUST_SANS_MAX);
	t->san = mem_calloc(words + 1, sizeof(*t->san));
	if (t->san == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (; (n = word(&list)) > 0; list += n) {
		r = take_san(&t->san[t->sans_n++], list, n);
		if (r == -EINVAL)
			return tls_why(why, r, "alternative name %.*s: "
			    "dns:NAME, dns:*.NAME, uri:URI, uri:PREFIX* or "
			    "ip:ADDRESS is expected", n > 100 ? 100 : (int)n,
			    list);
		if (r < 0)
			return tls_why(why, r, "out of memory");
	}
	return 0;
}

int
tls_trust_lists(struct tls_trust *t, const struct tls_trust_spec *spec,
    char *why)
{
	int n, r = 0;

	for (int i = 0; i < TLS_TRUST_FIELDS; i++) {
		if (spec->field[i] == NULL || spec->field[i][0] == '\0')
			continue;
		t->field[i] = mem_strdup(spec->field[i]);
		if (t->field[i] == NULL)
			return tls_why(why, -ENOMEM, "out of memory");
	}
	if (spec->pins != NULL) {
		n = pins_parse(spec->pins, t->pins);
		if (n < 0)
			return tls_why(why, -EINVAL, "pins: "
			    "[ca:]sha256/BASE64 is expected, at most %d",
			    TLS_PINS_MAX);
		t->pins_n = (unsigned)n;
	}
	if (spec->sans != NULL)
		r = take_sans(t, spec->sans, why);
	if (r == 0 && spec->fingerprints != NULL)
		r = take_fingerprints(t, spec->fingerprints, why);
	return r;
}

void
tls_trust_lists_free(struct tls_trust *t)
{
	for (int i = 0; i < TLS_TRUST_FIELDS; i++)
		mem_free(t->field[i]);
	for (size_t i = 0; i < t->sans_n; i++)
		mem_free(t->san[i].text);
	mem_free(t->san);
	mem_free(t->fingerprint);
}
