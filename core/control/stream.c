/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as they happen (server-sent events, WHATWG HTML 9.2).  The tap copies
 * what somebody wants onto a bounded list; the control thread divides it among
 * the streams, each of which has a bounded queue of text.  Who does not read
 * loses events, hears of it by `gap`, and is let go when it reads nothing at
 * all; the bus and the other streams never wait for it.
 */
#include "control/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/mem.h"
#include "control/exchange.h"
#include "event/event.h"

#define NOTES_MAX 4096			/* that wait for the control thread */
#define NOTES_BYTES (4u << 20)
#define BEAT_MS 15000			/* a comment on a silent stream */
#define BLOCK 8192
#define PREFIX_MAX 255

struct sse {
	struct list link;		/* control->streams */
	struct control *control;
	struct exchange *x;		/* NULL: it has ended */
	struct buf *queue;
	uint64_t first;			/* numbers up to this are not for it */
	uint64_t lost;			/* since the last gap it was told of */
	uint64_t taken_ms;		/* monotonic; when it last
					 * took something */
	bool parked;			/* suspended: nothing to send */
	bool end;
	char prefix[PREFIX_MAX + 1];
};

struct note {
	struct list link;
	uint64_t seq;
	enum event_type type;
	size_t topic_n, json_n;
	char data[];			/* topic, NUL, JSON, NUL */
};

/* ---- the tap: any thread ----------------------------------------------- */

/* What is looked at though there is no stream. */
static bool
wakes(enum event_type t)
{
	const char *name = event_type_name(t);

	return strncmp(name, "command.", 8) == 0 ||
	    strcmp(name, "endpoint.telemetry") == 0;
}

static struct note *
note_new(uint64_t seq, const struct event *ev, const char *json, size_t n)
{
	const char *name = event_type_name(ev->type);
	const char *id = ev->endpoint == NULL ? "" : ev->endpoint;
	size_t name_n = strlen(name), id_n = strlen(id);
	size_t topic_n = name_n + (id_n > 0 ? 1 + id_n : 0);
	struct note *t = mem_alloc(sizeof(*t) + topic_n + n + 2);

	if (t == NULL)
		return NULL;
	t->seq = seq;
	t->type = ev->type;
	t->topic_n = topic_n;
	t->json_n = n;
	memcpy(t->data, name, name_n);
	if (id_n > 0) {
		t->data[name_n] = '/';
		memcpy(t->data + name_n + 1, id, id_n);
	}
	t->data[topic_n] = '\0';
	memcpy(t->data + topic_n + 1, json, n);
	t->data[topic_n + 1 + n] = '\0';
	return t;
}

void
control_event(struct control *c, uint64_t seq, const struct event *ev,
    const char *json, size_t n)
{
	struct note *t = NULL;
	bool post, room;

	atomic_store(&c->seen, seq);
	if (atomic_load(&c->listeners) == 0 && !wakes(ev->type))
		return;
	(void)pthread_mutex_lock(&c->lock);
	room = c->notes_n < NOTES_MAX && c->notes_bytes + n <= NOTES_BYTES;
	(void)pthread_mutex_unlock(&c->lock);
	if (room)
		t = note_new(seq, ev, json, n);
	(void)pthread_mutex_lock(&c->lock);
	if (t != NULL) {
		list_append(&c->notes, &t->link);
		c->notes_n++;
		c->notes_bytes += n;
	} else {
		c->notes_lost++;
	}
	post = !c->noted;
	c->noted = true;
	(void)pthread_mutex_unlock(&c->lock);
	if (post)
		mailbox_post(&c->worker.mailbox, &c->note_mail);
}

/* ---- streams ----------------------------------------------------------- */

static void
unpark(struct sse *s)
{
	if (!s->parked || s->x == NULL)
		return;
	s->parked = false;
	s->taken_ms = loop_now_ms(s->control->worker.loop);
	s->x->suspended = false;
	client_unwatch(s->x->client);
	MHD_resume_connection(s->x->mhd);
	mhd_kick(&s->control->mhd);
}

static int
append(struct sse *s, const char *p, size_t n)
{
	return buf_append(&s->queue, p, n, s->control->rules.stream_max);
}

static int
append_gap(struct sse *s, const char *lost)
{
	char text[128];
	int n = snprintf(text, sizeof(text),
	    "event: gap\ndata: {\"epoch\":%llu,\"lost\":%s}\n\n",
	    (unsigned long long)s->control->deps.epoch, lost);

	return append(s, text, (size_t)n);
}

/* When it has read half of what waits, it is told what it lost meanwhile. */
static void
tell_gap(struct sse *s)
{
	char lost[24];

	if (s->lost == 0 ||
	    buf_len(s->queue) > s->control->rules.stream_max / 2)
		return;
	(void)snprintf(lost, sizeof(lost), "%llu",
	    (unsigned long long)s->lost);
	if (append_gap(s, lost) != 0)
		return;
	atomic_fetch_add(&s->control->counters.stream_gaps, 1);
	s->lost = 0;
}

/* All or nothing: half an event would spoil the next. */
static int
append_event(struct sse *s, const struct note *t)
{
	char head[160];
	int n = snprintf(head, sizeof(head), "id: %llu-%llu\nevent: %s\ndata: ",
	    (unsigned long long)s->control->deps.epoch,
	    (unsigned long long)t->seq, event_type_name(t->type));
	size_t before = buf_len(s->queue);
	size_t all = (size_t)n + t->json_n + 2;

	if (before + all > s->control->rules.stream_max)
		return -ENOBUFS;
	if (append(s, head, (size_t)n) != 0)
		return -ENOMEM;
	if (append(s, t->data + t->topic_n + 1, t->json_n) == 0 &&
	    append(s, "\n\n", 2) == 0)
		return 0;
	s->end = true;			/* memory is short in the middle */
	return -ENOMEM;
}

static void
give(struct sse *s, const struct note *t)
{
	if (s->x == NULL || s->end || t->seq <= s->first ||
	    strncmp(t->data, s->prefix, strlen(s->prefix)) != 0)
		return;
	tell_gap(s);
	if (s->lost > 0 || append_event(s, t) != 0)
		s->lost++;
	unpark(s);
}

/* The tap has lost some: nobody knows whose. */
static void
give_lost(struct control *c, uint64_t lost)
{
	struct list *it;

	LIST_FOREACH(it, &c->streams) {
		struct sse *s = CT_CONTAINER(it, struct sse, link);

		s->lost += lost;
		tell_gap(s);
		unpark(s);
	}
	wait_wake(c, "");
}

/* ---- notes: what the tap left ------------------------------------------ */

/* White space between the tokens of a device's text may be a new line,
 * which would end the event's data.  Inside of a string there is none (RFC
 * 8259 7). */
static void
one_line(struct note *t)
{
	char *p = t->data + t->topic_n + 1;

	for (size_t i = 0; i < t->json_n; i++)
		if (p[i] == '\n' || p[i] == '\r')
			p[i] = ' ';
}

static void
note_command(struct control *c, const struct note *t)
{
	const char *id = NULL, *text = "", *name = event_type_name(t->type);
	double percent = -1;
	json_t *root = json_loadb(t->data + t->topic_n + 1, t->json_n, 0,
	    NULL), *detail = json_object_get(root, "detail"), *v;

	id = json_string_value(json_object_get(detail, "id"));
	v = json_object_get(detail, "percent");
	if (json_is_number(v))
		percent = json_number_value(v);
	v = json_object_get(detail, "message");
	if (json_is_string(v))
		text = json_string_value(v);
	if (id != NULL && strcmp(name, "command.progress") == 0)
		progress_put(c, id, percent, text);
	else if (id != NULL && strcmp(name, "command.done") == 0)
		progress_drop(c, id);
	if (id != NULL)
		wait_wake(c, id);
	json_decref(root);
}

static void
on_note(struct control *c, struct note *t)
{
	struct list *it;
	const char *slash;

	one_line(t);
	LIST_FOREACH(it, &c->streams)
		give(CT_CONTAINER(it, struct sse, link), t);
	if (strncmp(t->data, "command.", 8) == 0)
		note_command(c, t);
	slash = strchr(t->data, '/');
	if (slash != NULL && strncmp(t->data, "endpoint.telemetry/", 19) == 0)
		wait_wake(c, slash + 1);
}

static struct note *
take_note(struct control *c, uint64_t *ret_lost)
{
	struct list *l;
	struct note *t = NULL;

	(void)pthread_mutex_lock(&c->lock);
	l = list_first(&c->notes);
	if (l != NULL) {
		t = CT_CONTAINER(l, struct note, link);
		list_remove(l);
		c->notes_n--;
		c->notes_bytes -= t->json_n;
	} else {
		c->noted = false;
	}
	*ret_lost = l == NULL ? c->notes_lost : 0;
	if (l == NULL)
		c->notes_lost = 0;
	(void)pthread_mutex_unlock(&c->lock);
	return t;
}

static void
on_notes(struct mail *m)
{
	struct control *c = CT_CONTAINER(m, struct control, note_mail);
	struct note *t;
	uint64_t lost;

	while ((t = take_note(c, &lost)) != NULL) {
		on_note(c, t);
		mem_free(t);
	}
	if (lost > 0)
		give_lost(c, lost);
}

/* ---- libmicrohttpd asks for more --------------------------------------- */

static ssize_t
on_read(void *cls, uint64_t at, char *to, size_t max)
{
	struct sse *s = cls;
	size_t n = buf_len(s->queue);

	(void)at;
	if (n == 0) {
		if (s->end || s->x == NULL || s->control->stopping)
			return MHD_CONTENT_READER_END_OF_STREAM;
		s->parked = true;
		s->x->suspended = true;
		MHD_suspend_connection(s->x->mhd);
		client_watch(s->x->client);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(to, buf_data(s->queue), n);
	buf_consume(&s->queue, n);
	s->taken_ms = loop_now_ms(s->control->worker.loop);
	tell_gap(s);
	return (ssize_t)n;
}

static void
stream_free(void *cls)
{
	struct sse *s = cls;

	if (s->x != NULL)
		s->x->stream = NULL;
	list_remove(&s->link);
	buf_free(&s->queue);
	atomic_fetch_sub(&s->control->listeners, 1);
	atomic_fetch_sub(&s->control->counters.streams, 1);
	mem_free(s);
}

void
sse_forget(struct exchange *x)
{
	if (x->stream != NULL)
		x->stream->x = NULL;
	x->stream = NULL;
}

void
sse_hung_up(struct exchange *x)
{
	x->stream->end = true;
	unpark(x->stream);
}

/* A silent stream gets a comment, one that takes nothing is let go. */
static void
on_beat(struct timer *t)
{
	struct control *c = CT_CONTAINER(t, struct control, beat);
	uint64_t now = loop_now_ms(c->worker.loop);
	struct list *it;

	LIST_FOREACH(it, &c->streams) {
		struct sse *s = CT_CONTAINER(it, struct sse, link);

		if (s->x == NULL)
			continue;
		if (s->parked) {
			(void)append(s, ":\n\n", 3);	/* it is empty */
			unpark(s);
		} else if (now - s->taken_ms > c->rules.timeout_ms) {
			atomic_fetch_add(&c->counters.timeouts, 1);
			(void)shutdown(s->x->client->watch.fd, SHUT_RDWR);
			mhd_kick(&c->mhd);
		}
	}
	if (!list_empty(&c->streams))
		loop_timer_set(c->worker.loop, t, BEAT_MS <
		    c->rules.timeout_ms ? BEAT_MS : c->rules.timeout_ms);
}

/* ---- GET /v1/events ---------------------------------------------------- */

/* What Last-Event-ID says was missed. */
static int
resume(struct sse *s, const char *last)
{
	char epoch[24], lost[24];
	const char *dash = strchr(last, '-');
	uint64_t of = 0, seq = 0;

	if (dash == NULL || (size_t)(dash - last) >= sizeof(epoch))
		return -EINVAL;
	memcpy(epoch, last, (size_t)(dash - last));
	epoch[dash - last] = '\0';
	if (number_parse(epoch, UINT64_MAX, &of) != 0 ||
	    number_parse(dash + 1, UINT64_MAX, &seq) != 0)
		return -EINVAL;
	if (of == s->control->deps.epoch && seq == s->first)
		return 0;
	if (of != s->control->deps.epoch || seq > s->first)
		return append_gap(s, "null");
	(void)snprintf(lost, sizeof(lost), "%llu",
	    (unsigned long long)(s->first - seq));
	return append_gap(s, lost);
}

static int
open_stream(struct exchange *x, struct sse *s)
{
	const char *last = MHD_lookup_connection_value(x->mhd,
	    MHD_HEADER_KIND, "Last-Event-ID");
	char text[160];
	int n;

	s->first = atomic_load(&x->control->seen);
	n = snprintf(text, sizeof(text), "event: open\ndata: {\"epoch\":%llu,"
	    "\"seq\":%llu}\n\n", (unsigned long long)x->control->deps.epoch,
	    (unsigned long long)s->first);
	if (append(s, text, (size_t)n) != 0)
		return -ENOMEM;
	return last == NULL ? 0 : resume(s, last);
}

static bool
add_headers(struct MHD_Response *r)
{
	return MHD_add_response_header(r, "Content-Type",
	    "text/event-stream") == MHD_YES &&
	    MHD_add_response_header(r, "Cache-Control", "no-store") == MHD_YES;
}

void
sse_get(struct exchange *x)
{
	struct control *c = x->control;
	const char *prefix = param_of(x, "prefix");
	struct sse *s;
	int r;

	if (prefix != NULL && strlen(prefix) > PREFIX_MAX) {
		exchange_problem(x, PROBLEM_INVALID, "prefix",
		    "prefix: at most %u bytes", PREFIX_MAX);
		return;
	}
	if (atomic_load(&c->counters.streams) >= c->rules.streams) {
		exchange_problem(x, PROBLEM_BUSY, NULL,
		    "there are %u streams already", c->rules.streams);
		return;
	}
	s = mem_calloc(1, sizeof(*s));
	if (s == NULL) {
		exchange_error(x, -ENOMEM, "stream");
		return;
	}
	s->control = c;
	s->x = x;
	x->stream = s;
	list_append(&c->streams, &s->link);
	atomic_fetch_add(&c->counters.streams, 1);
	atomic_fetch_add(&c->listeners, 1);	/* before `seen` is read */
	(void)snprintf(s->prefix, sizeof(s->prefix), "%s",
	    prefix == NULL ? "" : prefix);
	s->taken_ms = loop_now_ms(c->worker.loop);
	r = open_stream(x, s);
	if (r == 0)
		x->response = MHD_create_response_from_callback(
		    MHD_SIZE_UNKNOWN, BLOCK, on_read, s, stream_free);
	if (r == 0 && x->response != NULL && add_headers(x->response)) {
		if (!timer_running(&c->beat))
			loop_timer_set(c->worker.loop, &c->beat, BEAT_MS <
			    c->rules.timeout_ms ? BEAT_MS :
			    c->rules.timeout_ms);
		x->status = 200;
		exchange_ready(x);
		return;
	}
	if (x->response == NULL)
		stream_free(s);
	else
		MHD_destroy_response(x->response);
	x->response = NULL;
	if (r == -EINVAL)
		exchange_problem(x, PROBLEM_INVALID, "Last-Event-ID",
		    "Last-Event-ID: EPOCH-SEQ is expected");
	else
		exchange_error(x, -ENOMEM, "stream");
}

/* ---- life -------------------------------------------------------------- */

void
sse_init(struct control *c)
{
	list_init(&c->streams);
	list_init(&c->waiting);
	list_init(&c->notes);
	list_init(&c->progress);
	c->note_mail.fn = on_notes;
	timer_init(&c->beat, on_beat);
	(void)pthread_mutex_init(&c->lock, NULL);	/* always 0 on Linux */
}

void
sse_stop(struct control *c)
{
	struct list *it, *next;

	loop_timer_stop(c->worker.loop, &c->beat);
	LIST_FOREACH_SAFE(it, next, &c->streams) {
		struct sse *s = CT_CONTAINER(it, struct sse, link);

		s->end = true;
		unpark(s);
	}
	LIST_FOREACH_SAFE(it, next, &c->waiting)
		wait_over(CT_CONTAINER(it, struct exchange, wait));
}

void
sse_fini(struct control *c)
{
	if (c->worker.loop != NULL)
		loop_timer_stop(c->worker.loop, &c->beat);
	progress_fini(c);
}

void
sse_drop_notes(struct control *c)
{
	struct note *t;
	uint64_t lost;

	while ((t = take_note(c, &lost)) != NULL)
		mem_free(t);
}
