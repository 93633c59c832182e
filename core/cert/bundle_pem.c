/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text with armoured blocks in it (RFC 7468, RFC 1421 for DEK-Info).  The label
 * says only whether a block is worth a look; what is in it tells itself.
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"
#define LABEL_SIZE 64

struct block {
	char label[LABEL_SIZE];
	const uint8_t *all;		/* with armour */
	size_t all_n;
	const uint8_t *body;		/* between the armour */
	size_t body_n;
};

static const uint8_t *
find(const uint8_t *p, const uint8_t *end, const char *text)
{
	return p < end ? memmem(p, (size_t)(end - p), text, strlen(text)) :
	    NULL;
}

bool
pem_is(const uint8_t *p, size_t n)
{
	return find(p, p + n, BEGIN) != NULL;
}

/* The next block from *at on: 1, or 0 when there is none. */
static int
next_block(struct gather *g, const uint8_t **at, const uint8_t *end,
    struct block *ret)
{
	const uint8_t *p = find(*at, end, BEGIN), *label, *close, *again;
	size_t n;

	if (p == NULL)
		return 0;
	label = p + strlen(BEGIN);
	close = find(label, end, DASHES);
	n = close == NULL ? LABEL_SIZE : (size_t)(close - label);
	if (n >= LABEL_SIZE || memchr(label, '\n', n) != NULL)
		return gather_fail(g, -EINVAL, "has a line that begins with "
		    "\"%s\" and is no proper PEM line", BEGIN);
	memcpy(ret->label, label, n);
	ret->label[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (ret->label[i] < ' ' || ret->label[i] > '~')
			ret->label[i] = '?';
	}
	ret->all = p;
	ret->body = close + strlen(DASHES);
	close = find(ret->body, end, END);
	again = find(ret->body, end, BEGIN);
	if (close == NULL || (again != NULL && again < close))
		return gather_fail(g, -EINVAL, "is cut off: "
		    "\"%s%s%s\" has no end", BEGIN, ret->label, DASHES);
	ret->body_n = (size_t)(close - ret->body);
	p = find(close + strlen(END), end, DASHES);
	if (p == NULL)
		return gather_fail(g, -EINVAL, "is cut off in the last line of "
		    "\"%s\"", ret->label);
	*at = p + strlen(DASHES);
	ret->all_n = (size_t)(*at - ret->all);
	return 1;
}

/* Lines like "Comment: x" end with an empty one (RFC 1421 4.4). */
static void
skip_headers(struct block *b)
{
	static const char *const empty[] = { "\r\n\r\n", "\n\n" };
	const uint8_t *end = b->body + b->body_n, *p;

	if (memchr(b->body, ':', b->body_n) == NULL)
		return;
	for (size_t i = 0; i < 2; i++) {
		p = find(b->body, end, empty[i]);
		if (p == NULL)
			continue;
		b->body = p + strlen(empty[i]);
		b->body_n = (size_t)(end - b->body);
		return;
	}
}

static int
decode(struct gather *g, const char *what, const uint8_t *p, size_t n)
{
	gnutls_datum_t in = cert_datum(p, n), out = { NULL, 0 };
	int r;

	if (memchr(p, '\0', n) != NULL)
		return gather_fail(g, -EINVAL, "is damaged: %s has NUL bytes "
		    "in it", what);
	r = n == 0 ? GNUTLS_E_BASE64_DECODING_ERROR :
	    gnutls_base64_decode2(&in, &out);
	if (r >= 0 && out.size > 0)
		r = gather_der(g, out.data, out.size, true);
	else if (r == GNUTLS_E_MEMORY_ERROR)
		r = gather_fail(g, -ENOMEM, "out of memory");
	else
		r = gather_fail(g, -EINVAL, "is damaged: %s is not base64",
		    what);
	if (out.data != NULL)
		explicit_bzero(out.data, out.size);
	gnutls_free(out.data);
	return r;
}

/* Labels of what is no certificate and no private key. */
static const struct {
	const char *label, *what;
} others[] = {
	{ "CERTIFICATE REQUEST", "a certificate request: the certificate is "
	    "what the authority made of it" },
	{ "X509 CRL", "a revocation list" },
	{ "PUBLIC KEY", "a public key" },
	{ "EC PARAMETERS", "parameters of a key" },
	{ "DH PARAMETERS", "parameters of a key exchange" },
	{ "PGP ", "OpenPGP material" },
	{ "SSH2 ", "SSH material" },
};

static bool
is_other(struct gather *g, const char *label)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strstr(label, others[i].label) == NULL)
			continue;
		g->other = others[i].what;
		return true;
	}
	if (strstr(label, "CERTIFICATE") != NULL ||
	    strstr(label, "PRIVATE KEY") != NULL ||
	    strncmp(label, "PKCS", 4) == 0 || strcmp(label, "CMS") == 0 ||
	    strcmp(label, "PFX") == 0)
		return false;
	g->other = "something else";
	return true;
}

static int
gather_block(struct gather *g, struct block *b)
{
	char what[LABEL_SIZE + 16];

	if (is_other(g, b->label) || (strstr(b->label, "PRIVATE KEY") != NULL &&
	    gather_passes_keys(g)))
		return 0;
	if (strcmp(b->label, "OPENSSH PRIVATE KEY") == 0)
		return gather_fail(g, -ENOTSUP, "holds a key of OpenSSH's own "
		    "format: convert it with \"ssh-keygen -p -m PEM -f\"");
	if (find(b->body, b->body + b->body_n, "DEK-Info:") != NULL)
		return gather_key_openssl(g, b->all, b->all_n);
	skip_headers(b);
	(void)snprintf(what, sizeof(what), "block \"%s\"", b->label);
	return decode(g, what, b->body, b->body_n);
}

int
gather_pem(struct gather *g, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	struct block b;
	int r;

	while ((r = next_block(g, &p, end, &b)) > 0) {
		r = gather_block(g, &b);
		if (r < 0)
			break;
	}
	return r;
}

/* A SEQUENCE of 256 bytes or more, as everything here is, begins with MII or
 * MIH…MIG; one of BER with MIA. */
bool
base64_is(const uint8_t *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\r' || *p == '\n' ||
	    *p == '\t')) {
		p++;
		n--;
	}
	return n >= 64 && p[0] == 'M' && p[1] >= 'A' && p[1] <= 'I' &&
	    p[2] >= 'A' && p[2] <= 'Z';
}

int
gather_base64(struct gather *g, const uint8_t *p, size_t n)
{
	return decode(g, "the text", p, n);
}
