/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what an operator asked for to one priority string, and what that really
 * gives with this library.
 */
#include "tls/suites_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tls/policy.h"
#include "tls/snapshot.h"
#include "tls/suite_table.h"
#include "tls/vendor.h"

static const char modern_priority[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3"
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
    ":-MAC-ALL:+AEAD"
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
    TLS_POLICY_TAIL;

const struct suites_cipher suites_ciphers[SUITES_CIPHERS] = {
	{ ENC_AES128GCM, "AES-128-GCM", GNUTLS_CIPHER_AES_128_GCM },
	{ ENC_AES256GCM, "AES-256-GCM", GNUTLS_CIPHER_AES_256_GCM },
	{ ENC_CHACHA, "CHACHA20-POLY1305", GNUTLS_CIPHER_CHACHA20_POLY1305 },
};

void
suites_text_add(char *to, size_t cap, const char *before, const char *text)
{
	size_t n = strlen(to);

	(void)snprintf(to + n, cap - n, "%s%s", n > 0 ? before : "", text);
}

void
suites_list_add(struct suites_lister *l, const char *text)
{
	if (strlen(l->to) + strlen(text) + 32 > TLS_LIST_SIZE)
		l->more++;
	else
		suites_text_add(l->to, TLS_LIST_SIZE, ", ", text);
}

void
suites_list_end(struct suites_lister *l)
{
	char more[32];

	if (l->more == 0)
		return;
	(void)snprintf(more, sizeof(more), "and %u more", l->more);
	suites_text_add(l->to, TLS_LIST_SIZE, ", ", more);
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

bool
suites_speak(gnutls_priority_t p, gnutls_cipher_algorithm_t cipher,
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
	struct suites_lister l = { ret->list, 0 };
	gnutls_cipher_algorithm_t c;
	gnutls_kx_algorithm_t k;
	const char *name;
	unsigned i = 0;
	bool any = false;

	ret->list[0] = '\0';
	if (has_version(p, GNUTLS_TLS1_3))
		suites_list_add(&l, "TLS1.3");
	if (has_version(p, GNUTLS_TLS1_2))
		suites_list_add(&l, "TLS1.2");
	suites_text_add(ret->list, TLS_LIST_SIZE, "", ": ");
	while (spoken(p, &i, &name, &c, &k)) {
		if (any)
			suites_list_add(&l, name);
		else
			suites_text_add(ret->list, TLS_LIST_SIZE, "", name);
		any = true;
	}
	suites_list_end(&l);
	return any ? 0 : tls_why(why, -EINVAL, "no suite is left that the "
	    "library (GnuTLS %s) has", gnutls_check_version(NULL));
}

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
		return suites_from_list(s->cipher_suite, !modern, why, ret);
	if (custom && !given(s->priority))
		return tls_why(why, -EINVAL,
		    "profile = custom needs priority or cipher_suite");
	if (custom)
		return suites_from_priority(s->priority, why, ret);
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
		r = suites_check_named(p, s->cipher_suite, why);
	if (r == 0)
		*ret = *x;
	if (p != NULL)
		gnutls_priority_deinit(p);
	mem_free(x);
	return r;
}
