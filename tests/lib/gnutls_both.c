/* SPDX-License-Identifier: Apache-2.0 */
/* See gnutls_both.h. */
#include "gnutls_both.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "base/check.h"
#include "tls/aead.h"
#include "tls/record.h"

const char *const both_suites[BOTH_SUITES] = {
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CCM",
	"NORMAL:-VERS-ALL:"
	    "+VERS-TLS1.2:-CIPHER-ALL:+AES-256-CCM",
};

static gnutls_certificate_credentials_t server_cred, client_cred;
static gnutls_datum_t ticket_key;

ssize_t
both_pull(struct both_pipe *p, gnutls_session_t s, void *to, size_t n)
{
	size_t have = p->end - p->start;

	if (have == 0 && p->eof)
		return 0;
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

ssize_t
both_push(struct both_pipe *p, const void *from, size_t n)
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

	return both_pull(&b->down, b->client, to, n);
}

static ssize_t
client_push(gnutls_transport_ptr_t x, const void *from, size_t n)
{
	return both_push(&((struct both *)x)->up, from, n);
}

static ssize_t
server_pull(gnutls_transport_ptr_t x, void *to, size_t n)
{
	struct both *b = x;

	return both_pull(&b->up, b->server, to, n);
}

static ssize_t
server_push(gnutls_transport_ptr_t x, const void *from, size_t n)
{
	return both_push(&((struct both *)x)->down, from, n);
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
detach(struct both *b, bool keep)
{
	struct tls_detach *d = &b->detach;
	bool is_13 = gnutls_protocol_get_version(b->server) == GNUTLS_TLS1_3;

	memset(d, 0, sizeof(*d));
	d->version = is_13 ? 0x0304 : 0x0303;
	d->cipher = (int)gnutls_cipher_get(b->server);
	d->prf = (int)gnutls_prf_hash_get(b->server);
	d->limit = d->take = 16384;
	if (!is_13)
		b->secret_n = 0;
	direction(b, 1, b->rd_secret, &d->rd);
	direction(b, 0, b->wr_secret, &d->wr);
	assert_int_equal(tls_record_new(d, &b->t), 0);
	if (keep)
		return;
	gnutls_deinit(b->server);
	b->server = NULL;
}

void
both_open(struct both *b, const char *priority, bool early, bool keep)
{
	int c = GNUTLS_E_AGAIN, s = GNUTLS_E_AGAIN;

	b->up.start = b->up.end = b->down.start = b->down.end = 0;
	b->up.eof = b->down.eof = false;
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
		if (c == 0 && early) {
			assert_int_equal(gnutls_record_send(b->client,
			    "at once", 7), 7);
			early = false;
		}
		if (s == GNUTLS_E_AGAIN)
			s = gnutls_handshake(b->server);
	}
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	detach(b, keep);
}

void
both_close(struct both *b)
{
	b->t->ops->free(&b->t);
	gnutls_deinit(b->client);
	if (b->server != NULL)
		gnutls_deinit(b->server);
	b->server = NULL;
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

void
both_init(struct both *b)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(gnutls_certificate_allocate_credentials(&server_cred),
	    0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&client_cred),
	    0);
	assert_int_equal(gnutls_session_ticket_key_generate(&ticket_key), 0);
	make_certificate();
	assert_int_equal(stage_init(&b->st), 0);
	assert_int_equal(aead_cache_new(8, &b->st.aead), 0);
}

void
both_fini(struct both *b)
{
	CT_ASSERT(tls_record_test_count() == 0);
	aead_cache_free(&b->st.aead);
	stage_fini(&b->st);
	gnutls_free(ticket_key.data);
	gnutls_certificate_free_credentials(server_cred);
	gnutls_certificate_free_credentials(client_cred);
}
