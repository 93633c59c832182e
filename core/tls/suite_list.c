/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of ciphers(1).  Unlike there, a word that nobody knows is told,
 * and a name of a suite that nobody knows is an error: it would be missed.
 */
#include "tls/suite_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "tls/snapshot.h"
#include "tls/vendor.h"

#define WORD_MAX 64
#define SEPARATORS ": ;,"

/* One word between separators: "!ECDHE+aRSA". */
struct rule {
	char op;			/* 'a' add, '!', '-', '+' to the end */
	size_t name;			/* a suite; SUITES_MAX: none */
	uint32_t kx, au, enc, mac, ver;	/* all ones: any */
	bool never;			/* nothing fits */
};

static void
odd_add(struct suite_list *l, const char *word, size_t word_n)
{
	size_t n = strlen(l->odd);

	(void)snprintf(l->odd + n, sizeof(l->odd) - n, "%s%.*s",
	    n > 0 ? ", " : "", (int)word_n, word);
}

static void
narrow(uint32_t *have, uint32_t mask)
{
	if (mask != 0)
		*have &= mask;
}

static int
no_such_suite(const char *name, char *why)
{
	struct nearest near = { .word = name };

	for (size_t i = 0; i < suite_table_n; i++)
		nearest_try(&near, suite_table[i].name);
	return tls_why(why, -EINVAL, "cipher_suite: there is no suite %s"
	    "%s%s%s", name, near.best == NULL ? "" : " (did you mean \"",
	    near.best == NULL ? "" : near.best,
	    near.best == NULL ? "" : "\"?)");
}

/* One element of a rule.  1: it means nothing here. */
static int
take_element(struct rule *rule, const char *text, size_t n, char *why)
{
	const struct suite_word *w;
	char word[WORD_MAX + 1];

	if (n == 0 || n > WORD_MAX)
		return tls_why(why, -EINVAL, "cipher_suite: not understood at "
		    "\"%.40s\"", text);
	memcpy(word, text, n);
	word[n] = '\0';
	for (w = suite_words; w->name != NULL; w++) {
		if (strcmp(w->name, word) != 0)
			continue;
		narrow(&rule->kx, w->kx);
		narrow(&rule->au, w->au);
		narrow(&rule->enc, w->enc);
		narrow(&rule->mac, w->mac);
		narrow(&rule->ver, w->ver);
		return 0;
	}
	if (suite_find(word) != SUITES_MAX) {
		if (rule->name != SUITES_MAX &&
		    rule->name != suite_find(word))
			rule->never = true;
		rule->name = suite_find(word);
		return 0;
	}
	if (rule->op == 'a' && strchr(word, '-') != NULL)
		return no_such_suite(word, why);
	if (rule->op == 'a' && strncmp(word, "TLS_", 4) == 0)
		return no_such_suite(word, why);
	rule->never = true;
	return 1;
}

static bool
fits(const struct rule *r, size_t i)
{
	const struct suite *s = &suite_table[i];

	if (r->never || (r->name != SUITES_MAX && r->name != i))
		return false;
	/* A name alone; else TLS 1.3 is none of the list's business. */
	if (s->ver == VER_TLS13)
		return r->name == i;
	return (s->kx & r->kx) != 0 && (s->au & r->au) != 0 &&
	    (s->enc & r->enc) != 0 && (s->mac & r->mac) != 0 &&
	    (s->ver & r->ver) != 0;
}

static void
add(struct suite_list *l, const struct rule *r)
{
	for (size_t i = 0; i < suite_table_n; i++) {
		if (!fits(r, i) || (l->flags[i] & SUITE_KILLED) != 0)
			continue;
		if ((l->flags[i] & SUITE_IN) == 0)
			l->in[l->n++] = (uint16_t)i;
		l->flags[i] &= (uint8_t)~SUITE_OUT;
		l->flags[i] |= SUITE_IN;
		if (r->name == i)
			l->flags[i] |= SUITE_NAMED;
	}
}

static void
take_out(struct suite_list *l, const struct rule *r)
{
	size_t n = 0;

	for (size_t k = 0; k < l->n; k++) {
		if (!fits(r, l->in[k]))
			l->in[n++] = l->in[k];
	}
	l->n = n;
	for (size_t i = 0; i < suite_table_n; i++) {
		if (!fits(r, i))
			continue;
		l->flags[i] &= (uint8_t)~(SUITE_IN | SUITE_NAMED);
		l->flags[i] |= SUITE_OUT;
		if (r->op == '!')
			l->flags[i] |= SUITE_KILLED;
	}
}

/* What fits goes behind the others; both keep their order. */
static void
put_last(struct suite_list *l, const struct rule *r)
{
	uint16_t last[SUITES_MAX];
	size_t n = 0, last_n = 0;

	for (size_t k = 0; k < l->n; k++) {
		if (fits(r, l->in[k]))
			last[last_n++] = l->in[k];
		else
			l->in[n++] = l->in[k];
	}
	memcpy(l->in + n, last, last_n * sizeof(last[0]));
}

static unsigned
bits(size_t i)
{
	switch (suite_table[i].enc) {
	case ENC_AES256GCM:
	case ENC_CHACHA:
	case ENC_AES256CCM:
	case ENC_AES256CCM8:
	case ENC_ARIA256:
	case ENC_AES256:
	case ENC_CAMELLIA256:
		return 256;
	case ENC_3DES:
		return 112;
	case ENC_DES:
		return 56;
	case ENC_NULL:
		return 0;
	default:
		return 128;
	}
}

static void
by_strength(struct suite_list *l)
{
	for (size_t k = 1; k < l->n; k++) {
		uint16_t it = l->in[k];
		size_t to = k;

		for (; to > 0 && bits(l->in[to - 1]) < bits(it); to--)
			l->in[to] = l->in[to - 1];
		l->in[to] = it;
	}
}

/* "@STRENGTH", "@SECLEVEL=N": levels up to 2 ask for less than the policy. */
static void
command(struct suite_list *l, const char *text, size_t n)
{
	static const char level[] = "@SECLEVEL=";

	if (n == 9 && memcmp(text, "@STRENGTH", 9) == 0)
		by_strength(l);
	else if (n != sizeof(level) || memcmp(text, level, n - 1) != 0 ||
	    text[n - 1] < '0' || text[n - 1] > '2')
		odd_add(l, text, n);
}

static int
take_word(struct suite_list *l, const char *text, size_t n, char *why)
{
	struct rule r = { 'a', SUITES_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
	    UINT32_MAX, UINT32_MAX, false };
	const char *p = text, *end = text + n;
	bool odd = false;
	size_t len;
	int err;

	if (*p == '!' || *p == '-' || *p == '+')
		r.op = *p++;
	else if (*p == '@') {
		command(l, text, n);
		return 0;
	}
	for (;;) {
		len = strcspn(p, "+" SEPARATORS);
		len = len < (size_t)(end - p) ? len : (size_t)(end - p);
		err = take_element(&r, p, len, why);
		if (err < 0)
			return err;
		odd = odd || err == 1;
		p += len;
		if (p == end)
			break;
		p++;
	}
	if (odd)
		odd_add(l, text, n);
	else if (r.op == 'a')
		add(l, &r);
	else if (r.op == '+')
		put_last(l, &r);
	else
		take_out(l, &r);
	return 0;
}

int
suite_list_parse(const char *text, char *why, struct suite_list *ret)
{
	struct suite_list l = { .n = 0 };
	size_t n;
	int r;

	if (strlen(text) > SUITE_LIST_TEXT_MAX)
		return tls_why(why, -EINVAL, "cipher_suite: longer than %d "
		    "characters", SUITE_LIST_TEXT_MAX);
	for (;;) {
		text += strspn(text, SEPARATORS);
		if (*text == '\0')
			break;
		/* "!" and "@" begin a word also without a separator. */
		n = 1 + strcspn(text + 1, SEPARATORS "!@");
		r = take_word(&l, text, n, why);
		if (r < 0)
			return r;
		text += n;
	}
	*ret = l;
	return 0;
}
