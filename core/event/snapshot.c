/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot protocol.  A page goes on behind the last name of the page
 * before; names keep their places (view.h), so whatever is there throughout is
 * on exactly one page however much changes in between.
 */
#include "event/snapshot.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "event/request.h"

/* Names, numbers and times of one entry; and what closes an answer. */
#define ENTRY_FIXED_MAX 512
#define TAIL_MAX (6 * EVENT_ID_MAX + 64)

struct answer {
	const struct view *v;
	const struct snapshot_facts *facts;
	struct request request;
	struct outbuf *out;
	struct json_out j;
};

static void
put_time(struct json_out *j, const char *key, int64_t wall_ms)
{
	if (wall_ms != 0)
		jout_time(j, key, wall_ms);
}

static void
open_answer(struct answer *a)
{
	jout_init(&a->j, a->out);
	jout_object(&a->j, NULL);
	jout_uint(&a->j, "seq", a->v->seq);
	jout_uint(&a->j, "epoch", a->facts->epoch);
	put_time(&a->j, "time", clock_wall_ms());
}

static void
refuse(struct answer *a, const char *code, const char *text)
{
	open_answer(a);
	jout_object(&a->j, "error");
	jout_string(&a->j, "code", code);
	jout_string(&a->j, "text", text);
	jout_object_end(&a->j);
	jout_object_end(&a->j);
}

static void
put_endpoint(struct json_out *j, const char *key, const struct view_endpoint *e)
{
	jout_object(j, key);
	jout_string_n(j, "endpoint", e->text, e->id_n);
	jout_string(j, "state", presence_state_name(e->state));
	jout_string(j, "security", channel_security_name(e->security));
	if (e->reason != REASON_NONE)
		jout_string(j, "reason", presence_reason_name(e->reason));
	if (e->channel != 0)
		jout_uint(j, "channel", e->channel);
	jout_uint(j, "revision", e->revision);
	put_time(j, "since", (int64_t)e->since_ms);
	put_time(j, "changed", (int64_t)e->changed_ms);
	if (e->peer_n != 0)
		jout_string_n(j, "peer", e->text + e->id_n, e->peer_n);
	jout_uint(j, "seq", e->seq);
	jout_object_end(j);
}

static bool
room_for(const struct answer *a, size_t n)
{
	return outbuf_room(a->out) >= n + TAIL_MAX;
}

static void
answer_endpoints(struct answer *a)
{
	const struct view_endpoint *e = NULL;
	const struct request *q = &a->request;
	uint32_t i = 0, end, n = 0;

	if (q->after[0] != '\0') {
		i = view_find(a->v, q->after, strlen(q->after));
		if (i++ == VIEW_NONE) {
			refuse(a, "not-found", "after: no such endpoint");
			return;
		}
	}
	end = a->v->endpoints;
	if (end - i > SNAPSHOT_SCAN_MAX)
		end = i + SNAPSHOT_SCAN_MAX;
	open_answer(a);
	jout_array(&a->j, "endpoints");
	for (; i < end && n < q->limit; i++) {
		e = a->v->endpoint[i];
		if (e->state == VIEW_FORGOTTEN ||
		    (q->state != PRESENCE_STATES && e->state != q->state))
			continue;
		if (!room_for(a, ENTRY_FIXED_MAX +
		    6 * ((size_t)e->id_n + e->peer_n)))
			break;
		put_endpoint(&a->j, NULL, e);
		n++;
	}
	jout_array_end(&a->j);
	/* i > 0 here: the first of a page always fits. */
	if (i < a->v->endpoints) {
		e = a->v->endpoint[i - 1];
		jout_string_n(&a->j, "next", e->text, e->id_n);
	}
	jout_object_end(&a->j);
}

static void
answer_endpoint(struct answer *a)
{
	const char *id = a->request.id;
	uint32_t at = view_find(a->v, id, strlen(id));

	if (at == VIEW_NONE || a->v->endpoint[at]->state == VIEW_FORGOTTEN) {
		refuse(a, "not-found", "id: no such endpoint");
		return;
	}
	open_answer(a);
	put_endpoint(&a->j, "endpoint", a->v->endpoint[at]);
	jout_object_end(&a->j);
}

static void
put_fact(struct json_out *j, const char *name_key, const struct view_fact *f)
{
	jout_object(j, NULL);
	jout_string(j, name_key, f->name);
	jout_string(j, "event", event_type_name(f->type));
	put_time(j, "time", f->wall_ms);
	jout_uint(j, "seq", f->seq);
	if (f->detail.n != 0)
		jout_raw(j, "detail", f->detail.p, f->detail.n);
	if (f->live_ms != 0 && f->type != EVENT_CERTIFICATE_LIVE) {
		jout_object(j, "live");
		put_time(j, "time", f->live_ms);
		if (f->live.n != 0)
			jout_raw(j, "detail", f->live.p, f->live.n);
		jout_object_end(j);
	}
	jout_object_end(j);
}

static void
answer_facts(struct answer *a, enum view_fact_kind kind, const char *key,
    const char *name_key)
{
	const struct view_facts *facts = &a->v->fact[kind];
	const struct request *q = &a->request;
	const struct view_fact *f;
	uint32_t i = 0, n = 0;

	if (q->after[0] != '\0') {
		i = view_find_fact(a->v, kind, q->after);
		if (i++ == VIEW_NONE) {
			refuse(a, "not-found", "after: no such name");
			return;
		}
	}
	open_answer(a);
	jout_array(&a->j, key);
	for (; i < facts->n && n < q->limit; i++, n++) {
		f = &facts->v[i];
		if (!room_for(a, ENTRY_FIXED_MAX + 6 * strlen(f->name) +
		    f->detail.n + f->live.n))
			break;
		put_fact(&a->j, name_key, f);
	}
	jout_array_end(&a->j);
	if (i < facts->n)
		jout_string(&a->j, "next", facts->v[i - 1].name);
	jout_object_end(&a->j);
}

static const char *
daemon_state(const struct view *v)
{
	if (v->stopping_ms != 0)
		return "stopping";
	return v->ready_ms != 0 ? "ready" : "starting";
}

static void
put_upgraded(struct json_out *j, const struct view *v)
{
	if (v->upgraded_ms == 0)
		return;
	jout_object(j, "upgraded");
	put_time(j, "time", v->upgraded_ms);
	if (v->upgraded.n != 0)
		jout_raw(j, "detail", v->upgraded.p, v->upgraded.n);
	jout_object_end(j);
}

static void
answer_summary(struct answer *a)
{
	const struct view *v = a->v;
	struct json_out *j = &a->j;
	unsigned i;

	open_answer(a);
	jout_object(j, "daemon");
	jout_string(j, "version", a->facts->version);
	jout_string(j, "state", daemon_state(v));
	put_time(j, "started", v->started_ms);
	put_time(j, "ready", v->ready_ms);
	put_time(j, "reloaded", v->reloaded_ms);
	put_time(j, "reload_failed", v->reload_failed_ms);
	put_upgraded(j, v);
	jout_object_end(j);
	jout_object(j, "endpoints");
	jout_uint(j, "total", v->endpoints - v->forgotten);
	for (i = 0; i < PRESENCE_STATES; i++)
		jout_uint(j, presence_state_name(i), v->by_state[i]);
	jout_object_end(j);
	jout_object(j, "security");
	for (i = SECURITY_NONE; i <= SECURITY_WSS_SAFE; i++)
		jout_uint(j, channel_security_name(i), v->by_security[i]);
	jout_object_end(j);
	jout_uint(j, "certificates", v->fact[VIEW_CERTIFICATE].n);
	jout_uint(j, "plugins", v->fact[VIEW_PLUGIN].n);
	jout_object(j, "bus");
	jout_uint(j, "published", a->facts->published);
	jout_uint(j, "dropped", a->facts->dropped);
	jout_uint(j, "relistened", a->facts->relistened);
	jout_object_end(j);
	jout_object_end(j);
}

void
snapshot_answer(const struct view *v, const struct snapshot_facts *facts,
    const void *request, size_t n, struct outbuf *out)
{
	struct answer a = { .v = v, .facts = facts, .out = out };
	const char *text;
	int r = request_parse(request, n, &a.request, &text);

	if (r != 0) {
		refuse(&a, r == -ENOTSUP ? "unknown-get" : "bad-request",
		    text);
		return;
	}
	switch (a.request.get) {
	case GET_ENDPOINTS:
		answer_endpoints(&a);
		return;
	case GET_ENDPOINT:
		answer_endpoint(&a);
		return;
	case GET_SUMMARY:
		answer_summary(&a);
		return;
	case GET_CERTIFICATES:
		answer_facts(&a, VIEW_CERTIFICATE, "certificates", "slot");
		return;
	case GET_PLUGINS:
		answer_facts(&a, VIEW_PLUGIN, "plugins", "plugin");
		return;
	}
}
