/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses by what the checks say, then by age. */
#include "cert/choose.h"

#include <errno.h>

#include "base/mem.h"
#include "cert/describe.h"

const struct cert_blob *
cert_choose_staple(const struct cert_choose_spec *spec,
    const struct cert_chain *ch)
{
	for (size_t i = 0; i < spec->staples_n; i++) {
		if (cert_staple_fits(ch, spec->staples[i].p,
		    spec->staples[i].n))
			return &spec->staples[i];
	}
	return NULL;
}

/* A staple that is nobody's: the checks say why it is not sent. */
static const struct cert_blob *
misfit(const struct cert_choose_spec *spec, const struct cert_chain *ch,
    size_t n)
{
	for (size_t i = 0; i < spec->staples_n; i++) {
		const struct cert_blob *b = &spec->staples[i];
		bool fits = false;

		for (size_t k = 0; !fits && k < n; k++)
			fits = cert_staple_fits(&ch[k], b->p, b->n);
		if (!fits)
			return b;
	}
	return NULL;
}

static int
judge(const struct cert_chain *ch, const struct cert_choose_spec *spec,
    const struct cert_blob *other, struct cert_choice *ret)
{
	struct cert_check_spec check = spec->check;
	const struct cert_blob *staple = cert_choose_staple(spec, ch);
	int err;

	check.checks &= ~CERT_CHECK_STRAYS;
	check.complete = spec->whole[cert_chain_is_rsa(ch)];
	if (staple == NULL)
		staple = other;
	if (staple != NULL) {
		check.staple = staple->p;
		check.staple_n = staple->n;
	}
	err = cert_check(ch, &check, &ret->found);
	ret->chain = ch;
	return err;
}

static int64_t
began(const struct cert_chain *ch)
{
	struct cert_facts f;

	return cert_describe(ch->crt[0]->crt, &f) < 0 ? INT64_MIN :
	    f.not_before;
}

static bool
is_better(const struct cert_choice *a, const struct cert_choice *than)
{
	if (than->chain == NULL)
		return true;
	if ((a->found.errors == 0) != (than->found.errors == 0))
		return a->found.errors == 0;
	return began(a->chain) > began(than->chain);
}

/* What is served by none: once, with the first that is. */
static void
tell_strays(const struct cert_chain *ch, size_t n,
    const struct cert_choose_spec *spec, struct cert_choice ret[CERT_KINDS])
{
	struct cert_findings *to = NULL;
	const struct cert_chain *of, *first = NULL;

	for (int k = CERT_KINDS - 1; k >= 0; k--) {
		if (ret[k].chain == NULL)
			continue;
		to = &ret[k].found;
		first = ret[k].chain;
	}
	if (to == NULL || spec->check.strays == NULL ||
	    (spec->check.checks & CERT_CHECK_STRAYS) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		of = ret[cert_chain_is_rsa(&ch[i])].chain;
		if (of != NULL && of != &ch[i])
			cert_found(to, "stray", CERT_WARNING, ch[i].crt[0],
			    "has its private key, but is left out: one of its "
			    "kind can be served, and that is certificate %u "
			    "of %.100s", of->crt[0]->from.at,
			    of->crt[0]->from.file);
	}
	cert_check_strays(&spec->check, first, to);
}

int
cert_choose(const struct cert_chain *ch, size_t n,
    const struct cert_choose_spec *spec, struct cert_choice ret[CERT_KINDS])
{
	struct cert_choice *one = mem_calloc(1, sizeof(*one));
	const struct cert_blob *other = misfit(spec, ch, n);
	int kind, err = one == NULL ? -ENOMEM : 0;

	for (int k = 0; k < CERT_KINDS; k++)
		ret[k].chain = NULL;
	for (size_t i = 0; err == 0 && i < n; i++) {
		kind = cert_chain_is_rsa(&ch[i]) ? CERT_KIND_RSA :
		    CERT_KIND_OTHER;
		err = judge(&ch[i], spec, other, one);
		if (err == 0 && is_better(one, &ret[kind]))
			ret[kind] = *one;
	}
	mem_free(one);
	if (err == 0)
		tell_strays(ch, n, spec, ret);
	return err;
}
