/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificates the listeners serve. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static void
put_times(struct ctl *x, struct text *out, const json_t *c)
{
	static const struct {
		const char *title, *member;
	} row[] = {
		{ "valid from", "not_before" }, { "valid until", "not_after" },
		{ "live since", "live_since" }
	};
	char time[TIME_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		member_time(c, row[i].member, time);
		if (time[0] != '\0')
			put_field(x, out, row[i].title, time, NULL);
	}
}

/* Whose it is, by whom, until when; the leaf first. */
static void
put_chain(struct ctl *x, struct text *out, const json_t *chain)
{
	char title[32], time[TIME_TEXT_SIZE];
	struct text line = { 0 };
	const json_t *c;
	size_t i;

	json_array_foreach(chain, i, c) {
		(void)snprintf(title, sizeof(title), "chain %zu", i + 1);
		member_time(c, "not_after", time);
		text_printf(&line, "%s, issued by %s, until %s",
		    member(c, "subject"), member(c, "issuer"), time);
		out->failed |= line.failed;
		put_field(x, out, title, text_str(&line), NULL);
		text_clear(&line);
	}
	text_free(&line);
}

/* How many are open that were shown this one, or one before it. */
static void
put_channels(struct ctl *x, struct text *out, const json_t *c)
{
	long long before = json_integer_value(json_object_get(c,
	    "channels_before"));
	const json_t *on_it = json_object_get(c, "channels");
	char text[96];

	if (on_it != NULL)
		(void)snprintf(text, sizeof(text), "%lld began on it, %lld on "
		    "a previous one", (long long)json_integer_value(on_it),
		    before);
	else
		(void)snprintf(text, sizeof(text), "%lld began on a previous "
		    "one", before);
	put_field(x, out, "channels", text, NULL);
}

static void
put_certificate(struct ctl *x, struct text *out, const json_t *c)
{
	static const char *const members[] = {
		"source", "subject", "issuer", "names", "key", "sha256",
		"sha1"
	};
	char time[TIME_TEXT_SIZE];

	put_field(x, out, "slot", member(c, "slot"), NULL);
	if (!json_is_true(json_object_get(c, "present")))
		put_field(x, out, "certificate", "none", "31");
	else if (json_is_true(json_object_get(c, "self_signed")))
		put_field(x, out, "certificate", "self-signed", "33");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (member(c, members[i])[0] != '\0')
			put_field(x, out, members[i], member(c, members[i]),
			    NULL);
	}
	put_chain(x, out, json_object_get(c, "chain"));
	put_times(x, out, c);
	put_channels(x, out, c);
	if (member(c, "error")[0] == '\0')
		return;
	member_time(c, "error_time", time);
	put_field(x, out, "last error", member(c, "error"), NULL);
	put_field(x, out, "that was", time, NULL);
}

/* An empty line between them. */
static int
put_all(struct ctl *x, const json_t *list, const char *slot)
{
	struct text out = { 0 };
	const json_t *c;
	size_t i, n = 0;
	int r = EXIT_OK;

	json_array_foreach(list, i, c) {
		if (slot != NULL && strcmp(slot, member(c, "slot")) != 0)
			continue;
		n++;
		if (x->option[O_JSON] != NULL) {
			r = put_json(x, c);
			if (r != EXIT_OK)
				return r;
			continue;
		}
		text_puts(&out, n > 1 ? "\n" : "");
		put_certificate(x, &out, c);
	}
	if (n == 0 && slot != NULL) {
		text_free(&out);
		say("there is no slot %s", slot);
		return EXIT_NOT_FOUND;
	}
	(void)put_text(x, &out);	/* main() says if not */
	return EXIT_OK;
}

int
cert_run(struct ctl *x)
{
	struct text path = { 0 };
	json_t *v = NULL;
	int r;

	text_puts(&path, "/v1/status");
	r = api(x, "GET", &path, NULL, &v);
	text_free(&path);
	if (r == EXIT_OK)
		r = put_all(x, json_object_get(v, "certificates"),
		    x->args_n > 0 ? x->args[0] : NULL);
	json_decref(v);
	return r;
}
