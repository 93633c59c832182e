/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step from GnuTLS to the record layer, at its edges: what may stand behind
 * Finished, records that only a crafted client sends, the sizes that were
 * agreed on (RFC 8446 5.1, 4.6.3, D; RFC 8449; RFC 6066 4; RFC 5746).  The
 * client's flights are opened and sealed again with its own handshake keys.
 */
#include "tls/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "../lib/strict_tls.h"
#include "../lib/tls_pair.h"
#include "tls/tls_priv.h"
#include "tls/record.h"

#define CIPHER ":-CIPHER-ALL:+AES-128-GCM"
#define RECORD_SIZE_LIMIT 28

static struct test_cert ca, ec;
static struct tls_cred *cred;
static struct tls_snapshot *snap;
static struct pair pair;

/* The client's handshake key; for TLS 1.2 its only one. */
static struct strict_peer crafted;

/* What becomes of the client's record_size_limit and of its legacy_version on
 * their way; 0: nothing. */
static struct {
	unsigned id, value, version;
} change;

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true};
	const struct test_cert_spec s = {.cn = "a.test", .dns = {"a.test"},
	    .issuer = &ca};
	static const uint8_t master[TLS_TICKET_MASTER_SIZE] = {1, 2, 3};
	const char *const names[] = {"a.test", NULL};
	struct tls_slot_spec slot = {.name = "main", .names = names,
	    .is_default = true};
	const struct tls_listener_spec listener = {
	    .client_auth = TLS_CLIENT_OFF};
	const struct tls_snapshot_spec spec = {
		.slots = &slot, .slots_n = 1,
		.listeners = &listener, .listeners_n = 1,
		.ticket_master = master,
	};
	char why[TLS_WHY_SIZE] = "";

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&s, &ec);
	assert_int_equal(tls_cred_new(ec.pem, ec.pem_n, ec.key_pem, ec.key_n,
	    NULL, 0, why, &cred), 0);
	slot.cred[0] = cred;
	assert_int_equal(tls_snapshot_new(&spec, why, &snap), 0);
	pair_init(&pair);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_fini(&pair);
	tls_snapshot_unref(&snap);
	tls_cred_unref(&cred);
	test_cert_free(&ca);
	test_cert_free(&ec);
	return 0;
}

static int
secrets(gnutls_session_t s, gnutls_record_encryption_level_t level,
    const void *rd, const void *wr, size_t n)
{
	(void)s;
	(void)rd;
	if (level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE && wr != NULL)
		strict_set_secret(&crafted.out, crafted.suite, wr, n);
	return 0;
}

/* Changes it in what is sent.  The client does not know, so that the handshake
 * cannot come to its end. */
static int
rewrite(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *msg)
{
	uint8_t *p = msg->data;
	size_t at = 34, n;

	(void)s;
	(void)type;
	(void)when;
	if (!incoming && change.version != 0) {
		p[0] = (uint8_t)(change.version >> 8);
		p[1] = (uint8_t)change.version;
	}
	if (incoming || change.id == 0)
		return 0;
	at += 1 + (size_t)p[at];				/* session */
	at += 2 + ((size_t)p[at] << 8 | p[at + 1]);		/* suites */
	at += 1 + (size_t)p[at] + 2;
	for (; at + 4 <= msg->size; at += 4 + n) {
		n = (size_t)p[at + 2] << 8 | p[at + 3];
		if (p[at] != 0 || p[at + 1] != RECORD_SIZE_LIMIT)
			continue;
		assert_int_equal(n, 2);
		p[at] = (uint8_t)(change.id >> 8);
		p[at + 1] = (uint8_t)change.id;
		p[at + 4] = (uint8_t)(change.value >> 8);
		p[at + 5] = (uint8_t)change.value;
		change.id = 0;
	}
	return 0;
}

static void
change_hello(unsigned id, unsigned value, unsigned version)
{
	change.id = id;
	change.value = value;
	change.version = version;
	gnutls_handshake_set_hook_function(pair.client,
	    GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, rewrite);
}

static void
change_record_size_limit(unsigned value)
{
	change_hello(RECORD_SIZE_LIMIT, value, 0);
}

static void
begin(const struct pair_opts *o)
{
	memset(&crafted, 0, sizeof(crafted));
	crafted.suite = &strict_suites[strstr(o->priority, "TLS1.3") != NULL ?
	    0 : STRICT_SUITES_13];
	pair_begin(&pair, snap, o);
	gnutls_handshake_set_secret_function(pair.client, secrets);
}

/* Up to where the client's last flight lies in pair.up. */
static void
to_last_flight(const struct pair_opts *o)
{
	begin(o);
	pair_client_step(&pair, o);
	assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
	pair_client_step(&pair, o);
	assert_true(pair.up_n > 0);
}

/* Where the n-th record of pair.up begins. */
static size_t
record_at(unsigned n)
{
	size_t at = 0;

	while (n-- > 0)
		at += 5 + ((size_t)pair.up[at + 3] << 8 | pair.up[at + 4]);
	assert_true(at < pair.up_n);
	return at;
}

/* Those that the client has now for what it sends. */
static void
take_client_keys(void)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	assert_int_equal(gnutls_record_get_state(pair.client, 0, &mac, &iv,
	    &key, seq), 0);
	assert_int_equal(key.size, 16);
	memcpy(crafted.out.key, key.data, key.size);
	memcpy(crafted.out.iv, iv.data, iv.size);
	crafted.out.seq = seq[7];
}

/* Opens Finished (the flight's last record) and gives its plaintext; the record
 * is taken away. */
static size_t
take_finished(uint8_t *to)
{
	bool v13 = crafted.suite->hash_n != 0;
	unsigned i = 0;
	size_t at, n;

	while (record_at(i) + 5 + ((size_t)pair.up[record_at(i) + 3] << 8 |
	    pair.up[record_at(i) + 4]) < pair.up_n)
		i++;
	at = record_at(i);
	if (!v13)
		take_client_keys();
	crafted.out.seq = 0;
	n = strict_open(&crafted, &crafted.out, pair.up + at, pair.up_n - at,
	    to);
	crafted.out.seq = 0;
	pair.up_n = at;
	if (v13)
		n--;			/* its type; GnuTLS does not pad */
	assert_int_equal(to[0], 20);
	assert_int_equal(n, 4 + (size_t)to[3]);
	return n;
}

static void
put_record(uint8_t type, const void *p, size_t n)
{
	pair.up_n += strict_seal(&crafted, type, p, n, 0, pair.up + pair.up_n);
}

static void
put_plain(uint8_t type, unsigned version, const void *p, size_t n)
{
	uint8_t *w = pair.up + pair.up_n;

	w[0] = type;
	w[1] = (uint8_t)(version >> 8);
	w[2] = (uint8_t)version;
	w[3] = (uint8_t)(n >> 8);
	w[4] = (uint8_t)n;
	memcpy(w + 5, p, n);
	pair.up_n += 5 + n;
}

/* The server must refuse what is in pair.up; the client sees this alert. */
static void
refused(int alert)
{
	char b[16];
	ssize_t k;

	(void)pair_server_step(&pair, 0);
	if (pair.server != -EPROTO)
		fail_msg("server %d: %s", pair.server,
		    tls_handshake_reason(pair.hs));
	do {
		k = pair.client_done ? gnutls_record_recv(pair.client, b, 16) :
		    gnutls_handshake(pair.client);
		pair.client_done |= k == 0;
	} while ((k == GNUTLS_E_AGAIN || k == 0) &&
	    pair.down_at < pair.down_n);
	if (k != GNUTLS_E_FATAL_ALERT_RECEIVED)
		fail_msg("client %zd (%s), server: %s", k,
		    gnutls_strerror((int)k), tls_handshake_reason(pair.hs));
	assert_int_equal(gnutls_alert_get(pair.client), alert);
}

static void
done(void)
{
	(void)pair_server_step(&pair, 0);
	if (pair.server != TLS_HS_DONE)
		fail_msg("server %d: %s", pair.server,
		    tls_handshake_reason(pair.hs));
}

static const struct pair_opts v13 = {.priority = PAIR_TLS13 CIPHER};
static const struct pair_opts v12 = {.priority = PAIR_TLS12 CIPHER};

/* RFC 8446 5.1: nothing of a message may stand behind a key change. */
static void
finished_must_end_its_record(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} behind[] = { { "\30\0\0\1\0", 5 }, { "\30", 1 }, { "\24\0\0", 3 },
	    { "\1\0\0\0", 4 } };
	uint8_t m[256];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		to_last_flight(i < 4 ? &v13 : &v12);
		n = take_finished(m);
		memcpy(m + n, behind[i % 4].p, behind[i % 4].n);
		put_record(22, m, n + behind[i % 4].n);
		refused(GNUTLS_A_UNEXPECTED_MESSAGE);
		assert_null(pair.transport);
	}
	/* and the same without anything behind it is taken */
	to_last_flight(&v13);
	n = take_finished(m);
	put_record(22, m, n);
	done();
	pair_check_echo(&pair, 100);
}

/* The same for the ClientHello, whose rest would be plaintext among protected
 * messages. */
static void
a_client_hello_must_end_its_record(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} behind[] = { { "\24\0\0\40", 4 }, { "\13", 1 }, { "\30\0\0\1\0", 5 },
	    { "\24\0\0\0", 4 } };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		size_t n;

		begin(&v13);
		pair_client_step(&pair, &v13);
		assert_int_equal(pair.up[0], 22);
		memcpy(pair.up + pair.up_n, behind[i].p, behind[i].n);
		pair.up_n += behind[i].n;
		n = pair.up_n - 5;
		pair.up[3] = (uint8_t)(n >> 8);
		pair.up[4] = (uint8_t)n;
		refused(GNUTLS_A_UNEXPECTED_MESSAGE);
	}
}

static void
finished_may_be_cut_into_records_of_one_byte(void **state)
{
	uint8_t m[256];
	size_t n;

	(void)state;
	to_last_flight(&v13);
	n = take_finished(m);
	for (size_t i = 0; i < n; i++)
		put_record(22, m + i, 1);
	done();
	pair_check_echo(&pair, 100);
}

/* RFC 8446 4.6.3. */
static void
a_key_update_before_finished_is_refused(void **state)
{
	uint8_t m[256];

	(void)state;
	for (int ask = 0; ask < 2; ask++) {
		const uint8_t update[5] = { 24, 0, 0, 1, (uint8_t)ask };

		to_last_flight(&v13);
		(void)take_finished(m);
		put_record(22, update, 5);
		refused(GNUTLS_A_UNEXPECTED_MESSAGE);
	}
}

/* RFC 8446 5: one byte, 1, not protected, between ClientHello and Finished. */
static void
change_cipher_spec_is_dropped_where_it_may_come(void **state)
{
	uint8_t m[256];
	size_t n;

	(void)state;
	to_last_flight(&v13);
	n = take_finished(m);
	put_plain(20, 0x0303, "\1", 1);
	put_plain(20, 0x0301, "\1", 1);
	put_record(22, m, n);
	done();
	pair_check_echo(&pair, 100);
	/* behind Finished it is a record like any other that may not come */
	put_plain(20, 0x0303, "\1", 1);
	assert_int_equal(pair_server_read(&pair), -EPROTO);
}

static void
any_other_change_cipher_spec_is_refused(void **state)
{
	static const struct {
		bool sealed;
		const char *p;
		size_t n;
	} bad[] = { { false, "\2", 1 }, { false, "\0", 1 },
	    { false, "\1\1", 2 }, { true, "\1", 1 } };
	uint8_t m[256];

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		if (i >= 4 && bad[i % 4].sealed)
			continue;
		to_last_flight(i < 4 ? &v13 : &v12);
		if (i < 4)
			(void)take_finished(m);
		else
			pair.up_n = record_at(1);	/* the key exchange */
		if (bad[i % 4].sealed)
			put_record(20, bad[i % 4].p, bad[i % 4].n);
		else
			put_plain(20, 0x0303, bad[i % 4].p, bad[i % 4].n);
		refused(GNUTLS_A_UNEXPECTED_MESSAGE);
	}
}

/* RFC 8446 5: before the first ClientHello every other type is unexpected. */
static void
nothing_comes_before_the_client_hello(void **state)
{
	static const uint8_t types[] = { 20, 21, 23 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(&v13);
		put_plain(types[i], 0x0303, "\1", 1);
		(void)pair_server_step(&pair, 0);
		assert_int_equal(pair.server, -EPROTO);
		assert_int_equal(pair.down_n, 7);
		assert_int_equal(pair.down[0], 21);
		assert_int_equal(pair.down[5], 2);
		assert_int_equal(pair.down[6], 10);
	}
}

/* RFC 8446 5.1, C.3, D.2; RFC 5246 E.1. */
static void
the_version_of_unprotected_records_means_nothing(void **state)
{
	static const uint8_t minor[] = { 0, 1, 2, 3, 4, 0x7f, 0xff };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(minor); i++) {
		const struct pair_opts *o = i % 2 ? &v12 : &v13;

		begin(o);
		pair_client_step(&pair, o);
		pair.up[2] = minor[i / 2];
		assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
		pair_client_step(&pair, o);
		if (i % 2 == 0 && pair.up[0] == 20)
			pair.up[2] = minor[i / 2];
		done();
		pair_client_step(&pair, o);
		assert_int_equal(pair.client_rc, 0);
		pair_check_echo(&pair, 100);
	}
}

/* RFC 8446 D.5, D.2: SSL 3.0 is told by the message, not by the record. */
static void
a_legacy_version_of_ssl_3_is_refused(void **state)
{
	(void)state;
	for (unsigned version = 0x0200; version <= 0x0301; version++) {
		if (version == 0x0201)
			version = 0x0300;
		for (int i = 0; i < 2; i++) {
			/* 1.3 goes by supported_versions from 0x0301 on */
			if (version == 0x0301 && i == 0)
				continue;
			begin(i ? &v12 : &v13);
			change_hello(0, 0, version);
			pair_client_step(&pair, i ? &v12 : &v13);
			refused(GNUTLS_A_PROTOCOL_VERSION);
		}
	}
}

/*
 * RFC 8446 D.4 and 4.1.4: the server asks for another key share; the client's
 * change_cipher_spec then comes before a ClientHello, which is plain.
 */
static void
a_second_client_hello_is_held_to_the_same(void **state)
{
	static const struct pair_opts o = {.priority = PAIR_TLS13 CIPHER
	    ":-GROUP-ALL:+GROUP-X448:+GROUP-SECP256R1",
	    .client_flags = GNUTLS_KEY_SHARE_TOP};

	(void)state;
	for (int i = 0; i < 4; i++) {
		size_t n, second;

		begin(&o);
		pair_client_step(&pair, &o);
		assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
		assert_int_equal(pair.down[0], 22);
		assert_int_equal(pair.down[5], 2);
		n = 5 + ((size_t)pair.down[3] << 8 | pair.down[4]);
		assert_int_equal(pair.down[n], 20);	/* ours (D.4) */
		assert_int_equal(pair.down_n, n + 6);
		pair_client_step(&pair, &o);
		/* GnuTLS's client keeps its own for later; either will do */
		assert_int_equal(pair.up[0], 22);
		memmove(pair.up + 6, pair.up, pair.up_n);
		memcpy(pair.up, "\24\3\3\0\1\1", 6);
		pair.up_n += 6;
		second = record_at(1);
		assert_int_equal(pair.up[second], 22);
		assert_int_equal(pair.up[second + 5], 1);
		if (i == 0) {
			assert_int_equal(pair_server_step(&pair, 0),
			    TLS_HS_MORE);
			pair_client_step(&pair, &o);
			done();
			pair_check_echo(&pair, 100);
		} else if (i == 1) {
			memcpy(pair.up + pair.up_n, "\24\0\0\40", 4);
			pair.up_n += 4;
			n = pair.up_n - second - 5;
			pair.up[second + 3] = (uint8_t)(n >> 8);
			pair.up[second + 4] = (uint8_t)n;
			refused(GNUTLS_A_UNEXPECTED_MESSAGE);
		} else if (i == 2) {
			pair.up[second + 2] = 0x7f;
			assert_int_equal(pair_server_step(&pair, 0),
			    TLS_HS_MORE);
		} else {
			pair.up[5] = 2;
			refused(GNUTLS_A_UNEXPECTED_MESSAGE);
		}
	}
}

/* RFC 8446 D.4: ours is behind the ServerHello when the client is such. */
static void
a_change_cipher_spec_follows_our_server_hello(void **state)
{
	size_t n;

	(void)state;
	begin(&v13);
	pair_client_step(&pair, &v13);
	assert_true(pair.up[5 + 4 + 34] > 0);	/* it has a session ID */
	assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
	assert_int_equal(pair.down[0], 22);
	assert_int_equal(pair.down[1], 3);
	assert_int_equal(pair.down[2], 3);
	n = 5 + ((size_t)pair.down[3] << 8 | pair.down[4]);
	assert_memory_equal(pair.down + n, "\24\3\3\0\1\1", 6);
	assert_int_equal(pair.down[n + 6], 23);
}

static void
put_hello_in_records_of(size_t each)
{
	uint8_t hello[4096];
	size_t n = pair.up_n - 5;

	assert_true(n <= sizeof(hello));
	memcpy(hello, pair.up + 5, n);
	pair.up_n = 0;
	for (size_t at = 0; at < n; at += each)
		put_plain(22, 0x0301, hello + at, n - at < each ? n - at :
		    each);
}

static void
a_client_hello_may_come_in_small_parts(void **state)
{
	(void)state;
	for (size_t each = 1; each < 8; each += 3)
		for (int i = 0; i < 2; i++) {
			const struct pair_opts *o = i ? &v12 : &v13;

			begin(o);
			pair_client_step(&pair, o);
			put_hello_in_records_of(each);
			assert_int_equal(pair_server_step(&pair, 0),
			    TLS_HS_MORE);
			pair_client_step(&pair, o);
			done();
		}
}

/* RFC 8446 5.1: 2^14 bytes; more is for protected records only. */
static void
unprotected_records_hold_no_more_than_2_to_14(void **state)
{
	static uint8_t part[16384 + 256] = { 1, 0, 0xff, 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		begin(&v13);
		put_plain(22, 0x0301, part, 16384 + (i < 2 ? i : 256));
		if (i > 0) {
			(void)pair_server_step(&pair, 0);
			assert_int_equal(pair.server, -EPROTO);
			assert_int_equal(pair.down[6],
			    GNUTLS_A_RECORD_OVERFLOW);
		} else {
			assert_int_equal(pair_server_step(&pair, 0),
			    TLS_HS_MORE);
		}
	}
}

/* RFC 8446 7.1: of the secrets only what the connection needs is kept. */
static void
secrets_are_gone_after_the_hand_over(void **state)
{
	static const uint8_t none[48];

	(void)state;
	to_last_flight(&v13);
	assert_non_null(pair.hs->session);
	done();
	assert_non_null(pair.transport);
	assert_null(pair.hs->session);
	assert_memory_equal(pair.hs->secret_rd, none, sizeof(none));
	assert_memory_equal(pair.hs->secret_wr, none, sizeof(none));
	pair_check_echo(&pair, 100);
}

/* ---- sizes ---- */

static void
run(const struct pair_opts *o)
{
	pair_run(&pair, o);
	if (pair.server != TLS_HS_DONE)
		fail_msg("server %d: %s", pair.server,
		    tls_handshake_reason(pair.hs));
	assert_int_equal(pair.client_rc, 0);
}

static const uint8_t zeros[20000];

/* RFC 8449 5: the newer extension counts where both are there, as GnuTLS's
 * client sends them: 513 (1.3) and 512. */
static void
record_size_limit_overrules_max_fragment_length(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pair_opts *o = i ? &v12 : &v13;

		begin(o);
		assert_int_equal(gnutls_record_set_max_size(pair.client, 512),
		    0);
		run(o);
		pair.max_record = 0;
		pair_server_write(&pair, zeros, 9000);
		assert_int_equal(pair.max_record, i ? 512 + 24 : 512 + 17);
		/* what it sends is bound by neither */
		take_client_keys();
		pair.stage.rx.n = 0;
		put_record(23, zeros, 5000);
		assert_true(pair_server_read(&pair) > 0);
		assert_int_equal(pair.stage.rx.n, 5000);
	}
}

static void
the_least_record_size_limit_is_64(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair_opts o = i ? v12 : v13;

		o.priority = i ? PAIR_TLS12 CIPHER ":%ALLOW_SMALL_RECORDS" :
		    PAIR_TLS13 CIPHER ":%ALLOW_SMALL_RECORDS";
		o.record_limit = 64;
		begin(&o);
		run(&o);
		pair.max_record = 0;
		pair_server_write(&pair, zeros, 900);
		assert_int_equal(pair.max_record, i ? 64 + 24 : 64 + 17);
		begin(&o);
		change_record_size_limit(63);
		pair_client_step(&pair, &o);
		refused(GNUTLS_A_ILLEGAL_PARAMETER);
		/* more than the protocol has is not an error */
		begin(&o);
		change_record_size_limit(0xffff);
		pair_client_step(&pair, &o);
		assert_int_equal(pair_server_step(&pair, 0), TLS_HS_MORE);
	}
}

static uint16_t told;

static int
on_extension(void *ctx, unsigned id, const unsigned char *p, unsigned n)
{
	(void)ctx;
	if (id == RECORD_SIZE_LIMIT && n == 2)
		told = (uint16_t)(p[0] << 8 | p[1]);
	return 0;
}

static int
on_encrypted_extensions(gnutls_session_t s, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *msg)
{
	(void)s;
	(void)when;
	if (incoming && type == GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS)
		assert_true(gnutls_ext_raw_parse(NULL, on_extension, msg, 0) >=
		    0);
	return 0;
}

/* RFC 8449 4: no more than the protocol has; we take what we say. */
static void
our_record_size_limit_is_that_of_the_protocol(void **state)
{
	(void)state;
	told = 0;
	begin(&v13);
	gnutls_handshake_set_hook_function(pair.client,
	    GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS, GNUTLS_HOOK_PRE,
	    on_encrypted_extensions);
	run(&v13);
	assert_int_equal(told, 16385);
	pair_check_echo(&pair, 16384);
}

/* ---- extended master secret ---- */

/* RFC 7627 5.3: no session is resumed that differs in it, either way. */
static void
sessions_that_differ_in_ems_are_not_resumed(void **state)
{
	static const struct pair_opts no_ems = {.priority = PAIR_TLS12 CIPHER
	    ":%NO_SESSION_HASH"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair_opts o = i ? no_ems : v12;
		gnutls_datum_t data = {NULL, 0};

		begin(&o);
		run(&o);
		pair_check_echo(&pair, 10);
		assert_int_equal(pair.peer.has_exporter, i == 0);
		assert_int_equal(gnutls_session_get_data2(pair.client, &data),
		    0);
		o = i ? v12 : no_ems;
		o.resume = &data;
		begin(&o);
		pair_run(&pair, &o);
		/* it had, or it has: in both cases a full handshake */
		assert_int_equal(pair.server, TLS_HS_DONE);
		assert_false(pair.peer.resumed);
		assert_int_equal(pair.peer.has_exporter, i == 1);
		gnutls_free(data.data);
	}
}

/* ---- renegotiation ---- */

/* RFC 5746 3.6, 3.7. */
static void
secure_renegotiation_is_told_and_its_value_looked_at(void **state)
{
	static const struct pair_opts no_ri = {.priority = PAIR_TLS12 CIPHER
	    ":%DISABLE_SAFE_RENEGOTIATION"};

	(void)state;
	begin(&v12);
	run(&v12);
	assert_true(gnutls_safe_renegotiation_status(pair.client));
	/* a verify_data where none can be */
	begin(&no_ri);
	change_hello(0xff01, 0x0107, 0);
	pair_client_step(&pair, &no_ri);
	refused(GNUTLS_A_HANDSHAKE_FAILURE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finished_must_end_its_record),
		cmocka_unit_test(a_client_hello_must_end_its_record),
		cmocka_unit_test(finished_may_be_cut_into_records_of_one_byte),
		cmocka_unit_test(a_key_update_before_finished_is_refused),
		cmocka_unit_test(
		    change_cipher_spec_is_dropped_where_it_may_come),
		cmocka_unit_test(any_other_change_cipher_spec_is_refused),
		cmocka_unit_test(nothing_comes_before_the_client_hello),
		cmocka_unit_test(
		    the_version_of_unprotected_records_means_nothing),
		cmocka_unit_test(a_legacy_version_of_ssl_3_is_refused),
		cmocka_unit_test(a_second_client_hello_is_held_to_the_same),
		cmocka_unit_test(a_change_cipher_spec_follows_our_server_hello),
		cmocka_unit_test(a_client_hello_may_come_in_small_parts),
		cmocka_unit_test(unprotected_records_hold_no_more_than_2_to_14),
		cmocka_unit_test(secrets_are_gone_after_the_hand_over),
		cmocka_unit_test(
		    record_size_limit_overrules_max_fragment_length),
		cmocka_unit_test(the_least_record_size_limit_is_64),
		cmocka_unit_test(our_record_size_limit_is_that_of_the_protocol),
		cmocka_unit_test(sessions_that_differ_in_ems_are_not_resumed),
		cmocka_unit_test(
		    secure_renegotiation_is_told_and_its_value_looked_at),
	};

	return cmocka_run_group_tests_name("detach", tests, setup, teardown);
}
