/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (tools/ctl/sse.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "sse.h"

static struct text got;

static void
note(void *arg, const char *event, const char *data)
{
	(void)arg;
	text_printf(&got, "<%s|%s>", event, data);
}

/* In pieces of `step` bytes. */
static int
feed(const char *s, size_t step)
{
	struct sse e = { 0 };
	size_t n = strlen(s);
	int r = 0;

	text_clear(&got);
	for (size_t i = 0; i < n && r == 0; i += step)
		r = sse_feed(&e, s + i, n - i < step ? n - i : step, note,
		    NULL);
	sse_free(&e);
	return r;
}

static void
is_read_as(const char *s, const char *wanted)
{
	for (size_t step = 1; step <= strlen(s); step++) {
		assert_int_equal(feed(s, step), 0);
		assert_string_equal(text_str(&got), wanted);
	}
	text_free(&got);
}

static void
events_are_read_in_any_pieces(void **state)
{
	(void)state;
	is_read_as("event: open\ndata: {\"a\":1}\n\n: still there\n\n"
	    "id: 7-1\nevent: x\ndata: {}\n\n", "<open|{\"a\":1}><x|{}>");
	is_read_as("event: x\r\ndata: a\r\ndata: b\r\n\r\n", "<x|a\nb>");
	is_read_as("data: a\r\rdata:b\n\n", "<message|a><message|b>");
}

static void
what_has_no_data_or_no_end_is_no_event(void **state)
{
	(void)state;
	is_read_as("event: x\n\ndata: a", "");
	is_read_as("event: x\n\ndata: a\n\n", "<message|a>");
	is_read_as("other: x\ndata\n\n", "<message|>");
}

static void
a_line_and_an_event_have_a_limit(void **state)
{
	static char block[64 * 1024];
	struct sse e = { 0 };
	int r = 0;
	unsigned n = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	while (r == 0 && n++ < 100)
		r = sse_feed(&e, block, sizeof(block), note, NULL);
	assert_int_equal(r, -EMSGSIZE);
	sse_free(&e);
	memcpy(block, "data: ", 6);
	block[sizeof(block) - 1] = '\n';
	for (r = 0, n = 0; r == 0 && n < 100; n++)
		r = sse_feed(&e, block, sizeof(block), note, NULL);
	assert_int_equal(r, -EMSGSIZE);
	sse_free(&e);
}

static void
short_memory_is_an_error(void **state)
{
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		(void)mem_fail_nth(++n);
		r = feed("event: open\ndata: {}\n\n", 5);
		if (r == 0 && got.failed)
			r = -ENOMEM;	/* of this test */
		(void)mem_fail_nth(0);
		text_free(&got);
		assert_true(r == 0 || r == -ENOMEM);
	} while (r != 0);
	assert_true(n > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_read_in_any_pieces),
		cmocka_unit_test(what_has_no_data_or_no_end_is_no_event),
		cmocka_unit_test(a_line_and_an_event_have_a_limit),
		cmocka_unit_test(short_memory_is_an_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
