/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumption without a key exchange of its own (psk_ke, RFC 8446 4.2.9): a
 * switch apart from the rest of the policy, because it gives something up.
 */
#include "tls/suites.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "tls/snapshot.h"
#include "tls/vendor.h"

/*
 * In this order, and the server's order counts (%SERVER_PRECEDENCE): clients
 * that offer both name psk_dhe_ke first.  PSK alone would switch resumption off
 * for those that offer psk_dhe_ke alone, which are most.
 */
static const char on_text[] =
    ":-PSK:-ECDHE-PSK:-DHE-PSK:+PSK:+ECDHE-PSK:%SERVER_PRECEDENCE";
static const char off_text[] = ":-PSK";

static int
append(char *to, size_t cap, const char *text, char *why)
{
	size_t n = strlen(to);

	if (n + strlen(text) >= cap)
		return tls_why(why, -EINVAL, "priority: it is too long");
	memcpy(to + n, text, strlen(text) + 1);
	return 0;
}

static int
has_psk(const char *priority, char *why, bool *ret)
{
	gnutls_priority_t p = NULL;
	const unsigned int *list;
	int i, n, r;

	r = gnutls_priority_init(&p, priority, NULL);
	if (r < 0)
		return tls_why(why, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM :
		    -EINVAL, "priority: %s", gnutls_strerror(r));
	n = gnutls_priority_kx_list(p, &list);
	*ret = false;
	for (i = 0; i < n; i++)
		*ret |= list[i] == GNUTLS_KX_PSK;
	gnutls_priority_deinit(p);
	return 0;
}

int
tls_suites_psk_ke(struct tls_suites *s, bool on, char *why)
{
	bool has = false;
	int r;

	if (on)
		return append(s->priority, sizeof(s->priority), on_text, why);
	r = has_psk(s->priority, why, &has);
	if (r != 0 || !has)
		return r;
	r = append(s->priority, sizeof(s->priority), off_text, why);
	/* What does not fit there is not told; the list says what is spoken. */
	if (r == 0 && s->dropped[0] != '\0')
		(void)append(s->dropped, sizeof(s->dropped), ", PSK", why);
	else if (r == 0)
		(void)append(s->dropped, sizeof(s->dropped), "PSK", why);
	return r;
}
