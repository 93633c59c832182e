/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that are elsewhere: a thread signs, late, wrongly, or for a handshake
 * that nobody wants any more. */
#include "tls/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "../lib/tls_pair.h"

/* A signer: one request at a time, answered by a thread of its own. */
struct signer {
	const struct test_cert *cert;
	enum { ANSWER, FAIL, GARBAGE, EMPTY, REFUSE, AT_ONCE, TOO_LONG } mode;
	unsigned delay_ms;
	atomic_int requests;
	int scheme;
	uint8_t data[512];
	size_t n;
	struct tls_sign_job *job;
	pthread_t thread;
	bool running;
};

static struct signer signer;
static struct pair pair;

static void *
answer(void *arg)
{
	struct signer *s = arg;
	struct timespec t = {0, (long)s->delay_ms * 1000000};
	uint8_t sig[2048];
	size_t n;

	if (s->delay_ms > 0)
		(void)nanosleep(&t, NULL);
	n = test_cert_sign(s->cert, s->scheme, s->data, s->n, sig,
	    sizeof(sig));
	if (s->mode == GARBAGE)
		sig[n / 2] ^= 1;
	if (s->mode == EMPTY)
		n = 0;
	if (s->mode == TOO_LONG)
		n = sizeof(sig);
	tls_sign_done(s->job, s->mode == FAIL ? -EHOSTDOWN : 0, sig, n);
	return NULL;
}

static int
request(void *ctx, const char *key_id, int scheme, const void *data, size_t n,
    struct tls_sign_job *job)
{
	struct signer *s = ctx;

	assert_string_equal(key_id, "key-7");
	assert_true(n <= sizeof(s->data));
	atomic_fetch_add(&s->requests, 1);
	if (s->mode == REFUSE)
		return -ENODEV;
	s->scheme = scheme;
	memcpy(s->data, data, n);
	s->n = n;
	s->job = job;
	if (s->mode == AT_ONCE) {
		(void)answer(s);
		return 0;
	}
	assert_int_equal(pthread_create(&s->thread, NULL, answer, s), 0);
	s->running = true;
	return 0;
}

static void
join(void)
{
	if (signer.running)
		assert_int_equal(pthread_join(signer.thread, NULL), 0);
	signer.running = false;
}

static struct tls_snapshot *
snapshot(const struct test_cert *c)
{
	const struct tls_signer with = {request, &signer};
	struct tls_cred *cred = NULL;
	const struct tls_listener_spec listener = {
		.client_auth = TLS_CLIENT_OFF
	};
	struct tls_slot_spec slot = {.name = "main", .is_default = true};
	const uint8_t master[TLS_TICKET_MASTER_SIZE] = {3};
	const struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1,
	    .listeners = &listener, .listeners_n = 1, .ticket_master = master};
	struct tls_snapshot *ret = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_cred_new_external(c->pem, c->pem_n, &with, "key-7", NULL, 0,
	    why, &cred) < 0)
		fail_msg("%s", why);
	slot.cred[0] = cred;
	assert_int_equal(tls_snapshot_new(&spec, why, &ret), 0);
	tls_cred_unref(&cred);
	return ret;
}

static void
prepare(const struct test_cert *c, int mode, unsigned delay_ms)
{
	join();
	memset(&signer, 0, sizeof(signer));
	signer.cert = c;
	signer.mode = mode;
	signer.delay_ms = delay_ms;
}

static void
go(const struct test_cert *c, const struct pair_opts *o)
{
	struct tls_snapshot *s = snapshot(c);

	pair_begin(&pair, s, o);
	tls_snapshot_unref(&s);
	pair_run(&pair, o);
	join();
}

static void
test_every_key_type_in_both_versions(void **state)
{
	static const enum test_key keys[] = {TEST_KEY_P256, TEST_KEY_P384,
	    TEST_KEY_P521, TEST_KEY_ED25519, TEST_KEY_RSA, TEST_KEY_RSA_PSS};
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	struct test_cert c;
	size_t i, v;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		spec.key = keys[i];
		test_cert_make(&spec, &c);
		for (v = 0; v < 4; v++) {
			prepare(&c, v / 2 ? AT_ONCE : ANSWER, 5);
			o.priority = v % 2 ? PAIR_TLS12 : PAIR_TLS13;
			go(&c, &o);
			if (pair.server != TLS_HS_DONE || pair.client_rc < 0)
				fail_msg("key %zu version %zu: %s", i, v,
				    tls_handshake_reason(pair.hs));
			assert_int_equal(signer.requests, 1);
			assert_int_equal(tls_worker_suspended(pair.worker), 0);
			pair_check_echo(&pair, 5000);
		}
		test_cert_free(&c);
	}
}

static void
test_pkcs1_of_tls_1_2_gives_the_hash(void **state)
{
	static const struct {
		const char *priority;
		int scheme;
		size_t n;
	} cases[] = {
		{PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA256", 0x0401, 32},
		{PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA384", 0x0501, 48},
		{PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA512", 0x0601, 64},
		{PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA384", 0x0805, 48},
	};
	struct test_cert_spec spec = {.cn = "a.test", .key = TEST_KEY_RSA};
	struct pair_opts o = {.sni = NULL};
	struct test_cert c;
	size_t i;

	(void)state;
	test_cert_make(&spec, &c);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		prepare(&c, ANSWER, 0);
		o.priority = cases[i].priority;
		go(&c, &o);
		assert_int_equal(pair.server, TLS_HS_DONE);
		assert_int_equal(pair.client_rc, 0);
		assert_int_equal(signer.scheme, cases[i].scheme);
		assert_int_equal(signer.n, cases[i].n);
	}
	test_cert_free(&c);
}

static void
test_resumption_needs_no_signature(void **state)
{
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	gnutls_datum_t data;
	struct test_cert c;

	(void)state;
	test_cert_make(&spec, &c);
	prepare(&c, ANSWER, 0);
	go(&c, &o);
	assert_int_equal(pair.server, TLS_HS_DONE);
	pair_check_echo(&pair, 10);
	assert_int_equal(gnutls_session_get_data2(pair.client, &data), 0);
	o.resume = &data;
	go(&c, &o);
	assert_int_equal(pair.server, TLS_HS_DONE);
	assert_true(pair.peer.resumed);
	assert_int_equal(signer.requests, 1);
	gnutls_free(data.data);
	test_cert_free(&c);
}

static void
test_signer_failures_end_the_handshake(void **state)
{
	static const struct {
		int mode;
		const char *reason;
	} cases[] = {
		{FAIL, "Host is down"}, {EMPTY, "Input/output error"},
		{REFUSE, "No such device"}, {TOO_LONG, "Message too long"},
	};
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	struct test_cert c;
	size_t i;

	(void)state;
	test_cert_make(&spec, &c);
	for (i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		prepare(&c, cases[i / 2].mode, 1);
		o.priority = i % 2 ? PAIR_TLS12 : PAIR_TLS13;
		go(&c, &o);
		assert_int_equal(pair.server, -ENOKEY);
		assert_non_null(strstr(tls_handshake_reason(pair.hs),
		    cases[i / 2].reason));
		assert_int_equal(pair_alert(&pair), GNUTLS_A_INTERNAL_ERROR);
	}
	prepare(&c, GARBAGE, 1);
	o.priority = PAIR_TLS13;
	go(&c, &o);
	assert_true(pair.client_rc < 0);
	assert_int_equal(pair.server, -ECONNABORTED);
	test_cert_free(&c);
}

static void
wait_for_signers(void)
{
	uint64_t deadline = clock_mono_ms() + 10000;

	while (tls_worker_suspended(pair.worker) > 0) {
		assert_true(clock_mono_ms() < deadline);
		assert_int_equal(loop_turn(pair.loop, 100), 0);
	}
}

static void
test_given_up_while_suspended(void **state)
{
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	struct tls_snapshot *s;
	struct test_cert c;
	size_t used;
	int i;

	(void)state;
	test_cert_make(&spec, &c);
	for (i = 0; i < 6; i++) {
		prepare(&c, i % 3 == 0 ? FAIL : ANSWER, 20);
		o.priority = i % 2 ? PAIR_TLS12 : PAIR_TLS13;
		s = snapshot(&c);
		pair_begin(&pair, s, &o);
		tls_snapshot_unref(&s);
		pair_client_step(&pair, &o);
		assert_int_equal(pair_server_step(&pair, 0), TLS_HS_WAIT);
		assert_int_equal(tls_worker_suspended(pair.worker), 1);
		/* More bytes change nothing. */
		assert_int_equal(tls_handshake_step(pair.hs, &pair.stage,
		    (const uint8_t *)"GET", 3, &used), TLS_HS_WAIT);
		assert_int_equal(used, 0);
		tls_handshake_free(&pair.hs);
		assert_null(pair.hs);
		wait_for_signers();
		assert_int_equal(pair.resumed_calls, 0);
		join();
	}
	test_cert_free(&c);
}

static void
test_given_up_after_the_answer(void **state)
{
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	struct tls_snapshot *s;
	struct test_cert c;

	(void)state;
	test_cert_make(&spec, &c);
	prepare(&c, ANSWER, 1);
	s = snapshot(&c);
	pair_begin(&pair, s, &o);
	tls_snapshot_unref(&s);
	pair_client_step(&pair, &o);
	assert_int_equal(pair_server_step(&pair, 0), TLS_HS_WAIT);
	wait_for_signers();
	assert_int_equal(pair.resumed_calls, 1);
	tls_handshake_free(&pair.hs);
	join();
	test_cert_free(&c);
}

static void
test_no_stack_left_is_enomem(void **state)
{
	struct test_cert_spec spec = {.cn = "a.test"};
	struct pair_opts o = {.sni = "a.test"};
	struct tls_worker *w = NULL;
	struct tls_handshake *h = NULL;
	struct tls_snapshot *s;
	struct test_cert c;
	size_t used;

	(void)state;
	test_cert_make(&spec, &c);
	prepare(&c, ANSWER, 1);
	s = snapshot(&c);
	pair_begin(&pair, s, &o);
	pair_client_step(&pair, &o);
	assert_int_equal(tls_worker_new(&pair.mailbox, &w), 0);
	assert_int_equal(tls_handshake_new(w, s, 0, NULL, NULL, &h), 0);
	mem_fail_nth(1);
	assert_int_equal(tls_handshake_step(h, &pair.stage, pair.up, pair.up_n,
	    &used), -ENOMEM);
	mem_fail_nth(0);
	tls_handshake_free(&h);
	tls_worker_free(&w);
	tls_snapshot_unref(&s);
	test_cert_free(&c);
}

static int
setup(void **state)
{
	(void)state;
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_fini(&pair);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key_type_in_both_versions),
		cmocka_unit_test(test_pkcs1_of_tls_1_2_gives_the_hash),
		cmocka_unit_test(test_resumption_needs_no_signature),
		cmocka_unit_test(test_signer_failures_end_the_handshake),
		cmocka_unit_test(test_given_up_while_suspended),
		cmocka_unit_test(test_given_up_after_the_answer),
		cmocka_unit_test(test_no_stack_left_is_enomem),
	};

	return cmocka_run_group_tests_name("signer", tests, setup, teardown);
}
