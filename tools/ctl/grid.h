/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: columns as wide as what is in them, and the whole no wider than the
 * terminal.  What does not fit is cut with an ellipsis, in the last flexible
 * column first.  No I/O.  Thread: main only.
 */
#ifndef CT_CTL_GRID_H
#define CT_CTL_GRID_H

#include <stdbool.h>
#include <stddef.h>

struct text;
struct grid;

struct grid_column {
	const char *title;		/* outlives the table */
	bool flexible;
	bool right;			/* numbers */
};

/* The columns outlive the table.  -ENOMEM. */
int grid_new(const struct grid_column *, size_t n, struct grid **ret);
/* The next cell, row by row; the text is escaped.  `colour`: the parameters of
 * SGR, or NULL; outlives the table. */
void grid_cell(struct grid *, const char *text, const char *colour);
size_t grid_rows(const struct grid *);
/* Drops the rows; columns stay as wide as they were. */
void grid_clear(struct grid *);
/* `width` 0: as wide as it is.  -ENOMEM, also for a cell that found none. */
struct grid_look {
	size_t width;
	bool colour, heading;
};
int grid_print(struct grid *, const struct grid_look *, struct text *to);
void grid_free(struct grid **);

#endif
