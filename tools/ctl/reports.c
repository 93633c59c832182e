/* SPDX-License-Identifier: Apache-2.0 */
/* What devices report, and what happens: telemetry, inventory, events. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "when.h"

#define WAIT "30000"
#define WAIT_MS 30000L

/* ---- telemetry ---------------------------------------------------------- */

static int
put_entry(struct ctl *x, const json_t *o)
{
	struct text out = { 0 };
	char when[WHEN_SIZE] = "";
	int64_t ms;

	if (x->option[O_JSON] != NULL)
		return put_json(x, o);
	if (when_parse(member(o, "received"), &ms) == 0)
		when_local(ms, when);
	text_printf(&out, "%llu  %s  ",
	    (unsigned long long)member_number(o, "cursor"), when);
	text_escaped(&out, member(o, "endpoint"),
	    strlen(member(o, "endpoint")));
	text_printf(&out, "  #%llu  ",
	    (unsigned long long)member_number(o, "seq"));
	text_json(&out, json_object_get(o, "data"));
	text_puts(&out, "\n");
	return put_text(x, &out);
}

/* One page behind *after, which moves on.  *ret_n: how many there were. */
static int
read_page(struct ctl *x, uint64_t *after, bool wait, size_t *ret_n)
{
	struct text path = { 0 };
	struct http_request q = { .method = "GET",
		.timeout_ms = CALL_MS + WAIT_MS };
	json_t *page = NULL, *o;
	char number[24];
	long status = 0;
	size_t i;
	int r;

	(void)snprintf(number, sizeof(number), "%llu",
	    (unsigned long long)*after);
	text_puts(&path, "/v1/telemetry?limit=1000");
	path_query(&path, "after", number);
	path_query(&path, "endpoint", x->args_n > 0 ? x->args[0] : NULL);
	path_query(&path, "wait_ms", wait ? WAIT : NULL);
	q.path = text_str(&path);
	r = path.failed ? -ENOMEM : api_quietly(x, &q, &status, &page);
	text_free(&path);
	if (r != 0)
		return api_failed(x, r);
	r = status == 200 ? EXIT_OK : api_problem(status, page);
	*ret_n = 0;
	if (r == EXIT_OK) {
		const json_t *rows = json_object_get(page, "telemetry");

		if (*after > 0 && json_is_true(json_object_get(page,
		    "missed")))
			say("some of what was behind cursor %s is not kept any "
			    "more", number);
		*ret_n = json_array_size(rows);
		*after = member_number(page, "next");
		json_array_foreach(rows, i, o) {
			r = put_entry(x, o);
			if (r != EXIT_OK)
				break;
		}
	}
	json_decref(page);
	return r;
}

/* Nothing was reported by a device that is not there, either. */
static int
find_endpoint(struct ctl *x)
{
	struct text path = { 0 };
	int r;

	path_of(&path, "/v1/endpoints/", x->args[0], "");
	r = api(x, "GET", &path, NULL, NULL);
	text_free(&path);
	return r;
}

int
telemetry_read_run(struct ctl *x)
{
	bool follow = x->option[O_FOLLOW] != NULL;
	uint64_t after = 0;
	size_t n = 0;
	int r = EXIT_OK;

	if (x->option[O_AFTER] != NULL &&
	    option_number(x, O_AFTER, &after) != EXIT_OK)
		return EXIT_USAGE;
	if (x->args_n > 0)
		r = find_endpoint(x);
	do {
		if (r == EXIT_OK)
			r = read_page(x, &after, follow, &n);
	} while (r == EXIT_OK && (n > 0 || follow));
	return r;
}

/* ---- inventory ---------------------------------------------------------- */

static void
indent(struct text *t, size_t depth)
{
	for (; depth > 0; depth--)
		text_puts(t, "  ");
}

static void
put_tree(struct text *t, json_t *v, size_t depth)
{
	const char *key;
	json_t *value;

	if (!json_is_object(v) || json_object_size(v) == 0) {
		text_puts(t, " ");
		text_json(t, v);
		text_puts(t, "\n");
		return;
	}
	if (depth > 0)
		text_puts(t, "\n");
	json_object_foreach(v, key, value) {
		indent(t, depth);
		text_escaped(t, key, strlen(key));
		text_puts(t, ":");
		put_tree(t, value, depth + 1);
	}
}

static void
show_inventory(struct ctl *x, const json_t *o)
{
	struct text out = { 0 };
	char changed[TIME_TEXT_SIZE];

	member_time(o, "changed", changed);
	text_printf(&out, "# revision %llu, %s\n",
	    (unsigned long long)member_number(o, "revision"), changed);
	put_tree(&out, json_object_get(o, "inventory"), 0);
	(void)put_text(x, &out);	/* main() says if not */
}

int
inventory_show_run(struct ctl *x)
{
	struct text path = { 0 };
	int r;

	path_of(&path, "/v1/endpoints/", x->args[0], "/inventory");
	r = api_show(x, "GET", &path, NULL, show_inventory);
	text_free(&path);
	return r;
}

/* ---- events ------------------------------------------------------------- */

static void
put_part(struct text *t, const char *before, const char *s)
{
	if (*s == '\0')
		return;
	text_puts(t, before);
	text_escaped(t, s, strlen(s));
}

static int
put_event(struct ctl *x, const json_t *o)
{
	const json_t *detail = json_object_get(o, "detail");
	const char *colour = state_colour(member(o, "state"));
	struct text out = { 0 };
	char when[WHEN_SIZE] = "";
	int64_t ms;

	if (when_parse(member(o, "time"), &ms) == 0)
		when_local(ms, when);
	text_puts(&out, when);
	if (x->colour && colour != NULL)
		text_printf(&out, "\033[%sm", colour);
	put_part(&out, "  ", member(o, "event"));
	if (x->colour && colour != NULL)
		text_puts(&out, "\033[0m");
	put_part(&out, "  ", member(o, "endpoint"));
	put_part(&out, "  ", member(o, "reason"));
	put_part(&out, "  ", member(o, "peer"));
	put_part(&out, "  ", member(o, "text"));
	if (detail != NULL) {
		text_puts(&out, "  ");
		text_json(&out, detail);
	}
	text_puts(&out, "\n");
	return put_text(x, &out);
}

static int
on_event(void *arg, const char *event, const char *data)
{
	struct ctl *x = arg;
	json_t *o;
	int r = EXIT_OK;

	if (strcmp(event, "open") == 0)
		return 0;
	o = json_loads(data, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(o)) {
		say("an event that is not JSON");
		r = EXIT_BROKEN;
	} else if (strcmp(event, "gap") == 0) {
		json_t *lost = json_object_get(o, "lost");

		if (json_is_integer(lost))
			say("%llu events are lost: this reader is too slow",
			    (unsigned long long)member_number(o, "lost"));
		else
			say("events are lost");
	} else {
		r = x->option[O_JSON] != NULL ? put_json(x, o) :
		    put_event(x, o);
	}
	json_decref(o);
	return r;
}

int
events_run(struct ctl *x)
{
	struct events *e = NULL;
	int r = events_open(x, x->args_n > 0 ? x->args[0] : NULL, on_event, x,
	    &e);

	if (r != EXIT_OK)
		return r;
	do {
		r = events_turn(e, 1000);
	} while (r < 0);
	events_free(&e);
	return r;
}
