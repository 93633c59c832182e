/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that fit the terminal (tools/ctl/grid.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "grid.h"
#include "text.h"

static const struct grid_column heads[] = {
	{ "ID", false, false }, { "NAME", true, false },
	{ "N", false, true }, { "PEER", true, false }
};

static struct grid *
table(void)
{
	static const char *const cells[] = { "a", "a rather long name", "5",
		"192.0.2.1:1000", "bcd", "", "1234", "" };
	struct grid *g = NULL;

	assert_int_equal(grid_new(heads, 4, &g), 0);
	for (size_t i = 0; i < 8; i++)
		grid_cell(g, cells[i], i == 0 ? "32" : NULL);
	return g;
}

static void
prints(struct grid *g, size_t width, bool colour, const char *wanted)
{
	struct grid_look look = { width, colour, true };
	struct text out = { 0 };

	assert_int_equal(grid_print(g, &look, &out), 0);
	assert_string_equal(text_str(&out), wanted);
	text_free(&out);
}

static void
columns_are_as_wide_as_their_data(void **state)
{
	struct grid *g = table();

	(void)state;
	prints(g, 0, false,
	    "ID   NAME                   N  PEER\n"
	    "a    a rather long name     5  192.0.2.1:1000\n"
	    "bcd                      1234\n");
	grid_free(&g);
}

static void
the_last_flexible_column_is_cut_first(void **state)
{
	struct grid *g = table();

	(void)state;
	prints(g, 40, false,
	    "ID   NAME                   N  PEER\n"
	    "a    a rather long name     5  192.0.2.…\n"
	    "bcd                      1234\n");
	prints(g, 30, false,
	    "ID   NAME            N  PEER\n"
	    "a    a rather l…     5  192.0…\n"
	    "bcd               1234\n");
	grid_free(&g);
}

static void
no_line_is_wider_than_the_terminal(void **state)
{
	struct grid *g = table();

	(void)state;
	for (size_t width = 1; width < 60; width++) {
		struct grid_look look = { width, false, true };
		struct text out = { 0 };

		assert_int_equal(grid_print(g, &look, &out), 0);
		for (char *s = out.p; *s != '\0';) {
			size_t n = strcspn(s, "\n");

			s[n] = '\0';
			assert_true(text_width(s) <= width);
			s += n + 1;
		}
		text_free(&out);
	}
	grid_free(&g);
}

static void
colours_take_no_room(void **state)
{
	struct grid *g = table();

	(void)state;
	prints(g, 0, true,
	    "\033[1mID\033[0m   \033[1mNAME\033[0m                   "
	    "\033[1mN\033[0m  \033[1mPEER\033[0m\n"
	    "\033[32ma\033[0m    a rather long name     5  192.0.2.1:1000\n"
	    "bcd                      1234\n");
	grid_free(&g);
}

static void
wide_characters_take_two_columns(void **state)
{
	struct grid *g = NULL;

	(void)state;
	assert_int_equal(grid_new(heads, 2, &g), 0);
	grid_cell(g, "漢字", NULL);
	grid_cell(g, "x\033y", NULL);
	grid_cell(g, "é", NULL);
	grid_cell(g, "漢字漢字漢字", NULL);
	prints(g, 0, false, "ID    NAME\n漢字  x\\x1by\né     漢字漢字漢字\n");
	prints(g, 12, false, "ID    NAME\n漢字  x\\x1by\né     漢字…\n");
	grid_free(&g);
}

static void
rows_can_be_dropped_and_columns_stay(void **state)
{
	struct grid *g = table();

	(void)state;
	assert_int_equal(grid_rows(g), 2);
	grid_clear(g);
	assert_int_equal(grid_rows(g), 0);
	prints(g, 0, false, "ID   NAME                   N  PEER\n");
	grid_free(&g);
}

static void
short_memory_is_an_error(void **state)
{
	struct grid_look look = { 30, true, true };
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		struct grid *g = NULL;
		struct text out = { 0 };

		(void)mem_fail_nth(++n);
		r = grid_new(heads, 4, &g);
		for (int i = 0; r == 0 && i < 100; i++)
			grid_cell(g, "some text", NULL);
		if (r == 0)
			r = grid_print(g, &look, &out);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		text_free(&out);
		grid_free(&g);
		assert_null(g);
	} while (r != 0);
	assert_true(n > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_data),
		cmocka_unit_test(the_last_flexible_column_is_cut_first),
		cmocka_unit_test(no_line_is_wider_than_the_terminal),
		cmocka_unit_test(colours_take_no_room),
		cmocka_unit_test(wide_characters_take_two_columns),
		cmocka_unit_test(rows_can_be_dropped_and_columns_stay),
		cmocka_unit_test(short_memory_is_an_error)
	};

	text_locale();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
