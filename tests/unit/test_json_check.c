/* SPDX-License-Identifier: Apache-2.0 */
/* What is one JSON object and what is not (RFC 8259). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_check.h"

/* Without a byte behind the text, so that a sanitizer sees reading past it. */
static int
check(const char *text)
{
	size_t n = strlen(text);
	char *p = malloc(n > 0 ? n : 1);
	int err;

	assert_non_null(p);
	memcpy(p, text, n);
	err = json_check_object(p, n);
	free(p);
	return err;
}

static void
objects_are_taken(void **state)
{
	static const char *const good[] = {
		"{}", " \t\r\n{ } ", "{\"a\":1}", "{\"a\":-0.5e+10,\"b\":[]}",
		"{\"a\":[1,2,{\"b\":null}],\"c\":{\"d\":true,\"e\":false}}",
		"{\"\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
		"{\"\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\"}",
		"{\"a\":{},\"b\":[[],[[]]]}", "{\"a\":0,\"a\":1E2}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (check(good[i]) != 0)
			fail_msg("%s", good[i]);
	}
}

static void
anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "}", "[]", "1", "\"a\"", "null", "{}{}", "{}x",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}",
		"{\"a\":1 \"b\":2}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":]}",
		"{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":1e}",
		"{\"a\":+1}", "{\"a\":-}", "{\"a\":tru}", "{\"a\":True}",
		"{\"a\":\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}",
		"{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800\\u0041\"}",
		"{\"a\":\"\n\"}", "{\"a\":\"\x80\"}", "{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xe0\x80\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xe2\x82\"}",
		"{\"a\":\"\\u12", "{\"a\":\"\\", "{\"a\":1}/**/",
		"{\"a\":NaN}", "\xef\xbb\xbf{}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (check(bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(json_check_object("{\"a\":\"\0\"}", 9), -EINVAL);
	assert_int_equal(json_check_object("{\"a\":\"\\\0\"}", 10), -EINVAL);
}

static void
depth_is_counted(void **state)
{
	static const struct {
		unsigned depth;
		const char *text;
	} texts[] = {
		{ 0, "" }, { 0, "12" }, { 0, "\"[[{\"" }, { 1, "[]" },
		{ 1, "{\"a\":\"\\\"[[\"}" }, { 2, "[[],[],{}]" },
		{ 3, "{\"a\":[1,{\"[\":\"\\\\\"}],\"b\":[]}" }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(json_depth(texts[i].text), texts[i].depth);
}

static void
depth_is_limited(void **state)
{
	char text[4 * JSON_CHECK_DEPTH + 16];

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		unsigned arrays = JSON_CHECK_DEPTH - 1 + extra, n = 0;

		memcpy(text, "{\"a\":", 5);
		n = 5;
		memset(text + n, '[', arrays);
		n += arrays;
		text[n++] = '0';
		memset(text + n, ']', arrays);
		n += arrays;
		text[n++] = '}';
		assert_int_equal(json_check_object(text, n),
		    extra == 0 ? 0 : -EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_taken),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(depth_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
