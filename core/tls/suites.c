/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GnuTLS speaks every combination of its key exchanges and ciphers, so a cipher
 * list becomes the best rectangle: it has every suite that was named, none that
 * was taken out, as many of the rest and as few others as can be.
 */
#include "tls/suites.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "tls/policy.h"
#include "tls/snapshot.h"
#include "tls/suite_list.h"
#include "tls/vendor.h"

#define CIPHERS 3
#define KXS 2

static const struct {
	uint32_t enc;
	const char *text;
	gnutls_cipher_algorithm_t id;
} ciphers[CIPHERS] = {
	{ ENC_AES128GCM, "AES-128-GCM", GNUTLS_CIPHER_AES_128_GCM },
	{ ENC_AES256GCM, "AES-256-GCM", GNUTLS_CIPHER_AES_256_GCM },
	{ ENC_CHACHA, "CHACHA20-POLY1305", GNUTLS_CIPHER_CHACHA20_POLY1305 },
};
static const struct {
	uint32_t au;
	const char *text;
	gnutls_kx_algorithm_t id;
} kxs[KXS] = {
	{ AU_ECDSA, "ECDHE-ECDSA", GNUTLS_KX_ECDHE_ECDSA },
	{ AU_RSA, "ECDHE-RSA", GNUTLS_KX_ECDHE_RSA },
};

static void
text_add(char *to, size_t cap, const char *before, const char *text)
{
	size_t n = strlen(to);

	(void)snprintf(to + n, cap - n, "%s%s", n > 0 ? before : "", text);
}

/* The same, but a full list ends with how many more there are. */
struct lister {
	char *to;
	unsigned more;
};

static void
list_add(struct lister *l, const char *text)
{
	if (strlen(l->to) + strlen(text) + 32 > TLS_LIST_SIZE)
		l->more++;
	else
		text_add(l->to, TLS_LIST_SIZE, ", ", text);
}

static void
list_end(struct lister *l)
{
	char more[32];

	if (l->more == 0)
		return;
	(void)snprintf(more, sizeof(more), "and %u more", l->more);
	text_add(l->to, TLS_LIST_SIZE, ", ", more);
}

/* ---- what a priority string gives --------------------------------------- */

static bool
has_version(gnutls_priority_t p, unsigned version)
{
	const unsigned int *list;
	int n = gnutls_priority_protocol_list(p, &list);

	for (int i = 0; i < n; i++) {
		if (list[i] == version)
			return true;
	}
	return false;
}

/* The i-th suite that is really spoken.  False: there are no more. */
static bool
spoken(gnutls_priority_t p, unsigned *i, const char **ret_name,
    gnutls_cipher_algorithm_t *ret_cipher, gnutls_kx_algorithm_t *ret_kx)
{
	gnutls_protocol_t version;
	unsigned sidx = 0;
	int r;

	for (;; (*i)++) {
		r = gnutls_priority_get_cipher_suite_index(p, *i, &sidx);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (r < 0)		/* one that this build lacks */
			continue;
		*ret_name = gnutls_cipher_suite_info(sidx, NULL, ret_kx,
		    ret_cipher, NULL, &version);
		if (*ret_name == NULL || !has_version(p,
		    version == GNUTLS_TLS1_3 ? version : GNUTLS_TLS1_2))
			continue;
		(*i)++;
		return true;
	}
}

static bool
speaks(gnutls_priority_t p, gnutls_cipher_algorithm_t cipher,
    gnutls_kx_algorithm_t kx)
{
	gnutls_cipher_algorithm_t c;
	gnutls_kx_algorithm_t k;
	const char *name;
	unsigned i = 0;

	while (spoken(p, &i, &name, &c, &k)) {
		if (c == cipher && (k == kx || kx == GNUTLS_KX_UNKNOWN))
			return true;
	}
	return false;
}

/* Fills the list; -EINVAL when there is nothing in it. */
static int
describe(gnutls_priority_t p, char *why, struct tls_suites *ret)
{
	struct lister l = { ret->list, 0 };
	gnutls_cipher_algorithm_t c;
	gnutls_kx_algorithm_t k;
	const char *name;
	unsigned i = 0;
	bool any = false;

	ret->list[0] = '\0';
	if (has_version(p, GNUTLS_TLS1_3))
		list_add(&l, "TLS1.3");
	if (has_version(p, GNUTLS_TLS1_2))
		list_add(&l, "TLS1.2");
	text_add(ret->list, TLS_LIST_SIZE, "", ": ");
	while (spoken(p, &i, &name, &c, &k)) {
		if (any)
			list_add(&l, name);
		else
			text_add(ret->list, TLS_LIST_SIZE, "", name);
		any = true;
	}
	list_end(&l);
	return any ? 0 : tls_why(why, -EINVAL, "no suite is left that the "
	    "library (GnuTLS %s) has", gnutls_check_version(NULL));
}

/* ---- priority strings --------------------------------------------------- */

/* Whether the string has the word itself, as "+WORD". */
static bool
asks_for(const char *priority, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = priority; (p = strchr(p, '+')) != NULL; p++) {
		if (strncasecmp(p + 1, word, n) == 0 &&
		    (p[1 + n] == ':' || p[1 + n] == '\0'))
			return true;
	}
	return false;
}

struct property {
	int (*list)(gnutls_priority_t, const unsigned int **);
	bool (*allowed)(unsigned int);
	const char *(*name)(unsigned int);
	const char *before;		/* of its words */
	const char *what;
};

static const char *
version_name(unsigned int v)
{
	return gnutls_protocol_get_name((gnutls_protocol_t)v);
}

static const char *
cipher_name(unsigned int c)
{
	return gnutls_cipher_get_name((gnutls_cipher_algorithm_t)c);
}

static const char *
mac_name(unsigned int m)
{
	return gnutls_mac_get_name((gnutls_mac_algorithm_t)m);
}

static const char *
kx_name(unsigned int k)
{
	return gnutls_kx_get_name((gnutls_kx_algorithm_t)k);
}

static const char *
sign_name(unsigned int s)
{
	return gnutls_sign_get_name((gnutls_sign_algorithm_t)s);
}

static const struct property properties[] = {
	{ gnutls_priority_protocol_list, tls_policy_version, version_name,
	    "VERS-", "protocol version" },
	{ gnutls_priority_cipher_list, tls_policy_cipher, cipher_name, "",
	    "cipher" },
	{ gnutls_priority_mac_list, tls_policy_mac, mac_name, "", "MAC" },
	{ gnutls_priority_kx_list, tls_policy_kx, kx_name, "",
	    "key exchange" },
	{ gnutls_priority_sign_list, tls_policy_sign, sign_name, "SIGN-",
	    "signature" },
};

/* Takes out of ret->priority what the policy has not. */
static int
drop(gnutls_priority_t p, const char *asked, const struct property *o,
    struct lister *dropped, char *why, struct tls_suites *ret)
{
	const unsigned int *list;
	const char *name;
	char word[80];
	int n = o->list(p, &list);

	for (int i = 0; i < n; i++) {
		if (o->allowed(list[i]))
			continue;
		name = o->name(list[i]);
		if (name == NULL)
			continue;	/* the last check finds it */
		(void)snprintf(word, sizeof(word), "%s%s", o->before, name);
		if (asks_for(asked, word))
			return tls_why(why, -EINVAL, "priority: %s %s is not "
			    "allowed", o->what, name);
		if (strlen(ret->priority) + strlen(word) + 3 >
		    sizeof(ret->priority))
			return tls_why(why, -EINVAL,
			    "priority: it is too long");
		text_add(ret->priority, sizeof(ret->priority), ":-", word);
		list_add(dropped, word);
	}
	return 0;
}

/* A cipher by its name, after which nothing takes it out,
 * that the library's own policy has switched off. */
static int
check_had(gnutls_priority_t p, const char *asked, char *why)
{
	char out[40];

	for (size_t c = 0; c < CIPHERS; c++) {
		(void)snprintf(out, sizeof(out), "-%s", ciphers[c].text);
		if (asks_for(asked, ciphers[c].text) &&
		    strstr(asked, out) == NULL &&
		    strstr(asked, "-CIPHER-ALL") == NULL &&
		    !speaks(p, ciphers[c].id, GNUTLS_KX_UNKNOWN))
			return tls_why(why, -EINVAL, "priority: %s cannot be "
			    "had from the library", ciphers[c].text);
	}
	return 0;
}

static int
parse_priority(const char *text, char *why, gnutls_priority_t *ret)
{
	const char *at = NULL;
	int r = gnutls_priority_init(ret, text, &at);

	if (r == GNUTLS_E_MEMORY_ERROR)
		return tls_why(why, -ENOMEM, "out of memory");
	if (r == GNUTLS_E_NO_PRIORITIES_WERE_SET)
		return tls_why(why, -EINVAL, "priority: it leaves nothing to "
		    "agree on");
	if (r < 0)
		return tls_why(why, -EINVAL, "priority: it is not understood "
		    "at \"%.60s\": %s", at != NULL ? at : text,
		    gnutls_strerror(r));
	return 0;
}

static int
narrow_priority(const char *asked, char *why, struct tls_suites *ret)
{
	struct lister dropped = { ret->dropped, 0 };
	gnutls_priority_t p = NULL;
	int r;

	if (strlen(asked) >= sizeof(ret->priority) / 2)
		return tls_why(why, -EINVAL, "priority: it is too long");
	r = parse_priority(asked, why, &p);
	if (r < 0)
		return r;
	memcpy(ret->priority, asked, strlen(asked) + 1);
	for (size_t i = 0; r == 0 &&
	    i < sizeof(properties) / sizeof(properties[0]); i++)
		r = drop(p, asked, &properties[i], &dropped, why, ret);
	if (r == 0)
		r = check_had(p, asked, why);
	list_end(&dropped);
	gnutls_priority_deinit(p);
	return r;
}

/* ---- cipher lists ------------------------------------------------------- */

struct rectangle {
	unsigned c, k;			/* bits: ciphers, kxs */
	bool tls13;
};

/* The suite of TLS 1.2, or with k = KXS of 1.3. */
static size_t
suite_of(size_t c, size_t k)
{
	for (size_t i = 0; i < suite_table_n; i++) {
		const struct suite *s = &suite_table[i];

		if (s->enc != ciphers[c].enc)
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
		if (suite_table[l->in[i]].enc == ciphers[c].enc)
			return true;
	}
	return false;
}

/* Less than 0: cannot be, as it has what was taken out. */
static int
score(const struct suite_list *l, const struct rectangle *r)
{
	int points = 0;

	for (size_t c = 0; c < CIPHERS; c++) {
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

	for (unsigned n = 0; n < 2 << (CIPHERS + KXS); n++) {
		struct rectangle r = { n & 7, n >> CIPHERS & 3,
			n >> (CIPHERS + KXS) != 0 };

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

	for (size_t c = 0; c < CIPHERS; c++) {
		if (s->enc != ciphers[c].enc || (r->c >> c & 1) == 0)
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
	struct lister dropped = { ret->dropped, 0 };
	struct lister extra = { ret->extra, 0 };

	if (l->odd[0] != '\0')
		list_add(&dropped, l->odd);
	for (size_t k = 0; k < l->n; k++) {
		size_t i = l->in[k];

		if (in_rectangle(r, i))
			continue;
		if ((l->flags[i] & SUITE_NAMED) != 0)
			return tls_why(why, -EINVAL, "cipher_suite: %s %s",
			    suite_table[i].name, policy_has(i) ?
			    "cannot be had together with the rest of the list "
			    "and this profile" : "is not allowed");
		list_add(&dropped, suite_table[i].name);
	}
	for (size_t i = 0; i < suite_table_n; i++) {
		if (in_rectangle(r, i) && (l->flags[i] & SUITE_IN) == 0 &&
		    suite_table[i].ver != VER_TLS13)
			list_add(&extra, suite_table[i].name);
	}
	list_end(&dropped);
	list_end(&extra);
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
	for (size_t n = 0; n < l->n + CIPHERS; n++) {
		for (size_t c = 0; c < CIPHERS; c++) {
			if ((c_left >> c & 1) == 0 || (n < l->n &&
			    suite_table[l->in[n]].enc != ciphers[c].enc))
				continue;
			text_add(to, cap, ":+", ciphers[c].text);
			c_left &= ~(1u << c);
		}
	}
	text_add(to, cap, "", ":-MAC-ALL:+AEAD:-KX-ALL");
	if (r.k == 0)			/* TLS 1.3 does not ask */
		k_left = 3;
	for (size_t n = 0; n < l->n + KXS; n++) {
		for (size_t k = 0; k < KXS; k++) {
			if ((k_left >> k & 1) == 0 || (n < l->n &&
			    suite_table[l->in[n]].au != kxs[k].au))
				continue;
			text_add(to, cap, ":+", kxs[k].text);
			k_left &= ~(1u << k);
		}
	}
	text_add(to, cap, "", TLS_POLICY_TAIL);
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

static int
from_list(const char *text, bool tls12, char *why, struct tls_suites *ret)
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
static int
check_named(gnutls_priority_t p, const char *text, char *why)
{
	struct suite_list l;
	int r = suite_list_parse(text, why, &l);

	for (size_t i = 0; r == 0 && i < suite_table_n; i++) {
		for (size_t c = 0; c < CIPHERS; c++) {
			const struct suite *s = &suite_table[i];
			gnutls_kx_algorithm_t kx = s->au == AU_ANY ?
			    GNUTLS_KX_UNKNOWN : s->au == AU_ECDSA ?
			    GNUTLS_KX_ECDHE_ECDSA : GNUTLS_KX_ECDHE_RSA;

			if ((l.flags[i] & SUITE_NAMED) != 0 &&
			    s->enc == ciphers[c].enc &&
			    !speaks(p, ciphers[c].id, kx))
				r = tls_why(why, -EINVAL, "cipher_suite: %s "
				    "cannot be had from the library (GnuTLS "
				    "%s)", s->name,
				    gnutls_check_version(NULL));
		}
	}
	return r;
}

static const char modern_priority[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3"
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
    ":-MAC-ALL:+AEAD"
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
    TLS_POLICY_TAIL;

/* ---- profiles ----------------------------------------------------------- */

static bool
given(const char *text)
{
	return text != NULL && *text != '\0';
}

/* What an operator asked for, as one priority string. */
static int
choose(const struct tls_suites_spec *s, char *why, struct tls_suites *ret)
{
	bool modern = given(s->profile) && strcmp(s->profile, "modern") == 0;
	bool custom = given(s->profile) ? strcmp(s->profile, "custom") == 0 :
	    given(s->priority);

	if (given(s->profile) && !modern && !custom &&
	    strcmp(s->profile, "intermediate") != 0)
		return tls_why(why, -EINVAL, "profile: modern, intermediate "
		    "or custom is expected");
	if (given(s->priority) && given(s->cipher_suite))
		return tls_why(why, -EINVAL,
		    "priority and cipher_suite cannot both be given");
	if (given(s->priority) && !custom)
		return tls_why(why, -EINVAL,
		    "priority needs profile = custom");
	if (given(s->cipher_suite))
		return from_list(s->cipher_suite, !modern, why, ret);
	if (custom && !given(s->priority))
		return tls_why(why, -EINVAL,
		    "profile = custom needs priority or cipher_suite");
	if (custom)
		return narrow_priority(s->priority, why, ret);
	if (modern)
		(void)snprintf(ret->priority, sizeof(ret->priority), "%s",
		    modern_priority);
	else
		(void)snprintf(ret->priority, sizeof(ret->priority), "%s",
		    tls_policy_default());
	return 0;
}

int
tls_suites_resolve(const struct tls_suites_spec *s, char *why,
    struct tls_suites *ret)
{
	gnutls_priority_t p = NULL;
	struct tls_suites *x = mem_calloc(1, sizeof(*x));
	int r;

	if (x == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	r = choose(s, why, x);
	if (r == 0)
		r = tls_policy_resolve(x->priority, why, &p);
	if (r == 0)
		r = describe(p, why, x);
	if (r == 0 && given(s->cipher_suite))
		r = check_named(p, s->cipher_suite, why);
	if (r == 0)
		*ret = *x;
	if (p != NULL)
		gnutls_priority_deinit(p);
	mem_free(x);
	return r;
}

/* ---- FIPS 140, and the library ------------------------------------------ */

const char *
tls_fips_name(unsigned mode)
{
	switch (mode) {
	case GNUTLS_FIPS140_DISABLED:
		return "off";
	case GNUTLS_FIPS140_STRICT:
		return "on";
	case GNUTLS_FIPS140_SELFTESTS:
		return "self-tests only";
	case GNUTLS_FIPS140_LAX:
		return "lax";
	case GNUTLS_FIPS140_LOG:
		return "only logged";
	default:
		return "unknown";
	}
}

int
tls_fips_judge(unsigned mode, char *why)
{
	if (mode == GNUTLS_FIPS140_STRICT)
		return 0;
	return tls_why(why, -ENOTSUP, "fips = require: GnuTLS %s says that "
	    "FIPS 140 mode is %s; it needs a build with FIPS support and "
	    "fips=1 of the kernel (or GNUTLS_FORCE_FIPS_MODE=1)",
	    gnutls_check_version(NULL), tls_fips_name(mode));
}

int
tls_fips_require(char *why)
{
	return tls_fips_judge(gnutls_fips140_mode_enabled(), why);
}

void
tls_library_info(struct tls_library *ret)
{
	*ret = (struct tls_library){
		.version = gnutls_check_version(NULL),
		.floor = TLS_GNUTLS_NEEDED,
		.policy_file = gnutls_get_system_config_file(),
		.fips = gnutls_fips140_mode_enabled()
	};
}
