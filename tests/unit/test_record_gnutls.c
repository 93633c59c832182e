/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record layer against a real GnuTLS client over memory: every suite, full
 * and resumed, large data, KeyUpdates started by either end with data after
 * each step, limits, both ways to end.
 */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/transport.h"
#include "tls/aead.h"

#define BIG 40960

struct pipe {
	uint8_t b[256 * 1024];
	size_t start, end;
};

struct both {
	struct pipe up, down;		/* client to server, server to client */
	gnutls_session_t client, server;
	gnutls_datum_t ticket;		/* for the next connection */
	struct stage st;
	struct transport *t;
	uint8_t rd_secret[48], wr_secret[48];
	size_t secret_n;
	uint8_t got[64 * 1024];
	size_t got_n;
};

static const struct {
	const char *name, *priority;
} suites[] = {
	{ "1.3 AES-128-GCM", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
	    "+AES-128-GCM" },
	{ "1.3 AES-256-GCM", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
	    "+AES-256-GCM" },
	{ "1.3 CHACHA20", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
	    "+CHACHA20-POLY1305" },
	{ "1.3 AES-128-CCM", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
	    "+AES-128-CCM" },
	{ "1.2 AES-128-GCM", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:"
	    "+AES-128-GCM" },
	{ "1.2 AES-256-GCM", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:"
	    "+AES-256-GCM" },
	{ "1.2 CHACHA20", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:"
	    "+CHACHA20-POLY1305" },
	{ "1.2 AES-128-CCM", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:"
	    "+AES-128-CCM" },
	{ "1.2 AES-256-CCM", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:"
	    "+AES-256-CCM" },
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))
#define SUITES_13 4

static gnutls_certificate_credentials_t server_cred, client_cred;
static gnutls_datum_t ticket_key;
static uint8_t big[BIG];

static ssize_t
pull(struct pipe *p, gnutls_session_t s, void *to, size_t n)
{
	size_t have = p->end - p->start;

	if (have == 0) {
		gnutls_transport_set_errno(s, EAGAIN);
		return -1;
	}
	if (n > have)
		n = have;
	memcpy(to, p->b + p->start, n);
	p->start += n;
	if (p->start == p->end)
		p->start = p->end = 0;
	return (ssize_t)n;
}

static ssize_t
push(struct pipe *p, const void *from, size_t n)
{
	assert_true(p->end + n <= sizeof(p->b));
	memcpy(p->b + p->end, from, n);
	p->end += n;
	return (ssize_t)n;
}

static ssize_t
client_pull(gnutls_transport_ptr_t x, void *to, size_t n)
{
	struct both *b = x;

	return pull(&b->down, b->client, to, n);
}

static ssize_t
client_push(gnutls_transport_ptr_t x, const void *from, size_t n)
{
	return push(&((struct both *)x)->up, from, n);
}

static ssize_t
server_pull(gnutls_transport_ptr_t x, void *to, size_t n)
{
	struct both *b = x;

	return pull(&b->up, b->server, to, n);
}

static ssize_t
server_push(gnutls_transport_ptr_t x, const void *from, size_t n)
{
	return push(&((struct both *)x)->down, from, n);
}

static int
pull_timeout(gnutls_transport_ptr_t x, unsigned ms)
{
	(void)x;
	(void)ms;
	return 1;
}

static int
secrets(gnutls_session_t s, gnutls_record_encryption_level_t level,
    const void *rd, const void *wr, size_t n)
{
	struct both *b = gnutls_session_get_ptr(s);

	if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
		return 0;
	assert_true(n <= sizeof(b->rd_secret));
	b->secret_n = n;
	if (rd != NULL)
		memcpy(b->rd_secret, rd, n);
	if (wr != NULL)
		memcpy(b->wr_secret, wr, n);
	return 0;
}

static gnutls_session_t
session(struct both *b, bool is_server, const char *priority)
{
	gnutls_session_t s;

	assert_int_equal(gnutls_init(&s, GNUTLS_NONBLOCK |
	    (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT)), 0);
	assert_int_equal(gnutls_priority_set_direct(s, priority, NULL), 0);
	assert_int_equal(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE,
	    is_server ? server_cred : client_cred), 0);
	gnutls_transport_set_ptr(s, b);
	gnutls_session_set_ptr(s, b);
	gnutls_transport_set_pull_function(s,
	    is_server ? server_pull : client_pull);
	gnutls_transport_set_push_function(s,
	    is_server ? server_push : client_push);
	gnutls_transport_set_pull_timeout_function(s, pull_timeout);
	return s;
}

static void
direction(struct both *b, unsigned is_read, const uint8_t *secret,
    struct tls_direction *d)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	assert_int_equal(gnutls_record_get_state(b->server, is_read, &mac, &iv,
	    &key, seq), 0);
	memcpy(d->key, key.data, key.size);
	d->key_len = key.size;
	memcpy(d->iv, iv.data, iv.size);
	d->iv_len = iv.size;
	memcpy(d->secret, secret, b->secret_n);
	d->secret_len = b->secret_n;
	for (int i = 0; i < 8; i++)
		d->seq = d->seq << 8 | seq[i];
}

static void
detach(struct both *b)
{
	struct tls_detach d;
	bool is_13 = gnutls_protocol_get_version(b->server) == GNUTLS_TLS1_3;

	memset(&d, 0, sizeof(d));
	d.version = is_13 ? 0x0304 : 0x0303;
	d.cipher = (int)gnutls_cipher_get(b->server);
	d.prf = (int)gnutls_prf_hash_get(b->server);
	d.limit = d.take = 16384;
	if (!is_13)
		b->secret_n = 0;
	direction(b, 1, b->rd_secret, &d.rd);
	direction(b, 0, b->wr_secret, &d.wr);
	assert_int_equal(tls_record_new(&d, &b->t), 0);
	gnutls_deinit(b->server);
	b->server = NULL;
}

/* Handshake, and the server's end detached.  Early data of the client follows
 * its Finished at once. */
static void
open_both(struct both *b, const char *priority)
{
	int c = GNUTLS_E_AGAIN, s = GNUTLS_E_AGAIN;
	bool sent = false;

	b->up.start = b->up.end = b->down.start = b->down.end = 0;
	b->secret_n = b->got_n = 0;
	b->client = session(b, false, priority);
	b->server = session(b, true, priority);
	gnutls_handshake_set_secret_function(b->server, secrets);
	assert_int_equal(gnutls_session_ticket_enable_server(b->server,
	    &ticket_key), 0);
	if (b->ticket.data != NULL)
		assert_int_equal(gnutls_session_set_data(b->client,
		    b->ticket.data, b->ticket.size), 0);
	while (c == GNUTLS_E_AGAIN || s == GNUTLS_E_AGAIN) {
		if (c == GNUTLS_E_AGAIN)
			c = gnutls_handshake(b->client);
		if (c == 0 && !sent) {
			assert_int_equal(gnutls_record_send(b->client,
			    "at once", 7), 7);
			sent = true;
		}
		if (s == GNUTLS_E_AGAIN)
			s = gnutls_handshake(b->server);
	}
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	detach(b);
}

static void
close_both(struct both *b)
{
	b->t->ops->free(&b->t);
	gnutls_deinit(b->client);
}

/* What the client sent, through the layer. */
static ssize_t
layer_reads(struct both *b)
{
	ssize_t k = b->t->ops->read(b->t, &b->st, b->up.b + b->up.start,
	    b->up.end - b->up.start);

	assert_true(b->got_n + b->st.rx.n <= sizeof(b->got));
	memcpy(b->got + b->got_n, b->st.rx.p, b->st.rx.n);
	b->got_n += b->st.rx.n;
	b->st.rx.n = 0;
	push(&b->down, b->st.tx.p, b->st.tx.n);
	b->st.tx.n = 0;
	if (k >= 0)
		assert_int_equal(k, b->up.end - b->up.start);
	b->up.start = b->up.end = 0;
	return k;
}

static void
layer_got(struct both *b, const void *p, size_t n)
{
	assert_true(layer_reads(b) >= 0);
	assert_int_equal(b->got_n, n);
	assert_memory_equal(b->got, p, n);
	b->got_n = 0;
}

static void
layer_sends(struct both *b, const uint8_t *p, size_t n)
{
	assert_int_equal(b->t->ops->write(b->t, &b->st, p, n), n);
	push(&b->down, b->st.tx.p, b->st.tx.n);
	b->st.tx.n = 0;
}

static void
client_got(struct both *b, const uint8_t *p, size_t n)
{
	uint8_t buf[17000];
	ssize_t k;

	while (n > 0) {
		k = gnutls_record_recv(b->client, buf, sizeof(buf));
		if (k == GNUTLS_E_AGAIN && b->down.end > 0)
			continue;	/* a ticket or KeyUpdate was taken */
		if (k < 0)
			fail_msg("%s", gnutls_strerror((int)k));
		assert_true(k > 0 && (size_t)k <= n);
		assert_memory_equal(buf, p, (size_t)k);
		p += k;
		n -= (size_t)k;
	}
}

static void
client_sends(struct both *b, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = gnutls_record_send(b->client, p, n);

		assert_true(k > 0);
		p += k;
		n -= (size_t)k;
	}
}

static void
echo(struct both *b, size_t n)
{
	client_sends(b, big, n);
	layer_got(b, big, n);
	layer_sends(b, big, n);
	client_got(b, big, n);
}

static void
every_suite_full_and_resumed(void **state)
{
	struct both *b = *state;

	for (size_t i = 0; i < SUITES; i++) {
		for (int resumed = 0; resumed < 2; resumed++) {
			open_both(b, suites[i].priority);
			assert_int_equal(gnutls_session_is_resumed(b->client),
			    resumed);
			layer_got(b, "at once", 7);
			echo(b, 1);
			echo(b, BIG);
			echo(b, 17);
			if (!resumed)
				assert_int_equal(gnutls_session_get_data2(
				    b->client, &b->ticket), 0);
			close_both(b);
		}
		gnutls_free(b->ticket.data);
		b->ticket.data = NULL;
	}
}

static void
keys_change_both_ways_with_data_after_each_step(void **state)
{
	struct both *b = *state;

	for (size_t i = 0; i < SUITES_13; i++) {
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_session_key_update(b->client, 0), 0);
		echo(b, 100);
		assert_int_equal(gnutls_session_key_update(b->client,
		    GNUTLS_KU_PEER), 0);
		echo(b, BIG);
		assert_int_equal(tls_record_rekey(b->t, false), 0);
		echo(b, 100);
		assert_int_equal(tls_record_rekey(b->t, true), 0);
		echo(b, BIG);
		echo(b, 100);
		/* Both at the same time.  Ours must not ask: GnuTLS 3.7.9
		 * refuses requests that cross, which RFC 8446 allows. */
		assert_int_equal(tls_record_rekey(b->t, false), 0);
		layer_sends(b, big, 10);
		assert_int_equal(gnutls_session_key_update(b->client,
		    GNUTLS_KU_PEER), 0);
		client_got(b, big, 10);
		echo(b, BIG);
		echo(b, 100);
		close_both(b);
	}
}

static void
own_key_updates_do_not_upset_the_peer(void **state)
{
	struct both *b = *state;

	tls_record_test_bounds(20, 0);
	open_both(b, suites[0].priority);
	layer_got(b, "at once", 7);
	for (int i = 0; i < 100; i++)
		echo(b, 50);		/* 5 KeyUpdates in far under a second */
	tls_record_test_bounds(0, 0);
	close_both(b);
}

static void
a_moved_connection_keeps_its_peer(void **state)
{
	struct both *b = *state;
	uint8_t p[512];

	for (size_t i = 0; i < SUITES; i++) {
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		for (int k = 0; k < 5; k++) {
			struct outbuf out = { p, 0, sizeof(p) };

			echo(b, 1000);
			assert_int_equal(b->t->ops->export(b->t, &out), 0);
			b->t->ops->free(&b->t);
			assert_int_equal(tls_record_ops.import(p, out.n,
			    &b->t), 0);
		}
		close_both(b);
	}
}

static void
either_end_may_close_first(void **state)
{
	struct both *b = *state;
	uint8_t buf[16];

	for (size_t i = 0; i < SUITES; i++) {
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		echo(b, 10);
		assert_int_equal(b->t->ops->shutdown(b->t, &b->st), 0);
		push(&b->down, b->st.tx.p, b->st.tx.n);
		b->st.tx.n = 0;
		assert_int_equal(gnutls_record_recv(b->client, buf, 16), 0);
		close_both(b);
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_bye(b->client, GNUTLS_SHUT_WR), 0);
		assert_int_equal(layer_reads(b), -EPIPE);
		assert_int_equal(b->t->ops->eof(b->t), -EPIPE);
		close_both(b);
	}
}

static void
alerts_are_understood_both_ways(void **state)
{
	struct both *b = *state;
	uint8_t buf[16];

	for (size_t i = 0; i < SUITES; i++) {
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_alert_send(b->client, GNUTLS_AL_FATAL,
		    GNUTLS_A_INTERNAL_ERROR), 0);
		assert_int_equal(layer_reads(b), -ECONNABORTED);
		assert_string_equal(b->t->ops->reason(b->t),
		    "the peer sent the alert internal_error");
		close_both(b);
		open_both(b, suites[i].priority);
		layer_got(b, "at once", 7);
		client_sends(b, big, 10);
		b->up.b[b->up.end - 1] ^= 1;
		assert_int_equal(layer_reads(b), -EPROTO);
		while (gnutls_record_recv(b->client, buf, 16) ==
		    GNUTLS_E_AGAIN && b->down.end > 0)
			;		/* the ticket comes first */
		assert_int_equal(gnutls_alert_get(b->client),
		    GNUTLS_A_BAD_RECORD_MAC);
		close_both(b);
	}
}

static void
tls12_client_that_renegotiates_is_told_no(void **state)
{
	struct both *b = *state;

	open_both(b, suites[4].priority);
	layer_got(b, "at once", 7);
	assert_int_equal(gnutls_handshake(b->client), GNUTLS_E_AGAIN);
	assert_true(layer_reads(b) > 0);
	assert_int_equal(gnutls_handshake(b->client),
	    GNUTLS_E_WARNING_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(b->client),
	    GNUTLS_A_NO_RENEGOTIATION);
	close_both(b);
}

static void
make_certificate(void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	uint8_t serial = 1;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, &serial, 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 100);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 10000);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key,
	    GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_certificate_set_x509_key(server_cred, &crt, 1,
	    key), 0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static int
setup(void **state)
{
	static struct both b;

	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 13 + i / 255);
	assert_int_equal(gnutls_certificate_allocate_credentials(&server_cred),
	    0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&client_cred),
	    0);
	assert_int_equal(gnutls_session_ticket_key_generate(&ticket_key), 0);
	make_certificate();
	assert_int_equal(stage_init(&b.st), 0);
	assert_int_equal(aead_cache_new(8, &b.st.aead), 0);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	struct both *b = *state;

	aead_cache_free(&b->st.aead);
	stage_fini(&b->st);
	gnutls_free(ticket_key.data);
	gnutls_certificate_free_credentials(server_cred);
	gnutls_certificate_free_credentials(client_cred);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_full_and_resumed),
		cmocka_unit_test(
		    keys_change_both_ways_with_data_after_each_step),
		cmocka_unit_test(own_key_updates_do_not_upset_the_peer),
		cmocka_unit_test(a_moved_connection_keeps_its_peer),
		cmocka_unit_test(either_end_may_close_first),
		cmocka_unit_test(alerts_are_understood_both_ways),
		cmocka_unit_test(tls12_client_that_renegotiates_is_told_no),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
