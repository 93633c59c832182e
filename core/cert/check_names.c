/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a certificate is for the names that were configured (RFC 9525,
 * through GnuTLS), as people write them.
 */
#include "cert/check_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define NAME_SIZE 256

/* The common name does not count (RFC 9525 6.3), but for GnuTLS it does where
 * there is no name of DNS. */
static bool
has_dns_name(gnutls_x509_crt_t leaf)
{
	char san[256];
	size_t n;
	int type;

	for (unsigned i = 0; ; i++) {
		n = sizeof(san);
		type = gnutls_x509_crt_get_subject_alt_name(leaf, i, san, &n,
		    NULL);
		if (type == GNUTLS_SAN_DNSNAME)
			return true;
		if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return false;
	}
}

/* As people write them: "[::1]", "a.example.org.", "*.bücher.example". */
static void
normalise(const char *name, char to[NAME_SIZE])
{
	gnutls_datum_t d = { NULL, 0 };
	size_t n = strlen(name);
	bool wild = strncmp(name, "*.", 2) == 0;

	if (n > 2 && name[0] == '[' && name[n - 1] == ']') {
		name++;
		n -= 2;
	} else if (n > 1 && name[n - 1] == '.') {
		n--;
	}
	(void)snprintf(to, NAME_SIZE, "%.*s", (int)(n < NAME_SIZE ? n :
	    NAME_SIZE), name);
	if (wild && gnutls_idna_map(to + 2, (unsigned)strlen(to + 2), &d,
	    0) >= 0)
		(void)snprintf(to, NAME_SIZE, "*.%.*s", (int)d.size, d.data);
	gnutls_free(d.data);
}

static bool
is_for(struct checking *c, const char *name)
{
	gnutls_x509_crt_t leaf = c->ch->crt[0]->crt;
	struct in6_addr address;

	if (strncmp(name, "*.", 2) == 0)
		return cert_has_san(leaf, name);
	if (inet_pton(AF_INET, name, &address) != 1 &&
	    inet_pton(AF_INET6, name, &address) != 1 && !has_dns_name(leaf))
		return false;
	return gnutls_x509_crt_check_hostname2(leaf, name, 0) != 0;
}

void
check_names(struct checking *c)
{
	const char *const *name = c->spec->names;
	char text[NAME_SIZE];

	if (c->leaf.names_n == 0 && !c->spec->client)
		cert_found(c->to, "names", CERT_WARNING, c->ch->crt[0], "has "
		    "no subject alternative names: browsers and many clients "
		    "refuse it; ask for one that has");
	for (; name != NULL && *name != NULL; name++) {
		normalise(*name, text);
		if (is_for(c, text))
			continue;
		cert_found(c->to, "names", CERT_ERROR, c->ch->crt[0], "is not "
		    "for the name %.100s (it is for %.80s): ask for one with "
		    "this name, or correct the configured names", text,
		    c->leaf.names[0] != '\0' ? c->leaf.names :
		    "none, as it has no subject alternative names");
	}
}
