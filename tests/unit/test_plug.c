/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances from configuration to life and back, with modules built here from
 * tests/plugins: order of ops, failures in each op, reload, routing, events,
 * publishing and external signing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "conf/conf.h"
#include "event/event.h"
#include "plug/plug.h"
#include "channel/protocol.h"
#include "tls/impl.h"
#include "tls/snapshot.h"
#include "../lib/certs.h"
#include "../lib/modules.h"

#define WORKERS 2

static char *dir;			/* modules */
static struct worker workers[WORKERS];
static struct worker *const worker_of[WORKERS] = { &workers[0], &workers[1] };
static struct channel_worker *const channels_of[WORKERS];

/* What the daemon would have got. */
static struct {
	_Atomic unsigned puts, fails;
	struct tls_cred *cred;		/* read when puts has risen */
	char why[TLS_WHY_SIZE];
} got;

static int
cred_put(void *ctx, const char *slot, const char *source, struct tls_cred *c,
    bool beside)
{
	(void)beside;
	(void)ctx;
	assert_non_null(source);
	if (strcmp(slot, "unknown") == 0)
		return -ENOENT;
	tls_cred_unref(&got.cred);
	got.cred = tls_cred_ref(c);
	atomic_fetch_add(&got.puts, 1);
	return 0;
}

static void
cred_failed(void *ctx, const char *slot, const char *why)
{
	(void)ctx;
	(void)slot;
	(void)snprintf(got.why, sizeof(got.why), "%s", why);
	atomic_fetch_add(&got.fails, 1);
}

static struct {
	void (*done)(void *, int);
	void *arg;
	char key[64], body[64], removed[64];
	int error;
	_Atomic bool was_removed;
} challenge;

static int
challenge_put(void *ctx, const struct plug_challenge *c)
{
	(void)ctx;
	if (challenge.error != 0)
		return challenge.error;
	challenge.done = c->done;
	challenge.arg = c->arg;
	(void)snprintf(challenge.key, sizeof(challenge.key), "%s", c->key);
	(void)snprintf(challenge.body, sizeof(challenge.body), "%s", c->body);
	return 0;
}

static void
challenge_remove(void *ctx, const char *key)
{
	(void)ctx;
	(void)snprintf(challenge.removed, sizeof(challenge.removed), "%s",
	    key);
	atomic_store(&challenge.was_removed, true);
}

/* ---- configuration and notes --------------------------------------------- */

static struct conf *
conf_of(const char *text)
{
	static const char head[] = "[listener.x]\naddress = 127.0.0.1:0\n";
	struct conf_errors errors = { .n = 0 };
	char path[256], all[4096];
	struct conf *c = NULL;
	int n;

	(void)snprintf(path, sizeof(path), "%s/cleat.conf", dir);
	n = snprintf(all, sizeof(all), "%s%s", head, text);
	assert_int_equal(file_write_atomic(path, all, (size_t)n, 0600), 0);
	if (conf_load(path, &errors, &c) != 0)
		fail_msg("%s", errors.n > 0 ? errors.line[0] : "no memory");
	conf_errors_fini(&errors);
	return c;
}

static int
try_new(const char *text, char *why, struct plugs **ret)
{
	struct plug_deps deps = {
		.epoch = 5, .plugin_dir = dir, .state_dir = dir,
		.workers = worker_of, .channels = channels_of,
		.workers_n = WORKERS,
		.hooks = { .cred_put = cred_put, .cred_failed = cred_failed,
		    .challenge_put = challenge_put,
		    .challenge_remove = challenge_remove }
	};
	struct conf *c = conf_of(text);
	int err;

	err = plugs_new(&deps, c, why, ret);
	conf_unref(&c);
	return err;
}

static struct plugs *
plugs_of(const char *text)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;

	if (try_new(text, why, &p) != 0 || plugs_start(p, why) != 0)
		fail_msg("%s", why);
	return p;
}

static void
end(struct plugs **p)
{
	plugs_stop(*p);
	plugs_free(p);
	assert_null(*p);
}

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
pause_ms(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	(void)nanosleep(&t, NULL);
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

#define STATUS "module = fail_status\n"
#define PROTO "module = fail_proto\n"

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

/* ---- reload -------------------------------------------------------------- */

static int
prepare(struct plugs *p, const char *text, char *why,
    struct plugs_staged **ret)
{
	struct conf *c = conf_of(text);
	int err = plugs_prepare(p, c, why, ret);

	conf_unref(&c);
	return err;
}

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
	plugs_commit(p, &st);
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
	plugs_discard(p, &st);
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

/* ---- certificates -------------------------------------------------------- */

static struct test_cert cert;

static void
write_cert(const struct test_cert *c)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/chain.pem", dir);
	assert_int_equal(file_write_atomic(path, c->pem, c->pem_n, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/key.pem", dir);
	assert_int_equal(file_write_atomic(path, c->key_pem, c->key_n, 0600),
	    0);
}

static void
extsign_text(const char *slots, const char *delay, char *to, size_t n)
{
	(void)snprintf(to, n, "%s[plugin.c]\n"
	    "module = cert_extsign\nchain = %s/chain.pem\nkey = %s/key.pem\n"
	    "delay = %s\n", slots, dir, dir, delay);
}

static struct plugs *
extsign(const char *slots, const char *delay)
{
	char text[1024];

	extsign_text(slots, delay, text, sizeof(text));
	return plugs_of(text);
}

#define SLOT "[slot.m]\nsource = c\nnames = a.example.org\n"

static void
publish(const struct test_cert_spec *spec)
{
	struct plugs *p;

	test_cert_make(spec, &cert);
	write_cert(&cert);
	atomic_store(&got.puts, 0);
	atomic_store(&got.fails, 0);
	p = extsign(SLOT, "20ms");
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
a_certificate_is_judged_before_it_is_served(void **state)
{
	struct test_cert_spec spec = { .cn = "x", .dns = { "a.example.org" } };

	(void)state;
	publish(&spec);
	assert_int_equal(got.puts, 1);
	spec.dns[0] = "b.example.org";
	publish(&spec);
	assert_int_equal(got.puts, 0);
	assert_non_null(strstr(got.why, "not for the name a.example.org"));
	spec.dns[0] = "*.example.org";
	publish(&spec);
	assert_int_equal(got.puts, 1);
	spec.ca = true;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "CA:TRUE"));
	spec.ca = false;
	spec.from_s = -7200;
	spec.to_s = -3600;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "expired at"));
	spec.from_s = 3600;
	spec.to_s = 7200;
	publish(&spec);
	assert_int_equal(got.fails, 1);
	assert_non_null(strstr(got.why, "not valid before"));
}

struct wait {
	struct tls_sign_job job;
	struct worker worker;
	_Atomic bool done;
};

static void
on_signed(struct mail *m)
{
	struct wait *w = CT_CONTAINER(m, struct wait, job.mail);

	atomic_store(&w->done, true);
}

/* Asks as a handshake would; what came back is in w->job. */
static int
sign(struct wait *w)
{
	static const uint8_t hash[32] = { 1, 2, 3 };

	memset(w, 0, sizeof(*w));
	assert_int_equal(worker_init(&w->worker, "handshake"), 0);
	assert_int_equal(worker_start(&w->worker), 0);
	w->job.mailbox = &w->worker.mailbox;
	w->job.mail.fn = on_signed;
	return got.cred->signer.request(got.cred->signer.ctx,
	    got.cred->key_id, 0x0403, hash, sizeof(hash), &w->job);
}

static void
sign_end(struct wait *w)
{
	for (int i = 0; i < 2000 && !atomic_load(&w->done); i++)
		pause_ms(5);
	assert_true(w->done);
	worker_stop(&w->worker);
	worker_fini(&w->worker);
}

static void
start_signing(const char *delay, struct plugs **ret)
{
	struct test_cert_spec spec = { .cn = "x", .dns = { "a.example.org" } };

	test_cert_make(&spec, &cert);
	write_cert(&cert);
	*ret = extsign(SLOT, delay);
	assert_non_null(got.cred);
}

static void
an_external_key_signs_on_its_own_thread(void **state)
{
	struct plug_info info;
	struct plugs *p;
	struct wait w;

	(void)state;
	start_signing("20ms", &p);
	assert_int_equal(sign(&w), 0);
	sign_end(&w);
	assert_int_equal(w.job.error, 0);
	assert_true(w.job.n > 60);
	assert_true(plugs_info(p, 0, &info));
	assert_int_equal(info.signs, 1);
	assert_int_equal(info.sign_failures, 0);
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static _Atomic uint64_t skew;

static uint64_t
skewed(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 +
	    atomic_load(&skew);
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

static void
a_signer_that_never_answers_is_given_up(void **state)
{
	struct plugs *p;
	struct wait w;

	(void)state;
	start_signing("0s", &p);
	assert_int_equal(sign(&w), 0);
	atomic_store(&skew, 11000);
	sign_end(&w);
	assert_int_equal(w.job.error, -ETIMEDOUT);
	end(&p);
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
the_end_of_an_instance_answers_what_waits(void **state)
{
	struct plugs *p;
	struct wait w, late;

	(void)state;
	start_signing("0s", &p);
	assert_int_equal(sign(&w), 0);
	plugs_stop(p);
	sign_end(&w);
	assert_int_equal(w.job.error, -ESHUTDOWN);
	assert_int_equal(sign(&late), -ESHUTDOWN);
	atomic_store(&late.done, true);
	sign_end(&late);
	tls_cred_unref(&got.cred);
	plugs_free(&p);
	test_cert_free(&cert);
}

static void
a_reload_asks_the_source_of_a_new_slot(void **state)
{
	struct plugs_staged *st = NULL;
	struct plugs *p;
	char text[1024], why[PLUG_WHY_SIZE] = "";

	(void)state;
	atomic_store(&got.puts, 0);
	start_signing("20ms", &p);
	assert_int_equal(got.puts, 1);
	extsign_text(SLOT "[slot.n]\nsource = c\ndefault = yes\n", "20ms",
	    text, sizeof(text));
	if (prepare(p, text, why, &st) != 0)
		fail_msg("%s", why);
	plugs_commit(p, &st);
	for (int i = 0; i < 1000 && got.puts < 2; i++)
		pause_ms(5);
	end(&p);
	assert_int_equal(got.puts, 2);		/* and not for the old one */
	tls_cred_unref(&got.cred);
	test_cert_free(&cert);
}

static void
a_challenge_is_put_and_its_end_is_told(void **state)
{
	static const char text[] = "[plugin.c]\nmodule = cert_challenge\n";
	struct plugs *p = plugs_of(text);
	char why[PLUG_WHY_SIZE] = "";

	(void)state;
	assert_string_equal(challenge.key, "tok-_1");
	assert_string_equal(challenge.body, "tok.thumb");
	challenge.done(challenge.arg, 0);
	for (int i = 0; i < 1000 && !atomic_load(&challenge.was_removed); i++)
		pause_ms(5);
	assert_true(challenge.was_removed);
	assert_string_equal(challenge.removed, "done-8-0");
	end(&p);
	/* Told after the end: nobody is there, nothing leaks. */
	p = plugs_of(text);
	plugs_stop(p);
	challenge.done(challenge.arg, -ESHUTDOWN);
	plugs_free(&p);
	challenge.error = -ENOSPC;
	assert_int_equal(try_new(text, why, &p), 0);
	assert_int_equal(plugs_start(p, why), -ENOSPC);
	end(&p);
	challenge.error = 0;
}

static void
memory_may_run_out_at_any_point(void **state)
{
	static const char text[] = "[slot.m]\nsource = c\ndefault = yes\n"
	    "[plugin.p]\n" PROTO "[plugin.s]\n" STATUS "[plugin.c]\n"
	    "module = abi_1_0_cert\n";
	struct plug_deps deps = { .plugin_dir = dir, .state_dir = dir,
	    .workers = worker_of, .channels = channels_of,
	    .workers_n = WORKERS };
	struct conf *c = conf_of(text);
	char why[PLUG_WHY_SIZE];
	struct plugs *p = NULL;
	unsigned long n = 1;
	int err;

	(void)state;
	for (;; n++) {
		(void)mem_fail_nth(n);
		err = plugs_new(&deps, c, why, &p);
		(void)mem_fail_nth(0);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(p);
	}
	assert_true(n > 20);
	end(&p);
	conf_unref(&c);
}

/* ---- set-up -------------------------------------------------------------- */

static int
set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LVL_ERROR);
	clock_replace(skewed, NULL);
	dir = modules_dir();
	modules_build(dir, "tests/plugins/fail.c", "fail_status",
	    "-DKIND=3 '-DNAME=\"fail_status\"' -pthread");
	modules_build(dir, "tests/plugins/fail.c", "fail_proto",
	    "-DKIND=2 '-DNAME=\"fail_proto\"' -pthread");
	modules_build(dir, "tests/plugins/cert_extsign.c", "cert_extsign",
	    "-lgnutls -pthread");
	modules_build(dir, "tests/plugins/cert_challenge.c",
	    "cert_challenge", "");
	modules_build(dir, "tests/plugins/abi_1_0.c", "abi_1_0_cert",
	    "-DKIND=1");
	for (int i = 0; i < WORKERS; i++) {
		if (worker_init(&workers[i], "net") < 0 ||
		    worker_start(&workers[i]) < 0)
			return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < WORKERS; i++) {
		worker_stop(&workers[i]);
		worker_fini(&workers[i]);
	}
	modules_remove(&dir);
	return 0;
}

static int
fresh(void **state)
{
	(void)state;
	return modules_sh("rm -rf '%s/plugins'", dir);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

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
		TEST(a_certificate_is_judged_before_it_is_served),
		TEST(an_external_key_signs_on_its_own_thread),
		TEST(a_signer_that_never_answers_is_given_up),
		TEST(the_end_of_an_instance_answers_what_waits),
		TEST(a_reload_asks_the_source_of_a_new_slot),
		TEST(a_challenge_is_put_and_its_end_is_told),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
