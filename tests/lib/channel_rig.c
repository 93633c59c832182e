/* SPDX-License-Identifier: Apache-2.0 */
/* See channel_rig.h: the server's half. */
#include "channel_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "tls/record.h"
#include "tls/snapshot.h"
#include "tls/trust.h"
#include "endpoint/auth.h"
#include "endpoint/identity.h"
#include "store_rig.h"

#define NEED(c) ((c) ? (void)0 : need(#c, __LINE__))

static _Atomic uint64_t fake_ms;
static unsigned running;		/* rigs: they have one clock */

static void
need(const char *what, int line)
{
	(void)fprintf(stderr, "channel_rig.c:%d: %s\n", line, what);
	abort();
}

uint64_t
rig_now_ms(void)
{
	return atomic_load(&fake_ms);
}

static int64_t
fake_wall(void)
{
	return 1800000000000 + (int64_t)atomic_load(&fake_ms);
}

uint64_t
rig_real_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The store's thread waits in real time: with a clock that stands still it
 * would spin, and hardly let anybody in. */
static uint64_t
mono(void)
{
	static _Thread_local int is_store = -1;
	char name[16] = "";

	if (is_store < 0) {
		(void)pthread_getname_np(pthread_self(), name, sizeof(name));
		is_store = strcmp(name, "store") == 0;
	}
	return is_store != 0 ? rig_real_ms() : rig_now_ms();
}

/* ---- the protocol ------------------------------------------------------ */

static struct rig *
rig_of(struct channel *c)
{
	return CT_CONTAINER(channel_protocol(c), struct rig_protocol,
	    base)->rig;
}

static struct rig_session *
session_new(struct rig *r)
{
	struct rig_session *s = mem_calloc(1, sizeof(*s));

	if (s != NULL) {
		s->rig = r;
		r->sessions++;
	}
	return s;
}

static void
session_free(struct channel *c)
{
	struct rig_session *s = channel_session(c);

	if (s != NULL)
		s->rig->sessions--;
	mem_free(s);
	channel_set_session(c, NULL);
}

static void
on_open(struct channel_protocol *p, struct channel *c,
    const struct net_request *request)
{
	struct rig *r = CT_CONTAINER(p, struct rig_protocol, base)->rig;

	NEED(request->path[0] == '/');
	r->opened++;
	r->last_id = channel_id(c);
	channel_set_session(c, session_new(r));
	if (r->on_open != NULL)
		r->on_open(r, c);
}

static void
numbered(struct rig *r, struct channel *c, const uint8_t *p, size_t n)
{
	struct rig_session *s = channel_session(c);
	uint64_t number = 0;

	memcpy(&number, p, n < 8 ? n : 8);
	if (number != ++s->in)
		r->disorder++;
	s->out++;
	if (channel_send(c, &s->out, sizeof(s->out), false) != 0)
		r->disorder++;
}

static void
ask(struct channel *c, const char *text)
{
	char id[129] = "", token[129] = "";
	struct channel_hello h = {
		.endpoint = id, .token = token, .method = AUTH_TOKEN,
		.boot_id = "", .agent = "rig"
	};
	char answer[32], key[65] = "", signature[129] = "", bound[2] = "";
	uint8_t key_bytes[32], signature_bytes[64];
	int n = sscanf(text, "%*s %128s %128s %64s %128s %1s", id, token, key,
	    signature, bound), r;

	if (text[0] == 'c')
		h.method = AUTH_CERTIFICATE;
	else if (text[0] == 'k')
		h.method = AUTH_KEY;
	else if (text[0] == 'e')
		h.method = AUTH_ENROL;
	if (strcmp(token, "-") == 0)
		h.token = NULL;
	if (n == 5 && hex_read(key, key_bytes, 32) == 0 &&
	    hex_read(signature, signature_bytes, 64) == 0) {
		h.public_key = key_bytes;
		h.signature = signature_bytes;
		h.bound = bound[0] == '1';
	}
	r = channel_authenticate(c, &h);
	if (r != 0) {
		(void)snprintf(answer, sizeof(answer), "refused %d", r);
		(void)channel_send(c, answer, strlen(answer), true);
	}
}

static void
on_message(struct channel *c, uint8_t *p, size_t n, bool text)
{
	struct rig *r = rig_of(c);
	char line[600];

	r->messages++;
	r->last_n = n;
	if (n > r->max_n)
		r->max_n = n;
	if (r->on_message != NULL) {
		r->on_message(r, c, p, n, text);
	} else if (r->numbered && !text) {
		numbered(r, c, p, n);
	} else if (text && n < sizeof(line) &&
	    ((n > 6 && memcmp(p, "hello ", 6) == 0) ||
	    (n > 5 && memcmp(p, "cert ", 5) == 0) ||
	    (n > 4 && memcmp(p, "key ", 4) == 0) ||
	    (n > 6 && memcmp(p, "enrol ", 6) == 0))) {
		memcpy(line, p, n);
		line[n] = '\0';
		ask(c, line);
	} else {
		(void)channel_send(c, p, n, text);
	}
}

static void
on_drained(struct channel *c)
{
	struct rig *r = rig_of(c);

	r->drained++;
	if (r->on_drained != NULL)
		r->on_drained(r, c);
}

static void
on_authenticated(struct channel *c, const struct channel_auth_result *a)
{
	struct rig *r = rig_of(c);
	char line[64];

	r->authenticated++;
	(void)snprintf(r->enrolled, sizeof(r->enrolled), "%s", a->enrolled);
	if (r->on_authenticated != NULL) {
		r->on_authenticated(r, c, a);
		return;
	}
	if (a->error != 0)
		(void)snprintf(line, sizeof(line), "no %d", a->error);
	else
		(void)snprintf(line, sizeof(line), "ok %llu %s",
		    (unsigned long long)a->channel_number,
		    channel_security_name((enum channel_security)a->security));
	(void)channel_send(c, line, strlen(line), true);
}

static int
on_export(struct channel *c, struct outbuf *out)
{
	struct rig_session *s = channel_session(c);

	if (rig_of(c)->cannot_export || outbuf_room(out) < 16)
		return -ENOBUFS;
	memcpy(out->p + out->n, &s->in, 8);
	memcpy(out->p + out->n + 8, &s->out, 8);
	out->n += 16;
	return 0;
}

static int
on_import(struct channel_protocol *p, struct channel *c, const uint8_t *from,
    size_t n)
{
	struct rig *r = CT_CONTAINER(p, struct rig_protocol, base)->rig;
	struct rig_session *s;

	if (r->import_error != 0)
		return r->import_error;
	if (n != 16)
		return -EINVAL;
	s = session_new(r);
	if (s == NULL)
		return -ENOMEM;
	memcpy(&s->in, from, 8);
	memcpy(&s->out, from + 8, 8);
	channel_set_session(c, s);
	return 0;
}

static void
on_closed(struct channel *c, uint16_t code, const char *why)
{
	struct rig *r = rig_of(c);

	NEED(why != NULL);
	r->closed++;
	r->close_code = code;
	if (r->on_closed != NULL)
		r->on_closed(r, c, code);
	session_free(c);
}

/* ---- what daemon/ does ------------------------------------------------- */

static unsigned
index_of(const struct rig *r, const struct net_worker *nw)
{
	return nw == r->nw[0] ? 0 : 1;
}

static int
route(void *ctx, struct net_worker *nw, const struct net_request *request,
    struct net_route *ret, const char **ret_why)
{
	struct rig *r = ctx;
	struct rig_protocol *p = &r->protocol[index_of(r, nw)];

	(void)request;
	(void)ret_why;
	ret->protocol = &p->base;
	ret->compression = p->base.compression;
	return 0;
}

static int
upgraded(void *ctx, struct net_worker *nw, struct net_upgrade *u)
{
	struct rig *r = ctx;
	struct net_request request = *u->request;

	if (r->untrusted)
		request.trusted = false;
	u->request = &request;
	return channel_adopt(r->cw[index_of(r, nw)], u, u->route.protocol);
}

static bool
ready(void *ctx)
{
	(void)ctx;
	return true;
}

static struct channel_protocol *
find_protocol(void *ctx, unsigned worker, const char *name)
{
	struct rig *r = ctx;

	return strcmp(name, "rig") == 0 ? &r->protocol[worker].base : NULL;
}

void
rig_init(struct rig *r)
{
	static const struct channel_protocol base = {
		.name = "rig", .max_message = 65536, .anonymous = true,
		.open = on_open, .message = on_message, .drained = on_drained,
		.authenticated = on_authenticated, .export = on_export,
		.import = on_import, .forget = session_free,
		.closed = on_closed
	};

	memset(r, 0, sizeof(*r));
	log_set_level(LOG_LVL_ERROR);
	for (int i = 0; i < RIG_WORKERS; i++)
		r->protocol[i] = (struct rig_protocol){ base, r };
	r->net_limits = (struct net_limits){
		.handshakes = 1000, .connections = 10000,
		.connections_per_address = 10000, .handshake_ms = 60000,
		.http_ms = 60000, .http_header = 8192, .accept_quota = 16,
		.backlog_bytes = 1024 * 1024
	};
	r->limits = (struct channel_limits){
		.ping_ms = 20000, .suspect_ms = 5000, .dead_ms = 35000,
		.auth_ms = 10000, .auth_bytes = 4096, .send_queue = 65536,
		.retry_min_ms = 1000, .retry_max_ms = 60000
	};
}

static void
make_certificates(struct rig *r)
{
	struct test_cert_spec ca = {
		.cn = "Rig CA", .key = TEST_KEY_P256, .ca = true
	};
	struct test_cert_spec server = {
		.cn = "a.test", .dns = { "a.test" }, .key = TEST_KEY_P256
	};
	struct test_cert_spec device = {
		.cn = "dev-1", .key = TEST_KEY_P256, .issuer = &r->ca,
		.purpose = "1.3.6.1.5.5.7.3.2"
	};

	test_cert_make(&ca, &r->ca);
	test_cert_make(&server, &r->server);
	test_cert_make(&device, &r->device);
}

static struct tls_snapshot *
make_snapshot(struct rig *r)
{
	static const char *const names[] = { "a.test", NULL };
	static const uint8_t master[TLS_TICKET_MASTER_SIZE] = { 1 };
	struct tls_listener_spec listeners[2] = {
		{ .client_auth = TLS_CLIENT_OFF },
		{ .client_auth = TLS_CLIENT_OPTIONAL, .trust = test_trust(
		    &r->ca, true) }
	};
	struct tls_slot_spec slot = {
		.name = "main", .names = names, .is_default = true,
		.number = { RIG_NUMBER }
	};
	struct tls_snapshot_spec spec = {
		.slots = &slot, .slots_n = 1, .listeners = listeners,
		.listeners_n = 2, .ticket_master = master,
		.ticket_lifetime_s = 3600
	};
	struct tls_snapshot *ret = NULL;

	NEED(tls_cred_new(r->server.pem, r->server.pem_n, r->server.key_pem,
	    r->server.key_n, NULL, 0, NULL, &slot.cred[0]) == 0);
	NEED(tls_snapshot_new(&spec, NULL, &ret) == 0);
	tls_trust_unref(&listeners[1].trust);
	tls_cred_unref(&slot.cred[0]);
	return ret;
}

static void
make_tokens(struct rig *r)
{
	char path[] = "/tmp/rig-tokens-XXXXXX", hex[65], why[256];
	uint8_t sha256[32];
	int fd = mkstemp(path);
	FILE *f;

	NEED(fd >= 0 && (f = fdopen(fd, "w")) != NULL);
	NEED(digest_sha256(RIG_TOKEN, strlen(RIG_TOKEN), sha256) == 0);
	hex_write(sha256, 32, hex);
	for (int i = 1; i <= RIG_DEVICES; i++)
		(void)fprintf(f, "dev-%d %s\n", i, hex);
	NEED(fclose(f) == 0);
	NEED(auth_file_load(path, why, &r->auth) == 0);
	(void)unlink(path);
}

static void
start_identity(struct rig *r)
{
	const struct store_opts opts = {
		.path = r->database, .queue_jobs = 1000,
		.queue_bytes = 1 << 20, .flush_ms = 10,
		.telemetry_rows = 1000, .telemetry_bytes = 1 << 20,
		.telemetry_age_ms = 86400000, .commands_age_ms = 86400000
	};
	const struct identity_rules rules = {
		.pending_max = 10, .pending_ms = 86400000, .open_max = 10,
		.enrol_per_minute = 1000, .failures_address = 1000,
		.failures_identity = 1000, .cert_admits = true
	};
	struct identity_deps deps = { .bus = r->tap.bus,
	    .endpoints = r->endpoints };
	char why[256];

	(void)snprintf(r->directory, sizeof(r->directory),
	    "/tmp/rig-state-XXXXXX");
	NEED(mkdtemp(r->directory) != NULL);
	(void)snprintf(r->database, sizeof(r->database), "%s/db",
	    r->directory);
	NEED(store_rig_try(&opts, why, &r->store) == 0);
	deps.store = r->store;
	NEED(identity_new(&deps, &rules, &r->identity) == 0);
	NEED(identity_load(r->identity, why) == 0);
	NEED(store_start(r->store) == 0);
	identity_set_file(r->identity, r->auth);
}

static void
stop_identity(struct rig *r)
{
	static const char *const suffix[] = { "", "-wal", "-shm" };
	char path[100];

	store_free(&r->store);
	identity_free(&r->identity);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", r->database,
		    suffix[i]);
		(void)unlink(path);
	}
	(void)rmdir(r->directory);
}

void
rig_start(struct rig *r)
{
	const struct net_listener_opts listeners[] = {
		{ .name = "plain", .address = "127.0.0.1:0", .backlog = 128 },
		{ .name = "tls", .address = "127.0.0.1:0", .tls = true,
		    .backlog = 128 }
	};
	const struct net_hooks hooks = {
		.ctx = r, .route = route, .upgraded = upgraded, .ready = ready
	};
	struct tls_snapshot *s;
	char why[256];

	if (running++ == 0) {
		atomic_store(&fake_ms, 1000000);
		clock_replace(mono, fake_wall);
	}
	make_certificates(r);
	make_tokens(r);
	NEED(event_tap_start(&r->tap) == 0);
	NEED(endpoint_table_new(r->tap.bus, &r->endpoints) == 0);
	NEED(net_new(&r->net_limits, listeners, 2, &hooks, why, &r->net) == 0);
	(void)net_listener_address(r->net, 0, r->plain);
	(void)net_listener_address(r->net, 1, r->tls);
	start_identity(r);
	r->shared = (struct channel_shared){
		.net = r->net, .endpoints = r->endpoints, .bus = r->tap.bus,
		.identity = r->identity,
		.counters = &r->counters, .workers = r->cw,
		.workers_n = RIG_WORKERS, .epoch = 7,
		.find_protocol = find_protocol, .find_ctx = r
	};
	s = make_snapshot(r);
	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		NEED(worker_init(&r->worker[i], "rig") == 0);
		NEED(net_worker_new(r->net, &r->worker[i], r, &r->nw[i]) == 0);
		NEED(channel_worker_new(&r->shared, i, &r->worker[i], r->nw[i],
		    &r->limits, &r->cw[i]) == 0);
		net_worker_set_snapshot(r->nw[i], s);
	}
	endpoint_table_set_closer(r->endpoints, channel_pass_closing, r->cw);
	tls_snapshot_unref(&s);
	NEED(net_worker_accept(r->nw[0], true) == 0);
}

void
rig_stop(struct rig *r)
{
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		channel_worker_kill_all(r->cw[i]);
	store_stop(r->store);
	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		mailbox_drain(&r->worker[i].mailbox);
		channel_worker_free(&r->cw[i]);
		net_worker_free(&r->nw[i]);
	}
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		worker_fini(&r->worker[i]);
	NEED(r->sessions == 0);
	event_tap_stop(&r->tap);
	NEED(atomic_load(&net_counters(r->net)->connections) == 0);
	net_free(&r->net);
	stop_identity(r);
	endpoint_table_free(&r->endpoints);
	auth_file_unref(&r->auth);
	test_cert_free(&r->device);
	test_cert_free(&r->server);
	test_cert_free(&r->ca);
	if (--running == 0) {
		NEED(tls_record_test_count() == 0);
		clock_replace(NULL, NULL);
	}
}

void
rig_turn(struct rig *r)
{
	if (r->threaded) {
		(void)poll(NULL, 0, 1);
		return;
	}
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		NEED(loop_turn(r->worker[i].loop, 0) == 0);
}

void
rig_settle(struct rig *r)
{
	for (int i = 0; i < 8; i++)
		rig_turn(r);
}

void
rig_advance(struct rig *r, uint32_t ms)
{
	uint32_t step;

	for (; ms > 0; ms -= step) {
		step = ms < TIMER_TICK_MS ? ms : TIMER_TICK_MS;
		atomic_fetch_add(&fake_ms, step);
		rig_turn(r);
	}
}

size_t
rig_channels(const struct rig *r)
{
	return channel_worker_count(r->cw[0]) + channel_worker_count(r->cw[1]);
}

void
rig_wait_empty(struct rig *r)
{
	uint64_t end = rig_real_ms() + 10000;

	while (rig_channels(r) > 0) {
		NEED(rig_real_ms() < end);
		rig_advance(r, TIMER_TICK_MS);
	}
}
