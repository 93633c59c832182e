/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of any length: one object a line as JSON, or a table that is printed
 * piece by piece, so that a large fleet needs no more memory than a small one.
 */
#include "ctl.h"
#include "grid.h"

/* A piece of a table; in the next one columns may be wider, never narrower. */
#define ROWS 1000

static int
print(struct list *l)
{
	struct grid_look look = { .width = terminal_width(l->ctl),
		.colour = l->ctl->colour, .heading = !l->headed };
	struct text out = { 0 };

	if (grid_print(l->grid, &look, &out) != 0)
		out.failed = true;
	grid_clear(l->grid);
	l->headed = true;
	return put_text(l->ctl, &out);
}

int
list_row(void *arg, const json_t *o)
{
	struct list *l = arg;

	if (l->ctl->option[O_JSON] != NULL) {
		l->exit = put_json(l->ctl, o);
		return l->exit;
	}
	l->row(l->grid, l->how, o);
	if (grid_rows(l->grid) >= ROWS)
		l->exit = print(l);
	return l->exit;
}

int
list_end(struct list *l, int r)
{
	if (r == EXIT_OK)
		r = l->exit;
	if (r == EXIT_OK && l->ctl->option[O_JSON] == NULL &&
	    (!l->headed || grid_rows(l->grid) > 0))
		r = print(l);
	grid_free(&l->grid);
	return r;
}
