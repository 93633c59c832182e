/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A priority string of the operator's, narrowed to what our policy has.  What
 * he named himself and cannot have is an error; what a keyword brought along is
 * only dropped.
 */
#include "tls/suites_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tls/policy.h"
#include "tls/vendor.h"

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
    struct suites_lister *dropped, char *why, struct tls_suites *ret)
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
		suites_text_add(ret->priority, sizeof(ret->priority), ":-",
		    word);
		suites_list_add(dropped, word);
	}
	return 0;
}

/* A cipher by its name, after which nothing takes it out,
 * that the library's own policy has switched off. */
static int
check_had(gnutls_priority_t p, const char *asked, char *why)
{
	char out[40];

	for (size_t c = 0; c < SUITES_CIPHERS; c++) {
		(void)snprintf(out, sizeof(out), "-%s", suites_ciphers[c].text);
		if (asks_for(asked, suites_ciphers[c].text) &&
		    strstr(asked, out) == NULL &&
		    strstr(asked, "-CIPHER-ALL") == NULL &&
		    !suites_speak(p, suites_ciphers[c].id, GNUTLS_KX_UNKNOWN))
			return tls_why(why, -EINVAL, "priority: %s cannot be "
			    "had from the library", suites_ciphers[c].text);
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

int
suites_from_priority(const char *asked, char *why, struct tls_suites *ret)
{
	struct suites_lister dropped = { ret->dropped, 0 };
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
	suites_list_end(&dropped);
	gnutls_priority_deinit(p);
	return r;
}
