/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in service (core/daemon/credentials*.c), decision 0005. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../lib/certs.h"
#include "../lib/event_tap.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "channel/channel.h"
#include "conf_dir.h"
#include "daemon/credentials_priv.h"
#include "daemon/daemon_priv.h"
#include "net/net_priv.h"
#include "tls/tls_priv.h"

#define WORKERS 2
#define BASE \
	"[listener.a]\naddress = 127.0.0.1:0\n" \
	"[slot.main]\nsource = cert\ndefault = yes\n" \
	"[plugin.cert]\nmodule = cert-file\n"

static struct event_tap tap;
static struct net *net;
static struct channel_counters counters;
static struct worker worker[WORKERS];
static struct worker *worker_of[WORKERS];
static struct net_worker *net_of[WORKERS];
static struct conf *conf;
static struct credentials *creds;
static struct test_cert ec, ec2, rsa;
static unsigned done;
static int done_result;

static int
make_certs(void **state)
{
	struct test_cert_spec spec = {
		.cn = "a.test", .dns = { "a.test" }, .key = TEST_KEY_P256
	};

	(void)state;
	log_set_level(LOG_LVL_ERROR);
	test_cert_make(&spec, &ec);
	test_cert_make(&spec, &ec2);
	spec.key = TEST_KEY_RSA;
	test_cert_make(&spec, &rsa);
	return 0;
}

static int
free_certs(void **state)
{
	(void)state;
	test_cert_free(&ec);
	test_cert_free(&ec2);
	test_cert_free(&rsa);
	return 0;
}

static void
start_net(void)
{
	const struct net_limits limits = {
		.handshakes = 10, .connections = 10,
		.connections_per_address = 10, .handshake_ms = 1000,
		.http_ms = 1000, .http_header = 8192, .accept_quota = 16,
		.backlog_bytes = 65536
	};
	const struct net_listener_opts l = {
		.name = "a", .address = "127.0.0.1:0", .tls = true,
		.backlog = 8
	};
	const struct net_hooks hooks = { .ctx = NULL };
	char why[256];

	assert_int_equal(net_new(&limits, &l, 1, &hooks, why, &net), 0);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(worker_init(&worker[i], "w"), 0);
		worker_of[i] = &worker[i];
		assert_int_equal(net_worker_new(net, &worker[i], NULL,
		    &net_of[i]), 0);
	}
}

/* The publisher asks too, so the clock is replaced before it starts. */
static _Atomic int64_t wall_ms;		/* 0: as it is */
static _Atomic uint64_t ahead_ms;	/* of the monotonic clock */

static uint64_t
mono(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 +
	    ahead_ms;
}

static int64_t
wall(void)
{
	return wall_ms != 0 ? wall_ms : (int64_t)time(NULL) * 1000;
}

static int
set_up(void **state)
{
	const struct credentials_workers w = {
		.worker = worker_of, .net = net_of, .counters = &counters,
		.n = WORKERS
	};
	char why[512];

	wall_ms = 0;
	ahead_ms = 0;
	memset(&counters, 0, sizeof(counters));
	clock_replace(mono, wall);
	if (conf_dir_set_up(state) != 0 || event_tap_start(&tap) != 0)
		return -1;
	done = 0;
	done_result = 1;
	start_net();
	conf = conf_of(BASE);
	assert_int_equal(credentials_new(conf, conf_dir, tap.bus, &w, why,
	    &creds), 0);
	return 0;
}

static int
tear_down(void **state)
{
	char name[128];

	for (int i = 0; i < WORKERS; i++) {
		mailbox_drain(&worker[i].mailbox);
		net_worker_free(&net_of[i]);
		worker_fini(&worker[i]);
	}
	credentials_free(&creds);
	assert_null(creds);
	net_free(&net);
	event_tap_stop(&tap);
	clock_replace(NULL, NULL);
	conf_unref(&conf);
	(void)snprintf(name, sizeof(name), "%s/ticket.master", conf_dir);
	(void)unlink(name);
	return conf_dir_tear_down(state);
}

static void
turn(unsigned i)
{
	assert_int_equal(loop_turn(worker[i].loop, 0), 0);
}

static const struct tls_snapshot *
at(unsigned i)
{
	turn(i);
	return net_of[i]->snapshot;
}

static void
begin(void)
{
	char why[512];

	assert_int_equal(credentials_open(creds, why), 0);
	assert_non_null(at(0));
	assert_ptr_equal(at(0), at(1));
}

static struct tls_cred *
cred_of(const struct test_cert *c)
{
	struct tls_cred *cred = NULL;
	char why[TLS_WHY_SIZE];

	if (tls_cred_new(c->pem, c->pem_n, c->key_pem, c->key_n, NULL, 0, why,
	    &cred) != 0)
		fail_msg("%s", why);
	return cred;
}

static int
put_from(const char *slot, const char *source, const struct test_cert *c)
{
	struct tls_cred *cred = cred_of(c);
	int r = credentials_put(creds, slot, source, cred, false);

	tls_cred_unref(&cred);
	return r;
}

static int
put(const char *slot, const struct test_cert *c)
{
	return put_from(slot, "cert", c);
}

static void
the_first_snapshot_goes_out_when_it_opens(void **state)
{
	(void)state;
	assert_null(at(0));
	assert_string_equal(credentials_missing(creds), "main");
	begin();
	assert_string_equal(credentials_missing(creds), "main");
}

static void
what_a_source_puts_is_in_service_and_told(void **state)
{
	const struct tls_snapshot *before;

	(void)state;
	begin();
	before = at(0);
	assert_int_equal(put("main", &ec), 0);
	assert_null(credentials_missing(creds));
	assert_ptr_not_equal(at(0), before);
	assert_ptr_equal(at(0), at(1));
	assert_int_equal(event_tap_sync(&tap), 1);
	assert_int_equal(tap.got[0].type, EVENT_CERTIFICATE_LIVE);
	assert_string_equal(tap.got[0].text, "main");
	/* Another kind of key stands beside it, the same kind replaces. */
	assert_int_equal(put_from("main", "other", &rsa), 0);
	assert_int_equal(put("main", &ec2), 0);
	assert_int_equal(event_tap_sync(&tap), 3);
	assert_int_equal(put("unknown", &ec), -ENOENT);
	assert_int_equal(event_tap_sync(&tap), 3);
}

static unsigned creds_of_main;

static void
count_cred(void *arg, const struct credentials_entry *e)
{
	(void)arg;
	creds_of_main += e->cred != NULL;
}

static unsigned
count_creds(void)
{
	creds_of_main = 0;
	credentials_each(creds, count_cred, NULL);
	return creds_of_main;
}

static void
one_source_has_both_kinds_when_it_says_so(void **state)
{
	struct tls_cred *cred = cred_of(&rsa);

	(void)state;
	begin();
	assert_int_equal(put("main", &ec), 0);
	assert_int_equal(credentials_put(creds, "main", "cert", cred, true),
	    0);
	assert_int_equal(count_creds(), 2);
	assert_int_equal(put("main", &ec2), 0);	/* both are replaced */
	assert_int_equal(count_creds(), 1);
	tls_cred_unref(&cred);
}

/* What a channel that comes now is counted by. */
static unsigned
number_now(void)
{
	const struct tls_slot *slot = at(0)->fallback;

	return slot->number[slot->cred[0] == NULL];
}

static void
read_entry(void *arg, const struct credentials_entry *e)
{
	*(struct credentials_entry *)arg = *e;
}

static void
expect_channels(uint64_t on_it, uint64_t before)
{
	struct credentials_entry e;

	credentials_each(creds, read_entry, &e);
	assert_int_equal(e.channels, on_it);
	assert_int_equal(e.channels_before, before);
}

static void
channels_are_counted_by_what_they_began_on(void **state)
{
	unsigned first, second;

	(void)state;
	begin();
	expect_channels(0, 0);
	assert_int_equal(put("main", &ec), 0);
	first = number_now();
	assert_int_not_equal(first, 0);
	atomic_fetch_add(&counters.began[first], 5);
	expect_channels(5, 0);
	/* The same again: a new chain or staple is no new certificate. */
	assert_int_equal(put("main", &ec), 0);
	assert_int_equal(number_now(), first);
	assert_int_equal(put("main", &ec2), 0);
	second = number_now();
	assert_int_not_equal(second, first);
	expect_channels(0, 5);
	atomic_fetch_add(&counters.began[second], 2);
	atomic_fetch_sub(&counters.began[first], 1);
	expect_channels(2, 4);
	/* Back again: the first is no previous one any more. */
	assert_int_equal(put("main", &ec), 0);
	assert_int_equal(number_now(), first);
	expect_channels(4, 2);
	/* Of another kind instead of it. */
	assert_int_equal(put("main", &rsa), 0);
	expect_channels(0, 6);
}

static void
numbers_are_used_again_when_nobody_is_left(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put("main", &ec), 0);
	assert_int_equal(number_now(), 1);
	/* As if there had been so many, each with a channel. */
	for (unsigned i = 2; i < CHANNEL_BEGAN_MAX; i++) {
		creds->began[i].slot = creds->published;
		atomic_store(&counters.began[i], 1);
	}
	creds->began_n = CHANNEL_BEGAN_MAX;
	expect_channels(0, CHANNEL_BEGAN_MAX - 2);
	assert_int_equal(put("main", &ec2), 0);
	assert_int_equal(number_now(), 0);
	expect_channels(0, CHANNEL_BEGAN_MAX - 2);
	atomic_store(&counters.began[9], 0);
	assert_int_equal(put("main", &ec2), 0);
	assert_int_equal(number_now(), 9);
}

static void
the_end_of_a_certificate_is_told_in_steps(void **state)
{
	struct tls_cred *cred = cred_of(&ec);
	struct tls_cred_info info;
	int64_t third;

	(void)state;
	tls_cred_info(cred, &info);
	tls_cred_unref(&cred);
	/* Short-lived: 30 days are made a third of its life. */
	third = (info.not_after - info.not_before) / 3;
	begin();
	wall_ms = (info.not_after - third - 5) * 1000;
	assert_int_equal(put("main", &ec), 0);
	credentials_expiry(creds);
	assert_int_equal(event_tap_sync(&tap), 1);
	wall_ms += 10000;
	credentials_expiry(creds);
	credentials_expiry(creds);
	assert_int_equal(event_tap_sync(&tap), 2);
	assert_int_equal(tap.got[1].type, EVENT_CERTIFICATE_EXPIRING);
	assert_string_equal(tap.got[1].text, "main");
	wall_ms = (info.not_after - 1) * 1000;
	credentials_expiry(creds);
	wall_ms += 2000;
	credentials_expiry(creds);
	credentials_expiry(creds);
	assert_int_equal(event_tap_sync(&tap), 4);
	assert_int_equal(tap.got[3].type, EVENT_CERTIFICATE_EXPIRED);
	/* Another one is told of anew. */
	assert_int_equal(put("main", &ec2), 0);
	credentials_expiry(creds);
	assert_int_equal(event_tap_sync(&tap), 6);
}

static void
the_same_certificate_is_served_afresh_and_told_once(void **state)
{
	const struct tls_snapshot *before;

	(void)state;
	begin();
	assert_int_equal(put("main", &ec), 0);
	before = at(0);
	assert_int_equal(put("main", &ec), 0);
	assert_ptr_not_equal(at(0), before);
	assert_int_equal(event_tap_sync(&tap), 1);
	/* Not the one that is in service: told again. */
	assert_int_equal(put("main", &ec2), 0);
	assert_int_equal(put("main", &ec), 0);
	assert_int_equal(event_tap_sync(&tap), 3);
}

static void
without_memory_the_last_good_stays(void **state)
{
	struct tls_cred *cred;
	const struct tls_snapshot *a, *b;
	unsigned long n;
	int r = -1;

	(void)state;
	begin();
	assert_int_equal(put("main", &ec), 0);
	a = at(0);
	b = at(1);
	assert_int_equal(event_tap_sync(&tap), 1);
	cred = cred_of(&ec2);
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = credentials_put(creds, "main", "cert", cred,
		    false);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		if (r != 0) {
			assert_ptr_equal(at(0), a);
			assert_ptr_equal(at(1), b);
		}
		assert_true(n < 100);
	}
	assert_true(n > 3);
	assert_ptr_not_equal(at(0), a);
	tls_cred_unref(&cred);
	/* The last failure may have been the event's own. */
	assert_true(event_tap_sync(&tap) <= 2);
}

static void
on_done(void *arg, int result)
{
	assert_ptr_equal(arg, &done);
	done++;
	done_result = result;
}

static int
challenge(enum plug_challenge_kind kind, const char *key, const char *body)
{
	struct plug_challenge ch = {
		.kind = kind, .key = key, .body = body, .done = on_done,
		.arg = &done
	};
	int r;

	if (kind != PLUG_CHALLENGE_HTTP)
		ch.cred = cred_of(&ec);
	r = credentials_challenge(creds, &ch);
	tls_cred_unref(&ch.cred);
	return r;
}

static const char *
answer_at(unsigned i, const char *token)
{
	turn(i);
	return net_of[i]->answers == NULL ? NULL :
	    answers_find(net_of[i]->answers, token);
}

static void
a_challenge_is_done_when_every_worker_serves_it(void **state)
{
	(void)state;
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t1", "b1"), -EAGAIN);
	begin();
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t1", "b1"), 0);
	assert_string_equal(answer_at(1, "t1"), "b1");
	assert_int_equal(done, 0);
	assert_string_equal(answer_at(0, "t1"), "b1");
	assert_int_equal(done, 1);
	assert_int_equal(done_result, 0);
	assert_int_equal(challenge(PLUG_CHALLENGE_ALPN, "a.test", NULL), 0);
	turn(0);
	assert_int_equal(done, 1);
	turn(1);
	assert_int_equal(done, 2);
}

static void
challenges_are_replaced_and_removed(void **state)
{
	const struct tls_snapshot *before;

	(void)state;
	begin();
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t1", "b1"), 0);
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t2", "b2"), 0);
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t1", "new"), 0);
	assert_string_equal(answer_at(0, "t1"), "new");
	assert_string_equal(answer_at(0, "t2"), "b2");
	credentials_challenge_remove(creds, "t1");
	assert_null(answer_at(0, "t1"));
	assert_string_equal(answer_at(0, "t2"), "b2");
	assert_int_equal(challenge(PLUG_CHALLENGE_ALPN, "a.test", NULL), 0);
	before = at(0);
	credentials_challenge_remove(creds, "nobody");
	assert_ptr_equal(at(0), before);
	credentials_challenge_remove(creds, "a.test");
	assert_ptr_not_equal(at(0), before);
	turn(1);
	assert_int_equal(done, 4);
}

static void
challenges_are_limited_and_fail_whole(void **state)
{
	char key[16];
	unsigned long n;
	int r = -1;

	(void)state;
	begin();
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t0", "old"), 0);
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = challenge(PLUG_CHALLENGE_HTTP, "t0", "new");
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_string_equal(answer_at(0, "t0"), r == 0 ? "new" :
		    "old");
		turn(1);
	}
	assert_int_equal(done, 2);
	for (unsigned i = 1; i < 64; i++) {
		(void)snprintf(key, sizeof(key), "t%u", i);
		assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, key, "b"), 0);
	}
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "more", "b"),
	    -ENOSPC);
	assert_int_equal(challenge(PLUG_CHALLENGE_HTTP, "t7", "again"), 0);
	assert_string_equal(answer_at(1, "t7"), "again");
	assert_null(answer_at(1, "more"));
}

static void
a_reload_is_prepared_and_then_committed_or_discarded(void **state)
{
	struct credentials_staged *staged = NULL;
	const struct tls_snapshot *before;
	struct conf *next;
	char why[512];

	(void)state;
	begin();
	assert_int_equal(put("main", &ec), 0);
	before = at(0);
	next = conf_of(BASE "[slot.two]\nsource = cert\nnames = b.test\n");
	assert_int_equal(credentials_prepare(creds, next, why, &staged), 0);
	assert_ptr_equal(at(0), before);
	assert_int_equal(put("two", &ec), -ENOENT);
	before = at(0);
	credentials_discard(&staged);
	assert_null(staged);
	assert_ptr_equal(at(0), before);
	assert_int_equal(credentials_prepare(creds, next, why, &staged), 0);
	credentials_commit(creds, &staged);
	assert_null(staged);
	assert_ptr_not_equal(at(0), before);
	/* What was published is kept by its slot's name. */
	assert_string_equal(credentials_missing(creds), "two");
	assert_int_equal(put("two", &ec2), 0);
	assert_null(credentials_missing(creds));
	conf_unref(&next);
}

static void
refused(const char *text, const char *part)
{
	struct credentials_staged *staged = NULL;
	const struct tls_snapshot *before = at(0);
	struct conf *next = conf_of(text);
	char why[512] = "";

	assert_true(credentials_prepare(creds, next, why, &staged) < 0);
	assert_null(staged);
	if (strstr(why, part) == NULL)
		fail_msg("\"%s\" says nothing of \"%s\"", why, part);
	assert_ptr_equal(at(0), before);
	conf_unref(&next);
}

static void
a_bad_reload_changes_nothing_and_says_why(void **state)
{
	(void)state;
	begin();
	refused("[listener.a]\naddress = 127.0.0.1:0\nclient_auth = required\n"
	    "ca_file = /nonexistent/ca.pem\n"
	    "[slot.main]\nsource = cert\ndefault = yes\n"
	    "[plugin.cert]\nmodule = cert-file\n", "/nonexistent/ca.pem");
	refused(BASE "[tls]\npriority = NORMAL:+VERS-TLS1.0\n", "TLS1.0");
	conf_dir_put("ca.pem", "no certificate");
	{
		char text[600];

		(void)snprintf(text, sizeof(text),
		    "[listener.a]\naddress = 127.0.0.1:0\n"
		    "client_auth = required\nca_file = %s/ca.pem\n"
		    "[slot.main]\nsource = cert\ndefault = yes\n"
		    "[plugin.cert]\nmodule = cert-file\n", conf_dir);
		refused(text, "");
	}
	/* refused() wrote over the list of files. */
	conf_dir_put("ca.pem", "");
}

static void
preparing_without_memory_fails_whole(void **state)
{
	struct credentials_staged *staged = NULL;
	unsigned long n;
	char why[512];
	int r = -1;

	(void)state;
	begin();
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = credentials_prepare(creds, conf, why, &staged);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(r == 0 || staged == NULL);
	}
	assert_true(n > 5);
	credentials_discard(&staged);
	credentials_discard(&staged);
}

static void
making_it_without_memory_leaks_nothing(void **state)
{
	const struct credentials_workers w = {
		.worker = worker_of, .net = net_of, .n = WORKERS
	};
	struct credentials *c = NULL;
	unsigned long n;
	char why[512];
	int r = -1;

	(void)state;
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = credentials_new(conf, conf_dir, tap.bus, &w, why, &c);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(r == 0 || c == NULL);
	}
	assert_true(n > 5);
	credentials_free(&c);
	credentials_free(&c);
}

static void
the_ticket_master_is_replaced_only_when_it_is_due(void **state)
{
	const struct tls_snapshot *before;

	(void)state;
	begin();
	before = at(0);
	credentials_rotate(creds);
	assert_ptr_equal(at(0), before);
}

/* After a start the devices come back, and their tickets make that cheap. */
static void
a_start_keeps_the_ticket_master_however_old(void **state)
{
	const struct timespec long_ago[2] = { { .tv_sec = 1 },
	    { .tv_sec = 1 } };
	const struct credentials_workers w = {
		.worker = worker_of, .net = net_of, .n = WORKERS
	};
	struct stat before, after;
	struct credentials *c = NULL;
	char path[128], why[512];

	(void)state;
	begin();
	(void)snprintf(path, sizeof(path), "%s/ticket.master", conf_dir);
	assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(credentials_new(conf, conf_dir, tap.bus, &w, why, &c),
	    0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	credentials_rotate(creds);
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	credentials_free(&c);
}

static ino_t
master(void)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/ticket.master", conf_dir);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* Due for long. */
static ino_t
old_master(void)
{
	const struct timespec long_ago[2] = { { .tv_sec = 1 },
	    { .tv_sec = 1 } };
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/ticket.master", conf_dir);
	assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	return master();
}

/* Who is sent away comes back with its ticket: issue 5. */
static void
the_ticket_master_is_not_replaced_near_a_drain(void **state)
{
	struct control_errand e = { .window_ms = 60000, .reason = "restart" };
	struct daemon d = { .workers_n = 0 };
	ino_t old;

	(void)state;
	begin();
	old = old_master();
	d.credentials = creds;
	daemon_drain_begin(&d, &e);
	daemon_drain_tickets(&d);
	assert_int_equal(master(), old);
	ahead_ms = 61000;		/* over, but they are coming back */
	daemon_drain_tick(&d);
	assert_false(d.drain.active);
	daemon_drain_tickets(&d);
	assert_int_equal(master(), old);
	ahead_ms += 3590000;
	daemon_drain_tickets(&d);
	assert_int_equal(master(), old);
	ahead_ms += 10000;		/* an hour after it */
	daemon_drain_tickets(&d);
	assert_int_not_equal(master(), old);
}

static void
a_drain_that_was_given_up_keeps_the_ticket_master_too(void **state)
{
	struct control_errand e = { .window_ms = 600000, .reason = "restart" };
	struct daemon d = { .workers_n = 0 };
	ino_t old;

	(void)state;
	begin();
	old = old_master();
	d.credentials = creds;
	daemon_drain_begin(&d, &e);
	daemon_drain_abort(&d, &e);
	daemon_drain_tickets(&d);
	assert_int_equal(master(), old);
}

static void
a_replacement_that_failed_is_made_good_the_next_time(void **state)
{
	const struct timespec long_ago[2] = { { .tv_sec = 1 },
	    { .tv_sec = 1 } };
	const struct tls_snapshot *before;
	char path[128];

	(void)state;
	begin();
	(void)snprintf(path, sizeof(path), "%s/ticket.master", conf_dir);
	for (unsigned long n = 1; n < 20; n++) {
		before = at(0);
		assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
		(void)mem_fail_nth(n);
		credentials_rotate(creds);
		(void)mem_fail_nth(0);
		credentials_rotate(creds);
		assert_ptr_not_equal(at(0), before);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_snapshot_goes_out_when_it_opens),
		T(what_a_source_puts_is_in_service_and_told),
		T(one_source_has_both_kinds_when_it_says_so),
		T(channels_are_counted_by_what_they_began_on),
		T(numbers_are_used_again_when_nobody_is_left),
		T(the_end_of_a_certificate_is_told_in_steps),
		T(the_same_certificate_is_served_afresh_and_told_once),
		T(without_memory_the_last_good_stays),
		T(a_challenge_is_done_when_every_worker_serves_it),
		T(challenges_are_replaced_and_removed),
		T(challenges_are_limited_and_fail_whole),
		T(a_reload_is_prepared_and_then_committed_or_discarded),
		T(a_bad_reload_changes_nothing_and_says_why),
		T(preparing_without_memory_fails_whole),
		T(making_it_without_memory_leaks_nothing),
		T(the_ticket_master_is_replaced_only_when_it_is_due),
		T(a_start_keeps_the_ticket_master_however_old),
		T(the_ticket_master_is_not_replaced_near_a_drain),
		T(a_drain_that_was_given_up_keeps_the_ticket_master_too),
		T(a_replacement_that_failed_is_made_good_the_next_time),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
