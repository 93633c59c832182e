/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that fit the terminal. */
#include "grid.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "text.h"

#define GAP 2
#define LEAST 6				/* of a flexible column that is cut */
#define ELLIPSIS "…"

struct cell {
	char *text;
	const char *colour;
	size_t width;
};

struct grid {
	const struct grid_column *columns;
	size_t columns_n;
	size_t *natural, *width;	/* of each column; natural only grows */
	struct cell *cells;
	size_t cells_n, cells_cap;
	bool failed;
};

int
grid_new(const struct grid_column *columns, size_t n, struct grid **ret)
{
	struct grid *g = mem_calloc(1, sizeof(*g));

	if (g == NULL)
		return -ENOMEM;
	g->columns = columns;
	g->columns_n = n;
	g->natural = mem_calloc(n, sizeof(*g->natural));
	g->width = mem_calloc(n, sizeof(*g->width));
	if (g->natural == NULL || g->width == NULL) {
		grid_free(&g);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		g->natural[i] = text_width(columns[i].title);
	*ret = g;
	return 0;
}

void
grid_clear(struct grid *g)
{
	for (size_t i = 0; i < g->cells_n; i++)
		mem_free(g->cells[i].text);
	g->cells_n = 0;
}

void
grid_free(struct grid **g)
{
	if (*g == NULL)
		return;
	grid_clear(*g);
	mem_free((*g)->cells);
	mem_free((*g)->natural);
	mem_free((*g)->width);
	mem_free(*g);
	*g = NULL;
}

void
grid_cell(struct grid *g, const char *text, const char *colour)
{
	struct text escaped = { 0 };
	struct cell *c;
	size_t column = g->cells_n % g->columns_n;

	if (g->cells_n == g->cells_cap) {
		size_t cap = g->cells_cap == 0 ? 64 : 2 * g->cells_cap;
		struct cell *p = mem_realloc(g->cells, cap * sizeof(*p));

		if (p == NULL) {
			g->failed = true;
			return;
		}
		g->cells = p;
		g->cells_cap = cap;
	}
	text_escaped(&escaped, text, strlen(text));
	c = &g->cells[g->cells_n];
	c->text = text_take(&escaped);
	if (c->text == NULL) {
		g->failed = true;
		return;
	}
	c->colour = colour;
	c->width = text_width(c->text);
	if (c->width > g->natural[column])
		g->natural[column] = c->width;
	g->cells_n++;
}

size_t
grid_rows(const struct grid *g)
{
	return g->cells_n / g->columns_n;
}

/* Takes what is too much from flexible columns, the last one first. */
static void
settle(struct grid *g, size_t width)
{
	size_t sum = GAP * (g->columns_n - 1);

	for (size_t i = 0; i < g->columns_n; i++) {
		g->width[i] = g->natural[i];
		sum += g->width[i];
	}
	for (size_t i = g->columns_n; width > 0 && i-- > 0 && sum > width;) {
		size_t least = text_width(g->columns[i].title), over;

		if (least < LEAST)
			least = LEAST;
		if (!g->columns[i].flexible || g->width[i] <= least)
			continue;
		over = sum - width;
		if (over > g->width[i] - least)
			over = g->width[i] - least;
		g->width[i] -= over;
		sum -= over;
	}
}

static void
spaces(struct text *to, size_t n)
{
	for (; n > 0; n--)
		text_add(to, " ", 1);
}

/* The text in at most `most` columns.  Returns how many it took. */
static size_t
put_cut(struct text *to, const char *s, size_t most)
{
	size_t n = text_fit(s, most), before = to->n;

	if (most == 0)
		return 0;
	if (s[n] == '\0') {
		text_add(to, s, n);
	} else {
		text_add(to, s, text_fit(s, most - 1));
		text_puts(to, ELLIPSIS);
	}
	return to->failed ? 0 : text_width(to->p + before);
}

struct place {
	struct text *to;
	size_t left;			/* columns of the line */
	bool colour, last;
};

static void
put_cell(struct place *p, const struct grid *g, size_t column,
    const struct cell *c)
{
	size_t most = g->width[column], pad;
	bool painted = p->colour && c->colour != NULL && c->text[0] != '\0';

	if (most > p->left)
		most = p->left;
	pad = c->width < most ? most - c->width : 0;
	if (g->columns[column].right)
		spaces(p->to, pad);
	if (painted)
		text_printf(p->to, "\033[%sm", c->colour);
	pad = most - put_cut(p->to, c->text, most);
	if (painted)
		text_puts(p->to, "\033[0m");
	p->left -= most;
	if (p->last)
		return;
	if (!g->columns[column].right)
		spaces(p->to, pad);
	pad = p->left < GAP ? p->left : GAP;
	spaces(p->to, pad);
	p->left -= pad;
}

static void
put_row(struct grid *g, const struct grid_look *look, const struct cell *row,
    struct text *to)
{
	struct place p = { .to = to, .colour = look->colour,
		.left = look->width == 0 ? SIZE_MAX : look->width };
	size_t n = g->columns_n, sum = GAP * (n - 1);

	for (size_t i = 0; i < n; i++)
		sum += g->width[i];
	if (look->width > 2 && sum > look->width)
		p.left -= 2;		/* for what says that more is there */
	/* Empty cells at the end are no reason for spaces. */
	while (n > 1 && row[n - 1].text[0] == '\0')
		n--;
	for (size_t i = 0; i < n && p.left > 0; i++) {
		p.last = i + 1 == n;
		put_cell(&p, g, i, &row[i]);
	}
	if (look->width > 2 && sum > look->width && p.left == 0)
		text_puts(to, " " ELLIPSIS);
	text_puts(to, "\n");
}

static int
put_heading(struct grid *g, const struct grid_look *look, struct text *to)
{
	struct cell *row = mem_calloc(g->columns_n, sizeof(*row));

	if (row == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < g->columns_n; i++) {
		/* Only read, as the text of any cell. */
		row[i].text = (char *)(uintptr_t)g->columns[i].title;
		row[i].width = text_width(row[i].text);
		row[i].colour = "1";
	}
	put_row(g, look, row, to);
	mem_free(row);
	return 0;
}

int
grid_print(struct grid *g, const struct grid_look *look, struct text *to)
{
	if (g->failed)
		return -ENOMEM;
	settle(g, look->width);
	if (look->heading && put_heading(g, look, to) != 0)
		return -ENOMEM;
	for (size_t i = 0; i + g->columns_n <= g->cells_n; i += g->columns_n)
		put_row(g, look, &g->cells[i], to);
	return to->failed ? -ENOMEM : 0;
}
