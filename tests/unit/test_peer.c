/* SPDX-License-Identifier: Apache-2.0 */
/* Client certificates: what each kind of listener accepts, what is kept of a
 * peer, and what a resumption is worth. */
#include "tls/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "tls/digest.h"
#include "tls/trust_priv.h"
#include "../lib/tls_pair.h"

enum { OFF, OPTIONAL, REQUIRED, REQUIRED_B };
enum { GOOD, EXPIRED, FUTURE, UNKNOWN_CA, SELF_SIGNED, SERVER_ONLY, CHAINED,
	LONG_SERIAL, NO_KEY_IDS, RSA_KEY, ED_KEY, CERTS };

static struct test_cert ca, ca_b, inter, server, cert[CERTS];
static struct tls_cred *cred;
static struct tls_snapshot *snap;
static struct pair pair;
static const char *const versions[] = {PAIR_TLS13, PAIR_TLS12};

static struct tls_snapshot *
snapshot(const struct test_cert *issuer)
{
	struct tls_trust *a = test_trust(issuer, true);
	struct tls_trust *b = test_trust(&ca_b, true);
	const uint8_t master[TLS_TICKET_MASTER_SIZE] = {9};
	const struct tls_slot_spec slot = {.name = "main", .is_default = true,
	    .cred = {cred}, .number = {issuer == &ca ? 3 : 4}};
	const struct tls_listener_spec listeners[] = {
		[OFF] = {.client_auth = TLS_CLIENT_OFF},
		[OPTIONAL] = {.client_auth = TLS_CLIENT_OPTIONAL, .trust = a},
		[REQUIRED] = {.client_auth = TLS_CLIENT_REQUIRED, .trust = a},
		[REQUIRED_B] = {.client_auth = TLS_CLIENT_REQUIRED,
		    .trust = b},
	};
	const struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1,
	    .listeners = listeners, .listeners_n = 4, .ticket_master = master};
	struct tls_snapshot *ret = NULL;

	assert_int_equal(tls_snapshot_new(&spec, NULL, &ret), 0);
	tls_trust_unref(&a);
	tls_trust_unref(&b);
	return ret;
}

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true},
	    sb = {.cn = "CA B", .ca = true},
	    si = {.cn = "Inter", .ca = true, .issuer = &ca},
	    ss = {.cn = "server", .issuer = &ca};
	const struct test_cert_spec sc[CERTS] = {
		[GOOD] = {.cn = "dev-1", .issuer = &ca,
		    .purpose = GNUTLS_KP_TLS_WWW_CLIENT},
		[EXPIRED] = {.cn = "dev-1", .issuer = &ca, .from_s = -7200,
		    .to_s = -3600},
		[FUTURE] = {.cn = "dev-1", .issuer = &ca, .from_s = 3600,
		    .to_s = 7200},
		[UNKNOWN_CA] = {.cn = "dev-1", .issuer = &ca_b},
		[SELF_SIGNED] = {.cn = "dev-1"},
		[SERVER_ONLY] = {.cn = "dev-1", .issuer = &ca,
		    .purpose = GNUTLS_KP_TLS_WWW_SERVER},
		[CHAINED] = {.cn = "dev-\xc3\xa4", .issuer = &inter},
		[LONG_SERIAL] = {.cn = "dev-1", .issuer = &ca, .serial_n = 20},
		[NO_KEY_IDS] = {.issuer = &ca, .no_key_ids = true},
		[RSA_KEY] = {.cn = "dev-1", .issuer = &ca, .key = TEST_KEY_RSA},
		[ED_KEY] = {.cn = "dev-1", .issuer = &ca,
		    .key = TEST_KEY_ED25519},
	};
	int i;

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&sb, &ca_b);
	test_cert_make(&si, &inter);
	test_cert_make(&ss, &server);
	for (i = 0; i < CERTS; i++)
		test_cert_make(&sc[i], &cert[i]);
	assert_int_equal(tls_cred_new(server.pem, server.pem_n, server.key_pem,
	    server.key_n, NULL, 0, NULL, &cred), 0);
	snap = snapshot(&ca);
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	int i;

	(void)state;
	pair_fini(&pair);
	tls_snapshot_unref(&snap);
	tls_cred_unref(&cred);
	for (i = 0; i < CERTS; i++)
		test_cert_free(&cert[i]);
	test_cert_free(&ca);
	test_cert_free(&ca_b);
	test_cert_free(&inter);
	test_cert_free(&server);
	return 0;
}

/* A TLS 1.3 client is done before the server has judged it: the alert is the
 * first thing it reads. */
static int
alert_seen(void)
{
	char b[1];
	ssize_t r = pair.client_rc;

	if (r == 0)
		do
			r = gnutls_record_recv(pair.client, b, 1);
		while (r == GNUTLS_E_INTERRUPTED);
	if (r != GNUTLS_E_FATAL_ALERT_RECEIVED)
		return -1;
	return (int)gnutls_alert_get(pair.client);
}

static void
go(const struct pair_opts *o)
{
	pair_begin(&pair, snap, o);
	pair_run(&pair, o);
}

static void
expect(const struct pair_opts *o, int result, int alert, const char *reason)
{
	go(o);
	if (pair.server != result)
		fail_msg("server %d (%s), client %s", pair.server,
		    tls_handshake_reason(pair.hs),
		    gnutls_strerror(pair.client_rc));
	if (result == TLS_HS_DONE)
		return;
	assert_string_equal(tls_handshake_reason(pair.hs), reason);
	assert_int_equal(alert_seen(), alert);
}

static void
test_off_asks_for_nothing(void **state)
{
	struct pair_opts o = {.cert = &cert[GOOD], .listener = OFF};
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		expect(&o, TLS_HS_DONE, 0, NULL);
		assert_false(pair.peer.has_cert);
		assert_int_equal(gnutls_certificate_client_get_request_status(
		    pair.client), 0);
	}
}

static void
test_missing_certificate(void **state)
{
	struct pair_opts o = {.listener = OPTIONAL};
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		o.listener = OPTIONAL;
		expect(&o, TLS_HS_DONE, 0, NULL);
		assert_false(pair.peer.has_cert);
		o.listener = REQUIRED;
		expect(&o, -EACCES, v == 0 ? GNUTLS_A_CERTIFICATE_REQUIRED :
		    GNUTLS_A_HANDSHAKE_FAILURE,
		    "client certificate is missing");
	}
}

static void
test_bad_certificates(void **state)
{
	static const struct {
		int cert, alert;
		const char *reason;
	} cases[] = {
		{EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED,
		    "client certificate is "
		    "expired by this host's clock"},
		{FUTURE, GNUTLS_A_CERTIFICATE_EXPIRED,
		    "client certificate is "
		    "not valid yet by this host's clock"},
		{UNKNOWN_CA, GNUTLS_A_UNKNOWN_CA,
		    "client certificate has an unknown issuer"},
		{SELF_SIGNED, GNUTLS_A_UNKNOWN_CA,
		    "client certificate has an unknown issuer"},
		{SERVER_ONLY, GNUTLS_A_UNSUPPORTED_CERTIFICATE,
		    "client certificate is not for TLS clients"},
		{CHAINED, GNUTLS_A_UNKNOWN_CA,
		    "client certificate has an unknown issuer"},
	};
	struct pair_opts o = {.listener = OFF};
	size_t i;
	int v;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (v = 0; v < 4; v++) {
			o.priority = versions[v % 2];
			o.listener = v / 2 ? REQUIRED : OPTIONAL;
			o.cert = &cert[cases[i].cert];
			expect(&o, -EACCES, cases[i].alert, cases[i].reason);
		}
}

/* A certificate of the CA for an RSA key of that size; free() it. */
static char *
make_dear(size_t n_bits, size_t e_bits)
{
	gnutls_datum_t n = {calloc(1, n_bits / 8), (unsigned)n_bits / 8},
	    e = {calloc(1, e_bits / 8), (unsigned)e_bits / 8}, pem;
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t key;
	char *copy;

	assert_true(n.data != NULL && e.data != NULL);
	memset(n.data, 0xab, n.size);
	memset(e.data, 0xcd, e.size);
	assert_int_equal(gnutls_pubkey_init(&key), 0);
	assert_int_equal(gnutls_pubkey_import_rsa_raw(key, &n, &e), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_pubkey(crt, key), 0);
	assert_true(gnutls_x509_crt_set_version(crt, 3) >= 0);
	assert_true(gnutls_x509_crt_set_serial(crt, "\1", 1) >= 0);
	assert_true(gnutls_x509_crt_set_dn(crt, "CN=dev-1", NULL) >= 0);
	assert_true(gnutls_x509_crt_set_activation_time(crt,
	    time(NULL) - 60) >= 0);
	assert_true(gnutls_x509_crt_set_expiration_time(crt,
	    time(NULL) + 3600) >= 0);
	assert_true(gnutls_x509_crt_sign2(crt, ca.crt, ca.key,
	    GNUTLS_DIG_SHA256, 0) >= 0);
	assert_true(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM,
	    &pem) >= 0);
	copy = strdup((char *)pem.data);
	assert_non_null(copy);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_pubkey_deinit(key);
	free(n.data);
	free(e.data);
	return copy;
}

/* GnuTLS 3.7.9 would compute with a key of any size before it asks anybody. */
static void
test_keys_that_cost_too_much(void **state)
{
	static const char why[] = "client certificate cannot be read, or has "
	    "a key that is too large to be checked";
	static const struct {
		size_t n, e;
	} size[] = {{16384, 24}, {2048, 2048}, {8192, 72}};
	struct pair_opts o = {.cert = &cert[RSA_KEY], .listener = OPTIONAL};
	char *dear, *behind;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		dear = make_dear(size[i].n, size[i].e);
		n = strlen(o.cert->pem) + strlen(dear) + 1;
		behind = malloc(n);
		assert_non_null(behind);
		(void)snprintf(behind, n, "%s%s", o.cert->pem, dear);
		for (int v = 0; v < 4; v++) {
			o.priority = versions[v % 2];
			o.chain = v < 2 ? dear : behind;
			expect(&o, -EACCES, GNUTLS_A_BAD_CERTIFICATE, why);
		}
		free(behind);
		free(dear);
	}
	/* The largest that is taken fails for another reason. */
	o.chain = dear = make_dear(8192, 64);
	go(&o);
	assert_string_not_equal(tls_handshake_reason(pair.hs), why);
	free(dear);
}

static void
check_facts(const struct test_cert *c, const struct test_cert *issuer)
{
	uint8_t hash[32], id[TLS_MARK_SIZE], serial[64], mark[TLS_MARK_SIZE];
	const struct tls_proof *p = &pair.peer.cert;
	size_t n = sizeof(serial);
	gnutls_datum_t der;

	assert_true(pair.peer.has_cert);
	assert_true(p->anchored);
	assert_int_equal(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_DER,
	    &der), 0);
	assert_int_equal(digest_sha256(der.data, der.size, hash), 0);
	gnutls_free(der.data);
	assert_memory_equal(p->sha256, hash, 32);
	assert_true(p->path_n >= 2);
	assert_int_equal(tls_mark_id(issuer->crt, id), 0);
	assert_memory_equal(p->path[1].id, id, sizeof(id));
	assert_int_equal(gnutls_x509_crt_get_serial(c->crt, serial, &n), 0);
	assert_int_equal(tls_mark_serial(id, serial, n, mark), 0);
	assert_memory_equal(p->path[0].serial, mark, sizeof(mark));
	assert_int_equal(p->not_after,
	    gnutls_x509_crt_get_expiration_time(c->crt));
}

static void
test_good_certificates_and_their_facts(void **state)
{
	static const int good[] = {GOOD, LONG_SERIAL, NO_KEY_IDS, RSA_KEY,
	    ED_KEY};
	struct pair_opts o = {.listener = REQUIRED};
	char *chain = test_cert_join(&cert[CHAINED], &inter);
	size_t i;
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
			o.chain = NULL;
			o.cert = &cert[good[i]];
			expect(&o, TLS_HS_DONE, 0, NULL);
			check_facts(o.cert, &ca);
			assert_string_equal(pair.peer.cert_cn,
			    good[i] == NO_KEY_IDS ? "" : "dev-1");
			pair_check_echo(&pair, 3000);
		}
		o.cert = &cert[CHAINED];
		o.chain = chain;
		expect(&o, TLS_HS_DONE, 0, NULL);
		check_facts(o.cert, &inter);
		assert_string_equal(pair.peer.cert_cn, "dev-\xc3\xa4");
	}
	free(chain);
}

static gnutls_datum_t
ticket_from(const struct pair_opts *o)
{
	gnutls_datum_t data = {NULL, 0};

	expect(o, TLS_HS_DONE, 0, NULL);
	assert_false(pair.peer.resumed);
	pair_check_echo(&pair, 10);
	assert_int_equal(gnutls_session_get_data2(pair.client, &data), 0);
	return data;
}

static time_t shift_s;

static time_t
shifted(time_t *ret)
{
	time_t now = time(NULL) + shift_s;

	if (ret != NULL)
		*ret = now;
	return now;
}

static void
test_resumed_identity_is_the_same_until_it_expires(void **state)
{
	struct pair_opts o = {.listener = REQUIRED, .cert = &cert[GOOD]};
	gnutls_datum_t data;
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		o.resume = NULL;
		data = ticket_from(&o);
		o.resume = &data;
		expect(&o, TLS_HS_DONE, 0, NULL);
		assert_true(pair.peer.resumed);
		assert_int_equal(pair.peer.served, 3);
		check_facts(&cert[GOOD], &ca);
		assert_string_equal(pair.peer.cert_cn, "dev-1");
		gnutls_global_set_time_function(shifted);
		shift_s = 3700;
		expect(&o, -EACCES, GNUTLS_A_CERTIFICATE_EXPIRED,
		    "client certificate is "
		    "expired by this host's clock");
		shift_s = -3700;
		expect(&o, -EACCES, GNUTLS_A_CERTIFICATE_EXPIRED,
		    "client certificate is "
		    "not valid yet by this host's clock");
		gnutls_global_set_time_function(time);
		gnutls_free(data.data);
	}
}

static void
test_tickets_count_only_where_as_much_was_asked(void **state)
{
	struct pair_opts o = {.listener = OFF};
	gnutls_datum_t data;
	int v, from;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		for (from = OFF; from <= OPTIONAL; from++) {
			o.cert = NULL;
			o.resume = NULL;
			o.listener = (unsigned)from;
			data = ticket_from(&o);
			o.resume = &data;
			expect(&o, TLS_HS_DONE, 0, NULL);
			assert_true(pair.peer.resumed);
			assert_false(pair.peer.has_cert);
			o.listener = REQUIRED;
			expect(&o, -EACCES, v == 0 ?
			    GNUTLS_A_CERTIFICATE_REQUIRED :
			    GNUTLS_A_HANDSHAKE_FAILURE,
			    "client certificate is missing");
			o.cert = &cert[GOOD];
			expect(&o, TLS_HS_DONE, 0, NULL);
			assert_false(pair.peer.resumed);
			gnutls_free(data.data);
		}
		o.listener = REQUIRED;
		o.resume = NULL;
		data = ticket_from(&o);
		o.resume = &data;
		o.listener = REQUIRED_B;
		expect(&o, -EACCES, GNUTLS_A_UNKNOWN_CA,
		    "client certificate has an unknown issuer");
		gnutls_free(data.data);
	}
}

static void
test_removing_a_ca_ends_its_tickets(void **state)
{
	struct pair_opts o = {.listener = REQUIRED, .cert = &cert[GOOD]};
	struct tls_snapshot *before = snap;
	gnutls_datum_t data;
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		o.priority = versions[v];
		o.resume = NULL;
		data = ticket_from(&o);
		o.resume = &data;
		snap = snapshot(&ca);		/* a reload without a change */
		expect(&o, TLS_HS_DONE, 0, NULL);
		assert_true(pair.peer.resumed);
		tls_snapshot_unref(&snap);
		snap = snapshot(&ca_b);
		expect(&o, -EACCES, GNUTLS_A_UNKNOWN_CA,
		    "client certificate has an unknown issuer");
		tls_snapshot_unref(&snap);
		snap = before;
		gnutls_free(data.data);
	}
}

static void
test_no_extended_master_secret_no_exporter(void **state)
{
	struct pair_opts o = {
		.priority = PAIR_TLS12 ":%NO_SESSION_HASH",
	};

	(void)state;
	expect(&o, TLS_HS_DONE, 0, NULL);
	assert_false(pair.peer.has_exporter);
	pair_check_echo(&pair, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off_asks_for_nothing),
		cmocka_unit_test(test_missing_certificate),
		cmocka_unit_test(test_bad_certificates),
		cmocka_unit_test(test_keys_that_cost_too_much),
		cmocka_unit_test(test_good_certificates_and_their_facts),
		cmocka_unit_test(
		    test_resumed_identity_is_the_same_until_it_expires),
		cmocka_unit_test(
		    test_tickets_count_only_where_as_much_was_asked),
		cmocka_unit_test(test_removing_a_ca_ends_its_tickets),
		cmocka_unit_test(test_no_extended_master_secret_no_exporter),
	};

	return cmocka_run_group_tests_name("peer", tests, setup, teardown);
}
