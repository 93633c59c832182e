/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same path over TLS, with a real GnuTLS client on a loopback socket
 * (core/net/conn.c, net.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "../lib/certs.h"
#include "../lib/nettest.h"
#include "tls/snapshot.h"

static struct nettest t;
static struct test_cert cert;
static char reply[256 * 1024];

static const struct net_listener_opts tls = {
	.name = "tls", .address = "127.0.0.1:0", .tls = true, .backlog = 128
};
static const char request[] = NETTEST_UPGRADE("/v1/channel");

static struct tls_snapshot *
snapshot(void)
{
	static const char *const names[] = { "a.test", NULL };
	static const uint8_t master[TLS_TICKET_MASTER_SIZE] = { 1 };
	const struct tls_listener_spec listener = {
		.client_auth = TLS_CLIENT_OFF
	};
	struct tls_slot_spec slot = {
		.name = "main", .names = names, .is_default = true
	};
	struct tls_snapshot_spec spec = {
		.slots = &slot, .slots_n = 1, .listeners = &listener,
		.listeners_n = 1, .ticket_master = master,
		.ticket_lifetime_s = 3600
	};
	struct tls_snapshot *ret = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_cred_new(cert.pem, cert.pem_n, cert.key_pem, cert.key_n, NULL,
	    0, why, &slot.cred[0]) != 0)
		fail_msg("%s", why);
	if (tls_snapshot_new(&spec, why, &ret) != 0)
		fail_msg("%s", why);
	tls_cred_unref(&slot.cred[0]);
	return ret;
}

static int
set_up(void **state)
{
	struct tls_snapshot *s;
	char why[256];

	(void)state;
	memset(&t, 0, sizeof(t));
	t.limits = nettest_limits();
	t.limits.handshake_ms = 1000;
	log_set_level(LOG_LVL_ERROR);
	if (nettest_start(&t, &tls, 1, why) != 0)
		return -1;
	s = snapshot();
	net_worker_set_snapshot(t.w, s);
	tls_snapshot_unref(&s);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	nettest_stop(&t);
	return 0;
}

/* A client whose wire bytes are collected so that a test says when and in which
 * pieces they go out. */
struct client {
	gnutls_session_t session;
	gnutls_certificate_credentials_t cred;
	int fd;
	uint8_t out[512 * 1024];
	size_t out_n;
};
static struct client client;

static ssize_t
push(gnutls_transport_ptr_t p, const void *b, size_t n)
{
	struct client *c = p;

	if (n > sizeof(c->out) - c->out_n)
		return -1;
	memcpy(c->out + c->out_n, b, n);
	c->out_n += n;
	return (ssize_t)n;
}

static ssize_t
pull(gnutls_transport_ptr_t p, void *b, size_t n)
{
	struct client *c = p;
	ssize_t got = recv(c->fd, b, n, MSG_DONTWAIT);

	if (got < 0)
		gnutls_transport_set_errno(c->session, errno);
	return got;
}

static int
no_wait(gnutls_transport_ptr_t p, unsigned ms)
{
	(void)p;
	(void)ms;
	return 1;
}

static void
client_open(struct client *c, const char *priority)
{
	memset(c, 0, sizeof(*c));
	c->fd = nettest_connect(t.address);
	assert_true(c->fd >= 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&c->cred), 0);
	assert_int_equal(gnutls_init(&c->session,
	    GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(c->session, priority,
	    NULL), 0);
	assert_int_equal(gnutls_credentials_set(c->session,
	    GNUTLS_CRD_CERTIFICATE, c->cred), 0);
	gnutls_transport_set_ptr(c->session, c);
	gnutls_transport_set_push_function(c->session, push);
	gnutls_transport_set_pull_function(c->session, pull);
	gnutls_transport_set_pull_timeout_function(c->session, no_wait);
}

static void
client_close(struct client *c)
{
	gnutls_deinit(c->session);
	gnutls_certificate_free_credentials(c->cred);
	(void)close(c->fd);
}

static void
client_flush(struct client *c, size_t piece)
{
	size_t at, n;

	for (at = 0; at < c->out_n; at += n) {
		n = c->out_n - at < piece ? c->out_n - at : piece;
		assert_true(nettest_send(&t, c->fd, c->out + at, n));
	}
	c->out_n = 0;
}

/* The handshake; the last flight (with Finished) stays in c->out. */
static int
client_handshake(struct client *c, size_t piece)
{
	uint64_t end = clock_mono_ms() + 3000;
	int r;

	while ((r = gnutls_handshake(c->session)) != 0 &&
	    gnutls_error_is_fatal(r) == 0 && clock_mono_ms() < end) {
		client_flush(c, piece);
		nettest_turn(&t, 5);
	}
	return r;
}

static void
client_send(struct client *c, const void *p, size_t n, size_t record)
{
	const uint8_t *from = p;
	size_t part;

	for (; n > 0; n -= part, from += part) {
		part = n < record ? n : record;
		assert_int_equal(gnutls_record_send(c->session, from, part),
		    part);
	}
}

/* Until `want` plaintext bytes are there or the end (negative or 0). */
static ssize_t
client_read(struct client *c, size_t want)
{
	uint64_t end = clock_mono_ms() + 3000;
	size_t n = 0;
	ssize_t got = GNUTLS_E_AGAIN;

	while (n < want && clock_mono_ms() < end) {
		got = gnutls_record_recv(c->session, reply + n,
		    sizeof(reply) - 1 - n);
		if (got > 0)
			n += (size_t)got;
		else if (got == 0 || gnutls_error_is_fatal((int)got))
			break;
		else
			nettest_turn(&t, 5);
	}
	reply[n] = '\0';
	return n >= want ? (ssize_t)n : got;
}

static bool
got_all(void *arg)
{
	const size_t *want = arg;

	return t.channels_n > 0 && t.channels[0].got_n >= *want;
}

static void
upgrade_with(const char *priority, size_t piece, size_t record, size_t early)
{
	size_t n = strlen(request) + early;
	uint8_t *all = malloc(n);

	assert_non_null(all);
	memcpy(all, request, strlen(request));
	for (size_t i = 0; i < early; i++)
		all[strlen(request) + i] = (uint8_t)(i ^ i >> 8);
	client_open(&client, priority);
	assert_int_equal(client_handshake(&client, piece), 0);
	/* Finished and the request travel together (trap 14). */
	client_send(&client, all, n, record);
	client_flush(&client, piece);
	assert_true(client_read(&client, 1) > 0);
	assert_memory_equal(reply, "HTTP/1.1 101 ", 13);
	assert_true(nettest_until(&t, got_all, &early, 3000));
	assert_int_equal(t.channels[0].got_n, early);
	assert_memory_equal(t.channels[0].got, all + strlen(request), early);
	/* And goes on as a channel. */
	client_send(&client, "more", 4, 4);
	client_flush(&client, piece);
	early += 4;
	assert_true(nettest_until(&t, got_all, &early, 3000));
	assert_memory_equal(t.channels[0].got + early - 4, "more", 4);
	client_close(&client);
	free(all);
}

#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"

static void
a_request_with_finished_in_one_segment_is_upgraded(void **state)
{
	(void)state;
	upgrade_with(TLS13, SIZE_MAX, 16384, 5);
}

static void
tls_1_2_works_the_same(void **state)
{
	(void)state;
	upgrade_with(TLS12, SIZE_MAX, 16384, 5);
}

static void
seven_byte_records_work(void **state)
{
	(void)state;
	upgrade_with(TLS13, SIZE_MAX, 7, 100);
}

static void
single_wire_bytes_work(void **state)
{
	(void)state;
	upgrade_with(TLS13, 1, 50, 20);
}

static void
much_behind_the_request_arrives_in_order(void **state)
{
	(void)state;
	upgrade_with(TLS13, SIZE_MAX, 16384, 200000);
}

static void
http_is_answered_and_ends_with_close_notify(void **state)
{
	static const char get[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n"
	    "Connection: close\r\n\r\n";

	(void)state;
	client_open(&client, TLS13);
	assert_int_equal(client_handshake(&client, SIZE_MAX), 0);
	client_send(&client, get, strlen(get), 16384);
	client_flush(&client, SIZE_MAX);
	assert_int_equal(client_read(&client, sizeof(reply)), 0);
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(reply, "\r\n\r\nok\n"));
	client_close(&client);
	assert_int_equal(
	    atomic_load(&net_counters(t.net)->handshakes), 1);
}

static void
a_failed_handshake_gets_its_alert(void **state)
{
	int r;

	(void)state;
	client_open(&client, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA:"
	    "-CIPHER-ALL:+AES-128-CBC");
	r = client_handshake(&client, SIZE_MAX);
	assert_int_equal(r, GNUTLS_E_FATAL_ALERT_RECEIVED);
	client_close(&client);
	assert_int_equal(
	    atomic_load(&net_counters(t.net)->handshakes_failed), 1);
}

static bool
nobody_left(void *arg)
{
	(void)arg;
	return atomic_load(&net_counters(t.net)->connections) == 0;
}

static void
garbage_instead_of_a_handshake_is_closed(void **state)
{
	static const char garbage[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = nettest_connect(t.address);
	bool eof;

	(void)state;
	assert_true(nettest_send(&t, fd, garbage, strlen(garbage)));
	(void)nettest_read(&t, fd, reply, sizeof(reply), sizeof(reply), &eof);
	assert_true(eof);
	(void)close(fd);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_damaged_record_gets_an_alert(void **state)
{
	(void)state;
	client_open(&client, TLS13);
	assert_int_equal(client_handshake(&client, SIZE_MAX), 0);
	client_flush(&client, SIZE_MAX);
	client_send(&client, request, strlen(request), 16384);
	client.out[client.out_n - 1] ^= 1;
	client_flush(&client, SIZE_MAX);
	assert_int_equal(client_read(&client, 1),
	    GNUTLS_E_FATAL_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(client.session),
	    GNUTLS_A_BAD_RECORD_MAC);
	client_close(&client);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_slow_handshake_ends_at_its_deadline(void **state)
{
	int fd;

	(void)state;
	fd = nettest_connect(t.address);
	assert_true(nettest_send(&t, fd, "\x16\x03\x01", 3));
	assert_true(nettest_until(&t, nobody_left, NULL, 100) ||
	    atomic_load(&net_counters(t.net)->connections) == 1);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	assert_int_equal(
	    atomic_load(&net_counters(t.net)->handshake_timeouts), 1);
	(void)close(fd);
}

static void
a_tls_stream_survives_export_and_import(void **state)
{
	static uint8_t space[4096];
	struct outbuf out = { .p = space, .cap = sizeof(space) };
	struct nettest_channel *ch = &t.channels[0];
	struct loop *loop = t.worker.loop;
	void (*fn)(struct watch *, uint32_t);
	size_t want = 4;
	int fd;

	(void)state;
	client_open(&client, TLS13);
	assert_int_equal(client_handshake(&client, SIZE_MAX), 0);
	client_send(&client, request, strlen(request), 16384);
	client_flush(&client, SIZE_MAX);
	assert_true(client_read(&client, 1) > 0);
	/* Half a record is in the carry. */
	client_send(&client, "data", 4, 4);
	assert_true(nettest_send(&t, client.fd, client.out, 10));
	for (int i = 0; i < 600 && buf_len(ch->stream.carry) < 10; i++)
		nettest_turn(&t, 5);
	assert_int_equal(buf_len(ch->stream.carry), 10);
	fn = ch->stream.watch.fn;
	stream_leave(&ch->stream, loop);
	assert_int_equal(stream_export(&ch->stream, &out), 0);
	assert_true(out.n < 400);
	fd = ch->stream.watch.fd;
	stream_forget(&ch->stream);
	assert_int_equal(stream_import(&ch->stream, fd, space, out.n), 0);
	assert_int_equal(stream_start(&ch->stream, loop, true, fn), 0);
	assert_true(nettest_send(&t, client.fd, client.out + 10,
	    client.out_n - 10));
	client.out_n = 0;
	assert_true(nettest_until(&t, got_all, &want, 3000));
	assert_memory_equal(ch->got, "data", 4);
	assert_int_equal(client_read(&client, 4), 4);	/* the echo */
	client_close(&client);
}

/* ---- a key that is elsewhere -------------------------------------------- */

static struct {
	struct tls_sign_job *job;
	int scheme;
	uint8_t data[256];
	size_t n;
} asked;

static int
on_sign(void *ctx, const char *key_id, int scheme, const void *data, size_t n,
    struct tls_sign_job *job)
{
	(void)ctx;
	(void)key_id;
	if (n > sizeof(asked.data))
		return -EINVAL;
	memcpy(asked.data, data, n);
	asked.n = n;
	asked.scheme = scheme;
	asked.job = job;
	return 0;
}

static void
sign_now(void)
{
	uint8_t sig[512];
	size_t n = test_cert_sign(&cert, asked.scheme, asked.data, asked.n,
	    sig, sizeof(sig));

	assert_true(n > 0);
	tls_sign_done(asked.job, 0, sig, n);
	asked.job = NULL;
}

static void
use_external_key(void)
{
	static const char *const names[] = { "a.test", NULL };
	static const struct tls_signer signer = { .request = on_sign };
	const struct tls_listener_spec listener = {
		.client_auth = TLS_CLIENT_OFF
	};
	struct tls_slot_spec slot = {
		.name = "main", .names = names, .is_default = true
	};
	struct tls_snapshot_spec spec = {
		.slots = &slot, .slots_n = 1, .listeners = &listener,
		.listeners_n = 1
	};
	struct tls_snapshot *s = NULL;
	char why[TLS_WHY_SIZE] = "";

	if (tls_cred_new_external(cert.pem, cert.pem_n, &signer, "key-1",
	    NULL, 0, why, &slot.cred[0]) != 0)
		fail_msg("%s", why);
	if (tls_snapshot_new(&spec, why, &s) != 0)
		fail_msg("%s", why);
	tls_cred_unref(&slot.cred[0]);
	net_worker_set_snapshot(t.w, s);
	tls_snapshot_unref(&s);
}

static bool
was_asked(void *arg)
{
	(void)arg;
	return asked.job != NULL;
}

static bool
none_suspended(void *arg)
{
	(void)arg;
	return net_worker_suspended(t.w) == 0;
}

/* A client whose ClientHello has made the server ask for a signature. */
static void
client_waiting(void)
{
	memset(&asked, 0, sizeof(asked));
	client_open(&client, TLS13);
	(void)gnutls_handshake(client.session);
	client_flush(&client, SIZE_MAX);
	assert_true(nettest_until(&t, was_asked, NULL, 3000));
	assert_int_equal(net_worker_suspended(t.w), 1);
}

static void
a_suspended_handshake_goes_on_with_its_signature(void **state)
{
	uint64_t begin;
	unsigned turns = 0;

	(void)state;
	use_external_key();
	client_waiting();
	/* Nothing wakes up while it waits. */
	begin = clock_mono_ms();
	while (clock_mono_ms() - begin < 100) {
		nettest_turn(&t, 50);
		turns++;
	}
	assert_true(turns < 20);
	sign_now();
	assert_int_equal(client_handshake(&client, SIZE_MAX), 0);
	client_send(&client, request, strlen(request), 16384);
	client_flush(&client, SIZE_MAX);
	assert_true(client_read(&client, 1) > 0);
	assert_memory_equal(reply, "HTTP/1.1 101 ", 13);
	assert_true(nettest_until(&t, none_suspended, NULL, 3000));
	client_close(&client);
}

static void
a_suspended_handshake_whose_peer_goes_is_given_up(void **state)
{
	const struct linger reset = { .l_onoff = 1 };

	(void)state;
	use_external_key();
	client_waiting();
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset,
	    sizeof(reset)), 0);
	client_close(&client);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	assert_int_equal(net_worker_suspended(t.w), 1);
	sign_now();
	assert_true(nettest_until(&t, none_suspended, NULL, 3000));
	/* The same with the signer's failure, ended by us. */
	client_waiting();
	net_worker_end(t.w);
	assert_true(nobody_left(NULL));
	tls_sign_done(asked.job, -EIO, NULL, 0);
	assert_true(nettest_until(&t, none_suspended, NULL, 3000));
	client_close(&client);
}

static void
a_signer_that_never_answers_meets_the_deadline(void **state)
{
	(void)state;
	use_external_key();
	client_waiting();
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	assert_int_equal(
	    atomic_load(&net_counters(t.net)->handshake_timeouts), 1);
	client_close(&client);
	sign_now();
	assert_true(nettest_until(&t, none_suspended, NULL, 3000));
}

static void
memory_may_be_short_at_any_point(void **state)
{
	unsigned long n;
	bool good = false;

	(void)state;
	for (n = 1; !good; n++) {
		assert_true(n < 200);
		(void)mem_fail_nth(n);
		client_open(&client, TLS13);
		if (client_handshake(&client, SIZE_MAX) == 0) {
			client_send(&client, request, strlen(request), 16384);
			(void)send(client.fd, client.out, client.out_n,
			    MSG_NOSIGNAL);
			good = client_read(&client, 1) > 0;
		}
		good = mem_fail_nth(0) < n && good;
		client_close(&client);
		assert_true(nettest_until(&t, nobody_left, NULL, 3000));
		t.channels_n = 0;
	}
	assert_true(n > 5);
}

static int
make_cert(void **state)
{
	const struct test_cert_spec spec = {
		.cn = "a.test", .dns = { "a.test" }
	};
	char why[256];

	(void)state;
	if (tls_global_init(why) != 0)
		return -1;
	test_cert_make(&spec, &cert);
	return 0;
}

static int
free_cert(void **state)
{
	(void)state;
	test_cert_free(&cert);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_with_finished_in_one_segment_is_upgraded),
		T(tls_1_2_works_the_same),
		T(seven_byte_records_work),
		T(single_wire_bytes_work),
		T(much_behind_the_request_arrives_in_order),
		T(http_is_answered_and_ends_with_close_notify),
		T(a_failed_handshake_gets_its_alert),
		T(garbage_instead_of_a_handshake_is_closed),
		T(a_damaged_record_gets_an_alert),
		T(a_slow_handshake_ends_at_its_deadline),
		T(a_tls_stream_survives_export_and_import),
		T(a_suspended_handshake_goes_on_with_its_signature),
		T(a_suspended_handshake_whose_peer_goes_is_given_up),
		T(a_signer_that_never_answers_meets_the_deadline),
		T(memory_may_be_short_at_any_point),
	};

	return cmocka_run_group_tests(tests, make_cert, free_cert);
}
