/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances from configuration to life and back: order of ops, failures in each
 * op, reload, routing, events.
 */
#include "plug_try.h"

/* ---- configuration and notes --------------------------------------------- */

/* What the plugin noted, line breaks as spaces. */
static const char *
notes(const char *instance)
{
	static char text[65536];
	char path[256];
	uint8_t *p = NULL;
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "%s/plugins/%s/notes", dir,
	    instance);
	if (file_read(path, sizeof(text) - 1, &p, &n) != 0)
		return "";
	for (size_t i = 0; i < n; i++)
		text[i] = p[i] == '\n' ? ' ' : (char)p[i];
	text[n] = '\0';
	mem_free(p);
	return text;
}

static void
wait_note(const char *instance, const char *what)
{
	for (int i = 0; i < 2000; i++) {
		if (strstr(notes(instance), what) != NULL)
			return;
		pause_ms(5);
	}
	fail_msg("%s never noted \"%s\": %s", instance, what, notes(instance));
}

static unsigned
times(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

/* ---- life ---------------------------------------------------------------- */

static void
ops_come_in_order_on_a_thread_of_its_own(void **state)
{
	struct plugs *p = plugs_of("[plugin.s]\n" STATUS);
	struct plug_info info;

	(void)state;
	wait_note("s", "timer ");
	wait_note("s", "posted ");
	assert_true(plugs_info(p, 0, &info));
	assert_true(info.up);
	assert_string_equal(info.instance, "s");
	assert_string_equal(info.module, "fail_status");
	assert_false(plugs_info(p, 1, &info));
	end(&p);
	assert_int_equal(strncmp(notes("s"), "open start ", 11), 0);
	assert_non_null(strstr(notes("s"), "stop close "));
}

static void
a_protocol_has_an_instance_on_each_worker(void **state)
{
	struct plugs *p = plugs_of("[plugin.p]\n" PROTO);
	const char *sub = "x";
	struct channel_protocol *a, *b;

	(void)state;
	a = plugs_route(p, 0, NULL, "/default", NULL, &sub);
	b = plugs_route(p, 1, NULL, "/default", NULL, &sub);
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	assert_null(sub);
	assert_true(a->anonymous);
	assert_int_equal(a->max_message, 65536);
	end(&p);
	assert_int_equal(times(notes("p"), "open "), WORKERS);
	assert_int_equal(times(notes("p"), "stop "), WORKERS);
	assert_int_equal(times(notes("p"), "close "), WORKERS);
}

static void
a_failing_open_ends_the_start_only_if_required(void **state)
{
	struct plugs *p = NULL;
	struct plug_info info;
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	assert_int_equal(try_new("[plugin.s]\n" STATUS "fail = open\n", why,
	    &p), -EIO);
	assert_null(p);
	assert_non_null(strstr(why, "plugin s: it could not be opened"));
	assert_non_null(strstr(why, "no luck "));	/* of one line */
	p = plugs_of("[plugin.s]\n" STATUS "fail = open\nrequired = no\n"
	    "[plugin.t]\n" STATUS);
	assert_true(plugs_info(p, 0, &info));
	assert_false(info.up);
	assert_true(plugs_info(p, 1, &info));
	assert_true(info.up);
	end(&p);
	assert_null(strstr(notes("s"), "close"));
	assert_null(strstr(notes("s"), "posted"));
}

static void
a_failing_open_before_workers_run_leaves_nothing(void **state)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;

	(void)state;
	worker_stop(&workers[0]);
	worker_stop(&workers[1]);
	assert_int_equal(try_new("[plugin.p]\n" PROTO "fail = open\n", why,
	    &p), -EIO);
	assert_int_equal(worker_start(&workers[0]), 0);
	assert_int_equal(worker_start(&workers[1]), 0);
}

static void
a_failing_start_is_followed_by_close_alone(void **state)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;
	const char *sub;

	(void)state;
	assert_int_equal(try_new("[plugin.s]\n" STATUS "fail = start\n", why,
	    &p), 0);
	assert_int_equal(plugs_start(p, why), -EIO);
	assert_non_null(strstr(why, "plugin s: it could not be started"));
	end(&p);
	assert_string_equal(notes("s"), "open start close ");
	p = plugs_of("[plugin.p]\n" PROTO "fail = start\nrequired = no\n");
	assert_null(plugs_route(p, 0, NULL, "/default", NULL, &sub));
	end(&p);
}

/* An upgrade that has the channels already goes on without it. */
static void
statuses_behind_one_that_fails_start_when_asked_again(void **state)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;
	struct plug_info info;

	(void)state;
	assert_int_equal(try_new("[plugin.s]\n" STATUS "fail = start\n"
	    "[plugin.t]\n" STATUS, why, &p), 0);
	assert_int_equal(plugs_start_core(p, why), 0);
	assert_int_equal(plugs_start_status(p, why), -EIO);
	assert_true(plugs_info(p, 1, &info));
	assert_false(info.up);
	assert_int_equal(plugs_start_status(p, why), 0);
	assert_true(plugs_info(p, 1, &info));
	assert_true(info.up);
	end(&p);
}

static void
what_a_plugin_leaves_behind_is_freed(void **state)
{
	struct plugs *p = plugs_of("[plugin.s]\n" STATUS "fail = leave\n");

	(void)state;
	end(&p);
}

static void
a_missing_module_or_a_bad_option_has_its_place_named(void **state)
{
	struct plugs *p = NULL;
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	assert_int_equal(try_new("[plugin.s]\nmodule = nothing\n", why, &p),
	    -ENOENT);
	assert_non_null(strstr(why, "plugin s: "));
	assert_int_equal(try_new("[plugin.s]\n" STATUS "value = 99\n", why,
	    &p), -EINVAL);
	assert_non_null(strstr(why, "value"));
	assert_non_null(strstr(why, "cleat.conf:"));
	assert_int_equal(try_new("[plugin.s]\n" STATUS "valeu = 1\n", why,
	    &p), -EINVAL);
	assert_non_null(strstr(why, "\"value\""));
	assert_int_equal(try_new("[slot.a]\nsource = s\ndefault = yes\n"
	    "[plugin.s]\n" STATUS, why, &p), -EINVAL);
	assert_non_null(strstr(why, "no certificate source"));
	p = plugs_of("[plugin.s]\nmodule = nothing\nrequired = no\n");
	end(&p);
}

/* How often an instance has noted it; what a start posts comes at any time. */
static unsigned
noted(const char *instance, const char *word)
{
	unsigned n = 0;

	for (const char *at = notes(instance); (at = strstr(at, word)) != NULL;
	    at++)
		n++;
	return n;
}

/* As a process that takes over from another does it. */
static void
statuses_can_start_later_than_the_rest(void **state)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;
	const char *sub;

	(void)state;
	assert_int_equal(try_new("[plugin.p]\n" PROTO "[plugin.s]\n" STATUS,
	    why, &p), 0);
	assert_int_equal(plugs_start_core(p, why), 0);
	assert_non_null(plugs_route(p, 0, NULL, "/default", NULL, &sub));
	assert_int_equal(noted("s", "open "), 1);
	assert_int_equal(noted("s", "start "), 0);
	assert_int_equal(plugs_start_status(p, why), 0);
	assert_int_equal(noted("s", "start "), 1);
	/* What is up is not started twice. */
	assert_int_equal(plugs_start(p, why), 0);
	assert_int_equal(noted("s", "start "), 1);
	end(&p);
	assert_int_equal(noted("s", "stop "), 1);
	assert_int_equal(noted("s", "close "), 1);
}

/* The former has the port still, say. */
static void
a_status_that_cannot_start_leaves_the_rest_up(void **state)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;
	const char *sub;

	(void)state;
	assert_int_equal(try_new("[plugin.p]\n" PROTO "[plugin.s]\n" STATUS
	    "fail = start\n", why, &p), 0);
	assert_int_equal(plugs_start_core(p, why), 0);
	assert_int_equal(plugs_start_status(p, why), -EIO);
	assert_non_null(strstr(why, "plugin s: it could not be started"));
	assert_non_null(plugs_route(p, 0, NULL, "/default", NULL, &sub));
	end(&p);
}

/* ---- reload -------------------------------------------------------------- */

static void
a_reload_commits_everywhere(void **state)
{
	struct plugs *p = plugs_of("[plugin.s]\n" STATUS "[plugin.p]\n" PROTO);
	struct plugs_staged *st = NULL;
	char why[PLUG_WHY_SIZE] = "";
	const char *sub;

	(void)state;
	wait_note("s", "timer");	/* not between the two */
	if (prepare(p, "[plugin.s]\n" STATUS "value = 2\n[plugin.p]\n" PROTO
	    "value = 3\npaths = /new\nmax_message = 1MiB\n", why, &st) != 0)
		fail_msg("%s", why);
	assert_null(strstr(notes("s"), "commit"));
	assert_null(plugs_route(p, 1, NULL, "/new", NULL, &sub));
	plugs_commit(&st);
	assert_null(st);
	assert_non_null(strstr(notes("s"), "prepare 2 commit 2 "));
	assert_int_equal(times(notes("p"), "commit 3 "), WORKERS);
	assert_non_null(plugs_route(p, 1, NULL, "/new", NULL, &sub));
	assert_int_equal(plugs_route(p, 1, NULL, "/new", NULL,
	    &sub)->max_message, 1 << 20);
	assert_null(plugs_route(p, 1, NULL, "/default", NULL, &sub));
	end(&p);
}

static void
one_that_refuses_makes_all_discard(void **state)
{
	struct plugs *p = plugs_of("[plugin.p]\n" PROTO "[plugin.s]\n" STATUS);
	struct plugs_staged *st = NULL;
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	assert_int_equal(prepare(p, "[plugin.p]\n" PROTO "value = 2\n"
	    "[plugin.s]\n" STATUS "fail = prepare\n", why, &st), -EIO);
	assert_null(st);
	assert_non_null(strstr(why, "[plugin.s]: it refuses"));
	assert_int_equal(times(notes("p"), "discard 1 "), WORKERS);
	assert_null(strstr(notes("p"), "commit"));
	if (prepare(p, "[plugin.p]\n" PROTO "[plugin.s]\n" STATUS, why,
	    &st) != 0)
		fail_msg("%s", why);
	plugs_discard(&st);
	assert_null(st);
	assert_int_equal(times(notes("s"), "discard 1 "), 1);
	end(&p);
}

static void
what_needs_a_restart_is_named(void **state)
{
	static const struct {
		const char *conf, *says;
	} cases[] = {
		{ "[plugin.s]\n" STATUS "fixed = 2\n", "[plugin.s] fixed" },
		{ "[plugin.s]\n" STATUS "required = no\n", "required" },
		{ "[plugin.s]\n" PROTO, "module = fail_proto" },
		{ "[plugin.t]\n" STATUS, "[plugin.t] is new" },
		{ "[plugin.s]\n" STATUS "[plugin.t]\n" STATUS,
		    "[plugin.t] is new" },
		{ "", "[plugin.s] is gone" },
	};
	struct plugs *p = plugs_of("[plugin.s]\n" STATUS);
	struct plugs_staged *st = NULL;
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(prepare(p, cases[i].conf, why, &st), -EINVAL);
		assert_non_null(strstr(why, cases[i].says));
		assert_non_null(strstr(why, "needs a restart"));
	}
	end(&p);
	assert_null(strstr(notes("s"), "prepare"));
}

/* ---- routes, events ------------------------------------------------------ */

static const char *
route(struct plugs *p, const char *offered, const char *path,
    const char *preferred, const char **sub)
{
	const char *list[] = { offered, NULL };
	struct channel_protocol *proto = plugs_route(p, 0,
	    offered == NULL ? NULL : list, path, preferred, sub);

	return proto == NULL ? "nobody" : proto->name;
}

static void
a_route_is_by_subprotocol_then_path_then_listener(void **state)
{
	static const char *const many[] = { "zero", "two", "one", NULL };
	struct plugs *p = plugs_of("[plugin.a]\n" PROTO "paths = /a, /aa\n"
	    "[plugin.b]\n" PROTO "paths = /b\n[plugin.s]\n" STATUS);
	const char *sub;

	(void)state;
	assert_string_equal(route(p, "one", "/x", NULL, &sub), "a");
	assert_string_equal(sub, "one");
	assert_string_equal(route(p, "one", "/b", NULL, &sub), "b");
	assert_string_equal(route(p, "one", "/x", "b", &sub), "b");
	assert_non_null(plugs_route(p, 0, many, "/x", NULL, &sub));
	assert_string_equal(sub, "two");
	assert_string_equal(route(p, "zero", "/aa", "b", &sub), "a");
	assert_null(sub);
	assert_string_equal(route(p, NULL, "/", "b", &sub), "b");
	assert_string_equal(route(p, NULL, "", "b", &sub), "b");
	assert_string_equal(route(p, NULL, "/", NULL, &sub), "nobody");
	assert_string_equal(route(p, NULL, "/", "s", &sub), "nobody");
	assert_string_equal(route(p, NULL, "/", "none", &sub), "nobody");
	assert_string_equal(plugs_protocol(p, 1, "b")->name, "b");
	assert_null(plugs_protocol(p, 1, "s"));
	end(&p);
}

static void
events_arrive_in_order(void **state)
{
	struct plugs *p = plugs_of("[plugin.s]\n" STATUS "[plugin.t]\n"
	    STATUS);
	struct event ev = { .type = EVENT_ENDPOINT_ONLINE,
	    .endpoint = "till-1", .state = PRESENCE_ONLINE };

	(void)state;
	wait_note("s", "timer");	/* not between two events */
	wait_note("t", "timer");
	for (uint64_t seq = 1; seq <= 300; seq++)
		plugs_event(p, seq, &ev, "{}", 2);
	ev = (struct event){ .type = EVENT_DAEMON_READY, .text = "up" };
	plugs_event(p, 301, &ev, "{}", 2);
	wait_note("s", "event 1 endpoint.online till-1 online event 2 ");
	wait_note("t", "event 299 endpoint.online till-1 online event 300 "
	    "endpoint.online till-1 online event 301 daemon.ready");
	end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ops_come_in_order_on_a_thread_of_its_own),
		TEST(a_protocol_has_an_instance_on_each_worker),
		TEST(a_failing_open_ends_the_start_only_if_required),
		TEST(a_failing_open_before_workers_run_leaves_nothing),
		TEST(a_failing_start_is_followed_by_close_alone),
		TEST(statuses_behind_one_that_fails_start_when_asked_again),
		TEST(statuses_can_start_later_than_the_rest),
		TEST(a_status_that_cannot_start_leaves_the_rest_up),
		TEST(what_a_plugin_leaves_behind_is_freed),
		TEST(a_missing_module_or_a_bad_option_has_its_place_named),
		TEST(a_reload_commits_everywhere),
		TEST(one_that_refuses_makes_all_discard),
		TEST(what_needs_a_restart_is_named),
		TEST(a_route_is_by_subprotocol_then_path_then_listener),
		TEST(events_arrive_in_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
