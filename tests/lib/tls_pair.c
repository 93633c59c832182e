/* SPDX-License-Identifier: Apache-2.0 */
/* See tls_pair.h. */
#include "tls_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>

#include "base/clock.h"
#include "tls/aead.h"

#define NEED(c) ((c) ? (void)0 : need(#c, __LINE__))

static void
need(const char *what, int line)
{
	fprintf(stderr, "tls_pair.c:%d: %s\n", line, what);
	abort();
}

void
pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	NEED(loop_new(&p->loop) == 0);
	NEED(mailbox_init(&p->mailbox, p->loop) == 0);
	NEED(tls_worker_new(&p->mailbox, &p->worker) == 0);
	NEED(stage_init(&p->stage) == 0);
	NEED(aead_cache_new(16, &p->stage.aead) == 0);
	p->up = malloc(PAIR_WIRE);
	p->down = malloc(PAIR_WIRE);
	NEED(p->up != NULL && p->down != NULL);
}

void
pair_fini(struct pair *p)
{
	pair_end(p);
	aead_cache_free(&p->stage.aead);
	stage_fini(&p->stage);
	tls_worker_free(&p->worker);
	mailbox_fini(&p->mailbox);
	loop_free(&p->loop);
	free(p->up);
	free(p->down);
}

static ssize_t
client_push(gnutls_transport_ptr_t ptr, const void *b, size_t n)
{
	struct pair *p = ptr;

	NEED(n <= PAIR_WIRE - p->up_n);
	memcpy(p->up + p->up_n, b, n);
	p->up_n += n;
	return (ssize_t)n;
}

static ssize_t
client_pull(gnutls_transport_ptr_t ptr, void *b, size_t n)
{
	struct pair *p = ptr;

	if (p->down_at == p->down_n) {
		gnutls_transport_set_errno(p->client, EAGAIN);
		return -1;
	}
	if (n > p->down_n - p->down_at)
		n = p->down_n - p->down_at;
	memcpy(b, p->down + p->down_at, n);
	p->down_at += n;
	return (ssize_t)n;
}

static void
resumed(void *ctx)
{
	((struct pair *)ctx)->resumed_calls++;
}

static int
retrieve(gnutls_session_t s, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **certs, unsigned *n, gnutls_ocsp_data_st **ocsp,
    unsigned *ocsp_n, gnutls_privkey_t *key, unsigned *flags)
{
	const struct pair_opts *o = gnutls_session_get_ptr(s);
	const char *pem = o->chain != NULL ? o->chain : o->cert->pem;
	gnutls_datum_t c = {(unsigned char *)(uintptr_t)pem,
	    (unsigned)strlen(pem)};

	(void)info;
	*n = 4;
	*certs = gnutls_calloc(*n, sizeof(**certs));
	NEED(*certs != NULL);
	NEED(gnutls_pcert_list_import_x509_raw(*certs, n, &c,
	    GNUTLS_X509_FMT_PEM, 0) >= 0);
	NEED(gnutls_privkey_init(key) >= 0);
	NEED(gnutls_privkey_import_x509(*key, o->cert->key,
	    GNUTLS_PRIVKEY_IMPORT_COPY) >= 0);
	*ocsp = NULL;
	*ocsp_n = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return 0;
}

void
pair_begin(struct pair *p, struct tls_snapshot *snap,
    const struct pair_opts *o)
{
	gnutls_datum_t alpn[3];
	unsigned n;

	pair_end(p);
	NEED(gnutls_init(&p->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK |
	    o->client_flags) >= 0);
	NEED(gnutls_priority_set_direct(p->client, o->priority != NULL ?
	    o->priority : PAIR_TLS13, NULL) >= 0);
	NEED(gnutls_certificate_allocate_credentials(&p->xcred) >= 0);
	/* Sends it whatever CAs the server's list names. */
	if (o->cert != NULL)
		gnutls_certificate_set_retrieve_function3(p->xcred, retrieve);
	NEED(gnutls_credentials_set(p->client, GNUTLS_CRD_CERTIFICATE,
	    p->xcred) >= 0);
	gnutls_session_set_ptr(p->client,
	    (void *)(uintptr_t)o);
	if (o->sni != NULL)
		NEED(gnutls_server_name_set(p->client, GNUTLS_NAME_DNS, o->sni,
		    strlen(o->sni)) >= 0);
	for (n = 0; n < 3 && o->alpn[n] != NULL; n++) {
		alpn[n].data = (unsigned char *)(uintptr_t)o->alpn[n];
		alpn[n].size = (unsigned)strlen(o->alpn[n]);
	}
	if (n > 0)
		NEED(gnutls_alpn_set_protocols(p->client, alpn, n, 0) >= 0);
	if (o->resume != NULL)
		NEED(gnutls_session_set_data(p->client, o->resume->data,
		    o->resume->size) >= 0);
	if (o->record_limit > 0)
		NEED(gnutls_record_set_max_recv_size(p->client,
		    o->record_limit) >= 0);
	gnutls_transport_set_ptr(p->client, p);
	gnutls_transport_set_push_function(p->client, client_push);
	gnutls_transport_set_pull_function(p->client, client_pull);
	p->up_n = p->down_n = p->down_at = 0;
	p->client_done = false;
	p->client_rc = GNUTLS_E_AGAIN;
	p->server = TLS_HS_MORE;
	p->resumed_calls = 0;
	p->stage.tx.n = p->stage.rx.n = 0;
	NEED(tls_handshake_new(p->worker, snap, o->listener, resumed, p,
	    &p->hs) == 0);
}

/* What the server wrote goes to the client; notes the longest record. */
static void
deliver(struct pair *p)
{
	const uint8_t *b = p->stage.tx.p;
	size_t at = 0, n = p->stage.tx.n, len;

	while (at + 5 <= n) {
		len = (size_t)b[at + 3] << 8 | b[at + 4];
		if (len > p->max_record)
			p->max_record = len;
		at += 5 + len;
	}
	if (p->down_at == p->down_n)
		p->down_at = p->down_n = 0;
	NEED(n <= PAIR_WIRE - p->down_n);
	memcpy(p->down + p->down_n, b, n);
	p->down_n += n;
	p->stage.tx.n = 0;
}

int
pair_server_step(struct pair *p, size_t chunk)
{
	size_t used, n = p->up_n;
	int r;

	if (chunk == 0 || chunk > n)
		chunk = n;
	do {
		r = tls_handshake_step(p->hs, &p->stage, p->up, chunk, &used);
		NEED(used <= chunk);
		memmove(p->up, p->up + used, p->up_n - used);
		p->up_n -= used;
		chunk -= used;
		if (r == TLS_HS_MORE && chunk < p->up_n && used == 0)
			chunk++;
		else if (r == TLS_HS_MORE && used > 0 && p->up_n > 0)
			chunk = chunk == 0 ? 1 : chunk;
		else
			break;
	} while (1);
	deliver(p);
	p->server = r;
	if (r == TLS_HS_DONE) {
		p->server = tls_handshake_finish(p->hs, &p->stage,
		    &p->transport, &p->peer);
		if (p->server == 0)
			p->server = TLS_HS_DONE;
		deliver(p);
	}
	return p->server;
}

void
pair_client_step(struct pair *p, const struct pair_opts *o)
{
	ssize_t k;

	if (p->client_done)
		return;
	do
		p->client_rc = gnutls_handshake(p->client);
	while (p->client_rc < 0 && p->client_rc != GNUTLS_E_AGAIN &&
	    !gnutls_error_is_fatal(p->client_rc));
	if (p->client_rc != GNUTLS_E_AGAIN)
		p->client_done = true;
	if (p->client_rc < 0 && p->client_rc != GNUTLS_E_AGAIN)
		(void)gnutls_alert_send_appropriate(p->client, p->client_rc);
	if (p->client_rc == 0 && o->early != NULL) {
		k = gnutls_record_send(p->client, o->early, strlen(o->early));
		NEED(k == (ssize_t)strlen(o->early));
	}
}

void
pair_run(struct pair *p, const struct pair_opts *o)
{
	uint64_t deadline = clock_mono_ms() + 20000;
	size_t before;

	for (;;) {
		before = p->up_n + p->down_n - p->down_at;
		pair_client_step(p, o);
		if (p->server == TLS_HS_WAIT) {
			NEED(clock_mono_ms() < deadline);
			NEED(loop_turn(p->loop, 100) == 0);
			if (p->resumed_calls == 0)
				continue;
			p->resumed_calls = 0;
			(void)pair_server_step(p, o->chunk);
			continue;
		}
		if (p->server == TLS_HS_MORE && p->up_n > 0) {
			(void)pair_server_step(p, o->chunk);
			continue;
		}
		if (p->server != TLS_HS_MORE && p->client_done)
			return;
		if (p->up_n + p->down_n - p->down_at == before &&
		    (p->client_done || p->down_n == p->down_at))
			return;
	}
}

void
pair_end(struct pair *p)
{
	tls_handshake_free(&p->hs);
	if (p->transport != NULL)
		p->transport->ops->free(&p->transport);
	if (p->client != NULL)
		gnutls_deinit(p->client);
	if (p->xcred != NULL)
		gnutls_certificate_free_credentials(p->xcred);
	p->client = NULL;
	p->xcred = NULL;
	p->max_record = 0;
}

ssize_t
pair_server_read(struct pair *p)
{
	ssize_t k;

	k = p->transport->ops->read(p->transport, &p->stage, p->up, p->up_n);
	if (k > 0) {
		memmove(p->up, p->up + k, p->up_n - (size_t)k);
		p->up_n -= (size_t)k;
	}
	deliver(p);
	return k;
}

void
pair_server_write(struct pair *p, const void *b, size_t n)
{
	const uint8_t *at = b;
	ssize_t k;

	while (n > 0) {
		k = p->transport->ops->write(p->transport, &p->stage, at, n);
		NEED(k > 0);
		at += k;
		n -= (size_t)k;
		deliver(p);
	}
}

static void
client_read(struct pair *p, uint8_t *to, size_t n)
{
	size_t have = 0;
	ssize_t k;

	while (have < n) {
		k = gnutls_record_recv(p->client, to + have, n - have);
		if (k == GNUTLS_E_AGAIN || k == GNUTLS_E_INTERRUPTED) {
			NEED(p->down_at < p->down_n);
			continue;
		}
		NEED(k > 0);
		have += (size_t)k;
	}
}

void
pair_check_echo(struct pair *p, size_t n)
{
	uint8_t *a = calloc(1, n), *b = calloc(1, n);
	size_t i, sent = 0, got = 0;
	ssize_t k;

	NEED(a != NULL && b != NULL);
	for (i = 0; i < n; i++)
		a[i] = (uint8_t)(i * 7 + (i >> 8));
	while (got < n) {
		if (sent < n) {
			k = gnutls_record_send(p->client, a + sent, n - sent);
			NEED(k > 0);
			sent += (size_t)k;
		}
		p->stage.rx.n = 0;
		NEED(pair_server_read(p) > 0);
		NEED(p->stage.rx.n <= n - got);
		memcpy(b + got, p->stage.rx.p, p->stage.rx.n);
		got += p->stage.rx.n;
	}
	NEED(memcmp(a, b, n) == 0);
	memset(b, 0, n);
	pair_server_write(p, a, n);
	client_read(p, b, n);
	NEED(memcmp(a, b, n) == 0);
	p->stage.rx.n = 0;
	free(a);
	free(b);
}

int
pair_alert(const struct pair *p)
{
	if (p->client_rc != GNUTLS_E_FATAL_ALERT_RECEIVED)
		return -1;
	return (int)gnutls_alert_get(p->client);
}
