/* SPDX-License-Identifier: Apache-2.0 */
/* See control_rig.h. */
#include "control_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cert/describe.h"
#include "channel/telemetry.h"
#include "event/bus.h"
#include "store_rig.h"
#include "tmpdir.h"

#define NEED(c) ((c) ? (void)0 : need(#c, __LINE__))
#define PATIENCE_MS 10000

static void
need(const char *what, int line)
{
	(void)fprintf(stderr, "control_rig.c:%d: %s\n", line, what);
	abort();
}

static uint64_t
real_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what daemon/ does ------------------------------------------------- */

static void
on_event(void *ctx, uint64_t seq, const struct event *ev, const char *json,
    size_t n)
{
	struct control_rig *r = ctx;
	struct control *c = atomic_load(&r->control);

	if (c != NULL)
		control_event(c, seq, ev, json, n);
}

static void
on_back(struct mail *m)
{
	struct control_errand *e = CT_CONTAINER(m, struct control_errand,
	    mail);

	e->fn(e);
}

static void
ask(void *ctx, struct control_errand *e)
{
	struct control_rig *r = ctx;

	r->errands++;
	r->window_ms = e->window_ms;
	(void)snprintf(r->servers, sizeof(r->servers), "%.199s",
	    e->servers);
	(void)snprintf(r->binary, sizeof(r->binary), "%.199s", e->binary);
	if (e->kind == CONTROL_UPGRADE)
		(void)snprintf(e->why, sizeof(e->why), "%s", r->upgrade.why);
	e->error = r->errand_error;
	e->channels = 3;
	e->mail.fn = on_back;
	mailbox_post(e->home, &e->mail);
}

static void
certificates(void *ctx, void (*fn)(void *, const struct control_certificate *),
    void *arg)
{
	static const struct cert_facts chain[] = {
		{ .subject.dn = "CN=leaf", .issuer.dn = "CN=ca", .sha1 = { 1 },
		    .not_after = 2 },
		{ .subject.dn = "CN=ca", .issuer.dn = "CN=root" }
	};
	static const struct control_certificate main_slot = {
		.slot = "main", .present = true, .not_after_ms = 1,
		.chain = chain, .chain_n = 2, .channels = 5,
		.channels_before = 7
	};

	(void)ctx;
	fn(arg, &main_slot);
}

static void
trusts(void *ctx, void (*fn)(void *, const char *, const struct tls_trust *,
    const char *), void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
}

static enum control_phase
phase(void *ctx)
{
	return ((struct control_rig *)ctx)->phase;
}

static void
upgrade(void *ctx, struct control_upgrade *ret)
{
	*ret = ((struct control_rig *)ctx)->upgrade;
}

static void
replaced(void *ctx, void (*fn)(void *, const char *), void *arg)
{
	const struct control_rig *r = ctx;

	for (unsigned i = 0; i < r->replaced; i++)
		fn(arg, "/usr/sbin/cleatd");
}

/* ---- life -------------------------------------------------------------- */

void
control_rig_init(struct control_rig *r)
{
	memset(r, 0, sizeof(*r));
	r->rules = (struct control_rules){
		.connections = 16, .streams = 4, .request_max = 4096,
		.stream_max = 4096, .timeout_ms = 30000
	};
	r->phase = CONTROL_READY;
}

static void
open_product(struct control_rig *r)
{
	static const struct identity_rules identity = {
		.pending_max = 10, .pending_ms = 86400000, .open_max = 10,
		.enrol_per_minute = 1000, .failures_address = 1000,
		.failures_identity = 1000, .cert_admits = true
	};
	static const struct command_rules commands = {
		.queue_max = 1000, .open_max = 1000, .args_max = 200,
		.deadline_max_ms = 86400000
	};
	struct store_opts o = {
		.path = r->database, .queue_jobs = 64, .queue_bytes = 1 << 22,
		.flush_ms = 5, .telemetry_rows = 1000,
		.telemetry_bytes = 1 << 20, .telemetry_age_ms = 1u << 30,
		.commands_age_ms = 1u << 30, .epoch = 1
	};
	struct identity_deps id = {
		.bus = r->bus, .endpoints = r->endpoints
	};
	struct command_deps deps = {
		.bus = r->bus, .endpoints = r->endpoints
	};
	char why[CONTROL_WHY_SIZE] = "";

	NEED(store_rig_try(&o, why, &r->store) == 0);
	NEED(telemetry_table_new(r->store, r->bus, &r->telemetry) == 0);
	NEED(telemetry_table_load(r->telemetry, why) == 0);
	id.store = deps.store = r->store;
	deps.telemetry = r->telemetry;
	NEED(command_table_new(&deps, &commands, &r->commands) == 0);
	NEED(command_table_load(r->commands, why) == 0);
	NEED(identity_new(&id, &identity, &r->identity) == 0);
	NEED(identity_load(r->identity, why) == 0);
	NEED(store_start(r->store) == 0);
}

void
control_rig_start(struct control_rig *r)
{
	struct event_bus_opts bus = {
		.ring = 4096, .queue = 16, .epoch = 7, .version = "test",
		.tap = on_event, .tap_ctx = r
	};
	const char *directory = tmpdir_make();
	char why[CONTROL_WHY_SIZE] = "";
	struct control *c;

	NEED(directory != NULL);
	(void)snprintf(r->path, sizeof(r->path), "%s/sock", directory);
	(void)snprintf(r->database, sizeof(r->database), "%s/db", directory);
	NEED(event_bus_new(&bus, why, &r->bus) == 0);
	NEED(endpoint_table_new(r->bus, &r->endpoints) == 0);
	open_product(r);
	r->deps = (struct control_deps){
		.path = r->path, .version = "1.0", .epoch = 7, .bus = r->bus,
		.store = r->store, .endpoints = r->endpoints,
		.commands = r->commands, .identity = r->identity,
		.telemetry = r->telemetry, .plugs = &r->plugs,
		.channels = &r->channels,
		.hooks = { .ctx = r, .ask = ask, .certificates = certificates,
		    .trusts = trusts, .phase = phase,
		    .upgrade = upgrade, .replaced = replaced }
	};
	NEED(control_new(&r->deps, &r->rules, why, &c) == 0);
	atomic_store(&r->control, c);
}

void
control_rig_stop(struct control_rig *r)
{
	struct control *c = atomic_load(&r->control);

	if (c != NULL) {
		control_rig_settle(r);
		control_stop(c);
	}
	store_free(&r->store);
	event_bus_free(&r->bus);
	control_free(&c);
	command_table_free(&r->commands);
	telemetry_table_free(&r->telemetry);
	identity_free(&r->identity);
	endpoint_table_free(&r->endpoints);
	tmpdir_remove();
}

void
control_rig_turn(struct control_rig *r)
{
	NEED(loop_turn(atomic_load(&r->control)->worker.loop, 1) == 0);
}

void
control_rig_settle(struct control_rig *r)
{
	struct control *c = atomic_load(&r->control);
	struct event_bus_stats s;

	event_kick(r->bus);
	do {
		control_rig_turn(r);
		event_bus_stats(r->bus, &s);
	} while (c->out > 0 || s.published + s.dropped < s.seq);
	control_rig_turn(r);
}

/* ---- clients ----------------------------------------------------------- */

int
control_rig_dial(struct control_rig *r)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct control *c = atomic_load(&r->control);
	struct pollfd queue = { .fd = c->listening.fd, .events = POLLIN };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", r->path);
	NEED(fd >= 0);
	NEED(connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	while (poll(&queue, 1, 0) > 0)
		control_rig_turn(r);
	return fd;
}

void
control_rig_role(struct control_rig *r, enum control_role role)
{
	struct list *it;

	LIST_FOREACH(it, &atomic_load(&r->control)->clients)
		CT_CONTAINER(it, struct client, link)->role = role;
}

void
control_rig_send(struct control_rig *r, int fd, const char *text)
{
	size_t n = strlen(text);
	ssize_t sent;

	while (n > 0) {
		sent = send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return;		/* it has its answer already */
		if (sent > 0) {
			text += sent;
			n -= (size_t)sent;
		}
		control_rig_turn(r);
	}
}

/* One byte at a time: the next answer stays in the socket.  -1: the end. */
static int
next_byte(struct control_rig *r, int fd, uint64_t end)
{
	uint8_t byte;
	ssize_t n;

	for (;;) {
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
		if (n == 1)
			return byte;
		if (n == 0 || errno != EAGAIN)
			return -1;
		NEED(real_ms() < end);
		control_rig_turn(r);
	}
}

static void
check_problem(const struct control_answer *a)
{
	const char *type = json_string_value(json_object_get(a->json,
	    "type"));

	NEED(strstr(a->head, "application/problem+json") != NULL);
	NEED(type != NULL && strncmp(type, "urn:cleat:problem:", 18) == 0);
	NEED(json_integer_value(json_object_get(a->json, "status")) ==
	    (json_int_t)a->status);
	NEED(json_is_string(json_object_get(a->json, "title")));
	NEED(json_is_string(json_object_get(a->json, "detail")));
}

void
control_rig_answer(struct control_rig *r, int fd, struct control_answer *a)
{
	uint64_t end = real_ms() + PATIENCE_MS;
	const char *length;
	size_t n = 0;
	int byte;

	*a = (struct control_answer){ .status = 0 };
	do {
		byte = next_byte(r, fd, end);
		if (byte < 0)
			return;
		NEED(n + 1 < sizeof(a->head));
		a->head[n++] = (char)byte;
	} while (n < 4 || memcmp(a->head + n - 4, "\r\n\r\n", 4) != 0);
	NEED(sscanf(a->head, "HTTP/1.1 %u", &a->status) == 1);
	length = strstr(a->head, "Content-Length: ");
	a->body_n = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
	a->body = malloc(a->body_n + 1);
	NEED(a->body != NULL);
	for (n = 0; n < a->body_n; n++) {
		byte = next_byte(r, fd, end);
		NEED(byte >= 0);
		a->body[n] = (char)byte;
	}
	a->body[n] = '\0';
	if (n == 0)
		return;
	a->json = json_loadb(a->body, n, JSON_REJECT_DUPLICATES, NULL);
	NEED(json_is_object(a->json));
	if (a->status >= 400)
		check_problem(a);
}

void
control_answer_free(struct control_answer *a)
{
	json_decref(a->json);
	free(a->body);
	*a = (struct control_answer){ .status = 0 };
}

bool
control_rig_text(struct control_rig *r, int fd, char *to, size_t cap,
    const char *part)
{
	uint64_t end = real_ms() + PATIENCE_MS;
	size_t n = strlen(to);
	ssize_t got;

	while (strstr(to, part) == NULL) {
		NEED(n + 1 < cap);
		got = recv(fd, to + n, cap - 1 - n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got > 0) {
			n += (size_t)got;
			to[n] = '\0';
			continue;
		}
		NEED(real_ms() < end);
		control_rig_turn(r);
	}
	return true;
}

void
control_rig_ask(struct control_rig *r, const char *method, const char *target,
    const char *body, struct control_answer *ret)
{
	size_t cap = 512 + strlen(target) + (body == NULL ? 0 : strlen(body));
	char *text = malloc(cap);
	int fd = control_rig_dial(r);

	NEED(text != NULL);
	if (body == NULL)
		(void)snprintf(text, cap, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n",
		    method, target);
	else
		(void)snprintf(text, cap, "%s %s HTTP/1.1\r\nHost: x\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n%s", method, target,
		    strlen(body), body);
	control_rig_send(r, fd, text);
	free(text);
	control_rig_answer(r, fd, ret);
	(void)close(fd);
}

unsigned
control_rig_status(struct control_rig *r, const char *method,
    const char *target, const char *body, char *ret_kind)
{
	struct control_answer a;
	const char *type;
	unsigned status;

	control_rig_ask(r, method, target, body, &a);
	status = a.status;
	if (ret_kind != NULL) {
		type = status < 400 ? NULL :
		    json_string_value(json_object_get(a.json, "type"));
		(void)snprintf(ret_kind, 32, "%s", type == NULL ? "" :
		    type + 18);
	}
	control_answer_free(&a);
	return status;
}
