/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of the control socket: pages and filters (endpoints.c, commands.c,
 * telemetry.c, credentials.c of core/control). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/control_rig.h"
#include "../lib/store_rig.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/telemetry.h"

#define DEVICES 25

static struct control_rig rig;

static int
set_up(void **state)
{
	char body[100];

	(void)state;
	log_set_level(LOG_LVL_ERROR);
	control_rig_init(&rig);
	control_rig_start(&rig);
	for (unsigned i = 0; i < DEVICES; i++) {
		(void)snprintf(body, sizeof(body), "{\"id\":\"d-%02u\","
		    "\"group\":\"%s\"}", i, i % 2 == 0 ? "even" : "odd");
		assert_int_equal(control_rig_status(&rig, "POST",
		    "/v1/endpoints", body, NULL), 201);
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	control_rig_stop(&rig);
	return 0;
}

/* Ids of all pages, "d-00 d-01 | d-02 | "; `key` of each entry. */
static void
pages(const char *target, const char *list, const char *key, char *to,
    size_t cap)
{
	struct control_answer a;
	char at[300];
	const json_t *next, *entry;
	size_t i, n = 0;

	(void)snprintf(at, sizeof(at), "%s", target);
	to[0] = '\0';
	for (;;) {
		control_rig_ask(&rig, "GET", at, NULL, &a);
		assert_int_equal(a.status, 200);
		json_array_foreach(json_object_get(a.json, list), i, entry)
			n += (size_t)snprintf(to + n, cap - n, "%s ",
			    json_string_value(json_object_get(entry, key)));
		n += (size_t)snprintf(to + n, cap - n, "| ");
		assert_true(n < cap);
		next = json_object_get(a.json, "next");
		if (next == NULL)
			break;
		if (json_is_string(next))
			(void)snprintf(at, sizeof(at), "%s&after=%s", target,
			    json_string_value(next));
		else
			(void)snprintf(at, sizeof(at), "%s&after=%lld", target,
			    (long long)json_integer_value(next));
		control_answer_free(&a);
	}
	control_answer_free(&a);
}

static void
has(const char *target, const char *wanted)
{
	char got[2000];

	pages(target, "endpoints", "id", got, sizeof(got));
	assert_string_equal(got, wanted);
}

static void
endpoints_come_in_pages(void **state)
{
	(void)state;
	has("/v1/endpoints?prefix=d-0&limit=4",
	    "d-00 d-01 d-02 d-03 | d-04 d-05 d-06 d-07 | d-08 d-09 | ");
	has("/v1/endpoints?prefix=d-0&limit=5",
	    "d-00 d-01 d-02 d-03 d-04 | d-05 d-06 d-07 d-08 d-09 | ");
	has("/v1/endpoints?prefix=d-2&limit=1000",
	    "d-20 d-21 d-22 d-23 d-24 | ");
	has("/v1/endpoints?after=d-22&limit=10", "d-23 d-24 | ");
	has("/v1/endpoints?after=d-99&limit=10", "| ");
	has("/v1/endpoints?prefix=D&limit=10", "| ");
	has("/v1/endpoints?prefix=d-2&after=d-1&limit=9",
	    "d-20 d-21 d-22 d-23 d-24 | ");
	has("/v1/endpoints?prefix=d-2&after=e&limit=2", "| ");
}

static void
endpoints_are_filtered(void **state)
{
	(void)state;
	has("/v1/endpoints?group=odd&prefix=d-0&limit=3",
	    "d-01 d-03 d-05 | d-07 d-09 | ");
	has("/v1/endpoints?group=none&limit=3", "| ");
	has("/v1/endpoints?state=online&limit=3", "| ");
	has("/v1/endpoints?state=unlinked&prefix=d-2&limit=3",
	    "d-20 d-21 d-22 | d-23 d-24 | ");
	assert_int_equal(control_rig_status(&rig, "POST",
	    "/v1/endpoints/d-07/deny", NULL, NULL), 200);
	has("/v1/endpoints?status=denied&limit=3", "d-07 | ");
	has("/v1/endpoints?status=active&prefix=d-0&group=odd&limit=9",
	    "d-01 d-03 d-05 d-09 | ");
	has("/v1/endpoints?status=pending&limit=3", "| ");
}

static void
a_forgotten_one_is_in_no_page(void **state)
{
	(void)state;
	assert_int_equal(control_rig_status(&rig, "DELETE",
	    "/v1/endpoints/d-03", NULL, NULL), 204);
	has("/v1/endpoints?prefix=d-0&limit=3",
	    "d-00 d-01 d-02 | d-04 d-05 d-06 | d-07 d-08 d-09 | ");
	has("/v1/endpoints?prefix=d-0&after=d-03&limit=9",
	    "d-04 d-05 d-06 d-07 d-08 d-09 | ");
}

static void
commands_come_in_pages(void **state)
{
	char body[200], got[2000];

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		(void)snprintf(body, sizeof(body), "{\"endpoint\":\"d-0%u\","
		    "\"verb\":\"x-a\",\"deadline_ms\":60000,\"id\":\"c-%u\"}",
		    i % 2, i);
		assert_int_equal(control_rig_status(&rig, "POST",
		    "/v1/commands", body, NULL), 201);
	}
	pages("/v1/commands?limit=3", "commands", "id", got, sizeof(got));
	assert_string_equal(got, "c-0 c-1 c-2 | c-3 c-4 c-5 | c-6 | ");
	pages("/v1/commands?limit=7", "commands", "id", got, sizeof(got));
	assert_string_equal(got, "c-0 c-1 c-2 c-3 c-4 c-5 c-6 | ");
	pages("/v1/commands?endpoint=d-01&limit=2", "commands", "id", got,
	    sizeof(got));
	assert_string_equal(got, "c-1 c-3 | c-5 | ");
	assert_int_equal(control_rig_status(&rig, "POST",
	    "/v1/commands/c-3/cancel", NULL, NULL), 202);
	pages("/v1/commands?endpoint=d-01&open=true&limit=9", "commands",
	    "id", got, sizeof(got));
	assert_string_equal(got, "c-1 c-5 | ");
	pages("/v1/commands?endpoint=d-01&open=false&limit=9", "commands",
	    "id", got, sizeof(got));
	assert_string_equal(got, "c-1 c-3 c-5 | ");
	pages("/v1/commands?endpoint=nobody&limit=9", "commands", "id", got,
	    sizeof(got));
	assert_string_equal(got, "| ");
}

/* ---- telemetry, inventory ----------------------------------------------- */

static int
report(struct store_db *db, void *arg)
{
	uint64_t at, cursor;
	int r = 0;

	(void)arg;
	for (uint64_t i = 1; i <= 5 && r == 0; i++)
		r = store_telemetry_put(db, i % 2 == 0 ? "d-00" : "d-01", i, 0,
		    clock_wall_ms(), "[{\"x\":1}]", 9, &at, &cursor);
	if (r == 0)
		r = store_inventory_patch(db, "d-00", "{\"cpu\":\"z80\"}", 13,
		    1000, &at);
	return r;
}

static void
reads(const char *target, const char *entries, json_int_t next, bool missed)
{
	struct control_answer a;
	const json_t *entry;
	char got[200] = "";
	size_t i, n = 0;

	control_rig_ask(&rig, "GET", target, NULL, &a);
	assert_int_equal(a.status, 200);
	json_array_foreach(json_object_get(a.json, "telemetry"), i, entry)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%lld ",
		    (long long)json_integer_value(json_object_get(entry,
		    "cursor")));
	assert_string_equal(got, entries);
	assert_int_equal(json_integer_value(json_object_get(a.json, "next")),
	    next);
	assert_int_equal(json_is_true(json_object_get(a.json, "missed")),
	    missed);
	control_answer_free(&a);
}

static void
telemetry_is_read_by_cursor(void **state)
{
	(void)state;
	assert_int_equal(store_call(rig.store, report, NULL), 0);
	reads("/v1/telemetry", "1 2 3 4 5 ", 5, false);
	reads("/v1/telemetry?limit=2", "1 2 ", 2, false);
	reads("/v1/telemetry?limit=2&after=2", "3 4 ", 4, false);
	reads("/v1/telemetry?limit=2&after=4", "5 ", 5, false);
	reads("/v1/telemetry?after=5", "", 5, false);
	reads("/v1/telemetry?after=5&wait_ms=20", "", 5, false);
	reads("/v1/telemetry?endpoint=d-00", "2 4 ", 4, false);
	reads("/v1/telemetry?endpoint=nobody", "", 0, false);
	reads("/v1/telemetry?after=9223372036854775807", "",
	    INT64_C(9223372036854775807), false);
}

static void
an_inventory_is_known_by_its_tag(void **state)
{
	struct control_answer a;
	int fd = control_rig_dial(&rig);

	(void)state;
	assert_int_equal(store_call(rig.store, report, NULL), 0);
	control_rig_ask(&rig, "GET", "/v1/endpoints/d-00/inventory", NULL, &a);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.head, "ETag: \"1\"\r\n"));
	assert_string_equal(json_string_value(json_object_get(
	    json_object_get(a.json, "inventory"), "cpu")), "z80");
	control_answer_free(&a);
	control_rig_send(&rig, fd, "GET /v1/endpoints/d-00/inventory HTTP/1.1"
	    "\r\nHost: x\r\nIf-None-Match: \"1\"\r\n\r\n");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 304);
	assert_int_equal(a.body_n, 0);
	control_answer_free(&a);
	control_rig_send(&rig, fd, "GET /v1/endpoints/d-00/inventory HTTP/1.1"
	    "\r\nHost: x\r\nIf-None-Match: \"2\"\r\n\r\n");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	(void)close(fd);
	assert_int_equal(control_rig_status(&rig, "GET",
	    "/v1/endpoints/d-01/inventory", NULL, NULL), 404);
}

static void
short_memory_for_a_long_page_is_told(void **state)
{
	static const char *const targets[] = {
		"/v1/endpoints?limit=1000", "/v1/commands?limit=1000",
		"/v1/telemetry", "/v1/endpoints/d-00/inventory",
		"/v1/endpoints/d-00/credentials"
	};
	struct control_answer whole, a;
	char body[200];
	unsigned long n, count;

	(void)state;
	assert_int_equal(store_call(rig.store, report, NULL), 0);
	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(body, sizeof(body), "{\"endpoint\":\"d-00\","
		    "\"verb\":\"x-a\",\"deadline_ms\":60000,\"id\":\"c-%u\"}",
		    i);
		assert_int_equal(control_rig_status(&rig, "POST",
		    "/v1/commands", body, NULL), 201);
		assert_int_equal(control_rig_status(&rig, "POST",
		    "/v1/endpoints/d-00/credentials", "{\"kind\":\"token\"}",
		    NULL), 201);
	}
	control_rig_settle(&rig);
	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		control_rig_ask(&rig, "GET", targets[i], NULL, &whole);
		for (n = count = 1; count + 1 >= n; n++) {
			mem_fail_nth(n);
			control_rig_ask(&rig, "GET", targets[i], NULL, &a);
			count = mem_fail_nth(0);
			/* Whole, or not at all. */
			if (a.status == 200)
				assert_string_equal(a.body, whole.body);
			else if (a.status != 0)
				assert_in_range(a.status, 500, 503);
			assert_true(a.status == 200 || count >= n);
			control_answer_free(&a);
			assert_true(n < 100);
		}
		control_answer_free(&whole);
	}
}

static void
a_token_is_shown_once(void **state)
{
	struct control_answer a;

	(void)state;
	control_rig_ask(&rig, "POST", "/v1/endpoints/d-00/credentials",
	    "{\"kind\":\"token\",\"label\":\"l\"}", &a);
	assert_int_equal(a.status, 201);
	assert_true(strlen(json_string_value(json_object_get(a.json,
	    "token"))) > 20);
	control_answer_free(&a);
	control_rig_ask(&rig, "GET", "/v1/endpoints/d-00/credentials", NULL,
	    &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(json_array_size(json_object_get(a.json,
	    "credentials")), 1);
	assert_null(strstr(a.body, "\"token\":"));
	control_answer_free(&a);
	assert_int_equal(control_rig_status(&rig, "GET",
	    "/v1/endpoints/nobody/credentials", NULL, NULL), 404);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(endpoints_come_in_pages,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(endpoints_are_filtered,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forgotten_one_is_in_no_page,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(commands_come_in_pages,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(telemetry_is_read_by_cursor,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    an_inventory_is_known_by_its_tag, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    short_memory_for_a_long_page_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_token_is_shown_once,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
