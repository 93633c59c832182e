/* SPDX-License-Identifier: Apache-2.0 */
/* core/event/snapshot.c and request.c: pages, filters, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "event/request.h"
#include "event/snapshot.h"

static const struct snapshot_facts facts = {
	.epoch = 7, .version = "1.2.3", .published = 5, .dropped = 1,
};

static json_t *
ask_n(const struct view *v, const void *request, size_t n)
{
	static uint8_t area[SNAPSHOT_REPLY_MAX];
	struct outbuf out = { .p = area, .cap = sizeof(area) };
	json_error_t err;
	json_t *o;

	snapshot_answer(v, &facts, request, n, &out);
	o = json_loadb((const char *)area, out.n, JSON_REJECT_DUPLICATES,
	    &err);
	if (o == NULL)
		print_error("%s at %d of %zu\n", err.text, err.position,
		    out.n);
	assert_non_null(o);
	assert_int_equal(json_integer_value(json_object_get(o, "epoch")), 7);
	assert_int_equal(json_integer_value(json_object_get(o, "seq")),
	    v->seq);
	return o;
}

static json_t *
ask(const struct view *v, const char *request)
{
	return ask_n(v, request, strlen(request));
}

static const char *
string_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void
add(struct view *v, const char *id, enum presence_state s, uint64_t seq)
{
	const struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .endpoint = id, .state = s,
		.wall_ms = 1000, .revision = seq, .channel = 1,
		.security = SECURITY_WSS_SAFE, .peer = "192.0.2.1",
		.reason = REASON_HELLO,
	};

	assert_int_equal(view_apply(v, &ev, seq), 0);
}

static struct view *
fleet(unsigned n)
{
	struct view *v;
	char id[32];
	unsigned i;

	assert_int_equal(view_new(&v), 0);
	for (i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "dev-%u", i);
		add(v, id, i % 10 == 0 ? PRESENCE_OFFLINE : PRESENCE_ONLINE,
		    i + 1);
	}
	return v;
}

static void
bad_requests_get_an_error_object(void **state)
{
	static const struct {
		const char *request, *code;
	} cases[] = {
		{ "", "bad-request" }, { "{", "bad-request" },
		{ "[]", "bad-request" }, { "null", "bad-request" },
		{ "{}", "bad-request" }, { "{\"get\":1}", "bad-request" },
		{ "{\"get\":\"x\"}", "unknown-get" },
		{ "{\"get\":\"summary\"} x", "bad-request" },
		{ "{\"get\":\"summary\",\"get\":\"plugins\"}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"limit\":0}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"limit\":-1}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"limit\":\"9\"}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"limit\":1.5}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"after\":1}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"after\":\"\"}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"after\":\"no\"}", "not-found" },
		{ "{\"get\":\"endpoints\",\"state\":\"x\"}", "bad-request" },
		{ "{\"get\":\"endpoints\",\"state\":null}", "bad-request" },
		{ "{\"get\":\"endpoint\"}", "bad-request" },
		{ "{\"get\":\"endpoint\",\"id\":\"no\"}", "not-found" },
		{ "{\"get\":\"plugins\",\"after\":\"no\"}", "not-found" },
		{ "{\"get\":\"summary\",\"x\":\"\xff\"}", "bad-request" },
	};
	struct view *v = fleet(3);
	char *deep = malloc(REQUEST_MAX + 2);
	size_t i;
	json_t *o;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		o = ask(v, cases[i].request);
		assert_string_equal(string_of(json_object_get(o, "error"),
		    "code"), cases[i].code);
		assert_non_null(string_of(json_object_get(o, "error"),
		    "text"));
		json_decref(o);
	}
	memset(deep, '[', REQUEST_MAX + 1);
	o = ask_n(v, deep, REQUEST_MAX);
	assert_non_null(json_object_get(o, "error"));
	json_decref(o);
	o = ask_n(v, deep, REQUEST_MAX + 1);
	assert_non_null(strstr(string_of(json_object_get(o, "error"), "text"),
	    "4096"));
	json_decref(o);
	free(deep);
	view_free(&v);
}

static void
one_endpoint_with_all_its_members(void **state)
{
	struct view *v = fleet(3);
	json_t *o = ask(v, "{\"get\":\"endpoint\",\"id\":\"dev-1\","
	    "\"later\":{}}");
	json_t *e = json_object_get(o, "endpoint");

	(void)state;
	assert_string_equal(string_of(e, "endpoint"), "dev-1");
	assert_string_equal(string_of(e, "state"), "online");
	assert_string_equal(string_of(e, "security"), "wss-safe");
	assert_string_equal(string_of(e, "reason"), "hello");
	assert_string_equal(string_of(e, "peer"), "192.0.2.1");
	assert_string_equal(string_of(e, "since"), "1970-01-01T00:00:01.000Z");
	assert_int_equal(json_integer_value(json_object_get(e, "revision")),
	    2);
	assert_int_equal(json_integer_value(json_object_get(e, "seq")), 2);
	json_decref(o);
	view_free(&v);
}

static void
the_summary_counts(void **state)
{
	struct view *v = fleet(30);
	const struct event ev = { .type = EVENT_DAEMON_READY, .wall_ms = 5 };
	json_t *o, *m;

	(void)state;
	assert_int_equal(view_apply(v, &ev, 31), 0);
	o = ask(v, "{\"get\":\"summary\"}");
	m = json_object_get(o, "endpoints");
	assert_int_equal(json_integer_value(json_object_get(m, "total")), 30);
	assert_int_equal(json_integer_value(json_object_get(m, "online")), 27);
	assert_int_equal(json_integer_value(json_object_get(m, "offline")), 3);
	m = json_object_get(o, "security");
	assert_int_equal(json_integer_value(json_object_get(m, "wss-safe")),
	    27);
	m = json_object_get(o, "daemon");
	assert_string_equal(string_of(m, "state"), "ready");
	assert_string_equal(string_of(m, "version"), "1.2.3");
	m = json_object_get(o, "bus");
	assert_int_equal(json_integer_value(json_object_get(m, "dropped")), 1);
	json_decref(o);
	view_free(&v);
}

/* Reads all pages; `between` changes the fleet after each. */
static unsigned
page_through(struct view *v, const char *members,
    void (*between)(struct view *, unsigned), unsigned seen[], unsigned n)
{
	char request[600], after[300] = "";
	unsigned pages = 0, i;
	const char *next;
	json_t *o, *e;
	size_t at;

	do {
		(void)snprintf(request, sizeof(request),
		    "{\"get\":\"endpoints\"%s%s}", members, after);
		o = ask(v, request);
		json_array_foreach(json_object_get(o, "endpoints"), at, e) {
			i = (unsigned)strtoul(string_of(e, "endpoint") + 4,
			    NULL, 10);
			if (i < n)
				seen[i]++;
		}
		next = string_of(o, "next");
		if (next != NULL)
			(void)snprintf(after, sizeof(after),
			    ",\"after\":\"%s\"", next);
		if (between != NULL)
			between(v, pages);
		pages++;
		i = next != NULL;
		json_decref(o);
	} while (i != 0 && pages < 10000);
	assert_true(pages < 10000);
	return pages;
}

/* Changes old ones and adds new ones, some of which sort before every other. */
static void
stir(struct view *v, unsigned page)
{
	uint64_t seq = v->seq;
	unsigned i;
	char id[32];

	for (i = 0; i < 100; i++) {
		(void)snprintf(id, sizeof(id), "dev-%u", (page * 37 + i) %
		    1000);
		add(v, id, (page + i) % PRESENCE_STATES, ++seq);
	}
	if (page < 50)
		for (i = 0; i < 5; i++) {
			(void)snprintf(id, sizeof(id), "aaa-%u",
			    100000 + page * 5 + i);
			add(v, id, PRESENCE_ONLINE, ++seq);
		}
}

static void
pages_miss_nobody_while_the_fleet_changes(void **state)
{
	struct view *v = fleet(1000);
	unsigned *seen = calloc(1000, sizeof(*seen));
	unsigned i, pages;

	(void)state;
	pages = page_through(v, ",\"limit\":33", stir, seen, 1000);
	assert_true(pages >= 1000 / 33);
	for (i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	free(seen);
	view_free(&v);
}

static void
a_state_filters(void **state)
{
	struct view *v = fleet(SNAPSHOT_SCAN_MAX * 2 + 10);
	unsigned n = v->endpoints, i;
	unsigned *seen = calloc(n, sizeof(*seen));
	json_t *o;

	(void)state;
	(void)page_through(v, ",\"state\":\"offline\",\"limit\":1000", NULL,
	    seen, n);
	for (i = 0; i < n; i++)
		assert_int_equal(seen[i], i % 10 == 0);
	/* Nobody is asleep: each page looks at a bounded number. */
	o = ask(v, "{\"get\":\"endpoints\",\"state\":\"asleep\"}");
	assert_int_equal(json_array_size(json_object_get(o, "endpoints")), 0);
	assert_string_equal(string_of(o, "next"), "dev-19999");
	json_decref(o);
	assert_int_equal(page_through(v, ",\"state\":\"asleep\"", NULL, seen,
	    n), 3);
	free(seen);
	view_free(&v);
}

static void
a_reply_never_exceeds_its_size(void **state)
{
	char id[EVENT_ID_MAX + 1];
	unsigned i, pages = 0, total = 0;
	char request[4000] = "{\"get\":\"endpoints\",\"limit\":5000}";
	struct view *v;
	json_t *o, *next;
	char *text;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	/* A byte of these ids takes six in JSON. */
	memset(id, 1, EVENT_ID_MAX);
	id[EVENT_ID_MAX] = '\0';
	for (i = 0; i < 1000; i++) {
		(void)snprintf(id, 8, "%07u", i);
		id[7] = 1;
		add(v, id, PRESENCE_ONLINE, i + 1);
	}
	do {
		o = ask(v, request);
		total += (unsigned)json_array_size(json_object_get(o,
		    "endpoints"));
		next = json_object_get(o, "next");
		if (next != NULL) {
			text = json_dumps(next, JSON_ENCODE_ANY);
			(void)snprintf(request, sizeof(request),
			    "{\"get\":\"endpoints\",\"limit\":5000,"
			    "\"after\":%s}", text);
			free(text);
		}
		i = next != NULL;
		json_decref(o);
		pages++;
	} while (i != 0);
	assert_int_equal(total, 1000);
	assert_true(pages > 1);
	view_free(&v);
}

static void
certificates_and_plugins_are_paged_too(void **state)
{
	char detail[VIEW_DETAIL_MAX + 1], name[32], request[200];
	struct event ev = { .type = EVENT_CERTIFICATE_LIVE, .wall_ms = 5 };
	unsigned i, total = 0, pages = 0;
	const char *next;
	struct view *v;
	json_t *o, *c;

	(void)state;
	assert_int_equal(view_new(&v), 0);
	memset(detail, 'x', sizeof(detail));
	memcpy(detail, "{\"a\":\"", 6);
	memcpy(detail + VIEW_DETAIL_MAX - 2, "\"}", 3);
	ev.detail = detail;
	ev.detail_n = VIEW_DETAIL_MAX;
	ev.text = name;
	for (i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "slot-%u", i);
		assert_int_equal(view_apply(v, &ev, i + 1), 0);
	}
	(void)snprintf(request, sizeof(request), "{\"get\":\"certificates\"}");
	do {
		o = ask(v, request);
		total += (unsigned)json_array_size(json_object_get(o,
		    "certificates"));
		next = string_of(o, "next");
		if (next != NULL)
			(void)snprintf(request, sizeof(request),
			    "{\"get\":\"certificates\",\"after\":\"%s\"}",
			    next);
		i = next != NULL;
		json_decref(o);
		pages++;
	} while (i != 0);
	assert_int_equal(total, 200);
	assert_true(pages > 2);

	ev.type = EVENT_CERTIFICATE_FAILED;
	ev.text = "slot-0";
	ev.detail_n = 0;
	assert_int_equal(view_apply(v, &ev, 300), 0);
	o = ask(v, "{\"get\":\"certificates\",\"limit\":1}");
	c = json_array_get(json_object_get(o, "certificates"), 0);
	assert_string_equal(string_of(c, "slot"), "slot-0");
	assert_string_equal(string_of(c, "event"), "certificate.failed");
	assert_non_null(json_object_get(json_object_get(c, "live"),
	    "detail"));
	json_decref(o);
	o = ask(v, "{\"get\":\"plugins\"}");
	assert_int_equal(json_array_size(json_object_get(o, "plugins")), 0);
	assert_null(json_object_get(o, "next"));
	json_decref(o);
	view_free(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_requests_get_an_error_object),
		cmocka_unit_test(one_endpoint_with_all_its_members),
		cmocka_unit_test(the_summary_counts),
		cmocka_unit_test(pages_miss_nobody_while_the_fleet_changes),
		cmocka_unit_test(a_state_filters),
		cmocka_unit_test(a_reply_never_exceeds_its_size),
		cmocka_unit_test(certificates_and_plugins_are_paged_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
