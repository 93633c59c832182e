/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints --watch: on a terminal the first screenful, drawn again when
 * something has changed; else the list, and then a line for each endpoint that
 * changes.  The stream of events comes first, so nothing between it and the
 * list is missed.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "ctl.h"
#include "grid.h"

#define DRAW_MS 500			/* not more often */
#define AGES_MS 5000			/* drawn again for the sake of ages */

struct watch {
	struct ctl *ctl;
	const struct endpoint_column *columns[ENDPOINT_COLUMNS_MAX + 1];
	struct grid_column heads[ENDPOINT_COLUMNS_MAX];
	struct grid *grid;
	struct events *events;
	size_t width, height;		/* of the terminal, as it was drawn */
	size_t rows;			/* of the screen; 0: all */
	bool screen;			/* redrawn; else lines */
	bool opened, dirty, more, headed;
	json_t *changed;		/* ids; an object as a set */
	int exit;
};

/* An event about an endpoint: its state, or that it has become another one. */
static int
on_event(void *arg, const char *event, const char *data)
{
	struct watch *w = arg;
	json_t *o;

	if (strcmp(event, "open") == 0)
		w->opened = true;
	if (strcmp(event, "open") == 0 || strcmp(event, "gap") == 0) {
		w->dirty = true;
		return 0;
	}
	if (strncmp(event, "endpoint.", 9) != 0)
		return 0;
	if (w->screen) {
		w->dirty = true;
		return 0;
	}
	o = json_loads(data, JSON_ALLOW_NUL, NULL);
	if (*member(o, "endpoint") != '\0' && json_object_set_new(w->changed,
	    member(o, "endpoint"), json_true()) != 0)
		w->exit = say_memory();
	json_decref(o);
	return w->exit;
}

static int
print(struct watch *w)
{
	struct ctl *x = w->ctl;
	struct grid_look look = { .width = terminal_width(x),
		.colour = x->colour, .heading = !w->headed };
	struct text table = { 0 }, out = { 0 };

	if (grid_print(w->grid, &look, &table) != 0)
		out.failed = true;
	if (!w->screen) {
		text_add(&out, text_str(&table), table.n);
	} else {
		text_puts(&out, "\033[H");
		for (const char *s = text_str(&table); *s != '\0';) {
			size_t n = strcspn(s, "\n");

			/* Erase before: behind a line as wide as the terminal
			 * the cursor still is on its last character. */
			text_puts(&out, "\033[K");
			text_add(&out, s, n + 1);
			s += n + 1;
		}
		if (w->more)
			text_puts(&out, "\033[K…\n");
		text_puts(&out, "\033[J");
	}
	text_free(&table);
	grid_clear(w->grid);
	w->headed = true;
	return put_text(x, &out);
}

static int
on_row(void *arg, const json_t *o)
{
	struct watch *w = arg;

	if (w->ctl->option[O_JSON] != NULL) {
		w->exit = put_json(w->ctl, o);
		return w->exit;
	}
	if (w->rows > 0 && grid_rows(w->grid) == w->rows) {
		w->more = true;
		return 1;
	}
	endpoint_row(w->grid, w->columns, o);
	if (!w->screen && grid_rows(w->grid) >= PAGE)
		w->exit = print(w);
	return w->exit;
}

/* All of it; what changed meanwhile is in it. */
static int
draw(struct watch *w)
{
	struct ctl *x = w->ctl;
	struct text path = { 0 };
	int r;

	w->dirty = w->more = w->headed = false;
	w->width = terminal_width(x);
	w->height = terminal_height(x);
	/* the heading, "…", and the line the cursor is in */
	w->rows = !w->screen ? 0 : w->height > 4 ? w->height - 3 : 1;
	(void)json_object_clear(w->changed);
	endpoint_path(x, w->rows > 0 && w->rows < PAGE ? w->rows + 1 : PAGE,
	    &path);
	r = api_pages(x, &path, "endpoints", on_row, w);
	text_free(&path);
	if (r == EXIT_OK)
		r = w->exit;
	if (r == EXIT_OK && x->option[O_JSON] == NULL)
		r = print(w);
	return r;
}

static bool
wanted(const struct ctl *x, const json_t *o)
{
	static const struct {
		enum opt option;
		const char *member;
	} filters[] = { { O_STATE, "state" }, { O_STATUS, "status" },
		{ O_GROUP, "group" } };
	const char *prefix = x->option[O_PREFIX];

	for (size_t i = 0; i < 3; i++)
		if (x->option[filters[i].option] != NULL && strcmp(
		    x->option[filters[i].option],
		    member(o, filters[i].member)) != 0)
			return false;
	return prefix == NULL || strncmp(member(o, "id"), prefix,
	    strlen(prefix)) == 0;
}

/* Asks for one that has changed.  Who is not there any more has
 * been forgotten. */
static int
show_changed(struct watch *w, const char *id)
{
	struct ctl *x = w->ctl;
	struct text path = { 0 };
	struct http_request q = { .method = "GET", .timeout_ms = CALL_MS };
	json_t *o = NULL;
	long status;
	int r;

	path_of(&path, "/v1/endpoints/", id, "");
	q.path = text_str(&path);
	r = path.failed ? -ENOMEM : api_quietly(x, &q, &status, &o);
	text_free(&path);
	if (r != 0)
		return api_failed(x, r);
	if (status == 200 && wanted(x, o))
		(void)on_row(w, o);	/* its status is in w->exit */
	else if (status != 200 && status != 404)
		w->exit = api_problem(status, o);
	json_decref(o);
	return w->exit;
}

static int
show_changes(struct watch *w)
{
	const char *id;
	json_t *value, *ids = json_copy(w->changed);
	int r = EXIT_OK;

	if (ids == NULL)
		return say_memory();
	(void)json_object_clear(w->changed);
	json_object_foreach(ids, id, value) {
		r = show_changed(w, id);
		if (r != EXIT_OK)
			break;
	}
	json_decref(ids);
	if (r == EXIT_OK && grid_rows(w->grid) > 0)
		r = print(w);
	return r;
}

static bool
resized(const struct watch *w)
{
	return w->width != terminal_width(w->ctl) ||
	    w->height != terminal_height(w->ctl);
}

static int
watch(struct watch *w)
{
	uint64_t drawn = 0;
	int r = EXIT_OK;

	while (r == EXIT_OK) {
		int turn = events_turn(w->events, DRAW_MS);
		uint64_t now = clock_mono_ms();

		if (turn >= 0)
			return turn;
		if (!w->opened || w->exit != EXIT_OK)
			continue;
		if (w->screen && (now - drawn > AGES_MS || resized(w)))
			w->dirty = true;
		if (w->dirty && (drawn == 0 || now - drawn >= DRAW_MS)) {
			r = draw(w);
			drawn = now;
		} else if (!w->screen && json_object_size(w->changed) > 0) {
			r = show_changes(w);
		}
	}
	return r;
}

int
watch_run(struct ctl *x)
{
	struct watch w = { .ctl = x, .changed = json_object() };
	int r = endpoint_columns(x, w.columns);

	w.screen = x->terminal && x->option[O_JSON] == NULL;
	if (r == EXIT_OK && (w.changed == NULL ||
	    endpoint_grid(w.columns, w.heads, &w.grid) != 0))
		r = say_memory();
	if (r == EXIT_OK)
		r = events_open(x, NULL, on_event, &w, &w.events);
	if (r == EXIT_OK && w.screen) {
		struct text clear = { 0 };

		text_puts(&clear, "\033[2J");
		r = put_text(x, &clear);
	}
	if (r == EXIT_OK)
		r = watch(&w);
	events_free(&w.events);
	grid_free(&w.grid);
	json_decref(w.changed);
	return r;
}
