/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials and one-time tokens.  A secret that was made goes to standard
 * output alone, so that it can be piped to where it belongs; what is said of it
 * goes to standard error.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "ctl.h"
#include "grid.h"
#include "when.h"

/* ---- lists -------------------------------------------------------------- */

/* Members of the object in each column; those in `times` as ages. */
struct members {
	const char *const *names, *const *times;
};

static void
row(struct grid *g, const void *how, const json_t *o)
{
	const struct members *m = how;

	for (const char *const *name = m->names; *name != NULL; name++) {
		char age[WHEN_SIZE];
		char *text;
		bool time = false;

		for (const char *const *t = m->times; *t != NULL; t++)
			time = time || strcmp(*t, *name) == 0;
		member_age(o, *name, age);
		text = time ? NULL : member_text(o, *name);
		grid_cell(g, time ? age : text == NULL ? "" : text, NULL);
		mem_free(text);
	}
}

/* A list that comes whole, without pages. */
static int
list_whole(struct list *l, const struct text *path, const char *name)
{
	json_t *page = NULL, *o;
	size_t i;
	int r = api(l->ctl, "GET", path, NULL, &page);

	json_array_foreach(json_object_get(page, name), i, o)
		if (list_row(l, o) != EXIT_OK)
			break;
	json_decref(page);
	return list_end(l, r);
}

int
credential_list_run(struct ctl *x)
{
	static const struct grid_column heads[] = {
		{ "NUMBER", false, true }, { "KIND", false, false },
		{ "LABEL", true, false }, { "CREATED", false, false },
		{ "EXPIRES", false, false }, { "USED", false, false },
		{ "REVOKED", false, false }, { "FINGERPRINT", true, false }
	};
	static const char *const members[] = { "number", "kind", "label",
		"created", "expires", "used", "revoked", "fingerprint", NULL };
	static const char *const times[] = { "created", "expires", "used",
		NULL };
	static const struct members how = { members, times };
	struct list l = { .ctl = x, .row = row, .how = &how };
	struct text path = { 0 };
	int r;

	if (grid_new(heads, 8, &l.grid) != 0)
		return say_memory();
	path_of(&path, "/v1/endpoints/", x->args[0], "/credentials");
	r = list_whole(&l, &path, "credentials");
	text_free(&path);
	return r;
}

int
enrol_list_run(struct ctl *x)
{
	static const struct grid_column heads[] = {
		{ "NUMBER", false, true }, { "ENDPOINT", true, false },
		{ "GROUP", false, false }, { "CREATED", false, false },
		{ "EXPIRES", false, false }, { "USES LEFT", false, true }
	};
	static const char *const members[] = { "number", "endpoint", "group",
		"created", "expires", "uses_left", NULL };
	static const char *const times[] = { "created", "expires", NULL };
	static const struct members how = { members, times };
	struct list l = { .ctl = x, .row = row, .how = &how };
	struct text path = { 0 };
	int r;

	if (grid_new(heads, 6, &l.grid) != 0)
		return say_memory();
	text_puts(&path, "/v1/enrolment-tokens");
	r = list_whole(&l, &path, "enrolment_tokens");
	text_free(&path);
	return r;
}

/* ---- new ones ----------------------------------------------------------- */

static void
made(struct ctl *x, const json_t *o)
{
	const char *token = member(o, "token");
	struct text out = { 0 };
	char expires[TIME_TEXT_SIZE];

	if (*token != '\0') {
		text_escaped(&out, token, strlen(token));
		text_puts(&out, "\n");
		(void)put_text(x, &out);	/* main() says if not */
	}
	member_time(o, "expires", expires);
	say("number %llu%s%s%s", (unsigned long long)member_number(o,
	    "number"), expires[0] == '\0' ? "" : ", expires ", expires,
	    *token == '\0' ? "" : "; the token is shown this once");
}

/* 64 hexadecimal digits, also as openssl writes them, with colons. */
static int
digest(const struct ctl *x, enum opt o, char to[65])
{
	uint8_t bytes[32];

	if (hex_read_print(x->option[o], bytes, sizeof(bytes)) == 32) {
		hex_write(bytes, sizeof(bytes), to);
		return EXIT_OK;
	}
	say("--%s: 64 hexadecimal digits are expected", ctl_options[o].name);
	return EXIT_USAGE;
}

static int
post(struct ctl *x, const struct text *path, json_t *body)
{
	if (body == NULL) {
		say("what is given is not UTF-8");
		return EXIT_USAGE;
	}
	return api_show(x, "POST", path, body, made);
}

int
credential_add_run(struct ctl *x)
{
	char hex[65], expires[CLOCK_TEXT_SIZE];
	bool key = x->option[O_KEY] != NULL;
	bool certificate = x->option[O_CERTIFICATE] != NULL;
	struct text path = { 0 };
	int r = EXIT_OK;

	if (key && certificate) {
		say("--key or --certificate, not both");
		return EXIT_USAGE;
	}
	if (key || certificate)
		r = digest(x, key ? O_KEY : O_CERTIFICATE, hex);
	if (r == EXIT_OK && x->option[O_EXPIRES] != NULL)
		r = option_time(x, O_EXPIRES, expires);
	if (r != EXIT_OK)
		return r;
	path_of(&path, "/v1/endpoints/", x->args[0], "/credentials");
	r = post(x, &path, json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "kind",
	    key ? "key" : certificate ? "certificate" : "token",
	    "label", x->option[O_LABEL],
	    "expires", x->option[O_EXPIRES] == NULL ? NULL : expires,
	    "public_key", key ? hex : NULL,
	    "sha256", certificate ? hex : NULL));
	text_free(&path);
	return r;
}

int
enrol_token_run(struct ctl *x)
{
	char expires[CLOCK_TEXT_SIZE];
	uint64_t uses = 1;
	struct text path = { 0 };
	int r = EXIT_OK;

	if (x->option[O_EXPIRES] != NULL)
		r = option_time(x, O_EXPIRES, expires);
	if (r == EXIT_OK && x->option[O_USES] != NULL)
		r = option_number(x, O_USES, &uses);
	if (r != EXIT_OK)
		return r;
	text_puts(&path, "/v1/enrolment-tokens");
	r = post(x, &path, json_pack("{s:s*, s:s*, s:s*, s:I}",
	    "endpoint", x->option[O_ENDPOINT], "group", x->option[O_GROUP],
	    "expires", x->option[O_EXPIRES] == NULL ? NULL : expires,
	    "uses", (json_int_t)uses));
	text_free(&path);
	return r;
}

/* ---- away with them ----------------------------------------------------- */

static int
remove_number(struct ctl *x, const char *path)
{
	struct text t = { 0 };
	int r;

	if (strspn(x->args[0], "0123456789") != strlen(x->args[0]) ||
	    x->args[0][0] == '\0') {
		say("%s: its number is expected", x->args[0]);
		return EXIT_USAGE;
	}
	path_of(&t, path, x->args[0], "");
	r = api_show(x, "DELETE", &t, NULL, NULL);
	text_free(&t);
	return r;
}

int
credential_revoke_run(struct ctl *x)
{
	return remove_number(x, "/v1/credentials/");
}

int
enrol_remove_run(struct ctl *x)
{
	return remove_number(x, "/v1/enrolment-tokens/");
}
