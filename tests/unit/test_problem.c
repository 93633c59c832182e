/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/problem.c: problem details (RFC 9457). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/control_priv.h"

static struct control control;
static struct exchange x;

static int
set_up(void **state)
{
	(void)state;
	memset(&control, 0, sizeof(control));
	return worker_init(&control.worker, "test");
}

static int
tear_down(void **state)
{
	(void)state;
	text_fini(&x.text);
	worker_fini(&control.worker);
	return 0;
}

static void
begin(void)
{
	text_fini(&x.text);
	memset(&x, 0, sizeof(x));
	x.control = &control;
	list_init(&x.wait);
	timer_init(&x.timer, NULL);
}

static json_t *
told(void)
{
	json_t *o = json_loadb((const char *)x.text.out.p, x.text.out.n,
	    JSON_REJECT_DUPLICATES, NULL);

	assert_true(json_is_object(o));
	return o;
}

static const char *
text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void
every_problem_has_type_title_status_and_detail(void **state)
{
	json_t *o;

	(void)state;
	for (int p = PROBLEM_MALFORMED; p <= PROBLEM_INTERNAL; p++) {
		begin();
		exchange_problem(&x, (enum problem)p, "m", "what %d", p);
		assert_true(x.ready && x.problem);
		assert_in_range(x.status, 400, 599);
		assert_int_equal(x.status, problem_status((enum problem)p));
		o = told();
		assert_memory_equal(text_of(o, "type"), "urn:cleat:problem:",
		    18);
		assert_true(strlen(text_of(o, "type")) > 18);
		assert_true(strlen(text_of(o, "title")) > 0);
		assert_int_equal(json_integer_value(json_object_get(o,
		    "status")), x.status);
		assert_memory_equal(text_of(o, "detail"), "what ", 5);
		assert_string_equal(text_of(o, "member"), "m");
		json_decref(o);
	}
}

static void
a_problem_replaces_what_was_written_so_far(void **state)
{
	json_t *o;

	(void)state;
	begin();
	assert_true(exchange_text(&x));
	jout_object(&x.text.j, NULL);
	jout_string(&x.text.j, "token", "secret");
	(void)snprintf(x.etag, sizeof(x.etag), "\"1\"");
	(void)snprintf(x.location, sizeof(x.location), "/v1/x");
	exchange_problem(&x, PROBLEM_BUSY, NULL, "later");
	assert_string_equal(x.etag, "");
	assert_string_equal(x.location, "");
	o = told();
	assert_null(json_object_get(o, "token"));
	assert_null(json_object_get(o, "member"));
	assert_string_equal(text_of(o, "remedy"), "try again");
	json_decref(o);
}

/* It may hold anything that a client sent. */
static void
detail_and_member_are_escaped(void **state)
{
	json_t *o;

	(void)state;
	begin();
	exchange_problem(&x, PROBLEM_INVALID, "\"\x01\xff", "%s",
	    "\\\"\n\xc3\xa9\x80");
	o = told();
	assert_string_equal(text_of(o, "member"), "\"\x01\xef\xbf\xbd");
	assert_string_equal(text_of(o, "detail"),
	    "\\\"\n\xc3\xa9\xef\xbf\xbd");
	json_decref(o);
}

static void
a_long_detail_is_cut(void **state)
{
	char text[4000];
	json_t *o;

	(void)state;
	memset(text, '\x01', sizeof(text) - 1);	/* six bytes each */
	text[sizeof(text) - 1] = '\0';
	begin();
	exchange_problem(&x, PROBLEM_INTERNAL, text, "%s", text);
	o = told();
	assert_int_equal(strlen(text_of(o, "detail")), 511);
	assert_int_equal(strlen(text_of(o, "member")), sizeof(text) - 1);
	json_decref(o);
}

static void
an_error_has_its_problem(void **state)
{
	static const struct {
		int error;
		unsigned status;
		const char *type;
	} rows[] = {
		{ -ENOENT, 404, "urn:cleat:problem:not-found" },
		{ -EEXIST, 409, "urn:cleat:problem:exists" },
		{ -EAGAIN, 503, "urn:cleat:problem:busy" },
		{ -EDQUOT, 429, "urn:cleat:problem:limit" },
		{ -ESHUTDOWN, 503, "urn:cleat:problem:stopping" },
		{ -ENOSPC, 503, "urn:cleat:problem:store-failing" },
		{ -EIO, 503, "urn:cleat:problem:store-failing" },
		{ -ENOMEM, 500, "urn:cleat:problem:internal" },
		{ -EINVAL, 500, "urn:cleat:problem:internal" },
	};
	json_t *o;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		exchange_error(&x, rows[i].error, "thing");
		assert_int_equal(x.status, rows[i].status);
		o = told();
		assert_string_equal(text_of(o, "type"), rows[i].type);
		assert_non_null(strstr(text_of(o, "detail"), "thing"));
		json_decref(o);
	}
}

static void
without_memory_there_is_no_text(void **state)
{
	(void)state;
	begin();
	mem_fail_nth(1);
	exchange_problem(&x, PROBLEM_BUSY, NULL, "x");
	assert_int_equal(mem_fail_nth(0), 1);
	assert_true(x.ready && x.problem);
	assert_null(x.text.out.p);
}

static void
a_raw_answer_is_complete(void **state)
{
	char raw[PROBLEM_RAW_MAX], *body;
	unsigned long length;
	json_t *o;
	size_t n;

	(void)state;
	for (int p = PROBLEM_MALFORMED; p <= PROBLEM_INTERNAL; p++) {
		n = problem_raw((enum problem)p, "the request was not "
		    "complete in time", raw);
		assert_int_equal(strlen(raw), n);
		assert_memory_equal(raw, "HTTP/1.1 ", 9);
		body = strstr(raw, "\r\n\r\n") + 4;
		assert_int_equal(sscanf(strstr(raw, "Content-Length"),
		    "Content-Length: %lu", &length), 1);
		assert_int_equal(strlen(body), length);
		o = json_loads(body, 0, NULL);
		assert_int_equal(json_integer_value(json_object_get(o,
		    "status")), problem_status((enum problem)p));
		json_decref(o);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_problem_has_type_title_status_and_detail),
		cmocka_unit_test(a_problem_replaces_what_was_written_so_far),
		cmocka_unit_test(detail_and_member_are_escaped),
		cmocka_unit_test(a_long_detail_is_cut),
		cmocka_unit_test(an_error_has_its_problem),
		cmocka_unit_test(without_memory_there_is_no_text),
		cmocka_unit_test(a_raw_answer_is_complete),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
