/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: the list, one of them, and what an operator does to it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "ctl.h"
#include "grid.h"

enum how { AS_TEXT, AS_STATE, AS_TIME, AS_RTT };

struct endpoint_column {
	const char *name, *member;
	enum how how;
	struct grid_column head;
};

#define COLUMN(n, m, h, t, f, r) \
	{ .name = n, .member = m, .how = h, \
	  .head = { .title = t, .flexible = f, .right = r } }

/* In the order in which `endpoint show` has them. */
static const struct endpoint_column known[] = {
	COLUMN("id", "id", AS_TEXT, "ID", false, false),
	COLUMN("name", "name", AS_TEXT, "NAME", true, false),
	COLUMN("group", "group", AS_TEXT, "GROUP", false, false),
	COLUMN("status", "status", AS_STATE, "STATUS", false, false),
	COLUMN("state", "state", AS_STATE, "STATE", false, false),
	COLUMN("reason", "reason", AS_TEXT, "REASON", false, false),
	COLUMN("since", "since", AS_TIME, "SINCE", false, false),
	COLUMN("seen", "last_seen", AS_TIME, "SEEN", false, false),
	COLUMN("until", "asleep_until", AS_TIME, "UNTIL", false, false),
	COLUMN("security", "security", AS_TEXT, "SECURITY", false, false),
	COLUMN("peer", "peer", AS_TEXT, "PEER", true, false),
	COLUMN("listener", "listener", AS_TEXT, "LISTENER", false, false),
	COLUMN("channel", "channel", AS_TEXT, "CHANNEL", false, true),
	COLUMN("connected", "connected", AS_TEXT, "CONNECTED", false, false),
	COLUMN("rtt", "rtt_us", AS_RTT, "RTT", false, true),
	COLUMN("revision", "revision", AS_TEXT, "REVISION", false, true),
	COLUMN("agent", "agent", AS_TEXT, "AGENT", true, false),
	COLUMN("boot", "boot_id", AS_TEXT, "BOOT", true, false),
	COLUMN("mac", "mac", AS_TEXT, "MAC", false, false),
	COLUMN("created", "created", AS_TIME, "CREATED", false, false),
	COLUMN("inventory", "inventory_revision", AS_TEXT, "INVENTORY", false,
	    true),
	COLUMN("telemetry", "telemetry_seq", AS_TEXT, "TELEMETRY", false,
	    true),
	COLUMN("fingerprint", "fingerprint", AS_TEXT, "FINGERPRINT", true,
	    false),
};
#define KNOWN_N (sizeof(known) / sizeof(known[0]))
_Static_assert(KNOWN_N < ENDPOINT_COLUMNS_MAX, "room for an end");

const char *const *
endpoint_column_names(void)
{
	static const char *names[KNOWN_N + 1];

	for (size_t i = 0; i < KNOWN_N; i++)
		names[i] = known[i].name;
	return names;
}

static const struct endpoint_column *
column_of(const char *name, size_t n)
{
	for (size_t i = 0; i < KNOWN_N; i++)
		if (strlen(known[i].name) == n &&
		    memcmp(known[i].name, name, n) == 0)
			return &known[i];
	return NULL;
}

static int
no_such_column(const char *name, size_t n)
{
	char word[64];
	struct nearest near = { .word = word };
	struct text all = { 0 };

	(void)snprintf(word, sizeof(word), "%.*s", (int)n, name);
	for (size_t i = 0; i < KNOWN_N; i++) {
		nearest_try(&near, known[i].name);
		text_printf(&all, "%s%s", i == 0 ? "" : ",", known[i].name);
	}
	if (near.best != NULL)
		say("there is no column \"%s\" (did you mean \"%s\"?)", word,
		    near.best);
	else
		say("there is no column \"%s\"; there are %s", word,
		    text_str(&all));
	text_free(&all);
	return EXIT_USAGE;
}

int
endpoint_columns(const struct ctl *x,
    const struct endpoint_column *to[ENDPOINT_COLUMNS_MAX + 1])
{
	const char *s = x->option[O_COLUMNS];
	size_t n = 0;

	if (s == NULL)
		s = "id,state,status,group,since,seen,security,peer,name";
	for (;;) {
		size_t length = strcspn(s, ",");
		const struct endpoint_column *c = column_of(s, length);

		if (c == NULL)
			return no_such_column(s, length);
		if (n == ENDPOINT_COLUMNS_MAX) {
			say("--columns: at most %d of them",
			    ENDPOINT_COLUMNS_MAX);
			return EXIT_USAGE;
		}
		to[n++] = c;
		if (s[length] == '\0')
			break;
		s += length + 1;
	}
	to[n] = NULL;
	return EXIT_OK;
}

int
endpoint_grid(const struct endpoint_column *const *columns,
    struct grid_column *heads, struct grid **ret)
{
	size_t n = 0;

	for (; columns[n] != NULL; n++)
		heads[n] = columns[n]->head;
	return grid_new(heads, n, ret);
}

/* What the column says of the endpoint; NULL: out of memory. */
static char *
column_text(const struct endpoint_column *c, const json_t *o, bool whole)
{
	char time[TIME_TEXT_SIZE];
	struct text t = { 0 };

	switch (c->how) {
	case AS_TIME:
		if (whole)
			member_time(o, c->member, time);
		else
			member_age(o, c->member, time);
		return mem_strdup(time);
	case AS_RTT:
		if (json_object_get(o, c->member) == NULL)
			return mem_strdup("");
		text_printf(&t, "%.1f ms",
		    (double)member_number(o, c->member) / 1000.0);
		return text_take(&t);
	default:
		return member_text(o, c->member);
	}
}

void
endpoint_row(struct grid *g, const void *columns, const json_t *o)
{
	const struct endpoint_column *const *i = columns;

	for (; *i != NULL; i++) {
		char *text = column_text(*i, o, false);

		grid_cell(g, text == NULL ? "" : text, (*i)->how == AS_STATE ?
		    state_colour(member(o, (*i)->member)) : NULL);
		mem_free(text);
	}
}

void
endpoint_path(const struct ctl *x, size_t page, struct text *t)
{
	text_puts(t, "/v1/endpoints");
	path_limit(t, page);
	path_query(t, "state", x->option[O_STATE]);
	path_query(t, "status", x->option[O_STATUS]);
	path_query(t, "group", x->option[O_GROUP]);
	path_query(t, "prefix", x->option[O_PREFIX]);
}

int
endpoints_run(struct ctl *x)
{
	const struct endpoint_column *columns[ENDPOINT_COLUMNS_MAX + 1];
	struct grid_column heads[ENDPOINT_COLUMNS_MAX];
	struct list l = { .ctl = x, .row = endpoint_row, .how = columns };
	struct text path = { 0 };
	int r = endpoint_columns(x, columns);

	if (r != EXIT_OK)
		return r;
	if (x->option[O_WATCH] != NULL)
		return watch_run(x);
	if (endpoint_grid(columns, heads, &l.grid) != 0)
		return say_memory();
	endpoint_path(x, PAGE, &path);
	r = list_end(&l, api_pages(x, &path, "endpoints", list_row, &l));
	text_free(&path);
	return r;
}

/* ---- one of them -------------------------------------------------------- */

static void
show(struct ctl *x, const json_t *o)
{
	struct text out = { 0 };

	for (size_t i = 0; i < KNOWN_N; i++) {
		const struct endpoint_column *c = &known[i];
		char *text = column_text(c, o, true);

		if (text == NULL)
			out.failed = true;
		else if (text[0] != '\0')
			put_field(x, &out, c->name, text, c->how == AS_STATE ?
			    state_colour(text) : NULL);
		mem_free(text);
	}
	(void)put_text(x, &out);	/* main() says if not */
}

static int
on_one(struct ctl *x, const char *method, const char *rest, json_t *body,
    void (*then)(struct ctl *, const json_t *))
{
	struct text path = { 0 };
	int r;

	path_of(&path, "/v1/endpoints/", x->args[0], rest);
	r = api_show(x, method, &path, body, then);
	text_free(&path);
	return r;
}

int
endpoint_show_run(struct ctl *x)
{
	return on_one(x, "GET", "", NULL, show);
}

int
endpoint_approve_run(struct ctl *x)
{
	return on_one(x, "POST", "/approve", NULL, NULL);
}

int
endpoint_deny_run(struct ctl *x)
{
	return on_one(x, "POST", "/deny", NULL, NULL);
}

int
endpoint_forget_run(struct ctl *x)
{
	return on_one(x, "DELETE", "", NULL, NULL);
}

int
kick_run(struct ctl *x)
{
	return on_one(x, "POST", "/kick", NULL, NULL);
}

static int
change(struct ctl *x, const char *name)
{
	json_t *body = json_pack("{s:s}", name, x->args[1]);

	if (body == NULL) {
		say("%s: the text is not UTF-8", name);
		return EXIT_USAGE;
	}
	return on_one(x, "PATCH", "", body, NULL);
}

int
endpoint_rename_run(struct ctl *x)
{
	return change(x, "name");
}

int
endpoint_group_run(struct ctl *x)
{
	return change(x, "group");
}

int
endpoint_add_run(struct ctl *x)
{
	struct text path = { 0 };
	json_t *body = json_pack("{s:s, s:s*, s:s*}", "id", x->args[0],
	    "name", x->option[O_NAME], "group", x->option[O_GROUP]);
	int r;

	if (body == NULL) {
		say("what is given is not UTF-8");
		return EXIT_USAGE;
	}
	text_puts(&path, "/v1/endpoints");
	r = api_show(x, "POST", &path, body, NULL);
	text_free(&path);
	return r;
}
