/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The product half of protocol plugins (ABI 1.1): commands, telemetry,
 * inventory and drain, in both directions.  As proto_host.c; worker's
 * thread throughout.
 */
#include <errno.h>

#include "channel/channel.h"
#include "plug/host.h"
#include "plug/inst.h"
#include "plug/proto.h"

/* ---- from channels to the plugin ----------------------------------------- */

static void
on_completed(struct channel *ch, const struct channel_completion *in)
{
	struct cleat_self *s = proto_self(ch);
	struct cleat_completion r = {
		.size = sizeof(r), .error = in->error, .request = in->request,
		.value = in->value
	};
	uint64_t t = self_enter();

	s->inst->module->ops.proto.completed(s->data, proto_chan(ch),
	    channel_session(ch), &r);
	self_leave(s, "completed", t);
}

static int
on_command(struct channel *ch, const struct channel_command *in)
{
	struct cleat_self *s = proto_self(ch);
	struct cleat_command r = {
		.size = sizeof(r), .again = in->again, .id = in->id,
		.verb = in->verb, .args_json = in->args,
		.deadline_wall_ms = in->deadline_ms
	};
	uint64_t t = self_enter();
	int err;

	err = s->inst->module->ops.proto.command(s->data, proto_chan(ch),
	    channel_session(ch), &r);
	self_leave(s, "command", t);
	return err;
}

static void
on_command_cancel(struct channel *ch, const char *id)
{
	struct cleat_self *s = proto_self(ch);
	uint64_t t = self_enter();

	s->inst->module->ops.proto.command_cancel(s->data, proto_chan(ch),
	    channel_session(ch), id);
	self_leave(s, "command_cancel", t);
}

static void
on_drain(struct channel *ch, const struct channel_drain *in)
{
	struct cleat_self *s = proto_self(ch);
	struct cleat_drain r = {
		.size = sizeof(r), .window_ms = in->window_ms,
		.servers = in->servers, .why = in->why
	};
	uint64_t t = self_enter();

	s->inst->module->ops.proto.drain(s->data, proto_chan(ch),
	    channel_session(ch), &r);
	self_leave(s, "drain", t);
}

/* An op that the plugin does not have, an older one or one without need of it,
 * stays NULL: channels know what that means. */
void
proto_product_init(struct cleat_self *s)
{
	const struct cleat_protocol_ops *ops = &s->inst->module->ops.proto;

	if (ops->completed != NULL)
		s->proto.completed = on_completed;
	if (ops->command != NULL)
		s->proto.command = on_command;
	if (ops->command_cancel != NULL)
		s->proto.command_cancel = on_command_cancel;
	if (ops->drain != NULL)
		s->proto.drain = on_drain;
}

/* ---- from the plugin to channels ----------------------------------------- */

int
proto_telemetry(struct cleat_chan *c, uint64_t request, uint64_t seq,
    const char *json, size_t n)
{
	return json == NULL ? -EINVAL :
	    channel_telemetry(proto_channel(c), request, seq, json, n);
}

int
proto_inventory(struct cleat_chan *c, uint64_t request, const char *json,
    size_t n)
{
	return json == NULL ? -EINVAL :
	    channel_inventory(proto_channel(c), request, json, n);
}

int
proto_outcome(struct cleat_chan *c, uint64_t request,
    const struct cleat_command_result *r)
{
	static const enum store_command_state state[] = {
		[CLEAT_OUTCOME_OK] = COMMAND_OK,
		[CLEAT_OUTCOME_ERROR] = COMMAND_ERROR,
		[CLEAT_OUTCOME_CANCELLED] = COMMAND_CANCELLED,
		[CLEAT_OUTCOME_INTERRUPTED] = COMMAND_INTERRUPTED
	};
	struct channel_outcome o = {
		.id = r->id, .result = r->result_json, .message = r->message
	};

	if (r->size < sizeof(*r) || r->id == NULL || r->result_json == NULL ||
	    r->message == NULL || r->outcome < CLEAT_OUTCOME_OK ||
	    r->outcome > CLEAT_OUTCOME_INTERRUPTED ||
	    r->outcome == CLEAT_OUTCOME_EXPIRED)
		return -EINVAL;
	o.state = state[r->outcome];
	return channel_command_outcome(proto_channel(c), request, &o);
}

int
proto_accepted(struct cleat_chan *c, const char *id)
{
	return id == NULL ? -EINVAL :
	    channel_command_accepted(proto_channel(c), id);
}

int
proto_later(struct cleat_chan *c, const char *id)
{
	return id == NULL ? -EINVAL :
	    channel_command_later(proto_channel(c), id);
}

int
proto_progress(struct cleat_chan *c, const char *id, int percent,
    const char *text)
{
	return id == NULL || text == NULL ? -EINVAL :
	    channel_command_progress(proto_channel(c), id, percent, text);
}
