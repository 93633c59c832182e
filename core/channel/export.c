/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live channel as bytes, and back (decisions 0001, 0003): how channels move
 * between workers, and to the next process.  A fixed head, then byte strings,
 * each with its length.  Nothing of it depends on addresses; what arrives is
 * checked before it is used.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define EXPORT_MAGIC 0x6e616863u	/* "chan" */
#define EXPORT_VERSION 4
#define SESSION_MAX 4096

struct export_head {
	uint32_t magic;
	uint16_t version;
	uint16_t head_size;
	uint64_t id;
	uint32_t idle_ms, ping_age_ms, unsent;
	uint16_t began;
	uint8_t security, deflate_bits, ping_out, suspect;
	uint8_t has_exporter, want_drained, has_cert, draining, has_pre, spare;
	struct addr admitted;
	struct ws_parser parser;
	struct channel_cert cert;
};

/* Of a channel whose device has not said hello yet. */
struct export_pre {
	uint32_t left_ms, bytes;	/* until the hello is too
					 * late; received */
	uint8_t challenged, trusted;
	uint8_t challenge[32], exporter[32];
	char peer[ADDR_TEXT_SIZE];
	char cert_uri[129];
};

enum part {
	PART_PRE, PART_LISTENER, PART_PROTOCOL, PART_ENDPOINT, PART_STREAM,
	PART_MESSAGE, PART_CONTROL, PART_HELD, PART_SESSION, PARTS
};

static size_t
assembly_n(const struct assembly *a)
{
	return a == NULL ? 0 : a->n;
}

size_t
channel_export_size(const struct channel *c)
{
	return sizeof(struct export_head) + PARTS * sizeof(uint32_t) + 4096 +
	    SESSION_MAX + buf_len(c->stream.carry) +
	    buf_len(c->stream.backlog) + assembly_n(c->message) +
	    assembly_n(c->control) + buf_len(c->held);
}

_Static_assert(EXPORT_VERSION < 1 << 8 &&
    sizeof(struct export_head) < 1 << 12 &&
    sizeof(struct export_pre) < 1 << 12, "each has its bits below");

uint32_t
channel_export_layout(void)
{
	return EXPORT_VERSION << 24 |
	    (uint32_t)sizeof(struct export_head) << 12 |
	    (uint32_t)sizeof(struct export_pre);
}

static int
put(struct outbuf *out, const void *p, size_t n)
{
	if (outbuf_room(out) < n)
		return -ENOBUFS;
	if (n > 0)
		memcpy(out->p + out->n, p, n);
	out->n += n;
	return 0;
}

static int
put_part(struct outbuf *out, const void *p, size_t n)
{
	uint32_t n32 = (uint32_t)n;
	int r = n > UINT32_MAX ? -ENOBUFS : put(out, &n32, sizeof(n32));

	return r != 0 ? r : put(out, p, n);
}

/* A part that somebody else writes: its length is filled in afterwards. */
static int
put_written(struct outbuf *out, struct channel *c,
    int (*writer)(struct channel *, struct outbuf *))
{
	uint32_t n32 = 0;
	size_t at = out->n;
	int r = put(out, &n32, sizeof(n32));

	if (r == 0)
		r = writer(c, out);
	n32 = (uint32_t)(out->n - at - sizeof(n32));
	if (r == 0)
		memcpy(out->p + at, &n32, sizeof(n32));
	return r;
}

static int
write_stream(struct channel *c, struct outbuf *out)
{
	return stream_export(&c->stream, out);
}

static int
write_session(struct channel *c, struct outbuf *out)
{
	return c->protocol->export(c, out);
}

static int
put_assembly(struct outbuf *out, const struct assembly *a)
{
	return put_part(out, a == NULL ? NULL : a->data, assembly_n(a));
}

static void
fill_head(struct export_head *h, const struct channel *c)
{
	uint32_t now = channel_now(c->owner);

	*h = (struct export_head){
		.magic = EXPORT_MAGIC, .version = EXPORT_VERSION,
		.head_size = sizeof(*h), .id = c->id,
		.idle_ms = now - c->last_rx, .ping_age_ms = now - c->ping_at,
		.unsent = c->unsent,
		.security = c->security, .deflate_bits = c->deflate_bits,
		.ping_out = c->ping_out, .suspect = c->suspect,
		.has_exporter = c->has_exporter,
		.want_drained = c->want_drained, .has_cert = c->cert != NULL,
		.draining = c->draining, .has_pre = c->pre != NULL,
		.began = c->began,
		.admitted = c->admitted, .parser = c->parser
	};
	if (c->cert != NULL)
		h->cert = *c->cert;
}

static int
put_pre(struct outbuf *out, const struct channel *c)
{
	const struct channel_pre *pre = c->pre;
	const char *listener = pre == NULL || pre->listener == NULL ? "" :
	    pre->listener;
	struct export_pre e = { 0 };
	int r;

	if (pre != NULL) {
		e.left_ms = pre->deadline - channel_now(c->owner);
		e.bytes = pre->bytes;
		e.challenged = pre->challenged;
		e.trusted = pre->trusted;
		memcpy(e.challenge, pre->challenge, sizeof(e.challenge));
		memcpy(e.exporter, pre->exporter, sizeof(e.exporter));
		memcpy(e.peer, pre->peer, sizeof(e.peer));
		memcpy(e.cert_uri, pre->cert_uri, sizeof(e.cert_uri));
	}
	r = put_part(out, &e, pre == NULL ? 0 : sizeof(e));
	mem_wipe(&e, sizeof(e));
	return r != 0 ? r : put_part(out, listener, strlen(listener));
}

/* Not while anything of it is under way that is not written down below. */
bool
channel_exportable(const struct channel *c)
{
	return c->phase == PHASE_OPEN && !c->ended && c->todo == 0 &&
	    (c->pre == NULL || !c->pre->asked) && c->completions == 0 &&
	    !c->probed &&
	    c->owner->current != c && c->protocol->export != NULL;
}

int
channel_export(struct channel *c, struct outbuf *out)
{
	struct export_head head;
	const char *name = c->protocol->name, *id = channel_endpoint(c);
	int r;

	fill_head(&head, c);
	r = put(out, &head, sizeof(head));
	if (r == 0)
		r = put_pre(out, c);
	if (r == 0)
		r = put_part(out, name, strlen(name));
	if (r == 0)
		r = put_part(out, id, strlen(id));
	if (r == 0)
		r = put_written(out, c, write_stream);
	if (r == 0)
		r = put_assembly(out, c->message);
	if (r == 0)
		r = put_assembly(out, c->control);
	if (r == 0)
		r = put_part(out, buf_data(c->held), buf_len(c->held));
	if (r == 0)
		r = put_written(out, c, write_session);
	mem_wipe(&head, sizeof(head));
	return r;
}

struct parts {
	const uint8_t *p[PARTS];
	uint32_t n[PARTS];
};

static int
take_apart(const uint8_t *p, size_t n, struct export_head *head,
    struct parts *parts)
{
	if (n < sizeof(*head))
		return -EINVAL;
	memcpy(head, p, sizeof(*head));
	p += sizeof(*head);
	n -= sizeof(*head);
	if (head->magic != EXPORT_MAGIC || head->version != EXPORT_VERSION ||
	    head->head_size != sizeof(*head))
		return -EINVAL;
	for (int i = 0; i < PARTS; i++) {
		if (n < sizeof(uint32_t))
			return -EINVAL;
		memcpy(&parts->n[i], p, sizeof(uint32_t));
		p += sizeof(uint32_t);
		n -= sizeof(uint32_t);
		if (parts->n[i] > n)
			return -EINVAL;
		parts->p[i] = p;
		p += parts->n[i];
		n -= parts->n[i];
	}
	return n == 0 ? 0 : -EINVAL;
}

static bool
head_sane(const struct export_head *h)
{
	return h->id != 0 && h->security <= SECURITY_WSS_SAFE &&
	    h->began < CHANNEL_BEGAN_MAX &&
	    (h->deflate_bits == 0 ||
	    (h->deflate_bits >= 9 && h->deflate_bits <= 15)) &&
	    h->cert.proof.path_n <= TLS_PATH_MAX &&
	    memchr(h->cert.cn, '\0', sizeof(h->cert.cn)) != NULL &&
	    ws_parser_sane(&h->parser);
}

static int
find_owner(struct channel_worker *cw, const struct parts *parts,
    struct channel *c)
{
	const struct channel_shared *s = &cw->shared;
	struct endpoint_place place = {
		.channel_id = c->id, .worker = cw->index
	};
	char text[ENDPOINT_ID_MAX + 1];

	if (parts->n[PART_PROTOCOL] >= sizeof(text) ||
	    parts->n[PART_ENDPOINT] >= sizeof(text))
		return -EINVAL;
	memcpy(text, parts->p[PART_PROTOCOL], parts->n[PART_PROTOCOL]);
	text[parts->n[PART_PROTOCOL]] = '\0';
	c->protocol = s->find_protocol(s->find_ctx, cw->index, text);
	if (c->protocol == NULL || c->protocol->import == NULL)
		return -ENOENT;
	if (parts->n[PART_ENDPOINT] == 0)
		return 0;
	memcpy(text, parts->p[PART_ENDPOINT], parts->n[PART_ENDPOINT]);
	text[parts->n[PART_ENDPOINT]] = '\0';
	return endpoint_moved(s->endpoints, text, place, &c->endpoint);
}

static bool
pre_sane(const struct export_pre *e)
{
	return memchr(e->peer, '\0', sizeof(e->peer)) != NULL &&
	    memchr(e->cert_uri, '\0', sizeof(e->cert_uri)) != NULL;
}

/* As it was in put_pre(); a listener that is not there any more has no name. */
static int
take_pre(struct channel *c, const struct parts *parts)
{
	const struct net *net = c->owner->shared.net;
	struct export_pre e;
	int r = 0;

	if (parts->n[PART_PRE] != sizeof(e))
		return -EINVAL;
	memcpy(&e, parts->p[PART_PRE], sizeof(e));
	c->pre = mem_calloc(1, sizeof(*c->pre));
	if (c->pre == NULL)
		r = -ENOMEM;
	else if (!pre_sane(&e))
		r = -EINVAL;
	if (r == 0) {
		c->pre->deadline = channel_now(c->owner) + e.left_ms;
		c->pre->bytes = e.bytes;
		c->pre->challenged = e.challenged != 0;
		c->pre->trusted = e.trusted != 0;
		memcpy(c->pre->challenge, e.challenge, sizeof(e.challenge));
		memcpy(c->pre->exporter, e.exporter, sizeof(e.exporter));
		memcpy(c->pre->peer, e.peer, sizeof(e.peer));
		memcpy(c->pre->cert_uri, e.cert_uri, sizeof(e.cert_uri));
		c->pre->listener = net == NULL ? NULL :
		    net_listener_name(net, (const char *)
		    parts->p[PART_LISTENER], parts->n[PART_LISTENER]);
	}
	mem_wipe(&e, sizeof(e));
	return r;
}

static int
fill_from(struct channel *c, const struct export_head *h,
    const struct parts *parts)
{
	uint32_t now = channel_now(c->owner);
	int r = 0;

	c->id = h->id;
	c->last_rx = now - h->idle_ms;
	c->ping_at = now - h->ping_age_ms;
	c->unsent = h->unsent;
	c->security = h->security;
	c->deflate_bits = h->deflate_bits;
	c->ping_out = h->ping_out != 0;
	c->suspect = h->suspect != 0;
	c->has_exporter = h->has_exporter != 0;
	c->want_drained = h->want_drained != 0;
	c->draining = h->draining != 0;
	c->began = h->began;
	c->admitted = h->admitted;
	c->parser = h->parser;
	if (h->has_pre != 0)
		r = take_pre(c, parts);
	if (r != 0)
		return r;
	if (h->has_cert != 0 && (c->cert = mem_dup(&h->cert,
	    sizeof(h->cert))) == NULL)
		return -ENOMEM;
	if (parts->n[PART_MESSAGE] > 0)
		r = assembly_add(&c->message, parts->p[PART_MESSAGE],
		    parts->n[PART_MESSAGE], SIZE_MAX);
	if (r == 0 && parts->n[PART_CONTROL] > 0)
		r = assembly_add(&c->control, parts->p[PART_CONTROL],
		    parts->n[PART_CONTROL], WS_CONTROL_MAX);
	if (r == 0 && parts->n[PART_HELD] > 0)
		r = buf_append(&c->held, parts->p[PART_HELD],
		    parts->n[PART_HELD], SIZE_MAX);
	return r;
}

/* Frees what an import made so far; the descriptor stays the caller's. */
static void
undo(struct channel *c)
{
	channel_pre_free(c);
	mem_free(c->cert);
	mem_free(c->message);
	mem_free(c->control);
	buf_free(&c->held);
	stream_forget(&c->stream);
	slab_put(&c->owner->slab, c);
}

int
channel_rebuild(struct channel_worker *cw, int fd, const uint8_t *p, size_t n,
    struct channel **ret)
{
	struct export_head head;
	struct parts parts;
	struct channel *c;
	int r = take_apart(p, n, &head, &parts);

	/* Who it is, is known or still to be said. */
	if (r == 0 && (!head_sane(&head) ||
	    (head.has_pre != 0) == (parts.n[PART_ENDPOINT] > 0)))
		r = -EINVAL;
	if (r == 0)
		r = channel_make(cw, &c);
	if (r != 0)
		return r;
	r = fill_from(c, &head, &parts);
	if (r == 0)
		r = find_owner(cw, &parts, c);
	if (r == -ESTALE)		/* taken over on the way: nobody's */
		r = 0;
	if (c->endpoint == NULL)	/* nobody to suspect */
		c->suspect = false;
	if (r == 0)
		r = stream_import(&c->stream, fd, parts.p[PART_STREAM],
		    parts.n[PART_STREAM]);
	if (r == 0)
		r = c->protocol->import(c->protocol, c, parts.p[PART_SESSION],
		    parts.n[PART_SESSION]);
	mem_wipe(&head, sizeof(head));
	if (r != 0)
		undo(c);
	else
		*ret = c;
	return r;
}

/* What was said about it while it was under way. */
static void
catch_up(struct channel *c)
{
	const struct channel_shared *s = &c->owner->shared;
	uint16_t code;

	if (c->endpoint == NULL && c->pre == NULL)
		channel_close(c, CLOSE_SUPERSEDED,
		    "another channel took over");
	else if (c->endpoint != NULL && (code = endpoint_kick_code(
	    s->endpoints, c->endpoint, c->id)) != 0)
		channel_close(c, code, code == CLOSE_SUPERSEDED ?
		    "another channel took over" : "closed while it moved");
	else if (c->endpoint != NULL)
		channel_todo_add(c, TODO_COMMANDS);
	channel_cert_check(c);
	if (c->draining && !c->ended)
		channel_drain_moved(c);
}

int
channel_join(struct channel *c)
{
	struct channel_worker *cw = c->owner;
	int r;

	r = channel_table_add(&cw->table, c);
	if (r != 0)
		return r;
	r = stream_start(&c->stream, cw->loop, channel_wants_input(c),
	    channel_wake);
	if (r != 0) {
		channel_table_remove(&cw->table, c);
		return r;
	}
	loop_timer_set(cw->loop, &c->timer, 0);
	channel_check_drained(c);
	catch_up(c);
	return 0;
}

void
channel_unmake(struct channel *c)
{
	c->protocol->forget(c);
	undo(c);
}

int
channel_import(struct channel_worker *cw, int fd, const uint8_t *p, size_t n,
    struct channel **ret)
{
	struct channel *c;
	int r = channel_rebuild(cw, fd, p, n, &c);

	if (r == 0 && (r = channel_join(c)) != 0)
		channel_unmake(c);
	if (r == 0)
		*ret = c;
	return r;
}

void
channel_part(struct channel *c)
{
	struct channel_worker *cw = c->owner;

	stream_leave(&c->stream, cw->loop);
	loop_timer_stop(cw->loop, &c->timer);
	channel_table_set_aside(&cw->table, c);
}

void
channel_stay(struct channel *c)
{
	struct channel_worker *cw = c->owner;

	channel_table_put_back(&cw->table, c);
	loop_timer_set(cw->loop, &c->timer, 0);
	if (stream_start(&c->stream, cw->loop, channel_wants_input(c),
	    channel_wake) != 0) {
		channel_io_error(c, -EIO);
		return;
	}
	channel_check_drained(c);
	catch_up(c);
}

void
channel_disown(struct channel *c)
{
	stream_retire(&c->stream, net_worker_stage(c->owner->net));
	channel_table_let_go(&c->owner->table);
	channel_unmake(c);
}
