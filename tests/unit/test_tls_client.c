/* SPDX-License-Identifier: Apache-2.0 */
/* The device's end against our own server end, in memory and over a socket. */
#include "tls/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"
#include "tls/review.h"
#include "tls/trust.h"
#include "../lib/tls_pair.h"

enum { OFF, REQUIRED };

static struct test_cert ca, ca_b, device;
static struct pair pair;		/* its client is not used */
static struct tls_review *review;	/* wanted of the next one, or NULL */
static bool go_on;
static size_t up_room = PAIR_WIRE;	/* what the client's io takes */

static ssize_t
io_recv(void *ctx, void *to, size_t n)
{
	(void)ctx;
	if (pair.down_at == pair.down_n)
		return -EAGAIN;
	if (n > pair.down_n - pair.down_at)
		n = pair.down_n - pair.down_at;
	memcpy(to, pair.down + pair.down_at, n);
	pair.down_at += n;
	return (ssize_t)n;
}

static ssize_t
io_send(void *ctx, const void *from, size_t n)
{
	(void)ctx;
	if (pair.up_n >= up_room)
		return -EAGAIN;
	if (n > up_room - pair.up_n)
		n = up_room - pair.up_n;
	memcpy(pair.up + pair.up_n, from, n);
	pair.up_n += n;
	return (ssize_t)n;
}

static const struct tls_client_io mem_io = {io_recv, io_send, NULL};

static struct tls_snapshot *
server(const struct test_cert *c)
{
	const uint8_t master[TLS_TICKET_MASTER_SIZE] = {5};
	struct tls_trust *trust = test_trust(&ca, true);
	const struct tls_listener_spec listeners[] = {
		[OFF] = {.client_auth = TLS_CLIENT_OFF},
		[REQUIRED] = {.client_auth = TLS_CLIENT_REQUIRED,
		    .trust = trust},
	};
	struct tls_cred *cred = NULL;
	struct tls_slot_spec slot = {.name = "main", .is_default = true};
	const struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1,
	    .listeners = listeners, .listeners_n = 2, .ticket_master = master};
	struct tls_snapshot *s = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_cred_new(c->pem, c->pem_n, c->key_pem, c->key_n, NULL, 0, why,
	    &cred) < 0)
		fail_msg("%s", why);
	slot.cred[0] = cred;
	assert_int_equal(tls_snapshot_new(&spec, NULL, &s), 0);
	tls_cred_unref(&cred);
	tls_trust_unref(&trust);
	return s;
}

static struct tls_client_policy *
policy(const char *priority, bool any_name, const struct test_cert *own)
{
	const struct tls_blob blob = {ca.pem, ca.pem_n, NULL, false};
	const struct tls_trust_spec trust = {.ca = &blob, .ca_n = 1,
	    .any_name = any_name};
	struct tls_client_spec spec = {.priority = priority};
	struct tls_client_policy *p = NULL;
	char why[TLS_WHY_SIZE] = "";

	assert_int_equal(tls_trust_new(&trust, why, &spec.trust), 0);
	if (own != NULL) {
		spec.chain_pem = own->pem;
		spec.chain_n = own->pem_n;
		spec.key_pem = own->key_pem;
		spec.key_n = own->key_n;
	}
	if (tls_client_policy_new(&spec, why, &p) < 0)
		fail_msg("%s", why);
	tls_trust_unref(&spec.trust);
	return p;
}

/* Runs a handshake; the client's result. */
static int
connect_to(struct tls_client_policy *p, const char *host,
    const struct test_cert *cert, unsigned listener, struct tls_client **ret)
{
	const struct pair_opts o = {.listener = listener};
	struct tls_snapshot *s = server(cert);
	int r = -EAGAIN, turns;

	pair_begin(&pair, s, &o);
	tls_snapshot_unref(&s);
	assert_int_equal(tls_client_new(p, host, &mem_io, ret), 0);
	if (review != NULL)
		tls_client_review(*ret, review, go_on);
	for (turns = 0; turns < 10000; turns++) {
		if (r == -EAGAIN)
			r = tls_client_handshake(*ret);
		if (pair.up_n > 0 && pair.server == TLS_HS_MORE)
			(void)pair_server_step(&pair, 0);
		else if (r != -EAGAIN)
			break;
	}
	return r;
}

static void
make(struct test_cert *c, const char *cn, const char *dns,
    const struct test_cert *issuer, int64_t from, int64_t to)
{
	const struct test_cert_spec spec = {.cn = cn, .dns = {dns},
	    .issuer = issuer, .from_s = from, .to_s = to};

	test_cert_make(&spec, c);
}

static void
echo(struct tls_client *c, size_t n)
{
	uint8_t *a = calloc(1, n), *b = calloc(1, n);
	size_t i, sent = 0, got = 0;
	ssize_t k;

	assert_non_null(a);
	assert_non_null(b);
	for (i = 0; i < n; i++)
		a[i] = (uint8_t)(i * 13);
	while (got < n) {
		k = sent < n ? tls_client_write(c, a + sent, n - sent) :
		    tls_client_flush(c);
		if (k > 0)
			sent += (size_t)k;
		else
			assert_true(k == 0 || k == -EAGAIN);
		pair.stage.rx.n = 0;
		assert_true(pair_server_read(&pair) >= 0);
		if (pair.stage.rx.n > 0)
			pair_server_write(&pair, pair.stage.rx.p,
			    pair.stage.rx.n);
		k = tls_client_read(c, b + got, n - got);
		if (k > 0)
			got += (size_t)k;
		else
			assert_int_equal(k, -EAGAIN);
	}
	assert_memory_equal(a, b, n);
	free(a);
	free(b);
}

static void
test_both_versions_carry_data_and_resume(void **state)
{
	static const char *const versions[] = {NULL, PAIR_TLS12
	    ":-CIPHER-ALL:+AES-128-GCM:-MAC-ALL:+AEAD:-KX-ALL:+ECDHE-ECDSA"
	    ":-SIGN-ALL:+SIGN-ECDSA-SHA256"};
	struct test_cert c;
	struct tls_client_policy *p;
	struct tls_client *t = NULL;
	uint8_t e[32];
	int v, i;

	(void)state;
	make(&c, "a.test", "a.test", &ca, 0, 0);
	for (v = 0; v < 2; v++) {
		p = policy(versions[v], false, NULL);
		for (i = 0; i < 3; i++) {
			assert_int_equal(connect_to(p, "a.test", &c, OFF, &t),
			    0);
			assert_int_equal(pair.server, TLS_HS_DONE);
			assert_int_equal(pair.peer.version,
			    v == 0 ? 0x0304 : 0x0303);
			assert_string_equal(pair.peer.alpn, "http/1.1");
			assert_string_equal(pair.peer.server_name, "a.test");
			assert_int_equal(tls_client_resumed(t), i > 0);
			assert_int_equal(tls_client_exporter(t, e), 0);
			assert_memory_equal(e, pair.peer.exporter, 32);
			echo(t, 50000);
			tls_client_free(&t);
		}
		tls_client_policy_free(&p);
	}
	test_cert_free(&c);
}

static time_t
later(time_t *ret)
{
	time_t now = time(NULL) + 3700;

	if (ret != NULL)
		*ret = now;
	return now;
}

/* The library asks nobody then, and the ticket outlives the certificate. */
static void
test_a_resumed_server_is_judged_again(void **state)
{
	static const char *const versions[] = {PAIR_TLS12
	    ":-CIPHER-ALL:+AES-128-GCM:-MAC-ALL:+AEAD:-KX-ALL:+ECDHE-ECDSA"
	    ":-SIGN-ALL:+SIGN-ECDSA-SHA256", NULL};
	struct tls_client_policy *p;
	struct tls_client *t = NULL;
	struct test_cert c;

	(void)state;
	make(&c, "a.test", "a.test", &ca, 0, 0);
	for (int v = 0; v < 2; v++) {
		p = policy(versions[v], false, NULL);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(connect_to(p, "a.test", &c, OFF, &t),
			    0);
			assert_int_equal(tls_client_resumed(t), i > 0);
			echo(t, 10);
			tls_client_free(&t);
		}
		gnutls_global_set_time_function(later);
		assert_int_equal(connect_to(p, "a.test", &c, OFF, &t),
		    -EACCES);
		gnutls_global_set_time_function(time);
		assert_true(tls_client_resumed(t));
		assert_string_equal(tls_client_reason(t),
		    "the server's certificate is "
		    "expired by this host's clock");
		tls_client_free(&t);
		tls_client_policy_free(&p);
	}
	test_cert_free(&c);
}

static void
test_a_slow_wire_loses_nothing(void **state)
{
	struct test_cert c;
	struct tls_client_policy *p = policy(NULL, false, NULL);
	struct tls_client *t = NULL;
	uint8_t *a = calloc(1, 40000);
	size_t sent = 0, got = 0;
	ssize_t k;

	(void)state;
	assert_non_null(a);
	make(&c, "a.test", "a.test", &ca, 0, 0);
	assert_int_equal(connect_to(p, "a.test", &c, OFF, &t), 0);
	up_room = 700;
	k = tls_client_write(t, a, 40000);
	assert_int_equal(k, 16384);
	assert_true(tls_client_wants_write(t));
	sent = (size_t)k;
	pair.stage.rx.n = 0;
	while (got < 40000) {
		if (pair.up_n >= up_room)
			up_room += 700;
		k = tls_client_write(t, a + sent, 40000 - sent);
		assert_true(k >= 0 || k == -EAGAIN);
		if (k > 0)
			sent += (size_t)k;
		if (pair_server_read(&pair) > 0)
			up_room = 700;
		got += pair.stage.rx.n;
		pair.stage.rx.n = 0;
	}
	assert_int_equal(tls_client_flush(t), 0);
	assert_false(tls_client_wants_write(t));
	up_room = PAIR_WIRE;
	tls_client_free(&t);
	tls_client_policy_free(&p);
	test_cert_free(&c);
	free(a);
}

static void
test_servers_that_are_not_trusted(void **state)
{
	static const struct {
		const char *host, *reason;
		const struct test_cert *issuer;
		int64_t from, to;
	} cases[] = {
		{"other.test", "the server's certificate is for another name",
		    &ca, 0, 0},
		{"127.0.0.1", "the server's certificate is for another name",
		    &ca, 0, 0},
		{"a.test", "the server's certificate has an unknown issuer",
		    &ca_b, 0, 0},
		{"a.test", "the server's certificate has an unknown issuer",
		    NULL, 0, 0},
		{"a.test", "the server's certificate is "
		    "expired by this host's clock", &ca, -7200,
		    -3600},
		{"a.test", "the server's certificate is "
		    "not valid yet by this host's clock", &ca,
		    3600, 7200},
	};
	struct tls_client_policy *p = policy(NULL, false, NULL);
	struct tls_client *t = NULL;
	struct tls_review seen;
	struct test_cert c;
	size_t i, n = sizeof(cases) / sizeof(*cases);

	(void)state;
	/* A review changes no verdict. */
	for (size_t k = 0; k < 2 * n; k++) {
		i = k / 2;
		review = k % 2 == 0 ? NULL : &seen;
		make(&c, "a.test", "a.test", cases[i].issuer, cases[i].from,
		    cases[i].to);
		assert_int_equal(connect_to(p, cases[i].host, &c, OFF, &t),
		    -EACCES);
		assert_string_equal(tls_client_reason(t), cases[i].reason);
		assert_int_equal(pair.server, -ECONNABORTED);
		assert_int_equal(tls_client_read(t, &i, 1), -ENOTCONN);
		assert_true(review == NULL || (seen.judged && seen.error ==
		    -EACCES && strstr(cases[i].reason, seen.why) != NULL));
		tls_client_free(&t);
		test_cert_free(&c);
	}
	review = NULL;
	tls_client_policy_free(&p);
}

static void
test_a_review_tells_all_that_is_wrong(void **state)
{
	struct tls_client_policy *p = policy(NULL, false, NULL);
	struct tls_client_facts facts;
	struct tls_client *t = NULL;
	struct tls_review seen;
	struct test_cert c;
	const void *der;
	size_t n;

	(void)state;
	review = &seen;
	go_on = true;
	make(&c, "a.test", "a.test", &ca_b, -7200, -3600);
	assert_int_equal(connect_to(p, "other.test", &c, OFF, &t), 0);
	assert_int_equal(seen.error, -EACCES);
	assert_string_equal(seen.why, "has an unknown issuer");
	assert_int_equal(seen.item[TLS_REVIEW_CHAIN].state, TLS_REVIEW_UNMET);
	assert_int_equal(seen.item[TLS_REVIEW_DATES].state, TLS_REVIEW_UNMET);
	assert_int_equal(seen.item[TLS_REVIEW_NAME].state, TLS_REVIEW_UNMET);
	assert_int_equal(seen.item[TLS_REVIEW_PINS].state,
	    TLS_REVIEW_NOT_ASKED);
	tls_client_facts(t, &facts);
	assert_string_equal(facts.version, "TLS1.3");
	assert_true(facts.suite[0] != '\0' && !facts.asked);
	assert_int_equal(tls_client_sent(t, 0, &der, &n), 0);
	assert_int_equal(tls_client_sent(t, 1, &der, &n), -ENOENT);
	assert_int_equal(tls_client_staple(t, &der, &n), -ENOENT);
	tls_client_free(&t);
	test_cert_free(&c);
	tls_client_policy_free(&p);
	/* What a switch lets pass is told as well, and is no fault. */
	p = policy(NULL, true, NULL);
	make(&c, "a.test", "a.test", &ca, 0, 0);
	assert_int_equal(connect_to(p, "other.test", &c, OFF, &t), 0);
	assert_int_equal(seen.error, 0);
	assert_int_equal(seen.item[TLS_REVIEW_CHAIN].state, TLS_REVIEW_MET);
	assert_int_equal(seen.item[TLS_REVIEW_NAME].state,
	    TLS_REVIEW_FORGIVEN);
	tls_client_free(&t);
	test_cert_free(&c);
	tls_client_policy_free(&p);
	review = NULL;
	go_on = false;
}

static void
test_the_name_check_has_its_own_switch(void **state)
{
	struct tls_client_policy *p = policy(NULL, true, NULL);
	struct tls_client *t = NULL;
	struct test_cert c;

	(void)state;
	make(&c, "a.test", "a.test", &ca, 0, 0);
	assert_int_equal(connect_to(p, "other.test", &c, OFF, &t), 0);
	tls_client_free(&t);
	test_cert_free(&c);
	make(&c, "a.test", "a.test", &ca_b, 0, 0);
	assert_int_equal(connect_to(p, "a.test", &c, OFF, &t), -EACCES);
	tls_client_free(&t);
	test_cert_free(&c);
	tls_client_policy_free(&p);
}

static void
test_own_certificate_is_shown(void **state)
{
	struct tls_client_policy *p = policy(NULL, false, &device);
	struct tls_client *t = NULL;
	struct test_cert c;
	char b[1];

	(void)state;
	make(&c, "a.test", "a.test", &ca, 0, 0);
	assert_int_equal(connect_to(p, "a.test", &c, REQUIRED, &t), 0);
	assert_int_equal(pair.server, TLS_HS_DONE);
	assert_true(pair.peer.has_cert);
	assert_string_equal(pair.peer.cert_cn, "dev-1");
	tls_client_free(&t);
	tls_client_policy_free(&p);
	p = policy(NULL, false, NULL);
	assert_int_equal(connect_to(p, "a.test", &c, REQUIRED, &t), 0);
	assert_int_equal(pair.server, -EACCES);
	assert_int_equal(tls_client_read(t, b, 1), -ECONNABORTED);
	assert_non_null(strstr(tls_client_reason(t), "alert 116"));
	tls_client_free(&t);
	tls_client_policy_free(&p);
	test_cert_free(&c);
}

static void
test_ends_are_told_apart(void **state)
{
	struct tls_client_policy *p = policy(NULL, false, NULL);
	struct tls_client *t = NULL;
	struct tls_client_io io;
	struct test_cert c;
	char b[16];
	int sv[2];

	(void)state;
	make(&c, "a.test", "a.test", &ca, 0, 0);
	assert_int_equal(connect_to(p, "a.test", &c, OFF, &t), 0);
	assert_int_equal(tls_client_read(t, b, 1), -EAGAIN);
	assert_false(tls_client_wants_write(t));
	assert_int_equal(pair.transport->ops->shutdown(pair.transport,
	    &pair.stage), 0);
	memcpy(pair.down + pair.down_n, pair.stage.tx.p, pair.stage.tx.n);
	pair.down_n += pair.stage.tx.n;
	pair.stage.tx.n = 0;
	assert_int_equal(tls_client_read(t, b, 1), 0);
	assert_int_equal(tls_client_close(t), 0);
	assert_int_equal(pair_server_read(&pair), -EPIPE);
	tls_client_free(&t);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv), 0);
	io = tls_client_io_fd(sv[0]);
	assert_int_equal(tls_client_new(p, "a.test", &io, &t), 0);
	assert_int_equal(tls_client_handshake(t), -EAGAIN);
	assert_true(recv(sv[1], b, sizeof(b), 0) > 0);
	assert_int_equal(shutdown(sv[1], SHUT_WR), 0);
	assert_int_equal(tls_client_handshake(t), -ECONNRESET);
	tls_client_free(&t);
	assert_int_equal(tls_client_new(p, "a.test", &io, &t), 0);
	assert_int_equal(close(sv[1]), 0);
	assert_int_equal(tls_client_handshake(t), -EPIPE);
	assert_string_equal(tls_client_reason(t), "Broken pipe");
	tls_client_free(&t);
	assert_int_equal(close(sv[0]), 0);
	tls_client_policy_free(&p);
	test_cert_free(&c);
}

static void
test_bad_specs_are_refused(void **state)
{
	struct tls_client_policy *p = NULL;
	struct tls_client_spec spec = {.trust = test_trust(&ca, false)};
	char why[TLS_WHY_SIZE];

	(void)state;
	spec.chain_pem = device.pem;
	spec.chain_n = device.pem_n;
	assert_int_equal(tls_client_policy_new(&spec, why, &p), -EINVAL);
	spec.key_pem = ca.key_pem;
	spec.key_n = ca.key_n;
	assert_int_equal(tls_client_policy_new(&spec, why, &p), -EINVAL);
	spec.chain_pem = NULL;
	spec.priority = "NORMAL";
	assert_int_equal(tls_client_policy_new(&spec, why, &p), -EINVAL);
	assert_null(p);
	tls_trust_unref(&spec.trust);
}

static void
test_allocation_failures(void **state)
{
	struct tls_client_spec spec = {.trust = test_trust(&ca, false)};
	struct tls_client_policy *p = NULL;
	struct tls_client *t = NULL;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_client_policy_new(&spec, NULL, &p);
		mem_fail_nth(0);
		assert_true(r == 0 ? p != NULL : p == NULL);
	}
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_client_new(p, "a.test", &mem_io, &t);
		mem_fail_nth(0);
		assert_true(r == 0 ? t != NULL : t == NULL);
	}
	tls_trust_unref(&spec.trust);
	assert_true(n > 3);
	tls_client_free(&t);
	tls_client_policy_free(&p);
}

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true},
	    sb = {.cn = "B", .ca = true}, sd = {.cn = "dev-1", .issuer = &ca};

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&sb, &ca_b);
	test_cert_make(&sd, &device);
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_fini(&pair);
	test_cert_free(&ca);
	test_cert_free(&ca_b);
	test_cert_free(&device);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_versions_carry_data_and_resume),
		cmocka_unit_test(test_a_resumed_server_is_judged_again),
		cmocka_unit_test(test_a_slow_wire_loses_nothing),
		cmocka_unit_test(test_servers_that_are_not_trusted),
		cmocka_unit_test(test_a_review_tells_all_that_is_wrong),
		cmocka_unit_test(test_the_name_check_has_its_own_switch),
		cmocka_unit_test(test_own_certificate_is_shown),
		cmocka_unit_test(test_ends_are_told_apart),
		cmocka_unit_test(test_bad_specs_are_refused),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("tls_client", tests, setup,
	    teardown);
}
