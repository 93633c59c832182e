/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server handshake under a hostile client.  The first byte chooses: TLS 1.2
 * or 1.3, a listener with or without client certificates, whole or byte-wise
 * feeding, and whether the rest of the input is the wire itself or a list of
 * changes to the flights of a real client, which get behind the ClientHello.
 * Whatever comes: no crash, no leak, a reason for each error, and nothing taken
 * that was not there.
 */
#include <stdint.h>
#include <string.h>

#include "../lib/tls_pair.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { V12 = 1, ASKS = 2, BYTEWISE = 4, FLIGHTS = 8, NAMED = 16, LIMIT = 32 };

static struct pair pair;
static struct tls_snapshot *snap;
static struct test_cert ca, server, device;

static void
start(void)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true},
	    ss = {.cn = "a.test", .dns = {"a.test"}, .issuer = &ca},
	    sd = {.cn = "dev", .issuer = &ca};
	static const char *const names[] = {"a.test", "*.b.test", NULL};
	static const uint8_t master[TLS_TICKET_MASTER_SIZE] = {1};
	struct tls_slot_spec slot = {.name = "main", .names = names,
	    .is_default = true};
	struct tls_listener_spec listeners[2] = {
		{.client_auth = TLS_CLIENT_OFF},
		{.client_auth = TLS_CLIENT_REQUIRED},
	};
	struct tls_challenge_spec challenge = {.name = "c.test"};
	const struct tls_snapshot_spec spec = {.slots = &slot, .slots_n = 1,
	    .listeners = listeners, .listeners_n = 2,
	    .challenges = &challenge, .challenges_n = 1,
	    .ticket_master = master};

	test_cert_make(&sca, &ca);
	test_cert_make(&ss, &server);
	test_cert_make(&sd, &device);
	listeners[1].trust = test_trust(&ca, true);
	CT_ASSERT(tls_cred_new(server.pem, server.pem_n, server.key_pem,
	    server.key_n, NULL, 0, NULL, &slot.cred[0]) == 0);
	challenge.cred = slot.cred[0];
	CT_ASSERT(tls_snapshot_new(&spec, NULL, &snap) == 0);
	tls_cred_unref(&slot.cred[0]);
	tls_trust_unref(&listeners[1].trust);
	pair_init(&pair);
}

static void
check(int r)
{
	CT_ASSERT(r >= 0 || tls_handshake_reason(pair.hs)[0] != '\0');
}

/* The input as the wire. */
static void
feed_raw(unsigned listener, bool bytewise, const uint8_t *p, size_t n)
{
	size_t used, have = bytewise ? 1 : n;
	int r = TLS_HS_MORE;

	CT_ASSERT(tls_handshake_new(pair.worker, snap, listener, NULL, NULL,
	    &pair.hs) == 0);
	while (r == TLS_HS_MORE && have <= n) {
		r = tls_handshake_step(pair.hs, &pair.stage, p, have, &used);
		CT_ASSERT(used <= have);
		p += used;
		n -= used;
		have -= used;
		if (r == TLS_HS_MORE && have == n)
			break;
		have += bytewise ? 1 : n - have;
	}
	check(r);
	CT_ASSERT(r != TLS_HS_DONE && r != TLS_HS_WAIT);
	pair.stage.tx.n = 0;
	tls_handshake_free(&pair.hs);
}

/* Changes of three bytes (where, which bits), a zero ends those of a flight. */
static void
mutate(const uint8_t **p, size_t *n)
{
	size_t at;

	while (*n >= 3 && pair.up_n > 0) {
		at = ((size_t)(*p)[0] << 8 | (*p)[1]) % pair.up_n;
		pair.up[at] ^= (*p)[2];
		at = (*p)[2];
		*p += 3;
		*n -= 3;
		if (at == 0)
			return;
	}
}

static void
feed_flights(unsigned mode, const uint8_t *p, size_t n)
{
	const struct pair_opts o = {
		.priority = (mode & V12) ? PAIR_TLS12 : PAIR_TLS13,
		.listener = (mode & ASKS) ? 1 : 0,
		.cert = (mode & ASKS) ? &device : NULL,
		.sni = (mode & NAMED) ? "a.test" : NULL,
		.alpn = {(mode & NAMED) ? "http/1.1" : NULL},
		.record_limit = (mode & LIMIT) ? 600 : 0,
		.early = "data",
	};
	int turn;

	pair_begin(&pair, snap, &o);
	for (turn = 0; turn < 4 && pair.server == TLS_HS_MORE; turn++) {
		pair_client_step(&pair, &o);
		mutate(&p, &n);
		if (pair.up_n > 0)
			check(pair_server_step(&pair,
			    (mode & BYTEWISE) ? 1 : 0));
	}
	if (pair.server == TLS_HS_DONE) {
		pair.stage.rx.n = 0;
		(void)pair_server_read(&pair);
	}
	pair_end(&pair);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool started;

	if (!started)
		start();
	started = true;
	if (n == 0)
		return 0;
	if ((p[0] & FLIGHTS) != 0)
		feed_flights(p[0], p + 1, n - 1);
	else
		feed_raw((p[0] & ASKS) ? 1 : 0, (p[0] & BYTEWISE) != 0, p + 1,
		    n - 1);
	return 0;
}
