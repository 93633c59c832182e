/* SPDX-License-Identifier: Apache-2.0 */
/* What stands for a text or a secret of the EMS in a line of our files. */
#include "wsems_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tls/secret.h"
#include "tls/snapshot.h"

#define VALUE_MAX 2500			/* bytes; the agent's file has 64 KiB */
#define CONF_VALUE_MAX 900		/* a line of cleat.conf has 1000 */

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static bool
is_of_windows(const char *s)
{
	bool drive = (s[0] | 32) >= 'a' && (s[0] | 32) <= 'z' && s[1] == ':';

	return strchr(s, '\\') != NULL ||
	    (drive && (s[2] == '/' || s[2] == '\0'));
}

/* Why it cannot be in the file; NULL: it can. */
static const char *
unfit(const char *s, unsigned flags)
{
	size_t max = (flags & WSEMS_CONF) != 0 ? CONF_VALUE_MAX : VALUE_MAX;

	if (has_control(s))
		return "it has a control character";
	if (strlen(s) > max)
		return "it is too long";
	if ((flags & WSEMS_PATH) != 0 && is_of_windows(s))
		return "it is a path of Windows";
	if ((flags & WSEMS_CONF) == 0)
		return NULL;
	if ((flags & WSEMS_PATH) != 0 && s[0] != '/')
		return "the path does not begin with /";
	if (strchr(s, '\\') != NULL)
		return "cleat.conf has no backslashes";
	/* Paths of certificates are elements of lists there. */
	if ((flags & WSEMS_PATH) != 0 && strchr(s, ',') != NULL)
		return "cleat.conf has no paths with commas";
	if (strchr(s, '"') != NULL && strchr(s, '\'') != NULL)
		return "it has quotes of both kinds";
	return NULL;
}

static char *
quoted(struct importer *m, const char *before, const char *s, size_t n,
    unsigned flags)
{
	const char *quote = "";
	struct text t = { 0 };
	char *p;

	if ((flags & WSEMS_CONF) != 0 && memchr(s, '"', n) != NULL)
		quote = "'";
	else if ((flags & WSEMS_CONF) != 0 && n > 0 &&
	    strcspn(s, ";#'\"") < n)
		quote = "\"";
	text_puts(&t, quote);
	text_puts(&t, before);
	text_add(&t, s, n);
	text_puts(&t, quote);
	p = text_take(&t);
	if (p == NULL)
		wsems_fail(m, -ENOMEM);
	return p;
}

char *
wsems_value(struct importer *m, const char *group, const json_t *o,
    const char *name, const char *kept, unsigned flags)
{
	const char *s = wsems_text(o, name), *why;
	size_t n;

	if (s == NULL)
		return NULL;
	s += strspn(s, " \t");
	for (n = strlen(s); strchr(" \t", s[n - 1]) != NULL; n--)
		;
	why = unfit(s, flags);
	if (why == NULL)
		return quoted(m, "", s, n, flags);
	wsems_report(m, WSEMS_WRONG, group, name, "%s; kept: %s", why, kept);
	return NULL;
}

/* ---- secrets ----------------------------------------------------------- */

void
wsems_wipe(char *p)
{
	if (p != NULL)
		mem_free_wiped(p, strlen(p));
}

/* "AES:BASE64", and what later versions write in its place: a name in capital
 * letters and digits, and base64 without anything else. */
static bool
is_encrypted(const char *s)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/=";
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

	if (strncmp(s, "AES:", 4) == 0)
		return true;
	return n >= 3 && s[n] == ':' && strlen(s + n + 1) >= 16 &&
	    s[n + 1 + strspn(s + n + 1, base64)] == '\0';
}

static char *
seal(struct importer *m, const char *group, const char *name, const char *s,
    const char *key)
{
	char why[TLS_WHY_SIZE] = "", *sealed = NULL;
	int r;

	if (strlen(s) > SECRET_MAX) {
		wsems_report(m, WSEMS_WRONG, group, name, "it is too long; "
		    "kept: nothing");
		return NULL;
	}
	r = secret_encrypt(s, strlen(s), key, why, &sealed);
	if (r < 0 && m->error == 0)
		(void)snprintf(m->why, WSEMS_WHY_SIZE, "%s", why);
	if (r < 0)
		wsems_fail(m, r);
	return sealed;
}

char *
wsems_secret(struct importer *m, const char *group, const json_t *o,
    const char *name, const char *key, unsigned flags, bool *ret_plain)
{
	const char *s = json_string_value(json_object_get(o, name)), *why;
	size_t n = s == NULL ? 0 : strlen(s);

	if (n == 0)
		return NULL;
	if (is_encrypted(s)) {
		wsems_report(m, WSEMS_LOST, group, name, "only the EMS can "
		    "decrypt it: give it anew, as cleatctl secret encrypt "
		    "prints it");
		return NULL;
	}
	if (key != NULL)
		return seal(m, group, name, s, key);
	why = unfit(s, flags);
	if (why == NULL && strchr(" \t", s[n - 1]) != NULL)
		why = "it ends in a blank";
	if (why != NULL) {
		wsems_report(m, WSEMS_WRONG, group, name, "%s; kept: nothing, "
		    "give %s to have it encrypted", why,
		    (flags & WSEMS_CONF) != 0 ? "--key-file" : "--state-dir");
		return NULL;
	}
	wsems_report(m, WSEMS_WEAKENED, group, name, "a secret stands in the "
	    "file as it is; %s encrypts it", (flags & WSEMS_CONF) != 0 ?
	    "--key-file" : "--state-dir");
	*ret_plain = true;
	return quoted(m, "plain:", s, n, flags);
}

void
wsems_put(struct text *t, const char *name, const char *value)
{
	if (value != NULL)
		text_printf(t, "%s = %s\n", name, value);
}
