/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GnuTLS speaks every combination of its key exchanges and ciphers, so a cipher
 * list becomes the best rectangle: it has every suite that was named, none that
 * was taken out, as many of the rest and as few others as can be.
 */
#include "tls/suites_priv.h"

#include <errno.h>
#include <stdio.h>

#include "tls/policy.h"
#include "tls/suite_list.h"
#include "tls/vendor.h"

#define KXS 2

static const struct {
	uint32_t au;
	const char *text;
	gnutls_kx_algorithm_t id;
} kxs[KXS] = {
	{ AU_ECDSA, "ECDHE-ECDSA", GNUTLS_KX_ECDHE_ECDSA },
	{ AU_RSA, "ECDHE-RSA", GNUTLS_KX_ECDHE_RSA },
};

struct rectangle {
	unsigned c, k;			/* bits: suites_ciphers, kxs */
	bool tls13;
};

/* The suite of TLS 1.2, or with k = KXS of 1.3. */
static size_t
suite_of(size_t c, size_t k)
{
	for (size_t i = 0; i < suite_table_n; i++) {
		const struct suite *s = &suite_table[i];

		if (s->enc != suites_ciphers[c].enc)
			continue;
		if (k == KXS ? s->ver == VER_TLS13 : s->kx == KX_ECDHE &&
		    s->au == kxs[k].au)
			return i;
	}
	return SUITES_MAX;
}

/* Whether any suite of the list has this cipher. */
static bool
wants_cipher(const struct suite_list *l, size_t c)
{
	for (size_t i = 0; i < l->n; i++) {
		if (suite_table[l->in[i]].enc == suites_ciphers[c].enc)
			return true;
	}
	return false;
}

/* Less than 0: cannot be, as it has what was taken out. */
static int
score(const struct suite_list *l, const struct rectangle *r)
{
	int points = 0;

	for (size_t c = 0; c < SUITES_CIPHERS; c++) {
		for (size_t k = 0; k <= KXS; k++) {
			unsigned flags = l->flags[suite_of(c, k)];
			bool has = (r->c >> c & 1) != 0 && (k == KXS ?
			    r->tls13 : (r->k >> k & 1) != 0);

			if (has && (flags & SUITE_OUT) != 0)
				return -1;
			if (has && (flags & SUITE_IN) != 0)
				points += (flags & SUITE_NAMED) != 0 ? 10000 :
				    100;
			else if (has && k < KXS)
				points -= 10;
			else if (has)
				points += wants_cipher(l, c) ? 1 : -1;
		}
	}
	return points;
}

static struct rectangle
best_rectangle(const struct suite_list *l, bool tls12)
{
	struct rectangle best = { 0, 0, false };
	int most = 0, points;

	for (unsigned n = 0; n < 2 << (SUITES_CIPHERS + KXS); n++) {
		struct rectangle r = { n & 7, n >> SUITES_CIPHERS & 3,
			n >> (SUITES_CIPHERS + KXS) != 0 };

		if (r.c == 0 || (r.k == 0 && !r.tls13) ||
		    (r.k != 0 && !tls12))
			continue;
		points = score(l, &r);
		if (points > most) {
			most = points;
			best = r;
		}
	}
	return best;
}

static bool
in_rectangle(const struct rectangle *r, size_t i)
{
	const struct suite *s = &suite_table[i];

	for (size_t c = 0; c < SUITES_CIPHERS; c++) {
		if (s->enc != suites_ciphers[c].enc || (r->c >> c & 1) == 0)
			continue;
		if (s->ver == VER_TLS13)
			return r->tls13;
		for (size_t k = 0; k < KXS; k++) {
			if (s->kx == KX_ECDHE && s->au == kxs[k].au)
				return (r->k >> k & 1) != 0;
		}
	}
	return false;
}

static bool
policy_has(size_t i)
{
	const struct rectangle all = { 7, 3, true };

	return in_rectangle(&all, i);
}

/* What was asked for against what it became. */
static int
compare(const struct suite_list *l, const struct rectangle *r, char *why,
    struct tls_suites *ret)
{
	struct suites_lister dropped = { ret->dropped, 0 };
	struct suites_lister extra = { ret->extra, 0 };

	if (l->odd[0] != '\0')
		suites_list_add(&dropped, l->odd);
	for (size_t k = 0; k < l->n; k++) {
		size_t i = l->in[k];

		if (in_rectangle(r, i))
			continue;
		if ((l->flags[i] & SUITE_NAMED) != 0)
			return tls_why(why, -EINVAL, "cipher_suite: %s %s",
			    suite_table[i].name, policy_has(i) ?
			    "cannot be had together with the rest of the list "
			    "and this profile" : "is not allowed");
		suites_list_add(&dropped, suite_table[i].name);
	}
	for (size_t i = 0; i < suite_table_n; i++) {
		if (in_rectangle(r, i) && (l->flags[i] & SUITE_IN) == 0 &&
		    suite_table[i].ver != VER_TLS13)
			suites_list_add(&extra, suite_table[i].name);
	}
	suites_list_end(&dropped);
	suites_list_end(&extra);
	return 0;
}

/* The rectangle in the order of the list, suites of neither last. */
static void
write_rectangle(const struct suite_list *l, struct rectangle r,
    struct tls_suites *ret)
{
	char *to = ret->priority;
	const size_t cap = sizeof(ret->priority);
	unsigned c_left = r.c, k_left = r.k;

	(void)snprintf(to, cap, "NORMAL:-VERS-ALL%s%s:-CIPHER-ALL",
	    r.tls13 ? ":+VERS-TLS1.3" : "", r.k != 0 ? ":+VERS-TLS1.2" : "");
	for (size_t n = 0; n < l->n + SUITES_CIPHERS; n++) {
		for (size_t c = 0; c < SUITES_CIPHERS; c++) {
			if ((c_left >> c & 1) == 0 || (n < l->n &&
			    suite_table[l->in[n]].enc != suites_ciphers[c].enc))
				continue;
			suites_text_add(to, cap, ":+", suites_ciphers[c].text);
			c_left &= ~(1u << c);
		}
	}
	suites_text_add(to, cap, "", ":-MAC-ALL:+AEAD:-KX-ALL");
	if (r.k == 0)			/* TLS 1.3 does not ask */
		k_left = 3;
	for (size_t n = 0; n < l->n + KXS; n++) {
		for (size_t k = 0; k < KXS; k++) {
			if ((k_left >> k & 1) == 0 || (n < l->n &&
			    suite_table[l->in[n]].au != kxs[k].au))
				continue;
			suites_text_add(to, cap, ":+", kxs[k].text);
			k_left &= ~(1u << k);
		}
	}
	suites_text_add(to, cap, "", TLS_POLICY_TAIL);
}

/* Nothing of the list for TLS 1.2 leaves 1.3, but only if the list says so. */
static bool
any_wanted(const struct suite_list *l)
{
	for (size_t k = 0; k < l->n; k++) {
		if (policy_has(l->in[k]))
			return true;
	}
	return false;
}

int
suites_from_list(const char *text, bool tls12, char *why,
    struct tls_suites *ret)
{
	struct suite_list l;
	struct rectangle r;
	int err = suite_list_parse(text, why, &l);

	if (err < 0)
		return err;
	if (!any_wanted(&l))
		r = (struct rectangle){ 0, 0, false };
	else
		r = best_rectangle(&l, tls12);
	err = compare(&l, &r, why, ret);
	if (err < 0)
		return err;
	if (r.c == 0)
		return tls_why(why, -EINVAL, "cipher_suite: nothing is left of "
		    "\"%.80s\": AES-GCM and CHACHA20-POLY1305 with ECDHE are "
		    "allowed", text);
	write_rectangle(&l, r, ret);
	return 0;
}

/* The library's policy may have less than was asked for. */
int
suites_check_named(gnutls_priority_t p, const char *text, char *why)
{
	struct suite_list l;
	int r = suite_list_parse(text, why, &l);

	for (size_t i = 0; r == 0 && i < suite_table_n; i++) {
		for (size_t c = 0; c < SUITES_CIPHERS; c++) {
			const struct suite *s = &suite_table[i];
			gnutls_kx_algorithm_t kx = s->au == AU_ANY ?
			    GNUTLS_KX_UNKNOWN : s->au == AU_ECDSA ?
			    GNUTLS_KX_ECDHE_ECDSA : GNUTLS_KX_ECDHE_RSA;

			if ((l.flags[i] & SUITE_NAMED) != 0 &&
			    s->enc == suites_ciphers[c].enc &&
			    !suites_speak(p, suites_ciphers[c].id, kx))
				r = tls_why(why, -EINVAL, "cipher_suite: %s "
				    "cannot be had from the library (GnuTLS "
				    "%s)", s->name,
				    gnutls_check_version(NULL));
		}
	}
	return r;
}
