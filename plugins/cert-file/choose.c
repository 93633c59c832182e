/* SPDX-License-Identifier: Apache-2.0 */
/* The option `choose`. */
#include "choose.h"

#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "cert/describe.h"

#define SUBJECT "subject="

/* SHA-256 or SHA-1, also with the invisible mark (U+200E) in front that the
 * certificate window of Windows puts there.  The number of bytes, 0 for
 * something else. */
static size_t
thumbprint(const char *text, uint8_t to[32])
{
	size_t n;

	if (strncmp(text, "\xe2\x80\x8e", 3) == 0)
		text += 3;
	n = hex_read_print(text, to, 32);
	return n == 32 || n == 20 ? n : 0;
}

const char *
choose_fault(const char *how)
{
	uint8_t print[32];

	if (how == NULL || strcmp(how, "newest") == 0 ||
	    (strncmp(how, SUBJECT, strlen(SUBJECT)) == 0 &&
	    how[strlen(SUBJECT)] != '\0') || thumbprint(how, print) != 0)
		return NULL;
	return "choose is newest, a thumbprint of 64 or 40 hex digits, or "
	    "subject=NAME";
}

bool
choose_allows(const char *how, const struct cert_chain *ch)
{
	struct cert_facts f;
	uint8_t print[32];
	size_t n;

	if (how == NULL || strcmp(how, "newest") == 0)
		return true;
	if (cert_describe(ch->crt[0]->crt, &f) < 0)
		return false;
	if (strncmp(how, SUBJECT, strlen(SUBJECT)) == 0) {
		how += strlen(SUBJECT);
		return strcasecmp(how, f.subject.cn) == 0 ||
		    strcasecmp(how, f.subject.dn) == 0;
	}
	n = thumbprint(how, print);
	return memcmp(print, n == 32 ? f.sha256 : f.sha1, n) == 0;
}
