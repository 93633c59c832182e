/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of commands (tools/ctl/args.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "args.h"
#include "base/mem.h"

static void
is(const char *object, const char *const *words, const char *wanted)
{
	char *copy[8], why[ARGS_WHY_SIZE] = "";
	json_t *got = NULL, *want = json_loads(wanted, 0, NULL);
	size_t n = 0;

	for (; words[n] != NULL; n++)
		copy[n] = mem_strdup(words[n]);
	assert_int_equal(args_json(object, copy, n, why, &got), 0);
	assert_true(json_equal(got, want));
	while (n > 0)
		mem_free(copy[--n]);
	json_decref(got);
	json_decref(want);
}

static void
refused(const char *object, const char *word, const char *part)
{
	char why[ARGS_WHY_SIZE] = "";
	char *copy = mem_strdup(word == NULL ? "" : word);
	json_t *got = NULL;

	assert_int_equal(args_json(object, &copy, word == NULL ? 0 : 1, why,
	    &got), -EINVAL);
	assert_null(got);
	assert_non_null(strstr(why, part));
	mem_free(copy);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
a_value_is_what_it_reads_as(void **state)
{
	(void)state;
	is(NULL, (const char *const[]){ NULL }, "{}");
	is(NULL, WORDS("a=5", "b=1.5", "c=true", "d=null", "e=x", "f="),
	    "{\"a\":5,\"b\":1.5,\"c\":true,\"d\":null,\"e\":\"x\","
	    "\"f\":\"\"}");
	is(NULL, WORDS("a=05", "b=\"q\"", "c=[1]", "d={}", "e=a=b", "f= 5"),
	    "{\"a\":\"05\",\"b\":\"\\\"q\\\"\",\"c\":\"[1]\","
	    "\"d\":\"{}\",\"e\":\"a=b\",\"f\":\" 5\"}");
}

static void
json_is_asked_for(void **state)
{
	(void)state;
	is(NULL, WORDS("a:=\"5\"", "b:=[1,{\"c\":2}]"),
	    "{\"a\":\"5\",\"b\":[1,{\"c\":2}]}");
	is("{\"x\":{\"y\":1}}", WORDS("a=2"), "{\"x\":{\"y\":1},\"a\":2}");
}

static void
what_is_wrong_is_named(void **state)
{
	(void)state;
	refused(NULL, "alone", "KEY=VALUE");
	refused(NULL, "=x", "KEY=VALUE");
	refused(NULL, ":=5", "KEY=VALUE");
	refused(NULL, "a:=x", "not JSON");
	refused(NULL, "a:={\"b\":1,\"b\":2}", "not JSON");
	refused(NULL, "a=\377", "not UTF-8");
	refused(NULL, "\377=a", "not UTF-8");
	refused("{\"a\":1}", "a=2", "twice");
	refused("[]", NULL, "object");
	refused("{", NULL, "--args");
	refused("", NULL, "--args");
}

static void
short_memory_is_an_error(void **state)
{
	char why[ARGS_WHY_SIZE] = "", word[] = "a=5", *words[] = { word };
	json_t *got = NULL;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(args_json(NULL, words, 1, why, &got), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_null(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_what_it_reads_as),
		cmocka_unit_test(json_is_asked_for),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(short_memory_is_an_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
