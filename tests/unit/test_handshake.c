/* SPDX-License-Identifier: Apache-2.0 */
/* Whole handshakes against a GnuTLS client in memory, through to the detached
 * transport. */
#include "tls/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/x509.h>

#include "base/mem.h"
#include "tls/suites.h"
#include "../lib/tls_pair.h"

static struct test_cert ca, ec, rsa, other;
static struct tls_cred *cred_ec, *cred_rsa, *cred_other;
static const uint8_t master[TLS_TICKET_MASTER_SIZE] = {1, 2, 3};
static struct tls_snapshot *snap;
static struct pair pair;

static struct tls_cred *
cred(const struct test_cert *c)
{
	struct tls_cred *ret = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_cred_new(c->pem, c->pem_n, c->key_pem, c->key_n, NULL, 0, why,
	    &ret) < 0)
		fail_msg("%s", why);
	return ret;
}

/* NULL: the default. */
static const char *priority_of_all;

static struct tls_snapshot *
snapshot(bool with_default)
{
	static const char *const names[] = {"a.test", "x.wild.test", NULL};
	static const char *const names_other[] = {"b.test", "*.wild.test",
	    NULL};
	const struct tls_slot_spec slots[] = {
		{.name = "main", .names = names, .is_default = with_default,
		    .cred = {cred_ec, cred_rsa}},
		{.name = "other", .names = names_other, .cred = {cred_other}},
	};
	const struct tls_listener_spec listeners[] = {
		{.client_auth = TLS_CLIENT_OFF},
	};
	const struct tls_challenge_spec challenges[] = {
		{.name = "acme.test", .cred = cred_other},
	};
	const struct tls_snapshot_spec spec = {
		.slots = slots, .slots_n = 2,
		.listeners = listeners, .listeners_n = 1,
		.challenges = challenges, .challenges_n = with_default,
		.ticket_master = master,
		.priority = priority_of_all,
	};
	struct tls_snapshot *ret = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_snapshot_new(&spec, why, &ret) < 0)
		fail_msg("%s", why);
	return ret;
}

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true};
	struct test_cert_spec s = {.cn = "a.test", .dns = {"a.test"},
	    .issuer = &ca};

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&s, &ec);
	s.key = TEST_KEY_RSA;
	test_cert_make(&s, &rsa);
	s.key = TEST_KEY_ED25519;
	s.cn = "b.test";
	test_cert_make(&s, &other);
	cred_ec = cred(&ec);
	cred_rsa = cred(&rsa);
	cred_other = cred(&other);
	snap = snapshot(true);
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_fini(&pair);
	tls_snapshot_unref(&snap);
	tls_cred_unref(&cred_ec);
	tls_cred_unref(&cred_rsa);
	tls_cred_unref(&cred_other);
	test_cert_free(&ca);
	test_cert_free(&ec);
	test_cert_free(&rsa);
	test_cert_free(&other);
	return 0;
}

static void
go(const struct pair_opts *o)
{
	pair_begin(&pair, snap, o);
	pair_run(&pair, o);
}

static void
expect_done(uint16_t version, bool resumed)
{
	if (pair.server != TLS_HS_DONE)
		fail_msg("server %d: %s; client %s", pair.server,
		    tls_handshake_reason(pair.hs),
		    gnutls_strerror(pair.client_rc));
	assert_int_equal(pair.client_rc, 0);
	assert_int_equal(pair.peer.version, version);
	assert_int_equal(pair.peer.resumed, resumed);
}

static void
expect_error(int error, int alert, const char *reason)
{
	if (pair.server != error || strstr(tls_handshake_reason(pair.hs),
	    reason) == NULL)
		fail_msg("server %d: %s; client %s", pair.server,
		    tls_handshake_reason(pair.hs),
		    gnutls_strerror(pair.client_rc));
	if (alert >= 0)
		assert_int_equal(pair_alert(&pair), alert);
}

static const char *const priorities[] = {
	PAIR_TLS13, PAIR_TLS12,
	PAIR_TLS13 ":-CIPHER-ALL:+AES-256-GCM",
	PAIR_TLS13 ":-CIPHER-ALL:+CHACHA20-POLY1305",
	PAIR_TLS12 ":-CIPHER-ALL:+AES-256-GCM",
	PAIR_TLS12 ":-CIPHER-ALL:+CHACHA20-POLY1305",
	PAIR_TLS12 ":-GROUP-ALL:+GROUP-SECP256R1",
	PAIR_TLS13 ":-GROUP-ALL:+GROUP-SECP384R1",
	PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA256",
	PAIR_TLS13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256",
};
#define PRIORITIES (sizeof(priorities) / sizeof(*priorities))

static void
test_full_handshake_and_data(void **state)
{
	struct pair_opts o = {.sni = "a.test", .alpn = {"http/1.1"}};
	gnutls_datum_t cb;
	size_t i;

	(void)state;
	for (i = 0; i < PRIORITIES; i++) {
		o.priority = priorities[i];
		go(&o);
		expect_done(strstr(o.priority, "TLS1.3") ? 0x0304 : 0x0303,
		    false);
		assert_string_equal(pair.peer.alpn, "http/1.1");
		assert_string_equal(pair.peer.server_name, "a.test");
		assert_true(pair.peer.has_exporter);
		assert_int_equal(gnutls_session_channel_binding(pair.client,
		    GNUTLS_CB_TLS_EXPORTER, &cb), 0);
		assert_memory_equal(cb.data, pair.peer.exporter, 32);
		gnutls_free(cb.data);
		pair_check_echo(&pair, 100);
		pair_check_echo(&pair, 50000);
		pair_check_echo(&pair, 1);
	}
}

static void
test_aes_128_gcm_is_preferred(void **state)
{
	struct pair_opts o = {.priority = "NORMAL:-CIPHER-ALL:+AES-256-GCM:"
	    "+CHACHA20-POLY1305:+AES-128-GCM"};

	(void)state;
	go(&o);
	expect_done(0x0304, false);
	assert_string_equal(pair.peer.cipher, "AES-128-GCM");
}

static void
resume_with(const char *priority, uint16_t version)
{
	struct pair_opts o = {.priority = priority, .sni = "a.test"};
	gnutls_datum_t data = {NULL, 0}, cb;

	go(&o);
	expect_done(version, false);
	pair_check_echo(&pair, 10);	/* has the client read the ticket */
	assert_int_equal(gnutls_session_get_data2(pair.client, &data), 0);
	o.resume = &data;
	go(&o);
	expect_done(version, true);
	assert_true(gnutls_session_is_resumed(pair.client));
	assert_int_equal(gnutls_session_channel_binding(pair.client,
	    GNUTLS_CB_TLS_EXPORTER, &cb), 0);
	assert_memory_equal(cb.data, pair.peer.exporter, 32);
	gnutls_free(cb.data);
	pair_check_echo(&pair, 40000);
	gnutls_free(data.data);
}

static void
test_resumption_1_3(void **state)
{
	(void)state;
	resume_with(PAIR_TLS13, 0x0304);
	resume_with(PAIR_TLS13 ":-CIPHER-ALL:+AES-256-GCM", 0x0304);
}

static void
test_resumption_1_2(void **state)
{
	(void)state;
	resume_with(PAIR_TLS12, 0x0303);
	resume_with(PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA256", 0x0303);
}

/* A server with psk_ke on or off, from what an operator's string became. */
static void
serve(const char *profile, const char *priority, bool psk_ke)
{
	const struct tls_suites_spec spec = { .profile = profile,
		.priority = priority };
	static struct tls_suites suites;
	char why[TLS_WHY_SIZE] = "";

	if (tls_suites_resolve(&spec, why, &suites) != 0 ||
	    tls_suites_psk_ke(&suites, psk_ke, why) != 0)
		fail_msg("%s", why);
	tls_snapshot_unref(&snap);
	priority_of_all = suites.priority;
	snap = snapshot(true);
	priority_of_all = NULL;
}

/* The second handshake; whether it was resumed, and with which exchange. */
static void
come_again(const char *priority, uint16_t version, bool resumed,
    unsigned group)
{
	struct pair_opts o = {.priority = priority, .sni = "a.test"};
	gnutls_datum_t data = {NULL, 0};

	go(&o);
	expect_done(version, false);
	pair_check_echo(&pair, 10);
	assert_int_equal(gnutls_session_get_data2(pair.client, &data), 0);
	o.resume = &data;
	go(&o);
	expect_done(version, resumed);
	assert_int_equal(gnutls_group_get(pair.client), group);
	pair_check_echo(&pair, 10);
	gnutls_free(data.data);
}

#define X25519 ":-GROUP-ALL:+GROUP-X25519"
/* Without any of these words a client of GnuTLS offers both. */
#define ONLY_PSK_KE PAIR_TLS13 X25519 ":-ECDHE-PSK:-DHE-PSK:+PSK"
#define BOTH_PSK PAIR_TLS13 X25519 ":+ECDHE-PSK:+PSK"

/* Issue 5; RFC 8446 4.2.9. */
static void
psk_ke_is_off_unless_it_is_switched_on(void **state)
{
	static const char *const custom[] = { NULL,
		"NORMAL:+PSK", "NORMAL:+PSK:+ECDHE-PSK:%SERVER_PRECEDENCE" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		serve(NULL, custom[i], false);
		come_again(ONLY_PSK_KE, 0x0304, false, GNUTLS_GROUP_X25519);
		come_again(BOTH_PSK, 0x0304, true, GNUTLS_GROUP_X25519);
		come_again(PAIR_TLS13 X25519, 0x0304, true,
		    GNUTLS_GROUP_X25519);
	}
}

static void
psk_ke_switched_on_resumes_without_a_key_exchange(void **state)
{
	static const struct {
		const char *profile, *priority;
	} servers[] = {
		{ NULL, NULL }, { "modern", NULL },
		{ NULL, "NORMAL:+DHE-PSK:+ECDHE-PSK:+PSK" }
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		serve(servers[i].profile, servers[i].priority, true);
		come_again(ONLY_PSK_KE, 0x0304, true, GNUTLS_GROUP_INVALID);
		come_again(BOTH_PSK, 0x0304, true, GNUTLS_GROUP_INVALID);
	}
}

static void
psk_ke_leaves_other_clients_and_tls_1_2_as_they_were(void **state)
{
	(void)state;
	serve(NULL, NULL, true);
	come_again(PAIR_TLS13 X25519 ":+ECDHE-PSK", 0x0304, true,
	    GNUTLS_GROUP_X25519);
	resume_with(PAIR_TLS12, 0x0303);
	resume_with(PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA256", 0x0303);
	resume_with(PAIR_TLS12 ":+PSK:+ECDHE-PSK:+DHE-PSK", 0x0303);
	tls_snapshot_unref(&snap);
	snap = snapshot(true);
}

static void
test_byte_by_byte(void **state)
{
	struct pair_opts o = {.sni = "a.test", .chunk = 1};

	(void)state;
	go(&o);
	expect_done(0x0304, false);
	pair_check_echo(&pair, 100);
	o.priority = PAIR_TLS12;
	go(&o);
	expect_done(0x0303, false);
	pair_check_echo(&pair, 100);
}

static void
test_data_right_behind_finished_is_kept(void **state)
{
	struct pair_opts o = {.early = "GET / HTTP/1.1\r\n\r\n"};
	size_t i, n = strlen(o.early);

	(void)state;
	for (i = 0; i < 4; i++) {
		o.chunk = i / 2;
		o.priority = i % 2 ? PAIR_TLS12 : PAIR_TLS13;
		go(&o);
		expect_done(i % 2 ? 0x0303 : 0x0304, false);
		pair.stage.rx.n = 0;
		while (pair.stage.rx.n < n && pair.up_n > 0)
			assert_true(pair_server_read(&pair) > 0);
		assert_int_equal(pair.stage.rx.n, n);
		assert_memory_equal(pair.stage.rx.p, o.early, n);
		pair_check_echo(&pair, 20);
	}
}

static void
expect_served(const struct test_cert *c)
{
	const gnutls_datum_t *der;
	gnutls_datum_t want;
	unsigned n;

	assert_int_equal(pair.client_rc, 0);
	der = gnutls_certificate_get_peers(pair.client, &n);
	assert_non_null(der);
	assert_int_equal(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_DER,
	    &want), 0);
	assert_int_equal(der->size, want.size);
	assert_memory_equal(der->data, want.data, want.size);
	gnutls_free(want.data);
}

static void
test_server_name_chooses_the_slot(void **state)
{
	const struct {
		const char *sni;
		const struct test_cert *cert;
	} cases[] = {
		{"a.test", &ec}, {"A.Test", &ec}, {"b.test", &other},
		{"y.wild.test", &other}, {"x.wild.test", &ec},
		{"deep.y.wild.test", &ec}, {"unknown.test", &ec}, {NULL, &ec},
	};
	struct pair_opts o = {.sni = NULL};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		o.sni = cases[i].sni;
		go(&o);
		expect_done(0x0304, false);
		expect_served(cases[i].cert);
	}
}

static void
test_no_default_slot_refuses_unknown_names(void **state)
{
	struct pair_opts o = {.sni = "unknown.test"};
	struct tls_snapshot *s = snapshot(false);

	(void)state;
	pair_begin(&pair, s, &o);
	tls_snapshot_unref(&s);		/* the handshake holds it */
	pair_run(&pair, &o);
	expect_error(-ENOKEY, GNUTLS_A_UNRECOGNIZED_NAME, "no credential");
}

static void
test_signature_algorithms_choose_the_credential(void **state)
{
	const struct {
		const char *priority;
		const struct test_cert *cert;
	} cases[] = {
		{PAIR_TLS13, &ec}, {PAIR_TLS12, &ec},
		{PAIR_TLS13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256", &rsa},
		{PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA256", &rsa},
		{PAIR_TLS12 ":-KX-ALL:+ECDHE-RSA", &rsa},
		{"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:"
		    "+ECDHE-RSA", &ec},
		{PAIR_TLS12 ":-KX-ALL:+ECDHE-ECDSA", &ec},
	};
	struct pair_opts o = {.sni = "a.test"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		o.priority = cases[i].priority;
		go(&o);
		if (pair.server != TLS_HS_DONE)
			fail_msg("case %zu: %s", i,
			    tls_handshake_reason(pair.hs));
		expect_served(cases[i].cert);
	}
}

static void
test_alpn(void **state)
{
	struct pair_opts o = {.alpn = {"h2", "http/1.1"}};

	(void)state;
	go(&o);
	expect_done(0x0304, false);
	assert_string_equal(pair.peer.alpn, "http/1.1");
	o.alpn[0] = NULL;
	go(&o);
	expect_done(0x0304, false);
	assert_string_equal(pair.peer.alpn, "");
	o.alpn[0] = "h2";
	o.alpn[1] = NULL;
	go(&o);
	expect_error(-EPROTO, GNUTLS_A_NO_APPLICATION_PROTOCOL, "");
	o.priority = PAIR_TLS12;
	go(&o);
	expect_error(-EPROTO, GNUTLS_A_NO_APPLICATION_PROTOCOL, "");
}

static void
test_acme_challenge(void **state)
{
	struct pair_opts o = {.alpn = {"acme-tls/1"}, .sni = "acme.test"};
	struct tls_snapshot *s = snapshot(false);
	char b[1];

	(void)state;
	go(&o);
	assert_int_equal(pair.server, TLS_HS_CHALLENGE);
	expect_served(&other);
	assert_int_equal(gnutls_record_recv(pair.client, b, 1), 0);
	o.priority = PAIR_TLS12;
	go(&o);
	assert_int_equal(pair.server, TLS_HS_CHALLENGE);
	expect_served(&other);
	o.sni = "a.test";
	go(&o);
	expect_error(-ENOKEY, GNUTLS_A_UNRECOGNIZED_NAME, "ACME");
	pair_begin(&pair, s, &o);	/* no challenges there */
	pair_run(&pair, &o);
	expect_error(-EPROTO, GNUTLS_A_NO_APPLICATION_PROTOCOL, "");
	tls_snapshot_unref(&s);
}

static void
test_record_size_limit_is_kept(void **state)
{
	struct pair_opts o = {.record_limit = 1024};

	(void)state;
	go(&o);
	expect_done(0x0304, false);
	pair.max_record = 0;
	pair_check_echo(&pair, 20000);
	assert_int_equal(pair.max_record, 1024 + 1 + 16);
	o.priority = PAIR_TLS12;
	go(&o);
	expect_done(0x0303, false);
	pair.max_record = 0;
	pair_check_echo(&pair, 20000);
	assert_int_equal(pair.max_record, 1024 + 8 + 16);
}

static void
test_old_versions_and_suites_are_refused(void **state)
{
	static const char *const refused[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.1",
		"NORMAL:-VERS-ALL:+VERS-TLS1.0",
		PAIR_TLS12 ":-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC",
		PAIR_TLS12 ":-KX-ALL:+RSA",
		PAIR_TLS12 ":-KX-ALL:+DHE-RSA",
		PAIR_TLS12 ":-SIGN-ALL:+SIGN-RSA-SHA1:+SIGN-ECDSA-SHA1",
	};
	struct pair_opts o = {.sni = "a.test"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		o.priority = refused[i];
		go(&o);
		expect_error(-EPROTO, -1, "");
		assert_int_equal(pair.client_rc, GNUTLS_E_FATAL_ALERT_RECEIVED);
	}
}

static void
test_what_is_not_tls_is_refused_at_its_first_bytes(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"G", "HTTP"}, {"GET / HTTP/1.1\r\n", "HTTP"},
		{"POST /", "HTTP"}, {"\x80\x2e\x01\x03", "not TLS"},
		{"\x16\x02", "not TLS"}, {"PROXY TCP4", "HTTP"},
		{"hello", "not TLS"}, {"\x17\x03\x03", "not TLS"},
	};
	struct pair_opts o = {.sni = NULL};
	size_t i, used;
	int r;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		pair_begin(&pair, snap, &o);
		r = tls_handshake_step(pair.hs, &pair.stage,
		    (const uint8_t *)cases[i].text, strlen(cases[i].text),
		    &used);
		assert_int_equal(r, -EPROTO);
		assert_non_null(strstr(tls_handshake_reason(pair.hs),
		    cases[i].reason));
		assert_int_equal(pair.stage.tx.n, 7);
		assert_int_equal(pair.stage.tx.p[0], 21);
	}
}

static void
test_oversized_records_and_handshakes_are_refused(void **state)
{
	static const uint8_t big[] = {22, 3, 1, 0x41, 0x01};
	static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1};
	uint8_t part[5 + 16000] = {22, 3, 1, 16000 >> 8, 16000 & 255, 1, 0,
	    0xff, 0xf0};
	struct pair_opts o = {.sni = NULL};
	size_t used, i;
	int r = 0;

	(void)state;
	pair_begin(&pair, snap, &o);
	assert_int_equal(tls_handshake_step(pair.hs, &pair.stage, big,
	    sizeof(big), &used), -EPROTO);
	assert_string_equal(tls_handshake_reason(pair.hs),
	    "TLS record is too long");
	assert_int_equal(pair.stage.tx.p[6], GNUTLS_A_RECORD_OVERFLOW);
	pair_begin(&pair, snap, &o);
	for (i = 0; i < 10 && r == 0; i++) {
		r = tls_handshake_step(pair.hs, &pair.stage, part, sizeof(part),
		    &used);
		memset(part + 5, 0, 4);
	}
	assert_int_equal(r, -EMSGSIZE);
	pair_begin(&pair, snap, &o);
	pair_client_step(&pair, &o);
	assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
	for (i = 0, r = 0; i < 20000 && r == 0; i++)
		r = tls_handshake_step(pair.hs, &pair.stage, ccs, sizeof(ccs),
		    &used);
	assert_true(r < 0);
}

/* Every step of a handshake gets garbage instead of the client's next
 * flight. */
static void
test_garbage_at_each_step(void **state)
{
	struct pair_opts o = {.sni = "a.test"};
	unsigned step, i, kind;
	size_t used, n;
	int r;

	(void)state;
	for (step = 0; step < 3; step++) {
		for (kind = 0; kind < 12; kind++) {
			o.priority = kind % 2 ? PAIR_TLS12 : PAIR_TLS13;
			pair_begin(&pair, snap, &o);
			for (i = 0; i < step; i++) {
				pair_client_step(&pair, &o);
				if (pair.server == TLS_HS_MORE)
					(void)pair_server_step(&pair, 0);
			}
			if (pair.server != TLS_HS_MORE)
				continue;
			pair_client_step(&pair, &o);
			n = pair.up_n;
			for (i = 0; i < 40; i++)
				pair.up[(i * 31 + kind * 7) % n] ^=
				    (uint8_t)(1u << kind % 8);
			r = tls_handshake_step(pair.hs, &pair.stage, pair.up, n,
			    &used);
			assert_true(r == TLS_HS_MORE || r < 0);
			if (r < 0)
				assert_true(
				    tls_handshake_reason(pair.hs)[0] != '\0');
		}
	}
}

static void
test_peers_alert_is_told_apart(void **state)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40};
	struct pair_opts o = {.priority = PAIR_TLS12};
	size_t used;

	(void)state;
	pair_begin(&pair, snap, &o);
	pair_client_step(&pair, &o);
	assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
	assert_int_equal(tls_handshake_step(pair.hs, &pair.stage, alert,
	    sizeof(alert), &used), -ECONNABORTED);
	assert_non_null(strstr(tls_handshake_reason(pair.hs), "alert 40"));
}

static void
test_full_tx_is_an_error(void **state)
{
	struct pair_opts o = {.sni = NULL};
	size_t cap = pair.stage.tx.cap, used, n;
	int r;

	(void)state;
	for (n = 0; n < 3000; n += 100) {
		pair_begin(&pair, snap, &o);
		pair_client_step(&pair, &o);
		pair.stage.tx.cap = n;
		r = tls_handshake_step(pair.hs, &pair.stage, pair.up,
		    pair.up_n, &used);
		pair.stage.tx.cap = cap;
		pair.stage.tx.n = 0;
		if (r == TLS_HS_MORE)
			break;
		assert_int_equal(r, -EMSGSIZE);
	}
	assert_true(n > 0 && n < 3000);
}

static void
test_unknown_listener(void **state)
{
	struct tls_handshake *h = NULL;

	(void)state;
	assert_int_equal(tls_handshake_new(pair.worker, snap, 7, NULL, NULL,
	    &h), -EINVAL);
	assert_null(h);
}

static void
test_allocation_failures(void **state)
{
	struct pair_opts o = {.sni = "a.test"};
	struct tls_handshake *h = NULL;
	struct tls_worker *w = NULL;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_handshake_new(pair.worker, snap, 0, NULL, NULL, &h);
		mem_fail_nth(0);
		assert_true(r == 0 ? h != NULL : h == NULL);
	}
	assert_int_equal(r, 0);
	tls_handshake_free(&h);
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_worker_new(&pair.mailbox, &w);
		mem_fail_nth(0);
		assert_true(r == 0 ? w != NULL : w == NULL);
	}
	tls_worker_free(&w);
	for (n = 1, r = -ENOMEM; r == -ENOMEM && n < 50; n++) {
		pair_begin(&pair, snap, &o);
		mem_fail_nth(n);
		pair_run(&pair, &o);
		mem_fail_nth(0);
		r = pair.server;
		assert_true(r == TLS_HS_DONE ? pair.transport != NULL :
		    pair.transport == NULL);
	}
	assert_int_equal(r, TLS_HS_DONE);
	assert_true(n > 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_handshake_and_data),
		cmocka_unit_test(test_aes_128_gcm_is_preferred),
		cmocka_unit_test(test_resumption_1_3),
		cmocka_unit_test(test_resumption_1_2),
		cmocka_unit_test(psk_ke_is_off_unless_it_is_switched_on),
		cmocka_unit_test(
		    psk_ke_switched_on_resumes_without_a_key_exchange),
		cmocka_unit_test(
		    psk_ke_leaves_other_clients_and_tls_1_2_as_they_were),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_data_right_behind_finished_is_kept),
		cmocka_unit_test(test_server_name_chooses_the_slot),
		cmocka_unit_test(test_no_default_slot_refuses_unknown_names),
		cmocka_unit_test(
		    test_signature_algorithms_choose_the_credential),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_acme_challenge),
		cmocka_unit_test(test_record_size_limit_is_kept),
		cmocka_unit_test(test_old_versions_and_suites_are_refused),
		cmocka_unit_test(
		    test_what_is_not_tls_is_refused_at_its_first_bytes),
		cmocka_unit_test(
		    test_oversized_records_and_handshakes_are_refused),
		cmocka_unit_test(test_garbage_at_each_step),
		cmocka_unit_test(test_peers_alert_is_told_apart),
		cmocka_unit_test(test_full_tx_is_an_error),
		cmocka_unit_test(test_unknown_listener),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("handshake", tests, setup, teardown);
}
