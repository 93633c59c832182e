/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/commands: asked of channel/command, read from the store. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "control/exchange.h"
#include "control/stream.h"
#include "store/commands.h"

static const char *const states[] = {
	[COMMAND_QUEUED] = "queued", [COMMAND_ACCEPTED] = "accepted",
	[COMMAND_OK] = "ok", [COMMAND_ERROR] = "error",
	[COMMAND_EXPIRED] = "expired", [COMMAND_CANCELLED] = "cancelled",
	[COMMAND_INTERRUPTED] = "interrupted"
};

/* ---- one command as JSON ----------------------------------------------- */

static size_t
row_size(const struct store_command *c)
{
	return 2048 + strlen(c->args) + strlen(c->result) +
	    6 * (strlen(c->message) + strlen(c->by) + strlen(c->verb));
}

/* An object that is left open: the rest is only known on the control thread. */
static void
write_command(struct text *t, const struct store_command *c)
{
	struct json_out *j = &t->j;

	if (text_room(t, row_size(c)) != 0) {
		j->failed = true;
		return;
	}
	jout_object(j, NULL);
	jout_string(j, "id", c->id);
	jout_string(j, "endpoint", c->endpoint);
	jout_uint(j, "order", c->order);
	jout_string(j, "verb", c->verb);
	jout_raw(j, "args", c->args, strlen(c->args));
	jout_string(j, "by", c->by);
	put_time(j, "created", c->created_ms);
	put_time(j, "deadline", c->deadline_ms);
	put_time(j, "changed", c->changed_ms);
	jout_string(j, "state", states[c->state]);
	put_bool(j, "final", c->state >= COMMAND_OK);
	put_bool(j, "cancelling", c->cancelling);
	if (c->result[0] != '\0')
		jout_raw(j, "result", c->result, strlen(c->result));
	put_text(j, "message", c->message);
}

/* What makes one look differ from the next. */
static void
command_tag(char *to, size_t cap, const struct store_command *c,
    uint64_t progress)
{
	(void)snprintf(to, cap, "%d-%lld-%d-%llu", (int)c->state,
	    (long long)c->changed_ms, c->cancelling ? 1 : 0,
	    (unsigned long long)progress);
}

static void
write_progress(struct json_out *j, const struct progress *p)
{
	char number[32];

	jout_object(j, "progress");
	if (p->percent >= 0 && p->percent <= 100) {
		(void)snprintf(number, sizeof(number), "%.1f", p->percent);
		jout_raw(j, "percent", number, strlen(number));
	}
	put_text(j, "text", p->text);
	jout_object_end(j);
}

/* ---- GET /v1/commands/{id} --------------------------------------------- */

static void
on_one(void *ctx, const struct store_command *c)
{
	struct exchange *x = ctx;

	write_command(&x->text, c);
	x->final = c->state >= COMMAND_OK;
	command_tag(x->tag, sizeof(x->tag), c, 0);
}

static int
show_run(struct exchange *x, struct store_db *db)
{
	return store_command_get(db, x->id, on_one, x);
}

/* The count of progress takes the place of the tag's last 0. */
static void
finish_show(struct exchange *x)
{
	const struct progress *p = progress_of(x->control, x->id);

	if (p == NULL || x->final)
		return;
	(void)snprintf(strrchr(x->tag, '-') + 1, 24, "%llu",
	    (unsigned long long)p->count);
	if (text_room(&x->text, 512 + 6 * PROGRESS_TEXT_MAX) != 0) {
		x->text.j.failed = true;
		return;
	}
	write_progress(&x->text.j, p);
}

static void
show_then(struct exchange *x, int error)
{
	const char *seen = param_of(x, "seen");

	if (error != 0) {
		exchange_error(x, error, x->id);
		return;
	}
	finish_show(x);
	if (x->first_tag[0] == '\0')
		(void)snprintf(x->first_tag, sizeof(x->first_tag), "%s",
		    seen == NULL ? x->tag : seen);
	if (!x->final && x->wanted == 200 &&
	    strcmp(x->first_tag, x->tag) == 0 && wait_more(x))
		return;
	if (text_room(&x->text, 256) != 0)
		x->text.j.failed = true;
	jout_string(&x->text.j, "tag", x->tag);
	jout_object_end(&x->text.j);
	exchange_answer(x, x->wanted);
}

static void
look(struct exchange *x)
{
	if (exchange_text(x))
		exchange_store(x, show_run, show_then, true);
}

void
command_show(struct exchange *x)
{
	uint64_t ms;

	if (!param_number(x, "wait_ms", 0, 0, 60000, &ms))
		return;
	x->wanted = 200;
	wait_begin(x, ms, look);
	look(x);
}

/* ---- GET /v1/commands -------------------------------------------------- */

static bool
on_row(void *ctx, const struct store_command *c)
{
	struct exchange *x = ctx;
	char tag[80];

	if (x->found == x->limit || x->text.out.n > PAGE_BYTES) {
		x->more = true;
		return false;
	}
	write_command(&x->text, c);
	command_tag(tag, sizeof(tag), c, 0);
	jout_string(&x->text.j, "tag", tag);
	jout_object_end(&x->text.j);
	x->found++;
	x->number = c->order;
	return !x->text.j.failed;
}

static int
list_run(struct exchange *x, struct store_db *db)
{
	const char *open = param_of(x, "open");
	struct store_command_filter f = {
		.endpoint = param_of(x, "endpoint"), .after = x->number,
		.open_only = open != NULL && strcmp(open, "true") == 0,
		.limit = (unsigned)x->limit + 1
	};
	int r;

	if (f.endpoint == NULL)
		f.endpoint = "";
	jout_object(&x->text.j, NULL);
	jout_array(&x->text.j, "commands");
	r = store_command_list(db, &f, on_row, x);
	if (r == 0)
		r = text_room(&x->text, 256);
	if (r != 0)
		return r;
	jout_array_end(&x->text.j);
	if (x->more)
		jout_uint(&x->text.j, "next", x->number);
	jout_object_end(&x->text.j);
	return 0;
}

static void
list_then(struct exchange *x, int error)
{
	if (error != 0)
		exchange_error(x, error, "commands");
	else
		exchange_answer(x, 200);
}

void
commands_list(struct exchange *x)
{
	const char *open = param_of(x, "open");

	if (!id_param_valid(x, "endpoint") ||
	    !param_number(x, "after", 0, 0, INT64_MAX, &x->number) ||
	    !param_number(x, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, &x->limit))
		return;
	if (open != NULL && strcmp(open, "true") != 0 &&
	    strcmp(open, "false") != 0) {
		exchange_problem(x, PROBLEM_INVALID, "open",
		    "open: true or false is expected");
		return;
	}
	if (exchange_text(x))
		exchange_store(x, list_run, list_then, true);
}

/* ---- POST -------------------------------------------------------------- */

/* On the control thread, when it is durable. */
static void
on_added(struct command_added *a)
{
	struct exchange *x = CT_CONTAINER(a, struct exchange, added);
	struct control *c = x->control;

	c->out--;
	if (a->error == -EALREADY) {
		exchange_problem(x, PROBLEM_FINAL, NULL,
		    "%s has its outcome already", x->id);
	} else if (a->error != 0) {
		exchange_error(x, a->error, a->id[0] != '\0' ? a->id :
		    "command");
	} else {
		if (a->id[0] != '\0')
			(void)snprintf(x->id, sizeof(x->id), "%s", a->id);
		if (x->wanted == 201)
			(void)snprintf(x->location, sizeof(x->location),
			    "/v1/commands/%s", x->id);
		look(x);
	}
	control_is_idle(c);
}

static void
begin(struct exchange *x, unsigned wanted)
{
	x->wanted = wanted;
	x->added = (struct command_added){
		.fn = on_added, .home = &x->control->worker.mailbox
	};
	x->control->out++;
}

static void
refuse(struct exchange *x, int error, const char *what, const char *why)
{
	x->control->out--;
	if (error == -EINVAL)
		exchange_problem(x, PROBLEM_INVALID, NULL, "%s", why);
	else if (error == -EALREADY)
		exchange_problem(x, PROBLEM_FINAL, NULL,
		    "%s has its outcome already", what);
	else
		exchange_error(x, error, what);
}

/* The text of the args; "{}" without.  NULL: no memory.  Not by json_dumps():
 * that of jansson 2.14 drops a key when memory is short. */
static char *
dump_args(const json_t *args)
{
	size_t n = args == NULL ? 0 : json_dumpb(args, NULL, 0, JSON_COMPACT);
	char *text;

	if (n == 0)
		return args == NULL ? mem_strdup("{}") : NULL;
	text = mem_alloc(n + 1);
	if (text != NULL && json_dumpb(args, text, n, JSON_COMPACT) != n) {
		mem_free(text);
		return NULL;
	}
	if (text != NULL)
		text[n] = '\0';
	return text;
}

void
command_post(struct exchange *x)
{
	static const struct member members[] = {
		{ "endpoint", JSON_STRING, true },
		{ "verb", JSON_STRING, true },
		{ "deadline_ms", JSON_INTEGER, true },
		{ "args", JSON_OBJECT, false }, { "id", JSON_STRING, false },
		{ NULL, JSON_NULL, false }
	};
	struct command_request q = { .id = "" };
	char why[256] = "", by[24], *args;
	json_t *m[5];
	json_int_t ms;
	int r;

	if (!body_members(x, members, m))
		return;
	ms = json_integer_value(m[2]);
	if (ms < 1 || ms > INT64_C(1) << 40) {
		exchange_problem(x, PROBLEM_INVALID, "deadline_ms",
		    "deadline_ms: milliseconds from now on are expected");
		return;
	}
	args = dump_args(m[3]);
	if (args == NULL) {
		exchange_error(x, -ENOMEM, "args");
		return;
	}
	(void)snprintf(by, sizeof(by), "uid:%u", x->client->uid);
	q.endpoint = json_string_value(m[0]);
	q.verb = json_string_value(m[1]);
	q.args = args;
	if (m[4] != NULL)
		q.id = json_string_value(m[4]);
	q.by = by;
	q.deadline_ms = clock_wall_ms() + ms;
	begin(x, 201);
	r = m[4] != NULL && q.id[0] == '\0' ? -EINVAL :
	    command_add(x->control->deps.commands, &q, why, &x->added);
	mem_free(args);
	if (r != 0)
		refuse(x, r, r == -ENOENT ? q.endpoint : r == -EEXIST ? q.id :
		    "command", why[0] != '\0' ? why : "id: 1 to 64 of A-Z a-z "
		    "0-9 . _ - are expected");
}

void
command_cancel_it(struct exchange *x)
{
	int r;

	begin(x, 202);
	r = command_cancel(x->control->deps.commands, x->id, &x->added);
	if (r != 0)
		refuse(x, r, x->id, "");
}
