/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic and JSON of an event.  Only members that apply are written, so that an
 * event stays short; which those are is documented in doc/cleat-events.7.scd.
 */
#include "event/encode.h"

#include <errno.h>
#include <string.h>

#include "base/json_out.h"
#include "event/record.h"

/* Names of the members, numbers, times and the longest event type. */
#define FIXED_MAX 640

static size_t
len(const char *s)
{
	return s == NULL ? 0 : strlen(s);
}

size_t
event_encoded_max(const struct event *ev)
{
	/* JSON writes a byte as at most six, a topic as three. */
	return FIXED_MAX + 9 * len(ev->endpoint) + 6 * len(ev->peer) +
	    6 * len(ev->text) + ev->detail_n;
}

static int
append(struct outbuf *out, const char *s, size_t n)
{
	if (outbuf_room(out) < n)
		return -ENOBUFS;
	memcpy(out->p + out->n, s, n);
	out->n += n;
	return 0;
}

/* The first space ends a topic, so an id has none in it: what is not printable
 * ASCII without '%' is escaped as in a URL (RFC 3986 2.1). */
static int
append_id(struct outbuf *out, const char *id)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *id != '\0'; id++) {
		unsigned char c = (unsigned char)*id;
		char e[3] = { '%', hex[c >> 4], hex[c & 15] };
		bool plain = c > ' ' && c < 0x7f && c != '%';

		if (append(out, plain ? id : e, plain ? 1 : 3) != 0)
			return -ENOBUFS;
	}
	return 0;
}

static void
put_number(struct json_out *j, const char *key, uint64_t v)
{
	if (v != 0)
		jout_uint(j, key, v);
}

static void
put_text(struct json_out *j, const char *key, const char *s)
{
	if (s != NULL)
		jout_string(j, key, s);
}

int
event_encode(const struct event *ev, uint64_t epoch, uint64_t seq,
    struct outbuf *out, size_t *ret_json)
{
	const char *name = event_type_name(ev->type);
	bool presence = event_is_presence(ev->type);
	struct json_out j;
	size_t start;

	if (append(out, name, strlen(name)) != 0)
		return -ENOBUFS;
	if (ev->endpoint != NULL && (append(out, "/", 1) != 0 ||
	    append_id(out, ev->endpoint) != 0))
		return -ENOBUFS;
	if (append(out, " ", 1) != 0)
		return -ENOBUFS;
	start = out->n;
	jout_init(&j, out);
	jout_object(&j, NULL);
	jout_uint(&j, "seq", seq);
	jout_uint(&j, "epoch", epoch);
	jout_time(&j, "time", ev->wall_ms);
	jout_string(&j, "event", name);
	put_text(&j, "endpoint", ev->endpoint);
	put_number(&j, "channel", ev->channel);
	put_number(&j, "old_channel", ev->old_channel);
	put_number(&j, "revision", ev->revision);
	if (presence)
		jout_string(&j, "state", presence_state_name(ev->state));
	if (presence || ev->security != SECURITY_NONE)
		jout_string(&j, "security",
		    channel_security_name(ev->security));
	if (ev->reason != REASON_NONE)
		jout_string(&j, "reason", presence_reason_name(ev->reason));
	if (ev->since_ms != 0)
		jout_time(&j, "since", ev->since_ms);
	put_number(&j, "rtt_us", ev->rtt_us);
	put_text(&j, "peer", ev->peer);
	put_text(&j, "text", ev->text);
	if (ev->detail_n != 0)
		jout_raw(&j, "detail", ev->detail, ev->detail_n);
	jout_object_end(&j);
	if (!jout_ok(&j))
		return -ENOBUFS;
	*ret_json = start;
	return 0;
}
