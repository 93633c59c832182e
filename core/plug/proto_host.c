/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol plugins: what channels call (struct channel_protocol) becomes an op
 * of the plugin, and the plugin's host calls become calls of channel/.  A
 * `struct cleat_chan *` is a `struct channel *` under the plugin's name for it.
 * Worker's thread throughout.
 */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/json_check.h"
#include "channel/channel.h"
#include "net/net.h"
#include "plug/host.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/proto.h"
#include "plug/settings.h"

#define PUBLISH_MAX (64 * 1024)

struct channel *
proto_channel(const struct cleat_chan *c)
{
	return (struct channel *)(uintptr_t)c;
}

struct cleat_chan *
proto_chan(struct channel *ch)
{
	return (struct cleat_chan *)(void *)ch;
}

struct cleat_self *
proto_self(const struct channel *ch)
{
	struct cleat_self *s = CT_CONTAINER(channel_protocol(ch),
	    struct cleat_self, proto);

	CT_CHECK_MAGIC(s, PLUG_SELF_MAGIC);
	return s;
}

/* ---- from channels to the plugin ----------------------------------------- */

/* plugs_route() takes the first one offered that anybody answers to: if one of
 * ours was taken, it is the first of ours in the client's list. */
static const char *
chosen_subprotocol(const struct channel_protocol *p,
    const struct net_request *r)
{
	if (r->subprotocols == NULL || p->subprotocols == NULL)
		return "";
	for (const char *const *o = r->subprotocols; *o != NULL; o++) {
		for (const char *const *w = p->subprotocols; *w != NULL; w++) {
			if (strcmp(*o, *w) == 0)
				return *w;
		}
	}
	return "";
}

static const char *
text_of(const char *s)
{
	return s == NULL ? "" : s;
}

static void
on_open(struct channel_protocol *p, struct channel *ch,
    const struct net_request *request)
{
	struct cleat_self *s = CT_CONTAINER(p, struct cleat_self, proto);
	char peer[ADDR_TEXT_SIZE];
	struct cleat_request r = {
		.size = sizeof(r),
		.security = (uint32_t)channel_security(ch),
		.listener = text_of(request->listener == NULL ? NULL :
		    request->listener->name),
		.peer = addr_text((const struct sockaddr *)&request->peer,
		    peer),
		.target = text_of(request->target),
		.subprotocol = chosen_subprotocol(p, request),
		.user_agent = text_of(request->user_agent),
		.cert_cn = request->tls_peer != NULL &&
		    request->tls_peer->has_cert ?
		    request->tls_peer->cert_cn : "",
	};
	uint64_t t = self_enter();

	s->inst->module->ops.proto.open(s->data, proto_chan(ch), &r);
	self_leave(s, "open of a channel", t);
}

static void
on_message(struct channel *ch, uint8_t *p, size_t n, bool text)
{
	struct cleat_self *s = proto_self(ch);
	struct cleat_msg m = { .size = sizeof(m), .is_text = text, .p = p,
	    .n = n };

	/* Asking the clock twice for each of sixteen small messages that came
	 * together took 4 % of their CPU. */
	if (!s->in_row) {
		s->in_row = true;
		s->row_began = self_enter();
	}
	s->inst->module->ops.proto.message(s->data, proto_chan(ch),
	    channel_session(ch), &m);
}

static void
on_messages_end(struct channel *ch)
{
	struct cleat_self *s = proto_self(ch);

	if (!s->in_row)
		return;
	s->in_row = false;
	self_leave(s, "message", s->row_began);
}

static void
on_drained(struct channel *ch)
{
	struct cleat_self *s = proto_self(ch);
	const struct cleat_protocol_ops *ops = &s->inst->module->ops.proto;
	uint64_t t = self_enter();

	if (ops->drained == NULL)
		return;
	ops->drained(s->data, proto_chan(ch), channel_session(ch));
	self_leave(s, "drained", t);
}

static void
on_authenticated(struct channel *ch, const struct channel_auth_result *in)
{
	struct cleat_self *s = proto_self(ch);
	const struct cleat_protocol_ops *ops = &s->inst->module->ops.proto;
	const struct channel_limits *limits = channel_limits(ch);
	struct cleat_auth_result r = {
		.size = sizeof(r),
		.error = in->error,
		.endpoint = text_of(in->endpoint),
		.channel = in->channel_number,
		.epoch = in->epoch,
		.security = (uint32_t)in->security,
		.ping_ms = limits->ping_ms,
		.dead_ms = limits->dead_ms,
		.retry_min_ms = limits->retry_min_ms,
		.retry_max_ms = limits->retry_max_ms,
		.max_message = s->proto.max_message < UINT32_MAX ?
		    (uint32_t)s->proto.max_message : UINT32_MAX,
		.telemetry_seq = in->telemetry_seq,
		.enrolled_token = text_of(in->enrolled),
		.fingerprint = text_of(in->fingerprint),
	};
	uint64_t t = self_enter();

	if (ops->authenticated == NULL)
		return;
	ops->authenticated(s->data, proto_chan(ch), channel_session(ch), &r);
	self_leave(s, "authenticated", t);
}

static void
on_closed(struct channel *ch, uint16_t code, const char *why)
{
	struct cleat_self *s = proto_self(ch);
	uint64_t t = self_enter();

	(void)why;			/* the channel has logged it */
	s->inst->module->ops.proto.closed(s->data, proto_chan(ch),
	    channel_session(ch), code);
	self_leave(s, "closed", t);
}

static int
on_export(struct channel *ch, struct outbuf *out)
{
	struct cleat_self *s = proto_self(ch);
	size_t room = outbuf_room(out);
	uint64_t t = self_enter();
	int n;

	n = s->inst->module->ops.proto.session_export(s->data, proto_chan(ch),
	    channel_session(ch), out->p + out->n, room);
	self_leave(s, "session_export", t);
	if (n < 0)
		return n;
	if ((size_t)n > room)
		return -ENOBUFS;
	out->n += (size_t)n;
	return 0;
}

static int
on_import(struct channel_protocol *p, struct channel *ch, const uint8_t *in,
    size_t n)
{
	struct cleat_self *s = CT_CONTAINER(p, struct cleat_self, proto);
	uint64_t t = self_enter();
	int r;

	r = s->inst->module->ops.proto.session_import(s->data, proto_chan(ch),
	    in, n);
	self_leave(s, "session_import", t);
	return r;
}

static void
on_forget(struct channel *ch)
{
	struct cleat_self *s = proto_self(ch);
	uint64_t t = self_enter();

	s->inst->module->ops.proto.session_forget(s->data,
	    channel_session(ch));
	self_leave(s, "session_forget", t);
}

void
proto_part_init(struct cleat_self *s)
{
	const struct cleat_protocol_ops *ops = &s->inst->module->ops.proto;

	s->proto = (struct channel_protocol){
		.name = s->inst->name,
		.subprotocols = ops->subprotocols,
		.paths = ops->paths,
		.anonymous = (ops->flags & CLEAT_PROTOCOL_ANONYMOUS) != 0,
		.open = on_open,
		.message = on_message,
		.messages_end = on_messages_end,
		.drained = on_drained,
		.authenticated = on_authenticated,
		.closed = on_closed,
	};
	proto_product_init(s);
	if (ops->session_export == NULL)
		return;
	s->proto.export = on_export;
	s->proto.import = on_import;
	s->proto.forget = on_forget;
}

void
proto_part_settings(struct cleat_self *s, const struct plug_settings *set)
{
	const char *const *paths = settings_paths(set);

	s->proto.paths = paths != NULL ? paths :
	    s->inst->module->ops.proto.paths;
	s->proto.max_message = settings_max_message(set);
	s->proto.compression = settings_compression(set);
}

/* ---- from the plugin to channels ----------------------------------------- */

uint64_t
proto_chan_id(const struct cleat_chan *c)
{
	return channel_id(proto_channel(c));
}

struct cleat_chan *
proto_chan_find(struct cleat_self *s, uint64_t id)
{
	struct channel *ch;

	if (s->channels == NULL)
		return NULL;
	ch = channel_find(s->channels, id);
	/* Another instance's channels are none of its business. */
	if (ch == NULL || channel_protocol(ch) != &s->proto)
		return NULL;
	return proto_chan(ch);
}

void
proto_set_session(struct cleat_chan *c, void *session)
{
	channel_set_session(proto_channel(c), session);
}

int
proto_send(struct cleat_chan *c, const struct cleat_msg *m)
{
	if (m->p == NULL && m->n > 0)
		return -EINVAL;
	return channel_send(proto_channel(c), m->p, m->n, m->is_text != 0);
}

/* What RFC 6455 7.4 lets an endpoint send; anything else from a plugin becomes
 * 1011, internal error. */
static uint16_t
sendable(uint16_t code)
{
	if ((code >= 3000 && code <= 4999) || code == 1000 || code == 1001 ||
	    code == 1002 || code == 1003 || (code >= 1007 && code <= 1013))
		return code;
	return 1011;
}

void
proto_close(struct cleat_chan *c, uint16_t code, const char *why)
{
	channel_close(proto_channel(c), sendable(code), why == NULL ? "" : why);
}

const char *
proto_endpoint(const struct cleat_chan *c)
{
	return channel_endpoint(proto_channel(c));
}

int
proto_challenge(struct cleat_chan *c, unsigned char ret[32])
{
	return channel_challenge(proto_channel(c), ret);
}

/* ABI 1.0 ended with `agent`. */
#define HELLO_1_0 offsetof(struct cleat_hello, public_key)

static int
take_method(const struct cleat_hello *in, struct channel_hello *h)
{
	if (in->public_key.n != 0) {
		if (in->public_key.n != 32 || in->signature.n != 64)
			return -EINVAL;
		h->public_key = in->public_key.p;
		h->signature = in->signature.p;
		h->bound = in->bound != 0;
	}
	h->token = in->token;
	switch (in->method) {
	case CLEAT_AUTH_CERTIFICATE:
		h->method = AUTH_CERTIFICATE;
		return 0;
	case CLEAT_AUTH_TOKEN:
		h->method = AUTH_TOKEN;
		return h->token == NULL ? -EINVAL : 0;
	case CLEAT_AUTH_KEY:
		h->method = AUTH_KEY;
		return h->public_key == NULL ? -EINVAL : 0;
	case CLEAT_AUTH_ENROL:
		h->method = AUTH_ENROL;
		return 0;
	default:
		return -EINVAL;
	}
}

int
proto_hello(struct cleat_chan *c, const struct cleat_hello *in)
{
	struct cleat_hello whole = { .size = sizeof(whole) };
	struct channel_hello h = { .method = AUTH_NONE };
	int r;

	if (in->size < HELLO_1_0)
		return -EINVAL;
	memcpy(&whole, in, in->size < sizeof(whole) ? in->size :
	    sizeof(whole));
	if (whole.endpoint == NULL)
		return -EINVAL;
	h.endpoint = whole.endpoint;
	h.boot_id = text_of(whole.boot_id);
	h.agent = text_of(whole.agent);
	r = take_method(&whole, &h);
	return r != 0 ? r : channel_authenticate(proto_channel(c), &h);
}

int
proto_power(struct cleat_chan *c, enum cleat_power power)
{
	switch (power) {
	case CLEAT_POWER_ON:
		return channel_announce(proto_channel(c), POWER_ON);
	case CLEAT_POWER_SHUTTING_DOWN:
		return channel_announce(proto_channel(c), POWER_SHUTTING_DOWN);
	case CLEAT_POWER_REBOOTING:
		return channel_announce(proto_channel(c), POWER_REBOOTING);
	case CLEAT_POWER_SUSPENDING:
		return channel_announce(proto_channel(c), POWER_SUSPENDING);
	}
	return -EINVAL;
}

int
proto_sleep(struct cleat_chan *c, int64_t until_wall_ms)
{
	return channel_announce_sleep(proto_channel(c), until_wall_ms);
}

int
proto_bye(struct cleat_chan *c)
{
	return channel_announce_bye(proto_channel(c));
}

int
proto_settle(struct cleat_chan *c, uint64_t request)
{
	return channel_announce_settle(proto_channel(c), request);
}

int
proto_publish(struct cleat_chan *c, const char *json, size_t n)
{
	if (n > PUBLISH_MAX)
		return -EMSGSIZE;
	if (json == NULL || json_check_object(json, n) < 0)
		return -EINVAL;
	return channel_publish(proto_channel(c), json, n);
}
