/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of core/plug: instances from configuration to life and back, with
 * modules built from tests/plugins, and what the daemon would have got.
 */
#ifndef CT_TEST_PLUG_TRY_H
#define CT_TEST_PLUG_TRY_H

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
#include "tls/tls_priv.h"
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

static inline int
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

static inline void
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

static inline int
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

static inline void
challenge_remove(void *ctx, const char *key)
{
	(void)ctx;
	(void)snprintf(challenge.removed, sizeof(challenge.removed), "%s",
	    key);
	atomic_store(&challenge.was_removed, true);
}

static inline struct conf *
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

static inline int
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

static inline struct plugs *
plugs_of(const char *text)
{
	char why[PLUG_WHY_SIZE] = "";
	struct plugs *p = NULL;

	if (try_new(text, why, &p) != 0 || plugs_start(p, why) != 0)
		fail_msg("%s", why);
	return p;
}

static inline void
end(struct plugs **p)
{
	plugs_stop(*p);
	plugs_free(p);
	assert_null(*p);
}

static inline void
pause_ms(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

#define STATUS "module = fail_status\n"
#define PROTO "module = fail_proto\n"

static _Atomic uint64_t skew;

static inline uint64_t
skewed(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 +
	    atomic_load(&skew);
}

static inline int
prepare(struct plugs *p, const char *text, char *why,
    struct plugs_staged **ret)
{
	struct conf *c = conf_of(text);
	int err = plugs_prepare(p, c, why, ret);

	conf_unref(&c);
	return err;
}

static inline int
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

static inline int
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

static inline int
fresh(void **state)
{
	(void)state;
	return modules_sh("rm -rf '%s/plugins'", dir);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

#endif
