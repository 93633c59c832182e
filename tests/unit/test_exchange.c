/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/control/exchange.c and the handlers behind it, through libmicrohttpd:
 * from the target to the handler, limits, roles, and every allocation failing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/control_rig.h"
#include "base/log.h"
#include "base/mem.h"

static struct control_rig rig;

static int
set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LVL_ERROR);
	control_rig_init(&rig);
	control_rig_start(&rig);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	control_rig_stop(&rig);
	return 0;
}

static void
says(const char *method, const char *target, const char *body,
    unsigned status, const char *kind)
{
	char got[32];
	unsigned s = control_rig_status(&rig, method, target, body, got);

	if (s != status || strcmp(got, kind) != 0)
		fail_msg("%s %s %s: %u %s", method, target,
		    body == NULL ? "" : body, s, got);
}

/* ---- from the target to the handler ------------------------------------- */

static void
a_path_and_its_method_lead_to_a_handler(void **state)
{
	struct control_answer a;
	char target[200];

	(void)state;
	says("GET", "/v1/status", NULL, 200, "");
	says("GET", "/", NULL, 404, "no-such-path");
	says("GET", "/v1/status/", NULL, 404, "no-such-path");
	says("GET", "/v1/stat", NULL, 404, "no-such-path");
	says("GET", "/v1/endpoints/", NULL, 404, "no-such-path");
	says("GET", "/v1/endpoints/a/b", NULL, 404, "no-such-path");
	says("GET", "/v1/endpoints/a/inventory/", NULL, 404, "no-such-path");
	says("GET", "/v1/endpoints/none", NULL, 404, "not-found");
	says("GET", "*", NULL, 400, "malformed");
	(void)snprintf(target, sizeof(target), "/v1/endpoints/%0129d", 1);
	says("GET", target, NULL, 404, "not-found");
	control_rig_ask(&rig, "PUT", "/v1/endpoints/a", NULL, &a);
	assert_int_equal(a.status, 405);
	assert_non_null(strstr(a.head,
	    "\r\nAllow: GET, PATCH, DELETE\r\n"));
	control_answer_free(&a);
	says("get", "/v1/status", NULL, 405, "method-not-allowed");
}

static void
parameters_are_known_and_given_once(void **state)
{
	(void)state;
	says("GET", "/v1/endpoints?limit=1&prefix=a", NULL, 200, "");
	says("GET", "/v1/endpoints?limit=1&limit=1", NULL, 400, "invalid");
	says("GET", "/v1/endpoints?Limit=1", NULL, 400, "unknown-member");
	says("GET", "/v1/endpoints?=", NULL, 400, "unknown-member");
	says("GET", "/v1/status?x=1", NULL, 400, "unknown-member");
	says("GET", "/v1/endpoints?limit", NULL, 400, "malformed");
	says("GET", "/v1/endpoints/%00", NULL, 400, "malformed");
}

static void
a_body_is_one_json_object_where_one_is_wanted(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "[]", "\"a\"", "null", "{} {}", "{\"a\":}",
		"{\"level\":\"info\",\"level\":\"info\"}", "{\"\\u0000\":1}",
		"{\"level\":\"\xff\"}", "{\"level\":1e999}",
	};
	struct control_answer a;
	int fd;

	(void)state;
	says("PUT", "/v1/log-level", "{\"level\":\"error\"}", 200, "");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		says("PUT", "/v1/log-level", bad[i], 400, "malformed");
	says("PUT", "/v1/log-level", NULL, 415, "unsupported-media-type");
	says("PUT", "/v1/log-level", "{\"level\":1}", 400, "invalid");
	says("PUT", "/v1/log-level", "{\"level\":\"loud\"}", 400, "invalid");
	says("POST", "/v1/reload", "{}", 400, "malformed");
	fd = control_rig_dial(&rig);
	control_rig_send(&rig, fd, "PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n"
	    "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 415);
	control_answer_free(&a);
	/* The connection is kept. */
	control_rig_send(&rig, fd, "PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n"
	    "Content-Type: Application/JSON; charset=utf-8\r\n"
	    "Content-Length: 17\r\n\r\n{\"level\":\"error\"}");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 200);
	control_answer_free(&a);
	(void)close(fd);
}

static void
nesting_does_not_exhaust_the_stack(void **state)
{
	char body[4001];

	(void)state;
	memset(body, '[', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	says("PUT", "/v1/log-level", body, 400, "malformed");
}

static void
a_body_has_at_most_request_size(void **state)
{
	struct control_answer a;
	char body[4200], text[4500];
	int fd;

	(void)state;
	memset(body, ' ', sizeof(body));
	memcpy(body, "{\"level\":\"error\"}", 17);
	body[4096] = '\0';
	says("PUT", "/v1/log-level", body, 200, "");
	body[4096] = ' ';
	body[4097] = '\0';
	says("PUT", "/v1/log-level", body, 413, "too-large");
	/* It is said before the body comes. */
	fd = control_rig_dial(&rig);
	control_rig_send(&rig, fd, "PUT /v1/log-level HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 4097\r\n\r\n");
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 413);
	control_answer_free(&a);
	(void)close(fd);
	/* Without a length it is counted. */
	fd = control_rig_dial(&rig);
	(void)snprintf(text, sizeof(text), "PUT /v1/log-level HTTP/1.1\r\n"
	    "Host: x\r\nContent-Type: application/json\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n1001\r\n%s\r\n0\r\n\r\n", body);
	control_rig_send(&rig, fd, text);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 413);
	control_answer_free(&a);
	(void)close(fd);
}

static void
a_header_has_at_most_16_kib(void **state)
{
	static char text[20000];
	struct control_answer a;
	size_t n;
	int fd = control_rig_dial(&rig);

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "GET /v1/status HTTP/1.1\r\n"
	    "Host: x\r\nX: ");
	memset(text + n, 'x', 17000);
	(void)snprintf(text + n + 17000, 10, "\r\n\r\n");
	control_rig_send(&rig, fd, text);
	control_rig_answer(&rig, fd, &a);
	assert_int_equal(a.status, 431);
	control_answer_free(&a);
	(void)close(fd);
}

static unsigned
as(enum control_role role, const char *request)
{
	struct control_answer a;
	unsigned status;
	int fd = control_rig_dial(&rig);

	control_rig_role(&rig, role);
	control_rig_send(&rig, fd, request);
	control_rig_answer(&rig, fd, &a);
	status = a.status;
	control_answer_free(&a);
	(void)close(fd);
	return status;
}

static void
a_role_is_needed_before_anything_is_read(void **state)
{
	static const char get[] = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char put[] = "PUT /v1/log-level?x=1 HTTP/1.1\r\n"
	    "Host: x\r\nContent-Length: 1\r\n\r\n[";

	(void)state;
	assert_int_equal(as(CONTROL_NOBODY, get), 403);
	assert_int_equal(as(CONTROL_VIEWER, get), 200);
	assert_int_equal(as(CONTROL_OPERATOR, get), 200);
	assert_int_equal(as(CONTROL_NOBODY, put), 403);
	assert_int_equal(as(CONTROL_VIEWER, put), 403);
	assert_int_equal(as(CONTROL_OPERATOR, put), 400);
}

static void
every_change_needs_an_operator(void **state)
{
	char text[200];

	(void)state;
	for (const struct route *r = control_routes; r->method != NULL; r++) {
		assert_int_equal(r->role, strcmp(r->method, "GET") == 0 ?
		    CONTROL_VIEWER : CONTROL_OPERATOR);
		(void)snprintf(text, sizeof(text), "%s %.*sa%s HTTP/1.1\r\n"
		    "Host: x\r\nContent-Length: 0\r\n\r\n", r->method,
		    (int)strcspn(r->path, "{"), r->path,
		    strchr(r->path, '}') == NULL ? "" :
		    strchr(r->path, '}') + 1);
		if (strchr(r->path, '{') == NULL)
			(void)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\n"
			    "Host: x\r\nContent-Length: 0\r\n\r\n",
			    r->method, r->path);
		assert_int_equal(as(CONTROL_NOBODY, text), 403);
		if (r->role == CONTROL_OPERATOR)
			assert_int_equal(as(CONTROL_VIEWER, text), 403);
	}
}

static void
requests_and_refusals_are_counted(void **state)
{
	struct control *c = atomic_load(&rig.control);

	(void)state;
	says("GET", "/v1/status", NULL, 200, "");
	says("GET", "/nothing", NULL, 404, "no-such-path");
	says("GET", "/v1/status?x=1", NULL, 400, "unknown-member");
	assert_int_equal(atomic_load(&c->counters.requests), 3);
	assert_int_equal(atomic_load(&c->counters.requests_refused), 2);
}

/* ---- the handlers ------------------------------------------------------- */

static void
members_of_each_request_are_checked(void **state)
{
	static const struct {
		const char *method, *target, *body;
	} bad[] = {
		{ "POST", "/v1/endpoints", "{}" },
		{ "POST", "/v1/endpoints", "{\"id\":\"\"}" },
		{ "POST", "/v1/endpoints", "{\"id\":\"a/b\"}" },
		{ "POST", "/v1/endpoints", "{\"id\":\"a\",\"name\":\"\\n\"}" },
		{ "POST", "/v1/endpoints", "{\"id\":\"a\",\"group\":\"a b\"}" },
		{ "PATCH", "/v1/endpoints/a", "{}" },
		{ "PATCH", "/v1/endpoints/a", "{\"name\":null}" },
		{ "POST", "/v1/endpoints/a/credentials", "{\"kind\":\"x\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"token\",\"sha256\":\"00\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"token\",\"public_key\":\"00\"}" },
		{ "POST", "/v1/endpoints/a/credentials", "{\"kind\":\"key\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"key\",\"public_key\":\"00\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"certificate\",\"sha256\":\"zz3456789012345678"
		    "901234567890123456789012345678901234567890123456\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"token\",\"label\":\"\\u0007\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"token\",\"expires\":\"tomorrow\"}" },
		{ "POST", "/v1/endpoints/a/credentials",
		    "{\"kind\":\"token\",\"expires\":"
		    "\"2001-01-01T00:00:00Z\"}" },
		{ "POST", "/v1/enrolment-tokens", "{\"uses\":0}" },
		{ "POST", "/v1/enrolment-tokens", "{\"uses\":1000001}" },
		{ "POST", "/v1/enrolment-tokens", "{\"uses\":-1}" },
		{ "POST", "/v1/enrolment-tokens", "{\"endpoint\":\"\"}" },
		{ "POST", "/v1/enrolment-tokens", "{\"group\":\"/\"}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\"}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"x-a\",\"deadline_ms\":0}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"x-a\",\"deadline_ms\":9223372036854775807}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"dance\",\"deadline_ms\":1000}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"x-a\",\"deadline_ms\":1000,\"id\":\"\"}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"x-a\",\"deadline_ms\":1000,\"id\":\"a b\"}" },
		{ "POST", "/v1/commands", "{\"endpoint\":\"a\","
		    "\"verb\":\"x-a\",\"deadline_ms\":1000,\"args\":[]}" },
		{ "POST", "/v1/drain", "{}" },
		{ "POST", "/v1/drain", "{\"window_ms\":-1}" },
		{ "POST", "/v1/drain", "{\"window_ms\":86400001}" },
		{ "POST", "/v1/drain", "{\"window_ms\":1,\"why\":\"fun\"}" },
		{ "POST", "/v1/drain", "{\"window_ms\":1,\"servers\":[1]}" },
		{ "POST", "/v1/drain",
		    "{\"window_ms\":1,\"servers\":[\"http://a\"]}" },
		{ "POST", "/v1/drain",
		    "{\"window_ms\":1,\"servers\":[\"wss://\"]}" },
		{ "POST", "/v1/drain",
		    "{\"window_ms\":1,\"servers\":[\"wss://a,b\"]}" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		says(bad[i].method, bad[i].target, bad[i].body, 400,
		    "invalid");
	assert_int_equal(rig.errands, 0);
}

static void
words_and_numbers_of_parameters_are_checked(void **state)
{
	static const char *const bad[] = {
		"/v1/endpoints?state=odd", "/v1/endpoints?state=",
		"/v1/endpoints?status=odd", "/v1/endpoints?after=a/b",
		"/v1/endpoints?prefix=a%20b", "/v1/endpoints?group=/",
		"/v1/endpoints?limit=0", "/v1/endpoints?limit=1001",
		"/v1/commands?open=yes", "/v1/commands?after=-1",
		"/v1/commands?after=9223372036854775808",
		"/v1/commands?endpoint=/", "/v1/commands?limit=x",
		"/v1/commands/a?wait_ms=60001", "/v1/telemetry?limit=0",
		"/v1/telemetry?wait_ms=x", "/v1/telemetry?endpoint=a/b",
		"/v1/telemetry?after=-",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		says("GET", bad[i], NULL, 400, "invalid");
	says("DELETE", "/v1/credentials/x", NULL, 404, "not-found");
	says("DELETE", "/v1/credentials/9223372036854775808", NULL, 404,
	    "not-found");
	says("DELETE", "/v1/enrolment-tokens/0x1", NULL, 404, "not-found");
}

static void
servers_of_a_drain_are_handed_on(void **state)
{
	char body[4000] = "{\"window_ms\":1,\"servers\":[\"wss://a\"";

	(void)state;
	says("POST", "/v1/drain", "{\"window_ms\":86400000,\"servers\":"
	    "[\"wss://a/x\",\"ws://[::1]:8080/\"],\"why\":\"moved\"}", 202, "");
	assert_string_equal(rig.servers, "wss://a/x,ws://[::1]:8080/");
	assert_int_equal(rig.window_ms, 86400000);
	for (unsigned i = 0; i < 16; i++)
		(void)strncat(body, ",\"wss://b\"", sizeof(body) -
		    strlen(body) - 1);
	(void)strncat(body, "]}", sizeof(body) - strlen(body) - 1);
	says("POST", "/v1/drain", body, 400, "invalid");
	rig.errand_error = -EINVAL;
	says("POST", "/v1/reload", NULL, 422, "refused");
	rig.errand_error = -ESHUTDOWN;
	says("POST", "/v1/reload", NULL, 503, "stopping");
	says("POST", "/v1/drain", "{\"window_ms\":1}", 503, "stopping");
}

static void
an_upgrade_is_asked_for_and_told_of(void **state)
{
	struct control_answer a;
	json_t *u;

	(void)state;
	control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
	u = json_object_get(a.json, "upgrade");
	assert_string_equal(json_string_value(json_object_get(u, "state")),
	    "none");
	assert_null(json_object_get(u, "since"));
	control_answer_free(&a);
	rig.upgrade.state = CONTROL_UPGRADE_STARTING;
	rig.upgrade.at_ms = 1000;
	control_rig_ask(&rig, "POST", "/v1/upgrade",
	    "{\"binary\":\"/usr/sbin/cleatd\"}", &a);
	assert_int_equal(a.status, 202);
	assert_int_equal(json_integer_value(json_object_get(a.json, "epoch")),
	    7);
	u = json_object_get(a.json, "upgrade");
	assert_string_equal(json_string_value(json_object_get(u, "state")),
	    "starting");
	assert_string_equal(json_string_value(json_object_get(u, "since")),
	    "1970-01-01T00:00:01.000Z");
	control_answer_free(&a);
	assert_string_equal(rig.binary, "/usr/sbin/cleatd");
	says("POST", "/v1/upgrade", "{}", 202, "");
	assert_string_equal(rig.binary, "");
}

static void
an_upgrade_that_is_refused_says_why(void **state)
{
	static const char line[] = "the next process has another layout";
	struct control_answer a;
	char body[4300];
	json_t *u;

	(void)state;
	says("POST", "/v1/upgrade", NULL, 415, "unsupported-media-type");
	says("POST", "/v1/upgrade", "{\"binary\":\"cleatd\"}", 400,
	    "invalid");
	says("POST", "/v1/upgrade", "{\"binary\":\"\"}", 400, "invalid");
	says("POST", "/v1/upgrade", "{\"path\":\"/x\"}", 400,
	    "unknown-member");
	assert_int_equal(rig.errands, 0);
	rig.rules.request_max = sizeof(body);
	control_set_rules(atomic_load(&rig.control), &rig.rules);
	(void)snprintf(body, sizeof(body), "{\"binary\":\"/%04095d\"}", 1);
	says("POST", "/v1/upgrade", body, 400, "invalid");
	assert_int_equal(rig.errands, 0);
	rig.errand_error = -EINVAL;
	rig.upgrade.state = CONTROL_UPGRADE_REFUSED;
	(void)snprintf(rig.upgrade.why, sizeof(rig.upgrade.why), "%s", line);
	control_rig_ask(&rig, "POST", "/v1/upgrade", "{}", &a);
	assert_int_equal(a.status, 422);
	assert_string_equal(json_string_value(json_object_get(a.json,
	    "detail")), line);
	control_answer_free(&a);
	control_rig_ask(&rig, "GET", "/v1/status", NULL, &a);
	u = json_object_get(a.json, "upgrade");
	assert_string_equal(json_string_value(json_object_get(u, "why")),
	    line);
	control_answer_free(&a);
	rig.errand_error = -ESHUTDOWN;
	says("POST", "/v1/upgrade", "{}", 503, "stopping");
}

static void
a_stopped_store_is_told(void **state)
{
	(void)state;
	store_stop(rig.store);
	says("GET", "/v1/endpoints", NULL, 503, "stopping");
	says("GET", "/v1/telemetry?wait_ms=1000", NULL, 503, "stopping");
	says("POST", "/v1/endpoints", "{\"id\":\"a\"}", 503, "busy");
	says("POST", "/v1/enrolment-tokens", "{}", 503, "busy");
	says("GET", "/v1/status", NULL, 200, "");
}

/* ---- every allocation fails once ---------------------------------------- */

static const struct attempt {
	/* %u: the attempt, so that each has things of its own; but in the
	 * target of a DELETE the number in the answer before, if it has one. */
	const char *before_method, *before_target, *before_body;
	const char *method, *target, *body;
	unsigned status;
} attempts[] = {
	{ NULL, NULL, NULL, "GET", "/v1/status", NULL, 200 },
	{ NULL, NULL, NULL, "GET", "/v1/endpoints?limit=2", NULL, 200 },
	{ NULL, NULL, NULL, "GET", "/v1/endpoints/e", NULL, 200 },
	{ NULL, NULL, NULL, "PATCH", "/v1/endpoints/e",
	    "{\"name\":\"n%u\",\"group\":\"g\"}", 200 },
	{ "POST", "/v1/endpoints", "{\"id\":\"d%u\"}",
	    "DELETE", "/v1/endpoints/d%u", NULL, 204 },
	{ NULL, NULL, NULL, "POST", "/v1/endpoints",
	    "{\"id\":\"p%u\",\"name\":\"n\"}", 201 },
	{ "POST", "/v1/endpoints", "{\"id\":\"y%u\"}",
	    "POST", "/v1/endpoints/y%u/deny", NULL, 200 },
	{ "POST", "/v1/endpoints", "{\"id\":\"z%u\"}",
	    "POST", "/v1/endpoints/z%u/approve", NULL, 200 },
	{ NULL, NULL, NULL, "GET", "/v1/endpoints/e/credentials", NULL, 200 },
	{ NULL, NULL, NULL, "POST", "/v1/endpoints/e/credentials",
	    "{\"kind\":\"token\",\"label\":\"l%u\"}", 201 },
	{ "POST", "/v1/endpoints", "{\"id\":\"k%u\"}",
	    "POST", "/v1/endpoints/k%u/credentials",
	    "{\"kind\":\"certificate\",\"sha256\":\"00000000000000000000000000"
	    "00000000000000000000000000000000000000\"}", 201 },
	{ "POST", "/v1/endpoints/e/credentials", "{\"kind\":\"token\"}",
	    "DELETE", "/v1/credentials/%u", NULL, 204 },
	{ "POST", "/v1/enrolment-tokens", "{}",
	    "DELETE", "/v1/enrolment-tokens/%u", NULL, 204 },
	{ NULL, NULL, NULL, "GET", "/v1/enrolment-tokens", NULL, 200 },
	{ NULL, NULL, NULL, "POST", "/v1/enrolment-tokens",
	    "{\"uses\":%u,\"group\":\"g\"}", 201 },
	{ NULL, NULL, NULL, "GET", "/v1/commands?endpoint=e&open=true", NULL,
	    200 },
	{ NULL, NULL, NULL, "POST", "/v1/commands", "{\"id\":\"q%u\","
	    "\"endpoint\":\"e\",\"verb\":\"x-a\",\"deadline_ms\":3600000,"
	    "\"args\":{\"a\":1}}", 201 },
	{ NULL, NULL, NULL, "GET", "/v1/commands/c?wait_ms=1", NULL, 200 },
	{ "POST", "/v1/commands", "{\"id\":\"x%u\",\"endpoint\":\"e\","
	    "\"verb\":\"x-a\",\"deadline_ms\":3600000}",
	    "POST", "/v1/commands/x%u/cancel", NULL, 202 },
	{ NULL, NULL, NULL, "GET", "/v1/telemetry?limit=2", NULL, 200 },
	{ NULL, NULL, NULL, "GET", "/v1/endpoints/e/inventory", NULL, 404 },
	{ NULL, NULL, NULL, "POST", "/v1/endpoints/e/kick", NULL, 409 },
	{ NULL, NULL, NULL, "POST", "/v1/drain",
	    "{\"window_ms\":1,\"servers\":[\"wss://a\"]}", 202 },
	{ NULL, NULL, NULL, "POST", "/v1/reload", NULL, 200 },
	{ NULL, NULL, NULL, "POST", "/v1/upgrade", "{\"binary\":\"/x\"}",
	  202 },
	{ NULL, NULL, NULL, "PUT", "/v1/log-level", "{\"level\":\"error\"}",
	    200 },
};

static const char *
numbered(char *to, size_t cap, const char *text, unsigned n)
{
	const char *at = text == NULL ? NULL : strstr(text, "%u");

	if (at == NULL)
		return text;
	(void)snprintf(to, cap, "%.*s%u%s", (int)(at - text), text, n,
	    at + 2);
	return to;
}

/* Whether everything could be allocated. */
static bool
try(const struct attempt *t, unsigned n)
{
	char target[200], body[300];
	struct control_answer a;
	unsigned status, number = n;
	bool whole;

	if (t->before_method != NULL) {
		control_rig_ask(&rig, t->before_method,
		    numbered(target, sizeof(target), t->before_target, n),
		    numbered(body, sizeof(body), t->before_body, n), &a);
		assert_int_equal(a.status, 201);
		if (json_object_get(a.json, "number") != NULL)
			number = (unsigned)json_integer_value(
			    json_object_get(a.json, "number"));
		control_answer_free(&a);
	}
	mem_fail_nth(n);
	status = control_rig_status(&rig, t->method,
	    numbered(target, sizeof(target), t->target, number),
	    numbered(body, sizeof(body), t->body, n), NULL);
	control_rig_settle(&rig);
	whole = mem_fail_nth(0) < n;
	/* 0: not even for a problem.  What is only done later may fail, too:
	 * then the answer is as it should be. */
	if (status != t->status && (whole || (status != 500 && status != 503 &&
	    status != 0)))
		fail_msg("%s %s: allocation %u: %u", t->method, t->target, n,
		    status);
	return whole;
}

static void
short_memory_is_told_and_harms_nobody(void **state)
{
	unsigned n;

	(void)state;
	says("POST", "/v1/endpoints", "{\"id\":\"e\"}", 201, "");
	says("POST", "/v1/commands", "{\"id\":\"c\",\"endpoint\":\"e\","
	    "\"verb\":\"x-a\",\"deadline_ms\":3600000}", 201, "");
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		for (n = 1; !try(&attempts[i], n); n++)
			assert_true(n < 200);
		assert_true(n > 1);
	}
	says("GET", "/v1/endpoints/e", NULL, 200, "");
	says("GET", "/v1/commands/c", NULL, 200, "");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_path_and_its_method_lead_to_a_handler),
		TEST(parameters_are_known_and_given_once),
		TEST(a_body_is_one_json_object_where_one_is_wanted),
		TEST(nesting_does_not_exhaust_the_stack),
		TEST(a_body_has_at_most_request_size),
		TEST(a_header_has_at_most_16_kib),
		TEST(a_role_is_needed_before_anything_is_read),
		TEST(every_change_needs_an_operator),
		TEST(requests_and_refusals_are_counted),
		TEST(members_of_each_request_are_checked),
		TEST(words_and_numbers_of_parameters_are_checked),
		TEST(servers_of_a_drain_are_handed_on),
		TEST(an_upgrade_is_asked_for_and_told_of),
		TEST(an_upgrade_that_is_refused_says_why),
		TEST(a_stopped_store_is_told),
		TEST(short_memory_is_told_and_harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
