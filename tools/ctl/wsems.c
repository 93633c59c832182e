/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of a WS EMS: its comments, groups and types, and the report.
 * Names count without their case, as for the EMS ("appkey" is seen as often
 * as "appKey").
 */
#include "wsems_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/nearest.h"

#define NAME_CUT 64

/* ---- the report -------------------------------------------------------- */

void
wsems_fail(struct importer *m, int error)
{
	if (m->error == 0)
		m->error = error;
}

static void
put_name(struct text *t, const char *name)
{
	text_escaped(t, name, strnlen(name, NAME_CUT));
	if (strlen(name) > NAME_CUT)
		text_puts(t, "...");
}

void
wsems_report(struct importer *m, enum wsems_kind kind, const char *group,
    const char *name, const char *fmt, ...)
{
	static const char *const words[WSEMS_KINDS] = {
		[WSEMS_WEAKENED] = "weakened", [WSEMS_LOST] = "no counterpart",
		[WSEMS_UNKNOWN] = "unknown", [WSEMS_WRONG] = "wrong",
		[WSEMS_CHANGED] = "changed"
	};
	struct text *t = &m->out->report;
	char line[2048];
	unsigned all = 0;
	va_list ap;

	m->out->count[kind]++;
	for (size_t i = 0; i < WSEMS_KINDS; i++)
		all += m->out->count[i];
	if (all > WSEMS_LINES_MAX)
		return;
	text_printf(t, "%s: ", words[kind]);
	if (group != NULL)
		put_name(t, group);
	if (group != NULL && name != NULL)
		text_puts(t, ".");
	if (name != NULL)
		put_name(t, name);
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_puts(t, ": ");
	text_escaped(t, line, strlen(line));
	text_puts(t, "\n");
}

/* ---- groups ------------------------------------------------------------ */

static bool
has_type(const json_t *v, enum wsems_type type)
{
	switch (type) {
	case W_BOOL: return json_is_boolean(v);
	case W_TEXT: return json_is_string(v);
	case W_NUMBER: return json_is_integer(v);
	case W_LIST: return json_is_array(v);
	case W_GROUP: return json_is_object(v);
	}
	return false;
}

static const char *
type_name(enum wsems_type type)
{
	switch (type) {
	case W_BOOL: return "true or false";
	case W_TEXT: return "a text";
	case W_NUMBER: return "a whole number";
	case W_LIST: return "a list in [ ]";
	case W_GROUP: return "a group in { }";
	}
	return "";
}

static void
unknown(struct importer *m, const char *group, const char *key,
    const struct wsems_setting *table)
{
	struct nearest near = { .word = key };

	for (const struct wsems_setting *s = table; s->name != NULL; s++)
		nearest_try(&near, s->name);
	if (near.best != NULL)
		wsems_report(m, WSEMS_UNKNOWN, group, key, "not taken (did "
		    "you mean %s?)", near.best);
	else
		wsems_report(m, WSEMS_UNKNOWN, group, key, "not taken");
}

static void
take(struct importer *m, const char *group, const char *key, json_t *v,
    const struct wsems_setting *s, json_t *to)
{
	if (json_is_null(v))
		return;
	if (s->lost != NULL)
		wsems_report(m, WSEMS_LOST, group, s->name, "%s", s->lost);
	else if (!has_type(v, s->type))
		wsems_report(m, WSEMS_WRONG, group, key, "%s is expected; "
		    "kept: %s", type_name(s->type), s->kept);
	else if (json_object_get(to, s->name) != NULL)
		wsems_report(m, WSEMS_WRONG, group, key, "given twice; kept: "
		    "the first");
	else if (json_object_set(to, s->name, v) != 0)
		wsems_fail(m, -ENOMEM);
}

json_t *
wsems_group(struct importer *m, const char *group, const json_t *o,
    const struct wsems_setting *table)
{
	json_t *to = json_object(), *v;
	const struct wsems_setting *s;
	const char *key;

	if (to == NULL)
		wsems_fail(m, -ENOMEM);
	/* The macro wants an object that is not const, and changes nothing. */
	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		for (s = table; s->name != NULL &&
		    strcasecmp(s->name, key) != 0; s++)
			;
		if (s->name == NULL)
			unknown(m, group, key, table);
		else
			take(m, group, key, v, s, to);
	}
	return to;
}

const char *
wsems_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL || s[strspn(s, " \t")] == '\0' ? NULL : s;
}

bool
wsems_bool(const json_t *o, const char *name, bool otherwise)
{
	const json_t *v = json_object_get(o, name);

	return v == NULL ? otherwise : json_is_true(v);
}

json_int_t
wsems_number(struct importer *m, const char *group, const json_t *o,
    const char *name, json_int_t least, json_int_t most, json_int_t otherwise)
{
	const json_t *v = json_object_get(o, name);
	json_int_t n = json_integer_value(v);

	if (v == NULL)
		return otherwise;
	if (n >= least && n <= most)
		return n;
	wsems_report(m, WSEMS_WRONG, group, name, "%" JSON_INTEGER_FORMAT
	    " to %" JSON_INTEGER_FORMAT " is expected; kept: %"
	    JSON_INTEGER_FORMAT, least, most, otherwise);
	return otherwise;
}

/* ---- the whole --------------------------------------------------------- */

/* Comments become blanks, so that lines and columns of errors stay.  -EINVAL:
 * one has no end. */
static int
blank_comments(char *p, size_t n, char *why)
{
	size_t i = 0, end;
	bool text = false;

	for (; i < n; i++) {
		if (text && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			text = !text;
		if (text || i + 1 >= n || p[i] != '/')
			continue;
		end = i + 2;
		if (p[i + 1] == '/') {
			while (end < n && p[end] != '\n')
				end++;
		} else if (p[i + 1] == '*') {
			while (end + 1 < n && (p[end] != '*' ||
			    p[end + 1] != '/'))
				end++;
			if (end + 1 >= n) {
				(void)snprintf(why, WSEMS_WHY_SIZE, "a "
				    "comment that begins with /* has no end");
				return -EINVAL;
			}
			end += 2;
		} else {
			continue;
		}
		for (; i < end; i++)
			if (p[i] != '\n')
				p[i] = ' ';
		i--;
	}
	return 0;
}

static int
parse(const char *p, size_t n, char *why, json_t **ret)
{
	static const char mark[] = "\xef\xbb\xbf";	/* of Windows */
	json_error_t e;
	json_t *root;
	char *copy;
	int r;

	if (n >= 3 && memcmp(p, mark, 3) == 0) {
		p += 3;
		n -= 3;
	}
	copy = mem_alloc(n + 1);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, p, n);
	copy[n] = '\0';
	r = blank_comments(copy, n, why);
	root = r == 0 ? json_loadb(copy, n, JSON_REJECT_DUPLICATES, &e) : NULL;
	mem_free_wiped(copy, n + 1);
	if (r == 0 && root == NULL && json_error_code(&e) ==
	    json_error_out_of_memory)
		return -ENOMEM;
	if (r == 0 && root == NULL) {
		/* Without its "near ...": that may be a secret. */
		e.text[strcspn(e.text, "\n")] = '\0';
		if (strstr(e.text, " near ") != NULL)
			*strstr(e.text, " near ") = '\0';
		(void)snprintf(why, WSEMS_WHY_SIZE, "line %d, column %d: %s",
		    e.line, e.column, e.text);
		r = -EINVAL;
	} else if (r == 0 && !json_is_object(root)) {
		(void)snprintf(why, WSEMS_WHY_SIZE, "it is no object in { }");
		json_decref(root);
		r = -EINVAL;
	}
	if (r == 0)
		*ret = root;
	return r;
}

static const struct wsems_setting groups[] = {
	{ "ws_servers", W_LIST, "no server", NULL },
	{ "appKey", W_TEXT, "no token", NULL },
	{ "logger", W_GROUP, "log-level = info", NULL },
	{ "http_server", W_GROUP, "no listener", NULL },
	{ "ws_connection", W_GROUP, "the defaults", NULL },
	{ "certificates", W_GROUP, "the defaults: validate, nothing "
	    "self-signed", NULL },
	{ "fips", W_GROUP, "the default: not asked for", NULL },
	{ "proxy", W_GROUP, "no proxy", NULL },
	{ "auto_bind", W_LIST, "no endpoint", NULL },
	{ "duty_cycle", W_GROUP, "", "the channel stays open; a device that "
	    "sleeps announces it" },
	{ "duty_modulation", W_GROUP, "", "the channel stays open; a device "
	    "that sleeps announces it" },
	{ "offline_msg_store", W_GROUP, "", "telemetry waits in state-dir "
	    "(telemetry, telemetry-max) and is acknowledged" },
	{ "file", W_GROUP, "", "there is no file transfer" },
	{ "tunnel", W_GROUP, "", "there are no tunnels" },
	{ .name = NULL }
};

static const struct wsems_setting certificates[] = {
	{ "validate", W_BOOL, "true", NULL },
	{ "allow_self_signed", W_BOOL, "false", NULL },
	{ "disable_hostname_validation", W_BOOL, "false", NULL },
	{ "cert_chain", W_TEXT, "the authorities of the system", NULL },
	{ "client_cert", W_TEXT, "no certificate", NULL },
	{ "key_file", W_TEXT, "no key", NULL },
	{ "key_passphrase", W_TEXT, "no passphrase", NULL },
	{ "cipher_suite", W_TEXT, "what cleat speaks", NULL },
	{ "http_client_ca_certs", W_TEXT, "nothing", NULL },
	{ "fingerprint_allowlist", W_LIST, "nothing", NULL },
	{ "validation_criteria", W_GROUP, "no criteria", NULL },
	{ .name = NULL }
};

int
wsems_import(const char *p, size_t n, const struct wsems_opts *opts,
    char *why, struct wsems *ret)
{
	struct importer m = { .opts = opts, .out = ret, .why = why };
	json_t *file = NULL;
	int r;

	*ret = (struct wsems){ .agent = { .n = 0 } };
	r = parse(p, n, why, &file);
	if (r != 0)
		return r;
	m.root = wsems_group(&m, NULL, file, groups);
	m.certificates = wsems_group(&m, "certificates",
	    json_object_get(m.root, "certificates"), certificates);
	wsems_agent(&m);
	wsems_listener(&m);
	json_decref(m.certificates);
	json_decref(m.root);
	json_decref(file);
	if (ret->agent.failed || ret->listener.failed || ret->report.failed)
		wsems_fail(&m, -ENOMEM);
	return m.error;
}

static void
wipe(struct text *t)
{
	if (t->p != NULL)
		mem_wipe(t->p, t->n);
	text_free(t);
}

void
wsems_fini(struct wsems *w)
{
	wipe(&w->agent);
	wipe(&w->listener);
	text_free(&w->report);
}
