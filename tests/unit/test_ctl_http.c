/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP over the control socket, without anybody there (tools/ctl/http.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "http.h"

static int
on_data(void *arg, const char *p, size_t n)
{
	(void)arg, (void)p, (void)n;
	return 0;
}

static void
a_path_that_no_socket_can_have_is_refused(void **state)
{
	char path[200];
	struct http *h = NULL;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(http_new(path, NULL, &h), -ENAMETOOLONG);
	assert_null(h);
}

static void
nobody_there_is_told_as_such(void **state)
{
	const struct http_request q = { .method = "GET", .path = "/v1/status",
		.timeout_ms = 1000 };
	struct http_answer a = { .status = 7 };
	struct http_stream *s = NULL;
	struct http *h = NULL;
	int r;

	(void)state;
	assert_int_equal(http_new("/nowhere/control.sock", NULL, &h), 0);
	assert_int_equal(http_call(h, &q, &a), -ENOENT);
	assert_int_equal(a.status, 7);
	assert_int_equal(http_stream_open(h, "/v1/events", on_data, NULL, &s),
	    0);
	do {
		r = http_stream_turn(s, 100);
	} while (r > 0);
	assert_int_equal(r, -ENOENT);
	http_stream_free(&s);
	http_stream_free(&s);
	http_free(&h);
	http_free(&h);
}

static void
short_memory_is_an_error(void **state)
{
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		struct http *h = NULL;
		struct http_stream *s = NULL;

		(void)mem_fail_nth(++n);
		r = http_new("/nowhere", NULL, &h);
		if (r == 0)
			r = http_stream_open(h, "/v1/events", on_data, NULL,
			    &s);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		http_stream_free(&s);
		http_free(&h);
	} while (r != 0);
	assert_true(n > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_no_socket_can_have_is_refused),
		cmocka_unit_test(nobody_there_is_told_as_such),
		cmocka_unit_test(short_memory_is_an_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
